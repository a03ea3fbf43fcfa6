#!/bin/sh
# SPDX-License-Identifier: MIT
# What a person reads: every help's example works as printed, what comes next is said, a slip is answered with what was meant,
# no byte of a name acts on the terminal. Usage: test_texts.sh PATH-OF-octet
set -u
octet=$(realpath "$1")
dir=$(mktemp -d /tmp/octet-test-texts-XXXXXX)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
mkdir bin && ln -s "$octet" bin/octet
PATH=$dir/bin:$PATH
fails=0
say() { echo "test_texts: $*"; fails=$((fails + 1)); }
# says TEXT COMMAND...: it fails, and its line has the text
says() {
    text=$1
    shift
    "$@" >.out 2>.err && say "$*: no failure"
    [ "$(wc -l <.err)" = 1 ] || say "$*: not one line: $(cat .err)"
    grep -qF -- "$text" .err || say "$*: no '$text' in: $(cat .err)"
}
# next TEXT COMMAND...: it works, and its last line on stderr has the text; nothing of it under --quiet
next() {
    text=$1
    shift
    "$@" >.out 2>.err || say "$*: $(cat .err)"
    tail -1 .err | grep -qF -- "$text" || say "$*: last line: $(tail -1 .err)"
}

# ---- help ----
octet --help >.help
for c in demo train ptq qat convert eval run predict inspect layers verify import bench; do
    grep -q "^  $c " .help || say "octet --help lacks $c"
    octet $c --help >.h
    awk 'length > 100' .h | grep -q . && say "$c --help: a line is longer than 100: $(awk 'length > 100' .h | head -1)"
    sed -n '/^example:$/{n;p;}' .h >.example
    grep -q "^  octet $c" .example || say "$c --help has no example"
    # an option with a value is needed, or its default stands behind it
    tr '\n' '~' <.h | sed 's/~ \{20,\}/ /g' | tr '~' '\n' | sed -n '/^options/,/^$/p' | grep -E -- '^ .*--[a-z-]+ [A-Z]' | grep -vE '\[[^]]+\]$|--weights|--histogram|--out PATH' | grep . && say "$c --help: no default"
    cat .example >>.all
done
for c in train ptq qat eval verify layers; do
    octet $c --help | sed -n '/^needed:$/,/^$/p' | grep -q -- '--data' || say "$c --help: --data is not needed"
    octet $c --help | grep -q '^  idx:DIR  *DIR/train-images-idx3-ubyte' || say "$c --help does not say how idx:DIR lies"
done
octet run --help | grep -q 'SPEC' && say "run --help tells of data sets"
octet eval --help | grep -qE 'lr|optimizer|observer' && say "eval --help has options of train or ptq"
octet ptq --help | grep -q '^  granularity' || say "ptq --help has no keys of rules"
octet train --help | grep -q -- '--epochs N  *passes over the training part \[10\]' || say "train --help: epochs"
octet qat --help | grep -q -- '--epochs N  *passes over the training part \[3\]' || say "qat --help: epochs"
# the examples, in the order of commands.def, in one empty folder; each ends with what comes next
while read -r line; do
    sh -c "$line" >.out 2>.err || say "$line: $(cat .err)"
    tail -1 .err | grep -q '^octet: .*octet' || say "$line: ends with: $(tail -1 .err)"
done <.all
octet eval digits.oct8 --data synth-digits --quiet >.out 2>.err
[ -s .err ] && say "--quiet says what comes next: $(cat .err)"
octet eval digits.oct8 --data synth-digits --json >.out 2>.err
grep -q 'next:' .err && say "--json says what comes next"
awk '{ if ($2 < 0.9) exit 1 }' <<T || say "the example's model has not learned: $(cat .out)"
$(octet eval digits.oct8 --data synth-digits --quiet | head -1)
T

# ---- what comes next ----
d="--data synth-digits --limit 96"
next "next: octet ptq a --data synth-digits --out a-ptq, or octet qat a" octet train --model lenet $d --epochs 1 --out a
next "run in b; next: octet convert b --out b.oct8" octet ptq a $d --calib 64 --out b
next "int8 model in b.oct8; next: octet eval b.oct8 --data SPEC" octet convert b --out b.oct8
next "next: octet predict b.oct8 IMAGE" octet eval b.oct8 $d
next "next: octet predict b.oct8 IMAGE" octet verify b b.oct8 $d
next "costs most" octet layers b $d
next "next: octet convert b" octet inspect b
next "next: octet train --model lenet --data synth-digits" octet inspect synth-digits
next "next: octet import a/model.safetensors" octet inspect a/model.safetensors
next "run in 'it'\\''s c'" octet ptq a $d --calib 64 --out "it's c"

# ---- what was meant ----
says 'did you mean octet train?' octet trian
says 'did you mean --epochs?' octet train --epocs 3
says '--lr is an option of train, qat' octet eval b.oct8 --lr 3
says 'did you mean --data synth-digits?' octet eval b.oct8 synth-digits
says 'did you mean octet eval b.oct8 --data synth-digits?' octet eval synth-digits b.oct8
says 'did you mean octet convert b --out new.oct8?' octet convert new.oct8 b
says 'did you mean --out new.oct8?' octet convert b new.oct8
says 'did you mean --model lenet?' octet train lenet
says 'a data set is given by --data synth-digits' octet eval synth-digits $d
says 'did you mean lenet?' octet train --model lnet $d --out new
says 'did you mean synth-digits?' octet train --model lenet --data synt-digits --out new
says 'did you mean histogram?' octet ptq a $d --out new --observer histogramm
says 'did you mean fbgemm?' octet ptq a $d --out new --target fbgem
says 'did you mean wbits?' octet ptq a $d --out new --set fc1:wbit=4
says 'did you mean channel?' octet ptq a $d --out new --set fc1:granularity=chanel
says 'did you mean fc' octet ptq a $d --out new --set fc9:float
says 'did you mean adaround?' octet ptq a $d --out new --improve adround
says 'did you mean lsq?' octet qat a $d --out new --method lsqq
says 'did you mean freeze?' octet qat a $d --out new --oscillation freez
says 'did you mean cosine?' octet train --model lenet $d --out new --schedule cosin
says 'did you mean flip?' octet train --model lenet $d --out new --augment flap
says 'did you mean weight-only?' octet convert a --out new.oct8 --mode weightonly
says 'did you mean infer-int8?' octet bench --mode infer-int
says 'did you mean resnet8?' octet bench --workload resnet9
says 'did you mean test?' octet eval b.oct8 $d --split tset
says 'did you mean conv1?' octet run b.oct8 --input b/probe.npz --layer conv11
says 'did you mean fc1?' octet inspect b.oct8 --weights fc12
says 'did you mean fused?' octet inspect a --stage fusd
says 'option is missing: expected --data SPEC (octet eval digits.oct8 --data synth-digits)' octet eval b.oct8
mkdir -p photos/cat photos/dog
says "did you mean folder:photos?" octet train --model lenet --data photos --out new
: >t10k-images-idx3-ubyte
says "did you mean idx:.?" octet train --model lenet --data . --out new
printf 'PK\003\004%022d\020\000\000\000archive/data.pkl%040d' 0 0 >w.pt
says 'PyTorch' octet import w.pt --model lenet --out new
says 'save_file' octet import w.pt --model lenet --out new
says 'PyTorch' octet eval w.pt $d
printf '\211HDF\r\n\032\n%040d' 0 >w.h5
says 'HDF5' octet import w.h5 --model lenet --out new
says 'octet import' octet eval a/model.safetensors $d
[ -e new ] && say "a failure left something"

# ---- resume takes its options from the run ----
octet train --model lenet $d --epochs 2 --lr 0.02 --optimizer adam --seed 7 --out r1 --quiet >/dev/null
octet train --model lenet $d --epochs 1 --lr 0.02 --optimizer adam --seed 7 --schedule constant --out r2 --quiet >/dev/null
octet train --model lenet $d --epochs 3 --lr 0.02 --optimizer adam --seed 7 --schedule constant --out r3 --quiet >/dev/null
octet train --resume --out r1 --quiet >/dev/null || say "resume of a finished run"
octet train --resume --out r2 --epochs 3 --quiet >/dev/null 2>.err || say "resume without options: $(cat .err)"
cmp -s r2/model.safetensors r3/model.safetensors || say "a resumed run took other options"
says 'differs from the run' octet train --resume --out r2 --lr 0.5
octet qat a $d --epochs 1 --set fc3:float --set conv1:wbits=4 --out q1 --quiet >/dev/null
octet qat --resume --out q1 --quiet >/dev/null 2>.err || say "resume of qat without options: $(cat .err)"
says 'option is missing' octet train --resume --out nowhere

# ---- no control bytes from names ----
esc=$(printf 'x\033[31m\302\233y')
cp b.oct8 "$esc.oct8" && cp -r b "$esc"
for cmd in "eval" "inspect" "layers" "convert" "run --input b/probe.npz" "predict" "verify"; do
    case $cmd in eval | layers | predict) more="$d" ;; convert) more="--out $esc.new" ;; *) more= ;; esac
    f="$esc.oct8"
    [ "$cmd" = convert ] && f=$esc
    if [ "$cmd" = verify ]; then octet verify "$f" b.oct8 $d >.out 2>.err; else octet $cmd "$f" $more >.out 2>.err; fi
    LC_ALL=C grep -qP '\x1b|\xc2\x9b' .out .err && say "octet $cmd: a control byte of a name reaches the terminal: $(grep -aP '\x1b' .out .err | head -1 | od -c | head -3)"
done
octet predict b.oct8 "$esc.jpg" 2>.err >.out
LC_ALL=C grep -qP '\x1b|\xc2\x9b' .err && say "a control byte in an error"

[ $fails = 0 ] && echo "test_texts: all held" || echo "test_texts: $fails failed"
exit $((fails > 0))
