/* SPDX-License-Identifier: MIT
 * The weights of a step. Whoever needs quantized weights - training, eval, convert - gets them
 * here. */
#include "qat/scales/weights.h"

#include <math.h>
#include <string.h>

#include "qat/net/fold.h"
#include "qat/scales/learned.h"
#include "qat/scales/weight_range.h"
#include "src/mem.h"
#include "src/qround.h"

static oct_status fold_channels(const octi_folding *v, const oct_node *n, float *factor,
                                float *bias, float *amax) {
    for (int32_t o = 0; o < v->o; o++) {
        float f;
        octi_fold_channel(v, o, &f, &bias[o]);
        /* bits of |w|: they order as the floats do, and NaN and infinity come last */
        int32_t top = 0;
        if (factor) factor[o] = f;
        for (int64_t k = 0; k < v->k; k++) {
            float w = v->w ? v->w[o * v->k + k] * f : f;
            int32_t bits;
            memcpy(&bits, &w, sizeof bits);
            bits &= INT32_MAX;
            top = bits > top ? bits : top;
        }
        memcpy(&amax[o], &top, sizeof top);
        if (!isfinite(amax[o]) || !isfinite(bias[o]))
            return octi_fail(OCT_EDIVERGED, n->name,
                             octi_fmt("weights of channel %d are not finite", o), NULL, NULL,
                             "lower the learning rate or resume from an earlier state");
    }
    return OCT_OK;
}

/* Learned steps in place of the ranges that the weights have: the end of the range is step * qmax.
 * A channel's own step is that of the weights before the fold, as in the papers: the running
 * variance moves the channel's scale, never its codes. One step for the layer must be that of the
 * folded weights. */
static oct_status learned_amax(oct_quantizer *q, const octi_folding *v, const float *factor,
                               octi_arena *arena, float *amax) {
    const float half = (float)(q->spec.qmax - q->spec.qmin) / 2.0f;
    const bool waits = octi_learned_waits(q);
    octi_arena_mark mark = octi_arena_save(arena);
    float *x = waits ? octi_arena_calloc(arena, (size_t)(v->o * v->k), sizeof *x) : NULL;
    if (waits && !x) return octi_arena_rewind(arena, mark), oct_last_error()->code;
    const bool one_step = !q->spec.per_channel;
    for (int64_t i = 0; x && i < v->o * v->k; i++)
        x[i] = v->w[i] * (factor && one_step ? factor[i / v->k] : 1.0f);
    for (int32_t o = 1; one_step && o < v->o; o++) amax[0] = fmaxf(amax[0], amax[o]);
    for (int32_t o = 0; o < v->o; o++) {
        const float unit = factor && !one_step ? fabsf(factor[o]) : 1.0f;
        if (o == 0 || !one_step)
            amax[o] = octi_learned_weight_step(q, o, amax[o] / unit, x ? x + o * v->k : NULL,
                                               one_step ? v->o * v->k : v->k) *
                      half * unit;
        else
            amax[o] = amax[0];
    }
    octi_arena_rewind(arena, mark);
    return OCT_OK;
}

/* Codes of channel o; the sum of their sizes. Plain loops over short arrays, so that they
 * vectorize. */
static int64_t quantize_row(const octi_folding *v, int32_t o, float factor, float scale,
                            const oct_qspec *spec, int8_t *restrict codes) {
    enum { BLOCK = 256 };
    int64_t sum = 0;
    for (int64_t k0 = 0; k0 < v->k; k0 += BLOCK) {
        const int n = (int)(v->k - k0 < BLOCK ? v->k - k0 : BLOCK);
        const float *restrict w = v->w ? v->w + o * v->k + k0 : NULL;
        int32_t code[BLOCK], size = 0;
        for (int k = 0; w && k < n; k++)
            code[k] = octq_quantize(w[k] * factor, scale, 0, spec->qmin, spec->qmax);
        for (int k = 0; !w && k < n; k++)
            code[k] = octq_quantize(factor, scale, 0, spec->qmin, spec->qmax);
        for (int k = 0; k < n; k++) size += code[k] < 0 ? -code[k] : code[k];
        for (int k = 0; k < n; k++) codes[k0 + k] = (int8_t)code[k];
        sum += size;
    }
    return sum;
}

/* Of the weights as they are, kept with the quantizer. */
static void make_scales(oct_quantizer *q, const float *amax, float s_x, octi_qweights *w) {
    float shared = 0, *stored = oct_f32(q->scale);
    for (int32_t o = 0; o < w->o; o++) {
        w->scale[o] = oct_weight_scale(&q->spec, amax[o], w->bias[o], s_x);
        shared = w->scale[o] > shared ? w->scale[o] : shared;
    }
    for (int32_t o = 0; o < w->o; o++) {
        if (q->spec.per_channel)
            stored[o] = w->scale[o];
        else
            stored[0] = w->scale[o] = shared;
    }
}

static void given_scales(const oct_quantizer *q, octi_qweights *w) {
    const float *stored = oct_f32(q->scale);
    for (int32_t o = 0; o < w->o; o++)
        w->scale[o] =
            stored[q->spec.per_channel ? o : 0] * (w->factor ? fabsf(w->factor[o]) : 1.0f);
}

oct_status octi_quantize_weights(oct_net *net, const oct_node *n, float s_x, octi_arena *arena,
                                 octi_qweights *out) {
    const oct_graph *g = net->graph;
    const octi_folding v = octi_folding_of(g, n);
    oct_quantizer *q = octi_weight_quantizer(g, n);
    const oct_qspec *spec = &q->spec;
    octi_qweights w = {.o = v.o, .k = v.k};
    w.codes = octi_arena_alloc(arena, (size_t)(v.o * v.k));
    w.scale = octi_arena_calloc(arena, (size_t)v.o, sizeof(float));
    w.factor = v.bn ? octi_arena_calloc(arena, (size_t)v.o, sizeof(float)) : NULL;
    w.bias = octi_arena_calloc(arena, (size_t)v.o, sizeof(float));
    w.bias_code = octi_arena_calloc(arena, (size_t)v.o, sizeof(int32_t));
    w.sum_abs = octi_arena_calloc(arena, (size_t)v.o, sizeof(int64_t));
    float *amax = octi_arena_calloc(arena, (size_t)v.o, sizeof(float));
    if (!w.codes || !w.scale || (v.bn && !w.factor) || !w.bias || !w.bias_code || !w.sum_abs ||
        !amax)
        return oct_last_error()->code;
    OCT_TRY(fold_channels(&v, n, w.factor, w.bias, amax));
    if (octi_is_learned(q))
        OCT_TRY(learned_amax(q, &v, w.factor, arena, amax));
    else if (octi_is_searched_weight(q))
        octi_weight_least_error(&(octi_weight_rows){v.w, w.factor, w.bias, v.o, v.k, s_x}, spec,
                                amax);
    if (octi_is_given_weight(q))
        given_scales(q, &w);
    else
        make_scales(q, amax, s_x, &w);
    for (int32_t o = 0; o < v.o; o++) {
        w.sum_abs[o] =
            quantize_row(&v, o, w.factor ? w.factor[o] : 1.0f, w.scale[o], spec, w.codes + o * v.k);
        if (s_x > 0) w.bias_code[o] = octq_bias(w.bias[o], s_x, w.scale[o]);
    }
    *out = w;
    return OCT_OK;
}

oct_status octi_check_accumulators(const oct_quantizer *x, const oct_node *n,
                                   const octi_qweights *w, bool *fits24) {
    int32_t z = octi_zero_point(x), below = z - x->spec.qmin, above = x->spec.qmax - z;
    int64_t reach = below > above ? below : above;
    *fits24 = true;
    for (int32_t o = 0; o < w->o; o++) {
        if (w->sum_abs[o] * reach > 1 << 24) *fits24 = false;
        OCT_TRY(octi_prove_accumulator(n->name, o, w->bias_code[o], w->sum_abs[o], reach, NULL));
    }
    return OCT_OK;
}
