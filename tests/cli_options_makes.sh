# SPDX-License-Identifier: MIT
# Part of test_cli_options.sh: commands that make runs (train, ptq, qat), and eval and bench; what they stand on, and judges.
data="--data synth-digits --limit 96"
head -c 4800 /dev/zero >zeros
for k in ant bee; do
    mkdir -p pics/train/$k pics/test/$k
    for i in 1 2 3; do for part in train test; do bmp zeros 1 >pics/$part/$k/$i.bmp; done; done
done
for k in 0 1 2 3 4 5 6 7 8 9; do
    mkdir -p nums/train/$k nums/test/$k
    for part in train test; do bmp "$octet" 1 >nums/$part/$k/1.bmp; done
done
echo '{"abits": 6}' >six.json
o train --model lenet $data --epochs 1 --out f32
o train --model lenet $data --epochs 1 --out other --seed 9
o train --model lenet --data folder:pics --resize 32 --crop 32 --epochs 1 --out pix
o ptq f32 $data --calib 64 --out q8
o ptq f32 $data --calib 64 --wbits 3 --out q3
o ptq f32 $data --calib 64 --wbits 3 --set 'fc*:float' --out q3conv

# what each command is without the option, and what it stands on
base_train="--model lenet $data --epochs 1"
base_ptq="f32 $data --calib 64"
base_qat="f32 $data --epochs 1"
base_eval="f32 $data"
base_bench="--workload lenet --mode infer-int8 --batch 2 --seconds 0.005"
for c in train ptq qat; do
    eval "b=\$base_$c"
    "$octet" $c $b --out base_$c --quiet >/dev/null 2>.e || say "base of $c: $(cat .e)"
done
"$octet" eval $base_eval --json --quiet >base_eval.out || say "base of eval"

# $1 command, the rest: its arguments; leaves .out, .err, and the run in r
go() {
    rm -rf r
    c=$1
    shift
    out=
    case $c in train | ptq | qat) out="--out r" ;; esac
    "$octet" "$c" "$@" $out >.out 2>.err </dev/null || say "octet $c $*: $(tail -1 .err)"
}
config() { grep -qF -- "$1" r/config.json || say "$row: config.json lacks $1: $(cat r/config.json)"; }
lines() { [ "$(wc -l <.out)" = "$1" ] || say "$row: $(wc -l <.out) lines, expected $1"; }
weights() { "$octet" inspect "$1" --weights "$2" --json; }

# ---- judged by hand ----
epochs_are() { go $c $args --epochs 3 --json; lines 3; }
resumed() { go $c $args; "$octet" $c $args --epochs 4 --out r --resume >.out 2>.err || say "$row: $(cat .err)"; text .err 'resumed at step'; }
forced() {
    go $c $args
    "$octet" $c $args --out r >/dev/null 2>&1 && say "$row: replaced without --force"
    "$octet" $c $args --out r --force >/dev/null 2>.err || say "$row: $(cat .err)"
}
elsewhere() { "$octet" $c $args --out "elsewhere_$c" --quiet >/dev/null; [ -s "elsewhere_$c/model.safetensors" ] || say "$row: nothing there"; }
unobserved() { # 0 is no default: a calibrated run's ranges stay
    for o in "" "--observe-until 0"; do rm -rf with; mv r with 2>/dev/null; go qat q8 $data --epochs 1 --batch 8 $o; done
    config '"observe_until":0'
    cmp -s r/model.safetensors with/model.safetensors && say "$row: 0 is taken as the default"
}
patient() { go $c $args --epochs 9 --lr 1e-9 --val 0.25 --patience 2 --json; lines 3; }
steps() { go $c $args --batch 10; text r/metrics.jsonl '"step":10,'; } # 96 images
saves() { # the state moves while the first epoch is under way
    "$octet" $c $args --limit 20000 --batch 4 --save-steps 1 --out s --quiet >/dev/null 2>&1 &
    pid=$!
    n=0
    while [ $n -lt 100 ] && [ "$(cksum s/state.safetensors 2>/dev/null)" = "${first:=$(cksum s/state.safetensors 2>/dev/null)}" ]; do sleep 0.05; n=$((n + 1)); done
    [ $n -lt 100 ] || say "$row: no state was saved in 5 s"
    [ -s s/metrics.jsonl ] && say "$row: the first epoch was over"
    kill -9 $pid
    wait $pid 2>/dev/null
    rm -rf s
    first=
}
frozen() {
    go train $base --freeze 'conv1.*' --lr 0.1
    a=$(weights r conv1.weight) b=$(weights r fc1.weight)
    go train $base --freeze 'conv1.*' --lr 0.1 --epochs 2
    [ "$a" = "$(weights r conv1.weight)" ] || say "$row: conv1 moved"
    [ "$b" = "$(weights r fc1.weight)" ] && say "$row: fc1 did not move"
}
quiet() { go $c $args --quiet; [ -s .err ] && say "$row: something on stderr"; [ $c = bench ] || { go $c $args; [ $c = eval ] || [ -s .err ] || say "$row: nothing on stderr without it"; }; }
threads() { # the same bits, and said where the command says what it does
    [ $c = bench ] || go $c $args --threads 1
    case $c in train | qat) text .err ' 1 threads' && cmp -s r/model.safetensors base_$c/model.safetensors || say "$row: other bits" ;; esac
    case $c in bench) go $c $args --threads 1 --json; text .out '"threads":1,' ;; esac
}
dry() { rm -rf r; case $c in train | ptq | qat) o="--out r" ;; *) o= ;; esac; "$octet" $c $args $o --dry-run >.out 2>.err || say "$row: $(cat .err)"; [ ! -e r ] && [ ! -s .out ] || say "$row: something was done"; }
same_score() { go eval $args --batch 7 --json; [ "$(cut -d, -f1-4 .out)" = "$(cut -d, -f1-4 base_eval.out)" ] || say "$row: the batch changes the score"; }
other_score() { go eval $args "$@" --json; [ "$(cat .out)" != "$(cat base_eval.out)" ] || say "$row: nothing changed"; }
seeded() { go $c $args --seed 5 --json; case $c in train | ptq | qat) config '"seed":5' ;; esac; case $c in train | qat) cmp -s r/model.safetensors base_$c/model.safetensors && say "$row: the same weights" ;; esac; }
better() { # [NAME=q3 MORE...]: the run that it is held against, and what that was made with
    how=$1 than=${2:-q3}
    shift $(($# > 1 ? 2 : 1))
    go ptq f32 $data --calib 64 --wbits 3 "$@" --improve $how
    cmp -s r/model.safetensors $than/model.safetensors && say "$row: nothing moved"
    config "\"improve\":\"$how\""
}
# photographs: 40x40, a net of 32x32
photo() {
    case $c in eval) o= ;; *) o="--calib 4" ;; esac
    [ $c = qat ] && o="--epochs 1"
    more=
    [ $1 = resize ] && more="--resize 40"
    go $c pix --data folder:pics $o $more --crop 32
    case $c in eval) [ -s .out ] || say "$row: nothing" ;; *) text r/graph.json '"crop": 32' ;; esac
    case $c$1 in evalresize) ;; *resize) text r/graph.json '"resize": 40' ;; esac
    "$octet" $c pix --data folder:pics --$1 20 --out r2 >/dev/null 2>&1 && say "$row: smaller than the net's input"
    rm -rf r2
}
modes() { for m in train-fp32 train-qat infer-fp32; do go bench --workload lenet --mode $m --batch 2 --seconds 0.005 --json; text .out "\"mode\":\"$m\""; done; }

# blocks fifty times as long have more steps: at least twice, whatever else runs here; and without the option they are of 0.1 s
blocks() {
    for s in 0.001 0.05; do go bench --workload lenet --mode infer-int8 --batch 2 --json --seconds $s && sed -n 's/.*"steps":\([0-9]*\).*/\1/p' .out >steps$s; done
    [ "$(cat steps0.05)" -ge $((2 * $(cat steps0.001))) ] || say "$row: $(cat steps0.001) and $(cat steps0.05) steps"
}

# a row that needs no judge of its own
judge() {
    case $where in
    moved | kept)
        go $c $base $extra $flags --quiet
        against=base_$c
        if [ -n "$extra" ]; then
            rm -rf with && mv r with
            go $c $base $extra --quiet
            rm -rf against && mv r against && mv with r && against=against
        fi
        cmp -s r/model.safetensors $against/model.safetensors
        differ=$?
        [ $where = kept ] && [ $differ != 0 ] && say "$row: other weights"
        [ $where = moved ] && [ $differ = 0 ] && say "$row: the same weights"
        config "$what"
        ;;
    inspect) go $c $base $extra $flags && "$octet" inspect r >.o 2>&1; text .o "$what" ;;
    graph) go $c $base $extra $flags && text r/graph.json "$what" ;;
    out) go $c $base $extra $flags && text .out "$what" ;;
    err) go $c $base $extra $flags && text .err "$what" ;;
    *) return 1 ;;
    esac
    return 0
}
