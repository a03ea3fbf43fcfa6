/* SPDX-License-Identifier: MIT
 * What sums of products become: codes by bias and requant (laws 6, 7), or the real values behind
 * them, for observers. */
#include <math.h>

#include "ops/image_ops.h"
#include "qat/step/rounding.h"
#include "src/mem.h"
#include "src/qround.h"
#include "src/threads.h"

enum { CHUNKS = 64, BLOCK = OCTI_ROUND_BLOCK };

/* Channels side by side, pixels repeated until a row is long enough for vector code: element k of a
 * row is channel k % o. */
typedef struct requant_job {
    const octi_accumulators *acc;
    const octi_qweights *w;
    octi_rounding to;
    oct_act act;
    float *y;         /* of octi_accumulator_values */
    int32_t row;      /* elements of a row: a multiple of o */
    float *m;         /* [row] */
    int32_t *q31;     /* [2][row]: law 16's multipliers and shifts; NULL: law 7 */
    int32_t *bias;    /* [row] */
    int32_t *lo, *hi; /* [CHUNKS][row]: range of the sums */
} requant_job;

static oct_status requant_rows(requant_job *j, octi_arena *scratch) {
    const int32_t o = j->acc->o;
    j->row = o * (o < BLOCK ? BLOCK / o : 1);
    j->m = octi_arena_alloc(scratch, sizeof *j->m * (size_t)j->row);
    j->bias = octi_arena_alloc(scratch, sizeof *j->bias * (size_t)j->row);
    if (!j->m || !j->bias) return oct_last_error()->code;
    for (int32_t k = 0; k < j->row; k++) j->bias[k] = j->w->bias_code[k % o];
    return OCT_OK;
}

static void sums_of(const octi_accumulators *acc, int64_t at, const int32_t *restrict bias,
                    int32_t n, int32_t *restrict sum) {
    const float *restrict f = acc->data;
    const int32_t *restrict i = acc->data;
    if (acc->is_float)
        for (int32_t k = 0; k < n; k++) sum[k] = (int32_t)f[at + k] + bias[k];
    else
        for (int32_t k = 0; k < n; k++) sum[k] = i[at + k] + bias[k];
}

static void range_task(void *arg, int64_t i) {
    const requant_job *j = arg;
    int32_t *restrict lo = j->lo + i * j->row, *restrict hi = j->hi + i * j->row;
    for (int32_t k = 0; k < j->row; k++) {
        lo[k] = INT32_MAX;
        hi[k] = INT32_MIN;
    }
    const int64_t o = j->acc->o, to = j->acc->pixels * (i + 1) / CHUNKS * o;
    for (int64_t at = j->acc->pixels * i / CHUNKS * o; at < to; at += j->row)
        for (int32_t k0 = 0, end = (int32_t)(to - at < j->row ? to - at : j->row); k0 < end;
             k0 += BLOCK) {
            int32_t sum[BLOCK], n = end - k0 < BLOCK ? end - k0 : BLOCK;
            sums_of(j->acc, at + k0, j->bias + k0, n, sum);
            for (int32_t k = 0; k < n; k++) lo[k0 + k] = sum[k] < lo[k0 + k] ? sum[k] : lo[k0 + k];
            for (int32_t k = 0; k < n; k++) hi[k0 + k] = sum[k] > hi[k0 + k] ? sum[k] : hi[k0 + k];
        }
}

oct_status octi_accumulator_range(oct_ctx *ctx, const octi_accumulators *acc,
                                  const octi_qweights *w, float s_x, oct_act act, float *min,
                                  float *max) {
    requant_job j = {.acc = acc, .w = w};
    octi_arena *scratch = octi_ctx_scratch(ctx);
    if (!scratch) return oct_last_error()->code;
    octi_arena_mark mark = octi_arena_save(scratch);
    oct_status taken = requant_rows(&j, scratch);
    if (taken != OCT_OK) return octi_arena_rewind(scratch, mark), taken;
    j.lo = octi_arena_alloc(scratch, sizeof *j.lo * CHUNKS * (size_t)j.row);
    j.hi = octi_arena_alloc(scratch, sizeof *j.hi * CHUNKS * (size_t)j.row);
    if (!j.lo || !j.hi) return octi_arena_rewind(scratch, mark), oct_last_error()->code;
    octi_parallel_for(octi_ctx_pool(ctx), CHUNKS, range_task, &j);
    *min = INFINITY;
    *max = -INFINITY;
    for (int c = 1; c < CHUNKS; c++)
        for (int32_t k = 0; k < j.row; k++) {
            int32_t lo = j.lo[c * j.row + k], hi = j.hi[c * j.row + k];
            j.lo[k] = lo < j.lo[k] ? lo : j.lo[k];
            j.hi[k] = hi > j.hi[k] ? hi : j.hi[k];
        }
    /* a sum's value grows with the sum: scales are positive */
    for (int32_t k = 0; k < j.row; k++) {
        if (j.lo[k] > j.hi[k]) continue; /* nothing seen */
        float unit = s_x * w->scale[k % acc->o];
        *min = fminf(*min, (float)j.lo[k] * unit);
        *max = fmaxf(*max, (float)j.hi[k] * unit);
    }
    octi_arena_rewind(scratch, mark);
    if (!(*min <= *max)) return OCT_OK; /* an empty batch */
    *min = octi_activate(*min, act);
    *max = octi_activate(*max, act);
    return OCT_OK;
}

static void values_task(void *arg, int64_t i) {
    const requant_job *j = arg;
    const int64_t o = j->acc->o, to = j->acc->pixels * (i + 1) / CHUNKS * o;
    for (int64_t at = j->acc->pixels * i / CHUNKS * o; at < to; at += j->row)
        for (int32_t k0 = 0, end = (int32_t)(to - at < j->row ? to - at : j->row); k0 < end;
             k0 += BLOCK) {
            int32_t sum[BLOCK], n = end - k0 < BLOCK ? end - k0 : BLOCK;
            sums_of(j->acc, at + k0, j->bias + k0, n, sum);
            for (int32_t k = 0; k < n; k++)
                j->y[at + k0 + k] = octi_activate((float)sum[k] * j->m[k0 + k], j->act);
        }
}

oct_status octi_accumulator_values(oct_ctx *ctx, const octi_accumulators *acc,
                                   const octi_qweights *w, float s_x, oct_act act, float *y) {
    requant_job j = {.acc = acc, .w = w, .act = act, .y = y};
    octi_arena *scratch = octi_ctx_scratch(ctx);
    if (!scratch) return oct_last_error()->code;
    octi_arena_mark mark = octi_arena_save(scratch);
    oct_status taken = requant_rows(&j, scratch);
    if (taken != OCT_OK) return octi_arena_rewind(scratch, mark), taken;
    for (int32_t k = 0; k < j.row; k++) j.m[k] = s_x * w->scale[k % acc->o];
    octi_parallel_for(octi_ctx_pool(ctx), CHUNKS, values_task, &j);
    octi_arena_rewind(scratch, mark);
    return OCT_OK;
}

static void requant_task(void *arg, int64_t i) {
    const requant_job *j = arg;
    const int64_t o = j->acc->o, to = j->acc->pixels * (i + 1) / CHUNKS * o;
    for (int64_t at = j->acc->pixels * i / CHUNKS * o; at < to; at += j->row)
        for (int32_t k0 = 0, end = (int32_t)(to - at < j->row ? to - at : j->row); k0 < end;
             k0 += BLOCK) {
            int32_t sum[BLOCK], n = end - k0 < BLOCK ? end - k0 : BLOCK;
            float u[BLOCK];
            sums_of(j->acc, at + k0, j->bias + k0, n, sum);
            for (int32_t k = 0; k < n; k++) u[k] = (float)sum[k] * j->m[k0 + k];
            float r[BLOCK];
            for (int32_t k = 0; j->q31 && k < n; k++)
                r[k] = (float)octq_q31_scale(sum[k], j->q31[k0 + k], j->q31[j->row + k0 + k]);
            octi_round_block(&j->to, at + k0, u, j->q31 ? r : NULL, n);
        }
}

oct_status octi_requant_tensor(oct_ctx *ctx, const octi_accumulators *acc, const octi_qweights *w,
                               float s_x, const oct_quantizer *q, const oct_node *n, oct_tensor *y,
                               oct_tensor *codes, octi_straight to) {
    const oct_act act = (oct_act)n->attr.act[0];
    requant_job j = {.acc = acc, .w = w, .to = octi_rounding_to(q, act, oct_f32(y), codes, to)};
    octi_arena *scratch = octi_ctx_scratch(ctx);
    if (!scratch) return oct_last_error()->code;
    octi_arena_mark mark = octi_arena_save(scratch);
    oct_status taken = requant_rows(&j, scratch);
    if (taken != OCT_OK) return octi_arena_rewind(scratch, mark), taken;
    if (n->attr.law[0] == OCTQ_Q31 &&
        !(j.q31 = octi_arena_alloc(scratch, 2 * sizeof *j.q31 * (size_t)j.row)))
        return octi_arena_rewind(scratch, mark), oct_last_error()->code;
    for (int32_t k = 0; k < j.row; k++) {
        const float s_w = w->scale[k % acc->o];
        j.m[k] = octq_multiplier(s_x, s_w, octi_scale(q));
        if (j.q31)
            octq_q31_of(octq_product_ratio(s_x, s_w, octi_scale(q)), &j.q31[k], &j.q31[j.row + k]);
    }
    octi_parallel_for(octi_ctx_pool(ctx), CHUNKS, requant_task, &j);
    octi_arena_rewind(scratch, mark);
    return OCT_OK;
}
