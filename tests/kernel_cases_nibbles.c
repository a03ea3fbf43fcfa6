/* SPDX-License-Identifier: MIT
 * The kernel whose sums of codes' halves live in s16: codes and weights at both ends, so that each
 * block of steps reaches its bound; blocks from one on, every last one; rows alone and in twos. */
#include "tests/kernel_cases.h"

static int64_t row_sum(const octk_nibbles_u8u8 *a, const uint8_t *x, int lanes, int lane) {
    const int first = lane / 16 * 16, width = octk_panel_lanes(lanes, first);
    const int8_t *w = a->w + (int64_t)first * a->steps * 4 + (lane - first) * 4;
    int64_t sum = a->b[lane];
    for (int k = 0; k < a->k; k++) sum += x[k] * w[k / 4 * 4 * width + k % 4];
    return sum;
}

void check_nibbles_u8u8(octk_nibbles_u8u8_fn *kernel, const char *name) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 177, 0);
    int exact = 0;
    for (int round = 0; round < 1500 / SANITIZED_PART; round++) {
        const int o = 1 + (round < 70 ? round : below(&r, 70)), lanes = octk_lanes(o),
                  k = 1 + below(&r, round % 5 ? 140 : 900), n = 1 + below(&r, 5),
                  steps = (k + 31) / 32 * 8, style = below(&r, 4);
        /* all codes and weights the largest: each sum a lane's own, each unit of it a code's */
        const bool same = style == 0;
        octk_nibbles_u8u8 a = {.x_image = k + below(&r, 9),
                               .y_image = o + below(&r, 9),
                               .n = n,
                               .k = k,
                               .steps = steps,
                               .o = o,
                               .far = below(&r, 2)};
        const ends e = same ? (ends){0, 0, 255} : draw_ends(&r);
        a.zy = e.zy, a.lo = e.lo, a.hi = e.hi;
        /* no code behind a row's end is read: the last one ends where its memory does */
        const size_t bx = (size_t)((n - 1) * a.x_image + k), by = (size_t)(n * a.y_image);
        uint8_t *x = untouched(bx), *want = untouched(by);
        int8_t *w = untouched((size_t)(lanes * steps * 4));
        int32_t *b = untouched((size_t)(lanes + 16) * 4),
                *numbers = untouched((size_t)(lanes + 16) * 8);
        float *m = untouched((size_t)(lanes + 16) * 4);
        for (size_t i = 0; i < bx; i++)
            x[i] = (uint8_t)(same ? 255 : style == 1 ? 255 * below(&r, 2) : below(&r, 256));
        for (int l = 0; l < lanes; l++)
            for (int i = 0; i < 4 * steps; i++) {
                const int first = l / 16 * 16, width = octk_panel_lanes(lanes, first);
                w[first * steps * 4 + (l - first) * 4 + i / 4 * 4 * width + i % 4] =
                    (int8_t)(i >= k       ? 0
                             : same       ? (l % 2 ? 127 : -128)
                             : style == 1 ? (below(&r, 2) ? 127 : -128)
                                          : below(&r, 256) - 128);
            }
        a.x = x, a.w = w, a.b = b, a.y = untouched(by),
        a.halves = untouched((size_t)(n * 8 * steps));
        for (int l = 0; l < lanes + 16; l++) {
            b[l] = below(&r, 1 << 20) - (1 << 19);
            m[l] = same ? 1 : 1e-4f * (0.1f + octi_rng_uniform(&r));
            if (same && l < lanes) b[l] -= (int32_t)row_sum(&a, x, lanes, l) - below(&r, 256);
        }
        a.by = same ? (octq_multipliers){.law = OCTQ_FP32, .m = m}
                    : draw_records(&r, m, numbers, lanes + 16);
        memcpy(want, a.y, by);
        for (int i = 0; i < n; i++)
            for (int l = 0; l < lanes; l++) {
                const int channel = octk_lane_channel(lanes, l);
                if (channel >= o) continue;
                const int64_t sum = row_sum(&a, x + i * a.x_image, lanes, l);
                want[i * a.y_image + channel] =
                    (uint8_t)law_of_sum(&a.by, l, (int32_t)sum, a.zy, a.lo, a.hi);
                exact += same;
            }
        kernel(&a);
        same_bytes(name, a.y, want, by);
        free(x), free(want), free(w), free(b), free(numbers), free(m), free(a.y), free(a.halves);
    }
    ck_assert_int_gt(exact, 0);
}
