/* SPDX-License-Identifier: MIT
 * AdaRound: each layer's weights rounded up or down so that its output changes least, by Adam on
 * a rectified sigmoid per weight (formulas in improve_internal.h), layer after layer behind what
 * is quantized so far. */
#include <math.h>
#include <string.h>

#include "autograd/tape.h"
#include "qat/improve/improve.h"
#include "qat/improve/improve_internal.h"
#include "qat/scales/learned.h"
#include "qat/step/sim.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/qround.h"
#include "src/rng.h"

enum { BATCH = 256 };

/* One group of one layer: rows of its input as the products see them, and its weights in units of
 * the scale. */
typedef struct layer {
    const oct_node *node;
    int64_t o, k, rows;
    float *x;           /* [rows, K] */
    float *low;         /* [O, K] floor(w / s) */
    float *real, *soft; /* [O, K] w / s; low + h(v) */
    float *v, *m1, *m2; /* [O, K] what is trained, and Adam's moments */
    float *grad;        /* [O, K] */
    float *err;         /* [BATCH, O] */
    const float *scale; /* [O] */
    bool *fixed;        /* [O, K]: the largest of its channel, or no room: rounded to nearest */
} layer;

static oct_tensor view(float *data, int64_t rows, int64_t cols) {
    return (oct_tensor){.dtype = OCT_F32, .shape = {2, {rows, cols}}, .data = data};
}

/* err = x (soft - real)^T over a batch of rows, channel o in its own unit. */
static oct_status errors(oct_ctx *ctx, layer *l, int64_t from, int64_t n, float *delta,
                         float *err) {
    for (int64_t i = 0; i < l->o * l->k; i++)
        delta[i] = (l->soft[i] - l->real[i]) * l->scale[i / l->k];
    oct_tensor x = view(l->x + from * l->k, n, l->k), w = view(delta, l->o, l->k),
               y = view(err, n, l->o);
    return oct_linear_forward(ctx, &x, &w, NULL, &y);
}

/* Squared error per output channel over all rows, for the weights in `soft`; mean error where
 * `mean` is not NULL. part: [o] */
static oct_status score(oct_ctx *ctx, layer *l, double *sum, double *mean, double *part) {
    memset(sum, 0, (size_t)l->o * sizeof *sum);
    if (mean) memset(mean, 0, (size_t)l->o * sizeof *mean);
    for (int64_t from = 0; from < l->rows; from += BATCH) {
        int64_t n = l->rows - from < BATCH ? l->rows - from : BATCH;
        OCT_TRY(errors(ctx, l, from, n, l->grad, l->err));
        OCT_TRY(octi_column_sums(ctx, l->err, n, 1, l->o, true, part));
        for (int64_t o = 0; o < l->o; o++) sum[o] += part[o];
        if (!mean) continue;
        OCT_TRY(octi_column_sums(ctx, l->err, n, 1, l->o, false, part));
        for (int64_t o = 0; o < l->o; o++) mean[o] += part[o] / (double)l->rows;
    }
    return OCT_OK;
}

/* Adam on v; the output error is measured in tenths of what nearest rounding does, so one weight of
 * the regularizer fits all layers (measured: ten times more and less of it leave two to five times
 * the error). Its exponent goes from 20 to 2 behind a fifth of the way without it. */
static oct_status train(oct_ctx *ctx, layer *l, const oct_adaround_opts *o, double nearest) {
    const float unit = (float)(0.1 * (double)l->o * (double)l->rows / nearest) / BATCH;
    for (int it = 0; it < o->iterations; it++) {
        for (int64_t i = 0; i < l->o * l->k; i++)
            l->soft[i] = l->fixed[i] ? octq_rne(l->real[i]) : l->low[i] + octi_rectified(l->v[i]);
        int64_t batches = (l->rows + BATCH - 1) / BATCH, from = it % batches * BATCH,
                n = l->rows - from < BATCH ? l->rows - from : BATCH;
        OCT_TRY(errors(ctx, l, from, n, l->grad, l->err));
        oct_tensor x = view(l->x + from * l->k, n, l->k), e = view(l->err, n, l->o),
                   g = view(l->grad, l->o, l->k);
        OCT_TRY(oct_linear_grad_w(ctx, &x, &e, &g, NULL));
        float beta = octi_rounding_beta((float)it / (float)o->iterations);
        float c1 = 1 - powf(0.9f, (float)it + 1), c2 = 1 - powf(0.999f, (float)it + 1);
        for (int64_t i = 0; i < l->o * l->k; i++) {
            if (l->fixed[i]) continue;
            float d = unit * 2 * l->grad[i] * l->scale[i / l->k];
            if (beta > 0) d += octi_rounding_push(o->reg, beta, octi_rectified(l->v[i]));
            d *= octi_rectified_slope(l->v[i]);
            l->m1[i] += 0.1f * (d - l->m1[i]);
            l->m2[i] += 0.001f * (d * d - l->m2[i]);
            l->v[i] -= 0.02f * (l->m1[i] / c1) / (sqrtf(l->m2[i] / c2) + 1e-8f);
        }
    }
    return OCT_OK;
}

/* A channel takes its trained roundings where they are better than nearest on the rows; then its
 * weights become those points. */
static oct_status round_group(oct_ctx *ctx, octi_arena *arena, layer *l, const oct_adaround_opts *o,
                              const octi_qweights *w, int64_t first, float *weights, float *bias) {
    const int64_t count = l->o * l->k;
    double *sums = octi_arena_calloc(arena, (size_t)(4 * l->o), sizeof *sums),
           *trained = sums ? sums + l->o : NULL, *part = sums ? sums + 3 * l->o : NULL, total = 0;
    if (!sums) return oct_last_error()->code;
    for (int64_t i = 0; i < count; i++) l->soft[i] = (float)w->codes[first * l->k + i];
    OCT_TRY(score(ctx, l, sums, NULL, part));
    for (int64_t i = 0; i < l->o; i++) total += sums[i];
    if (!(total > 0)) return OCT_OK; /* the weights are on the grid, or the input is zero */
    OCT_TRY(train(ctx, l, o, total));
    for (int64_t i = 0; i < count; i++)
        l->soft[i] = l->fixed[i] ? octq_rne(l->real[i])
                                 : l->low[i] + (octi_rectified(l->v[i]) >= 0.5f ? 1.0f : 0.0f);
    OCT_TRY(score(ctx, l, trained, trained + l->o, part));
    for (int64_t i = 0; i < l->o; i++) {
        if (!(trained[i] < sums[i])) continue;
        float f = w->factor ? w->factor[first + i] : 1.0f;
        for (int64_t k = i * l->k; k < (i + 1) * l->k; k++)
            weights[first * l->k + k] = l->scale[i] * l->soft[k] / f;
        if (bias) bias[first + i] = (float)(bias[first + i] - trained[l->o + i]);
    }
    return OCT_OK;
}

/* Row p of the input of group g: the cells that output position p reads, in the weights' order. */
static void gather(const oct_node *n, const oct_shape *ws, const oct_tensor *x, int64_t image,
                   const oct_shape *y, int64_t p, int64_t group, float *row) {
    const int64_t *xd = x->shape.dim;
    if (n->kind == OCT_OP_linear) {
        memcpy(row, oct_f32(x) + image * xd[1], (size_t)xd[1] * sizeof *row);
        return;
    }
    int64_t cg = ws->dim[3], top = p / y->dim[2] * n->attr.stride[0] - n->attr.pads[0],
            left = p % y->dim[2] * n->attr.stride[1] - n->attr.pads[1];
    for (int64_t r = 0; r < ws->dim[1]; r++)
        for (int64_t s = 0; s < ws->dim[2]; s++, row += cg) {
            int64_t h = top + r * n->attr.dilation[0], v = left + s * n->attr.dilation[1];
            if (h < 0 || v < 0 || h >= xd[1] || v >= xd[2])
                memset(row, 0, (size_t)cg * sizeof *row);
            else
                memcpy(row, oct_f32(x) + ((image * xd[1] + h) * xd[2] + v) * xd[3] + group * cg,
                       (size_t)cg * sizeof *row);
        }
}

/* Rows from random positions of every batch of images, the layer's input as the quantized net makes
 * it. */
static oct_status collect(oct_net *net, oct_sim *sim, const oct_tensor *images, octi_rng *rng,
                          layer *all, int64_t groups) {
    const oct_graph *g = net->graph;
    const oct_node *n = all->node;
    const oct_value *in = &g->values[n->in[OCTI_X]];
    const oct_quantizer *q = &g->quantizers[in->quantizer];
    const oct_shape *ws = &g->values[n->in[OCTI_W]].shape;
    int64_t batches = (images->shape.dim[0] + OCTI_IMPROVE_BATCH - 1) / OCTI_IMPROVE_BATCH, got = 0;
    for (int64_t b = 0; b < batches; b++) {
        oct_tensor part = octi_images(images, b * OCTI_IMPROVE_BATCH);
        if (!oct_sim_run(sim, &part)) return oct_last_error()->code;
        const oct_tensor *codes = oct_sim_value(sim, g->nodes[in->producer].name);
        if (!codes || codes->dtype != OCT_U8)
            return octi_fail(OCT_EINTERNAL, n->name, "its input has no codes", NULL, NULL, NULL);
        oct_tensor *x = oct_tensor_new(net->ctx, OCT_F32, codes->shape);
        if (!x) return oct_last_error()->code;
        for (int64_t i = 0; i < oct_tensor_count(x); i++)
            oct_f32(x)[i] = octq_dequantize(oct_u8(codes)[i], octi_scale(q), octi_zero_point(q));
        oct_shape y = g->values[n->out].shape;
        int64_t places = y.rank == 4 ? y.dim[1] * y.dim[2] : 1;
        for (int64_t end = all->rows * (b + 1) / batches; got < end; got++) {
            int64_t image = (int64_t)octi_rng_below(rng, (uint32_t)part.shape.dim[0]),
                    p = (int64_t)octi_rng_below(rng, (uint32_t)places);
            for (int64_t k = 0; k < groups; k++)
                gather(n, ws, x, image, &y, p, k, all[k].x + got * all[k].k);
        }
        oct_tensor_unref(x);
    }
    return OCT_OK;
}

static oct_status new_layer(octi_arena *arena, layer *l) {
    const size_t count = (size_t)(l->o * l->k);
    float **lists[] = {&l->low, &l->real, &l->soft, &l->v, &l->m1, &l->m2, &l->grad};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (!(*lists[i] = octi_arena_calloc(arena, count, sizeof(float))))
            return oct_last_error()->code;
    l->x = octi_arena_calloc(arena, (size_t)(l->rows * l->k), sizeof(float));
    l->err = octi_arena_calloc(arena, (size_t)(BATCH * l->o), sizeof(float));
    l->fixed = octi_arena_calloc(arena, count, sizeof(bool));
    return l->x && l->err && l->fixed ? OCT_OK : oct_last_error()->code;
}

static void fill_layer(layer *l, const octi_qweights *w, const oct_qspec *spec, int64_t first,
                       const float *weights) {
    for (int64_t i = 0; i < l->o * l->k; i++) {
        int64_t o = first + i / l->k;
        float u = weights[first * l->k + i] * (w->factor ? w->factor[o] : 1.0f) / w->scale[o];
        l->real[i] = u;
        l->low[i] = floorf(u);
        float part = u - l->low[i];
        /* the ends of the range carry the scale: they stay */
        l->fixed[i] = l->low[i] < (float)spec->qmin || l->low[i] + 1 > (float)spec->qmax ||
                      fabsf(u) > (float)spec->qmax - 0.5f;
        part = part < 0.01f ? 0.01f : part > 0.99f ? 0.99f : part;
        /* h(v) = the fraction: it starts from the float weight */
        l->v[i] = octi_rectified_inverse(part);
    }
}

static oct_status round_layer(oct_net *net, oct_sim *sim, const oct_node *n, const oct_tensor *x,
                              const oct_adaround_opts *o, octi_arena *arena) {
    const oct_graph *g = net->graph;
    octi_qweights w;
    octi_arena_reset(arena);
    OCT_TRY(octi_quantize_weights(
        net, n, octi_scale(&g->quantizers[g->values[n->in[OCTI_X]].quantizer]), arena, &w));
    const oct_qspec *spec = &octi_weight_quantizer(g, n)->spec;
    float *weights = oct_f32(g->values[n->in[OCTI_W]].tensor), *bias = octi_bias_of(g, n);
    int64_t groups = n->kind == OCT_OP_conv2d ? n->attr.groups[0] : 1;
    layer *all = octi_arena_calloc(arena, (size_t)groups, sizeof *all);
    if (!all) return oct_last_error()->code;
    for (int64_t k = 0; k < groups; k++) {
        all[k] = (layer){.node = n,
                         .o = w.o / groups,
                         .k = w.k,
                         .rows = o->rows,
                         .scale = w.scale + k * (w.o / groups)};
        OCT_TRY(new_layer(arena, &all[k]));
        fill_layer(&all[k], &w, spec, k * all[k].o, weights);
    }
    octi_rng rng = octi_rng_stream(o->seed, OCTI_RNG_SAMPLE, (uint32_t)(n - g->nodes), 0);
    OCT_TRY(collect(net, sim, x, &rng, all, groups));
    for (int64_t k = 0; k < groups; k++)
        OCT_TRY(round_group(net->ctx, arena, &all[k], o, &w, k * all[k].o, weights, bias));
    return OCT_OK;
}

oct_status oct_adaround(oct_net *net, const oct_tensor *x, const oct_adaround_opts *opts) {
    OCTI_LAW_MODE();
    OCT_TRY(octi_improve_check(net, x, "oct_adaround"));
    oct_adaround_opts o = opts ? *opts : (oct_adaround_opts){.iterations = 0};
    if (o.iterations < 0 || o.rows < 0 || !(o.reg >= 0))
        return octi_fail(OCT_EUSAGE, "oct_adaround", "an option is negative", ">= 0", NULL, NULL);
    if (!o.iterations) o.iterations = 1000;
    if (!o.rows) o.rows = 2048;
    if (o.reg == 0) o.reg = 0.01f;
    if (!o.seed) o.seed = oct_ctx_seed(net->ctx);
    const oct_graph *g = net->graph;
    oct_sim *sim = oct_sim_new(net);
    octi_arena *arena = octi_arena_new(net->ctx);
    oct_status s = sim && arena ? OCT_OK : oct_last_error()->code;
    for (int32_t i = 0; s == OCT_OK && i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        if (!octi_is_weighted(g, n) || n->kind == OCT_OP_batch_norm ||
            octi_is_learned(octi_weight_quantizer(g, n)))
            continue;
        if ((s = octi_progress(net->ctx, "adaround", i, g->node_count)) == OCT_OK)
            s = round_layer(net, sim, n, x, &o, arena);
    }
    if (s == OCT_OK) s = octi_progress(net->ctx, "adaround", g->node_count, g->node_count);
    octi_arena_free(arena);
    oct_sim_free(sim);
    return s;
}

void oct_adaround_opts_init(oct_adaround_opts *opts) {
    if (opts) *opts = (oct_adaround_opts){0};
}
