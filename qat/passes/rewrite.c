/* SPDX-License-Identifier: MIT
 * A new net made from an old one value by value; constants and qparams registered as they are
 * made. */
#include "qat/passes/rewrite.h"

#include <stdio.h>
#include <string.h>

#include "src/mem.h"

oct_status octi_rewrite_begin(octi_rewrite *r, const oct_net *from, oct_stage stage,
                              bool keep_tensors) {
    const oct_graph *g = from->graph;
    *r = (octi_rewrite){.from = from, .to = octi_net_new(from->ctx, stage)};
    r->map = octi_calloc(from->ctx, (size_t)g->value_count, sizeof *r->map);
    if (!r->to || !r->map) return oct_last_error()->code;
    for (int32_t v = 0; v < g->value_count; v++) r->map[v] = -1;
    OCT_TRY(octi_net_copy_meta(r->to, from));
    return keep_tensors ? octi_net_copy_tensors(r->to, from) : OCT_OK;
}

int32_t octi_rewrite_value(octi_rewrite *r, int32_t v) {
    if (v < 0) return -1;
    if (r->map[v] >= 0) return r->map[v];
    const oct_value *x = &r->from->graph->values[v];
    if (x->producer >= 0)
        return octi_fail(OCT_EINTERNAL, x->name, "value was not made yet", NULL, NULL, NULL), -2;
    oct_tensor *t = octi_net_twin(r->to, r->from, x);
    int32_t n = octi_graph_add_value(r->to->graph, x->name, x->role, x->dtype, x->shape, t);
    if (n < 0) return -2;
    r->to->graph->values[n].frozen = x->frozen;
    if (v == r->from->graph->input) r->to->graph->input = n;
    return r->map[v] = n;
}

oct_tensor *octi_rewrite_tensor(octi_rewrite *r, const char *name, oct_dtype dtype, oct_shape shape,
                                const void *data) {
    oct_tensor *t = oct_tensor_new(r->to->ctx, dtype, shape);
    if (!t) return NULL;
    memcpy(t->data, data, oct_tensor_bytes(t));
    oct_status s = octi_net_register(r->to, name, OCT_ROLE_CONST, t);
    oct_tensor_unref(t);
    if (s != OCT_OK) return NULL;
    r->bytes += (int64_t)oct_tensor_bytes(t);
    return t;
}

int32_t octi_rewrite_const(octi_rewrite *r, const char *node, const char *suffix, oct_dtype dtype,
                           oct_shape shape, const void *data) {
    char name[1024];
    snprintf(name, sizeof name, "%s.%s", node, suffix);
    oct_tensor *t = octi_rewrite_tensor(r, name, dtype, shape, data);
    return t ? octi_graph_add_value(r->to->graph, name, OCT_VALUE_CONST, dtype, shape, t) : -1;
}

int32_t octi_rewrite_qparams(octi_rewrite *r, const char *owner, oct_qspec spec, oct_shape shape,
                             const float *scale, const int32_t *zero_point) {
    char name[1024];
    oct_quantizer q = {.name = owner, .spec = spec, .observer = ""};
    snprintf(name, sizeof name, "%s.scale", owner);
    q.scale = octi_rewrite_tensor(r, name, OCT_F32, shape, scale);
    snprintf(name, sizeof name, "%s.zero_point", owner);
    q.zero_point = octi_rewrite_tensor(r, name, OCT_S32, shape, zero_point);
    return q.scale && q.zero_point ? octi_graph_add_quantizer(r->to->graph, &q) : -1;
}

oct_net *octi_rewrite_end(octi_rewrite *r, oct_status st, int32_t output) {
    octi_free(r->from->ctx, r->map); /* NULL where begin failed */
    r->map = NULL;
    if (st == OCT_OK) {
        r->to->graph->output = output;
        st = octi_graph_verify(r->to->graph);
    }
    if (st == OCT_OK) return r->to;
    octi_ctx_failed(r->from->ctx);
    oct_net_free(r->to);
    return NULL;
}
