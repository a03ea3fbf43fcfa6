/* SPDX-License-Identifier: MIT
 * What is in a data file: its kind by content, then what its header says. */
#include <string.h>

#include "datasets/image_check.h"
#include "datasets/set.h"
#include "qat/fit/fit.h"
#include "qat/io/onnx_look.h"
#include "src/arena.h"
#include "src/float_mode.h"
#include "src/format/foreign.h"
#include "src/format/npz.h"
#include "src/format/safetensors.h"
#include "src/mem.h"
#include "src/words.h"

/* The info and all it points to live in one arena: freeing is one call. */
typedef struct holder {
    oct_file_info info; /* first: what the caller sees */
    octi_arena *arena;
} holder;

typedef struct source {
    oct_ctx *ctx;
    const char *path;
    const uint8_t *bytes;
    size_t size;
} source;

static oct_status room(holder *h, int32_t arrays, int32_t notes) {
    h->info.arrays = octi_arena_calloc(h->arena, (size_t)arrays + 1, sizeof *h->info.arrays);
    h->info.notes = octi_arena_calloc(h->arena, (size_t)notes + 1, sizeof *h->info.notes);
    return h->info.arrays && h->info.notes ? OCT_OK : oct_last_error()->code;
}

static oct_status array(holder *h, const char *name, const char *dtype, oct_shape shape) {
    oct_file_array *a = &h->info.arrays[h->info.array_count++];
    *a = (oct_file_array){octi_arena_strdup(h->arena, name), octi_arena_strdup(h->arena, dtype),
                          shape};
    return a->name && a->dtype ? OCT_OK : oct_last_error()->code;
}

static oct_status note(holder *h, const char *key, const char *value) {
    struct oct_file_note *n = &h->info.notes[h->info.note_count++];
    *n = (struct oct_file_note){octi_arena_strdup(h->arena, key),
                                octi_arena_strdup(h->arena, value)};
    return n->key && n->value ? OCT_OK : oct_last_error()->code;
}

static oct_status look_safetensors(holder *h, const source *f) {
    octi_safetensors *st = octi_safetensors_parse(f->ctx, f->bytes, f->size, f->path);
    if (!st) return oct_last_error()->code;
    int32_t n = octi_safetensors_count(st), pairs = octi_safetensors_metadata_count(st);
    oct_status s = room(h, n, pairs);
    for (int32_t i = 0; s == OCT_OK && i < n; i++) {
        const octi_safetensors_entry *e = octi_safetensors_at(st, i);
        s = array(h, e->name, e->dtype_word, e->shape);
    }
    for (int32_t i = 0; s == OCT_OK && i < pairs; i++) {
        octi_safetensors_meta m = octi_safetensors_metadata_at(st, i);
        s = note(h, m.key, m.value);
    }
    octi_safetensors_free(st);
    return s;
}

static oct_status npy_array(holder *h, const char *name, const octi_npy *a) {
    return array(h, name, octi_fmt("%c%d", a->kind, a->size), a->shape);
}

static oct_status look_npy(holder *h, const source *f) {
    octi_npy a;
    OCT_TRY(octi_npy_parse(f->bytes, f->size, f->path, &a));
    OCT_TRY(room(h, 1, 0));
    return npy_array(h, "array", &a);
}

static oct_status look_npz(holder *h, const source *f) {
    octi_npz *z = octi_npz_parse(f->ctx, f->bytes, f->size, f->path);
    if (!z) return oct_last_error()->code;
    oct_status s = room(h, octi_npz_count(z), 0);
    for (int32_t i = 0; s == OCT_OK && i < octi_npz_count(z); i++) {
        octi_npy a;
        s = octi_npz_get(z, octi_npz_name(z, i), 0, &a);
        if (s == OCT_OK) s = npy_array(h, octi_npz_name(z, i), &a);
    }
    octi_npz_free(z);
    return s;
}

static oct_status look_idx(holder *h, const source *f) {
    int rank = f->bytes[3];
    octi_idx x;
    OCT_TRY(octi_idx_parse(f->bytes, f->size, f->path, rank, &x));
    OCT_TRY(room(h, 1, 0));
    oct_shape s = {.rank = rank, .dim = {x.dim[0], x.dim[1], x.dim[2]}};
    return array(h, rank == 1 ? "labels" : "images", "u1", s);
}

static oct_status look_image(holder *h, const source *f) {
    static const char *const words[] = {
        [OCTI_IMAGE_JPEG] = "JPEG", [OCTI_IMAGE_PNG] = "PNG", [OCTI_IMAGE_BMP] = "BMP"};
    octi_image_info i;
    OCT_TRY(octi_image_check(f->bytes, f->size, f->path, &i));
    OCT_TRY(room(h, 1, 1));
    OCT_TRY(note(h, "format", words[i.kind]));
    return array(h, "pixels", "u1", OCT_SHAPE(i.height, i.width, i.grey ? 1 : 3));
}

/* Records of label bytes and pixels: no magic, so the length and every label must fit. */
static oct_status look_cifar(holder *h, const source *f, int skip) {
    int64_t n = (int64_t)(f->size / (size_t)(skip + 1 + OCTI_CIFAR_PIXELS));
    OCT_TRY(room(h, 2, 0));
    OCT_TRY(array(h, "labels", "u1", OCT_SHAPE(n)));
    return array(h, "images", "u1", OCT_SHAPE(n, 3, 32, 32));
}
static oct_status look_cifar10(holder *h, const source *f) { return look_cifar(h, f, 0); }
static oct_status look_cifar100(holder *h, const source *f) { return look_cifar(h, f, 1); }

static oct_status look_onnx(holder *h, const source *f) {
    octi_onnx_sight s;
    OCT_TRY(octi_onnx_look(f->ctx, h->arena, f->bytes, f->size, f->path, &s));
    OCT_TRY(room(h, s.tensor_count, 5));
    for (int32_t i = 0; i < s.tensor_count; i++)
        OCT_TRY(array(h, s.tensors[i].name, s.tensors[i].dtype, s.tensors[i].shape));
    OCT_TRY(note(h, "input", s.input));
    OCT_TRY(note(h, "output", s.output));
    OCT_TRY(note(h, "ops", s.ops));
    OCT_TRY(note(h, "opset", octi_fmt("%lld", (long long)s.opset)));
    return note(h, "producer", s.producer);
}

/* ---- kinds, by content ---- */

static bool starts(const source *f, const char *magic, size_t n) {
    return f->size >= n && !memcmp(f->bytes, magic, n);
}
static bool is_npy(const source *f) { return starts(f, "\x93NUMPY", 6); }
static bool is_npz(const source *f) {
    return (starts(f, "PK\3\4", 4) || starts(f, "PK\5\6", 4)) && !octi_is_torch(f->bytes, f->size);
}
static bool is_idx(const source *f) {
    return f->size >= 8 && starts(f, "\0\0\10", 3) && (f->bytes[3] == 1 || f->bytes[3] == 3);
}
static bool is_image(const source *f) {
    return starts(f, "\xff\xd8\xff", 3) || starts(f, "\x89PNG", 4) || starts(f, "BM", 2);
}

static bool is_safetensors(const source *f) { /* u64 size of a JSON object that lies in the file */
    uint64_t n = 0;
    for (int i = 7; i >= 0 && f->size > 8; i--) n = n << 8 | f->bytes[i];
    return n >= 2 && n <= f->size - 8 && f->bytes[8] == '{';
}

static bool is_onnx(const source *f) { return octi_is_onnx(f->bytes, f->size); }

static bool records(const source *f, size_t skip, unsigned classes) {
    size_t record = skip + 1 + OCTI_CIFAR_PIXELS;
    bool fits = f->size && f->size % record == 0;
    for (size_t i = 0; fits && i < f->size; i += record)
        fits = f->bytes[i + skip] < classes && (!skip || f->bytes[i] < 20);
    return fits;
}
static bool is_cifar10(const source *f) { return records(f, 0, 10); }
static bool is_cifar100(const source *f) { return records(f, 1, 100); }

static const char *const kind_words[] = {"npy",         "npz",  "idx",     "image",
                                         "safetensors", "onnx", "cifar10", "cifar100"};
static const octi_words file_words = OCTI_WORDS("kind of file", kind_words);
OCTI_WORD_PAIR(oct_file_kind, file_words)

/* Looked for in this order. */
static const struct kind {
    bool (*is)(const source *f);
    oct_status (*look)(holder *h, const source *f);
} kinds[] = {
    [OCT_FILE_NPY] = {is_npy, look_npy},
    [OCT_FILE_NPZ] = {is_npz, look_npz},
    [OCT_FILE_IDX] = {is_idx, look_idx},
    [OCT_FILE_IMAGE] = {is_image, look_image},
    [OCT_FILE_SAFETENSORS] = {is_safetensors, look_safetensors},
    [OCT_FILE_ONNX] = {is_onnx, look_onnx},
    [OCT_FILE_CIFAR10] = {is_cifar10, look_cifar10},
    [OCT_FILE_CIFAR100] = {is_cifar100, look_cifar100},
};

static oct_status look(holder *h, const source *f, const char *wanted) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!kinds[i].is(f)) continue;
        h->info.kind = (oct_file_kind)i;
        return kinds[i].look(h, f);
    }
    return octi_foreign(f->bytes, f->size, f->path, wanted)
               ? OCT_EFORMAT
               : octi_fail(OCT_EFORMAT, f->path, "unknown kind of file", wanted, NULL, NULL);
}

static const size_t MOST = (size_t)2 << 30;

oct_file_info *oct_file_inspect_for(oct_ctx *ctx, const char *path, const char *wanted) {
    OCTI_LAW_MODE();
    if (!ctx || !path || !wanted) return NULL;
    uint8_t *bytes = NULL, *plain = NULL;
    size_t size;
    holder *h = octi_alloc(ctx, sizeof *h);
    if (h) h->arena = octi_arena_new(ctx);
    oct_status s =
        h && h->arena ? octi_file_read(ctx, path, MOST, &bytes, &size) : oct_last_error()->code;
    if (s == OCT_OK && size > 2 && bytes[0] == 0x1f && bytes[1] == 0x8b) {
        s = octi_gunzip(ctx, bytes, size, 0, NULL, path, &plain, &size);
        octi_free(ctx, bytes);
        bytes = plain;
    }
    if (s == OCT_OK) s = look(h, &(source){ctx, path, bytes, size}, wanted);
    octi_free(ctx, bytes);
    if (s == OCT_OK) return &h->info;
    octi_ctx_failed(ctx);
    if (h) oct_file_info_free(ctx, &h->info);
    return NULL;
}

oct_file_info *oct_file_inspect(oct_ctx *ctx, const char *path) {
    return oct_file_inspect_for(ctx, path,
                                "a run, an int8 file, .safetensors, ONNX, .npz, .npy, IDX, CIFAR "
                                "records, JPEG, PNG or BMP");
}

void oct_file_info_free(oct_ctx *ctx, oct_file_info *info) {
    if (!info) return;
    holder *h = (holder *)info;
    octi_arena_free(h->arena);
    octi_free(ctx, h);
}
