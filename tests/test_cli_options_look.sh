#!/bin/sh
# SPDX-License-Identifier: MIT
# Every option of inspect, layers, predict, run, verify, convert, import and demo changes what it should, as test_cli_options.sh
# has it for the commands that train: a table COMMAND|OPTION|VALUE|WHERE|WHAT, held against tools/options.def.
# Usage: test_cli_options_look.sh PATH-OF-octet OPTIONS.DEF
#   WHERE  differs: what the command gives (stdout, and what it writes) is not what it gives without, and has WHAT
#          same: it is, to the byte       a name: a function below judges
#          +more words behind VALUE stand in the run without the option too; a VALUE of - is a flag
set -u
octet=$(realpath "$1")
def=$(realpath "$2")
dir=$(mktemp -d /tmp/octet-test-look-XXXXXX)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fails=0
say() { echo "test_cli_options_look: $*"; fails=$((fails + 1)); }

data="--data synth-digits --limit 40"
bmp() { printf 'BM\0\0\0\0\0\0\0\0\066\0\0\0\050\0\0\0\050\0\0\0\050\0\0\0\001\0\030\0'; head -c 24 /dev/zero; tail -c +$2 "$1" | head -c 4800; } # 40x40
for k in 0 1 2 3 4 5 6 7 8 9; do # any bytes are pixels
    mkdir -p nums/train/$k nums/test/$k flat/$k
    for i in 1 2; do bmp "$octet" $((k * 9000 + i * 4801)) >nums/train/$k/$i.bmp; done
    bmp "$octet" $((k * 9000 + 1)) >nums/test/$k/1.bmp
    for i in 1 2 3 4 5 6 7 8; do bmp "$octet" $((k * 50000 + i * 4801)) >flat/$k/$i.bmp; done
done
o() { "$octet" "$@" --quiet >/dev/null || say "cannot $*"; }
o train --model lenet $data --epochs 1 --out f
o ptq f $data --out p
o ptq f $data --observer entropy --out e
o ptq f $data --target qnnpack --out q
o convert p --out p.oct8
o train --model lenet --data folder:nums --resize 32 --crop 32 --epochs 1 --out pix
o ptq pix --data folder:nums --out pp
o convert pp --out pp.oct8

base_inspect="p"
base_layers="p $data --json"
base_predict="p.oct8 $data"
base_run="p.oct8 --input p/probe.npz"
base_verify="p q $data"
base_convert="p"
base_import="f/model.safetensors --model lenet"
base_demo="--limit 64 --json"
photo_layers="pp --data folder:nums --json" photo_predict="pp.oct8 --data folder:nums" photo_verify="pp pp.oct8 --data folder:nums --json" photo_convert=pp photo_import=$base_import

# $1 command, the rest its words; leaves .got: what it gives but for times; r: what it wrote; .err
gives() {
    c=$1
    shift
    rm -rf r
    case $c in convert | import) out="--out r" ;; *) out= ;; esac
    "$octet" "$c" "$@" $out >.out 2>.err </dev/null
    code=$?
    case $c$code in *0 | verify1) ;; *) say "octet $c $*: $(tail -1 .err)" ;; esac
    sed -E 's/"([a-z0-9]*_)?us":[^,}]*//g; s/"img_per_s":[^,}]*//g' .out >.got
    case $c in convert) cksum <r >>.got && "$octet" inspect r --json >>.got ;; import) cat r/graph.json r/config.json >>.got ;; esac
}
refused() { "$octet" "$@" >.out 2>.err </dev/null && say "$row: $* is taken"; }
text() { grep -q -- "$2" "$1" || say "$row: no '$2' in $(head -c 600 "$1")"; }

# ---- judged by hand ----
json() {
    b=$(echo "$base" | sed 's/ --json//')
    gives $c $b && ! grep -q '^{' .out || say "$row: JSON without it"
    gives $c $b --json
    case $c in predict) text .out '^{"file":.*}$' ;; *) [ "$(grep -c '^{.*}$' .out)" = "$(wc -l <.out)" ] || say "$row: a line is no object" ;; esac
}
quiet() { b=$(echo "$base" | sed 's/ --json//'); gives $c $b; [ -s .err ] || say "$row: nothing on stderr without it"; cp .got .with; gives $c $b --quiet; case $c in verify) ! grep -q next: .err ;; *) [ ! -s .err ] ;; esac || say "$row: $(cat .err)"; [ $c = demo ] || [ $c = layers ] || cmp -s .got .with || say "$row: stdout changes"; }
dry() {
    case $c in convert | import | demo) to="--out r" ;; run) to="--output r.npz" ;; *) to= ;; esac
    rm -rf r r.npz
    "$octet" $c $(echo "$base" | sed 's/ --json//') $to --dry-run >.out 2>.err || say "$row: $(cat .err)"
    [ ! -e r ] && [ ! -e r.npz ] || say "$row: something was written"
    case $c in convert | import) ;; *) [ ! -s .out ] || say "$row: something was done: $(cat .out)" ;; esac
    refused $c nowhere --dry-run
}
help() { "$octet" $c --help >.out 2>.err; text .out "usage: octet $c" && [ ! -s .err ] || say "$row: on stderr"; }
version() { "$octet" $c --version >.out; text .out '^octet [0-9]'; }
seeded() { # what a set without a test part holds out is the same whatever the seed: a training at another one must not see it
    case $c in layers) b="p --json" ;; predict) b=p.oct8 ;; verify) b="p q" ;; *) b=p ;; esac
    gives $c $b --data folder:flat && mv .got .with && gives $c $b --data folder:flat --seed 5
    cmp -s .with .got || say "$row: other images"
    "$octet" $c --help | grep -A4 -e --seed >.out
    text .out 'nothing here is random'
}
named() { # ten names, not nine
    names=a,b,c,d,e,f,g,h,i
    refused $c $base --classes $names $([ $c = convert ] || [ $c = import ] && echo --out r)
    gives $c $base --classes $names,zebra
    case $c in convert | import) text .got zebra ;; esac
}
predicts() { gives predict $base --classes zz0,zz1,zz2,zz3,zz4,zz5,zz6,zz7,zz8,zz9; text .got zz; }
photo() { # a net of 32x32
    eval "b=\$photo_$c"
    case $c$1 in *resize) words="--resize 40 --crop 32" ;; importcrop) words="--crop 28" ;; *crop) words="--crop 32 --resize 36" ;; esac
    [ $c = import ] && [ $1 = resize ] && words="--resize 40"
    gives $c $b && mv .got .with && gives $c $b $words
    case $c in verify) return ;; esac # equal whatever the images are
    cmp -s .with .got && say "$row: nothing changes"
    [ $c = import ] && text .got "\"$1\": *[0-9]"
}
entropy() { gives inspect e --histogram conv1; text .got '[Kk][Ll]'; refused inspect e --histogram nolayer; }
elsewhere() { case $c in demo) gives demo $base --out there; [ -s there/model.oct8 ] && [ -s there/graph.json ] ;; *) "$octet" $c $base --out there_$c --quiet >/dev/null; [ -s there_$c ] ;; esac || say "$row: nothing there"; }
forced() { rm -rf twice && "$octet" $c $base --out twice --quiet >/dev/null; refused $c $base --out twice 2>/dev/null; "$octet" $c $base --out twice --force --quiet >/dev/null || say "$row: refused"; }
small() { for m in dynamic weight-only half; do gives convert f --mode $m; text .out "^mode $m  bytes [1-9]"; text .got "half\\|dynamic\\|weight\\|float16\\|int8"; cksum <r >>sums; done; [ "$(sort -u sums | wc -l)" = 3 ] || say "$row: the same file"; refused convert p --mode half --out r; }
fitting() { refused import f/model.safetensors --model resnet8 --out r; gives import $base; }
written() { "$octet" run $base --output y.npz >.out 2>.err; [ -s y.npz ] || say "$row: nothing"; grep -q '^\[0' .out && say "$row: printed too"; text .out 'y.npz'; }
other_input() { "$octet" run $base >.a 2>&1; "$octet" run p.oct8 --input q/probe.npz >.b 2>&1; refused run p.oct8 --input nowhere.npz; text .a '^\[0\]'; }

# what each gives without, once for all rows without words of their own
for c in inspect layers predict run verify convert import demo; do
    eval "gives $c \$base_$c"
    mv .got base_$c.got
done

while IFS='|' read -r c option value where what; do
    [ -n "$c" ] || continue
    row="$c --$option"
    echo "$c $option" >>rows
    extra=${value#*+}
    [ "$extra" = "$value" ] && extra=
    value=${value%%+*}
    eval "base=\$base_$c"
    flags="--$option"
    [ "$value" = - ] || flags="--$option $value"
    case $where in
    differs | same)
        against=base_$c.got
        [ -z "$extra" ] || { gives $c $base $extra && mv .got extra.got && against=extra.got; }
        gives $c $base $extra $flags
        cmp -s .got $against
        differ=$?
        [ $where = same ] && [ $differ != 0 ] && say "$row: it changes what is given"
        [ $where = differs ] && [ $differ = 0 ] && say "$row: it changes nothing"
        [ -z "$what" ] || text .got "$what"
        ;;
    *) $where $what ;;
    esac
done <<'TABLE'
inspect|weights|conv1|differs|^conv1.weight
inspect|at|1+--weights conv1|differs|^\[1,0,0,0\]
inspect|stage|int8|differs|^int8 net
inspect|histogram||entropy|
layers|data|folder:nums|differs|
layers|split|train|differs|
layers|limit|16|differs|
layers|sweep|-|differs|"accuracy_alone"
layers|div|127|differs|
layers|mean|0.9|differs|
layers|std|0.1|differs|
layers|resize||photo|resize
layers|crop||photo|crop
layers|classes||named|
layers|seed||seeded|
predict|data|folder:nums|differs|
predict|split|train|differs|
predict|limit|3|differs|
predict|div|127|differs|
predict|mean|0.9|differs|
predict|std|0.1|differs|
predict|resize||photo|resize
predict|crop||photo|crop
predict|classes||predicts|
predict|seed||seeded|
run|input||other_input|
run|output||written|
run|layer|conv2|differs|codes
verify|data|folder:nums|differs|
verify|split|train|differs|
verify|limit|16|differs|
verify|div|127|differs|
verify|mean|0.9|differs|
verify|std|0.1|differs|
verify|resize||photo|resize
verify|crop||photo|crop
verify|classes||named|
verify|seed||seeded|
convert|data|folder:nums|differs|^mismatched_codes 0 of
convert|out||elsewhere|
convert|split|train+--data folder:nums|differs|
convert|limit|7+--data folder:nums|differs|
convert|mode||small|
convert|div|127|differs|
convert|mean|0.9|differs|
convert|std|0.1|differs|
convert|resize||photo|resize
convert|crop||photo|crop
convert|classes||named|
convert|seed||seeded|
import|model||fitting|
import|out||elsewhere|
import|force||forced|
import|size|32x32|differs|"size":"32x32"
import|div|127|differs|"div":127
import|mean|0.3|differs|"mean":"0.3"
import|std|0.7|differs|"std":"0.7"
import|resize||photo|resize
import|crop||photo|crop
import|classes||named|
demo|data|synth-shapes|differs|
demo|out||elsewhere|
demo|force||forced|
demo|limit|80|differs|
demo|seed|5|differs|
inspect|threads|1|same|
layers|threads|1|same|
predict|threads|1|same|
run|threads|1|same|
verify|threads|1|same|
convert|threads|1|same|
import|threads|1|same|
demo|threads|1|same|
inspect|json||json|
layers|json||json|
predict|json||json|
run|json||json|
verify|json||json|
convert|json||json|
import|json||json|
demo|json||json|
inspect|quiet||quiet|
layers|quiet||quiet|
predict|quiet||quiet|
run|quiet||quiet|
verify|quiet||quiet|
convert|quiet||quiet|
import|quiet||quiet|
demo|quiet||quiet|
layers|dry-run||dry|
predict|dry-run||dry|
run|dry-run||dry|
verify|dry-run||dry|
convert|dry-run||dry|
import|dry-run||dry|
demo|dry-run||dry|
inspect|help||help|
layers|help||help|
predict|help||help|
run|help||help|
verify|help||help|
convert|help||help|
import|help||help|
demo|help||help|
inspect|version||version|
layers|version||version|
predict|version||version|
run|version||version|
verify|version||version|
convert|version||version|
import|version||version|
demo|version||version|
TABLE

# each option of these commands in the table, and nothing that is no option of theirs
sed -n 's/^OPT([A-Z]*, [a-z_0-9]*, "\([^"]*\)", [^,]*, [^,]*, [^,]*, "[^"]*", \([A-Z |&~]*\),.*/\1 \2/p' "$def" |
    while read -r option commands; do
        for c in INSPECT LAYERS PREDICT RUN VERIFY CONVERT IMPORT DEMO; do
            case " $commands " in *"~$c "*) ;; *" $c "* | *" ALL "*) echo "$(echo $c | tr A-Z a-z) $option" ;; esac
        done
    done | sort -u >options
[ "$(wc -l <options)" -gt 90 ] || say "options.def was not understood"
sort -u rows >have
lacking=$(comm -23 options have)
[ -z "$lacking" ] || say "options without a row: $lacking"
stray=$(comm -13 options have)
[ -z "$stray" ] || say "rows without an option: $stray"

[ $fails = 0 ] && echo "test_cli_options_look: all held" || echo "test_cli_options_look: $fails failed"
exit $((fails > 0))
