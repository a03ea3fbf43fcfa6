#!/bin/sh
# SPDX-License-Identifier: MIT
# Every command under `ulimit -v 80000`: it does its work, or says memory and ends with 5; none hangs, none maps OpenBLAS (the nets
# of the zoo have no product that is large enough for it). And under `ulimit -s 64`.
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
for limit in "-v 80000" "-s 64"; do
    rm -rf ptq m.oct8 more
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
done
exit $bad
