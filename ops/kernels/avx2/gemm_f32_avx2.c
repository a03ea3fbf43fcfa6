/* SPDX-License-Identifier: MIT
 * GEMM in tiles of up to 6 x 16. A is read in place (rows, or columns where it is transposed); B
 * too where that is fast, else a panel of 16 columns is packed on the stack. Each element is one
 * FMA chain over k in blocks of DEPTH, the same for every tile size, so an element's bits do not
 * depend on where it lies. */
#include <string.h>

#include "ops/kernels/avx2/pack_f32_avx2.h"
#include "ops/kernels/avx2/tile_f32_avx2.h"
#include "ops/kernels/kernels.h"

/* B's rows stay where they are for few rows of A, or where they lie close together: else its lines
 * fight for cache sets. */
enum { DEPTH = 256, FEW_ROWS = 24, NARROW = 128 };

#define TILE_C(i) (c + (i)*ldc)

/* A in rows: element (i, k) at a[i * lda + k]. */
#define PTR(i) const float *p##i = a + (i)*lda;
#define ROWS_TILE(mr)                                                                              \
    static __attribute__((noinline)) void rows##mr(int64_t n, const float *a, int64_t lda,         \
                                                   const float *b, int64_t ldb, float *c,          \
                                                   int64_t ldc, bool add) {                        \
        TILE_REP##mr(TILE_DECL) TILE_REP##mr(PTR) int64_t k = 0;                                   \
        {TILE_B(b) TILE_REP##mr(TILE_MUL)} TILE_UNROLL for (k = 1; k < n; k++) {                   \
            b += ldb;                                                                              \
            TILE_B(b) TILE_REP##mr(TILE_MAC)                                                       \
        }                                                                                          \
        if (add) {                                                                                 \
            TILE_REP##mr(TILE_OLD)                                                                 \
        }                                                                                          \
        TILE_REP##mr(TILE_PUT)                                                                     \
    }
#define TILE_A(i) (p##i + k)
ROWS_TILE(1)
ROWS_TILE(2)
ROWS_TILE(3)
ROWS_TILE(4)
ROWS_TILE(5)
ROWS_TILE(6)
#undef TILE_A

/* A in columns: element (i, k) at a[k * lda + i]. */
#define COLUMNS_TILE(mr)                                                                           \
    static __attribute__((noinline)) void columns##mr(int64_t n, const float *a, int64_t lda,      \
                                                      const float *b, int64_t ldb, float *c,       \
                                                      int64_t ldc, bool add) {                     \
        TILE_REP##mr(TILE_DECL){TILE_B(b) TILE_REP##mr(TILE_MUL)} TILE_UNROLL for (int64_t k = 1;  \
                                                                                   k < n; k++) {   \
            a += lda;                                                                              \
            b += ldb;                                                                              \
            TILE_B(b) TILE_REP##mr(TILE_MAC)                                                       \
        }                                                                                          \
        if (add) {                                                                                 \
            TILE_REP##mr(TILE_OLD)                                                                 \
        }                                                                                          \
        TILE_REP##mr(TILE_PUT)                                                                     \
    }
#define TILE_A(i) (a + (i))
COLUMNS_TILE(1)
COLUMNS_TILE(2)
COLUMNS_TILE(3)
COLUMNS_TILE(4)
COLUMNS_TILE(5)
COLUMNS_TILE(6)
#undef TILE_A

typedef void tile_fn(int64_t n, const float *a, int64_t lda, const float *b, int64_t ldb, float *c,
                     int64_t ldc, bool add);
static tile_fn *const tiles[2][7] = {
    {NULL, rows1, rows2, rows3, rows4, rows5, rows6},
    {NULL, columns1, columns2, columns3, columns4, columns5, columns6}};

void octk_gemm_f32_avx2(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const float *a,
                        int64_t lda, const float *b, int64_t ldb, bool accumulate, float *c,
                        int64_t ldc) {
    float panel[DEPTH * 16], part[6 * 16];
    if (k < 1) {
        for (int64_t i = 0; i < m && !accumulate; i++)
            memset(c + i * ldc, 0, (size_t)n * sizeof *c);
        return;
    }
    for (int64_t k0 = 0; k0 < k; k0 += DEPTH) {
        int64_t depth = k - k0 < DEPTH ? k - k0 : DEPTH;
        bool add = accumulate || k0 > 0;
        for (int64_t j = 0; j < n; j += 16) {
            int64_t cols = n - j < 16 ? n - j : 16, pitch = ldb;
            const float *from = tb ? b + j * ldb + k0 : b + k0 * ldb + j;
            if (tb || cols < 16 || (m > FEW_ROWS && ldb > NARROW)) {
                octk_pack_f32(tb, from, ldb, depth, cols, 16, panel);
                from = panel;
                pitch = 16;
            }
            for (int64_t i = 0; i < m; i += 6) {
                int64_t rows = m - i < 6 ? m - i : 6;
                const float *at = ta ? a + k0 * lda + i : a + i * lda + k0;
                float *out = c + i * ldc + j;
                if (cols == 16) {
                    tiles[ta][rows](depth, at, lda, from, pitch, out, ldc, add);
                    continue;
                }
                tiles[ta][rows](depth, at, lda, from, pitch, part, 16, false);
                for (int64_t r = 0; r < rows; r++)
                    for (int64_t q = 0; q < cols; q++)
                        out[r * ldc + q] =
                            add ? part[r * 16 + q] + out[r * ldc + q] : part[r * 16 + q];
            }
        }
    }
}
