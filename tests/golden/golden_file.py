# SPDX-License-Identifier: MIT
"""The form that tests/golden.h reads: "# text" to the end of a line; "tensor NAME RANK SIDE...", then the values in order, 9
significant digits, free layout."""
import os

import torch


class Out:
    def __init__(self, name, maker, extra="", width=12):
        self.f = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), name), "w")
        self.f.write(f"# made by {maker} with PyTorch {torch.__version__.split('+')[0]}{extra}\n")
        self.width = width

    def put(self, name, t):
        t = t.detach().contiguous()
        self.f.write(f"tensor {name} {t.dim()} {' '.join(str(s) for s in t.shape)}\n")
        v = [f"{x:.9g}" for x in t.reshape(-1).tolist()]
        for i in range(0, len(v), self.width):
            self.f.write(" ".join(v[i:i + self.width]) + "\n")
