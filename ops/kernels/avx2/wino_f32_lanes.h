/* SPDX-License-Identifier: MIT
 * ops/kernels/avx2/wino_f32_lanes.h - Winograd F(4x4,3x3) transforms, LANES channels at a time, of
 * whatever vector its includer defines: VEC, LANES, SET1, LOAD, STORE, ADD, SUB, MIN, MAX, FMA(a,
 * b, c) = c + a * b, FNMA = c - a * b. 36 values do not fit the registers, and one store a cycle
 * bounds a transform: so there are no temporaries in memory. The tile is taken in groups of columns
 * that share their inputs, which are read again for each group (two loads a cycle are cheap), and
 * each result is stored once. */
#ifndef OCT_OPS_KERNELS_AVX2_WINO_F32_LANES_H
#define OCT_OPS_KERNELS_AVX2_WINO_F32_LANES_H

#include "ops/kernels/kernels.h"

#define INLINE static inline __attribute__((always_inline))
/* The next group reads its inputs again instead of having them spilled. */
#define FENCE __asm__ volatile("" ::: "memory")

/** B^T of six values, results `step` floats apart. */
INLINE void input6(const VEC d[6], float *p, int64_t step) {
    const VEC k2 = SET1(2), k4 = SET1(4);
    VEC c = SUB(d[4], d[2]), f = SUB(d[3], d[1]), a = FNMA(k4, d[2], d[4]),
        b = FNMA(k4, d[1], d[3]);
    STORE(p, FMA(k4, SUB(d[0], d[2]), c));
    STORE(p + step, ADD(a, b));
    STORE(p + 2 * step, SUB(a, b));
    STORE(p + 3 * step, FMA(k2, f, c));
    STORE(p + 4 * step, FNMA(k2, f, c));
    STORE(p + 5 * step, FNMA(k4, f, SUB(d[5], d[3])));
}

INLINE void wino_in(const float *x, int64_t row, int64_t c, float *v, int64_t plane) {
    const VEC k2 = SET1(2), k4 = SET1(4), k5 = SET1(5);
    for (int64_t ch = 0; ch < c; ch += LANES) {
        const float *q0 = x + ch, *q1 = q0 + row, *q2 = q1 + row, *q3 = q2 + row, *q4 = q3 + row,
                    *q5 = q4 + row;
        /* opaque, else the compiler keeps 36 pointers */
        __asm__("" : "+r"(q0), "+r"(q1), "+r"(q2), "+r"(q3), "+r"(q4), "+r"(q5));
        const float *const q[6] = {q0, q1, q2, q3, q4, q5};
        float *p = v + ch;
        VEC a[6], b[6];
#define D(r, k) LOAD(q[r] + (k)*c)
        for (int r = 0; r < 6; r++) a[r] = FNMA(k5, D(r, 2), FMA(k4, D(r, 0), D(r, 4)));
        input6(a, p, 6 * plane);
        FENCE;
        for (int r = 0; r < 6; r++) a[r] = FNMA(k5, D(r, 3), FMA(k4, D(r, 1), D(r, 5)));
        input6(a, p + 5 * plane, 6 * plane);
        FENCE;
        for (int r = 0; r < 6; r++) {
            VEC e = FNMA(k4, D(r, 2), D(r, 4)), o = FNMA(k4, D(r, 1), D(r, 3));
            a[r] = ADD(e, o);
            b[r] = SUB(e, o);
        }
        input6(a, p + plane, 6 * plane);
        input6(b, p + 2 * plane, 6 * plane);
        FENCE;
        for (int r = 0; r < 6; r++) {
            VEC e = SUB(D(r, 4), D(r, 2)), o = SUB(D(r, 3), D(r, 1));
            a[r] = FMA(k2, o, e);
            b[r] = FNMA(k2, o, e);
        }
        input6(a, p + 3 * plane, 6 * plane);
        input6(b, p + 4 * plane, 6 * plane);
#undef D
    }
}

/* The second operand where one is NaN, or both are zero. */
#define CLAMP(v) MIN(end[1], MAX(end[0], v))
/** A^T of six values and the bias, clamped. */
INLINE void output4(const VEC t[6], VEC bias, const VEC *end, float *p, int64_t step) {
    const VEC k2 = SET1(2), k4 = SET1(4), k8 = SET1(8);
    VEC s = ADD(t[1], t[2]), d = SUB(t[1], t[2]), u = ADD(t[3], t[4]), w = SUB(t[3], t[4]);
    STORE(p, CLAMP(ADD(ADD(ADD(t[0], s), u), bias)));
    STORE(p + step, CLAMP(ADD(FMA(k2, w, d), bias)));
    STORE(p + 2 * step, CLAMP(ADD(FMA(k4, u, s), bias)));
    STORE(p + 3 * step, CLAMP(ADD(ADD(FMA(k8, w, d), t[5]), bias)));
}

INLINE void wino_out(const float *m, int64_t plane, int64_t o, const float *bias, octk_clamp clamp,
                     float *y, int64_t row, int64_t pixel) {
    const VEC k2 = SET1(2), k4 = SET1(4), k8 = SET1(8), end[2] = {SET1(clamp.lo), SET1(clamp.hi)};
    for (int64_t ch = 0; ch < o; ch += LANES) {
        const float *p = m + ch;
        float *out = y + ch;
        VEC a[6], b[6], z = bias ? LOAD(bias + ch) : SET1(0);
#define M(i, k) LOAD(p + (6 * (i) + (k)) * plane)
        for (int k = 0; k < 6; k++) {
            VEC s = ADD(M(1, k), M(2, k)), u = ADD(M(3, k), M(4, k));
            a[k] = ADD(ADD(M(0, k), s), u);
            b[k] = FMA(k4, u, s);
        }
        output4(a, z, end, out, pixel);
        output4(b, z, end, out + 2 * row, pixel);
        FENCE;
        for (int k = 0; k < 6; k++) {
            VEC s = SUB(M(1, k), M(2, k)), u = SUB(M(3, k), M(4, k));
            a[k] = FMA(k2, u, s);
            b[k] = ADD(FMA(k8, u, s), M(5, k));
        }
        output4(a, z, end, out + row, pixel);
        output4(b, z, end, out + 3 * row, pixel);
#undef M
    }
}

/** A of four values. */
INLINE void spread6(const VEC t[4], float *p, int64_t step) {
    const VEC k2 = SET1(2), k4 = SET1(4);
    VEC e = ADD(t[0], t[2]), o = ADD(t[1], t[3]), f = FMA(k4, t[2], t[0]), g = FMA(k4, t[3], t[1]);
    STORE(p, t[0]);
    STORE(p + step, ADD(e, o));
    STORE(p + 2 * step, SUB(e, o));
    STORE(p + 3 * step, FMA(k2, g, f));
    STORE(p + 4 * step, FNMA(k2, g, f));
    STORE(p + 5 * step, t[3]);
}

INLINE void wino_dy(const float *dy, int64_t row, int64_t o, float *v, int64_t plane) {
    const VEC k2 = SET1(2), k4 = SET1(4);
    for (int64_t ch = 0; ch < o; ch += LANES) {
        const float *p = dy + ch;
        float *out = v + ch;
        VEC a[4], b[4];
#define Y(r, k) LOAD(p + (r)*row + (k)*o)
        for (int k = 0; k < 4; k++) {
            a[k] = Y(0, k);
            b[k] = Y(3, k);
        }
        spread6(a, out, plane);
        spread6(b, out + 30 * plane, plane);
        FENCE;
        for (int k = 0; k < 4; k++) {
            VEC e = ADD(Y(0, k), Y(2, k)), d = ADD(Y(1, k), Y(3, k));
            a[k] = ADD(e, d);
            b[k] = SUB(e, d);
        }
        spread6(a, out + 6 * plane, plane);
        spread6(b, out + 12 * plane, plane);
        FENCE;
        for (int k = 0; k < 4; k++) {
            VEC e = FMA(k4, Y(2, k), Y(0, k)), d = FMA(k4, Y(3, k), Y(1, k));
            a[k] = FMA(k2, d, e);
            b[k] = FNMA(k2, d, e);
        }
        spread6(a, out + 18 * plane, plane);
        spread6(b, out + 24 * plane, plane);
#undef Y
    }
}

#endif
