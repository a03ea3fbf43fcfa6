/* SPDX-License-Identifier: MIT
 * The header of .npy is a Python dict literal: {'descr': '<f4', 'fortran_order': False, 'shape':
 * (3, 4), }. */
#include <stdlib.h>
#include <string.h>

#include "src/format/npz.h"
#include "src/format/safetensors.h"

enum { HEADER_MAX = 10000 }; /* NumPy's own limit */

typedef struct dict {
    const char *s;
    size_t n, i, base; /* base: offset in the file, for errors */
    const octi_reader *r;
} dict;

static oct_status bad(const dict *d, const char *expected) {
    return octi_bad_bytes(d->r, d->base + d->i, "NPY header", expected,
                          d->i < d->n ? octi_fmt("'%c'", d->s[d->i]) : "its end");
}

static void blanks(dict *d) {
    while (d->i < d->n && (d->s[d->i] == ' ' || d->s[d->i] == '\n' || d->s[d->i] == '\t')) d->i++;
}

static bool eat(dict *d, char c) {
    blanks(d);
    if (d->i >= d->n || d->s[d->i] != c) return false;
    d->i++;
    return true;
}

/* A quoted word without escapes. */
static oct_status word(dict *d, char *out, size_t most) {
    blanks(d);
    char q = d->i < d->n ? d->s[d->i] : 0;
    if (q != '\'' && q != '"') return bad(d, "a quoted word");
    const char *from = d->s + ++d->i, *end = memchr(from, q, d->n - d->i);
    if (!end || (size_t)(end - from) >= most || memchr(from, '\\', (size_t)(end - from)))
        return bad(d, "a short quoted word");
    memcpy(out, from, (size_t)(end - from));
    out[end - from] = 0;
    d->i += (size_t)(end - from) + 1;
    return OCT_OK;
}

static oct_status boolean(dict *d, bool *out) {
    blanks(d);
    for (int v = 0; v < 2; v++) {
        const char *w = v ? "True" : "False";
        size_t n = strlen(w);
        if (d->n - d->i < n || memcmp(d->s + d->i, w, n)) continue;
        d->i += n;
        *out = v;
        return OCT_OK;
    }
    return bad(d, "True or False");
}

static oct_status tuple(dict *d, oct_shape *shape) {
    if (!eat(d, '(')) return bad(d, "'('");
    shape->rank = 0;
    while (!eat(d, ')')) {
        int64_t v = 0;
        size_t from = d->i;
        for (; d->i < d->n && d->s[d->i] >= '0' && d->s[d->i] <= '9'; d->i++)
            if (__builtin_mul_overflow(v, 10, &v) ||
                __builtin_add_overflow(v, d->s[d->i] - '0', &v))
                return bad(d, "a size that fits");
        if (d->i == from) return bad(d, "a size");
        if (shape->rank == OCT_MAX_RANK)
            return octi_fail(OCT_EUNSUPPORTED, d->r->where, "NPY shape",
                             octi_fmt("at most %d axes", OCT_MAX_RANK), "more", NULL);
        shape->dim[shape->rank++] = v;
        if (!eat(d, ',')) {
            if (!eat(d, ')')) return bad(d, "',' or ')'");
            break;
        }
    }
    return OCT_OK;
}

static oct_status read_type(const dict *d, const char *t, octi_npy *out) {
    bool order = t[0] == '<' || t[0] == '|' || t[0] == '=';
    out->kind = t[0] ? t[1] : 0;
    out->size = out->kind && t[2] && !t[3] ? t[2] - '0' : 0;
    int n = out->size;
    bool known =
        (out->kind == 'f' && (n == 2 || n == 4 || n == 8)) ||
        ((out->kind == 'i' || out->kind == 'u') && (n == 1 || n == 2 || n == 4 || n == 8)) ||
        (out->kind == 'b' && n == 1);
    if (!order || !known || (t[0] == '|' && n > 1))
        return octi_fail(OCT_EUNSUPPORTED, d->r->where, "NPY dtype 'descr'",
                         "little-endian f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 b1", t,
                         "save it with .astype('<f4') or an integer type");
    return OCT_OK;
}

static oct_status read_dict(dict *d, octi_npy *out) {
    char type[64] = "";
    bool fortran = false, have[3] = {false, false, false};
    if (!eat(d, '{')) return bad(d, "'{'");
    while (!eat(d, '}')) {
        static const char *const keys[3] = {"descr", "fortran_order", "shape"};
        char key[32];
        OCT_TRY(word(d, key, sizeof key));
        int k = 0;
        while (k < 3 && strcmp(keys[k], key)) k++;
        if (k == 3 || have[k]) return bad(d, "descr, fortran_order and shape, once each");
        have[k] = true;
        if (!eat(d, ':')) return bad(d, "':'");
        OCT_TRY(k == 0   ? word(d, type, sizeof type)
                : k == 1 ? boolean(d, &fortran)
                         : tuple(d, &out->shape));
        if (!eat(d, ',') && !eat(d, '}'))
            return bad(d, "',' or '}'");
        else if (d->s[d->i - 1] == '}')
            break;
    }
    blanks(d);
    if (d->i != d->n) return bad(d, "nothing behind the dict");
    if (!have[0] || !have[1] || !have[2]) return bad(d, "descr, fortran_order and shape");
    OCT_TRY(read_type(d, type, out));
    if (fortran)
        return octi_fail(OCT_EUNSUPPORTED, d->r->where, "NPY array in Fortran order", "C order",
                         NULL, "save numpy.ascontiguousarray(a)");
    return OCT_OK;
}

oct_status octi_npy_parse(const void *bytes, size_t size, const char *where, octi_npy *out) {
    return octi_npy_parse_head(bytes, size, size, where, out);
}

oct_status octi_npy_parse_head(const void *bytes, size_t have, size_t size, const char *where,
                               octi_npy *out) {
    octi_reader r = {bytes, have, 0, where};
    *out = (octi_npy){0};
    const uint8_t *p = octi_take(&r, 8, "the NPY magic");
    if (!p) return OCT_EFORMAT;
    if (memcmp(p, "\x93NUMPY", 6)) return octi_bad_bytes(&r, 0, "magic of NPY", "\\x93NUMPY", NULL);
    if (p[6] < 1 || p[6] > 3 || p[7])
        return octi_bad_bytes(&r, 6, "NPY version", "1.0, 2.0 or 3.0",
                              octi_fmt("%d.%d", p[6], p[7]));
    uint32_t n = 0;
    uint16_t n16 = 0;
    OCT_TRY(p[6] == 1 ? octi_read_u16le(&r, &n16, "the NPY header's size")
                      : octi_read_u32le(&r, &n, "the NPY header's size"));
    if (p[6] == 1) n = n16;
    if (n > HEADER_MAX)
        return octi_bad_bytes(&r, 8, "size of the NPY header", octi_fmt("at most %d", HEADER_MAX),
                              octi_fmt("%u", n));
    dict d = {.base = r.pos, .n = n, .r = &r};
    d.s = (const char *)octi_take(&r, n, "the NPY header");
    if (!d.s) return OCT_EFORMAT;
    OCT_TRY(read_dict(&d, out));
    size_t need;
    OCT_TRY(octi_declared_bytes(&out->shape, (size_t)out->size, where, "NPY shape", &need));
    if (size - r.pos != need)
        return octi_bad_bytes(&r, r.pos, "NPY data", octi_fmt("%zu bytes by dtype and shape", need),
                              octi_fmt("%zu", size - r.pos));
    out->data = bytes && have == size ? r.base + r.pos : NULL;
    out->bytes = need;
    return OCT_OK;
}

oct_dtype octi_npy_dtype(const octi_npy *a) {
    static const struct {
        char kind;
        int size;
        oct_dtype t;
    } rows[] = {
#define OCT_DTYPE(name, bytes, wd, st, npy) {npy[1], bytes, OCT_##name},
#include "src/dtype.def"
#undef OCT_DTYPE
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].kind == a->kind && rows[i].size == a->size) return rows[i].t;
    return OCT_DTYPE_COUNT;
}

int64_t octi_npy_int(const octi_npy *a, size_t i) {
    uint64_t v = 0;
    memcpy(&v, (const uint8_t *)a->data + i * (size_t)a->size, (size_t)a->size); /* little-endian */
    if (a->kind != 'i') return v > INT64_MAX ? INT64_MAX : (int64_t)v;
    int shift = 64 - 8 * a->size;
    return (int64_t)(v << shift) >> shift;
}

oct_status octi_npy_to_f32(const octi_npy *a, const char *where, float *out) {
    if (a->kind != 'f')
        return octi_fail(OCT_EDTYPE, where, "dtype", "a float type",
                         octi_fmt("%c%d", a->kind, a->size), NULL);
    octi_safetensors_entry e = {.name = where,
                                .dtype_word = "float",
                                .dtype = octi_npy_dtype(a),
                                .shape = a->shape,
                                .data = a->data};
    return octi_safetensors_to_f32(&e, out);
}

/* ---- writing ---- */

static const char *const npy_types[OCT_DTYPE_COUNT] = {
#define OCT_DTYPE(name, bytes, word, st, npy) npy,
#include "src/dtype.def"
#undef OCT_DTYPE
};

/* Magic, version, size and dict, padded with blanks so that the data begins at a multiple of 64. */
oct_status octi_npy_put_header(octi_text *t, const octi_npz_array *a) {
    octi_text_bytes(t, "\x93NUMPY\x01\x00\x00\x00", 10);
    octi_text_printf(t, "{'descr': '%s', 'fortran_order': False, 'shape': (", npy_types[a->dtype]);
    for (int i = 0; i < a->shape.rank; i++)
        octi_text_printf(t, i ? " %lld%s" : "%lld%s", (long long)a->shape.dim[i],
                         a->shape.rank == 1 || i < a->shape.rank - 1 ? "," : "");
    octi_text_bytes(t, "), }", 4);
    while (t->status == OCT_OK && t->size % 64 != 63) octi_text_bytes(t, " ", 1);
    octi_text_bytes(t, "\n", 1);
    if (t->status != OCT_OK) return t->status;
    t->data[8] = (char)((t->size - 10) & 255);
    t->data[9] = (char)((t->size - 10) >> 8);
    return OCT_OK;
}

oct_status octi_npy_write(oct_ctx *ctx, const char *path, const octi_npz_array *a) {
    size_t bytes;
    OCT_TRY(octi_shape_bytes(&a->shape, a->dtype, path, &bytes));
    octi_text head = {.ctx = ctx};
    oct_status s = octi_npy_put_header(&head, a);
    octi_file *f = s == OCT_OK ? octi_file_create(ctx, path) : NULL;
    if (s == OCT_OK && !f) s = oct_last_error()->code;
    if (f) {
        (void)octi_file_write(f, head.data, head.size); /* commit reports any failure */
        (void)octi_file_write(f, a->data, bytes);
        s = octi_file_commit(f);
    }
    octi_text_free(&head);
    return s;
}
