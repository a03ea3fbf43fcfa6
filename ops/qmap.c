/* SPDX-License-Identifier: MIT
 * int8 ops that work element by element: add, mul, requantize, clip, relu, table, and the borders;
 * and softmax, row by row. */
#include "ops/qrun.h"

/* Laid out per image; a run sets the bases and the number of images. Without broadcasting all codes
 * are one run. */
static void place(octk_map_u8 *m, const octk_map_u8 *from, const void *x, const void *x2, void *y,
                  int64_t n) {
    *m = *from;
    m->x.base = (uint8_t *)(uintptr_t)x;
    m->x2.base = (uint8_t *)(uintptr_t)x2;
    m->y.base = y;
    m->n = (int32_t)n;
}

#define RUN_MAP(name, slot, second)                                                                \
    static void name(const octi_qrun *r, const void *const *in, void *out, int64_t n,              \
                     void *scratch) {                                                              \
        octk_map_u8 m;                                                                             \
        (void)scratch;                                                                             \
        place(&m, &r->u.map, in[0], second, out, n);                                               \
        r->kernels->slot(&m);                                                                      \
    }
RUN_MAP(run_add, add_u8, in[1])
RUN_MAP(run_mul, mul_u8, in[1])
RUN_MAP(run_rescale, rescale_u8, NULL)
RUN_MAP(run_clip, clip_u8, NULL)
RUN_MAP(run_table, table_u8, NULL)
RUN_MAP(run_softmax, softmax_u8, NULL)

static void run_quantize(const octi_qrun *r, const void *const *in, void *out, int64_t n,
                         void *scratch) {
    const octi_qlin *q = &r->u.lin;
    (void)scratch;
    r->kernels->quantize_f32u8(in[0], n * r->image, q->scale, q->zero_point, q->qmin, q->qmax, out);
}

static void run_dequantize(const octi_qrun *r, const void *const *in, void *out, int64_t n,
                           void *scratch) {
    (void)scratch;
    r->kernels->dequantize_u8f32(in[0], n * r->image, r->u.lin.scale, r->u.lin.zero_point, out);
}

/* The whole image is one run of codes. */
static oct_status dense(const octi_qargs *q, octi_qrun_fn *run, const char *kernel) {
    octk_map_u8 *m = &q->r->u.map;
    int64_t count = q->r->image;
    if (count > INT32_MAX)
        return octi_fail(OCT_ELIMIT, q->where, "image too large", "2^31 - 1 codes",
                         oct_shape_text(&q->out->shape), NULL);
    m->h = m->w = 1;
    m->c = (int32_t)count;
    m->x.image = m->x2.image = m->y.image = count;
    m->zx = q->in[0].zero_point;
    m->zy = q->out->zero_point;
    m->lo = q->out->qmin;
    m->hi = q->out->qmax;
    q->r->run = run;
    q->r->kernel = kernel;
    q->r->elementwise = true;
    return OCT_OK;
}

static bool same_image(const oct_shape *a, const oct_shape *b) {
    bool same = a->rank == b->rank;
    for (int i = 1; same && i < a->rank; i++) same = a->dim[i] == b->dim[i];
    return same;
}

/* [N,1,1,C] against [N,H,W,C]. */
static bool broadcasts(const oct_shape *small, const oct_shape *big) {
    return small->rank == 4 && big->rank == 4 && small->dim[1] == 1 && small->dim[2] == 1 &&
           small->dim[3] == big->dim[3];
}

static oct_status two_inputs(const octi_qargs *q, octi_qrun_fn *run, const char *kernel,
                             int64_t multipliers) {
    if (q->nin != 3)
        return octi_fail(OCT_EUSAGE, q->where, "inputs", "a, b, m", octi_fmt("%d", q->nin), NULL);
    const oct_shape *a = &q->in[0].shape, *b = &q->in[1].shape, *y = &q->out->shape;
    OCT_TRY(octi_need_codes(q, &q->in[0], "first input"));
    OCT_TRY(octi_need_codes(q, &q->in[1], "second input"));
    OCT_TRY(octi_need_codes(q, q->out, "output"));
    OCT_TRY(octi_need_const(q, 2, "multiplier", OCT_F32, OCT_SHAPE(multipliers)));
    OCT_TRY(octi_need_clamp(q));
    bool small_a = !same_image(a, b) && broadcasts(a, b),
         small_b = !same_image(a, b) && broadcasts(b, a);
    const oct_shape *big = small_a ? b : a;
    if ((!same_image(a, b) && !small_a && !small_b) || !same_image(big, y))
        return octi_fail(
            OCT_ESHAPE, q->where, "shapes", "equal, or one side [N,1,1,C]",
            octi_fmt("%s, %s -> %s", oct_shape_text(a), oct_shape_text(b), oct_shape_text(y)),
            NULL);
    OCT_TRY(dense(q, run, kernel));
    octk_map_u8 *m = &q->r->u.map;
    const float *f = oct_f32(q->in[2].tensor);
    m->zx2 = q->in[1].zero_point;
    m->mx = f[0];
    m->mx2 = multipliers > 1 ? f[1] : 0;
    m->lo = q->a->lo[0];
    m->hi = q->a->hi[0];
    if (small_a || small_b) { /* pixel by pixel; the small side does not move */
        int64_t c = y->dim[3];
        m->w = (int32_t)(y->dim[1] * y->dim[2]);
        m->c = (int32_t)c;
        octk_image big_side = {NULL, q->r->image, q->r->image, c}, small_side = {NULL, c, 0, 0};
        m->x = small_a ? small_side : big_side;
        m->x2 = small_b ? small_side : big_side;
        m->y = big_side;
        q->r->elementwise = small_b;
    }
    return OCT_OK;
}

oct_status octi_qinit_add(const octi_qargs *q) {
    OCT_TRY(two_inputs(q, run_add, q->r->kernels->name.add_u8, 2));
    OCT_TRY(octi_need_multiplier(q, 2, 0, octi_reach(&q->in[0])));
    return octi_need_multiplier(q, 2, 1, octi_reach(&q->in[1]));
}

oct_status octi_qinit_mul(const octi_qargs *q) {
    OCT_TRY(two_inputs(q, run_mul, q->r->kernels->name.mul_u8, 1));
    return octi_need_multiplier(q, 2, 0, (int64_t)octi_reach(&q->in[0]) * octi_reach(&q->in[1]));
}

static oct_status one_input(const octi_qargs *q) {
    OCT_TRY(octi_need_codes(q, &q->in[0], "input"));
    OCT_TRY(octi_need_codes(q, q->out, "output"));
    return octi_need_shape(q, q->out, "output", q->in[0].shape);
}

oct_status octi_qinit_requantize(const octi_qargs *q) {
    OCT_TRY(one_input(q));
    OCT_TRY(octi_need_const(q, 1, "multiplier", OCT_F32, OCT_SHAPE(1)));
    OCT_TRY(octi_need_multiplier(q, 1, 0, octi_reach(&q->in[0])));
    OCT_TRY(dense(q, run_rescale, q->r->kernels->name.rescale_u8));
    q->r->u.map.mx = oct_f32(q->in[1].tensor)[0];
    return OCT_OK;
}

oct_status octi_qinit_clip(const octi_qargs *q) {
    OCT_TRY(octi_need_same_grid(q));
    OCT_TRY(octi_need_shape(q, q->out, "output", q->in[0].shape));
    OCT_TRY(octi_need_clamp(q));
    OCT_TRY(dense(q, run_clip, q->r->kernels->name.clip_u8));
    q->r->u.map.lo = q->a->lo[0];
    q->r->u.map.hi = q->a->hi[0];
    return OCT_OK;
}

oct_status octi_qinit_relu(const octi_qargs *q) {
    OCT_TRY(octi_need_same_grid(q));
    OCT_TRY(octi_need_shape(q, q->out, "output", q->in[0].shape));
    OCT_TRY(dense(q, run_clip, q->r->kernels->name.clip_u8));
    q->r->u.map.lo = q->out->zero_point;
    return OCT_OK;
}

oct_status octi_qinit_table(const octi_qargs *q) {
    OCT_TRY(one_input(q));
    OCT_TRY(octi_need_const(q, 1, "table", OCT_U8, OCT_SHAPE(256)));
    OCT_TRY(dense(q, run_table, q->r->kernels->name.table_u8));
    const uint8_t *t = oct_u8(q->in[1].tensor);
    for (int i = q->in[0].qmin; i <= q->in[0].qmax; i++)
        if (t[i] < q->out->qmin || t[i] > q->out->qmax)
            return octi_fail(OCT_EQPARAMS, q->where, octi_fmt("table entry %d", i),
                             octi_fmt("%d to %d", q->out->qmin, q->out->qmax), octi_fmt("%d", t[i]),
                             NULL);
    q->r->u.map.table = t;
    return OCT_OK;
}

/* Entries lie in 0..1 and e[0] is 1, so that a row's sum is finite and at least 1, whatever file
 * they come from. */
oct_status octi_qinit_softmax(const octi_qargs *q) {
    OCT_TRY(one_input(q));
    OCT_TRY(octi_need_const(q, 1, "table of exponentials", OCT_F32, OCT_SHAPE(256)));
    const float *e = oct_f32(q->in[1].tensor);
    for (int k = 0; k < 256; k++)
        if (!(e[k] >= 0.0f && e[k] <= (k ? e[k - 1] : 1.0f)) || (k == 0 && e[k] != 1.0f))
            return octi_fail(OCT_EQPARAMS, q->where, octi_fmt("exponential %d", k),
                             k ? "0 to the one before it" : "1", octi_fmt("%g", (double)e[k]),
                             NULL);
    OCT_TRY(dense(q, run_softmax, q->r->kernels->name.softmax_u8));
    octk_map_u8 *m = &q->r->u.map;
    const oct_shape *y = &q->out->shape;
    int64_t c = y->dim[y->rank - 1];
    m->w = (int32_t)(q->r->image / c);
    m->c = (int32_t)c;
    m->x.pixel = m->y.pixel = c;
    m->exp = e;
    m->sy = q->out->scale;
    q->r->elementwise = false; /* a row is read twice */
    return OCT_OK;
}

static oct_status border(const octi_qargs *q, const octi_qdesc *codes, const octi_qdesc *floats,
                         octi_qrun_fn *run, const char *kernel) {
    if (floats->dtype != OCT_F32 || floats->quantized)
        return octi_fail(OCT_EDTYPE, q->where, "float side of a border", "float32 without qparams",
                         oct_dtype_name(floats->dtype), NULL);
    OCT_TRY(octi_need_codes(q, codes, "quantized side"));
    OCT_TRY(octi_need_shape(q, q->out, "output", q->in[0].shape));
    q->r->u.lin = (octi_qlin){codes->scale, codes->zero_point, codes->qmin, codes->qmax};
    q->r->run = run;
    q->r->kernel = kernel;
    return OCT_OK;
}

oct_status octi_qinit_quantize(const octi_qargs *q) {
    return border(q, q->out, &q->in[0], run_quantize, q->r->kernels->name.quantize_f32u8);
}
oct_status octi_qinit_dequantize(const octi_qargs *q) {
    return border(q, &q->in[0], q->out, run_dequantize, q->r->kernels->name.dequantize_u8f32);
}
