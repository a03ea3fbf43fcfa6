/* SPDX-License-Identifier: MIT
 * The description of a net whose file says nothing of pixels and classes. */
#include "qat/io/import_describe.h"

#include <stdio.h>
#include <string.h>

#include "src/arena.h"
#include "src/format/graph_json.h"
#include "src/mem.h"

/* The file does not know what its classes are called. */
static oct_status number_classes(oct_net *net, int32_t n) {
    oct_class *list = octi_calloc(net->ctx, (size_t)n, sizeof *list);
    char(*ids)[12] = octi_calloc(net->ctx, (size_t)n, sizeof *ids);
    for (int32_t i = 0; list && ids && i < n; i++) {
        snprintf(ids[i], sizeof ids[i], "%d", i);
        list[i] = (oct_class){ids[i], ""};
    }
    oct_status s = list && ids ? oct_net_set_classes(net, list, n) : oct_last_error()->code;
    octi_free(net->ctx, ids);
    octi_free(net->ctx, list);
    return s;
}

oct_status octi_import_describe(oct_net *net, const char *model) {
    const oct_graph *g = net->graph;
    const oct_shape *in = &g->values[g->input].shape, *out = &g->values[g->output].shape;
    const int64_t classes = out->dim[out->rank - 1];
    if (!(net->model = octi_arena_strdup(g->arena, model))) return oct_last_error()->code;
    if (in->rank == 4 && in->dim[3] <= 4) {
        oct_input_desc d = {.height = (int32_t)in->dim[1],
                            .width = (int32_t)in->dim[2],
                            .channels = (int32_t)in->dim[3],
                            .div = 255,
                            .std = {1, 1, 1, 1}};
        d.color = d.channels == 3 ? OCT_COLOR_RGB : OCT_COLOR_GREY;
        OCT_TRY(oct_net_set_input(net, &d));
    }
    return classes <= INT32_MAX ? number_classes(net, (int32_t)classes) : OCT_OK;
}

oct_status octi_import_own_words(oct_net *net, const char *text, const char *where) {
    const oct_graph *g = net->graph;
    const oct_shape *in = &g->values[g->input].shape, *out = &g->values[g->output].shape;
    const oct_stage stage = net->stage;
    const char *target = net->target, *qconfig = net->qconfig;
    OCT_TRY(octi_meta_from_json(net, text, strlen(text), where));
    net->stage = stage; /* what was exported may have been an int8 net: it comes in as floats */
    net->target = target;
    net->qconfig = qconfig;
    const oct_input_desc *d = &net->input;
    const bool image = in->rank == 4 && in->dim[1] == d->height && in->dim[2] == d->width &&
                       in->dim[3] == d->channels;
    if ((d->channels && !image) ||
        (net->class_count && net->class_count != out->dim[out->rank - 1]))
        return octi_fail(OCT_EFORMAT, where, "metadata 'octet' describes another net",
                         oct_shape_text(in), octi_fmt("%d classes", (int)net->class_count), NULL);
    return OCT_OK;
}
