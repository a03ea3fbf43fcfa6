#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes observers.txt beside this file: what PyTorch's observers and fake quantization make of the same numbers. Read by
tests/test_observer_golden.c, which names every rule by which octet differs. Form: make_float_golden.py.

    pip install torch; python3 tests/golden/make_observer_golden.py
"""
import warnings

import torch
import torch.ao.quantization as tq

from golden_file import Out

warnings.filterwarnings("ignore")
torch.manual_seed(20261125)
torch.set_num_threads(1)
put = Out("observers.txt", "make_observer_golden.py", width=16).put


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


observers()
fake()
