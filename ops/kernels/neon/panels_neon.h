/* SPDX-License-Identifier: MIT
 * What convolutions over rows share, whatever instruction multiplies: sums of a panel's 16 (or 8)
 * lanes to codes, the largest of a pool, and the walk over pixels. A user defines, once a tile size
 * and width, sums of `size` pixels. */
#ifndef OCT_OPS_KERNELS_NEON_PANELS_NEON_H
#define OCT_OPS_KERNELS_NEON_PANELS_NEON_H

#include "ops/kernels/kernels.h"
#include "ops/kernels/neon/requant_neon.h"

/* Lanes of 16: 0-3, 8-11, 4-7, 12-15 are the channels (octk_lane_channel); of 8 all in order. */
static inline void octk_put_wide(const int32x4_t *s, const octk_four *m, octq_law law, octk_ends e,
                                 uint8_t *y, int32_t valid) {
    octk_store_bytes(y,
                     octk_codes(octk_scaled(s[0], &m[0], law), octk_scaled(s[2], &m[2], law),
                                octk_scaled(s[1], &m[1], law), octk_scaled(s[3], &m[3], law), e),
                     valid);
}
static inline void octk_put_slim(const int32x4_t *s, const octk_four *m, octq_law law, octk_ends e,
                                 uint8_t *y, int32_t valid) {
    const int32x4_t a = octk_scaled(s[0], &m[0], law), b = octk_scaled(s[1], &m[1], law);
    octk_store_bytes(y, octk_codes(a, b, a, b, e), valid);
}
/* Vector i of four pixels' sums, `vectors` from pixel to pixel: the largest. */
static inline int32x4_t octk_largest(const int32x4_t *s, int32_t vectors) {
    return vmaxq_s32(vmaxq_s32(s[0], s[vectors]), vmaxq_s32(s[2 * vectors], s[3 * vectors]));
}

#endif
