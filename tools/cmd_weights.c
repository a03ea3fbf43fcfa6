/* SPDX-License-Identifier: MIT
 * octet inspect --weights: what quantization made of a tensor, in PyTorch's order, so that it can
 * be checked by hand: value = scale * (code - zero_point), in float. The codes of a layer that took
 * batch norm in stand for its folded weights, so these are shown beside its own. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli.h"

enum { BINS = 16, SHOWN = 16 };

typedef struct spread { /* of a set of numbers */
    double lo, hi;
    int64_t bins[BINS], distinct;
} spread;

typedef struct weights {
    const char *name;
    oct_dtype stored; /* dtype in the net */
    /* floats of the net, NULL where it has none; as PyTorch lays them out, like code */
    oct_tensor *t;
    float *factor;           /* [channels]: of the fold; NULL: nothing is folded in */
    oct_tensor *code;        /* s8 or u8; NULL: not quantized */
    const oct_quantizer *q;  /* of the codes */
    float unit;              /* a bias: its codes' scales are those of q times the input's */
    bool whole_fold;         /* a batch norm of its own: its codes stand for the factor itself */
    int64_t at[4], from, to; /* --at: the elements that are shown */
    int depth;
} weights;

static double element(const oct_tensor *t, int64_t i) {
    switch (t->dtype) {
    case OCT_F32:
        return (double)oct_f32(t)[i];
    case OCT_U8:
        return oct_u8(t)[i];
    case OCT_S8:
        return oct_s8(t)[i];
    case OCT_S32:
        return oct_s32(t)[i];
    case OCT_S64:
        return (double)((const int64_t *)t->data)[i];
    case OCT_F64:
        return ((const double *)t->data)[i];
    default:
        return NAN;
    }
}

static const oct_tensor *any_of(const weights *w) { return w->code ? w->code : w->t; }

static int64_t channel_of(const weights *w, int64_t i) {
    const int64_t k = oct_tensor_count(oct_quantizer_scale(w->q));
    return k > 1 ? i / (oct_tensor_count(w->code) / w->code->shape.dim[0]) : 0;
}

static double code_of(const weights *w, int64_t i) { return element(w->code, i); }
static double float_of(const weights *w, int64_t i) { return element(w->t, i); }

static double folded_of(const weights *w, int64_t i) {
    const int64_t o = i / (oct_tensor_count(w->t) / w->t->shape.dim[0]);
    return (double)(w->whole_fold ? w->factor[o] : oct_f32(w->t)[i] * w->factor[o]);
}

static double scale_of(const weights *w, int64_t c) {
    const double s = (double)oct_f32(oct_quantizer_scale(w->q))[c];
    return w->unit > 0 ? s * (double)w->unit : s;
}

/* By the law (src/qround.h), in float; of a bias in double. */
static double value_of(const weights *w, int64_t i) {
    const int64_t c = channel_of(w, i);
    if (w->unit > 0) return scale_of(w, c) * code_of(w, i);
    return (double)(oct_f32(oct_quantizer_scale(w->q))[c] *
                    (float)((int32_t)code_of(w, i) - oct_s32(oct_quantizer_zero_point(w->q))[c]));
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Bins from lo to hi of the numbers themselves where `like` is NULL, else those of another
 * spread. */
static int measure(const weights *w, double (*get)(const weights *, int64_t), const spread *like,
                   spread *s) {
    int64_t n = oct_tensor_count(any_of(w));
    double *sorted = malloc(((size_t)n + 1) * sizeof *sorted);
    if (!sorted) return cli_print_to(stderr, "octet: out of memory\n"), 5;
    for (int64_t i = 0; i < n; i++) sorted[i] = get(w, i);
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    *s = (spread){.lo = n ? sorted[0] : NAN, .hi = n ? sorted[n - 1] : NAN};
    const double lo = like ? like->lo : s->lo, hi = like ? like->hi : s->hi;
    for (int64_t i = 0; i < n; i++) {
        int b = hi > lo ? (int)((sorted[i] - lo) / (hi - lo) * BINS) : 0;
        s->bins[b < 0 ? 0 : b >= BINS ? BINS - 1 : b]++;
        s->distinct += i == 0 || sorted[i] != sorted[i - 1];
    }
    free(sorted);
    return 0;
}

/* Codes of a value in an int8 net. */
static bool take_codes(weights *w, const oct_net *int8, const char *name) {
    int32_t v = oct_graph_find_value(oct_net_graph(int8), name);
    if (v < 0) return true;
    const oct_value *x = oct_graph_value(oct_net_graph(int8), v);
    const oct_quantizer *q = oct_value_quantizer(x) >= 0
                                 ? oct_graph_quantizer(oct_net_graph(int8), oct_value_quantizer(x))
                                 : NULL;
    if (!oct_value_tensor(x) || !q || !oct_quantizer_scale(q) || !oct_quantizer_zero_point(q) ||
        (oct_value_tensor(x)->dtype != OCT_S8 && oct_value_tensor(x)->dtype != OCT_U8))
        return true;
    w->q = q;
    return (w->code = oct_torch_layout(int8, name, oct_value_tensor(x))) != NULL;
}

/* The codes of a bias in an int8 net: law 6. */
static bool take_bias(weights *w, const oct_net *int8) {
    const oct_graph *g = oct_net_graph(int8);
    const int32_t v = oct_graph_find_value(g, w->name);
    const oct_tensor *t = v < 0 ? NULL : oct_value_tensor(oct_graph_value(g, v));
    if (!t || t->dtype != OCT_S32) return true;
    for (int32_t i = 0; i < oct_graph_node_count(g); i++) {
        const oct_node *n = oct_graph_node(g, i);
        if ((oct_node_kind(n) != OCT_OP_qconv2d && oct_node_kind(n) != OCT_OP_qlinear) ||
            oct_node_input_count(n) < 3 || oct_node_input(n, 2) != v)
            continue;
        const int32_t x = oct_value_quantizer(oct_graph_value(g, oct_node_input(n, 0))),
                      q = oct_value_quantizer(oct_graph_value(g, oct_node_input(n, 1)));
        if (x < 0 || q < 0) return true;
        w->q = oct_graph_quantizer(g, q);
        w->unit = oct_f32(oct_quantizer_scale(oct_graph_quantizer(g, x)))[0];
        return (w->code = oct_torch_layout(int8, w->name, t)) != NULL;
    }
    return true;
}

/* The factors of the batch norm that the layer of a prepared net has taken in, or is. */
static int take_fold(weights *w, const oct_net *net) {
    const oct_graph *g = oct_net_graph(net);
    const int32_t v = oct_graph_find_value(g, w->name);
    for (int32_t i = 0; v >= 0 && w->code && w->t && i < oct_graph_node_count(g); i++) {
        const oct_node *n = oct_graph_node(g, i);
        const bool own = oct_node_kind(n) == OCT_OP_batch_norm;
        const int gamma = own ? 1 : 3; /* x, gamma, beta, mean, var; x, w, b, gamma, ... */
        if (oct_node_input_count(n) < 2 || oct_node_input(n, 1) != v ||
            (!own && !oct_node_attrs(n)->bn[0]))
            continue;
        const oct_tensor *scale = oct_value_tensor(oct_graph_value(g, oct_node_input(n, gamma))),
                         *var = oct_value_tensor(oct_graph_value(g, oct_node_input(n, gamma + 3)));
        const int64_t channels = oct_tensor_count(scale);
        if (!(w->factor = malloc((size_t)channels * sizeof *w->factor)))
            return fprintf(stderr, "octet: out of memory\n"), 5;
        for (int64_t o = 0; o < channels; o++)
            w->factor[o] =
                oct_fold_factor(oct_f32(scale)[o], oct_f32(var)[o], oct_node_attrs(n)->eps);
        w->whole_fold = own;
        break;
    }
    return 0;
}

/* --at A,B,C: the elements whose index begins so. */
static int take_at(const cli *c, weights *w) {
    const oct_shape *s = &any_of(w)->shape;
    w->to = oct_shape_count(s);
    if (!c->at.set) return 0;
    const char *p = c->at.s;
    int64_t each = w->to;
    for (;; p++) {
        char *end;
        long long v = strtoll(p, &end, 10);
        if (w->depth >= s->rank || end == p || v < 0 || v >= s->dim[w->depth] ||
            (*end && *end != ','))
            return cli_usage("--at", "no such index", oct_shape_text(s), c->at.s,
                             "such as 0,0,0: the first places of an index, counted from 0");
        each /= s->dim[w->depth];
        w->from += v * each;
        w->at[w->depth++] = v;
        if (!*(p = end)) break;
    }
    w->to = w->from + each;
    return 0;
}

static void put_index(const oct_shape *s, int64_t i, char *text, size_t size) {
    int64_t place[OCT_MAX_RANK];
    for (int k = s->rank - 1; k >= 0; i /= s->dim[k--]) place[k] = i % s->dim[k];
    size_t at = (size_t)snprintf(text, size, "[");
    for (int k = 0; k < s->rank; k++)
        at += (size_t)snprintf(text + at, size - at, "%s%lld", k ? "," : "", (long long)place[k]);
    snprintf(text + at, size - at, "]");
}

static void put_list(json *j, const char *key, const weights *w,
                     double (*get)(const weights *, int64_t)) {
    json_array(j, key);
    for (int64_t i = w->from; i < w->to; i++) json_number(j, NULL, get(w, i));
    json_array_end(j);
}

static void print_json(const weights *w, const spread *s) {
    json j = json_open();
    const oct_tensor *t = any_of(w);
    json_string(&j, "name", w->name);
    json_string(&j, "dtype", oct_dtype_name(w->stored));
    json_shape(&j, "shape", &t->shape);
    if (w->depth) {
        json_array(&j, "at");
        for (int k = 0; k < w->depth; k++) json_int(&j, NULL, w->at[k]);
        json_array_end(&j);
    }
    json_number(&j, "min", s->lo);
    json_number(&j, "max", s->hi);
    json_int(&j, "distinct", s->distinct);
    if (w->code) {
        int64_t k = oct_tensor_count(oct_quantizer_scale(w->q));
        const bool channels = oct_quantizer_is_per_channel(w->q);
        json_string(&j, "qscheme", channels ? "per_channel_affine" : "per_tensor_affine");
        json_number(&j, "axis", channels ? 0 : NAN);
        json_array(&j, "q_scale");
        for (int64_t i = 0; i < k; i++) json_number(&j, NULL, scale_of(w, i));
        json_array_end(&j);
        for (int twice = 0; twice < 2; twice++) { /* PyTorch's word, and the short one */
            json_array(&j, twice ? "zero_point" : "q_zero_point");
            for (int64_t i = 0; i < k; i++)
                json_int(&j, NULL, oct_s32(oct_quantizer_zero_point(w->q))[i]);
            json_array_end(&j);
        }
        put_list(&j, "int_repr", w, code_of);
        put_list(&j, "dequantized", w, value_of);
    }
    if (w->t) put_list(&j, "values", w, float_of);
    if (w->factor) put_list(&j, "folded", w, folded_of);
    json_array(&j, "histogram");
    for (int i = 0; i < BINS; i++) json_int(&j, NULL, s->bins[i]);
    json_array_end(&j);
    json_close(&j);
}

static void print_elements(const weights *w) {
    const oct_shape *s = &any_of(w)->shape;
    const int64_t most = w->depth ? w->to : w->from + SHOWN;
    char index[96];
    printf("%-16s", "index");
    if (w->code) printf(" %6s %15s %10s %17s", "code", "scale", "zero_point", "value");
    if (w->factor) printf(" %17s", "folded");
    if (w->t) printf(" %17s", w->code ? "float" : "value");
    printf("\n");
    for (int64_t i = w->from; i < w->to && i < most; i++) {
        put_index(s, i, index, sizeof index);
        printf("%-16s", index);
        if (w->code) {
            const int64_t c = channel_of(w, i);
            printf(" %6d %15.9g %10d %17.9g", (int)code_of(w, i), scale_of(w, c),
                   oct_s32(oct_quantizer_zero_point(w->q))[c], value_of(w, i));
        }
        if (w->factor) printf(" %17.9g", folded_of(w, i));
        if (w->t) printf(" %17.9g", float_of(w, i));
        printf("\n");
    }
    if (w->to > most)
        printf("... %lld more; --at A,B,.. shows those whose index begins so, --json all\n",
               (long long)(w->to - most));
}

static int print_text(const weights *w, const spread *s) {
    static const char *const axes[] = {"", "", " (O, I)", "", " (O, I, H, W)"};
    const oct_tensor *t = any_of(w);
    spread value, real;
    int code = 0;
    if (w->code && (code = measure(w, value_of, NULL, &value))) return code;
    cli_print("%s %s %s%s", w->name, oct_dtype_name(w->stored), oct_shape_text(&t->shape),
              t->shape.rank <= 4 ? axes[t->shape.rank] : "");
    if (w->code)
        printf("  codes %.0f to %.0f, %lld distinct, values %.9g to %.9g\n", s->lo, s->hi,
               (long long)s->distinct, value.lo, value.hi);
    else
        printf("  min %.9g  max %.9g  %lld distinct values\n", s->lo, s->hi,
               (long long)s->distinct);
    if (w->code)
        printf("qscheme %s, value = scale * (code - zero_point)\n",
               oct_quantizer_is_per_channel(w->q) ? "per_channel_affine, axis 0"
                                                  : "per_tensor_affine");
    if (w->factor)
        printf("folded = %sgamma / sqrt(running_var + eps) of the batch norm: what the codes are "
               "made from\n",
               w->whole_fold ? "" : "float * ");
    print_elements(w);
    if (w->t && (code = measure(w, w->factor ? folded_of : float_of, NULL, &real))) return code;
    if (w->code && w->t && (code = measure(w, value_of, &real, &value))) return code;
    const spread *bins = w->t ? &real : &value;
    printf("%lld elements", (long long)oct_tensor_count(t));
    if (w->t)
        printf(", %lld distinct as %s", (long long)real.distinct, w->factor ? "folded" : "float");
    if (w->code) printf(", %lld distinct dequantized", (long long)value.distinct);
    printf("\n%14s%s%s\n", "about",
           !w->t       ? ""
           : w->factor ? "   folded"
                       : "    float",
           w->code ? "  dequantized" : "");
    for (int i = 0; i < BINS; i++) {
        printf("%14.6g", bins->lo + (bins->hi - bins->lo) * (i + 0.5) / BINS);
        if (w->t) printf(" %8lld", (long long)real.bins[i]);
        if (w->code) printf(" %12lld", (long long)value.bins[i]);
        printf("\n");
    }
    return 0;
}

static int show(const cli *c, weights *w) {
    spread s;
    int code = take_at(c, w);
    if (!code) code = measure(w, w->code ? code_of : float_of, NULL, &s);
    if (!code && c->json.set)
        print_json(w, &s);
    else if (!code)
        code = print_text(w, &s);
    return code;
}

int cli_show_weights(const cli *c, oct_net *net, const char *name) {
    char full[1024];
    snprintf(full, sizeof full, "%s.weight", name);
    const oct_tensor *t = oct_net_tensor(net, name);
    weights w = {.name = name};
    if (!t && (t = oct_net_tensor(net, full))) w.name = full;
    if (!t) return cli_no_layer("--weights", net, name);
    w.stored = t->dtype;
    oct_net *int8 = oct_net_stage(net) == OCT_STAGE_INT8 ? net : NULL;
    if (oct_net_stage(net) == OCT_STAGE_PREPARED &&
        !(int8 = oct_convert(net, NULL))) /* the codes that convert would store */
        cli_note(c, "octet: no codes yet: %s", oct_error_message());
    if (int8 && !take_codes(&w, int8, w.name)) return cli_failed();
    if (int8 == net && !w.code && !take_bias(&w, net)) return cli_failed();
    if (!(w.code && int8 == net) && !(w.t = oct_torch_layout(net, w.name, t))) return cli_failed();
    int code = take_fold(&w, net);
    if (!code) code = show(c, &w);
    free(w.factor);
    oct_tensor_unref(w.t);
    oct_tensor_unref(w.code);
    return code;
}
