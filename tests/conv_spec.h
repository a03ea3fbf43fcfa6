/* SPDX-License-Identifier: MIT
 * tests/conv_spec.h - the int8 convolution as the law has it: exact s32 sums, then requant. What
 * conv ops are held against; no kernel of the library has this form. */
#ifndef OCT_TESTS_CONV_SPEC_H
#define OCT_TESTS_CONV_SPEC_H

#include "ops/kernels/kernels.h"
#include "src/qround.h"

/** y = requant(x (*) w + b) by the law; one image range, all output rows. Padding reads zx. */
typedef struct conv_u8s8 {
    octk_image x, y;
    const int8_t *w;  /* [O,R,S,C/g] dense */
    const int32_t *b; /* [O] */
    const float *m;   /* [O] */
    int32_t zx, zy, lo, hi;
    /* images, input rows, columns, channels; output rows, columns, channels */
    int32_t n, h, w_in, c, p, q, o;
    int32_t r, s, stride_h, stride_w, pad_top, pad_left, dil_h, dil_w, groups;
} conv_u8s8;

static inline void conv_u8s8_spec(const conv_u8s8 *a) {
    int32_t cg = a->c / a->groups, og = a->o / a->groups;
    for (int32_t n = 0; n < a->n; n++)
        for (int32_t p = 0; p < a->p; p++)
            for (int32_t q = 0; q < a->q; q++) {
                uint8_t *y = a->y.base + n * a->y.image + p * a->y.row + q * a->y.pixel;
                for (int32_t o = 0; o < a->o; o++) {
                    int32_t acc = a->b[o], c0 = o / og * cg;
                    for (int32_t r = 0; r < a->r; r++) {
                        int32_t h = p * a->stride_h - a->pad_top + r * a->dil_h;
                        if (h < 0 || h >= a->h) continue; /* padding reads zx: it adds nothing */
                        for (int32_t s = 0; s < a->s; s++) {
                            int32_t w = q * a->stride_w - a->pad_left + s * a->dil_w;
                            if (w < 0 || w >= a->w_in) continue;
                            const uint8_t *x =
                                a->x.base + n * a->x.image + h * a->x.row + w * a->x.pixel + c0;
                            const int8_t *f = a->w + ((int64_t)(o * a->r + r) * a->s + s) * cg;
                            for (int32_t c = 0; c < cg; c++) acc += ((int32_t)x[c] - a->zx) * f[c];
                        }
                    }
                    y[o] = (uint8_t)octq_requant(acc, a->m[o], a->zy, a->lo, a->hi);
                }
            }
}

#endif
