/* SPDX-License-Identifier: MIT
 * GEMM in tiles of up to 6 x 16; A is read in place (rows, or columns where it is transposed), of B
 * a panel of 16 columns is packed on the stack where it is transposed, narrow, or its rows lie far
 * apart. Each element is one FMA chain over k in blocks of DEPTH, the same for every tile size. */
#include <string.h>

#include "ops/kernels/kernels.h"
#include "ops/kernels/neon/tile_f32_neon.h"

enum { DEPTH = 256, FEW_ROWS = 24, NARROW = 128 };

/* Element (i, k) of A at a[i * row + k * step]. */
TILE_INLINE void tile(const int rows, int64_t depth, const float *a, int64_t row, int64_t step,
                      const float *b, int64_t ldb, float *c, int64_t ldc, bool add) {
    const float *p[6];
    float *out[6];
    float32x4_t s[6][4];
    TILE_ROWS p[i] = a + i * row, out[i] = c + i * ldc;
    tile_mul(rows, p, b, s);
    for (int64_t k = 1; k < depth; k++) tile_mac(rows, p, k * step, b += ldb, s);
    tile_put(rows, s, out, add);
}

#define SIZE(n)                                                                                    \
    static void rows##n(int64_t depth, const float *a, int64_t lda, const float *b, int64_t ldb,   \
                        float *c, int64_t ldc, bool add) {                                         \
        tile(n, depth, a, lda, 1, b, ldb, c, ldc, add);                                            \
    }                                                                                              \
    static void columns##n(int64_t depth, const float *a, int64_t lda, const float *b,             \
                           int64_t ldb, float *c, int64_t ldc, bool add) {                         \
        tile(n, depth, a, 1, lda, b, ldb, c, ldc, add);                                            \
    }
SIZE(1)
SIZE(2)
SIZE(3)
SIZE(4)
SIZE(5)
SIZE(6)

typedef void tile_fn(int64_t depth, const float *a, int64_t lda, const float *b, int64_t ldb,
                     float *c, int64_t ldc, bool add);
static tile_fn *const tiles[2][7] = {
    {NULL, rows1, rows2, rows3, rows4, rows5, rows6},
    {NULL, columns1, columns2, columns3, columns4, columns5, columns6}};

/** op(B)[k0 .. k0+depth, j0 .. j0+cols] as [depth][16], zeros behind cols. */
static void pack(bool tb, const float *b, int64_t ldb, int64_t depth, int64_t cols, float *panel) {
    if (cols < 16) memset(panel, 0, (size_t)depth * 16 * sizeof *panel);
    if (!tb) {
        for (int64_t k = 0; k < depth; k++)
            memcpy(panel + k * 16, b + k * ldb, (size_t)cols * sizeof *panel);
        return;
    }
    for (int64_t j = 0; j < cols; j++)
        for (int64_t k = 0; k < depth; k++) panel[k * 16 + j] = b[j * ldb + k];
}

void octk_gemm_f32_neon(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const float *a,
                        int64_t lda, const float *b, int64_t ldb, bool accumulate, float *c,
                        int64_t ldc) {
    float panel[DEPTH * 16], part[6 * 16];
    if (k < 1) {
        for (int64_t i = 0; i < m && !accumulate; i++)
            memset(c + i * ldc, 0, (size_t)n * sizeof *c);
        return;
    }
    for (int64_t k0 = 0; k0 < k; k0 += DEPTH) {
        const int64_t depth = k - k0 < DEPTH ? k - k0 : DEPTH;
        const bool add = accumulate || k0 > 0;
        for (int64_t j = 0; j < n; j += 16) {
            const int64_t cols = n - j < 16 ? n - j : 16;
            int64_t pitch = ldb;
            const float *from = tb ? b + j * ldb + k0 : b + k0 * ldb + j;
            if (tb || cols < 16 || (m > FEW_ROWS && ldb > NARROW)) {
                pack(tb, from, ldb, depth, cols, panel);
                from = panel;
                pitch = 16;
            }
            for (int64_t i = 0; i < m; i += 6) {
                const int64_t rows = m - i < 6 ? m - i : 6;
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
