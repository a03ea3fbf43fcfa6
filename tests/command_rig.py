# SPDX-License-Identifier: MIT
"""Of command_numbers.py: the command and what it says, what did not hold, files of its own, outputs as numbers."""
import json
import os
import struct
import subprocess
import sys
import zlib

import numpy as np

OCTET, failures = os.path.abspath(sys.argv[1]), []


def check(ok, what):
    if ok: return
    failures.append(what)
    print("FAIL:", what, flush=True)


def close(a, b, what, rel=1e-5, least=1e-9):
    a, b = np.asarray(a, float), np.asarray(b, float)
    check(a.shape == b.shape and np.all(np.abs(a - b) <= rel * np.abs(b) + least), f"{what}: {a} for {b}")


def octet(*words, code=0, out=str):
    p = subprocess.run([OCTET, *words], capture_output=True, text=True)
    check(p.returncode == code, f"octet {' '.join(words)}: exit code {p.returncode}: {p.stderr}")
    return json.loads(p.stdout) if out is json else p.stdout if out is str else [json.loads(x) for x in p.stdout.splitlines()]


def said(*words, code=0): return octet(*words, "--json", "--quiet", code=code, out=json)


# ---- files ----

def png(path, image):
    """image: u8 [H, W, 3]"""
    rows = b"".join(b"\0" + r.tobytes() for r in image)
    part = lambda k, d: struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d))
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + part(b"IHDR", struct.pack(">IIBBBBB", image.shape[1], image.shape[0], 8, 2, 0, 0, 0)) +
                part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b""))


def safetensors(path):
    with open(path, "rb") as f:
        head = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    kinds = {"F32": "<f4", "I32": "<i4", "I64": "<i8", "U8": "u1", "I8": "i1"}
    return {n: np.frombuffer(data[e["data_offsets"][0]:e["data_offsets"][1]], kinds[e["dtype"]]).reshape(e["shape"])
            for n, e in head.items() if n != "__metadata__"}


def outputs(model, x, layer=None):
    np.savez("in.npz", x=x)
    octet("run", model, "--input", "in.npz", "--output", "out.npz", *(["--layer", layer] if layer else []))
    return dict(np.load("out.npz"))


def real(o): return (o["y"].astype(float) - o["zero_point"]) * o["scale"] if "scale" in o else o["y"].astype(float)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def made(n, channels, size, classes, seed):
    """Bars of a class: easy enough to be learned in seconds, noisy enough to be mistaken; classes are of different sizes."""
    r = np.random.default_rng(seed)
    y = np.minimum(r.geometric(0.2, n) - 1, classes - 1)
    x = (r.random((n, channels, size, size)) * 150).astype(np.uint8)
    for i, c in enumerate(y):
        at = 2 * c + r.integers(0, 3)
        x[i, c % channels, at:at + 5] += 90
    return x, y
