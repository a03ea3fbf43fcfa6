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
awk '/simulated/ { if ($4 != $6 || $6 < 0.96) exit 1; found = 1 } END { exit !found }' lenet.out || say "lenet_mnist: $(tail -1 lenet.out)"
[ -s lenet.oct8 ] || say "lenet_mnist: no int8 file"

"$bin/own_net" >own.out 2>&1 || say "own_net: $(tail -1 own.out)"
awk -F'[ ,]+' '/^accuracy/ { if ($5 != $7 || $3 < 0.9 || $7 < 0.9) exit 1; found = 1 } END { exit !found }' own.out || say "own_net: $(tail -1 own.out)"

# walkthroughs: each prints what a reader of the notebook looks for
has() { # FILE PATTERN...: lines that must be there
    f=$1
    shift
    for p; do grep -q -- "$p" "$f" || say "$f: no line like '$p'"; done
}
for e in ptq_between_stubs residual_eager lenet5_modes conv_by_hand weight_histogram kl_threshold own_observer distill_qat lstm_rows resnet18_histogram; do
    "$bin/$e" >$e.out 2>$e.err || say "$e: $(tail -1 $e.err)"
done
has ptq_between_stubs.out '(quant): QuantStub()' '(dequant): DeQuantStub()' '(conv): ConvReLU2d(1, 3, kernel_size=(1, 1)' 'without calibration: quant: no range was observed' \
    '(conv): QuantizedConvReLU2d(1, 3, kernel_size=(1, 1), stride=(1, 1), scale=0' '(dequant): DeQuantize()' '^float 0'
has residual_eager.out '(skip_add): QFunctional(scale=0' '(skip_add): FloatFunctional(add_relu)' '(conv1): QuantizedConvReLU2d(16, 16' '(quant): Quantize(scale=' '^run in residual: octet inspect residual'
awk '/^float .* int8/ { if ($6 != $8 || $8 < 0.7) exit 1; n++ } END { exit n != 1 }' residual_eager.out || say "residual_eager: $(grep '^float' residual_eager.out)"
[ -s residual/model.safetensors ] || say "residual_eager leaves no run"
has lenet5_modes.out 'conv1.weight *float32 *\[6, 1, 5, 5\]' 'conv1.weight *float16 *\[6, 1, 5, 5\]' '(fc1): DynamicQuantizedLinearReLU(in_features=400, out_features=120' \
    '(conv2): QuantizedConvReLU2d(6, 16' '^=> half' '^=> dynamic' '^=> static' '^=> qat'
# every one has learned something, in every form
awk '/^=>/ { if ($4 < 0.93) exit 1; n++ } END { exit n != 5 }' lenet5_modes.out || say "lenet5_modes: $(grep '^=>' lenet5_modes.out)"
awk '/^float 0/ { if ($2 < 0.7 || $4 < 0.7) exit 1; n++ } END { exit n != 1 }' ptq_between_stubs.out || say "ptq_between_stubs: $(tail -1 ptq_between_stubs.out)"
awk '/^float accuracy/ { if ($3 < 0.93) exit 1; n++ } END { exit n != 1 }' kl_threshold.out || say "kl_threshold: $(tail -1 kl_threshold.out)"
awk '/^float accuracy/ { if ($3 < 0.93) exit 1; n++ } END { exit n != 1 }' own_observer.out || say "own_observer: $(tail -1 own_observer.out)"
has conv_by_hand.out '^0 of 16384 output codes differ'
awk '/distinct as float/ { if ($4 != $2 || $8 >= $4) exit 1; n++ } END { exit n != 2 }' weight_histogram.out || say "weight_histogram: $(grep distinct weight_histogram.out)"
# its range lies within minmax's, and its int8 net is as good as the float one
awk '$1 == "conv1" { if (!($5 > 0 && $5 < $2)) exit 1; n++ } /^int8 accuracy/ { own = $6 } /mean-of-batches saw 16 batches/ { if (own < $3 - 0.01) exit 1; n++ }
    END { exit n != 2 }' own_observer.out || say "own_observer: $(cat own_observer.out)"
awk '/entropy clips/ { if ($6 < 1) exit 1; n++ } END { exit n != 1 }' kl_threshold.out || say "kl_threshold: $(tail -1 kl_threshold.out)"
has kl_threshold.out 'as many levels as codes lie above zero'
awk '/^KL divergence of/ { on = 1 } on && /^> *[0-9]+ bins, to .* levels: [0-9.e-]+, / { n++ } on && /^  +[0-9]+ bins, to/ { around++ } END { exit n != 1 || around < 4 }' kl_threshold.out ||
    say "kl_threshold shows no divergence: $(tail -9 kl_threshold.out)"

has distill_qat.out '^float teacher: accuracy 0.9' 'step  150  labels 0[.0-9]*  distillation 0[.0-9]*  together 0'
awk '/^int8 model/ { if ($4 < 0.93 || $8 < 0.93) exit 1; n++ } END { exit n != 1 }' distill_qat.out || say "distill_qat: $(tail -1 distill_qat.out)"

has lstm_rows.out '^no data given: synth-digits in place of MNIST' '(lstm): LSTM(28, 64, batch_first=True)' \
    '(lstm): DynamicQuantizedLSTM(28, 64' '^float: *98856 bytes' '^dynamic: *30456 bytes'
awk '/^float:/ { f = $5 } /^dynamic:/ { if ($5 < 0.8 || f - $5 > 0.01 || $5 - f > 0.01) exit 1; n++ } /^agreement/ { if ($2 < 0.98) exit 1; n++ } END { exit n != 2 }' \
    lstm_rows.out || say "lstm_rows: $(tail -3 lstm_rows.out)"

has resnet18_histogram.out '^no photographs given' '^conv1 *histogram *0' '^fc *histogram *0' '(0): QuantizedConv2d(64, 128, kernel_size=(1, 1), stride=(2, 2), scale=0' \
    '^conv1: weight scale 0' '^conv1, first codes: input [0-9]* .* output [0-9]' '^0 of [0-9]* codes'
# codes times the scale are the folded weights, to half a step
awk '/^conv1: weight scale/ { s = $4 + 0 } /folded .*int_repr/ { d = $3 - $8; if (d < 0) d = -d; if (d > s * 0.51 || $5 * s - $8 > 1e-4 || $8 - $5 * s > 1e-4) exit 1; n++ } END { exit n != 7 }' resnet18_histogram.out ||
    say "resnet18_histogram: codes and weights: $(grep -A7 '^conv1: weight' resnet18_histogram.out)"
head -1 resnet18_histogram.out | grep -q 'no weights given: a seeded, untrained resnet18' || say "resnet18_histogram does not begin with what it is"

if [ -x "$bin/classify_int8" ] && [ -s lenet.oct8 ]; then
    head -c 784 /dev/zero >black.u8
    "$bin/classify_int8" lenet.oct8 black.u8 >classify.out 2>&1 || say "classify_int8: $(cat classify.out)"
    grep -qE '[0-9]' classify.out || say "classify_int8: no class: $(cat classify.out)"
    head -c 100 lenet.oct8 >cut.oct8
    "$bin/classify_int8" cut.oct8 black.u8 >cut.out 2>&1 && say "classify_int8 took a cut file"
fi
[ $fails = 0 ] && echo "test_examples: all good"
exit $fails
