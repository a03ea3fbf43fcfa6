/* SPDX-License-Identifier: MIT
 * Direct convolution: tiles of 6 pixels x 16 channels over runs of the image itself; the weight
 * gradient is an outer product of up to 6 window floats x 16 channels over all pixels. */
#include <string.h>

#include "ops/kernels/kernels.h"
#include "ops/kernels/neon/tile_f32_neon.h"

/** c[i][0..16) = sum over runs (+ bias where not NULL), clamped, of `rows` pixels. */
TILE_INLINE void pixels(const int rows, const octk_conv_f32 *a, const float *const *x,
                        const float *b, const float *bias, float *const *c) {
    float32x4_t s[6][4];
    const float *p[6];
    TILE_ROWS p[i] = x[i] + a->run[0];
    tile_mul(rows, p, b, s);
    for (int32_t r = 0, k = 1;; k = 0) {
        for (; k < a->len; k++) tile_mac(rows, p, k, b += 16, s);
        if (++r == a->runs) break;
        TILE_ROWS p[i] = x[i] + a->run[r];
    }
    if (bias) {
        TILE_ROWS TILE_COLS s[i][j] = vaddq_f32(s[i][j], vld1q_f32(bias + 4 * j));
    }
    TILE_ROWS TILE_COLS s[i][j] = tile_clamped(s[i][j], a->clamp);
    tile_put(rows, s, c, false);
}
#define SIZE(n)                                                                                    \
    static __attribute__((noinline)) void pixels##n(const octk_conv_f32 *a, const float *const *x, \
                                                    const float *b, const float *bias,             \
                                                    float *const *c) {                             \
        pixels(n, a, x, b, bias, c);                                                               \
    }
SIZE(1)
SIZE(2)
SIZE(6)

void octk_conv_f32_neon(const octk_conv_f32 *a) {
    const int64_t k = (int64_t)a->runs * a->len;
    float tile[96];
    for (int32_t j0 = 0; j0 < a->o; j0 += 16) {
        const float *panel = a->w + (int64_t)(j0 / 16) * k * 16,
                    *bias = a->bias ? a->bias + j0 : NULL;
        const int32_t cols = a->o - j0 < 16 ? a->o - j0 : 16;
        for (int32_t i0 = 0, n; i0 < a->np; i0 += n) {
            const float *src[6];
            float *dst[6];
            const int32_t left = a->np - i0, size = left > 2 ? 6 : left;
            n = left < 6 ? left : 6;
            for (int32_t i = 0; i < size; i++) {
                /* missing rows repeat the last; their results are dropped */
                const int32_t p = i0 + (i < n ? i : n - 1);
                src[i] = a->x + a->pix[p];
                dst[i] = cols == 16 && n == size ? a->y + a->out[p] + j0 : tile + i * 16;
            }
            (size == 1 ? pixels1 : size == 2 ? pixels2 : pixels6)(a, src, panel, bias, dst);
            for (int32_t i = 0; (cols < 16 || n < size) && i < n; i++)
                memcpy(a->y + a->out[i0 + i] + j0, tile + i * 16, (size_t)cols * sizeof(float));
        }
    }
}

/* ---- weight gradient ---- */

TILE_INLINE void outer(const int rows, const octk_conv_grad_w_f32 *a, const float *x,
                       const float *dy, float *c) {
    float32x4_t s[6][4];
    float *out[6];
    const float *p[6];
    TILE_ROWS p[i] = x + i, out[i] = c + i * (int64_t)a->o;
    tile_mul(rows, p, dy, s);
    for (int32_t r = 0; r < a->p; r++)
        for (int32_t q = r == 0; q < a->q; q++)
            tile_mac(rows, p, r * a->x_row + q * a->x_pixel, dy + r * a->dy_row + q * a->dy_pixel,
                     s);
    tile_put(rows, s, out, a->add);
}
#define OUTER(n)                                                                                   \
    static void outer##n(const octk_conv_grad_w_f32 *a, const float *x, const float *dy,           \
                         float *c) {                                                               \
        outer(n, a, x, dy, c);                                                                     \
    }
OUTER(1)
OUTER(2)
OUTER(3)
OUTER(4)
OUTER(5)
OUTER(6)

/** Sums of 16 channels over pixels. */
static void bias_grad(const octk_conv_grad_w_f32 *a, int32_t at) {
    float32x4_t s[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
    for (int32_t p = 0; p < a->p; p++)
        for (int32_t q = 0; q < a->q; q++) {
            const float *d = a->dy + p * a->dy_row + q * a->dy_pixel + at;
            TILE_COLS s[j] = vaddq_f32(s[j], vld1q_f32(d + 4 * j));
        }
    TILE_COLS {
        float *db = a->db + at + 4 * j;
        vst1q_f32(db, a->add ? vaddq_f32(s[j], vld1q_f32(db)) : s[j]);
    }
}

void octk_conv_grad_w_f32_neon(const octk_conv_grad_w_f32 *a) {
    typedef void outer_fn(const octk_conv_grad_w_f32 *, const float *, const float *, float *);
    static outer_fn *const outers[7] = {NULL, outer1, outer2, outer3, outer4, outer5, outer6};
    const int32_t tiles = (a->len + 5) / 6; /* of even height */
    for (int32_t j = 0; j < a->o; j += 16) {
        if (a->db) bias_grad(a, j);
        for (int32_t r = 0; r < a->runs; r++)
            for (int32_t t = 0; t < tiles; t++) {
                const int32_t from = (int32_t)((int64_t)a->len * t / tiles),
                              to = (int32_t)((int64_t)a->len * (t + 1) / tiles);
                outers[to - from](a, a->x + a->run[r] + from, a->dy + j,
                                  a->dw + ((int64_t)r * a->len + from) * a->o + j);
            }
    }
}
