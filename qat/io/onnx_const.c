/* SPDX-License-Identifier: MIT
 * ONNX in: tensors of a file as constants, their elements widened to f32 or s64. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "qat/io/onnx_in.h"
#include "src/format/safetensors.h"
#include "src/mem.h"

/* Types of elements, in the order of TensorProto.DataType; bytes 0: octet has no use for them. */
static const struct elem_row {
    const char *word;
    uint8_t bytes;
    bool is_float, is_signed;
} elems[] = {
    {"undefined", 0, false, false}, {"float32", 4, true, true},    {"uint8", 1, false, false},
    {"int8", 1, false, true},       {"uint16", 2, false, false},   {"int16", 2, false, true},
    {"int32", 4, false, true},      {"int64", 8, false, true},     {"string", 0, false, false},
    {"bool", 1, false, false},      {"float16", 2, true, true},    {"float64", 8, true, true},
    {"uint32", 4, false, false},    {"uint64", 8, false, false},   {"complex64", 0, true, true},
    {"complex128", 0, true, true},  {"bfloat16", 2, true, true},   {"float8e4m3fn", 0, true, true},
    {"float8e4m3fnuz", 0, 1, 1},    {"float8e5m2", 0, true, true}, {"float8e5m2fnuz", 0, 1, 1},
    {"uint4", 0, false, false},     {"int4", 0, false, true},      {"float4e2m1", 0, true, true}};
enum { ELEMS = sizeof elems / sizeof *elems };

bool octi_onnx_elem_is_float(int e) { return e >= 0 && e < ELEMS && elems[e].is_float; }
const char *octi_onnx_elem_word(int e) { return e >= 0 && e < ELEMS ? elems[e].word : "unknown"; }

double octi_onnx_number(const octi_onnx_const *c, int64_t k) {
    return c->f ? (double)c->f[k] : (double)c->i[k];
}

const char *octi_onnx_dims_text(int rank, const int64_t *dim) {
    char text[160] = "[";
    for (int i = 0; i < rank; i++) {
        const size_t used = strlen(text);
        if (dim[i] == OCTI_ONNX_BATCH)
            snprintf(text + used, sizeof text - used, "%sN", i ? ", " : "");
        else
            snprintf(text + used, sizeof text - used, "%s%lld", i ? ", " : "", (long long)dim[i]);
    }
    return octi_fmt("%s]", text);
}

static octi_onnx_const *make(octi_onnx *o, int elem, int rank, const int64_t *dim, int64_t count) {
    octi_onnx_const *c = octi_arena_calloc(o->arena, 1, sizeof *c);
    if (!c) return NULL;
    c->elem = elem;
    c->rank = rank;
    c->count = count;
    for (int i = 0; i < rank; i++) c->dim[i] = dim[i];
    if (octi_onnx_elem_is_float(elem))
        c->f = octi_arena_calloc(o->arena, (size_t)count + 1, sizeof *c->f);
    else
        c->i = octi_arena_calloc(o->arena, (size_t)count + 1, sizeof *c->i);
    return c->f || c->i ? c : NULL;
}

/* Elements of a shape that may come from a file; false: more than a size holds, or a side below
 * 0. */
static bool count_of(int rank, const int64_t *dim, int64_t *count) {
    size_t n = 1;
    for (int i = 0; i < rank; i++)
        if (dim[i] < 0 || !octi_mul_size(n, (size_t)dim[i], &n) || n > (size_t)INT64_MAX / 16)
            return false;
    *count = (int64_t)n;
    return true;
}

octi_onnx_const *octi_onnx_const_new(octi_onnx *o, int elem, int rank, const int64_t *dim) {
    int64_t count;
    if (rank > OCTI_ONNX_RANK || !count_of(rank, dim, &count) || count > o->made) {
        octi_fail(OCT_ELIMIT, o->where,
                  "shape arithmetic makes a tensor that the file is too small for", NULL,
                  octi_onnx_dims_text(rank < 6 ? rank : 6, dim),
                  octi_onnx_cure(OCTI_CURE_LIMIT, NULL));
        return NULL;
    }
    o->made -= count;
    return make(o, elem, rank, dim, count);
}

static uint64_t little(const uint8_t *p, int bytes) {
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++) v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static float float_of(int elem, uint64_t bits) {
    float f;
    double d;
    uint32_t u = (uint32_t)bits;
    switch (elem) {
    case OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16:
        return octi_f16_to_f32((uint16_t)bits);
    case OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16:
        u <<= 16;
        break;
    case OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE:
        memcpy(&d, &bits, 8);
        return (float)d;
    default:
        break;
    }
    memcpy(&f, &u, 4);
    return f;
}

/* Element k of raw_data, or of the typed list that its type uses. */
static uint64_t bits_of(const OctiOnnx__TensorProto *t, int64_t k) {
    const struct elem_row *e = &elems[t->data_type];
    uint64_t bits = 0;
    float f;
    double d;
    if (t->has_raw_data) return little(t->raw_data.data + k * e->bytes, e->bytes);
    switch (t->data_type) {
    case OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT:
        f = t->float_data[k];
        memcpy(&bits, &f, 4);
        return bits;
    case OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE:
        d = t->double_data[k];
        memcpy(&bits, &d, 8);
        return bits;
    case OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__INT64:
        return (uint64_t)t->int64_data[k];
    case OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__UINT32:
    case OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__UINT64:
        return t->uint64_data[k];
    default:
        return (uint32_t)t->int32_data[k];
    }
}

static size_t typed_count(const OctiOnnx__TensorProto *t) {
    switch (t->data_type) {
    case OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT:
        return t->n_float_data;
    case OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE:
        return t->n_double_data;
    case OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__INT64:
        return t->n_int64_data;
    case OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__UINT32:
    case OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__UINT64:
        return t->n_uint64_data;
    default:
        return t->n_int32_data;
    }
}

static int64_t whole_of(const struct elem_row *e, uint64_t bits) {
    const int shift = 64 - 8 * e->bytes;
    return e->is_signed ? (int64_t)(bits << shift) >> shift : (int64_t)(bits << shift >> shift);
}

static oct_status bad(const octi_onnx *o, const char *name, const char *what, const char *expected,
                      const char *got) {
    return octi_fail(OCT_EFORMAT, octi_fmt("%s: tensor %s", o->where, octi_onnx_word(name)), what,
                     expected, got, octi_onnx_cure(OCTI_CURE_RULES, NULL));
}

octi_onnx_const *octi_onnx_widen(octi_onnx *o, const OctiOnnx__TensorProto *t, const char *name) {
    const int type = t->data_type;
    int64_t count;
    size_t bytes;
    if (t->n_dims > OCTI_ONNX_RANK)
        return bad(o, name, "axes", octi_fmt("at most %d", OCTI_ONNX_RANK),
                   octi_fmt("%zu", t->n_dims)),
               NULL;
    if (type < 0 || type >= ELEMS || !elems[type].bytes)
        return octi_fail(OCT_EUNSUPPORTED,
                         octi_fmt("%s: tensor %s", o->where, octi_onnx_word(name)),
                         "type of elements", NULL, octi_onnx_elem_word(type),
                         octi_onnx_cure(OCTI_CURE_TYPE, NULL)),
               NULL;
    if (!count_of((int)t->n_dims, t->dims, &count) ||
        !octi_mul_size((size_t)count, elems[type].bytes, &bytes))
        return bad(o, name, "shape", NULL, octi_onnx_dims_text((int)t->n_dims, t->dims)), NULL;
    if (t->has_raw_data ? t->raw_data.len != bytes : typed_count(t) != (size_t)count)
        return bad(o, name, "its data has another size than its shape",
                   octi_fmt("%lld elements", (long long)count),
                   t->has_raw_data ? octi_fmt("%zu bytes", t->raw_data.len)
                                   : octi_fmt("%zu", typed_count(t))),
               NULL;
    octi_onnx_const *c = make(o, type, (int)t->n_dims, t->dims, count);
    for (int64_t k = 0; c && k < count; k++) {
        const uint64_t bits = bits_of(t, k);
        if (c->f)
            c->f[k] = float_of(type, bits);
        else
            c->i[k] = whole_of(&elems[type], bits);
    }
    return c;
}

const octi_onnx_const *octi_onnx_const_of(octi_onnx *o, octi_onnx_value *v) {
    if (!v || v->state != OCTI_ONNX_CONST) return NULL;
    if (!v->c && v->tensor) v->c = octi_onnx_widen(o, v->tensor, v->name);
    return v->c;
}
