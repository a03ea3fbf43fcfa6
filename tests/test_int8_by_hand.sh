#!/bin/sh
# SPDX-License-Identifier: MIT
# The plan against an executor that shares no code with it (golden/run_int8.py), at every node of random nets.
# Usage: test_int8_by_hand.sh PATH-OF-test_exact. Skipped (exit 77) where Python has no NumPy.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
"$here/with_numpy.sh" -c ''
dir=$(mktemp -d "${TMPDIR:-/tmp}/octet-by-hand-XXXXXX")
trap 'rm -rf "$dir"' EXIT
OCT_TEST_NETS=${OCT_TEST_NETS:-60} OCT_TEST_DUMP=$dir "$1" >"$dir/log" || { cat "$dir/log"; exit 1; }
"$here/with_numpy.sh" "$here/golden/run_int8.py" "$dir"
