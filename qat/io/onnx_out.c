/* SPDX-License-Identifier: MIT
 * A net as an ONNX model: its nodes one behind the other, each by its kind's row; what the file
 * says of its input and classes. */
#include "qat/io/onnx_out.h"

#include <stdio.h>
#include <string.h>

#include "qat/io/onnx_out_floats.h"
#include "src/float_mode.h"
#include "src/format/files.h"
#include "src/format/graph_json.h"
#include "src/format/json.h"
#include "src/mem.h"
#include "src/words.h"

/* ---- the table of kinds ---- */

static const octi_onnxw_writer writers[OCT_OP_KIND_COUNT] = {
#define OCTI_ONNX_KIND(kind, writer) [OCT_OP_##kind] = octi_onnxw_write_##writer,
#define OCTI_ONNX_REFUSED(kind, why)
#include "qat/io/onnx_out_kinds.def"
};

static const char *const refusals[OCT_OP_KIND_COUNT] = {
#define OCTI_ONNX_KIND(kind, writer)
#define OCTI_ONNX_REFUSED(kind, why) [OCT_OP_##kind] = why,
#include "qat/io/onnx_out_kinds.def"
};

octi_onnxw_writer octi_onnxw_writer_of(oct_op_kind kind) { return writers[kind]; }
const char *octi_onnxw_refusal(oct_op_kind kind) { return refusals[kind]; }

void octi_onnxw_refuse(octi_onnx_out *w, const char *why) {
    const size_t n = strlen(w->refused);
    w->refusals++;
    if (n + 1 < sizeof w->refused)
        snprintf(w->refused + n, sizeof w->refused - n, "%s%.80s (%s): %s", n ? "; " : "",
                 w->n->name, oct_op_name(w->n->kind), why);
}

/* ---- nodes ---- */

/* Nodes that the output does not depend on stay behind. */
static void mark_needed(const oct_graph *g, bool *needed) {
    const int32_t last = g->values[g->output].producer;
    if (last >= 0) needed[last] = true;
    for (int32_t i = g->node_count - 1; i >= 0; i--)
        for (int32_t k = 0; needed[i] && k < g->nodes[i].nin; k++) {
            const oct_value *v = octi_node_in(g, &g->nodes[i], k);
            if (v && v->producer >= 0) needed[v->producer] = true;
        }
}

static oct_status write_nodes(octi_onnx_out *w) {
    const oct_graph *g = w->g;
    bool *needed = octi_calloc(w->net->ctx, (size_t)g->node_count + 1, sizeof *needed);
    if (!needed) return oct_last_error()->code;
    mark_needed(g, needed);
    for (int32_t i = 0; i < g->node_count && w->b.status == OCT_OK; i++) {
        if (!needed[i]) continue;
        w->n = &g->nodes[i];
        const octi_onnxw_writer write = writers[w->n->kind];
        if (write)
            write(w);
        else
            octi_onnxw_refuse(w, refusals[w->n->kind] ? refusals[w->n->kind] : "has no writer");
    }
    octi_free(w->net->ctx, needed);
    if (w->b.status != OCT_OK || !w->refusals) return w->b.status;
    return octi_fail(
        OCT_EUNSUPPORTED, "onnx",
        octi_fmt("%d layer%s cannot be written", w->refusals, w->refusals > 1 ? "s" : ""),
        "kinds of qat/io/onnx_out_kinds.def", w->refused, NULL);
}

/* The names of layers come before any other. */
static oct_status name_values(octi_onnx_out *w) {
    const oct_graph *g = w->g;
    int64_t(*hwc)[3] = octi_onnxw_orders(w->net);
    if (!hwc) return oct_last_error()->code;
    for (int32_t i = 0; i < g->value_count; i++) {
        const oct_value *v = &g->values[i];
        memcpy(w->v[i].hwc, hwc[i], sizeof *hwc);
        if (!v->tensor) w->v[i].name = octi_onnxw_value_name(&w->b, v->name);
    }
    octi_free(w->net->ctx, hwc);
    return w->b.status;
}

static void write_ends(octi_onnx_out *w) {
    const oct_value *in = &w->g->values[w->g->input], *out = &w->g->values[w->g->output];
    const oct_shape shape = octi_onnxw_shape(&in->shape), end = octi_onnxw_shape(&out->shape);
    const char *name = w->v[w->g->output].name;
    octi_onnxw_input(&w->b, w->v[w->g->input].name, octi_onnxw_type(in->dtype), &shape);
    if (w->g->output == w->g->input) {
        const char *const from[] = {name};
        name = octi_onnxw_value_name(&w->b, "output");
        octi_onnxw_node(&w->b, "Identity", name, from, 1, name, octi_onnxw_type(out->dtype), &end);
    }
    octi_onnxw_output(&w->b, name, octi_onnxw_type(out->dtype), &end);
}

/* ---- what the file says of itself ---- */

/* {"conv1":[0.0132885445,0]}: the real scale and zero point of each layer's codes. */
static void put_scales(const octi_onnx_out *w, octi_text *t) {
    octi_text_bytes(t, "{", 1);
    bool more = false;
    for (int32_t i = 0; i < w->g->node_count; i++) {
        const oct_value *v = &w->g->values[w->g->nodes[i].out];
        if (v->dtype != OCT_U8 || v->quantizer < 0) continue;
        if (more) octi_text_bytes(t, ",", 1);
        more = true;
        octi_json_put_string(t, v->name);
        octi_text_bytes(t, ":[", 2);
        octi_json_put_number(t, (double)octi_onnxw_scale(w, v));
        octi_text_printf(t, ",%d]", octi_onnxw_zero(w, v));
    }
    octi_text_bytes(t, "}", 1);
}

static oct_status write_meta(octi_onnx_out *w) {
    octi_text meta = {.ctx = w->net->ctx}, scales = {.ctx = w->net->ctx};
    oct_status s = octi_meta_to_json(w->net, &meta);
    if (s == OCT_OK) put_scales(w, &scales);
    octi_text_bytes(&meta, "\0", 1);
    octi_text_bytes(&scales, "\0", 1);
    if (s == OCT_OK) s = meta.status != OCT_OK ? meta.status : scales.status;
    if (s == OCT_OK) {
        octi_onnxw_meta(&w->b, "octet", meta.data);
        octi_onnxw_meta(&w->b, "layout", "NCHW");
        if (w->net->stage == OCT_STAGE_INT8) {
            octi_onnxw_meta(&w->b, "octet.codes", w->exact ? "by multipliers" : "by scales");
            octi_onnxw_meta(&w->b, "octet.scales", scales.data);
        }
    }
    octi_text_free(&meta);
    octi_text_free(&scales);
    return s != OCT_OK ? s : w->b.status;
}

/* ---- the whole ---- */

static oct_status write_all(octi_onnx_out *w, uint8_t **bytes, size_t *size) {
    const char *model = w->net->model;
    OCT_TRY(name_values(w));
    OCT_TRY(write_nodes(w));
    write_ends(w);
    OCT_TRY(write_meta(w));
    return octi_onnxw_pack(&w->b, model && *model ? model : "octet", bytes, size);
}

static oct_status export(const oct_net *net, const oct_onnx_opts *opts, uint8_t **bytes,
                         size_t *size) {
    if (net->stage == OCT_STAGE_PREPARED)
        return octi_fail(OCT_EUSAGE, "onnx", "net is prepared", "a float net, or an int8 one", NULL,
                         "oct_convert makes it int8");
    OCT_TRY(octi_net_judge(net));
    const oct_graph *g = net->graph;
    octi_onnx_out w = {
        .net = net,
        .g = g,
        .exact = !opts || !opts->integer_kernels,
        .v = octi_calloc(net->ctx, (size_t)g->value_count + 1, sizeof *w.v),
        .scales = octi_calloc(net->ctx, (size_t)g->quantizer_count + 1, sizeof *w.scales),
        .zeros = octi_calloc(net->ctx, (size_t)g->quantizer_count + 1, sizeof *w.zeros)};
    octi_arena *arena = w.v && w.scales && w.zeros ? octi_arena_new(net->ctx) : NULL;
    oct_status s = arena ? OCT_OK : oct_last_error()->code;
    if (s == OCT_OK) {
        octi_onnxw_begin(&w.b, arena);
        s = write_all(&w, bytes, size);
    }
    octi_arena_free(arena);
    octi_free(net->ctx, w.v);
    octi_free(net->ctx, (void *)w.scales);
    octi_free(net->ctx, (void *)w.zeros);
    return s;
}

oct_status oct_export_onnx_memory(const oct_net *net, const oct_onnx_opts *opts, uint8_t **bytes,
                                  size_t *size) {
    OCTI_LAW_MODE();
    if (!net || !bytes || !size) return octi_fail_null("oct_export_onnx_memory");
    *bytes = NULL;
    *size = 0;
    return export(net, opts, bytes, size);
}

oct_status oct_export_onnx(const oct_net *net, const char *path, const oct_onnx_opts *opts) {
    OCTI_LAW_MODE();
    if (!net || !path) return octi_fail_null("oct_export_onnx");
    uint8_t *bytes = NULL;
    size_t size = 0;
    oct_status s = export(net, opts, &bytes, &size);
    if (s == OCT_OK) s = octi_file_save(net->ctx, path, bytes, size);
    octi_free(net->ctx, bytes);
    return s;
}

void oct_export_free(oct_ctx *ctx, uint8_t *bytes) {
    if (ctx) octi_free(ctx, bytes);
}

void oct_onnx_opts_init(oct_onnx_opts *opts) {
    if (opts) *opts = (oct_onnx_opts){0};
}
