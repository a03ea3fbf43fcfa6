/* SPDX-License-Identifier: MIT */
#include "qat/step/rounding.h"

#include <math.h>
#include <string.h>

#include "autograd/diff.h"
#include "src/mem.h"
#include "src/paths.h"
#include "src/qround.h"
#include "src/threads.h"

enum { CHUNKS = 64, BLOCK = OCTI_ROUND_BLOCK };

oct_status octi_not_observed(const oct_quantizer *q) {
    return octi_fail(OCT_EQPARAMS, q->name, "no range was observed",
                     "a calibrated or trained value", "none",
                     "calibrate or train before evaluating or converting");
}

/* ---- values to codes ---- */

typedef struct quantize_job {
    octi_rounding to; /* y holds the values at first */
    int64_t n;
} quantize_job;

static void quantize_task(void *arg, int64_t i) {
    const quantize_job *j = arg;
    const float s = j->to.s, *x = j->to.y;
    for (int64_t at = j->n * i / CHUNKS, end = j->n * (i + 1) / CHUNKS; at < end; at += BLOCK) {
        float u[BLOCK];
        int32_t n = end - at < BLOCK ? (int32_t)(end - at) : BLOCK;
        for (int32_t k = 0; k < n; k++) u[k] = x[at + k] / s;
        octi_round_block(&j->to, at, u, n);
    }
}

void octi_quantize_tensor(oct_ctx *ctx, oct_tensor *x, const oct_quantizer *q, oct_act act,
                          oct_tensor *codes, octi_straight to) {
    quantize_job j = {octi_rounding_to(q, act, oct_f32(x), codes, to), oct_tensor_count(x)};
    j.to.lo = q->spec.qmin; /* the activation ran in float */
    j.to.hi = q->spec.qmax;
    octi_parallel_for(octi_ctx_pool(ctx), CHUNKS, quantize_task, &j);
}

/* ---- sums of products ---- */

typedef struct whole_job {
    const uint8_t *codes;
    float *x;
    int32_t z;
    int64_t n;
} whole_job;

static void whole_task(void *arg, int64_t i) {
    const whole_job *j = arg;
    for (int64_t k = j->n * i / CHUNKS, to = j->n * (i + 1) / CHUNKS; k < to; k++)
        j->x[k] = (float)((int32_t)j->codes[k] - j->z);
}

/* s32 sums, one image a task; linear is a convolution over a 1x1 image */
typedef struct direct_job {
    const uint8_t *x;
    const int8_t *w;
    int32_t *y, z;
    const oct_attrs *a;
    int64_t h, wd, c, p, q, o, r, s;
} direct_job;

static void direct_task(void *arg, int64_t img) {
    const direct_job *j = arg;
    int64_t g = j->a->groups[0], cg = j->c / g, og = j->o / g;
    for (int64_t p = 0; p < j->p; p++)
        for (int64_t q = 0; q < j->q; q++)
            for (int64_t o = 0; o < j->o; o++) {
                int32_t sum = 0;
                for (int64_t r = 0; r < j->r; r++) {
                    int64_t y = p * j->a->stride[0] - j->a->pads[0] + r * j->a->dilation[0];
                    for (int64_t s = 0; s < j->s; s++) {
                        int64_t x = q * j->a->stride[1] - j->a->pads[1] + s * j->a->dilation[1];
                        if (y < 0 || y >= j->h || x < 0 || x >= j->wd) continue;
                        const uint8_t *xp =
                            j->x + ((img * j->h + y) * j->wd + x) * j->c + o / og * cg;
                        const int8_t *wp = j->w + ((o * j->r + r) * j->s + s) * cg;
                        for (int64_t c = 0; c < cg; c++) sum += ((int32_t)xp[c] - j->z) * wp[c];
                    }
                }
                j->y[((img * j->p + p) * j->q + q) * j->o + o] = sum;
            }
}

static oct_status accumulate_s32(oct_ctx *ctx, const oct_node *n, const oct_shape *ws, int32_t z,
                                 const oct_tensor *x, const octi_qweights *w, oct_tensor *y) {
    static const oct_attrs plain = {.stride = {1, 1}, .dilation = {1, 1}, .groups = {1}};
    direct_job j = {oct_u8(x), w->codes, y->data, z, &plain, 1, 1, x->shape.dim[x->shape.rank - 1],
                    1,         1,        w->o,    1, 1};
    if (n->kind == OCT_OP_conv2d) {
        const int64_t *xd = x->shape.dim, *yd = y->shape.dim;
        j = (direct_job){oct_u8(x), w->codes, y->data, z,     &n->attr,   xd[1],     xd[2],
                         xd[3],     yd[1],    yd[2],   yd[3], ws->dim[1], ws->dim[2]};
    }
    octi_parallel_for(octi_ctx_pool(ctx), x->shape.dim[0], direct_task, &j);
    return OCT_OK;
}

static oct_status accumulate_f32(oct_ctx *ctx, octi_arena *arena, const oct_node *n,
                                 const oct_shape *ws, int32_t z, const oct_tensor *x,
                                 const octi_qweights *w, oct_tensor *y) {
    octi_arena_mark mark = octi_arena_save(arena);
    oct_tensor *xi = octi_tensor_in_arena(arena, OCT_F32, x->shape),
               *wi = octi_tensor_in_arena(arena, OCT_F32, *ws);
    if (!xi || !wi) return octi_arena_rewind(arena, mark), oct_last_error()->code;
    whole_job j = {oct_u8(x), oct_f32(xi), z, oct_tensor_count(x)};
    octi_parallel_for(octi_ctx_pool(ctx), CHUNKS, whole_task, &j);
    for (int64_t i = 0, count = w->o * w->k; i < count; i++) oct_f32(wi)[i] = (float)w->codes[i];
    oct_status s = n->kind == OCT_OP_conv2d ? oct_conv2d_forward(ctx, &n->attr, xi, wi, NULL, y)
                                            : oct_linear_forward(ctx, xi, wi, NULL, y);
    octi_arena_rewind(arena, mark);
    return s;
}

oct_status octi_accumulate_codes(oct_ctx *ctx, octi_arena *arena, const oct_node *n,
                                 const oct_shape *ws, const oct_quantizer *xq, const oct_tensor *x,
                                 const octi_qweights *w, bool fits24, octi_accumulators *acc,
                                 oct_tensor *y) {
    int64_t count = oct_tensor_count(y);
    *acc = (octi_accumulators){y->data, fits24, count / w->o, w->o};
    int32_t z = octi_zero_point(xq);
    if (n->kind == OCT_OP_batch_norm) {
        acc->is_float = false;
        octi_path_take(ctx, OCTI_PATH_sums_norm);
        for (int64_t i = 0; i < count; i++)
            ((int32_t *)y->data)[i] = ((int32_t)oct_u8(x)[i] - z) * w->codes[i % w->o];
        return OCT_OK;
    }
    octi_path_take(ctx, fits24 ? OCTI_PATH_sums_f32 : OCTI_PATH_sums_s32);
    return fits24 ? accumulate_f32(ctx, arena, n, ws, z, x, w, y)
                  : accumulate_s32(ctx, n, ws, z, x, w, y);
}

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

static float activate(float v, oct_act act) {
    if (act != OCT_ACT_NONE) v = fmaxf(v, 0);
    return act == OCT_ACT_RELU6 ? fminf(v, 6) : v;
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
    *min = activate(*min, act);
    *max = activate(*max, act);
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
                j->y[at + k0 + k] = activate((float)sum[k] * j->m[k0 + k], j->act);
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
            octi_round_block(&j->to, at + k0, u, n);
        }
}

oct_status octi_requant_tensor(oct_ctx *ctx, const octi_accumulators *acc, const octi_qweights *w,
                               float s_x, const oct_quantizer *q, oct_act act, oct_tensor *y,
                               oct_tensor *codes, octi_straight to) {
    requant_job j = {.acc = acc, .w = w, .to = octi_rounding_to(q, act, oct_f32(y), codes, to)};
    octi_arena *scratch = octi_ctx_scratch(ctx);
    if (!scratch) return oct_last_error()->code;
    octi_arena_mark mark = octi_arena_save(scratch);
    oct_status taken = requant_rows(&j, scratch);
    if (taken != OCT_OK) return octi_arena_rewind(scratch, mark), taken;
    for (int32_t k = 0; k < j.row; k++)
        j.m[k] = octq_multiplier(s_x, w->scale[k % acc->o], octi_scale(q));
    octi_parallel_for(octi_ctx_pool(ctx), CHUNKS, requant_task, &j);
    octi_arena_rewind(scratch, mark);
    return OCT_OK;
}

/* ---- nodes on their inputs' grid ---- */

static oct_status codes_of_values(octi_call *c, const oct_quantizer *q, int32_t lo, int32_t hi) {
    if (!(c->out_codes = octi_call_tensor(c, OCT_U8, c->out->shape))) return oct_last_error()->code;
    quantize_job j = {
        octi_rounding_to(q, OCT_ACT_NONE, oct_f32(c->out), c->out_codes, (octi_straight){0}),
        oct_tensor_count(c->out)};
    j.to.lo = lo;
    j.to.hi = hi;
    octi_parallel_for(octi_ctx_pool(c->ctx), CHUNKS, quantize_task, &j);
    return OCT_OK;
}

oct_status octi_share_on_codes(octi_call *c, const oct_quantizer *q, bool codes) {
    const oct_node *own = c->node;
    oct_node padded;
    bool on_grid = codes && octi_quantizer_ready(q) && oct_u8(q->enabled)[1];
    if (own->kind == OCT_OP_pad && on_grid) { /* cells get a code: law 8 */
        padded = *own;
        int32_t code = octq_quantize(own->attr.value, octi_scale(q), octi_zero_point(q),
                                     q->spec.qmin, q->spec.qmax);
        padded.attr.value = octq_dequantize(code, octi_scale(q), octi_zero_point(q));
        c->node = &padded;
    }
    oct_status s = octi_diff_of(own->kind)->forward(c);
    c->node = own;
    OCT_TRY(s);
    if (!on_grid || (own->kind == OCT_OP_dropout && c->mode == OCT_TRAIN && own->attr.p > 0))
        return OCT_OK;
    bool view = c->out->data == c->in[0]->data;
    if (view)
        return (c->out_codes =
                    octi_tensor_view(c->arena, OCT_U8, c->out->shape, c->in_codes[0]->data))
                   ? OCT_OK
                   : oct_last_error()->code;
    int32_t lo, hi;
    octi_node_clamp(q, own, &lo, &hi);
    return codes_of_values(c, q, lo, hi);
}
