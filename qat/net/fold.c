/* SPDX-License-Identifier: MIT
 * Which tensors a weighted node folds, and the fold of one channel: for the weights of a step and
 * for nets of small weights alike. */
#include "qat/net/fold.h"

#include "qat/net/prepared.h"

static const float *data_of(const oct_graph *g, const oct_node *n, int k) {
    const oct_value *v = octi_node_in(g, n, k);
    return v ? oct_f32(v->tensor) : NULL;
}

octi_folding octi_folding_of(const oct_graph *g, const oct_node *n) {
    const bool alone = n->kind == OCT_OP_batch_norm;
    octi_folding f = {.bn = alone || n->attr.bn[0], .eps = n->attr.eps};
    const int first = alone ? 1 : OCTI_GAMMA; /* x, gamma, beta, mean, var */
    if (f.bn) {
        f.gamma = data_of(g, n, first);
        f.beta = data_of(g, n, first + 1);
        f.mean = data_of(g, n, first + 2);
        f.var = data_of(g, n, first + 3);
    }
    const oct_shape *s = &g->values[n->in[OCTI_W]].shape; /* of gamma for a batch_norm node */
    f.o = (int32_t)s->dim[0];
    f.k = f.o ? oct_shape_count(s) / f.o : 0;
    if (alone) return f;
    f.w = data_of(g, n, OCTI_W);
    f.b = data_of(g, n, OCTI_B);
    return f;
}

void octi_fold_channel(const octi_folding *f, int32_t o, float *factor, float *bias) {
    const float b = f->b ? f->b[o] : 0.0f;
    *factor = f->bn ? oct_fold_factor(f->gamma[o], f->var[o], f->eps) : 1.0f;
    *bias = f->bn ? oct_fold_bias(b, f->mean[o], *factor, f->beta[o]) : b;
}
