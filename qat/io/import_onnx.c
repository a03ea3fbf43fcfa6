/* SPDX-License-Identifier: MIT
 * ONNX in: a file's graph is read node by node (onnx_in.h), what its output needs becomes a net. */
#include <string.h>

#include "qat/io/import.h"
#include "qat/io/import_describe.h"
#include "qat/io/onnx_in.h"
#include "qat/passes/passes.h"
#include "src/float_mode.h"
#include "src/format/bytes.h"
#include "src/mem.h"
#include "src/words.h"

static oct_status badly(const octi_onnx *o, octi_onnx_cause cause, const char *what,
                        const char *name) {
    return octi_fail(OCT_EFORMAT, o->where, what, NULL, octi_onnx_word(name),
                     octi_onnx_cure(cause, NULL));
}

static oct_status malformed(const octi_onnx *o, const char *what, const char *name) {
    return badly(o, OCTI_CURE_RULES, what, name);
}

/* ---- the table of ops ---- */

static const octi_onnx_row rows[] = {
#define OCT_ONNX_OP(op, read, fold, least, most, attributes)                                       \
    {op, octi_onnx_read_##read, octi_onnx_fold_##fold, least, most, attributes},
#include "qat/io/onnx_ops.def"
};

const octi_onnx_row *octi_onnx_row_at(int i) {
    return i >= 0 && (size_t)i < sizeof rows / sizeof *rows ? &rows[i] : NULL;
}

const octi_onnx_row *octi_onnx_row_of(const char *op) {
    size_t least = 0, most = sizeof rows / sizeof *rows; /* sorted by name */
    while (op && least < most) {
        const size_t mid = (least + most) / 2;
        const int way = strcmp(op, rows[mid].op);
        if (!way) return &rows[mid];
        if (way < 0)
            most = mid;
        else
            least = mid + 1;
    }
    return NULL;
}

/* ---- names: who makes what, who reads it ---- */

static oct_status add_initializers(octi_onnx *o) {
    for (size_t i = 0; i < o->graph->n_initializer; i++) {
        const OctiOnnx__TensorProto *t = o->graph->initializer[i];
        octi_onnx_value *v = t->name && *t->name ? octi_onnx_named(o, t->name) : NULL;
        if (!t->name || !*t->name) return malformed(o, "an initializer has no name", "");
        if (!v) return oct_last_error()->code;
        if (v->state != OCTI_ONNX_UNMADE)
            return malformed(o, "two initializers of one name", t->name);
        v->state = OCTI_ONNX_CONST;
        v->tensor = t;
    }
    return OCT_OK;
}

static oct_status add_makers(octi_onnx *o) {
    for (size_t i = 0; i < o->graph->n_node; i++) {
        const octi_onnx_proto *p = o->graph->node[i];
        for (size_t k = 0; k < p->n_output; k++) {
            if (!*p->output[k]) continue;
            octi_onnx_value *v = octi_onnx_named(o, p->output[k]);
            if (!v) return oct_last_error()->code;
            if (v->maker >= 0 || v->state != OCTI_ONNX_UNMADE)
                return malformed(o, "two nodes make one value", v->name);
            v->maker = (int32_t)i;
        }
    }
    return OCT_OK;
}

/* Readers of every value among the nodes that the output needs; the others are done with. */
static oct_status add_readers(octi_onnx *o) {
    bool *needed = octi_arena_calloc(o->arena, o->graph->n_node + 1, sizeof *needed);
    if (!needed) return oct_last_error()->code;
    if (o->output->maker >= 0) needed[o->output->maker] = true;
    for (size_t i = o->graph->n_node; i-- > 0;) {
        const octi_onnx_proto *p = o->graph->node[i];
        o->done[i] = !needed[i];
        for (size_t k = 0; needed[i] && k < p->n_input; k++) {
            if (!*p->input[k]) continue;
            octi_onnx_value *v = octi_onnx_named(o, p->input[k]);
            if (!v) return oct_last_error()->code;
            v->readers++;
            v->reader = (int32_t)i;
            if (octi_onnx_is(p, "DequantizeLinear"))
                v->dequantizer = (int32_t)i;
            else if (!octi_onnx_is_index_cast(p) && !octi_onnx_may_pass_codes(p))
                v->other = (int32_t)i;
            if (k == 0 && octi_onnx_is(p, "QuantizeLinear"))
                octi_onnx_note_quantizer(o, v, (int32_t)i);
            if (v->maker >= (int32_t)i)
                return malformed(o, "a node reads what a later one makes, or its own", v->name);
            if (v->maker >= 0) needed[v->maker] = true;
        }
    }
    return OCT_OK;
}

/* ---- input and output ---- */

/* Nothing but these between the input and a Transpose to [N,C,H,W]: then images are [N,H,W,C]. */
static bool passes_on(const octi_onnx_proto *p) {
    static const char *const ops[] = {
        "Identity", "Cast", "Add", "Sub", "Mul", "Div", "QuantizeLinear", "DequantizeLinear"};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (octi_onnx_is(p, ops[i])) return true;
    return false;
}

static bool channels_last(const octi_onnx *o, const octi_onnx_value *v) {
    for (int steps = 0; v && v->reader >= 0 && steps < 16; steps++) {
        const octi_onnx_proto *p = o->graph->node[v->reader];
        const OctiOnnx__AttributeProto *perm = octi_onnx_attr(p, "perm");
        if (octi_onnx_is(p, "Transpose"))
            return perm && perm->n_ints == 4 && perm->ints[0] == 0 && perm->ints[1] == 3 &&
                   perm->ints[2] == 1 && perm->ints[3] == 2;
        if (!passes_on(p) || p->n_output < 1) return false;
        v = octi_onnx_find(o, p->output[0]);
    }
    return false;
}

static oct_status find_input(octi_onnx *o, const OctiOnnx__ValueInfoProto **info) {
    *info = NULL;
    for (size_t i = 0; i < o->graph->n_input; i++) {
        const OctiOnnx__ValueInfoProto *in = o->graph->input[i];
        octi_onnx_value *v = in->name && *in->name ? octi_onnx_named(o, in->name) : NULL;
        if (!in->name || !*in->name) return malformed(o, "an input has no name", "");
        if (!v) return oct_last_error()->code;
        if (v->state == OCTI_ONNX_CONST) continue; /* an initializer that may be overridden */
        if (v->maker >= 0) return malformed(o, "a node makes an input", in->name);
        if (v == o->input) return malformed(o, "an input stands twice", in->name);
        if (*info)
            return octi_fail(
                OCT_EUNSUPPORTED, o->where, "the net has several inputs", "one",
                octi_fmt("%s and %s", octi_onnx_word((*info)->name), octi_onnx_word(in->name)),
                octi_onnx_cure(OCTI_CURE_PARTS, NULL));
        *info = in;
        o->input = v;
    }
    return *info ? OCT_OK : badly(o, OCTI_CURE_EMPTY, "the net has no input", "");
}

static oct_status find_output(octi_onnx *o) {
    if (o->graph->n_output < 1) return badly(o, OCTI_CURE_EMPTY, "the net has no output", "");
    if (o->graph->n_output > 1)
        return octi_fail(OCT_EUNSUPPORTED, o->where, "the net has several outputs", "one",
                         octi_fmt("%s, %s%s", octi_onnx_word(o->graph->output[0]->name),
                                  octi_onnx_word(o->graph->output[1]->name),
                                  o->graph->n_output > 2 ? ", ..." : ""),
                         octi_onnx_cure(OCTI_CURE_PARTS, NULL));
    const char *name = o->graph->output[0]->name;
    if (!name || !*name) return malformed(o, "an output has no name", "");
    if (!(o->output = octi_onnx_named(o, name))) return oct_last_error()->code;
    o->output->output = true;
    return OCT_OK;
}

/* Sides of the input: the file's, and the caller's where it leaves them open. */
static oct_status input_dims(octi_onnx *o, const OctiOnnx__ValueInfoProto *info,
                             const oct_import_onnx_opts *opts, int *rank,
                             int64_t dim[OCT_MAX_RANK]) {
    const OctiOnnx__TypeProto__Tensor *t = info->type ? info->type->tensor_type : NULL;
    if (!t || !t->shape) return badly(o, OCTI_CURE_SIZE, "the input has no shape", info->name);
    *rank = (int)(t->shape->n_dim < 100 ? t->shape->n_dim : 100);
    if (*rank < 2 || *rank > 4)
        return octi_fail(OCT_EUNSUPPORTED, o->where,
                         octi_fmt("axes of input %s", octi_onnx_word(info->name)),
                         "4: [N, C, H, W]; 3, or 2: [N, K]", octi_fmt("%d", *rank),
                         octi_onnx_cure(OCTI_CURE_AXES, NULL));
    for (int a = 0; a < *rank; a++) {
        const OctiOnnx__TensorShapeProto__Dimension *d = t->shape->dim[a];
        const bool known =
            d->value_case == OCTI_ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        dim[a] = known && d->dim_value > 0 ? d->dim_value : 0;
        if (dim[a] > INT32_MAX)
            return octi_fail(OCT_ELIMIT, o->where, "a side of the input", "at most 2^31 - 1",
                             octi_fmt("%lld", (long long)dim[a]),
                             octi_onnx_cure(OCTI_CURE_LIMIT, NULL));
    }
    o->batch = dim[0];
    dim[0] = OCTI_ONNX_BATCH;
    const bool last = *rank == 4 && channels_last(o, o->input);
    const int h = last ? 1 : 2, w = h + 1;
    const int asked[2] = {opts ? opts->height : 0, opts ? opts->width : 0};
    for (int i = 0; i < 2 && *rank == 4; i++) {
        int64_t *side = &dim[i ? w : h];
        if (asked[i] && *side && *side != asked[i])
            return octi_fail(OCT_EUSAGE, o->where, "the file's input has another size",
                             octi_onnx_dims_text(*rank, dim),
                             octi_fmt("%d x %d", asked[0], asked[1]), "export it with that size");
        if (!*side) *side = asked[i];
    }
    for (int a = 1; a < *rank; a++)
        if (!dim[a])
            return octi_fail(OCT_EUSAGE, o->where,
                             octi_fmt("side %d of input %s is open", a, octi_onnx_word(info->name)),
                             a == h || a == w ? "its size: .height and .width"
                                              : "a number in the file",
                             NULL, octi_onnx_cure(OCTI_CURE_SIZE, NULL));
    return OCT_OK;
}

static oct_status place_input(octi_onnx *o, const OctiOnnx__ValueInfoProto *info,
                              const oct_import_onnx_opts *opts) {
    octi_onnx_place *p = &o->input->at;
    OCT_TRY(input_dims(o, info, opts, &p->rank, p->dim));
    const bool turn = p->rank == 4 && !channels_last(o, o->input);
    static const int images[4] = {0, 3, 1, 2};
    oct_shape s = {.rank = p->rank};
    for (int a = 0; a < p->rank; a++) {
        p->at[a] = turn ? images[a] : a;
        s.dim[p->at[a]] = a ? p->dim[a] : OCT_BATCH;
    }
    p->turned = -1;
    octi_onnx_value *taken = octi_onnx_table_named(&o->names, o->arena, "input");
    if (!taken) return oct_last_error()->code;
    taken->readers = 1;
    p->v = octi_graph_add_value(o->to, "input", OCT_VALUE_INPUT, OCT_F32, s, NULL);
    o->input->state = OCTI_ONNX_ACT;
    return p->v < 0 ? oct_last_error()->code : OCT_OK;
}

/* ---- nodes ---- */

static oct_status see(octi_onnx *o, int32_t index, octi_onnx_node *n) {
    const octi_onnx_proto *p = o->graph->node[index];
    *n = (octi_onnx_node){.o = o, .index = index, .p = p, .path = ""};
    if (!p->op_type) return malformed(o, "a node has no op", p->name);
    for (size_t k = 0; k < p->n_input && k < OCTI_ONNX_ARGS; k++)
        n->in[k] = *p->input[k] ? octi_onnx_find(o, p->input[k]) : NULL;
    for (size_t k = 0; k < p->n_output && k < OCTI_ONNX_ARGS; k++)
        n->out[k] = *p->output[k] ? octi_onnx_find(o, p->output[k]) : NULL;
    n->nin = (int)(p->n_input < OCTI_ONNX_ARGS ? p->n_input : OCTI_ONNX_ARGS);
    n->nout = (int)(p->n_output < OCTI_ONNX_ARGS ? p->n_output : OCTI_ONNX_ARGS);
    while (n->nin && !n->in[n->nin - 1]) n->nin--; /* absent ones at the end */
    return OCT_OK;
}

/* The op is known, its attributes too, and it has as many inputs as it may have. */
static oct_status judge(const octi_onnx_node *n, const octi_onnx_row *row) {
    const octi_onnx_proto *p = n->p;
    if (p->domain && *p->domain && strcmp(p->domain, "ai.onnx"))
        return octi_onnx_refuse(n, OCTI_CURE_DOMAIN, "op of domain %s", octi_onnx_word(p->domain));
    if (!row) return octi_onnx_refuse(n, OCTI_CURE_OP, "op is not taken");
    for (size_t i = 0; i < p->n_attribute; i++) {
        const char *name = p->attribute[i]->name;
        if (!name || !strstr(row->attributes, octi_fmt(" %.100s ", name)))
            return octi_onnx_refuse(n, OCTI_CURE_ATTRIBUTE, "attribute %s is not taken",
                                    octi_onnx_word(name));
        if (p->attribute[i]->ref_attr_name)
            return octi_onnx_refuse(n, OCTI_CURE_FUNCTION, "attribute %s refers to a function's",
                                    octi_onnx_word(name));
    }
    if (p->n_input > OCTI_ONNX_ARGS || p->n_output > OCTI_ONNX_ARGS || n->nin > row->most ||
        n->nin < row->least)
        return octi_onnx_refuse(n, OCTI_CURE_RULES, "%zu inputs and %zu outputs", p->n_input,
                                p->n_output);
    return OCT_OK;
}

static bool all_constant(const octi_onnx_node *n) {
    for (int k = 0; k < n->nin; k++)
        if (n->in[k] && n->in[k]->state != OCTI_ONNX_CONST) return false;
    return true;
}

static oct_status check_made(const octi_onnx_node *n) {
    for (int k = 0; k < n->nin; k++)
        if (n->in[k] && n->in[k]->state == OCTI_ONNX_UNMADE)
            return malformed(n->o, "a node reads what no node makes", n->in[k]->name);
    return OCT_OK;
}

/* constants: only what needs none of the net's values. */
static oct_status read_node(octi_onnx *o, int32_t index, bool constants) {
    octi_onnx_node n;
    OCT_TRY(see(o, index, &n));
    const octi_onnx_row *row = octi_onnx_row_of(n.p->op_type);
    const bool folds = all_constant(&n);
    if (constants && (!folds || !row || row->fold == octi_onnx_fold_none)) return OCT_OK;
    OCT_TRY(check_made(&n));
    o->done[index] = true;
    oct_status s = judge(&n, row);
    if (s == OCT_OK && !folds) s = octi_onnx_path_of(&n);
    if (s == OCT_OK) s = folds ? row->fold(&n) : row->read(&n);
    if (s != OCT_EUNSUPPORTED) return s;
    for (int k = 0; k < n.nout; k++)
        if (n.out[k]) n.out[k]->state = OCTI_ONNX_LOST;
    return OCT_OK;
}

static oct_status read_nodes(octi_onnx *o) {
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < o->graph->n_node; i++)
            if (!o->done[i]) OCT_TRY(read_node(o, (int32_t)i, pass == 0));
    return octi_onnx_refused(o);
}

/* ---- the net ---- */

/* The output lies in octet as `run` gives it back. A flatten at the very end is left out where it
 * would give the image's elements another order. */
static oct_status check_output(octi_onnx *o) {
    octi_onnx_value *y = o->output;
    if (y->state == OCTI_ONNX_CONST)
        return badly(o, OCTI_CURE_EMPTY, "the output is a constant", y->name);
    if (y->state != OCTI_ONNX_ACT) return malformed(o, "no node makes the output", y->name);
    const oct_node *p = octi_onnx_producer(o, y->at.v);
    if (!p) return badly(o, OCTI_CURE_EMPTY, "the output is the input", y->name);
    if (y->at.order && p->kind == OCT_OP_flatten && octi_onnx_producer(o, p->in[0])) {
        const octi_onnx_place x = octi_onnx_placed(o, p->in[0]);
        bool images = x.rank == 4 && y->at.order->run[0].rank == 3;
        for (int a = 0; images && a < 3; a++) images = y->at.order->run[0].at[a] == x.at[a + 1] - 1;
        const int32_t grid = o->to->values[y->at.v].quantizer;
        if (grid >= 0) { /* on a grid of its own: then the image is, where nobody else reads it */
            int32_t *before = &o->to->values[x.v].quantizer;
            images &= *before < 0 && octi_graph_consumers(o->to, x.v, NULL) == 1;
            if (images) *before = grid;
        }
        if (images) y->at = x;
    }
    octi_onnx_node n;
    OCT_TRY(see(o, y->maker, &n));
    OCT_TRY(octi_onnx_path_of(&n));
    OCT_TRY(octi_onnx_settle(&n, &y->at));
    const octi_onnx_place fine = octi_onnx_placed(o, y->at.v);
    bool plain = !y->at.order;
    for (int a = 1; a < y->at.rank; a++) plain &= y->at.at[a] == fine.at[a] || y->at.dim[a] == 1;
    if (!plain)
        OCT_TRY(octi_onnx_refuse_file(o, OCTI_CURE_ORDER,
                                      "output %s lies in another order than octet gives values "
                                      "back: a Transpose or Flatten at its end",
                                      octi_onnx_word(y->name)));
    return OCT_OK;
}

static oct_status fill(octi_onnx *o, const oct_import_onnx_opts *opts, oct_net *net) {
    const OctiOnnx__ValueInfoProto *info;
    OCT_TRY(add_initializers(o));
    OCT_TRY(add_makers(o));
    OCT_TRY(find_input(o, &info));
    OCT_TRY(find_output(o));
    OCT_TRY(add_readers(o));
    OCT_TRY(octi_onnx_scan_scopes(o));
    OCT_TRY(place_input(o, info, opts));
    OCT_TRY(read_nodes(o));
    oct_status s = check_output(o);
    if (s == OCT_EUNSUPPORTED) return octi_onnx_refused(o);
    OCT_TRY(s);
    OCT_TRY(octi_onnx_keep(o, net));
    OCT_TRY(octi_import_describe(net, "custom"));
    for (size_t i = 0; i < o->model->n_metadata_props; i++) {
        const OctiOnnx__StringStringEntryProto *e = o->model->metadata_props[i];
        if (e->key && e->value && !strcmp(e->key, "octet"))
            OCT_TRY(octi_import_own_words(net, e->value, o->where));
    }
    OCT_TRY(octi_tensors_finite(net->tensors, net->tensor_count, o->where, OCT_EFORMAT,
                                octi_onnx_cure(OCTI_CURE_FINITE, NULL)));
    if (o->marks && o->as_floats)
        octi_log(o->ctx, OCT_LOG_WARN,
                 "%s: QuantizeLinear and DequantizeLinear around %d values are left out: the net "
                 "comes in as floats, with the weights that the file's codes stand for; octet ptq "
                 "or qat quantizes it",
                 o->where, (int)o->marks);
    return OCT_OK;
}

/* A file with grids of its own is a prepared net: they are settled, nothing has to be observed. */
static oct_net *on_its_grids(const octi_onnx *o, oct_net *net) {
    if (!o->marks || o->as_floats) return net;
    oct_net *made = oct_prepare(net, NULL);
    oct_net_free(net);
    return made;
}

static oct_net *import(oct_ctx *ctx, const uint8_t *bytes, size_t size, const char *where,
                       const oct_import_onnx_opts *opts) {
    octi_onnx *o = octi_alloc(ctx, sizeof *o);
    oct_net *net = octi_net_new(ctx, OCT_STAGE_FLOAT);
    bool fine = false;
    if (o) {
        *o = (octi_onnx){.ctx = ctx, .where = where, .as_floats = opts && opts->as_floats};
        o->arena = octi_arena_new_kept(ctx);
        o->to = octi_graph_new(ctx);
        o->made = (int64_t)(size / 2 < ((size_t)1 << 40) ? 8 * size : size) + (1 << 20);
        if (net && o->arena && o->to && octi_onnx_unpack(o, bytes, size) == OCT_OK &&
            (o->done = octi_arena_calloc(o->arena, o->graph->n_node + 1, sizeof *o->done)))
            fine = fill(o, opts, net) == OCT_OK && (net = on_its_grids(o, net)) != NULL &&
                   octi_net_judge(net) == OCT_OK;
        octi_graph_free(o->to);
        octi_arena_free(o->arena);
    }
    octi_free(ctx, o);
    if (fine) return net;
    oct_net_free(net);
    return NULL;
}

oct_net *oct_import_onnx_memory(oct_ctx *ctx, const void *bytes, size_t size,
                                const oct_import_onnx_opts *opts) {
    OCTI_LAW_MODE();
    if (!ctx) return NULL;
    oct_net *net = NULL;
    if (!bytes)
        (void)octi_fail_null("oct_import_onnx_memory");
    else
        net = import(ctx, bytes, size, "ONNX", opts);
    if (!net) octi_ctx_failed(ctx);
    return net;
}

oct_net *oct_import_onnx(oct_ctx *ctx, const char *path, const oct_import_onnx_opts *opts) {
    OCTI_LAW_MODE();
    if (!ctx) return NULL;
    uint8_t *bytes = NULL;
    size_t size;
    oct_net *net = NULL;
    if (!path)
        (void)octi_fail_null("oct_import_onnx");
    else if (octi_file_read(ctx, path, (size_t)INT32_MAX, &bytes, &size) == OCT_OK)
        net = import(ctx, bytes, size, path, opts);
    octi_free(ctx, bytes);
    if (!net) octi_ctx_failed(ctx);
    return net;
}

void oct_import_onnx_opts_init(oct_import_onnx_opts *opts) {
    if (opts) *opts = (oct_import_onnx_opts){0};
}
