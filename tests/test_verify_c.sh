#!/bin/sh
# SPDX-License-Identifier: MIT
# octet verify of an exported C file: equal, one changed constant, what is no such file, compilers that are not there; and
# nothing stays behind, interrupted or not. Usage: test_verify_c.sh PATH-OF-octet
set -eu
octet=$1
docs=$(cd "$(dirname "$0")/../docs" && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/v-XXXXXX") # short: the command takes a TMPDIR of up to 40 bytes
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export TMPDIR="$dir/tmp"
mkdir tmp
bad=0
say() { echo "test_verify_c: $*" >&2; bad=1; }
# exit code, words of its message, then the command's operands
ends() {
    want=$1 words=$2 code=0
    shift 2
    "$octet" verify "$@" --data synth-digits --limit 10 >out 2>err || code=$?
    [ $code = "$want" ] || say "$*: exit $code, expected $want: $(cat err)"
    grep -q "$words" out err || say "$*: no word of \"$words\": $(cat out err)"
    [ -z "$(ls tmp)" ] || say "$*: left behind: $(ls tmp)"
}
"$octet" train --model lenet --data synth-digits --limit 200 --epochs 1 --out f --quiet >/dev/null
"$octet" ptq f --data synth-digits --calib 64 --out p --quiet >/dev/null
"$octet" convert p --out m.oct8 --quiet >/dev/null
"$octet" export m.oct8 --to c --name net -o . --json --quiet >sizes
grep -q '"flash_bytes":6[0-9]*,"arena_bytes":5880,"macs":416520' sizes || say "sizes: $(cat sizes)"
# 64 KiB of constants, 12 KiB of memory
flash=$(sed -n 's/#define net_FLASH_BYTES \([0-9]*\).*/\1/p' net.h)
[ "$flash" -le 65536 ] || say "constants: $flash bytes"
grep -q 'net_copy(' net.c && say "a flatten is copied"
ends 0 'mismatched_codes 0 of 92780' m.oct8 net.c
ends 0 'mismatched_codes 0 of 92780' ./net.c m.oct8
ends 0 'mismatched_codes 0 of' p net.c
# codes of fixed-point targets count from -128 in C
"$octet" ptq f --data synth-digits --calib 64 --target litert --out q --quiet >/dev/null
"$octet" convert q --out q.oct8 --quiet
"$octet" export q.oct8 --to c --name fixed -o . --quiet >/dev/null
grep -q 'define fixed_IN_LOWEST -128' fixed.h || say "no signed codes: $(grep LOWEST fixed.h)"
ends 0 'mismatched_codes 0 of 92780' q.oct8 fixed.c
ends 0 'mismatched_codes 0 of 92780' fixed.c q
mkdir other
cp net.h other
# the first bias of the second convolution: the layer before it is as it was
sed '/ net_b3\[/{n;s/ \(-\{0,1\}[0-9]*\),/ \19,/;}' net.c >other/net.c
cmp -s net.c other/net.c && say "nothing was changed"
ends 1 '^octet: conv2: values differ at element' m.oct8 other/net.c
grep -q 'octet: conv2 computes by law 7' err || say "no rule: $(cat err)"
CC='cc -DQ' ends 0 'mismatched_codes 0 of' m.oct8 net.c
CC=no-such-compiler ends 3 'the C compiler cannot be run' m.oct8 net.c
CC='cc -ffast-math' ends 3 'does not compile' m.oct8 net.c
echo 'int main(void) { return 0; }' >net2.c
ends 3 'does not compile' m.oct8 net2.c
cp net.c 'a b.c'
ends 3 'letters, digits and _' m.oct8 'a b.c'
# the example of docs/c_export.md, as it stands there
"$octet" export m.oct8 --to c --name digits -o firmware --quiet >/dev/null
sed -n '/^```c$/,/^```$/p' "$docs/c_export.md" | sed '/^```/d' >main.c
[ "$(wc -l <main.c)" -le 10 ] || say "the example has $(wc -l <main.c) lines"
cc -std=c99 -O2 -Wall -Wextra -Werror main.c firmware/digits.c -Ifirmware -o digits && head -c 784 net.h | ./digits >class || say "the example: $(cat class)"
grep -qx '[0-9]' class || say "the example says: $(cat class)"
# a compiler that takes its time, and somebody who does not wait
printf '#!/bin/sh\nsleep 5 &\nwait\n' >slow
chmod +x slow
CC=$dir/slow "$octet" verify m.oct8 net.c --data synth-digits --limit 4 >/dev/null 2>&1 &
pid=$!
for i in $(seq 100); do [ -n "$(ls tmp)" ] && break; sleep 0.1; done
[ -n "$(ls tmp)" ] || say "no folder was made"
children=$(ps -o pid= --ppid $pid)
kill -INT $pid $children 2>/dev/null || true
code=0
wait $pid || code=$?
[ $code = 130 ] || say "interrupted: exit $code"
[ -z "$(ls tmp)" ] || say "interrupted: left behind: $(ls tmp)"
# killed: the next one clears what is there, but not what a living one builds in, nor what others call alike
printf '#!/bin/sh\nexec sleep 100\n' >slower
chmod +x slower
CC=$dir/slower "$octet" verify m.oct8 net.c --data synth-digits --limit 4 >/dev/null 2>&1 &
dead=$!
CC=$dir/slower "$octet" verify m.oct8 net.c --data synth-digits --limit 4 >/dev/null 2>&1 &
pid=$!
for i in $(seq 100); do [ "$(ls tmp | wc -l)" = 2 ] && break; sleep 0.1; done
[ "$(ls tmp | wc -l)" = 2 ] || say "two at once: $(ls tmp)"
dead_children=$(ps -o pid= --ppid $dead)
kill -KILL $dead $dead_children
wait $dead 2>/dev/null || true
touch tmp/octet-work-file
ln -s "$dir/other" tmp/octet-work-link
"$octet" verify m.oct8 net.c --data synth-digits --limit 4 --quiet >/dev/null || say "beside a dead one"
[ "$(ls tmp | wc -l)" = 3 ] || say "beside a dead and a living one: $(ls tmp)"
[ -e other/net.c ] || say "what a link in the folder leads to was cleared"
children=$(ps -o pid= --ppid $pid)
kill -INT $pid $children 2>/dev/null || true
wait $pid || true
exit $bad
