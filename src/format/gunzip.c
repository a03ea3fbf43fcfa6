/* SPDX-License-Identifier: MIT
 * gzip (RFC 1952) to plain bytes, no further than the file says it goes. */
#include <zlib.h>

#include "src/format/bytes.h"
#include "src/mem.h"

enum { FIRST = 1 << 16, HEAD = 16, RATIO = 64, FLOOR = 64 << 20 };

typedef struct unpacking {
    oct_ctx *ctx;
    const char *where;
    const uint8_t *in;
    size_t size, fed;
    uint8_t *out;
    size_t used, cap;
    /* the caller's, and what is declared: neither is passed by more than a byte */
    size_t limit, most;
    z_stream z;
} unpacking;

static oct_status too_much(const unpacking *u) {
    if (u->most < u->limit)
        return octi_fail(OCT_EFORMAT, u->where, "unpacked size",
                         octi_fmt("%zu bytes, as declared", u->most), "more",
                         "the file is damaged, or made to take memory");
    return octi_fail(OCT_ELIMIT, u->where, "decompressed data too large",
                     octi_fmt("at most %zu bytes", u->limit), NULL,
                     "raise max_decoded_bytes if the file is trusted");
}

static void declare(unpacking *u, size_t bytes) {
    if (bytes < u->most) u->most = bytes;
}

/* Room for at least one byte more. */
static oct_status grow(unpacking *u) {
    if (u->used < u->cap) return OCT_OK;
    const size_t stop = u->most + 1, cap = u->cap * 2 < stop ? u->cap * 2 : stop;
    uint8_t *more = octi_realloc(u->ctx, u->out, cap);
    if (!more) return oct_last_error()->code;
    u->out = more;
    u->cap = cap;
    return OCT_OK;
}

static oct_status step(unpacking *u, bool *end) {
    enum { MOST = 1 << 30 };
    if (!u->z.avail_in) {
        size_t n = u->size - u->fed < MOST ? u->size - u->fed : MOST;
        u->z.next_in = (Bytef *)(uintptr_t)(u->in + u->fed);
        u->z.avail_in = (uInt)n;
        u->fed += n;
    }
    const size_t room = u->cap - u->used < MOST ? u->cap - u->used : MOST;
    u->z.next_out = u->out + u->used;
    u->z.avail_out = (uInt)room;
    const int rc = inflate(&u->z, Z_NO_FLUSH);
    u->used += room - u->z.avail_out;
    *end = rc == Z_STREAM_END;
    if (rc == Z_MEM_ERROR) return octi_fail(OCT_ENOMEM, u->where, "inflate", NULL, NULL, NULL);
    if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
        return octi_fail(OCT_EFORMAT, u->where,
                         octi_fmt("gzip data damaged near offset %zu", u->fed - u->z.avail_in),
                         NULL, u->z.msg ? u->z.msg : "inflate error", NULL);
    if (rc == Z_BUF_ERROR || (rc == Z_OK && !u->z.avail_in && u->fed == u->size && u->z.avail_out))
        return octi_fail(OCT_EFORMAT, u->where, "gzip data ends early", NULL,
                         octi_fmt("%zu bytes in", u->size), "the file is cut short");
    return OCT_OK;
}

static oct_status run(unpacking *u, octi_declared_fn *declared) {
    for (bool end = false; !end;) {
        OCT_TRY(grow(u));
        OCT_TRY(step(u, &end));
        if (declared && (u->used >= HEAD || end)) {
            size_t bytes = declared(u->out, u->used);
            if (!bytes) return OCT_OK; /* its parser says why */
            declare(u, bytes);
            declared = NULL;
        }
        if (u->used > u->most) return too_much(u);
    }
    if (u->fed - u->z.avail_in == u->size) return OCT_OK;
    return octi_fail(OCT_EFORMAT, u->where, "bytes behind the gzip stream", "none",
                     octi_fmt("%zu", u->size - (u->fed - u->z.avail_in)), NULL);
}

oct_status octi_gunzip(oct_ctx *ctx, const uint8_t *in, size_t size, size_t max_bytes,
                       octi_declared_fn *declared, const char *where, uint8_t **out,
                       size_t *out_size) {
    unpacking u = {.ctx = ctx,
                   .where = where,
                   .in = in,
                   .size = size,
                   .limit = max_bytes ? max_bytes : (size_t)4 << 30,
                   .cap = FIRST};
    if (!declared && !max_bytes) u.limit = size < FLOOR / RATIO ? FLOOR : size * RATIO;
    u.most = u.limit;
    if (size >= 18 && u.limit <= (size_t)4 << 30) { /* the size modulo 2^32 stands at the end */
        const uint8_t *p = in + size - 4;
        declare(&u, (size_t)p[3] << 24 | (size_t)p[2] << 16 | (size_t)p[1] << 8 | p[0]);
    }
    if (!(u.out = octi_alloc_raw(ctx, u.cap))) return oct_last_error()->code;
    oct_status s = OCT_OK;
    if (inflateInit2(&u.z, 16 + MAX_WBITS) != Z_OK)
        s = octi_fail(OCT_ENOMEM, where, "inflate", NULL, NULL, NULL);
    else {
        s = run(&u, declared);
        inflateEnd(&u.z);
    }
    if (s != OCT_OK) return octi_free(ctx, u.out), s;
    *out = u.out;
    *out_size = u.used;
    return OCT_OK;
}
