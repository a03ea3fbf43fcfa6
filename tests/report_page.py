# SPDX-License-Identifier: MIT
"""octet report: the page's numbers are those of the files and of the other commands; it is well formed, runs nothing, loads
nothing, whatever names a run has; its colours can be read.

usage: report_page.py PATH-OF-octet PATH-OF-hostile_run
"""
import base64
import html.parser
import json
import math
import os
import re
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib

from page_reader import HOSTILE, OCTET, failures, Page, check, hold_bins, hold_ranges, hold_table, numbers, octet, plots, read, rows_of, said, same


# ---- a plot's lines are the epochs of metrics.jsonl ----
def hold_curves(page, run, keys):
    with open(run + "/metrics.jsonl") as f: lines = [json.loads(x) for x in f]
    series = {a["data-series"]: a for a in page.all("data-series") if "data-y" in a and "data-x" in a}
    for key in keys:
        check(key in series, f"{run}: no curve of {key}")
        if key not in series: continue
        y, x = series[key]["data-y"].split(","), series[key]["data-x"].split(",")
        check(len(y) == len(lines), f"{run}: {key} has {len(y)} points for {len(lines)} epochs")
        for i, line in enumerate(lines):
            same(y[i], line.get(key), f"{run}: {key} of epoch {i + 1}")
            same(x[i], line["epoch"], f"{run}: epoch {i + 1} of {key}")


# ---- histograms: those of the JSON, which hold every weight once, on whole steps ----
def hold_weights(page, run, told, of_int8=False):
    table = rows_of(page, "weights")
    whole, steps, ranges = (plots(page, n) for n in ("weights", "weight_steps", "weight_ranges"))
    check(len(table) == len(told) == len(whole) == len(ranges), f"{run}: weights of {len(table)}, {len(whole)} for {len(told)}")
    for i, t in enumerate(told):
        what = f"{run}: weights of {t['layer']}"
        for key in ("count", "bits", "distinct_float", "distinct", "codes"): same(table[i].get(key), t[key], f"{what}: {key}")
        hold_bins(whole[i], t["whole"], what)
        hold_bins(steps[i], t["steps"], what)
        for key in [k for k in ("float", "code") if k in t["whole"]]: check(sum(t["whole"][key]) == t["count"], f"{what}: {sum(t['whole'][key])} of {t['count']} {key}")
        s = t["steps"]
        for k, n in enumerate(s["code"]):
            at = s["lo"] + s["width"] * (k + 0.5)
            check(not n or abs(at - round(at)) < 1e-9, f"{what}: codes at {at}")
        hold_ranges(ranges[i], t, what)
        # as inspect has them, one by one
        x = said("inspect", run, "--weights", t["layer"])
        check(t["distinct"] == len(set(x["dequantized"])) and t["codes"] == len(set(x["int_repr"])), f"{what}: {t['distinct']} distinct, {t['codes']} codes")
        if of_int8: continue
        real = x.get("folded", x.get("values"))
        check(t["distinct_float"] == len(set(real)), f"{what}: {t['distinct_float']} distinct floats for {len(set(real))}")
        for o, row in enumerate(zip(t["lo"], t["hi"], t["reach"])):
            own = real[o * len(real) // len(t["lo"]):(o + 1) * len(real) // len(t["lo"])]
            same("%.9g" % row[0], float("%.9g" % min(own)), what)
            same("%.9g" % row[1], float("%.9g" % max(own)), what)
            check(abs(row[2] - x["q_scale"][o] * (2 ** (t["bits"] - 1) - 1)) < 1e-6 * row[2], f"{what}: end of the grid of channel {o}")
        if t["bits"] <= 4: # the whole grid is shown: every code is somewhere
            for k, n in enumerate(s["code"]):
                at = s["lo"] + s["width"] * (k + 0.5)
                if abs(at - round(at)) < 1e-9: check(n == x["int_repr"].count(round(at)), f"{what}: {n} codes {round(at)}")


def hold_values(page, run, m):
    grids = {x["name"]: x for x in m["layers"]}
    shown = plots(page, "values")
    check(len(shown) == len(m["values"]) > 3, f"{run}: {len(shown)} histograms of values")
    for s, t in zip(shown, m["values"]):
        what, layer = f"{run}: values of {t['name']}", grids[t["name"]]
        check(numbers(s["values"][0]["data-y"]) == t["histogram"]["float"], f"{what}: counts")
        check(sum(t["histogram"]["float"]) + t["zeros"] == t["n"] and t["n"] % layer_size(layer) == 0, f"{what}: {t['n']} values")
        for c in t["clips"]:
            marks = [float(a["data-x"]) for a in s[c["observer"]]]
            check(marks == [float("%.9g" % v) for v in ([c["hi"], c["lo"]] if c["lo"] < 0 else [c["hi"]])], f"{what}: {c['observer']}: {marks}")
            check(0 <= c["beyond"] <= 1, f"{what}: beyond {c}")
        clip = {c["observer"]: c for c in t["clips"]}
        for key in ("lo", "hi"): check(abs(clip["in_use"][key] - layer[key]) < 1e-5 * abs(clip["in_use"]["hi"]), f"{what}: {key} of the grid")
        check((clip["minmax"]["lo"], clip["minmax"]["hi"]) == (t["min"], t["max"]) and clip["minmax"]["beyond"] == 0, f"{what}: minmax")
        # as the layers say, of nearly the same images
        check(abs(clip["in_use"]["beyond"] - layer["clip"]) < 0.02 + 0.1 * layer["clip"], f"{what}: {clip['in_use']['beyond']} beyond, clipped {layer['clip']}")
        lo, width = t["histogram"]["lo"], t["histogram"]["width"]
        check(lo <= max(t["min"], lo) and t["max"] <= lo + width * len(t["histogram"]["float"]), f"{what}: largest value outside")


def layer_size(layer):
    n = 1
    for d in layer["shape"].strip("[]").split(",")[1:]: n *= int(d)
    return n


# ---- answers: as eval and predict have them ----
def pixels_of(src):
    """A PNG's sides and channels, and its pixels, by the standard's own words."""
    b = base64.b64decode(src.split(",", 1)[1])
    check(b[:8] == b"\x89PNG\r\n\x1a\n", "no PNG")
    at, packed = 8, b""
    while at < len(b):
        n, kind = struct.unpack(">I4s", b[at:at + 8])
        body = b[at + 8:at + 8 + n]
        check(zlib.crc32(kind + body) == struct.unpack(">I", b[at + 8 + n:at + 12 + n])[0], "CRC of a PNG")
        if kind == b"IHDR": w, h, depth, color = struct.unpack(">IIBB", body[:10])
        if kind == b"IDAT": packed += body
        at += 12 + n
    bpp = {0: 1, 2: 3}[color]
    raw, rows, above = zlib.decompress(packed), [], bytes(w * bpp)
    for y in range(h):
        f, line = raw[y * (w * bpp + 1)], bytearray(raw[y * (w * bpp + 1) + 1:(y + 1) * (w * bpp + 1)])
        for i in range(w * bpp):
            a, b2, c = line[i - bpp] if i >= bpp else 0, above[i], above[i - bpp] if i >= bpp else 0
            p = a + b2 - c
            near = min((abs(p - a), 0, a), (abs(p - b2), 1, b2), (abs(p - c), 2, c))[2]
            line[i] = (line[i] + [0, a, b2, (a + b2) // 2, near][f]) & 255
        rows.append(bytes(line))
        above = bytes(line)
    return w, h, bpp, b"".join(rows)


def hold_answers(page, run, m, spec, images=None):
    e = said("eval", run, *spec)
    check(m["confusion"] == e["confusion"], f"{run}: confusion")
    cells = {(int(a["data-row"]), int(a["data-column"])): int(a["data-count"]) for a in page.all("data-row")}
    check(all(cells.get((i, k), 0) == n for i, row in enumerate(e["confusion"]) for k, n in enumerate(row)), f"{run}: the matrix shows other counts")
    told = [json.loads(x) for x in octet("predict", run, *spec, "--json", "--quiet").splitlines()]
    real = [json.loads(x) for x in octet("predict", m["float"]["path"], *spec, "--json", "--quiet").splitlines()]
    for x in told + real:
        x["label"] = int(x["label"])
        for t in x["top"]: t["class"] = int(t["class"])
    names = m["classes"]
    wrong = [i for i, x in enumerate(told) if x["top"][0]["class"] != x["label"]]
    apart = [i for i, x in enumerate(told) if x["top"][0]["class"] != real[i]["top"][0]["class"]]
    check(m["differing"] == len(apart), f"{run}: {m['differing']} differ, by predict {len(apart)}")
    check(m["differing_right"] == sum(told[i]["top"][0]["class"] == told[i]["label"] for i in apart), f"{run}: right where they differ")
    check(m["differing_float_right"] == sum(real[i]["top"][0]["class"] == told[i]["label"] for i in apart), f"{run}: float right where they differ")
    check(len(m["worst"]) == min(18, len(wrong)) and {p["index"] for p in m["worst"]} <= set(wrong), f"{run}: the worst are not wrong")
    check({p["index"] for p in m["differing_worst"]} <= set(apart) and len(m["differing_worst"]) == min(18, len(apart)), f"{run}: those that differ")
    check([p["loss"] for p in m["worst"]] == sorted((p["loss"] for p in m["worst"]), reverse=True), f"{run}: order of the worst")
    for p in m["worst"] + m["differing_worst"]:
        x, y = told[p["index"]]["top"][0], real[p["index"]]["top"][0]
        check((p["said"], p["float_said"], p["label"]) == (x["class"], y["class"], told[p["index"]]["label"]), f"{run}: image {p['index']}: {p} for {x} {y}")
        check(abs(p["sure"] - x["score"]) < 1e-5 and abs(p["float_sure"] - y["score"]) < 1e-5, f"{run}: image {p['index']}: how sure")
    here, shown, stand = None, {"worst": [], "differing": []}, {}
    for tag, a in page.marks:
        if "data-pictures" in a: here = shown[a["data-pictures"]]
        if tag == "li" and "data-index" in a: here.append([int(a["data-index"]), int(a["data-said"]), int(a["data-label"])])
        if tag == "image": # once in a page, however often it is shown
            check(a["href"] not in stand.values(), f"{run}: a picture stands twice")
            stand["#" + a["id"]] = a["href"]
            here[-1].append(a["href"])
        if tag == "use": here[-1].append(stand[a["href"]])
    for key, list in (("worst", m["worst"]), ("differing", m["differing_worst"])):
        check([x[:3] for x in shown[key]] == [[p["index"], p["said"], p["label"]] for p in list], f"{run}: pictures of the {key}")
        for index, _, _, src in shown[key]:
            w, h, bpp, got = pixels_of(src)
            if images: check((w, h, bpp) == (28, 28, 1) and got == images[index], f"{run}: image {index} has other pixels")
    check(names and len(names) == len(e["confusion"]), f"{run}: classes {names}")
    # in words: which classes are taken for which, how sure both are, who is right where they differ
    most = sorted(((n, i, k) for i, row in enumerate(e["confusion"]) for k, n in enumerate(row) if i != k and n), key=lambda x: -x[0])[:10]
    words = [["true", "said", "images", *(w for n, i, k in most for w in (names[i], names[k], str(n)))]] if most else []
    words += [[f"is {names[p['label']]}", f"{m['kind']}: {names[p['said']]}, {100 * p['sure']:.0f} %", f"float: {names[p['float_said']]}, {100 * p['float_sure']:.0f} %"]
              for p in m["worst"] + m["differing_worst"]]
    words.append([f"{m['differing']} of {len(told)} images; on {m['differing_right']} of them {m['kind']} is right, on {m['differing_float_right']} float is."])
    texts = "|".join(s.strip() for s in page.texts if s.strip())
    for w in words: check("|".join(w) in texts, f"{run}: the page does not say {w}")


def hold_sweep(page, run, m, spec):
    told = {x["name"]: x for x in said("layers", run, *spec, "--sweep")["layers"]}
    rows = rows_of(page, "sweep")
    check(len(rows) == len(m["sweep"]["layers"]) > 4, f"{run}: rows of the sweep")
    for t in m["sweep"]["layers"]:
        r = [x for x in rows if x["name"] == t["name"]][0]
        for key in ("sqnr_alone", "accuracy_alone"):
            same(t[key], told[t["name"]][key], f"{run}: {t['name']}: {key}")
            same(r.get(key), t[key], f"{run}: {t['name']}: {key}")
    order = [float(r["sqnr_alone"]) for r in rows if "sqnr_alone" in r]
    check(order == sorted(order), f"{run}: order of the sweep")


def idx_set(folder, train, test):
    """Images of a pattern for each class, with noise; the pixels of the test part."""
    os.mkdir(folder)
    state, kept = 7, []
    for part, n in (("train", train), ("t10k", test)):
        images, labels = bytearray(), bytearray()
        for i in range(n):
            c = i % 10
            labels.append(c)
            for k in range(784):
                state = (state * 1103515245 + 12345) & 0x7fffffff
                images.append((state >> 16) % (200 if (k // 28 + c * 5) % 10 < 4 else 90))
        with open(f"{folder}/{part}-images-idx3-ubyte", "wb") as f: f.write(struct.pack(">IIII", 0x803, n, 28, 28) + images)
        with open(f"{folder}/{part}-labels-idx1-ubyte", "wb") as f: f.write(struct.pack(">II", 0x801, n) + labels)
        kept = [bytes(images[784 * i:784 * (i + 1)]) for i in range(n)]
    return kept


def answers():
    images = idx_set("digits", 200, 120)
    spec = ("--data", "idx:digits")
    octet("train", "--model", "lenet", *spec, "--batch", "20", "--epochs", "3", "--out", "xf", "--quiet")
    octet("ptq", "xf", *spec, "--wbits", "2", "--abits", "2", "--calib", "64", "--out", "xq", "--quiet")
    told = json.loads(octet("report", "xq", "--out", "x.html", "--json", "--quiet"))
    text, page = read("x.html")
    m = told["models"][0]
    check(m["data"] == "idx:digits", f"images of {m['data']}")
    hold_answers(page, "xq", m, spec, images)
    check(m["worst"] and m["differing_worst"], "the test's net is too good")
    hold_sweep(page, "xq", m, spec)
    # fewer wrong ones than the page has room for: no right one fills it
    few = spec + ("--limit", "16")
    m = json.loads(octet("report", "xq", *few, "--out", "y.html", "--json", "--quiet"))["models"][0]
    check(m["n"] == 16 > len(m["worst"]) > 0, f"{len(m['worst'])} wrong of {m['n']}")
    hold_answers(read("y.html")[1], "xq", m, few)


# ---- contrast, by WCAG 2: text 4.5 : 1, what is drawn 3 : 1 ----
def luminance(color):
    c = [int(color[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    c = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in c]
    return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]


def contrast(a, b):
    x, y = sorted((luminance(a), luminance(b)))
    return (y + 0.05) / (x + 0.05)


def hold_colors(style):
    sets = [dict(re.findall(r"--([-a-z0-9]+):(#[0-9a-f]{6})", block)) for block in re.findall(r":root\{([^}]*)\}", style)]
    check(len(sets) == 2 and sets[0].keys() == sets[1].keys(), "light and dark have not the same colours")
    for name, c in zip(("light", "dark"), sets):
        for shade in ("heat", "wrong"): # text stands on cells of a half of it
            mixed = "#" + "".join("%02x" % ((int(c[shade][i:i + 2], 16) + int(c["card"][i:i + 2], 16)) // 2) for i in (1, 3, 5))
            check(contrast(c["fg"], mixed) >= 4.5, f"{name}: text on {shade}: {contrast(c['fg'], mixed):.2f}")
        for ground in ("bg", "card"):
            for text in ["fg"] + [k for k in c if k.startswith("text-")]:
                check(contrast(c[text], c[ground]) >= 4.5, f"{name}: {text} on {ground}: {contrast(c[text], c[ground]):.2f}")
            for drawn in [k for k in c if re.fullmatch(r"s[0-9]", k)]:
                check(contrast(c[drawn], c[ground]) >= 3, f"{name}: {drawn} on {ground}: {contrast(c[drawn], c[ground]):.2f}")


def page_of(run, to):
    octet("report", run, "--out", to, "--limit", "96", "--data", "synth-digits", "--quiet")
    with open(to, encoding="utf-8") as f: return f.read()


def journey():
    d = ("--data", "synth-digits", "--limit", "160", "--quiet")
    octet("train", "--model", "lenet", *d, "--epochs", "2", "--out", "f")
    octet("qat", "f", *d, "--epochs", "2", "--wbits", "4", "--abits", "5", "--oscillation", "measure", "--out", "q")
    octet("ptq", "f", *d, "--observer", "entropy", "--calib", "64", "--out", "e")
    octet("convert", "e", "--out", "e.oct8", "--quiet")

    told = json.loads(octet("report", "q", "--out", "q.html", "--limit", "160", "--json"))
    text, page = read("q.html")
    hold_colors(text[text.index("<style>"):text.index("</style>")])
    hold_table(page, "rows", [{k: r[k] for k in ("name", "how", "accuracy", "loss", "bytes", "us", "n")} for r in told["rows"]], "rows")
    m = told["models"][0]
    hold_table(page, "layers", m["layers"], "layers of q")
    hold_curves(page, "q", ("lr", "train_loss", "train_accuracy", "int8_accuracy", "test_loss", "oscillating", "frozen"))
    check("test_accuracy" not in {a.get("data-series") for a in page.all("data-series")}, "a curve of what was not measured")
    # the numbers are those of the other commands
    for run, r in (("q", m), ("f", m["float"])):
        e = said("eval", run, *d[:4])
        for key in ("accuracy", "loss", "n"): same(r[key], e[key], f"eval {run}: {key}")
        c = said("compare", run, *d[:4])["models"][0]
        for key in ("accuracy", "bytes"): same(r[key], c[key], f"compare {run}: {key}")
    layers = said("layers", "q", *d[:4])["layers"]
    check(len(layers) == len(m["layers"]), "rows of layers")
    for a, b in zip(m["layers"], layers):
        for key in ("name", "kind", "scheme", "kernel", "why"): check(a[key] == b[key], f"layers: {b['name']}: {key}")
        for key in ("bits", "scale", "zero_point", "sqnr_local", "sqnr_cum", "clip", "clip_loss", "dead", *(["channels"] if b["dead"] is not None else [])):
            same(a[key], b[key], f"layers: {b['name']}: {key}")
        check((a["channels"] is None) == (b["dead"] is None), f"layers: {b['name']}: channels where none were counted")
        if b["scale"] is not None:
            same(a["hi"] - a["lo"], b["scale"] * (2 ** b["bits"] - 1), f"{b['name']}: range") if abs((a["hi"] - a["lo"]) / (b["scale"] * (2 ** b["bits"] - 1)) - 1) > 1e-5 else None
    # in the terminal: the longest bar is the noisiest layer's, the spark goes through all
    noise = {x["name"]: x["sqnr_local"] for x in layers if x["sqnr_local"] is not None}
    for locale, full, marks in (("C", "#", "_.-~=+*#"), ("C.UTF-8", "\u2588", "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588")):
        p = subprocess.run([OCTET, "layers", "q", *d[:4], "--quiet"], capture_output=True, text=True, encoding="utf-8", env={**os.environ, "LC_ALL": locale})
        bars = {x.split()[0]: x[29:49] for x in p.stdout[p.stdout.index("own noise"):].splitlines() if x.split()[:1] and x.split()[0] in noise}
        check(bars.keys() == noise.keys(), f"bars of {bars.keys()}")
        check(bars[min(noise, key=noise.get)] == full * 20 and bars[max(noise, key=noise.get)].strip() == "", f"{locale}: bars {bars}")
        spark = [x for x in p.stdout.splitlines() if x.startswith("cum, from")][0].split()[5]
        check(len(spark) == len([x for x in layers if x["sqnr_cum"] is not None]) and set(spark) <= set(marks) and marks[0] in spark and marks[-1] in spark, f"{locale}: spark {spark}")
    hold_weights(page, "q", m["weights"])
    hold_values(page, "q", m)
    with open("q/metrics.jsonl") as f: epochs = [json.loads(x) for x in f]
    for h in m["epochs"]["quantizers"]:
        for i, line in enumerate(epochs):
            kept = line["quantizers"][h["name"]]["scale"]
            kept = kept if isinstance(kept, list) else [kept]
            check(abs(h["scale"][i] - sum(kept) / len(kept)) < 1e-6 * h["scale"][i] and h["channels"] == len(kept), f"scale of {h['name']}, epoch {i + 1}")
            zeros = line["quantizers"][h["name"]].get("zero_point", math.nan)
            zeros = zeros if isinstance(zeros, list) else [zeros]
            same("" if math.isnan(sum(zeros)) else sum(zeros) / len(zeros), h["zero_point"][i], f"zero point of {h['name']}, epoch {i + 1}")
        row = [x for x in rows_of(page, "scales") if x.get("name") == h["name"]]
        check(len(row) == 1, f"scales of {h['name']}")
        same(row[0]["first"], h["scale"][0], f"first scale of {h['name']}")
        same(row[0]["last"], h["scale"][-1], f"last scale of {h['name']}")
    # by hand: lenet at 28x28
    hand = {"conv1": (156, 28 * 28 * 6 * 25), "conv2": (2416, 10 * 10 * 16 * 150), "fc1": (48120, 48000), "fc2": (10164, 10080), "fc3": (850, 840), "max_pool2d": (0, 0)}
    for layer in m["layers"]:
        if layer["name"] in hand: check((layer["params"], layer["macs"]) == hand[layer["name"]], f"{layer['name']}: {layer['params']} {layer['macs']}")
    weights = {x["name"]: x["bytes"] for x in m["layers"]}
    # s8 weights, s32 bias, f32 multiplier
    check(weights["conv1"] == 150 + 6 * 8 and weights["fc1"] == 48000 + 120 * 8, f"bytes: {weights}")
    pre = text[text.index("<pre data-commands>"):text.index("</pre>")]
    for line in ("octet train --data synth-digits --model lenet --limit 160 --epochs 2 --seed 1 --out f", "octet convert q --out model.oct8", "octet report q"):
        check(line in pre, f"no command '{line}' in {pre}")

    # several, and a file that does not say its data: those of the runs before it serve
    told = json.loads(octet("report", "f", "q", "e", "e.oct8", "--out", "all.html", "--limit", "96", "--json"))
    text, page = read("all.html")
    hold_table(page, "rows", [{k: r[k] for k in ("name", "how", "accuracy", "bytes", "us")} for r in told["rows"]], "rows of four")
    ways = [(r["name"], r["how"]) for r in told["rows"]]
    check(ways == [("f", "float"), ("f", "half"), ("f", "dynamic"), ("f", "weight-only"), ("q", "QAT ema w4 a5"), ("e", "PTQ entropy w8 a8"), ("e.oct8", "int8")], f"rows: {ways}")
    check(told["rows"][5]["accuracy"] == told["rows"][6]["accuracy"], "a run and its file score differently")
    hold_table(page, "layers", [x for m in told["models"] for x in m["layers"]], "layers of four")
    check(told["title"] == "f and 3 more" and "f and 3 more" in page.texts, f"title: {told['title']}")
    # bars: as long as the numbers beside them, of the largest
    bars = [float(a["style"][6:-1]) for a in page.all("style")][:2 * len(told["rows"])]
    for key, at in (("bytes", 0), ("us", 1)):
        most = max(row[key] for row in told["rows"])
        check(all(abs(100 * row[key] / most - bar) < 0.06 for row, bar in zip(told["rows"], bars[at::2])), f"bars of {key}: {bars[at::2]}")
    e, file = told["models"][2:]
    hold_weights(Page("e.html", page_of("e", "e.html")), "e", e["weights"])
    hold_weights(Page("f.html", page_of("e.oct8", "f.html")), "e.oct8", file["weights"], of_int8=True)
    text, page = read("e.html")
    hold_values(page, "e", e)
    for t in e["values"]:
        if t["by"] != "entropy": continue
        rows = said("inspect", "e", "--histogram", t["name"])["candidates"]
        best = [r for r in rows if r["chosen"]][0]
        check(abs(t["chosen"] - max(-best["lo"], best["hi"])) < 1e-6 * t["chosen"], f"threshold of {t['name']}: {t['chosen']} for {best}")
        check(any(abs(d - best["divergence"]) < 1e-6 * abs(d) for d in t["divergence"]), f"divergence of {t['name']}")
        check(len(t["threshold"]) > 50 and t["threshold"] == sorted(t["threshold"]), f"thresholds of {t['name']}")
    # an epoch in which something was not measured has an empty place; a line that a killed writer left is no epoch
    with open("q/metrics.jsonl") as f: lines = f.read().splitlines()
    cut = json.loads(lines[1])
    del cut["int8_accuracy"]
    with open("q/metrics.jsonl", "w") as f: f.write(lines[0] + "\n" + json.dumps(cut) + "\n")
    os.system("cp -r q killed && printf '{\"epoch\":3,\"l' >>killed/metrics.jsonl")
    for run in ("q", "killed"):
        octet("report", run, "--data", "synth-digits", "--limit", "40", "--out", "m.html", "--quiet")
        hold_curves(read("m.html")[1], "q", ("lr", "int8_accuracy", "train_loss"))
    with open("q/metrics.jsonl", "w") as f: f.write("\n".join(lines) + "\n")
    # numbers and names of anybody's
    with open("killed/metrics.jsonl", "w") as f:
        for e, v in ((1, 1e308), (2, -1e308), (1e300, 5e-324)):
            f.write(json.dumps({"epoch": e, "lr": v, "train_loss": v, "int8_accuracy": 7, "quantizers": {"<b>\u202e": {"scale": v, "zero_point": "x"}, "]]>": 3}}) + "\n")
    octet("report", "killed", "--data", "synth-digits", "--limit", "40", "--out", "m.html", "--quiet")
    text, page = read("m.html")
    hold_curves(page, "killed", ("lr", "train_loss", "int8_accuracy"))
    check("nan" not in re.sub("<[^>]*data-[^>]*>", "", text) and "inf" not in "".join(re.findall(r' d="([^"]*)"', text)), "a place that is no number")
    with open("killed/metrics.jsonl", "w") as f: f.write("{}}\n")
    with open("killed/config.json") as f: config = json.load(f)
    config["command"].update({"method": "lsq", "improve": "bias"})
    with open("killed/config.json", "w") as f: json.dump(config, f)
    told = json.loads(octet("report", "killed", "--limit", "40", "--json", "--quiet"))
    check([x["how"] for x in told["rows"] if x["name"] == "killed"] == ["QAT lsq w4 a5 + bias"], f"how: {told['rows']}")
    notes = told["models"][0]["notes"]
    check(any("metrics.jsonl: line 1" in n for n in notes), f"a damaged line: {notes}")
    # what needs no calibration: codes of linear layers, of all layers, none
    for mode, layers in (("half", 0), ("dynamic", 0), ("weight-only", 5)):
        octet("convert", "f", "--mode", mode, "--out", "s.oct8", "--quiet")
        told = json.loads(octet("report", "s.oct8", "--data", "synth-digits", "--limit", "24", "--out", "s.html", "--json", "--quiet"))["models"][0]
        read("s.html")
        check(told["kind"] == mode and len(told["layers"]) > 6 and told["n"] == 24, f"{mode}: {told['kind']}")
        check(len([w for w in told["weights"] if w["codes"]]) >= layers, f"{mode}: weights of {len(told['weights'])} layers")
        if layers: hold_weights(Page("s.html", read("s.html")[0]), "s.oct8", told["weights"], of_int8=True)
    # where the float run has gone, float is the run's own weights
    os.rename("f", "gone")
    told = json.loads(octet("report", "q", "--limit", "96", "--json"))["models"][0]
    check(any(n.startswith("f, the run that it was made from, is not there") for n in told["notes"]), f"notes: {told['notes']}")
    check(told["float"]["path"] is None and told["float"]["n"] == 96 and "differing" in told, "no float answers of its own weights")
    own = said("layers", "q", "--data", "synth-digits", "--limit", "96", "--sweep")["fp32_accuracy"]
    same(told["float"]["accuracy"], own, "accuracy of its own weights in float")
    # one of other sides in its place is not its float net
    octet("train", "--model", "lenet", "--data", "synth-shapes", "--limit", "64", "--epochs", "1", "--out", "f", "--quiet")
    told = json.loads(octet("report", "q", "--limit", "96", "--json"))["models"][0]
    check(told["float"]["path"] is None and told["float"]["n"] == 96, f"float: {told['float']}")
    os.rename("f", "f3")
    os.rename("gone", "f")
    octet("import", "f/model.safetensors", "--model", "lenet", "--out", "i", "--quiet")
    notes = json.loads(octet("report", "i", "--json", "--quiet"))["models"][0]["notes"]
    check(len(notes) == 1 and "--data" in notes[0], f"notes of an imported run: {notes}")
    # without images: the page says what is left out
    os.rename("f", "gone")
    told = json.loads(octet("report", "e.oct8", "--out", "file.html", "--json"))
    text, page = read("file.html")
    check(any("--data" in n for n in told["models"][0]["notes"]) and any("--data" in t for t in page.texts), "nothing is said of images")
    check(told["models"][0]["accuracy"] is None and told["models"][0]["bytes"] > 0, "a score without images")
    octet("report", "nowhere", "--out", "no.html", code=4)
    octet("report", "q", "--data", "idx:nowhere", "--out", "no.html", code=4)
    check(not os.path.exists("no.html"), "a page of a failure")
    os.rename("gone", "f")


def hostile():
    name = "a\"b<c>'&d"
    subprocess.run([HOSTILE, name], check=True)
    told = json.loads(octet("report", name, "--out", "h.html", "--json"))
    text, page = read("h.html")
    check("<script" not in text.lower() and "<img src=x" not in text.lower(), "a name became markup")
    names = [x["name"] for x in told["models"][0]["layers"]]
    check("<script>alert(1)</script>\"'&" in names, f"layers: {names}")
    hold_table(page, "layers", told["models"][0]["layers"], "layers of hostile names")
    # with images, of classes that have such names
    with zipfile.ZipFile("h.npz", "w") as z:
        for key, kind, shape, data in (("x", "<f4", (24, 1, 6, 6), struct.pack("<864f", *((i * 53 % 89) / 40 - 1 for i in range(864)))),
                                       ("y", "<i4", (24,), struct.pack("<24i", *(i % 4 for i in range(24))))):
            head = "{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (kind, shape)
            head += " " * (-(len(head) + 11) % 64) + "\n"
            z.writestr(key + ".npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + data)
    told = json.loads(octet("report", name, "--data", "npz:h.npz", "--out", "hd.html", "--json"))
    text, page = read("hd.html")
    classes = told["models"][0]["classes"]
    check("<img src=x onerror=alert(2)>" in classes and len(told["models"][0]["worst"]) > 0, f"classes: {classes}")
    check("onerror=alert(2)>" not in text and "onload=\"alert" not in text, "a class became markup")
    check("\\x1b[31m\\x01\\x7f\\xc2\\x85\\xe2\\x80\\xae \u00e4" in " ".join(page.texts), "bytes of a class are not shown as such")
    shown = " ".join(page.texts)
    for word in ["<script>alert(1)</script>\"'&", name]: check(word in shown, f"{word} is not shown")


with tempfile.TemporaryDirectory(prefix="octet-test-report-") as folder:
    os.chdir(folder)
    journey()
    answers()
    hostile()
    os.chdir("/")
print("report_page:", "all held" if not failures else f"{len(failures)} failed")
sys.exit(len(failures) > 0)
