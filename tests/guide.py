#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the guide as a reader would: in an empty folder per page, each ```c block is saved under the name in its first line, each
```sh block is run, and a ```text block right behind holds what it prints, numbers aside ("..." stands for any lines).

usage: guide.py BUILD_DIR PAGE..."""
import os, re, subprocess, sys, tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def blocks(page):
    for m in re.finditer(r"^```(\w+)\n(.*?)^```$", open(page).read(), re.M | re.S):
        yield m.group(1), m.group(2)


def shape(line):
    """A line without its numbers: those may differ between machines."""
    return re.sub(r"\s+", " ", re.sub(r"-?\d+(\.\d+)?(e-?\d+)?", "#", line)).strip()


def prints(expected, got):
    """Whether the lines of `got` are those of `expected`, where "..." stands for any number of them."""
    want = [shape(l) for l in expected.strip().split("\n")]
    have = [shape(l) for l in got.strip().split("\n")]
    pattern = "".join(r"(?:[^\n]*\n)*?" if w == "..." else re.escape(w) + "\n" for w in want)
    return re.fullmatch(pattern, "\n".join(have) + "\n") is not None


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
    # the check itself: other words are told, other numbers and left out lines are not
    assert prints("a 1\n...\nc 2.5e-07", "a 7\nb\nb\nc 0.1\n") and not prints("a 1\nc 2", "a 1\nb\nc 2\n")
    assert not prints("a 1\n...", "b 1\n")
    for w in wrong:
        print(w)
    return 1 if wrong else 0


sys.exit(main())
