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

static size_t slot_of(const octi_onnx *o, const char *name) {
    size_t i = hash_of(name) & (o->slots - 1);
    while (o->table[i] && strcmp(o->table[i]->name, name)) i = (i + 1) & (o->slots - 1);
    return i;
}

octi_onnx_value *octi_onnx_find(const octi_onnx *o, const char *name) {
    return o->slots ? o->table[slot_of(o, name)] : NULL;
}

static oct_status grow(octi_onnx *o) {
    octi_onnx_value **old = o->table;
    const size_t had = o->slots, slots = had ? 2 * had : 256;
    if (!(o->table = octi_arena_calloc(o->arena, slots, sizeof *o->table)))
        return oct_last_error()->code;
    o->slots = slots;
    for (size_t i = 0; i < had; i++)
        if (old[i]) o->table[slot_of(o, old[i]->name)] = old[i];
    return OCT_OK;
}

octi_onnx_value *octi_onnx_named(octi_onnx *o, const char *name) {
    if (2 * (o->used + 1) > o->slots && grow(o) != OCT_OK) return NULL;
    const size_t i = slot_of(o, name);
    if (o->table[i]) return o->table[i];
    octi_onnx_value *v = octi_arena_alloc(o->arena, sizeof *v);
    if (!v) return NULL;
    *v = (octi_onnx_value){.name = name, .maker = -1, .reader = -1, .other = -1, .param = -1};
    o->used++;
    return o->table[i] = v;
}

bool octi_onnx_sole(const octi_onnx_value *v) {
    for (; v; v = v->alias)
        if (v->readers != 1 || v->output) return false;
    return true;
}

const octi_onnx_proto *octi_onnx_next(const octi_onnx *o, const octi_onnx_value *v) {
    return v->readers == 1 && !v->output ? o->graph->node[v->reader] : NULL;
}
