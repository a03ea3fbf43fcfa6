/* SPDX-License-Identifier: MIT
 * int8 ops that move codes: cat (with each member's rescale), pad, slice, and the views flatten,
 * reshape, identity. */
#include <string.h>

#include "ops/qrun.h"

static void run_view(const octi_qrun *r, const octi_qcall *call) {
    memmove(call->out, call->in[0], (size_t)(call->n * r->image));
}

/* These take dense values alone: nothing depends on a layout. */
static oct_status bound(const octi_qargs *q) { return (void)q, OCT_OK; }

oct_status octi_qinit_view(const octi_qargs *q) {
    OCT_TRY(octi_need_same_grid(q));
    if (octi_image_count(&q->in[0].shape) != q->r->image)
        return octi_fail(OCT_ESHAPE, q->where, "elements per image",
                         oct_shape_text(&q->in[0].shape), oct_shape_text(&q->out->shape), NULL);
    q->r->run = run_view;
    q->r->bind = bound;
    q->r->kernel = "copy";
    q->r->in_place = 1;
    return OCT_OK;
}

static void run_cat(const octi_qrun *r, const octi_qcall *call) {
    const octi_qcat *c = &r->u.cat;
    uint8_t *y = call->out;
    for (int32_t k = 0; k < c->count; k++) {
        octk_map_u8 m = c->map[k];
        m.n = (int32_t)call->n;
        m.x.base = (uint8_t *)(uintptr_t)call->in[k];
        m.y.base = y;
        r->kernels->rescale_u8(&m);
        y += c->inner[k];
    }
}

oct_status octi_qinit_cat(const octi_qargs *q) {
    const oct_shape *y = &q->out->shape;
    int32_t count = q->nin - 1, axis = q->a->axis[0];
    octi_qcat *c = &q->r->u.cat;
    if (count < 1)
        return octi_fail(OCT_EUSAGE, q->where, "inputs", "members..., m", octi_fmt("%d", q->nin),
                         NULL);
    OCT_TRY(octi_need_codes(q, q->out, "output"));
    OCT_TRY(octi_need_records(q, count, count));
    if (axis < 1 || axis >= y->rank)
        return octi_fail(OCT_EUSAGE, q->where, "axis", octi_fmt("1 to %d", y->rank - 1),
                         octi_fmt("%d", axis), NULL);
    int64_t along = 0, inner = 1;
    for (int i = axis + 1; i < y->rank; i++) inner *= y->dim[i];
    int64_t *sizes = octi_arena_calloc(q->arena, (size_t)count, sizeof *sizes);
    octk_map_u8 *map = octi_arena_calloc(q->arena, (size_t)count, sizeof *map);
    if (!sizes || !map) return oct_last_error()->code;
    *c = (octi_qcat){.count = count, .inner = sizes, .map = map};
    int64_t outer = 1;
    for (int i = 1; i < axis; i++) outer *= y->dim[i];
    const int64_t total = y->dim[axis] * inner;
    for (int32_t k = 0; k < count; k++) {
        const octi_qdesc *x = &q->in[k];
        OCT_TRY(octi_need_codes(q, x, octi_fmt("member %d", (int)k)));
        oct_shape want = *y;
        if (x->shape.rank == y->rank) want.dim[axis] = x->shape.dim[axis];
        OCT_TRY(octi_need_shape(q, x, octi_fmt("member %d", (int)k), want));
        OCT_TRY(octi_need_multiplier(q, k, octi_reach(x)));
        along += x->shape.dim[axis];
        sizes[k] = x->shape.dim[axis] * inner;
        if (along > y->dim[axis] || sizes[k] > INT32_MAX || outer > INT32_MAX)
            return octi_fail(OCT_ESHAPE, q->where, "members are longer than the output",
                             oct_shape_text(y), oct_shape_text(&x->shape), NULL);
        map[k] = (octk_map_u8){.x = {NULL, outer * sizes[k], sizes[k], 0},
                               .y = {NULL, outer * total, total, 0},
                               .h = (int32_t)outer,
                               .w = 1,
                               .c = (int32_t)sizes[k],
                               .zx = x->zero_point,
                               .zy = q->out->zero_point,
                               .lo = q->out->qmin,
                               .hi = q->out->qmax,
                               .by = octi_records_at(&q->r->by, k)};
    }
    if (along != y->dim[axis])
        return octi_fail(OCT_ESHAPE, q->where, octi_fmt("members along axis %d", axis),
                         octi_fmt("%lld", (long long)y->dim[axis]),
                         octi_fmt("%lld", (long long)along), NULL);
    q->r->run = run_cat;
    q->r->bind = bound;
    q->r->cycles = (double)q->r->image * 0.7;
    q->r->kernel = q->r->kernels->name.rescale_u8;
    return OCT_OK;
}

static void run_pad(const octi_qrun *r, const octi_qcall *call) {
    const octi_qpad *d = &r->u.pad;
    size_t row = (size_t)d->w * (size_t)d->c;
    const uint8_t *x = call->in[0];
    uint8_t *out = call->out;
    memset(out, d->code, (size_t)(call->n * r->image));
    for (int64_t i = 0; i < call->n; i++)
        for (int32_t h = 0; h < d->h; h++, x += row)
            memcpy(out + i * r->image + (((int64_t)h + d->top) * d->q + d->left) * d->c, x, row);
}

oct_status octi_qinit_pad(const octi_qargs *q) {
    const oct_shape *x = &q->in[0].shape;
    const int32_t *pads = q->a->pads;
    int64_t p, s;
    OCT_TRY(octi_need_same_grid(q));
    if (x->rank != 4)
        return octi_fail(OCT_ESHAPE, q->where, "input", "[N,H,W,C]", oct_shape_text(x), NULL);
    OCT_TRY(octi_window(q->where, "H", x->dim[1], pads[0], pads[2], 1, 1, 1, &p));
    OCT_TRY(octi_window(q->where, "W", x->dim[2], pads[1], pads[3], 1, 1, 1, &s));
    OCT_TRY(octi_need_shape(q, q->out, "output", OCT_SHAPE(OCT_BATCH, p, s, x->dim[3])));
    if (q->a->lo[0] < q->out->qmin || q->a->lo[0] > q->out->qmax)
        return octi_fail(OCT_EUSAGE, q->where, "code of the padding",
                         octi_fmt("%d to %d", q->out->qmin, q->out->qmax),
                         octi_fmt("%d", q->a->lo[0]), NULL);
    q->r->u.pad =
        (octi_qpad){(int32_t)x->dim[1], (int32_t)x->dim[2], (int32_t)x->dim[3],  pads[0], pads[1],
                    (int32_t)p,         (int32_t)s,         (uint8_t)q->a->lo[0]};
    q->r->run = run_pad;
    q->r->bind = bound;
    q->r->kernel = "copy";
    return OCT_OK;
}

static void run_slice(const octi_qrun *r, const octi_qcall *call) {
    const octi_qslice *s = &r->u.slice;
    const uint8_t *x = (const uint8_t *)call->in[0] + s->from;
    uint8_t *y = call->out;
    for (int64_t i = call->n * s->rows; i > 0; i--, x += s->pitch, y += s->run)
        memcpy(y, x, (size_t)s->run);
}

oct_status octi_qinit_slice(const octi_qargs *q) {
    const oct_shape *x = &q->in[0].shape;
    const int32_t axis = q->a->axis[0], *range = q->a->range;
    OCT_TRY(octi_need_same_grid(q));
    if (axis < 1 || axis >= x->rank)
        return octi_fail(OCT_EUSAGE, q->where, "axis", octi_fmt("1 to %d", x->rank - 1),
                         octi_fmt("%d", axis), NULL);
    if (range[0] < 0 || range[1] <= range[0] || range[1] > x->dim[axis])
        return octi_fail(OCT_EUSAGE, q->where, "range",
                         octi_fmt("0 <= from < to <= %lld", (long long)x->dim[axis]),
                         octi_fmt("%d to %d", range[0], range[1]), NULL);
    oct_shape want = *x;
    want.dim[axis] = range[1] - range[0];
    OCT_TRY(octi_need_shape(q, q->out, "output", want));
    int64_t rows = 1, inner = 1;
    for (int i = 1; i < axis; i++) rows *= x->dim[i];
    for (int i = axis + 1; i < x->rank; i++) inner *= x->dim[i];
    q->r->u.slice = (octi_qslice){.rows = rows,
                                  .pitch = x->dim[axis] * inner,
                                  .from = range[0] * inner,
                                  .run = want.dim[axis] * inner};
    q->r->run = run_slice;
    q->r->bind = bound;
    q->r->kernel = "copy";
    return OCT_OK;
}
