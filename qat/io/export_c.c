/* SPDX-License-Identifier: MIT
 * An int8 net as one C file: who can be printed, what it takes, and the two files. */
#include "qat/io/export_c.h"

#include <string.h>

#include "qat/io/c_writer.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/words.h"

void oct_export_c_opts_init(oct_export_c_opts *opts) {
    if (opts) *opts = (oct_export_c_opts){0};
}

const char *octi_c_class(const oct_net *net, int32_t i) {
    const oct_class *c = &net->classes[i];
    return c->name && *c->name ? c->name : c->id ? c->id : "";
}

/* One law is a whole file's: which one, and that it is the only one. */
static oct_status find_law(const oct_graph *g, bool *q31) {
    static const bool rounds[OCT_OP_KIND_COUNT] = {[OCT_OP_qconv2d] = true,
                                                   [OCT_OP_qlinear] = true,
                                                   [OCT_OP_qadd] = true,
                                                   [OCT_OP_qmul] = true,
                                                   [OCT_OP_qcat] = true,
                                                   [OCT_OP_requantize] = true,
                                                   [OCT_OP_qsoftmax] = true,
                                                   [OCT_OP_qavg_pool2d] = true,
                                                   [OCT_OP_qadaptive_avg_pool2d] = true};
    int32_t first = -1;
    *q31 = false;
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        if (!rounds[n->kind]) continue;
        if (first < 0) first = i;
        *q31 = g->nodes[first].attr.law[0] == OCTQ_Q31;
        if (n->attr.law[0] != g->nodes[first].attr.law[0] || (*q31 && n->kind == OCT_OP_qsoftmax))
            return octi_fail(OCT_EUNSUPPORTED, n->name, "rounds by another law than its net",
                             *q31 ? "fixed point (q31)" : "fp32", *q31 ? "fp32" : "fixed point",
                             NULL);
    }
    return OCT_OK;
}

/* The border that reads the net's input, or makes its output. */
static int32_t border(const oct_graph *g, bool first) {
    for (int32_t i = 0; i < g->node_count; i++)
        if (first ? g->nodes[i].kind == OCT_OP_quantize && g->nodes[i].in[0] == g->input
                  : g->nodes[i].kind == OCT_OP_dequantize && g->nodes[i].out == g->output)
            return i;
    return -1;
}

/* Borders inside the net stand beside the layers that need them, and are named only where there is
 * no such layer. */
static int32_t list_floats(const oct_graph *g, int32_t first, int32_t last, bool borders,
                           octi_text *list) {
    int32_t left_out = 0;
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        const bool border = n->kind == OCT_OP_quantize || n->kind == OCT_OP_dequantize;
        if (i == first || i == last || border != borders) continue;
        if (octi_c_has(n->kind) && g->values[n->out].dtype == OCT_U8) continue;
        if (list->size > 160) /* what octi_fail keeps of a text */
            left_out++;
        else
            octi_text_printf(list, "%s%s (%s)", list->size ? ", " : "", n->name,
                             oct_op_name(n->kind));
    }
    return left_out;
}

/* All that no C can be printed of, in one list. */
static oct_status judge(const oct_net *net, int32_t first, int32_t last) {
    octi_text list = {net->ctx};
    int32_t left_out = list_floats(net->graph, first, last, false, &list);
    if (!list.size) left_out = list_floats(net->graph, first, last, true, &list);
    oct_status s = list.status;
    if (s == OCT_OK && list.size)
        s = octi_fail(OCT_EUNSUPPORTED, "export", "layers that compute in floats",
                      "int8 from the first to the last",
                      left_out ? octi_fmt("%.200s and %d more", list.data, (int)left_out)
                               : octi_fmt("%.250s", list.data),
                      "octet layers says why a layer stayed float");
    else if (s == OCT_OK && (first < 0 || last < 0))
        s = octi_fail(OCT_EUNSUPPORTED, "export", "ends of the net",
                      "one quantize behind the input, one dequantize before the output",
                      first < 0 ? "another input" : "another output", NULL);
    octi_text_free(&list);
    return s;
}

static oct_status print(octi_c_writer *w) {
    const octi_plan_value *in = &w->plan->values[w->plan->input];
    if (w->plan->table) {
        octi_c_put(w, &w->tables, "\n/* codes of pixels, per channel */\n");
        octi_c_named(w, OCTI_C_U8, "pixels", w->plan->table,
                     256 * in->shape.dim[in->shape.rank - 1]);
    }
    for (int32_t i = 0; i < w->plan->step_count; i++)
        if (i != w->last) OCT_TRY(octi_c_put_step(w, i));
    /* an output that no layer of its own makes */
    const char *end = octi_c_place(w, w->plan->steps[w->last].in[0]);
    if (strcmp(end, "y")) {
        octi_c_need(w, OCTI_C_COPY);
        octi_c_put(w, &w->body, "    @_copy(@_OUT_COUNT, %s, y);\n", end);
    }
    for (int32_t i = 0; i < w->net->class_count; i++)
        w->flash += 4 + (int64_t)strlen(octi_c_class(w->net, i)) + 1;
    return w->tables.status != OCT_OK ? w->tables.status : w->body.status;
}

/* What a killed export left of the same file goes. */
static oct_status save_one(const octi_folder *f, const char *name, const octi_text *t) {
    octi_folder_clear_left(f, name);
    return octi_file_save_in(f, name, t->data, t->size);
}

static oct_status save(const octi_c_writer *w, const char *folder, const oct_c_sizes *sizes) {
    octi_text h = {w->ctx}, c = {w->ctx};
    oct_status s = octi_c_put_header(w, sizes, &h);
    if (s == OCT_OK) s = octi_c_put_source(w, sizes, &c);
    octi_folder *f = s == OCT_OK ? octi_folder_open(w->ctx, folder) : NULL;
    if (s == OCT_OK && !f) s = oct_last_error()->code;
    if (s == OCT_OK) s = save_one(f, octi_fmt("%s.h", w->id), &h);
    if (s == OCT_OK) s = save_one(f, octi_fmt("%s.c", w->id), &c);
    octi_folder_close(f);
    octi_text_free(&h);
    octi_text_free(&c);
    return s;
}

oct_status oct_export_c(const oct_net *net, const char *dir, const oct_export_c_opts *opts,
                        oct_c_sizes *sizes) {
    OCTI_LAW_MODE();
    oct_c_sizes own = {0}, *found = sizes ? sizes : &own;
    if (!net || !dir) return octi_fail_null("oct_export_c");
    if (net->stage != OCT_STAGE_INT8)
        return octi_fail(OCT_EUSAGE, "export", "the net is not int8", "stage int8 (oct_convert)",
                         NULL, NULL);
    OCT_TRY(octi_net_judge(net));
    octi_c_writer w = {.ctx = net->ctx,
                       .net = net,
                       .first = border(net->graph, true),
                       .last = border(net->graph, false),
                       .tables = {net->ctx},
                       .body = {net->ctx}};
    OCT_TRY(octi_c_name(opts && opts->name ? opts->name : net->model, w.id));
    OCT_TRY(judge(net, w.first, w.last));
    OCT_TRY(find_law(net->graph, &w.q31));
    oct_plan *plan = octi_plan_new_dense(net);
    if (!plan) return oct_last_error()->code;
    w.plan = plan;
    oct_status s = print(&w);
    if (w.scratch && w.beside > w.scratch) w.scratch = w.beside;
    *found = (oct_c_sizes){.flash_bytes = w.flash,
                           .arena_bytes = (int64_t)oct_plan_activation_bytes(plan, NULL),
                           .macs = w.macs};
    memcpy(found->name, w.id, sizeof found->name);
    if (s == OCT_OK && opts && opts->sizes && opts->sizes(opts->user, found))
        s = octi_fail(OCT_ESTOPPED, "export", "stopped by the caller", NULL, NULL, NULL);
    if (s == OCT_OK) s = save(&w, dir, found);
    octi_text_free(&w.tables);
    octi_text_free(&w.body);
    octi_free(net->ctx, w.known);
    oct_plan_free(plan);
    return s;
}
