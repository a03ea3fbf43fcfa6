#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs every example in a folder of its own and looks for what its reader would look for. Usage: test_examples.sh DIR-OF-examples
set -u
bin=$(realpath "$1")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fails=0
say() { echo "test_examples: $*"; fails=$((fails + 1)); }

"$bin/lenet_mnist" >lenet.out 2>&1 || say "lenet_mnist: $(tail -1 lenet.out)"
grep -q '^qat epoch 1: loss 0' lenet.out || say "lenet_mnist: no QAT epoch: $(cat lenet.out)"
# simulated and int8 accuracy are the same number
awk '/simulated/ { if ($4 != $6 || $6 < 0.95) exit 1; found = 1 } END { exit !found }' lenet.out || say "lenet_mnist: $(tail -1 lenet.out)"
[ -s lenet.oct8 ] || say "lenet_mnist: no int8 file"

"$bin/own_net" synth-shapes 60 >own.out 2>&1 || say "own_net: $(tail -1 own.out)"
awk -F'[ ,]+' '/^accuracy/ { if ($5 != $7) exit 1; found = 1 } END { exit !found }' own.out || say "own_net: $(tail -1 own.out)"

if [ -x "$bin/classify_int8" ] && [ -s lenet.oct8 ]; then
    head -c 784 /dev/zero >black.u8
    "$bin/classify_int8" lenet.oct8 black.u8 >classify.out 2>&1 || say "classify_int8: $(cat classify.out)"
    grep -qE '[0-9]' classify.out || say "classify_int8: no class: $(cat classify.out)"
    head -c 100 lenet.oct8 >cut.oct8
    "$bin/classify_int8" cut.oct8 black.u8 >cut.out 2>&1 && say "classify_int8 took a cut file"
fi
[ $fails = 0 ] && echo "test_examples: all good"
exit $fails
