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

# walkthroughs: each prints what a reader of the notebook looks for
has() { # FILE PATTERN...: lines that must be there
    f=$1
    shift
    for p; do grep -q -- "$p" "$f" || say "$f: no line like '$p'"; done
}
for e in ptq_between_stubs lenet5_modes conv_by_hand weight_histogram kl_threshold distill_qat; do
    "$bin/$e" >$e.out 2>$e.err || say "$e: $(tail -1 $e.err)"
done
has ptq_between_stubs.out '(quant): Identity' '(conv): ConvReLU2d(3, 3, kernel_size=(1, 1)' 'without calibration: quant: no range was observed' \
    '(conv): QuantizedConvReLU2d(3, 3, kernel_size=(1, 1), stride=(1, 1), scale=0' '(dequant): DeQuantize()' '^float 0'
has lenet5_modes.out 'conv1.weight *float32' 'conv1.weight *float16' '(fc1): DynamicQuantizedLinearReLU(in_features=400, out_features=120' \
    '(conv2): QuantizedConvReLU2d(6, 16' '^=> half' '^=> dynamic' '^=> static' '^=> qat'
has conv_by_hand.out '^0 of 16384 output codes differ'
awk '/distinct as float/ { if ($4 != $2 || $8 >= $4) exit 1; n++ } END { exit n != 2 }' weight_histogram.out || say "weight_histogram: $(grep distinct weight_histogram.out)"
awk '/entropy clips/ { if ($6 < 1) exit 1; n++ } END { exit n != 1 }' kl_threshold.out || say "kl_threshold: $(tail -1 kl_threshold.out)"

has distill_qat.out '^float teacher: accuracy 0.9' 'step  150  labels 0[.0-9]*  distillation 0[.0-9]*  together 0'
awk '/^int8 model/ { if ($4 < 0.93 || $8 < 0.93) exit 1; n++ } END { exit n != 1 }' distill_qat.out || say "distill_qat: $(tail -1 distill_qat.out)"

if [ -x "$bin/classify_int8" ] && [ -s lenet.oct8 ]; then
    head -c 784 /dev/zero >black.u8
    "$bin/classify_int8" lenet.oct8 black.u8 >classify.out 2>&1 || say "classify_int8: $(cat classify.out)"
    grep -qE '[0-9]' classify.out || say "classify_int8: no class: $(cat classify.out)"
    head -c 100 lenet.oct8 >cut.oct8
    "$bin/classify_int8" cut.oct8 black.u8 >cut.out 2>&1 && say "classify_int8 took a cut file"
fi
[ $fails = 0 ] && echo "test_examples: all good"
exit $fails
