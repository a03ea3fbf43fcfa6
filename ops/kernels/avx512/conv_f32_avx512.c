/* SPDX-License-Identifier: MIT
 * Direct convolution on 512 bits: tiles of up to 14 pixels x 32 channels, or x 16 where no more are
 * left, over runs of the image itself. A panel is one vector. Weights of a tile are read in order,
 * two lines a step of 14 cycles, which the second-level cache gives; so that no panel is cut. The
 * tiles of two panels meanwhile fetch the two behind them, each its part: alone they had kept
 * products waiting (on a Sapphire Rapids 512 channels at 7x7 took 1.3 times as long). The weight
 * gradient is an outer product of up to 14 window floats x 32 channels over all pixels. */
#include "ops/kernels/avx512/tile_f32_avx512.h"
#include "ops/kernels/kernels.h"

/* SLIM: more rows than 12 have no register for their addresses. */
enum { PANEL = 16, SLIM_ROWS = 12 };

/* What all pixels of a tile share, and where each reads and is stored. */
typedef struct job {
    const float *b, *bias, *ahead; /* ahead: weights that are wanted next */
    int64_t step;                  /* floats of these with each step; nobody reads them here */
    __m512 lo, hi;
    int64_t panel, len; /* floats of a panel, of a run */
    const int32_t *run, *end;
    __mmask16 last; /* lanes of the last panel that are stored */
    const float *x[TILE_ROWS];
    float *y[TILE_ROWS];
} job;
typedef void job_fn(const job *j);

static inline __m512 bias_of(const job *j, int panel) {
    return j->bias ? _mm512_loadu_ps(j->bias + panel * PANEL) : _mm512_setzero_ps();
}

/* The second operand where one is NaN, or both are zero. */
#define END(v)    _mm512_min_ps(j->hi, _mm512_max_ps(j->lo, v))
#define TILE_A(i) x##i[k]
#define PTR(i)    const float *x##i = j->x[i] + *run;
#define PUT(i)                                                                                     \
    _mm512_storeu_ps(j->y[i], END(_mm512_add_ps(s##i, b0)));                                       \
    _mm512_mask_storeu_ps(j->y[i] + PANEL, j->last, END(_mm512_add_ps(r##i, b1)));
#define PIXELS(n)                                                                                  \
    static __attribute__((noinline)) void pixels##n(const job *j) {                                \
        const int64_t len = j->len, panel = j->panel;                                              \
        const float *b = j->b, *ahead = j->ahead;                                                  \
        const int64_t step = j->step;                                                              \
        TILE_REP##n(TILE_DECL) for (const int32_t *run = j->run; run < j->end; run++) {            \
            TILE_REP##n(PTR) TILE_UNROLL for (int64_t k = 0; k < len; k++, b += PANEL) {           \
                const __m512 b0 = _mm512_loadu_ps(b), b1 = _mm512_loadu_ps(b + panel);             \
                _mm_prefetch(ahead, _MM_HINT_T1);                                                  \
                ahead += step;                                                                     \
                TILE_REP##n(TILE_MAC)                                                              \
            }                                                                                      \
        }                                                                                          \
        const __m512 b0 = bias_of(j, 0), b1 = bias_of(j, 1);                                       \
        TILE_REP##n(PUT)                                                                           \
    }
TILE_EACH(PIXELS)

#define SLIM_PUT(i) _mm512_mask_storeu_ps(j->y[i], j->last, END(_mm512_add_ps(s##i, b0)));
#define SLIM(n)                                                                                    \
    static __attribute__((noinline)) void slim##n(const job *j) {                                  \
        const int64_t len = j->len;                                                                \
        const float *b = j->b;                                                                     \
        TILE_REP##n(SLIM_DECL) for (const int32_t *run = j->run; run < j->end; run++) {            \
            TILE_REP##n(PTR) TILE_UNROLL for (int64_t k = 0; k < len; k++, b += PANEL) {           \
                const __m512 b0 = _mm512_loadu_ps(b);                                              \
                TILE_REP##n(SLIM_MAC)                                                              \
            }                                                                                      \
        }                                                                                          \
        const __m512 b0 = bias_of(j, 0);                                                           \
        TILE_REP##n(SLIM_PUT)                                                                      \
    }
TILE_EACH(SLIM)
#undef TILE_A

/* One pixel, eight panels: as many sums as the FMAs have in flight. */
#define PANEL_MAC(i) s##i = _mm512_fmadd_ps(t, _mm512_loadu_ps(b + i * panel), s##i);
#define PANEL_PUT(i) _mm512_storeu_ps(j->y[0] + PANEL * i, END(_mm512_add_ps(s##i, bias_of(j, i))));
#define PANELS       8
static void panels8(const job *j) {
    const int64_t len = j->len, panel = j->panel;
    const float *b = j->b;
    TILE_REP8(SLIM_DECL) for (const int32_t *run = j->run; run < j->end; run++) {
        const float *x = j->x[0] + *run;
        for (int64_t k = 0; k < len; k++, b += PANEL) {
            const __m512 t = _mm512_set1_ps(x[k]);
            TILE_REP8(PANEL_MAC)
        }
    }
    TILE_REP8(PANEL_PUT)
}

void octk_conv_f32_avx512(const octk_conv_f32 *a) {
    static job_fn *const pixels[] = TILE_TABLE(pixels), *const slim[] = TILE_TABLE(slim);
    job j; /* its tables are not cleared: small calls would take as long for that as for sums */
    j.panel = (int64_t)a->runs * a->len * PANEL;
    j.len = a->len;
    j.lo = _mm512_set1_ps(a->clamp.lo);
    j.hi = _mm512_set1_ps(a->clamp.hi);
    j.run = a->run;
    j.end = a->run + a->runs;
    for (int32_t at = 0, width; at < a->o; at += width) {
        const int32_t left = a->o - at;
        const bool narrow = left <= PANEL, wide = a->np == 1 && left >= PANELS * PANEL;
        width = wide ? PANELS * PANEL : narrow ? PANEL : 2 * PANEL;
        job_fn *const *by = narrow ? slim : pixels;
        const int32_t most = narrow ? SLIM_ROWS : TILE_ROWS, tiles = (a->np + most - 1) / most;
        j.b = a->w + at / PANEL * j.panel;
        j.step = tiles < 2 ? PANEL : tiles < 2 * PANEL ? 2 * PANEL / tiles : 1;
        j.bias = a->bias ? a->bias + at : NULL;
        j.last = tile_lanes(narrow ? left : left - PANEL);
        for (int32_t i = 0; i < tiles; i++) {
            const int64_t from = tile_begin(a->np, tiles, i),
                          n = tile_begin(a->np, tiles, i + 1) - from;
            j.ahead = j.b + 2 * j.panel + i * j.step * (j.panel / PANEL);
            for (int64_t p = 0; p < n; p++) {
                j.x[p] = a->x + a->pix[from + p];
                j.y[p] = a->y + a->out[from + p] + at;
            }
            (wide ? panels8 : by[n])(&j);
        }
    }
}

/* ---- weight gradient ---- */

typedef void outer_fn(const octk_conv_grad_w_f32 *a, const float *x, const float *dy, float *dw);

#define TILE_A(i)    x[q * xp + (i)]
#define OLD(i, n)    _mm512_loadu_ps(dw + (i)*a->o + (n)*PANEL)
#define OUTER_OLD(i) s##i = _mm512_add_ps(s##i, OLD(i, 0)), r##i = _mm512_add_ps(r##i, OLD(i, 1));
#define OUTER_PUT(i)                                                                               \
    _mm512_storeu_ps(dw + (i)*a->o, s##i);                                                         \
    _mm512_storeu_ps(dw + (i)*a->o + PANEL, r##i);
#define OUTER(n)                                                                                   \
    static __attribute__((noinline)) void outer##n(const octk_conv_grad_w_f32 *a, const float *x,  \
                                                   const float *dy, float *dw) {                   \
        const int64_t xp = a->x_pixel, dp = a->dy_pixel;                                           \
        TILE_REP##n(TILE_DECL) for (int32_t p = 0; p < a->p;                                       \
                                    p++, x += a->x_row, dy += a->dy_row) {                         \
            TILE_UNROLL for (int64_t q = 0; q < a->q; q++) {                                       \
                const __m512 b0 = _mm512_loadu_ps(dy + q * dp),                                    \
                             b1 = _mm512_loadu_ps(dy + q * dp + PANEL);                            \
                TILE_REP##n(TILE_MAC)                                                              \
            }                                                                                      \
        }                                                                                          \
        if (a->add) {                                                                              \
            TILE_REP##n(OUTER_OLD)                                                                 \
        }                                                                                          \
        TILE_REP##n(OUTER_PUT)                                                                     \
    }
TILE_EACH(OUTER)

#define THIN_OLD(i) s##i = _mm512_add_ps(s##i, OLD(i, 0));
#define THIN_PUT(i) _mm512_storeu_ps(dw + (i)*a->o, s##i);
#define THIN(n)                                                                                    \
    static __attribute__((noinline)) void thin##n(const octk_conv_grad_w_f32 *a, const float *x,   \
                                                  const float *dy, float *dw) {                    \
        const int64_t xp = a->x_pixel, dp = a->dy_pixel;                                           \
        TILE_REP##n(SLIM_DECL) for (int32_t p = 0; p < a->p;                                       \
                                    p++, x += a->x_row, dy += a->dy_row) {                         \
            TILE_UNROLL for (int64_t q = 0; q < a->q; q++) {                                       \
                const __m512 b0 = _mm512_loadu_ps(dy + q * dp);                                    \
                TILE_REP##n(SLIM_MAC)                                                              \
            }                                                                                      \
        }                                                                                          \
        if (a->add) {                                                                              \
            TILE_REP##n(THIN_OLD)                                                                  \
        }                                                                                          \
        TILE_REP##n(THIN_PUT)                                                                      \
    }
TILE_EACH(THIN)
#undef TILE_A

/* Sums of 16 channels over pixels, in four chains. */
static void bias_grad(const octk_conv_grad_w_f32 *a, int32_t at) {
    __m512 s[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                   _mm512_setzero_ps()};
    for (int32_t p = 0; p < a->p; p++) {
        const float *d = a->dy + p * a->dy_row + at;
        int64_t q = 0;
        for (; q + 4 <= a->q; q += 4)
            for (int i = 0; i < 4; i++)
                s[i] = _mm512_add_ps(s[i], _mm512_loadu_ps(d + (q + i) * a->dy_pixel));
        for (; q < a->q; q++) s[0] = _mm512_add_ps(s[0], _mm512_loadu_ps(d + q * a->dy_pixel));
    }
    const __m512 sum = _mm512_add_ps(_mm512_add_ps(s[0], s[1]), _mm512_add_ps(s[2], s[3]));
    float *db = a->db + at;
    _mm512_storeu_ps(db, a->add ? _mm512_add_ps(sum, _mm512_loadu_ps(db)) : sum);
}

void octk_conv_grad_w_f32_avx512(const octk_conv_grad_w_f32 *a) {
    static outer_fn *const outer[] = TILE_TABLE(outer), *const thin[] = TILE_TABLE(thin);
    const int32_t tiles = (a->len + TILE_ROWS - 1) / TILE_ROWS;
    for (int32_t at = 0; a->db && at < a->o; at += PANEL) bias_grad(a, at);
    for (int32_t at = 0; at < a->o; at += 2 * PANEL)
        for (int32_t r = 0; r < a->runs; r++)
            for (int32_t t = 0; t < tiles; t++) {
                const int64_t from = tile_begin(a->len, tiles, t),
                              n = tile_begin(a->len, tiles, t + 1) - from;
                (a->o - at > PANEL ? outer
                                   : thin)[n](a, a->x + a->run[r] + from, a->dy + at,
                                              a->dw + ((int64_t)r * a->len + from) * a->o + at);
            }
}
