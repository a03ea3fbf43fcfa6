/* SPDX-License-Identifier: MIT
 * Batch norm's statistics estimated anew: each batch's own statistics (momentum 1), from the same
 * start, averaged in double. */
#include <string.h>

#include "qat/fit/reestimate.h"
#include "qat/fit/score.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/words.h"

enum { BATCH = 64 };

/* The two statistics of a node with batch norm: alone, or folded into a product; they are its last
 * inputs. Those of one that rests stay. */
static bool statistics(const oct_graph *g, const oct_node *n, oct_tensor *of[2]) {
    if (n->kind != OCT_OP_batch_norm && !n->attr.bn[0]) return false;
    if (octi_batch_norm_rests(g, n)) return false;
    for (int k = 0; k < 2; k++) of[k] = g->values[n->in[n->nin - 2 + k]].tensor;
    return true;
}

typedef struct estimate {
    oct_net *net;
    int64_t count;    /* statistics of all nodes */
    float *start;     /* [count] as they were */
    double *sum;      /* [count] */
    float *momentum;  /* [nodes] as it was */
    uint8_t *observe; /* [quantizers] as it was */
} estimate;

/* One walk over all statistics: step(its values, their place in the list). */
static void each(const estimate *e,
                 void (*step)(const estimate *e, float *v, int64_t at, int64_t n)) {
    const oct_graph *g = e->net->graph;
    int64_t at = 0;
    for (int32_t i = 0; i < g->node_count; i++) {
        oct_tensor *t[2];
        if (!statistics(g, &g->nodes[i], t)) continue;
        for (int k = 0; k < 2; k++) {
            int64_t n = oct_tensor_count(t[k]);
            step(e, oct_f32(t[k]), at, n);
            at += n;
        }
    }
}

static void keep(const estimate *e, float *v, int64_t at, int64_t n) {
    memcpy(e->start + at, v, (size_t)n * sizeof *v);
}
static void restore(const estimate *e, float *v, int64_t at, int64_t n) {
    memcpy(v, e->start + at, (size_t)n * sizeof *v);
}
static void add(const estimate *e, float *v, int64_t at, int64_t n) {
    for (int64_t k = 0; k < n; k++) e->sum[at + k] += (double)v[k];
    restore(e, v, at, n);
}
static void finish(const estimate *e, float *v, int64_t at, int64_t n) {
    for (int64_t k = 0; k < n; k++) v[k] = (float)e->sum[at + k];
}

static oct_status run(estimate *e, oct_tape *tape, oct_loader *loader, int64_t n) {
    int64_t batches = 0;
    OCT_TRY(oct_loader_start(loader, 0, 0));
    for (int64_t seen = 0; seen < n; batches++) {
        oct_batch b;
        bool done = false;
        OCT_TRY(oct_loader_next(loader, &b, &done));
        if (done) break;
        oct_tensor x = *b.x;
        if (seen + x.shape.dim[0] > n) x.shape.dim[0] = n - seen;
        /* a rest would weigh its few images more */
        if (batches && x.shape.dim[0] < BATCH / 2) break;
        seen += x.shape.dim[0];
        oct_tape_begin(tape, OCT_TRAIN);
        oct_tape_key(tape, 0, (uint32_t)batches);
        if (!oct_net_forward(e->net, oct_input(tape, &x)))
            return oct_tape_status(tape) != OCT_OK ? oct_tape_status(tape) : oct_last_error()->code;
        each(e, add);
    }
    for (int64_t k = 0; k < e->count; k++) e->sum[k] /= (double)(batches ? batches : 1);
    if (batches) each(e, finish);
    return OCT_OK;
}

/* Switches and momentum for the time of the run, then as they were. */
static void switches(estimate *e, bool begin) {
    oct_graph *g = e->net->graph;
    for (int32_t i = 0; i < g->quantizer_count; i++) {
        uint8_t *on = g->quantizers[i].enabled ? oct_u8(g->quantizers[i].enabled) : NULL;
        if (!on) continue;
        if (begin) e->observe[i] = on[0];
        on[0] = begin ? 0 : e->observe[i];
    }
    for (int32_t i = 0; i < g->node_count; i++) {
        if (begin) e->momentum[i] = g->nodes[i].attr.momentum;
        oct_tensor *t[2];
        if (statistics(g, &g->nodes[i], t))
            g->nodes[i].attr.momentum = begin ? 1.0f : e->momentum[i];
    }
}

oct_status oct_reestimate_batch_norm(oct_net *net, oct_data *data, int64_t n) {
    OCTI_LAW_MODE();
    return octi_reestimate_batch_norm(net, data, n, OCT_AUGMENT_NONE);
}

oct_status octi_reestimate_batch_norm(oct_net *net, oct_data *data, int64_t n, uint32_t augment) {
    if (!net || !data) return octi_fail_null("oct_reestimate_batch_norm");
    if (net->stage == OCT_STAGE_INT8)
        return octi_fail(OCT_EUSAGE, "oct_reestimate_batch_norm", "an int8 net has no batch norm",
                         "a float or prepared net", NULL, NULL);
    if (n < 2)
        return octi_fail(OCT_EUSAGE, "oct_reestimate_batch_norm", "number of images", ">= 2",
                         octi_fmt("%lld", (long long)n), NULL);
    oct_graph *g = net->graph;
    estimate e = {.net = net};
    for (int32_t i = 0; i < g->node_count; i++) {
        oct_tensor *t[2];
        if (statistics(g, &g->nodes[i], t))
            e.count += oct_tensor_count(t[0]) + oct_tensor_count(t[1]);
    }
    if (!e.count) return OCT_OK;
    e.start = octi_calloc(net->ctx, (size_t)e.count, sizeof *e.start);
    e.sum = octi_calloc(net->ctx, (size_t)e.count, sizeof *e.sum);
    e.momentum = octi_calloc(net->ctx, (size_t)g->node_count, sizeof *e.momentum);
    e.observe = octi_calloc(net->ctx, (size_t)g->quantizer_count + 1, sizeof *e.observe);
    oct_tape *tape = e.start && e.sum && e.momentum && e.observe ? oct_tape_new(net->ctx) : NULL;
    oct_loader *loader =
        tape ? oct_loader_new(data, &(oct_loader_opts){.batch = BATCH,
                                                       .shuffle = true,
                                                       .even = n >= oct_data_count(data),
                                                       .augment = augment,
                                                       .input = octi_net_input(net)})
             : NULL;
    oct_status s = loader ? OCT_OK : oct_last_error()->code;
    if (s == OCT_OK) {
        const bool frozen = oct_net_batch_norm_frozen(net);
        each(&e, keep);
        switches(&e, true);
        oct_net_freeze_batch_norm(net, false);
        s = run(&e, tape, loader, n);
        if (s != OCT_OK) each(&e, restore);
        oct_net_freeze_batch_norm(net, frozen);
        switches(&e, false);
    }
    oct_loader_free(loader);
    oct_tape_free(tape);
    octi_free(net->ctx, e.observe);
    octi_free(net->ctx, e.momentum);
    octi_free(net->ctx, e.sum);
    octi_free(net->ctx, e.start);
    return s;
}
