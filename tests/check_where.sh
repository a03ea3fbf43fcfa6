#!/bin/sh
# SPDX-License-Identifier: MIT
# The pages that say where things are, held against the sources: the table and the two ways of docs/design.md, and "Who does what" in
# every room's README. A file that a row names is there, and defines each function of the row's last column. What the row's text calls
# by a function's name is defined there too, or in a file that the text names (a name with oct in front: anywhere). No source file of a
# room is left out of its list. A way enters no room twice. Usage: check_where.sh (from anywhere).
set -u
cd "$(dirname "$0")/.." || exit 1
rooms='src src/format ops ops/kernels datasets autograd tools tests qat'
for r in net scales rules step passes improve int8 infer fit io report doctor; do rooms="$rooms qat/$r"; done
pages='docs/design.md'
for r in $rooms; do pages="$pages $r/README.md"; done
sources=$(find src ops datasets autograd qat tools tests -type f ! -path '*/mutations/*' ! -path '*/__pycache__/*' \
    \( -name '*.[ch]' -o -name '*.def' -o -name '*.py' -o -name '*.sh' -o -path 'tools/*' ! -name '*.md' \))
# shellcheck disable=SC2086
awk -v rooms="$rooms" '
function bad(text) { print "check_where: " text; failed = 1 }
function words(text, list,   n) {
    for (n = 0; match(text, /`[^`]*`/); text = substr(text, RSTART + RLENGTH)) list[++n] = substr(text, RSTART + 1, RLENGTH - 2)
    return n
}
function defines(file, name) { seen[file, name] = 1; known[name] = 1 }
function must_define(page, name, files, n,   i) {
    held++
    for (i = 1; i <= n; i++) if ((files[i], name) in seen) return
    bad(page ": " name " is not defined in " files[1] (n > 1 ? " or what stands beside it" : ""))
}
function must_be(page, file) {
    if (file in there) return 1
    bad(page ": no file " file)
    return 0
}

function room_of(file) {
    sub(/\/[^\/]*$/, "", file)
    if (file ~ /^(ops\/kernels|autograd|src)\//) sub(/^ops\/kernels\/.*/, "ops/kernels", file) || sub(/\/.*/, "", file)
    return file
}
function enter(room) { # the ground floor may be entered from everywhere
    if (room == "src" || room == here) return
    if (here != "") bad("docs/design.md: line " FNR " of a way leaves " here " for " room)
    if (room in entered) bad("docs/design.md: line " FNR ": a way enters " room " twice")
    entered[here = room] = 1
    lines++
}

# the sources: who defines what. A function of C begins in the first column, and has its body before any semicolon.
FILENAME ~ /\.[ch]$/ && !in_pages { if (FNR == 1) { there[FILENAME] = 1; open = "" }
    if (/^[A-Za-z_]/) {
        text = $0
        while (sub(/__attribute__ *\(\([^()]*(\([^()]*\))?[^()]*\)\) */, "", text)) ;
        open = match(text, /[A-Za-z_0-9]+\(/) ? substr(text, RSTART, RLENGTH - 1) : ""
        if (text ~ /^START_TEST\(/) { sub(/^START_TEST\(/, "", text); sub(/\).*/, "", text); open = text }
    } else if (/^#define OCTK_[A-Z]+ octk_/) { defines(FILENAME, $3); open = "" }
    if (open != "" && /[{;]/) {
        if (match($0, /[{;]/) && substr($0, RSTART, 1) == "{") defines(FILENAME, open)
        open = ""
    }
    next
}
!in_pages       { if (FNR == 1) there[FILENAME] = 1
    if (match($0, /^[a-z_0-9]+\(\)/)) defines(FILENAME, substr($0, 1, RLENGTH - 2))
    else if (match($0, /^def [a-z_0-9]+/)) defines(FILENAME, substr($0, 5, RLENGTH - 4))
    next
}

# the pages
FNR == 1        { folder = FILENAME; sub(/[^\/]*$/, "", folder); design = FILENAME == "docs/design.md"; inside = 0; along = "" }
/^## /          { inside = design ? /^## [45][.]/ : /^## Who does what/; next }
!inside         { next }
/^\|/           {
    if (/^\|---/ || /^\| (question|file) \|/) next
    split($0, part, "|")
    delete files
    nf = words(part[design ? 3 : 2], files)
    ok = nf > 0
    for (i = 1; i <= nf; i++) {
        if (!design) files[i] = folder files[i]
        ok = must_be(FILENAME, files[i]) && ok
        listed[files[i]] = 1
    }
    delete names
    n = words(part[4], names)
    for (i = 1; ok && i <= n; i++) must_define(FILENAME, names[i], files, nf)
    delete names
    n = words(part[design ? 2 : 3], names)
    for (i = 1; ok && i <= n; i++) {
        if (names[i] ~ /^[a-z].*\.(c|h|def)$/) { # a file that the text speaks of
            files[++nf] = names[i] ~ /\// || design ? names[i] : folder names[i]
            must_be(FILENAME, files[nf])
        }
    }
    for (i = 1; ok && i <= n; i++)
        if (names[i] ~ /^oct[a-z0-9]*_[a-z_0-9]+$/) { if (!(names[i] in known)) bad(FILENAME ": " names[i] " is defined nowhere") }
        else if (names[i] ~ /^[a-z0-9]+_[a-z_0-9]+$/) must_define(FILENAME, names[i], files, nf)
    next
}
design && /^\*\*/    { split("", entered); here = "" } # a way begins
design && /^([0-9]+\.|  )/ { # a line of a way, of one room: file, then its functions
    if (/^[0-9]/) here = ""
    delete names
    n = words($0, names)
    for (i = 1; i <= n; i++)
        if (names[i] ~ /\/.*[.]/) { along = must_be(FILENAME, names[i]) ? names[i] : ""; enter(room_of(names[i])) }
        else if (along != "" && names[i] ~ /^[a-z_0-9]+$/) { files[1] = along; must_define(FILENAME, names[i], files, 1) }
}
END {
    split(rooms, room, " ")
    for (i in room) is_room[room[i]] = 1
    for (f in there) {
        d = f
        sub(/\/[^\/]*$/, "", d)
        if (d ~ /^ops\/kernels\//) d = "ops/kernels"
        if (d ~ /^autograd\//) d = "autograd"
        if (d in is_room && f ~ /\.c$/ && f !~ /^tests\/test_/ && !(f in listed)) bad(d "/README.md: " f " is missing in its list")
    }
    if (lines < 17) bad("docs/design.md: the ways have " lines " rooms only")
    if (held < 1500) bad("only " held " functions were found in the pages")
    if (!failed) print "check_where: " held " functions are where the pages say"
    exit failed
}' $sources in_pages=1 $pages
