#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Writes tests/golden/onnx/*.onnx and outputs.txt: small nets by both of PyTorch's exporters and by hand, and what PyTorch (or, for
# those by hand, onnxruntime) gives for x[i] = ((37 i + 11) mod 64) / 16 - 2, of two images. The form of outputs.txt is that of
# make_float_golden.py. Made with torch 2.15, onnx 1.23, onnxruntime 1.32, onnxscript 0.7.
import sys, os, logging, warnings
warnings.filterwarnings("ignore"); logging.disable(logging.WARNING)
import numpy as np, onnx, torch, torch.nn as nn, torch.nn.functional as F
from onnx import helper as h, numpy_helper as nh, TensorProto as T
import onnxruntime
OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "onnx")
outputs = []

def x_of(shape):
    i = np.arange(np.prod(shape), dtype=np.int64)
    return (((37 * i + 11) % 64) / 16 - 2).astype(np.float32).reshape(shape)

def keep(name, m, y):
    for n in m.graph.node:  # what exporters note for people, but for the scopes
        scopes = [p for p in n.metadata_props if p.key == "pkg.torch.onnx.name_scopes"]
        del n.metadata_props[:]; n.metadata_props.extend(scopes); n.doc_string = ""
    for part in (m.graph.input, m.graph.output, m.graph.value_info):
        for v in part: del v.metadata_props[:]
    del m.graph.value_info[:]; del m.metadata_props[:]; del m.graph.metadata_props[:]
    onnx.checker.check_model(m)
    open(f"{OUT}/{name}.onnx", "wb").write(m.SerializeToString(deterministic=True))
    y = np.asarray(y, np.float32)
    outputs.append(f"tensor {name} {y.ndim} {' '.join(map(str, y.shape))}\n" + " ".join("%.9g" % v for v in y.ravel()))

def torch_net(name, net, shape, how, opset, dynamic, train=False):
    if not wanted(name): return
    torch.manual_seed(len(name)); g = torch.Generator().manual_seed(7)
    net.eval(); x = torch.from_numpy(x_of((2,) + shape)); net(x)
    for k in net.modules():
        if isinstance(k, (nn.BatchNorm2d, nn.BatchNorm1d)):
            k.running_mean.normal_(0, .3, generator=g); k.running_var.uniform_(.3, 2, generator=g)
            k.weight.data.uniform_(.4, 1.6, generator=g); k.bias.data.normal_(0, .3, generator=g)
    y = net(x).detach().numpy(); path = f"{OUT}/tmp.onnx"; one = x if dynamic else x[:1]
    if how == "old":
        torch.onnx.export(net, (one,), path, dynamo=False, opset_version=opset, input_names=["in"], output_names=["out"],
            training=torch.onnx.TrainingMode.PRESERVE if train else torch.onnx.TrainingMode.EVAL, do_constant_folding=not train,
            dynamic_axes={"in": {0: "n"}} if dynamic else None)
    else:
        torch.onnx.export(net, (one,), dynamo=True, opset_version=opset, verbose=False, optimize=not train,
            dynamic_shapes=({0: torch.export.Dim("n", min=1, max=9)},) if dynamic else None).save(path, external_data=False)
    keep(name, onnx.load(path), y); os.remove(path)

class Fn(nn.Module):
    def __init__(self, fn, **parts):
        super().__init__(); self.fn = fn
        for k, v in parts.items(): setattr(self, k, v)
    def forward(self, x): return self.fn(self, x)
class Block(nn.Module):
    def __init__(self, i, o, s):
        super().__init__(); self.conv1 = nn.Conv2d(i, o, 3, s, 1, bias=False); self.bn1 = nn.BatchNorm2d(o); self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(o, o, 3, 1, 1, bias=False); self.bn2 = nn.BatchNorm2d(o)
        self.downsample = nn.Sequential(nn.Conv2d(i, o, 1, s, bias=False), nn.BatchNorm2d(o))
    def forward(self, x): return self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))) + self.downsample(x))
def residual():
    n = nn.Sequential(); n.add_module("layer1", nn.Sequential(Block(3, 4, 2))); n.add_module("pool", nn.AdaptiveAvgPool2d(1))
    n.add_module("flat", nn.Flatten()); n.add_module("fc", nn.Linear(4, 5)); return n
def tf_same(x, k, s):
    h, w = x.shape[-2:]
    p = [max(((d + s - 1) // s - 1) * s + k - d, 0) for d in (h, w)]
    return F.pad(x, [p[1] // 2, p[1] - p[1] // 2, p[0] // 2, p[0] - p[0] // 2])
def gated(s, x):
    x = F.relu6(s.stem(tf_same(x, 3, 2))); y = torch.sigmoid(s.b(F.relu(s.a(x.mean((2, 3), keepdim=True)))))
    x = x * y; x = x * F.relu6(x + 3) / 6; return s.h(F.silu(s.c(x)).flatten(1))
def make_gated(): return Fn(gated, stem=nn.Conv2d(3, 4, 3, 2), a=nn.Conv2d(4, 2, 1), b=nn.Conv2d(2, 4, 1), c=nn.Conv2d(4, 4, 3, 2, groups=4), h=nn.Linear(16, 3))
def orders(s, x):
    a = s.a(x); f = torch.cat([F.leaky_relu(a).flatten(1), s.b(x).transpose(2, 3).flatten(1), a.permute(0, 2, 3, 1).reshape(x.size(0), -1)], 1)
    return F.softmax(s.h(s.bn(f)), 1)
def make_orders(): return Fn(orders, a=nn.Conv2d(2, 3, 2, 2), b=nn.Conv2d(2, 2, 3, 3), bn=nn.BatchNorm1d(3*12+2*6+3*12), h=nn.Linear(84, 4))
def pools(): return nn.Sequential(nn.Conv2d(1, 3, 3), nn.Hardswish(), nn.MaxPool2d(3, 2, ceil_mode=True), nn.AvgPool2d(3, 2, 1, ceil_mode=True),
    nn.Conv2d(3, 4, 2, dilation=(1, 2), padding=1), nn.ELU(), nn.AvgPool2d(2, 1, 1, count_include_pad=False), nn.Tanh(), nn.Flatten(), nn.LazyLinear(3))
def parts(s, x):
    a, b = s.a(x).chunk(2, 1); y = torch.cat([s.b(a), b], 1)
    n, c, hh, w = y.shape; y = y.view(n, 2, c // 2, hh, w).transpose(1, 2).reshape(n, c, hh, w)
    y = y + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 1)); return (y.flatten(2).mean(-1) - .5) * s.g
def make_parts(): return Fn(parts, a=nn.Conv2d(2, 4, 3, 2, 1), b=nn.Conv2d(2, 2, 1), g=nn.Parameter(torch.tensor([1., 2, .5, 3])))

def blocks(s, x):  # one channel, then two: blocks of different sides
    y = F.pixel_shuffle(F.relu(s.b(F.pixel_unshuffle(F.relu(s.a(F.pixel_unshuffle(x, 2))), 2))), 3)
    return s.h(y.flatten(1)) + s.g(F.pixel_shuffle(s.c(x), 2).mean(3).flatten(1))
def make_blocks(): return Fn(blocks, a=nn.Conv2d(4, 2, 1), b=nn.Conv2d(8, 18, 1), c=nn.Conv2d(1, 8, (2, 3), 2, (0, 1)), h=nn.Linear(2*54, 4), g=nn.Linear(24, 4))

def by_hand(name, nodes, inits, shape, out="y", opset=13, in_name="x", more_inputs=()):
    if not wanted(name): return
    def model(dims):
        g = h.make_graph(nodes, name, [h.make_tensor_value_info(in_name, T.FLOAT, ["n"] + list(shape))] + list(more_inputs),
            [h.make_tensor_value_info(out, T.FLOAT, dims)], inits)
        return h.make_model(g, opset_imports=[h.make_opsetid("", opset)], ir_version=8)
    o = onnxruntime.SessionOptions(); o.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # its u8 x s8 saturates on AVX2
    y = onnxruntime.InferenceSession(model(None).SerializeToString(), o).run(None, {in_name: x_of((2,) + tuple(shape))})[0]
    m = model(["n"] + list(y.shape[1:]))
    keep(name, m, y)
def arr(name, a, t=None):
    if t is None: return nh.from_array(np.asarray(a, order="C"), name)
    return h.make_tensor(name, t, a.shape, a.ravel().tolist())  # typed data
def tf_style():
    r = np.random.default_rng(3); f = lambda *s: (r.standard_normal(s) * .4).astype(np.float32)
    n = [h.make_node("Sub", ["x", "m"], ["s"]), h.make_node("Transpose", ["s"], ["t"], perm=[0, 3, 1, 2]),
         h.make_node("Conv", ["t", "w0"], ["c0"], auto_pad="SAME_LOWER", strides=[2, 2]), h.make_node("Add", ["c0", "b0"], ["a0"]), h.make_node("LeakyRelu", ["a0"], ["l0"], alpha=.2),
         h.make_node("MaxPool", ["l0"], ["p0"], kernel_shape=[3, 2], strides=[1, 2], auto_pad="SAME_UPPER"), h.make_node("PRelu", ["p0", "sl"], ["r0"]),
         h.make_node("Transpose", ["r0"], ["u"], perm=[0, 2, 3, 1]), h.make_node("Shape", ["u"], ["sh"]), h.make_node("Gather", ["sh", "zero"], ["nn"], axis=0),
         h.make_node("Unsqueeze", ["nn", "ax0"], ["n1"]), h.make_node("Concat", ["n1", "minus"], ["to"], axis=0), h.make_node("Reshape", ["u", "to"], ["f"]),
         h.make_node("MatMul", ["f", "w1"], ["mm"]), h.make_node("Add", ["b1", "mm"], ["a1"]), h.make_node("Clip", ["a1", "", "hi"], ["cl"]),
         h.make_node("Gemm", ["cl", "w2", "b2"], ["y"], alpha=.5, beta=2.0)]
    i = [arr("m", np.array([.1, -.2, .3], np.float32)), arr("w0", f(4, 3, 3, 2), T.FLOAT), arr("b0", f(1, 4, 1, 1)), arr("sl", np.full((4, 1, 1), .3, np.float32)),
         arr("zero", np.array(0)), arr("ax0", np.array([0])), arr("minus", np.array([-1]), T.INT64), arr("w1", f(4 * 4 * 2, 5)), arr("b1", f(5)), arr("hi", np.array(.4, np.float32)),
         arr("w2", f(5, 3)), arr("b2", f(1, 3))]
    by_hand("tf_style", n, i, (8, 7, 3), more_inputs=[h.make_tensor_value_info("w2", T.FLOAT, [5, 3])])
def depths():
    r = np.random.default_rng(4); f = lambda *s: (r.standard_normal(s) * .4).astype(np.float32)
    n = [h.make_node("SpaceToDepth", ["x"], ["s"], blocksize=2), h.make_node("Conv", ["s", "w0"], ["c"]), h.make_node("DepthToSpace", ["c"], ["d"], blocksize=2),
         h.make_node("DepthToSpace", ["c"], ["e"], blocksize=2, mode="CRD"), h.make_node("Sigmoid", ["e"], ["g"]), h.make_node("Mul", ["d", "g"], ["m"]), h.make_node("Flatten", ["m"], ["v"]),
         h.make_node("Gemm", ["v", "w1"], ["y"], transB=1)]
    by_hand("depths", n, [arr("w0", f(8, 12, 1, 1)), arr("w1", f(5, 48))], (3, 4, 6))
def repeats():
    r = np.random.default_rng(6); f = lambda *s: (r.standard_normal(s) * .4).astype(np.float32)
    n = [h.make_node("Expand", ["x", "three"], ["e"]), h.make_node("Mul", ["e", "scale"], ["m"]), h.make_node("Tile", ["m", "twice"], ["t"]), h.make_node("Conv", ["t", "w0"], ["c"]),
         h.make_node("Flatten", ["c"], ["v"]), h.make_node("Gemm", ["v", "w1"], ["y"], transB=1)]
    by_hand("repeats", n, [arr("three", np.array([1, 3, 1, 1])), arr("scale", f(3, 1, 1)), arr("twice", np.array([1, 2, 1, 1])), arr("w0", f(2, 6, 1, 1)), arr("w1", f(3, 24))], (1, 3, 4))
def typed():
    r = np.random.default_rng(5); f = lambda *s: (r.integers(-8, 9, s) / 8)
    n = [h.make_node("Cast", ["w0h"], ["w0"], to=T.FLOAT), h.make_node("Cast", ["b0d"], ["b0"], to=T.FLOAT), h.make_node("Conv", ["x", "w0", "b0"], ["c"], pads=[1, 0, 0, 1]),
         h.make_node("HardSigmoid", ["c"], ["hs"]), h.make_node("GlobalMaxPool", ["hs"], ["g"]), h.make_node("Squeeze", ["g", "axes"], ["q"]), h.make_node("Constant", [], ["k"], value_float=2.5),
         h.make_node("Div", ["q", "k"], ["d"]), h.make_node("Identity", ["d"], ["e"]), h.make_node("Cast", ["w1b"], ["w1f"], to=T.FLOAT), h.make_node("Transpose", ["w1f"], ["w1"]),
         h.make_node("MatMul", ["e", "w1"], ["y"])]
    b16 = h.make_tensor("w1b", T.BFLOAT16, (3, 4), f(3, 4).ravel().tolist())
    i = [arr("w0h", f(4, 2, 2, 2).astype(np.float16)), arr("b0d", f(4), T.DOUBLE), arr("axes", np.array([2, 3])), b16]
    by_hand("typed", n, i, (2, 5, 4), opset=13)
def qdq():
    r = np.random.default_rng(9); w = r.integers(-127, 128, (4, 2, 3, 3)).astype(np.int8); wl = r.integers(-127, 128, (3, 36)).astype(np.int8)
    q = lambda v, s, z, o: [h.make_node("QuantizeLinear", [v, s, z], [o + "q"]), h.make_node("DequantizeLinear", [o + "q", s, z], [o])]
    n = q("x", "sx", "zx", "xd") + [h.make_node("DequantizeLinear", ["w", "sw", "zw"], ["wd"], axis=0), h.make_node("DequantizeLinear", ["b", "sb", "zb"], ["bd"], axis=0),
         h.make_node("Conv", ["xd", "wd", "bd"], ["c"], strides=[2, 2])] + q("c", "sc", "zero", "cd") + [h.make_node("Flatten", ["cd"], ["f"]),
         h.make_node("DequantizeLinear", ["wl", "sl", "zl"], ["wld"]), h.make_node("Gemm", ["f", "wld"], ["g"], transB=1)] + q("g", "sg", "zg", "y")
    i = [arr("sx", np.float32(1 / 64)), arr("zx", np.uint8(128)), arr("w", w), arr("sw", np.array([.01, .02, .005, .01], np.float32)), arr("zw", np.zeros(4, np.int8)),
         arr("b", np.array([30, -500, 200, 0], np.int32)), arr("sb", np.array([.01, .02, .005, .01], np.float32) / 64), arr("zb", np.zeros(4, np.int32)), arr("sc", np.float32(.15)), arr("zero", np.uint8(0)),
         arr("wl", wl), arr("sl", np.float32(.004)), arr("zl", np.int8(0)), arr("sg", np.float32(.25)), arr("zg", np.uint8(128))]
    by_hand("qdq", n, i, (2, 7, 7), opset=13)
def static(name, kind):  # as onnxruntime's own quantizer writes it: conv, depthwise, add, cat of two grids, max pool, mean, Gemm
    if not wanted(name): return
    from onnxruntime.quantization import quantize_static, QuantType, QuantFormat, CalibrationDataReader
    torch.manual_seed(31); m = Fn(static_forward, a=nn.Conv2d(3, 6, 3, 2, 1), d=nn.Conv2d(6, 6, 3, 1, (0, 1), groups=6), p=nn.Conv2d(6, 6, 1, padding=(1, 0)), h=nn.Linear(12, 4)).eval()
    x = torch.from_numpy(x_of((2, 3, 9, 8))); path = f"{OUT}/tmp.onnx"
    torch.onnx.export(m, (x[:1],), path, dynamo=False, opset_version=17, input_names=["in"], output_names=["out"], dynamic_axes={"in": {0: "n"}})
    class Reader(CalibrationDataReader):
        def __init__(self): self.rest = [{"in": x.numpy()}]
        def get_next(self): return self.rest.pop() if self.rest else None
    quantize_static(path, path + ".q", Reader(), quant_format=QuantFormat.QDQ, activation_type=kind == "u8" and QuantType.QUInt8 or QuantType.QInt8, weight_type=QuantType.QInt8, per_channel=True)
    q = onnx.load(path + ".q"); o = onnxruntime.SessionOptions(); o.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    keep(name, q, onnxruntime.InferenceSession(q.SerializeToString(), o).run(None, {"in": x.numpy()})[0]); os.remove(path); os.remove(path + ".q")
def static_forward(s, x):
    a = F.relu(s.a(x)); b = F.relu(s.p(s.d(a)) + a); return s.h(torch.cat([F.max_pool2d(b, 2), F.max_pool2d(a, 2)], 1).mean((2, 3)))
def torch_quantized(name, how):  # PyTorch's own: converted to quantized modules (codes cast to their own type), or its fake quantization as it was trained
    if not wanted(name): return
    import torch.ao.quantization as Q
    from torch.ao.quantization.quantize_fx import prepare_fx, prepare_qat_fx, convert_fx
    torch.manual_seed(8); torch.backends.quantized.engine = "qnnpack"; x = torch.from_numpy(x_of((2, 2, 8, 6)))
    m = Fn(torch_quantized_forward, a=nn.Sequential(nn.Conv2d(2, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU()), b=nn.Sequential(nn.Conv2d(4, 4, 3, 1, 1, groups=4), nn.BatchNorm2d(4)), h=nn.Linear(48, 3))
    for k in (m.a[1], m.b[1]): k.running_mean.normal_(0, .3); k.running_var.uniform_(.3, 2); k.weight.data = torch.tensor([.9, 1.2, -.7, .5]); k.bias.data.normal_(0, .3)
    if how == "converted": m = prepare_fx(m.eval(), Q.get_default_qconfig_mapping("qnnpack"), (x,))
    else:
        a = Q.FakeQuantize.with_args(observer=Q.MovingAverageMinMaxObserver, quant_min=0, quant_max=127 if how == "u7" else 255)
        w = Q.FakeQuantize.with_args(observer=Q.MovingAveragePerChannelMinMaxObserver, quant_min=-128, quant_max=127, dtype=torch.qint8, qscheme=torch.per_channel_symmetric) if how != "tensors" else \
            Q.FakeQuantize.with_args(observer=Q.MovingAverageMinMaxObserver, quant_min=-128, quant_max=127, dtype=torch.qint8, qscheme=torch.per_tensor_symmetric)
        m = prepare_qat_fx(m.train(), Q.QConfigMapping().set_global(Q.QConfig(activation=a, weight=w)), (x,))
    m(x); m.eval(); m.apply(Q.disable_observer); m = convert_fx(m) if how == "converted" else m; path = f"{OUT}/tmp.onnx"
    torch.onnx.export(m, (x[:1],), path, dynamo=False, opset_version=13, input_names=["in"], output_names=["out"], dynamic_axes={"in": {0: "n"}})
    q = onnx.load(path); o = onnxruntime.SessionOptions(); o.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    keep(name, q, onnxruntime.InferenceSession(q.SerializeToString(), o).run(None, {"in": x.numpy()})[0]); os.remove(path)
def pt2e(name):  # torchao's: per-channel s8 weights, s8 values, biases floats; by XNNPACK's quantizer (torchao 0.18)
    if not wanted(name): return
    try:
        from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e, convert_pt2e
        from torchao.testing.pt2e._xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config
    except ImportError: print("no torchao:", name, "is left as it is"); return
    torch.manual_seed(9); x = torch.from_numpy(x_of((2, 2, 8, 6)))
    m = Fn(torch_quantized_forward, a=nn.Sequential(nn.Conv2d(2, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU()), b=nn.Sequential(nn.Conv2d(4, 4, 3, 1, 1, groups=4), nn.BatchNorm2d(4)), h=nn.Linear(48, 3)).eval()
    for k in (m.a[1], m.b[1]): k.running_mean.normal_(0, .3); k.running_var.uniform_(.3, 2); k.weight.data = torch.tensor([.9, 1.2, -.7, .5]); k.bias.data.normal_(0, .3)
    n = ({0: torch.export.Dim("n", min=1, max=9)},)
    m = prepare_pt2e(torch.export.export(m, (x,), dynamic_shapes=n).module(), XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True)))
    m(x); m = convert_pt2e(m); path = f"{OUT}/tmp.onnx"
    torch.onnx.export(m, (x,), dynamo=True, opset_version=18, verbose=False, dynamic_shapes=n).save(path, external_data=False)
    q = onnx.load(path); o = onnxruntime.SessionOptions(); o.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    keep(name, q, onnxruntime.InferenceSession(q.SerializeToString(), o).run(None, {q.graph.input[0].name: x.numpy()})[0]); os.remove(path)
def torch_quantized_forward(s, x):
    x = s.a(x); return s.h(F.relu(s.b(x) + x).flatten(1))
def hwc_flat():  # the order of a flatten at the end cannot be kept: images are given back
    by_hand("flat_end", [h.make_node("Conv", ["x", "w"], ["c"]), h.make_node("Flatten", ["c"], ["y"])], [arr("w", np.arange(8, dtype=np.float32).reshape(2, 1, 2, 2))], (1, 3, 4), opset=11)

def wanted(name): return not sys.argv[1:] or name in sys.argv[1:]
os.makedirs(OUT, exist_ok=True)
text = f"{OUT}/outputs.txt"
old = {} if not sys.argv[1:] else {t.split()[0]: "tensor " + t for t in open(text).read().split("tensor ")[1:]}  # names given: those alone anew
for k, (how, opset, dyn, train) in {"old11": ("old", 11, True, True), "old18": ("old", 18, False, False), "dyn18": ("new", 18, True, False), "dyn21": ("new", 21, False, True)}.items():
    torch_net("residual_" + k, residual(), (3, 7, 6), how, opset, dyn, train)
for k, (how, opset, dyn) in {"old13": ("old", 13, True), "dyn20": ("new", 20, True)}.items():
    torch_net("gated_" + k, make_gated(), (3, 9, 10), how, opset, dyn)
torch_net("orders_old12", make_orders(), (2, 6, 9), "old", 12, True); torch_net("orders_dyn19", make_orders(), (2, 6, 9), "new", 19, False)
torch_net("pools_old15", pools(), (1, 14, 13), "old", 15, False); torch_net("pools_dyn18", pools(), (1, 14, 13), "new", 18, True)
torch_net("parts_old16", make_parts(), (2, 8, 6), "old", 16, True); torch_net("parts_dyn18", make_parts(), (2, 8, 6), "new", 18, False)
torch_net("blocks_old14", make_blocks(), (1, 12, 8), "old", 14, True); torch_net("blocks_dyn20", make_blocks(), (1, 12, 8), "new", 20, False)
tf_style(); depths(); repeats(); typed(); qdq(); static("static_u8", "u8"); static("static_s8", "s8"); hwc_flat()
for how in ("converted", "channels", "tensors", "u7"): torch_quantized("torch_" + how, how)
pt2e("torch_pt2e")
old.update({o.split()[1]: o + "\n" for o in outputs})
open(text, "w").write("# made by make_onnx_golden.py\n" + "".join(old.values()))
