/* SPDX-License-Identifier: MIT */
#include "qat/int8/int8.h"

#include <string.h>

#include "ops/ops.h"
#include "src/mem.h"

/* A value as an operand: constants by tensor, codes with their quantizer's scale and zero point. */
static oct_status describe(const oct_graph *g, const oct_value *v, const char *where,
                           octi_qdesc *d) {
    *d = (octi_qdesc){.dtype = v->dtype, .shape = v->shape, .tensor = v->tensor};
    if (v->quantizer < 0 || v->tensor) return OCT_OK;
    const oct_quantizer *q = &g->quantizers[v->quantizer];
    if (!q->scale || !q->zero_point || q->scale->dtype != OCT_F32 ||
        q->zero_point->dtype != OCT_S32 || oct_tensor_count(q->scale) != 1 ||
        oct_tensor_count(q->zero_point) != 1)
        return octi_fail(OCT_EQPARAMS, where, octi_fmt("quantizer of %s", v->name),
                         "one scale and one zero point", NULL, NULL);
    d->quantized = true;
    d->scale = oct_f32(q->scale)[0];
    d->zero_point = oct_s32(q->zero_point)[0];
    d->qmin = q->spec.qmin;
    /* a spec that was left empty: all codes */
    d->qmax = q->spec.qmin || q->spec.qmax ? q->spec.qmax : 255;
    return OCT_OK;
}

static oct_status check_value(const oct_value *v, const char *where) {
    if (v->tensor) return OCT_OK;
    int64_t count = 1;
    bool sound = v->shape.rank >= 2 && v->shape.dim[0] == OCT_BATCH;
    for (int i = 1; sound && i < v->shape.rank; i++)
        sound = v->shape.dim[i] >= 1 && !__builtin_mul_overflow(count, v->shape.dim[i], &count) &&
                count <= INT32_MAX;
    if (!sound)
        return octi_fail(OCT_ESHAPE, where, octi_fmt("shape of %s", v->name),
                         "[N, ...] with dimensions >= 1", oct_shape_text(&v->shape), NULL);
    if (v->dtype != OCT_F32 && v->dtype != OCT_U8)
        return octi_fail(OCT_EDTYPE, where, v->name, "float32 or uint8", oct_dtype_name(v->dtype),
                         NULL);
    if ((v->dtype == OCT_U8) != (v->quantizer >= 0))
        return octi_fail(OCT_EQPARAMS, where,
                         octi_fmt("%s: codes have a quantizer, floats none", v->name), NULL,
                         oct_dtype_name(v->dtype), NULL);
    return OCT_OK;
}

/* Kinds whose weights are codes in their own right: no float form stands behind them. */
static bool is_dynamic(oct_op_kind k) {
    return k == OCT_OP_dynamic_linear || k == OCT_OP_dynamic_lstm || k == OCT_OP_dynamic_lstm_cell;
}

/* Attributes and shapes as every room judges them; what is stored must be what they give. */
static oct_status check_shape(const oct_graph *g, const oct_node *n) {
    const oct_value *in[OCTI_MAX_INPUTS + 1], *out = &g->values[n->out];
    oct_value wide[OCTI_MAX_PARAMETERS];
    oct_dtype dtype;
    oct_shape shape;
    for (int32_t k = 0; k < n->nin; k++) {
        in[k] = n->in[k] >= 0 ? &g->values[n->in[k]] : NULL;
        if (!in[k] || !in[k]->tensor || out->dtype != OCT_F32 || k >= OCTI_MAX_PARAMETERS ||
            (in[k]->dtype == OCT_S8 && is_dynamic(n->kind)))
            continue;
        /* parameters of float layers may be stored small: they count as what they become */
        wide[k] = *in[k];
        wide[k].dtype = OCT_F32;
        in[k] = &wide[k];
    }
    OCT_TRY(oct_infer_shape(n->kind, &n->attr, in, n->nin, n->name, &dtype, &shape));
    if (dtype == out->dtype && oct_shape_equal(&shape, &out->shape)) return OCT_OK;
    return octi_fail(OCT_ESHAPE, n->name, "output",
                     octi_fmt("%s %s", oct_dtype_name(dtype), oct_shape_text(&shape)),
                     octi_fmt("%s %s", oct_dtype_name(out->dtype), oct_shape_text(&out->shape)),
                     NULL);
}

static bool is_view(oct_op_kind k) {
    return k == OCT_OP_flatten || k == OCT_OP_reshape || k == OCT_OP_identity ||
           k == OCT_OP_dropout;
}

bool octi_is_float_whole(const oct_graph *g) {
    for (int32_t i = 0; i < g->value_count; i++)
        if (g->values[i].dtype != OCT_F32) return false;
    return true;
}

static int64_t constant_bytes(const oct_value *v) {
    return v->tensor ? oct_tensor_count(v->tensor) * oct_dtype_size(v->dtype) : 0;
}
int64_t octi_constant_bytes(const oct_graph *g) {
    int64_t bytes = 0;
    for (int32_t i = 0; i < g->value_count; i++) bytes += constant_bytes(&g->values[i]);
    return bytes;
}

oct_status octi_qmodule_init(octi_qmodule *m, octi_arena *arena, const oct_graph *g, int32_t node,
                             int64_t constants) {
    const oct_node *n = &g->nodes[node];
    octi_qdesc in[OCTI_MAX_INPUTS] = {0}, out;
    bool floats = g->values[n->out].dtype == OCT_F32 && n->kind != OCT_OP_dequantize;
    if (n->nin < 1 || n->nin > OCTI_MAX_INPUTS || n->in[0] < 0)
        return octi_fail(OCT_EFORMAT, n->name, "inputs", octi_fmt("1 to %d", OCTI_MAX_INPUTS),
                         octi_fmt("%d", n->nin), NULL);
    int32_t *list = octi_arena_calloc(arena, (size_t)n->nin, sizeof *list);
    const char *name = octi_arena_strdup(arena, n->name);
    if (!list || !name) return oct_last_error()->code;
    for (int32_t k = 0; k < n->nin; k++) {
        list[k] = n->in[k] >= 0 && !g->values[n->in[k]].tensor ? n->in[k] : -1;
        if (n->in[k] < 0) continue;
        OCT_TRY(check_value(&g->values[n->in[k]], n->name));
        OCT_TRY(describe(g, &g->values[n->in[k]], n->name, &in[k]));
        if (in[k].tensor) in[k].beside = constants - constant_bytes(&g->values[n->in[k]]);
    }
    if (list[0] < 0)
        return octi_fail(OCT_EFORMAT, n->name, "input 0", "an activation", "a constant", NULL);
    OCT_TRY(check_value(&g->values[n->out], n->name));
    OCT_TRY(check_shape(g, n));
    OCT_TRY(describe(g, &g->values[n->out], n->name, &out));
    *m = (octi_qmodule){.name = name,
                        .kind = n->kind,
                        .nin = n->nin,
                        .in = list,
                        .out = n->out,
                        .node = node,
                        .is_float = floats,
                        .view = is_view(n->kind)};
    if (floats) {
        OCT_TRY(octi_fnode_init(&m->u.f, arena, g, n, octi_is_float_whole(g)));
        m->scratch = m->u.f.scratch;
        m->in_place = m->u.f.elementwise;
        return OCT_OK;
    }
    OCT_TRY(octi_qinit(&m->u.q, arena, n->kind, &n->attr, in, n->nin, &out, n->name));
    m->in_place = m->u.q.in_place;
    return OCT_OK;
}

oct_status octi_qmodule_bind(octi_qmodule *m, const octi_layout *in, const octi_layout *out) {
    if (m->is_float) return OCT_OK;
    OCT_TRY(octi_qbind(&m->u.q, in, out));
    m->scratch = m->u.q.scratch;
    return OCT_OK;
}

int32_t octi_qmodule_units(const octi_qmodule *m) {
    return m->is_float ? m->u.f.units : m->u.q.units;
}
static int32_t panels_of(const octi_qmodule *m) {
    return m->is_float ? m->u.f.panels : m->u.q.panels;
}
double octi_qmodule_cycles(const octi_qmodule *m) {
    return m->is_float ? octi_fnode_cycles(&m->u.f) : m->u.q.cycles;
}

octi_share octi_qmodule_share(const octi_qmodule *m, int32_t threads) {
    if (!m->is_float) return octi_qrun_share(&m->u.q, threads);
    return octi_share_among(threads, m->u.f.units, m->u.f.panels,
                            m->u.f.cycles ? octi_fnode_part_cycles : NULL, &m->u.f);
}

void octi_qmodule_part(const octi_qmodule *m, int64_t i, octi_qcall *call) {
    octi_share_part(octi_qmodule_units(m), panels_of(m), m->share, i, call);
}

void octi_qmodule_run(const octi_qmodule *m, const octi_qcall *call) {
    if (m->is_float)
        octi_fnode_run_part(&m->u.f, call);
    else
        m->u.q.run(&m->u.q, call);
}

const oct_tensor *octi_int8_table(const oct_net *net) { return oct_net_tensor(net, "input.table"); }

static oct_status check_ends(const oct_net *net) {
    const oct_graph *g = net->graph;
    const oct_value *in = &g->values[g->input], *out = &g->values[g->output];
    for (int32_t i = 0; i < g->value_count; i++)
        if (g->values[i].role == OCT_VALUE_INPUT && i != g->input)
            return octi_fail(OCT_EFORMAT, g->values[i].name, "second input of the graph", NULL,
                             NULL, NULL);
    if (in->role != OCT_VALUE_INPUT)
        return octi_fail(OCT_EFORMAT, in->name, "input of the graph", "an input value", "another",
                         NULL);
    OCT_TRY(check_value(in, "input"));
    if (in->dtype != OCT_F32)
        return octi_fail(OCT_EDTYPE, in->name, "input of the graph", "float32",
                         oct_dtype_name(in->dtype), NULL);
    if (out->role != OCT_VALUE_ACT || out->dtype != OCT_F32)
        return octi_fail(OCT_EDTYPE, out->name, "output of the graph",
                         "a float32 value that a node makes", oct_dtype_name(out->dtype),
                         "end with dequantize");
    return OCT_OK;
}

/* The pixel table fits the input's channels, and its codes those of the quantize nodes that read
 * the input.
 */
static oct_status check_table(const oct_net *net) {
    const oct_graph *g = net->graph;
    const oct_value *in = &g->values[g->input];
    const oct_tensor *t = octi_int8_table(net);
    if (!t) return OCT_OK;
    oct_shape want = OCT_SHAPE(in->shape.dim[in->shape.rank - 1], 256);
    if (t->dtype != OCT_U8 || !oct_shape_equal(&t->shape, &want))
        return octi_fail(
            OCT_ESHAPE, "input.table", "pixel table", octi_fmt("uint8 %s", oct_shape_text(&want)),
            octi_fmt("%s %s", oct_dtype_name(t->dtype), oct_shape_text(&t->shape)), NULL);
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        octi_qdesc d;
        if (n->kind != OCT_OP_quantize || n->in[0] != g->input) continue;
        OCT_TRY(describe(g, &g->values[n->out], n->name, &d));
        for (int64_t k = 0; d.quantized && k < oct_tensor_count(t); k++)
            if (oct_u8(t)[k] < d.qmin || oct_u8(t)[k] > d.qmax)
                return octi_fail(OCT_EQPARAMS, "input.table", octi_fmt("code %lld", (long long)k),
                                 octi_fmt("%d to %d", d.qmin, d.qmax), octi_fmt("%d", oct_u8(t)[k]),
                                 NULL);
    }
    return OCT_OK;
}

/* A small file may declare an image of any size. Judged before anything is made whose size follows
 * from it. */
static oct_status check_sizes(const oct_net *net) {
    const oct_graph *g = net->graph;
    size_t most = octi_ctx_declared_limit(net->ctx);
    for (int32_t i = 0; i < g->value_count; i++) {
        const oct_value *v = &g->values[i];
        size_t bytes = oct_dtype_size(v->dtype);
        bool fits = true;
        for (int32_t d = 1; d < v->shape.rank; d++)
            fits = fits && v->shape.dim[d] >= 0 &&
                   octi_mul_size(bytes, (size_t)v->shape.dim[d], &bytes);
        if (!v->tensor && (!fits || bytes > most))
            return octi_fail(OCT_ELIMIT, v->name, "activation of one image is too large",
                             octi_fmt("at most %zu bytes", most), oct_shape_text(&v->shape),
                             "raise max_bytes of the context");
    }
    return OCT_OK;
}

oct_status octi_int8_check_net(const oct_net *net) {
    if (net->stage != OCT_STAGE_INT8)
        return octi_fail(OCT_EUSAGE, "int8", "the net is not int8", "stage int8 (oct_convert)",
                         NULL, NULL);
    OCT_TRY(octi_net_judge(net));
    OCT_TRY(check_ends(net));
    OCT_TRY(check_sizes(net));
    return check_table(net);
}

oct_status octi_int8_check(const oct_net *net) {
    OCT_TRY(octi_int8_check_net(net));
    const oct_graph *g = net->graph;
    octi_arena *arena = octi_arena_new_kept(net->ctx);
    if (!arena) return oct_last_error()->code;
    oct_status s = OCT_OK;
    const int64_t constants = octi_constant_bytes(g);
    for (int32_t i = 0; i < g->node_count && s == OCT_OK; i++) {
        octi_qmodule m;
        octi_arena_mark mark = octi_arena_save(arena);
        s = octi_qmodule_init(&m, arena, g, i, constants);
        octi_arena_rewind(arena, mark);
    }
    octi_arena_free(arena);
    return s;
}
