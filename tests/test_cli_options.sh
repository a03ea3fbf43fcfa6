#!/bin/sh
# SPDX-License-Identifier: MIT
# Every option of train, ptq, qat, eval and bench changes what it should: a table COMMAND|OPTION|VALUE|WHERE|WHAT, run by one loop
# and held against tools/options.def, so that an option without a row fails. Usage: test_cli_options.sh PATH-OF-octet OPTIONS.DEF
#   WHERE  model: the run's weights are not the base run's, and its config.json has WHAT
#          same: the weights are the base run's, and config.json has WHAT      inspect, graph (graph.json), out, err: has WHAT
#          +more options of the command stand behind VALUE, which is - for a flag
#          a name: a function below judges
set -u
octet=$(realpath "$1")
def=$(realpath "$2")
dir=$(mktemp -d /tmp/octet-test-options-XXXXXX)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fails=0
say() { echo "test_cli_options: $*"; fails=$((fails + 1)); }

data="--data synth-digits --limit 96"
bmp() { printf 'BM\0\0\0\0\0\0\0\0\066\0\0\0\050\0\0\0\050\0\0\0\050\0\0\0\001\0\030\0'; head -c 24 /dev/zero; head -c 4800 "$1"; } # 40x40
for k in ant bee; do
    mkdir -p pics/train/$k pics/test/$k
    for i in 1 2 3; do for part in train test; do bmp /dev/zero >pics/$part/$k/$i.bmp; done; done
done
for k in 0 1 2 3 4 5 6 7 8 9; do
    mkdir -p nums/train/$k nums/test/$k
    bmp "$octet" >nums/train/$k/1.bmp # any bytes are pixels
    bmp "$octet" >nums/test/$k/1.bmp
done
echo '{"abits": 6}' >six.json
"$octet" train --model lenet $data --epochs 1 --out f32 --quiet >/dev/null || say "cannot train"
"$octet" train --model lenet $data --epochs 1 --out other --seed 9 --quiet >/dev/null || say "cannot train again"
"$octet" train --model lenet --data folder:pics --resize 32 --crop 32 --epochs 1 --out pix --quiet >/dev/null || say "cannot train on photographs"
"$octet" ptq f32 $data --calib 64 --out q8 --quiet >/dev/null || say "cannot calibrate"
"$octet" ptq f32 $data --calib 64 --wbits 3 --out q3 --quiet >/dev/null || say "cannot calibrate at 3 bits"
"$octet" ptq f32 $data --calib 64 --wbits 3 --set 'fc*:float' --out q3conv --quiet >/dev/null || say "cannot calibrate some layers at 3 bits"

# what each command is without the option, and what it stands on
base_train="train --model lenet $data --epochs 1"
base_ptq="ptq f32 $data --calib 64"
base_qat="qat f32 $data --epochs 1"
base_eval="eval f32 $data"
base_bench="bench --workload lenet --mode infer-int8 --batch 2"
for c in train ptq qat; do
    eval "b=\$base_$c"
    "$octet" $b --out base_$c --quiet >/dev/null 2>.e || say "base of $c: $(cat .e)"
done
"$octet" $base_eval --json --quiet >base_eval.out || say "base of eval"

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
text() { grep -q -- "$2" "$1" || say "$row: no '$2' in $(head -c 600 "$1")"; }
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
help() { "$octet" $c --help >.out 2>.err; text .out "usage: octet $c" && [ ! -s .err ] || say "$row: on stderr"; }
version() { "$octet" $c --version >.out; text .out '^octet [0-9]'; }
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
modes() { for m in train-fp32 train-qat infer-fp32; do go bench --workload lenet --mode $m --batch 2 --json; text .out "\"mode\":\"$m\""; done; }

while IFS='|' read -r c option value where what; do
    [ -n "$c" ] || continue
    row="$c --$option"
    echo "$c $option" >>rows
    extra=${value#*+}
    [ "$extra" = "$value" ] && extra=
    value=${value%%+*}
    eval "base=\$base_$c"
    base=${base#* }
    args=$base
    flags="--$option"
    [ "$value" = - ] || flags="--$option $value"
    case $where in
    model | same)
        go $c $base $extra $flags --quiet
        against=base_$c
        if [ -n "$extra" ]; then
            rm -rf with && mv r with
            go $c $base $extra --quiet
            rm -rf against && mv r against && mv with r && against=against
        fi
        cmp -s r/model.safetensors $against/model.safetensors
        differ=$?
        [ $where = same ] && [ $differ != 0 ] && say "$row: other weights"
        [ $where = model ] && [ $differ = 0 ] && say "$row: the same weights"
        config "$what"
        ;;
    inspect) go $c $base $extra $flags && "$octet" inspect r >.o 2>&1; text .o "$what" ;;
    graph) go $c $base $extra $flags && text r/graph.json "$what" ;;
    out) go $c $base $extra $flags && text .out "$what" ;;
    err) go $c $base $extra $flags && text .err "$what" ;;
    *) $where $what ;;
    esac
done <<'TABLE'
train|data|synth-shapes|model|"data":"synth-shapes"
train|model|resnet8|inspect|(layer1)
train|out||elsewhere|
train|resume||resumed|
train|force||forced|
train|epochs||epochs_are|
train|batch||steps|
train|lr|0.01|model|"lr":0.01
train|optimizer|adam|model|"optimizer":"adam"
train|schedule|constant|model|"schedule":"constant"
train|augment|crop4|model|"augment":"crop4"
train|momentum|0.5|model|"momentum":0.5
train|weight-decay|0.1|model|"weight_decay":0.1
train|clip-norm|0.01|model|"clip_norm":0.01
train|smoothing|0.2|model|"smoothing":0.2
train|warmup|0.9|model|"warmup":0.9
train|momentum|0|model|"momentum":0
train|weight-decay|0|model|"weight-decay":0
train|warmup|0+--batch 8|model|"warmup":0,
train|distill-weight|0+--teacher other|model|"distill_weight":0
train|val|0.25|out|val_accuracy
train|patience||patient|
train|save-steps||saves|
train|teacher|other|model|"teacher_crc32"
train|temperature|1+--teacher other|model|"temperature":1
train|distill-weight|0.9+--teacher other|model|"distill_weight":0.9
train|freeze||frozen|
train|limit|64|err|64 images
train|div|127|model|"div":127
train|mean|0.3|model|"mean":"0.3"
train|std|0.7|model|"std":"0.7"
train|resize|28+--data folder:pics --crop 28|graph|"resize": 28
train|crop|32+--data folder:pics --resize 36|graph|"crop": 32
train|classes|a,b,c,d,e,f,g,h,i,zebra|graph|"zebra"
train|json|-|out|^{"epoch":1,.*"final":true
train|quiet||quiet|
train|seed||seeded|
train|threads||threads|
train|dry-run||dry|
train|help||help|
train|version||version|
ptq|data|folder:nums|model|"data":"folder:nums"
ptq|out||elsewhere|
ptq|force||forced|
ptq|target|qnnpack|model|"target":"qnnpack"
ptq|observer|minmax|model|"observer":"minmax"
ptq|percentile|90+--observer percentile|model|"percentile":90
ptq|set|fc1:wbits=3|model|"set":"fc1:wbits=3"
ptq|qconfig|six.json|model|"qconfig":"six.json"
ptq|wbits|4|model|"wbits":4
ptq|abits|5|model|"abits":5
ptq|calib|8|model|"calib":8
ptq|improve||better|cle
ptq|improve||better|bias
ptq|improve||better|adaround q3conv --set fc*:float
ptq|limit|32|err|of 32 images
ptq|div|127|model|"div":127
ptq|mean|0.3|model|"mean":"0.3"
ptq|std|0.7|model|"std":"0.7"
ptq|resize||photo|resize
ptq|crop||photo|crop
ptq|classes|a,b,c,d,e,f,g,h,i,zebra|graph|"zebra"
ptq|json|-|out|^{"accuracy":
ptq|quiet||quiet|
ptq|seed||seeded|
ptq|threads||threads|
ptq|dry-run||dry|
ptq|help||help|
ptq|version||version|
qat|data|folder:nums|model|"data":"folder:nums"
qat|out||elsewhere|
qat|resume||resumed|
qat|force||forced|
qat|epochs||epochs_are|
qat|batch||steps|
qat|lr|0.1|model|"lr":0.1
qat|optimizer|adam|model|"optimizer":"adam"
qat|schedule|constant+--batch 8|model|"schedule":"constant"
qat|augment|crop4|model|"augment":"crop4"
qat|momentum|0.5|model|"momentum":0.5
qat|weight-decay|0.1|model|"weight_decay":0.1
qat|clip-norm|0.01|model|"clip_norm":0.01
qat|smoothing|0.2|model|"smoothing":0.2
qat|warmup|0.9|model|"warmup":0.9
qat|momentum|0|model|"momentum":0
qat|weight-decay|0|model|"weight-decay":0
qat|val|0.25|out|val_accuracy
qat|patience||patient|
qat|save-steps||saves|
qat|teacher|other|model|"teacher_crc32"
qat|temperature|1+--teacher other|model|"temperature":1
qat|distill-weight|0.9+--teacher other|model|"distill_weight":0.9
qat|target|qnnpack|model|"target":"qnnpack"
qat|observer|minmax+--batch 8|model|"observer":"minmax"
qat|percentile|90+--observer percentile|model|"percentile":90
qat|set|fc1:wbits=3|model|"set":"fc1:wbits=3"
qat|qconfig|six.json|model|"qconfig":"six.json"
qat|method|lsq|model|"method":"lsq"
qat|ste|strict|model|"ste":"strict"
qat|wbits|4|model|"wbits":4
qat|abits|5|model|"abits":5
qat|observe-until|0.1+--batch 8|model|"observe_until":0.1
qat|observe-until||unobserved|
qat|bn-until|0.1+--batch 8|same|"batch_norm_until":0.1
qat|bn-until|0+--batch 8|same|"batch_norm_until":0
qat|bn-images|100|same|"bn_images":100
qat|oscillation|damp+--wbits 3 --batch 8|model|"oscillation":"damp"
qat|oscillation-end|9+--wbits 3 --batch 8 --oscillation damp|model|"oscillation_end":9
qat|limit|64|err|64 images
qat|div|127|model|"div":127
qat|mean|0.3|model|"mean":"0.3"
qat|std|0.7|model|"std":"0.7"
qat|resize||photo|resize
qat|crop||photo|crop
qat|classes|a,b,c,d,e,f,g,h,i,zebra|graph|"zebra"
qat|json|-|out|^{"epoch":1,.*"int8_accuracy":.*"final":true
qat|quiet||quiet|
qat|seed||seeded|
qat|threads||threads|
qat|dry-run||dry|
qat|help||help|
qat|version||version|
eval|data||other_score|--data synth-digits --limit 95
eval|batch||same_score|
eval|split||other_score|--split train
eval|limit|50+--json|out|"n":50,
eval|div||other_score|--div 127
eval|mean||other_score|--mean 0.9
eval|std||other_score|--std 0.1
eval|resize||photo|resize
eval|crop||photo|crop
eval|classes|a,b,c,d,e,f,g,h,i,zebra|out|^  zebra
eval|json|-|out|^{"accuracy":
eval|quiet||quiet|
eval|seed|5|out|^accuracy
eval|threads||threads|
eval|dry-run||dry|
eval|help||help|
eval|version||version|
bench|batch|3+--json|out|"batch":3
bench|workload|lenet|out|^lenet 
bench|mode||modes|
bench|json|-|out|^{"workload":"lenet"
bench|quiet||quiet|
bench|threads||threads|
bench|dry-run||dry|
bench|help||help|
bench|version||version|
TABLE

# the ends of every range are in it, what is a little beyond is not: options are read before --help is answered
sed -n 's/^OPT(\([A-Z]*\), [a-z_0-9]*, "\([^"]*\)", [^,]*, \([^,]*\), \([^,]*\), "[^"]*", \([A-Z]*\).*/\1 \2 \3 \4 \5/p' "$def" | grep '^INT \|^REAL ' >ranges
[ "$(wc -l <ranges)" -gt 20 ] || say "ranges of options.def were not understood"
while read -r kind option lo hi of; do
    c=$(echo "$of" | tr A-Z a-z)
    [ "$c" = all ] && c=train
    beyond=$(awk -v k="$kind" -v lo="$lo" -v hi="$hi" 'BEGIN { if (k == "INT") printf "%.0f %.0f", lo - 1, hi + 1; else printf "%.9g %.9g", (lo > 0 ? lo * 0.99 : -0.001), hi * 1.01 }')
    [ "$kind" = INT ] && hi=$(awk -v v="$hi" 'BEGIN { printf "%.0f", v }')
    for v in "$lo" "$hi"; do "$octet" "$c" "--$option=$v" --help >/dev/null 2>.err || say "$c --$option $v: $(cat .err)"; done
    for v in $beyond; do "$octet" "$c" "--$option=$v" --help >/dev/null 2>&1 && say "$c --$option $v is taken"; done
done <ranges

# each option of these commands in the table, and nothing that is no option of theirs
sed -n 's/^OPT([A-Z]*, [a-z_0-9]*, "\([^"]*\)", [^,]*, [^,]*, [^,]*, "[^"]*", \([A-Z |&~]*\),.*/\1 \2/p' "$def" |
    while read -r option commands; do
        for c in TRAIN PTQ QAT EVAL BENCH; do
            case " $commands " in *"~$c "*) ;; *" $c "* | *" ALL "*) echo "$(echo $c | tr A-Z a-z) $option" ;; esac
        done
    done | sort -u >options
[ "$(wc -l <options)" -gt 100 ] || say "options.def was not understood"
sort -u rows >have
lacking=$(comm -23 options have)
[ -z "$lacking" ] || say "options without a row: $lacking"
stray=$(comm -13 options have)
[ -z "$stray" ] || say "rows without an option: $stray"

[ $fails = 0 ] && echo "test_cli_options: all held" || echo "test_cli_options: $fails failed"
exit $((fails > 0))
