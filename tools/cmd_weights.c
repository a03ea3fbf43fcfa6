/* SPDX-License-Identifier: MIT
 * octet inspect --weights: what quantization made of a tensor: codes, scales, and how they are spread. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli.h"

enum { BINS = 16 };

typedef struct weights {
    const char *name;
    const oct_tensor *t;    /* as the net holds it */
    const oct_tensor *code; /* s8 or u8; NULL: not quantized */
    const oct_quantizer *q; /* of the codes */
    double lo, hi;
    int64_t bins[BINS], distinct;
} weights;

static double element(const oct_tensor *t, int64_t i) {
    switch (t->dtype) {
    case OCT_F32: return oct_f32(t)[i];
    case OCT_U8: return oct_u8(t)[i];
    case OCT_S8: return oct_s8(t)[i];
    case OCT_S32: return oct_s32(t)[i];
    default: return NAN;
    }
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* What is counted: codes where there are some, else the values. */
static int measure(weights *w) {
    const oct_tensor *t = w->code ? w->code : w->t;
    int64_t n = oct_tensor_count(t);
    double *sorted = malloc(((size_t)n + 1) * sizeof *sorted);
    if (!sorted) return fprintf(stderr, "octet: out of memory\n"), 5;
    for (int64_t i = 0; i < n; i++) sorted[i] = element(t, i);
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    w->lo = n ? sorted[0] : NAN;
    w->hi = n ? sorted[n - 1] : NAN;
    for (int64_t i = 0; i < n; i++) {
        int b = w->hi > w->lo ? (int)((sorted[i] - w->lo) / (w->hi - w->lo) * BINS) : 0;
        w->bins[b < 0 ? 0 : b >= BINS ? BINS - 1 : b]++;
        w->distinct += i == 0 || sorted[i] != sorted[i - 1];
    }
    free(sorted);
    return 0;
}

static double dequantized(const weights *w, int64_t i) {
    int64_t k = oct_tensor_count(w->q->scale), each = oct_tensor_count(w->code) / (w->code->shape.rank ? w->code->shape.dim[0] : 1);
    int64_t c = k > 1 && each ? i / each : 0;
    return (double)oct_f32(w->q->scale)[c] * (element(w->code, i) - oct_s32(w->q->zero_point)[c]);
}

/* Codes of a value in an int8 net. */
static void take_codes(weights *w, const oct_net *int8, const char *name) {
    int32_t v = oct_graph_find_value(int8->graph, name);
    if (v < 0) return;
    const oct_value *x = &int8->graph->values[v];
    const oct_quantizer *q = x->quantizer >= 0 ? &int8->graph->quantizers[x->quantizer] : NULL;
    if (!x->tensor || !q || !q->scale || !q->zero_point || (x->tensor->dtype != OCT_S8 && x->tensor->dtype != OCT_U8)) return;
    w->code = x->tensor;
    w->q = q;
}

static void print_json(const weights *w) {
    json j = json_open();
    const oct_tensor *t = w->t;
    int64_t n = oct_tensor_count(t);
    json_string(&j, "name", w->name);
    json_string(&j, "dtype", oct_dtype_name(t->dtype));
    json_shape(&j, "shape", &t->shape);
    json_number(&j, "min", w->lo);
    json_number(&j, "max", w->hi);
    json_int(&j, "distinct", w->distinct);
    if (w->code) {
        int64_t k = oct_tensor_count(w->q->scale);
        json_string(&j, "qscheme", w->q->spec.per_channel ? "per_channel_affine" : "per_tensor_affine");
        json_number(&j, "axis", k > 1 ? 0 : NAN);
        json_array(&j, "q_scale");
        for (int64_t i = 0; i < k; i++) json_number(&j, NULL, oct_f32(w->q->scale)[i]);
        json_array_end(&j);
        for (int twice = 0; twice < 2; twice++) { /* PyTorch's word, and the short one */
            json_array(&j, twice ? "zero_point" : "q_zero_point");
            for (int64_t i = 0; i < k; i++) json_int(&j, NULL, oct_s32(w->q->zero_point)[i]);
            json_array_end(&j);
        }
        json_array(&j, "int_repr");
        for (int64_t i = 0; i < n; i++) json_number(&j, NULL, element(w->code, i));
        json_array_end(&j);
        json_array(&j, "dequantized");
        for (int64_t i = 0; i < n; i++) json_number(&j, NULL, dequantized(w, i));
        json_array_end(&j);
    }
    if (t != w->code) {
        json_array(&j, "values");
        for (int64_t i = 0; i < n; i++) json_number(&j, NULL, element(t, i));
        json_array_end(&j);
    }
    json_array(&j, "histogram");
    for (int i = 0; i < BINS; i++) json_int(&j, NULL, w->bins[i]);
    json_array_end(&j);
    json_close(&j);
}

static void print_some(const char *title, const weights *w, double (*get)(const weights *, int64_t)) {
    int64_t n = oct_tensor_count(w->t);
    printf("%s", title);
    for (int64_t i = 0; i < n && i < 16; i++) printf(" %.6g", get(w, i));
    printf("%s\n", n > 16 ? " ..." : "");
}

static double code_of(const weights *w, int64_t i) { return element(w->code, i); }
static double value_of(const weights *w, int64_t i) { return element(w->t, i); }

static void print_text(const weights *w) {
    printf("%s %s %s  min %.6g  max %.6g  %lld distinct %s\n", w->name, oct_dtype_name(w->t->dtype), oct_shape_text(&w->t->shape), w->lo, w->hi,
           (long long)w->distinct, w->code ? "codes" : "values");
    if (w->code) {
        int64_t k = oct_tensor_count(w->q->scale);
        printf("qscheme %s%s\n", w->q->spec.per_channel ? "per_channel_affine" : "per_tensor_affine", k > 1 ? ", axis 0" : "");
        printf("q_scale");
        for (int64_t i = 0; i < k && i < 8; i++) printf(" %.8g", oct_f32(w->q->scale)[i]);
        printf("%s\nq_zero_point", k > 8 ? " ..." : "");
        for (int64_t i = 0; i < k && i < 8; i++) printf(" %d", oct_s32(w->q->zero_point)[i]);
        printf("%s\n", k > 8 ? " ..." : "");
        print_some("int_repr", w, code_of);
        print_some("dequantized", w, dequantized);
    }
    if (w->t != w->code) print_some("values", w, value_of);
    for (int i = 0; i < BINS; i++) printf("  %12.6g %lld\n", w->lo + (w->hi - w->lo) * (i + 0.5) / BINS, (long long)w->bins[i]);
}

int cli_show_weights(const cli *c, oct_net *net, const char *name) {
    char full[512];
    snprintf(full, sizeof full, "%s.weight", name);
    weights w = {.name = name, .t = oct_net_tensor(net, name)};
    if (!w.t && (w.t = oct_net_tensor(net, full))) w.name = full;
    if (!w.t) return cli_usage("--weights", "no such tensor or layer", "a name that octet inspect lists", name, NULL);
    oct_net *int8 = net->stage == OCT_STAGE_INT8 ? net : NULL;
    if (net->stage == OCT_STAGE_PREPARED && !(int8 = oct_convert(net, NULL))) /* the codes that convert would store */
        cli_note(c, "octet: no codes yet: %s", oct_error_message());
    if (int8) take_codes(&w, int8, w.name);
    int code = measure(&w);
    if (code) return code;
    if (c->json.set) print_json(&w);
    else print_text(&w);
    return 0;
}
