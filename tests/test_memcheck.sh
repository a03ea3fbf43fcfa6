#!/bin/sh
# SPDX-License-Identifier: MIT
# Nothing that was never written is decided by, computed with or saved: the journey of small nets under valgrind, with OCT_TEST_LONG=1
# (else, and where valgrind is not, exit 77). Usage: test_memcheck.sh PATH-OF-octet
set -u
[ "${OCT_TEST_LONG:-0}" = 1 ] || { echo "skipped: OCT_TEST_LONG=1 runs it"; exit 77; }
command -v valgrind >/dev/null || { echo "skipped: valgrind is not there"; exit 77; }
octet=$(realpath "$1")
dir=$(mktemp -d "${TMPDIR:-/tmp}/octet-test-memcheck-XXXXXX")
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
bad=0
check() {
    valgrind -q --error-exitcode=99 "$octet" "$@" --quiet --threads 1 >.out 2>.err || { bad=1; echo "octet $*: $(head -20 .err)"; }
}
for net in lenet resnet8; do
    case $net in lenet) data="--data synth-digits" ;; *) data="--data synth-shapes" ;; esac
    check train --model $net $data --limit 16 --batch 8 --epochs 1 --out $net
    check ptq $net $data --limit 16 --calib 16 --out $net-ptq
    check qat $net-ptq $data --limit 16 --batch 8 --epochs 1 --out $net-qat
    check convert $net-qat -o $net.oct8
    for cap in ref avx2; do
        for model in $net $net-qat $net.oct8; do OCT_CPU=$cap check eval $model $data --limit 2; done
        OCT_CPU=$cap check run $net.oct8 --input $net-ptq/probe.npz --layer conv1 --output y.npz
    done
done
exit $bad
