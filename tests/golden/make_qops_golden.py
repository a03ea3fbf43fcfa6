# SPDX-License-Identifier: MIT
# What others make of the same codes: PyTorch's quantized ops (fbgemm, qnnpack) and ONNX Runtime's QLinear ops. Writes
# tests/golden/qops.txt in the form of make_float_golden.py: per case the operands, their qparams, and one tensor of codes per
# peer; tests/test_qops_golden.c names the rule of each. Images are NHWC, weights OHWI. Inputs of products have 7 bits: with 8
# the pairwise sums of machines without VNNI saturate (both peers), which is a fault and no rule.
# usage: python make_qops_golden.py > qops.txt
import sys
import warnings

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

warnings.filterwarnings("ignore")
f32, f64 = np.float32, np.float64
rng = np.random.default_rng(3)
ENGINES = ("fbgemm", "qnnpack")


def put(name, a):
    a = np.asarray(a)
    print("tensor", name, a.ndim, *a.shape)
    flat = a.reshape(-1)
    for i in range(0, len(flat), 32):
        print(*["%.9g" % v for v in flat[i : i + 32]])


def quantized(codes, scale, zero_point):
    return torch._make_per_tensor_quantized_tensor(torch.from_numpy(codes), float(scale), int(zero_point))


def scalar(v, dtype=f32):
    return np.array(v, dtype)


def ort(op, inputs, domain="com.microsoft", **attrs):
    kinds = {"uint8": TensorProto.UINT8, "int8": TensorProto.INT8, "float32": TensorProto.FLOAT, "int32": TensorProto.INT32}
    init = [numpy_helper.from_array(a, "i%d" % i) for i, a in enumerate(inputs)]
    x = helper.make_tensor_value_info("i0", kinds[inputs[0].dtype.name], inputs[0].shape)
    y = helper.make_tensor_value_info("y", TensorProto.UINT8, None)
    node = helper.make_node(op, ["i%d" % i for i in range(len(inputs))], ["y"], domain=domain, **attrs)
    model = helper.make_model(helper.make_graph([node], "g", [x], [y], init[1:]), ir_version=8,
                              opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)])
    o = onnxruntime.SessionOptions()
    o.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    s = onnxruntime.InferenceSession(model.SerializeToString(), o, providers=["CPUExecutionProvider"])
    return s.run(None, {"i0": inputs[0]})[0]


def nchw(a):
    return np.ascontiguousarray(a.transpose(0, 3, 1, 2))


def nhwc(a):
    return a.transpose(0, 2, 3, 1)


def channels_last(x):
    return torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def weights(shape, sx, ties, half):
    """Codes, scales, float biases; half: biases between two codes, so that keeping them float shows."""
    w = rng.integers(-2, 3, shape).astype(np.int8) if half else rng.integers(-127, 128, shape).astype(np.int8)
    sw = np.full(shape[0], 1 / 64, f32) if ties else rng.uniform(0.002, 0.02, shape[0]).astype(f32)
    b = rng.integers(-300, 300, shape[0]).astype(f64) + (0.4 if half else 0.0)
    b = b * sx * sw if ties or half else rng.normal(0, 1, shape[0])
    return w, sw, b.astype(f32)


def conv(name, h, w_, c, o, k, stride=1, pad=0, dil=1, groups=1, relu=0, ties=False):
    x = rng.integers(0, 128, (1, h, w_, c), dtype=np.uint8)
    sx, zx, sy, zy = (f32(1 / 32), 61, f32(1 / 8), 117) if ties else (f32(0.0213), 61, f32(0.11), 117)
    w, sw, b = weights((o, k, k, c // groups), sx, ties, False)
    put(name + ".x", x), put(name + ".w", w), put(name + ".sw", sw), put(name + ".b", b)
    put(name + ".p", [sx, zx, sy, zy, stride, pad, dil, groups, relu])
    for e in ENGINES:
        torch.backends.quantized.engine = e
        qx = torch._make_per_tensor_quantized_tensor(channels_last(x), float(sx), zx)
        qw = torch._make_per_channel_quantized_tensor(torch.from_numpy(nchw(w)), torch.from_numpy(sw.astype(f64)), torch.zeros(o, dtype=torch.long), 0)
        packed = torch.ops.quantized.conv2d_prepack(qw, torch.from_numpy(b), [stride] * 2, [pad] * 2, [dil] * 2, groups)
        f = torch.ops.quantized.conv2d_relu if relu else torch.ops.quantized.conv2d
        put(name + "." + e, f(qx, packed, float(sy), zy).int_repr().permute(0, 2, 3, 1).numpy())
    bias = np.rint(b.astype(f64) / (f64(sx) * sw.astype(f64))).astype(np.int32)
    y = nhwc(ort("QLinearConv", [nchw(x), scalar(sx), scalar(zx, np.uint8), nchw(w), sw, np.zeros(o, np.int8), scalar(sy), scalar(zy, np.uint8), bias],
                 "", kernel_shape=[k, k], strides=[stride] * 2, pads=[pad] * 4, dilations=[dil] * 2, group=groups))
    put(name + ".ort", np.maximum(y, zy) if relu else y)


def linear(name, n, k, o, sy, half=False, ties=False):
    x = rng.integers(0, 128, (n, k), dtype=np.uint8)
    sx, zx, sy, zy = f32(1 / 32) if ties else f32(0.0213), 61, f32(sy), 117
    w, sw, b = weights((o, k), sx, ties, half)
    put(name + ".x", x), put(name + ".w", w), put(name + ".sw", sw), put(name + ".b", b), put(name + ".p", [sx, zx, sy, zy])
    for e in ENGINES:
        torch.backends.quantized.engine = e
        qw = torch._make_per_channel_quantized_tensor(torch.from_numpy(w), torch.from_numpy(sw.astype(f64)), torch.zeros(o, dtype=torch.long), 0)
        packed = torch.ops.quantized.linear_prepack(qw, torch.from_numpy(b))
        put(name + "." + e, torch.ops.quantized.linear(quantized(x, sx, zx), packed, float(sy), zy).int_repr().numpy())
    bias = np.rint(b.astype(f64) / (f64(sx) * sw.astype(f64))).astype(np.int32)
    put(name + ".ort", ort("QGemm", [x, scalar(sx), scalar(zx, np.uint8), np.ascontiguousarray(w.T), sw, np.zeros(o, np.int8), bias, scalar(sy),
                                     scalar(zy, np.uint8)], alpha=1.0))


def pair(name, op, qparams):
    sa, za, sb, zb, sy, zy = f32(qparams[0]), qparams[1], f32(qparams[2]), qparams[3], f32(qparams[4]), qparams[5]
    a, b = (rng.integers(0, 256, (2, 14, 13), dtype=np.uint8) for _ in range(2))
    put(name + ".a", a), put(name + ".b", b), put(name + ".p", [sa, za, sb, zb, sy, zy])
    for e in ENGINES:
        torch.backends.quantized.engine = e
        put(name + "." + e, getattr(torch.ops.quantized, op)(quantized(a, sa, za), quantized(b, sb, zb), float(sy), zy).int_repr().numpy())
    u8 = lambda v: scalar(v, np.uint8)
    put(name + ".ort", ort("QLinear" + op.capitalize(), [a, scalar(sa), u8(za), b, scalar(sb), u8(zb), scalar(sy), u8(zy)]))


def cat(name, qparams):
    sa, za, sb, zb, sy, zy = f32(qparams[0]), qparams[1], f32(qparams[2]), qparams[3], f32(qparams[4]), qparams[5]
    a, b = (rng.integers(0, 256, (2, 14, 6 + i), dtype=np.uint8) for i in range(2))
    put(name + ".a", a), put(name + ".b", b), put(name + ".p", [sa, za, sb, zb, sy, zy])
    put(name + ".fbgemm", torch.ops.quantized.cat([quantized(a, sa, za), quantized(b, sb, zb)], 2, float(sy), zy).int_repr().numpy())


def averages():
    x = rng.integers(0, 256, (1, 9, 8, 5), dtype=np.uint8)
    s, z, sy, zy = f32(0.031), 97, f32(0.0191), 111
    put("avg.x", x), put("avg.p", [s, z, sy, zy])
    u8 = lambda v: scalar(v, np.uint8)
    qx = torch._make_per_tensor_quantized_tensor(channels_last(x), float(s), z)
    for inside in (0, 1):  # qnnpack has no form that leaves padding out of the count: PyTorch gives something else there
        for e in ENGINES[: 2 - inside]:
            torch.backends.quantized.engine = e
            y = torch.nn.functional.avg_pool2d(qx, 3, 2, 1, count_include_pad=not inside)
            put("avg%d.%s" % (inside, e), y.int_repr().permute(0, 2, 3, 1).numpy())
        y = ort("QLinearAveragePool", [nchw(x), scalar(s), u8(z), scalar(sy), u8(zy)], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4,
                count_include_pad=1 - inside)
        put("avg%d.ort" % inside, nhwc(y))
    torch.backends.quantized.engine = "fbgemm"
    for e in ENGINES:
        torch.backends.quantized.engine = e
        put("avg2.%s" % e, torch.nn.functional.avg_pool2d(qx, 2).int_repr().permute(0, 2, 3, 1).numpy())  # quarters: ties
    put("avg2.ort", nhwc(ort("QLinearAveragePool", [nchw(x), scalar(s), u8(z), scalar(s), u8(z)], kernel_shape=[2, 2], strides=[2, 2])))
    put("adaptive.fbgemm", torch.nn.functional.adaptive_avg_pool2d(qx, (2, 3)).int_repr().permute(0, 2, 3, 1).numpy())
    put("global.ort", nhwc(ort("QLinearGlobalAveragePool", [nchw(x), scalar(s), u8(z), scalar(sy), u8(zy)], channels_last=0)))
    put("max.fbgemm", torch.nn.functional.max_pool2d(qx, 3, 2, 1).int_repr().permute(0, 2, 3, 1).numpy())


def functions():
    c = np.arange(256, dtype=np.uint8).reshape(1, 256)
    sx, zx = f32(0.0471), 133
    u8 = lambda v: scalar(v, np.uint8)
    put("table.p", [sx, zx])
    F = torch.nn.functional
    rows = {"sigmoid": (1 / 256, 0, torch.sigmoid), "tanh": (2 / 256, 128, torch.tanh), "hardsigmoid": (1 / 256, 0, F.hardsigmoid),
            "hardswish": (0.025, 15, lambda q: torch.ops.quantized.hardswish(q, float(f32(0.025)), 15)),
            "leaky_relu": (0.024, 26, lambda q: torch.ops.quantized.leaky_relu(q, 0.1, False, float(f32(0.024)), 26))}
    for name, (s, z, f) in rows.items():
        put(name + ".p", [f32(s), z])
        for e in ENGINES:
            torch.backends.quantized.engine = e
            y = f(quantized(c, sx, zx))
            assert abs(y.q_scale() - s) < 1e-6 and y.q_zero_point() == z
            put(name + "." + e, y.int_repr().numpy())
    put("sigmoid.ort", ort("QLinearSigmoid", [c, scalar(sx), u8(zx), scalar(1 / 256), u8(0)]))
    put("leaky_relu.ort", ort("QLinearLeakyRelu", [c, scalar(sx), u8(zx), scalar(0.024), u8(26)], alpha=0.1))
    x = rng.integers(0, 256, (24, 11), dtype=np.uint8)
    put("softmax.x", x)
    put("softmax.ort", ort("QLinearSoftmax", [x, scalar(sx), u8(zx), scalar(1 / 256), u8(0)], axis=-1, opset=13))


print("# torch", torch.__version__, "onnxruntime", onnxruntime.__version__)
conv("conv0", 7, 6, 6, 8, 3, pad=1)
conv("conv1", 7, 6, 6, 8, 3, stride=2, pad=1, groups=2, relu=1)
conv("conv2", 7, 6, 6, 6, 3, pad=1, groups=6)
conv("conv3", 7, 6, 6, 8, 3, pad=2, dil=2, relu=1)
conv("conv4", 7, 6, 6, 8, 3, pad=1, ties=True)
linear("linear0", 8, 64, 20, 0.15)
linear("linear1", 8, 24, 20, 0.0008, half=True)
linear("linear2", 8, 24, 20, 1 / 16, ties=True)
for i, q in enumerate([(0.031, 97, 0.0172, 140, 0.0391, 111), (1 / 32, 97, 1 / 64, 140, 1 / 16, 111)]):
    pair("add%d" % i, "add", q)
    pair("mul%d" % i, "mul", (*q[:4], 1 / 128 if i else 0.0091, q[5]))
    cat("cat%d" % i, q)
averages()
functions()
