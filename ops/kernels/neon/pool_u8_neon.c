/* SPDX-License-Identifier: MIT
 * Pooling on codes: 16 channels at a time, then 8; what is left of the channels by single ones. */
#include "ops/kernels/neon/requant_neon.h"
#include "ops/kernels/pool_window.h"

static void largest(const window *k, int32_t channels, uint8_t *y) {
    int32_t c = 0;
    for (; c + 16 <= channels; c += 16) {
        uint8x16_t best = vdupq_n_u8(0);
        EACH_CELL(k, best = vmaxq_u8(best, vld1q_u8(cell + c)))
        vst1q_u8(y + c, best);
    }
    for (; c + 8 <= channels; c += 8) {
        uint8x8_t best = vdup_n_u8(0);
        EACH_CELL(k, best = vmax_u8(best, vld1_u8(cell + c)))
        vst1_u8(y + c, best);
    }
    for (; c < channels; c++) {
        uint8_t best = 0;
        EACH_CELL(k, best = cell[c] > best ? cell[c] : best)
        y[c] = best;
    }
}

void octk_max_pool_u8_neon(const octk_pool_u8 *a) { EACH_WINDOW(a, largest(&k, a->c, y)) }

/* Sums of 8 channels; u16 holds 256 cells, s32 the rest. */
static void sums8(const window *k, int32_t c, int32_t *sum) {
    int32x4_t low = vdupq_n_s32(0), high = low;
    uint16x8_t part = vdupq_n_u16(0);
    int32_t cells = 0;
#define FLUSH                                                                                      \
    low = vaddq_s32(low, vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(part))));                    \
    high = vaddq_s32(high, vreinterpretq_s32_u32(vmovl_high_u16(part)));                           \
    part = vdupq_n_u16(0);                                                                         \
    cells = 0;
    EACH_CELL(k, part = vaddw_u8(part, vld1_u8(cell + c)); if (++cells == 256){FLUSH})
    FLUSH
#undef FLUSH
    vst1q_s32(sum, low);
    vst1q_s32(sum + 4, high);
}

static void average(const octk_pool_u8 *a, const window *k, uint8_t *y) {
    int32_t sum[8], c = 0;
    for (; c + 8 <= a->c; c += 8) {
        sums8(k, c, sum);
        octk_average_codes(a, sum, k->h * k->w, 8, y + c);
    }
    for (; c < a->c; c++) {
        sum[0] = 0;
        EACH_CELL(k, sum[0] += cell[c])
        octk_average_codes(a, sum, k->h * k->w, 1, y + c);
    }
}

void octk_avg_pool_u8_neon(const octk_pool_u8 *a) { EACH_WINDOW(a, average(a, &k, y)) }
