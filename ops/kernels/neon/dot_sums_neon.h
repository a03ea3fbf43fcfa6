/* SPDX-License-Identifier: MIT
 * Sums of `size` pixels by an instruction that multiplies four codes with four weights: DOT(s, x,
 * w), sums beginning with FIRST(b, sums). Included in the middle of a file: no guard. */

static inline uint8x16_t four_at(const uint8_t *x) {
    uint32_t four;
    memcpy(&four, x, sizeof four);
    return vreinterpretq_u8_u32(vdupq_n_u32(four));
}

/* `vectors` of four lanes each; unrolled, so that they stay in registers. */
static inline __attribute__((always_inline)) void sums(const octk_conv_rows *a, const void *weights,
                                                       int32_t first, const uint8_t *const *p,
                                                       int32x4_t *s, const int32_t size,
                                                       const int32_t vectors) {
    const int8_t *w = weights;
    _Pragma("GCC unroll 4") for (int32_t v = 0; v < vectors; v++) {
        s[v] = FIRST(a->b + first + 4 * v, a->sums + first + 4 * v);
        _Pragma("GCC unroll 4") for (int32_t j = 1; j < size; j++) s[j * vectors + v] = s[v];
    }
    for (int32_t r = 0; r < a->runs; r++) {
        const int64_t run = a->run[r];
        for (int32_t k = 0; k < a->steps; k++, w += 16 * vectors) {
            int8x16_t four[4];
            _Pragma("GCC unroll 4") for (int32_t v = 0; v < vectors; v++) four[v] =
                vld1q_s8(w + 16 * v);
            _Pragma("GCC unroll 4") for (int32_t j = 0; j < size; j++) {
                const uint8x16_t x = four_at(p[j] + run + 4 * k);
                _Pragma("GCC unroll 4") for (int32_t v = 0; v < vectors; v++) s[j * vectors + v] =
                    DOT(s[j * vectors + v], x, four[v]);
            }
        }
    }
}
