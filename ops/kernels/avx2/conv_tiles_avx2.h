/* SPDX-License-Identifier: MIT
 * The walk of a convolution over rows in tiles of up to 6 pixels, whatever instruction multiplies:
 * a user defines wide6, wide4, wide2 and wide1 (sums of so many pixels, two vectors of channels
 * each), slim6 to slim1 (one vector each) and OCTK_CONV (the kernel's name); with OCTK_FOURS
 * tiles have 4 pixels at most. Included in the middle of a file: no guard. */

/* Tiles of one size, as long as that many pixels are left. */
#define TILES_WIDE(size)                                                                           \
    for (; i + size <= a->np; i += size) {                                                         \
        _Pragma("GCC unroll 6") for (int32_t j = 0; j < size; j++) p[j] = x + a->pix[i + j];       \
        wide##size(a, w, a->b + first, p, s);                                                      \
        _Pragma("GCC unroll 3") for (int32_t j = 0; j < size; j += 2)                              \
            octk_put_wide(s + 2 * j, s + 2 * (j + (size > 1)), m, law, e, y + a->out[i + j],       \
                          y + a->out[i + j + (size > 1)], valid);                                  \
    }

/* Vector i of four pixels' sums, `apart` vectors from pixel to pixel: the largest. */
static inline __m256i largest(const __m256i *s, int32_t apart) {
    return _mm256_max_epi32(_mm256_max_epi32(s[0], s[apart]),
                            _mm256_max_epi32(s[2 * apart], s[3 * apart]));
}

/* Pooled: two outputs of four pixels at a time. */
static inline void pools_wide(const octk_conv_rows *a, const void *w, int32_t first,
                              const octk_eight *m, octq_law law, octk_ends e, int32_t valid) {
    const uint8_t *x = (const uint8_t *)a->x, *p[4];
    uint8_t *y = a->y + first;
    __m256i s[8], t[4];
    const int32_t outputs = octk_outputs(a);
    for (int32_t i = 0; i < outputs; i++) {
        for (int32_t j = 0; j < 4; j++) p[j] = x + a->pix[4 * i + j];
        wide4(a, w, a->b + first, p, s);
        t[i % 2 * 2] = largest(s, 2);
        t[i % 2 * 2 + 1] = largest(s + 1, 2);
        if (i % 2)
            octk_put_wide(t, t + 2, m, law, e, y + a->out[i - 1], y + a->out[i], valid);
        else if (i + 1 == outputs)
            octk_put_wide(t, t, m, law, e, y + a->out[i], y + a->out[i], valid);
    }
}

static inline void panel_wide(const octk_conv_rows *a, const void *w, int32_t first, octq_law law) {
    const octk_ends e = octk_ends_of(a->zy, a->lo, a->hi);
    const octk_eight m[2] = {octk_eight_of(&a->by, first, first + 4),
                             octk_eight_of(&a->by, first + 8, first + 12)};
    const int32_t valid = a->o - first < 16 ? a->o - first : 16;
    uint8_t *y = a->y + first;
    const uint8_t *x = (const uint8_t *)a->x, *p[6];
    __m256i s[12];
    int32_t i = 0;
    if (a->pooled) {
        pools_wide(a, w, first, m, law, e, valid);
        return;
    }
#ifndef OCTK_FOURS
    TILES_WIDE(6)
#endif
    TILES_WIDE(4)
    TILES_WIDE(2)
    TILES_WIDE(1)
}

/* Four pixels from four sums of eight. */
static inline void put_four(const octk_conv_rows *a, uint8_t *y, int32_t i, int32_t count,
                            const __m256i *s, const octk_eight *m, octq_law law, octk_ends e,
                            int32_t valid) {
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i t0 = octk_scaled(s[0], m, law), t1 = count > 1 ? octk_scaled(s[1], m, law) : t0,
                  t2 = count > 2 ? octk_scaled(s[2], m, law) : t0,
                  t3 = count > 2 ? octk_scaled(s[3], m, law) : t1;
    const __m256i q = _mm256_permutevar8x32_epi32(octk_codes(t0, t1, t2, t3, e), order);
    const __m128i low = _mm256_castsi256_si128(q), high = _mm256_extracti128_si256(q, 1);
    octk_put_slim(a, y, i, low, valid);
    if (count > 1) octk_put_slim(a, y, i + 1, _mm_unpackhi_epi64(low, low), valid);
    if (count > 2) octk_put_slim(a, y, i + 2, high, valid);
    if (count > 2) octk_put_slim(a, y, i + 3, _mm_unpackhi_epi64(high, high), valid);
}

#define TILES_SLIM(size)                                                                           \
    for (; i + size <= a->np; i += size) {                                                         \
        _Pragma("GCC unroll 6") for (int32_t j = 0; j < size; j++) p[j] = x + a->pix[i + j];       \
        slim##size(a, w, a->b + first, p, s);                                                      \
        put_four(a, y, i, size < 4 ? size : 4, s, &m, law, e, valid);                              \
        if (size > 4) put_four(a, y, i + 4, 2, s + 4, &m, law, e, valid);                          \
    }

static inline void pools_slim(const octk_conv_rows *a, const void *w, int32_t first,
                              const octk_eight *m, octq_law law, octk_ends e, int32_t valid) {
    const uint8_t *x = (const uint8_t *)a->x, *p[4];
    uint8_t *y = a->y + first;
    __m256i s[4], t[4];
    const int32_t outputs = octk_outputs(a);
    for (int32_t i = 0; i < outputs; i++) {
        for (int32_t j = 0; j < 4; j++) p[j] = x + a->pix[4 * i + j];
        slim4(a, w, a->b + first, p, s);
        t[i % 4] = largest(s, 1);
        if (i % 4 == 3) put_four(a, y, i - 3, 4, t, m, law, e, valid);
    }
    const int32_t whole = outputs / 4 * 4;
    for (int32_t i = whole; i < outputs; i++)
        put_four(a, y, i, 1, t + (i - whole), m, law, e, valid);
}

static inline void panel_slim(const octk_conv_rows *a, const void *w, int32_t first, octq_law law) {
    const octk_ends e = octk_ends_of(a->zy, a->lo, a->hi);
    const octk_eight m = octk_eight_of(&a->by, first, first + 4);
    const int32_t valid = a->o - first;
    uint8_t *y = a->y + first;
    const uint8_t *x = (const uint8_t *)a->x, *p[6];
    __m256i s[6];
    int32_t i = 0;
    if (a->pooled) {
        pools_slim(a, w, first, &m, law, e, valid);
        return;
    }
#ifndef OCTK_FOURS
    TILES_SLIM(6)
#endif
    TILES_SLIM(4)
    TILES_SLIM(2)
    TILES_SLIM(1)
}

OCTK_PANEL_LAWS(panel_wide)
OCTK_PANEL_LAWS(panel_slim)

void OCTK_CONV(const octk_conv_rows *a) {
    if (a->by.law == OCTQ_FP32)
        octk_each_panel(a, panel_wide_fp32, panel_slim_fp32);
    else
        octk_each_panel(a, panel_wide_q31, panel_slim_q31);
}
