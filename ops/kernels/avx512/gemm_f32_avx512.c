/* SPDX-License-Identifier: MIT
 * GEMM on 512 bits, in tiles of up to 14 x 32, or x 16 where no more columns are left. A is read in
 * place (rows, or columns where it is transposed); B too where that is fast, else a panel of 32
 * columns is packed on the stack. Each element is one FMA chain over k in blocks of DEPTH, the same
 * for every tile size, so an element's bits do not depend on where it lies. */
#include <string.h>

#include "ops/kernels/avx2/pack_f32_avx2.h"
#include "ops/kernels/avx512/tile_f32_avx512.h"
#include "ops/kernels/kernels.h"

/* B's rows stay where they are for few rows of A, or where they lie close together: else its lines
 * fight for cache sets. */
enum { LANES = 16, WIDTH = 32, DEPTH = 256, FEW_ROWS = 24, NARROW = 128 };

/* A block of one tile: what all rows share. */
typedef struct job {
    int64_t depth, lda, ldb, ldc;
    const float *a, *b;
    float *c;
    __mmask16 last; /* columns of the tile's last vector */
    bool add;
} job;
typedef void tile_fn(const job *j);

#define PLACE(i, n) (j->c + (i)*j->ldc + (n)*LANES)
#define OLD(i, n)   _mm512_maskz_loadu_ps((n) ? j->last : (__mmask16)0xffff, PLACE(i, n))
#define TILE_OLD(i) s##i = _mm512_add_ps(s##i, OLD(i, 0)), r##i = _mm512_add_ps(r##i, OLD(i, 1));
#define TILE_PUT(i)                                                                                \
    _mm512_storeu_ps(PLACE(i, 0), s##i);                                                           \
    _mm512_mask_storeu_ps(PLACE(i, 1), j->last, r##i);
#define SLIM_OLD(i) s##i = _mm512_add_ps(s##i, _mm512_maskz_loadu_ps(j->last, PLACE(i, 0)));
#define SLIM_PUT(i) _mm512_mask_storeu_ps(PLACE(i, 0), j->last, s##i);

/* POINTERS, STEP: where row i's element is, and what moves it on. */
#define TILE(name, n, POINTERS, STEP)                                                              \
    static __attribute__((noinline)) void name##n(const job *j) {                                  \
        const int64_t depth = j->depth, lda = j->lda, ldb = j->ldb;                                \
        const float *a = j->a, *b = j->b;                                                          \
        (void)lda;                                                                                 \
        TILE_REP##n(TILE_DECL) POINTERS(n) TILE_UNROLL for (int64_t k = 0; k < depth; k++) {       \
            const __m512 b0 = _mm512_loadu_ps(b), b1 = _mm512_loadu_ps(b + LANES);                 \
            TILE_REP##n(TILE_MAC) STEP b += ldb;                                                   \
        }                                                                                          \
        if (j->add) {                                                                              \
            TILE_REP##n(TILE_OLD)                                                                  \
        }                                                                                          \
        TILE_REP##n(TILE_PUT)                                                                      \
    }                                                                                              \
    static __attribute__((noinline)) void slim_##name##n(const job *j) {                           \
        const int64_t depth = j->depth, lda = j->lda, ldb = j->ldb;                                \
        const float *a = j->a, *b = j->b;                                                          \
        (void)lda;                                                                                 \
        TILE_REP##n(SLIM_DECL) POINTERS(n) TILE_UNROLL for (int64_t k = 0; k < depth; k++) {       \
            const __m512 b0 = _mm512_loadu_ps(b);                                                  \
            TILE_REP##n(SLIM_MAC) STEP b += ldb;                                                   \
        }                                                                                          \
        if (j->add) {                                                                              \
            TILE_REP##n(SLIM_OLD)                                                                  \
        }                                                                                          \
        TILE_REP##n(SLIM_PUT)                                                                      \
    }

/* A in rows: element (i, k) at a[i * lda + k]. */
#define ROW(i)       const float *p##i = a + (i)*lda;
#define ROWS(n)      TILE_REP##n(ROW)
#define ROWS_TILE(n) TILE(rows, n, ROWS, )
#define TILE_A(i)    p##i[k]
TILE_EACH(ROWS_TILE)
#undef TILE_A

/* A in columns: element (i, k) at a[k * lda + i]. */
#define NONE(n)
#define COLUMNS_TILE(n) TILE(columns, n, NONE, a += lda;)
#define TILE_A(i)       a[i]
TILE_EACH(COLUMNS_TILE)
#undef TILE_A

static tile_fn *const tiles[2][2][TILE_ROWS + 1] = {
    {TILE_TABLE(rows), TILE_TABLE(slim_rows)}, {TILE_TABLE(columns), TILE_TABLE(slim_columns)}};

void octk_gemm_f32_avx512(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const float *a,
                          int64_t lda, const float *b, int64_t ldb, bool accumulate, float *c,
                          int64_t ldc) {
    float panel[DEPTH * WIDTH];
    if (k < 1) {
        for (int64_t i = 0; i < m && !accumulate; i++)
            memset(c + i * ldc, 0, (size_t)n * sizeof *c);
        return;
    }
    const int64_t high = (m + TILE_ROWS - 1) / TILE_ROWS;
    for (int64_t k0 = 0; k0 < k; k0 += DEPTH) {
        job j = {.depth = k - k0 < DEPTH ? k - k0 : DEPTH,
                 .lda = lda,
                 .ldc = ldc,
                 .add = accumulate || k0 > 0};
        for (int64_t at = 0; at < n; at += WIDTH) {
            const int64_t cols = n - at < WIDTH ? n - at : WIDTH;
            const bool slim = cols <= LANES;
            const int64_t width = slim ? LANES : WIDTH;
            j.b = tb ? b + at * ldb + k0 : b + k0 * ldb + at;
            j.ldb = ldb;
            j.last = tile_lanes(slim ? cols : cols - LANES);
            if (tb || cols < width || (m > FEW_ROWS && ldb > NARROW)) {
                octk_pack_f32(tb, j.b, ldb, j.depth, cols, width, panel);
                j.b = panel;
                j.ldb = width;
            }
            for (int64_t i = 0; i < high; i++) {
                const int64_t row = tile_begin(m, high, i);
                j.a = ta ? a + k0 * lda + row : a + row * lda + k0;
                j.c = c + row * ldc + at;
                tiles[ta][slim][tile_begin(m, high, i + 1) - row](&j);
            }
        }
    }
}
