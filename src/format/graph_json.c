/* SPDX-License-Identifier: MIT
 * A graph's form, written by hand (octi_text: fixed order, 9 digits). graph_read.c reads it. */
#include "src/format/graph_json.h"

#include <string.h>

#include "src/format/graph_form.h"
#include "src/format/json_bits.h"

static const char *tensor_name(const oct_net *net, const oct_tensor *t) {
    for (int32_t i = 0; i < net->tensor_count; i++)
        if (net->tensors[i].tensor == t) return net->tensors[i].name;
    return NULL;
}

static oct_status write_tensor(const oct_net *net, octi_text *out, const char *key,
                               const oct_tensor *t, const char *owner) {
    if (!t) return OCT_OK;
    const char *name = tensor_name(net, t);
    if (!name)
        return octi_fail(OCT_EINTERNAL, owner, octi_fmt("its %s is not in the registry", key), NULL,
                         NULL, NULL);
    octi_text_printf(out, ", \"%s\": ", key);
    octi_json_put_string(out, name);
    return OCT_OK;
}

static void write_attrs(octi_text *out, const oct_attrs *a) {
    int written = 0;
    for (int i = 0; i < ATTR_COUNT; i++) {
        const struct attr_row *r = &attr_rows[i];
        int32_t v[8];
        memcpy(v, (const char *)a + r->offset, (size_t)r->count * 4);
        bool zero = true;
        for (int k = 0; k < r->count; k++) zero = zero && v[k] == 0; /* bits: -0.0f is written */
        if (zero) continue;
        octi_text_printf(out, "%s\"%s\": ", written++ ? ", " : ", \"attr\": {", r->name);
        if (r->count > 1) octi_text_printf(out, "[");
        for (int k = 0; k < r->count; k++) {
            if (k) octi_text_printf(out, ", ");
            float f;
            memcpy(&f, &v[k], 4);
            if (r->is_float)
                octi_json_put_f32(out, f);
            else
                octi_text_printf(out, "%d", (int)v[k]);
        }
        if (r->count > 1) octi_text_printf(out, "]");
    }
    if (written) octi_text_printf(out, "}");
}

/* A setting of an observer; 0 is none. */
static oct_status write_number(octi_text *out, const char *key, float v) {
    if (v == 0) return OCT_OK;
    octi_text_printf(out, ", \"%s\": ", key);
    octi_json_put_f32(out, v);
    return out->status;
}

static oct_status write_quantizer(const oct_net *net, octi_text *out, const oct_quantizer *q) {
    const char *owner = q->name;
    octi_text_printf(out, "{\"name\": ");
    octi_json_put_string(out, q->name);
    octi_text_printf(out,
                     ", \"bits\": %d, \"qmin\": %d, \"qmax\": %d, \"symmetric\": %s, "
                     "\"per_channel\": %s, \"observer\": ",
                     (int)q->spec.bits, (int)q->spec.qmin, (int)q->spec.qmax,
                     q->spec.symmetric ? "true" : "false", q->spec.per_channel ? "true" : "false");
    octi_json_put_string(out, q->observer);
    if (q->role) octi_text_printf(out, ", \"role\": \"%s\"", quantizer_roles[q->role]);
    if (q->method) octi_text_printf(out, ", \"method\": \"%s\"", oct_method_name(q->method));
    if (q->strict) octi_text_printf(out, ", \"strict\": true");
    if (q->spec.pow2) octi_text_printf(out, ", \"pow2\": true");
    OCT_TRY(write_number(out, "averaging", q->averaging));
    OCT_TRY(write_number(out, "percentile", q->percentile));
#define OCT_QTENSOR(name, dtype) OCT_TRY(write_tensor(net, out, #name, q->name, owner));
#include "src/quantizer_tensors.def"
    for (int32_t k = 0; k < q->state_count; k++)
        OCT_TRY(write_tensor(net, out, state_keys[k], q->state[k], owner));
    octi_text_printf(out, "}");
    return OCT_OK;
}

static oct_status write_value(const oct_net *net, octi_text *out, const oct_value *v) {
    octi_text_printf(out, "{\"name\": ");
    octi_json_put_string(out, v->name);
    octi_text_printf(out, ", \"role\": \"%s\", \"dtype\": \"%s\", \"shape\": [",
                     role_words[v->role], oct_dtype_name(v->dtype));
    for (int i = 0; i < v->shape.rank; i++)
        octi_text_printf(out, "%s%lld", i ? ", " : "", (long long)v->shape.dim[i]);
    octi_text_printf(out, "]");
    OCT_TRY(write_tensor(net, out, "tensor", v->tensor, v->name));
    if (v->quantizer >= 0) octi_text_printf(out, ", \"quantizer\": %d", (int)v->quantizer);
    if (v->frozen) octi_text_printf(out, ", \"frozen\": true");
    octi_text_printf(out, "}");
    return OCT_OK;
}

oct_status octi_graph_to_json(const oct_net *net, octi_text *out) {
    const oct_graph *g = net->graph;
    OCT_TRY(octi_graph_verify(g));
    octi_text_printf(out, "{\"octet_graph\": %d,\n\"quantizers\": [", FORM_VERSION);
    for (int32_t i = 0; i < g->quantizer_count; i++) {
        octi_text_printf(out, i ? ",\n" : "\n");
        OCT_TRY(write_quantizer(net, out, &g->quantizers[i]));
    }
    octi_text_printf(out, "],\n\"values\": [");
    for (int32_t i = 0; i < g->value_count; i++) {
        octi_text_printf(out, i ? ",\n" : "\n");
        OCT_TRY(write_value(net, out, &g->values[i]));
    }
    octi_text_printf(out, "],\n\"nodes\": [");
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        octi_text_printf(out, i ? ",\n{\"name\": " : "\n{\"name\": ");
        octi_json_put_string(out, n->name);
        octi_text_printf(out, ", \"kind\": \"%s\", \"in\": [", oct_op_name(n->kind));
        for (int32_t k = 0; k < n->nin; k++) {
            if (k) octi_text_printf(out, ", ");
            if (n->in[k] < 0)
                octi_text_printf(out, "null");
            else
                octi_json_put_string(out, g->values[n->in[k]].name);
        }
        octi_text_printf(out, "]");
        write_attrs(out, &n->attr);
        if (n->reason) octi_text_printf(out, ", \"reason\": \"%s\"", reason_words[n->reason]);
        octi_text_printf(out, "}");
    }
    octi_text_printf(out, "],\n\"input\": ");
    octi_json_put_string(out, g->values[g->input].name);
    octi_text_printf(out, ",\n\"output\": ");
    octi_json_put_string(out, g->values[g->output].name);
    octi_text_printf(out, "}\n");
    return out->status;
}
