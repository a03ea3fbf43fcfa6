/* SPDX-License-Identifier: MIT
 * src/qparams.h - quantization parameters, and the one function that makes them from a range (law
 * 4). */
#ifndef OCT_SRC_QPARAMS_H
#define OCT_SRC_QPARAMS_H

#include "tensor.h"

OCT_BEGIN_DECLS

/** How codes stand for values; NONE where there are neither. */
typedef enum oct_scheme {
    OCT_SCHEME_NONE,
#define OCT_SCHEME(value, word) OCT_SCHEME_##value,
#include "schemes.def"
    OCT_SCHEME_COUNT
} oct_scheme;
/** "per_tensor_affine", "float", "" of NONE; and the reverse (words.h). */
OCT_API const char *oct_scheme_name(oct_scheme v);
OCT_API OCT_NODISCARD oct_status oct_scheme_from_name(const char *word, oct_scheme *v);

/** Which codes a value may take, and how its range becomes scale and zero point. */
typedef struct oct_qspec {
    int32_t bits;       /* 2 to 8 */
    int32_t qmin, qmax; /* codes; activations are u8 in memory, weights s8 */
    /* zero point fixed at (qmin + qmax + 1) / 2 for unsigned codes, 0 for signed */
    bool symmetric;
    bool per_channel; /* along axis 0 of a weight */
    bool pow2;        /* scales are rounded up to powers of two */
} oct_qspec;

/** FLOAT where spec is NULL. */
OCT_API oct_scheme oct_qspec_scheme(const oct_qspec *spec, bool per_channel);
/** Activations, law 2: u8 affine [0, 2^bits - 1]; reduce_range halves the top (u7 at 8 bits). Of
 *  bits outside 2 to 8 a spec without codes, that oct_qparams_from_range refuses (OCT_EQPARAMS). */
OCT_API oct_qspec oct_qspec_activation(int bits, bool reduce_range);
/** Weights, law 2: s8 symmetric and narrow, +-(2^(bits-1) - 1). Bits as above. */
OCT_API oct_qspec oct_qspec_weight(int bits, bool per_channel);

/** Smallest scale that a range can give: 2^-23, as elsewhere in the field. */
#define OCT_SCALE_MIN 1.1920928955078125e-7f

/** scale and zero_point of a range. Zero is always inside: lo = min(min, 0), hi = max(max, 0), then
 *    in fp32
 *    affine:    s = max((hi - lo) / (qmax - qmin), OCT_SCALE_MIN);  z = clamp(qmin - rne(lo / s),
 *    qmin, qmax)
 *    symmetric: s = max(max(-lo, hi) / ((qmax - qmin) / 2), OCT_SCALE_MIN);  z by the spec
 *  Degenerate ranges: min == max or one-signed: not special, zero widens them. All zero: s =
 *  OCT_SCALE_MIN. An infinite end counts as +-FLT_MAX, and hi - lo is cut at FLT_MAX, so s stays
 *  finite. OCT_EQPARAMS (where = `where`) for min > max (never observed) or NaN: nothing is made
 *  up; and for a spec whose codes are not at least two within -128 to 255. */
OCT_API OCT_NODISCARD oct_status oct_qparams_from_range(const oct_qspec *spec, float min, float max,
                                                        const char *where, float *scale,
                                                        int32_t *zero_point);

/** s itself, or the next power of two where the spec asks for one and s is finite and > 0. */
OCT_API float oct_scale_on_grid(const oct_qspec *spec, float s);

/** Refuse qparams that no range gives: scale not finite or <= 0, zero point outside the codes. */
OCT_API OCT_NODISCARD oct_status oct_qparams_check(const oct_qspec *spec, float scale,
                                                   int32_t zero_point, const char *where);

/** Law 5: the factor of a folded batch norm, gamma / sqrt(var + eps) in double, its size floored at
 *  2^-20 (a zero takes the positive floor), rounded to float. The one function of training, eval
 *  and convert. */
OCT_API float oct_fold_factor(float gamma, float var, float eps);
/** Law 5: bias behind the fold: (b - mean) * factor + beta, in double, rounded once. */
OCT_API float oct_fold_bias(float bias, float mean, float factor, float beta);
/** Law 5: s_w = max(amax / qmax, |bias| / (s_x * 2^30), OCT_SCALE_MIN): a dead or constant channel
 *  cannot overflow its bias. s_x <= 0 leaves the bias out. 0 where the spec has no codes. */
OCT_API float oct_weight_scale(const oct_qspec *spec, float amax, float bias, float s_x);

OCT_END_DECLS

#ifdef OCT_BUILDING /* the library's own files */
#include "qparams_own.h"
#endif

#endif
