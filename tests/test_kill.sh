#!/bin/sh
# SPDX-License-Identifier: MIT
# A run that is killed again and again ends with the files of one that was not. Usage: test_kill.sh PATH-OF-octet [KILLS]
set -u
octet=$(realpath "$1")
kills=${2:-12}
dir=$(mktemp -d "${TMPDIR:-/tmp}/octet-test-kill-XXXXXX")
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fail() { echo "test_kill: $*"; exit 1; }
args="--data synth-digits --limit 320 --batch 16 --epochs 3 --augment crop4 --optimizer adam --save-steps 1 --quiet --threads 2"

start=$(date +%s%N)
"$octet" train --model lenet $args --out whole >/dev/null || fail "cannot train"
ms=$((($(date +%s%N) - start) / 1000000))
cp -r whole keep

n=0 seed=7
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
echo "test_kill: $kills kills held"
