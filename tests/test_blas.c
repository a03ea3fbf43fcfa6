/* SPDX-License-Identifier: MIT
 * BLAS beside octet's own product: when it is loaded, its sums, its bits for any number of
 * threads. */
#include <math.h>

#include "autograd/autograd.h"
#include "autograd/blas.h"
#include "ops/ops.h"
#include "src/mem.h"
#include "src/rng.h"
#include "tests/oct_test.h"

/** With BLAS installed: the same contract, and the same bits for any number of threads. */
START_TEST(linear_with_blas) {
    enum { N = 200, K = 401, O = 130 };
    oct_ctx *ctx[3] = {oct_open(&(oct_opts){.threads = 1}), oct_open(&(oct_opts){.threads = 4}),
                       oct_open(&(oct_opts){.threads = 1})};
    ck_ok(octi_blas_install(ctx[0]));
    ck_ok(octi_blas_install(ctx[1]));
    ck_assert(octi_ctx_sgemm(ctx[0]) && !octi_ctx_sgemm(ctx[2]));
    oct_tensor *dx[3], *dw[3];
    for (int c = 0; c < 3; c++) {
        octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 24, 0);
        oct_tensor *x = oct_tensor_new(ctx[c], OCT_F32, OCT_SHAPE(N, O)),
                   *w = oct_tensor_new(ctx[c], OCT_F32, OCT_SHAPE(K, O));
        oct_tensor *dy = oct_tensor_new(ctx[c], OCT_F32, OCT_SHAPE(N, K)), *t[] = {x, w, dy};
        for (int k = 0; k < 3; k++)
            for (int64_t i = 0; i < oct_tensor_count(t[k]); i++)
                oct_f32(t[k])[i] = octi_rng_normal(&r);
        dx[c] = oct_tensor_new(ctx[c], OCT_F32, x->shape);
        dw[c] = oct_tensor_new(ctx[c], OCT_F32, w->shape);
        ck_ok(oct_linear_grad_x(ctx[c], dy, w, dx[c]));
        ck_ok(oct_linear_grad_w(ctx[c], x, dy, dw[c], NULL));
        /* whole: surely BLAS */
        octi_sgemm(ctx[c], false, false, N, O, K, oct_f32(dy), K, oct_f32(w), O, false,
                   oct_f32(dx[c]), O);
    }
    ck_assert(!memcmp(dx[0]->data, dx[1]->data, oct_tensor_bytes(dx[0])) &&
              !memcmp(dw[0]->data, dw[1]->data, oct_tensor_bytes(dw[0])));
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

/** A gradient whose products are all small loads nothing; one large product does, and gives the
 *  kernel's sums up to rounding. */
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
            oct_tensor *x = oct_tensor_new(ctx[c], OCT_F32, OCT_SHAPE(n, K)),
                       *dy = oct_tensor_new(ctx[c], OCT_F32, OCT_SHAPE(n, O));
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

OCT_TEST_MAIN("blas", blas_is_loaded_by_the_first_product_that_wants_it, linear_with_blas)
