/* SPDX-License-Identifier: MIT
 * G2 -> G3: float nodes as they are, int8 nodes by their integer kind with codes, biases and
 * multipliers stored. Weights come from the function that training and eval use, activations'
 * qparams are copied byte for byte. */
#include "qat/passes/pass_convert.h"

#include <string.h>

#include "ops/windows.h"
#include "qat/int8/int8.h"
#include "qat/net/function_codes.h"
#include "qat/passes/rewrite.h"
#include "qat/scales/weights.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/qround.h"

typedef struct convert_state {
    octi_rewrite r;
    octi_arena *arena;
    oct_net *from;
    int32_t *quantizer; /* [from quantizers]: index in the new graph, -1 */
    octi_converted count;
} convert_state;

/* The new index of an activation's quantizer, refused where it was never observed. */
static int32_t activation_quantizer(convert_state *c, int32_t i) {
    if (c->quantizer[i] >= 0) return c->quantizer[i];
    const oct_quantizer *q = &c->from->graph->quantizers[i];
    if (!octi_quantizer_ready(q)) return (void)octi_not_observed(q), -1;
    if (oct_qparams_check(&q->spec, octi_scale(q), octi_zero_point(q), q->name) != OCT_OK)
        return -1;
    return c->quantizer[i] = octi_rewrite_qparams(&c->r, q->name, q->spec, OCT_SHAPE(1),
                                                  oct_f32(q->scale), oct_s32(q->zero_point));
}

/* ---- nodes ---- */

typedef struct new_node {
    oct_op_kind kind;
    oct_attrs attr;
    int32_t in[OCTI_MAX_INPUTS], nin;
} new_node;

static const oct_quantizer *quantizer_of(const convert_state *c, int32_t value) {
    return &c->from->graph->quantizers[c->from->graph->values[value].quantizer];
}

/* What a requant carries, by its node's law. */
typedef struct records {
    int64_t count;
    float *m;             /* fp32 [count] */
    int32_t *q31, *shift; /* q31 [2,count]: multipliers, then shifts */
} records;

static oct_status new_records(convert_state *c, const oct_node *n, int64_t count, records *by) {
    *by = (records){.count = count};
    if (n->attr.law[0] == OCTQ_FP32) {
        by->m = octi_arena_calloc(c->arena, (size_t)count, sizeof *by->m);
        return by->m ? OCT_OK : oct_last_error()->code;
    }
    by->q31 = octi_arena_calloc(c->arena, (size_t)count, 2 * sizeof *by->q31);
    by->shift = by->q31 ? by->q31 + count : NULL;
    return by->q31 ? OCT_OK : oct_last_error()->code;
}

static oct_status put_records(convert_state *c, const oct_node *n, new_node *out,
                              const records *by) {
    for (int64_t i = 0; by->q31 && i < by->count; i++)
        if (by->shift[i] > 30)
            return octi_fail(OCT_ELIMIT, n->name, "its multiplier is too large for fixed point",
                             "below 2^30", octi_fmt("2^%d", by->shift[i]), NULL);
    const int32_t v = by->m ? octi_rewrite_const(&c->r, n->name, "multiplier", OCT_F32,
                                                 OCT_SHAPE(by->count), by->m)
                            : octi_rewrite_const(&c->r, n->name, "multiplier", OCT_S32,
                                                 OCT_SHAPE(2, by->count), by->q31);
    if (v < 0) return oct_last_error()->code;
    out->in[out->nin++] = v;
    return OCT_OK;
}

static oct_status weighted(convert_state *c, const oct_node *n, new_node *out) {
    oct_graph *g = c->from->graph;
    const oct_quantizer *x = quantizer_of(c, n->in[OCTI_X]), *y = quantizer_of(c, n->out);
    octi_qweights w;
    bool fits24;
    octi_arena_reset(c->arena);
    OCT_TRY(octi_quantize_weights(c->from, n, octi_scale(x), c->arena, &w));
    OCT_TRY(octi_check_accumulators(x, n, &w, &fits24));
    int32_t *zeros = octi_arena_calloc(c->arena, (size_t)w.o, sizeof *zeros);
    records by;
    if (!zeros) return oct_last_error()->code;
    OCT_TRY(new_records(c, n, w.o, &by));
    for (int32_t o = 0; o < w.o; o++) {
        if (by.m) by.m[o] = octq_multiplier(octi_scale(x), w.scale[o], octi_scale(y));
        if (by.q31)
            octq_q31_of(octq_product_ratio(octi_scale(x), w.scale[o], octi_scale(y)), &by.q31[o],
                        &by.shift[o]);
    }
    oct_shape shape = g->values[n->in[OCTI_W]].shape;
    if (n->kind == OCT_OP_batch_norm) {
        shape = OCT_SHAPE(w.o, 1, 1, 1);
        out->attr = (oct_attrs){.kernel = {1, 1},
                                .stride = {1, 1},
                                .dilation = {1, 1},
                                .groups = {w.o},
                                .law = {n->attr.law[0]}};
    }
    out->in[1] = octi_rewrite_const(&c->r, n->name, "weight", OCT_S8, shape, w.codes);
    out->in[2] = octi_rewrite_const(&c->r, n->name, "bias", OCT_S32, OCT_SHAPE(w.o), w.bias_code);
    out->nin = 3;
    OCT_TRY(put_records(c, n, out, &by));
    oct_qspec spec = octi_weight_quantizer(g, n)->spec;
    spec.per_channel = true; /* stored one per channel, also where all are equal */
    int32_t q = out->in[1] < 0 ? -1
                               : octi_rewrite_qparams(&c->r, octi_fmt("%s.weight", n->name), spec,
                                                      OCT_SHAPE(w.o), w.scale, zeros);
    if (q < 0 || out->in[2] < 0) return oct_last_error()->code;
    c->r.to->graph->values[out->in[1]].quantizer = q;
    out->attr.bn[0] = 0; /* act stays, for those who print the net */
    out->attr.eps = out->attr.momentum = 0;
    return OCT_OK;
}

static float scale_of(const convert_state *c, int32_t value) {
    return octi_scale(quantizer_of(c, value));
}

/* cat, requantize; add, which in fixed point has a record for the sum too */
static oct_status join(convert_state *c, const oct_node *n, new_node *out) {
    const bool sum = n->kind == OCT_OP_add;
    const float y = scale_of(c, n->out);
    records by;
    octi_arena_reset(c->arena);
    OCT_TRY(new_records(c, n, n->nin + (sum && n->attr.law[0] == OCTQ_Q31), &by));
    for (int32_t k = 0; k < n->nin; k++) {
        const float x = scale_of(c, n->in[k]);
        if (by.m) by.m[k] = octq_ratio(x, y);
        if (by.q31) octq_q31_of((double)x / (double)y, &by.q31[k], &by.shift[k]);
    }
    if (by.q31 && sum)
        octq_q31_add_of(scale_of(c, n->in[0]), scale_of(c, n->in[1]), y, by.q31, by.shift);
    return put_records(c, n, out, &by);
}

/* Most cells that a window can hold. */
static int64_t most_cells(const convert_state *c, const oct_node *n) {
    const oct_graph *g = c->from->graph;
    const int64_t *x = g->values[n->in[0]].shape.dim, *y = g->values[n->out].shape.dim;
    if (n->kind == OCT_OP_avg_pool2d) return (int64_t)n->attr.kernel[0] * n->attr.kernel[1];
    int64_t side[2] = {1, 1};
    for (int axis = 0; axis < 2; axis++)
        for (int64_t i = 0; i < y[axis + 1]; i++) {
            const octi_cells along = octi_cells_of(n, axis, i, x[axis + 1], y[axis + 1]);
            if (along.to - along.from > side[axis]) side[axis] = along.to - along.from;
        }
    return side[0] * side[1];
}

static oct_status average(convert_state *c, const oct_node *n, new_node *out) {
    int64_t cells = most_cells(c, n);
    const float x = scale_of(c, n->in[0]), y = scale_of(c, n->out);
    records by;
    if (octi_grid_of(n) == OCTI_GRID_SHARE) return OCT_OK; /* a division */
    octi_arena_reset(c->arena);
    OCT_TRY(new_records(c, n, cells + 1, &by));
    /* a window is never empty; the table stays positive throughout */
    for (int64_t i = 0; i <= cells; i++) {
        if (by.m) by.m[i] = octq_mean_multiplier(x, y, i ? i : 1);
        if (by.q31) octq_q31_mean_of(x, y, i ? i : 1, &by.q31[i], &by.shift[i]);
    }
    return put_records(c, n, out, &by);
}

static oct_status table(convert_state *c, const oct_node *n, new_node *out) {
    const oct_quantizer *x = quantizer_of(c, n->in[0]), *y = quantizer_of(c, n->out);
    float values[256];
    uint8_t codes[256];
    octi_function_values(n, x, y, values);
    (void)octi_function_rounded(n, x, y, values);
    for (int k = 0; k < 256; k++)
        codes[k] =
            (uint8_t)octq_table_code(values[k], octi_zero_point(y), y->spec.qmin, y->spec.qmax);
    out->attr.slope = 0;
    out->in[out->nin++] =
        octi_rewrite_const(&c->r, n->name, "table", OCT_U8, OCT_SHAPE(256), codes);
    return out->in[1] < 0 ? oct_last_error()->code : OCT_OK;
}

static oct_status softmax(convert_state *c, const oct_node *n, new_node *out) {
    float e[256];
    octi_softmax_exps(quantizer_of(c, n->in[0]), e);
    out->in[out->nin++] = octi_rewrite_const(&c->r, n->name, "exp", OCT_F32, OCT_SHAPE(256), e);
    return out->in[1] < 0 ? oct_last_error()->code : OCT_OK;
}

static oct_status product(convert_state *c, const oct_node *n, new_node *out) {
    const float a = scale_of(c, n->in[0]), b = scale_of(c, n->in[1]), y = scale_of(c, n->out);
    records by;
    octi_arena_reset(c->arena);
    OCT_TRY(new_records(c, n, 1, &by));
    if (by.m) by.m[0] = octq_multiplier(a, b, y);
    if (by.q31) octq_q31_of(octq_product_ratio(a, b, y), by.q31, by.shift);
    return put_records(c, n, out, &by);
}

static oct_status pad_code(convert_state *c, const oct_node *n, new_node *out) {
    const oct_quantizer *q = quantizer_of(c, n->out);
    out->attr.lo[0] =
        octq_quantize(n->attr.value, octi_scale(q), octi_zero_point(q), q->spec.qmin, q->spec.qmax);
    out->attr.value = 0;
    return OCT_OK;
}

static oct_status clip(convert_state *c, const oct_node *n, new_node *out) {
    (void)c, (void)n;
    out->attr.least = out->attr.most = 0; /* its clamps are codes */
    return OCT_OK;
}

/* Codes go through as they are; dropout's rate means nothing here. */
static oct_status same_codes(convert_state *c, const oct_node *n, new_node *out) {
    (void)c, (void)n;
    out->attr.p = 0;
    return OCT_OK;
}

/* The table of kinds: what an integer node holds; whether it clamps its codes, and rounds by a
 * law. */
static const struct {
    oct_status (*make)(convert_state *c, const oct_node *n, new_node *out);
    bool clamps, requants;
} makers[OCT_OP_KIND_COUNT] = {
    [OCT_OP_qconv2d] = {weighted, true, true},
    [OCT_OP_qlinear] = {weighted, true, true},
    [OCT_OP_qadd] = {join, true, true},
    [OCT_OP_qcat] = {join, true, true},
    [OCT_OP_requantize] = {join, false, true},
    [OCT_OP_qavg_pool2d] = {average, true, true},
    [OCT_OP_qadaptive_avg_pool2d] = {average, true, true},
    [OCT_OP_qmul] = {product, true, true},
    [OCT_OP_qtable] = {table, false, false},
    [OCT_OP_qsoftmax] = {softmax, false, false},
    [OCT_OP_qpad] = {pad_code, false, false},
    [OCT_OP_qclip] = {clip, true, false},
    [OCT_OP_max_pool2d] = {same_codes, false, false},
    [OCT_OP_relu] = {same_codes, false, false},
    [OCT_OP_flatten] = {same_codes, false, false},
    [OCT_OP_reshape] = {same_codes, false, false},
    [OCT_OP_identity] = {same_codes, false, false},
    [OCT_OP_slice] = {same_codes, false, false},
};

bool octi_convert_has(oct_op_kind int8) { return makers[int8].make != NULL; }

static oct_status int8_node(convert_state *c, const oct_node *n, new_node *out) {
    const oct_quantizer *q = quantizer_of(c, n->out);
    out->kind =
        octi_is_requantize(c->from->graph, n) ? OCT_OP_requantize : octi_backend(n->kind)->int8;
    if (!octi_convert_has(out->kind))
        return octi_fail(OCT_EINTERNAL, n->name, "no row in convert's table", NULL,
                         oct_op_name(out->kind), NULL);
    OCT_TRY(makers[out->kind].make(c, n, out));
    if (!makers[out->kind].requants) out->attr.law[0] = 0;
    if (makers[out->kind].clamps) octi_node_clamp(q, n, &out->attr.lo[0], &out->attr.hi[0]);
    return OCT_OK;
}

static oct_status convert_node(convert_state *c, const oct_node *n) {
    const oct_graph *g = c->from->graph;
    bool int8 = octi_is_int8(g, n),
         is_border = n->kind == OCT_OP_dequantize ||
                     (n->kind == OCT_OP_quantize && !octi_is_requantize(g, n));
    new_node out = {.kind = n->kind, .attr = n->attr, .nin = int8 ? 0 : n->nin};
    if (is_border) out.attr.law[0] = 0;
    for (int32_t k = 0; k < n->nin; k++) {
        bool act = n->in[k] >= 0 && !g->values[n->in[k]].tensor;
        if (int8 && !act) continue;
        if ((out.in[k] = octi_rewrite_value(&c->r, n->in[k])) == -2) return oct_last_error()->code;
        if (int8) out.nin = k + 1;
    }
    if (int8 && !is_border) OCT_TRY(int8_node(c, n, &out));
    if (!is_border) c->count.layers_int8 += int8, c->count.layers_float += !int8;
    int32_t q = -1;
    if (int8 && (q = activation_quantizer(c, g->values[n->out].quantizer)) < 0)
        return oct_last_error()->code;
    int32_t at = octi_graph_add_node(c->r.to->graph, out.kind, n->name, &out.attr, out.in, out.nin,
                                     int8 ? OCT_U8 : OCT_F32, g->values[n->out].shape);
    if (at < 0) return oct_last_error()->code;
    c->r.to->graph->nodes[at].reason = n->reason;
    int32_t v = c->r.to->graph->nodes[at].out;
    c->r.to->graph->values[v].quantizer = q;
    c->r.map[n->out] = v;
    return OCT_OK;
}

/* Law 13: the code of every pixel value, per channel, where the input goes straight into codes. */
static oct_status input_table(convert_state *c) {
    const oct_graph *g = c->from->graph;
    const oct_input_desc *in = &c->from->input;
    if (g->values[g->input].shape.rank != 4 || in->channels < 1 || in->channels > 4) return OCT_OK;
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        if (n->kind != OCT_OP_quantize || n->in[0] != g->input) continue;
        const oct_quantizer *q = quantizer_of(c, n->out);
        uint8_t table[4][256];
        for (int ch = 0; ch < in->channels; ch++)
            for (int p = 0; p < 256; p++)
                table[ch][p] = (uint8_t)octq_quantize(
                    octq_pixel((uint8_t)p, in->div, in->mean[ch], in->std[ch]), octi_scale(q),
                    octi_zero_point(q), q->spec.qmin, q->spec.qmax);
        return octi_rewrite_tensor(&c->r, "input.table", OCT_U8, OCT_SHAPE(in->channels, 256),
                                   table)
                   ? OCT_OK
                   : oct_last_error()->code;
    }
    return OCT_OK;
}

/* Constants of float layers: what octi_rewrite_value looks up by name. */
static oct_status float_tensors(convert_state *c) {
    const oct_graph *g = c->from->graph;
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        if (octi_is_int8(g, n)) continue;
        for (int32_t k = 0; k < n->nin; k++) {
            const oct_value *v = n->in[k] < 0 ? NULL : &g->values[n->in[k]];
            if (v && v->tensor && !oct_net_tensor(c->r.to, v->name) &&
                !octi_rewrite_tensor(&c->r, v->name, v->dtype, v->shape, v->tensor->data))
                return oct_last_error()->code;
        }
    }
    return OCT_OK;
}

/* Evaluation honours a switch; an int8 net has none. */
static oct_status check_switches(const oct_graph *g) {
    for (int32_t i = 0; i < g->quantizer_count; i++) {
        const oct_quantizer *q = &g->quantizers[i];
        if (q->enabled && !oct_u8(q->enabled)[1])
            return octi_fail(OCT_EUSAGE, q->name, "its fake quantization is switched off",
                             "on in every layer", "off",
                             "oct_net_fake_quantize(net, true), or prepare with a rule that keeps "
                             "the layer float");
    }
    return OCT_OK;
}

static oct_status convert(convert_state *c) {
    oct_graph *g = c->from->graph;
    OCT_TRY(check_switches(g));
    c->r.to->hooks = NULL;
    c->quantizer = octi_calloc(c->from->ctx, (size_t)g->quantizer_count + 1, sizeof *c->quantizer);
    if (!c->quantizer) return oct_last_error()->code;
    for (int32_t i = 0; i < g->quantizer_count; i++) c->quantizer[i] = -1;
    OCT_TRY(float_tensors(c));
    if (octi_rewrite_value(&c->r, g->input) < 0) return oct_last_error()->code;
    for (int32_t i = 0; i < g->node_count; i++) OCT_TRY(convert_node(c, &g->nodes[i]));
    for (int32_t v = 0; v < c->r.to->graph->value_count; v++) {
        oct_value *x = &c->r.to->graph->values[v];
        if (!x->tensor) continue;
        x->role = OCT_VALUE_CONST;
        x->frozen = false; /* no parameter any more */
    }
    OCT_TRY(input_table(c));
    c->count.bytes = c->r.bytes;
    return OCT_OK;
}

oct_net *octi_convert_pass(oct_net *settled, octi_converted *count) {
    convert_state c = {.from = settled, .arena = octi_arena_new(settled->ctx)};
    if (!c.arena) return octi_ctx_failed(settled->ctx), NULL;
    oct_status s = octi_rewrite_begin(&c.r, settled, OCT_STAGE_INT8, false);
    if (s == OCT_OK) s = convert(&c);
    oct_net *made = octi_rewrite_end(&c.r, s, s == OCT_OK ? c.r.map[settled->graph->output] : -1);
    octi_free(settled->ctx, c.quantizer);
    octi_arena_free(c.arena);
    *count = c.count;
    return made;
}
