#!/bin/sh
# SPDX-License-Identifier: MIT
# octet data check|stats: exit codes, what is named, in words and in JSON. Usage: test_data_command.sh PATH-OF-octet
set -u
octet=$(realpath "$1")
dir=$(mktemp -d /tmp/octet-test-data-XXXXXX)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fails=0
say() { echo "test_data_command: $*"; fails=$((fails + 1)); }
shows() { # PATTERN...: in .out
    for p; do grep -q -- "$p" .out || say "no line like '$p': $(head -c 900 .out .err)"; done
}
run() { # CODE WORDS...
    want=$1
    shift
    "$octet" "$@" >.out 2>.err </dev/null
    got=$?
    [ $got = "$want" ] || say "octet $*: exit $got, expected $want: $(head -c 900 .out .err)"
}
# a picture of 40x40, every byte drawn from 1 to 126 by a seed
bmp() {
    printf 'BM\0\0\0\0\0\0\0\0\066\0\0\0\050\0\0\0\050\0\0\0\050\0\0\0\001\0\030\0'
    head -c 24 /dev/zero
    LC_ALL=C awk -v s=$1 'BEGIN { for (i = 0; i < 4800; i++) { s = (s * 75 + 74) % 65537; printf "%c", 1 + s % 126 } }'
}

at=0
for k in ant bee; do
    mkdir -p set/train/$k set/test/$k
    for i in 1 2 3 4 5 6; do
        at=$((at + 1000))
        bmp $at >set/train/$k/$i.bmp
        bmp $((at + 500)) >set/test/$k/$i.bmp
    done
done

run 0 data check synth-digits --limit 200
shows 'nothing harms$' '^200 samples to train, 200 to test, 10 classes'
grep -q 'check: 400 of 400 done' .err || say "progress is missing"
run 0 data stats synth-shapes --limit 50
shows '^  green  *mean 1[0-9]' 'normalization: div 255  mean 0.5,0.5,0.5  std 0.25' '^    9  arrow  *5  *5$'
run 0 data check synth-shapes --limit 50 --json --quiet
shows '^{.*"findings":\[\],"healthy":true}$' '"normalization":"constants of the kind of set"' '"part":"test","n":50,' '"min":\[0,0,0\],"max":\[255,255,255\]'

# leaked: both parts have it; a hostile name reaches no terminal
cp set/train/ant/3.bmp "$(printf 'set/test/ant/x\033[31m.bmp')"
run 1 data check folder:set
shows '^HARMS leaked, test: 1 of 13 pictures' '^        .*set/test/ant/x\\x1b\[31m.bmp$' '1 finding that harms$'
run 1 data check folder:set --json
shows '"leaked":1,' '"kind":"leaked","part":"test","harms":true,"count":1,' '"healthy":false'
# five are named, the others counted; inspect counts each part by itself
for i in 1 2 3 4 5 6; do cp set/train/ant/3.bmp set/test/ant/x$i.bmp; done
run 1 data check folder:set
shows '^HARMS leaked, test: 7 of 19 pictures' '^        and 2 more$'
run 0 inspect folder:set --json
shows '"name":"ant","train":6,"test":13'
rm set/test/ant/x*

# a picture that cannot be read, where nothing says how pixels are normalized: all of them are named
for f in set/train/ant/1.bmp set/train/bee/4.bmp set/test/bee/2.bmp; do head -c 900 $f >.cut && mv .cut $f; done
run 1 data check folder:set --quiet
shows '^HARMS unreadable, train: 2 of 12' '^HARMS unreadable, test: 1 of 12' 'train/ant/1.bmp$' 'train/bee/4.bmp$' 'test/bee/2.bmp$'
run 0 data stats folder:set --quiet
shows 'not measured: pictures cannot be read'

run 2 data look synth-digits
run 2 data synth-digits
run 4 data check folder:nowhere/at/all
run 0 data check synth-digits --dry-run
[ -s .out ] && say "--dry-run printed"

[ $fails = 0 ] && echo "test_data_command: all held" || echo "test_data_command: $fails failed"
exit $((fails > 0))
