#!/bin/sh
# SPDX-License-Identifier: MIT
# Exported C under -DNAME_USE_CMSIS_NN gives the plan's codes, by each of the functions that it may call. They are a stand-in of
# octet's own (tests/cmsis), NOT CMSIS-NN: the arguments, their order, units and signs are what this judges. With the library itself:
#   OCT_TEST_CMSIS=1 OCT_TEST_CC="gcc -std=c99 -isystem CMSIS-NN/Include real.o" test_export_c
# where real.o is ld -r of its Source files (last tried with 99f736a6: 12 nets and more, the same codes).
# Usage: test_export_c_cmsis.sh PATH-OF-test_export_c
set -eu
test=$(realpath "$1")
stub=$(realpath "$(dirname "$0")/cmsis")
cc=${CC:-cc}
dir=$(mktemp -d /tmp/octet-test-cmsis-XXXXXX)
trap 'rm -rf "$dir"' EXIT
$cc -O1 -std=c99 -Wall -Wextra -Werror -isystem "$stub" -c "$stub/cmsis_stub.c" -o "$dir/stub.o"
[ "${OCT_TEST_LONG:-0}" = 1 ] && nets=200 || nets=24 # fewer leave sides and strides of two directions alike
OCT_CMSIS_CALLS="$dir/calls" OCT_TEST_CMSIS=1 OCT_TEST_FLAGS=-O0 OCT_TEST_NETS=$nets OCT_TEST_LONG=0 OCT_TEST_CC="$cc -std=c99 -isystem $stub $dir/stub.o" "$test"
for f in arm_convolve_s8 arm_depthwise_conv_s8 arm_fully_connected_per_channel_s8 arm_elementwise_add_s8 arm_max_pool_s8 arm_avgpool_s8; do
    grep -qx "$f" "$dir/calls" || { echo "test_export_c_cmsis: no net called $f" >&2; exit 1; }
done
