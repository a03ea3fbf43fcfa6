/* SPDX-License-Identifier: MIT
 * Fake quantization by the number law (src/qround.h), and ranges. */
#include <math.h>

#include "ops/checks.h"
#include "ops/kernels/kernels.h"
#include "ops/ops.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/words.h"

enum { GRAIN = 8192 };

typedef struct fq_job {
    const octk_table *kernels;
    const float *x, *dy, *scale;
    const int32_t *zero_point;
    float *y;
    uint8_t *codes;
    int32_t qmin, qmax;
    int64_t inner; /* elements of a channel; of the tensor where it has one scale */
} fq_job;

static void forward_run(const fq_job *j, int64_t from, int64_t to, float s, int32_t z) {
    j->kernels->fake_quant_f32(to - from, j->x + from, s, z, j->qmin, j->qmax,
                               j->y ? j->y + from : NULL, j->codes ? j->codes + from : NULL);
}

static void grad_run(const fq_job *j, int64_t from, int64_t to, float s, int32_t z) {
    j->kernels->straight_through_f32(to - from, j->x + from, s, z, j->qmin, j->qmax, j->dy + from,
                                     j->y + from);
}

/** Cut [from, to) at the borders of channels. */
static void by_channel(const fq_job *j, int64_t from, int64_t to,
                       void (*run)(const fq_job *, int64_t, int64_t, float, int32_t)) {
    while (from < to) {
        int64_t c = from / j->inner, end = (c + 1) * j->inner;
        if (end > to) end = to;
        run(j, from, end, j->scale[c], j->zero_point[c]);
        from = end;
    }
}

static void forward_range(void *arg, int64_t from, int64_t to) {
    by_channel(arg, from, to, forward_run);
}
static void grad_range(void *arg, int64_t from, int64_t to) { by_channel(arg, from, to, grad_run); }

static oct_status check(const oct_tensor *x, const oct_tensor *scale, const oct_tensor *zero_point,
                        int32_t qmin, int32_t qmax, const oct_tensor *out, const char *role) {
    if (!scale) return octi_fail(OCT_EUSAGE, "fake_quantize", "scale is NULL", NULL, NULL, NULL);
    oct_attrs a = {.qmin = {qmin}, .qmax = {qmax}, .axis = {oct_tensor_count(scale) == 1 ? -1 : 0}};
    OCT_TRY(octi_check_op(OCT_OP_fake_quantize, &a, (const oct_tensor *[]){x, scale, zero_point}, 3,
                          out, role));
    for (int64_t c = 0, n = oct_tensor_count(scale); c < n; c++) {
        float s = oct_f32(scale)[c];
        int32_t z = oct_s32(zero_point)[c];
        if (!(s > 0 && s <= 3.402823466e38f) || z < qmin || z > qmax)
            return octi_fail(OCT_EQPARAMS, "fake_quantize",
                             octi_fmt("qparams of channel %lld", (long long)c),
                             octi_fmt("scale > 0, zero point %d to %d", qmin, qmax),
                             octi_fmt("%g, %d", (double)s, z), NULL);
    }
    return OCT_OK;
}

static fq_job job_of(oct_ctx *ctx, const oct_tensor *x, const oct_tensor *scale,
                     const oct_tensor *zero_point, int32_t qmin, int32_t qmax) {
    return (fq_job){.kernels = octi_ctx_kernels(ctx),
                    .x = oct_f32(x),
                    .scale = oct_f32(scale),
                    .zero_point = oct_s32(zero_point),
                    .qmin = qmin,
                    .qmax = qmax,
                    .inner = oct_tensor_count(x) / oct_tensor_count(scale)};
}

oct_status oct_fake_quantize_forward(oct_ctx *ctx, const oct_tensor *x, const oct_tensor *scale,
                                     const oct_tensor *zero_point, int32_t qmin, int32_t qmax,
                                     oct_tensor *y, oct_tensor *codes) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_fake_quantize_forward");
    OCT_TRY(check(x, scale, zero_point, qmin, qmax, y ? y : x, "y"));
    if (codes)
        OCT_TRY(octi_check_tensor("fake_quantize", "codes", codes, qmin >= 0 ? OCT_U8 : OCT_S8,
                                  &x->shape));
    fq_job j = job_of(ctx, x, scale, zero_point, qmin, qmax);
    j.y = y ? oct_f32(y) : NULL;
    j.codes = codes ? (uint8_t *)codes->data : NULL;
    octi_for_range(ctx, oct_tensor_count(x), GRAIN, forward_range, &j);
    return OCT_OK;
}

oct_status oct_fake_quantize_grad(oct_ctx *ctx, const oct_tensor *x, const oct_tensor *scale,
                                  const oct_tensor *zero_point, int32_t qmin, int32_t qmax,
                                  const oct_tensor *dy, oct_tensor *dx) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_fake_quantize_grad");
    OCT_TRY(check(x, scale, zero_point, qmin, qmax, dy, "dy"));
    OCT_TRY(octi_check_tensor("fake_quantize", "dx", dx, OCT_F32, &x->shape));
    fq_job j = job_of(ctx, x, scale, zero_point, qmin, qmax);
    j.dy = oct_f32(dy);
    j.y = oct_f32(dx);
    octi_for_range(ctx, oct_tensor_count(x), GRAIN, grad_range, &j);
    return OCT_OK;
}

enum { MINMAX_PIECES = 32, LANES = 16 };

typedef struct minmax_job {
    const float *x;
    int64_t n, inner;
    int pieces;
    float *min, *max; /* of a piece, or of a channel */
} minmax_job;

/** Comparisons with NaN are false, so NaN is never taken. */
static void run_minmax(const float *x, int64_t n, float *min, float *max) {
    float lo[LANES], hi[LANES];
    for (int k = 0; k < LANES; k++) lo[k] = INFINITY, hi[k] = -INFINITY;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) {
            lo[k] = x[i + k] < lo[k] ? x[i + k] : lo[k];
            hi[k] = x[i + k] > hi[k] ? x[i + k] : hi[k];
        }
    for (; i < n; i++) {
        lo[0] = x[i] < lo[0] ? x[i] : lo[0];
        hi[0] = x[i] > hi[0] ? x[i] : hi[0];
    }
    for (int k = 1; k < LANES; k++) {
        lo[0] = lo[k] < lo[0] ? lo[k] : lo[0];
        hi[0] = hi[k] > hi[0] ? hi[k] : hi[0];
    }
    *min = lo[0];
    *max = hi[0];
}

static void minmax_piece(void *arg, int64_t i) {
    minmax_job *j = arg;
    int64_t from = j->n * i / j->pieces, to = j->n * (i + 1) / j->pieces;
    run_minmax(j->x + from, to - from, &j->min[i], &j->max[i]);
}

static void minmax_channels(void *arg, int64_t from, int64_t to) {
    minmax_job *j = arg;
    for (int64_t c = from; c < to; c++)
        run_minmax(j->x + c * j->inner, j->inner, &j->min[c], &j->max[c]);
}

oct_status oct_minmax(oct_ctx *ctx, const oct_tensor *x, oct_tensor *min, oct_tensor *max) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_minmax");
    OCT_TRY(octi_check_f32("minmax", "x", x, 0));
    OCT_TRY(octi_check_f32("minmax", "min", min, 1));
    int64_t n = oct_tensor_count(x), c0 = x->shape.rank ? x->shape.dim[0] : 1,
            c = oct_tensor_count(min);
    oct_shape want = OCT_SHAPE(c == 1 ? 1 : c0);
    OCT_TRY(octi_check_tensor("minmax", "min", min, OCT_F32, &want));
    OCT_TRY(octi_check_tensor("minmax", "max", max, OCT_F32, &want));
    if (c > 1) {
        minmax_job j = {.x = oct_f32(x), .inner = n / c, .min = oct_f32(min), .max = oct_f32(max)};
        octi_for_range(ctx, c, 1 + GRAIN / j.inner, minmax_channels, &j);
        return OCT_OK;
    }
    float lo[MINMAX_PIECES], hi[MINMAX_PIECES];
    minmax_job j = {
        .x = oct_f32(x), .n = n, .pieces = n < 4 * GRAIN ? 1 : MINMAX_PIECES, .min = lo, .max = hi};
    octi_parallel_for(octi_ctx_pool(ctx), j.pieces, minmax_piece, &j);
    for (int i = 1; i < j.pieces; i++) {
        lo[0] = lo[i] < lo[0] ? lo[i] : lo[0];
        hi[0] = hi[i] > hi[0] ? hi[i] : hi[0];
    }
    oct_f32(min)[0] = lo[0];
    oct_f32(max)[0] = hi[0];
    return OCT_OK;
}
