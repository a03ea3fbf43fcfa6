/* SPDX-License-Identifier: MIT
 * The registry of named tensors, a net's description, copies of a net. */
#include "src/net.h"

#include <string.h>
#include <zlib.h>

#include "src/arena.h"
#include "src/mem.h"
#include "src/words.h"

oct_net *octi_net_new(oct_ctx *ctx, oct_stage stage) {
    oct_net *net = octi_alloc(ctx, sizeof *net);
    if (!net) return NULL;
    net->ctx = ctx;
    net->stage = stage;
    net->model = "custom";
    net->target = net->qconfig = "";
    net->graph = octi_graph_new(ctx);
    return net->graph ? net : (octi_free(ctx, net), NULL);
}

void oct_net_free(oct_net *net) {
    if (!net) return;
    for (int32_t i = 0; i < net->tensor_count; i++) oct_tensor_unref(net->tensors[i].tensor);
    oct_tensor_unref(net->probe);
    octi_free(net->ctx, net->tensors);
    octi_free(net->ctx, net->classes);
    octi_graph_free(net->graph);
    octi_free(net->ctx, net);
}

oct_ctx *oct_net_ctx(const oct_net *net) { return net ? net->ctx : NULL; }
oct_stage oct_net_stage(const oct_net *net) { return net ? net->stage : OCT_STAGE_FLOAT; }
const oct_graph *oct_net_graph(const oct_net *net) { return net ? net->graph : NULL; }
int32_t oct_net_tensor_count(const oct_net *net) { return net ? net->tensor_count : 0; }
const oct_named_tensor *oct_net_tensors(const oct_net *net) { return net ? net->tensors : NULL; }
const oct_input_desc *oct_net_input(const oct_net *net) { return net ? &net->input : NULL; }
int32_t oct_net_class_count(const oct_net *net) { return net ? net->class_count : 0; }
const oct_class *oct_net_classes(const oct_net *net) { return net ? net->classes : NULL; }
const char *oct_net_model(const oct_net *net) { return net ? net->model : ""; }
const char *oct_net_target(const oct_net *net) { return net ? net->target : ""; }
const char *oct_net_qconfig(const oct_net *net) { return net ? net->qconfig : ""; }
const oct_tensor *oct_net_probe(const oct_net *net) { return net ? net->probe : NULL; }

oct_tensor *oct_net_tensor(const oct_net *net, const char *name) {
    const int32_t at = net && name ? octi_name_find(&net->by_name, name) : -1;
    return at < 0 ? NULL : net->tensors[at].tensor;
}

oct_status octi_net_register(oct_net *net, const char *name, oct_tensor_role role,
                             oct_tensor *tensor) {
    if (oct_net_tensor(net, name))
        return octi_fail(OCT_EINTERNAL, name, "tensor name stands twice", NULL, NULL, NULL);
    OCT_TRY(octi_reserve(net->ctx, (void **)&net->tensors, &net->tensor_cap,
                         (size_t)net->tensor_count + 1, sizeof *net->tensors));
    const char *copy = octi_arena_strdup(net->graph->arena, name);
    if (!copy) return oct_last_error()->code;
    OCT_TRY(octi_name_put(&net->by_name, net->graph->arena, copy, net->tensor_count));
    net->tensors[net->tensor_count++] = (oct_named_tensor){copy, role, oct_tensor_ref(tensor)};
    return OCT_OK;
}

void octi_net_reindex(oct_net *net) {
    octi_name_clear(&net->by_name);
    for (int32_t i = 0; i < net->tensor_count; i++) /* there was room for them all */
        (void)octi_name_put(&net->by_name, net->graph->arena, net->tensors[i].name, i);
}

void octi_net_unregister(oct_net *net, const oct_tensor *tensor) {
    for (int32_t i = 0; i < net->tensor_count; i++) {
        if (net->tensors[i].tensor != tensor) continue;
        oct_tensor_unref(net->tensors[i].tensor);
        memmove(&net->tensors[i], &net->tensors[i + 1],
                (size_t)(--net->tensor_count - i) * sizeof *net->tensors);
        octi_net_reindex(net);
        return;
    }
}

/* Images that the probe holds when it is full. */
static int64_t probe_room(int64_t image) {
    const int64_t fit = (int64_t)(16 << 20) / (int64_t)sizeof(float) / (image > 0 ? image : 1);
    return fit < 1 ? 1 : fit < OCTI_PROBE_IMAGES ? fit : OCTI_PROBE_IMAGES;
}

bool octi_net_probe_full(const oct_net *net) {
    const oct_tensor *p = net->probe;
    return p && p->shape.dim[0] == probe_room(oct_tensor_count(p) / p->shape.dim[0]);
}

/* Memory for a full one is taken at once: later steps allocate nothing. */
oct_status octi_net_keep_probe(oct_net *net, const oct_tensor *x) {
    const int64_t had = net->probe ? net->probe->shape.dim[0] : 0, n = x->shape.dim[0];
    if (had == OCTI_PROBE_IMAGES || n < 1 || x->dtype != OCT_F32) return OCT_OK;
    const int64_t image = oct_tensor_count(x) / n, room = probe_room(image),
                  count = had + n < room ? had + n : room;
    if (count <= had) return OCT_OK;
    if (!net->probe) {
        oct_shape shape = x->shape;
        shape.dim[0] = room;
        if (!(net->probe = oct_tensor_new(net->ctx, OCT_F32, shape))) return oct_last_error()->code;
    }
    memcpy(oct_f32(net->probe) + had * image, x->data,
           (size_t)((count - had) * image) * sizeof(float));
    net->probe->shape.dim[0] = count;
    return OCT_OK;
}

oct_status oct_net_set_probe(oct_net *net, const oct_tensor *x) {
    if (!net) return octi_fail_null("oct_net_set_probe");
    oct_tensor *old = net->probe;
    net->probe = NULL;
    oct_status s = OCT_OK;
    if (x) {
        const oct_shape *want = &net->graph->values[net->graph->input].shape;
        const oct_shape seen = octi_shape_with_batch(want, x->shape.dim[0]);
        if (x->dtype != OCT_F32)
            s = octi_fail(OCT_EDTYPE, "probe", "inputs", "float32", oct_dtype_name(x->dtype), NULL);
        else if (x->shape.rank != want->rank || x->shape.dim[0] < 1 ||
                 !oct_shape_equal(&seen, &x->shape))
            s = octi_fail(OCT_ESHAPE, "probe", "does not fit the net", oct_shape_text(want),
                          oct_shape_text(&x->shape), NULL);
        else
            s = octi_net_keep_probe(net, x);
    }
    if (s == OCT_OK)
        oct_tensor_unref(old);
    else
        net->probe = old;
    return s;
}

uint32_t octi_net_crc(const oct_net *net) {
    uLong crc = crc32(0, Z_NULL, 0);
    for (int32_t i = 0; i < net->tensor_count; i++) {
        const oct_named_tensor *n = &net->tensors[i];
        crc = crc32_z(crc, (const Bytef *)n->name, strlen(n->name));
        const size_t bytes = oct_tensor_bytes(n->tensor);
        if (bytes) crc = crc32_z(crc, n->tensor->data, bytes); /* of NULL it is the first value */
    }
    return (uint32_t)crc;
}

bool octi_input_is_raw(const oct_input_desc *in) {
    bool raw = in->div == 1;
    for (int c = 0; c < in->channels && c < 4; c++)
        raw = raw && in->mean[c] == 0 && in->std[c] == 1;
    return raw;
}

oct_status oct_net_set_input(oct_net *net, const oct_input_desc *in) {
    if (!net || !in) return octi_fail_null("oct_net_set_input");
    if (in->channels < 1 || in->channels > 4 || in->height < 1 || in->width < 1 || !(in->div > 0))
        return octi_fail(
            OCT_EUSAGE, "input", "description out of range", "1 to 4 channels, sides >= 1, div > 0",
            octi_fmt("C %d, H %d, W %d, div %g", in->channels, in->height, in->width, in->div),
            NULL);
    for (int c = 0; c < in->channels; c++)
        if (!(in->std[c] > 0))
            return octi_fail(OCT_EUSAGE, "input", "std out of range", "> 0",
                             octi_fmt("%g", in->std[c]), NULL);
    net->input = *in;
    net->input.assumed = in->assumed && octi_input_is_raw(in);
    return OCT_OK;
}

oct_status oct_net_set_classes(oct_net *net, const oct_class *classes, int32_t count) {
    if (!net || (!classes && count > 0)) return octi_fail_null("oct_net_set_classes");
    if (count < 0)
        return octi_fail(OCT_EUSAGE, "classes", "number of classes", ">= 0", octi_fmt("%d", count),
                         NULL);
    for (int32_t i = 0; i < count; i++)
        if (!classes[i].id)
            return octi_fail(OCT_EUSAGE, octi_fmt("class %d", i), "id is NULL", NULL, NULL, NULL);
    oct_class *list = octi_calloc(net->ctx, (size_t)count, sizeof *list);
    if (!list) return oct_last_error()->code;
    for (int32_t i = 0; i < count; i++) {
        list[i].id = octi_arena_strdup(net->graph->arena, classes[i].id);
        list[i].name =
            octi_arena_strdup(net->graph->arena, classes[i].name ? classes[i].name : classes[i].id);
        if (!list[i].id || !list[i].name) return octi_free(net->ctx, list), oct_last_error()->code;
    }
    octi_free(net->ctx, net->classes);
    net->classes = list;
    net->class_count = count;
    return OCT_OK;
}

bool oct_classes_unnamed(const oct_class *classes, int32_t count) {
    if (!classes) return false;
    for (int32_t i = 0; i < count; i++)
        if (!classes[i].name || *classes[i].name) return false;
    return count > 0;
}

oct_status octi_net_copy_meta(oct_net *net, const oct_net *from) {
    net->input = from->input;
    net->hooks = from->hooks;
    net->made_from = from->made_from;
    if (from->probe && net->stage != OCT_STAGE_INT8) net->probe = oct_tensor_ref(from->probe);
    net->model = octi_arena_strdup(net->graph->arena, from->model);
    net->target = octi_arena_strdup(net->graph->arena, from->target);
    net->qconfig = octi_arena_strdup(net->graph->arena, from->qconfig);
    if (!net->model || !net->target || !net->qconfig) return oct_last_error()->code;
    return oct_net_set_classes(net, from->classes, from->class_count);
}

oct_status octi_net_copy_tensors(oct_net *to, const oct_net *from) {
    for (int32_t i = 0; i < from->tensor_count; i++) {
        oct_tensor *t = oct_tensor_copy(to->ctx, from->tensors[i].tensor);
        if (!t) return oct_last_error()->code;
        oct_status s = octi_net_register(to, from->tensors[i].name, from->tensors[i].role, t);
        oct_tensor_unref(t);
        OCT_TRY(s);
    }
    return OCT_OK;
}

oct_tensor *octi_net_twin(const oct_net *to, const oct_net *from, const oct_value *v) {
    if (v->tensor && oct_net_tensor(from, v->name) == v->tensor) /* as nearly always */
        return oct_net_tensor(to, v->name);
    for (int32_t i = 0; v->tensor && i < from->tensor_count; i++)
        if (from->tensors[i].tensor == v->tensor) return oct_net_tensor(to, from->tensors[i].name);
    return NULL;
}
