# SPDX-License-Identifier: MIT
"""Of report_page.py and page_size.py: reads a page, complains of all that a page may not have, and holds its tables against JSON."""
import html.parser
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

OCTET, HOSTILE, failures = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), []
VOID = {"meta", "br"}
TAGS = set("""html head meta title style body h1 h2 h3 p nav ul li a section dl div dt dd table thead tbody tr th td span i pre
figure figcaption svg path text circle rect image use br""".split())


def check(ok, what):
    if ok: return
    failures.append(what)
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
        for key, exact, shown in re.findall(r' data-(clip|clip_loss)="([^"]+)">([^<]*)<', text):
            check(abs(float(shown) - float(exact)) <= 0.01 * float(exact), f"{name}: {key} {exact} is shown as {shown}")
        for link in self.links: check(link[1:] in self.ids, f"{name}: {link} leads nowhere")

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        check(tag in TAGS, f"{self.name}: <{tag}>")
        check(len(a) == len(attrs), f"{self.name}: <{tag}>: an attribute twice")
        for key, value in attrs:
            check(not key.startswith("on"), f"{self.name}: <{tag} {key}>")
            check(re.fullmatch(r"[a-zA-Z][-a-zA-Z0-9_]*", key), f"{self.name}: attribute {key!r}")
            if key == "href" and tag == "image": check(value.startswith("data:image/png;base64,"), f"{self.name}: href {value[:40]}")
            elif key == "href":
                check(value.startswith("#"), f"{self.name}: href {value}")
                self.links.append(value)
            check(key != "src", f"{self.name}: src {value}")
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


# ---- plots ----
def numbers(text): return [float(x) if x else None for x in text.split(",")]


def plots(page, name):
    """The series of each plot of that name, by their keys: a list of attributes, in the page's order."""
    out, here = [], None
    for tag, a in page.marks:
        if tag == "figure":
            here = {} if a.get("data-plot") == name else None
            if here is not None: out.append(here)
        elif here is not None and "data-series" in a: here.setdefault(a["data-series"], []).append(a)
    return out


def together(list, by, of): return [of(list[k:k + by]) for k in range(0, len(list), by)]


def hold_bins(shown, told, what, most=0):
    """Each bin is one of the JSON, or (most: the bins that a page may draw) so many neighbours of them added up."""
    for key in ("float", "code"):
        check((key in shown) == (key in told), f"{what}: {key}")
        if key not in shown: continue
        a, by = shown[key][0], -(-len(told[key]) // most) if most and len(told[key]) > most else 1
        same(a["data-lo"], told["lo"], what)
        same(a["data-width"], told["width"] * by, what)
        check(numbers(a["data-y"]) == together(told[key], by, sum), f"{what}: counts of {key}")


def hold_ranges(shown, t, what, most=0):
    """Bars of channels: from the least to the largest of so many neighbours, five digits of each."""
    a, by = shown["range"][0], -(-len(t["lo"]) // most) if most and len(t["lo"]) > most else 1
    check(int(a["data-by"]) == by, f"{what}: {a['data-by']} channels a bar, not {by}")
    for key, of in (("lo", min), ("hi", max)): check(a["data-" + key] == ",".join("%.5g" % v for v in together(t[key], by, of)), f"{what}: ranges")
    ends = t["reach"] if t["reach"][0] is not None else None
    check(("reach" in shown) == (ends is not None), f"{what}: ends of grids")
    if ends: check(shown["reach"][0]["data-y"] == ",".join("%.5g" % v for v in together(ends, by, max)), f"{what}: ends of grids")
