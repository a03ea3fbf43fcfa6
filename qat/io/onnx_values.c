/* SPDX-License-Identifier: MIT
 * ONNX in: a file's values by name. */
#include <string.h>

#include "qat/io/onnx_in.h"
#include "src/mem.h"

static size_t hash_of(const char *s) {
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
    for (; *s; s++) h = (h ^ (uint8_t)*s) * UINT64_C(1099511628211);
    return (size_t)(h ^ (h >> 32));
}

static size_t slot_of(const octi_onnx_table *t, const char *name) {
    size_t i = hash_of(name) & (t->slots - 1);
    while (t->slot[i] && strcmp(t->slot[i]->name, name)) i = (i + 1) & (t->slots - 1);
    return i;
}

octi_onnx_value *octi_onnx_find(const octi_onnx *o, const char *name) {
    return o->values.slots ? o->values.slot[slot_of(&o->values, name)] : NULL;
}

static oct_status grow(octi_onnx_table *t, octi_arena *a) {
    const octi_onnx_table old = *t;
    const size_t slots = old.slots ? 2 * old.slots : 256;
    if (!(t->slot = octi_arena_calloc(a, slots, sizeof *t->slot))) return oct_last_error()->code;
    t->slots = slots;
    for (size_t i = 0; i < old.slots; i++)
        if (old.slot[i]) t->slot[slot_of(t, old.slot[i]->name)] = old.slot[i];
    return OCT_OK;
}

octi_onnx_value *octi_onnx_table_named(octi_onnx_table *t, octi_arena *a, const char *name) {
    if (2 * (t->used + 1) > t->slots && grow(t, a) != OCT_OK) return NULL;
    const size_t i = slot_of(t, name);
    if (t->slot[i]) return t->slot[i];
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
    t->used++;
    return t->slot[i] = v;
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
