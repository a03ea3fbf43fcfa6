/* SPDX-License-Identifier: MIT
 * Exact integer Winograd with SMLAL: see kernels_wino.h for the matrices, the bounds and the
 * layouts. */
#include "ops/kernels/neon/wino_neon.h"

/* ---- input: 1-D transforms of 8 channels ---- */

static inline int16x8_t at16(const int16_t *p) { return vld1q_s16(p); }

static inline void line4(const int16x8_t d[6], int16_t *y, int64_t step) {
    const int16x8_t a = vsubq_s16(d[4], vshlq_n_s16(d[2], 2)),
                    b = vsubq_s16(d[3], vshlq_n_s16(d[1], 2)), c = vsubq_s16(d[4], d[2]),
                    f = vsubq_s16(d[3], d[1]), e = vaddq_s16(f, f);
    vst1q_s16(y, vaddq_s16(vshlq_n_s16(vsubq_s16(d[0], d[2]), 2), c));
    vst1q_s16(y + step, vaddq_s16(a, b));
    vst1q_s16(y + 2 * step, vsubq_s16(a, b));
    vst1q_s16(y + 3 * step, vaddq_s16(c, e));
    vst1q_s16(y + 4 * step, vsubq_s16(c, e));
    vst1q_s16(y + 5 * step, vsubq_s16(vsubq_s16(d[5], d[3]), vaddq_s16(e, e)));
}
static inline void line2(const int16x8_t d[4], int16_t *y, int64_t step) {
    vst1q_s16(y, vsubq_s16(d[0], d[2]));
    vst1q_s16(y + step, vaddq_s16(d[1], d[2]));
    vst1q_s16(y + 2 * step, vsubq_s16(d[2], d[1]));
    vst1q_s16(y + 3 * step, vsubq_s16(d[3], d[1]));
}

/* Columns of a run of tiles, which neighbours share, then their lines. */
#define TRANSFORM(name, line, edge, tile)                                                          \
    static void name(const octk_wino_in_u8s16 *a, const uint8_t *first, int16_t *all) {            \
        enum { RUN = 8, COLUMN = edge * 16 };                                                      \
        OCTK_COLUMNS_FIT((tile * RUN + 2) * COLUMN);                                               \
        int16_t *column = a->columns;                                                              \
        int16x8_t d[edge];                                                                         \
        for (int32_t t0 = 0; t0 < a->count; t0 += RUN) {                                           \
            const int32_t count = a->count - t0 < RUN ? a->count - t0 : RUN;                       \
            const uint8_t *x = first + t0 * tile * a->pixel;                                       \
            for (int32_t i = 0; i < tile * count + 2; i++, x += a->pixel)                          \
                for (int32_t half = 0; half < 16; half += 8) {                                     \
                    for (int32_t r = 0; r < edge; r++) d[r] = codes(x + r * a->row + half);        \
                    line(d, column + i * COLUMN + half, 16);                                       \
                }                                                                                  \
            for (int32_t i = 0; i < count; i++) {                                                  \
                const int32_t t = a->t + t0 + i;                                                   \
                int16_t *v = all + t / G * a->group + t % G * 16;                                  \
                const int16_t *c = column + i * tile * COLUMN;                                     \
                for (int32_t r = 0; r < edge; r++, c += 16, v += edge * a->place)                  \
                    for (int32_t half = 0; half < 16; half += 8) {                                 \
                        for (int32_t k = 0; k < edge; k++) d[k] = at16(c + k * COLUMN + half);     \
                        line(d, v + half, a->place);                                               \
                    }                                                                              \
            }                                                                                      \
        }                                                                                          \
    }
TRANSFORM(in4, line4, 6, 4)
OCTK_EACH_BLOCK(octk_wino4_in_u8s16_neon, in4)
TRANSFORM(in2, line2, 4, 2)
OCTK_EACH_BLOCK(octk_wino2_in_u8s16_neon, in2)

/* ---- products: up to three tiles of 16 lanes ---- */

/* Pair k of a tile's eight channels x, with weights of 16 lanes. */
#define ADD(k)                                                                                     \
    {                                                                                              \
        const int16x8x2_t e = vld2q_s16(u + k * 32), f = vld2q_s16(u + k * 32 + 16);               \
        _Pragma("GCC unroll 3") for (int32_t i = 0; i < size; i++) {                               \
            s[i][0] = vmlal_laneq_s16(s[i][0], vget_low_s16(e.val[0]), x[i], 2 * k);               \
            s[i][1] = vmlal_high_laneq_s16(s[i][1], e.val[0], x[i], 2 * k);                        \
            s[i][2] = vmlal_laneq_s16(s[i][2], vget_low_s16(f.val[0]), x[i], 2 * k);               \
            s[i][3] = vmlal_high_laneq_s16(s[i][3], f.val[0], x[i], 2 * k);                        \
            s[i][0] = vmlal_laneq_s16(s[i][0], vget_low_s16(e.val[1]), x[i], 2 * k + 1);           \
            s[i][1] = vmlal_high_laneq_s16(s[i][1], e.val[1], x[i], 2 * k + 1);                    \
            s[i][2] = vmlal_laneq_s16(s[i][2], vget_low_s16(f.val[1]), x[i], 2 * k + 1);           \
            s[i][3] = vmlal_high_laneq_s16(s[i][3], f.val[1], x[i], 2 * k + 1);                    \
        }                                                                                          \
    }

static inline __attribute__((always_inline)) void product(const int32_t size, int32_t positions,
                                                          int32_t blocks, const int16_t *v,
                                                          const int16_t *u, int32_t *m) {
    for (int32_t p = 0; p < positions; p++, m += G * 16) {
        int32x4_t s[3][4];
        _Pragma("GCC unroll 3") for (int32_t i = 0; i < size; i++)
            _Pragma("GCC unroll 4") for (int32_t k = 0; k < 4; k++) s[i][k] = vdupq_n_s32(0);
        for (int32_t b = 0; b < 2 * blocks; b++, u += 128) {
            int16x8_t x[3];
            _Pragma("GCC unroll 3") for (int32_t i = 0; i < size; i++) x[i] =
                vld1q_s16(v + i * 16 + b % 2 * 8);
            v += b % 2 * G * 16;
            ADD(0)
            ADD(1)
            ADD(2)
            ADD(3)
        }
        _Pragma("GCC unroll 3") for (int32_t i = 0; i < size; i++)
            _Pragma("GCC unroll 4") for (int32_t k = 0; k < 4; k++)
                vst1q_s32(m + i * 16 + 4 * k, s[i][k]);
    }
}

static void products(int32_t count, int32_t positions, int32_t blocks, const int16_t *v,
                     const int16_t *u, int32_t *m) {
    for (int32_t t = 0; t < count; t += 3, v += 3 * 16, m += 3 * 16) switch (count - t) {
        case 1:
            product(1, positions, blocks, v, u, m);
            break;
        case 2:
            product(2, positions, blocks, v, u, m);
            break;
        default:
            product(3, positions, blocks, v, u, m);
        }
}
void octk_wino_mul_s16_neon(const octk_wino_mul_s16 *a) {
    for (int32_t i = 0; i < a->panels; i++)
        products(a->count, a->positions, a->blocks, a->v, a->u + i * a->u_panel,
                 a->m + i * a->m_panel);
}

/* ---- output: 16 lanes of a tile, four at a time ---- */

/* A^T of six values. */
static inline void line4_out(const int32x4_t d[6], int32x4_t *y, int32_t step) {
    const int32x4_t s = vaddq_s32(d[1], d[2]), t = vsubq_s32(d[1], d[2]), u = vaddq_s32(d[3], d[4]),
                    w = vsubq_s32(d[3], d[4]);
    y[0] = vaddq_s32(vaddq_s32(d[0], s), u);
    y[step] = vaddq_s32(t, vaddq_s32(w, w));
    y[2 * step] = vaddq_s32(s, vshlq_n_s32(u, 2));
    y[3 * step] = vaddq_s32(t, vshlq_n_s32(vaddq_s32(w, d[5]), 3));
}
static inline void line2_out(const int32x4_t d[4], int32x4_t *y, int32_t step) {
    y[0] = vaddq_s32(d[0], vaddq_s32(d[1], d[2]));
    y[step] = vaddq_s32(vsubq_s32(d[1], d[2]), d[3]);
}

#define PLACE(edge, i, j) ((i) * (edge) + (j))
/* 954437177: the inverse of 9 */
FOUR_LANES(four4, line4_out, 6, 4, PLACE, 1, y[i] = vmulq_n_s32(y[i], 954437177);
           , y[i] = vshrq_n_s32(y[i], 6);)
FOUR_LANES(four2, line2_out, 4, 2, PLACE, 1, , y[i] = vshrq_n_s32(y[i], 2);)
OUT(octk_wino4_out_s32u8_neon, out4, four4, 4)
OUT(octk_wino2_out_s32u8_neon, out2, four2, 2)
