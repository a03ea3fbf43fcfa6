/* SPDX-License-Identifier: MIT
 * The bounded reader of untrusted bytes, and text that grows. */
#include "src/format/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "src/mem.h"

oct_status octi_bad_bytes(const octi_reader *r, size_t offset, const char *what,
                          const char *expected, const char *got) {
    return octi_fail(OCT_EFORMAT, r->where, octi_fmt("%s at offset %zu", what, offset), expected,
                     got, NULL);
}

const uint8_t *octi_take(octi_reader *r, size_t n, const char *field) {
    if (n > octi_left(r)) {
        octi_fail(OCT_EFORMAT, r->where,
                  octi_fmt("file ends inside %s at offset %zu", field, r->pos),
                  octi_fmt("%zu bytes", n), octi_fmt("%zu", octi_left(r)),
                  "the file is cut short or damaged");
        return NULL;
    }
    const uint8_t *p = r->base + r->pos;
    r->pos += n;
    return p;
}

oct_status octi_declared_bytes(const oct_shape *shape, size_t item, const char *where,
                               const char *what, size_t *bytes) {
    *bytes = item;
    for (int i = 0; i < shape->rank; i++)
        if (!octi_mul_size(*bytes, (size_t)shape->dim[i], bytes) || *bytes > (size_t)INT64_MAX / 2)
            return octi_fail(OCT_EFORMAT, where, octi_fmt("%s overflows", what), NULL,
                             oct_shape_text(shape), NULL);
    return OCT_OK;
}

static oct_status take_int(octi_reader *r, int bytes, bool big, uint64_t *v, const char *field) {
    const uint8_t *p = octi_take(r, (size_t)bytes, field);
    if (!p) return OCT_EFORMAT;
    *v = 0;
    for (int i = 0; i < bytes; i++) *v |= (uint64_t)p[i] << 8 * (big ? bytes - 1 - i : i);
    return OCT_OK;
}

#define READ_INT(name, type, bytes, big)                                                           \
    oct_status name(octi_reader *r, type *v, const char *field) {                                  \
        uint64_t w = 0;                                                                            \
        OCT_TRY(take_int(r, bytes, big, &w, field));                                               \
        *v = (type)w;                                                                              \
        return OCT_OK;                                                                             \
    }
READ_INT(octi_read_u8, uint8_t, 1, false)
READ_INT(octi_read_u16le, uint16_t, 2, false)
READ_INT(octi_read_u32le, uint32_t, 4, false)
READ_INT(octi_read_u32be, uint32_t, 4, true)
READ_INT(octi_read_u64le, uint64_t, 8, false)

void octi_text_bytes(octi_text *t, const void *bytes, size_t size) {
    if (t->status != OCT_OK) return;
    size_t need;
    if (!octi_add_size(t->size, size, &need) || !octi_add_size(need, 1, &need)) {
        t->status = octi_fail(OCT_ELIMIT, "text", "too long", NULL, NULL, NULL);
        return;
    }
    t->status = octi_reserve(t->ctx, (void **)&t->data, &t->cap, need, 1);
    if (t->status != OCT_OK) return;
    memcpy(t->data + t->size, bytes, size);
    t->size += size;
    t->data[t->size] = 0;
}

void octi_text_printf(octi_text *t, const char *format, ...) {
    char small[512];
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof small, format, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof small)
        octi_text_bytes(t, small, (size_t)n);
    else if (n >= 0) {
        char *big = octi_alloc_raw(t->ctx, (size_t)n + 1);
        if (big) {
            vsnprintf(big, (size_t)n + 1, format, again);
            octi_text_bytes(t, big, (size_t)n);
            octi_free(t->ctx, big);
        } else if (t->status == OCT_OK)
            t->status = oct_last_error()->code;
    }
    va_end(again);
}

void octi_text_free(octi_text *t) {
    octi_free(t->ctx, t->data);
    t->data = NULL;
    t->size = t->cap = 0;
}
