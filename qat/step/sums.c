/* SPDX-License-Identifier: MIT
 * Exact sums of products of codes (law 10): sum (q - z) * w, as fp32 over whole numbers where every
 * order is exact, else in s32. */
#include "ops/product_paths.h"
#include "qat/step/codes.h"
#include "src/mem.h"
#include "src/threads.h"

enum { CHUNKS = 64 };

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

static void accumulate_s32(octi_call *c, int32_t z, const octi_qweights *w) {
    static const oct_attrs plain = {.stride = {1, 1}, .dilation = {1, 1}, .groups = {1}};
    const oct_tensor *x = c->in_codes[OCTI_X];
    const int64_t *xd = x->shape.dim, *yd = c->out->shape.dim;
    direct_job j = {.x = oct_u8(x), .w = w->codes, .y = c->out->data, .z = z, .o = w->o};
    if (c->net_node->kind == OCT_OP_conv2d) {
        const int64_t *wd = c->in[OCTI_W]->shape.dim;
        j.a = &c->net_node->attr;
        j.h = xd[1], j.wd = xd[2], j.c = xd[3];
        j.p = yd[1], j.q = yd[2];
        j.r = wd[1], j.s = wd[2];
    } else {
        j.a = &plain;
        j.c = xd[x->shape.rank - 1];
        j.h = j.wd = j.p = j.q = j.r = j.s = 1;
    }
    octi_parallel_for(octi_ctx_pool(c->ctx), xd[0], direct_task, &j);
}

static oct_status accumulate_f32(octi_call *c, int32_t z, const octi_qweights *w) {
    const oct_tensor *x = c->in_codes[OCTI_X];
    const oct_attrs *a = &c->net_node->attr;
    octi_arena_mark mark = octi_arena_save(c->arena);
    oct_tensor *xi = octi_tensor_in_arena(c->arena, OCT_F32, x->shape),
               *wi = octi_tensor_in_arena(c->arena, OCT_F32, c->in[OCTI_W]->shape);
    if (!xi || !wi) return octi_arena_rewind(c->arena, mark), oct_last_error()->code;
    whole_job j = {oct_u8(x), oct_f32(xi), z, oct_tensor_count(x)};
    octi_parallel_for(octi_ctx_pool(c->ctx), CHUNKS, whole_task, &j);
    for (int64_t i = 0, count = w->o * w->k; i < count; i++) oct_f32(wi)[i] = (float)w->codes[i];
    const bool conv = c->net_node->kind == OCT_OP_conv2d;
    octi_call_took(c,
                   conv ? octi_conv2d_path(a, xi, c->out, true) : octi_linear_path(c->ctx, xi, wi));
    oct_status s = conv ? octi_conv2d_direct(c->ctx, a, xi, wi, NULL, c->out)
                        : oct_linear_forward(c->ctx, xi, wi, NULL, c->out);
    octi_arena_rewind(c->arena, mark);
    return s;
}

oct_status octi_accumulate_codes(octi_call *c, const oct_quantizer *xq, const octi_qweights *w,
                                 bool fits24, octi_accumulators *acc) {
    const int64_t count = oct_tensor_count(c->out);
    const int32_t z = octi_zero_point(xq);
    *acc = (octi_accumulators){
        .data = c->out->data, .is_float = fits24, .pixels = count / w->o, .o = w->o};
    if (c->net_node->kind == OCT_OP_batch_norm) {
        const uint8_t *x = oct_u8(c->in_codes[OCTI_X]);
        int32_t *sum = c->out->data;
        acc->is_float = false;
        octi_call_took(c, OCTI_PATH_sums_norm);
        for (int64_t i = 0; i < count; i++) sum[i] = ((int32_t)x[i] - z) * w->codes[i % w->o];
        return OCT_OK;
    }
    octi_call_took(c, fits24 ? OCTI_PATH_sums_f32 : OCTI_PATH_sums_s32);
    if (fits24) return accumulate_f32(c, z, w);
    accumulate_s32(c, z, w);
    return OCT_OK;
}
