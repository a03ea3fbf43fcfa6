/* SPDX-License-Identifier: MIT
 * Reads and writes .safetensors by the rules of its reference implementation. */
#include "src/format/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <math.h>
#include <string.h>
#include <zlib.h>

#include "src/arena.h"
#include "src/format/foreign.h"
#include "src/format/json.h"
#include "src/mem.h"
#include "src/name_index.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "tensor files are little-endian and are copied as they are");

enum { HEADER_MAX = 100000000, CRC_DIGITS = 8 };
static const char CRC_LEAD[] = "\"crc32\":\"", CRC_ZERO[] = "00000000";

typedef struct st_dtype {
    const char *word;
    size_t bytes;
    oct_dtype dtype;
} st_dtype;

static const st_dtype dtypes[] = {
#define OCT_DTYPE(name, bytes, word, st, npy) {st, bytes, OCT_##name},
#include "src/dtype.def"
#undef OCT_DTYPE
    {"BF16", 2, OCT_DTYPE_COUNT},
};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

struct octi_safetensors {
    oct_ctx *ctx;
    octi_arena *arena;
    const char *where;
    uint8_t *owned; /* the file's bytes where octet read them */
    octi_safetensors_entry *entry;
    octi_safetensors_meta *meta;
    octi_name_index by_name; /* of the entries */
    int32_t count, meta_count;
};

/* ---- reading ---- */

typedef struct span {
    uint64_t begin, end;
    const char *name;
} span;

static int by_offset(const void *a, const void *b) {
    const span *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

static const char *field_of(const char *tensor, const char *field) {
    return octi_fmt("%.150s.%s", tensor, field);
}

static oct_status read_dtype(const cJSON *info, const char *where, octi_safetensors_entry *e,
                             size_t *item) {
    const char *w;
    OCT_TRY(
        octi_json_item_string(octi_json_get(info, "dtype"), field_of(e->name, "dtype"), where, &w));
    for (int i = 0; i < DTYPES; i++)
        if (!strcmp(dtypes[i].word, w)) {
            e->dtype_word = dtypes[i].word;
            e->dtype = dtypes[i].dtype;
            *item = dtypes[i].bytes;
            return OCT_OK;
        }
    return octi_fail(OCT_EUNSUPPORTED, where, octi_fmt("dtype of tensor '%.150s'", e->name),
                     "F32 F64 F16 BF16 I8 U8 I32 I64", w, NULL);
}

static oct_status read_shape(const cJSON *info, const char *where, octi_safetensors_entry *e,
                             size_t item, size_t *bytes) {
    const cJSON *list = octi_json_get(info, "shape");
    const char *field = field_of(e->name, "shape");
    if (!cJSON_IsArray(list))
        return octi_fail(OCT_EFORMAT, where, octi_fmt("field '%s'", field), "an array", NULL, NULL);
    for (const cJSON *d = list->child; d; d = d->next) {
        int64_t v;
        OCT_TRY(octi_json_item_int(d, field, where, 0, INT64_MAX / 2, &v));
        if (e->shape.rank == OCT_MAX_RANK)
            return octi_fail(OCT_EUNSUPPORTED, where, octi_fmt("rank of tensor '%.150s'", e->name),
                             octi_fmt("at most %d", OCT_MAX_RANK),
                             octi_fmt("%d", cJSON_GetArraySize(list)), NULL);
        e->shape.dim[e->shape.rank++] = v;
    }
    return octi_declared_bytes(&e->shape, item, where, octi_fmt("size of tensor '%.150s'", e->name),
                               bytes);
}

static oct_status read_entry(octi_safetensors *st, const cJSON *info, const uint8_t *data,
                             size_t data_bytes, span *sp) {
    octi_safetensors_entry *e = &st->entry[st->count];
    e->name = octi_arena_strdup(st->arena, info->string);
    if (!e->name) return oct_last_error()->code;
    if (!cJSON_IsObject(info))
        return octi_fail(OCT_EFORMAT, st->where, octi_fmt("header entry '%.150s'", e->name),
                         "an object", NULL, NULL);
    size_t item = 0, bytes;
    OCT_TRY(read_dtype(info, st->where, e, &item));
    OCT_TRY(read_shape(info, st->where, e, item, &bytes));
    const cJSON *off = octi_json_get(info, "data_offsets");
    const char *field = field_of(e->name, "data_offsets");
    if (!cJSON_IsArray(off) || cJSON_GetArraySize(off) != 2)
        return octi_fail(OCT_EFORMAT, st->where, octi_fmt("field '%s'", field), "two integers",
                         NULL, NULL);
    int64_t begin, end;
    OCT_TRY(octi_json_item_int(off->child, field, st->where, 0, (int64_t)data_bytes, &begin));
    OCT_TRY(
        octi_json_item_int(off->child->next, field, st->where, begin, (int64_t)data_bytes, &end));
    if ((uint64_t)(end - begin) != bytes)
        return octi_fail(OCT_EFORMAT, st->where, octi_fmt("bytes of tensor '%.150s'", e->name),
                         octi_fmt("%zu by dtype and shape %s", bytes, oct_shape_text(&e->shape)),
                         octi_fmt("%lld by data_offsets", (long long)(end - begin)), NULL);
    e->data = data + begin;
    e->bytes = bytes;
    *sp = (span){(uint64_t)begin, (uint64_t)end, e->name};
    return octi_name_put(&st->by_name, st->arena, e->name, st->count++);
}

/* Tensors must tile the data: sorted by offset, each begins where the one before ended. */
static oct_status check_tiling(const octi_safetensors *st, span *sp, size_t data_bytes) {
    qsort(sp, (size_t)st->count, sizeof *sp, by_offset);
    uint64_t at = 0;
    for (int32_t i = 0; i < st->count; at = sp[i++].end)
        if (sp[i].begin != at)
            return octi_fail(OCT_EFORMAT, st->where,
                             octi_fmt("data of tensor '%.150s' %s", sp[i].name,
                                      sp[i].begin < at ? "overlaps" : "leaves a hole"),
                             octi_fmt("to begin at %llu", (unsigned long long)at),
                             octi_fmt("%llu", (unsigned long long)sp[i].begin), NULL);
    if (at != data_bytes)
        return octi_fail(OCT_EFORMAT, st->where, "bytes behind the last tensor",
                         octi_fmt("%llu data bytes", (unsigned long long)at),
                         octi_fmt("%zu", data_bytes), NULL);
    return OCT_OK;
}

static oct_status read_metadata(octi_safetensors *st, const cJSON *m) {
    if (!cJSON_IsObject(m))
        return octi_fail(OCT_EFORMAT, st->where, "__metadata__", "an object of strings", NULL,
                         NULL);
    st->meta = octi_arena_calloc(st->arena, (size_t)cJSON_GetArraySize(m), sizeof *st->meta);
    if (!st->meta) return oct_last_error()->code;
    for (const cJSON *v = m->child; v; v = v->next) {
        const char *text;
        OCT_TRY(octi_json_item_string(v, v->string, st->where, &text));
        octi_safetensors_meta *pair = &st->meta[st->meta_count];
        pair->key = octi_arena_strdup(st->arena, v->string);
        pair->value = octi_arena_strdup(st->arena, text);
        if (!pair->key || !pair->value) return oct_last_error()->code;
        st->meta_count++;
    }
    return OCT_OK;
}

static const uint8_t *find_bytes(const uint8_t *p, size_t n, const char *text, size_t m) {
    for (size_t i = 0; i + m <= n; i++)
        if (!memcmp(p + i, text, m)) return p + i;
    return NULL;
}

static uint32_t crc_of(uint32_t crc, const void *bytes, size_t n) {
    return n ? (uint32_t)crc32_z(crc, bytes, n) : crc;
}

static oct_status verify_crc(const octi_safetensors *st, const uint8_t *bytes, size_t size,
                             size_t header) {
    const char *crc = octi_safetensors_metadata(st, "crc32");
    if (!crc) {
        if (!octi_safetensors_metadata(st, "octet")) return OCT_OK;
        return octi_fail(OCT_EFORMAT, st->where, "checksum is missing in __metadata__", "crc32",
                         NULL, "the file is damaged");
    }
    const uint8_t *at = find_bytes(bytes + 8, header, CRC_LEAD, sizeof CRC_LEAD - 1);
    if (at) at += sizeof CRC_LEAD - 1;
    if (!at || strlen(crc) != CRC_DIGITS || (size_t)(bytes + 8 + header - at) < CRC_DIGITS ||
        memcmp(at, crc, CRC_DIGITS))
        return octi_fail(OCT_EFORMAT, st->where, "__metadata__.crc32", "eight hexadecimal digits",
                         crc, NULL);
    size_t before = (size_t)(at - bytes), behind = before + CRC_DIGITS;
    uint32_t sum = crc_of(0, bytes, before);
    sum = crc_of(sum, CRC_ZERO, CRC_DIGITS);
    sum = crc_of(sum, bytes + behind, size - behind);
    char text[CRC_DIGITS + 1];
    snprintf(text, sizeof text, "%08x", sum);
    return strcmp(text, crc) ? octi_fail(OCT_EFORMAT, st->where, "checksum (crc32) of the file",
                                         crc, text, "the file is damaged")
                             : OCT_OK;
}

static oct_status read_header(octi_safetensors *st, const cJSON *root, const uint8_t *data,
                              size_t data_bytes) {
    if (!cJSON_IsObject(root))
        return octi_fail(OCT_EFORMAT, st->where, "header", "a JSON object", NULL, NULL);
    size_t n = (size_t)cJSON_GetArraySize(root);
    span *sp = octi_calloc(st->ctx, n, sizeof *sp);
    st->entry = octi_arena_calloc(st->arena, n, sizeof *st->entry);
    oct_status s = sp && st->entry ? OCT_OK : oct_last_error()->code;
    for (const cJSON *v = root->child; v && s == OCT_OK; v = v->next)
        s = strcmp(v->string, "__metadata__") ? read_entry(st, v, data, data_bytes, &sp[st->count])
                                              : read_metadata(st, v);
    if (s == OCT_OK) s = check_tiling(st, sp, data_bytes);
    octi_free(st->ctx, sp);
    return s;
}

static oct_status parse(octi_safetensors *st, const uint8_t *bytes, size_t size) {
    octi_reader r = {bytes, size, 0, st->where};
    uint64_t header;
    OCT_TRY(octi_read_u64le(&r, &header, "the header's size"));
    if (header > HEADER_MAX)
        return octi_bad_bytes(&r, 0, "size of the header", octi_fmt("at most %d bytes", HEADER_MAX),
                              octi_fmt("%llu", (unsigned long long)header));
    const uint8_t *text = octi_take(&r, (size_t)header, "the header");
    if (!text) return OCT_EFORMAT;
    if (!header || text[0] != '{')
        return octi_bad_bytes(&r, 8, "header", "'{'",
                              header ? octi_fmt("byte 0x%02x", text[0]) : "nothing");
    cJSON *root;
    OCT_TRY(octi_json_parse_whole(st->ctx, text, (size_t)header, st->where, &root));
    oct_status s = read_header(st, root, text + header, octi_left(&r));
    octi_json_free(root);
    OCT_TRY(s);
    return verify_crc(st, bytes, size, (size_t)header);
}

octi_safetensors *octi_safetensors_parse(oct_ctx *ctx, const void *bytes, size_t size,
                                         const char *where) {
    octi_safetensors *st = octi_alloc(ctx, sizeof *st);
    if (!st) return NULL;
    st->ctx = ctx;
    st->arena = octi_arena_new(ctx);
    st->where = st->arena ? octi_arena_strdup(st->arena, where) : NULL;
    const bool other = size > 8 && ((const char *)bytes)[8] != '{' &&
                       octi_foreign(bytes, size, where, ".safetensors");
    if (st->where && !other && parse(st, bytes, size) == OCT_OK) return st;
    octi_safetensors_free(st);
    return NULL;
}

octi_safetensors *octi_safetensors_read_in(oct_ctx *ctx, const octi_folder *in, const char *name) {
    uint8_t *bytes;
    size_t size;
    const char *where;
    if (octi_file_read_for(ctx, in, name, &bytes, &size, &where) != OCT_OK) return NULL;
    octi_safetensors *st = octi_safetensors_parse(ctx, bytes, size, where);
    if (st)
        st->owned = bytes;
    else
        octi_free(ctx, bytes);
    return st;
}

octi_safetensors *octi_safetensors_read(oct_ctx *ctx, const char *path) {
    return octi_safetensors_read_in(ctx, NULL, path);
}

void octi_safetensors_free(octi_safetensors *st) {
    if (!st) return;
    octi_free(st->ctx, st->owned);
    octi_arena_free(st->arena);
    octi_free(st->ctx, st);
}

int32_t octi_safetensors_count(const octi_safetensors *st) { return st->count; }

const octi_safetensors_entry *octi_safetensors_at(const octi_safetensors *st, int32_t i) {
    return i >= 0 && i < st->count ? &st->entry[i] : NULL;
}

const octi_safetensors_entry *octi_safetensors_find(const octi_safetensors *st, const char *name) {
    return octi_safetensors_at(st, octi_name_find(&st->by_name, name));
}

int32_t octi_safetensors_metadata_count(const octi_safetensors *st) { return st->meta_count; }
octi_safetensors_meta octi_safetensors_metadata_at(const octi_safetensors *st, int32_t i) {
    return st->meta[i];
}

const char *octi_safetensors_metadata(const octi_safetensors *st, const char *key) {
    for (int32_t i = 0; i < st->meta_count; i++)
        if (!strcmp(st->meta[i].key, key)) return st->meta[i].value;
    return NULL;
}

float octi_f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 0x3FF, bits;
    if (e == 31)
        bits = sign | 0x7F800000 | m << 13;
    else if (e)
        bits = sign | (e + 112) << 23 | m << 13;
    else {
        float v = (float)m * 0x1p-24f;
        return sign ? -v : v;
    }
    float v;
    memcpy(&v, &bits, 4);
    return v;
}

uint16_t octi_f32_to_f16(float v) {
    uint32_t bits;
    memcpy(&bits, &v, 4);
    const uint32_t sign = bits >> 16 & 0x8000, size = bits & 0x7FFFFFFF;
    if (size > 0x7F800000) return (uint16_t)(sign | 0x7E00);
    if (size >= 0x477FF000) return (uint16_t)(sign | 0x7C00); /* 65520 and more round to infinity */
    if (size < 0x38800000) {                                  /* below 2^-14: multiples of 2^-24 */
        float a;
        memcpy(&a, &size, 4);
        return (uint16_t)(sign | (uint32_t)rintf(a * 0x1p24f));
    }
    uint32_t odd = size >> 13 & 1;
    return (uint16_t)(sign | ((size - 0x38000000 + 0xFFF + odd) >> 13));
}

oct_status octi_safetensors_to_f32(const octi_safetensors_entry *e, float *out) {
    const uint8_t *p = e->data;
    size_t n = (size_t)oct_shape_count(&e->shape);
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        double d;
        switch (e->dtype) {
        case OCT_F32:
            memcpy(&out[i], p + 4 * i, 4);
            break;
        case OCT_F16:
            out[i] = (memcpy(&h, p + 2 * i, 2), octi_f16_to_f32(h));
            break;
        case OCT_F64:
            out[i] = (memcpy(&d, p + 8 * i, 8), (float)d);
            break;
        case OCT_DTYPE_COUNT: { /* BF16: the upper half of a single */
            uint32_t bits = (memcpy(&h, p + 2 * i, 2), (uint32_t)h << 16);
            memcpy(&out[i], &bits, 4);
            break;
        }
        default:
            return octi_fail(OCT_EDTYPE, e->name, "dtype", "a float type", e->dtype_word, NULL);
        }
    }
    return OCT_OK;
}

oct_tensor *octi_safetensors_tensor(oct_ctx *ctx, const octi_safetensors_entry *e, bool as_f32) {
    if (!as_f32 && e->dtype == OCT_DTYPE_COUNT) {
        octi_fail(OCT_EDTYPE, e->name, "dtype", "a type that octet computes with", e->dtype_word,
                  "widen it to F32");
        return NULL;
    }
    oct_tensor *t = oct_tensor_new(ctx, as_f32 ? OCT_F32 : e->dtype, e->shape);
    if (!t) return NULL;
    if (!as_f32)
        memcpy(t->data, e->data, e->bytes);
    else if (octi_safetensors_to_f32(e, t->data) != OCT_OK)
        return oct_tensor_unref(t), NULL;
    return t;
}

/* ---- writing ---- */

static oct_status check_names(octi_arena *arena, const octi_safetensors_entry *e, int32_t count,
                              const octi_safetensors_meta *m, int32_t meta_count) {
    octi_name_index seen = {.slot = NULL};
    for (int32_t i = 0; i < count; i++) {
        if (!strcmp(e[i].name, "__metadata__"))
            return octi_fail(OCT_EUSAGE, e[i].name, "tensor name is reserved", NULL, NULL, NULL);
        if (octi_name_find(&seen, e[i].name) >= 0)
            return octi_fail(OCT_EUSAGE, e[i].name, "tensor name stands twice", NULL, NULL, NULL);
        OCT_TRY(octi_name_put(&seen, arena, e[i].name, i));
    }
    for (int32_t i = 0; i < meta_count; i++) {
        if (!strcmp(m[i].key, "crc32") || !strcmp(m[i].key, "octet"))
            return octi_fail(OCT_EUSAGE, m[i].key, "metadata key is reserved", NULL, NULL, NULL);
        for (int32_t j = 0; j < i; j++)
            if (!strcmp(m[i].key, m[j].key))
                return octi_fail(OCT_EUSAGE, m[i].key, "metadata key stands twice", NULL, NULL,
                                 NULL);
    }
    return OCT_OK;
}

static oct_status put_header(octi_text *t, const octi_safetensors_entry *e, int32_t count,
                             const octi_safetensors_meta *m, int32_t meta_count, const char *path) {
    octi_text_printf(t, "{\"__metadata__\":{%s%s\",\"octet\":\"1\"", CRC_LEAD, CRC_ZERO);
    for (int32_t i = 0; i < meta_count; i++) {
        octi_text_bytes(t, ",", 1);
        octi_json_put_string(t, m[i].key);
        octi_text_bytes(t, ":", 1);
        octi_json_put_string(t, m[i].value);
    }
    octi_text_bytes(t, "}", 1);
    size_t at = 0, bytes;
    for (int32_t i = 0; i < count; i++) {
        OCT_TRY(octi_shape_bytes(&e[i].shape, e[i].dtype, e[i].name, &bytes));
        octi_text_bytes(t, ",", 1);
        octi_json_put_string(t, e[i].name);
        octi_text_printf(t, ":{\"dtype\":\"%s\",\"shape\":[", dtypes[e[i].dtype].word);
        for (int32_t d = 0; d < e[i].shape.rank; d++)
            octi_text_printf(t, d ? ",%lld" : "%lld", (long long)e[i].shape.dim[d]);
        octi_text_printf(t, "],\"data_offsets\":[%zu,%zu]}", at, at + bytes);
        at += bytes;
    }
    octi_text_bytes(t, "}", 1);
    while (t->status == OCT_OK && (8 + t->size) % 64) octi_text_bytes(t, " ", 1);
    if (t->status == OCT_OK && t->size > HEADER_MAX)
        return octi_fail(OCT_ELIMIT, path, "header too large",
                         octi_fmt("at most %d bytes", HEADER_MAX), octi_fmt("%zu", t->size), NULL);
    return t->status;
}

static oct_status write_all(oct_ctx *ctx, const octi_folder *in, const char *path, octi_text *t,
                            const octi_safetensors_entry *e, int32_t count) {
    uint8_t size[8];
    for (int i = 0; i < 8; i++) size[i] = (uint8_t)((uint64_t)t->size >> 8 * i);
    uint32_t sum = crc_of(crc_of(0, size, 8), t->data, t->size);
    for (int32_t i = 0; i < count; i++)
        sum = crc_of(sum, e[i].data,
                     (size_t)oct_shape_count(&e[i].shape) * oct_dtype_size(e[i].dtype));
    char digits[CRC_DIGITS + 1];
    snprintf(digits, sizeof digits, "%08x", sum);
    memcpy(strstr(t->data, CRC_LEAD) + sizeof CRC_LEAD - 1, digits, CRC_DIGITS);
    octi_file *f = in ? octi_file_create_in(in, path) : octi_file_create(ctx, path);
    if (!f) return oct_last_error()->code;
    (void)octi_file_write(f, size, 8); /* commit reports any failure */
    (void)octi_file_write(f, t->data, t->size);
    for (int32_t i = 0; i < count; i++)
        (void)octi_file_write(f, e[i].data,
                              (size_t)oct_shape_count(&e[i].shape) * oct_dtype_size(e[i].dtype));
    return octi_file_commit(f);
}

oct_status octi_safetensors_write_in(oct_ctx *ctx, const octi_folder *in, const char *path,
                                     const octi_safetensors_entry *entries, int32_t count,
                                     const octi_safetensors_meta *meta, int32_t meta_count) {
    octi_arena *arena = octi_arena_new(ctx);
    if (!arena) return oct_last_error()->code;
    oct_status s = check_names(arena, entries, count, meta, meta_count);
    octi_arena_free(arena);
    octi_text t = {.ctx = ctx};
    if (s == OCT_OK) s = put_header(&t, entries, count, meta, meta_count, path);
    if (s == OCT_OK) s = write_all(ctx, in, path, &t, entries, count);
    octi_text_free(&t);
    return s;
}

oct_status octi_safetensors_write(oct_ctx *ctx, const char *path,
                                  const octi_safetensors_entry *entries, int32_t count,
                                  const octi_safetensors_meta *meta, int32_t meta_count) {
    return octi_safetensors_write_in(ctx, NULL, path, entries, count, meta, meta_count);
}
