/* SPDX-License-Identifier: MIT
 * Capture: record the forward function dry, in training and in evaluation mode and at two batch
 * sizes, and keep the graph where all four agree but for the batch. What differs would make a
 * replayed net another net than the function. */
#include <stdio.h>
#include <string.h>

#include "autograd/nn/module.h"
#include "autograd/tape.h"
#include "src/float_mode.h"
#include "src/mem.h"

/* Whatever else failed: an input of a fixed batch does not fit the others, which would be told as a
 * shape. */
static oct_status one_input(const oct_graph *g) {
    int32_t inputs = 0;
    for (int32_t v = 0; v < g->value_count; v++) {
        if (g->values[v].role != OCT_VALUE_INPUT || !inputs++) continue;
        return octi_fail(OCT_EUSAGE, g->values[v].name,
                         "a second input: the forward function calls oct_input",
                         "the one x that it is given", NULL,
                         "a captured net has one input: constants are parameters, a second image "
                         "goes in as further channels of x");
    }
    return OCT_OK;
}

static oct_status record_once(oct_tape *t, oct_module *m, oct_shape image, int64_t batch,
                              oct_mode mode, octi_made made, int32_t *output) {
    oct_shape s = {.rank = image.rank + 1};
    s.dim[0] = batch;
    memcpy(s.dim + 1, image.dim, sizeof image.dim[0] * (size_t)image.rank);
    oct_tensor *x = oct_tensor_new(octi_tape_ctx(t), OCT_F32, s);
    if (!x) return oct_last_error()->code;
    octi_make_values(x, made);
    oct_tape_begin(t, mode);
    octi_tape_dry(t, made);
    oct_var *y = oct_apply(m, oct_input(t, x));
    oct_status st = one_input(octi_tape_graph(t));
    if (st == OCT_OK) st = oct_tape_status(t);
    if (st == OCT_OK && !y)
        st = octi_fail(OCT_EUSAGE, "capture", "the forward function returned NULL", NULL, NULL,
                       NULL);
    if (st == OCT_OK) *output = octi_var_index(y);
    oct_tensor_unref(x);
    return st;
}

/* Between which two runs of a forward function a graph differs: modes and batches, or values of
 * what it looked at. */
typedef struct ways {
    const char *modes, *looked;
} ways;

static oct_status differs(const char *node, const char *what, const ways *w) {
    if (!w->looked)
        return octi_fail(OCT_EUSAGE, node, octi_fmt("%s differs between %s", what, w->modes),
                         "the same graph for every mode and batch size", NULL,
                         "a net is captured once: keep what depends on mode or batch out of the "
                         "forward function");
    return octi_fail(OCT_EUSAGE, node,
                     octi_fmt("%s differs between values of %s, which the forward function looks "
                              "at",
                              what, w->looked),
                     "the same graph for all data", NULL,
                     "a net is captured once, and a branch on values would keep one side: compute "
                     "both and weigh them by oct_mul, or train by a loop of your own, on a tape");
}

/* Same shape but for the batch, which may stand in dim[0] alone. */
static bool same_but_batch(const oct_value *a, int64_t na, const oct_value *b, int64_t nb) {
    bool moves = a->role == OCT_VALUE_ACT || a->role == OCT_VALUE_INPUT;
    if (a->dtype != b->dtype || a->shape.rank != b->shape.rank || a->role != b->role ||
        a->tensor != b->tensor)
        return false;
    for (int i = 0; i < a->shape.rank; i++) {
        int64_t p = a->shape.dim[i], q = b->shape.dim[i];
        if (!(p == q && !(moves && i == 0 && na != nb && p == na)) &&
            !(moves && i == 0 && p == na && q == nb))
            return false;
    }
    return true;
}

static oct_status compare(const oct_graph *a, int64_t na, int32_t out_a, const oct_graph *b,
                          int64_t nb, int32_t out_b, const ways *how) {
    int32_t n = a->node_count < b->node_count ? a->node_count : b->node_count;
    for (int32_t i = 0; i < n; i++) {
        const oct_node *p = &a->nodes[i], *q = &b->nodes[i];
        if (p->kind != q->kind || strcmp(p->name, q->name)) return differs(p->name, "the op", how);
        if (memcmp(&p->attr, &q->attr, sizeof p->attr))
            return differs(p->name, "an attribute", how);
        if (p->nin != q->nin || memcmp(p->in, q->in, sizeof *p->in * (size_t)p->nin))
            return differs(p->name, "an input", how);
        if (!same_but_batch(&a->values[p->out], na, &b->values[q->out], nb))
            return differs(p->name, "the shape", how);
    }
    if (a->node_count != b->node_count) {
        const oct_graph *longer = a->node_count > b->node_count ? a : b;
        return differs(longer->nodes[n].name, "the number of ops", how);
    }
    return out_a == out_b ? OCT_OK : differs(a->values[out_a].name, "the output", how);
}

static oct_tensor_role role_of(oct_value_role r) {
    return r == OCT_VALUE_PARAM ? OCT_ROLE_PARAM : OCT_ROLE_BUFFER;
}

/* The live part of the recorded graph, with a symbolic batch. */
static oct_status keep_live(oct_net *net, const oct_graph *g, int32_t output, int64_t batch,
                            bool *live, int32_t *map) {
    live[output] = true;
    for (int32_t i = g->node_count - 1; i >= 0; i--)
        for (int32_t k = 0; live[g->nodes[i].out] && k < g->nodes[i].nin; k++)
            if (g->nodes[i].in[k] >= 0) live[g->nodes[i].in[k]] = true;
    oct_graph *to = net->graph;
    for (int32_t v = 0; v < g->value_count; v++) {
        const oct_value *x = &g->values[v];
        map[v] = -1;
        oct_shape s = x->shape;
        if (x->producer >= 0) continue;
        if (x->role == OCT_VALUE_INPUT)
            s.dim[0] = OCT_BATCH;
        else if (!live[v])
            continue;
        map[v] = octi_graph_add_value(to, x->name, x->role, x->dtype, s, x->tensor);
        if (map[v] < 0) return oct_last_error()->code;
        if (x->role == OCT_VALUE_INPUT)
            to->input = map[v];
        else
            OCT_TRY(octi_net_register(net, x->name, role_of(x->role), x->tensor));
    }
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        if (!live[n->out]) continue;
        int32_t in[64];
        for (int32_t k = 0; k < n->nin; k++) in[k] = n->in[k] < 0 ? -1 : map[n->in[k]];
        oct_shape s = g->values[n->out].shape;
        if (s.rank > 0 && s.dim[0] == batch) s.dim[0] = OCT_BATCH;
        int32_t at = octi_graph_add_node(to, n->kind, n->name, &n->attr, in, n->nin,
                                         g->values[n->out].dtype, s);
        if (at < 0) return oct_last_error()->code;
        map[n->out] = to->nodes[at].out;
    }
    to->output = map[output];
    return octi_graph_verify(to);
}

enum { N1 = 2, N2 = 5 }; /* batches */
static const octi_made zeros = {0, 0};

static void look_of(const oct_tape *t, char name[OCTI_MAX_NAME + 1]) {
    const char *at = octi_tape_looked_at(t);
    if (at && !*name) snprintf(name, OCTI_MAX_NAME + 1, "%s", at);
}

/* A forward function that asked for values runs with others too: a branch on them shows, where
 * these lie on both its sides. */
static oct_status try_values(const oct_tape *first, oct_tape *other, oct_module *m, oct_shape image,
                             int32_t output, const char *name) {
    static const octi_made made[] = {{1, 0}, {-1, 0}, {1000, 0}, {-1000, 0}, {-32, 1}, {32, -1}};
    if (!*name) return OCT_OK;
    const ways how = {.looked = name};
    int32_t output2 = -1;
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        OCT_TRY(record_once(other, m, image, N1, OCT_TRAIN, made[i], &output2));
        OCT_TRY(
            compare(octi_tape_graph(first), N1, output, octi_tape_graph(other), N1, output2, &how));
    }
    octi_log(octi_tape_ctx(first), OCT_LOG_WARN,
             "%s: the forward function looks at its values, and a net is captured without data: "
             "what goes by them keeps one side (oct_var_shape tells shapes)",
             name);
    return OCT_OK;
}

static oct_status capture(oct_net *net, oct_tape *first, oct_tape *other, oct_module *m,
                          oct_shape image) {
    static const struct {
        int64_t batch;
        oct_mode mode;
        const char *how;
    } again[] = {{N1, OCT_EVAL, "training and evaluation mode"},
                 {N2, OCT_TRAIN, "batch sizes"},
                 {N2, OCT_EVAL, "modes and batch sizes"}};
    int32_t output, output2 = -1;
    char looked[OCTI_MAX_NAME + 1] = "";
    octi_modules_begin(m);
    OCT_TRY(record_once(first, m, image, N1, OCT_TRAIN, zeros, &output));
    look_of(first, looked);
    for (int i = 0; i < 3; i++) {
        const ways how = {.modes = again[i].how};
        OCT_TRY(record_once(other, m, image, again[i].batch, again[i].mode, zeros, &output2));
        OCT_TRY(compare(octi_tape_graph(first), N1, output, octi_tape_graph(other), again[i].batch,
                        output2, &how));
        look_of(other, looked);
    }
    OCT_TRY(try_values(first, other, m, image, output, looked));
    const oct_graph *g = octi_tape_graph(first);
    if (g->node_count == 0 || output < 0 || g->values[output].producer < 0)
        return octi_fail(OCT_EUSAGE, "capture", "the forward function records no op", NULL, NULL,
                         NULL);
    bool *live = octi_calloc(net->ctx, (size_t)g->value_count, sizeof *live);
    int32_t *map = octi_calloc(net->ctx, (size_t)g->value_count, sizeof *map);
    oct_status s = live && map ? keep_live(net, g, output, N1, live, map) : oct_last_error()->code;
    octi_free(net->ctx, live);
    octi_free(net->ctx, map);
    if (s != OCT_OK) return s;
    if (image.rank == 3 && image.dim[2] <= 4) /* more channels are no pixels: nothing to describe */
        net->input = (oct_input_desc){.channels = (int32_t)image.dim[2],
                                      .height = (int32_t)image.dim[0],
                                      .width = (int32_t)image.dim[1],
                                      .color = image.dim[2] == 3 ? OCT_COLOR_RGB : OCT_COLOR_GREY,
                                      .div = 1,
                                      .std = {1, 1, 1, 1},
                                      .assumed = true};
    return OCT_OK;
}

oct_net *oct_capture(oct_module *m, oct_shape image) {
    OCTI_LAW_MODE();
    if (!m) return NULL;
    oct_ctx *ctx = oct_module_ctx(m);
    if (image.rank < 1 || image.rank > 3) {
        octi_fail(OCT_EUSAGE, "oct_capture", "image shape", "[H, W, C] or [K]",
                  oct_shape_text(&image), NULL);
        return octi_ctx_failed(ctx), NULL;
    }
    oct_net *net = octi_net_new(ctx, OCT_STAGE_FLOAT);
    oct_tape *a = oct_tape_new(ctx), *b = oct_tape_new(ctx);
    bool ok = net && a && b && capture(net, a, b, m, image) == OCT_OK;
    oct_tape_free(a);
    oct_tape_free(b);
    if (ok) return octi_modules_warn(m, net), net;
    octi_ctx_failed(ctx);
    oct_net_free(net);
    return NULL;
}

static bool trained(const oct_net *net, const oct_named_tensor *t) {
    if (t->role == OCT_ROLE_STEP) return true;
    if (t->role != OCT_ROLE_PARAM) return false;
    int32_t v = oct_graph_find_value(net->graph, t->name);
    return v < 0 || !net->graph->values[v].frozen;
}

const oct_named_tensor *oct_net_parameters(oct_net *net, int32_t *count) {
    if (count) *count = 0;
    if (!net) return NULL;
    if (net->stage == OCT_STAGE_INT8) return (void)octi_runs_alone("oct_net_parameters"), NULL;
    /* stable partition: parameters that training moves to the front of the registry */
    int32_t n = 0;
    bool moved = false;
    for (int32_t i = 0; i < net->tensor_count; i++)
        if (trained(net, &net->tensors[i])) {
            oct_named_tensor p = net->tensors[i];
            memmove(net->tensors + n + 1, net->tensors + n, (size_t)(i - n) * sizeof p);
            net->tensors[n++] = p;
            moved = moved || i >= n;
        }
    if (moved) octi_net_reindex(net);
    if (count) *count = n;
    return net->tensors;
}
