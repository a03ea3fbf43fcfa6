#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Files of every kind that octet reads, damaged with knowledge of their form: fields swapped, gone, doubled, huge, negative, NaN;
lengths that lie; parts that are missing; checksums made right again, so that what lies behind them is reached. Each is taken, or
refused with exit code 3, 4 or 5 and one line that names it, in less than 10 seconds and 256 MiB; nothing crashes.

Usage: corrupt_files.py OCTET READER CORPUS [--files N] [--seed S] [--keep DIR] [--show]     READER: corrupt_reader
In the suite two hundred; OCT_TEST_LONG=1: 20,000."""
import argparse, collections, os, random, re, select, shutil, struct, subprocess, sys, tempfile

sys.dont_write_bytecode = True
from corrupt_forms import *

# ---- all of it

class Reader:
    """corrupt_reader, started again behind what ends it."""

    def __init__(self, command, base):
        self.command, self.child = [command, base], None

    def read(self, line):
        if not self.child or self.child.poll() is not None:
            self.err = tempfile.TemporaryFile()
            self.child = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.err, bufsize=0)
        self.child.stdin.write((line + "\n").encode())
        if not select.select([self.child.stdout], [], [], 60)[0]:
            self.child.kill()
            return "it hangs"
        got = self.child.stdout.readline().decode("utf-8", "replace")
        if not got.endswith("\n"):
            self.child.wait()
            self.err.seek(0)
            return "it dies: " + self.err.read().decode("utf-8", "replace")[:3000]
        return got[:-1].split("\t", 3)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("octet")
    a.add_argument("reader")
    a.add_argument("corpus")
    a.add_argument("--files", type=int, default=20000 if os.environ.get("OCT_TEST_LONG") == "1" else 210)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--keep")
    a.add_argument("--show", action="store_true", help="a message of each kind")
    a.add_argument("--only", default="")
    a.add_argument("--slow", type=float, default=1, help="times as slow, times as much memory: sanitizers")
    o = a.parse_args()
    octet, reader, corpus = os.path.realpath(o.octet), os.path.realpath(o.reader), os.path.realpath(o.corpus)
    top = tempfile.mkdtemp(prefix="octet-corrupt-", dir=os.environ.get("TMPDIR") or ("/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    os.chdir(top)
    d = ["--data", "synth-digits", "--limit", "64", "--quiet", "--threads", "1"]
    for c in (["train", "--model", "lenet", *d, "--epochs", "1", "--out", "f"], ["ptq", "f", *d, "--out", "p"], ["convert", "p", "--out", "p.oct8", "--quiet"],
              ["qat", "f", *d, "--epochs", "1", "--method", "lsq+", "--wbits", "4", "--out", "q"],
              ["export", "f", "--to", "onnx", "--name", "f", "-o", ".", "--quiet"], ["export", "p.oct8", "--to", "onnx", "--name", "p", "-o", ".", "--quiet"]):
        subprocess.run([octet, *c], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    load = lambda p: open(p, "rb").read()
    seeds = lambda ending: [load(corpus + "/fuzz_image/" + n) for n in sorted(os.listdir(corpus + "/fuzz_image")) if n.endswith(ending)]
    pngs = [b for b in seeds(".png") if b[:4] == b"\x89PNG"]
    jpegs = [b for b in seeds(".jpg") if b[:2] == b"\xff\xd8" and b[2:3] == b"\xff" and b"\xff\xda" in b]
    bmps = [b for b in seeds(".bmp") if b[:2] == b"BM"]
    int8s = [load("p.oct8")] + [load(corpus + "/fuzz_int8/" + n) for n in ("net0", "net154", "net262", "net37", "q31")]
    nets = [load("f.onnx"), load("p.onnx")]
    try:
        int8s = [b for b in int8s if int8(random.Random(1), b)]
    except (struct.error, StopIteration):
        int8s = int8s[:1]
    weights = load("f/model.safetensors")

    def file(make, ending):
        def write(r, path):
            open(path + ending, "wb").write(make(r))
            return path + ending
        return write

    def folder(make):
        def write(r, path):
            make(r, path)
            return path
        return write

    kinds = {
        "png": ("image", "", file(lambda r: png(r, r.choice(pngs)), ".png")),
        "jpeg": ("image", "", file(lambda r: jpeg(r, r.choice(jpegs)), ".jpg")),
        "bmp": ("image", "", file(lambda r: bmp(r, r.choice(bmps)), ".bmp")),
        "image bytes": ("image", "", file(lambda r: anyhow(r, r.choice(pngs + jpegs + bmps)), ".png")),
        "idx": ("data", "idx:", folder(idx)),
        "cifar": ("data", "cifar10:", folder(cifar)),
        "npz set": ("data", "npz:", file(lambda r: npz(r, labels=True), ".npz")),
        "npz": ("array", "", file(npz, ".npz")),
        "npy": ("array", "", file(npy, ".npy")),
        "safetensors": ("weights", "", file(lambda r: safetensors(r, weights), ".safetensors")),
        "float run": ("run", "", folder(lambda r, p: run(r, p, "f"))),
        "ptq run": ("run", "", folder(lambda r, p: run(r, p, "p"))),
        "lsq+ run": ("run", "", folder(lambda r, p: run(r, p, "q"))),
        "int8": ("int8", "", file(lambda r: int8(r, r.choice(int8s)), ".oct8")),
        "onnx": ("onnx", "", file(lambda r: protobuf(r, r.choice(nets)), ".onnx")),
    }
    child = Reader(reader, "f")
    code = {}
    for i, name in enumerate(["ok", "check", "usage", "format", "shape", "dtype", "qparams", "unsupported", "io", "memory", "limit", "diverged", "internal", "stopped", "busy"]):
        code[i] = name
    due = {"ok", "format", "shape", "dtype", "qparams", "unsupported", "io", "limit"}
    table, bad, said = collections.defaultdict(collections.Counter), [], collections.defaultdict(dict)
    worst = collections.defaultdict(lambda: [0, 0])
    chosen = [k for k in kinds if re.search(o.only, k)]
    for n in range(o.files):
        name = chosen[n % len(chosen)]
        kind, prefix, write = kinds[name]
        path = write(random.Random("%d %d %s" % (o.seed, n, name)), "case%d" % n)
        got = child.read("%s %s%s" % (kind, prefix, path))
        why = got if isinstance(got, str) else None
        if not why:
            status, ms, kib, message = code[int(got[0])], float(got[1]), int(got[2]), got[3]
            table[name][status] += 1
            worst[name] = [max(worst[name][0], ms), max(worst[name][1], kib)]
            if status not in due:
                why = "status %s: %s" % (status, message)
            elif ms > 10000 * o.slow:
                why = "%.0f ms" % ms
            elif kib << 10 > MEMORY * o.slow:
                why = "%d KiB" % kib
            elif status != "ok" and "case%d" % n not in message:
                why = "the file is not named: " + message
            elif re.search(r"[\x00-\x1f\x7f-\x9f\ufffd]", message):
                why = "raw bytes: %r" % message
            elif len(message) > 4000:
                why = "a message of %d characters" % len(message)
            if status != "ok":
                said[name][re.sub(r"[0-9]+", "#", message)[:60]] = message
        if why:
            bad.append("%s, case %d (seed %d): %s" % (name, n, o.seed, why))
            print("corrupt_files:", bad[-1], flush=True)
            if o.keep:
                os.makedirs(o.keep, exist_ok=True)
                (shutil.copytree if os.path.isdir(path) else shutil.copy)(path, "%s/%d-%s" % (o.keep, n, path))
        shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    for name in chosen:
        print("%-12s %s; at most %.0f ms, %d KiB" % (name, ", ".join("%s %d" % x for x in sorted(table[name].items())), *worst[name]))
        if o.show:
            for m in list(said[name].values())[:400]:
                print("    " + m)
    print("corrupt_files: %d of %d files got their due" % (o.files - len(bad), o.files))
    os.chdir("/")
    shutil.rmtree(top)
    # a format that is always taken, or never, is not tested
    for name in chosen:
        if o.files >= 14 * len(chosen) and (sum(table[name].values()) == table[name]["ok"] or o.files >= 400 * len(chosen) and not table[name]["ok"]):
            bad.append(name)
            print("corrupt_files: %s: every file ends alike" % name)
    return bool(bad)


sys.exit(main())
