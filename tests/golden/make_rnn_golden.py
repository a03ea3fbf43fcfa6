#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes rnn.txt beside this file: knowledge distillation and LSTMs as PyTorch computes them. Form of the file: make_float_golden.py."""
import torch
import torch.nn.functional as F

from golden_file import Out

torch.manual_seed(20250101)
torch.set_num_threads(1)


def distill(o):
    # the usual recipe: T^2 * kl_div(log_softmax(s/T), softmax(t/T), batchmean), and its mix with cross entropy
    for name, n, k, temp, share in (("distill_1", 3, 5, 1.0, 0.25), ("distill_4", 6, 10, 4.0, 0.7)):
        x, t, lab = (torch.randn(n, k) * 3).requires_grad_(), torch.randn(n, k) * 3, torch.randint(k, (n,))
        kd = F.kl_div(F.log_softmax(x / temp, -1), F.softmax(t / temp, -1), reduction="batchmean") * temp * temp
        (g,) = torch.autograd.grad(kd, x, retain_graph=True)
        mix = share * kd + (1 - share) * F.cross_entropy(x, lab)
        mix.backward()
        for key, v in (("x", x), ("t", t), ("labels", lab.float()), ("hyper", torch.tensor([temp, share])), ("y", kd), ("dx", g),
                       ("mix", mix), ("dmix", x.grad)):
            o.put(f"{name}.{key}", v)


def grads(o, name, y, params):
    dy = torch.randn_like(y)
    y.backward(dy)
    o.put(f"{name}.y", y)
    o.put(f"{name}.dy", dy)
    for k, p in params.items():
        o.put(f"{name}.{k}", p)
        o.put(f"{name}.d{k}", p.grad)


def lstm(o):
    for name, n, t, c, h, layers, bias, last in (("lstm", 3, 5, 4, 6, 1, True, False), ("lstm_last", 2, 7, 5, 3, 1, False, True),
                                                 ("lstm_2", 4, 4, 3, 5, 2, True, True)):
        m = torch.nn.LSTM(c, h, layers, bias=bias, batch_first=True)
        x = torch.randn(n, t, c).requires_grad_()
        y = m(x)[0]
        grads(o, name, y[:, -1] if last else y, {"x": x, **dict(m.named_parameters())})
    m = torch.nn.LSTMCell(4, 5)
    x, h0, c0 = (torch.randn(3, k).requires_grad_() for k in (4, 5, 5))
    grads(o, "cell", torch.cat(m(x, (h0, c0)), 1), {"x": x, "h0": h0, "c0": c0, **dict(m.named_parameters())})


out = Out("rnn.txt", "make_rnn_golden.py", ", seed 20250101")
distill(out)
lstm(out)
