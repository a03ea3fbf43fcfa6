/* SPDX-License-Identifier: MIT
 * One forward function for nets of every stage. */
#include <string.h>

#include "autograd/tape.h"
#include "datasets/set.h"
#include "qat/fit/fit.h"
#include "qat/fit/runner.h"
#include "qat/infer/infer.h"
#include "qat/int8/int8.h"
#include "qat/passes/passes.h"
#include "qat/step/hooks.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/words.h"

struct oct_runner {
    oct_ctx *ctx;
    oct_net *net;
    int64_t batch;
    oct_tape *tape;  /* float */
    oct_sim *sim;    /* prepared */
    oct_net *folded; /* float and fixed */
    oct_plan *plan;  /* int8, or of what was folded */
    oct_session *session;
    oct_tensor *y; /* int8: [batch, ...] */
    oct_tensor view;
    oct_tensor *values; /* int8: a header per node, so that several can be looked at side by side */
};

static oct_status open_plan(oct_runner *r, const oct_net *net, const oct_runner_opts *o) {
    const oct_plan_opts opts = {.unfused = o->values, .profile = o->profile};
    if (!(r->plan = oct_plan_new(net, &opts)) ||
        !(r->session = oct_session_new(r->plan, r->batch, NULL, 0)) ||
        !(r->values =
              octi_calloc(r->ctx, (size_t)r->net->graph->node_count + 1, sizeof *r->values)))
        return oct_last_error()->code;
    oct_shape s = oct_plan_output_shape(r->plan);
    r->y = oct_tensor_new(r->ctx, OCT_F32, octi_shape_with_batch(&s, r->batch));
    return r->y ? OCT_OK : oct_last_error()->code;
}

/* Every node has a form that a plan runs; an op of the user's own has none. */
static bool can_fold(const oct_net *net) {
    for (int32_t i = 0; i < net->graph->node_count; i++)
        if (!octi_fnode_has(net->graph->nodes[i].kind)) return false;
    return net->graph->node_count > 0;
}

static oct_status open_stage(oct_runner *r, const oct_runner_opts *o) {
    if (o->fixed && !o->values && r->net->stage <= OCT_STAGE_FUSED && can_fold(r->net))
        return (r->folded = oct_fold(r->net)) ? open_plan(r, r->folded, o) : oct_last_error()->code;
    switch (r->net->stage) {
    case OCT_STAGE_FLOAT:
    case OCT_STAGE_FUSED:
        return (r->tape = oct_tape_new(r->ctx)) ? OCT_OK : oct_last_error()->code;
    case OCT_STAGE_PREPARED:
        return (r->sim = oct_sim_new(r->net)) ? OCT_OK : oct_last_error()->code;
    case OCT_STAGE_INT8:
        return open_plan(r, r->net, o);
    }
    return octi_fail(OCT_EINTERNAL, "runner", "unknown stage of a net", NULL, NULL, NULL);
}

oct_runner *oct_runner_new(oct_net *net, const oct_runner_opts *opts) {
    if (!net) return NULL;
    oct_runner_opts o = opts ? *opts : (oct_runner_opts){.batch = 0};
    oct_runner *r = octi_alloc(net->ctx, sizeof *r);
    if (!r) return octi_ctx_failed(net->ctx), NULL;
    r->ctx = net->ctx;
    r->net = net;
    r->batch = o.batch > 0 ? o.batch : OCTI_DEFAULT_BATCH;
    if (open_stage(r, &o) == OCT_OK) return r;
    octi_ctx_failed(net->ctx);
    oct_runner_free(r);
    return NULL;
}

void oct_runner_free(oct_runner *r) {
    if (!r) return;
    oct_tape_free(r->tape);
    oct_sim_free(r->sim);
    oct_session_free(r->session);
    oct_plan_free(r->plan);
    oct_net_free(r->folded);
    oct_tensor_unref(r->y);
    octi_free(r->ctx, r->values);
    octi_free(r->ctx, r);
}

static oct_status check_input(const oct_runner *r, const oct_tensor *x) {
    const oct_graph *g = r->net->graph;
    oct_shape want = g->values[g->input].shape;
    bool fits = x->dtype == OCT_F32 && x->shape.rank == want.rank && x->shape.rank > 0 &&
                x->shape.dim[0] >= 1;
    for (int32_t i = 1; fits && i < want.rank; i++) fits = want.dim[i] == x->shape.dim[i];
    if (!fits)
        return octi_fail(OCT_ESHAPE, "input", "does not fit the net", oct_shape_text(&want),
                         oct_shape_text(&x->shape), NULL);
    if (x->shape.dim[0] > r->batch)
        return octi_fail(OCT_EUSAGE, "input", "more images than the runner's batch",
                         octi_fmt("at most %lld", (long long)r->batch),
                         octi_fmt("%lld", (long long)x->shape.dim[0]), NULL);
    return OCT_OK;
}

oct_status octi_runner_hold(oct_runner *r) { return r->sim ? octi_sim_hold(r->sim) : OCT_OK; }

const oct_tensor *oct_runner_run(oct_runner *r, const oct_tensor *x) {
    OCTI_LAW_MODE();
    if (!r || !x || check_input(r, x) != OCT_OK) return NULL;
    if (r->sim) return oct_sim_run(r->sim, x);
    if (r->tape) {
        oct_tape_begin(r->tape, OCT_EVAL);
        return oct_var_value(oct_net_forward(r->net, oct_input(r->tape, x)));
    }
    if (oct_session_run(r->session, oct_f32(x), x->shape.dim[0], oct_f32(r->y)) != OCT_OK)
        return NULL;
    r->view = *r->y;
    r->view.shape.dim[0] = x->shape.dim[0];
    return &r->view;
}

const oct_tensor *oct_runner_value(oct_runner *r, const char *node, float *scale,
                                   int32_t *zero_point) {
    if (scale) *scale = 0;
    if (zero_point) *zero_point = 0;
    if (!r || !node) return octi_fail_null("oct_runner_value"), NULL;
    const oct_graph *g = r->net->graph;
    int32_t i = oct_graph_find_node(g, node);
    const oct_tensor *t = NULL;
    if (i >= 0 && r->sim) t = oct_sim_value(r->sim, node);
    if (i >= 0 && r->session)
        t = oct_session_value(r->session, node, &r->values[i]) == OCT_OK ? &r->values[i] : NULL;
    if (i >= 0 && r->tape) {
        /* a replayed net records its nodes under their own names; the tape holds one net */
        oct_var *v = octi_tape_find(r->tape, node);
        t = oct_var_value(v);
    }
    if (!t) {
        if (i < 0)
            octi_fail(OCT_EUSAGE, node, "no such layer", "a node of the net", node,
                      "octet layers lists them");
        return NULL;
    }
    int32_t q = g->values[g->nodes[i].out].quantizer;
    if (t->dtype != OCT_F32 && q >= 0) {
        if (scale) *scale = oct_f32(g->quantizers[q].scale)[0];
        if (zero_point) *zero_point = oct_s32(g->quantizers[q].zero_point)[0];
    }
    return t;
}

static bool step_of(const oct_runner *r, const char *node, oct_step_time *t) {
    for (int32_t i = 0; r && node && r->session && i < oct_plan_steps(r->plan) &&
                        oct_session_step_time(r->session, i, t);
         i++)
        if (!strcmp(t->node, node)) return true;
    return false;
}

/* The node in whose step another one's work is; NULL: none. */
static const char *host_of(const oct_runner *r, const char *node) {
    oct_step_time t;
    for (int32_t i = 0; r && node && r->session && i < oct_plan_steps(r->plan) &&
                        oct_session_step_time(r->session, i, &t);
         i++)
        for (int32_t k = 0; t.also && t.also[k]; k++)
            if (!strcmp(t.also[k], node)) return t.node;
    return NULL;
}

const char *oct_runner_node_kernel(const oct_runner *r, const char *node) {
    oct_step_time t;
    if (host_of(r, node)) return "fused";
    return step_of(r, node, &t) ? t.kernel : NULL;
}

const char *oct_runner_node_why(const oct_runner *r, const char *node) {
    oct_step_time t;
    const char *host = host_of(r, node);
    if (host) return host;
    return step_of(r, node, &t) ? t.why : NULL;
}

double oct_runner_node_ns(const oct_runner *r, const char *node) {
    oct_step_time t;
    return step_of(r, node, &t) && t.images ? (double)t.ns / (double)t.images : -1;
}

/* An output channel's weights, at each of its places. */
static double products_of(const oct_graph *g, const char *node) {
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        if (strcmp(n->name, node)) continue;
        const oct_value *w = n->nin > 1 ? octi_node_in(g, n, 1) : NULL;
        const oct_shape *out = &g->values[n->out].shape;
        const bool weighs = n->kind == OCT_OP_conv2d || n->kind == OCT_OP_linear ||
                            n->kind == OCT_OP_qconv2d || n->kind == OCT_OP_qlinear;
        if (!weighs || !w || w->shape.dim[0] < 1) return 0;
        double places = 1;
        for (int32_t k = 1; k < out->rank; k++) places *= (double)out->dim[k];
        return places / (double)w->shape.dim[0] * (double)oct_shape_count(&w->shape);
    }
    return 0;
}

double oct_runner_node_share(const oct_runner *r, const char *node) {
    const double ns = oct_runner_node_ns(r, node);
    if (!(ns > 0)) return -1;
    const double products = products_of((r->folded ? r->folded : r->net)->graph, node),
                 peak = products > 0 ? octi_peak(r->ctx, oct_runner_node_kernel(r, node)) : 0;
    return peak > 0 ? products / (ns * 1e-9) / peak : -1;
}

void oct_runner_opts_init(oct_runner_opts *opts) {
    if (opts) *opts = (oct_runner_opts){0};
}
