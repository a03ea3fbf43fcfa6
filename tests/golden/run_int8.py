#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs int8 files as docs/int8_file.md describes them: an executor of its own, in NumPy, that shares no code with octet.

    run_int8.py DIR               for each NAME.oct8 in DIR: run it on `x` of NAME.npz and hold every node against `n<index>` there
    run_int8.py MODEL.oct8 X.npy  print the output for one batch, float32 [N,H,W,C]

OCT_TEST_DUMP=DIR test_exact writes such folders. Layers that were kept float are taken from the dump, since their last bits are a machine's own; all else
must be equal. Exit code 1 where anything differs.
"""
import json
import pathlib
import struct
import sys
import zlib

import numpy as np

DTYPES = ["<f4", "u1", "i1", "<i4", "<i8", "<f8", "<f2"]
F32 = np.float32


# ---- the file ----

def load(path):
    data = path.read_bytes()
    magic, version, count, total = struct.unpack_from("<8sIIQ", data)
    assert magic == b"OCTINT8\n" and version in (1, 2, 3) and total == len(data), "header"
    table = 24 + 24 * count
    assert zlib.crc32(data[:table]) == struct.unpack_from("<I", data, table)[0], "CRC of the table"
    sections = {}
    for i in range(count):
        tag, crc, at, size = struct.unpack_from("<4sIQQ", data, 24 + 24 * i)
        sections[tag.decode()] = data[at:at + size]
        assert zlib.crc32(data[at:at + size]) == crc, f"CRC of {tag}"
    return json.loads(sections["GRPH"]), tensors(sections["TENS"]), json.loads(sections["META"])


def tensors(data):
    out, (count,), at = {}, struct.unpack_from("<I", data), 4
    for _ in range(count):
        _role, dtype, rank, n = struct.unpack_from("<BBBH", data, at)
        at += 5
        name = data[at:at + n].decode()
        shape = struct.unpack_from(f"<{rank}Q", data, at + n)
        at += n + 8 * rank
        size = int(np.prod(shape, dtype=np.int64))
        if dtype > 15:  # weights of few bits, the lowest first
            bits = dtype >> 4
            raw = np.unpackbits(np.frombuffer(data, np.uint8, (size * bits + 7) // 8, at), bitorder="little")
            raw = raw[:size * bits].reshape(size, bits).astype(np.int64) @ (1 << np.arange(bits))
            out[name] = (raw - (raw >> bits - 1 << bits)).astype(np.int8).reshape(shape)
            at += (size * bits + 7) // 8
            continue
        out[name] = np.frombuffer(data, DTYPES[dtype], size, at).reshape(shape)
        at += size * np.dtype(DTYPES[dtype]).itemsize
    assert at == len(data), "bytes behind the last tensor"
    return out


# ---- arithmetic ----

class Grid:
    """Scale, zero point and codes of a quantizer."""

    def __init__(self, row, t):
        self.s, self.z = t[row["scale"]], int(t[row["zero_point"]].flat[0])
        self.lo, self.hi = row["qmin"], row["qmax"]


def code(v, y, lo=None, hi=None):
    """clamp(rne(v) + z_y); a NaN stands for the zero point."""
    v = np.rint(v) + F32(y.z)
    v = np.where(np.isnan(v), F32(y.z), v)
    return np.clip(v, y.lo if lo is None else lo, y.hi if hi is None else hi).astype(np.uint8)


def scale(x, m):
    """Law 16: m [2, ...], multipliers and shifts."""
    q, s = m[0].astype(np.int64), m[1].astype(np.int64)
    x = np.clip(x.astype(np.int64) << np.maximum(s, 0), -2**31, 2**31 - 1)
    high, by = (x * q + 2**30) >> 31, np.int64(1) << np.maximum(-s, 0)
    return np.sign(high) * ((2 * np.abs(high) + by) // (2 * by))


def requant(x, m, y, lo=None, hi=None):
    """Whole numbers by their records: fp32's m, or law 16's pairs of integers (int32, one axis more in front)."""
    if m.dtype == np.int32:
        return np.clip(scale(x, m) + y.z, y.lo if lo is None else lo, y.hi if hi is None else hi).astype(np.uint8)
    return code(x.astype(F32) * m, y, lo, hi)


def less(x, grid):
    return x.astype(np.int64) - grid.z


def window(size, pads, kernel, stride, dilation=1):
    return (size + sum(pads) - dilation * (kernel - 1) - 1) // stride + 1


def taps(x, a, value):
    """For each tap of the kernel, the cells that it meets: [(r, s, [N,P,Q,C])]."""
    (r, s), (sh, sw), (top, left, bottom, right) = a["kernel"], a["stride"], a.get("pads", [0] * 4)
    dh, dw = a.get("dilation", [1, 1])
    p, q = window(x.shape[1], (top, bottom), r, sh, dh), window(x.shape[2], (left, right), s, sw, dw)
    x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)
    return [(i, j, x[:, i * dh:i * dh + (p - 1) * sh + 1:sh, j * dw:j * dw + (q - 1) * sw + 1:sw]) for i in range(r) for j in range(s)]


def exact(x, w):
    """x [..,K] by w [O,K]: sums stay far below 2^53, so doubles hold them."""
    return np.rint(x.astype(np.float64) @ w.astype(np.float64).T).astype(np.int64)


# ---- kinds: (attributes, input arrays, input grids, output grid) -> codes ----

def qconv2d(a, v, g, y):
    x, w, b, m = v
    groups = a.get("groups", 1)
    cg, og = w.shape[3], w.shape[0] // groups
    acc = 0
    for r, s, cells in taps(less(x, g[0]), {**a, "kernel": w.shape[1:3]}, 0):
        acc = acc + np.concatenate([exact(cells[..., k * cg:(k + 1) * cg], w[k * og:(k + 1) * og, r, s]) for k in range(groups)], -1)
    return requant(acc + b, m, y, a.get("lo", 0), a.get("hi", 0))


def qlinear(a, v, g, y):
    x, w, b, m = v
    return requant(exact(less(x, g[0]), w) + b, m, y, a.get("lo", 0), a.get("hi", 0))


def qadd(a, v, g, y):
    if a.get("law"):
        m = v[2]
        both = sum(scale(less(v[k], g[k]) << 20, m[:, k]) for k in range(2))
        return requant(both, m[:, 2], y, a.get("lo", 0), a.get("hi", 0))
    return code(less(v[0], g[0]).astype(F32) * v[2][0] + less(v[1], g[1]).astype(F32) * v[2][1], y, a.get("lo", 0), a.get("hi", 0))


def qmul(a, v, g, y):
    return requant(less(v[0], g[0]) * less(v[1], g[1]), v[2][..., 0], y, a.get("lo", 0), a.get("hi", 0))


def rescale(x, grid, m, y):
    return requant(less(x, grid), m, y)


def qcat(a, v, g, y):
    return np.concatenate([rescale(x, g[k], v[-1][..., k], y) for k, x in enumerate(v[:-1])], a["axis"])


def requantize(a, v, g, y):
    return rescale(v[0], g[0], v[1][..., 0], y)


def qavg_pool2d(a, v, g, y):
    total = sum(c for _, _, c in taps(less(v[0], g[0]), a, 0))
    n = sum(c for _, _, c in taps(np.ones_like(v[0], np.int64), a, 0)) if a.get("exclude_pad") else a["kernel"][0] * a["kernel"][1]
    if a.get("law"):  # on one grid: signed codes, a half away from zero; padding has the code z
        acc = total + n * (g[0].z - 128)
        return np.clip(128 + np.sign(acc) * ((2 * np.abs(acc) + n) // (2 * n)), y.lo, y.hi).astype(np.uint8)
    return code(total.astype(F32) * v[1][n], y)


def qadaptive_avg_pool2d(a, v, g, y):
    x = less(v[0], g[0])
    p, q = a["out_size"]
    out = np.empty((x.shape[0], p, q, x.shape[3]), np.uint8)
    for i in range(p):
        for j in range(q):
            cells = x[:, i * x.shape[1] // p:-(-(i + 1) * x.shape[1] // p), j * x.shape[2] // q:-(-(j + 1) * x.shape[2] // q)]
            out[:, i, j] = requant(cells.sum((1, 2)), v[1][..., cells.shape[1] * cells.shape[2]], y)
    return out


def qpad(a, v, g, y):
    top, left, bottom, right = a.get("pads", [0] * 4)
    return np.pad(v[0], ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=a.get("lo", 0))


def qsoftmax(a, v, g, y):
    x, e = v
    each = e[x.max(-1, keepdims=True).astype(np.int64) - x]
    total = np.zeros(x.shape[:-1], F32)
    for k in range(x.shape[-1]):
        total = total + each[..., k]
    return code(each / total[..., None] / y.s[0], y)


def max_pool2d(a, v, g, y):
    return np.max([c for _, _, c in taps(v[0].astype(np.int64), a, -1)], 0).astype(np.uint8)


def quantize(a, v, g, y):
    return code(v[0] / y.s[0], y)


def dequantize(a, v, g, y):
    return g[0].s[0] * less(v[0], g[0]).astype(F32)


def dynamic_linear(a, v, g, y):
    x, w = v[0], v[1]
    lo, hi = np.minimum(x.min(1, initial=0), 0), np.maximum(x.max(1, initial=0), 0)
    s = np.maximum((hi - lo) / F32(255), F32(2) ** -23)
    z = np.clip(-np.rint(lo / s), 0, 255)
    q = np.clip(np.rint(x / s[:, None]) + z[:, None], 0, 255) - z[:, None]
    scale = (s[:, None].astype(np.float64) * g[1].s.astype(np.float64)).astype(F32)
    out = exact(q, w).astype(F32) * scale + (v[2] if len(v) > 2 else F32(0))
    return [out, np.maximum(out, 0), np.clip(out, 0, 6)][a.get("act", 0)]


def slice_(a, v, g, y):
    return np.take(v[0], np.arange(*a["range"]), a["axis"])


def view(a, v, g, y):
    return v[0]


def shaped(a, v, g, y):
    return v[0].reshape(v[0].shape[0], *([n for n in a["shape"] if n] if "shape" in a else [-1]))


KINDS = {f.__name__: f for f in (qconv2d, qlinear, qadd, qmul, qcat, requantize, qavg_pool2d, qadaptive_avg_pool2d, qpad, qsoftmax, max_pool2d, quantize,
                                 dequantize, dynamic_linear)}
KINDS |= {"slice": slice_, "identity": view, "dropout": view, "flatten": shaped, "reshape": shaped,
          "qclip": lambda a, v, g, y: np.clip(v[0], a.get("lo", 0), a.get("hi", 0)), "qtable": lambda a, v, g, y: v[1][v[0]],
          "relu": lambda a, v, g, y: np.maximum(v[0], np.uint8(g[0].z))}


def run(path, x, float_layer):
    """Arrays of all nodes, in order. float_layer(index) gives those that this file does not compute: None ends the run."""
    graph, tens, _meta = load(path)
    grids = [Grid(row, tens) for row in graph["quantizers"]]
    rows = {row["name"]: row for row in graph["values"]}
    have = {name: tens[row["tensor"]] for name, row in rows.items() if "tensor" in row} | {graph["input"]: x}
    grid = {name: grids[row["quantizer"]] for name, row in rows.items() if "quantizer" in row}
    for i, node in enumerate(graph["nodes"]):
        names = [n for n in node["in"] if n is not None]
        codes = rows[node["name"]]["dtype"] == "uint8" or node["kind"] in ("dequantize", "dynamic_linear")
        if codes:
            with np.errstate(all="ignore"):
                out = KINDS[node["kind"]](node.get("attr", {}), [have[n] for n in names], [grid.get(n) for n in names], grid.get(node["name"]))
        else:
            out = float_layer(i)
            if out is None:
                sys.exit(f"{path}: {node['name']}: {node['kind']} was kept float")
        have[node["name"]] = out
        yield i, node, codes, out


def compare(folder):
    files = sorted(folder.glob("*.oct8"))
    nodes = values = differ = kept = 0
    kinds = {}
    for path in files:
        dump = np.load(path.with_suffix(".npz"))
        for i, node, codes, out in run(path, dump["x"], lambda i: dump[f"n{i}"]):
            want = dump[f"n{i}"]
            if not codes:
                kept += 1
                continue
            nodes, values = nodes + 1, values + want.size
            kinds[node["kind"]] = kinds.get(node["kind"], 0) + 1
            same = out.shape == want.shape and out.dtype == want.dtype
            bad = int((out != want).sum()) if same else want.size
            if bad:
                print(f"{path.name}: {node['name']} ({node['kind']}): {bad} of {want.size} differ")
            differ += bad
    print(f"{len(files)} nets, {nodes} nodes, {values} values: {differ} differ; {kept} float layers taken as they are")
    print(", ".join(f"{k} {n}" for k, n in sorted(kinds.items())))
    return 1 if differ or not nodes else 0


if __name__ == "__main__":
    if len(sys.argv) == 2:
        sys.exit(compare(pathlib.Path(sys.argv[1])))
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    for *_, last in run(pathlib.Path(sys.argv[1]), np.load(sys.argv[2]).astype(F32), lambda i: None):
        pass
    print(last)
