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

/** By which rule a requant rounds: law 7's, in fp32; law 16's, in fixed point. Nodes, files and
 *  kernels carry it beside the numbers that it needs (octq_multipliers). */
typedef enum octq_law { OCTQ_FP32, OCTQ_Q31, OCTQ_LAWS } octq_law;

/** A requant's record, of one or many channels: {law, m | multiplier and shift}. */
typedef struct octq_multipliers {
    octq_law law;
    const float *m;             /* OCTQ_FP32 */
    const int32_t *q31, *shift; /* OCTQ_Q31: m = q31 * 2^(shift - 31) */
} octq_multipliers;

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

/** The multiplier of a product, not rounded: law 16 makes a record of it. */
static inline double octq_product_ratio(float s_x, float s_w, float s_y) {
    return (double)s_x * (double)s_w / (double)s_y;
}

/** Law 7: the multiplier of a product: (float)((double)s_x * s_w / s_y). */
static inline float octq_multiplier(float s_x, float s_w, float s_y) {
    return (float)octq_product_ratio(s_x, s_w, s_y);
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

/* ---- law 16: fixed point, two roundings ---- */

/** The record of m >= 0: q31 * 2^(shift - 31), q31 in [2^30, 2^31), half away from zero; 0 below
 *  2^-32. */
static inline void octq_q31_of(double m, int32_t *q31, int32_t *shift) {
    int e;
    int64_t q = (int64_t)round(frexp(m, &e) * 2147483648.0);
    if (q == (int64_t)1 << 31) q /= 2, e++;
    if (e < -31) q = 0, e = 0;
    *q31 = (int32_t)q;
    *shift = e;
}

/** v / 2^by, a half away from zero; 0 <= by <= 31. */
static inline int32_t octq_shift_right(int32_t v, int32_t by) {
    const int32_t mask = (int32_t)(((uint32_t)1 << by) - 1);
    return (v >> by) + ((v & mask) > (mask >> 1) + (v < 0));
}

/** x * q31 * 2^(shift - 31) in two roundings: the high half of the doubled product, a half up; then
 *  a rounding right shift, a half away from zero. -31 <= shift <= 30; a left shift comes first and
 *  saturates. */
static inline int32_t octq_q31_scale(int32_t x, int32_t q31, int32_t shift) {
    const int32_t left = shift > 0 ? shift : 0, right = shift > 0 ? 0 : -shift;
    int64_t wide = (int64_t)x * ((int64_t)1 << left);
    wide = wide < INT32_MIN ? INT32_MIN : wide;
    wide = wide > INT32_MAX ? INT32_MAX : wide;
    return octq_shift_right((int32_t)((wide * q31 + (1 << 30)) >> 31), right);
}

/** A rounded whole number, whatever its size, as a code. */
static inline int32_t octq_whole_code(int32_t v, int32_t z, int32_t lo, int32_t hi) {
    v = v < lo - z ? lo - z : v;
    v = v > hi - z ? hi - z : v;
    return v + z;
}

/** Law 16: clamp(octq_q31_scale(acc) + z, lo, hi). */
static inline int32_t octq_q31_code(int32_t acc, int32_t q31, int32_t shift, int32_t z, int32_t lo,
                                    int32_t hi) {
    return octq_whole_code(octq_q31_scale(acc, q31, shift), z, lo, hi);
}

/** Law 16, add: operands 2^20 times as fine are scaled to twice the larger scale, their sum to
 *  s_y. */
enum { OCTQ_Q31_ADD_SHIFT = 20 };
static inline void octq_q31_add_of(float s_a, float s_b, float s_y, int32_t q31[3],
                                   int32_t shift[3]) {
    const double twice = 2.0 * (double)(s_a > s_b ? s_a : s_b);
    octq_q31_of((double)s_a / twice, &q31[0], &shift[0]);
    octq_q31_of((double)s_b / twice, &q31[1], &shift[1]);
    octq_q31_of(twice / ((double)(1 << OCTQ_Q31_ADD_SHIFT) * (double)s_y), &q31[2], &shift[2]);
}
/** Before z_y and the clamp; shift[0] and shift[1] are at most 0. */
static inline int32_t octq_q31_add(int32_t a, int32_t za, int32_t b, int32_t zb, const int32_t *q31,
                                   const int32_t *shift) {
    const int32_t pa = (a - za) * (1 << OCTQ_Q31_ADD_SHIFT),
                  pb = (b - zb) * (1 << OCTQ_Q31_ADD_SHIFT);
    return octq_q31_scale(octq_q31_scale(pa, q31[0], shift[0]) +
                              octq_q31_scale(pb, q31[1], shift[1]),
                          q31[2], shift[2]);
}

/** Law 16, average pooling on one grid: the mean of n codes, a half away from the code 128 (that of
 *  signed codes' 0). sum: of the codes themselves. */
static inline int32_t octq_q31_average(int32_t sum, int32_t n) {
    const int32_t acc = sum - 128 * n;
    return (acc > 0 ? acc + n / 2 : acc - n / 2) / n + 128;
}

/** Law 16, a mean on a grid of its own: the record of s_x / (n * s_y), n >= 1, divided after
 *  rounding s_x / s_y, downwards. */
static inline void octq_q31_mean_of(float s_x, float s_y, int64_t n, int32_t *q31, int32_t *shift) {
    octq_q31_of((double)s_x / (double)s_y, q31, shift);
    int32_t by = 0;
    while (n >> by > 1) by++;
    by = by > 32 ? 32 : by;
    by = by > 31 + *shift ? 31 + *shift : by;
    *q31 = (int32_t)((int64_t)*q31 * ((int64_t)1 << by) / n);
    *shift -= by;
}

/** Law 16, leaky relu of x = q - z: above zero a requantize, below it with the slope, whose
 *  multiplier LiteRT makes in fp32. */
static inline int32_t octq_q31_leaky_relu(int32_t x, float slope, float s_x, float s_y) {
    const float sloped = s_x * slope, m = sloped / s_y;
    double by = x < 0 ? fabs((double)m) : (double)s_x / (double)s_y;
    int32_t q31, shift;
    octq_q31_of(by < 0x1p29 ? by : 0x1p29, &q31, &shift);
    const int32_t v = octq_q31_scale(x, q31, shift);
    return x < 0 && m < 0 ? -v : v;
}

/* What hardswish's 16 bits need: saturation; the high half of a doubled product, a half up; a
 * record's multiplier. */
static inline int32_t octq_s16(int64_t v) {
    return v < INT16_MIN ? INT16_MIN : v > INT16_MAX ? INT16_MAX : (int32_t)v;
}
static inline int32_t octq_high16(int32_t a, int32_t b) { return (a * b + (1 << 14)) >> 15; }
static inline int32_t octq_record16(int32_t q31) {
    return q31 < INT32_MAX - (1 << 15) ? (q31 + (1 << 15)) >> 16 : INT16_MAX;
}

/** Law 16, hardswish of x = q - z, in 16 bits: x * 2^7 on the output's scale, times a gate of 0 to
 *  1 that is x * 2^7 where 3 is 2^15, moved up and halved. Where s_x < 2^7 * s_y alone. */
static inline int32_t octq_q31_hardswish(int32_t x, float s_x, float s_y) {
    const float fine = (1.0f / 128.0f) * s_x, to_y = fine / s_y, to_3 = fine / (3.0f / 32768.0f);
    int32_t my, ey, m3, e3;
    octq_q31_of((double)to_y, &my, &ey);
    octq_q31_of((double)to_3, &m3, &e3);
    e3 = e3 > 17 ? 17 : e3; /* saturates */
    const int32_t wide = x * 128, y = octq_high16(wide, octq_record16(my));
    int32_t gate = e3 > 0 ? octq_s16((int64_t)wide * (1 << (e3 - 1))) : wide;
    gate = octq_high16(gate, octq_record16(m3));
    gate = e3 > 0 ? octq_s16((int64_t)gate * 2) : octq_shift_right(gate, -e3);
    gate = (gate + (1 << 15)) >> 1;
    return octq_shift_right(gate * y / (1 << 15), -ey);
}

/** Sums to codes by the record, of channels (or lanes) at, at + 1, ...: law 7 or 16. */
static inline void octq_requant_row(const octq_multipliers *by, int64_t at, const int32_t *acc,
                                    int32_t n, int32_t z, int32_t lo, int32_t hi, uint8_t *y) {
    if (by->law == OCTQ_Q31) {
        const int32_t *q31 = by->q31 + at, *shift = by->shift + at;
        for (int32_t j = 0; j < n; j++)
            y[j] = (uint8_t)octq_q31_code(acc[j], q31[j], shift[j], z, lo, hi);
        return;
    }
    const float *m = by->m + at;
    for (int32_t j = 0; j < n; j++)
        y[j] = (uint8_t)octq_round_code((float)acc[j] * m[j], z, lo, hi);
}

/** Law 13: a pixel as the net sees it, in this order: divide, subtract, divide. */
static inline float octq_pixel(uint8_t p, float div, float mean, float std) {
    return ((float)p / div - mean) / std;
}

#endif
