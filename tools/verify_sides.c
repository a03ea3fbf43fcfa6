/* SPDX-License-Identifier: MIT
 * The sides that octet verify knows, and the one of octet's own models. */
#include <stdlib.h>
#include <string.h>

#include "tools/verify.h"

/* ---- runs and int8 files ---- */

static bool is_model(const char *path) { return path != NULL; }

static int model_open(verify_side *s, const verify_side *other) {
    (void)other;
    int code;
    if (!s->net && !(s->net = cli_load(s->c, s->path, false, &code))) return code;
    const oct_graph *g = oct_net_graph(s->net);
    s->input = (*oct_value_shape(oct_graph_value(g, oct_graph_input(g))));
    s->desc = *oct_net_input(s->net);
    s->layers = calloc((size_t)oct_graph_node_count(g) + 1, sizeof *s->layers);
    if (!s->layers) return fprintf(stderr, "octet: out of memory\n"), 5;
    for (int32_t i = 0; i < oct_graph_node_count(g); i++)
        s->layers[i] = oct_node_name(oct_graph_node(g, i));
    return 0;
}

static int model_run(verify_side *s, const oct_tensor *x) {
    if (!s->state) /* not before: the net may have been fused meanwhile */
        s->state =
            oct_runner_new(s->net, &(oct_runner_opts){.batch = VERIFY_BATCH, .values = true});
    return s->state && oct_runner_run(s->state, x) ? 0 : cli_failed();
}

static const oct_tensor *model_value(verify_side *s, const char *layer) {
    if (oct_graph_find_node(oct_net_graph(s->net), layer) < 0) return NULL;
    return oct_runner_value(s->state, layer, NULL, NULL);
}

static void model_close(verify_side *s) {
    oct_runner_free(s->state);
    free((void *)s->layers);
}

static const side_kind octet_model = {
    .word = "an octet model",
    .is = is_model,
    .open = model_open,
    .run = model_run,
    .value = model_value,
    .close = model_close,
};

/* ---- the table: the first that says yes; the last one says it to anything.
 * Later ones are opened first: they know their layers without the other side ---- */

static const side_kind *const kinds[] = {&verify_onnx_file, &verify_c_file, &octet_model};

static size_t kind_of(const char *path) {
    size_t k = 0;
    while (!kinds[k]->is(path)) k++;
    return k;
}

int verify_open(verify_side *a, verify_side *b, cli *c) {
    const size_t p = kind_of(c->operands[0]), q = kind_of(c->operands[1]);
    *a = (verify_side){.c = c, .path = c->operands[0], .kind = kinds[p]};
    *b = (verify_side){.c = c, .path = c->operands[1], .kind = kinds[q]};
    verify_side *first = q > p ? b : a, *second = first == a ? b : a;
    const int code = first->kind->open(first, NULL);
    return code ? code : second->kind->open(second, first);
}

void verify_close(verify_side *s) {
    if (s->kind) s->kind->close(s);
    *s = (verify_side){.c = NULL};
}
