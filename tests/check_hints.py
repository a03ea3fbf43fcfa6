# SPDX-License-Identifier: MIT
"""Words that name an option name one that is there: "octet CMD ... --option" in any text of the sources, an option of CMD; what a
file tools/cmd_CMD.c says without a command, one of that command; what else names an option, one of some command. And what
tools/c_words.def turns into words of the command stands in a message of the library. The library speaks to C programs: an option in its
texts stands behind the whole command that has it (what doctor and report print are commands).

usage: check_hints.py SOURCE-FOLDER
"""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
commands = dict(re.findall(r'^COMMAND\(([A-Z]+), "([a-z]+)"', (root / "tools/commands.def").read_text(), re.M))
options = {name: set() for name in commands.values()}
for option, of in re.findall(r'^OPT\([A-Z]+, \w+, "([^"]+)", [^,]+, [^,]+, [^,]+, "[^"]*", ([A-Z |&~]+),', (root / "tools/options.def").read_text(), re.M):
    lacks = re.findall(r"~([A-Z]+)", of)
    for bit, name in commands.items():
        if ("ALL" in of.split() and bit not in lacks) or bit in of.split(): options[name].add(option)
every = set().union(*options.values()) | {"man", "completion"}
files = {"quantize": ("ptq", "convert"), "train": ("train", "qat"), "export_c": ("export",), "weights": ("inspect",)}
quoted = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
faults, seen = [], 0
assert len(options) > 15 and len(every) > 60, "options.def was not understood"
for path in sorted(p for room in ("tools", "src", "qat", "autograd", "datasets", "ops") for kind in ("*.c", "*.def") for p in (root / room).rglob(kind)):
    if path.name in ("options.def", "page_style.c", "cli_completion.c", "cli_man.c", "sweep_run.c"): continue
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
    text = re.sub(r'"\s*\n\s*"', "", text)
    own = path.stem[4:] if path.stem.startswith("cmd_") and path.parent.name == "tools" else ""
    for literal in quoted.findall(text):
        of = files.get(own, (own,) if own in options else ())
        for word in re.finditer(r"\boctet ([a-z]+)\b|(?:^|[ (':])--([a-z][a-z-]+)", literal):
            if word[1]:
                if word[1] in options: of = (word[1],)
            else:
                seen += 1
                if path.parts[len(root.parts)] not in ("tools",) and path.parent.name not in ("doctor", "report") and not re.search(r"\boctet [a-z]+ [^:;,()]*$", literal[: word.start() + 1]):
                    faults.append(f"{path.relative_to(root)}: --{word[2]} is nothing of C (tools/c_words.def has the command's words): {literal}")
                known = set().union(*(options[c] for c in of)) if of else every
                if word[2] not in known: faults.append(f"{path.relative_to(root)}: no --{word[2]} of {', '.join(of) or 'any command'}: {literal}")
rows = re.findall(r'^C_WORD\("((?:[^"\\]|\\.)*)", "((?:[^"\\]|\\.)*)"\)', (root / "tools/c_words.def").read_text(), re.M)
said = "\n".join(re.sub(r'"\s*\n\s*"', "", p.read_text()) for room in ("src", "qat", "autograd", "datasets", "ops") for kind in ("*.[ch]", "*.def") for p in (root / room).rglob(kind))
faults += [f"tools/c_words.def: no message has {row[0]}" for row in rows if row[0] not in said]
assert len(rows) > 20, "c_words.def was not understood"
assert seen > 80, f"only {seen} options in words: the sources were not understood"
print("\n".join(faults) or f"{seen} options in words, each one of its command")
sys.exit(bool(faults))
