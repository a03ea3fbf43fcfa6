#!/bin/sh
# SPDX-License-Identifier: MIT
# What octet demo says of each kind is what the commands say that make it one by one, on the same images by the same seed.
# Usage: test_demo.sh PATH-OF-octet
set -u
octet=$(realpath "$1")
dir=$(mktemp -d /tmp/octet-test-demo-XXXXXX)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fails=0
say() { echo "test_demo: $*"; fails=$((fails + 1)); }
does() { "$octet" "$@" --quiet >.out 2>.err </dev/null || say "octet $*: exit $?: $(head -c 600 .out .err)"; }
number() { sed -n "s/.*\"$1\":\([^,}]*\).*/\1/p" "$2" | head -1; } # KEY FILE
same() { # KEY-OF-demo VALUE
    [ -n "$2" ] && [ "$(number "$1" .demo)" = "$2" ] || say "demo has $1 $(number "$1" .demo), the commands '$2'"
}
data="--data synth-digits --limit 500"
does demo --limit 500 --json
cp .out .demo
does train --model lenet $data --epochs 3 --out f32
does ptq f32 $data --out ptq
does qat ptq $data --epochs 1 --out qat
does convert qat --data synth-digits -o qat.oct8
for kind in fp32:f32 ptq:ptq qat:qat int8:qat.oct8; do
    does eval "${kind#*:}" $data --json
    same "${kind%:*}_accuracy" "$(number accuracy .out)"
done
does compare f32 ptq qat $data --json
tr '{' '\n' <.out >.rows
for row in fp32:fp32 half:half dynamic:dynamic weight_only:weight-only ptq:PTQ int8:QAT; do
    key=${row%:*}
    grep "\"[by ]*${row#*:}\"" .rows >.row
    same "${key}_accuracy" "$(number accuracy .row)"
    same "${key}_bytes" "$(number bytes .row)"
done
[ "$(number fp32_bytes .demo)" -gt $((3 * $(number ptq_bytes .demo))) ] || say "PTQ is not told from fp32"
exit $((fails > 0))
