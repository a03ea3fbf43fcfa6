#!/bin/bash
# SPDX-License-Identifier: MIT
# Manual pages and completion: they name every command and option, render without a warning, and complete what is typed. What is
# not on this machine (groff, mandoc, zsh, fish) is left out, and said. Usage: test_pages.sh PATH-OF-octet TOOLS-FOLDER
set -u
octet=$(realpath "$1")
tools=$(realpath "$2")
tests=$(realpath "$(dirname "$0")")
dir=$(mktemp -d /tmp/octet-test-pages-XXXXXX)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fails=0
say() { echo "test_pages: $*"; fails=$((fails + 1)); }
there() { command -v "$1" >/dev/null || { echo "test_pages: skipped: no $1 here"; return 1; }; }

commands=$(sed -n 's/^COMMAND([A-Z]*, "\([a-z]*\)".*/\1/p' "$tools/commands.def")
[ "$(echo "$commands" | wc -l)" -gt 15 ] || say "commands.def was not understood"
"$octet" --man >octet.1 || say "no page"
for s in bash zsh fish; do "$octet" --completion $s >octet.$s || say "no completion for $s"; done
for c in $commands; do
    "$octet" --man $c >octet-$c.1 || say "no page of $c"
    grep -qF "octet\\-$c (1)" octet.1 || say "octet.1 does not refer to $c"
    grep -q "^ *$c)" octet.bash && grep -q "^ *$c)" octet.zsh && grep -q "__octet_is $c'" octet.fish || say "completion forgets $c"
    # what --help lists is on the page and completed, and nothing else
    "$octet" $c --help | sed -n 's/^  \(-.,\|   \) --\([a-z0-9-]*\).*/\2/p' | sort >options
    [ "$(wc -l <options)" -ge 5 ] || say "--help of $c was not understood"
    sed -n 's/^\\fB\(\\-.\\fR, \\fB\)\?\\-\\-\([a-z0-9\\-]*\)\\fR.*/\2/p' octet-$c.1 | tr -d '\\' | sort >man
    sed -n "s/^ *$c) words='\(--.*\) '.*/\1/p" octet.bash | sed 's/--//g' | tr ' ' '\n' | sort >bash
    sed -n "/^ *$c)$/,/;;/p" octet.zsh | sed -n "s/^ *\(''*\**'*{-.,\|'\**'*\)\?--\([a-z0-9-]*\)[=[}].*/\2/p" | sort >zsh
    sed -n "s/.*__octet_is $c' -l \([a-z0-9-]*\) .*/\1/p" octet.fish | sort >fish
    for f in man bash zsh fish; do cmp -s options $f || say "$f: options of $c differ: $(diff options $f | grep '^[<>]' | tr '\n' ' ')"; done
done
"$octet" --man nosuch >/dev/null 2>&1 && say "--man nosuch is taken"
"$octet" --completion ksh >/dev/null 2>&1 && say "--completion ksh is taken"

if there groff; then
    for f in *.1; do
        groff -ww -man -Tutf8 $f >.text 2>.err
        [ -s .err ] && say "$f: $(head -3 .err)"
        LC_ALL=C grep -q '[^[:print:][:space:]]' $f && say "$f: bytes that are no ASCII"
    done
    groff -man -Tascii -P-cbou octet-train.1 2>/dev/null | grep -q -- '--weight-decay X' || say "--weight-decay does not read so"
    # every word of the help stands on the page
    groff -man -Tascii -P-cbou -rLL=1000n octet-layers.1 2>/dev/null | tr -s ' \n' '  ' >.page
    grep -qF "share of the float values that lie outside the codes' range" .page || say "columns are not on the page: $(tail -c 600 .page)"
fi
there mandoc && for f in *.1; do mandoc -T lint -W warning $f >.err 2>&1 || say "$f: $(head -3 .err)"; done
bash -n octet.bash || say "bash does not read it"
# what each shell must answer: what is typed, a word that is offered, one that is not
cases=(
    'octet tr|train|ptq'
    'octet |doctor|check'
    'octet train --wei|--weight-decay|--width'
    'octet qat r --optimizer ad|adamw|sgd'
    'octet train --schedule on|onecycle|cosine'
    'octet train --model le|lenet|resnet8'
    'octet ptq r --target li|litert|octet'
    'octet ptq r --observer en|entropy|ema'
    'octet export r --to on|onnx|c'
    'octet convert r --mode we|weight-only|half'
    'octet eval r --data syn|synth-digits|npz:'
    'octet train -d fol|folder:|npz:'
    'octet sweep r --see|--seeds|--seed='
    'octet data |check|train'
    'octet data check np|npz:|check'
    'octet eval run --me|--mean|--method'
)
offers() { # SHELL, and on stdin what it offers for each case: TYPED<tab>WORD
    cat >.offers
    for c in "${cases[@]}"; do
        IFS='|' read -r typed yes no <<<"$c"
        grep -qxF -- "$typed	$yes" .offers || say "$1: '$typed' does not give $yes: $(grep -F -- "$typed	" .offers | cut -f2 | head -5 | tr '\n' ' ')"
        grep -qxF -- "$typed	$no" .offers && say "$1: '$typed' gives $no"
    done
}
for c in "${cases[@]}"; do typed+=("${c%%|*}"); done
if there zsh; then
    zsh -n octet.zsh || say "zsh does not read it"
    mkdir functions && cp octet.zsh functions/_octet
    zsh -f "$tests/zsh_completes.zsh" "$PWD/functions" "${typed[@]}" 2>.err | offers zsh
    [ -s .err ] && say "zsh: $(head -3 .err)"
    zsh -f -c 'autoload -Uz compinit && compinit -D -u && . ./octet.zsh && [[ ${_comps[octet]} = _octet ]]' || say "zsh: read by hand it serves nothing"
fi
if there fish; then
    fish -n octet.fish || say "fish does not read it"
    fish --no-config -c 'source octet.fish; for t in $argv; for w in (complete -C "$t"); printf "%s\t%s\n" $t (string split -f1 \t -- $w); end; end' "${typed[@]}" 2>.err | offers fish
    [ -s .err ] && say "fish: $(head -3 .err)"
fi
for t in "${typed[@]}"; do
    bash --norc -c '. ./octet.bash; compopt() { :; }
        read -ra COMP_WORDS <<<"$1"; [[ $1 == *" " ]] && COMP_WORDS+=(""); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _octet
        for w in "${COMPREPLY[@]}"; do printf "%s\t%s\n" "$1" "$w"; done' - "$t" 2>>.berr
done | offers bash
[ -s .berr ] && say "bash: $(head -3 .berr)"
bash --norc -c '. ./octet.bash; COMP_WORDS=(octet convert --mo); COMP_CWORD=2; _octet; echo ${#COMPREPLY[@]}' | grep -qx 1 || say "convert --mo is not --mode alone"
bash --norc -c '. ./octet.bash; COMP_WORDS=(octet eval ru); COMP_CWORD=2; _octet; echo ${#COMPREPLY[@]}' | grep -qx 0 || say "files are not left to the shell"

[ $fails = 0 ] && echo "test_pages: all held" || echo "test_pages: $fails failed"
exit $((fails > 0))
