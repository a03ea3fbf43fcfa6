/* SPDX-License-Identifier: MIT
 * Direct convolution: tiles of 6 pixels x 16 channels (8 x 8 where 8 channels are enough) over runs
 * of the image itself; the weight gradient is an outer product of up to 6 window floats x 16
 * channels over all pixels. */
#include <string.h>

#include "ops/kernels/avx2/tile_f32_avx2.h"
#include "ops/kernels/kernels.h"

enum { L1_FLOATS = 6144 }; /* weights that stay in the first-level cache beside the image's rows */

#define TILE_C(i) c[i]
#define TILE_A(i) (p##i + k)
#define PTR(i)    const float *p##i = a[i] + run[0];
#define NEXT(i)   p##i = a[i] + run[0];

/* What comes last: the bias, where there is one, and the clamp. Of two operands of which one is
 * NaN, or both are zero, the second is taken. */
typedef struct ending {
    const float *bias;
    __m256 lo, hi;
} ending;
#define CLAMPED(v) _mm256_min_ps(end->hi, _mm256_max_ps(end->lo, v))
#define BIAS(i)                                                                                    \
    s##i = _mm256_add_ps(s##i, b0);                                                                \
    r##i = _mm256_add_ps(r##i, b1);
#define CLAMP(i)                                                                                   \
    s##i = CLAMPED(s##i);                                                                          \
    r##i = CLAMPED(r##i);

/** c[i][0..16) = sum over runs (+ c where add), ended where `end` is not NULL, of n rows. */
#define PIXELS(n)                                                                                  \
    static __attribute__((noinline)) void pixels##n(                                               \
        const float *const *a, const int32_t *run, int32_t runs, int64_t len, const float *b,      \
        float *const *c, bool add, const ending *end) {                                            \
        TILE_REP##n(TILE_DECL) TILE_REP##n(PTR) int64_t k = 0;                                     \
        {TILE_B(b) TILE_REP##n(TILE_MUL)} b += 16, k = 1;                                          \
        for (;;) {                                                                                 \
            TILE_UNROLL for (; k < len; k++, b += 16) { TILE_B(b) TILE_REP##n(TILE_MAC) }          \
            if (--runs == 0) break;                                                                \
            run++;                                                                                 \
            TILE_REP##n(NEXT) k = 0;                                                               \
        }                                                                                          \
        if (add) {                                                                                 \
            TILE_REP##n(TILE_OLD)                                                                  \
        }                                                                                          \
        if (end && end->bias) {                                                                    \
            TILE_B(end->bias) TILE_REP##n(BIAS)                                                    \
        }                                                                                          \
        if (end) {                                                                                 \
            TILE_REP##n(CLAMP)                                                                     \
        }                                                                                          \
        TILE_REP##n(TILE_PUT)                                                                      \
    }
PIXELS(1)
PIXELS(2)
PIXELS(3)
PIXELS(4)
PIXELS(5)
PIXELS(6)

#define HALF_DECL(i)  __m256 s##i;
#define HALF_MUL(i)   s##i = _mm256_mul_ps(_mm256_broadcast_ss(TILE_A(i)), b0);
#define HALF_MAC(i)   s##i = _mm256_fmadd_ps(_mm256_broadcast_ss(TILE_A(i)), b0, s##i);
#define HALF_OLD(i)   s##i = _mm256_add_ps(s##i, _mm256_loadu_ps(c[i]));
#define HALF_BIAS(i)  s##i = _mm256_add_ps(s##i, b0);
#define HALF_CLAMP(i) s##i = CLAMPED(s##i);
#define HALF_PUT(i)   _mm256_storeu_ps(c[i], s##i);
static __attribute__((noinline)) void pixels8(const float *const *a, const int32_t *run,
                                              int32_t runs, int64_t len, const float *b,
                                              float *const *c, bool add, const ending *end) {
    TILE_REP8(HALF_DECL) TILE_REP8(PTR) int64_t k = 0;
    {
        __m256 b0 = _mm256_loadu_ps(b);
        TILE_REP8(HALF_MUL) b += 16;
        k = 1;
    }
    for (;;) {
        TILE_UNROLL for (; k < len; k++, b += 16) {
            __m256 b0 = _mm256_loadu_ps(b);
            TILE_REP8(HALF_MAC)
        }
        if (--runs == 0) break;
        run++;
        TILE_REP8(NEXT) k = 0;
    }
    if (add) {
        TILE_REP8(HALF_OLD)
    }
    if (end) {
        if (end->bias) {
            __m256 b0 = _mm256_loadu_ps(end->bias);
            TILE_REP8(HALF_BIAS)
        }
        TILE_REP8(HALF_CLAMP)
    }
    TILE_REP8(HALF_PUT)
}
#undef TILE_A
#undef TILE_C

#define PANEL_B(i)                                                                                 \
    const __m256 b0 = _mm256_loadu_ps(b + i * panel), b1 = _mm256_loadu_ps(b + i * panel + 8);
#define PANEL_MUL(i)                                                                               \
    {                                                                                              \
        PANEL_B(i) s##i = _mm256_mul_ps(t, b0);                                                    \
        r##i = _mm256_mul_ps(t, b1);                                                               \
    }
#define PANEL_MAC(i)                                                                               \
    {                                                                                              \
        PANEL_B(i) s##i = _mm256_fmadd_ps(t, b0, s##i);                                            \
        r##i = _mm256_fmadd_ps(t, b1, r##i);                                                       \
    }
#define PANEL_BIAS(i)                                                                              \
    s##i = _mm256_add_ps(s##i, _mm256_loadu_ps(end->bias + 16 * i));                               \
    r##i = _mm256_add_ps(r##i, _mm256_loadu_ps(end->bias + 16 * i + 8));
#define PANEL_PUT(i)                                                                               \
    _mm256_storeu_ps(c + 16 * i, s##i);                                                            \
    _mm256_storeu_ps(c + 16 * i + 8, r##i);
/** One pixel, n panels, `panel` floats apart: c[16 n]. The sums of pixels6, in its order. */
#define PANELS_TILE(n)                                                                             \
    static __attribute__((noinline)) void panels##n(const float *a, const int32_t *run,            \
                                                    int32_t runs, int64_t len, const float *b,     \
                                                    int64_t panel, float *c, const ending *end) {  \
        TILE_REP##n(TILE_DECL) const float *x = a + *run;                                          \
        __m256 t = _mm256_broadcast_ss(x);                                                         \
        (void)panel;                                                                               \
        TILE_REP##n(PANEL_MUL) b += 16;                                                            \
        for (int64_t k = 1;; k = 0) {                                                              \
            for (; k < len; k++, b += 16) {                                                        \
                t = _mm256_broadcast_ss(x + k);                                                    \
                TILE_REP##n(PANEL_MAC)                                                             \
            }                                                                                      \
            if (--runs == 0) break;                                                                \
            x = a + *++run;                                                                        \
        }                                                                                          \
        if (end->bias) {                                                                           \
            TILE_REP##n(PANEL_BIAS)                                                                \
        }                                                                                          \
        TILE_REP##n(CLAMP) TILE_REP##n(PANEL_PUT)                                                  \
    }
PANELS_TILE(1)
PANELS_TILE(2)
PANELS_TILE(4)

static ending ending_of(const octk_conv_f32 *a) {
    return (ending){a->bias, _mm256_set1_ps(a->clamp.lo), _mm256_set1_ps(a->clamp.hi)};
}

/* One pixel, as a linear layer of one image is: up to four panels at a time, since the sums of one
 * wait for each other. */
static void one_pixel(const octk_conv_f32 *a) {
    const int64_t k = (int64_t)a->runs * a->len;
    ending end = ending_of(a);
    float sums[64];
    for (int32_t j = 0, cols; j < a->o; j += cols) {
        const int32_t left = a->o - j, panels = left > 48 ? 4 : left > 16 ? 2 : 1;
        cols = left < 16 * panels ? left : 16 * panels;
        if (a->bias) end.bias = a->bias + j;
        (panels == 4   ? panels4
         : panels == 2 ? panels2
                       : panels1)(a->x + a->pix[0], a->run, a->runs, a->len, a->w + j / 16 * k * 16,
                                  16 * k, sums, &end);
        memcpy(a->y + a->out[0] + j, sums, (size_t)cols * sizeof *sums);
    }
}

typedef void pixels_fn(const float *const *a, const int32_t *run, int32_t runs, int64_t len,
                       const float *b, float *const *c, bool add, const ending *end);

void octk_conv_f32_avx2(const octk_conv_f32 *a) {
    static pixels_fn *const pixels[] = {NULL, pixels1, pixels2, pixels3, pixels4, pixels5, pixels6};
    const int64_t k = (int64_t)a->runs * a->len;
    const bool half = a->o <= 8;
    const int32_t rows = half ? 8 : 6, width = half ? 8 : 16;
    /* Large panels go through the pixels a few runs at a time, so that they stay in the first-level
     * cache. */
    int32_t step =
        k * width > L1_FLOATS ? (int32_t)(L1_FLOATS / ((int64_t)a->len * width)) : a->runs;
    if (step < 1) step = 1;
    /* One narrow panel over dense pixels: full vectors are stored, and what spills over is repaired
     * by the next pixels. */
    const bool spill = a->dense && a->o <= width && step >= a->runs;
    float tile[96];
    ending end = ending_of(a);
    if (a->np == 1 && step >= a->runs) {
        one_pixel(a);
        return;
    }
    /* of eight pixels missing ones repeat the last, and what was there is nothing to them */
    if (half) memset(tile, 0, sizeof tile);
    for (int32_t j0 = 0; j0 < a->o; j0 += 16) {
        const float *panel = a->w + (int64_t)(j0 / 16) * k * 16;
        const int32_t cols = a->o - j0 < width ? a->o - j0 : width;
        for (int32_t r0 = 0; r0 < a->runs; r0 += step) {
            const int32_t runs = a->runs - r0 < step ? a->runs - r0 : step;
            const bool last = r0 + runs == a->runs;
            if (a->bias) end.bias = a->bias + j0;
            for (int32_t i0 = 0; i0 < a->np; i0 += rows) {
                const float *src[8];
                float *dst[8];
                const int32_t n = a->np - i0 < rows ? a->np - i0 : rows, high = half ? rows : n;
                const bool whole =
                    n == high &&
                    (cols == width || (spill && (int64_t)(a->np - i0 - n) * a->o >= width - cols));
                for (int32_t i = 0; i < high; i++) {
                    int32_t p = i0 + (i < n ? i : n - 1);
                    src[i] = a->x + a->pix[p];
                    dst[i] = whole ? a->y + a->out[p] + j0 : tile + i * width;
                }
                for (int32_t i = 0; !whole && r0 > 0 && i < n; i++)
                    memcpy(dst[i], a->y + a->out[i0 + i] + j0, (size_t)cols * sizeof(float));
                (half ? pixels8 : pixels[n])(src, a->run + r0, runs, a->len,
                                             panel + (int64_t)r0 * a->len * 16, dst, r0 > 0,
                                             last ? &end : NULL);
                for (int32_t i = 0; !whole && i < n; i++)
                    memcpy(a->y + a->out[i0 + i] + j0, dst[i], (size_t)cols * sizeof(float));
            }
        }
    }
}

/* ---- weight gradient ---- */

#define TILE_C(i) (c + (i)*ldc)
#define TILE_A(i) (x + (i))
#define OUTER_TILE(mr)                                                                             \
    static __attribute__((noinline)) void outer##mr(const octk_conv_grad_w_f32 *a,                 \
                                                    const float *row, const float *dy, float *c) { \
        const int64_t ldc = a->o, xp = a->x_pixel, dp = a->dy_pixel;                               \
        TILE_REP##mr(TILE_DECL) const float *x = row, *d = dy;                                     \
        { TILE_B(d) TILE_REP##mr(TILE_MUL) }                                                       \
        for (int32_t p = 0, q = 1;;) {                                                             \
            TILE_UNROLL for (; q < a->q; q++) {                                                    \
                x += xp;                                                                           \
                d += dp;                                                                           \
                TILE_B(d) TILE_REP##mr(TILE_MAC)                                                   \
            }                                                                                      \
            if (++p == a->p) break;                                                                \
            x = row += a->x_row;                                                                   \
            d = dy += a->dy_row;                                                                   \
            {TILE_B(d) TILE_REP##mr(TILE_MAC)} q = 1;                                              \
        }                                                                                          \
        if (a->add) {                                                                              \
            TILE_REP##mr(TILE_OLD)                                                                 \
        }                                                                                          \
        TILE_REP##mr(TILE_PUT)                                                                     \
    }
OUTER_TILE(1)
OUTER_TILE(2)
OUTER_TILE(3)
OUTER_TILE(4)
OUTER_TILE(5)
OUTER_TILE(6)

/** Sums of 16 channels over pixels, in four chains. */
static void bias_grad(const octk_conv_grad_w_f32 *a, int32_t j) {
    __m256 s[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                   _mm256_setzero_ps()};
    for (int32_t p = 0; p < a->p; p++) {
        const float *d = a->dy + p * a->dy_row + j;
        for (int32_t q = 0; q < a->q; q++, d += a->dy_pixel) {
            s[0] = _mm256_add_ps(s[0], _mm256_loadu_ps(d));
            s[2] = _mm256_add_ps(s[2], _mm256_loadu_ps(d + 8));
            if (++q == a->q) break;
            d += a->dy_pixel;
            s[1] = _mm256_add_ps(s[1], _mm256_loadu_ps(d));
            s[3] = _mm256_add_ps(s[3], _mm256_loadu_ps(d + 8));
        }
    }
    for (int h = 0; h < 2; h++) {
        __m256 t = _mm256_add_ps(s[2 * h], s[2 * h + 1]);
        float *db = a->db + j + 8 * h;
        _mm256_storeu_ps(db, a->add ? _mm256_add_ps(t, _mm256_loadu_ps(db)) : t);
    }
}

void octk_conv_grad_w_f32_avx2(const octk_conv_grad_w_f32 *a) {
    typedef void outer_fn(const octk_conv_grad_w_f32 *, const float *, const float *, float *);
    static outer_fn *const outer[7] = {NULL, outer1, outer2, outer3, outer4, outer5, outer6};
    /* of even height: 16 = 6 + 5 + 5 keeps 10 accumulators busy */
    const int32_t tiles = (a->len + 5) / 6;
    for (int32_t j = 0; j < a->o; j += 16) {
        if (a->db) bias_grad(a, j);
        for (int32_t r = 0; r < a->runs; r++)
            for (int32_t t = 0; t < tiles; t++) {
                int32_t from = (int32_t)((int64_t)a->len * t / tiles),
                        to = (int32_t)((int64_t)a->len * (t + 1) / tiles);
                outer[to - from](a, a->x + a->run[r] + from, a->dy + j,
                                 a->dw + ((int64_t)r * a->len + from) * a->o + j);
            }
    }
}
