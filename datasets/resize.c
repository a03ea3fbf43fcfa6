/* SPDX-License-Identifier: MIT
 * Pillow's BILINEAR in its own fixed point: coefficients of each output cell, one pass over
 * columns, one over rows. */
#include "datasets/resize.h"

#include <math.h>
#include <string.h>

#include "src/mem.h"

/* of the weights: 8 bits of pixel and 2 of headroom stay in a 32-bit sum */
enum { PRECISION = 32 - 8 - 2 };

typedef struct taps {
    int size;        /* weights per output position */
    int *bounds;     /* [n][2]: first input position, number of weights */
    int32_t *weight; /* [n][size] */
} taps;

static oct_status make_taps(oct_ctx *ctx, int in, int out, taps *t) {
    double scale = (double)in / out, filter = scale < 1 ? 1 : scale, support = filter;
    t->size = (int)ceil(support) * 2 + 1;
    t->bounds = octi_calloc(ctx, (size_t)out, 2 * sizeof *t->bounds);
    t->weight = octi_calloc(ctx, (size_t)out, (size_t)t->size * sizeof *t->weight);
    double *k = octi_calloc(ctx, (size_t)t->size, sizeof *k);
    if (!t->bounds || !t->weight || !k) return octi_free(ctx, k), oct_last_error()->code;
    for (int i = 0; i < out; i++) {
        double center = (i + 0.5) * scale, sum = 0, ss = 1.0 / filter;
        int first = (int)(center - support + 0.5), last = (int)(center + support + 0.5);
        if (first < 0) first = 0;
        if (last > in) last = in;
        int n = last - first;
        for (int x = 0; x < n; x++) {
            double d = fabs((x + first - center + 0.5) * ss);
            k[x] = d < 1 ? 1 - d : 0;
            sum += k[x];
        }
        for (int x = 0; x < n; x++) {
            double w = sum != 0 ? k[x] / sum : k[x];
            t->weight[(size_t)i * (size_t)t->size + (size_t)x] =
                (int32_t)(0.5 + w * (1 << PRECISION));
        }
        t->bounds[2 * i] = first;
        t->bounds[2 * i + 1] = n;
    }
    octi_free(ctx, k);
    return OCT_OK;
}

static void free_taps(oct_ctx *ctx, taps *t) {
    octi_free(ctx, t->bounds);
    octi_free(ctx, t->weight);
}

static inline uint8_t clip8(int32_t v) {
    v >>= PRECISION;
    return v < 0 ? 0 : v > 255 ? 255 : (uint8_t)v;
}

static void columns(const taps *t, const uint8_t *from, int h, int w, int c, uint8_t *to, int w2) {
    for (int y = 0; y < h; y++, from += (size_t)w * (size_t)c)
        for (int x = 0; x < w2; x++) {
            const int32_t *k = t->weight + (size_t)x * (size_t)t->size;
            const uint8_t *p = from + (size_t)t->bounds[2 * x] * (size_t)c;
            int n = t->bounds[2 * x + 1];
            for (int ch = 0; ch < c; ch++) {
                int32_t sum = 1 << (PRECISION - 1);
                for (int i = 0; i < n; i++) sum += p[(size_t)i * (size_t)c + (size_t)ch] * k[i];
                *to++ = clip8(sum);
            }
        }
}

static void rows(const taps *t, const uint8_t *from, size_t pitch, uint8_t *to, int h2) {
    for (int y = 0; y < h2; y++) {
        const int32_t *k = t->weight + (size_t)y * (size_t)t->size;
        const uint8_t *p = from + (size_t)t->bounds[2 * y] * pitch;
        int n = t->bounds[2 * y + 1];
        for (size_t x = 0; x < pitch; x++) {
            int32_t sum = 1 << (PRECISION - 1);
            for (int i = 0; i < n; i++) sum += p[(size_t)i * pitch + x] * k[i];
            *to++ = clip8(sum);
        }
    }
}

oct_status octi_resize_u8(oct_ctx *ctx, const uint8_t *from, int h, int w, int c, uint8_t *to,
                          int h2, int w2) {
    oct_status s = OCT_OK;
    uint8_t *middle = NULL;
    taps t = {0};
    if (w != w2) {
        uint8_t *out =
            h == h2 ? to : (middle = octi_alloc_raw(ctx, (size_t)h * (size_t)w2 * (size_t)c));
        s = out ? make_taps(ctx, w, w2, &t) : oct_last_error()->code;
        if (s == OCT_OK) columns(&t, from, h, w, c, out, w2);
        free_taps(ctx, &t);
        from = out;
    }
    t = (taps){0};
    if (s == OCT_OK && h != h2) {
        s = make_taps(ctx, h, h2, &t);
        if (s == OCT_OK) rows(&t, from, (size_t)w2 * (size_t)c, to, h2);
        free_taps(ctx, &t);
    }
    if (s == OCT_OK && w == w2 && h == h2) memcpy(to, from, (size_t)h * (size_t)w * (size_t)c);
    octi_free(ctx, middle);
    return s;
}
