/* SPDX-License-Identifier: MIT
 * tests/emulated_amx.h - AMX tiles in C, by the manual's words: before a kernel's source
 * (-include), so that its shapes, walks and epilogues run where no CPU has tiles. What the manual
 * answers with a fault fails the test: shapes beyond the palette, tiles that nobody configured,
 * products of tiles that do not fit each other. */
#ifndef OCT_TESTS_EMULATED_AMX_H
#define OCT_TESTS_EMULATED_AMX_H

#include <stdint.h>

#ifdef __AVX2__ /* a kernel: what it has besides tiles */
#include "tests/emulated_x86.h"
#endif

/** A thread's tiles. */
typedef struct emu_tiles {
    uint8_t palette, start, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
    uint8_t data[8][16][64];
} emu_tiles;
extern _Thread_local emu_tiles emu_tiles_now;
/** Instructions so far: configured, released, loads, stores, products. */
typedef struct emu_tile_counts {
    int64_t configured, released, loads, stores, products;
} emu_tile_counts;
extern _Thread_local emu_tile_counts emu_tile_count;
/** Where faults go: NULL, the test fails; else it is called, and the instruction does nothing. */
extern _Thread_local void (*emu_tile_fault)(const char *what);

void emu_ldtilecfg(const void *shapes);
void emu_sttilecfg(void *shapes);
void emu_tilerelease(void);
void emu_tileloadd(int t, const void *at, int64_t pitch);
void emu_tilestored(int t, void *at, int64_t pitch);
void emu_tilezero(int t);
void emu_tdpbusd(int c, int a, int b);

#define TILES_CONFIGURE(shapes)  emu_ldtilecfg(shapes)
#define TILES_CONFIGURED(shapes) emu_sttilecfg(shapes)
#define TILES_RELEASE()          emu_tilerelease()
#define TILE_LOAD(t, at, pitch)  emu_tileloadd(t, at, pitch)
#define TILE_STORE(t, at, pitch) emu_tilestored(t, at, pitch)
#define TILE_ZERO(t)             emu_tilezero(t)
#define TILE_DOT(c, a, b)        emu_tdpbusd(c, a, b)

#endif
