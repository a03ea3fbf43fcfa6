#!/bin/sh
# SPDX-License-Identifier: MIT
# The defaults that help prints are the real ones: written out, each gives the run that is made without it - the same settings in
# config.json, the same weights. Usage: test_cli_defaults.sh PATH-OF-octet
set -u
octet=$(realpath "$1")
dir=$(mktemp -d /tmp/octet-test-defaults-XXXXXX)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fails=0
checked=0
say() { echo "test_cli_defaults: $*"; fails=$((fails + 1)); }

d="--data synth-digits --limit 40"
"$octet" train --model lenet $d --epochs 1 --out f --quiet >/dev/null || say "cannot train"

# each option with its printed default, a line: NAME|DEFAULT
defaults() { "$octet" "$1" --help | tr '\n' '~' | sed 's/~ \{20,\}/ /g' | tr '~' '\n' | sed -n 's/^ .*--\([a-z-]*\) [A-Z].*\[\([^]]*\)\]$/\1|\2/p'; }
# what a run was made with: 5 digits, as some defaults are products of floats
settings() { sed -n '/^"fit"/p' "$1/config.json" | tr ',{}' '\n\n\n' | awk -F: '{ if ($2 + 0 == $2) printf "%s:%.5g\n", $1, $2; else print }'; }
# the net and all its quantizers, but for the words that asked for them
graph() { grep -v '^ *"qconfig":' "$1/graph.json"; }
# COMMAND OPTION VALUE MORE: with the option and without
try() {
    c=$1 option=$2 value=$3
    shift 3
    case $c in train) what="--model lenet" ;; *) what=f ;; esac
    case $c in bench | eval) return ;; esac
    key=$(echo "$c $*" | tr -c 'a-z0-9\n' _)
    [ -d "$key" ] || "$octet" $c $what $d "$@" --out "$key" --quiet >/dev/null 2>.e || say "$c $*: $(cat .e)"
    rm -rf r
    "$octet" $c $what $d "$@" --out r --"$option" "$value" --quiet >/dev/null 2>.e || say "$c $* --$option $value: $(cat .e)"
    checked=$((checked + 1))
    settings "$key" >.without
    settings r >.with
    cmp -s .without .with || { say "$c --$option: [$value] is not the default: $(diff .without .with | tr '\n' ' ')"; return; }
    [ "$(sed -n '/^"fit"/p' "$key/config.json")" = "$(sed -n '/^"fit"/p' r/config.json)" ] || return # the last bit of a product
    cmp -s "$key/model.safetensors" r/model.safetensors && graph "$key" >.without && graph r >.with && cmp -s .without .with || say "$c --$option: [$value] makes another run"
}

for c in train ptq qat; do
    defaults $c >.defaults
    [ "$(wc -l <.defaults)" -gt 10 ] || say "$c --help was not understood"
    while IFS='|' read -r option text; do
        more=
        case $option in
        percentile) more="--observer percentile" ;;
        temperature | distill-weight) more="--teacher f" ;;
        warmup) text=${text%% *} ;; # of ten epochs
        save-steps | patience | threads | val | teacher | freeze | set | qconfig | improve | clip-norm | limit | oscillation | augment) case $text in none | off | all | "all cores" | "the set's own"*) continue ;; esac ;;
        div | mean | std | resize | crop | classes) continue ;; # the data's, or the model's
        esac
        [ "$text" = 2/3 ] && text=0.6666667
        echo "$text" | tr ',' '\n' | while read -r value name rest; do
            case $name in
            others) [ $option = weight-decay ] && name=rmsprop || name=adam; m="--optimizer $name" ;;
            sgd | adam | adamw | rmsprop) m="--optimizer $name" ;;
            damp | freeze) m="--oscillation $name --wbits 3" ;;
            '') m= ;;
            *) m=UNKNOWN ;;
            esac
            echo "$option $value $m $more"
        done >.tries
        while read -r option value m; do
            case $m in *UNKNOWN*) say "$c --$option: [$text] was not understood" ;; *) try $c $option $value $m ;; esac
        done <.tries
    done <.defaults
done
# keys of rules: the default is what a global rule of it changes nothing of
for c in ptq qat; do
    "$octet" $c --help | tr '\n' '~' | sed 's/~ \{20,\}/ /g' | tr '~' '\n' | sed -n '/^Keys/,/^$/p' | sed -n 's/^  \([a-z_]*\)  .*\[\([^]]*\)\]$/\1|\2/p' >.keys
    [ "$(wc -l <.keys)" = 13 ] || say "$c --help: keys without a default"
    while IFS='|' read -r of text; do
        more=
        [ $of = percentile ] && more="--observer percentile"
        try $c set "global:$of=${text%%;*}" $more
        case $text in *' for '*) t=${text##* } v=${text#*; } && try $c set "global:$of=${v%% *}" --target $t ;; esac
    done <.keys
done
[ $checked -ge 40 ] || say "only $checked defaults were tried"

# of commands that leave no run
"$octet" eval f $d --json --quiet | sed 's/"img_per_s":[^,}]*//' >.without
"$octet" eval f $d --json --quiet --batch "$(defaults eval | sed -n 's/^batch|//p')" --split "$(defaults eval | sed -n 's/^split|//p')" | sed 's/"img_per_s":[^,}]*//' >.with
cmp -s .without .with || say "eval: batch and split: $(cat .without .with)"
"$octet" ptq f --data synth-digits --limit 1000 --out n --dry-run >.out 2>.err
grep -q "calibrate on $(defaults ptq | sed -n 's/^calib|//p') of 1000 images" .err || say "ptq: calib: $(cat .err)"
defaults bench | grep -q '^batch|128 to train, 32 to infer$' || say "bench --help: batch"
"$octet" bench --workload lenet --seconds 0.005 --json --quiet >.out
for row in train-fp32:128 train-qat:128 infer-fp32:32 infer-int8:32; do
    grep -q "\"mode\":\"${row%:*}\",\"batch\":${row#*:}," .out || say "bench: $row: $(cat .out)"
done
for w in lenet resnet8 resnet20; do defaults bench | grep -q "^workload|.*$w" || say "bench --help: $w"; done

[ $fails = 0 ] && echo "test_cli_defaults: $checked defaults held" || echo "test_cli_defaults: $fails failed"
exit $((fails > 0))
