/* SPDX-License-Identifier: MIT
 * Exact sums of products of codes (law 10): sum (q - z) * w, as fp32 over whole numbers where every
 * order is exact, else in s32. */
#include "qat/step/codes.h"
#include "src/mem.h"
#include "src/paths.h"
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

static oct_status accumulate_s32(oct_ctx *ctx, const oct_node *n, const oct_shape *ws, int32_t z,
                                 const oct_tensor *x, const octi_qweights *w, oct_tensor *y) {
    static const oct_attrs plain = {.stride = {1, 1}, .dilation = {1, 1}, .groups = {1}};
    const int64_t *xd = x->shape.dim, *yd = y->shape.dim;
    direct_job j = {.x = oct_u8(x), .w = w->codes, .y = y->data, .z = z, .o = w->o};
    if (n->kind == OCT_OP_conv2d) {
        j.a = &n->attr;
        j.h = xd[1], j.wd = xd[2], j.c = xd[3];
        j.p = yd[1], j.q = yd[2];
        j.r = ws->dim[1], j.s = ws->dim[2];
    } else {
        j.a = &plain;
        j.c = xd[x->shape.rank - 1];
        j.h = j.wd = j.p = j.q = j.r = j.s = 1;
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
    oct_status s = n->kind == OCT_OP_conv2d ? octi_conv2d_direct(ctx, &n->attr, xi, wi, NULL, y)
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
