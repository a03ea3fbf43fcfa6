# SPDX-License-Identifier: MIT
"""octet report of several large nets: the page stays below 2 MB, however many they are, and what it draws more coarsely it says;
its numbers are still those of the JSON, and no table lacks a row.

usage: page_size.py PATH-OF-octet PATH-OF-wide_run
"""
import json
import os
import re
import subprocess
import sys
import tempfile

from page_reader import HOSTILE as WIDE, failures, check, hold_bins, hold_ranges, octet, plots, read, rows_of

MB = 2e6


def models(name, count, channels, layers):
    made = [f"{name}{k}" for k in range(count)]
    for k, run in enumerate(made): subprocess.run([WIDE, run, str(channels), str(layers), str(k + 1)], check=True)
    return made


def report(runs):
    told = json.loads(octet("report", *runs, "--out", "page.html", "--json", "--quiet"))
    text, page = read("page.html") # which holds its size, too
    return told["models"], text, page


def note_of(text): return re.search(r"<p class=\"note\" data-detail>(.*?)</p>", text, re.S)


def hold(told, page, whole, bars, bins, drawn=None):
    """Bars, bins and rows of the models that are told whole; drawn: the layers of each whose plots there are."""
    table = rows_of(page, "weights")
    ways = [plots(page, n) for n in ("weights", "weight_steps", "weight_ranges")]
    told = [w for m in told[:whole] for w in m["weights"]]
    check([r["layer"] for r in table] == [w["layer"] for w in told], f"{len(table)} rows of weights for {len(told)}")
    for r, w in zip(table, told): check(int(r["count"]) == w["count"], f"weights of {w['layer']}")
    if drawn is not None: told = [w for w in told if w["layer"] in drawn]
    check([len(x) for x in ways] == [len(told)] * 3, f"{[len(x) for x in ways]} plots for {len(told)}")
    for w, all, steps, ranges in zip(told, *ways):
        hold_bins(all, w["whole"], f"weights of {w['layer']}", bins)
        hold_bins(steps, w["steps"], f"steps of {w['layer']}")
        hold_ranges(ranges, w, f"ranges of {w['layer']}", bars)
        for key in ("float", "code"): check(sum(w["whole"][key]) == w["count"], f"{w['layer']}: weights without a bin")


def main():
    # one: all of it, as fine as it is
    runs = models("w", 3, 512, 24)
    told, text, page = report(runs[:1])
    check(not note_of(text), "a page of one model is drawn coarsely")
    hold(told, page, 1, 0, 0)
    one = len(text)
    check(3 * one > MB, f"the test's nets are too small: {one} bytes")
    # three: none is left out, channels share bars
    told, text, page = report(runs)
    note = note_of(text)
    check(note and "as many as 4 in a bar" in note[1] and "histograms of at most 200 bins" in note[1], f"note: {note and note[1]}")
    hold(told, page, 3, 150, 200)
    check("from the least to the largest weight of 4 channels" in " ".join(page.texts), "a bar does not say what it shows")
    # a dozen deep ones: the first are told whole
    runs = models("d", 4, 8, 100)
    told, text, page = report(runs + 8 * models("t", 1, 8, 1))
    note = note_of(text)
    check(note and "octet report --json tells all numbers" in note[1], f"note: {note and note[1]}")
    check(len(rows_of(page, "rows")) >= 12, "rows of a dozen")
    check(len(told) == 12 and len([m for m in told if "weights" in m]) == 4, "JSON of a dozen")
    drawn = int(re.search(r"plots of (\d+) layers", note[1])[1])
    check(16 <= drawn < 100, f"plots of {drawn} layers")
    check(0 < len(plots(page, "weights")) <= 4 * drawn, "plots of other layers")
    hold(told, page, 4, 50, 50, shown(page))


def shown(page):
    """Layers that have a plot, by its caption."""
    return {t[:-len(": ranges")] for t in page.texts if t.endswith(": ranges")}


with tempfile.TemporaryDirectory(prefix="octet-test-size-") as folder:
    os.chdir(folder)
    main()
    os.chdir("/")
print("page_size:", "all held" if not failures else f"{len(failures)} failed")
sys.exit(len(failures) > 0)
