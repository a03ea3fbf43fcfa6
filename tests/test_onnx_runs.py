# SPDX-License-Identifier: MIT
"""Exported ONNX files, run by an executor that shares no code with octet (numpy_ort/onnxruntime.py): random int8 nets, codes equal
at every layer; and octet verify, which is given that executor for an onnxruntime.

usage: test_onnx_runs.py PATH-OF-octet PATH-OF-test_exact
"""
import glob
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE + "/numpy_ort")
import onnxruntime as ort

OCTET, EXACT, failures = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), 0
HAS = dict(os.environ, OCT_PYTHON=sys.executable, PYTHONPATH=HERE + "/numpy_ort")
HAS.pop("OCT_ORT", None)


def check(ok, what):
    global failures
    if ok: return
    failures += 1
    print("FAIL:", what, flush=True)


def octet(*words, code=0, env=HAS):
    p = subprocess.run([OCTET, *words], capture_output=True, text=True, env=env)
    check(p.returncode == code, f"octet {' '.join(words)}: exit code {p.returncode}: {p.stderr}")
    return p


def chw(v): return v.transpose(0, 3, 1, 2) if v.ndim == 4 else v


def random_nets(d):
    """What test_exact dumps: a net, its input x, and what node i made, n<i>; images N,H,W,C."""
    subprocess.run([EXACT], env=dict(os.environ, OCT_TEST_NETS=os.environ.get("OCT_TEST_NETS", "24"), OCT_TEST_DUMP=d),
                   stdout=subprocess.DEVNULL, check=True)
    codes = differ = near = 0
    for file in sorted(glob.glob(d + "/*.oct8")):
        made = subprocess.run([OCTET, "export", file, "--to", "onnx", "--out", d, "--quiet"], capture_output=True, text=True)
        q31 = made.returncode == 3 and "fixed point (q31)" in made.stderr # the one reason to refuse
        check(q31 or made.returncode == 0, f"{file}: {made.stderr}")
        octet("export", file, "--to", "qdq", "--out", d, "--quiet")
        dump = np.load(file[:-5] + ".npz")
        layers = json.loads(octet("inspect", file, "--json").stdout)["layers"]
        for form in (".onnx", ".qdq.onnx")[q31:]:
            s = ort.InferenceSession(file[:-5] + form)
            names = [(i, l["name"]) for i, l in enumerate(layers) if l["name"] in s.described]
            check(len(names) > len(layers) / 2, f"{file}: layers that are not in {form}")
            got = s.run([n for _, n in names], {s.inputs[0]: chw(dump["x"])})
            for (i, name), y in zip(names, got):
                want = chw(dump[f"n{i}"])
                if want.ndim == 2 and form: # a row made of an image stands in C,H,W order
                    if not np.array_equal(want, y): want, y = np.sort(want, 1), np.sort(y, 1)
                if q31: continue # by scales a runtime rounds otherwise, and what is behind it too
                if want.dtype != np.uint8: check(np.abs(want - y).max() <= 2e-5 * np.abs(want).max() + 1e-30, f"{file}{form}: {name}")
                elif form == ".onnx":
                    codes += want.size
                    check(np.array_equal(want, y), f"{file}: {name}: {(want != y).sum()} codes differ")
                else:
                    near += want.size
                    differ += (want != y).sum()
    check(codes > 100000, f"{codes} codes")
    check(differ <= near / 10000, f"by scales: {differ} of {near} codes differ") # a half on its other side, now and then


def fixed_batch(file, to, n):
    """The file with n images in place of any number: dim_param "N" becomes dim_value n, in as many bytes."""
    whole = open(file, "rb").read()
    check(whole.count(b"\x12\x01N") > 5, "no open batch")
    open(to, "wb").write(whole.replace(b"\x12\x01N", bytes((8, 128 + n, 0))))


def verify(d):
    os.chdir(d)
    data = ["--data", "synth-digits", "--limit", "48"]
    quiet = ["--quiet"]
    octet("train", "--model", "lenet", *data, "--epochs", "1", "--out", "f", *quiet)
    octet("ptq", "f", *data, "--out", "p", *quiet)
    octet("ptq", "f", *data, "--target", "qnnpack", "--out", "q", *quiet)
    octet("convert", "p", "--out", "p.oct8", *quiet)
    octet("convert", "q", "--out", "q.oct8", *quiet)
    octet("export", "f", "--to", "onnx", "--out", "o", *quiet)
    octet("export", "p", "--to", "onnx,qdq", "--out", "o", *quiet)
    for a, b in (("p.oct8", "o/p.onnx"), ("o/p.onnx", "p"), ("p.oct8", "o/p.qdq.onnx"), ("f", "o/f.onnx")):
        got = json.loads(octet("verify", a, b, *data, "--json", "--quiet").stdout)
        check(got["mismatched_codes"] == 0 and got.get("mismatched_floats", 0) == 0, f"verify {a} {b}: {got}")
        check((got["codes"] > 100000) == (a != "f") and got["floats"] > 0, f"verify {a} {b} compared {got}")
    check(0 < got["largest_difference"] < 1e-3, f"floats: {got}")
    fixed_batch("o/p.onnx", "o/five.onnx", 5)
    for words in (data, [*data[:2], "--limit", "3"]): # the last batch is not full, or none is
        of_any = json.loads(octet("verify", "p.oct8", "o/p.onnx", *words, "--json", "--quiet").stdout)
        got = json.loads(octet("verify", "p.oct8", "o/five.onnx", *words, "--json", "--quiet").stdout)
        check(got == of_any, f"a file of five images: {got}, of any number: {of_any}")
    # another net: the first layer, its own doing, the law's rule; a guess of ONNX Runtime's by its name
    p = octet("verify", "q.oct8", "o/p.qdq.onnx", *data, code=1)
    for word in ("conv1: values differ at element", "conv1 computes by law 7", "by the rule of", "where all that it reads is equal"):
        check(word in p.stderr, f"no '{word}' in {p.stderr}")
    p = octet("verify", "q.oct8", "o/p.onnx", *data, code=1)
    check("by the rule of" not in p.stderr, "a file that leaves no choice is excused")
    # fc2 is off by 40 where it was fed otherwise, and by 1 where it was not: its own doing is rounding
    os.mkdir("off")
    open("off/onnxruntime.py", "w").write(f"""
import importlib.util
spec = importlib.util.spec_from_file_location("plain", {HERE + "/numpy_ort/onnxruntime.py"!r})
plain = importlib.util.module_from_spec(spec)
spec.loader.exec_module(plain)
SessionOptions = plain.SessionOptions
class InferenceSession(plain.InferenceSession):
    def run(self, names, feed):
        ys = [y.copy() for y in super().run(names, feed)]
        for name, y in zip(names or self.outputs, ys):
            if name == "fc1": y[0, 0] ^= 1
            if name == "fc2":
                y[0, 0] ^= 40
                y[1, 0] ^= 1
        return ys
""")
    p = octet("verify", "p.oct8", "o/p.qdq.onnx", *data[:2], "--limit", "2", "--json", code=1, env=dict(HAS, PYTHONPATH=d + "/off"))
    rows = {l["name"]: l for l in json.loads(p.stdout)["layers"]}
    check(rows["fc2"]["own"] == 1 and rows["fc2"]["own_largest_difference"] == 1 and rows["fc2"]["largest_difference"] > 30, f"own doing: {rows['fc2']}")
    check("rounding" in rows["fc2"]["why"], f"why: {rows['fc2']}")
    check("by 1 at most" in p.stderr and "by 40 at most" not in p.stderr, p.stderr)
    # what is missing, or no model
    none = {k: v for k, v in HAS.items() if k != "OCT_PYTHON"}
    p = octet("verify", "p.oct8", "o/p.onnx", *data, code=3, env=none)
    check("OCT_ORT" in p.stderr and "OCT_PYTHON" in p.stderr, f"both variables: {p.stderr}")
    octet("verify", "p.oct8", "o/p.onnx", *data, code=3, env=dict(HAS, OCT_PYTHON="/nowhere/python"))
    octet("verify", "p.oct8", "o/p.onnx", *data, code=3, env=dict(HAS, OCT_ORT="/nowhere/lib.so"))
    octet("verify", "p.oct8", "o/p.onnx", *data, code=3, env=dict(HAS, PYTHONPATH="", PYTHONNOUSERSITE="1", OCT_PYTHON="/bin/false"))
    whole = open("o/p.onnx", "rb").read()
    for n in (0, 7, len(whole) // 2, len(whole) - 1):
        open("cut.onnx", "wb").write(whole[:n])
        octet("verify", "p.oct8", "cut.onnx", *data, code=3)
    check(not glob.glob(os.environ.get("TMPDIR", "/tmp") + "/octet-onnx-*"), "files are left")


with tempfile.TemporaryDirectory() as folder: random_nets(folder)
with tempfile.TemporaryDirectory() as folder:
    verify(folder)
    os.chdir("/")
sys.exit(failures > 0)
