#!/bin/sh
# SPDX-License-Identifier: MIT
# What is killed again and again ends with the files of what was not, whatever command it is, and leaves nothing behind.
# Usage: test_kill.sh PATH-OF-octet [KILLS]; OCT_TEST_LONG=1: a thousand; OCT_KILL_SEED: other moments; OCT_KILL_LOG: a file for
# what is done.
# A training is killed and resumed until it ends; each other command that writes is killed over an old result of another seed and where
# nothing is: what is there then is the old one or the new one, the next run makes what was always made, and nothing else stays.
# (test_failing_calls.sh kills in the place of each system call.)
set -u
octet=$(realpath "$1")
kills=${2:-12}
[ "${OCT_TEST_LONG:-0}" = 1 ] && kills=${2:-1000}
name_of_octet=$(basename "$octet" | head -c 15)
dir=$(realpath "$(mktemp -d "${TMPDIR:-/tmp}/octet-test-kill-XXXXXX")")
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
mkdir tmp
export TMPDIR="$dir/tmp" # where verify builds
fail() { echo "test_kill: $*"; exit 1; }
seed=${OCT_KILL_SEED:-7} n=0 table=
after() { # a moment of the first $1 milliseconds
    seed=$(((seed * 1103515245 + 12345) % 2147483648))
    sleep "$(printf '%d.%03d' $((seed / 65536 % ($1 + 1) / 1000)) $((seed / 65536 % ($1 + 1) % 1000)))"
}
timed() { # the command, as it is without kills; ms: how long
    start=$(date +%s%N)
    "$octet" "$@" >/dev/null 2>.err || fail "$*: $(cat .err)"
    ms=$((($(date +%s%N) - start) / 1000000))
}
killed() { # the command, killed at such a moment; code: 137, or 0 where it was faster
    "$octet" "$@" >/dev/null 2>.err &
    pid=$!
    after $((ms * 11 / 10))
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    code=$?
    n=$((n + 1))
    [ $code = 137 ] || [ $code = 0 ] || fail "$*: exit code $code: $(cat .err)"
}
still_running() { # a cell of a sweep that was killed ends by itself, and so does a compiler
    for p in /proc/[0-9]*; do
        read -r comm 2>/dev/null <$p/comm || continue
        case $comm in "$name_of_octet" | *cc* | as | ld* | collect2) ;; *) continue ;; esac
        [ "$(readlink $p/cwd)" = "$dir" ] && return 0
    done
    return 1
}
at_rest() { while still_running; do sleep 0.02; done; }
nothing_stays() {
    left=$(find . -name '*.tmp-*' -o -name '.new*' -o -path './tmp/*' -o -name '*.part')
    [ -z "$left" ] || fail "$1: files stay: $left"
}

# trainings
common="--data synth-digits --quiet --threads 2"
resumed() { # NAME FILES KILLS COMMAND...: until it was killed so often, and ended; FILES: of its run, besides those of every one
    name=$1 files=$2 most=$3 first=$n ended=0
    shift 3
    rm -rf whole broken
    timed "$@" --out whole
    lines=$(wc -l <whole/metrics.jsonl)
    while [ $((n - first)) -lt $most ] || [ $ended = 0 ]; do
        killed "$@" --out broken --resume
        if [ -e broken/state.safetensors ]; then
            "$octet" inspect broken >/dev/null 2>.err || fail "$name: killed run does not load: $(cat .err)"
        fi
        [ $code = 0 ] || { [ $((n - first)) -lt $((2 * most)) ] && continue; }
        "$octet" "$@" --out broken --resume >/dev/null 2>.err || fail "$name: last resume: $(cat .err)"
        for f in model.safetensors state.safetensors graph.json $files; do
            [ $f = state.safetensors ] || cmp -s broken/$f whole/$f || fail "$name: killed and resumed run has another $f"
        done
        ls broken | grep -vx -e config.json -e graph.json -e model.safetensors -e state.safetensors -e metrics.jsonl $(printf -- '-e %s ' $files) >.left
        [ -s .left ] && fail "$name: files stay: $(cat .left)"
        [ "$(wc -l <broken/metrics.jsonl)" = "$lines" ] || fail "$name: metrics.jsonl has $(wc -l <broken/metrics.jsonl) lines"
        nothing_stays "$name"
        rm -rf broken
        ended=$((ended + 1))
    done
    rm -rf broken
    table="$table, $name $((n - first)) ($ended ended)"
    [ -z "${OCT_KILL_LOG:-}" ] || echo "$table" >>$OCT_KILL_LOG
}
few() { [ $((kills / $1)) -gt $2 ] && echo $((kills / $1)) || echo $2; }
resumed train best.safetensors $(few 5 4) train --model lenet $common --limit 100 --batch 16 --epochs 3 --augment crop4 --optimizer adam --save-steps 1 --val 0.2
rm -rf f && mv whole f
cp -r f keep
each=$(few 22 1)
calibrate="--limit 64 --calib 64"
"$octet" ptq f $common $calibrate --out p >/dev/null || fail "cannot calibrate"
resumed "qat --resume" probe.npz $(few 20 2) qat p $common --limit 64 --epochs 3 --batch 16 --save-steps 1
resumed "qat --resume, lsq+" probe.npz $(few 20 2) qat f $common --limit 64 --epochs 3 --batch 16 --save-steps 2 --method lsq+ --wbits 4

# commands that make one thing; metrics hold times, the state their length, and so do pages and the words of a grid
made() { find $1 -type f ! -name metrics.jsonl ! -name state.safetensors ! -name '*.html' ! -name '*.result' ! -name '*.out' ! -name '*.err' ! -name .lock 2>/dev/null | sort | xargs cat 2>/dev/null | cksum; }
# as a reader finds it at any moment
gives() {
    run=$1
    case $1 in grid*) run=$1/ptq-octet-ema-w8a8-s1 ;; demo*) run=$1/qat ;; esac
    now=$run
    [ -e $run/.new ] && now=$run/.new
    if [ -e $now/graph.json ]; then
        "$octet" run $run --input p/probe.npz --json --quiet 2>&1
        cksum <$now/probe.npz
    elif [ -d $run ]; then echo none; else made $run; fi 2>/dev/null
}
# a training under way, in the place of an old one: its steps are not lost
goes_on() { [ $1 = qat ] && "$octet" $(echo "$*" | sed 's/--force/--resume/') >/dev/null 2>.err && [ "$(made $out)" = "$want" ]; }
row() { # NAME OUT OLD COMMAND...: OUT (or -: nothing stays) is a file or folder, OLD another result like it
    name=$1 out=$2 old=$3 first=$n
    shift 3
    rm -rf $out
    timed "$@"
    want=$(made $out) new=$(gives $out) was=$(gives $old)
    [ $old = - ] || [ "$new" != "$was" ] || fail "$name: it makes what is there"
    i=0
    while [ $i -lt $each ]; do
        i=$((i + 1))
        rm -rf $out
        [ $old = - ] || [ $((i % 2)) = 0 ] || cp -r $old $out
        killed "$@"
        # every third sweep meets what the killed one left running
        meets=
        case $name in
        sweep) [ $((i % 3)) = 0 ] && meets=1 || at_rest ;;
        verify) at_rest ;;
        esac
        now=$(gives $out)
        [ -n "$meets" ] || case $now in
        "$new" | "$was") ;;
        *) { [ $((i % 2)) = 0 ] || [ $old = - ]; } && { [ ! -e $out ] || [ "$now" = none ]; } || goes_on "$@" || fail "$name: killed, it is neither the old one nor the new: $now" ;;
        esac
        "$octet" "$@" >/dev/null 2>.err || fail "$name: behind a kill: $(cat .err)"
        [ "$(made $out)" = "$want" ] || fail "$name: behind a kill it made something else"
        nothing_stays "$name"
    done
    table="$table, $name $((n - first))"
    [ -z "${OCT_KILL_LOG:-}" ] || echo "$table" >>$OCT_KILL_LOG
}
"$octet" ptq f $common --limit 40 --calib 32 --wbits 4 --out p2 >/dev/null && "$octet" convert p2 -o p2.oct8 --quiet >/dev/null &&
    "$octet" convert p -o p.oct8 --quiet >/dev/null && "$octet" export f --to onnx --name float -o . --quiet >/dev/null || fail "cannot prepare"
cp f/model.safetensors w.safetensors
"$octet" export p2.oct8 --to c,onnx,npz --name m -o out2 --quiet >/dev/null && "$octet" export p.oct8 --to c --name net -o . --quiet >/dev/null || fail "cannot export"
"$octet" run p2.oct8 --input p/probe.npz --output y2.npz --quiet >/dev/null || fail "cannot run"
"$octet" data check synth-digits --limit 50 --sheet sheet0.png --quiet >/dev/null || fail "cannot draw"
row ptq cal p2 ptq f $common $calibrate --out cal --force
row "ptq --improve" cal p2 ptq f $common $calibrate --improve cle,bias --out cal --force
row qat tuned p2 qat p $common --limit 64 --epochs 1 --batch 16 --out tuned --force
row convert m.oct8 p2.oct8 convert p -o m.oct8 --quiet
row import imported p2 import w.safetensors --model lenet --size 28x28 --quiet --out imported --force
row "import onnx" imported p2 import float.onnx --quiet --out imported --force
row export "out/m.c out/m.h out/m.onnx out/m.npz" - export p.oct8 --to c,onnx,npz --name m -o out --quiet
row "export over another" out/m.npz out2/m.npz export p.oct8 --to npz --name m -o out --quiet
row run y.npz y2.npz run p.oct8 --input p/probe.npz --output y.npz --quiet
row report page.html - report f p --data synth-digits --limit 20 --quiet -o page.html
row "data check" sheet.png sheet0.png data check synth-digits --limit 100 --quiet --sheet sheet.png
row sweep grid - sweep f $common --limit 64 --calib 64 --wbits 8,4 --out grid
row demo demo - demo --limit 64 --quiet --threads 2 --out demo --force
row verify - - verify p.oct8 net.c --data synth-digits --limit 20 --quiet
# over itself: what it reads is lost only to the new one
over_itself() {
    first=$n i=0 out=self
    rm -rf self && cp -r p self
    timed "$@" --out tuned --force
    want=$(made tuned) new=$(gives tuned) was=$(gives p)
    while [ $i -lt $each ]; do
        i=$((i + 1))
        rm -rf self && cp -r p self
        killed "$@" --out self --force
        now=$(gives self)
        [ "$now" = "$was" ] || [ "$now" = "$new" ] || goes_on "$@" --out self --force || fail "over itself: neither the old one nor the new: $(cat .err)"
    done
    table="$table, qat over itself $((n - first))"
}
over_itself qat self $common --limit 64 --epochs 1 --batch 16

# what they started from is as it was
[ "$(made f)" = "$(made keep)" ] || fail "a run that was read is another"

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
echo "test_kill: $n kills held:${table#,}"
