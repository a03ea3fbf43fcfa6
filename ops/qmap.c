/* SPDX-License-Identifier: MIT
 * int8 ops that work element by element: add, mul, requantize, clip, relu, table, and the borders;
 * and softmax, row by row. */
#include "ops/qrun.h"
#include "src/cpu.h"

/* Of each pixel some channels: pixels are runs. */
static void narrow(octk_map_u8 *m, const octi_qmap *own, int32_t channel, int32_t channels) {
    if (!own->by_pixel) {
        m->w = m->c / own->channels;
        m->x.pixel = m->x2.pixel = m->y.pixel = own->channels;
    }
    m->c = channels;
    m->x.base += channel;
    if (m->x2.base) m->x2.base += channel;
    m->y.base += channel;
}

/* Images, rows and pixels as the layouts have them: all codes of an image at once where every value
 * is dense and the whole image is asked for, else row by row. */
void octi_map_rows(const octi_qrun *r, const void *x, const void *x2, void *y, int64_t n, int32_t h,
                   int32_t channel, int32_t channels) {
    const octi_qmap *own = &r->u.map;
    const bool whole = own->dense.c && h == r->units && !channels;
    octk_map_u8 m = whole ? own->dense : own->cut;
    m.n = (int32_t)n;
    if (!whole) m.h = h;
    m.x.base = (uint8_t *)(uintptr_t)x;
    m.x2.base = (uint8_t *)(uintptr_t)x2;
    m.y.base = y;
    if (channels) narrow(&m, own, channel, channels);
    own->fn(&m);
}

static void run_map(const octi_qrun *r, const octi_qcall *call) {
    const octk_map_u8 *m = &r->u.map.cut;
    const uint8_t *x = call->in[0], *x2 = r->args->nin > 1 ? call->in[1] : NULL;
    octi_map_rows(r, x + call->from * m->x.row, x2 ? x2 + call->from * m->x2.row : NULL,
                  (uint8_t *)call->out + call->from * m->y.row, call->n, call->to - call->from, 0,
                  0);
}

static bool is_dense(const octi_layout *l) { return octi_halo_none(&l->halo); }

/* Rows of W * C codes; broadcast operands have pitches of 0 within an image, and then, as for
 * softmax, every pixel is a run. */
static oct_status bind_map(const octi_qargs *q) {
    octi_qmap *own = &q->r->u.map;
    octk_map_u8 *m = &own->cut;
    const octi_layout *x = &q->in_at[0], *y = q->out_at;
    const octi_layout *x2 = q->nin > 1 && !q->in[1].tensor ? &q->in_at[1] : x;
    const oct_shape *s = &q->out->shape;
    const bool image = s->rank == 4;
    own->dense.c = 0;
    own->channels = (int32_t)s->dim[s->rank - 1];
    m->x = (octk_image){NULL, x->image, x->row, 0};
    m->x2 = (octk_image){NULL, x2->image, x2->row, 0};
    m->y = (octk_image){NULL, y->image, y->row, 0};
    m->h = image ? (int32_t)s->dim[1] : 1;
    m->c = own->by_pixel ? (int32_t)s->dim[s->rank - 1] : (int32_t)(q->r->image / m->h);
    m->w = (int32_t)(q->r->image / m->h / m->c);
    m->x.pixel = m->x2.pixel = m->y.pixel = m->c;
    const bool small_x = octi_image_count(&q->in[0].shape) != q->r->image,
               small_x2 = x2 != x && octi_image_count(&q->in[1].shape) != q->r->image;
    if (small_x) m->x.row = m->x.pixel = 0;
    if (small_x2) m->x2.row = m->x2.pixel = 0;
    if (!own->by_pixel && is_dense(x) && is_dense(x2) && is_dense(y)) {
        own->dense = *m;
        own->dense.h = 1;
        own->dense.c = (int32_t)q->r->image;
    }
    q->r->run = run_map;
    return OCT_OK;
}

bool octi_is_map(const octi_qrun *r, int32_t place) {
    return r->bind == bind_map && r->in_place >> place & 1;
}

static void run_quantize(const octi_qrun *r, const octi_qcall *call) {
    const octi_qlin *q = &r->u.lin;
    octk_quantize_f32u8 a = {.rows = call->to - call->from,
                             .n = q->row,
                             .pitch = q->row_pitch,
                             .s = q->scale,
                             .z = q->zero_point,
                             .qmin = q->qmin,
                             .qmax = q->qmax};
    /* rows that follow each other are one */
    if (a.pitch == a.n) a.n *= a.rows, a.rows = 1;
    for (int64_t i = 0; i < call->n; i++) {
        a.x = (const float *)call->in[0] + i * r->image + call->from * q->row;
        a.y = (uint8_t *)call->out + i * q->image_pitch + call->from * q->row_pitch;
        q->to_codes(&a);
    }
}

static void run_dequantize(const octi_qrun *r, const octi_qcall *call) {
    const octi_qlin *q = &r->u.lin;
    float *y = call->out;
    for (int64_t i = 0; i < call->n; i++)
        for (int32_t h = call->from; h < call->to; h++)
            q->to_floats((const uint8_t *)call->in[0] + i * q->image_pitch + h * q->row_pitch,
                         q->row, q->scale, q->zero_point, y + i * r->image + h * q->row);
}

/* Floats are dense; codes may have any layout. */
static oct_status bind_border(const octi_qargs *q) {
    octi_qlin *l = &q->r->u.lin;
    const bool codes_out = q->out->dtype == OCT_U8;
    const octi_layout *at = codes_out ? q->out_at : &q->in_at[0];
    l->row = q->r->image / q->r->units;
    l->row_pitch = at->row;
    l->image_pitch = at->image;
    q->r->run = codes_out ? run_quantize : run_dequantize;
    return OCT_OK;
}

/* What a walk over an image takes, whatever its layout. */
static oct_status walk(const octi_qargs *q, octk_map_u8_fn *fn, const char *kernel) {
    octk_map_u8 *m = &q->r->u.map.cut;
    const oct_shape *s = &q->out->shape;
    if (q->r->image > INT32_MAX)
        return octi_fail(OCT_ELIMIT, q->where, "image too large", "2^31 - 1 codes",
                         oct_shape_text(s), NULL);
    q->r->u.map.fn = fn;
    m->zx = q->in[0].zero_point;
    m->zy = q->out->zero_point;
    m->lo = q->out->qmin;
    m->hi = q->out->qmax;
    q->r->bind = bind_map;
    q->r->kernel = kernel;
    q->r->in_place = 1;
    q->r->pitched = s->rank == 4;
    q->r->units = s->rank == 4 ? (int32_t)s->dim[1] : 1;
    q->r->cycles = (double)q->r->image * 0.7;
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

static oct_status two_inputs(const octi_qargs *q, octk_map_u8_fn *fn, const char *kernel,
                             int64_t records) {
    if (q->nin != 3)
        return octi_fail(OCT_EUSAGE, q->where, "inputs", "a, b, m", octi_fmt("%d", q->nin), NULL);
    const oct_shape *a = &q->in[0].shape, *b = &q->in[1].shape, *y = &q->out->shape;
    OCT_TRY(octi_need_codes(q, &q->in[0], "first input"));
    OCT_TRY(octi_need_codes(q, &q->in[1], "second input"));
    OCT_TRY(octi_need_codes(q, q->out, "output"));
    OCT_TRY(octi_need_records(q, 2, records));
    OCT_TRY(octi_need_clamp(q));
    bool small_a = !same_image(a, b) && broadcasts(a, b),
         small_b = !same_image(a, b) && broadcasts(b, a);
    const oct_shape *big = small_a ? b : a;
    if ((!same_image(a, b) && !small_a && !small_b) || !same_image(big, y))
        return octi_fail(
            OCT_ESHAPE, q->where, "shapes", "equal, or one side [N,1,1,C]",
            octi_fmt("%s, %s -> %s", oct_shape_text(a), oct_shape_text(b), oct_shape_text(y)),
            NULL);
    OCT_TRY(walk(q, fn, kernel));
    octk_map_u8 *m = &q->r->u.map.cut;
    m->zx2 = q->in[1].zero_point;
    m->by = q->r->by;
    m->lo = q->a->lo[0];
    m->hi = q->a->hi[0];
    q->r->u.map.by_pixel = small_a || small_b;
    q->r->in_place = small_a ? 2 : small_b ? 1 : 3;
    return OCT_OK;
}

oct_status octi_qinit_add(const octi_qargs *q) {
    const octq_multipliers *by = &q->r->by;
    const bool q31 = by->law == OCTQ_Q31;
    OCT_TRY(two_inputs(q, q->r->kernels->add_u8, q->r->kernels->name.add_u8, q31 ? 3 : 2));
    OCT_TRY(octi_need_multiplier(q, 0, octi_reach(&q->in[0])));
    OCT_TRY(octi_need_multiplier(q, 1, octi_reach(&q->in[1])));
    if (!q31) {
        if (q->r->kernels->needs.add_u8 & OCTI_CPU_AVX2) octi_lift_add(&q->r->u.map.cut);
        return OCT_OK;
    }
    /* so the sum of the two stays far inside s32 */
    if (by->shift[0] > 0 || by->shift[1] > 0)
        return octi_fail(OCT_EQPARAMS, q->where, "shifts of the operands", "at most 0",
                         octi_fmt("%d, %d", by->shift[0], by->shift[1]), NULL);
    return octi_need_multiplier(q, 2, 0);
}

oct_status octi_qinit_mul(const octi_qargs *q) {
    OCT_TRY(two_inputs(q, q->r->kernels->mul_u8, q->r->kernels->name.mul_u8, 1));
    return octi_need_multiplier(q, 0, (int64_t)octi_reach(&q->in[0]) * octi_reach(&q->in[1]));
}

static oct_status one_input(const octi_qargs *q) {
    OCT_TRY(octi_need_codes(q, &q->in[0], "input"));
    OCT_TRY(octi_need_codes(q, q->out, "output"));
    return octi_need_shape(q, q->out, "output", q->in[0].shape);
}

oct_status octi_qinit_requantize(const octi_qargs *q) {
    OCT_TRY(one_input(q));
    OCT_TRY(octi_need_records(q, 1, 1));
    OCT_TRY(octi_need_multiplier(q, 0, octi_reach(&q->in[0])));
    OCT_TRY(walk(q, q->r->kernels->rescale_u8, q->r->kernels->name.rescale_u8));
    q->r->u.map.cut.by = q->r->by;
    return OCT_OK;
}

oct_status octi_qinit_clip(const octi_qargs *q) {
    OCT_TRY(octi_need_same_grid(q));
    OCT_TRY(octi_need_shape(q, q->out, "output", q->in[0].shape));
    OCT_TRY(octi_need_clamp(q));
    OCT_TRY(walk(q, q->r->kernels->clip_u8, q->r->kernels->name.clip_u8));
    q->r->u.map.cut.lo = q->a->lo[0];
    q->r->u.map.cut.hi = q->a->hi[0];
    return OCT_OK;
}

oct_status octi_qinit_relu(const octi_qargs *q) {
    OCT_TRY(octi_need_same_grid(q));
    OCT_TRY(octi_need_shape(q, q->out, "output", q->in[0].shape));
    OCT_TRY(walk(q, q->r->kernels->clip_u8, q->r->kernels->name.clip_u8));
    q->r->u.map.cut.lo = q->out->zero_point;
    return OCT_OK;
}

oct_status octi_qinit_table(const octi_qargs *q) {
    OCT_TRY(one_input(q));
    OCT_TRY(octi_need_const(q, 1, "table", OCT_U8, OCT_SHAPE(256)));
    OCT_TRY(walk(q, q->r->kernels->table_u8, q->r->kernels->name.table_u8));
    const uint8_t *t = oct_u8(q->in[1].tensor);
    for (int i = q->in[0].qmin; i <= q->in[0].qmax; i++)
        if (t[i] < q->out->qmin || t[i] > q->out->qmax)
            return octi_fail(OCT_EQPARAMS, q->where, octi_fmt("table entry %d", i),
                             octi_fmt("%d to %d", q->out->qmin, q->out->qmax), octi_fmt("%d", t[i]),
                             NULL);
    q->r->u.map.cut.table = t;
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
    OCT_TRY(walk(q, q->r->kernels->softmax_u8, q->r->kernels->name.softmax_u8));
    octk_map_u8 *m = &q->r->u.map.cut;
    q->r->u.map.by_pixel = true;
    m->exp = e;
    m->sy = q->out->scale;
    q->r->in_place = 0; /* a row is read twice */
    return OCT_OK;
}

static oct_status border(const octi_qargs *q, const octi_qdesc *codes, const octi_qdesc *floats,
                         const char *kernel) {
    if (floats->dtype != OCT_F32 || floats->quantized)
        return octi_fail(OCT_EDTYPE, q->where, "float side of a border", "float32 without qparams",
                         oct_dtype_name(floats->dtype), NULL);
    OCT_TRY(octi_need_codes(q, codes, "quantized side"));
    OCT_TRY(octi_need_shape(q, q->out, "output", q->in[0].shape));
    q->r->u.lin = (octi_qlin){.scale = codes->scale,
                              .zero_point = codes->zero_point,
                              .qmin = codes->qmin,
                              .qmax = codes->qmax,
                              .to_codes = q->r->kernels->quantize_f32u8,
                              .to_floats = q->r->kernels->dequantize_u8f32};
    q->r->bind = bind_border;
    q->r->kernel = kernel;
    q->r->pitched = q->out->shape.rank == 4;
    q->r->units = q->r->pitched ? (int32_t)q->out->shape.dim[1] : 1;
    q->r->cycles = (double)q->r->image;
    return OCT_OK;
}

oct_status octi_qinit_quantize(const octi_qargs *q) {
    return border(q, q->out, &q->in[0], q->r->kernels->name.quantize_f32u8);
}
oct_status octi_qinit_dequantize(const octi_qargs *q) {
    return border(q, &q->in[0], q->out, q->r->kernels->name.dequantize_u8f32);
}
