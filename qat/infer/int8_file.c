/* SPDX-License-Identifier: MIT
 * The int8 file: sections GRPH (the graph's own form), TENS (the registry), META (input, classes,
 * model, target).
 *
 *   TENS: count u32, then per tensor: role u8, dtype u8, rank u8, name length u16, name, dims u64 x
 *   rank,
 * data. Weights of 4 bits and fewer are packed: dtype holds their bits in its upper half. All
 * little-endian. Tensors stand in the registry's order, so that the same net gives the
 * same bytes.
 */
#include <string.h>

#include "qat/infer/infer.h"
#include "qat/int8/int8.h"
#include "src/float_mode.h"
#include "src/format/few_bits.h"
#include "src/format/foreign.h"
#include "src/format/graph_json.h"
#include "src/format/sections.h"
#include "src/mem.h"
#include "src/words.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "tensors are written as they lie in memory");

/* 3: tensors may be packed; without any it is 2: a requant says its law; 1 knew fp32 alone */
enum { FILE_VERSION = 3, WHOLE_BYTES = 2, MAX_TENSORS = 8192, MAX_NAME = 1024 };
static const char file_magic[] = "OCTINT8\n";

/* ---- saving ---- */

static void put(octi_text *t, uint64_t v, int bytes) {
    uint8_t b[8];
    for (int i = 0; i < bytes; i++) b[i] = (uint8_t)(v >> 8 * i);
    octi_text_bytes(t, b, (size_t)bytes);
}

static void write_data(const oct_net *net, const oct_tensor *t, int bits, octi_text *out) {
    if (!bits) {
        octi_text_bytes(out, t->data, oct_tensor_bytes(t));
        return;
    }
    const size_t count = (size_t)oct_tensor_count(t), n = octi_few_bytes(count, bits);
    uint8_t *packed = octi_calloc(net->ctx, n, 1);
    if (packed) {
        octi_few_pack(oct_s8(t), count, bits, packed);
        octi_text_bytes(out, packed, n);
    } else if (out->status == OCT_OK)
        out->status = oct_last_error()->code;
    octi_free(net->ctx, packed);
}

static oct_status write_tensors(const oct_net *net, octi_text *out, uint32_t *version) {
    *version = WHOLE_BYTES;
    if (net->tensor_count > MAX_TENSORS)
        return octi_fail(OCT_ELIMIT, "int8 file", "tensors", octi_fmt("at most %d", MAX_TENSORS),
                         octi_fmt("%d", net->tensor_count), NULL);
    put(out, (uint64_t)net->tensor_count, 4);
    for (int32_t i = 0; i < net->tensor_count; i++) {
        const oct_named_tensor *e = &net->tensors[i];
        size_t n = strlen(e->name);
        if (n > MAX_NAME)
            return octi_fail(OCT_ELIMIT, e->name, "name too long",
                             octi_fmt("at most %d bytes", MAX_NAME), octi_fmt("%zu", n), NULL);
        const int bits = octi_few_bits(e->tensor);
        if (bits) *version = FILE_VERSION;
        put(out, (uint64_t)e->role, 1);
        put(out, (uint64_t)e->tensor->dtype | (uint64_t)bits << 4, 1);
        put(out, (uint64_t)e->tensor->shape.rank, 1);
        put(out, n, 2);
        octi_text_bytes(out, e->name, n);
        for (int k = 0; k < e->tensor->shape.rank; k++)
            put(out, (uint64_t)e->tensor->shape.dim[k], 8);
        write_data(net, e->tensor, bits, out);
    }
    return out->status;
}

static oct_status write_file(const oct_net *net, octi_text *out) {
    octi_text graph = {net->ctx}, tensors = {net->ctx}, meta = {net->ctx};
    uint32_t version = WHOLE_BYTES;
    oct_status s = octi_int8_check(net);
    if (s == OCT_OK)
        s = octi_tensors_finite(net->tensors, net->tensor_count, "int8 file", OCT_EDIVERGED, NULL);
    if (s == OCT_OK) s = octi_graph_to_json(net, &graph);
    if (s == OCT_OK) s = write_tensors(net, &tensors, &version);
    if (s == OCT_OK) s = octi_meta_to_json(net, &meta);
    if (s == OCT_OK) {
        const octi_section sections[] = {{"GRPH", (const uint8_t *)graph.data, graph.size},
                                         {"TENS", (const uint8_t *)tensors.data, tensors.size},
                                         {"META", (const uint8_t *)meta.data, meta.size}};
        octi_sections_write(out, file_magic, version, sections, 3);
        s = out->status;
    }
    octi_text_free(&graph);
    octi_text_free(&tensors);
    octi_text_free(&meta);
    return s;
}

oct_status oct_int8_save_memory(const oct_net *net, uint8_t **bytes, size_t *size) {
    OCTI_LAW_MODE();
    if (!net || !bytes || !size) return octi_fail_null("oct_int8_save_memory");
    octi_text out = {net->ctx};
    oct_status s = write_file(net, &out);
    if (s != OCT_OK) return octi_text_free(&out), s;
    *bytes = (uint8_t *)out.data;
    *size = out.size;
    return OCT_OK;
}

void oct_int8_bytes_free(oct_ctx *ctx, uint8_t *bytes) { octi_free(ctx, bytes); }

oct_status oct_int8_save(const oct_net *net, const char *path) {
    OCTI_LAW_MODE();
    if (!net || !path) return octi_fail_null("oct_int8_save");
    uint8_t *bytes;
    size_t size;
    OCT_TRY(oct_int8_save_memory(net, &bytes, &size));
    oct_status s = octi_file_save(net->ctx, path, bytes, size);
    octi_free(net->ctx, bytes);
    return s;
}

/* ---- loading ---- */

/* From `data`, as many bytes as it takes. */
static oct_status fill(oct_tensor *t, const uint8_t *data, size_t bytes, int bits,
                       const octi_reader *r, size_t at) {
    if (!bits) {
        if (bytes) memcpy(t->data, data, bytes);
        return OCT_OK;
    }
    if (!octi_few_unpack(data, (size_t)oct_tensor_count(t), bits, oct_s8(t)))
        return octi_bad_bytes(r, at, "free bits behind packed weights", "0", NULL);
    if (octi_few_bits(t) != bits) /* one net, one file */
        return octi_bad_bytes(r, at, "bits of packed weights", "as few as they take",
                              octi_fmt("%d, they take %d", bits, octi_few_bits(t)));
    return OCT_OK;
}

static oct_status read_tensor(oct_net *net, octi_reader *r, bool packs) {
    uint8_t role, dtype, rank, bits = 0;
    uint16_t n;
    char name[MAX_NAME + 1];
    oct_shape shape = {0};
    size_t bytes, at = r->pos;
    OCT_TRY(octi_read_u8(r, &role, "tensor role"));
    OCT_TRY(octi_read_u8(r, &dtype, "tensor dtype"));
    OCT_TRY(octi_read_u8(r, &rank, "tensor rank"));
    OCT_TRY(octi_read_u16le(r, &n, "length of a tensor's name"));
    if (packs && (dtype & 15) == OCT_S8 && dtype >> 4 >= 2 && dtype >> 4 <= 4) {
        bits = dtype >> 4;
        dtype = OCT_S8;
    }
    if (role > OCT_ROLE_CONST || dtype >= OCT_DTYPE_COUNT || rank > OCT_MAX_RANK || n < 1 ||
        n > MAX_NAME)
        return octi_bad_bytes(
            r, at, "tensor header out of range", NULL,
            octi_fmt("role %d, dtype %d, rank %d, name of %d bytes", role, dtype, rank, n));
    const uint8_t *text = octi_take(r, n, "name of a tensor");
    if (!text) return OCT_EFORMAT;
    if (memchr(text, 0, n))
        return octi_bad_bytes(r, at, "name of a tensor holds a zero byte", NULL, NULL);
    memcpy(name, text, n);
    name[n] = 0;
    shape.rank = rank;
    for (int i = 0; i < rank; i++) {
        uint64_t d;
        OCT_TRY(octi_read_u64le(r, &d, "dimension of a tensor"));
        if (d > (uint64_t)INT64_MAX / 2)
            return octi_bad_bytes(r, r->pos - 8, octi_fmt("dimension of %s", name), NULL,
                                  octi_fmt("%llu", (unsigned long long)d));
        shape.dim[i] = (int64_t)d;
    }
    OCT_TRY(octi_declared_bytes(&shape, oct_dtype_size((oct_dtype)dtype), r->where,
                                octi_fmt("size of %s", name), &bytes));
    if (bits && bytes < 1)
        return octi_bad_bytes(r, at, octi_fmt("packed, without elements: %s", name), NULL, NULL);
    if (bits) bytes = octi_few_bytes(bytes, bits);
    const uint8_t *data =
        /* there, before anything is allocated for it */
        octi_take(r, bytes, octi_fmt("data of %s", name));
    if (!data) return OCT_EFORMAT;
    if (oct_net_tensor(net, name))
        return octi_bad_bytes(r, at, "tensor name stands twice", NULL, name);
    oct_tensor *t = oct_tensor_new(net->ctx, (oct_dtype)dtype, shape);
    if (!t) return oct_last_error()->code;
    oct_status s = fill(t, data, bytes, bits, r, at);
    if (s == OCT_OK) s = octi_net_register(net, name, (oct_tensor_role)role, t);
    oct_tensor_unref(t);
    return s;
}

/* Weights are what is most often given in place of a model. */
static oct_status check_kind(const uint8_t *bytes, size_t size, const char *where) {
    static const char wanted[] = "an int8 file";
    if (size > 8 && bytes[8] == '{' && memcmp(bytes, file_magic, 8))
        return octi_fail(OCT_EFORMAT, where, "this is a .safetensors file: weights without a net",
                         wanted, NULL, "octet import FILE --model M --out RUN makes a run of it");
    return octi_foreign(bytes, size, where, wanted) ? OCT_EFORMAT : OCT_OK;
}

static oct_status read_file(oct_net *net, const uint8_t *bytes, size_t size, const char *where) {
    octi_section sections[OCTI_MAX_SECTIONS];
    int count;
    OCT_TRY(check_kind(bytes, size, where));
    OCT_TRY(octi_sections_read(bytes, size, where, file_magic, FILE_VERSION, sections, &count));
    const octi_section *graph = octi_section_find(sections, count, "GRPH", where),
                       *tensors = octi_section_find(sections, count, "TENS", where),
                       *meta = octi_section_find(sections, count, "META", where);
    if (!graph || !tensors || !meta) return OCT_EFORMAT;
    if (count != 3)
        return octi_fail(OCT_EFORMAT, where, "sections", "GRPH, TENS, META",
                         octi_fmt("%d of them", count), NULL);
    octi_reader r = {tensors->bytes, tensors->size, 0, where};
    uint32_t n;
    OCT_TRY(octi_read_u32le(&r, &n, "tensor count"));
    if (n > MAX_TENSORS)
        return octi_fail(OCT_ELIMIT, where, "tensors", octi_fmt("at most %d", MAX_TENSORS),
                         octi_fmt("%u", n), NULL);
    const bool packs = bytes[8] > WHOLE_BYTES; /* the version, which was judged */
    for (uint32_t i = 0; i < n; i++) OCT_TRY(read_tensor(net, &r, packs));
    if (octi_left(&r))
        return octi_bad_bytes(&r, r.pos, "bytes behind the last tensor", "none",
                              octi_fmt("%zu", octi_left(&r)));
    OCT_TRY(octi_graph_from_json(net, (const char *)graph->bytes, graph->size, where));
    OCT_TRY(octi_meta_from_json(net, (const char *)meta->bytes, meta->size, where));
    if (octi_int8_check(net) != OCT_OK)
        return octi_fail_in(octi_file_fault(oct_last_error()->code), where);
    return octi_tensors_finite(net->tensors, net->tensor_count, where, OCT_EFORMAT, NULL);
}

oct_net *oct_int8_load_memory(oct_ctx *ctx, const void *bytes, size_t size, const char *where) {
    OCTI_LAW_MODE();
    if (!ctx || !bytes) return NULL;
    oct_net *net = octi_net_new(ctx, OCT_STAGE_INT8);
    if (net && read_file(net, bytes, size, where) == OCT_OK) return net;
    octi_ctx_failed(ctx);
    oct_net_free(net);
    return NULL;
}

oct_net *oct_int8_load(oct_ctx *ctx, const char *path) {
    OCTI_LAW_MODE();
    uint8_t *bytes;
    size_t size;
    if (!ctx) return NULL;
    if (!path) return octi_fail_null("oct_int8_load"), octi_ctx_failed(ctx), NULL;
    if (octi_file_read(ctx, path, 0, &bytes, &size) != OCT_OK) return octi_ctx_failed(ctx), NULL;
    oct_net *net = oct_int8_load_memory(ctx, bytes, size, path);
    octi_free(ctx, bytes);
    return net;
}
