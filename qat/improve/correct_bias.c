/* SPDX-License-Identifier: MIT
 * Bias correction: the mean error that rounding weights makes per output channel, E[W_q x] - E[W
 * x], is taken out of the bias. Means of inputs come from the float net. */
#include <math.h>
#include <string.h>

#include "autograd/tape.h"
#include "qat/improve/improve.h"
#include "qat/improve/improve_internal.h"
#include "qat/net/prepared.h"
#include "qat/net/switches.h"
#include "qat/scales/settle.h"
#include "qat/step/sim.h"
#include "src/arena.h"
#include "src/cut.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/words.h"

oct_status octi_improve_fits(const oct_net *net, const oct_tensor *x, const char *where) {
    const oct_shape *s = &net->graph->values[net->graph->input].shape;
    bool same = x->dtype == OCT_F32 && x->shape.rank == s->rank && x->shape.dim[0] > 0;
    for (int32_t i = 1; same && i < s->rank; i++) same = x->shape.dim[i] == s->dim[i];
    if (same) return OCT_OK;
    return octi_fail(OCT_ESHAPE, where, "calibration inputs", oct_shape_text(s),
                     oct_shape_text(&x->shape), NULL);
}

oct_status octi_improve_check(oct_net *net, const oct_tensor *x, const char *where) {
    if (!net || !x) return octi_fail_null(where);
    if (net->stage != OCT_STAGE_PREPARED)
        return octi_fail(OCT_EUSAGE, where, "net is not prepared",
                         "a net from oct_prepare, calibrated", NULL, NULL);
    OCT_TRY(octi_improve_fits(net, x, where));
    OCT_TRY(oct_net_settle(net));
    for (int32_t i = 0; i < net->graph->quantizer_count; i++) {
        const oct_quantizer *q = &net->graph->quantizers[i];
        if (q->enabled && !octi_is_weight(q) && !octi_quantizer_ready(q))
            return octi_not_observed(q);
    }
    return OCT_OK;
}

float *octi_bias_of(const oct_graph *g, const oct_node *n) {
    const oct_value *v = n->attr.bn[0] ? octi_node_in(g, n, OCTI_BETA) : octi_node_in(g, n, OCTI_B);
    return v ? oct_f32(v->tensor) : NULL;
}

oct_status octi_column_sums(oct_ctx *ctx, const float *x, int64_t images, int64_t rows, int64_t c,
                            bool squares, double *sum) {
    const octi_cut cut = octi_cut_of(ctx, images);
    octi_arena *scratch = octi_ctx_scratch(ctx);
    if (!scratch) return oct_last_error()->code;
    const octi_arena_mark mark = octi_arena_save(scratch);
    double *partial = octi_arena_calloc(scratch, (size_t)(cut.count * c), sizeof *partial);
    oct_status s = partial ? OCT_OK : oct_last_error()->code;
    for (int64_t slot = 0; s == OCT_OK && slot < cut.count; slot++)
        for (int64_t i = octi_cut_at(&cut, slot) * rows; i < octi_cut_at(&cut, slot + 1) * rows;
             i++)
            for (int64_t k = 0; k < c; k++) {
                const double v = x[i * c + k];
                partial[slot * c + k] += squares ? v * v : v;
            }
    if (s == OCT_OK) s = octi_cut_fold_f64(&cut, partial, c);
    if (s == OCT_OK) memcpy(sum, partial, (size_t)c * sizeof *sum);
    octi_arena_rewind(scratch, mark);
    return s;
}

/* Means of each layer's input, per channel, over all positions: floats, fake quantization off. */
static oct_status add_means(oct_net *net, oct_tape *tape, const oct_tensor *x, double **mean) {
    const oct_graph *g = net->graph;
    for (int64_t from = 0; from < x->shape.dim[0]; from += OCTI_IMPROVE_BATCH) {
        oct_tensor part = octi_images(x, from);
        oct_net_fake_quantize(net, false);
        oct_tape_begin(tape, OCT_EVAL);
        oct_var *y = oct_net_forward(net, oct_input(tape, &part));
        oct_net_fake_quantize(net, true);
        if (!y) return oct_last_error()->code;
        for (int32_t i = 0; i < g->node_count; i++) {
            if (!mean[i]) continue;
            const oct_tensor *v =
                oct_var_value(octi_tape_find(tape, g->values[g->nodes[i].in[OCTI_X]].name));
            if (!v)
                return octi_fail(OCT_EINTERNAL, g->nodes[i].name, "its input is not on the tape",
                                 NULL, NULL, NULL);
            int64_t c = v->shape.dim[v->shape.rank - 1], count = oct_tensor_count(v);
            const int64_t images = part.shape.dim[0], rows = count / c / images;
            double *sums = octi_calloc(net->ctx, (size_t)c, sizeof *sums);
            if (!sums) return oct_last_error()->code;
            const oct_status s =
                octi_column_sums(net->ctx, oct_f32(v), images, rows, c, false, sums);
            for (int64_t k = 0; k < c; k++)
                mean[i][k] += sums[k] / ((double)rows * (double)x->shape.dim[0]);
            octi_free(net->ctx, sums);
            OCT_TRY(s);
        }
    }
    return OCT_OK;
}

/* err[o] = sum over cells and inputs of (W_q - W) * E[x]: E[W_q x] - E[W x], away from the
 * borders. */
static oct_status correct(oct_net *net, const oct_node *n, const double *mean, octi_arena *arena) {
    const oct_graph *g = net->graph;
    const oct_quantizer *xq = &g->quantizers[g->values[n->in[OCTI_X]].quantizer];
    octi_qweights w;
    octi_arena_reset(arena);
    OCT_TRY(octi_quantize_weights(net, n, octi_scale(xq), arena, &w));
    const oct_shape *s = &g->values[n->in[OCTI_W]].shape;
    const float *real = oct_f32(g->values[n->in[OCTI_W]].tensor);
    float *bias = octi_bias_of(g, n);
    int64_t width = s->dim[s->rank - 1], groups = n->kind == OCT_OP_conv2d ? n->attr.groups[0] : 1;
    for (int32_t o = 0; o < w.o; o++) {
        const double *m = mean + o / (w.o / groups) * width;
        double f = w.factor ? w.factor[o] : 1, err = 0;
        for (int64_t k = 0; k < w.k; k++)
            err +=
                ((double)w.scale[o] * w.codes[o * w.k + k] - f * real[o * w.k + k]) * m[k % width];
        if (!isfinite(err))
            return octi_fail(OCT_EDIVERGED, n->name,
                             octi_fmt("mean error of channel %d is not finite", o), NULL, NULL,
                             NULL);
        bias[o] = (float)(bias[o] - err);
    }
    return OCT_OK;
}

oct_status oct_correct_bias(oct_net *net, const oct_tensor *x, int32_t *skipped) {
    OCTI_LAW_MODE();
    OCT_TRY(octi_improve_check(net, x, "oct_correct_bias"));
    const oct_graph *g = net->graph;
    octi_arena *arena = octi_arena_new(net->ctx), *scratch = octi_arena_new(net->ctx);
    oct_tape *tape = oct_tape_new(net->ctx);
    double **mean =
        arena ? octi_arena_calloc(arena, (size_t)g->node_count + 1, sizeof *mean) : NULL;
    oct_status s = mean && tape && scratch ? OCT_OK : oct_last_error()->code;
    int32_t without = 0;
    for (int32_t i = 0; s == OCT_OK && i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        if (!octi_is_weighted(g, n) || n->kind == OCT_OP_batch_norm) continue;
        const oct_shape *in = &g->values[n->in[OCTI_X]].shape;
        if (!octi_bias_of(g, n))
            without++;
        else if (!(mean[i] =
                       octi_arena_calloc(arena, (size_t)in->dim[in->rank - 1], sizeof(double))))
            s = oct_last_error()->code;
    }
    if (s == OCT_OK) s = add_means(net, tape, x, mean);
    for (int32_t i = 0; s == OCT_OK && i < g->node_count; i++)
        if (mean[i]) s = correct(net, &g->nodes[i], mean[i], scratch);
    oct_tape_free(tape);
    octi_arena_free(scratch);
    octi_arena_free(arena);
    if (skipped) *skipped = without;
    return s;
}
