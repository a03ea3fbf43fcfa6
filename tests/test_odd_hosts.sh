#!/bin/sh
# SPDX-License-Identifier: MIT
# Every command where the machine, or whoever started it, is odd: few open files, a locale with commas or with another i, a clock that
# stands or goes back, another rounding mode: the same files and the same words, or one line that says what is missing. And twice at the
# same time over the same result: one of them at least ends well, the other too or is told, and what is there is what one alone makes.
# Usage: test_odd_hosts.sh PATH-OF-octet ODD_CLOCK ODD_HOST COMMANDS.DEF; in the suite some of them for each command,
# OCT_TEST_LONG=1: all. Locales are made in the test's folder, where localedef can.
set -u
octet=$1 clock=$(realpath "$2") host=$(realpath "$3") def=$4 runs=0
. "$(dirname "$(realpath "$0")")/every_command.sh"
mkdir loc
odd="files=5 files=6 files=7 files=9 clock=still clock=back round=up round=down round=zero round=flush"
for l in de_DE tr_TR; do
    localedef -i $l -f UTF-8 loc/$l.UTF-8 >/dev/null 2>&1 && odd="$odd locale=$l.UTF-8" || echo "skipped: locale $l"
done
under() { # KIND=VALUE COMMAND...
    value=${1#*=} kind=${1%%=*}
    shift
    case $kind in
    files) (ulimit -n "$value" && exec timeout 60 "$octet" "$@") ;;
    clock) ODD_CLOCK=$value LD_PRELOAD=$clock timeout 60 "$octet" "$@" ;;
    round) ODD_ROUND=$value LD_PRELOAD=$host timeout 60 "$octet" "$@" ;;
    locale) LOCPATH=$dir/loc LC_ALL=$value LD_PRELOAD=$host timeout 60 "$octet" "$@" ;;
    esac
}
each() {
    row "$@"
    shift 3
    fresh
    "$octet" "$@" >.out 2>.err || { say "$name: $(cat .err)"; return; }
    want=$(made $out) text=$(said) was=$(made "$old") turn=$(echo $name | cksum | cut -d' ' -f1)
    for how in $odd; do
        turn=$((turn + 1))
        [ "${OCT_TEST_LONG:-0}" = 1 ] || [ $((turn % 6)) = 0 ] || continue
        fresh
        runs=$((runs + 1))
        under $how "$@" >.out 2>.err
        rc=$?
        case $rc in
        0)
            [ "$(made $out)" = "$want" ] || say "$name, $how: it makes something else"
            [ "$(said)" = "$text" ] || say "$name, $how: it says something else: $(head -c 300 .out)"
            ;;
        [45])
            case $how in files=*) grep -qE 'Too many open files|thread' .err ;; clock=*) grep -q clock .err ;; *) false ;; esac || say "$name, $how: exit $rc: $(head -c 500 .err)"
            [ "$out" = - ] || [ ! -e $out ] || [ "$(made $out)" = "$was" ] || case $1 in train | qat | sweep) ;; *) say "$name, $how: the old one is lost" ;; esac
            ;;
        *) say "$name, $how: exit $rc: $(head -c 500 .err)" ;;
        esac
        left=$(left_over)
        [ -z "$left" ] || say "$name, $how: files stay: $left"
    done
    [ "$out" = - ] && return
    fresh
    runs=$((runs + 1))
    "$octet" "$@" >.out2 2>.err2 &
    "$octet" "$@" >.out 2>.err
    rc=$?
    wait $!
    rc2=$?
    [ $rc = 0 ] || [ $rc2 = 0 ] || say "$name, twice at once: $rc and $rc2: $(cat .err .err2)"
    for pair in "$rc .err" "$rc2 .err2"; do
        case ${pair% *} in 0) ;; 4) grep -qE 'another (process|sweep)' ${pair#* } || say "$name, twice at once: $(cat ${pair#* })" ;; *) say "$name, twice at once: exit ${pair% *}: $(cat ${pair#* })" ;; esac
    done
    [ "$(made $out)" = "$want" ] || say "$name, twice at once: it makes something else"
    left=$(left_over)
    [ -z "$left" ] || say "$name, twice at once: files stay: $left"
}
every_command
every_command_end $runs
