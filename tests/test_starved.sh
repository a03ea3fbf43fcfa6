#!/bin/sh
# SPDX-License-Identifier: MIT
# Commands under a limit for the size of files, on a full disk and in folders that nobody may write to: exit code 4 and a message, what was
# there stays as it was, nothing is left. Usage: test_starved.sh PATH-OF-octet [disk: on a small one, full but for little]
set -u
octet=$(realpath "$1") self=$(realpath "$0")
disk=${2:-}
dir=$(mktemp -d /tmp/octet-test-starved-XXXXXX)
chmod 755 "$dir"
trap 'cd /; [ -z "$disk" ] || umount "$dir"; rm -rf "$dir"' EXIT
[ -z "$disk" ] || mount -t tmpfs -o size=8m none "$dir" || exit 1
cd "$dir" || exit 1
fail() { echo "test_starved: $*"; exit 1; }
common="--data synth-digits --limit 128 --quiet --threads 1"
"$octet" train --model lenet $common --epochs 1 --batch 32 --out float >/dev/null 2>.err || fail "train: $(cat .err)"
"$octet" ptq float $common --calib 64 --out calibrated >/dev/null 2>.err || fail "ptq: $(cat .err)"
"$octet" convert calibrated -o model.oct8 --quiet >/dev/null 2>.err || fail "convert: $(cat .err)"
cp float/model.safetensors weights.safetensors
cp -r calibrated self
cp model.oct8 locked.oct8
cat float/* calibrated/* model.oct8 weights.safetensors self/* >.before

calls="train --model lenet $common --epochs 1 --batch 32 --out OUT
ptq float $common --calib 64 --out OUT
qat calibrated $common --epochs 1 --batch 32 --out OUT
qat self $common --epochs 1 --batch 32 --out self --force
ptq float $common --calib 64 --out float --force
convert calibrated -o OUT --quiet
convert calibrated -o model.oct8 --quiet
import weights.safetensors --model lenet --size 28x28 --quiet --out OUT
run float --input calibrated/probe.npz --layer conv1 --quiet --output OUT"

# each call under a limit that the smallest file breaks, and one that only the weights do
n=0
echo "$calls" | while read -r call; do
    for limit in 0 2 40; do # blocks of 512 bytes
        if [ -n "$disk" ]; then
            head -c 9999999 /dev/zero >filler 2>/dev/null
            truncate -s -$((limit * 512)) filler
            err=$("$octet" $(echo "$call" | sed s/OUT/out/) 2>&1 >/dev/null)
            code=$?
            rm filler
            case $err in *"No space left on device"*) ;; *) fail "a full disk: $err: $call" ;; esac
        else
            (ulimit -f $limit && exec "$octet" $(echo "$call" | sed s/OUT/out/) >/dev/null 2>&1) 2>/dev/null
            code=$?
        fi
        [ $code = 4 ] || fail "limit $limit: exit code $code: $call"
        [ -e out ] && fail "limit $limit: something stays of: $call"
        cat float/* calibrated/* model.oct8 weights.safetensors self/* | cmp -s - .before || fail "limit $limit: what was there is another: $call"
        left=$(find . -name '*.tmp-*' -o -name '.new*')
        [ -z "$left" ] || fail "limit $limit: files stay of: $call: $left"
    done
done || exit 1
if [ -n "$disk" ]; then
    echo "$calls" | while read -r call; do
        "$octet" $(echo "$call" | sed s/OUT/out/) >/dev/null 2>.err || fail "where there is room again: $(cat .err): $call"
        rm -rf out
    done && echo "test_starved: a full disk held"
    exit
fi
unshare -m true 2>/dev/null && { unshare -m "$self" "$octet" disk || exit 1; } || echo "skipped: a full disk (nobody may mount one here)"

# a file and a folder without permission: as root everything may be written
if [ "$(id -u)" = 0 ]; then
    as="setpriv --reuid 65534 --regid 65534 --clear-groups"
    $as true 2>/dev/null || as=
    chown -R 65534:65534 "$dir"
else
    as=env
fi
if [ -n "$as" ]; then
    chmod 444 locked.oct8
    $as "$octet" convert calibrated -o locked.oct8 --quiet >/dev/null 2>.err
    [ $? = 4 ] || fail "a file without write permission was replaced"
    grep -q "Permission denied" .err || fail "read-only file: $(cat .err)"
    cmp -s locked.oct8 model.oct8 || fail "a file without write permission is another"
    mkdir shut && chmod 555 shut
    for call in "convert calibrated -o shut/model.oct8 --quiet" "ptq float $common --calib 64 --out shut/run" "train --model lenet $common --out shut"; do
        $as "$octet" $call >/dev/null 2>.err
        [ $? = 4 ] || fail "read-only folder: $call: $(cat .err)"
    done
    chmod 555 self
    $as "$octet" qat calibrated $common --epochs 1 --batch 32 --out self --force >/dev/null 2>.err
    [ $? = 4 ] || fail "read-only run: $(cat .err)"
    chmod 755 self shut
else
    echo "skipped: folders without permission (root may write anywhere)"
fi
left=$(find . -name '*.tmp-*' -o -name '.new*')
[ -z "$left" ] || fail "files stay: $left"

# what a dead process left beside its file goes with the next run, what a living one has stays
touch model.oct8.tmp-1-0 model.oct8.tmp-99-x other.oct8.tmp-1-0
(exec 9<model.oct8.tmp-1-0 && flock 9 && exec sleep 100) &
holder=$!
sleep 0.2
"$octet" convert calibrated -o model.oct8 --quiet >/dev/null 2>.err || fail "convert: $(cat .err)"
[ -e model.oct8.tmp-1-0 ] || fail "a living process's temporary was removed"
kill $holder
wait $holder 2>/dev/null
"$octet" convert calibrated -o model.oct8 --quiet >/dev/null 2>.err || fail "convert: $(cat .err)"
[ -e model.oct8.tmp-1-0 ] && fail "a dead process's temporary stays"
[ -e other.oct8.tmp-1-0 ] || fail "another file's temporary was removed"
echo "test_starved: held"
