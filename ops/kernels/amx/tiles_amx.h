/* SPDX-License-Identifier: MIT
 * AMX tiles. They are state of a thread: a kernel configures them when it begins and releases them
 * before it returns, so that no thread carries 8 KiB through its switches afterwards; where the
 * caller's own program has tiles in use they are kept and given back (octk_beside_tiles). By hand,
 * since the compilers' intrinsics say nothing of the memory that loads read. */
#ifndef OCT_OPS_KERNELS_AMX_TILES_AMX_H
#define OCT_OPS_KERNELS_AMX_TILES_AMX_H

#include <stdint.h>

/* Palette 1: eight tiles of up to 16 rows of 64 bytes. */
typedef struct octk_tile_shapes {
    uint8_t palette, start, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} octk_tile_shapes;
_Static_assert(sizeof(octk_tile_shapes) == 64, "as LDTILECFG reads it");

#ifndef TILE_LOAD /* a test has its own */
#define TILES_CONFIGURE(shapes)  __asm__ volatile("ldtilecfg %0" : : "m"(*(shapes)) : "memory")
#define TILES_CONFIGURED(shapes) __asm__ volatile("sttilecfg %0" : "=m"(*(shapes)) : : "memory")
#define TILES_RELEASE()          __asm__ volatile("tilerelease" : : : "memory")
/* rows of tile t, `pitch` bytes apart */
#define TILE_LOAD(t, at, pitch)                                                                    \
    __asm__ volatile("tileloadd (%0,%1,1),%%tmm" #t : : "r"(at), "r"((int64_t)(pitch)) : "memory")
#define TILE_STORE(t, at, pitch)                                                                   \
    __asm__ volatile("tilestored %%tmm" #t ",(%0,%1,1)"                                            \
                     :                                                                             \
                     : "r"(at), "r"((int64_t)(pitch))                                              \
                     : "memory")
#define TILE_ZERO(t) __asm__ volatile("tilezero %%tmm" #t : :)
/* sums of tile c += codes of tile a times weights of tile b, modulo 2^32 */
#define TILE_DOT(c, a, b) __asm__ volatile("tdpbusd %%tmm" #b ",%%tmm" #a ",%%tmm" #c : :)
#endif

/* Work that leaves its tiles released. */
typedef void octk_tile_work(const void *arg);

#define OCTK_EACH_TILE(do)                                                                         \
    do (0) do(1) do(2) do(3) do(4) do(5) do(6) do(7)
#define OCTK_KEEP_TILE(t)                                                                          \
    if (shapes->rows[t]) TILE_STORE(t, kept[t], 64);
#define OCTK_GIVE_TILE(t)                                                                          \
    if (shapes->rows[t]) TILE_LOAD(t, kept[t], 64);

/* Work in a thread whose tiles somebody else uses. Apart, for its 8 KiB of stack. */
static __attribute__((noinline)) void octk_beside_tiles(const octk_tile_shapes *shapes,
                                                        octk_tile_work *work, const void *arg) {
    _Alignas(64) uint8_t kept[8][1024];
    OCTK_EACH_TILE(OCTK_KEEP_TILE)
    work(arg);
    TILES_CONFIGURE(shapes);
    OCTK_EACH_TILE(OCTK_GIVE_TILE)
}

/* Run work, and leave this thread's tiles as they were. */
static inline void octk_with_tiles(octk_tile_work *work, const void *arg) {
    octk_tile_shapes before;
    TILES_CONFIGURED(&before);
    if (before.palette)
        octk_beside_tiles(&before, work, arg);
    else
        work(arg);
}

#endif
