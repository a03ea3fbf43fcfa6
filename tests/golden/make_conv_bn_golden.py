# SPDX-License-Identifier: MIT
# Training steps of PyTorch's fused QAT modules, torch.ao.nn.intrinsic.qat.ConvBnReLU2d (with and without bias) and LinearBn1d:
# weights scaled by running statistics, quantized per channel, batch statistics; then the same with statistics frozen. Writes
# tests/golden/conv_bn.txt in the form of make_float_golden.py (images NHWC, weights OHWI).
#
# Steps follow the gradients that leave the fold's factor alone (`detached`), which is octet's scheme; beside them stands what
# PyTorch's module itself gives for gamma (`whole`), the one gradient where the two differ.
# usage: python make_conv_bn_golden.py > conv_bn.txt
import warnings

import torch
import torch.ao.nn.intrinsic.qat as nniqat
from torch.ao.quantization import FakeQuantize, PerChannelMinMaxObserver, QConfig
from torch.ao.quantization import NoopObserver

warnings.filterwarnings("ignore")
torch.manual_seed(5)
STEPS, FROZEN_FROM, LR = 6, 4, 0.05


def put(name, t):
    t = t.detach()
    if t.dim() == 4:
        t = t.permute(0, 2, 3, 1)
    print("tensor", name, t.dim(), *t.shape)
    flat = t.reshape(-1).tolist()
    for i in range(0, len(flat), 16):
        print(*["%.9g" % v for v in flat[i : i + 16]])


def forward(m, x, detach):
    """ConvBn's approximate forward, its factor detached or not."""
    linear = isinstance(m, nniqat.LinearBn1d)
    std = torch.sqrt(m.bn.running_var + m.bn.eps)
    factor = m.bn.weight / std
    factor = factor.detach() if detach else factor
    shape = [1] * m.weight.dim()
    shape[0] = -1
    across = [1] * x.dim()
    across[1] = -1
    w = m.weight_fake_quant(m.weight * factor.reshape(shape))
    y = torch.nn.functional.linear(x, w) if linear else m._conv_forward(x, w, torch.zeros_like(m.bn.bias))
    y = y / factor.reshape(across)
    if m.bias is not None:
        y = y + m.bias.reshape(across)
    y = m.bn(y)
    return y if linear else torch.relu(y)


def clear(m):
    m.weight_fake_quant.activation_post_process.reset_min_max_vals()


def run(name, m, x, target):
    m.train()
    for p, spread in ((m.bn.weight, 0.3), (m.bn.bias, 0.3)):
        p.data += spread * torch.randn_like(p)
    m.bn.running_mean.data = 0.2 * torch.randn_like(m.bn.running_mean)
    m.bn.running_var.data = 0.5 + torch.rand_like(m.bn.running_var)
    put(name + ".x", x), put(name + ".target", target)
    for key in ("weight", "bias"):
        if getattr(m, key) is not None:
            put("%s.%s" % (name, key), getattr(m, key))
    put(name + ".gamma", m.bn.weight), put(name + ".beta", m.bn.bias)
    put(name + ".mean", m.bn.running_mean), put(name + ".var", m.bn.running_var)
    for i in range(STEPS):
        if i == FROZEN_FROM:
            m.freeze_bn_stats()
        mean, var = m.bn.running_mean.clone(), m.bn.running_var.clone()
        grads = []
        for way in ("module", "whole", "detached"):
            clear(m)
            m.bn.running_mean.data, m.bn.running_var.data = mean.clone(), var.clone()
            m.zero_grad()
            y = m(x) if way == "module" else forward(m, x, way == "detached")
            loss = torch.nn.functional.mse_loss(y, target)
            loss.backward()
            grads.append([p.grad.clone() for p in m.parameters()])
        for a, b in zip(grads[0], grads[1]):  # the module is what is written down here
            assert torch.allclose(a, b, rtol=1e-5, atol=1e-7)
        named = {n: k for k, (n, _) in enumerate(m.named_parameters())}
        put("%s.%d.y" % (name, i), y)
        put("%s.%d.dweight" % (name, i), grads[2][named["weight"]])
        put("%s.%d.dgamma" % (name, i), grads[2][named["bn.weight"]]), put("%s.%d.dbeta" % (name, i), grads[2][named["bn.bias"]])
        put("%s.%d.whole" % (name, i), grads[0][named["bn.weight"]])
        put("%s.%d.mean" % (name, i), m.bn.running_mean), put("%s.%d.var" % (name, i), m.bn.running_var)
        with torch.no_grad():
            for p in m.parameters():
                p -= LR * p.grad


weight = FakeQuantize.with_args(observer=PerChannelMinMaxObserver, quant_min=-127, quant_max=127, dtype=torch.qint8, qscheme=torch.per_channel_symmetric, ch_axis=0)
qconfig = QConfig(activation=NoopObserver, weight=weight)
print("# torch", torch.__version__)


def codes(*shape):  # on the grid of scale 1/32, zero point 128
    return torch.randint(0, 256, shape).sub(128).float() / 32


run("conv", nniqat.ConvBnReLU2d(3, 4, 3, padding=1, bias=False, qconfig=qconfig), codes(4, 3, 5, 5), torch.randn(4, 4, 5, 5))
run("convb", nniqat.ConvBnReLU2d(2, 4, 3, stride=2, bias=True, qconfig=qconfig), codes(4, 2, 6, 6), torch.randn(4, 4, 2, 2))
run("linear", nniqat.LinearBn1d(10, 6, bias=True, qconfig=qconfig), codes(16, 10), torch.randn(16, 6))
