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
    grep -q '\boct_[a-z]' .err && say "$*: a call of C is no cure here: $(cat .err)"
}
# next TEXT COMMAND...: it works, and its last line on stderr has the text; nothing of it under --quiet
next() {
    text=$1
    shift
    "$@" >.out 2>.err || say "$*: $(cat .err)"
    tail -1 .err | grep -qF -- "$text" || say "$*: last line: $(tail -1 .err)"
    works "$*"
}
# works WHAT: each whole command that the last line proposes would run (words in capitals are the reader's to fill in)
works() {
    tail -1 .err | sed -n 's/.*next: //p' | sed 's/octet /\noctet /g' | sed -n '/^octet [a-z]* ./{s/: .*//;s/, .*//;s/; .*//;s/ says .*//;s/ of the .*//;p;}' >.proposed
    while read -r line; do
        case $line in *[A-Z][A-Z]* | "octet inspect"* | *Y.npz*) continue ;; esac
        proposed=$((proposed + 1))
        sh -c "$line --dry-run" >.o 2>.e || say "$1: proposes $line: $(cat .e)"
    done <.proposed
}
proposed=0

# ---- help ----
octet --help >.help
for c in demo train ptq qat convert eval run predict inspect layers compare report verify import export bench; do
    grep -q "^  $c " .help || say "octet --help lacks $c"
    octet $c --help >.h
    awk 'length > 100' .h | grep -q . && say "$c --help: a line is longer than 100: $(awk 'length > 100' .h | head -1)"
    sed -n '/^example:$/{n;p;}' .h >.example
    grep -q "^  octet $c" .example || say "$c --help has no example"
    # an option with a value is needed, or its default stands behind it
    tr '\n' '~' <.h | sed 's/~ \{20,\}/ /g' | tr '~' '\n' | sed -n '/^options/,/^$/p' | grep -E -- '^ .*--[a-z-]+ [A-Z]' | grep -vE '\[[^]]+\]$|--weights|--histogram|--out PATH' | grep . && say "$c --help: no default"
    # each option says what it is for
    sed -n '/^needed:\|^options/,/^$/p' .h | grep -E '^  .*--[a-z-]+( [A-Z|a-z.,]+)?$|--[a-z-]+ [^ ]+ +\[' >.bare
    while read -r line; do grep -F -A1 -- "$line" .h | tail -1 | grep -q '^ \{28\}[^[]' || say "$c --help: no text: $line"; done <.bare
    cat .example >>.all
done
for c in train ptq qat eval verify layers; do
    octet $c --help | sed -n '/^needed:$/,/^$/p' | grep -q -- '--data' || say "$c --help: --data is not needed"
    octet $c --help | grep -q '^  idx:DIR  *DIR/train-images-idx3-ubyte' || say "$c --help does not say how idx:DIR lies"
done
octet export --help | grep -q 'SPEC' && say "export --help tells of data sets"
octet eval --help | grep -qE 'lr|optimizer|observer' && say "eval --help has options of train or ptq"
octet ptq --help | grep -q '^  granularity' || say "ptq --help has no keys of rules"
# the order of rules, and that it is so
octet ptq --help | tr -s ' \n' ' ' | grep -q 'a name wins over a pattern, that over a kind, that over global; among equals the last' || say "ptq --help: which rule wins"
octet sweep --help | tr -s ' \n' ' ' | grep -q -- '--method M,M,.. how: ptq, calibration alone; or octet qat, whose scales move by ema, lsq' || say "sweep --help: --method"
for w in local cum cosine clip dead us; do octet layers --help | sed -n '/^columns:/,/^$/p' | grep -q "^  .*$w" || say "layers --help does not say what $w is"; done
octet ptq --help | tr -s ' \n' ' ' | grep -q "leave the net's input whole" || say "ptq --help: --observer and the input"
octet train --help | grep -q -- '--epochs N  *passes over the training part \[10\]' || say "train --help: epochs"
octet qat --help | grep -q -- '--epochs N  *passes over the training part \[3\]' || say "qat --help: epochs"
# the examples, in the order of commands.def, in one empty folder; each ends with what comes next
while read -r line; do
    sh -c "$line" >.out 2>.err || say "$line: $(cat .err)"
    tail -1 .err | grep -q '^octet: .*octet' || say "$line: ends with: $(tail -1 .err)"
    works "$line"
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
next "int8 model in b.oct8; next: octet eval b.oct8 --data synth-digits" octet convert b --out b.oct8
next "next: octet predict b.oct8 IMAGE" octet eval b.oct8 $d
next "next: octet predict b.oct8 IMAGE" octet verify b b.oct8 $d
next "octet doctor b --data synth-digits says what accuracy was lost to" octet layers b $d
next "at the output, quantized alone); next: octet doctor b" octet layers b $d --sweep
octet layers b $d --sweep 2>.err | grep -q "the others float, 96 images" || say "layers --sweep does not say of how many images"
octet layers b $d --sweep >.log 2>&1
sed -n '$p' .log | grep -q '^octet: .*next:' || say "the last line of a log is not what comes next: $(tail -1 .log)"
next "next: octet ptq a --data synth-digits --out a-ptq, and layers of that" octet layers a $d
next "next: octet run b.oct8 --input b/probe.npz --layer conv1 --output Y.npz" octet run b.oct8 --input b/probe.npz --layer conv1
next "next: octet layers b --data synth-digits" octet compare a b $d
next "next: octet ptq a --data synth-digits --out a-ptq, and layers of that" octet compare a $d
for m in half dynamic weight-only; do
    next "$m model in $m.oct8; next: octet eval $m.oct8 --data synth-digits" octet convert a --mode $m --out $m.oct8
    octet inspect $m.oct8 --quiet | head -1 | grep -q "^$m net," || say "inspect does not say $m"
done
octet layers dynamic.oct8 $d --quiet | grep -q '^fc1  *dynamic_linear  *\[N, 120\]  *w8 per_channel_symmetric' || say "layers: weights of a dynamic net look float"
octet layers weight-only.oct8 $d --quiet | grep -q '^conv1  *conv2d .* w8 per_channel_symmetric' || say "layers: weights of a weight-only net look float"
octet qat b $d --epochs 1 --out bq --quiet >/dev/null
next "next: octet doctor bq --data synth-digits" octet layers bq $d
cp -r a made_in_c && sed -i 's/"name":"train",//' made_in_c/config.json
octet ptq made_in_c $d --calib 64 --out made_q --quiet >/dev/null || say "a run without a name"
next "next: octet doctor made_q --data synth-digits" octet layers made_q $d
octet compare bq b b.oct8 $d --quiet >.out
tail -1 .out | grep -q '^bytes: of the tensors; us/image: .*batch 1' || say "compare does not say what it counts: $(tail -1 .out)"
grep -q '^bq: int8 by QAT  *0' .out && grep -q '^b: int8 by PTQ  *0' .out && grep -q '^b.oct8: int8  *0' .out || say "compare: $(cat .out)"
told() { # TEXT COMMAND...: it works, and says TEXT on stderr; without it behind !
    text=$1
    shift
    "$@" >.out 2>.err || say "$*: $(cat .err)"
    case $text in '!'*) ! grep -qF -- "${text#!}" .err ;; *) grep -qF -- "$text" .err ;; esac || say "$*: $text: $(cat .err)"
}
# what comes next is proposed under a name that is free
cp -r b spare && : >spare.oct8
next "next: octet convert spare --out spare-2.oct8" octet eval spare $d
: >spare-2.oct8
next "next: octet convert spare/ --out spare-3.oct8" octet eval spare/ $d
next "octet qat fresh --data synth-digits --out fresh-qat" octet train --model lenet $d --epochs 1 --out fresh
next "--out fresh-ptq, or octet qat fresh --data synth-digits --out fresh-qat" octet train --model lenet $d --epochs 1 --out fresh --force
mkdir fresh-ptq && next "--out fresh-ptq-2, or octet qat" octet eval fresh $d
rm -r spare spare.oct8 spare-2.oct8 fresh fresh-ptq
# a quantized run in the place of a float one: which that is
for c in "qat b $d --out new --wbits 4" "ptq b $d --out new" "sweep b $d --out new"; do says "its float run is a: octet ${c%% *} a)" octet $c; done
# a layer that loses: on how many images, from where; a run that goes on from a quantized one keeps its settings
told 'seen on 96 of 96 images, drawn from all over them; octet layers tells more' octet ptq a $d --wbits 2 --abits 2 --out lossy
octet ptq a --data synth-digits --limit 300 --observer percentile --percentile 60 --out lossy2 2>.err >.out
grep -q 'seen on 128 of 300 images' .err || say "how many images warnings are of: $(cat .err)"
told "begin with the float run: --set '" octet qat lossy $d --epochs 1 --out lossy3
told '!begin with the float run' octet qat a $d --wbits 2 --abits 2 --epochs 1 --out lossy4
rm -r lossy lossy2 lossy3 lossy4
told 'observer minmax, not histogram: the range of an input is known' octet ptq a $d --calib 64 --observer histogram --out n1
told '!stays whole' octet ptq a $d --calib 64 --observer minmax --out n2
told '!stays whole' octet ptq a $d --calib 64 --observer histogram --set input:observer=histogram --out n3
octet inspect n1 --quiet | grep -q '^  input.quantize  *quantize  *8  *minmax  *observer=histogram by global, is minmax$' || say "inspect does not show the input's observer"
told '--mean and --std not given: pixels become (pixel / 255 - mean 0) / std 1' octet import a/model.safetensors --model lenet --out n4
told '--std not given: pixels become (pixel / 255 - mean 0.5) / std 1' octet import a/model.safetensors --model lenet --mean 0.5 --out n5
told '!not given' octet import a/model.safetensors --model lenet --mean 0.5 --std 0.25 --out n6
told '!changes nothing' octet ptq a $d --calib 64 --out n7 --set conv1:wbits=4 --set 'conv*:wbits=6' --set 'conv*:wbits=7' --set kind=conv2d:wbits=3 --set kind=linear:wbits=2 --set global:abits=5 --set fc3:float
octet inspect n7 --quiet >.out
for p in 'conv1  .*  4 channel .*wbits=4 by name conv1' 'conv2  .*  7 channel .*wbits=7 by pattern conv\*' 'fc1  .*  2 channel .*wbits=2 by kind linear' 'fc1  .*abits=5 by global'; do grep -q "^  $p" .out || say "rules: no '$p' in: $(cat .out)"; done
# a rule that changes nothing is said
told 'octet: rule name flatten: wbits=4 changes nothing: the layer has no weights to quantize' octet ptq a $d --calib 64 --set flatten:wbits=4 --out n8
told 'octet: rule name flatten: abits=4 changes nothing: its values are on the grid of conv2; that name changes both' octet ptq a $d --calib 64 --set flatten:abits=4 --out n9
told 'rule kind max_pool2d: observer=mse changes nothing: its values are on the grid of conv' octet qat a $d --epochs 1 --set kind=max_pool2d:observer=mse --out n10
told 'rule name fc3: wbits=4 changes nothing: the layer stays float' octet ptq a $d --calib 64 --set fc3:wbits=4,float --out n11
told '!changes nothing' octet ptq a $d --calib 64 --set '*:wbits=4,observer=mse' --set input:abits=4 --out n12
next "next: octet convert b" octet inspect b
next "next: octet train --model lenet --data synth-digits" octet inspect synth-digits
next "next: octet import a/model.safetensors" octet inspect a/model.safetensors
told '!octet import' octet inspect b/model.safetensors
next "run in 'it'\\''s c'" octet ptq a $d --calib 64 --out "it's c"

# pixels that nobody described, as an own loop in C leaves them: the options of the command that runs, where it has them
cp -r b bare && sed -i 's/"div": 255/"div": 1/; s/"mean": \[[^]]*\]/"mean": [0]/; s/"std": \[[^]]*\]/"std": [1], "assumed": true/' bare/graph.json
told 'the data has div 255, mean 0.5, std 0.25 (--div, --mean and --std)' octet eval bare $d
octet report bare --data synth-digits --limit 16 -o bare.html --json 2>&1 >.out | grep 'the data has div 255, mean 0.5, std 0.25$' >.err || say "report of a net that nobody described: $(cat .err)"

# layers that lose: in qat no word of qat, and elsewhere that the run is to be made again
octet ptq digits --data synth-digits --limit 400 --wbits 2 --out low1 >.out 2>.err
grep -q "costs most: .*: --set '.*:wbits=8', or octet qat\$" .err || say "ptq: $(cat .err)"
points=$(awk '/^accuracy/ { printf "accuracy is %.2f points below float.s %.4f", 100 * ($4 - $2), $4 }' .out)
grep -q "^octet: warning: $points" .err || say "what is lost, $points: $(cat .out .err)"
# (fc3 may be clipped as well, by the last bits of the training)
octet qat digits --data synth-digits --limit 400 --epochs 1 --lr 1e-9 --batch 200 --wbits 2 --set fc3:float --out low2 >.out 2>.err
grep -q "costs most: .*: --set '.*:wbits=8'\$" .err || say "qat: $(cat .err)"
octet qat a $d --epochs 1 --wbits 2 --abits 2 --out low --quiet >.out 2>&1
octet eval low $d 2>&1 >.out | grep warning: >.err
grep -q ': make the run again: --set' .err && ! grep -v 'make the run again' .err | grep -q -- ' --[a-z]' || say "eval has no --set: $(cat .err)"

# of files: a step that fits what is in them, or none
next "next: octet run MODEL --input b/probe.npz" octet inspect b/probe.npz
grep -q 'octet train' .err && say "an array without labels trains nothing: $(cat .err)"
octet run a --input b/probe.npz --output y.npy --quiet >.out && next "next: octet run MODEL --input y.npy" octet inspect y.npy
octet export b.oct8 --to npz,safetensors -o codes --quiet >.out && octet export a --to npz -o codes --quiet >.out || say "export"
for f in codes/b.npz codes/b.safetensors codes/a.npz b/model.safetensors a/state.safetensors; do octet inspect $f 2>.err >.out; grep -q next: .err && say "inspect $f: $(cat .err)"; done

# ---- what was meant ----
octet help train >.out && octet train --help | cmp -s - .out || say "octet help train: $(head -1 .out)"
says 'did you mean octet train?' octet help trian
says 'did you mean octet inspect --weights?' octet weights b.oct8
says 'did you mean octet ptq, octet qat or octet convert?' octet quantize a
says 'did you mean octet --version?' octet version
says "--model: no net of that name, and no run: expected lenet, resnet8, resnet20, resnet18, or a run's folder, got nosuchrun" octet train --model nosuchrun $d --out new
octet convert b --out b.oct8 --quiet >.out
grep -q "  bytes [1-9][0-9]* of tensors  file $(wc -c <b.oct8)\$" .out || say "convert: $(cat .out)"
octet convert a --mode half --out half.oct8 --json --quiet | grep -q "\"file_bytes\":$(wc -c <half.oct8)[,}]" || say "convert --mode half --json: file_bytes"
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
for o in noop placeholder fixed mini; do
    says "no observer that finds a range: expected ema, minmax, histogram, mse, mae, entropy, percentile, got $o" octet ptq a $d --out new --observer $o
    says "rule conv1: no observer that finds a range" octet qat a $d --out new --set conv1:observer=$o
done
says 'did you mean minmax?' octet ptq a $d --out new --observer minmx
echo '{"observer": "noop"}' >noop.json
says '--qconfig: no observer that finds a range' octet ptq a $d --out new --qconfig noop.json
says 'a: keeps no histograms: expected a run of octet ptq with observer entropy, got float (octet ptq a --data SPEC --observer entropy --out a-ptq makes one)' octet inspect a --histogram conv1
says 'octet ptq RUN --data SPEC --observer entropy' octet inspect b.oct8 --histogram conv1
says 'b: run is quantized already: expected a float run for --mode, got a run of octet ptq or octet qat (octet convert a --mode half --out new.oct8)' octet convert b --mode half --out new.oct8
says '--mode: unknown: expected dynamic, weight-only, half, got int8 (without --mode a run of octet ptq or octet qat becomes int8)' octet convert b --mode int8 --out new.oct8
# hints are of the command that runs: no option that it has not
says 'b: run exists already: expected a new path (--resume goes on, --force replaces it)' octet train --model lenet $d --out b
for c in "ptq a $d --out b" "import a/model.safetensors --model lenet --out b" "demo --out b"; do says 'b: run exists already: expected a new path (--force replaces it)' octet $c; done
{ printf 'BM\0\0\0\0\0\0\0\0\066\0\0\0\050\0\0\0\034\0\0\0\034\0\0\0\001\0\030\0'; head -c 2376 /dev/zero; } >one.bmp
for k in 0 1 2 3 4 5 6 7 8 9; do mkdir -p single/train/$k && cp one.bmp single/train/$k; done
told 'octet: one.bmp and others: in colour, turned to grey (0.299 red, 0.587 green, 0.114 blue); the net takes grey images' octet predict b one.bmp one.bmp
told '!in colour' octet predict b one.bmp --quiet
next "next: octet eval b --data synth-digits" octet predict b one.bmp
next "next: octet eval b.oct8 --data SPEC" octet predict b.oct8 one.bmp
says 'could be held out: expected two different images of a class (all of it: --split all)' octet eval a --data folder:single --quiet
for c in "train --model lenet --out new" "ptq a --out new" "data check folder:single"; do
    case $c in data*) ;; *) c="$c --data folder:single" ;; esac
    c="$c --quiet"
    says 'could be held out: expected two different images of a class' octet $c
    grep -q -- '--split' .err && say "$c has no --split: $(cat .err)"
done
says 'rule fc1:wbits=12: bad value of wbits: expected 2 to 8, got 12' octet ptq a $d --out new --set conv1:wbits=4,abits=5 --set fc1:observer=mse,wbits=12
says 'rule fc1:wbits=12: bad value' octet ptq a $d --out new --set fc1:wbits=12
says 'rule fc*:granularity=rows: ' octet ptq a $d --out new --set 'fc*:granularity=rows'
# what is not there
says 'aa: no such run or int8 file' octet eval aa $d
says "bb.oct8: no such run or int8 file: expected a run's folder, or an int8 file, got No such file or directory (did you mean b.oct8?)" octet eval bb.oct8 $d
says 'no such run or int8 file' octet inspect somewhere-else
says 'octet train makes a run, octet convert an int8 file' octet inspect somewhere-else
says 'no such run: expected' octet convert somewhere-else --out new.oct8
says 'octet train makes a run' octet ptq somewhere-else $d --out new
says 'did you mean b/probe.npz?' octet run b.oct8 --input b/prob.npz
echo hello >note.txt && cp note.txt note.npz
octet train --model resnet8 --data synth-shapes --limit 64 --epochs 1 --out other --quiet >/dev/null
# columns stand below each other, however long a kind is
octet ptq other --data synth-shapes --limit 64 --out otherq --quiet >/dev/null
octet layers otherq --data synth-shapes --limit 16 --quiet | awk '/ adaptive_avg_pool2d /{ seen = 1 } /^$/{ exit } !/ images of /{ at = NR == 1 ? index($0, "shape") : index($0, "[N"); if (NR > 1 && at != first) bad = bad "\n" $0; else first = at } END { if (!seen || bad) { print "columns:" bad; exit 1 } }' >.out || say "layers: $(cat .out)"
says 'note.txt: no array of NumPy: expected .npz or .npy' octet run b.oct8 --input note.txt
says "note.npz: not a zip archive, as .npz is" octet train --model lenet --data npz:note.npz --out new
says 'array x does not fit the net: expected [N, 3, 32, 32], got [64, 1, 28, 28] (N,C,H,W, as PyTorch has it)' octet run other --input b/probe.npz
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
mkdir -p root/mnist && : >root/mnist/train-images-idx3-ubyte
at() { OCTET_DATA=$dir/root octet eval a "$@"; }
says "mnst: cannot open: expected a folder, here or below $dir/root, got No such file or directory (did you mean idx:mnist?)" at --data idx:mnst
says "did you mean idx:mnist?" at --data mnist
says 'mnist: unknown kind of data set: expected synth-digits, synth-shapes, idx:DIR' octet eval a --data mnist
says 'did you mean idx:DIR, DIR where its files lie?' octet eval a --data mnist
says '/nowhere: cannot open: expected a folder, got No such file or directory' octet eval a --data idx:/nowhere
says '/nowhere: cannot open: expected a folder, got No such file or directory' octet eval a --data cifar100:/nowhere
says 'photo: cannot open: expected a folder, got No such file or directory (did you mean folder:photos?)' octet eval a --data folder:photo
says 'no.npz: cannot open: expected a file, got No such file or directory' octet eval a --data npz:no.npz
says "did you mean folder:photos?" octet train --model lenet --data photos --out new
: >t10k-images-idx3-ubyte
says "did you mean idx:.?" octet train --model lenet --data . --out new
printf 'PK\003\004%022d\020\000\000\000archive/data.pkl%040d' 0 0 >w.pt
says 'PyTorch' octet import w.pt --model lenet --out new
says 'this is a checkpoint of PyTorch (torch.save): expected' octet import w.pt --out new
says 'then octet import w.safetensors --model M --out RUN' octet import w.pt --out new
# what loads without running anything comes first, and the other line says what it does
says "in Python: d = torch.load(F, 'cpu', weights_only=True); d = d.get('state_dict', d); " octet import w.pt --out new
says 'where that load is refused, F is a model saved whole: weights_only=False loads it and runs code of F, so only one that you trust, and then d = d.state_dict()' octet import w.pt --out new
grep -q 'weights_only=True.*weights_only=False' .err || say "what runs code comes first: $(cat .err)"
for f in note.txt one.bmp w.pt; do
    says ': expected a name that ends in .onnx, or a .safetensors file' octet import $f --out new
    grep -qE 'IDX|int8 file|JPEG' .err && say "import takes no data: $(cat .err)"
done
# a hint has the options of the command that runs, or another row of c_words.def
printf 'PK\003\004%030d' 0 >z.npz
says "(numpy's arrays are data: --data npz:FILE)" octet eval z.npz $d
says "(numpy's arrays are data)" octet export z.npz --to npz --out .
says "(calibrate with octet ptq --set 'conv1:observer=entropy')" octet inspect b --histogram conv1
for k in x y; do for part in train test; do mkdir -p tiny/$part/$k && cp one.bmp tiny/$part/$k; done; done
says 'expected at least 17x17, got 16x16 (lenet and resnet8 take small images; those of folder: can be made larger (--resize))' octet train --model resnet18 --data folder:tiny --resize 16 --crop 16 --mean 0.5 --std 0.5 --out new --quiet
says 'w.pt: this is a checkpoint of PyTorch (torch.save): expected a run, an int8 file' octet inspect w.pt
says '--model: option is missing: expected the net whose weights they are (octet import a/model.safetensors --model lenet --out new' octet import a/model.safetensors --out new
says 'b/probe.npz: no weights and no model' octet import b/probe.npz --out new
printf '\010\007\022\007pytorch\032\0052.1.0:\232\001' >m.onnx
for c in "convert m.onnx --out new" "ptq m.onnx $d --out new" "eval m.onnx $d" "inspect m.onnx" "train --model m.onnx $d --out new" "import m.onnx --model lenet --out new"; do says 'this is an ONNX model' octet $c; done
says 'take the run that it was made from' octet ptq b.oct8 $d --out new
says 'octet import makes a run of PyTorch' octet convert a/model.safetensors --out new
says 'octet import makes a run of PyTorch' octet train --model a/model.safetensors $d --out new
says 'did you mean kind=linear?' octet ptq a $d --out new --set kind=Linear:float
mkdir -p outer/photos/cat outer/photos/dog
says 'did you mean folder:outer/photos?' octet train --model lenet --data folder:outer --out new
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
says "nowhere: no such run to go on with: expected a run's folder (to begin one: octet train --model lenet" octet train --resume --out nowhere
says "nowhere: no such run to go on with" octet qat --resume --out nowhere
says '--out: option is missing: expected --out RUN, the run to go on with' octet train --resume

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

[ $proposed -ge 25 ] || say "only $proposed commands were proposed"
[ $fails = 0 ] && echo "test_texts: all held" || echo "test_texts: $fails failed"
exit $((fails > 0))
