#!/bin/sh
# SPDX-License-Identifier: MIT
# docs/design.md says where things are: each file of its table and of its two ways is there, and defines the functions that the
# row or the line names beside it. Usage: check_where.sh (from anywhere).
set -u
cd "$(dirname "$0")/.." || exit 1
awk '
/^## /          { inside = /^## [45][.]/ }
!inside         { next }
/^\| [a-zA-Z]/  { n = split($0, part, "|"); names(part[4]); files = ""; names_of(part[3]); next }
/^[0-9]+[.] |^   / { along($0) }
function names_of(text) { files = ""; while (match(text, /`[^`]*`/)) { files = files " " substr(text, RSTART + 1, RLENGTH - 2); text = substr(text, RSTART + RLENGTH) }
                          for (i = 1; i <= count; i++) print wanted[i] files; if (!count) print "-" files }
function names(text) { count = 0; while (match(text, /`[^`]*`/)) { wanted[++count] = substr(text, RSTART + 1, RLENGTH - 2); text = substr(text, RSTART + RLENGTH) } }
function along(text, word) { while (match(text, /`[^`]*`/)) { word = substr(text, RSTART + 1, RLENGTH - 2); text = substr(text, RSTART + RLENGTH)
                          if (word ~ /\//) { file = word; print "- " file } else if (word ~ /^[a-z_0-9]+$/ && file != "") print word " " file } }
' docs/design.md >"${TMPDIR:-/tmp}/octet-where.$$"
trap 'rm -f "${TMPDIR:-/tmp}/octet-where.$$"' EXIT
bad=0 held=0
while read -r name files; do
    case $name in question | ---*) continue ;; esac
    for f in $files; do [ -f "$f" ] || { echo "check_where: docs/design.md: no file $f"; bad=1; }; done
    [ "$name" = - ] && continue
    held=$((held + 1))
    # shellcheck disable=SC2086
    grep -qE "^[a-z][a-z0-9_ ]*[ *]$name\\(" $files 2>/dev/null || { echo "check_where: docs/design.md: $name is not in $files"; bad=1; }
done <"${TMPDIR:-/tmp}/octet-where.$$"
[ $held -ge 60 ] || { echo "check_where: only $held functions were found in docs/design.md"; bad=1; }
[ $bad = 0 ] && echo "check_where: $held functions are where docs/design.md says"
exit $bad
