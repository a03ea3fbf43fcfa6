#!/bin/sh
# SPDX-License-Identifier: MIT
# Exported C on other machines, each with the flags that its compiler has by default: AArch64 (where gcc fuses products with
# sums unless it is kept from it) and Cortex-M, with and without an FPU, in qemu. Skipped (exit 77) where no compiler for them
# is there: tools/packages cross. Usage: test_export_c_cross.sh PATH-OF-test_export_c
set -eu
test=$1
board=$(cd "$(dirname "$0")/board" && pwd)
[ "${OCT_TEST_LONG:-0}" = 1 ] && nets=40 || nets=3
export OCT_TEST_NETS=${OCT_TEST_NETS:-$nets} OCT_TEST_LONG=0
ran=0
on() { # name, compiler, how to run, flags: one run for each
    name=$1 cc=$2 run=$3
    shift 3
    command -v "${cc%% *}" >/dev/null && command -v "${run%% *}" >/dev/null || { echo "skipped: $name: no ${cc%% *} or no ${run%% *}"; return 0; }
    for flags in "$@"; do
        OCT_TEST_CC=$cc OCT_TEST_RUN=$run OCT_TEST_FLAGS=$flags "$test" >/dev/null || { echo "test_export_c_cross: $name $flags fails" >&2; exit 1; }
        ran=$((ran + 1))
    done
}
arm() { # name, cpu, board, code, memory, flags...
    name=$1 cc="arm-none-eabi-gcc -std=c99 $2 -mthumb -nostartfiles --specs=rdimon.specs -T $board/board.ld $board/board.c -Wl,--defsym=BOARD_CODE=$4,--defsym=BOARD_RAM=$5"
    run="qemu-system-arm -M $3 -nographic -monitor none -serial null -semihosting -kernel"
    shift 5
    on "$name" "$cc" "$run" "$@"
}
on AArch64 'aarch64-linux-gnu-gcc -std=c99 -static' qemu-aarch64-static -O3 -O0
arm 'Cortex-M0' -mcpu=cortex-m0 mps2-an385 0 0x20000000 -Os
arm 'Cortex-M3' -mcpu=cortex-m3 mps2-an385 0 0x20000000 -O2
arm 'Cortex-M4F' '-mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16' mps2-an386 0 0x20000000 -O3
arm 'Cortex-M33' '-mcpu=cortex-m33 -mfloat-abi=hard -mfpu=fpv5-sp-d16' mps2-an505 0x10000000 0x38000000 -O2
[ "$ran" -gt 0 ] || exit 77
echo "test_export_c_cross: $ran builds, $OCT_TEST_NETS nets or more each, the plan's codes"
