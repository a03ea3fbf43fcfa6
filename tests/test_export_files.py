# SPDX-License-Identifier: MIT
"""octet export, read back by programs that are not octet: NumPy, and a reader of safetensors that follows its published form.

usage: test_export_files.py PATH-OF-octet
"""
import json
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np

OCTET, failures = os.path.abspath(sys.argv[1]), 0


def check(ok, what):
    global failures
    if ok: return
    failures += 1
    print("FAIL:", what, flush=True)


def octet(*words, code=0):
    p = subprocess.run([OCTET, *words, "--quiet"], capture_output=True, text=True)
    check(p.returncode == code, f"octet {' '.join(words)}: exit code {p.returncode}: {p.stderr}")
    return p.stdout


def safetensors(path):
    """The published form: header size, JSON, data without holes; here also: data at 64, each tensor at its element's size."""
    raw = open(path, "rb").read()
    size = struct.unpack("<Q", raw[:8])[0]
    check((8 + size) % 64 == 0, f"{path}: data begins at {8 + size}")
    head = json.loads(raw[8:8 + size])
    check(head.pop("__metadata__")["format"] == "pt", f"{path}: format")
    kinds = {"F32": "<f4", "F16": "<f2", "I32": "<i4", "U8": "u1", "I8": "i1"}
    arrays, at = {}, 0
    for name, e in head.items():
        a, b = e["data_offsets"]
        check(a == at, f"{path}: {name} begins at {a}, not {at}")
        check(a % np.dtype(kinds[e["dtype"]]).itemsize == 0, f"{path}: {name} is not aligned")
        arrays[name] = np.frombuffer(raw[8 + size + a:8 + size + b], kinds[e["dtype"]]).reshape(e["shape"])
        at = b
    check(8 + size + at == len(raw), f"{path}: bytes behind the data")
    return arrays


def same(a, b, what):
    check(a.keys() == b.keys(), f"{what}: {sorted(a.keys() ^ b.keys())}")
    for k in a.keys() & b.keys():
        check(a[k].dtype == b[k].dtype and a[k].shape == b[k].shape and np.array_equal(a[k], b[k]), f"{what}: {k}")


def conv(x, w, b, pad):
    """x [N,C,H,W], w [O,C,R,S], in double."""
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    views = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], (2, 3))
    return np.einsum("nchwrs,ocrs->nohw", views, w) + b[None, :, None, None]


def pool(x): return x.reshape(*x.shape[:2], x.shape[2] // 2, 2, x.shape[3] // 2, 2).max((3, 5))


def lenet(w, x):
    """As PyTorch's LeNet would run with these names and layouts."""
    relu = lambda v: np.maximum(v, 0)
    v = pool(relu(conv(x, w["conv1.weight"], w["conv1.bias"], 2)))
    v = pool(relu(conv(v, w["conv2.weight"], w["conv2.bias"], 0))).reshape(len(x), -1)
    v = relu(v @ w["fc1.weight"].T + w["fc1.bias"])
    v = relu(v @ w["fc2.weight"].T + w["fc2.bias"])
    return v @ w["fc3.weight"].T + w["fc3.bias"]


with tempfile.TemporaryDirectory() as d:
    os.chdir(d)
    data = ["--data", "synth-digits", "--limit", "64"]
    octet("train", "--model", "lenet", *data, "--epochs", "1", "--out", "f")
    octet("ptq", "f", *data, "--out", "p")
    octet("convert", "p", "--out", "p.oct8")
    octet("export", "f", "--to", "safetensors,npz", "--out", "o")
    st, npz = safetensors("o/f.safetensors"), dict(np.load("o/f.npz"))
    same(st, npz, "float: safetensors and npz")
    # batch norm's running statistics go along
    octet("train", "--model", "resnet8", "--data", "synth-shapes", "--limit", "16", "--epochs", "1", "--out", "b")
    octet("export", "b", "--to", "safetensors", "--out", "n")
    norms = [k for k in safetensors("n/b.safetensors") if k.endswith(".running_var")]
    check(len(norms) > 6, f"running statistics: {norms}")
    x = np.load("p/probe.npz")["x"]
    np.save("x.npy", x)
    octet("run", "f", "--input", "x.npy", "--output", "y.npz")
    octet("run", "f", "--input", "p/probe.npz", "--output", "y.npy")
    y = np.load("y.npy")
    check(np.array_equal(y, np.load("y.npz")["y"]), "npy and npz, in and out")
    by_hand = lenet({k: v.astype(float) for k, v in st.items()}, x.astype(float))
    check(np.abs(by_hand - y).max() < 1e-4 * np.abs(y).max(), f"float weights by hand: {np.abs(by_hand - y).max()}")

    # a quantized run leaves as the int8 net that it becomes
    octet("export", "p.oct8", "--to", "npz", "--to", "npz", "--out", "o")
    octet("export", "p", "--to", "npz,safetensors", "--out", "q/")
    q, codes = safetensors("q/p.safetensors"), dict(np.load("o/p.npz"))
    same(q, codes, "a run and its file")
    check(open("q/p.npz", "rb").read() == open("o/p.npz", "rb").read(), "same net, other bytes")
    check(q["conv2.weight"].dtype == np.int8 and q["conv2.weight"].shape == (16, 6, 5, 5), "codes of a weight")
    wide = {}
    for n in ["conv1", "conv2", "fc1", "fc2", "fc3"]:
        s = q[n + ".weight.scale"]
        wide[n + ".weight"] = q[n + ".weight"] * s.reshape([-1] + [1] * (q[n + ".weight"].ndim - 1)).astype(float)
        wide[n + ".bias"] = st[n + ".bias"]
        check(np.abs(wide[n + ".weight"] - st[n + ".weight"]).max() <= s.max() * 0.51, f"{n}: codes times scale are not the weights")
    by_hand = lenet(wide, x.astype(float))
    check(np.abs(by_hand - y).max() < 0.1 * np.abs(y).max(), f"codes by hand: {np.abs(by_hand - y).max()}")

    # octet reads its own, and what PyTorch would: a run again
    octet("import", "o/f.safetensors", "--model", "lenet", "--out", "again", "--mean", "0.5", "--std", "0.25")
    octet("run", "again", "--input", "x.npy", "--output", "z.npy")
    check(np.array_equal(y, np.load("z.npy")), "import of an export")
    # ONNX: what is in it is tests/test_onnx_out.c's matter; here: files appear, by run and file alike
    octet("export", "f", "--to", "onnx", "--out", "x")
    octet("export", "p", "--to", "onnx,qdq", "--out", "x")
    octet("export", "p.oct8", "--to", "qdq,onnx", "--out", "y")
    for name in ("p.onnx", "p.qdq.onnx"):
        check(open("x/" + name, "rb").read() == open("y/" + name, "rb").read(), f"{name}: a run and its file")
    check(sorted(os.listdir("x")) == ["f.onnx", "p.onnx", "p.qdq.onnx"], "files of --to onnx,qdq")
    octet("export", "f", "--to", "qdq", "--out", "x", code=3)
    octet("export", "f", "--to", "nothing", "--out", "o", code=2)
    octet("export", "f", "--to", ",", "--out", "o", code=2)
    octet("export", "f", "--to", "npz", "--out", "x.npy", code=4)
    octet("export", "f", "--to", "npz", "--out", "no/such/folder", code=4)
    np.save("x.npy", x[:, :, :20])
    octet("run", "f", "--input", "x.npy", code=3)
    open("x.npy", "wb").write(open("y.npy", "rb").read()[:90])
    octet("run", "f", "--input", "x.npy", code=3)
    check(sorted(os.listdir("o")) == ["f.npz", "f.safetensors", "p.npz"], f"left over: {os.listdir('o')}")

sys.exit(failures > 0)
