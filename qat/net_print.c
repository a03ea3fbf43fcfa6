/* SPDX-License-Identifier: MIT
 * A net as PyTorch prints its modules: nested by path, quantized modules with their scale and zero
 * point. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qat/qat.h"
#include "src/float_mode.h"

typedef struct printer {
    const oct_net *net;
    void (*line)(void *user, const char *line);
    void *user;
    char text[1024];
    size_t used;
} printer;

static void put(printer *p, const char *format, ...) OCT_PRINTF(2, 3);
static void put(printer *p, const char *format, ...) {
    va_list a;
    va_start(a, format);
    int n = vsnprintf(p->text + p->used, sizeof p->text - p->used, format, a);
    va_end(a);
    if (n > 0)
        p->used += (size_t)n < sizeof p->text - p->used ? (size_t)n : sizeof p->text - p->used - 1;
}

static void flush(printer *p) {
    p->line(p->user, p->text);
    p->used = 0;
    *p->text = 0;
}

/* Shortest digits that give the value back: Python's repr of a float. */
static void put_real(printer *p, double v) {
    char t[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(t, sizeof t, "%.*g", digits, v);
        if (strtod(t, NULL) == v) break;
    }
    put(p, "%s%s", t, strpbrk(t, ".en") ? "" : ".0");
}

static const oct_quantizer *quantizer_of(const oct_net *net, int32_t value) {
    int32_t q = value >= 0 ? net->graph->values[value].quantizer : -1;
    return q >= 0 ? &net->graph->quantizers[q] : NULL;
}

/* scale=S, zero_point=Z of the node's output; nothing for floats. */
static void put_qparams(printer *p, const oct_node *n) {
    const oct_quantizer *q = quantizer_of(p->net, n->out);
    if (!q || !q->scale || !q->zero_point || p->net->stage != OCT_STAGE_INT8) return;
    put(p, "scale=");
    put_real(p, oct_f32(q->scale)[0]);
    put(p, ", zero_point=%d", oct_s32(q->zero_point)[0]);
}

/* A quantized tensor is "affine" elsewhere, whatever its zero points; what made it says whether
 * they were bound to be 0. */
static const char *observed_scheme(const oct_quantizer *q) {
    if (q->spec.per_channel)
        return q->spec.symmetric ? "torch.per_channel_symmetric" : "torch.per_channel_affine";
    return q->spec.symmetric ? "torch.per_tensor_symmetric" : "torch.per_tensor_affine";
}
static const char *scheme(const oct_quantizer *w) {
    return w && oct_quantizer_is_per_channel(w) ? "torch.per_channel_affine"
                                                : "torch.per_tensor_affine";
}

/* An int8 net's node that gives codes; what it keeps in float says its activation as before. */
static bool in_codes(const printer *p, const oct_node *n) {
    return p->net->stage == OCT_STAGE_INT8 && quantizer_of(p->net, n->out) != NULL;
}

/* In codes a ReLU is a clamp at the zero point, which a range without negative values has too: what
 * a node says of itself goes before it. */
static bool relu_of(const printer *p, const oct_node *n) {
    const oct_quantizer *q = quantizer_of(p->net, n->out);
    if (n->attr.act[0] == OCT_ACT_RELU || n->attr.act[0] == OCT_ACT_RELU6) return true;
    if (!in_codes(p, n) || !q->zero_point) return false;
    const int32_t zero = oct_s32(q->zero_point)[0];
    return zero > q->spec.qmin && n->attr.lo[0] >= zero;
}

static const char *act_word(const printer *p, const oct_node *n) {
    if (!in_codes(p, n) && n->attr.act[0] == OCT_ACT_RELU6) return "ReLU6";
    return relu_of(p, n) ? "ReLU" : "";
}

/* Codes for weights of a layer that computes in floats. */
static bool weight_only(const printer *p, const oct_node *n) {
    const oct_tensor *w = p->net->graph->values[n->in[1]].tensor;
    return w && w->dtype == OCT_S8 && (n->kind == OCT_OP_conv2d || n->kind == OCT_OP_linear);
}

static void put_weight_scheme(printer *p, const oct_node *n) {
    if (weight_only(p, n))
        put(p, ", dtype=torch.qint8, qscheme=%s", scheme(quantizer_of(p->net, n->in[1])));
}

static void print_conv(printer *p, const oct_node *n) {
    const oct_graph *g = p->net->graph;
    const oct_attrs *a = &n->attr;
    const oct_shape *w = &g->values[n->in[1]].shape;
    bool int8 = n->kind == OCT_OP_qconv2d, bias = n->nin > 2 && n->in[2] >= 0;
    int groups = a->groups[0] > 1 ? a->groups[0] : 1;
    put(p, "%sConv%s%s2d(%lld, %lld, kernel_size=(%d, %d), stride=(%d, %d)",
        int8                ? "Quantized"
        : weight_only(p, n) ? "WeightOnlyQuantized"
                            : "",
        a->bn[0] ? "Bn" : "", act_word(p, n), (long long)w->dim[3] * groups, (long long)w->dim[0],
        a->kernel[0], a->kernel[1], a->stride[0], a->stride[1]);
    if (int8) put(p, ", ");
    put_qparams(p, n);
    const int32_t *pad = a->pads;
    /* top left bottom right */
    if (pad[0] != pad[2] || pad[1] != pad[3])
        put(p, ", padding=(%d, %d, %d, %d)", pad[0], pad[1], pad[2], pad[3]);
    else if (pad[0] || pad[1])
        put(p, ", padding=(%d, %d)", pad[0], pad[1]);
    if (a->dilation[0] > 1 || a->dilation[1] > 1)
        put(p, ", dilation=(%d, %d)", a->dilation[0], a->dilation[1]);
    if (groups > 1) put(p, ", groups=%d", groups);
    if (int8 && !oct_quantizer_is_per_channel(quantizer_of(p->net, n->in[1])))
        put(p, ", qscheme=%s", scheme(NULL));
    put_weight_scheme(p, n);
    put(p, "%s)", bias || int8 ? "" : ", bias=False");
}

static void print_linear(printer *p, const oct_node *n) {
    const oct_shape *w = &p->net->graph->values[n->in[1]].shape;
    bool int8 = n->kind == OCT_OP_qlinear, dynamic = n->kind == OCT_OP_dynamic_linear;
    if (dynamic) {
        put(p,
            "DynamicQuantizedLinear%s(in_features=%lld, out_features=%lld, dtype=torch.qint8, "
            "qscheme=%s)",
            act_word(p, n), (long long)w->dim[1], (long long)w->dim[0],
            scheme(quantizer_of(p->net, n->in[1])));
        return;
    }
    put(p, "%sLinear%s%s(in_features=%lld, out_features=%lld, ",
        int8                ? "Quantized"
        : weight_only(p, n) ? "WeightOnlyQuantized"
                            : "",
        n->attr.bn[0] ? "Bn1d" : "", act_word(p, n), (long long)w->dim[1], (long long)w->dim[0]);
    if (int8) {
        put_qparams(p, n);
        put(p, ", qscheme=%s)", scheme(quantizer_of(p->net, n->in[1])));
    } else {
        put(p, "bias=%s", n->nin > 2 && n->in[2] >= 0 ? "True" : "False");
        put_weight_scheme(p, n);
        put(p, ")");
    }
}

static void print_lstm(printer *p, const oct_node *n) {
    const oct_graph *g = p->net->graph;
    bool dynamic = n->kind == OCT_OP_dynamic_lstm || n->kind == OCT_OP_dynamic_lstm_cell,
         cell = n->kind == OCT_OP_lstm_cell || n->kind == OCT_OP_dynamic_lstm_cell;
    put(p, "%sLSTM%s(%lld, %lld", dynamic ? "DynamicQuantized" : "", cell ? "Cell" : "",
        (long long)g->values[n->in[1]].shape.dim[1], (long long)g->values[n->in[2]].shape.dim[1]);
    if (n->nin < 4 || n->in[3] < 0) put(p, ", bias=False");
    if (!cell) put(p, ", batch_first=True");
    if (dynamic) put(p, ", dtype=torch.qint8, qscheme=%s", scheme(quantizer_of(p->net, n->in[1])));
    put(p, ")");
}

static void print_batch_norm(printer *p, const oct_node *n) {
    const oct_value *x = octi_node_in(p->net->graph, n, 0);
    put(p, "%s%s(%lld, eps=", *act_word(p, n) ? octi_fmt("BN%s", act_word(p, n)) : "BatchNorm",
        x->shape.rank == 4 ? "2d" : "1d", (long long)x->shape.dim[x->shape.rank - 1]);
    char t[24];
    snprintf(t, sizeof t, "%.7g", (double)n->attr.eps); /* of floats the decimal that was meant */
    put_real(p, strtod(t, NULL));
    snprintf(t, sizeof t, "%.7g", (double)n->attr.momentum);
    put(p, ", momentum=");
    put_real(p, strtod(t, NULL));
    put(p, ", affine=True, track_running_stats=True)");
}

static void put_pair(printer *p, const char *key, const int32_t v[2]) {
    if (v[0] == v[1])
        put(p, "%s=%d", key, v[0]);
    else
        put(p, "%s=(%d, %d)", key, v[0], v[1]);
}

static void print_pool(printer *p, const oct_node *n) {
    bool most = n->kind == OCT_OP_max_pool2d;
    const oct_attrs *a = &n->attr;
    put(p, most ? "MaxPool2d(" : "AvgPool2d(");
    put_pair(p, "kernel_size", a->kernel);
    put_pair(p, ", stride", a->stride);
    if (a->pads[0] != a->pads[2] || a->pads[1] != a->pads[3])
        put(p, ", padding=(%d, %d, %d, %d)", a->pads[0], a->pads[1], a->pads[2], a->pads[3]);
    else
        put_pair(p, ", padding", a->pads);
    if (most) {
        const int32_t one[2] = {a->dilation[0] ? a->dilation[0] : 1,
                                a->dilation[1] ? a->dilation[1] : 1};
        put_pair(p, ", dilation", one);
        put(p, ", ceil_mode=False");
    }
    put(p, ")");
}

static void print_adaptive(printer *p, const oct_node *n) {
    put(p, "AdaptiveAvgPool2d(output_size=(%d, %d))", n->attr.out_size[0], n->attr.out_size[1]);
}
static void print_flatten(printer *p, const oct_node *n) {
    (void)n, put(p, "Flatten(start_dim=1, end_dim=-1)");
}
static void print_softmax(printer *p, const oct_node *n) {
    put(p, "%s(dim=1)", n->kind == OCT_OP_softmax ? "Softmax" : "LogSoftmax");
}
static void print_dropout(printer *p, const oct_node *n) {
    put(p, "Dropout(p=%.6g, inplace=False)", (double)n->attr.p);
}
static void print_dequantize(printer *p, const oct_node *n) { (void)n, put(p, "DeQuantize()"); }

static void print_quantize(printer *p, const oct_node *n) {
    const oct_quantizer *q = quantizer_of(p->net, n->out);
    if (!q || !q->scale || !q->zero_point) {
        put(p, "QuantStub()");
        return;
    }
    double s = oct_f32(q->scale)[0];
    put(p, s >= 1e-4 ? "Quantize(scale=tensor([%.4f])" : "Quantize(scale=tensor([%.4e])", s);
    put(p, ", zero_point=tensor([%d]), dtype=torch.quint8)", oct_s32(q->zero_point)[0]);
}

static void print_functional(printer *p, const oct_node *n) {
    put(p, p->net->stage == OCT_STAGE_INT8 ? "QFunctional(" : "FloatFunctional(");
    if (!in_codes(p, n) && n->attr.act[0])
        put(p, n->attr.act[0] == OCT_ACT_RELU ? "add_relu" : "add_relu6");
    put_qparams(p, n);
    put(p, ")");
}

static void print_identity(printer *p, const oct_node *n) {
    static const char *const words[] = {
        [OCT_STUB_NONE] = "Identity()",
        [OCT_STUB_QUANT] = "QuantStub()",
        [OCT_STUB_DEQUANT] = "DeQuantStub()",
    };
    put(p, "%s", words[n->attr.stub[0]]);
}

/* "batch_norm" -> "BatchNorm": kinds that have no counterpart there. */
static void print_other(printer *p, const oct_node *n) {
    bool up = true;
    for (const char *s = oct_op_name(n->kind); *s; s++) {
        if (*s == '_')
            up = true;
        else
            put(p, "%c", up ? toupper((unsigned char)*s) : *s), up = false;
    }
    put(p, "(");
    put_qparams(p, n);
    put(p, ")");
}

static void print_clamp(printer *p, const oct_node *n) {
    put(p, "Hardtanh(min_val=%.6g, max_val=%.6g)", (double)n->attr.least, (double)n->attr.most);
}

static void print_slope(printer *p, const oct_node *n) {
    put(p, n->kind == OCT_OP_elu ? "ELU(alpha=" : "LeakyReLU(negative_slope=");
    char t[24];
    snprintf(t, sizeof t, "%.7g", (double)n->attr.slope);
    put_real(p, strtod(t, NULL));
    put(p, ")");
}

static void print_relu(printer *p, const oct_node *n) {
    put(p, n->kind == OCT_OP_relu ? "ReLU()" : "ReLU6()");
}

static const struct row {
    oct_op_kind kind;
    void (*print)(printer *p, const oct_node *n);
} rows[] = {
    {OCT_OP_conv2d, print_conv},
    {OCT_OP_qconv2d, print_conv},
    {OCT_OP_linear, print_linear},
    {OCT_OP_qlinear, print_linear},
    {OCT_OP_dynamic_linear, print_linear},
    {OCT_OP_batch_norm, print_batch_norm},
    {OCT_OP_max_pool2d, print_pool},
    {OCT_OP_avg_pool2d, print_pool},
    {OCT_OP_qavg_pool2d, print_pool},
    {OCT_OP_adaptive_avg_pool2d, print_adaptive},
    {OCT_OP_qadaptive_avg_pool2d, print_adaptive},
    {OCT_OP_flatten, print_flatten},
    {OCT_OP_softmax, print_softmax},
    {OCT_OP_log_softmax, print_softmax},
    {OCT_OP_dropout, print_dropout},
    {OCT_OP_quantize, print_quantize},
    {OCT_OP_dequantize, print_dequantize},
    {OCT_OP_add, print_functional},
    {OCT_OP_cat, print_functional},
    {OCT_OP_qadd, print_functional},
    {OCT_OP_qmul, print_functional},
    {OCT_OP_qcat, print_functional},
    {OCT_OP_identity, print_identity},
    {OCT_OP_relu, print_relu},
    {OCT_OP_relu6, print_relu},
    {OCT_OP_leaky_relu, print_slope},
    {OCT_OP_elu, print_slope},
    {OCT_OP_lstm, print_lstm},
    {OCT_OP_lstm_cell, print_lstm},
    {OCT_OP_dynamic_lstm, print_lstm},
    {OCT_OP_dynamic_lstm_cell, print_lstm},
    {OCT_OP_clamp, print_clamp},
};

static void print_node(printer *p, const oct_node *n) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].kind == n->kind) {
            rows[i].print(p, n);
            return;
        }
    print_other(p, n);
}

static float least_of(const oct_tensor *t) {
    float v = oct_f32(t)[0];
    for (int64_t i = 1; i < oct_tensor_count(t); i++) v = oct_f32(t)[i] < v ? oct_f32(t)[i] : v;
    return v;
}

static float most_of(const oct_tensor *t) {
    float v = oct_f32(t)[0];
    for (int64_t i = 1; i < oct_tensor_count(t); i++) v = oct_f32(t)[i] > v ? oct_f32(t)[i] : v;
    return v;
}

/* What training observes and rounds: one line per quantizer of the node, under its module. */
static void print_fake(printer *p, const oct_node *n, int depth) {
    const struct {
        const char *name;
        int32_t value;
    } part[2] = {{"weight_fake_quant", n->nin > 1 ? n->in[1] : -1},
                 {"activation_post_process", n->out}};
    for (int i = 0; i < 2; i++) {
        const oct_quantizer *q = quantizer_of(p->net, part[i].value);
        if (!q || !q->scale || !q->zero_point ||
            (i == 0 && !p->net->graph->values[part[i].value].tensor))
            continue;
        int64_t count = oct_tensor_count(q->scale);
        put(p, "%*s(%s): FakeQuantize(observer=%s, quant_min=%d, quant_max=%d, qscheme=%s, ",
            2 * depth, "", part[i].name, q->observer, q->spec.qmin, q->spec.qmax,
            observed_scheme(q));
        put(p, "scale=tensor([%.6g%s]), zero_point=tensor([%d%s])", (double)oct_f32(q->scale)[0],
            count > 1 ? ", ..." : "", oct_s32(q->zero_point)[0], count > 1 ? ", ..." : "");
        if (q->min_val && q->max_val && least_of(q->min_val) <= most_of(q->max_val))
            put(p, ", min_val=%.6g, max_val=%.6g", (double)least_of(q->min_val),
                (double)most_of(q->max_val));
        put(p, ")");
        flush(p);
    }
}

/* The part of a name behind `prefix` up to the next dot; 0 where the name does not lie below it. */
static size_t step_of(const char *name, const char *prefix, size_t n) {
    if (strncmp(name, prefix, n) || (n && name[n] != '.')) return 0;
    return strcspn(name + n + (n > 0), ".");
}

/* Does an earlier node lie below the same child? Then it was printed with that one. */
static bool seen_before(const oct_graph *g, int32_t i, const char *path, size_t end) {
    for (int32_t k = 0; k < i; k++)
        if (!strncmp(g->nodes[k].name, path, end) && g->nodes[k].name[end] == '.' &&
            g->nodes[k].kind != OCT_OP_quantize && g->nodes[k].kind != OCT_OP_dequantize)
            return true;
    return false;
}

static bool numbered(const oct_graph *g, const char *path, size_t end) {
    for (int32_t k = 0; k < g->node_count; k++) {
        const char *s = g->nodes[k].name;
        if (strncmp(s, path, end) || s[end] != '.') continue;
        if (!isdigit((unsigned char)s[end + 1])) return false;
    }
    return true;
}

static void print_below(printer *p, const char *prefix, size_t n, int depth) {
    const oct_graph *g = p->net->graph;
    for (int32_t i = 0; i < g->node_count; i++) {
        const char *name = g->nodes[i].name;
        size_t step = step_of(name, prefix, n), start = n + (n > 0), end = start + step;
        if (!step) continue;
        /* octet's own node */
        bool border = name[end] && (g->nodes[i].kind == OCT_OP_quantize ||
                                    g->nodes[i].kind == OCT_OP_dequantize);
        if (!name[end] || border) {
            put(p, "%*s(%s): ", 2 * depth, "", name + start);
            print_node(p, &g->nodes[i]);
            flush(p);
            if (p->net->stage == OCT_STAGE_PREPARED) print_fake(p, &g->nodes[i], depth + 1);
        } else if (!seen_before(g, i, name, end)) {
            put(p, "%*s(%.*s): %s(", 2 * depth, "", (int)step, name + start,
                numbered(g, name, end) ? "Sequential" : "Module");
            flush(p);
            if (depth < 32) print_below(p, name, end, depth + 1);
            put(p, "%*s)", 2 * depth, "");
            flush(p);
        }
    }
}

void oct_net_print(const oct_net *net, void (*line)(void *user, const char *line), void *user) {
    OCTI_LAW_MODE();
    if (!net || !line) return;
    printer p = {.net = net, .line = line, .user = user};
    put(&p, "%s(", net->model);
    flush(&p);
    print_below(&p, "", 0, 1);
    put(&p, ")");
    flush(&p);
}
