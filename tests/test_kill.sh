#!/bin/sh
# SPDX-License-Identifier: MIT
# What is killed again and again ends with the files of what was not, whatever command it is, and leaves nothing behind.
# Usage: test_kill.sh PATH-OF-octet [KILLS]; OCT_TEST_LONG=1: a thousand; OCT_KILL_SEED: other moments.
set -u
octet=$(realpath "$1")
kills=${2:-12}
[ "${OCT_TEST_LONG:-0}" = 1 ] && kills=${2:-500}
dir=$(mktemp -d "${TMPDIR:-/tmp}/octet-test-kill-XXXXXX")
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fail() { echo "test_kill: $*"; exit 1; }
args="--data synth-digits --limit 320 --batch 16 --epochs 3 --augment crop4 --optimizer adam --save-steps 1 --quiet --threads 2"

start=$(date +%s%N)
"$octet" train --model lenet $args --out whole >/dev/null || fail "cannot train"
ms=$((($(date +%s%N) - start) / 1000000))
cp -r whole keep

n=0 seed=${OCT_KILL_SEED:-7}
while [ $n -lt "$kills" ]; do
    seed=$(((seed * 1103515245 + 12345) % 2147483648))
    wait=$((seed / 65536 % (ms + 1)))
    "$octet" train --model lenet $args --out broken --resume >/dev/null 2>.err &
    pid=$!
    sleep "$(printf '%d.%03d' $((wait / 1000)) $((wait % 1000)))"
    kill -9 $pid 2>/dev/null
    wait $pid
    code=$?
    n=$((n + 1))
    [ $code = 137 ] || [ $code = 0 ] || fail "resume failed with $code: $(cat .err)"
    if [ -e broken/state.safetensors ]; then
        "$octet" inspect broken >/dev/null 2>.err || fail "killed run does not load: $(cat .err)"
    fi
    if [ $code = 0 ]; then # it ended: compare, and begin anew
        cmp -s broken/model.safetensors whole/model.safetensors || fail "killed and resumed run differs"
        rm -rf broken
    fi
done
"$octet" train --model lenet $args --out broken --resume >/dev/null 2>.err || fail "last resume: $(cat .err)"
cmp -s broken/model.safetensors whole/model.safetensors || fail "killed and resumed run differs"
ls broken | grep -vx -e config.json -e graph.json -e model.safetensors -e state.safetensors -e metrics.jsonl >.left
[ -s .left ] && fail "files stay: $(cat .left)"
[ "$(wc -l <broken/metrics.jsonl)" = 3 ] || fail "metrics.jsonl has $(wc -l <broken/metrics.jsonl) lines"

# commands that make one thing: killed, they leave the old one or the new one, and the next run sweeps; metrics hold times, the state their length
seconds() { printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)); }
made() { find $1 -type f ! -name metrics.jsonl ! -name state.safetensors 2>/dev/null | sort | xargs cat 2>/dev/null | cksum; }
each() { # each NAME OUT COMMAND...: OUT is a file or a run
    name=$1 out=$2
    shift 2
    rm -rf "$out"
    start=$(date +%s%N)
    "$octet" "$@" >/dev/null 2>.err || fail "$name: $(cat .err)"
    took=$((($(date +%s%N) - start) / 1000000))
    want=$(made "$out")
    i=0
    while [ $i -lt $each ]; do
        i=$((i + 1)) n=$((n + 1))
        [ $((i % 2)) = 0 ] && rm -rf "$out" # over an old one, and where nothing is
        seed=$(((seed * 1103515245 + 12345) % 2147483648))
        "$octet" "$@" >/dev/null 2>.err &
        pid=$!
        sleep "$(seconds $((took * (seed / 65536 % 110) / 100)))"
        kill -9 $pid 2>/dev/null
        wait $pid
        code=$?
        [ $code = 137 ] || [ $code = 0 ] || fail "$name: exit code $code: $(cat .err)"
        if [ -f "$out" ] || [ -e "$out/graph.json" ] || [ -e "$out/.new" ] || [ $((i % 2)) = 1 ]; then
            "$octet" inspect "$out" >/dev/null 2>.err || fail "$name: killed, it does not load: $(cat .err)"
        fi
        "$octet" "$@" >/dev/null 2>.err || fail "$name: behind a kill: $(cat .err)"
        [ "$(made "$out")" = "$want" ] || fail "$name: behind a kill it made something else"
        left=$(find . -name '*.tmp-*' -o -name '.new*')
        [ -z "$left" ] || fail "$name: files stay: $left"
    done
}
each=$((kills / 5 > 2 ? kills / 5 : 2))
common="--data synth-digits --limit 256 --quiet --threads 2"
each ptq calibrated ptq whole $common --calib 64 --out calibrated --force
each qat tuned qat calibrated $common --epochs 1 --batch 32 --out tuned --force
each convert model.oct8 convert calibrated -o model.oct8 --quiet
cp whole/model.safetensors weights.safetensors
each import imported import weights.safetensors --model lenet --size 28x28 --quiet --out imported --force
cp -r calibrated self
each "qat over itself" self qat calibrated $common --epochs 1 --batch 32 --out self --force

# signals: the step is finished, the state saved, 128 + n
for pair in INT:130 TERM:143; do
    rm -rf soft
    "$octet" train --model lenet --data synth-digits --epochs 500 --batch 16 --quiet --out soft >/dev/null 2>.err &
    pid=$!
    while [ ! -e soft/state.safetensors ]; do sleep 0.05; done
    sleep 0.2
    kill -${pair%:*} $pid
    wait $pid
    code=$?
    [ $code = ${pair#*:} ] || fail "SIG${pair%:*}: exit code $code"
    "$octet" inspect soft >/dev/null || fail "run behind SIG${pair%:*} does not load"
done
echo "test_kill: $n kills held"
