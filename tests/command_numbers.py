# SPDX-License-Identifier: MIT
"""What the command says, worked out again in NumPy from the files that it reads and writes: no number is taken on trust.

usage: command_numbers.py PATH-OF-octet
"""
import json
import math
import os
import re
import struct
import subprocess
import sys
import tempfile
import time

import numpy as np

from command_rig import OCTET, check, close, failures, made, octet, outputs, png, real, safetensors, said, softmax


# ---- eval ----

def scores(z, y):
    n, k = z.shape
    best = z.argmax(1)
    confusion = np.zeros((k, k), int)
    for a, b in zip(y, best): confusion[a, b] += 1
    above = [(z[i] > z[i, y[i]]).sum() + (z[i, :y[i]] == z[i, y[i]]).sum() for i in range(n)]
    with np.errstate(divide="ignore", invalid="ignore"):
        per = confusion.diagonal() / confusion.sum(1)
    return {"accuracy": (best == y).mean(), "top5": (np.array(above) < 5).mean(), "loss": -np.log(softmax(z)[np.arange(n), y]).mean(),
            "n": n, "per_class": per, "confusion": confusion}


def try_eval(model, x, y, *words):
    z = real(outputs(model, x))
    want, got = scores(z, y), said("eval", model, "--data", "npz:d.npz", *words)
    for key in ("accuracy", "top5", "loss", "n"): close(got[key], want[key], f"eval {model} {words} {key}")
    close([math.nan if v is None else v for v in got["per_class"]], want["per_class"], f"eval {model} {words} per_class") \
        if not np.isnan(want["per_class"]).any() else \
        check([v is None for v in got["per_class"]] == list(np.isnan(want["per_class"])), f"eval {model}: classes without an image")
    check((np.array(got["confusion"]) == want["confusion"]).all(), f"eval {model} {words} confusion")
    lines = octet("eval", model, "--data", "npz:d.npz", *words, "--quiet").splitlines()
    check(lines[0].startswith("accuracy %.4f  top5 %.4f  loss %.4f  n %d  (" % tuple(want[k] for k in ("accuracy", "top5", "loss", "n"))),
          f"eval {model} in words: {lines[0]}")
    for i, line in enumerate(lines[1:]):
        right, of = want["confusion"][i, i], want["confusion"][i].sum()
        check(line.split() == [str(i), "%.4f" % (right / of if of else 0), "of", str(of)], f"eval {model}, a class in words: {line}")
    return want


# ---- predict ----

def try_predict(model, names):
    r = np.random.default_rng(4)
    info = said("inspect", model)
    c, h, w = info["input"]
    images = r.integers(0, 256, (3, h, w, 3), dtype=np.uint8)
    for i, im in enumerate(images): png(f"p{i}.png", im)
    z = real(outputs(model, images.transpose(0, 3, 1, 2)))
    with open("broken.png", "wb") as f: f.write(b"\x89PNG\r\n\x1a\n nothing")
    files = ["p0.png", "broken.png", "p1.png", "p2.png"]
    p = subprocess.run([OCTET, "predict", model, *files, "--json", "--quiet"], capture_output=True, text=True)
    check(p.returncode == 3, f"predict with a broken file: {p.returncode}")
    got = [json.loads(line) for line in p.stdout.splitlines()]
    check([g["file"] for g in got] == ["p0.png", "p1.png", "p2.png"], f"predict: files {[g['file'] for g in got]}")
    for i, g in enumerate(got):
        order = sorted(range(len(names)), key=lambda k: (-z[i, k], k))[:5]
        check([t["class"] for t in g["top"]] == [names[k][0] for k in order], f"predict {i}: {g['top']} for {order}")
        check([t["name"] for t in g["top"]] == [names[k][1] for k in order], f"predict {i}: names {g['top']}")
        close([t["score"] for t in g["top"]], softmax(z[i])[order], f"predict {i}: scores")
        words = f"{g['file']}: " + ", ".join("%s %.4f" % (names[k][1], softmax(z[i])[k]) for k in order) + "\n"
        check(octet("predict", model, g["file"], "--quiet") == words, f"predict {i} in words: {words}")


def try_predict_data(model, y_test):
    """Of a set: five of sixty, each by its place in the set."""
    at = np.arange(5) * len(y_test) // 5
    got = octet("predict", model, "--data", "npz:d.npz", "--limit", "5", "--json", "--quiet", out=list)
    check([g["file"] for g in got] == [f"npz:d.npz[{i}]" for i in at], f"predict --limit: {[g['file'] for g in got]}")
    check([g["label"] for g in got] == [str(y_test[i]) for i in at], f"predict --limit: labels {[g['label'] for g in got]}")
    words = octet("predict", model, "--data", "npz:d.npz", "--limit", "5", "--quiet").splitlines()
    check([w.split(":")[1] for w in words] == [f"d.npz[{i}]" for i in at], f"predict --limit in words: {words}")


# ---- inspect, layers, run --layer ----

def try_inspect(run, x, prepared):
    info, t = said("inspect", run), safetensors(f"{run}/model.safetensors")
    check(info["stage"] == ("prepared" if prepared else "float") and info["model"] == "lenet", f"inspect {run}: {info['stage']} {info['model']}")
    check(info["target"] == ("octet" if prepared else ""), f"inspect {run}: target {info['target']}")
    check(info["bytes"] == sum(v.nbytes for v in t.values()), f"inspect {run}: {info['bytes']} bytes")
    check(info["input"] == list(x.shape[1:]) and info["classes"] == [str(i) for i in range(10)], f"inspect {run}: input, classes")
    dtypes = {"<f4": "float32", "|u1": "uint8", "<i4": "int32", "|i1": "int8"}
    for row in info["tensors"]:
        v = t[row["name"]]
        check(row["shape"] == list(v.shape) and row["dtype"] == dtypes[v.dtype.str], f"inspect {run}: {row} for {v.shape}")
    check(len(info["tensors"]) == len(t), f"inspect {run}: {len(info['tensors'])} tensors")
    for row in info["layers"]:
        y = outputs(run, x[:3], row["name"])["y"]
        shape = [y.shape[0], *y.shape[2:], y.shape[1]] if y.ndim == 4 else list(y.shape)
        check(row["shape"] == [None, *shape[1:]], f"inspect {run}: {row} for {shape}")
    check(bool(info["placements"]) == prepared, f"inspect {run}: placements")
    text = octet("inspect", run)
    check("input %d x %d x %d (C, H, W)" % tuple(info["input"]) in text and "10 classes" in text, f"inspect {run} in words")
    check(f"{info['bytes']} bytes" in text, f"inspect {run} in words: bytes")
    return info


def db(signal, noise): return 10 * math.log10(float((signal**2).sum()) / float((noise**2).sum()))


def try_layers(floating, run, int8, x):
    """Against codes and values that run --layer wrote; what it is compared with stands behind the layer's own relu."""
    rows = said("layers", run, "--data", "npz:d.npz")["layers"]
    sweep = said("layers", run, "--data", "npz:d.npz", "--sweep")
    info = {r["name"]: r for r in said("inspect", run)["placements"]}
    behind = {"conv1": "relu", "conv2": "relu_1", "fc1": "relu_2", "fc2": "relu_3"}
    codes = 0
    for r in rows:
        o = outputs(int8, x, r["name"])
        if "scale" not in o: continue
        codes += 1
        close(r["scale"], o["scale"], f"layers {r['name']} scale", 1e-6)
        check(r["zero_point"] == o["zero_point"], f"layers {r['name']} zero point")
        y, name = o["y"], r["name"]
        check(r["shape"] == [None, *([*y.shape[2:], y.shape[1]] if y.ndim == 4 else y.shape[1:])], f"layers {name} shape")
        check(r["channels"] == y.shape[1], f"layers {name} channels {r['channels']}")
        # a 2x2 max pool may run in the convolution before it: its time is there
        check(r["bits"] == 8 and (r["us"] is None and r["kind"] == "max_pool2d" if r["kernel"] == "fused" else
                                  r["us"] > 0 and (r["kernel"] == "copy" or r["kernel"].startswith("octk_"))), f"layers {name}: {r}")
        if name in info and info[name]["int8"] and name in behind:
            check(r["scheme"] == "per_channel_symmetric" and r["kind"] == ("linear" if name[:2] == "fc" else "conv2d"), f"layers {name}: {r['scheme']}")
        if name == "input.quantize": continue
        f = real(outputs(floating, x, behind.get(name, name)))
        q = real(o)
        close(r["sqnr_cum"], db(f, q - f), f"layers {name} sqnr_cum", 1e-4)
        close(r["cosine_cum"], (f * q).sum() / math.sqrt((f * f).sum() * (q * q).sum()), f"layers {name} cosine_cum", 1e-6)
        axes = (0, *range(2, y.ndim))
        close(r["dead"], (y.max(axes) == y.min(axes)).sum(), f"layers {name} dead") if y.ndim == 4 else None
        clip = ((y == 255) | (y == 0 if o["zero_point"] > 0 else False)).mean()
        check(r["clip"] <= clip + 1e-9, f"layers {name} clip {r['clip']}: {clip} of the codes stand at an end")
    check(codes >= 6, f"layers: {codes} layers with codes")
    us = said("bench", int8, "--mode", "infer-int8", "--batch", "32")["us_per_img"]
    total = sum(r["us"] for r in rows if r["kernel"] != "fused")
    check(us / 30 < total < us * 30, f"layers: {total} us per image, bench: {us}")
    close(sweep["fp32_accuracy"], said("eval", floating, "--data", "npz:d.npz")["accuracy"], "layers --sweep: accuracy of none")
    for a, b in zip(rows, sweep["layers"]):
        same = lambda r: {k: v for k, v in r.items() if k not in ("us", "sqnr_alone", "accuracy_alone")}
        check(same(a) == same(b), f"layers with and without --sweep: {a['name']}")
    text = octet("layers", run, "--data", "npz:d.npz").splitlines()
    for r, line in zip(rows, text[1:]):
        check(line.split()[:2] == [r["name"], r["kind"]] and ("-" if r["scale"] is None else "%.6g" % r["scale"]) in line.split() and r["kernel"] == line.split()[-1],
              f"layers in words: {line}")
        if r["sqnr_cum"] is not None: check("%.1f" % r["sqnr_local"] in line and "%.1f" % r["sqnr_cum"] in line, f"layers in words: {line}")


# ---- weights ----

def try_layers_images(run, x, y):
    """Without --limit: 256 images, evenly over a set that stands class by class."""
    order = np.argsort(y, kind="stable")
    np.savez("sorted.npz", x=x[:8], y=y[:8], x_test=x[order], y_test=y[order])
    part = np.arange(256) * len(y) // 256
    np.savez("even.npz", x=x[:8], y=y[:8], x_test=x[order][part], y_test=y[order][part])
    few, even, limited = (said("layers", run, "--data", f"npz:{name}.npz", *words)
                          for name, words in (("sorted", ()), ("even", ()), ("sorted", ("--limit", "100"))))
    numbers = lambda d: [(r["name"], r["sqnr_cum"], r["cosine_cum"]) for r in d["layers"]]
    check(few["images"] == even["images"] == 256 and limited["images"] == 100, f"layers: {few['images']} images")
    check(numbers(few) == numbers(even), "layers: its images are not spread over the set")
    check("[256]" in octet("layers", "--help").split("--limit N", 1)[1].split("--div", 1)[0], "layers --help: --limit")
    check("\n256 images of npz:sorted.npz" in octet("layers", run, "--data", "npz:sorted.npz", "--quiet"), "layers does not say of how many images")


def try_weights(floating, run, int8):
    inner = safetensors(f"{run}/model.safetensors")["conv2.weight"].astype(float)
    for model in (run, int8, floating):
        w = said("inspect", model, "--weights", "conv2")
        check(w["name"] == "conv2.weight", f"weights of {model}: {w['name']}")
        if model == floating:
            inner_f = safetensors(f"{floating}/model.safetensors")["conv2.weight"]
            counted = inner_f.astype(float)
            close(w["values"], inner_f.ravel(), f"weights of {model}: values", 1e-6)
            check("int_repr" not in w, f"weights of {model}: codes of a float net")
        else:
            codes = np.array(w["int_repr"], float).reshape(inner.shape)
            counted = codes
            scale, zero = np.array(w["q_scale"]), np.array(w["q_zero_point"])
            check(w["zero_point"] == w["q_zero_point"] and (zero == 0).all(), f"weights of {model}: zero points")
            check(w["axis"] == 0 and w["qscheme"] == "per_channel_affine" and len(scale) == inner.shape[0], f"weights of {model}: {w['qscheme']}")
            close(scale, np.abs(inner).max((1, 2, 3)) / 127, f"weights of {model}: scales", 1e-5)
            off = np.abs(codes - inner / scale[:, None, None, None])
            check(off.max() < 0.501 and len(set(scale)) > 1, f"weights of {model}: codes {off.max()} from the values")
            close(w["dequantized"], (codes * scale[:, None, None, None]).ravel(), f"weights of {model}: dequantized", 1e-6)
            check(("values" in w) == (model == run), f"weights of {model}: values")
            if model == run: close(w["values"], inner.ravel(), f"weights of {model}: values", 1e-6)
        check(w["shape"] == list(inner.shape), f"weights of {model}: shape {w['shape']}")
        close([w["min"], w["max"]], [counted.min(), counted.max()], f"weights of {model}: ends", 1e-6)
        check(w["distinct"] == len(np.unique(counted)), f"weights of {model}: distinct {w['distinct']}")
        # on an edge a value may fall on either side of it, two of them at most
        check(np.abs(np.cumsum(np.array(w["histogram"]) - np.histogram(counted, 16)[0])).sum() <= 2,
              f"weights of {model}: histogram {w['histogram']}")
        check(sum(w["histogram"]) == inner.size, f"weights of {model}: histogram holds {sum(w['histogram'])} of {inner.size}")
        line = octet("inspect", model, "--weights", "conv2").splitlines()[0]
        if model == floating:
            said_ends = re.search(r"min (\S+)  max (\S+)  (\d+) distinct values$", line)
        else:
            said_ends = re.search(r"codes (\S+) to (\S+), (\d+) distinct, values (\S+) to (\S+)$", line)
            if said_ends: close([float(v) for v in said_ends.groups()[3:]], [min(w["dequantized"]), max(w["dequantized"])], f"weights of {model}: values' ends", 1e-6)
        check(said_ends and np.allclose([float(v) for v in said_ends.groups()[:3]], [w["min"], w["max"], w["distinct"]], rtol=1e-5), f"weights of {model} in words: {line}")


def try_folded(run):
    """A layer with batch norm in it: code = rne(folded / scale), folded = value * gamma / sqrt(var + eps), each of them shown."""
    t = safetensors(f"{run}/model.safetensors")
    w = said("inspect", run, "--weights", "conv1")
    factor = t["bn1.weight"].astype(float) / np.sqrt(t["bn1.running_var"].astype(float) + 1e-5)
    want = t["conv1.weight"] * factor[:, None, None, None]
    close(w["values"], t["conv1.weight"].ravel(), "folded: values", 1e-6)
    close(w["folded"], want.ravel(), "folded: float * gamma / sqrt(var + eps)", 1e-5)
    codes, scale = np.array(w["int_repr"]), np.repeat(w["q_scale"], want[0].size)
    check(np.abs(np.array(w["folded"]) / scale - codes).max() < 0.501 and np.abs(np.array(w["values"]) / scale - codes).max() > 0.6, "folded: codes are not of it")
    lines = octet("inspect", run, "--weights", "conv1", "--at", "3,1").splitlines()
    head = next(k for k, line in enumerate(lines) if line.startswith("index"))
    check(lines[head].split() == ["index", "code", "scale", "zero_point", "value", "folded", "float"], f"folded: {lines[head]}")
    at = np.ravel_multi_index((3, 1, 0, 0), want.shape)
    for k in range(9):
        row = lines[head + 1 + k].split()
        close([float(v) for v in row[1:]], [codes[at + k], scale[at + k], 0, w["dequantized"][at + k], w["folded"][at + k], w["values"][at + k]], f"folded: {row}", 1e-6)


def try_dead(run):
    """A layer without weights is told of by ptq and by convert, with a cure; a net in health is not."""
    t = dict(safetensors(f"{run}/model.safetensors"))
    t["conv2.weight"] = np.zeros_like(t["conv2.weight"])
    head, data = {}, b""
    for name, v in t.items():
        head[name] = {"dtype": "F32", "shape": list(v.shape), "data_offsets": [len(data), len(data) + v.nbytes]}
        data += v.tobytes()
    text = json.dumps(head).encode()
    with open("z.safetensors", "wb") as f: f.write(struct.pack("<Q", len(text)) + text + data)
    octet("import", "z.safetensors", "--model", "lenet", "--out", "z", "--quiet")
    for got in (said("ptq", "z", "--data", "npz:d.npz", "--out", "zp"), said("convert", "zp", "--out", "z.oct8")):
        warned = [(w["layer"], w["measure"]) for w in got["warnings"]]
        check(warned[:1] == [("conv2", "dead")] and "train the float net again" in got["warnings"][0]["hint"], f"dead layer: {got}")
    check(said("convert", "p", "--out", "p0.oct8")["warnings"] == [], "a warning of a net in health")


# ---- verify ----

def try_verify(a, b, x):
    differ, count = [0, 0], [0, 0] # of codes, of floats
    first, largest = None, 0
    rows, fed = [], np.zeros(len(x), bool) # layers stand in a chain: what one reads is what the one before it made
    names = [r["name"] for r in said("inspect", a)["layers"]]
    for name in names:
        p, q = outputs(a, x, name)["y"], outputs(b, x, name)["y"]
        if p.ndim == 4: p, q = p.transpose(0, 2, 3, 1), q.transpose(0, 2, 3, 1)
        floats = p.dtype == np.float32
        other = p.view(np.uint32) != q.view(np.uint32) if floats else p != q
        count[floats] += p.size
        differ[floats] += other.sum()
        most = float(np.abs(p.astype(np.float64) - q).max())
        if floats: largest = max(largest, most)
        other = other.reshape(len(x), -1)
        if other.any(): rows.append((name, other.sum(), other[~fed].sum(), round(most, 4)))
        fed = other.any(1)
        if first is None and other.any():
            k = int(np.flatnonzero(other.ravel())[0])
            first = (name, k, *[round(float(v.ravel()[k]), 6) for v in (p, q)])
    got = said("verify", a, b, "--data", "npz:small.npz", code=1)
    check((got["mismatched_codes"], got["codes"]) == (differ[0], count[0]), f"verify: {got} for {differ} of {count}")
    if count[1]: check((got["mismatched_floats"], got["floats"]) == (differ[1], count[1]), f"verify: {got} for {differ} of {count}")
    if count[1]: check(abs(got["largest_difference"] - largest) <= 1e-6 * largest, f"verify: {got} for {largest}")
    check((got["layer"], got["element"], round(got["expected"], 6), round(got["got"], 6)) == first, f"verify: {got} for {first}")
    told = [(r["name"], r["differing"], r["own"], round(r["largest_difference"], 4)) for r in got["layers"]]
    check(told == rows, f"verify: layers {told} for {rows}")
    text = octet("verify", a, b, "--data", "npz:small.npz", "--quiet", code=1)
    words = [f"mismatched_{what} {n} of {of}" for what, n, of in zip(("codes", "floats"), differ, count) if of]
    check([line.split("  ")[0] for line in text.splitlines()] == words, f"verify in words: {text}")
    check(not differ[1] or f"largest_difference {largest:.3g}"[:-1] in text, f"verify in words: {text}")


def try_verify_run(run, file, by_file):
    """A prepared run against another's file: its simulation is what is expected, whichever is named first."""
    for words in ((run, file), (file, run)):
        got = said("verify", *words, "--data", "npz:small.npz", code=1)
        for key in ("mismatched_codes", "codes", "layer", "element", "expected", "got"):
            check(got[key] == by_file[key], f"verify {words}: {key} is {got[key]}, of the run's own file {by_file[key]}")
        check("layers" not in got, f"verify {words}: layers are told that nobody compared: {got}")


# ---- ptq's and qat's settings ----

def prepared(command, *words):
    """A run with these settings: rows by layer, scales of conv1's values and of conv2's weights, graph.json."""
    run = "s" + str(len(os.listdir()))
    octet(command, "r", "--data", "npz:d.npz", "--out", run, "--quiet", *words)
    info = said("inspect", run)
    rows = {r["name"]: r for r in said("layers", run, "--data", "npz:small.npz")["layers"]}
    with open(f"{run}/graph.json") as f: graph = f.read()
    w = said("inspect", run, "--weights", "conv2")
    return {"target": info["target"], "places": {p["name"]: p for p in info["placements"]}, "scale": rows["conv1"]["scale"], "w": w, "graph": graph}


def try_settings():
    """Each says something that the others do not, so one that is dropped or lands in another's place is seen."""
    weighted = ("conv1", "conv2", "fc1", "fc2", "fc3")
    peak = np.abs(safetensors("r/model.safetensors")["conv2.weight"]).max((1, 2, 3))
    plain = prepared("ptq", "--calib", "60")
    check(all(plain["places"][n]["wbits"] == 8 and plain["places"][n]["abits"] == 8 for n in weighted), "ptq: 8 bits")
    bits = prepared("ptq", "--calib", "60", "--wbits", "4", "--abits", "6")
    inner = ("conv2", "fc1") # the first layer and the last keep 8
    check(all(bits["places"][n]["wbits"] == 4 and bits["places"][n]["abits"] == 6 for n in inner), f"ptq --wbits 4 --abits 6: {bits['places']}")
    close(bits["w"]["q_scale"], peak / 7, "scales of 4 bits", 1e-5)
    close(bits["scale"] / plain["scale"], 255 / 63, "scales of 6 bits", 1e-4)
    check(np.abs(bits["w"]["int_repr"]).max() == 7, "codes of 4 bits")
    for t in ("fbgemm", "pow2"): check(prepared("ptq", "--calib", "60", "--target", t)["target"] == t, f"ptq --target {t}")
    o = prepared("ptq", "--calib", "60", "--observer", "percentile", "--percentile", "80")
    low = prepared("ptq", "--calib", "60", "--observer", "percentile", "--percentile", "99.9")
    check(o["places"]["conv1"]["observer"] == "percentile" and o["scale"] < 0.9 * low["scale"] <= 0.9 * plain["scale"] * 1.1,
          f"ptq --percentile: scales {o['scale']} {low['scale']} {plain['scale']}")
    s = prepared("ptq", "--calib", "60", "--set", "conv2:wbits=5,granularity=tensor", "--set", "fc3:float")["places"]
    check((s["conv2"]["wbits"], s["conv2"]["granularity"], s["conv1"]["wbits"], s["fc3"]["int8"]) == (5, "tensor", 8, False), f"ptq --set: {s}")
    with open("q.json", "w") as f: json.dump({"abits": 7, "wbits": 6, "rules": [{"name": "fc1", "wbits": 3}]}, f)
    q = prepared("ptq", "--calib", "60", "--qconfig", "q.json", "--wbits", "5")["places"]
    check((q["conv2"]["wbits"], q["conv2"]["abits"], q["fc1"]["wbits"]) == (5, 7, 3), f"ptq --qconfig: {q}")
    few = prepared("ptq", "--calib", "4")
    check(few["scale"] != plain["scale"], "ptq --calib")
    cle = prepared("ptq", "--calib", "60", "--improve", "cle")
    check(not np.allclose(cle["w"]["values"], plain["w"]["values"]), "ptq --improve cle")
    learned = {m: prepared("qat", "--epochs", "1", "--method", m)["graph"] for m in ("ema", "lsq", "lsq+", "pact")}
    words = {m: set(re.findall('"method": "([^"]*)"', g)) for m, g in learned.items()}
    check(words == {"ema": set(), "lsq": {"lsq"}, "lsq+": {"lsq+"}, "pact": {"pact"}}, f"qat --method: {words}")
    check(prepared("qat", "--epochs", "1", "--ste", "strict")["graph"] != learned["ema"], "qat --ste")


# ---- bench, import, data, demo ----

def try_bench():
    for batch in (2, 8):
        began = time.monotonic()
        got = said("bench", "--workload", "lenet", "--mode", "infer-int8", "--batch", str(batch))
        took = time.monotonic() - began
        check((got["workload"], got["mode"], got["batch"]) == ("lenet", "infer-int8", batch), f"bench: {got}")
        close(got["img_per_s"] * got["us_per_img"], 1e6, "bench: images per second and microseconds per image")
        # nine blocks of more than 0.05 s each lie within the time that the command took; the fastest machine needs a microsecond
        check(1 < got["us_per_img"] < took * 1e6 / batch, f"bench: {got['us_per_img']} us per image in {took} s")
        shares = {l["name"]: l.get("peak_share") for l in got["layers"]}
        check(all((shares[n] is not None) == (n in ("conv1", "conv2", "fc1", "fc2", "fc3")) for n in shares), f"bench: shares of {shares}")
        check(all(0 < s < 40 for s in shares.values() if s is not None), f"bench: shares {shares}")
    line = octet("bench", "--workload", "lenet", "--batch", "4", "--mode", "train-qat", "--quiet")
    check(line.split()[:4] == ["lenet", "train-qat", "batch", "4"], f"bench in words: {line}")


def try_small():
    """Weights alone made small: what the file holds, and that its outputs are the float net's but for a rounding."""
    x = np.load("small.npz")["x_test"]
    real_y = outputs("r", x)["y"]
    kinds = {"dynamic": ("float32", "int8"), "weight-only": ("int8", "int8"), "half": ("float16", "float16")}
    for mode, (conv, fc) in kinds.items():
        got, file = said("convert", "r", "--mode", mode, "-o", f"{mode}.oct8"), f"{mode}.oct8"
        info = said("inspect", file)
        check(got == {"mode": mode, "bytes": info["bytes"], "file_bytes": os.path.getsize(file)}, f"convert --mode {mode}: {got}, {info['bytes']} bytes")
        dtype = {t["name"]: t["dtype"] for t in info["tensors"]}
        check((dtype["conv2.weight"], dtype["fc1.weight"]) == (conv, fc), f"convert --mode {mode}: {dtype}")
        off = np.abs(outputs(file, x)["y"] - real_y).max() / np.abs(real_y).max()
        check(0 < off < (1e-3 if mode == "half" else 0.05), f"convert --mode {mode}: outputs are {off} away")


def try_import(run):
    t = safetensors(f"{run}/model.safetensors")
    got = said("import", f"{run}/model.safetensors", "--model", "lenet", "--out", "imp", "--size", "28x28")
    want = {"model": "lenet", "input": [None, 28, 28, 1], "classes": 10, "parameters": sum(v.size for v in t.values()), "tensors": len(t), "quantized": False}
    check(got == want, f"import: {got} for {want}")
    tall = said("import", "c/model.safetensors", "--model", "resnet8", "--out", "tall", "--size", "40x24")["input"]
    check(tall == [None, 40, 24, 3] and said("inspect", "tall")["input"] == [3, 40, 24], f"import --size 40x24: {tall}")
    again = safetensors("imp/model.safetensors")
    check(all((again[n] == t[n]).all() for n in t), "import: weights changed")


def try_data(y, y_test):
    got = said("inspect", "npz:d.npz")
    check((got["train"], got["test"]) == (len(y), len(y_test)), f"inspect of data: {got['train']}, {got['test']}")
    for k, row in enumerate(got["classes"]):
        check((row["id"], row["train"], row["test"]) == (str(k), (y == k).sum(), (y_test == k).sum()), f"inspect of data: class {row}")
    lines = octet("inspect", "npz:d.npz").splitlines()
    for k, line in enumerate(lines[1:]):
        check(line.split() == [str(k), str(k), "train", str((y == k).sum()), "test", str((y_test == k).sum())], f"inspect of data in words: {line}")


def try_demo():
    got = said("demo", "--data", "npz:d.npz", "--out", "demo")
    q = said("eval", "demo", "--data", "npz:d.npz")["accuracy"]
    i = said("eval", "demo/model.oct8", "--data", "npz:d.npz")["accuracy"]
    close([got["qat_accuracy"], got["int8_accuracy"]], [q, i], "demo: accuracies")
    check(got["mismatched_codes"] == 0, f"demo: {got}")
    # the same journey by the commands that it stands for
    octet("train", "--model", "lenet", "--data", "npz:d.npz", "--epochs", "3", "--out", "d1", "--quiet")
    ptq = said("ptq", "d1", "--data", "npz:d.npz", "--calib", "512", "--out", "d2")
    octet("qat", "d2", "--data", "npz:d.npz", "--epochs", "1", "--out", "d3", "--quiet")
    close([got["fp32_accuracy"], got["ptq_accuracy"], got["qat_accuracy"]],
          [ptq["fp32_accuracy"], ptq["accuracy"], said("eval", "d3", "--data", "npz:d.npz")["accuracy"]], "demo, step by step")
    table = said("compare", "d1", "d2", "d3", "--data", "npz:d.npz")["models"]
    rows = {(r["model"], r["kind"], r.get("how", "")): r for r in table}
    check(list(rows) == [("d1", k, h) for k, h in (("fp32", ""), ("half", ""), ("dynamic", ""), ("weight-only", ""), ("int8", "by PTQ"))] +
          [("d2", "int8", "by PTQ"), ("d3", "int8", "by QAT")], f"compare: {list(rows)}")
    for mode in ("dynamic", "half", "weight-only"):
        small, word = said("convert", "d1", "--mode", mode, "--out", f"d-{mode}.oct8"), mode.replace("-", "_")
        score = said("eval", f"d-{mode}.oct8", "--data", "npz:d.npz")
        close([got[f"{word}_accuracy"], got[f"{word}_bytes"]], [score["accuracy"], small["bytes"]], f"demo: {mode}")
        row = rows["d1", mode, ""]
        close([row["accuracy"], row["loss"], row["bytes"]], [score["accuracy"], score["loss"], small["bytes"]], f"compare: {mode}")
        alone = said("compare", f"d-{mode}.oct8", "--data", "npz:d.npz")["models"]
        check(len(alone) == 1 and alone[0]["kind"] == mode, f"compare: {alone}")
        close([alone[0]["accuracy"], alone[0]["bytes"]], [score["accuracy"], small["bytes"]], f"compare of a file: {mode}")
    for key, run in ((("d2", "int8", "by PTQ"), "d2"), (("d3", "int8", "by QAT"), "d3")):
        bytes_ = said("convert", run, "--out", f"{run}.oct8")["bytes"]
        close([rows[key]["accuracy"], rows[key]["bytes"]], [said("eval", f"{run}.oct8", "--data", "npz:d.npz")["accuracy"], bytes_], f"compare: {run}")
    close(rows["d1", "int8", "by PTQ"]["accuracy"], ptq["accuracy"], "compare: PTQ by its defaults")
    close([rows["d1", "fp32", ""]["accuracy"], rows["d1", "fp32", ""]["bytes"]], [ptq["fp32_accuracy"], 4 * 61706], "compare: fp32")
    for mode in ("fp32", "int8"):
        us = said("bench", "--workload", "lenet", "--mode", f"infer-{mode}", "--batch", "1")["us_per_img"]
        check(us / 30 < got[f"{mode}_us"] < us * 30, f"demo: {got[f'{mode}_us']} us per image, bench: {us}")
    us = said("bench", "--workload", "lenet", "--mode", "infer-fp32", "--batch", "1")["us_per_img"]
    check(all(us / 30 < r["us"] < us * 100 for r in table), f"compare: {table}, bench: {us}")
    info = said("inspect", "demo/model.oct8")
    check(got["int8_bytes"] == info["bytes"] and got["fp32_bytes"] == 4 * 61706, f"demo: bytes {got}, {info['bytes']}")


def main():
    x, y = made(360, 1, 28, 10, 1)
    x, y, xt, yt = x[:300], y[:300], x[300:], y[300:]
    np.savez("d.npz", x=x, y=y, x_test=xt, y_test=yt)
    np.savez("small.npz", x=x[:8], y=y[:8], x_test=xt[:5], y_test=yt[:5])
    octet("train", "--model", "lenet", "--data", "npz:d.npz", "--epochs", "4", "--batch", "12", "--lr", "0.02", "--out", "r", "--quiet")
    for name, calib in (("p", "64"), ("p2", "16")):
        octet("ptq", "r", "--data", "npz:d.npz", "--calib", calib, "--out", name, "--quiet")
        got = said("convert", name, "-o", f"{name}.oct8")
        info = said("inspect", f"{name}.oct8")
        check(got["mismatched_codes"] == 0 and got["bytes"] == info["bytes"] and got["layers_float"] == 0, f"convert: {got}, {info['bytes']}")
    want = try_eval("r", xt, yt)
    check(0.3 < want["accuracy"] < 1 and want["accuracy"] < want["top5"] and len(set(want["confusion"].argmax(1))) > 2,
          f"the net is no test: {want['accuracy']} {want['confusion']}")
    try_eval("p.oct8", xt, yt)
    try_eval("r", x, y, "--split", "train")
    part = np.arange(40) * len(xt) // 40
    try_eval("r", xt[part], yt[part], "--limit", "40")
    try_inspect("r", xt, False), try_inspect("p", xt, True)
    try_layers("r", "p", "p.oct8", xt)
    try_layers_images("p", x, y)
    try_predict_data("p.oct8", yt)
    try_weights("r", "p", "p.oct8")
    try_verify("p.oct8", "p2.oct8", xt[:5])
    try_verify_run("p", "p2.oct8", said("verify", "p.oct8", "p2.oct8", "--data", "npz:small.npz", code=1))
    octet("convert", "r", "--mode", "half", "--out", "half.oct8")
    try_verify("r", "half.oct8", xt[:5])
    try_bench()
    try_settings()
    try_small()
    try_data(y, yt)
    try_demo()
    # colours: three channels with numbers of their own
    c, cy = made(40, 3, 32, 7, 2)
    np.savez("c.npz", x=c[:32], y=cy[:32], x_test=c[32:], y_test=cy[32:])
    with open("names.txt", "w") as f: f.write("".join(f"n{k}\tname of {k}\n" for k in range(7)))
    octet("train", "--model", "resnet8", "--data", "npz:c.npz", "--epochs", "1", "--batch", "8", "--out", "c", "--quiet")
    words = ("--mean", "0.2,0.4,0.7", "--std", "0.1,0.3,0.5", "--classes", "names.txt")
    octet("ptq", "c", "--data", "npz:c.npz", *words, "--out", "cp", "--calib", "16", "--quiet")
    octet("convert", "cp", "-o", "c.oct8", "--quiet")
    names = [(f"n{k}", f"name of {k}") for k in range(7)]
    try_predict("c.oct8", names)
    try_import("r")
    try_folded("cp")
    try_dead("r")
    print(f"{len(failures)} failures")
    return len(failures) > 0


with tempfile.TemporaryDirectory(prefix="octet-numbers-") as folder:
    os.chdir(folder)
    code = main()
    os.chdir("/")
sys.exit(code)
