/* SPDX-License-Identifier: MIT
 * Element-by-element ops on codes: the walk over images, rows and pixels once, the law inside. y
 * may be x. */
#include "ops/kernels/map_runs.h"
#include "src/qround.h"

void octk_add_u8_ref(const octk_map_u8 *a) {
    const int32_t zx = a->zx, zx2 = a->zx2, zy = a->zy, lo = a->lo, hi = a->hi, c = a->c;
    if (a->by.law == OCTQ_Q31) {
        EACH_RUN(
            a, const uint8_t *x2 = SECOND(a); for (int32_t i = 0; i < c; i++) {
                const int32_t v = octq_q31_add(x[i], zx, x2[i], zx2, a->by.q31, a->by.shift);
                y[i] = (uint8_t)octq_whole_code(v, zy, lo, hi);
            })
        return;
    }
    const float mx = a->by.m[0], mx2 = a->by.m[1];
    EACH_RUN(
        a, const uint8_t *x2 = SECOND(a); for (int32_t i = 0; i < c; i++) {
            /* octq_add, in the form that vectorizes */
            float p = (float)(x[i] - zx) * mx, q = (float)(x2[i] - zx2) * mx2;
            y[i] = (uint8_t)octq_round_code(p + q, zy, lo, hi);
        })
}

void octk_mul_u8_ref(const octk_map_u8 *a) {
    const int32_t zx = a->zx, zx2 = a->zx2, zy = a->zy, lo = a->lo, hi = a->hi, c = a->c;
    if (a->by.law == OCTQ_Q31) {
        const int32_t q31 = a->by.q31[0], shift = a->by.shift[0];
        EACH_RUN(
            a, const uint8_t *x2 = SECOND(a); for (int32_t i = 0; i < c; i++) {
                const int32_t acc = (x[i] - zx) * (x2[i] - zx2);
                y[i] = (uint8_t)octq_q31_code(acc, q31, shift, zy, lo, hi);
            })
        return;
    }
    const float m = a->by.m[0];
    EACH_RUN(
        a, const uint8_t *x2 = SECOND(a); for (int32_t i = 0; i < c; i++) {
            int32_t acc = (int16_t)(x[i] - zx) * (int16_t)(x2[i] - zx2);
            y[i] = (uint8_t)octq_round_code((float)acc * m, zy, lo, hi);
        })
}

void octk_rescale_u8_ref(const octk_map_u8 *a) {
    const int32_t zx = a->zx, zy = a->zy, lo = a->lo, hi = a->hi, c = a->c;
    if (a->by.law == OCTQ_Q31) {
        const int32_t q31 = a->by.q31[0], shift = a->by.shift[0];
        EACH_RUN(a, for (int32_t i = 0; i < c; i++) y[i] =
                        (uint8_t)octq_q31_code(x[i] - zx, q31, shift, zy, lo, hi);)
        return;
    }
    const float m = a->by.m[0];
    EACH_RUN(
        a, for (int32_t i = 0; i < c;
                i++) { y[i] = (uint8_t)octq_round_code((float)(x[i] - zx) * m, zy, lo, hi); })
}

void octk_clip_u8_ref(const octk_map_u8 *a) {
    const uint8_t lo = (uint8_t)a->lo, hi = (uint8_t)a->hi;
    const int32_t c = a->c;
    EACH_RUN(
        a, for (int32_t i = 0; i < c; i++) {
            uint8_t v = x[i] > lo ? x[i] : lo;
            y[i] = v < hi ? v : hi;
        })
}

void octk_table_u8_ref(const octk_map_u8 *a) {
    const uint8_t *t = a->table;
    const int32_t c = a->c;
    EACH_RUN(a, for (int32_t i = 0; i < c; i++) y[i] = t[x[i]];)
}

void octk_softmax_u8_ref(const octk_map_u8 *a) {
    const int32_t c = a->c, zy = a->zy, lo = a->lo, hi = a->hi;
    const float s = a->sy;
    EACH_RUN(a, int32_t top; const float sum = octq_softmax_sum(x, c, a->exp, &top);
             for (int32_t i = 0; i < c; i++) y[i] = (uint8_t)octq_round_code(
                 octq_softmax_value(a->exp[top - x[i]], sum, s), zy, lo, hi);)
}

static void quantize_row(const float *x, uint8_t *y, const octk_quantize_f32u8 *a) {
    const float s = a->s;
    const int32_t z = a->z, qmin = a->qmin, qmax = a->qmax;
    for (int64_t i = 0; i < a->n; i++) {
        float v = x[i] / s;
        v = v == v ? v : 0.0f; /* NaN -> z */
        y[i] = (uint8_t)octq_round_code(v, z, qmin, qmax);
    }
}
void octk_quantize_f32u8_ref(const octk_quantize_f32u8 *a) {
    for (int64_t r = 0; r < a->rows; r++) quantize_row(a->x + r * a->n, a->y + r * a->pitch, a);
}

void octk_dequantize_u8f32_ref(const uint8_t *x, int64_t n, float s, int32_t z, float *y) {
    for (int64_t i = 0; i < n; i++) y[i] = octq_dequantize(x[i], s, z);
}
