/* SPDX-License-Identifier: MIT
 * A convolution whose step holds the element-wise ops behind it: residual add, product, table,
 * rescale. A band of rows at a time: the convolution's codes go to scratch, few enough to stay in
 * cache, and from there through the ops. So they are never written to memory, the last op may write
 * over an operand, and every candidate serves without a line of its own. */
#include "ops/qconv.h"
#include "src/mem.h"

enum {
    MOST = 4,               /* ops of a tail */
    BAND_BYTES = 16 << 10,  /* of an image */
    BLOCK_BYTES = 32 << 10, /* of all images of a call */
    WIDE_BYTES = 64 << 10,  /* either, where weights are read from memory for each band */
};

typedef struct tail_op {
    octi_qrun map;
    int32_t place; /* which operand comes from the op before */
    int32_t other; /* input of the call that is the second operand; -1: none */
} tail_op;

struct octi_qtail {
    tail_op op[MOST];
    int32_t count;
    octi_qrun_fn *run; /* the convolution alone */
    size_t scratch;    /* its own, in front of the bands */
    octi_layout band, out;
    int32_t rows, units; /* of an image; of a band at most */
    int64_t unit_bytes, block_bytes;
};

oct_status octi_qconv_take_map(octi_qrun *r, const octi_qrun *map, int32_t place, int32_t other,
                               bool *taken) {
    octi_qtail *t = r->tail;
    *taken = r->candidate && octi_is_map(map, place) && (!t || t->count < MOST);
    if (!*taken) return OCT_OK;
    if (!t) t = octi_arena_calloc(r->args->arena, 1, sizeof *t);
    if (!t) return oct_last_error()->code;
    t->op[t->count++] = (tail_op){*map, place, other};
    r->tail = t;
    r->cycles += map->cycles;
    if (other >= 0 && map->in_place >> (1 - place) & 1) r->in_place |= 1u << other;
    return OCT_OK;
}

const octi_qrun *octi_qrun_last(const octi_qrun *r) {
    return r->tail ? &r->tail->op[r->tail->count - 1].map : r;
}

static void run_band(const octi_qrun *r, const octi_qcall *call) {
    const octi_qtail *t = r->tail;
    octi_qcall band = *call;
    band.out = (uint8_t *)call->scratch + t->scratch;
    band.first = call->from;
    t->run(r, &band);
    const int32_t from = call->from * r->unit_rows,
                  to = call->to * r->unit_rows < t->rows ? call->to * r->unit_rows : t->rows;
    const octi_span span = octi_channels(r->u.conv, call);
    const int32_t channels = call->panels ? span.to - span.from : 0;
    for (int32_t i = 0; i < t->count; i++) {
        const tail_op *o = &t->op[i];
        const octk_map_u8 *m = &o->map.u.map.cut;
        const uint8_t *other = o->other < 0 ? NULL : call->in[o->other];
        if (other) other += from * (o->place ? m->x.row : m->x2.row);
        uint8_t *y = i + 1 == t->count ? (uint8_t *)call->out + from * t->out.row : band.out;
        octi_map_rows(&o->map, o->place ? other : band.out, o->place ? band.out : other, y, call->n,
                      to - from, span.from, channels);
    }
}

static void run(const octi_qrun *r, const octi_qcall *call) {
    const octi_qtail *t = r->tail;
    octi_qcall band = *call;
    int64_t units = t->block_bytes / (call->n * t->unit_bytes);
    if (units > t->units) units = t->units;
    if (units < 1) units = 1;
    for (int32_t u = call->from; u < call->to; u += (int32_t)units) {
        band.from = u;
        band.to = call->to - u < units ? call->to : u + (int32_t)units;
        run_band(r, &band);
    }
}

/* The ops of a tail work in place in the band, the last one out of it. */
static oct_status bind_ops(const octi_qargs *q, octi_qtail *t) {
    for (int32_t i = 0; i < t->count; i++) {
        tail_op *o = &t->op[i];
        octi_layout in[2] = {t->band, t->band};
        if (o->other >= 0) in[1 - o->place] = q->in_at[o->other];
        OCT_TRY(octi_qbind(&o->map, in, i + 1 == t->count ? q->out_at : &t->band));
    }
    return OCT_OK;
}

oct_status octi_bind_tail(const octi_qargs *q) {
    octi_qrun *r = q->r;
    octi_qtail *t = r->tail;
    oct_shape s = t->op[0].map.args->out->shape;
    t->rows = s.rank == 4 ? (int32_t)s.dim[1] : 1;
    t->unit_bytes = r->image / t->rows * r->unit_rows;
    const bool wide = octi_weight_bytes(octi_qconv_of(q)) > OCTI_CACHED_WEIGHTS;
    const int64_t own = r->candidate->band, most = own ? own : wide ? WIDE_BYTES : BAND_BYTES;
    t->block_bytes = own ? own : wide ? WIDE_BYTES : BLOCK_BYTES;
    t->units = t->unit_bytes < most ? (int32_t)(most / t->unit_bytes) : 1;
    if (t->units > r->units) t->units = r->units;
    if (s.rank == 4 && t->units * r->unit_rows < t->rows) s.dim[1] = t->units * r->unit_rows;
    t->band = octi_layout_dense(&s, 1);
    t->out = *q->out_at;
    octi_qargs alone = *q;
    alone.out_at = &t->band;
    OCT_TRY(r->bind(&alone));
    OCT_TRY(bind_ops(q, t));
    t->run = r->run;
    t->scratch = r->scratch = (r->scratch + 63) & ~(size_t)63;
    r->band = (size_t)t->band.image;
    r->run = run;
    return OCT_OK;
}
