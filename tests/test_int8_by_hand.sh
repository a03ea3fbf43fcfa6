#!/bin/sh
# SPDX-License-Identifier: MIT
# The plan against an executor that shares no code with it (golden/run_int8.py), at every node of random nets.
# Usage: test_int8_by_hand.sh PATH-OF-test_exact. Skipped (exit 77) where Python has no NumPy.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
for python in python3 /usr/bin/python3 ''; do # the distribution's own Python has its packages, another one that comes first may not
    [ -z "$python" ] && echo "skipped: python3-numpy is not there" && exit 77
    "$python" -c 'import numpy' 2>/dev/null && break
done
dir=$(mktemp -d "${TMPDIR:-/tmp}/octet-by-hand-XXXXXX")
trap 'rm -rf "$dir"' EXIT
OCT_TEST_NETS=${OCT_TEST_NETS:-60} OCT_TEST_DUMP=$dir "$1" >"$dir/log" || { cat "$dir/log"; exit 1; }
"$python" "$here/golden/run_int8.py" "$dir"
