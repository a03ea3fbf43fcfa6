#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the guide as a reader would: in an empty folder per page, each ```c block is saved under the name in its first line, each
```sh block is run, and a ```text block right behind holds what it prints ("..." stands for any lines): words and whole numbers as they
are, other numbers nearly (float training differs in its last bits between instruction sets), times and speeds not at all.

usage: guide.py BUILD_DIR PAGE..."""
import os, re, subprocess, sys, tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def blocks(page):
    for m in re.finditer(r"^```(\w+)\n(.*?)^```$", open(page).read(), re.M | re.S):
        yield m.group(1), m.group(2)


NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
POINTS = re.compile(r"[\d.]+(?= points)")
OF_HOST = re.compile(r"[\d.]+ ?(?=(?:img/s|us|ms|s|min|MiB|GB/s)\b)")


def parts(line):
    """A line's words with # for its numbers, and the numbers; times and speeds are the machine's, points are hundredths."""
    line = POINTS.sub(lambda m: f"{float(m.group()) / 100:.4f}", OF_HOST.sub("@ ", line))
    return re.sub(r"\s+", " ", NUMBER.sub("#", line)).strip(), NUMBER.findall(line)


def near(want, have):
    """Whole numbers are equal; others as near as seeded trainings on two instruction sets are: accuracies within 0.03."""
    if "." not in want and "e" not in want:
        return want == have
    return abs(float(want) - float(have)) <= max(0.03, 0.25 * abs(float(want)) if abs(float(want)) > 1 else 0)


def same(want, have):
    (w, numbers), (h, got) = parts(want), parts(have)
    return w == h and all(near(a, b) for a, b in zip(numbers, got))


def prints(expected, got):
    """Whether the lines of `got` are those of `expected`, where "..." stands for any number of them."""
    want, have = expected.strip().split("\n"), got.strip().split("\n")

    def fits(i, k):
        if i == len(want):
            return k == len(have)
        if want[i] == "...":
            return any(fits(i + 1, at) for at in range(k, len(have) + 1))
        return k < len(have) and same(want[i], have[k]) and fits(i + 1, k + 1)

    return fits(0, 0)


def environment(build, place):
    """octet in PATH, and a pkg-config that knows this build."""
    os.makedirs(f"{place}/bin")
    os.makedirs(f"{place}/include")
    os.symlink(f"{build}/octet", f"{place}/bin/octet")
    sanitize = re.search(r"^OCT_SANITIZE:STRING=(.+)$", open(f"{build}/CMakeCache.txt").read(), re.M)
    extra = f" -fsanitize={sanitize.group(1)}" if sanitize else ""
    for name in ("octet", "octet_infer"):
        with open(f"{place}/include/{name}.h", "w") as f:
            f.write(f'#include "{ROOT}/{name}.h"\n')
        with open(f"{place}/{name}.pc", "w") as f:
            f.write(f"Name: {name}\nDescription: {name}\nVersion: 0\n"
                    f"Cflags: -I{place}/include -std=gnu11 -Wall -Wextra -Werror\n"
                    f"Libs: -L{build} -l{name} -lm -Wl,-rpath,{build}{extra}\n")
    return dict(os.environ, PATH=f"{place}/bin:{os.environ['PATH']}", PKG_CONFIG_PATH=place, NO_COLOR="1")


def run_page(page, build):
    wrong, printed, ran = [], None, 0
    with tempfile.TemporaryDirectory(prefix="octet-guide-") as place:
        env = environment(build, place)
        work = f"{place}/work"
        os.mkdir(work)
        for kind, text in blocks(page):
            if kind == "c":
                name = re.match(r"/\* (\w+\.c)\b", text)
                if not name:
                    wrong.append(f"a program without its name: {text.splitlines()[0]}")
                    continue
                with open(f"{work}/{name.group(1)}", "w") as f:
                    f.write(text)
            elif kind == "sh":
                r = subprocess.run(["sh", "-ec", text], cwd=work, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                printed, ran = r.stdout, ran + 1
                if r.returncode:
                    wrong.append(f"exit {r.returncode}: {text}{r.stdout[-500:]}{r.stderr[-1500:]}")
            elif kind == "text" and (printed is None or not prints(text, printed)):
                wrong.append(f"printed:\n{printed}\nthe page says:\n{text}")
    if not ran:
        wrong.append("no command at all")
    return [f"{os.path.basename(page)}: {w}" for w in wrong]


def main():
    wrong = [w for page in sys.argv[2:] for w in run_page(page, os.path.abspath(sys.argv[1]))]
    # the check itself: other words and numbers are told; left out lines, times and what instruction sets differ by are not
    assert prints("a 1\n...\nc 2.5e-07", "a 1\nb\nb\nc 2.6e-07\n") and not prints("a 1\nc 2", "a 1\nb\nc 2\n")
    assert not prints("a 1\n...", "b 1\n") and not prints("class 7", "class 1") and not prints("float 0.970", "float 0.915")
    assert prints("int8 0.968  5118 img/s", "int8 0.974  12 img/s") and prints("0 of 5 codes, 1.9 ms", "0 of 5 codes, 0.2 ms")
    assert not prints("0 of 5 codes", "1 of 5 codes")
    for w in wrong:
        print(w)
    return 1 if wrong else 0


sys.exit(main())
