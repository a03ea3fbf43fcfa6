# SPDX-License-Identifier: MIT
# Gradients of a learned step and offset by PyTorch's _fake_quantize_learnable_per_tensor_affine (rounded rule), on scales that
# are powers of two so that its reciprocal is a division. Writes tests/golden/lsq.txt: PyTorch's version first, then per case
#   case qmax z scale grad_factor n / x / dy / y / dx / dscale
# usage: python make_lsq_golden.py > lsq.txt
import torch

torch.manual_seed(7)
print("# torch", torch.__version__)
for qmax, z, scale in [(255, 0, 0.03125), (15, 0, 0.25), (15, 5, 0.25), (3, 0, 0.5), (3, 1, 1.0), (255, 128, 0.015625)]:
    n = 64
    x = (torch.randn(n) * scale * (qmax - z) * 0.8).requires_grad_()
    s = torch.tensor([scale], requires_grad=True)
    zp = torch.tensor([float(z)], requires_grad=True)
    g = 1.0 / (n * (qmax - z)) ** 0.5
    y = torch._fake_quantize_learnable_per_tensor_affine(x, s, zp, 0, qmax, g)
    dy = torch.randn(n)
    y.backward(dy)
    print("case", qmax, z, scale, g, n)
    for t in (x, dy, y, x.grad):
        print(*["%.9g" % v for v in t.detach().tolist()])
    print("%.9g" % s.grad.item())
