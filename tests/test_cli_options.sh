#!/bin/sh
# SPDX-License-Identifier: MIT
# Every option changes what it should: the rows of cli_options.txt, judged one by one. Usage:
# test_cli_options.sh PATH-OF-octet TOOLS-FOLDER makes|looks: commands that make runs and measure, or that look at them.
#   WHERE  makes: moved: the run's weights are not the base run's, and its config.json has WHAT
#                 kept: the weights are the base run's, and config.json has WHAT
#                 inspect, graph (graph.json), out, err: has WHAT
#          looks: differs: what the command gives (stdout, and what it writes) is not what it gives without, and has WHAT
#                 same: it is, to the byte
#          a name: a function of cli_options_GROUP.sh judges, with WHAT as its argument
set -u
octet=$(realpath "$1")
def=$(realpath "$2/options.def")
commands=$(realpath "$2/commands.def")
tests=$(realpath "$(dirname "$0")")
group=$3
case $group in
makes) mine="train ptq qat eval bench" ;;
looks) mine="inspect data doctor sweep layers predict run verify convert compare import export report demo" ;;
*) echo "makes or looks?"; exit 2 ;;
esac
dir=$(mktemp -d /tmp/octet-test-options-XXXXXX)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fails=0
say() { echo "test_cli_options $group: $*"; fails=$((fails + 1)); }
text() { grep -q -- "$2" "$1" || say "$row: no '$2' in $(head -c 600 "$1")"; }
# a picture of 40x40: any bytes of a file, from $2 on, are pixels
bmp() { printf 'BM\0\0\0\0\0\0\0\0\066\0\0\0\050\0\0\0\050\0\0\0\050\0\0\0\001\0\030\0'; head -c 24 /dev/zero; tail -c +$2 "$1" | head -c 4800; }
o() { "$octet" "$@" --quiet >/dev/null || say "cannot $*"; }
help() { "$octet" $c --help >.out 2>.err; text .out "usage: octet $c" && [ ! -s .err ] || say "$row: on stderr"; }
version() { "$octet" $c --version >.out; text .out '^octet [0-9]'; }

. "$tests/cli_options_$group.sh"

while IFS='|' read -r c option value where what; do
    case " $mine " in *" $c "*) ;; *) continue ;; esac
    row="$c --$option"
    echo "$c $option" >>rows
    extra=${value#*+}
    [ "$extra" = "$value" ] && extra=
    value=${value%%+*}
    eval "base=\$base_$c"
    args=$base
    flags="--$option"
    [ "$value" = - ] || flags="--$option $value"
    judge || $where $what
done <"$tests/cli_options.txt"

# each option of these commands in the table, and nothing that is no option of theirs; each command in a group
sed -n 's/^OPT([A-Z]*, [a-z_0-9]*, "\([^"]*\)", [^,]*, [^,]*, [^,]*, "[^"]*", \([A-Z |&~]*\),.*/\1 \2/p' "$def" |
    while read -r option of; do
        for c in $mine; do
            C=$(echo $c | tr a-z A-Z)
            case " $of " in *"~$C "*) ;; *" $C "* | *" ALL "*) echo "$c $option" ;; esac
        done
    done | sort -u >options
[ "$(wc -l <options)" -gt 90 ] || say "options.def was not understood"
sort -u rows >have
lacking=$(comm -23 options have)
[ -z "$lacking" ] || say "options without a row: $lacking"
stray=$(comm -13 options have)
[ -z "$stray" ] || say "rows without an option: $stray"
sed -n 's/^COMMAND([A-Z]*, "\([a-z]*\)".*/\1/p' "$commands" >all
[ "$(wc -l <all)" -gt 10 ] || say "commands.def was not understood"
for c in $(cat all); do grep -q "^$c|" "$tests/cli_options.txt" && grep -q "mine=.*[ \"]$c[ \"]" "$tests/test_cli_options.sh" || say "$c is in no group"; done

if [ $group = makes ]; then
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
fi

[ $fails = 0 ] && echo "test_cli_options $group: all held" || echo "test_cli_options $group: $fails failed"
exit $((fails > 0))
