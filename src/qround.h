/* SPDX-License-Identifier: MIT
 * src/qround.h - the number law: the one definition of every rounding rule (docs/law.md).
 *
 * Static inline and free of everything but C headers, so that kernels and their SIMD twins can
 * include it. Every SIMD twin is tested equal to these functions over all codes. The C runtime's
 * rounding mode must be round-to-nearest-even (the default); oct_open() refuses to run otherwise.
 * Compiled with -ffp-contract=off everywhere. */
#ifndef OCT_SRC_QROUND_H
#define OCT_SRC_QROUND_H

#include <math.h>
#include <stdint.h>

/** Round half to even to a float, as rintf does in the default rounding mode. Written with the 2^23
 *  step (adding it leaves no fraction bits) because compilers vectorize this on every ISA, and
 *  rintf on few. */
static inline float octq_rne(float v) {
    float a = fabsf(v), t = (a + 8388608.0f) - 8388608.0f;
    return copysignf(a < 8388608.0f ? t : a, v);
}

/** Clamp a rounded float (already an integer, NaN or infinite) to codes; NaN gives `nan_code`.
 *  Clamps in float before converting, so nothing overflows. lo and hi must be exact in float
 *  (|code| < 2^24). */
static inline int32_t octq_clamp(float v, int32_t lo, int32_t hi, int32_t nan_code) {
    v = v == v ? v : (float)nan_code;
    v = v < (float)lo ? (float)lo : v;
    v = v > (float)hi ? (float)hi : v;
    return (int32_t)v;
}

/** Law 1: clamp(rne(x / s) + z, qmin, qmax): true division, z added after rounding; NaN -> z, +inf
 *  -> qmax, -inf -> qmin. */
static inline int32_t octq_quantize(float x, float s, int32_t z, int32_t qmin, int32_t qmax) {
    return octq_clamp(octq_rne(x / s) + (float)z, qmin, qmax, z);
}

/** s * (q - z): the float that a code stands for. */
static inline float octq_dequantize(int32_t q, float s, int32_t z) { return s * (float)(q - z); }

/** Law 7: clamp(rne((float)acc * m) + z, lo, hi). m is positive and finite. */
static inline int32_t octq_requant(int32_t acc, float m, int32_t z, int32_t lo, int32_t hi) {
    return octq_clamp(octq_rne((float)acc * m) + (float)z, lo, hi, z);
}

/** octq_clamp(octq_rne(v) + z, lo, hi, z) for any v but NaN, without a branch or a call, so that
 *  loops of it become vector code: clamping to the integers lo - z and hi - z before rounding gives
 *  the same code, and behind it |v| < 2^22, where adding and subtracting 1.5 * 2^23 rounds half to
 *  even. */
static inline int32_t octq_round_code(float v, int32_t z, int32_t lo, int32_t hi) {
    float l = (float)(lo - z), h = (float)(hi - z);
    v = v > l ? v : l;
    v = v < h ? v : h;
    return (int32_t)((v + 12582912.0f) - 12582912.0f) + z;
}

/** Law 7: the multiplier of a product: (float)((double)s_x * s_w / s_y). */
static inline float octq_multiplier(float s_x, float s_w, float s_y) {
    return (float)((double)s_x * (double)s_w / (double)s_y);
}

/** Law 8: the multiplier of one operand, s_x / s_y, computed in double and rounded once. */
static inline float octq_ratio(float s_x, float s_y) { return (float)((double)s_x / (double)s_y); }

/** Law 6: s32 bias rne(b / (s_x * s_w)). The caller's scale floor (law 5) keeps it inside +-2^30;
 *  NaN gives 0. */
static inline int32_t octq_bias(float b, float s_x, float s_w) {
    double v = rint((double)b / ((double)s_x * (double)s_w));
    if (v != v) return 0;
    if (v <= -2147483647.0) return -2147483647;
    if (v >= 2147483647.0) return 2147483647;
    return (int32_t)v;
}

/** Law 8, requantize and members of cat, before rounding, in units of the output's scale. */
static inline float octq_rescale_value(int32_t q, int32_t zi, float m) {
    return (float)(q - zi) * m;
}

/** Law 8, requantize and members of cat: clamp(rne((float)(q - z_i) * m_i) + z_y). */
static inline int32_t octq_rescale(int32_t q, int32_t zi, float m, int32_t zy, int32_t lo,
                                   int32_t hi) {
    return octq_clamp(octq_rne(octq_rescale_value(q, zi, m)) + (float)zy, lo, hi, zy);
}

/** Law 8, add, before rounding, in units of the output's scale: (a - z_a) * m_a + (b - z_b) * m_b;
 *  both products and the sum in fp32, no FMA. */
static inline float octq_add_value(int32_t a, int32_t za, float ma, int32_t b, int32_t zb,
                                   float mb) {
    float pa = (float)(a - za) * ma, pb = (float)(b - zb) * mb;
    return pa + pb;
}

/** Law 8, add: clamp(rne(octq_add_value) + z_y). */
static inline int32_t octq_add(int32_t a, int32_t za, float ma, int32_t b, int32_t zb, float mb,
                               int32_t zy, int32_t lo, int32_t hi) {
    return octq_clamp(octq_rne(octq_add_value(a, za, ma, b, zb, mb)) + (float)zy, lo, hi, zy);
}

/** Law 8, mul, before rounding, in units of the output's scale: (float)((a - z_a) * (b - z_b)) *
 *  m. */
static inline float octq_mul_value(int32_t a, int32_t za, int32_t b, int32_t zb, float m) {
    return (float)((a - za) * (b - zb)) * m;
}

/** Law 8, mul: clamp(rne((float)((a - z_a) * (b - z_b)) * m) + z_y). */
static inline int32_t octq_mul(int32_t a, int32_t za, int32_t b, int32_t zb, float m, int32_t zy,
                               int32_t lo, int32_t hi) {
    return octq_requant((a - za) * (b - zb), m, zy, lo, hi);
}

/** Law 8, average: the multiplier for n cells, (float)(s_x / (n * s_y)); the code is
 *  octq_requant(sum(q - z), m_n, ...). */
static inline float octq_mean_multiplier(float s_x, float s_y, int64_t n) {
    return (float)((double)s_x / ((double)n * (double)s_y));
}

/** Law 8, functions of one value: f, evaluated in double at s_x * (q - z_x), in units of the
 *  output's scale. The entry that is stored is clamp(rne(octq_table_value) + z_y):
 *  octq_table_code. */
static inline float octq_table_value(double f, float s_y) { return (float)(f / (double)s_y); }
static inline int32_t octq_table_code(float value, int32_t zy, int32_t lo, int32_t hi) {
    return octq_clamp(octq_rne(value) + (float)zy, lo, hi, zy);
}

/** Law 8, softmax: entry k of the table that is stored, exp(-s_x * k) in double, rounded once. */
static inline float octq_softmax_exp(float s_x, int32_t k) {
    return (float)exp(-(double)s_x * (double)k);
}

/** Law 8, softmax: the row's largest code, and the sum of e[top - q] in fp32, in channel order. n
 *  >= 1; e[0] is 1, so the sum is at least that. */
static inline float octq_softmax_sum(const uint8_t *q, int64_t n, const float *e, int32_t *top) {
    int32_t most = q[0];
    float sum = 0.0f;
    for (int64_t i = 1; i < n; i++) most = q[i] > most ? q[i] : most;
    for (int64_t i = 0; i < n; i++) sum += e[most - q[i]];
    *top = most;
    return sum;
}
/** Law 8, softmax, before rounding, in units of the output's scale: two true divisions, so that the
 *  code is law 1 of e / sum. */
static inline float octq_softmax_value(float e, float sum, float s_y) {
    float p = e / sum;
    return p / s_y;
}

/** A product whose input was quantized on the spot (dynamic quantization): (float)acc * (float)(s_x
 *  * s_w) + b, the scales multiplied in double. Row by row: the qparams of a row come from that row
 *  alone, so a batch's make-up changes nothing. */
static inline float octq_dynamic(int32_t acc, float s_x, float s_w, float b) {
    float v = (float)acc * (float)((double)s_x * (double)s_w);
    return v + b;
}

/** Law 13: a pixel as the net sees it, in this order: divide, subtract, divide. */
static inline float octq_pixel(uint8_t p, float div, float mean, float std) {
    return ((float)p / div - mean) / std;
}

#endif
