/* SPDX-License-Identifier: MIT
 * Float kernels of every level against the reference: GEMM over all edge sizes with guards around the output, batch-norm
 * passes bit for bit. */
#include <math.h>

#include "autograd/autograd.h"
#include "autograd/blas.h"
#include "ops/kernels/kernels.h"
#include "ops/ops.h"
#include "src/cpu.h"
#include "src/mem.h"
#include "src/rng.h"
#include "tests/oct_test.h"

enum { GUARD = 24 };
static const float canary = 1234.5f;

/* The table of each set of features that a word of OCT_CPU leaves and this machine has; NULL for the others. */
static const octk_table *table_of(int word) {
    static octk_table t;
    octi_cpu_features have;
    ck_ok(octi_cpu_have(&have));
    if (octi_cpu_words[word].features & ~have) return NULL;
    octk_table_choose(&t, octi_cpu_words[word].features);
    return &t;
}

static const octk_table *reference(void) {
    static octk_table t;
    octk_table_choose(&t, 0);
    return &t;
}

static const octk_table *best(void) {
    static octk_table t;
    octi_cpu_features have;
    ck_ok(octi_cpu_have(&have));
    octk_table_choose(&t, have);
    return &t;
}

/** Worst |got - want| in units of K * eps * sum |a||b|; checks guards too. */
static double gemm_error(const octk_table *t, bool ta, bool tb, int m, int n, int k, bool add, octi_rng *r) {
    int lda = (ta ? m : k) + (int)octi_rng_below(r, 3), ldb = (tb ? k : n) + (int)octi_rng_below(r, 3), ldc = n + (int)octi_rng_below(r, 3);
    size_t na = (size_t)(ta ? k : m) * (size_t)lda, nb = (size_t)(tb ? n : k) * (size_t)ldb, nc = (size_t)m * (size_t)ldc + 2 * GUARD;
    /* exact sizes: a sanitizer sees any read beyond them */
    float *a = malloc(na * sizeof *a), *b = malloc(nb * sizeof *b), *c = malloc(nc * sizeof *c), *old = malloc(nc * sizeof *old);
    for (size_t i = 0; i < na; i++) a[i] = octi_rng_normal(r);
    for (size_t i = 0; i < nb; i++) b[i] = octi_rng_normal(r);
    for (size_t i = 0; i < nc; i++) c[i] = old[i] = canary;
    t->gemm_f32(ta, tb, m, n, k, a, lda, b, ldb, add, c + GUARD, ldc);
    double worst = 0;
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double sum = add ? (double)canary : 0, size = fabs(sum);
            for (int l = 0; l < k; l++) {
                double v = (double)(ta ? a[l * lda + i] : a[i * lda + l]) * (double)(tb ? b[j * ldb + l] : b[l * ldb + j]);
                sum += v;
                size += fabs(v);
            }
            size_t at = GUARD + (size_t)i * (size_t)ldc + (size_t)j;
            worst = fmax(worst, fabs((double)c[at] - sum) / (0x1p-24 * (k + 1) * size + 1e-300));
            c[at] = canary;
        }
    ck_assert_msg(!memcmp(c, old, nc * sizeof *c), "m %d n %d k %d: written beside the output", m, n, k);
    free(a), free(b), free(c), free(old);
    return worst;
}

START_TEST(gemm_is_within_its_bound_at_all_edges) {
    for (int level = 0; level < octi_cpu_word_count; level++) {
        const octk_table *t = table_of(level);
        if (!t) continue;
        octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 20, (uint32_t)level);
        for (int m = 1; m <= 20; m++)
            for (int n = 1; n <= 20; n++)
                for (int i = 0; i < 4; i++) {
                    int k = 1 + (int)octi_rng_below(&r, 70);
                    double e = gemm_error(t, i & 1, i & 2, m, n, k, octi_rng_below(&r, 2), &r);
                    ck_assert_msg(e <= 1, "level %d, m %d n %d k %d: error %g of the bound", level, m, n, k, e);
                }
        for (int k = 1; k <= 70; k++)
            for (int i = 0; i < 8; i++) {
                double e = gemm_error(t, i & 1, i & 2, 1 + (int)octi_rng_below(&r, 20), 1 + (int)octi_rng_below(&r, 40), k, i & 4, &r);
                ck_assert_msg(e <= 1, "level %d, k %d: error %g of the bound", level, k, e);
            }
        static const int deep[] = {255, 256, 257, 511, 512, 513, 1030};
        for (int d = 0; d < 7; d++)
            for (int i = 0; i < 8; i++) ck_assert(gemm_error(t, i & 1, i & 2, 7, 19, deep[d], i & 4, &r) <= 1);
    }
}
END_TEST

START_TEST(gemm_of_depth_zero) {
    for (int level = 0; level < octi_cpu_word_count; level++) {
        const octk_table *t = table_of(level);
        float c[6] = {1, 2, 3, 4, 5, 6}, x = 0;
        if (!t) continue;
        t->gemm_f32(false, false, 2, 3, 0, &x, 1, &x, 3, true, c, 3);
        ck_assert(c[0] == 1 && c[5] == 6);
        t->gemm_f32(false, false, 2, 3, 0, &x, 1, &x, 3, false, c, 3);
        ck_assert(c[0] == 0 && c[5] == 0);
    }
}
END_TEST

/** A row's bits must not depend on how many rows are asked for: the batch's cut rests on it. */
START_TEST(gemm_rows_do_not_see_each_other) {
    enum { M = 23, N = 37, K = 300 };
    static float a[M * K], b[K * N], c[M * N], d[N];
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 21, 0);
    for (int i = 0; i < M * K; i++) a[i] = octi_rng_normal(&r);
    for (int i = 0; i < K * N; i++) b[i] = octi_rng_normal(&r);
    for (int tb = 0; tb < 2; tb++) {
        best()->gemm_f32(false, tb, M, N, K, a, K, b, tb ? K : N, false, c, N);
        for (int i = 0; i < M; i++) {
            best()->gemm_f32(false, tb, 1, N, K, a + i * K, K, b, tb ? K : N, false, d, N);
            ck_assert(!memcmp(c + i * N, d, sizeof d));
        }
    }
}
END_TEST

START_TEST(batch_norm_passes_are_bit_equal) {
    const octk_table *ref = reference();
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 22, 0);
    for (int level = 1; level < octi_cpu_word_count; level++) {
        const octk_table *t = table_of(level);
        if (!t) continue;
        for (int64_t c = 1; c <= 40; c++)
            for (int64_t rows = 1; rows < 40; rows = rows * 2 + 1) {
                size_t n = (size_t)(rows * c);
                float *m = malloc((6 * (size_t)c + 4 * n) * sizeof *m), *s0 = m + c, *s1 = s0 + c, *z0 = s1 + c, *z1 = z0 + c, *k = z1 + c;
                float *x = k + c, *dy = x + n, *y = dy + n, *z = y + n;
                for (float *p = m; p < z + n; p++) *p = octi_rng_normal(&r);
                ref->column_sums_f32(rows, c, x, s0), t->column_sums_f32(rows, c, x, z0);
                ck_assert(!memcmp(s0, z0, (size_t)c * sizeof *s0));
                ref->column_moments_f32(rows, c, x, m, s0, s1), t->column_moments_f32(rows, c, x, m, z0, z1);
                ck_assert(!memcmp(s0, z0, (size_t)c * sizeof *s0) && !memcmp(s1, z1, (size_t)c * sizeof *s1));
                ref->bn_grad_sums_f32(rows, c, x, dy, m, s0, s1), t->bn_grad_sums_f32(rows, c, x, dy, m, z0, z1);
                ck_assert(!memcmp(s0, z0, (size_t)c * sizeof *s0) && !memcmp(s1, z1, (size_t)c * sizeof *s1));
                ref->normalize_f32(rows, c, x, m, s0, s1, y), t->normalize_f32(rows, c, x, m, s0, s1, z);
                ck_assert(!memcmp(y, z, n * sizeof *y));
                ref->bn_grad_x_f32(rows, c, x, dy, m, s0, s1, k, y), t->bn_grad_x_f32(rows, c, x, dy, m, s0, s1, k, z);
                ck_assert(!memcmp(y, z, n * sizeof *y));
                free(m);
            }
    }
}
END_TEST

/** With BLAS installed: the same contract, and the same bits for any number of threads. */
START_TEST(linear_with_blas) {
    enum { N = 200, K = 401, O = 130 };
    oct_ctx *ctx[3] = {oct_open(&(oct_opts){.threads = 1}), oct_open(&(oct_opts){.threads = 4}), oct_open(&(oct_opts){.threads = 1})};
    ck_ok(octi_blas_install(ctx[0]));
    ck_ok(octi_blas_install(ctx[1]));
    ck_assert(octi_ctx_sgemm(ctx[0]) && !octi_ctx_sgemm(ctx[2]));
    oct_tensor *dx[3], *dw[3];
    for (int c = 0; c < 3; c++) {
        octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 24, 0);
        oct_tensor *x = oct_tensor_new(ctx[c], OCT_F32, OCT_SHAPE(N, O)), *w = oct_tensor_new(ctx[c], OCT_F32, OCT_SHAPE(K, O));
        oct_tensor *dy = oct_tensor_new(ctx[c], OCT_F32, OCT_SHAPE(N, K)), *t[] = {x, w, dy};
        for (int k = 0; k < 3; k++)
            for (int64_t i = 0; i < oct_tensor_count(t[k]); i++) oct_f32(t[k])[i] = octi_rng_normal(&r);
        dx[c] = oct_tensor_new(ctx[c], OCT_F32, x->shape);
        dw[c] = oct_tensor_new(ctx[c], OCT_F32, w->shape);
        ck_ok(oct_linear_grad_x(ctx[c], dy, w, dx[c]));
        ck_ok(oct_linear_grad_w(ctx[c], x, dy, dw[c], NULL));
        octi_sgemm(ctx[c], false, false, N, O, K, oct_f32(dy), K, oct_f32(w), O, false, oct_f32(dx[c]), O); /* whole: surely BLAS */
    }
    ck_assert(!memcmp(dx[0]->data, dx[1]->data, oct_tensor_bytes(dx[0])) && !memcmp(dw[0]->data, dw[1]->data, oct_tensor_bytes(dw[0])));
    for (int i = 0; i < N * O; i++) ck_assert(fabsf(oct_f32(dx[0])[i] - oct_f32(dx[2])[i]) < 1e-3f);
    for (int c = 0; c < 3; c++) oct_close(ctx[c]);
}
END_TEST

static bool blas_is_mapped(void) {
    char line[1024];
    bool found = false;
    FILE *f = fopen("/proc/self/maps", "r");
    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof line, f)) found = found || strstr(line, "openblas");
    fclose(f);
    return found;
}

/** A gradient whose products are all small loads nothing; one large product does, and gives the kernel's sums up to rounding. */
START_TEST(blas_is_loaded_by_the_first_product_that_wants_it) {
    enum { N = 400 * 16, K = 128, O = 96 };
    ck_assert(!blas_is_mapped());
    oct_ctx *ctx[2] = {oct_open(&(oct_opts){.threads = 2}), oct_open(&(oct_opts){.threads = 2})};
    oct_tape *tape = oct_tape_new(ctx[0]); /* the second context has no tape: no BLAS */
    ck_not_null(tape);
    oct_tensor *dw[2];
    for (int64_t n = 64; n <= N; n += N - 64)
        for (int c = 0; c < 2; c++) {
            octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 25, 0);
            oct_tensor *x = oct_tensor_new(ctx[c], OCT_F32, OCT_SHAPE(n, K)), *dy = oct_tensor_new(ctx[c], OCT_F32, OCT_SHAPE(n, O));
            for (int64_t i = 0; i < n * K; i++) oct_f32(x)[i] = octi_rng_normal(&r);
            for (int64_t i = 0; i < n * O; i++) oct_f32(dy)[i] = octi_rng_normal(&r);
            dw[c] = oct_tensor_new(ctx[c], OCT_F32, OCT_SHAPE(O, K));
            ck_ok(oct_linear_grad_w(ctx[c], x, dy, dw[c], NULL));
            ck_assert_int_eq(blas_is_mapped(), n == N);
        }
    ck_assert(octi_ctx_sgemm(ctx[0]) && !octi_ctx_sgemm(ctx[1]));
    for (int i = 0; i < K * O; i++) ck_assert(fabsf(oct_f32(dw[0])[i] - oct_f32(dw[1])[i]) < 2e-3f);
    oct_tape_free(tape);
    oct_close(ctx[0]), oct_close(ctx[1]);
}
END_TEST

/** Transforms of every level against the reference: a few roundings of their largest value apart; nothing beside is written. */
START_TEST(winograd_transforms_agree) {
    enum { C = 24, ROW = 7 * C, PLANE = C + 8 };
    static float x[6 * ROW], v[36 * PLANE + 8], w[36 * PLANE + 8], y[4 * ROW + 8], z[4 * ROW + 8], bias[C];
    const octk_table *ref = reference();
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 23, 0);
    for (int level = 1; level < octi_cpu_word_count; level++) {
        const octk_table *t = table_of(level);
        for (int round = 0; t && round < 50; round++) {
            for (int i = 0; i < 6 * ROW; i++) x[i] = octi_rng_normal(&r);
            for (int i = 0; i < C; i++) bias[i] = octi_rng_normal(&r);
            for (int i = 0; i < 36 * PLANE + 8; i++) v[i] = w[i] = canary;
            for (int i = 0; i < 4 * ROW + 8; i++) y[i] = z[i] = canary;
            ref->wino_in_f32(x, ROW, C, v, PLANE), t->wino_in_f32(x, ROW, C, w, PLANE);
            for (int i = 0; i < 36 * PLANE + 8; i++) ck_assert_msg(fabsf(v[i] - w[i]) <= 1e-4f, /* 36 terms, coefficients up to 25 */ "level %d round %d: %g, %g", level, round, (double)v[i], (double)w[i]);
            ref->wino_out_f32(v, PLANE, C, round & 1 ? bias : NULL, y, ROW), t->wino_out_f32(v, PLANE, C, round & 1 ? bias : NULL, z, ROW);
            for (int i = 0; i < 4 * ROW + 8; i++) ck_assert(fabsf(y[i] - z[i]) <= 2e-3f);
            ref->wino_dy_f32(x, ROW, C, v, PLANE), t->wino_dy_f32(x, ROW, C, w, PLANE);
            for (int i = 0; i < 36 * PLANE + 8; i++) ck_assert(fabsf(v[i] - w[i]) <= 1e-4f);
        }
    }
}
END_TEST

OCT_TEST_MAIN("ops_kernels", gemm_is_within_its_bound_at_all_edges, gemm_of_depth_zero, gemm_rows_do_not_see_each_other,
              batch_norm_passes_are_bit_equal, blas_is_loaded_by_the_first_product_that_wants_it, linear_with_blas, winograd_transforms_agree)
