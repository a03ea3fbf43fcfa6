/* SPDX-License-Identifier: MIT
 * ONNX in: grids that the file gives, kept with the values of the scratch graph as its quantizers:
 * prepare takes them from there. */
#include <math.h>
#include <string.h>

#include "qat/io/onnx_in.h"
#include "src/mem.h"

void octi_onnx_note_quantizer(octi_onnx *o, octi_onnx_value *v, int32_t node) {
    if (v->quantizers++ == 0) {
        v->quantizer = node;
        return;
    }
    /* pairs for each reader name the same scale and zero point */
    const octi_onnx_proto *a = o->graph->node[v->quantizer], *b = o->graph->node[node];
    bool alike = a->n_input == b->n_input;
    for (size_t k = 1; alike && k < a->n_input; k++) alike = !strcmp(a->input[k], b->input[k]);
    v->unlike |= !alike;
}

bool octi_onnx_rounded_alike(const octi_onnx_value *x) {
    if (x->output || x->unlike || x->quantizers != x->readers) return false;
    for (x = x->alias; x;
         x = x->alias) /* another name of it: that name's one reader made this one */
        if (x->readers != 1 || x->output) return false;
    return true;
}

const oct_quantizer *octi_onnx_grid_of(const octi_onnx *o, int32_t v) {
    const int32_t q = o->to->values[v].quantizer;
    return q < 0 ? NULL : &o->to->quantizers[q];
}

/* A quantizer of n scales for value v, zero points 0. */
static oct_quantizer *add(octi_onnx *o, int32_t v, const char *observer, oct_quantizer_role role,
                          oct_qspec spec, int64_t n) {
    oct_quantizer q = {.name = o->to->values[v].name,
                       .spec = spec,
                       .role = role,
                       .observer = observer,
                       .scale = oct_tensor_new(o->ctx, OCT_F32, OCT_SHAPE(n)),
                       .zero_point = oct_tensor_new(o->ctx, OCT_S32, OCT_SHAPE(n))};
    const int32_t at = q.scale && q.zero_point ? octi_graph_add_quantizer(o->to, &q) : -1;
    oct_tensor_unref(q.scale);
    oct_tensor_unref(q.zero_point);
    if (at < 0) return NULL;
    o->to->values[v].quantizer = at;
    return &o->to->quantizers[at];
}

oct_status octi_onnx_set_grid(octi_onnx *o, int32_t v, float scale, int32_t zero, int32_t highest) {
    if (o->as_floats) return OCT_OK;
    oct_qspec spec = oct_qspec_activation(8, false);
    spec.qmax = highest;
    oct_quantizer *q = add(o, v, "fixed", OCT_QUANTIZER_FIXED, spec, 1);
    if (!q) return oct_last_error()->code;
    *oct_f32(q->scale) = scale;
    *oct_s32(q->zero_point) = zero;
    return OCT_OK;
}

static oct_status judge_codes(const octi_onnx_node *n, const octi_onnx_codes *from, int axis,
                              float alpha) {
    if (from->least < -128 || from->most > 127)
        return octi_onnx_refuse(n, OCTI_CURE_GRID,
                                "weights of codes %lld to %lld (less their zero points); -128 to "
                                "127 are taken",
                                (long long)from->least, (long long)from->most);
    if (from->count > 1 && from->axis != axis)
        return octi_onnx_refuse(n, OCTI_CURE_GRID,
                                "scales of weights along axis %d, which is not the outputs'",
                                from->axis);
    if (!(fabsf(alpha) > 0) || (alpha < 0 && from->least < -127))
        return octi_onnx_refuse(n, OCTI_CURE_GRID, "attribute alpha: %g", (double)alpha);
    return OCT_OK;
}

oct_status octi_onnx_set_weight_grid(octi_onnx_node *n, const octi_onnx_const *c, int axis,
                                     float alpha, int32_t w) {
    const octi_onnx_codes *from = c->codes;
    octi_onnx *o = n->o;
    if (o->as_floats || !from || octi_onnx_grid_of(o, w)) return OCT_OK;
    const oct_status why = judge_codes(n, from, axis, alpha);
    if (why != OCT_OK) return o->grids_refused = true, why;
    oct_qspec spec = oct_qspec_weight(8, from->count > 1);
    if (from->least < -127) spec.qmin = -128;
    oct_quantizer *q = add(o, w, "fixed", OCT_QUANTIZER_WEIGHT, spec, from->count);
    if (!q) return oct_last_error()->code;
    for (int64_t k = 0; k < from->count; k++) oct_f32(q->scale)[k] = from->scale[k] * fabsf(alpha);
    return OCT_OK;
}

oct_status octi_onnx_scale_weight_grid(octi_onnx *o, int32_t w, const float *scale, bool *done) {
    const oct_quantizer *q = octi_onnx_grid_of(o, w);
    const oct_tensor *t = o->to->values[w].tensor;
    *done = false;
    if (!o->marks || !q || t->shape.rank < 1) return OCT_OK;
    const int64_t rows = t->shape.dim[0], each = oct_tensor_count(q->scale) > 1;
    const float *from = oct_f32(q->scale); /* its quantizer keeps it, whatever is added */
    for (int64_t c = 0; c < rows; c++)
        if (!isnormal(from[each * c] * scale[c])) return OCT_OK;
    oct_qspec spec = oct_qspec_weight(8, true);
    spec.qmin = q->spec.qmin;
    if (!each && !(q = add(o, w, "fixed", OCT_QUANTIZER_WEIGHT, spec, rows)))
        return oct_last_error()->code;
    for (int64_t c = 0; c < rows; c++) oct_f32(q->scale)[c] = from[each * c] * fabsf(scale[c]);
    *done = true;
    return OCT_OK;
}

bool octi_onnx_grid_holds(const octi_onnx *o, int32_t v) {
    const oct_quantizer *q = octi_onnx_grid_of(o, v);
    const oct_tensor *w = o->to->values[v].tensor;
    if (!q || !w || q->role != OCT_QUANTIZER_WEIGHT || q->spec.qmin >= -127) return q != NULL;
    const int64_t each = oct_tensor_count(q->scale) > 1, all = oct_tensor_count(w);
    for (int64_t k = 0; k < all; k++)
        if (oct_f32(w)[k] > 127.5f * oct_f32(q->scale)[each * (k / (all / w->shape.dim[0]))])
            return false;
    return true;
}
