#!/bin/sh
# SPDX-License-Identifier: MIT
# Every command under `ulimit -v 80000`: it does its work, or says memory and ends with 5; none hangs, none maps OpenBLAS (the nets
# of the zoo have no product that is large enough for it). And under `ulimit -s 64`, with other nets of the zoo too (OCT_TEST_LONG=1:
# with all).
set -u
octet=$(realpath "$1")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
bad=0
"$octet" train --model lenet --data synth-digits --out run --epochs 1 --threads 1 --quiet >/dev/null || exit 1
try() { # limit, then what may come: "0" or "0 5"; then the command
    limit=$1 may=$2; shift 2
    (ulimit $limit; LD_DEBUG=files LD_DEBUG_OUTPUT=ld timeout 100 "$octet" "$@" >out 2>err)
    rc=$?
    case " $may " in *" $rc "*) ;; *) echo "ulimit $limit: octet $*: exit $rc: $(tail -1 err)"; bad=1 ;; esac
    [ $rc != 5 ] || grep -Eq 'memory|start a thread' err || { echo "ulimit $limit: octet $*: does not say memory: $(tail -1 err)"; bad=1; }
    grep -lq openblas ld.* 2>/dev/null && { echo "octet $*: maps OpenBLAS"; bad=1; }
    rm -f ld.*
}
limit="-v 80000"
try "$limit" 0 --version
try "$limit" 0 inspect run
try "$limit" 0 ptq run --data synth-digits --out ptq
try "$limit" 0 convert ptq -o m.oct8
try "$limit" 0 inspect m.oct8
try "$limit" 0 eval m.oct8 --data synth-digits
try "$limit" "0 5" eval ptq --data synth-digits
try "$limit" "0 5" layers m.oct8 --data synth-digits
try "$limit" "0 5" verify ptq m.oct8 --data synth-digits
try "$limit" "0 5" train --model lenet --data synth-digits --out more --epochs 1

# every command, nets from small to deep, on small stacks: threads take what they need by themselves
nets="lenet resnet8"
[ "${OCT_TEST_LONG:-0}" = 1 ] && nets="lenet resnet8 resnet20 resnet18"
for net in $nets; do
    rm -rf run ptq qat m.oct8 y.npz imported demo
    case $net in lenet) data="--data synth-digits --limit 32" size=28x28 ;; *) data="--data synth-shapes --limit 32" size=32x32 ;; esac
    try "-s 64" 0 train --model $net $data --epochs 1 --batch 16 --out run
    try "-s 64" 0 inspect run
    try "-s 64" 0 ptq run $data --calib 16 --out ptq
    try "-s 64" 0 qat ptq $data --epochs 1 --batch 16 --out qat
    try "-s 64" 0 convert qat -o m.oct8
    for m in run qat m.oct8; do
        try "-s 64" 0 eval $m $data
        try "-s 64" 0 layers $m $data
        try "-s 64" 0 predict $m $data
        try "-s 64" 0 run $m --input qat/probe.npz --output y.npz
    done
    try "-s 64" 0 inspect m.oct8 --weights conv1
    try "-s 64" 0 verify qat m.oct8 $data
    try "-s 64" 0 compare run ptq m.oct8 $data
    try "-s 64" 0 import run/model.safetensors --model $net --size $size --classes "$(seq -s, 0 9)" --out imported
    try "-s 64" 0 bench m.oct8 --batch 1
done
try "-s 64" 0 demo --limit 64
exit $bad
