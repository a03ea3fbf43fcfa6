/* SPDX-License-Identifier: MIT
 * Kernels of instruction sets that this machine may lack: their sources compiled with the
 * instructions in C (emulated_x86.h, emulated_amx.h), each held by its slot's case. Of AMX also
 * what happens to a thread's tiles. */
#include "src/cpu.h"
#include "tests/emulated_amx.h"
#include "tests/kernel_cases.h"

#define EMULATED(slot, fn) octk_##slot##_fn fn;
#include "tests/emulated.def"

/* What emulates is AVX2. */
static bool possible(void) {
    octi_cpu_features have;
    unsetenv("OCT_CPU");
    ck_ok(octi_cpu_have(false, &have, NULL));
    const octi_cpu_features needed = OCTI_CPU_AVX2 | OCTI_CPU_FMA;
    if ((have & needed) == needed) return true;
    printf("skipped: what emulates is AVX2, which this machine lacks\n");
    return false;
}

START_TEST(every_emulated_kernel_is_held_by_its_case) {
    int held = 0;
    if (!possible()) return;
#define EMULATED(slot, fn) held++, check_##slot(fn, #fn);
#include "tests/emulated.def"
    printf("%d kernels held in emulation\n", held);
    ck_assert_int_gt(held, 0);
}
END_TEST

#ifndef OCT_NO_AMX
static int64_t calls;
static emu_tiles before;

/* One configuration a call, and nothing left of it. */
static void watched(const octk_tiles_u8u8 *a) {
    const emu_tile_counts was = emu_tile_count;
    before = emu_tiles_now;
    emulated_tiles_u8u8_amx(a);
    calls++;
    ck_assert(!memcmp(&before, &emu_tiles_now, sizeof before));
    ck_assert_int_eq(emu_tile_count.released - was.released, 1);
    ck_assert_int_eq(emu_tile_count.configured - was.configured, before.palette ? 2 : 1);
    ck_assert_int_gt(emu_tile_count.products, was.products);
}

START_TEST(tiles_are_released_when_a_kernel_returns) {
    if (!possible()) return;
    emu_tilerelease();
    check_tiles_u8u8(watched, "tiles");
    ck_assert_int_gt(calls, 0);
    ck_assert_int_eq(emu_tiles_now.palette, 0);
}
END_TEST

/** A program that has tiles of its own in the thread that runs a net finds them as they were. */
START_TEST(tiles_of_the_caller_are_kept) {
    if (!possible()) return;
    emu_tiles shapes = {.palette = 1};
    for (int t = 0; t < 8; t++) shapes.rows[t] = (uint8_t)(16 - t), shapes.bytes[t] = 64 - 4 * t;
    shapes.rows[3] = shapes.bytes[3] = 0; /* one that it does not use */
    uint8_t data[16][64];
    for (int i = 0; i < 1024; i++) data[i / 64][i % 64] = (uint8_t)(i * 37 + 1);
    emu_ldtilecfg(&shapes);
    for (int t = 0; t < 8; t++)
        if (t != 3) emu_tileloadd(t, data[0] + t, 64 - t);
    check_tiles_u8u8(watched, "tiles beside others");
    emulated_peak_tiles_amx(3);
    ck_assert(!memcmp(&before, &emu_tiles_now, sizeof before));
    emu_tilerelease();
}
END_TEST

/* ---- the emulation itself: it must not be kinder than the manual ---- */

static const char *told;
static void tell(const char *what) { told = what; }
static void faults(const char *what) {
    ck_assert_msg(told && strstr(told, what), "%s, and not %s", told ? told : "no fault", what);
    told = NULL;
}
static void fine(void) {
    ck_assert_msg(!told, "%s", told);
    ck_assert_int_eq(emu_tiles_now.palette, 1);
}

START_TEST(what_the_manual_refuses_is_a_fault) {
    uint8_t memory[1024] = {0};
    emu_tilerelease();
    emu_tile_fault = tell;
    emu_tileloadd(0, memory, 64), faults("no tiles are configured");
    emu_tdpbusd(0, 1, 2), faults("no tiles are configured");
    emu_tiles good = {.palette = 1}, s;
    for (int t = 0; t < 8; t++) good.rows[t] = 16, good.bytes[t] = 64;
    s = good, s.palette = 2, emu_ldtilecfg(&s), faults("palette");
    s = good, s.reserved[13] = 1, emu_ldtilecfg(&s), faults("reserved");
    s = good, s.rows[2] = 17, emu_ldtilecfg(&s), faults("16 rows");
    s = good, s.bytes[2] = 68, emu_ldtilecfg(&s), faults("64 bytes");
    s = good, s.rows[2] = 0, emu_ldtilecfg(&s), faults("alone");
    s = good, s.rows[8] = 1, emu_ldtilecfg(&s), faults("ninth");
    emu_ldtilecfg(&good), fine();
    emu_tdpbusd(0, 1, 2), fine();
    emu_tdpbusd(0, 0, 2), faults("twice");
    emu_tdpbusd(0, 1, 1), faults("twice");
    s = good, s.rows[0] = 8, emu_ldtilecfg(&s), emu_tdpbusd(0, 1, 2), faults("rows");
    s = good, s.bytes[1] = 32, emu_ldtilecfg(&s), emu_tdpbusd(0, 1, 2), faults("steps");
    s = good, s.bytes[2] = 32, emu_ldtilecfg(&s), emu_tdpbusd(0, 1, 2), faults("columns");
    s = good, s.bytes[1] = 62, emu_ldtilecfg(&s), emu_tdpbusd(0, 1, 2), faults("half a sum");
    s = good, s.rows[5] = s.bytes[5] = 0, emu_ldtilecfg(&s), fine();
    emu_tilestored(5, memory, 64), faults("not configured");
    emu_tilerelease();
    emu_tilestored(0, memory, 64), faults("no tiles are configured");
    emu_tile_fault = NULL;
}
END_TEST

OCT_TEST_MAIN("emulated", every_emulated_kernel_is_held_by_its_case,
              tiles_are_released_when_a_kernel_returns, tiles_of_the_caller_are_kept,
              what_the_manual_refuses_is_a_fault)
#else
OCT_TEST_MAIN("emulated", every_emulated_kernel_is_held_by_its_case)
#endif
