#!/bin/sh
# SPDX-License-Identifier: MIT
# What inspect and run show can be checked by hand: PyTorch's order and names, codes beside scales and values, modules as they
# are. Usage: test_shown.sh PATH-OF-octet
set -u
octet=$(realpath "$1")
source=$(realpath "$(dirname "$0")/..")
dir=$(mktemp -d /tmp/octet-test-shown-XXXXXX)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fails=0
say() { echo "test_shown: $*"; fails=$((fails + 1)); }
o() { "$octet" "$@" --quiet; }
shows() { # FILE PATTERN...
    f=$1
    shift
    for p; do grep -q -- "$p" "$f" || say "$f: no line like '$p'"; done
}

d="--data synth-digits --limit 96"
o train --model lenet $d --epochs 1 --out f >/dev/null
o ptq f $d --calib 64 --out p >/dev/null && o convert p --out p.oct8 >/dev/null
o ptq f $d --calib 64 --target qnnpack --out q >/dev/null && o convert q --out q.oct8 >/dev/null
o ptq f $d --calib 64 --set conv1:float --set fc1:float --out i >/dev/null && o convert i --out i.oct8 >/dev/null
for m in dynamic weight-only half; do o convert f --out $m.oct8 --mode $m >/dev/null; done

# values stand as in the .safetensors, which has PyTorch's layout: conv weights O,I,H,W, columns behind the flatten C,H,W
head=$(od -An -t u8 -N 8 f/model.safetensors | tr -d ' ')
for w in conv2.weight fc1.weight fc2.weight; do
    at=$(head -c $((head + 8)) f/model.safetensors | tail -c +9 | grep -o "\"$w\":{[^}]*" | grep -o 'data_offsets":\[[0-9]*,[0-9]*' | grep -o '[0-9,]*$')
    first=${at%,*}
    last=${at#*,}
    od -An -v -t f4 -w4 -j $((8 + head + first)) -N $((last - first)) f/model.safetensors >.want
    o inspect f --weights $w --json | grep -o '"values":\[[^]]*' | sed 's/.*\[//' | tr ',' '\n' >.got
    paste .want .got | awk -v w=$w '{ e = $1 - $2; if (e < 0) e = -e; if (NF != 2 || e > 1e-7) bad++ } END { exit bad > 0 || NR == 0 }' || say "--weights $w stands in another order than the .safetensors"
done

# value = scale * (code - zero_point), as printed, in the table and in JSON
o inspect p.oct8 --weights conv2 --at 3,2 >.t
[ "$(grep -c '^\[3,2,[0-4],[0-4]\]' .t)" = 25 ] && [ "$(grep -c '^\[' .t)" = 25 ] || say "--at 3,2 shows other elements: $(head -5 .t)"
awk '/^\[/ { v = $3 * ($2 - $4); e = v - $5; if (e < 0) e = -e; if (e > 1e-6 * (v < 0 ? -v : v)) bad++; n++ } END { exit bad || n != 25 }' .t || say "code, scale and value do not agree: $(head -4 .t)"
o inspect p.oct8 --weights conv2 --at 3,2 --json >.j
grep -o '"dequantized":\[[^]]*' .j | sed 's/.*\[//' | tr ',' '\n' >.json
awk '/^\[/ { print $5 }' .t | paste - .json | awk '{ if ($1 != $2) bad++ } END { exit bad || NR != 25 }' || say "JSON dequantizes otherwise than the table"
shows .j '"shape":\[16,6,5,5\]' '"at":\[3,2\]'
o inspect p --weights conv1 --at 0,0,0 >.t
shows .t '^index  *code  *scale  *zero_point  *value  *float$' '^qscheme per_channel_affine, axis 0' '^150 elements, .* distinct as float, .* distinct dequantized$'
[ "$(grep -c '^\[0,0,0,[0-4]\]' .t)" = 5 ] || say "the first row of a kernel has not five elements"
o inspect half.oct8 --weights conv1 >.t
shows .t '^conv1.weight float16 \[6, 1, 5, 5\]' '^\[0,0,0,0\] '
grep -qi nan .t && say "a half file prints NaN"
for a in 9 0,9 0,0,0,0,0 x -1 '0,,0'; do o inspect p --weights conv1 --at "$a" >/dev/null 2>&1 && say "--at $a is taken"; done
o inspect p --at 0 >/dev/null 2>&1 && say "--at without --weights is taken"

# a bias in an int8 file: codes, the product of the scales, and what the float net has but for half a step
o inspect f --weights fc3.bias --json | grep -o '"values":\[[^]]*' | sed 's/.*\[//' | tr ',' '\n' >.want
o inspect p.oct8 --weights fc3.bias >.t
shows .t '^index  *code  *scale  *zero_point  *value$'
sed -n '/^\[/p' .t | paste - .want | awk '{ e = $5 - $6; if (e < 0) e = -e; v = $2 * $3 - $5; if (v < 0) v = -v; if (e > 0.51 * $3 || v > 1e-6 * $3 + 1e-5 * ($5 < 0 ? -$5 : $5) || $2 == 0) bad++ } END { exit bad || NR != 10 }' || say "codes of a bias: $(head -4 .t)"
o inspect p.oct8 --weights fc3.bias --json >.j
shows .j '"q_scale":\[[0-9.e-]*,.*"int_repr":\[-*[0-9]*,.*"dequantized":\[-*[0-9.e-]*,'
# codes of few bits: how many; layers tells the same of weights as of the run
o ptq f $d --calib 64 --wbits 3 --out p3 >/dev/null && o convert p3 --out p3.oct8 >/dev/null
o inspect p3.oct8 >.t
shows .t '^  conv2 .*  weights of 3 bits$' '^  fc2 .*  weights of 3 bits$'
grep -q '^  conv1 .*bits$' .t && say "the first layer keeps 8 bits"
o inspect p3.oct8 --json >.j
shows .j '"name":"conv1","kind":"qconv2d",[^}]*"weight_bits":8' '"name":"conv2","kind":"qconv2d",[^}]*"weight_bits":3'
for m in p p.oct8 q q.oct8; do o layers $m $d --json | grep -o '"name":"[a-z0-9]*","kind":"q*\(conv2d\|linear\)",[^}]*"scheme":"[a-z_]*"' | sed 's/"kind":"q*\([a-z0-9]*\)".*"scheme"/\1/' >.scheme.$m; done
[ "$(wc -l <.scheme.p)" = 5 ] && cmp -s .scheme.p .scheme.p.oct8 && cmp -s .scheme.q .scheme.q.oct8 || say "layers: schemes of a run and its file: $(cat .scheme.p .scheme.p.oct8)"

# modules
o inspect q.oct8 >.t
shows .t '(conv1): QuantizedConvReLU2d.*qscheme=torch.per_tensor_affine)$' '(fc3): QuantizedLinear(.*qscheme=torch.per_tensor_affine)$'
o inspect q.oct8 --weights fc1 | grep -q '^qscheme per_tensor_affine' || say "qnnpack's weights print as per channel"
o inspect p.oct8 >.t
shows .t '(fc3): QuantizedLinear(.*qscheme=torch.per_channel_affine)$' '^  conv2  *qconv2d  *\[N, 16, 10, 10\]  *2416  *[0-9.e-]*  *0  0 to [0-9.]*$' '^  61706 parameters$'
o inspect dynamic.oct8 >.t
shows .t '(conv1): ConvReLU2d(1, 6' '(fc1): DynamicQuantizedLinearReLU(' '(fc3): DynamicQuantizedLinear('
o inspect weight-only.oct8 >.t
shows .t '(conv1): WeightOnlyQuantizedConvReLU2d(1, 6.*dtype=torch.qint8' '(fc1): WeightOnlyQuantizedLinearReLU(' '(fc3): WeightOnlyQuantizedLinear('
o inspect i.oct8 >.t
shows .t '(conv1): ConvReLU2d(1, 6' '(fc1): LinearReLU(' '(conv2): QuantizedConvReLU2d(' '(fc3): QuantizedLinear('
o inspect p >.t
shows .t '(activation_post_process): FakeQuantize(.*scale=tensor(\[[0-9.e-]*\]), zero_point=tensor(\[[0-9]*\]), min_val=[0-9.e-]*, max_val=[0-9.]*)$'
grep -q 'inf' .t && say "a range of nothing is printed"
o inspect f >.t
shows .t '^  conv1  *conv2d  *\[N, 6, 28, 28\]  *156$' '^  fc1.weight  *float32  *\[120, 400\]$' '^  conv2.weight  *float32  *\[16, 6, 5, 5\]$'
o inspect f --stage fused >.t
shows .t '^fused: conv1 + relu$' '^fused: fc2 + relu_3$' '(conv1): ConvReLU2d(1, 6' '^fused net'
grep -q 'relu' .t && grep -q '(relu' .t && say "a fused list has a ReLU of its own"
o inspect p --stage int8 >.t
shows .t '^int8 net' '(conv1): QuantizedConvReLU2d('
o inspect p.oct8 --stage int8 >/dev/null 2>&1 && say "--stage int8 of an int8 file is taken"

# values on the terminal: N,C,H,W
o run p.oct8 --input p/probe.npz --layer conv2 >.t
shows .t '^y uint8 \[64, 16, 10, 10\]  scale 0' '^\[0,0,1\] codes  [0-9]' '^\[0,0,1\] values [0-9]'
o run p.oct8 --input p/probe.npz --layer conv2 --output y.npz >/dev/null && unzip -p y.npz y.npy >.npy 2>/dev/null
if [ -s .npy ]; then
    tail -c $((64 * 16 * 100)) .npy | od -An -v -t u1 -w10 | head -16 | tr -s ' ' >.want
    sed -n 's/^\[[0-9,]*\] codes  //p' .t | sed 's/^/ /' >.got
    cmp -s .want .got || say "run prints other codes than it writes"
fi
o run f --input p/probe.npz --json | grep -q '"dtype":"float32","shape":\[64,10\],"y":\[-*[0-9]' || say "run --json without --output has no values"

# how far calibration is: a line, a bar on a terminal, nothing under --quiet
"$octet" ptq f $d --calib 64 --set 'fc*:float' --out c --improve adaround >/dev/null 2>.err
shows .err '^calibrate: 64 of 64 done$' '^adaround: [0-9]* of [0-9]* done$'
grep -q "$(printf '\r')" .err && say "a bar where no terminal is"
o ptq f $d --calib 64 --out c --force 2>&1 >/dev/null | grep -q . && say "--quiet draws"
if script -qec true /dev/null >/dev/null 2>&1; then
    script -qec "'$octet' ptq f $d --calib 64 --out c --force" /dev/null >.t 2>&1 </dev/null
    shows .t 'calibrate.*\[###############\.*\] 32/64'
fi

# verify: floats with floats, codes with codes, and what can be done about the rest
"$octet" train --model lenet $d --epochs 1 --seed 9 --out g --quiet >/dev/null
v() { # CODE A B: .t, .err
    want=$1
    shift
    "$octet" verify "$@" $d >.t 2>.err
    got=$?
    [ $got = $want ] || say "verify $*: exit code $got, expected $want: $(cat .err)"
}
v 0 f f
shows .t '^mismatched_floats 0 of [1-9][0-9]*$'
shows .err 'equal to the last bit'
v 1 f g
shows .t '^mismatched_floats [1-9][0-9]* of [1-9][0-9]*  largest_difference [0-9.]* in [a-z0-9_]*$'
shows .err '^octet: conv1: values differ at element 0: expected -*[0-9.]*, got -*[0-9.]* (' 'next: octet run f --input X.npz --layer conv1'
v 1 f g --json
shows .t '^{"mismatched_codes":0,"codes":0,"mismatched_floats":[1-9][0-9]*,"floats":[1-9][0-9]*,"largest_difference":[0-9.]*,"largest_difference_layer":"[a-z0-9_]*","layer":"conv1","element":0,'
v 1 f half.oct8
shows .t 'largest_difference 0.0[0-9.e-]* in'
v 1 f dynamic.oct8 # whose conv1 has the ReLU in it: fused before it is compared
shows .err '^octet: fc1: values differ'
v 1 dynamic.oct8 f
shows .err '^octet: fc1: values differ'
v 1 p q
shows .t '^mismatched_codes [1-9][0-9]* of ' '^mismatched_floats [0-9]* of 960  largest'
for k in $(sed -n 's/^OCT_OP_INT8(\([a-z0-9_]*\),.*/\1/p; s/^OCT_OP_UNARY(\([a-z0-9_]*\)).*/\1/p; s/^OCT_OP(\([a-z0-9_]*\),.*| *[GB]).*/\1/p' "$source/src/op_kinds.def"); do
    grep -q "\[OCT_OP_$k\]" "$source/tools/verify_rules.c" || say "verify has no rule for layers of kind $k"
done
v 1 q.oct8 p.oct8
shows .err 'computes by law 7' 'differ where all that it reads is equal'
grep -q 'other calibrations' .err && say "the same grids are told to differ: $(cat .err)"
o ptq f $d --calib 8 --out few >/dev/null
v 1 p few
shows .err '^octet: [a-z0-9_.]*: scale [0-9.e-]*, zero point [0-9]* in p, but [0-9.e-]*, [0-9]* in few: other models, or other calibrations of one$'
v 1 few p.oct8 --json
shows .t '"parameters":"scale [0-9.e-]*, zero point [0-9]* in few, but'
v 0 p p.oct8
shows .t '^mismatched_codes 0 of [1-9][0-9]*$'
v 1 p i
shows .err 'not compared: conv1 (codes against float) first'
for pair in "f p p" "p f p" "f p.oct8 p.oct8"; do
    set -- $pair
    v 3 $1 $2
    shows .err "nothing to compare: [a-z]* in $1, [a-z]* in $2: expected two float models, or two with codes" "(octet layers $3 --data synth-digits"
done
"$octet" train --model resnet8 --data synth-shapes --limit 32 --batch 32 --epochs 1 --out s --quiet >/dev/null
v 3 f s
shows .err 'octet: s: models take inputs of other shapes: expected \[N, 1, 28, 28\], got \[N, 3, 32, 32\]'
o import s/model.safetensors --model resnet8 --size 28x28 --mean 0.4 --std 0.3 --out s28 >/dev/null # other channels alone
"$octet" inspect s28 >.t 2>&1
shows .t 'div 255, mean 0.4,0.4,0.4, std 0.3,0.3,0.3;' # one number serves them all
v 3 f s28
shows .err 'octet: s28: models take inputs of other shapes: expected \[N, 1, 28, 28\], got \[N, 3, 28, 28\]'
# a target whose multipliers are fixed: inspect has them, verify names the law
o ptq f $d --calib 64 --target litert --out x >/dev/null && o convert x --out x.oct8 >/dev/null
o inspect x.oct8 >.t
shows .t 'range, multiplier of the first channel' '^  conv1  *qconv2d .*  [0-9]* \* 2^-[0-9]*, \.\.\.$' 'target litert'
o inspect p.oct8 >.t
grep -q '2^-' .t && say "inspect of fp32 shows shifts"
o inspect x.oct8 --json >.t
shows .t '"name":"conv1","kind":"qconv2d",.*"law":"q31","multiplier":\[[0-9]*,[0-9]*,.*"shift":\[-[0-9]*,-[0-9]*'
o inspect p.oct8 --json >.t
shows .t '"name":"conv1","kind":"qconv2d",.*"law":"fp32","multiplier":\[0\.[0-9]*,'
v 0 x x.oct8
v 1 x.oct8 p.oct8
shows .err 'computes by law 16: clamp(scale(sum'

# plans: steps, time, memory, and nothing is made; the uncertainty of an accuracy, by hand (Wilson, 95 %)
for w in "train --model lenet" "qat f"; do
    "$octet" $w $d --batch 8 --epochs 2 --out planned --dry-run >.out 2>.err || say "$w --dry-run: $(cat .err)"
    shows .err '^plan: 24 steps and 2 evaluations in about [0-9].*; about [1-9][0-9]* MiB of memory at the peak, the data set and the program itself in it$'
done
"$octet" train --model lenet $d --limit 64 --batch 1 --epochs 50000 --out planned --dry-run >.out 2>.err # 3,200,000 steps
case $(sed -n 's/^plan:.* in about \([0-9a-z ]*\);.*/\1/p' .err) in *h* | [3-9]' min'* | [0-9][0-9]*' min'*) ;; *) say "a long plan: $(cat .err)" ;; esac
"$octet" ptq f $d --out planned --dry-run 2>.err
shows .err '^plan: calibration and scores in about [0-9]* s; about [1-9][0-9]* MiB of memory at the peak'
# batch norm that is estimated anew has a forward beside the training's: it is planned where it comes
octet_peak() { "$octet" qat bn --data synth-shapes --limit 128 --out planned --dry-run "$@" 2>&1 | sed -n 's/^plan: .*; about \([0-9]*\) MiB.*/\1/p'; }
"$octet" train --model resnet8 --data synth-shapes --limit 64 --epochs 1 --out bn --quiet >.t 2>&1
with=$(octet_peak) without=$(octet_peak --bn-images 0)
[ "${with:-0}" -gt $((${without:-0} * 5 / 4)) ] && [ "${without:-0}" -gt 20 ] || say "plan of qat: $with MiB, without batch norm's estimate $without"
[ ! -e planned ] || say "a plan made something"
o eval f $d --json >.j
shows .j '"accuracy_uncertainty":0\.'
sed 's/.*"accuracy":\([0-9.]*\),.*"n":\([0-9]*\),.*"accuracy_uncertainty":\([0-9.]*\),.*/\1 \3 \2/' .j | awk '{ z = 1.96; w = z / (1 + z * z / $3) * sqrt($1 * (1 - $1) / $3 + z * z / (4 * $3 * $3)); e = w - $2; exit e > 1e-6 || e < -1e-6 || $3 != 96 }' || say "uncertainty: $(cat .j)"
# its ends, where the middle is not the accuracy: of one image, of none right, by hand
o eval f $d --limit 1 --json >.j
o eval f $d --limit 1 >.t
case $(cat .t) in "accuracy 1.0000 "*) ends='0.2065 to 1.0000' ;; *) ends='0.0000 to 0.7935' ;; esac
shows .t "n 1  (accuracy $ends at 95 %"
shows .j "\"accuracy_low\":${ends%% *}" "\"accuracy_high\":$(echo "${ends##* }" | sed 's/1.0000/1/')"

[ $fails = 0 ] && echo "test_shown: all held" || echo "test_shown: $fails failed"
exit $((fails > 0))
