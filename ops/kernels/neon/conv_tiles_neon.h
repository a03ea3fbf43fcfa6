/* SPDX-License-Identifier: MIT
 * The walk of a convolution over rows: panels, tiles of pixels, pools; once for each kernel, which
 * defines OCTK_CONV (its name) and sums(). Included in the middle of a file: no guard. */

static inline __attribute__((always_inline)) void panel(const octk_conv_rows *a, const void *w,
                                                        int32_t first, const int32_t vectors,
                                                        const octq_law law) {
    const octk_ends e = octk_ends_of(a->zy, a->lo, a->hi);
    const int32_t left = a->o - first, valid = left < 4 * vectors ? left : 4 * vectors;
    const uint8_t *x = (const uint8_t *)a->x, *p[4];
    uint8_t *y = a->y + first;
    octk_four m[4];
    int32x4_t s[16];
    for (int32_t v = 0; v < vectors; v++) m[v] = octk_four_of(&a->by, first + 4 * v);
#define PUT(sums, at)                                                                              \
    (vectors == 4 ? octk_put_wide : octk_put_slim)(sums, m, law, e, y + a->out[at], valid)
#define TILES(size)                                                                                \
    for (; i + size <= a->np; i += size) {                                                         \
        for (int32_t j = 0; j < size; j++) p[j] = x + a->pix[i + j];                               \
        sums(a, w, first, p, s, size, vectors);                                                    \
        if (size == 4 && a->pooled) {                                                              \
            for (int32_t v = 0; v < vectors; v++) s[v] = octk_largest(s + v, vectors);             \
            PUT(s, i / 4);                                                                         \
        } else                                                                                     \
            for (int32_t j = 0; j < size; j++) PUT(s + j * vectors, i + j);                        \
    }
    int32_t i = 0;
    TILES(4)
    TILES(2)
    TILES(1)
#undef TILES
#undef PUT
}

static void wide_fp32(const octk_conv_rows *a, const void *w, int32_t first) {
    panel(a, w, first, 4, OCTQ_FP32);
}
static void wide_q31(const octk_conv_rows *a, const void *w, int32_t first) {
    panel(a, w, first, 4, OCTQ_Q31);
}
static void slim_fp32(const octk_conv_rows *a, const void *w, int32_t first) {
    panel(a, w, first, 2, OCTQ_FP32);
}
static void slim_q31(const octk_conv_rows *a, const void *w, int32_t first) {
    panel(a, w, first, 2, OCTQ_Q31);
}

void OCTK_CONV(const octk_conv_rows *a) {
    const int32_t lanes = octk_lanes(a->o);
    const bool q31 = a->by.law == OCTQ_Q31;
    const uint8_t *w = a->w;
    for (int32_t first = 0; first < lanes; first += 16) {
        const int32_t width = octk_panel_lanes(lanes, first);
        if (width == 16)
            (q31 ? wide_q31 : wide_fp32)(a, w, first);
        else
            (q31 ? slim_q31 : slim_fp32)(a, w, first);
        w += (int64_t)a->runs * a->steps * width * 4;
    }
}
