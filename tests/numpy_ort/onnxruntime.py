# SPDX-License-Identifier: MIT
"""A small onnxruntime in NumPy, for tests: it reads an ONNX file by the published wire format and runs its nodes as the
operators' pages define them, in float32 where they do. It shares no code with octet, and knows no fused kernels."""
import struct
from types import SimpleNamespace

import numpy as np

F = np.float32


# ---- the wire format ----

def varint(b, i):
    v = shift = 0
    while True:
        v |= (b[i] & 127) << shift
        i, shift = i + 1, shift + 7
        if not b[i - 1] & 128: return v, i


def fields(b):
    """{number: [values]}: integers, or bytes."""
    out, i = {}, 0
    while i < len(b):
        key, i = varint(b, i)
        if key & 7 == 0: v, i = varint(b, i)
        elif key & 7 == 2:
            n, i = varint(b, i)
            v, i = b[i:i + n], i + n
            assert len(v) == n, "cut off"
        elif key & 7 == 5: v, i = b[i:i + 4], i + 4
        else: v, i = b[i:i + 8], i + 8
        out.setdefault(key >> 3, []).append(v)
    return out


def signed(v): return v - (1 << 64) if v >> 63 else v
def text(m, k): return m[k][0].decode() if k in m else ""


TYPES = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8", 10: "<f2"}


def numbers(values):
    """A repeated int64, packed or not."""
    out = []
    for v in values:
        if isinstance(v, int): out.append(signed(v))
        else:
            i = 0
            while i < len(v):
                n, i = varint(v, i)
                out.append(signed(n))
    return out


def tensor(b):
    m = fields(b)
    return text(m, 8), np.frombuffer(m.get(9, [b""])[0], TYPES[m[2][0]]).reshape(numbers(m.get(1, [])))


def attribute(b):
    m = fields(b)
    kind = m[20][0]
    if kind == 1: v = F(struct.unpack("<f", m[2][0])[0])
    elif kind == 2: v = signed(m[3][0]) if 3 in m else 0
    elif kind == 7: v = numbers(m.get(8, []))
    else: raise ValueError("attribute of type %d" % kind)
    return text(m, 1), v


# ---- operators ----

def windows(x, a, fill):
    """[N,C,P,Q,R,S] of a padded image."""
    k, s, p, d = a["kernel_shape"], a.get("strides", [1, 1]), a.get("pads", [0] * 4), a.get("dilations", [1, 1])
    x = np.pad(x, ((0, 0), (0, 0), (p[0], p[2]), (p[1], p[3])), constant_values=fill)
    reach = [d[i] * (k[i] - 1) + 1 for i in range(2)]
    v = np.lib.stride_tricks.sliding_window_view(x, reach, (2, 3))
    return v[:, :, ::s[0], ::s[1], ::d[0], ::d[1]]


def conv(a, x, w, b=None):
    g = a.get("group", 1)
    v = windows(x.astype(np.float64), dict(a, kernel_shape=w.shape[2:]), 0)
    v = v.reshape(v.shape[0], g, v.shape[1] // g, *v.shape[2:])
    y = np.einsum("ngcpqrs,gocrs->ngopq", v, w.astype(np.float64).reshape(g, -1, *w.shape[1:]))
    y = y.reshape(y.shape[0], -1, *y.shape[3:])
    return (y if b is None else y + b.astype(np.float64).reshape(1, -1, 1, 1)).astype(F)


def gemm(a, x, w, b=None):
    y = x.astype(np.float64) @ (w.T if a.get("transB") else w).astype(np.float64)
    return (y if b is None else y + b).astype(F)


def along(a, x, v):
    """A scale or zero point as it stands along x."""
    return v if v is None or v.ndim == 0 else v.reshape([-1 if i == a.get("axis", 1) else 1 for i in range(x.ndim)])


def quantize(a, x, s, z):
    low, high = np.iinfo(z.dtype).min, np.iinfo(z.dtype).max
    return np.clip(np.rint(x / along(a, x, s)).astype(np.float64) + along(a, x, z), low, high).astype(z.dtype)


def dequantize(a, x, s, z=None):
    whole = x.astype(np.int64) - (0 if z is None else along(a, x, z).astype(np.int64))
    return whole.astype(F) * along(a, x, s)


def average(a, x):
    v = windows(x, a, 0)
    n = windows(np.ones_like(x), a, 1 if a.get("count_include_pad") else 0).sum((4, 5))
    return (v.astype(np.float64).sum((4, 5)) / n).astype(F)


def padded(a, x, pads, value):
    n = x.ndim
    return np.pad(x, [(pads[i], pads[n + i]) for i in range(n)], constant_values=value)


def sliced(a, x, start, end, axes):
    at = [slice(None)] * x.ndim
    for i, j, k in zip(start, end, axes): at[k] = slice(i, j)
    return x[tuple(at)]


def softmax(a, x):
    e = np.exp(x - x.max(a["axis"], keepdims=True))
    return e / e.sum(a["axis"], keepdims=True)


def clip(a, x, lo=None, hi=None): return np.minimum(np.maximum(x, lo if lo is not None else x), hi if hi is not None else x)


def normalize(a, x, g, b, m, v):
    wide = lambda t: t.reshape([1, -1] + [1] * (x.ndim - 2))
    return (x - wide(m)) / np.sqrt(wide(v) + a["epsilon"]) * wide(g) + wide(b)


def lstm(a, x, w, r, b, lens=None, h=None, c=None):
    """Gates i, o, f, c: the states of all steps, then the last ones."""
    size, sig = a["hidden_size"], lambda v: 1 / (1 + np.exp(-v.astype(np.float64)))
    h = np.zeros((x.shape[1], size)) if h is None else h[0]
    c = np.zeros((x.shape[1], size)) if c is None else c[0]
    all = []
    for t in x:
        i, o, f, g = np.split(t @ w[0].T + h @ r[0].T + b[0][:4 * size] + b[0][4 * size:], 4, 1)
        c = sig(f) * c + sig(i) * np.tanh(g)
        h = sig(o) * np.tanh(c)
        all.append(h)
    return [v.astype(F) for v in (np.stack(all)[:, None], h[None], c[None])]


OPS = {
    "LSTM": lstm,
    "Add": lambda a, x, y: x + y, "Sub": lambda a, x, y: x - y, "Mul": lambda a, x, y: x * y, "Div": lambda a, x, y: x / y,
    "MatMul": lambda a, x, y: (x.astype(np.float64) @ y).astype(F), "Conv": conv, "Gemm": gemm, "Clip": clip,
    "Relu": lambda a, x: np.maximum(x, 0), "Identity": lambda a, x: x, "BatchNormalization": normalize,
    "QuantizeLinear": quantize, "DequantizeLinear": dequantize, "AveragePool": average,
    "GlobalAveragePool": lambda a, x: x.astype(np.float64).mean((2, 3), keepdims=True).astype(F),
    "MaxPool": lambda a, x: windows(x, a, -np.inf).max((4, 5)), "Flatten": lambda a, x: x.reshape(len(x), -1),
    "Reshape": lambda a, x, s: x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(s)]),
    "Transpose": lambda a, x: x.transpose(a["perm"]), "Concat": lambda a, *x: np.concatenate(x, a["axis"]), "Pad": padded,
    "Gather": lambda a, t, i: np.take(t, i, a["axis"]), "Slice": sliced, "Cast": lambda a, x: x.astype(TYPES[a["to"]]),
    "ReduceSum": lambda a, x, k: x.sum(tuple(k), keepdims=bool(a["keepdims"])),
    "ReduceMax": lambda a, x: x.max(tuple(a["axes"]), keepdims=bool(a["keepdims"])),
    "ReduceMin": lambda a, x: x.min(tuple(a["axes"]), keepdims=bool(a["keepdims"])),
    "CumSum": lambda a, x, k: np.cumsum(x, int(k), dtype=x.dtype), "Round": lambda a, x: np.rint(x), "Softmax": softmax,
    "LogSoftmax": lambda a, x: np.log(softmax(a, x.astype(np.float64))).astype(F),
    "Sigmoid": lambda a, x: 1 / (1 + np.exp(-x)), "Tanh": lambda a, x: np.tanh(x),
    "LeakyRelu": lambda a, x: np.where(x > 0, x, x * a["alpha"]), "Elu": lambda a, x: np.where(x > 0, x, a["alpha"] * np.expm1(x)),
    "HardSigmoid": lambda a, x: np.clip(x * a["alpha"] + a["beta"], 0, 1),
    "Unsqueeze": lambda a, x, k: np.expand_dims(x, tuple(k)), "Squeeze": lambda a, x, k: np.squeeze(x, tuple(k)),
}


# ---- the interface that octet verify's script speaks ----

class SessionOptions:
    def add_session_config_entry(self, key, value): pass


class InferenceSession:
    def __init__(self, path, options=None, providers=None):
        with open(path, "rb") as f: model = fields(f.read())
        graph = fields(b"".join(model[7])) # messages behind each other are one
        self.constants = dict(tensor(b) for b in graph.get(5, []))
        self.inputs = [text(fields(b), 1) for b in graph[11]]
        self.outputs = [text(fields(b), 1) for b in graph[12]]
        self.described = {}
        for b in graph.get(13, []) + graph[12]:
            m = fields(b)
            if 2 not in m: continue
            t = fields(fields(m[2][0])[1][0])
            sides = [fields(d) for d in fields(t[2][0]).get(1, [])]
            self.described[text(m, 1)] = (TYPES[t[1][0]], [d[1][0] if 1 in d else None for d in sides])
        self.nodes = []
        for b in graph[1]:
            m = fields(b)
            self.nodes.append(SimpleNamespace(op=text(m, 4), ins=[n.decode() for n in m.get(1, [])],
                                              out=[o.decode() for o in m[2]], attr=dict(attribute(x) for x in m.get(5, []))))

    def run(self, names, feed):
        v = dict(self.constants, **feed)
        for n in self.nodes:
            y = OPS[n.op](n.attr, *[v[k] if k else None for k in n.ins])
            if isinstance(y, list):
                v.update(zip(n.out, y))
                continue
            if n.op not in ("QuantizeLinear", "Gather", "Cast") and y.dtype == np.float64: y = y.astype(F)
            if n.out[0] in self.described: # what the file says of each value is so
                kind, sides = self.described[n.out[0]]
                assert y.dtype == np.dtype(kind) and len(sides) == y.ndim, (n.out[0], y.dtype, y.shape, kind, sides)
                assert all(a is None or a == b for a, b in zip(sides, y.shape)), (n.out[0], y.shape, sides)
            v[n.out[0]] = y
        return [v[k] for k in names or self.outputs]
