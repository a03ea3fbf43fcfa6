/* SPDX-License-Identifier: MIT
 * src/format/npz.h - NumPy's arrays: .npy (numpy.lib.format, versions 1 to 3) and .npz, a zip of
 * them. No pickle, ever.
 *
 * Zip: members stored or deflated, CRC checked, sizes taken from the central directory and held
 * against the local headers and the bytes that are there; members that overlap, zip64, encryption
 * and spanned archives are refused (OCT_EUNSUPPORTED or OCT_EFORMAT). */
#ifndef OCT_SRC_FORMAT_NPZ_H
#define OCT_SRC_FORMAT_NPZ_H

#include "bytes.h"

OCT_BEGIN_DECLS

/** Types of NPY that are read: letter and bytes of the type string. Wider than oct_dtype: labels
 *  come in any integer type. */
typedef struct octi_npy {
    char kind;    /* 'f' 'i' 'u' 'b' */
    int32_t size; /* bytes per element: f 2 4 8, i and u 1 2 4 8, b 1 */
    oct_shape shape;
    /* little-endian, C order, maybe unaligned; inside the bytes that were parsed */
    const void *data;
    size_t bytes;
} octi_npy;

/** Parse one .npy. OCT_EFORMAT (offset, field), OCT_EUNSUPPORTED (fortran_order, dtype or byte
 *  order, more than 6 axes). */
oct_status octi_npy_parse(const void *bytes, size_t size, const char *where, octi_npy *out);
/** The same from the first n of its `size` bytes: data is NULL where they end before it does. */
enum { OCTI_NPY_HEAD = 10240 }; /* bytes that hold every header which is read */
oct_status octi_npy_parse_head(const void *bytes, size_t n, size_t size, const char *where,
                               octi_npy *out);
/** The oct_dtype of an array; OCT_DTYPE_COUNT where there is none (bool, u16, ...). */
oct_dtype octi_npy_dtype(const octi_npy *a);
/** Element i of an integer or bool array. u64 above INT64_MAX gives INT64_MAX. */
int64_t octi_npy_int(const octi_npy *a, size_t i);
/** Elements as f32 (any float type). OCT_EDTYPE for others. */
oct_status octi_npy_to_f32(const octi_npy *a, const char *where, float *out);

typedef struct octi_npz octi_npz;

/** Directory of an archive; members are unpacked when asked for. Bytes must stay until
 *  octi_npz_free. NULL on failure. */
octi_npz *octi_npz_parse(oct_ctx *ctx, const void *bytes, size_t size, const char *where);
octi_npz *octi_npz_read(oct_ctx *ctx, const char *path);
/** The same inside a folder (NULL: by path). */
octi_npz *octi_npz_read_in(oct_ctx *ctx, const octi_folder *in, const char *name);
/** Frees the arrays that were got, too. NULL is fine. */
void octi_npz_free(octi_npz *z);
int32_t octi_npz_count(const octi_npz *z);
/** Name of array i, without ".npy". */
const char *octi_npz_name(const octi_npz *z, int32_t i);
bool octi_npz_has(const octi_npz *z, const char *name);
/** Array by name; its data lives until octi_npz_free. Unpacks at most max_bytes (0: 4 GiB).
 *  OCT_EFORMAT where absent lists what is there. */
oct_status octi_npz_get(octi_npz *z, const char *name, size_t max_bytes, octi_npy *out);

/** Its header alone (data NULL), without unpacking the rest: to judge a shape before memory is
 *  taken for it. */
oct_status octi_npz_peek(octi_npz *z, const char *name, octi_npy *out);

typedef struct octi_npz_array {
    const char *name; /* letters, digits, '_', '.', '-' */
    oct_dtype dtype;
    oct_shape shape;
    const void *data;
} octi_npz_array;
/** Write arrays, stored, as np.savez does; same input, same bytes. The file appears whole or not at
 *  all. OCT_ELIMIT at
 *  4 GiB (zip64 is not written). */
oct_status octi_npz_write(oct_ctx *ctx, const char *path, const octi_npz_array *arrays,
                          int32_t count);
/** The same inside a folder (NULL: by path). */
oct_status octi_npz_write_in(oct_ctx *ctx, const octi_folder *in, const char *path,
                             const octi_npz_array *arrays, int32_t count);

/** The header of an .npy: magic, version, size and dict, padded so that data begins at a multiple
 *  of 64. */
oct_status octi_npy_put_header(octi_text *t, const octi_npz_array *a);
/** One array (its name is not used) as .npy. The file appears whole or not at all. */
oct_status octi_npy_write(oct_ctx *ctx, const char *path, const octi_npz_array *a);

OCT_END_DECLS
#endif
