/* SPDX-License-Identifier: MIT
 * ONNX in: x * scale + shift by constants, which is no op of octet's: it goes into the weights that
 * made x where nobody else sees them, else it is a batch norm at rest. */
#include <math.h>
#include <string.h>

#include "qat/io/onnx_in.h"
#include "src/mem.h"
#include "src/qparams.h"

oct_status octi_onnx_batch_norm(octi_onnx_node *n, const octi_onnx_place *x, const float *par[4],
                                float eps, float momentum, bool rests, int32_t *out) {
    static const char *const suffix[4] = {"weight", "bias", "running_mean", "running_var"};
    octi_onnx *o = n->o;
    const int64_t channels = octi_onnx_channels(x);
    const oct_attrs a = {.eps = eps, .momentum = momentum};
    const char *name = octi_onnx_name(n, NULL);
    int32_t in[5] = {x->v};
    if (!name) return oct_last_error()->code;
    for (int k = 0; k < 4; k++) {
        in[k + 1] = octi_onnx_param(o, name, suffix[k], k < 2 ? OCT_VALUE_PARAM : OCT_VALUE_BUFFER,
                                    OCT_SHAPE(channels));
        if (in[k + 1] < 0) return oct_last_error()->code;
        oct_value *v = &o->to->values[in[k + 1]];
        memcpy(v->tensor->data, par[k], (size_t)channels * sizeof(float));
        v->frozen = rests && k < 2;
    }
    return octi_onnx_emit(n, OCT_OP_batch_norm, name, &a, in, 5, out);
}

/* The parameters that scale the channels of node p, and its bias or beta; false where it has none,
 * or shares them. */
static bool own_params(const octi_onnx *o, const oct_node *p, int32_t *w, int32_t *b) {
    *w = *b = -1;
    if (!p || p->nin < 2) return false;
    const bool weighted = p->kind == OCT_OP_conv2d || p->kind == OCT_OP_linear;
    if (!weighted && p->kind != OCT_OP_batch_norm) return false;
    *w = p->in[1];
    *b = p->nin > 2 ? p->in[2] : -1;
    for (int k = 1; k < p->nin; k++)
        if (p->in[k] >= 0 && (o->shared[p->in[k]] || o->to->values[p->in[k]].frozen)) return false;
    return true;
}

static void scale_rows(octi_onnx *o, const oct_tensor *w, const float *scale, int64_t channels) {
    const int64_t per = oct_tensor_count(w) / channels;
    if (scale) o->made -= oct_tensor_count(w) / 16; /* a file may ask for it often, not for ever */
    for (int64_t c = 0; scale && c < channels; c++)
        for (int64_t k = 0; k < per; k++) oct_f32(w)[c * per + k] *= scale[c];
}

static oct_status add_bias(octi_onnx *o, oct_node *p, int64_t channels) {
    int32_t *in = octi_arena_calloc(o->to->arena, 3, sizeof *in);
    const int32_t b = octi_onnx_param(o, p->name, "bias", OCT_VALUE_PARAM, OCT_SHAPE(channels));
    if (!in || b < 0) return oct_last_error()->code;
    in[0] = p->in[0];
    in[1] = p->in[1];
    in[2] = b;
    p->in = in;
    p->nin = 3;
    return OCT_OK;
}

static oct_status into_weights(octi_onnx *o, oct_node *p, int32_t w, int32_t b, int64_t channels,
                               const float *scale, const float *shift) {
    const oct_graph *g = o->to;
    scale_rows(o, g->values[w].tensor, scale, channels);
    if (b < 0 && shift) {
        OCT_TRY(add_bias(o, p, channels));
        b = p->in[2];
    }
    if (b < 0) return OCT_OK;
    float *bias = oct_f32(g->values[b].tensor);
    for (int64_t c = 0; c < channels; c++)
        bias[c] = bias[c] * (scale ? scale[c] : 1) + (shift ? shift[c] : 0);
    return OCT_OK;
}

static bool all_are(const float *v, int64_t n, float what) {
    for (int64_t k = 0; v && k < n; k++)
        if (v[k] != what) return false;
    return true;
}

oct_status octi_onnx_at_rest(octi_onnx_node *n, const octi_onnx_place *x, const float *scale,
                             const float *shift, octi_onnx_place *to) {
    const int64_t channels = octi_onnx_channels(x);
    float *one = octi_arena_alloc(n->o->arena, (size_t)channels * sizeof *one + 1);
    float *zero = octi_arena_calloc(n->o->arena, (size_t)channels + 1, sizeof *zero);
    if (!one || !zero) return oct_last_error()->code;
    for (int64_t c = 0; c < channels; c++) one[c] = 1;
    const float *par[4] = {scale ? scale : one, shift ? shift : zero, zero, one};
    *to = *x;
    return octi_onnx_batch_norm(n, x, par, 0, 0, true, &to->v);
}

/* *p: the node whose weights made x, where nobody else sees them or x, NULL otherwise; codes of the
 * file take factors into their scales. */
static oct_status find_weights(octi_onnx *o, const octi_onnx_value *x, const float *scale,
                               oct_node **p, int32_t *w, int32_t *b) {
    bool done = true;
    *p = octi_onnx_producer(o, x->at.v);
    if (!octi_onnx_sole(x) || octi_onnx_grid_of(o, x->at.v) || !own_params(o, *p, w, b))
        return *p = NULL, OCT_OK;
    if (scale && octi_onnx_grid_of(o, *w))
        OCT_TRY(octi_onnx_scale_weight_grid(o, *w, scale, &done));
    if (!done) *p = NULL;
    return OCT_OK;
}

oct_status octi_onnx_affine(octi_onnx_node *n, const octi_onnx_value *x, const float *scale,
                            const float *shift, octi_onnx_place *to) {
    const int64_t channels = octi_onnx_channels(&x->at);
    oct_node *p;
    int32_t w, b;
    if (all_are(scale, channels, 1)) scale = NULL;
    if (all_are(shift, channels, 0)) shift = NULL;
    *to = x->at;
    if (!scale && !shift) return OCT_OK;
    OCT_TRY(find_weights(n->o, x, scale, &p, &w, &b));
    return p ? into_weights(n->o, p, w, b, channels, scale, shift)
             : octi_onnx_at_rest(n, &x->at, scale, shift, to);
}

/* Training saw the codes of these weights, not those of folded ones: so they stay, and their scales
 * take the factors. */
oct_status octi_onnx_norm_into_codes(octi_onnx_node *n, const octi_onnx_value *x,
                                     const float *const par[4], float eps, bool *done) {
    const int64_t channels = octi_onnx_channels(&x->at);
    oct_node *p = octi_onnx_producer(n->o, x->at.v);
    int32_t w, b;
    *done = false;
    if (!own_params(n->o, p, &w, &b) || !octi_onnx_grid_of(n->o, w)) return OCT_OK;
    float *scale = octi_arena_alloc(n->o->arena, (size_t)channels * sizeof *scale + 1);
    float *shift = octi_arena_alloc(n->o->arena, (size_t)channels * sizeof *shift + 1);
    if (!scale || !shift) return oct_last_error()->code;
    for (int64_t c = 0; c < channels; c++) {
        scale[c] = oct_fold_factor(par[0][c], par[3][c], eps);
        shift[c] = oct_fold_bias(0, par[2][c], scale[c], par[1][c]);
    }
    OCT_TRY(find_weights(n->o, x, scale, &p, &w, &b));
    *done = p != NULL;
    return p ? into_weights(n->o, p, w, b, channels, scale, shift) : OCT_OK;
}
