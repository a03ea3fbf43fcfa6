#!/bin/sh
# SPDX-License-Identifier: MIT
# System calls that fail, in each command as a process: the n-th one of those that it makes (failing_calls.c). It does its work and
# ends with 0, or says what failed in which file and ends with 4 (5 where memory is refused); what was there stays, or the new is
# whole; the next run gives what it always gave, and nothing is left. The same where it is killed in the place of the call, in turn
# before it and within a write. Usage: test_failing_calls.sh PATH-OF-octet SHIM COMMANDS.DEF
# In the suite one call of STEP; OCT_TEST_LONG=1: each, with each error. OCT_TEST_ERRORS: others; OCT_TEST_ONLY: rows of that name.
set -u
octet=$(realpath "$1")
shim=$(realpath "$2")
def=$(realpath "$3")
dir=$(mktemp -d "$([ -w /dev/shm ] && echo /dev/shm || echo /tmp)/octet-test-calls-XXXXXX")
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fails=0
say() { echo "test_failing_calls: $*"; fails=$((fails + 1)); }
step=${STEP:-97} errors="EIO:5 KILL:KILL"
[ "${OCT_TEST_LONG:-0}" = 1 ] && step=${STEP:-1} errors="EIO:5 ENOSPC:28 EINTR:4 EMFILE:24 KILL:KILL"
errors=${OCT_TEST_ERRORS:-$errors}

bmp() { printf 'BM\0\0\0\0\0\0\0\0\066\0\0\0\050\0\0\0\050\0\0\0\050\0\0\0\001\0\030\0'; head -c 24 /dev/zero; head -c 4800 "$1"; } # 40x40
for k in ant bee; do
    mkdir -p pics/train/$k pics/test/$k
    for i in 1 2 3; do for part in train test; do bmp "$octet" >pics/$part/$k/$i.bmp; done; done
done
cp pics/test/ant/1.bmp one.bmp
d="--data folder:pics --threads 1"
train="train --model lenet $d --resize 32 --crop 32 --epochs 1 --batch 4 --save-steps 1"
"$octet" $train --out f --quiet >/dev/null && "$octet" $train --out other --seed 9 --quiet >/dev/null &&
    "$octet" ptq f $d --out p --quiet >/dev/null && "$octet" ptq other $d --out p2 --quiet >/dev/null &&
    "$octet" convert p --out p.oct8 --quiet && "$octet" convert p2 --out p2.oct8 --quiet || exit 1
"$octet" run f --input p/probe.npz --output y0.npz --quiet
"$octet" export p2.oct8 --to npz --out . --quiet >/dev/null
cp f/model.safetensors w.safetensors
mkdir out out0 grid0
"$octet" export f --to onnx --name float --out . --quiet >/dev/null
"$octet" export p2.oct8 --to onnx --name p --out out0 --quiet >/dev/null && "$octet" export p2.oct8 --to c --name net --out out0 --quiet >/dev/null || exit 1
names='page.html|grid|out\b|sheet|pics|one.bmp|\bf\b|\bf/|\bp\b|\bp/|p.oct8|other|w.safetensors|probe.npz|new|y.npz|\bp.npz'

# what a run or a file is: metrics hold times, the state their length, and so do the page and the results of a grid
made() { [ "$1" = - ] || find "$1" -type f ! -name '*.result' ! -name .lock ! -name '*.out' ! -name '*.err' ! -name 'report.html' ! -name metrics.jsonl ! -name state.safetensors ! -name '*.tmp-*' ! -path '*/.new*' 2>/dev/null | sort | xargs cat 2>/dev/null | case $1 in *.html) tail -c 8 ;; *) cat ;; esac | cksum; }
said() { sed 's/"seconds"[^,}]*//g; s/"front"[^,}]*//g; s/"[a-z0-9_]*us"[^,}]*//g; s/"img_per_s"[^,}]*//g; s/ [0-9.]* img.s$//' .out; }
# what a run gives, whatever of its files has its last name yet
gives() { case $1 in grid*) set -- $1/ptq-octet-ema-w8a8-s1; [ -e $1/graph.json ] || [ -e $1/.new ] || { echo none; return; } ;; esac; if [ -d "$1" ]; then "$octet" run "$1" --input p/probe.npz --json --quiet 2>&1; else made "$1"; fi; }
injected=0
# each NAME OUT OLD COMMAND...: OUT (or -: nothing) is what it writes, over a copy of OLD
each() {
    name=$1 out=$2 old=$3
    shift 3
    echo "${name% *}" >>tried
    case $name in ${OCT_TEST_ONLY:-*}) ;; *) return ;; esac
    fresh() { rm -rf $out; [ "$old" = - ] || cp -r "$old" "$out"; [ "$out" != - ] || rm -rf new; }
    fresh
    FAIL_LOG=log LD_PRELOAD=$shim "$octet" "$@" >.out 2>.err || { say "$name: $(cat .err)"; return; }
    want=$(made $out) text=$(said) count=$(cat log)
    after=$(gives $out) before=$(gives $old)
    [ "$old" = - ] || [ "$before" != "$after" ] || say "$name: it makes what is there"
    n=$((1 + $(echo $name | cksum | cut -d' ' -f1) % step))
    while [ $n -le "$count" ]; do
        for e in $errors; do
            fresh
            timeout 60 env FAIL_AT=$n FAIL_ERRNO=${e#*:} FAIL_LOG=log LD_PRELOAD="$shim" "$octet" "$@" >.out 2>.err
            rc=$?
            call=$(cat log)
            row="$name, call $n ($call) fails with ${e%:*}"
            injected=$((injected + 1))
            got=$(made $out)
            kept() { # the old one, the new one, or a run under way
                [ "$old" = - ] && [ ! -e $out ] && return
                now=$(gives $out)
                [ "$now" = "$after" ] || [ "$now" = "$before" ] && return
                case $1 in train | qat) "$octet" $(echo "$*" | sed 's/--force/--resume/') >/dev/null 2>.err2 ;; *) false ;; esac && [ "$(made $out)" = "$want" ] ||
                    say "$row: neither the old one nor the new: $(cat .err); resumed: $(cat .err2)"
            }
            case $rc:$call in
            137:*) [ "$e" = KILL:KILL ] || say "$row: killed"; kept "$@" ;;
            0:*)
                [ "$got" = "$want" ] || say "$row: exit 0, and it made something else: $(ls -a $out)"
                [ "$(said)" = "$text" ] || say "$row: exit 0, and it says something else: $(head -c 300 .out)"
                ;;
            4:* | 5:mmap)
                [ "$(wc -l <.err)" = 1 ] || [ "$rc" = 4 ] || say "$row: not a line: $(cat .err)"
                grep -qE "$names|memory" .err || say "$row: no file is named: $(cat .err)"
                kept "$@"
                ;;
            *) say "$row: exit code $rc: $(cat .err)" ;;
            esac
            [ $rc = 0 ] && [ -z "$(find . -name '*.tmp-*' -o -name '.new*')" ] && continue
            case " $* " in *" --force "*) ;; *) [ "$out" = - ] && rm -rf new ;; esac
            "$octet" "$@" >.out 2>.err || say "$row: the next run: $(cat .err)"
            [ "$(made $out)" = "$want" ] || say "$row: the next run makes something else"
            left=$(find . -name '*.tmp-*' -o -name '.new*')
            # a grid does not write again what is done: what could not be cleared there waits for the run's next writer
            case $name:$call in sweep*:readdir) rm -rf grid; left= ;; esac
            [ -z "$left" ] || { say "$row: files stay: $left"; rm -rf $left; }
        done
        n=$((n + step))
    done
}
each train new other $train --out new --force --quiet
each ptq new p2 ptq f $d --out new --force --quiet
each qat new p2 qat p $d --epochs 1 --batch 4 --save-steps 1 --out new --force --quiet
each convert new.oct8 p2.oct8 convert p --out new.oct8 --quiet
each eval - - eval p.oct8 $d --json --quiet
each run y.npz y0.npz run p.oct8 --input p/probe.npz --output y.npz --quiet
each predict - - predict p one.bmp --json --quiet
each inspect - - inspect p --quiet
each layers - - layers p $d --json --quiet
each verify - - verify p p.oct8 $d --quiet
each data sheet.png f/graph.json data check synth-digits --limit 40 --seed 1 --sheet sheet.png --json --quiet # of files: test_data_check.c
each report - - report p f p.oct8 $d --json --quiet
each "report page" page.html - report f --out page.html --quiet
each doctor - - doctor p $d --dry-run --json --quiet # its exit code is what it found
each sweep - - sweep f $d --wbits 4,8 --out new --dry-run --quiet
each "sweep grid" grid grid0 sweep f $d --wbits 8 --out grid --json --quiet
each compare - - compare f p p.oct8 $d --json --quiet
each import new other import w.safetensors --model lenet --size 32x32 --out new --force --quiet
each export p.npz p2.npz export p.oct8 --to npz --out . --quiet
each "export onnx" out/p.onnx out0/p.onnx export p.oct8 --to onnx --out out --quiet
each "export c" out/net.c out0/net.c export p.oct8 --to c --name net --out out --quiet
each "import onnx" new other import float.onnx --out new --force --quiet
each bench - - bench --workload lenet --mode infer-int8 --batch 1 --dry-run
each demo - - demo --limit 64 --json --quiet
# every command
sed -n 's/^COMMAND([A-Z]*, "\([a-z]*\)".*/\1/p' "$def" | sort >commands
lacking=$(sort -u tried | comm -23 commands -)
[ -z "$lacking" ] || say "commands without a row: $lacking"
[ $fails = 0 ] && echo "test_failing_calls: $injected failures held" || echo "test_failing_calls: $fails of $injected failed"
exit $((fails > 0))
