/* SPDX-License-Identifier: MIT
 * ONNX in: a file's values by name. */
#include <string.h>

#include "qat/io/onnx_in.h"
#include "src/mem.h"

octi_onnx_value *octi_onnx_find(const octi_onnx *o, const char *name) {
    const int32_t at = octi_name_find(&o->values.by_name, name);
    return at < 0 ? NULL : o->values.value[at];
}

static oct_status grow(octi_onnx_table *t, octi_arena *a) {
    const size_t room = t->room ? 2 * t->room : 128;
    octi_onnx_value **more = octi_arena_alloc(a, room * sizeof *more);
    if (!more) return oct_last_error()->code;
    if (t->room) memcpy(more, t->value, t->room * sizeof *more);
    t->value = more;
    t->room = room;
    return OCT_OK;
}

octi_onnx_value *octi_onnx_table_named(octi_onnx_table *t, octi_arena *a, const char *name) {
    const int32_t at = octi_name_find(&t->by_name, name);
    if (at >= 0) return t->value[at];
    const size_t used = t->by_name.used;
    if (used == t->room && grow(t, a) != OCT_OK) return NULL;
    octi_onnx_value *v = octi_arena_alloc(a, sizeof *v);
    if (!v) return NULL;
    *v = (octi_onnx_value){.name = name,
                           .maker = -1,
                           .reader = -1,
                           .other = -1,
                           .coder = -1,
                           .param = -1,
                           .quantizer = -1,
                           .dequantizer = -1};
    return octi_name_put(&t->by_name, a, name, (int32_t)used) == OCT_OK ? t->value[used] = v : NULL;
}

octi_onnx_value *octi_onnx_named(octi_onnx *o, const char *name) {
    return octi_onnx_table_named(&o->values, o->arena, name);
}

bool octi_onnx_sole(const octi_onnx_value *v) {
    for (; v; v = v->alias)
        if (v->readers != 1 || v->output) return false;
    return true;
}

const octi_onnx_proto *octi_onnx_next(const octi_onnx *o, const octi_onnx_value *v) {
    return v->readers == 1 && !v->output ? o->graph->node[v->reader] : NULL;
}
