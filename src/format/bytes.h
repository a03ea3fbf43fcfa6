/* SPDX-License-Identifier: MIT
 * src/format/bytes.h - bounded reading of untrusted bytes.
 *
 * Every parser reads through octi_reader: one bound check, one place. Sizes are checked against the
 * bytes that are really there before anything is allocated for them. */
#ifndef OCT_SRC_FORMAT_BYTES_H
#define OCT_SRC_FORMAT_BYTES_H

#include "../tensor.h"
#include "files.h"

OCT_BEGIN_DECLS

typedef struct octi_reader {
    const uint8_t *base;
    size_t size, pos;
    const char *where; /* file name for errors */
} octi_reader;

static inline size_t octi_left(const octi_reader *r) { return r->size - r->pos; }
/** Take n bytes; NULL (recorded: OCT_EFORMAT naming `field` and the offset) where fewer are
 *  left. */
const uint8_t *octi_take(octi_reader *r, size_t n, const char *field);
oct_status octi_read_u8(octi_reader *r, uint8_t *v, const char *field);
oct_status octi_read_u16le(octi_reader *r, uint16_t *v, const char *field);
oct_status octi_read_u32le(octi_reader *r, uint32_t *v, const char *field);
oct_status octi_read_u32be(octi_reader *r, uint32_t *v, const char *field);
oct_status octi_read_u64le(octi_reader *r, uint64_t *v, const char *field);
/** OCT_EFORMAT at a byte offset: "file: what at offset N: expected E, got G (hint)". */
oct_status octi_bad_bytes(const octi_reader *r, size_t offset, const char *what,
                          const char *expected, const char *got);

/** Bytes of an array whose shape and bytes an item a file declares: OCT_EFORMAT "what overflows",
 *  even where a later 0 would hide it. */
oct_status octi_declared_bytes(const oct_shape *shape, size_t item, const char *where,
                               const char *what, size_t *bytes);

/** The code for a fault of a file's contents that a rule for callers found: what would be the
 *  caller's mistake (OCT_EUSAGE) or the library's own (OCT_EINTERNAL) is malformed data; all others
 *  stay. For octi_fail_in(code, file). */
static inline oct_status octi_file_fault(oct_status code) {
    return code == OCT_EUSAGE || code == OCT_EINTERNAL ? OCT_EFORMAT : code;
}

/** What the first bytes of a file (at least 16, or all there are) say of its whole size; 0: they
 *  are no such header. */
typedef size_t octi_declared_fn(const uint8_t *head, size_t n);
/** gzip-compressed bytes to plain ones. Nothing is unpacked beyond what is declared, by the head of
 *  the plain bytes (`declared`, may be NULL) or by the stream's own end: OCT_EFORMAT behind one
 *  byte more. A head that declares nothing ends the unpacking: its parser will refuse it.
 *  OCT_ELIMIT above max_bytes (0: 4 GiB; where nothing is declared 64 times the packed bytes, or 64
 *  MiB), OCT_EFORMAT for damage. Grows as data comes. */
oct_status octi_gunzip(oct_ctx *ctx, const uint8_t *in, size_t size, size_t max_bytes,
                       octi_declared_fn *declared, const char *where, uint8_t **out,
                       size_t *out_size);

/** Growing text or bytes in memory of the context. A failed append is remembered and reported by
 *  octi_text_status. */
typedef struct octi_text {
    oct_ctx *ctx;
    char *data; /* NUL-terminated once anything was appended */
    size_t size, cap;
    oct_status status;
} octi_text;
void octi_text_bytes(octi_text *t, const void *bytes, size_t size);
void octi_text_printf(octi_text *t, const char *format, ...) OCT_PRINTF(2, 3);
void octi_text_free(octi_text *t);

OCT_END_DECLS
#endif
