/* SPDX-License-Identifier: MIT
 * What convolutions over rows of s16 share, whatever instruction multiplies: the walk over panels
 * of weights, and stores of fewer than 16 channels. */
#ifndef OCT_OPS_KERNELS_AVX2_PANELS_AVX2_H
#define OCT_OPS_KERNELS_AVX2_PANELS_AVX2_H

#include "ops/kernels/avx2/requant_avx2.h"
#include "ops/kernels/kernels.h"

#if defined(__SANITIZE_THREAD__)
#define OCTK_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define OCTK_TSAN 1
#endif
#endif

/* The four codes of a step. Those behind a run's end meet weights of zero, so it does not matter
 * that another thread may be writing them; a sanitizer would call it a race. */
static inline int32_t octk_step_at(const uint8_t *x) {
    int32_t four;
#ifdef OCTK_TSAN
    __asm__("movl (%1),%0" : "=r"(four) : "r"(x) : "memory");
#else
    memcpy(&four, x, sizeof four);
#endif
    return four;
}

/* Eight channels, or the first `valid`, of pixel i. Where the next pixel follows at once, a store
 * may run into it, not beyond it: its own store comes later. */
static inline void octk_put_slim(const octk_conv_rows *a, uint8_t *y, int32_t i, __m128i v,
                                 int32_t valid) {
    if (valid >= 4 && i + 1 < octk_outputs(a) && a->out[i + 1] == a->out[i] + valid)
        _mm_storel_epi64((__m128i *)(void *)(y + a->out[i]), v);
    else
        octk_store_bytes(y + a->out[i], v, valid);
}

/* 16 channels (the first `valid` of them) of two pixels, of two vectors of sums each; the second
 * may be the first. */
static inline void octk_put_wide(const __m256i *s, const __m256i *t, const octk_eight *m,
                                 octq_law law, octk_ends e, uint8_t *y0, uint8_t *y1,
                                 int32_t valid) {
    const __m256i q = octk_codes(octk_scaled(s[0], &m[0], law), octk_scaled(s[1], &m[1], law),
                                 octk_scaled(t[0], &m[0], law), octk_scaled(t[1], &m[1], law), e);
    const __m128i low = _mm256_castsi256_si128(q), high = _mm256_extracti128_si256(q, 1);
    octk_store_bytes(y0, _mm_unpacklo_epi64(low, high), valid);
    octk_store_bytes(y1, _mm_unpackhi_epi64(low, high), valid);
}

typedef void octk_panel_fn(const octk_conv_rows *a, const void *w, int32_t first);

/* A panel's function, once a law. */
#define OCTK_PANEL_LAWS(name)                                                                      \
    static void name##_fp32(const octk_conv_rows *a, const void *w, int32_t first) {               \
        name(a, w, first, OCTQ_FP32);                                                              \
    }                                                                                              \
    static void name##_q31(const octk_conv_rows *a, const void *w, int32_t first) {                \
        name(a, w, first, OCTQ_Q31);                                                               \
    }

/* Panels of 16 lanes, the last one perhaps of 8. */
static inline void octk_each_panel(const octk_conv_rows *a, octk_panel_fn *wide,
                                   octk_panel_fn *slim) {
    const int32_t lanes = octk_lanes(a->o);
    const uint8_t *w = a->w;
    for (int32_t first = 0; first < lanes; first += 16) {
        const int32_t width = octk_panel_lanes(lanes, first);
        (width == 16 ? wide : slim)(a, w, first);
        w += (int64_t)a->runs * a->steps * width * 4;
    }
}

#endif
