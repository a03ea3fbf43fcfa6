#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes ops.txt and optim.txt beside this file: values and gradients of float ops, and optimizer trajectories, as PyTorch
computes them. Layouts are octet's: images NHWC, weights [O,R,S,C]. Read by tests/golden.h. Form of a file:
    # text to the end of the line
    tensor NAME RANK SIDE... then the values in order, 9 significant digits, free layout
"""
import torch
import torch.nn.functional as F

from golden_file import Out

torch.manual_seed(20240611)
torch.set_num_threads(1)


def nhwc(t):
    return t.permute(0, 2, 3, 1) if t.dim() == 4 else t


def leaf(*s, scale=1.0):
    return (torch.randn(*s) * scale).requires_grad_()


def back(out, name, y, inputs, layout=nhwc):
    dy = torch.randn_like(y)
    y.backward(dy)
    out.put(f"{name}.y", layout(y))
    out.put(f"{name}.dy", layout(dy))
    for k, t in inputs.items():
        out.put(f"{name}.{k}", layout(t))
        if t.grad is not None:
            out.put(f"{name}.d{k}", layout(t.grad))


def ops():
    o = Out("ops.txt", "make_float_golden.py", ", seed 20240611")
    # name: n c h w -> out, kernel, stride, padding, dilation, groups
    for name, (n, c, h, w, k, r, s, p, d, g) in {
            "conv_plain": (2, 3, 6, 5, 4, 3, 1, 1, 1, 1), "conv_stride": (2, 4, 7, 7, 6, 3, 2, 1, 1, 1),
            "conv_dilated": (1, 2, 7, 6, 3, 3, 1, 2, 2, 1), "conv_groups": (2, 4, 5, 5, 6, 3, 1, 1, 1, 2),
            "conv_depthwise": (2, 5, 6, 6, 5, 3, 2, 1, 1, 5), "conv_1x1": (2, 3, 4, 4, 5, 1, 1, 0, 1, 1),
            "conv_lenet": (1, 1, 10, 10, 6, 5, 1, 2, 1, 1), "conv_16": (1, 16, 5, 5, 8, 3, 1, 1, 1, 1)}.items():
        x, wt, b = leaf(n, c, h, w), leaf(k, c // g, r, r, scale=0.3), leaf(k)
        back(o, name, F.conv2d(x, wt, b, s, p, d, g), {"x": x, "w": wt, "b": b})
        o.put(f"{name}.attr", torch.tensor([r, s, p, d, g], dtype=torch.float32))
    x, wt, b = leaf(5, 7), leaf(4, 7), leaf(4)
    back(o, "linear", F.linear(x, wt, b), {"x": x, "w": wt, "b": b})
    for name, train in (("bn_train", True), ("bn_eval", False)):
        x, gm, bt = leaf(3, 5, 4, 2, scale=2.0), leaf(5), leaf(5)
        mean, var = torch.randn(5), torch.rand(5) + 0.5
        o.put(f"{name}.mean0", mean)
        o.put(f"{name}.var0", var)
        y = F.batch_norm(x + 1.5, mean, var, gm, bt, train, 0.1, 1e-5)
        x2 = (x + 1.5).detach()
        back(o, name, y, {"gamma": gm, "beta": bt})
        o.put(f"{name}.x", nhwc(x2))
        o.put(f"{name}.dx", nhwc(x.grad))
        o.put(f"{name}.mean1", mean)
        o.put(f"{name}.var1", var)
    x = leaf(2, 3, 7, 6)
    back(o, "max_pool", F.max_pool2d(x, 3, 2, 1), {"x": x})
    for name, inc in (("avg_pool", True), ("avg_pool_exclude", False)):
        x = leaf(2, 3, 7, 6)
        back(o, name, F.avg_pool2d(x, 3, 2, 1, count_include_pad=inc), {"x": x})
    x = leaf(2, 3, 7, 5)
    back(o, "adaptive_avg_pool", F.adaptive_avg_pool2d(x, (3, 2)), {"x": x})
    for name, e in (("ce", 0.0), ("ce_smooth", 0.1)):
        x, lab = leaf(6, 5, scale=3.0), torch.randint(5, (6,))
        loss = F.cross_entropy(x, lab, label_smoothing=e)
        loss.backward()
        for k, v in (("x", x), ("labels", lab.float()), ("y", loss), ("dx", x.grad)):
            o.put(f"{name}.{k}", v)
    x, t = leaf(3, 4), torch.randn(3, 4)
    loss = F.mse_loss(x, t)
    loss.backward()
    for k, v in (("x", x), ("t", t), ("y", loss), ("dx", x.grad)):
        o.put(f"mse.{k}", v)
    corners = torch.tensor([-7, -3, -2.9999, -1, -0.0, 0, 1e-3, 1.5, 2.9999, 3, 3.5, 20.0])
    for name, f in (("leaky_relu", lambda t: F.leaky_relu(t, 0.1)), ("hardswish", F.hardswish), ("hardsigmoid", F.hardsigmoid),
                    ("sigmoid", torch.sigmoid), ("tanh", torch.tanh)):
        x = torch.cat([corners, torch.randn(12) * 3]).requires_grad_()
        back(o, name, f(x), {"x": x})
    for name, sb in (("mul", (2, 3, 4, 5)), ("mul_broadcast", (2, 3, 1, 1))):
        a, b = leaf(2, 3, 4, 5), leaf(*sb)
        back(o, name, a * b, {"a": a, "b": b})
    for name, f in (("softmax", F.softmax), ("log_softmax", F.log_softmax)):
        x = leaf(4, 6, scale=2.0)
        back(o, name, f(x, -1), {"x": x})


# hyper: lr, momentum, nesterov, weight_decay, beta1, beta2, eps
OPTIM = {
    "sgd": dict(lr=0.1), "sgd_wd": dict(lr=0.1, weight_decay=0.05), "sgd_momentum": dict(lr=0.05, momentum=0.9),
    "sgd_momentum_wd": dict(lr=0.05, momentum=0.9, weight_decay=0.01), "sgd_nesterov": dict(lr=0.05, momentum=0.9, nesterov=True),
    "sgd_nesterov_wd": dict(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": dict(lr=0.01), "adam_wd": dict(lr=0.01, weight_decay=0.1), "adam_betas": dict(lr=0.02, betas=(0.8, 0.95), eps=1e-6),
    "adamw": dict(lr=0.01, weight_decay=0.1), "adamw_betas": dict(lr=0.02, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.2),
}


def optim():
    o = Out("optim.txt", "make_float_golden.py", ", seed 20240611")
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    for name, h in OPTIM.items():
        p = torch.nn.Parameter(torch.randn(7))
        opt = kinds[name.split("_")[0]]([p], **h)
        o.put(f"{name}.param", p)
        grads, after = torch.randn(8, 7), []
        for g in grads:
            p.grad = g.clone()
            opt.step()
            after.append(p.detach().clone())
        b = h.get("betas", (0.9, 0.999))
        o.put(f"{name}.hyper", torch.tensor([h["lr"], h.get("momentum", 0), float(h.get("nesterov", False)), h.get("weight_decay", 0),
                                             b[0], b[1], h.get("eps", 1e-8)]))
        o.put(f"{name}.grad", grads)
        o.put(f"{name}.after", torch.stack(after))


ops()
optim()
