/* SPDX-License-Identifier: MIT
 * Permutes weights between octet's layouts and PyTorch's; which tensor needs it is read from the
 * graph. */
#include "qat/io/weight_layout.h"

#include <string.h>

/* Kinds behind which elements no longer stand in the order of an image. */
static bool mixes(oct_op_kind k) {
    static const oct_op_kind kinds[] = {
        OCT_OP_linear,    OCT_OP_qlinear,      OCT_OP_dynamic_linear,    OCT_OP_cat,  OCT_OP_lstm,
        OCT_OP_lstm_cell, OCT_OP_dynamic_lstm, OCT_OP_dynamic_lstm_cell, OCT_OP_slice};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i] == k) return true;
    return false;
}

bool octi_flat_image(const oct_net *net, const char *weight, int64_t hwc[3]) {
    const oct_graph *g = net->graph;
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        const oct_value *w = octi_node_in(g, n, 1);
        if ((n->kind != OCT_OP_linear && n->kind != OCT_OP_qlinear &&
             n->kind != OCT_OP_dynamic_linear) ||
            !w || strcmp(w->name, weight))
            continue;
        /* back through ops that keep the order of elements to the flatten */
        const oct_value *v = octi_node_in(g, n, 0);
        while (v && v->producer >= 0) {
            const oct_node *p = &g->nodes[v->producer];
            const oct_value *x = octi_node_in(g, p, 0);
            if (mixes(p->kind) || !x) return false;
            if ((p->kind == OCT_OP_flatten || p->kind == OCT_OP_reshape) && x->shape.rank == 4 &&
                v->shape.rank == 2) {
                memcpy(hwc, x->shape.dim + 1, 3 * sizeof *hwc);
                return hwc[0] * hwc[1] > 1 && hwc[2] > 1;
            }
            v = x;
        }
        return false;
    }
    return false;
}

oct_shape octi_shape_out(const oct_shape *s) {
    if (s->rank != 4) return *s;
    return OCT_SHAPE(s->dim[0], s->dim[3], s->dim[1], s->dim[2]);
}

oct_shape octi_shape_in(const oct_shape *s) {
    if (s->rank != 4) return *s;
    return OCT_SHAPE(s->dim[0], s->dim[2], s->dim[3], s->dim[1]);
}

/* [rows][pixels][channels] <-> [rows][channels][pixels] */
static void transpose(int64_t rows, int64_t pixels, int64_t channels, size_t size, const char *from,
                      char *to, bool out) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t p = 0; p < pixels; p++)
            for (int64_t c = 0; c < channels; c++) {
                size_t mine = (size_t)((r * pixels + p) * channels + c) * size,
                       theirs = (size_t)((r * channels + c) * pixels + p) * size;
                memcpy(to + (out ? theirs : mine), from + (out ? mine : theirs), size);
            }
}

static void move(const oct_shape *s, const int64_t *hwc, size_t size, const void *from, void *to,
                 bool out) {
    if (s->rank == 4)
        transpose(s->dim[0], s->dim[1] * s->dim[2], s->dim[3], size, from, to, out);
    else if (s->rank == 2 && hwc)
        transpose(s->dim[0], hwc[0] * hwc[1], hwc[2], size, from, to, out);
    else
        memcpy(to, from, (size_t)oct_shape_count(s) * size);
}

void octi_layout_out(const oct_shape *s, const int64_t *hwc, size_t size, const void *from,
                     void *to) {
    move(s, hwc, size, from, to, true);
}
void octi_layout_in(const oct_shape *s, const int64_t *hwc, size_t size, const void *from,
                    void *to) {
    move(s, hwc, size, from, to, false);
}
