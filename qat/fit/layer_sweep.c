/* SPDX-License-Identifier: MIT
 * One layer at a time quantized, the others float: which layer costs how much at the net's
 * output. */
#include <math.h>
#include <string.h>

#include "qat/fit/fit.h"
#include "qat/fit/score.h"
#include "qat/net/prepared.h"
#include "qat/scales/scales.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/words.h"

enum { BATCH = 32 };

typedef struct sweep {
    oct_net *net; /* a view: switches are turned, nothing of the net moves */
    oct_tape *tape;
    float *real;    /* the float net's output of the batch */
    double *noise;  /* [nodes] */
    int64_t *right; /* [nodes] */
    double signal;
    int64_t real_right, n;
    bool labels; /* a classifier of this set: accuracy means something */
} sweep;

static void set(const oct_graph *g, int32_t quantizer, uint8_t on) {
    if (g->quantizers[quantizer].enabled) oct_u8(g->quantizers[quantizer].enabled)[1] = on;
}

static void all_off(const oct_graph *g) {
    for (int32_t i = 0; i < g->quantizer_count; i++) set(g, i, 0);
}

/* The quantizers of a layer: its inputs', its weights', its output's. */
static void turn_on(const oct_graph *g, const oct_node *n) {
    for (int32_t k = -1; k < n->nin; k++) {
        const oct_value *v = k < 0 ? &g->values[n->out] : octi_node_in(g, n, k);
        if (v && v->quantizer >= 0) set(g, v->quantizer, 1);
    }
}

static const oct_tensor *forward(sweep *s, const oct_tensor *x) {
    oct_tape_begin(s->tape, OCT_EVAL);
    return oct_var_value(oct_net_forward(s->net, oct_input(s->tape, x)));
}

static int64_t count_right(const sweep *s, const float *y, int64_t k, const oct_tensor *labels) {
    return s->labels ? octi_count_right(y, oct_s32(labels), labels->shape.dim[0], k) : 0;
}

static oct_status one_batch(sweep *s, const oct_batch *b, int64_t n) {
    const oct_graph *g = s->net->graph;
    oct_tensor x = *b->x, labels = *b->labels;
    x.shape.dim[0] = labels.shape.dim[0] = n;
    all_off(g);
    const oct_tensor *y = forward(s, &x);
    if (!y) return oct_last_error()->code;
    if (y->dtype != OCT_F32)
        return octi_fail(OCT_EUNSUPPORTED, "output", "is not float", "float32",
                         oct_dtype_name(y->dtype), NULL);
    const int64_t count = oct_tensor_count(y), k = count / n;
    if (!s->real && !(s->real = octi_alloc_raw(s->net->ctx, (size_t)k * BATCH * sizeof *s->real)))
        return oct_last_error()->code;
    memcpy(s->real, y->data, (size_t)count * sizeof *s->real);
    for (int64_t i = 0; i < count; i++) s->signal += (double)s->real[i] * s->real[i];
    s->real_right += count_right(s, s->real, k, &labels);
    for (int32_t i = 0; i < g->node_count; i++) {
        if (!octi_is_source(g, &g->nodes[i])) continue;
        all_off(g);
        turn_on(g, &g->nodes[i]);
        if (!(y = forward(s, &x))) return oct_last_error()->code;
        for (int64_t e = 0; e < count; e++) {
            double d = (double)oct_f32(y)[e] - s->real[e];
            s->noise[i] += d * d;
        }
        s->right[i] += count_right(s, oct_f32(y), k, &labels);
    }
    s->n += n;
    return OCT_OK;
}

static oct_status run(sweep *s, oct_data *data, int64_t limit) {
    oct_loader *l =
        oct_loader_new(data, &(oct_loader_opts){.batch = BATCH, .input = octi_net_input(s->net)});
    oct_status st = l ? oct_loader_start(l, 0, 0) : oct_last_error()->code;
    while (st == OCT_OK && s->n < limit) {
        oct_batch b;
        bool done = false;
        st = oct_loader_next(l, &b, &done);
        if (st != OCT_OK || done) break;
        int64_t n = b.x->shape.dim[0];
        st = one_batch(s, &b, n < limit - s->n ? n : limit - s->n);
    }
    oct_loader_free(l);
    return st;
}

static void fill(const sweep *s, oct_layer *rows, double *float_accuracy) {
    const oct_graph *g = s->net->graph;
    for (int32_t i = 0; i < g->node_count; i++) {
        if (!octi_is_source(g, &g->nodes[i])) continue;
        rows[i].sqnr_alone =
            s->noise[i] > 0 && s->signal > 0 ? 10 * log10(s->signal / s->noise[i]) : NAN;
        rows[i].accuracy_alone = s->labels && s->n ? (double)s->right[i] / (double)s->n : NAN;
    }
    if (float_accuracy)
        *float_accuracy = s->labels && s->n ? (double)s->real_right / (double)s->n : NAN;
}

oct_status oct_layers_sweep(oct_net *net, oct_data *data, int64_t n, oct_layer *rows, int32_t count,
                            double *float_accuracy) {
    OCTI_LAW_MODE();
    if (!net || !data || !rows) return octi_fail_null("oct_layers_sweep");
    if (net->stage != OCT_STAGE_PREPARED || count != net->graph->node_count)
        return octi_fail(OCT_EUSAGE, "oct_layers_sweep",
                         "net is not prepared, or rows are of another",
                         "a prepared net and its rows", NULL, NULL);
    octi_arena *arena = octi_arena_new(net->ctx);
    /* its switches are not the net's */
    oct_net *seen = arena ? octi_settled_view(net, arena) : NULL;
    sweep s = {.net = seen,
               .tape = seen ? oct_tape_new(net->ctx) : NULL,
               .labels = oct_score_of(net, data) == OCT_SCORE_CLASSES};
    s.noise = octi_calloc(net->ctx, (size_t)count, sizeof *s.noise);
    s.right = octi_calloc(net->ctx, (size_t)count, sizeof *s.right);
    oct_status st =
        s.tape && s.noise && s.right ? run(&s, data, n > 0 ? n : 64) : oct_last_error()->code;
    if (st == OCT_OK) fill(&s, rows, float_accuracy);
    oct_tape_free(s.tape);
    octi_free(net->ctx, s.noise);
    octi_free(net->ctx, s.right);
    octi_free(net->ctx, s.real);
    octi_arena_free(arena);
    return st;
}
