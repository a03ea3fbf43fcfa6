/* SPDX-License-Identifier: MIT
 * The zip around NumPy's arrays: written stored, read by its central directory, every member
 * checked. */
#include "src/format/npz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "src/arena.h"
#include "src/format/foreign.h"
#include "src/mem.h"
#include "src/name_index.h"

/* Field offsets of PKWARE's APPNOTE 4.3. */
enum { LOCAL = 30, CENTRAL = 46, END = 22, MEMBERS_MAX = 65535 };
static const uint32_t LOCAL_SIG = 0x04034b50, CENTRAL_SIG = 0x02014b50, END_SIG = 0x06054b50;

typedef struct member {
    char *name; /* without .npy */
    uint32_t crc, packed, size, method;
    size_t begin, data; /* of the local header and of the bytes */
    uint8_t *unpacked;  /* NULL: stored, or not asked for */
} member;

struct octi_npz {
    oct_ctx *ctx;
    octi_arena *arena;
    const char *where;
    const uint8_t *bytes;
    size_t size;
    uint8_t *owned;
    member *m;
    int32_t count;
};

static uint16_t le16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static uint32_t le32(const uint8_t *p) {
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* ---- the directory ---- */

static oct_status unsupported(const octi_npz *z, const char *what) {
    return octi_fail(OCT_EUNSUPPORTED, z->where, what, "what numpy.savez writes below 4 GiB", NULL,
                     NULL);
}

/* The end record: no comment is expected, but up to 64 KiB of one are looked behind. */
static oct_status find_end(const octi_npz *z, size_t *at) {
    if (z->size < END)
        return octi_fail(OCT_EFORMAT, z->where, "not a zip archive, as .npz is",
                         "at least 22 bytes", octi_fmt("%zu", z->size), NULL);
    for (size_t i = z->size - END, n = 0; n <= 65535; i--, n++) {
        if (le32(z->bytes + i) == END_SIG && i + END + le16(z->bytes + i + 20) == z->size)
            return *at = i, OCT_OK;
        if (!i) break;
    }
    return octi_fail(OCT_EFORMAT, z->where, "no end record of a zip archive", NULL, NULL,
                     "the file is cut short, or no .npz");
}

static oct_status check_local(const octi_npz *z, member *m, const uint8_t *name, size_t name_len,
                              size_t directory) {
    octi_reader r = {z->bytes, directory, m->begin, z->where};
    if (m->begin > directory)
        return octi_bad_bytes(&r, m->begin, "zip member",
                              octi_fmt("before the directory at %zu", directory), NULL);
    const uint8_t *p = octi_take(&r, LOCAL, "a zip member's header");
    if (!p) return OCT_EFORMAT;
    if (le32(p) != LOCAL_SIG)
        return octi_bad_bytes(&r, m->begin, "zip member", "signature PK\\3\\4",
                              octi_fmt("0x%08x", le32(p)));
    size_t skip = le16(p + 28);
    if (le16(p + 26) != name_len || le16(p + 8) != m->method)
        return octi_bad_bytes(&r, m->begin, "zip member's header", "the directory's fields",
                              "others");
    p = octi_take(&r, name_len, "a zip member's name");
    if (!p || memcmp(p, name, name_len))
        return p ? octi_bad_bytes(&r, m->begin + LOCAL, "zip member's name", "the directory's",
                                  "another")
                 : OCT_EFORMAT;
    if (!octi_take(&r, skip, "a zip member's extra field")) return OCT_EFORMAT;
    m->data = r.pos;
    return octi_take(&r, m->packed, "a zip member") ? OCT_OK : OCT_EFORMAT;
}

static oct_status add_member(octi_npz *z, octi_reader *r, size_t directory) {
    const uint8_t *p = octi_take(r, CENTRAL, "the zip directory");
    if (!p) return OCT_EFORMAT;
    if (le32(p) != CENTRAL_SIG)
        return octi_bad_bytes(r, (size_t)(p - r->base), "zip directory", "signature PK\\1\\2",
                              octi_fmt("0x%08x", le32(p)));
    member *m = &z->m[z->count];
    *m = (member){.method = le16(p + 10),
                  .crc = le32(p + 16),
                  .packed = le32(p + 20),
                  .size = le32(p + 24),
                  .begin = le32(p + 42)};
    size_t n = le16(p + 28), extra = le16(p + 30), comment = le16(p + 32);
    if (le16(p + 8) & 0x2041) return unsupported(z, "zip member is encrypted");
    if (m->method != 0 && m->method != 8)
        return unsupported(z, octi_fmt("zip method %u", m->method));
    if (m->packed == UINT32_MAX || m->size == UINT32_MAX || m->begin == UINT32_MAX)
        return unsupported(z, "zip64 archive");
    if (le16(p + 34)) return unsupported(z, "spanned archive");
    if (!m->method && m->packed != m->size)
        return octi_bad_bytes(r, (size_t)(p - r->base) + 20, "sizes of a stored member", "equal",
                              "unequal");
    const uint8_t *name = octi_take(r, n, "a name in the zip directory");
    if (!name || !octi_take(r, extra + comment, "the zip directory")) return OCT_EFORMAT;
    OCT_TRY(check_local(z, m, name, n, directory));
    if (memchr(name, 0, n) || !n)
        return octi_bad_bytes(r, (size_t)(name - r->base), "zip member's name", "text", NULL);
    bool npy = n > 4 && !memcmp(name + n - 4, ".npy", 4);
    m->name = octi_arena_alloc(z->arena, n + 1);
    if (!m->name) return oct_last_error()->code;
    memcpy(m->name, name, n);
    m->name[npy ? n - 4 : n] = 0;
    z->count++;
    return OCT_OK;
}

static int by_begin(const void *a, const void *b) {
    const member *x = a, *y = b;
    return x->begin < y->begin ? -1 : x->begin > y->begin;
}
static int by_name(const void *a, const void *b) {
    return strcmp(((const member *)a)->name, ((const member *)b)->name);
}

/* One byte belongs to one member (an overlap makes zip bombs), and one name to one array. */
static oct_status check_members(octi_npz *z) {
    if (!z->count) return OCT_OK;
    qsort(z->m, (size_t)z->count, sizeof *z->m, by_begin);
    for (int32_t i = 1; i < z->count; i++)
        if (z->m[i].begin < z->m[i - 1].data + z->m[i - 1].packed)
            return octi_fail(
                OCT_EFORMAT, z->where,
                octi_fmt("zip members '%.80s' and '%.80s' overlap", z->m[i - 1].name, z->m[i].name),
                NULL, NULL, NULL);
    qsort(z->m, (size_t)z->count, sizeof *z->m, by_name);
    for (int32_t i = 1; i < z->count; i++)
        if (!strcmp(z->m[i].name, z->m[i - 1].name))
            return octi_fail(OCT_EFORMAT, z->where, "array stands twice", NULL, z->m[i].name, NULL);
    return OCT_OK;
}

static oct_status read_directory(octi_npz *z) {
    size_t end = 0;
    OCT_TRY(find_end(z, &end));
    const uint8_t *p = z->bytes + end;
    uint32_t n = le16(p + 10), size = le32(p + 12), at = le32(p + 16);
    if (n == UINT16_MAX || size == UINT32_MAX || at == UINT32_MAX)
        return unsupported(z, "zip64 archive");
    if (le16(p + 4) || le16(p + 6) || le16(p + 8) != n) return unsupported(z, "spanned archive");
    if ((uint64_t)at + size != end)
        return octi_fail(OCT_EFORMAT, z->where, octi_fmt("zip directory at offset %u", at),
                         octi_fmt("to end at %zu", end),
                         octi_fmt("%llu", (unsigned long long)at + size), NULL);
    if ((uint64_t)n * CENTRAL > size)
        return octi_fail(OCT_EFORMAT, z->where, "number of zip members",
                         octi_fmt("at most %u in %u bytes", size / CENTRAL, size),
                         octi_fmt("%u", n), NULL);
    z->m = octi_arena_calloc(z->arena, n, sizeof *z->m);
    if (!z->m) return oct_last_error()->code;
    octi_reader r = {z->bytes, end, at, z->where};
    for (uint32_t i = 0; i < n; i++) OCT_TRY(add_member(z, &r, at));
    if (r.pos != end)
        return octi_bad_bytes(&r, r.pos, "zip directory", octi_fmt("to end at %zu", end),
                              "bytes left");
    return check_members(z);
}

octi_npz *octi_npz_parse(oct_ctx *ctx, const void *bytes, size_t size, const char *where) {
    octi_npz *z = octi_alloc(ctx, sizeof *z);
    if (!z) return NULL;
    z->ctx = ctx;
    z->bytes = bytes;
    z->size = size;
    z->arena = octi_arena_new(ctx);
    z->where = z->arena ? octi_arena_strdup(z->arena, where) : NULL;
    if (z->where && !octi_foreign(bytes, size, where, ".npz") && read_directory(z) == OCT_OK)
        return z;
    octi_npz_free(z);
    return NULL;
}

octi_npz *octi_npz_read_in(oct_ctx *ctx, const octi_folder *in, const char *name) {
    uint8_t *bytes;
    size_t size;
    const char *where;
    if (octi_file_read_for(ctx, in, name, &bytes, &size, &where) != OCT_OK) return NULL;
    octi_npz *z = octi_npz_parse(ctx, bytes, size, where);
    if (z)
        z->owned = bytes;
    else
        octi_free(ctx, bytes);
    return z;
}

octi_npz *octi_npz_read(oct_ctx *ctx, const char *path) {
    return octi_npz_read_in(ctx, NULL, path);
}

void octi_npz_free(octi_npz *z) {
    if (!z) return;
    for (int32_t i = 0; i < z->count; i++) octi_free(z->ctx, z->m[i].unpacked);
    octi_free(z->ctx, z->owned);
    octi_arena_free(z->arena);
    octi_free(z->ctx, z);
}

int32_t octi_npz_count(const octi_npz *z) { return z->count; }
const char *octi_npz_name(const octi_npz *z, int32_t i) {
    return i >= 0 && i < z->count ? z->m[i].name : NULL;
}

static member *find(const octi_npz *z, const char *name) {
    for (int32_t i = 0; i < z->count; i++)
        if (!strcmp(z->m[i].name, name)) return &z->m[i];
    return NULL;
}

bool octi_npz_has(const octi_npz *z, const char *name) { return find(z, name) != NULL; }

/* ---- members ---- */

/* The first n bytes of a member: all of it (then it must end there), or its head. */
static oct_status inflate_member(octi_npz *z, const member *m, uint8_t *out, uint32_t n) {
    z_stream s = {0};
    if (inflateInit2(&s, -MAX_WBITS) != Z_OK)
        return octi_fail(OCT_ENOMEM, z->where, "inflate", NULL, NULL, NULL);
    uint8_t none;
    s.next_in = (Bytef *)(uintptr_t)(z->bytes + m->data);
    s.avail_in = m->packed;
    s.next_out = n ? out : &none;
    s.avail_out = n;
    int rc = inflate(&s, n == m->size ? Z_FINISH : Z_NO_FLUSH);
    bool whole = !s.avail_out && (n < m->size ? rc == Z_OK || rc == Z_STREAM_END
                                              : rc == Z_STREAM_END && !s.avail_in);
    const char *msg = s.msg;
    inflateEnd(&s);
    if (rc == Z_MEM_ERROR) return octi_fail(OCT_ENOMEM, z->where, "inflate", NULL, NULL, NULL);
    return whole ? OCT_OK
                 : octi_fail(OCT_EFORMAT, z->where, octi_fmt("deflated data of '%.100s'", m->name),
                             octi_fmt("%u bytes", m->size),
                             msg                  ? msg
                             : rc == Z_STREAM_END ? "fewer, or bytes behind them"
                                                  : "more, or an end too early",
                             NULL);
}

/* deflate cannot pack more than about 1030 to 1: a larger claim is a lie, found before anything is
 * allocated for it. */
static bool possible(const member *m) { return !m->method || m->size / 1100 <= m->packed; }

static member *find_or_fail(const octi_npz *z, const char *name) {
    member *m = find(z, name);
    const char *first = z->count ? z->m[0].name : "no arrays";
    if (!m)
        octi_fail(OCT_EFORMAT, z->where, "array is missing", name,
                  octi_fmt("%d arrays, such as '%.100s'", z->count, first), NULL);
    return m;
}

static const char *place(const octi_npz *z, const char *name) {
    return octi_fmt("%.150s:%.80s", z->where, name);
}

oct_status octi_npz_peek(octi_npz *z, const char *name, octi_npy *out) {
    member *m = find_or_fail(z, name);
    if (!m) return oct_last_error()->code;
    uint8_t head[OCTI_NPY_HEAD];
    const uint32_t n = m->size < OCTI_NPY_HEAD ? m->size : OCTI_NPY_HEAD;
    const uint8_t *bytes = m->unpacked ? m->unpacked : m->method ? head : z->bytes + m->data;
    if (bytes == head) OCT_TRY(inflate_member(z, m, head, n));
    OCT_TRY(octi_npy_parse_head(bytes, n, m->size, place(z, name), out));
    out->data = NULL;
    return OCT_OK;
}

oct_status octi_npz_get(octi_npz *z, const char *name, size_t max_bytes, octi_npy *out) {
    member *m = find_or_fail(z, name);
    if (!m) return oct_last_error()->code;
    if (m->size > (max_bytes ? max_bytes : (size_t)4 << 30))
        return octi_fail(OCT_ELIMIT, z->where, octi_fmt("array '%.100s' too large", name),
                         octi_fmt("at most %zu bytes", max_bytes), octi_fmt("%u", m->size), NULL);
    const uint8_t *bytes = z->bytes + m->data;
    if (m->method) {
        if (!possible(m))
            return octi_fail(OCT_EFORMAT, z->where, octi_fmt("size of '%.100s'", name),
                             "what deflate can pack",
                             octi_fmt("%u from %u bytes", m->size, m->packed), NULL);
        if (!m->unpacked) {
            /* no memory for more than dtype and shape declare */
            OCT_TRY(octi_npz_peek(z, name, out));
            uint8_t *p = octi_alloc_raw(z->ctx, m->size);
            if (!p) return oct_last_error()->code;
            oct_status s = inflate_member(z, m, p, m->size);
            if (s != OCT_OK) return octi_free(z->ctx, p), s;
            m->unpacked = p;
        }
        bytes = m->unpacked;
    }
    uint32_t sum = m->size ? (uint32_t)crc32(0, bytes, m->size) : 0;
    if (sum != m->crc)
        return octi_fail(OCT_EFORMAT, z->where, octi_fmt("CRC of '%.100s'", name),
                         octi_fmt("%08x", m->crc), octi_fmt("%08x", sum), "the file is damaged");
    return octi_npy_parse(bytes, m->size, place(z, name), out);
}

/* ---- writing ---- */

typedef struct bytes_out {
    uint8_t b[64];
    size_t n;
} bytes_out;
static void put(bytes_out *o, uint32_t v, int bytes) {
    for (int i = 0; i < bytes; i++) o->b[o->n++] = (uint8_t)(v >> 8 * i);
}

static oct_status check_array(const octi_npz_array *e, octi_name_index *seen, octi_arena *arena) {
    size_t bytes;
    if (!*e->name ||
        e->name[strspn(e->name,
                       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")] ||
        strlen(e->name) > 1000)
        return octi_fail(OCT_EUSAGE, "npz", "array name", "letters, digits, '_', '.', '-'", e->name,
                         NULL);
    if (octi_name_find(seen, e->name) >= 0)
        return octi_fail(OCT_EUSAGE, "npz", "array name stands twice", NULL, e->name, NULL);
    OCT_TRY(octi_name_put(seen, arena, e->name, 0));
    return octi_shape_bytes(&e->shape, e->dtype, e->name, &bytes);
}

static oct_status check_arrays(oct_ctx *ctx, const octi_npz_array *a, int32_t count) {
    octi_arena *arena = octi_arena_new(ctx);
    octi_name_index seen = {.slot = NULL};
    oct_status s = arena ? OCT_OK : oct_last_error()->code;
    for (int32_t i = 0; s == OCT_OK && i < count; i++) s = check_array(&a[i], &seen, arena);
    octi_arena_free(arena);
    return s;
}

/* The fields that a member's local header and directory entry share. Date: 1980-01-01, so that
 * bytes repeat. */
static void put_common(bytes_out *o, uint32_t crc, uint32_t size, size_t name) {
    put(o, 20, 2), put(o, 0, 2), put(o, 0, 2), put(o, 0, 2), put(o, 0x21, 2);
    put(o, crc, 4), put(o, size, 4), put(o, size, 4);
    put(o, (uint32_t)name, 2), put(o, 0, 2);
}

static oct_status write_member(oct_ctx *ctx, octi_file *f, const octi_npz_array *a, size_t bytes,
                               octi_text *directory, size_t *at) {
    octi_text head = {.ctx = ctx};
    oct_status s = octi_npy_put_header(&head, a);
    size_t n = strlen(a->name) + 4, total = head.size + bytes;
    if (s == OCT_OK && (total >= UINT32_MAX || *at + total + LOCAL + n >= UINT32_MAX))
        s = octi_fail(OCT_ELIMIT, a->name, "npz too large", "below 4 GiB",
                      octi_fmt("%zu bytes", *at + total), NULL);
    if (s == OCT_OK) {
        uint32_t crc = (uint32_t)crc32(0, (const Bytef *)head.data, (uInt)head.size);
        if (bytes) crc = (uint32_t)crc32(crc, a->data, (uInt)bytes);
        bytes_out local = {{0}, 0}, central = {{0}, 0};
        put(&local, LOCAL_SIG, 4);
        put_common(&local, crc, (uint32_t)total, n);
        put(&central, CENTRAL_SIG, 4), put(&central, 20, 2);
        put_common(&central, crc, (uint32_t)total, n);
        put(&central, 0, 2), put(&central, 0, 2), put(&central, 0, 2), put(&central, 0, 4),
            put(&central, (uint32_t)*at, 4);
        (void)octi_file_write(f, local.b, local.n); /* commit reports any failure */
        (void)octi_file_write(f, a->name, n - 4);
        (void)octi_file_write(f, ".npy", 4);
        (void)octi_file_write(f, head.data, head.size);
        (void)octi_file_write(f, a->data, bytes);
        octi_text_bytes(directory, central.b, central.n);
        octi_text_bytes(directory, a->name, n - 4);
        octi_text_bytes(directory, ".npy", 4);
        *at += LOCAL + n + total;
        s = directory->status;
    }
    octi_text_free(&head);
    return s;
}

oct_status octi_npz_write(oct_ctx *ctx, const char *path, const octi_npz_array *arrays,
                          int32_t count) {
    return octi_npz_write_in(ctx, NULL, path, arrays, count);
}

oct_status octi_npz_write_in(oct_ctx *ctx, const octi_folder *in, const char *path,
                             const octi_npz_array *arrays, int32_t count) {
    if (count < 0 || count >= MEMBERS_MAX)
        return octi_fail(OCT_EUSAGE, path, "number of arrays", octi_fmt("0 to %d", MEMBERS_MAX - 1),
                         octi_fmt("%d", count), NULL);
    size_t bytes, at = 0;
    OCT_TRY(check_arrays(ctx, arrays, count));
    octi_file *f = in ? octi_file_create_in(in, path) : octi_file_create(ctx, path);
    if (!f) return oct_last_error()->code;
    octi_text directory = {.ctx = ctx};
    oct_status s = OCT_OK;
    for (int32_t i = 0; i < count && s == OCT_OK; i++) {
        s = octi_shape_bytes(&arrays[i].shape, arrays[i].dtype, arrays[i].name, &bytes);
        if (s == OCT_OK) s = write_member(ctx, f, &arrays[i], bytes, &directory, &at);
    }
    if (s == OCT_OK) {
        bytes_out end = {{0}, 0};
        put(&end, END_SIG, 4), put(&end, 0, 4), put(&end, (uint32_t)count, 2),
            put(&end, (uint32_t)count, 2);
        put(&end, (uint32_t)directory.size, 4), put(&end, (uint32_t)at, 4), put(&end, 0, 2);
        (void)octi_file_write(f, directory.data, directory.size);
        (void)octi_file_write(f, end.b, end.n);
        s = octi_file_commit(f);
    } else
        octi_file_abort(f);
    octi_text_free(&directory);
    return s;
}
