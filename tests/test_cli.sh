#!/bin/sh
# SPDX-License-Identifier: MIT
# The command's contract. Usage: test_cli.sh PATH-OF-octet. Every failure: its exit code, one line on stderr that begins with
# "octet: ", nothing on stdout, no file made. Then the journey, with the JSON keys that stay.
set -u
octet=$(realpath "$1")
onnx=$(cd "$(dirname "$0")" && pwd)/golden/onnx
dir=$(mktemp -d "${TMPDIR:-/tmp}/octet-test-cli-XXXXXX")
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fails=0
say() { echo "test_cli: $*"; fails=$((fails + 1)); }

# bad CODE ARGS...
bad() {
    want=$1
    shift
    before=$(find . ! -path './.*' | sort)
    "$octet" "$@" >.out 2>.err </dev/null
    got=$?
    [ $got = "$want" ] || say "octet $*: exit code $got, expected $want: $(cat .err)"
    [ -s .out ] && say "octet $*: something on stdout"
    [ "$(wc -l <.err)" = 1 ] || say "octet $*: not one line on stderr: $(cat .err)"
    grep -q '^octet: ' .err || say "octet $*: stderr does not begin with octet:"
    LC_ALL=C grep -q '[[:cntrl:]]' .err && say "octet $*: control bytes on stderr"
    [ "$before" = "$(find . ! -path './.*' | sort)" ] || say "octet $*: a file was made"
}
# has KEYS FILE: each line of FILE is an object with all the keys
has() {
    for key in $1; do grep -q "\"$key\":" "$2" || say "$2 lacks key $key"; done
    grep -qv '^{.*}$' "$2" && say "$2 has a line that is no object"
}

data="--data synth-digits --limit 96"
"$octet" train --model lenet $data --epochs 1 --out good --quiet >/dev/null 2>&1 || { say "cannot train"; exit 1; }
"$octet" ptq good $data --calib 64 --out quant --quiet >/dev/null 2>&1 || { say "cannot calibrate"; exit 1; }
"$octet" convert quant -o good.oct8 --quiet >/dev/null 2>&1 || { say "cannot convert"; exit 1; }
: >empty
: >empty.safetensors
mkdir blank
printf '\211PNG\r\n\032\n' >image.png
printf '<html>404</html>' >page.html
head -c 1000 good.oct8 >cut.oct8
mkfifo fifo

bad 2
bad 2 frobnicate
bad 2 train --nope
bad 2 train --model lenet --data
bad 2 train --model lenet $data
bad 2 train --model lenet --out new
bad 2 train $data --out new
bad 2 train extra --model lenet $data --out new
bad 2 train --json=yes --model lenet $data --out new
for v in -1 0 1e3 0x10 999999999999999999999 nan ' 5' 5x '' 2.5; do bad 2 train --model lenet $data --out new --epochs "$v"; done
for v in 0 -1 1e9 x; do bad 2 train --model lenet $data --out new --batch "$v"; done
for v in 0 -1 inf nan 1x '' 0x1p3; do bad 2 train --model lenet $data --out new --lr "$v"; done
for v in 0 100000 -2; do bad 2 train --model lenet $data --out new --threads "$v"; done
bad 2 train --model lenet $data --out new --seed 0
bad 2 train --model vgg $data --out new
bad 2 train --model lenet $data --out new --optimizer lamb
bad 2 train --model lenet $data --out new --schedule zigzag
bad 2 train --model lenet $data --out new --augment rotate
bad 2 train --model lenet $data --out new --val 1.5
bad 2 train --model lenet $data --out new --patience 3
bad 2 train --model lenet $data --out new --freeze 'nothing*'
bad 2 train --model lenet $data --out new --mean 1,2
bad 2 train --model lenet $data --out new --std 0
bad 2 train --model lenet $data --out good
bad 2 train --model lenet $data --out good --resume --epochs 1 --lr 0.3
bad 2 train --model lenet $data --out good --resume --force
bad 2 train --model lenet $data --out empty
bad 4 train --model lenet $data --out missing/new
bad 2 train --model lenet --data nothing:here --out new
bad 2 train --model lenet --data idx --out new
bad 4 train --model lenet --data idx:missing --out new
bad 4 train --model lenet --data npz:missing.npz --out new
bad 3 train --model lenet --data npz:page.html --out new
bad 4 train --model ./missing $data --out new
bad 3 train --model ./good.oct8 $data --out new
bad 3 train --model empty.safetensors $data --out new
bad 2 train --model quant/ $data --out new
bad 2 eval good $data --classes a,b
bad 2 eval good $data --classes 0,1,2,3,4,5,6,7,8,8
bad 3 eval good $data --classes good.oct8
bad 2 eval good $data --mean 1,2
bad 2 eval good $data --std 0
bad 2 eval good $data --crop 32
bad 2 eval good $data --resize 12
bad 2 eval
bad 2 eval good
bad 4 eval missing $data
bad 3 eval blank $data
bad 3 eval empty $data
bad 3 eval page.html $data
bad 3 eval image.png $data
bad 3 eval cut.oct8 $data
bad 4 eval fifo $data
bad 2 eval good good $data
bad 2 eval good $data --split validation
bad 3 eval good --data synth-shapes --limit 8
bad 2 ptq good
bad 2 ptq good $data
bad 2 ptq good $data --out new --target gpu
bad 2 ptq good $data --out new --observer crystal
bad 2 ptq good $data --out new --wbits 1
bad 2 ptq good $data --out new --set fc3
bad 2 ptq good $data --out new --set fc3:wbits=9
bad 2 ptq good $data --out new --set fc9:float
bad 2 ptq good $data --out new --set 'layer*:wbits=4'
bad 2 ptq good $data --out new --set kind=conv5d:wbits=4
bad 2 ptq good $data --out new --percentile 0
bad 4 ptq good $data --out new --qconfig nowhere.json
echo '{"wbits": 4,' >cut.json
bad 3 ptq good $data --out new --qconfig cut.json
echo '{"rules": [{"name": "fc3", "wbit": 4}]}' >typo.json
bad 3 ptq good $data --out new --qconfig typo.json
bad 2 qat quant $data --out new --set fc3:float
bad 2 ptq good $data --out new --abits 9
bad 2 ptq good $data --out new --calib 0
bad 2 ptq quant $data --out new
bad 2 ptq good $data --out quant
bad 2 qat quant $data --out new --wbits 4
bad 2 qat good $data --out quant
bad 2 convert quant
bad 2 convert good -o new
bad 4 convert quant -o missing/new
bad 2 convert quant -o quant
bad 2 convert good -o new --mode tiny
bad 2 convert quant -o new --mode half
for m in dynamic weight-only half; do
    "$octet" convert good -o small.oct8 --mode $m --json --quiet >.convert || say "convert --mode $m"
    has "mode bytes" .convert
    "$octet" eval small.oct8 $data --quiet >/dev/null || say "eval of $m"
done
"$octet" convert good -o small.oct8 --mode dynamic --quiet >/dev/null && "$octet" inspect small.oct8 >.o
"$octet" inspect quant | grep -q "(weight_fake_quant).*qscheme=torch.per_channel_symmetric" || say "symmetric weights print otherwise"
grep -q 'fc1.*DynamicQuantizedLinearReLU(in_features=400, out_features=120, dtype=torch.qint8, qscheme=torch.per_channel_affine)' .o || say "print: $(grep fc1 .o | head -1)"
# a file of another kind is not replaced, whatever it is called; one of the same kind is, and an empty one
cp -r good kept && cp quant/probe.npz kept/x.npz && echo 'print(1)' >b.py && cp page.html kept/page.html && cp b.py kept/good.h && cp b.py kept/new.onnx && cp b.py kept/s.png
sums=$(cat kept/* b.py | cksum)
mine() { bad 2 "$@"; grep -q 'is there, and is not\|belongs to the run beside it' .err || say "octet $*: $(cat .err)"; }
for f in kept/model.safetensors kept/graph.json kept/x.npz b.py; do
    mine convert quant -o $f
    mine convert quant -o $f --dry-run
    mine convert good -o $f --mode half
    mine report good -o $f
    [ $f = kept/x.npz ] || mine run good --input quant/probe.npz --output $f
    mine data check synth-digits --limit 40 --sheet $f
done
mine report good -o kept/page.html # a page, and none of octet's
mine export good --to safetensors --name model -o kept
mine export good.oct8 --to safetensors --name model -o kept
mine export good.oct8 --to c --name good -o kept
mine export good.oct8 --to onnx --name new -o kept
mine export good.oct8 --to onnx --name new -o kept --dry-run
[ "$sums" = "$(cat kept/* b.py | cksum)" ] || say "a file of another kind was replaced"
: >page.new && "$octet" report good -o page.new --quiet && "$octet" report quant -o page.new --quiet || say "a page is not replaced"
for t in c onnx qdq npz safetensors; do "$octet" export good.oct8 --to $t -o again --quiet >/dev/null && "$octet" export quant --to $t --name good -o again --quiet >/dev/null || say "export does not replace its own $t"; done
for f in y.npz y.npy; do "$octet" run good --input quant/probe.npz --output again/$f --quiet >/dev/null && "$octet" run quant --input quant/probe.npz --output again/$f --quiet >/dev/null || say "run does not replace its own $f"; done
rm -r kept again page.new b.py
bad 2 predict good
bad 4 predict good missing.png
bad 3 predict good image.png
bad 4 predict missing image.png
bad 2 run good --output y.npz
bad 4 run good --input x.npz
bad 2 run good --input x.npz --output x.npz
bad 4 run good --input x.npz --output y.npz
bad 3 run good --input page.html --output y.npz
bad 2 run good --input x.npz --output y.npz --layer conv9
bad 2 inspect
mkdir several && cp -r good several/one && cp -r quant several/two
bad 2 inspect several
grep -q "no run, but holds some.*one" .err || say "a folder of runs: $(cat .err)"
bad 3 inspect page.html
bad 3 inspect image.png
bad 3 inspect cut.oct8
bad 3 inspect blank
bad 4 inspect fifo
bad 4 inspect idx:missing
bad 4 inspect missing
bad 2 inspect good --weights nothing
bad 2 verify good
bad 2 layers good
bad 2 layers good $data --sweep
bad 2 layers good.oct8 $data --sweep
bad 2 import
bad 2 import good/model.safetensors
bad 2 import good/model.safetensors --model lenet
bad 2 import good/model.safetensors --out new
bad 2 import good/model.safetensors --model vgg --out new
bad 3 import good/model.safetensors --model resnet8 --out new
bad 3 import quant/model.safetensors --model lenet --out new
bad 3 import good/model.safetensors --model lenet --out new --size 40x40
bad 2 import good/model.safetensors --model lenet --out quant
for v in 28 28x 0x28 28x28x1 -28x28 ' 28x28' 28X28 1025x28; do bad 2 import good/model.safetensors --model lenet --out new --size "$v"; done
bad 2 import good/model.safetensors --model lenet --out new --mean 1,2
bad 2 import good/model.safetensors --model lenet --out new --classes a,b
bad 4 import good --model lenet --out new
bad 2 import $onnx/typed.onnx --model lenet --out new
bad 2 import $onnx/typed.onnx
bad 2 import $onnx/typed.onnx --out new --size 7x7
bad 2 import $onnx/residual_old11.onnx --out new --mean 1,2
bad 4 import missing.onnx --out new
head -c 300 $onnx/typed.onnx >cut.onnx
bad 3 import cut.onnx --out new
bad 3 inspect cut.onnx
bad 3 eval $onnx/typed.onnx $data
bad 4 import missing.safetensors --model lenet --out new
bad 3 import empty.safetensors --model lenet --out new
bad 3 import good.oct8 --model lenet --out new
bad 4 import good/model.safetensors --model lenet --out missing/new
bad 2 bench --workload vgg
bad 2 bench --mode fast
bad 2 bench good --workload lenet
bad 2 train --model lenet $data --out "$(printf 'good\033[31m\n')" --bogus
# names that are no UTF-8, and C1: neither on a terminal nor in JSON
odd=$(printf 'no\233\302\233\351')
bad 4 inspect "$odd"
"$octet" export good --to npz --name "$odd" -o . --json >.json 2>.err || say "export: $(cat .err)"
grep -qF 'no\u009b\u009b\u00e9.npz"' .json && ! LC_ALL=C grep -q '[^ -~]' .json .err || say "raw bytes: $(od -c .json | head -5) $(od -c .err)"
rm "$odd.npz"
OCT_CPU=sse9 bad 2 eval good $data
# the caps: the error and the manual list the same, and each is one
known=$(OCT_CPU=sse9 "$octet" eval good $data 2>&1 | sed -n 's/.*expected \(ref,.*\), got.*/\1/p')
"$octet" --man | grep -qF "caps the kernels: $known. " || say "OCT_CPU: the manual has not: $known"
for word in $(echo "$known" | tr -d ,); do
    OCT_CPU=$word "$octet" inspect good.oct8 >.out 2>.err || say "OCT_CPU=$word: $(cat .err)"
done
if [ "$(id -u)" != 0 ]; then
    chmod 0 empty
    bad 4 eval empty $data
fi

# ---- what works ----
"$octet" --version >.o || say "--version"
grep -q '^octet [0-9]' .o || say "--version says $(cat .o)"
for c in demo train ptq qat convert eval run predict inspect layers verify bench import export; do
    "$octet" $c --help >.o 2>.e || say "$c --help"
    [ -s .o ] && [ ! -s .e ] || say "$c --help: not on stdout"
done
"$octet" train --model lenet $data --out dry --dry-run --quiet || say "--dry-run"
[ -e dry ] && say "--dry-run made a file"
"$octet" train --model lenet $data --epochs 2 --out j1 --json 2>.e >.train || say "train: $(cat .e)"
has "epoch lr train_loss test_accuracy img_per_s" .train
[ "$(wc -l <.train)" = 2 ] && tail -1 .train | grep -q '"final":true' && ! head -1 .train | grep -q final || say "final is not in the last line alone"
grep -q 'seed 1' .e || say "the seed is not printed"
grep -q '\[' .e && say "a progress bar without a terminal"
"$octet" train --model lenet $data --epochs 2 --out j2 --json --quiet >/dev/null 2>.e || say "train again"
[ -s .e ] && say "--quiet is not quiet: $(cat .e)"
cmp -s j1/model.safetensors j2/model.safetensors || say "two runs differ"
"$octet" train --model lenet $data --epochs 3 --out j2 --resume --quiet >/dev/null || say "resume with more epochs"
"$octet" train --model lenet $data --epochs 1 --out t1 --teacher j1 --temperature 2 --distill-weight 0.8 --optimizer rmsprop --quiet >/dev/null 2>.e || say "train --teacher: $(cat .e)"
"$octet" train --model lenet $data --epochs 2 --out t1 --teacher j1 --temperature 2 --distill-weight 0.8 --optimizer rmsprop --resume --quiet >/dev/null 2>.e || say "resume with a teacher: $(cat .e)"
"$octet" qat j1 $data --epochs 1 --out t2 --teacher good.oct8 --quiet >/dev/null 2>.e || say "qat --teacher INT8: $(cat .e)"
bad 2 train --model lenet $data --epochs 3 --out t1 --teacher good --temperature 2 --distill-weight 0.8 --optimizer rmsprop --resume
bad 2 train --model lenet $data --out new --temperature 2
bad 4 train --model lenet $data --out new --teacher missing
bad 3 train --model lenet $data --out new --teacher page.html
bad 2 train --model lenet $data --out new --teacher good --distill-weight 1.5
"$octet" ptq j1 $data --calib 64 --out j3 --json --quiet >.ptq || say "ptq"
echo '{"abits": 6, "rules": [{"kind": "conv2d", "granularity": "tensor"}, {"name": "fc3", "float": true}]}' >rules.json
"$octet" ptq j1 $data --calib 64 --out j5 --observer mse --qconfig rules.json --set 'conv*:wbits=4' --set fc1:observer=entropy --json >.ptq2 2>.e || say "ptq with rules"
grep -q '^  conv2 .* 4 tensor .* 6 .* mse .*wbits=4 by pattern conv\*; granularity=tensor by kind conv2d; abits=6 by global' .e || say "the table of rules: $(cat .e)"
"$octet" inspect j5 --histogram fc1 >.hist || say "inspect --histogram"
grep -q '^> .* [0-9]* .*%  chosen' .hist && [ "$(grep -c '^[> ]  *[0-9]' .hist)" -gt 6 ] || say "inspect --histogram shows no neighbours: $(cat .hist)"
"$octet" inspect j5 --histogram fc1 --json | grep -q '"name":"fc1","observer":"entropy",.*"candidates":\[{"lo":.*"divergence":.*"chosen":true' || say "inspect --histogram --json"
"$octet" inspect j5 --histogram fc1 --json | sed 's/.*"candidates"//; s/[{,]/\n&/g' | sed -n 's/.*"clipped":\(.*\)/\1/p' | awk '{ printf "%.4f%%\n", 100 * $1 }' >.want
sed -n 's/^[> ]  *[0-9].* \([0-9.]*%\).*/\1/p' .hist | cmp -s - .want || say "inspect --histogram clips $(cat .want): $(cat .hist)"
hi=$("$octet" inspect j5 --histogram fc1 --json | sed 's/.*"hi":\([^,]*\),.*/\1/' | awk '{ printf "%.6g", $1 }')
grep -q "^fc1: observer entropy, 8 bits, range .* of .* to $hi$" .hist || say "inspect --histogram: the whole range goes to $hi: $(cat .hist)"
bad 2 inspect j5 --histogram input.quantize
bad 2 inspect j5 --histogram nothing
bad 2 inspect j1 --histogram fc1
"$octet" inspect j5 | grep -q '^  fc3 .* float .*float=yes by name fc3' || say "inspect does not say which rule decided"
"$octet" inspect j5 --json | grep -q '"name":"conv2","int8":true,"reason":"","wbits":4,"abits":6,"granularity":"tensor","observer":"mse".*"name":"fc1","int8":true,"reason":"","wbits":8,"abits":8,"granularity":"channel","observer":"entropy"' || say "inspect --json has no placements"
"$octet" qat j5 $data --epochs 1 --out j6 --json >/dev/null 2>.e || say "qat of a run with rules: $(cat .e)"
grep -q 'go on with observer ema' .e || say "qat does not say that observers change"
"$octet" convert j6 --out j6.oct8 --json --quiet | grep -q '"mismatched_codes":0,.*"layers_float":1' || say "convert of a run with rules"
has "accuracy fp32_accuracy warnings" .ptq
"$octet" ptq j1 $data --calib 64 --out j8 --observer percentile --percentile 60 --json --quiet >.ptq8 2>.e || say "ptq that clips"
grep -q "^octet: warning: fc1: [0-9.]* % of its values are clipped, which takes [0-9.]* % of their sum (percentile): --observer minmax, or --set 'fc1:observer=minmax'$" .e || say "ptq does not warn: $(cat .e)"
grep -q '"warnings":\[.*{"layer":"fc1","measure":"clip_loss","value":0.[0-9]*,"bound":0.02,"text":"[^"]*","hint":"[^"]*minmax[^"]*"}' .ptq8 || say "ptq --json has no warnings: $(cat .ptq8)"
"$octet" eval j8 $data --quiet 2>&1 >/dev/null | grep -q "^octet: warning: fc1: .*clipped" || say "eval does not warn"
"$octet" qat j3 $data --epochs 1 --out j4 --json --quiet >.qat || say "qat"
grep -q '"bn_images":2048' j4/config.json || say "batch norm is not estimated anew by default"
"$octet" qat j3 $data --epochs 1 --out j7 --bn-images 0 --quiet >/dev/null || say "qat --bn-images 0"
grep -q '"bn_images":0' j7/config.json || say "--bn-images 0 is not kept"
has "epoch lr train_loss int8_accuracy img_per_s final warnings" .qat
[ "$(grep -c '"warnings":\[' .qat)" = 1 ] || say "warnings are not of the last line alone: $(cat .qat)"
"$octet" convert j4 -o m.oct8 $data --json --quiet >.convert || say "convert"
has "mismatched_codes layers_int8 layers_float bytes" .convert
grep -q '"mismatched_codes":0,' .convert || say "codes differ: $(cat .convert)"
for m in j1 j4 m.oct8; do
    "$octet" eval $m $data --json --quiet >.eval.$m || say "eval $m"
    has "accuracy top5 loss n per_class confusion warnings" .eval.$m
done
grep -o '"accuracy":[0-9.]*' .eval.j4 >.a
grep -o '"accuracy":[0-9.]*' .eval.m.oct8 >.b
cmp -s .a .b || say "simulation and int8 file differ in accuracy"
"$octet" verify j4 m.oct8 $data --json --quiet >.verify || say "verify"
has mismatched_codes .verify
"$octet" verify m.oct8 m.oct8 $data --quiet >/dev/null || say "verify with itself"
"$octet" verify m.oct8 good.oct8 $data --json --quiet >.verify 2>/dev/null
[ $? = 1 ] || say "verify of different models does not exit 1"
"$octet" layers j4 $data --json --quiet >.layers || say "layers"
has "layers name kind shape bits scheme scale zero_point sqnr_local sqnr_cum clip us kernel why cosine_local cosine_cum channels dead dead_float" .layers
"$octet" layers j4 $data --sweep --json --quiet >.layers || say "layers --sweep"
has "fp32_accuracy sqnr_alone accuracy_alone" .layers
"$octet" layers j4 $data --sweep --quiet | grep -q '^conv1  *conv2d  *[0-9.]*  *[01]\.[0-9]*$' || say "layers --sweep in words"
tail -1 j4/metrics.jsonl | grep -q '"quantizers":{.*"conv1":{"scale":[0-9.e-]*,"zero_point":[0-9]*}' || say "metrics.jsonl has no scales"
"$octet" inspect m.oct8 --json >.inspect || say "inspect"
has "stage layers tensors" .inspect
"$octet" inspect m.oct8 >.inspect || say "inspect in words"
grep -q '^  (conv1): QuantizedConvReLU2d(1, 6, kernel_size=(5, 5), stride=(1, 1), scale=0\.[0-9]*, zero_point=0, padding=(2, 2))$' .inspect || say "a quantized convolution prints otherwise"
grep -q '^  (fc3): QuantizedLinear(in_features=84, out_features=10, scale=0\.[0-9]*, zero_point=[0-9]*, qscheme=torch.per_channel_affine)$' .inspect || say "a quantized linear layer prints otherwise"
grep -q 'Quantize(scale=tensor(\[0\.[0-9]*\]), zero_point=tensor(\[[0-9]*\]), dtype=torch.quint8)$' .inspect || say "Quantize prints otherwise"
grep -q 'DeQuantize()$' .inspect || say "DeQuantize is not printed"
"$octet" inspect j1 >.inspect
grep -q '^  (conv1): Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1), padding=(2, 2))$' .inspect || say "a float convolution prints otherwise"
grep -q '^  (max_pool2d): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)$' .inspect || say "a pool prints otherwise"
"$octet" inspect j1/model.safetensors --json >.inspect || say "inspect .safetensors"
grep -q '"name":"conv2.weight","dtype":"F32","shape":\[16,6,5,5\]' .inspect || say "inspect .safetensors lacks a tensor"
"$octet" inspect j4/probe.npz | grep -q '\[64, 1, 28, 28\]' || say "inspect .npz"
"$octet" inspect synth-digits --json | grep -q '"train":20000,"test":4000' || say "inspect of a data set"
"$octet" layers j4 $data --json --quiet | grep -q '"name":"conv1".*"kernel":"octk_[a-z0-9_]*"' || say "layers names no kernel"
for w in conv1 conv1.weight; do
    "$octet" inspect j4 --weights $w --json >.weights.4 && "$octet" inspect m.oct8 --weights $w --json >.weights.8 || say "inspect --weights $w"
    has "q_scale q_zero_point zero_point int_repr dequantized axis distinct histogram" .weights.8
    a=$(grep -o '"int_repr":[^]]*' .weights.4)
    [ -n "$a" ] && [ "$a" = "$(grep -o '"int_repr":[^]]*' .weights.8)" ] || say "--weights: codes of run and int8 file differ"
done
"$octet" run m.oct8 --input j4/probe.npz --output y.npz --json >.run || say "run"
"$octet" run j4 --input j4/probe.npz --output y2.npz >/dev/null || say "run of the simulation"
cmp -s y.npz y2.npz || say "outputs of simulation and int8 file differ"
"$octet" run m.oct8 --input j4/probe.npz --output y3.npz --layer conv1 --json >.run || say "run --layer"
has "scale zero_point" .run
"$octet" run m.oct8 --input j4/probe.npz --quiet >.run || say "run without --output"
head -1 .run | grep -q '^y float32 \[64, 10\]$' && grep -q '^\[0\] -*[0-9]' .run || say "run does not print its values: $(head -3 .run)"
"$octet" bench --workload lenet --mode infer-int8 --batch 2 --json >.bench || say "bench"
has "workload mode batch threads img_per_s us_per_img layers name us kernel why" .bench
grep -q '"isa":"amx"\|"no_amx":"[^"]' .bench || say "bench: nothing of AMX: $(head -c 300 .bench)"
# over a run that somebody prepared: no link in it is written through
cp -r j1 d && echo mine >mine && ln -s ../mine d/model.oct8 && ln -s ../mine d/report.html
"$octet" demo --limit 200 --out d --force --json --quiet >.demo || say "demo"
[ "$(cat mine)" = mine ] && [ -s d/model.oct8 ] && [ -s d/report.html ] || say "demo writes through a link"
has "fp32_accuracy ptq_accuracy qat_accuracy int8_accuracy mismatched_codes fp32_bytes int8_bytes fp32_us int8_us dynamic_accuracy dynamic_bytes dynamic_us half_accuracy half_bytes half_us" .demo
# a run's weights are a file with PyTorch's names: imported, they are the same net
"$octet" import j1/model.safetensors --model lenet --out i1 --mean 0.1 --std 0.2 --size 28x28 --json --quiet >.import || say "import"
has "model input classes parameters tensors" .import
"$octet" eval i1 $data --json --quiet >.a && "$octet" eval j1 $data --mean 0.1 --std 0.2 --json --quiet >.b || say "eval of an imported run"
grep -o '"accuracy":.*"n":' .a >.a1
grep -o '"accuracy":.*"n":' .b >.b1
cmp -s .a1 .b1 || say "an imported net scores otherwise"
"$octet" ptq i1 $data --calib 64 --out i2 --quiet >/dev/null && "$octet" convert i2 -o i.oct8 --json --quiet | grep -q '"mismatched_codes":0,' || say "ptq of an imported run"
# its classes have no names: those of a folder count in sorted order, and go along
bmp28() { printf 'BM\0\0\0\0\0\0\0\0\066\0\0\0\050\0\0\0\034\0\0\0\034\0\0\0\001\0\030\0'; head -c 2376 /dev/zero; }
for k in ant bee cat dog eel fox gnu hen ibis jay; do mkdir -p pets/$k && bmp28 >pets/$k/1.bmp && bmp28 >pets/$k/2.bmp; done
# ONNX: the sides and the description are kept, the run goes on like any other
"$octet" import $onnx/residual_old11.onnx --div 127 --mean 0.25 --std 2 --classes a,b,c,d,e --out o1 --json --quiet >.onnx || say "import of ONNX"
has "model input classes parameters tensors" .onnx
grep -q '"input":\[null,7,6,3\],"classes":5,' .onnx || say "import of ONNX says: $(cat .onnx)"
"$octet" inspect o1 | grep -q 'div 127, mean 0.25,0.25,0.25, std 2,2,2; 5 classes' || say "import of ONNX keeps no description"
"$octet" inspect o1 | grep -q '(bn1): BatchNorm2d(4' || say "import of ONNX keeps no batch norm"
# a file's own scales: nothing is calibrated
"$octet" import $onnx/static_s8.onnx --out oq 2>.e >.o && grep -q 'nothing to calibrate; next: octet convert oq' .e || say "import of QDQ: $(cat .e)"
"$octet" convert oq --out oq.oct8 --json --quiet | grep -q '"mismatched_codes":0,"layers_int8":11,"layers_float":0' || say "convert of QDQ"
"$octet" inspect $onnx/residual_old11.onnx --json --quiet | grep -q '"kind":"onnx".*"key":"ops","value":"Conv 3, BatchNormalization 3,' || say "inspect of ONNX"
"$octet" import j1/model.safetensors --model lenet --out i0 --quiet >/dev/null && "$octet" eval i0 --data folder:pets --split all >.o 2>.e || say "classes without names: $(cat .e)"
grep -q "^octet: classes are the data's, in its order: ant, bee" .e && grep -q '^  jay  ' .o || say "the folder's names are not taken: $(cat .e .o)"
"$octet" ptq i0 --data folder:pets --calib 8 --out i4 --quiet >/dev/null && "$octet" inspect i4 --json >.inspect
grep -q '"classes":\["ant","bee","cat"' .inspect || say "the folder's names do not go along"
"$octet" import j1/model.safetensors --model lenet --out i5 --classes j,i,h,g,f,e,d,c,b,a --quiet >/dev/null
bad 3 eval i5 --data folder:pets
# a model's own names stay, whatever their order; a name's quotes are JSON's
odd='i6"\6'
"$octet" import j1/model.safetensors --model lenet --out "$odd" --classes jay,ibis,hen,gnu,fox,eel,dog,cat,bee,ant --quiet >/dev/null
"$octet" eval "$odd" --data folder:pets 2>.e >.o || say "names in another order: $(cat .e)"
grep -q "classes are the data's" .e && say "a model's own names are not kept: $(cat .e)"
"$octet" compare "$odd" --data folder:pets --json --quiet >.j 2>.e
grep -qF '"i6\"\\6"' .j || say "quotes in JSON: $(head -c 200 .j) $(cat .e)"
# no test part: the same images are held out in each command, whatever its seed
"$octet" eval i0 --data folder:pets --seed 5 2>.e >.o && grep -q '^octet: pets: no test part: held out to be one, the same for every command: 10 of 20 images' .e && grep -q ' n 10 ' .o || say "held out: $(cat .e .o)"
[ "$(grep -c 'held out' .e)" = 1 ] || say "held out is told more than once"
"$octet" eval i0 --data folder:pets --seed 6 2>/dev/null >.o2
sed 's/(.*//' .o >.o3; sed 's/(.*//' .o2 | cmp -s - .o3 || say "the held-out part depends on the seed"
"$octet" train --model lenet --data folder:pets --epochs 1 --out h1 --dry-run 2>.e || say "train on a folder of one part: $(cat .e)"
grep -q 'mean 0 std 1: of 10 of its training images' .e || grep -q 'mean 0,0,0 std 1,1,1: of 10 of its training images' .e || say "the normalization is not told: $(cat .e)"
grep -q '10 images, test 10' .e || say "train and test are not 10 and 10: $(cat .e)"
bad 2 eval i0 --data synth-digits --split all
# floats are taken as they are: what cannot be applied is refused, wherever it is said
cp j4/probe.npz floats.npz
for o in '--div 255' '--mean 0.5' '--std 2' '--mean 0.5 --std 2'; do
    bad 2 train --model lenet --data npz:floats.npz --out new --quiet $o
    bad 2 eval good --data npz:floats.npz --quiet $o
    bad 2 ptq good --data npz:floats.npz --out new --quiet $o
    bad 2 qat good --data npz:floats.npz --out new --quiet $o
    bad 2 verify j4 m.oct8 --data npz:floats.npz --quiet $o
    bad 2 layers j4 --data npz:floats.npz --quiet $o
    bad 2 convert j4 -o new --data npz:floats.npz --quiet $o
done
# predict: each channel has its own mean and std
"$octet" train --model lenet --data synth-shapes --limit 96 --epochs 1 --out rgb --quiet >/dev/null || say "train on three channels"
"$octet" predict rgb pets/ant/1.bmp --mean 0.1,0.2,0.3 >.o
for o in 0.4,0.2,0.3 0.1,0.4,0.3 0.1,0.2,0.5; do
    "$octet" predict rgb pets/ant/1.bmp --mean $o >.o2
    cmp -s .o .o2 && say "predict --mean $o is as 0.1,0.2,0.3"
done
# a run's own names in another order are its classes, as many others are not
"$octet" train --model "$odd" --data folder:pets --epochs 1 --out f6 --dry-run 2>.e >/dev/null
grep -q "the data's classes are its own: its last layer is kept" .e || say "fine-tune on names in another order: $(cat .e)"
mv pets/jay pets/kite
"$octet" train --model "$odd" --data folder:pets --epochs 1 --out f6 --dry-run 2>.e >/dev/null
grep -q '10 classes in place of 10: fc3 starts anew' .e || say "fine-tune on one other name: $(cat .e)"
rm -r pets/kite
bad 3 eval i0 --data folder:pets
"$octet" train --model i1/ $data --epochs 1 --out i3 --quiet >/dev/null || say "training of an imported run"
# other classes: the last layer starts anew, the others are the run's; what options say of the input goes along
three="--classes zero,one,two,three,four,five,six,seven,eight,nine,ten"
"$octet" train --model good/ $data --epochs 1 --lr 1e-9 --out f1 $three 2>.e >/dev/null || say "fine-tune: $(cat .e)"
grep -q '11 classes in place of 10: fc3 starts anew' .e || say "the new layer is not announced: $(cat .e)"
"$octet" inspect f1 --json >.inspect
grep -q '"name":"fc3.weight","dtype":"float32","shape":\[11,84\]' .inspect || say "fc3 has not 11 rows"
grep -q '"nine","ten"' .inspect || say "the classes are not stored"
"$octet" train --model good/ $data --epochs 1 --out f2 2>.e >/dev/null || say "fine-tune on the same classes"
grep -q 'anew' .e && say "the same classes renew a layer"
# a name of the zoo is the zoo's, whatever lies about; a path needs a slash, or is a run
mkdir inside && (cd inside && cp -r ../good lenet && cp -r ../good mine) || say "cannot copy"
(cd inside && "$octet" train --model lenet $data --epochs 1 --out a 2>.e >/dev/null && grep -q "the zoo's net; the run of that name here is ./lenet" .e) || say "a folder lenet: $(cat inside/.e)"
(cd inside && "$octet" train --model ./lenet $data --epochs 1 --out b 2>.e >/dev/null && ! grep -q 'the zoo' .e) || say "./lenet: $(cat inside/.e)"
(cd inside && "$octet" train --model mine $data --epochs 1 --out c 2>.e >/dev/null) || say "a run without a slash: $(cat inside/.e)"
cmp -s good/model.safetensors inside/a/model.safetensors || say "--model lenet is no new net"
cmp -s inside/a/model.safetensors inside/b/model.safetensors && say "--model ./lenet is not the run"
cmp -s inside/c/model.safetensors inside/b/model.safetensors || say "--model mine is not the run"
seq 0 9 | sed 's/.*/&	digit &/' >names.txt
"$octet" eval good $data --classes names.txt >.o || say "--classes FILE"
grep -q 'digit 7' .o || say "--classes FILE does not name the classes"
awk '{print NR - 1 "\tn" NR "\tdigit " NR - 1}' names.txt >indexed.txt
"$octet" eval good $data --classes indexed.txt >.o || say "--classes FILE with indices"
grep -q '^  digit 7  ' .o || say "--classes FILE with indices does not name the classes"
"$octet" convert quant -o named.oct8 --div 127 --classes names.txt --quiet >/dev/null && "$octet" inspect named.oct8 >.o
grep -q 'div 127' .o || say "--div does not reach the int8 file"
a=$("$octet" eval good $data --json --quiet)
b=$("$octet" eval good $data --json --quiet --mean 0.9 --std 0.1)
[ "$a" != "$b" ] || say "--mean and --std change nothing"

# every option of the data changes what it should
pic() { printf 'BM\0\0\0\0\0\0\0\0\066\0\0\0\050\0\0\0\040\0\0\0\040\0\0\0\001\0\030\0'; head -c 24 /dev/zero; tail -c +"$1" good.oct8 | head -c 3072; }
for k in 1 2; do
    mkdir -p pics/c$k
    for i in 1 2 3 4 5 6 7 8 9 10 11 12; do pic $((k * 20000 + i * 900)) >pics/c$k/$i.bmp; done
done
base="train --model lenet --data folder:pics --epochs 1 --batch 8 --resize 30 --crop 28 --lr 0.01 --quiet"
"$octet" $base --out o0 >/dev/null || say "train on pictures"
for o in '--div 100' '--mean 0.9' '--std 0.1' '--mean 0.9 --std 0.1' '--resize 40' '--limit 9' '--classes c2,c1' '--augment none' '--batch 5' '--val 0.3' '--seed 2'; do
    "$octet" $base $o --out o1 --force >/dev/null 2>.e || say "train $o: $(cat .e)"
    cmp -s o0/model.safetensors o1/model.safetensors && say "train $o changes nothing"
done
"$octet" $base --crop 26 --dry-run --out o2 2>/dev/null || "$octet" $base --resize 34 --crop 32 --dry-run --out o2 || say "train --crop"
"$octet" eval o0 --data folder:pics --json --quiet >.a || say "eval on pictures"
for o in '--div 100' '--mean 0.9' '--std 0.1' '--resize 40' '--limit 1' '--split train' '--split all'; do
    "$octet" eval o0 --data folder:pics --json --quiet $o >.b || say "eval $o"
    cmp -s .a .b && say "eval $o changes nothing"
done
"$octet" eval o0 --data folder:pics --classes first,second 2>/dev/null | grep -q '^  second ' || say "eval --classes names nothing"

# places that nothing can be saved in: exit 4, nothing stays
bad 4 convert quant -o /dev/full
[ -c /dev/full ] || say "/dev/full is no device any more"
bad 4 convert quant -o blank
(ulimit -f 8 && exec "$octet" convert quant -o big.oct8 --quiet) >.o 2>.e
[ $? = 4 ] || say "a file size limit: $(cat .e)"
(ulimit -f 8 && exec "$octet" train --model lenet $data --epochs 1 --out big --quiet) >.o 2>.e
[ $? = 4 ] && grep -q '^octet: big/.*: cannot write: got File too large' .e || say "a file size limit in training: $(cat .e)"
[ -z "$(find . -name '*.tmp-*')" ] && [ ! -e big.oct8 ] || say "a failed save leaves something"

"$octet" eval good $data >/dev/full 2>.e
[ $? = 4 ] || say "a full stdout is no failure"

[ $fails = 0 ] && echo "test_cli: all held" || echo "test_cli: $fails failed"
exit $((fails > 0))
