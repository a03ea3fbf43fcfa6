/* SPDX-License-Identifier: MIT
 * LSTM layers of an int8 net, one image at a time. Float: octi_lstm_run, the order of sums that
 * training has. Dynamic: x_t and h_t become codes by their own range at each step, sums are exact,
 * and gates are octq_dynamic(x) + octq_dynamic(h). */
#include <string.h>

#include "ops/lstm.h"
#include "qat/int8/float_node.h"
#include "src/mem.h"

struct octi_flstm {
    octi_lstm l; /* sizes, biases, and the weights of the float form */
    bool cell, last;
    const int8_t *q_ih, *q_hh; /* dynamic: codes, NULL in the float form */
    const float *s_ih, *s_hh;  /* scales per row */
    int64_t wide;              /* the longer of x_t and h_t */
};

static void run_dynamic(const struct octi_flstm *p, const octi_lstm *l, int16_t *q) {
    int64_t h = l->h;
    for (int64_t s = 0; s < l->t; s++) {
        const float *before = s ? l->hidden + (s - 1) * h : l->state,
                    *cell = s          ? l->cells + (s - 1) * h
                            : l->state ? l->state + h
                                       : NULL;
        float scale = octi_dynamic_row(l->x + s * l->c, l->c, q);
        for (int64_t j = 0; j < 4 * h; j++)
            l->gates[j] = octq_dynamic(octi_dynamic_sum(q, p->q_ih + j * l->c, l->c), scale,
                                       p->s_ih[j], l->b_ih ? l->b_ih[j] : 0.0f);
        scale = before ? octi_dynamic_row(before, h, q) : 1.0f; /* zeros add their bias alone */
        for (int64_t j = 0; j < 4 * h; j++)
            l->gates[j] += octq_dynamic(before ? octi_dynamic_sum(q, p->q_hh + j * h, h) : 0, scale,
                                        p->s_hh[j], l->b_hh ? l->b_hh[j] : 0.0f);
        octi_lstm_gates(l->gates, cell, l->cells + s * h, l->hidden + s * h, h);
    }
}

void octi_fnode_run_lstm(const octi_fnode *f, const float *const *in, float *y, void *scratch) {
    const struct octi_flstm *p = f->lstm;
    octi_lstm l = p->l;
    bool copy = p->cell || p->last;
    size_t row = (size_t)l.h * sizeof(float);
    l.x = in[0];
    l.state = p->cell && f->nin > 5 ? in[5] : NULL;
    l.gates = scratch;
    l.cells = l.gates + (p->q_ih ? 1 : l.t) * 4 * l.h;
    l.hidden = copy ? l.cells + l.t * l.h : y;
    if (p->q_ih)
        run_dynamic(p, &l, (int16_t *)(l.cells + 2 * l.t * l.h));
    else
        octi_lstm_run(&l, 0, 1);
    if (copy) memcpy(y, l.hidden + (l.t - 1) * l.h, row);
    if (p->cell) memcpy(y + l.h, l.cells, row);
}

oct_status octi_fnode_init_lstm(const octi_finit *i) {
    octi_fnode *f = i->f;
    bool dynamic = f->kind == OCT_OP_dynamic_lstm || f->kind == OCT_OP_dynamic_lstm_cell;
    const oct_value *ih = octi_node_in(i->g, i->n, 1), *hh = octi_node_in(i->g, i->n, 2);
    struct octi_flstm *p = octi_arena_calloc(i->arena, 1, sizeof *p);
    if (!p) return oct_last_error()->code;
    p->cell = f->kind == OCT_OP_lstm_cell || f->kind == OCT_OP_dynamic_lstm_cell;
    p->last = !p->cell && f->a.last[0];
    p->l = (octi_lstm){.kernels = f->kernels,
                       .t = p->cell ? 1 : f->x.dim[1],
                       .c = f->x.dim[f->x.rank - 1],
                       .h = hh->shape.dim[1]};
    OCT_TRY(octi_fnode_parameter(i, 3, "b_ih", false, &p->l.b_ih));
    OCT_TRY(octi_fnode_parameter(i, 4, "b_hh", false, &p->l.b_hh));
    if (dynamic) {
        p->s_ih = octi_fnode_codes(i, 1);
        p->s_hh = p->s_ih ? octi_fnode_codes(i, 2) : NULL;
        if (!p->s_hh) return oct_last_error()->code;
        p->q_ih = oct_s8(ih->tensor), p->q_hh = oct_s8(hh->tensor);
    } else {
        OCT_TRY(octi_fnode_parameter(i, 1, "w_ih", true, &p->l.w_ih));
        OCT_TRY(octi_fnode_parameter(i, 2, "w_hh", true, &p->l.w_hh));
    }
    p->wide = p->l.c > p->l.h ? p->l.c : p->l.h;
    /* gates, cells, hidden, and of the dynamic form one row of codes */
    size_t gates, cells, codes, total;
    bool fits =
        octi_mul_size((size_t)(dynamic ? 1 : p->l.t) * 4 * sizeof(float), (size_t)p->l.h, &gates) &&
        octi_mul_size((size_t)p->l.t * 2 * sizeof(float), (size_t)p->l.h, &cells) &&
        octi_mul_size(dynamic ? sizeof(int16_t) : 0, (size_t)p->wide, &codes) &&
        octi_add_size(gates, cells, &total) && octi_add_size(total, codes, &total);
    if (!fits || total > octi_ctx_declared_limit(i->g->ctx))
        return octi_fail(OCT_ELIMIT, i->n->name, "gates of one sequence are too large",
                         octi_fmt("at most %zu bytes", octi_ctx_declared_limit(i->g->ctx)),
                         oct_shape_text(&f->x), "raise max_bytes of the context");
    f->scratch = total;
    f->lstm = p;
    return OCT_OK;
}
