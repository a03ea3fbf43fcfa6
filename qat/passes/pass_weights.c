/* SPDX-License-Identifier: MIT
 * Float nets with small weights: codes or half precision stored, floats computed; and dynamic
 * quantization, where a linear layer's input (of an LSTM, x and h of each step) becomes codes row
 * by row. No data is needed. */
#include <math.h>
#include <string.h>

#include "qat/net/fold.h"
#include "qat/net/prepared.h"
#include "qat/passes/passes.h"
#include "qat/passes/rewrite.h"
#include "src/arena.h"
#include "src/float_mode.h"
#include "src/format/safetensors.h"
#include "src/mem.h"
#include "src/qround.h"

typedef enum mode { DYNAMIC, WEIGHT_ONLY, HALF, FOLD } mode;

typedef struct weights_pass {
    octi_rewrite r;
    octi_arena *arena;
    mode mode;
    int bits;
    bool per_tensor;
    int32_t changed; /* layers */
} weights_pass;

/* Codes of o rows x, and a scale for each (all the same where the layer has one): the one rule of
 * every small form. */
static oct_status row_codes(const weights_pass *p, const char *where, const oct_qspec *spec,
                            const float *x, int64_t o, int64_t row, int8_t *q, float *scale) {
    float shared = 0;
    for (int64_t c = 0; c < o; c++) {
        float top = 0;
        for (int64_t k = c * row; k < (c + 1) * row; k++) {
            if (!isfinite(x[k]))
                return octi_fail(OCT_EQPARAMS, where,
                                 octi_fmt("weights of channel %lld are not finite", (long long)c),
                                 NULL, NULL, NULL);
            top = fmaxf(top, fabsf(x[k]));
        }
        scale[c] = oct_weight_scale(spec, top, 0, 0);
        shared = fmaxf(shared, scale[c]);
    }
    for (int64_t k = 0; k < o * row; k++) {
        if (p->per_tensor) scale[k / row] = shared;
        q[k] = (int8_t)octq_quantize(x[k], scale[k / row], 0, spec->qmin, spec->qmax);
    }
    return OCT_OK;
}

/* Weights behind the fold, and their codes (FOLD: as they are); the node gets weight and bias as
 * constants, and no batch norm. */
static oct_status codes(weights_pass *p, const oct_node *n, oct_attrs *attr, int32_t *in,
                        int32_t *nin) {
    const oct_graph *g = p->r.from->graph;
    const octi_folding fold = octi_folding_of(g, n);
    const int32_t o = fold.o;
    const int64_t row = fold.k;
    const bool has_bias = fold.b || fold.bn;
    oct_qspec spec = oct_qspec_weight(p->bits, !p->per_tensor);
    octi_arena_reset(p->arena);
    int8_t *q = octi_arena_alloc(p->arena, (size_t)(o * row));
    float *x = octi_arena_calloc(p->arena, (size_t)row * (size_t)o, sizeof *x),
          *scale = octi_arena_calloc(p->arena, (size_t)o, sizeof *scale);
    float *bias = octi_arena_calloc(p->arena, (size_t)o, sizeof *bias);
    int32_t *zeros = octi_arena_calloc(p->arena, (size_t)o, sizeof *zeros);
    if (!q || !x || !scale || !bias || !zeros) return oct_last_error()->code;
    for (int32_t c = 0; c < o; c++) {
        float f;
        octi_fold_channel(&fold, c, &f, &bias[c]);
        for (int64_t k = c * row; k < (c + 1) * row; k++) x[k] = fold.w[k] * f;
    }
    const bool floats = p->mode == FOLD;
    if (!floats) OCT_TRY(row_codes(p, n->name, &spec, x, o, row, q, scale));
    in[OCTI_W] = octi_rewrite_const(&p->r, n->name, "weight", floats ? OCT_F32 : OCT_S8,
                                    g->values[n->in[OCTI_W]].shape, floats ? (const void *)x : q);
    in[OCTI_B] =
        has_bias ? octi_rewrite_const(&p->r, n->name, "bias", OCT_F32, OCT_SHAPE(o), bias) : -1;
    if (in[OCTI_W] < 0 || (has_bias && in[OCTI_B] < 0)) return oct_last_error()->code;
    *nin = in[OCTI_B] >= 0 ? 3 : 2;
    int32_t made = -1;
    if (!floats) {
        made = octi_rewrite_qparams(&p->r, octi_fmt("%s.weight", n->name), spec,
                                    OCT_SHAPE(p->per_tensor ? 1 : o), scale, zeros);
        if (made < 0) return oct_last_error()->code;
    }
    p->r.to->graph->values[in[OCTI_W]].quantizer = made;
    attr->bn[0] = 0;
    attr->eps = attr->momentum = 0;
    p->changed++;
    return OCT_OK;
}

static bool is_lstm(oct_op_kind k) { return k == OCT_OP_lstm || k == OCT_OP_lstm_cell; }

/* Codes of one matrix as they stand, under the parameter's own name; its value in `to`, -2 on
 * failure. */
static int32_t matrix(weights_pass *p, int32_t v) {
    const oct_value *x = &p->r.from->graph->values[v];
    if (p->r.map[v] >= 0) return p->r.map[v]; /* a cell is applied many times */
    int64_t o = x->shape.dim[0], row = oct_tensor_count(x->tensor) / o;
    oct_qspec spec = oct_qspec_weight(p->bits, !p->per_tensor);
    octi_arena_reset(p->arena);
    int8_t *q = octi_arena_alloc(p->arena, (size_t)(o * row));
    float *scale = octi_arena_calloc(p->arena, (size_t)o, sizeof *scale);
    int32_t *zeros = octi_arena_calloc(p->arena, (size_t)o, sizeof *zeros);
    if (!q || !scale || !zeros) return -2;
    if (row_codes(p, x->name, &spec, oct_f32(x->tensor), o, row, q, scale) != OCT_OK) return -2;
    oct_tensor *t = octi_rewrite_tensor(&p->r, x->name, OCT_S8, x->shape, q);
    int32_t made =
        t ? octi_graph_add_value(p->r.to->graph, x->name, OCT_VALUE_CONST, OCT_S8, x->shape, t)
          : -1;
    int32_t qparams = made < 0
                          ? -1
                          : octi_rewrite_qparams(&p->r, x->name, spec,
                                                 OCT_SHAPE(p->per_tensor ? 1 : o), scale, zeros);
    if (qparams < 0) return -2;
    p->r.to->graph->values[made].quantizer = qparams;
    p->changed++;
    return p->r.map[v] = made;
}

/* A parameter as it is, or in half precision. */
static int32_t parameter(weights_pass *p, int32_t v) {
    const oct_value *x = &p->r.from->graph->values[v];
    if (p->r.map[v] >= 0) return p->r.map[v];
    const void *data = x->tensor->data;
    oct_dtype dtype = x->dtype;
    if (p->mode == HALF && dtype == OCT_F32) {
        int64_t n = oct_tensor_count(x->tensor);
        octi_arena_reset(p->arena);
        uint16_t *h = octi_arena_alloc(p->arena, (size_t)n * sizeof *h);
        if (!h) return -2;
        for (int64_t i = 0; i < n; i++) {
            h[i] = octi_f32_to_f16(oct_f32(x->tensor)[i]);
            if (isfinite(oct_f32(x->tensor)[i]) && !isfinite(octi_f16_to_f32(h[i])))
                return octi_fail(OCT_EQPARAMS, x->name,
                                 octi_fmt("element %lld does not fit half precision", (long long)i),
                                 "at most 65504", octi_fmt("%g", oct_f32(x->tensor)[i]), NULL),
                       -2;
        }
        data = h;
        dtype = OCT_F16;
        p->changed++;
    }
    oct_tensor *t = octi_rewrite_tensor(&p->r, x->name, dtype, x->shape, data);
    int32_t made =
        t ? octi_graph_add_value(p->r.to->graph, x->name, OCT_VALUE_CONST, dtype, x->shape, t) : -1;
    return made < 0 ? -2 : (p->r.map[v] = made);
}

static oct_status place(weights_pass *p, const oct_node *n) {
    const oct_graph *g = p->r.from->graph;
    int32_t in[64], nin = n->nin;
    oct_attrs attr = n->attr;
    oct_op_kind kind = n->kind;
    bool lstm = is_lstm(kind), linear = kind == OCT_OP_linear,
         small = p->mode == DYNAMIC ? linear
                                    : (p->mode == WEIGHT_ONLY || p->mode == FOLD) &&
                                          (linear || kind == OCT_OP_conv2d);
    for (int32_t k = 0; k < n->nin; k++) {
        in[k] = -1;
        if (n->in[k] < 0) continue;
        if (!g->values[n->in[k]].tensor)
            in[k] = octi_rewrite_value(&p->r, n->in[k]);
        else if (lstm && p->mode != HALF && p->mode != FOLD && (k == 1 || k == 2))
            in[k] = matrix(p, n->in[k]);
        else if (!small)
            in[k] = parameter(p, n->in[k]);
        if (in[k] == -2) return oct_last_error()->code;
    }
    if (small) OCT_TRY(codes(p, n, &attr, in, &nin));
    if (small && p->mode == DYNAMIC) kind = OCT_OP_dynamic_linear;
    if (lstm && p->mode == DYNAMIC)
        kind = kind == OCT_OP_lstm ? OCT_OP_dynamic_lstm : OCT_OP_dynamic_lstm_cell;
    attr.p = 0;
    int32_t made = octi_graph_add_node(p->r.to->graph, kind, n->name, &attr, in, nin, OCT_F32,
                                       g->values[n->out].shape);
    if (made < 0) return oct_last_error()->code;
    if (p->mode != FOLD) p->r.to->graph->nodes[made].reason = OCT_FLOAT_weights;
    p->r.map[n->out] = p->r.to->graph->nodes[made].out;
    return OCT_OK;
}

static oct_net *run(const oct_net *net, weights_pass *p, const char *where) {
    if (!net) return NULL;
    if (net->stage > OCT_STAGE_FUSED) {
        octi_fail(OCT_EUSAGE, where, "net is quantized already", "a float net", NULL, NULL);
        return octi_ctx_failed(net->ctx), NULL;
    }
    oct_net *fused = p->mode == HALF ? NULL : oct_fuse(net);
    if (p->mode != HALF && !fused) return NULL;
    const oct_net *from = fused ? fused : net;
    oct_status s = octi_rewrite_begin(&p->r, from, OCT_STAGE_INT8, false);
    if (s == OCT_OK && !(p->arena = octi_arena_new(net->ctx))) s = oct_last_error()->code;
    if (s == OCT_OK && octi_rewrite_value(&p->r, from->graph->input) < 0)
        s = oct_last_error()->code;
    for (int32_t i = 0; s == OCT_OK && i < from->graph->node_count; i++)
        s = place(p, &from->graph->nodes[i]);
    if (s == OCT_OK && !p->changed && p->mode != FOLD)
        s = octi_fail(OCT_EUNSUPPORTED, where, "no layer has weights to make small", NULL, NULL,
                      NULL);
    int32_t output = s == OCT_OK ? p->r.map[from->graph->output] : -1;
    octi_arena_free(p->arena);
    oct_net *made = octi_rewrite_end(&p->r, s, output);
    oct_net_free(fused);
    return made;
}

static bool sound(const oct_net *net, const oct_weight_opts *o, weights_pass *p,
                  const char *where) {
    p->bits = o && o->bits ? o->bits : 8;
    p->per_tensor = o && o->per_tensor;
    if (p->bits >= 2 && p->bits <= 8) return true;
    octi_fail(OCT_EUSAGE, where, "bits out of range", "2 to 8", octi_fmt("%d", p->bits), NULL);
    if (net) octi_ctx_failed(net->ctx);
    return false;
}

oct_net *oct_quantize_dynamic(const oct_net *net, const oct_weight_opts *opts) {
    OCTI_LAW_MODE();
    weights_pass p = {.mode = DYNAMIC};
    return sound(net, opts, &p, "oct_quantize_dynamic") ? run(net, &p, "oct_quantize_dynamic")
                                                        : NULL;
}

oct_net *oct_quantize_weight_only(const oct_net *net, const oct_weight_opts *opts) {
    OCTI_LAW_MODE();
    weights_pass p = {.mode = WEIGHT_ONLY};
    return sound(net, opts, &p, "oct_quantize_weight_only")
               ? run(net, &p, "oct_quantize_weight_only")
               : NULL;
}

oct_net *oct_half(const oct_net *net) {
    OCTI_LAW_MODE();
    weights_pass p = {.mode = HALF};
    return run(net, &p, "oct_half");
}

oct_net *oct_fold(const oct_net *net) {
    OCTI_LAW_MODE();
    weights_pass p = {.mode = FOLD, .bits = 8};
    return run(net, &p, "oct_fold");
}

void oct_weight_opts_init(oct_weight_opts *opts) {
    if (opts) *opts = (oct_weight_opts){0};
}
