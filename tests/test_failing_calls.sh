#!/bin/sh
# SPDX-License-Identifier: MIT
# System calls that fail, in each command as a process: the n-th one of those that it makes (failing_calls.c). It does its work and
# ends with 0, or says what failed in which file and ends with 4 (5 where memory is refused); what was there stays, or the new is
# whole; the next run gives what it always gave, and nothing is left. The same where it is killed in the place of the call, in turn
# before it and within a write. Usage: test_failing_calls.sh PATH-OF-octet SHIM COMMANDS.DEF
# In the suite one call of STEP; OCT_TEST_LONG=1: each, with each error. OCT_TEST_ERRORS: others; OCT_TEST_ONLY: rows of that name.
set -u
octet=$1 shim=$(realpath "$2") def=$3
step=${STEP:-97} errors="EIO:5 KILL:KILL"
[ "${OCT_TEST_LONG:-0}" = 1 ] && step=${STEP:-1} errors="EIO:5 ENOSPC:28 EINTR:4 EMFILE:24 KILL:KILL"
errors=${OCT_TEST_ERRORS:-$errors}

. "$(dirname "$(realpath "$0")")/every_command.sh"
names='page.html|grid|out\b|sheet|pics|one.bmp|\bf\b|\bf/|\bp\b|\bp/|p.oct8|other|w.safetensors|float.onnx|octet: \.:|probe.npz|new|y.npz|\bp.npz'

injected=0
each() {
    row "$@"
    shift 3
    case $name in ${OCT_TEST_ONLY:-*}) ;; *) return ;; esac
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
            [ $rc = 0 ] && [ -z "$(left_over)" ] && continue
            case " $* " in *" --force "*) ;; *) [ "$out" = - ] && rm -rf new ;; esac
            "$octet" "$@" >.out 2>.err || say "$row: the next run: $(cat .err)"
            [ "$(made $out)" = "$want" ] || say "$row: the next run makes something else"
            left=$(left_over)
            [ -z "$left" ] || { say "$row: files stay: $left"; rm -rf $left; }
        done
        n=$((n + step))
    done
}
every_command
every_command_end "$injected failures"
