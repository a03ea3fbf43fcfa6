/* SPDX-License-Identifier: MIT
 * src/format/safetensors.h - named tensors in a file: u64 header size, JSON header, data
 * (github.com/huggingface/safetensors). PyTorch's names and layouts are the caller's business.
 *
 * Reading keeps the reference's rules (header at most 100,000,000 bytes; each tensor's bytes =
 * shape x dtype; tensors cover the data exactly: no overlap, hole or trailing byte) and also
 * refuses duplicate keys. Rank 0 is one element; a dimension of 0 makes an empty tensor; both are
 * fine. Files that octet writes carry "crc32" in __metadata__: CRC-32 of the whole file with its
 * own eight digits as zeros, and
 * "octet". The reader verifies it wherever it is present and insists on it where "octet" is: no
 * single flipped bit passes. */
#ifndef OCT_SRC_FORMAT_SAFETENSORS_H
#define OCT_SRC_FORMAT_SAFETENSORS_H

#include "bytes.h"

OCT_BEGIN_DECLS

typedef struct octi_safetensors octi_safetensors;

typedef struct octi_safetensors_entry {
    const char *name;
    const char *dtype_word; /* as in the file: "F32", "BF16", ... */
    oct_dtype dtype;        /* OCT_DTYPE_COUNT for BF16, which has no tensor type here: widen it */
    oct_shape shape;
    const void *data; /* little-endian, maybe unaligned: memcpy, or octi_safetensors_tensor */
    size_t bytes;
} octi_safetensors_entry;

typedef struct octi_safetensors_meta {
    const char *key, *value;
} octi_safetensors_meta;

/** Read a file whole, or bytes that the caller keeps until octi_safetensors_free. `where` names the
 *  bytes in errors. NULL on failure: OCT_EIO, OCT_EFORMAT (file, offset or tensor, expected, got),
 *  OCT_EUNSUPPORTED (a dtype or rank that octet lacks), OCT_ELIMIT, OCT_ENOMEM. */
octi_safetensors *octi_safetensors_read(oct_ctx *ctx, const char *path);
octi_safetensors *octi_safetensors_read_in(oct_ctx *ctx, const octi_folder *in, const char *name);
octi_safetensors *octi_safetensors_parse(oct_ctx *ctx, const void *bytes, size_t size,
                                         const char *where);
/** NULL is fine. */
void octi_safetensors_free(octi_safetensors *st);

int32_t octi_safetensors_count(const octi_safetensors *st);
/** Entries 0..count-1 in the header's order; borrowed. */
const octi_safetensors_entry *octi_safetensors_at(const octi_safetensors *st, int32_t i);
/** NULL where absent. */
const octi_safetensors_entry *octi_safetensors_find(const octi_safetensors *st, const char *name);
/** Value of a key in __metadata__, NULL where absent. */
const char *octi_safetensors_metadata(const octi_safetensors *st, const char *key);

/** Pairs 0..count-1 of __metadata__; borrowed. */
int32_t octi_safetensors_metadata_count(const octi_safetensors *st);
octi_safetensors_meta octi_safetensors_metadata_at(const octi_safetensors *st, int32_t i);

/** A new tensor with the entry's contents: in its own dtype, or, where as_f32, F16, BF16 and F64
 *  widened or rounded to F32. NULL (recorded): OCT_EDTYPE for BF16 without as_f32, and for integers
 *  with it. */
oct_tensor *octi_safetensors_tensor(oct_ctx *ctx, const octi_safetensors_entry *e, bool as_f32);
/** The same into memory of oct_shape_count(&e->shape) floats. */
oct_status octi_safetensors_to_f32(const octi_safetensors_entry *e, float *out);
/** IEEE half precision to single; every value is exact. */
float octi_f16_to_f32(uint16_t h);
/** Single to half, half to even; too large becomes infinity, NaN stays NaN. */
uint16_t octi_f32_to_f16(float v);

/** What the writer takes: entries (name, dtype, shape, data; the rest is ignored) in the order of
 *  header and data, and metadata pairs. Data begins at a multiple of 64. Same input, same bytes.
 *  The file appears whole or not at all. OCT_EUSAGE: name or key twice, or the reserved
 *  "__metadata__", "crc32", "octet". */
oct_status octi_safetensors_write(oct_ctx *ctx, const char *path,
                                  const octi_safetensors_entry *entries, int32_t count,
                                  const octi_safetensors_meta *meta, int32_t meta_count);
/** The same inside a folder (NULL: by path). */
oct_status octi_safetensors_write_in(oct_ctx *ctx, const octi_folder *in, const char *path,
                                     const octi_safetensors_entry *entries, int32_t count,
                                     const octi_safetensors_meta *meta, int32_t meta_count);

OCT_END_DECLS
#endif
