#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes quant.txt beside this file: what PyTorch's observers, fake quantization and fused conv-bn training, and ONNX Runtime's
int8 operators, make of the same numbers. Read by tests/test_quant_golden.c, which names every rule by which octet differs.
Form and layouts: make_float_golden.py. Codes are whole numbers in the same form.

    pip install torch onnx onnxruntime numpy; python3 tests/golden/make_quant_golden.py
"""
import os
import warnings

import numpy as np
import onnx
import onnxruntime as ort
import torch
import torch.ao.quantization as tq
from onnx import TensorProto, helper

warnings.filterwarnings("ignore")
HERE = os.path.dirname(os.path.abspath(__file__))
torch.manual_seed(20261125)
torch.set_num_threads(1)
out = open(os.path.join(HERE, "quant.txt"), "w")
out.write(f"# made by make_quant_golden.py with PyTorch {torch.__version__.split('+')[0]}, ONNX Runtime {ort.__version__}\n")


def put(name, t):
    t = torch.as_tensor(np.asarray(t)) if not torch.is_tensor(t) else t.detach()
    t = t.contiguous()
    out.write(f"tensor {name} {t.dim()} {' '.join(str(s) for s in t.shape)}\n")
    v = [f"{x:.9g}" for x in t.reshape(-1).tolist()]
    for i in range(0, len(v), 16):
        out.write(" ".join(v[i:i + 16]) + "\n")


def nhwc(t):
    return t.permute(0, 2, 3, 1) if t.dim() == 4 else t


def qparams(name, obs):
    s, z = obs.calculate_qparams()
    put(f"{name}.scale", s)
    put(f"{name}.zero_point", z)


# ---- observers ----
def observers():
    sets = {"normal": torch.randn(64), "positive": torch.rand(64) * 3 + 1, "negative": -torch.rand(64) * 0.7 - 0.1, "skewed": torch.randn(64).exp() - 0.5,
            "tiny": torch.randn(64) * 1e-9, "zeros": torch.zeros(8), "constant": torch.full((8,), 5.0)}
    for name, x in sets.items():
        put(f"minmax.{name}.x", x)
        for kind, kw in {"u8": {}, "u7": {"reduce_range": True}}.items():
            o = tq.MinMaxObserver(dtype=torch.quint8, qscheme=torch.per_tensor_affine, **kw)
            o(x)
            qparams(f"minmax.{name}.{kind}", o)
    x = torch.randn(5, 4, 8) * torch.tensor([1.0, 0.5, 2.0, 1.5, 0.1])[:, None, None] + 0.2
    o = tq.MovingAverageMinMaxObserver(averaging_constant=0.01, dtype=torch.quint8)
    ranges = []
    for b in x:
        o(b)
        ranges.append([o.min_val.item(), o.max_val.item()])
    put("moving.x", x)
    put("moving.range", torch.tensor(ranges))
    qparams("moving", o)
    w = torch.randn(6, 3, 3, 2) * torch.tensor([1.0, 0.01, 5.0, 0.3, 2.0, 1e-12]).reshape(6, 1, 1, 1)
    put("channel.w", w)  # octet's [O,R,S,C]
    for bits in (8, 4):
        top = 2 ** (bits - 1) - 1
        for kind in (tq.PerChannelMinMaxObserver, tq.MovingAveragePerChannelMinMaxObserver):
            o = kind(ch_axis=0, dtype=torch.qint8, qscheme=torch.per_channel_symmetric, quant_min=-top, quant_max=top)
            o(w)
            qparams(f"channel{bits}.{'moving' if 'Moving' in kind.__name__ else 'minmax'}", o)
    for name, x in {"tail": torch.randn(4, 1024) * torch.rand(4, 1024).exp().pow(4), "relu": torch.relu(torch.randn(4, 1024) + 0.3).pow(2)}.items():
        o = tq.HistogramObserver(dtype=torch.quint8)
        for b in x:
            o(b)
        put(f"histogram.{name}.x", x)
        qparams(f"histogram.{name}", o)


# ---- fake quantization ----
def fake():
    for name, (s, z, lo, hi) in {"u8": (0.037, 117, 0, 255), "s4": (0.3, 0, -7, 7), "edge": (2.0 ** -4, 3, 0, 15)}.items():
        x = torch.randn(240) * s * (hi - lo) / 3
        x[:40] = (torch.arange(40) - 20 + 0.5) * s  # halves
        x = x.requires_grad_()
        y = torch.fake_quantize_per_tensor_affine(x, s, z, lo, hi)
        dy = torch.randn(240)
        y.backward(dy)
        put(f"fake.{name}.q", torch.tensor([s, z, lo, hi], dtype=torch.float64))
        for k, t in {"x": x, "y": y, "dy": dy, "dx": x.grad}.items():
            put(f"fake.{name}.{k}", t)
    x = (torch.randn(5, 48) * torch.tensor([1.0, 0.1, 3.0, 0.7, 1e-3])[:, None]).requires_grad_()
    s = x.detach().abs().amax(1) / 200
    y = torch.fake_quantize_per_channel_affine(x, s, torch.zeros(5, dtype=torch.int32), 0, -127, 127)
    dy = torch.randn(5, 48)
    y.backward(dy)
    for k, t in {"scale": s, "x": x, "y": y, "dy": dy, "dx": x.grad}.items():
        put(f"fake.channel.{k}", t)


# ---- a fused conv-bn's training steps ----
def conv_bn():
    m = torch.ao.nn.intrinsic.qat.ConvBn2d(3, 4, 3, padding=1, bias=False, qconfig=tq.QConfig(
        activation=torch.nn.Identity,
        weight=tq.FakeQuantize.with_args(observer=tq.PerChannelMinMaxObserver, quant_min=-127, quant_max=127, dtype=torch.qint8,
                                         qscheme=torch.per_channel_symmetric, ch_axis=0)))
    torch.nn.init.uniform_(m.bn.weight, 0.5, 1.5)
    torch.nn.init.uniform_(m.bn.bias, -0.5, 0.5)
    torch.nn.init.uniform_(m.bn.running_mean, -0.2, 0.2)
    torch.nn.init.uniform_(m.bn.running_var, 0.5, 2.0)
    for k, t in {"w": m.weight.permute(0, 2, 3, 1), "gamma": m.bn.weight, "beta": m.bn.bias, "mean": m.bn.running_mean, "var": m.bn.running_var}.items():
        put(f"convbn.{k}", t)
    m.train()
    for step in range(2):
        x = torch.randn(4, 3, 5, 5)
        target = torch.randn(4, 4, 5, 5)
        # the scale factor detached: octet sends no gradient through it (a named difference); everything else is the module's own forward
        std = (m.bn.running_var + m.bn.eps).sqrt()
        factor = (m.bn.weight / std).detach()
        m.weight_fake_quant.reset_min_max_vals() if hasattr(m.weight_fake_quant, "reset_min_max_vals") else m.weight_fake_quant.activation_post_process.reset_min_max_vals()
        kept = {k: v.clone() for k, v in m.bn.named_buffers()}
        own = m(x)  # the module's own
        with torch.no_grad():
            for k, v in m.bn.named_buffers():
                v.copy_(kept[k])
        m.weight_fake_quant.activation_post_process.reset_min_max_vals()
        y = m.bn(torch.nn.functional.conv2d(x, m.weight_fake_quant(m.weight * factor.reshape(-1, 1, 1, 1)), None, 1, 1) / factor.reshape(1, -1, 1, 1))
        assert torch.allclose(y, own, atol=1e-6), "the module computes something else"
        m.zero_grad()
        torch.nn.functional.mse_loss(y, target).backward()
        put(f"convbn.{step}.x", nhwc(x))
        put(f"convbn.{step}.target", nhwc(target))
        put(f"convbn.{step}.y", nhwc(own))
        put(f"convbn.{step}.dw", m.weight.grad.permute(0, 2, 3, 1))
        put(f"convbn.{step}.dgamma", m.bn.weight.grad)
        put(f"convbn.{step}.dbeta", m.bn.bias.grad)
        put(f"convbn.{step}.mean", m.bn.running_mean)
        put(f"convbn.{step}.var", m.bn.running_var)
        with torch.no_grad():
            for p in m.parameters():
                p -= 0.1 * p.grad


# ---- int8 operators ----
rng = np.random.default_rng(7)


def run(op, inputs, domain="", **attrs):
    names = [f"i{k}" if v is not None else "" for k, v in enumerate(inputs)]
    types = {np.dtype("uint8"): TensorProto.UINT8, np.dtype("int8"): TensorProto.INT8, np.dtype("int32"): TensorProto.INT32, np.dtype("float32"): TensorProto.FLOAT}
    given = [(n, v) for n, v in zip(names, inputs) if v is not None]
    g = helper.make_graph([helper.make_node(op, names, ["y"], domain=domain, **attrs)], "g",
                          [helper.make_tensor_value_info(given[0][0], types[given[0][1].dtype], given[0][1].shape)],
                          [helper.make_tensor_value_info("y", TensorProto.UINT8, None)],
                          [onnx.numpy_helper.from_array(v, n) for n, v in given[1:]])
    m = helper.make_model(g, opset_imports=[helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)], ir_version=8)
    s = ort.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"])
    return s.run(None, {given[0][0]: given[0][1]})[0]


f32 = lambda v: np.array(v, np.float32)
u8 = lambda v: np.array(v, np.uint8)


def codes(*shape):
    return rng.integers(0, 256, shape).astype(np.uint8)


def int8_ops():
    # weights within +-63: beyond that ONNX Runtime's AVX2 kernels saturate pairs of products
    for name, (n, c, h, w, o, r, stride, pad, dil, g) in {
            "conv": (2, 5, 7, 6, 8, 3, 1, 1, 1, 1), "stride": (1, 4, 9, 9, 6, 3, 2, 1, 1, 1), "depthwise": (1, 6, 6, 6, 6, 3, 1, 1, 1, 6),
            "groups": (1, 8, 5, 5, 4, 3, 1, 0, 1, 2), "dilated": (1, 3, 8, 8, 4, 3, 1, 2, 2, 1), "pointwise": (1, 40, 3, 3, 5, 1, 1, 0, 1, 1)}.items():
        x, wt = codes(n, c, h, w), rng.integers(-63, 64, (o, c // g, r, r)).astype(np.int8)
        b = rng.integers(-2000, 2000, o).astype(np.int32)
        sx, zx, sw, zy = 0.021, 113, (rng.random(o) * 0.01 + 0.002).astype(np.float32), 97
        sy = float(0.004 * np.sqrt(c // g * r * r) + 0.02)
        y = run("QLinearConv", [x, f32(sx), u8(zx), wt, sw, np.zeros(o, np.int8), f32(sy), u8(zy), b], pads=[pad] * 4, strides=[stride] * 2, dilations=[dil] * 2, group=g)
        put(f"q.{name}.attr", torch.tensor([r, stride, pad, dil, g, zx, zy]))
        put(f"q.{name}.scales", f32([sx, sy]))
        for k, t in {"x": x.transpose(0, 2, 3, 1), "w": wt.transpose(0, 2, 3, 1), "b": b, "sw": sw, "y": y.transpose(0, 2, 3, 1)}.items():
            put(f"q.{name}.{k}", t)
    x, wt, b = codes(6, 60), rng.integers(-63, 64, (7, 60)).astype(np.int8), rng.integers(-3000, 3000, 7).astype(np.int32)
    sw = (rng.random(7) * 0.01 + 0.002).astype(np.float32)
    y = run("QGemm", [x, f32(0.03), u8(70), wt, sw, np.zeros(7, np.int8), b, f32(0.05), u8(120)], "com.microsoft", transB=1)
    put("q.linear.attr", torch.tensor([1, 1, 0, 1, 1, 70, 120]))
    put("q.linear.scales", f32([0.03, 0.05]))
    for k, t in {"x": x, "w": wt, "b": b, "sw": sw, "y": y}.items():
        put(f"q.linear.{k}", t)
    for op, sy in {"add": 0.06, "mul": 0.09}.items():
        a, b = codes(2, 4, 5, 3), codes(2, 4, 5, 3)
        y = run("QLinear" + op.capitalize(), [a, f32(0.031), u8(100), b, f32(0.027), u8(140), f32(sy), u8(128)], "com.microsoft")
        put(f"q.{op}.qparams", torch.tensor([0.031, 100, 0.027, 140, sy, 128], dtype=torch.float64))
        for k, t in {"a": a, "b": b, "y": y}.items():
            put(f"q.{op}.{k}", t)
    x = codes(2, 3, 6, 6)
    put("q.pool.x", x.transpose(0, 2, 3, 1))
    put("q.max.y", run("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]).transpose(0, 2, 3, 1))
    for name, include in {"average": 0, "padded": 1}.items():
        y = run("QLinearAveragePool", [x, f32(0.05), u8(90), f32(0.03), u8(110)], "com.microsoft", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=include)
        put(f"q.{name}.y", y.transpose(0, 2, 3, 1))
    put("q.global.y", run("QLinearGlobalAveragePool", [x, f32(0.05), u8(90), f32(0.01), u8(110)], "com.microsoft").transpose(0, 2, 3, 1))


observers()
fake()
conv_bn()
int8_ops()
