# SPDX-License-Identifier: MIT
"""octet report: the page's numbers are those of the files and of the other commands; it is well formed, runs nothing, loads
nothing, whatever names a run has; its colours can be read.

usage: report_page.py PATH-OF-octet PATH-OF-hostile_run
"""
import html.parser
import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET

OCTET, HOSTILE, failures = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), 0
VOID = {"meta", "img", "br"}
TAGS = set("""html head meta title style body h1 h2 h3 p nav ul li a section dl div dt dd table thead tbody tr th td span i pre
figure figcaption img svg path text circle rect br""".split())


def check(ok, what):
    global failures
    if ok: return
    failures += 1
    print("FAIL:", what, flush=True)


def octet(*words, code=0):
    p = subprocess.run([OCTET, *words], capture_output=True, text=True, errors="replace")
    check(p.returncode == code, f"octet {' '.join(words)}: exit code {p.returncode}: {p.stderr}")
    return p.stdout


def said(*words): return json.loads(octet(*words, "--json", "--quiet"))


def same(shown, told, what):
    """A data attribute's text (None: it is not there) and a JSON number (None: null)."""
    ok = (shown is None or shown == "") if told is None else shown not in (None, "") and abs(float(shown) - told) <= 1e-8 * abs(told) + 1e-12
    check(ok, f"{what}: the page says {shown}, the JSON {told}")


class Page(html.parser.HTMLParser):
    """What is in a page; complains of all that a page may not have."""

    def __init__(self, name, text):
        super().__init__(convert_charrefs=True)
        self.name, self.open, self.marks, self.texts, self.ids, self.links = name, [], [], [], set(), []
        self.feed(text)
        self.close()
        check(not self.open, f"{name}: not closed: {self.open}")
        for link in self.links: check(link[1:] in self.ids, f"{name}: {link} leads nowhere")

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        check(tag in TAGS, f"{self.name}: <{tag}>")
        check(len(a) == len(attrs), f"{self.name}: <{tag}>: an attribute twice")
        for key, value in attrs:
            check(not key.startswith("on"), f"{self.name}: <{tag} {key}>")
            check(re.fullmatch(r"[a-zA-Z][-a-zA-Z0-9_]*", key), f"{self.name}: attribute {key!r}")
            if key == "href":
                check(value.startswith("#"), f"{self.name}: href {value}")
                self.links.append(value)
            if key == "src": check(value.startswith("data:image/png;base64,"), f"{self.name}: src {value[:40]}")
            if key == "style": check(re.fullmatch(r"width:[0-9.]+%", value), f"{self.name}: style {value}")
            if key == "id":
                check(value not in self.ids, f"{self.name}: id {value} twice")
                self.ids.add(value)
        self.marks.append((tag, a))
        if tag not in VOID: self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID: self.open.pop()

    def handle_endtag(self, tag):
        check(self.open and self.open[-1] == tag, f"{self.name}: </{tag}> in {self.open[-3:]}")
        if self.open: self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] != "style": self.texts.append(data)

    def all(self, key): return [a for _, a in self.marks if key in a]


def read(path):
    with open(path, encoding="utf-8") as f: text = f.read()
    check(len(text.encode()) < 2e6, f"{path}: {len(text.encode())} bytes")
    check(text.startswith("<!DOCTYPE html>"), f"{path}: no doctype")
    check("default-src 'none'" in text, f"{path}: no policy")
    for bad in ("url(", "@import", "http:", "https:", "javascript:"):
        check(bad not in text.replace("http://www.w3.org/2000/svg", ""), f"{path}: has {bad}")
    check(not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text), f"{path}: control characters")
    for svg in re.findall(r"<svg.*?</svg>", text, re.S):
        try: ET.fromstring(svg)
        except ET.ParseError as e: check(False, f"{path}: SVG: {e}: {svg[:200]}")
    return text, Page(path, text)


def rows_of(page, table):
    """The data attributes of each row of the tables of that name."""
    out, row, inside = [], None, False
    for tag, a in page.marks:
        if tag == "table": inside = a.get("data-table") == table
        if not inside: continue
        if tag == "tr":
            row = {}
            out.append(row)
        elif row is not None:
            row.update({k[5:].replace("-", "_"): v for k, v in a.items() if k.startswith("data-") and k != "data-label"})
    return [r for r in out if r]


def hold_table(page, table, told, what):
    shown = rows_of(page, table)
    check(len(shown) == len(told), f"{what}: {len(shown)} rows for {len(told)}")
    for s, t in zip(shown, told):
        for key, value in t.items():
            if isinstance(value, str): check(s.get(key) == value, f"{what}: {key}: {s.get(key)!r} for {value!r}")
            else: same(s.get(key), value, f"{what}: {key}")


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
        for ground in ("bg", "card"):
            for text in ["fg"] + [k for k in c if k.startswith("text-")]:
                check(contrast(c[text], c[ground]) >= 4.5, f"{name}: {text} on {ground}: {contrast(c[text], c[ground]):.2f}")
            for drawn in [k for k in c if re.fullmatch(r"s[0-9]", k)]:
                check(contrast(c[drawn], c[ground]) >= 3, f"{name}: {drawn} on {ground}: {contrast(c[drawn], c[ground]):.2f}")


def journey():
    d = ("--data", "synth-digits", "--limit", "160", "--quiet")
    octet("train", "--model", "lenet", *d, "--epochs", "2", "--out", "f")
    octet("qat", "f", *d, "--epochs", "2", "--wbits", "4", "--abits", "4", "--oscillation", "measure", "--out", "q")
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
        for key in ("bits", "scale", "zero_point", "sqnr_local", "sqnr_cum", "clip", "clip_loss", "dead", "channels"):
            same(a[key], b[key], f"layers: {b['name']}: {key}")
        if b["scale"] is not None:
            same(a["hi"] - a["lo"], b["scale"] * (2 ** b["bits"] - 1), f"{b['name']}: range") if abs((a["hi"] - a["lo"]) / (b["scale"] * (2 ** b["bits"] - 1)) - 1) > 1e-5 else None
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
    check(ways == [("f", "float"), ("f", "half"), ("f", "dynamic"), ("f", "weight-only"), ("q", "QAT ema w4 a4"), ("e", "PTQ entropy w8 a8"), ("e.oct8", "int8")], f"rows: {ways}")
    check(told["rows"][5]["accuracy"] == told["rows"][6]["accuracy"], "a run and its file score differently")
    hold_table(page, "layers", [x for m in told["models"] for x in m["layers"]], "layers of four")
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
    shown = " ".join(page.texts)
    for word in ["<script>alert(1)</script>\"'&", name]: check(word in shown, f"{word} is not shown")


with tempfile.TemporaryDirectory(prefix="octet-test-report-") as folder:
    os.chdir(folder)
    journey()
    hostile()
    os.chdir("/")
print("report_page:", "all held" if not failures else f"{failures} failed")
sys.exit(failures > 0)
