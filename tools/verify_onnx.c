/* SPDX-License-Identifier: MIT
 * The side of verify that is an ONNX file, run by ONNX Runtime: values that have a layer's name are
 * made outputs of it, and turned to octet's order. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/onnx_runtime.h"
#include "tools/places.h"
#include "tools/verify.h"

typedef struct onnx_layer {
    oct_tensor value;  /* of the last batch, in octet's order; data is malloc'd */
    int64_t hwc[3];    /* an image in a row, C,H,W in the file; else zeros */
    const char *known; /* as the other side calls it */
} onnx_layer;

typedef struct onnx_side {
    oct_onnx_file *file;
    onnx_runtime runtime;
    onnx_layer *layers;
    const char **outputs; /* names in the file */
    int32_t count;
    int64_t batch;    /* the file's own; 0: any */
    float *x;         /* one batch of the file's, in its order */
    work_folder work; /* of the file with more outputs, gone as soon as it is read */
    char model[80];
} onnx_side;

static int no_memory(void) { return fprintf(stderr, "octet: out of memory\n"), 5; }

static bool is_onnx(const char *path) {
    struct stat st;
    const size_t n = strlen(path);
    return n > 5 && !strcmp(path + n - 5, ".onnx") && !stat(path, &st) && S_ISREG(st.st_mode);
}

/* The other side has such a layer; without one, all are wanted. */
static bool wanted(const verify_side *other, const char *name) {
    if (!other) return true;
    for (int32_t i = 0; other->layers[i]; i++)
        if (!strcmp(other->layers[i], name)) return true;
    return false;
}

/* The name under which the other side has what the file puts out last. */
static const char *output_of(const verify_side *other, const char *name) {
    const oct_net *net = other ? other->net : NULL;
    if (!net || wanted(other, name)) return name;
    const int32_t maker = oct_value_producer(
        oct_graph_value(oct_net_graph(net), oct_graph_output(oct_net_graph(net))));
    return maker < 0 ? name : oct_node_name(oct_graph_node(oct_net_graph(net), maker));
}

static int choose_layers(verify_side *s, onnx_side *o, const verify_side *other) {
    const oct_onnx_file *f = o->file;
    const size_t room = (size_t)f->value_count + 2;
    int32_t *shown = calloc(room, sizeof *shown), n = 0;
    o->layers = calloc(room, sizeof *o->layers);
    o->outputs = calloc(room, sizeof *o->outputs);
    s->layers = calloc(room, sizeof *s->layers);
    if (!shown || !o->layers || !o->outputs || !s->layers) return free(shown), no_memory();
    for (int32_t i = 0; i < f->value_count; i++) {
        const bool last = !strcmp(f->values[i], f->output);
        if (!last && !wanted(other, f->values[i])) continue;
        if (!last) shown[n++] = i;
        onnx_layer *l = &o->layers[o->count];
        l->known = last ? output_of(other, f->values[i]) : f->values[i];
        if (other && other->net) (void)oct_export_order(other->net, l->known, l->hwc);
        s->layers[o->count] = l->known;
        o->outputs[o->count++] = f->values[i];
    }
    const oct_status st = oct_onnx_expose(f, shown, n, o->model);
    free(shown);
    return cli_status(st);
}

static int take_shape(verify_side *s, onnx_side *o) {
    const oct_shape *f = &o->file->shape;
    s->input = *f;
    if (f->rank == 4) s->input = OCT_SHAPE(f->dim[0], f->dim[2], f->dim[3], f->dim[1]);
    o->batch = f->dim[0] > 0 ? f->dim[0] : 0;
    s->input.dim[0] = OCT_BATCH;
    for (int i = 1; i < f->rank; i++)
        if (f->dim[i] < 1)
            return cli_usage(s->path, "sides of its input are open",
                             "fixed ones, but for the batch", oct_shape_text(f), NULL) +
                   1;
    return 0;
}

static int onnx_open_side(verify_side *s, const verify_side *other) {
    onnx_side *o = s->state = calloc(1, sizeof *o);
    if (!o) return no_memory();
    if (!(o->file = oct_onnx_open(s->c->ctx, s->path))) return cli_failed();
    s->desc = o->file->desc;
    cli_catch_signals(); /* so that the file goes whatever happens */
    int code = take_shape(s, o);
    if (!code) code = work_folder_make(&o->work);
    snprintf(o->model, sizeof o->model, "%s/model.onnx", o->work.path);
    if (!code) code = choose_layers(s, o, other);
    if (code) return code;
    o->runtime = (onnx_runtime){
        .path = s->path, .input = o->file->input, .outputs = o->outputs, .count = o->count};
    code = onnx_open(&o->runtime, o->model);
    work_folder_end(&o->work);
    return code;
}

/* [n][h][w][c] <-> [n][c][h][w] */
static void turn(int64_t n, int64_t pixels, int64_t channels, size_t size, const char *from,
                 char *to, bool out) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t p = 0; p < pixels; p++)
            for (int64_t k = 0; k < channels; k++) {
                const size_t last = (size_t)((i * pixels + p) * channels + k) * size,
                             first = (size_t)((i * channels + k) * pixels + p) * size;
                memcpy(to + (out ? first : last), from + (out ? last : first), size);
            }
}

/* Values of the file's batch, `have` of them images of ours, behind those that a layer has. */
static int keep(onnx_layer *l, const onnx_value *v, int64_t at, int64_t have, int64_t all) {
    static const oct_dtype types[] = {[1] = OCT_F32, [2] = OCT_U8, [3] = OCT_S8};
    l->value.shape.rank = 0;
    if (!v->data || v->rank < 1 || v->dim[0] < have || v->rank > OCT_MAX_RANK) return 0;
    const size_t size = onnx_element_size(v->type), each = v->bytes / (size_t)v->dim[0];
    if (!at) {
        free(l->value.data);
        l->value = (oct_tensor){.dtype = types[v->type], .data = malloc(each * (size_t)all + 1)};
        if (!l->value.data) return no_memory();
    }
    l->value.shape.rank = v->rank;
    for (int i = 0; i < v->rank; i++) l->value.shape.dim[i] = v->dim[i];
    l->value.shape.dim[0] = at + have;
    char *to = (char *)l->value.data + (size_t)at * each;
    if (v->rank == 4) {
        l->value.shape = OCT_SHAPE(at + have, v->dim[2], v->dim[3], v->dim[1]);
        turn(have, v->dim[2] * v->dim[3], v->dim[1], size, v->data, to, false);
    } else if (v->rank == 2 && l->hwc[0] && l->hwc[0] * l->hwc[1] * l->hwc[2] == v->dim[1])
        turn(have, l->hwc[0] * l->hwc[1], l->hwc[2], size, v->data, to, false);
    else
        memcpy(to, v->data, each * (size_t)have);
    return 0;
}

static int run_batch(onnx_side *o, const oct_tensor *x, int64_t at, int64_t have, int64_t batch) {
    const int64_t n = x->shape.dim[0], each = oct_tensor_count(x) / (n > 0 ? n : 1);
    const oct_shape *s = &o->file->shape;
    int64_t dim[OCT_MAX_RANK] = {batch};
    for (int i = 1; i < s->rank; i++) dim[i] = s->dim[i];
    const float *from = oct_f32(x) + at * each;
    memset(o->x, 0, (size_t)(batch * each) * sizeof *o->x);
    if (s->rank == 4)
        turn(have, dim[2] * dim[3], dim[1], sizeof *o->x, (const char *)from, (char *)o->x, true);
    else
        memcpy(o->x, from, (size_t)(have * each) * sizeof *o->x);
    onnx_value *out = calloc((size_t)o->count + 1, sizeof *out);
    if (!out) return no_memory();
    int code = onnx_run(&o->runtime, o->x, s->rank, dim, out);
    for (int32_t i = 0; i < o->count; i++) {
        if (!code) code = keep(&o->layers[i], &out[i], at, have, n);
        free(out[i].data);
    }
    free(out);
    return code;
}

static int onnx_run_side(verify_side *s, const oct_tensor *x) {
    onnx_side *o = s->state;
    const int64_t n = x->shape.dim[0], each = oct_tensor_count(x) / (n > 0 ? n : 1),
                  batch = o->batch ? o->batch : n;
    float *room = realloc(o->x, (size_t)(batch * each) * sizeof *room + 1);
    if (!room) return no_memory();
    o->x = room;
    int code = 0;
    for (int64_t at = 0; at < n && !code; at += batch)
        code = run_batch(o, x, at, n - at < batch ? n - at : batch, batch);
    return code;
}

static const oct_tensor *onnx_value_of(verify_side *s, const char *layer) {
    const onnx_side *o = s->state;
    for (int32_t i = 0; i < o->count; i++)
        if (!strcmp(o->layers[i].known, layer))
            return o->layers[i].value.shape.rank ? &o->layers[i].value : NULL;
    return NULL;
}

static void onnx_close_side(verify_side *s) {
    onnx_side *o = s->state;
    if (!o) return;
    onnx_close(&o->runtime);
    work_folder_end(&o->work);
    for (int32_t i = 0; i < o->count; i++) free(o->layers[i].value.data);
    oct_onnx_close(o->file);
    free((void *)s->layers);
    free((void *)o->outputs);
    free(o->layers);
    free(o->x);
    free(o);
}

/* What ONNX Runtime computes where the file leaves it the choice: rules by name. A file by the
 * law's multipliers leaves none. */
static const char *onnx_differs(const verify_side *s, oct_op_kind kind, int32_t by) {
    static const char saturates[] =
        "by the rule of saturation, if the models are one: ONNX Runtime's u8 x s8 kernel adds two "
        "products in 16 bits where the CPU has no VNNI; octet export --to onnx leaves it no choice";
    static const char twice[] =
        "by the rule of rounding, if the models are one: ONNX Runtime makes the multiplier of fp32 "
        "scales, rounded twice, the law once; octet export --to onnx stores it";
    static const char values[] =
        "by the rule of rounding, if the models are one: ONNX Runtime computes with values "
        "by their scales, which may end on the other side of a half; octet export --to onnx stores "
        "the "
        "law's multipliers";
    const onnx_side *o = s->state;
    if (o->file->by_multipliers) return NULL;
    switch (kind) {
    case OCT_OP_qconv2d:
    case OCT_OP_qlinear:
        return by > 1 ? saturates : twice;
    case OCT_OP_qadd:
    case OCT_OP_qmul:
    case OCT_OP_qcat:
    case OCT_OP_requantize:
    case OCT_OP_qavg_pool2d:
    case OCT_OP_qadaptive_avg_pool2d:
    case OCT_OP_qsoftmax:
        return values;
    default:
        return NULL;
    }
}

const side_kind verify_onnx_file = {
    .word = "an ONNX file",
    .is = is_onnx,
    .open = onnx_open_side,
    .run = onnx_run_side,
    .value = onnx_value_of,
    .close = onnx_close_side,
    .tolerance = 1e-5,
    .differs = onnx_differs,
};
