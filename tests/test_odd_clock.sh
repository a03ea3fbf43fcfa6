#!/bin/sh
# SPDX-License-Identifier: MIT
# `bench` under a clock that stands, or goes back: it says so and ends.
set -u
octet=$1 clock=$2 bad=0
err=$(mktemp)
trap 'rm -f "$err"' EXIT
for how in still back; do
    ODD_CLOCK=$how LD_PRELOAD=$clock timeout 60 "$octet" bench --workload lenet --mode infer-int8 --batch 1 >/dev/null 2>"$err"
    rc=$?
    [ $rc != 0 ] && [ $rc -lt 8 ] && grep -q 'clock does not go forward' "$err" || { echo "a clock that goes $how: exit $rc: $(tail -1 "$err")"; bad=1; }
done
exit $bad
