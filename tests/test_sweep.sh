#!/bin/sh
# SPDX-License-Identifier: MIT
# octet sweep: every cell is an ordinary run; spreads and the front are those of the cells; a sweep that was stopped or killed
# goes on where it was; what fails is said and does not stop the rest. Usage: test_sweep.sh PATH-OF-octet
set -u
octet=$(realpath "$1")
dir=$(mktemp -d /tmp/octet-test-sweep-XXXXXX)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fails=0
say() { echo "test_sweep: $*"; fails=$((fails + 1)); }
shows() { # FILE PATTERN...
    f=$1
    shift
    for p; do grep -q -- "$p" "$f" || say "no line like '$p': $(head -c 1200 "$f" .err)"; done
}
sweep() { # CODE WORDS...
    want=$1
    shift
    "$octet" sweep f $data "$@" >.out 2>.err </dev/null
    got=$?
    [ $got = "$want" ] || say "octet sweep $*: exit $got, expected $want: $(head -c 900 .err)"
}
data="--data synth-digits --limit 64"
"$octet" train --model lenet --data synth-digits --limit 640 --epochs 3 --out f --quiet >/dev/null || say "no float run"

grid="--wbits 2,8 --method ptq,ema --float none,conv1+fc3 --seeds 1,2 --epochs 1 --jobs 2 --out g"
sweep 0 $grid --dry-run
[ ! -e g ] && [ ! -s .out ] || say "--dry-run did something"
shows .err '^16 runs in g, 2 at once' '^octet ptq f --data synth-digits .*--wbits 2 .*--set conv1:float --set fc3:float --seed 2 --out g/'
sweep 0 $grid --dry-run --threads 6
shows .err '^16 runs in g, 2 at once with 3 threads each; 0 are there'
sweep 0 $grid --json
[ "$(grep -c '"run":"g/' .out)" = 16 ] || say "$(grep -c '"run"' .out) cells of 16"
cp .out all
shows all '"final":true,"fp32_accuracy":[0-9.]*,' '"method":"ema","target":"octet","observer":"ema","wbits":2,"abits":8,"float":"conv1+fc3","n":2'
[ -s g/report.html ] || say "no report.html"
# cells are runs; each command works on them, and their scores are those that were printed
cell=g/ptq-octet-ema-w2a8-float_conv1+fc3-s2
"$octet" inspect $cell >.t || say "a cell cannot be inspected"
shows .t 'conv1  *conv2d  *\[N, 6, 28, 28\]' 'conv2  *conv2d'
a=$("$octet" eval $cell $data --json --quiet | sed 's/.*"accuracy":\([0-9.]*\),.*/\1/')
grep -q "\"run\":\"$cell\".*\"accuracy\":$a," all || say "a cell scores $a: $(grep -F "$cell" all)"
shows $cell/config.json '"seed": *2' '"wbits": *2'
cell=g/ema-octet-ema-w2a8-s1 # trained: of int8, as the file of it scores
"$octet" convert $cell --out c.oct8 --quiet && a=$("$octet" eval c.oct8 $data --json --quiet | sed 's/.*"accuracy":\([0-9.]*\),.*/\1/')
grep -q "\"run\":\"$cell\".*\"accuracy\":$a," all || say "the file of a cell scores $a: $(grep -F "$cell" all)"
# mean, spread and ends, by hand
grep '"run":"g/ptq-octet-ema-w2a8-s' all | sed 's/.*"accuracy":\([0-9.]*\),.*/\1/' >two
want=$(awk '{ s += $1; q[NR] = $1 } END { m = s / NR; for (i in q) v += (q[i] - m) ^ 2; printf "%.6f %.6f", m, sqrt(v / (NR - 1)) }' two)
got=$(tr '{' '\n' <all | grep '"method":"ptq".*"wbits":2.*"float":"none".*"std"' | sed 's/.*"accuracy":\([0-9.]*\),"std":\([0-9.e-]*\),.*/\1 \2/' | awk '{ printf "%.6f %.6f", $1, $2 }')
[ "$want" = "$got" ] || say "mean and std are $got, by hand $want"
[ "${want#* }" != 0.000000 ] || say "both seeds score the same: nothing is told of their spread"
# the front: nothing on it is beaten, everything else is
tr '{' '\n' <all | grep '"front"' | sed 's/.*"accuracy":\([0-9.]*\),.*"packed_bytes":\([0-9]*\),.*"front":\([a-z]*\).*/\1 \2 \3/' >front
awk '{ a[NR] = $1; b[NR] = $2; f[NR] = $3 } END { for (i = 1; i <= NR; i++) { beaten = 0; for (k = 1; k <= NR; k++) if (a[k] >= a[i] && b[k] <= b[i] && (a[k] > a[i] || b[k] < b[i] || k < i)) beaten = 1; if ((f[i] == "true") == beaten) bad++ } exit bad || NR != 8 }' front || say "the front is not: $(cat front)"
[ "$(awk 'NR == 1 || $2 < m { m = $2 } END { print m }' front)" -lt "$(awk '$2 > m { m = $2 } END { print m }' front)" ] || say "2 bits take as much as 8"
# the page has their mean, bytes and spread; the best of the front is shown whole
tr '{' '\n' <all | grep '"front"' | sed 's/.*"accuracy":\([0-9.]*\),"std":\([0-9.e-]*\),.*"packed_bytes":\([0-9]*\),.*/\1 \3 \2/' >want
sed 's/<tr>/\n&/g' g/report.html | grep -o 'data-how="[a-z]* *[a-z]*, octet, .*\|data-spread="[^"]*"' | sed 's/.*data-accuracy="\([^"]*\)".*data-bytes="\([^"]*\)".*/\1 \2/; s/data-spread="\(.*\)"/\1/' | paste -d ' ' - - >got
[ "$(wc -l <got)" = 8 ] && cmp -s want got || say "the page has: $(cat got), the sweep $(cat want)"

sweep 0 $grid
shows .out '^method  *target  *observer .* bytes  *us/image' '^ptq  *octet  *ema' '^qat ema  *octet  *ema' 'as octet compare has them'
# bytes are those of compare, for each number of bits
for w in 2 8; do
    b=$("$octet" compare g/ptq-octet-ema-w${w}a8-s1 $data --json --quiet 2>/dev/null | tr '{' '\n' | sed -n 's/.*"bytes":\([0-9]*\).*/\1/p' | tail -1)
    tr '{' '\n' <all | grep '"method":"ptq".*"wbits":'$w',.*"float":"none".*"std"' | grep -q "\"bytes\":$b,\"packed_bytes\":$b," || say "w$w: compare has $b bytes"
done
# again: nothing is made twice; more seeds: only these
sed 's/"seconds":[^,]*,//; s/"was_there":[a-z]*,//; s/"us":[0-9.e-]*//g' all | grep '"run"' | sort >first
sweep 0 $grid --json
sed 's/"seconds":[^,]*,//; s/"was_there":[a-z]*,//; s/"us":[0-9.e-]*//g' .out | grep '"run"' | sort | cmp -s - first || say "a second sweep gives other cells"
[ "$(grep -c '"was_there":true' .out)" = 16 ] || say "cells were made again"
shows .err '16 are there'
# other options: nothing is taken for what it is not
sweep 2 $grid --epochs 2
shows .err 'was made by another command'

# stopped by a signal: 143; killed: what is done stays; both go on
long="--method ema --wbits 3,4,5,6,7,8 --epochs 1 --out k"
"$octet" sweep f $data $long >.out 2>.err </dev/null &
pid=$!
for i in $(seq 100); do [ "$(ls k/*.result 2>/dev/null | wc -l)" -ge 1 ] && break; sleep 0.1; done
kill -TERM $pid
wait $pid
code=$?
case $code in 143) shows .err 'stopped; the same command goes on' ;; 0) ;; *) say "stopped by SIGTERM: exit $code" ;; esac
before=$(ls k/*.result | wc -l)
"$octet" sweep f $data $long >.out 2>.err </dev/null &
pid=$!
for i in $(seq 100); do [ "$(ls k/*.result | wc -l)" -gt "$before" ] && break; sleep 0.1; done
kill -KILL $pid
wait $pid 2>/dev/null
# its last cell ends by itself: it is waited for
sweep 0 $long --json
[ "$(grep -c '"run"' .out)" = 6 ] || say "resumed: $(grep -c '"run"' .out) cells"
[ "$(grep -c '"was_there":true' .out)" -ge 2 ] || say "resumed from nothing"

# a cell that trains when its sweep ends saves what it has and ends too, whether the sweep was asked to end or killed; the next
# sweep goes on from there
octet_name=$(basename "$octet" | head -c 15)
runs_here() {
    for p in /proc/[0-9]*; do
        read -r comm 2>/dev/null <$p/comm || continue
        [ "$comm" = "$octet_name" ] && [ "$(readlink $p/cwd)" = "$(realpath "$dir")" ] && return 0
    done
    return 1
}
one="--data synth-digits --limit 8000 --method ema --batch 1000 --lr 0.0001 --epochs 6 --jobs 1 --out z" # steps longer than it takes to send a signal twice
cell=z/ema-octet-ema-w8a8-s1
at_step() { # fit.step of its state
    f=$cell/state.safetensors
    head=$(od -An -t u8 -N 8 $f | tr -d ' ')
    at=$(head -c $((8 + head)) $f | tail -c $head | sed 's/.*"fit\.step":{[^}]*"data_offsets":\[\([0-9]*\),.*/\1/')
    od -An -t d8 -j $((8 + head + at)) -N 8 $f | tr -d ' '
}
for how in TERM INT KILL; do
    rm -rf z
    "$octet" sweep f $one --threads 8 >.out 2>.err </dev/null & # its end is told to the cell once for each thread
    pid=$!
    for i in $(seq 100); do [ -e $cell/state.safetensors ] && break; sleep 0.05; done
    sleep 0.1
    kill -$how $pid
    wait $pid 2>/dev/null
    for i in $(seq 100); do runs_here || break; sleep 0.05; done
    runs_here && say "a cell outlives its sweep by SIG$how"
    [ "$(cat $cell/metrics.jsonl 2>/dev/null | wc -l)" -lt 6 ] || say "SIG$how: the cell trained to its end"
    step=$(at_step)
    [ "$step" -gt 0 ] || say "SIG$how: nothing was saved: step '$step': $(cat $cell.err)" # a second signal would end it at step 0
done
"$octet" sweep f $one --json >.out 2>.err </dev/null || say "a sweep of a stopped cell: $(cat .err)"
shows .out '"run":"z/ema-octet-ema-w8a8-s1".*"code":0'
[ "$(wc -l <$cell/metrics.jsonl)" = 6 ] || say "a stopped cell was not gone on with"

# what fails: said, the rest goes on, its exit code
sweep 2 --target octet,nosuch --out bad --json
shows .out '"target":"octet".*"code":0' '"target":"nosuch".*"accuracy":null.*"code":2' '"target":"nosuch".*"n":0,"failed":1'
shows .err 'nosuch-ema-w8a8-s1: exit 2: octet: .*nosuch'
# a cell that fails after it has said other things: what it died of
mkdir -p late/ema-octet-ema-w8a8-s1/metrics.jsonl
sweep 4 --method ema --epochs 1 --out late
shows .err 'ema-octet-ema-w8a8-s1: exit 4: octet: .*metrics.jsonl: cannot remove: got Is a directory$'
[ "$(wc -l <late/ema-octet-ema-w8a8-s1.err)" -ge 2 ] || say "the cell said nothing before: $(cat late/*.err)"
# bad words
for words in "--wbits 9" "--wbits 2,2" "--wbits ," "--method none" "--seeds 1,,2"; do sweep 2 $words --out no; done
[ ! -e no/ptq-octet-ema-w8a8-s1 ] || say "bad words made a run"
sweep 2 --out f
"$octet" sweep bad/ptq-octet-ema-w8a8-s1 $data --out x >/dev/null 2>.err && say "a prepared run is swept"

# a sweep's folder may be anybody's: no link in it leads to what is written, or taken for a cell
cell=ptq-octet-ema-w8a8-s1
linked() { # NAME in the folder: a link to a file, or another name of one, which stays as it is
    for how in "ln -s" ln; do
        rm -rf l x && mkdir l x && echo mine >x/file && $how "$PWD/x/file" l/$1
        sweep 0 --out l
        [ "$(cat x/file)" = mine ] || say "written through $how $1"
    done
}
for name in report.html $cell.out $cell.err $cell.result.part; do linked $name; done
rm -rf l x && mkdir l x && ln -s ../x l/$cell
sweep 3 --out l
shows .err 'a link in the place of a run'
[ -z "$(ls x)" ] || say "written behind a link: $(ls x)"
rm -rf l && mkdir l && ln -s ../x/new l/.lock
sweep 4 --out l
[ -z "$(ls x)" ] || say "made behind a link: $(ls x)"

[ $fails = 0 ] && echo "test_sweep: all held" || echo "test_sweep: $fails failed"
exit $((fails > 0))
