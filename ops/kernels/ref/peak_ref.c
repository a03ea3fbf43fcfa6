/* SPDX-License-Identifier: MIT
 * What plain C makes of a multiplication: products of numbers that stay in cache. */
#include "ops/kernels/kernels.h"

enum { COUNT = 256 };

#define PEAK(name, type, sum_type)                                                                 \
    int64_t name(int64_t rounds) {                                                                 \
        static volatile type seed = 1;                                                             \
        static volatile sum_type kept;                                                             \
        type x[COUNT], w[COUNT];                                                                   \
        for (int i = 0; i < COUNT; i++) x[i] = w[i] = seed;                                        \
        sum_type sum = 0;                                                                          \
        for (int64_t r = 0; r < rounds; r++) {                                                     \
            x[r % COUNT] = seed;                                                                   \
            for (int i = 0; i < COUNT; i++) sum += (sum_type)(x[i] * w[i]);                        \
        }                                                                                          \
        kept = sum;                                                                                \
        (void)kept;                                                                                \
        return rounds * COUNT;                                                                     \
    }
PEAK(octk_peak_f32_ref, float, float)
PEAK(octk_peak_s16_ref, int16_t, uint32_t)
PEAK(octk_peak_u8_ref, uint8_t, uint32_t)
PEAK(octk_peak_tiles_ref, uint8_t, uint32_t)
