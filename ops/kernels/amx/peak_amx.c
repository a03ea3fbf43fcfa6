/* SPDX-License-Identifier: MIT
 * How fast TDPBUSD goes on whole tiles: four sums. */
#include "ops/kernels/amx/tiles_amx.h"
#include "ops/kernels/kernels.h"

static void work(const void *arg) {
    octk_tile_shapes s = {.palette = 1};
    for (int t = 0; t < 8; t++) s.rows[t] = 16, s.bytes[t] = 64;
    TILES_CONFIGURE(&s); /* tiles of zeros */
    for (int64_t r = *(const int64_t *)arg; r > 0; r--) {
        TILE_DOT(0, 4, 6);
        TILE_DOT(1, 4, 7);
        TILE_DOT(2, 5, 6);
        TILE_DOT(3, 5, 7);
    }
    TILES_RELEASE();
}

int64_t octk_peak_tiles_amx(int64_t rounds) {
    octk_with_tiles(work, &rounds);
    return rounds * 4 * 16 * 16 * 64;
}
