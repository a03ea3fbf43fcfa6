/* SPDX-License-Identifier: MIT
 * The products of exact integer Winograd with VPDPWSSD: a tile's 16 channels are one vector. Four
 * panels of outputs share the tiles' pairs, or two; of one panel two positions at a time keep
 * twelve sums going. */
#include <immintrin.h>
#include <string.h>

#include "ops/kernels/kernels.h"

/* Assembly: around the intrinsic gcc 12 copies every sum. */
#ifndef DOT /* a test has its own */
#define DOT(s, x, weights) __asm__("vpdpwssd %2,%1,%0" : "+v"(s) : "v"(x), "v"(weights))
#endif

enum { G = OCTK_WINO_GROUP };

static inline __m512i pair_of(const int16_t *v) {
    int32_t two;
    memcpy(&two, v, sizeof two);
    return _mm512_set1_epi32(two);
}

/* `size` tiles by `panels` panels; of one panel position p and p + 1, the last one of an odd number
 * twice, stored once. Where these are few sums they are kept twice, of even and of odd pairs: two
 * products begin in a cycle and each takes five. Unrolled, so that sums stay in registers. */
static inline __attribute__((always_inline)) void product(const octk_wino_mul_s16 *a,
                                                          const int16_t *u, int32_t *m,
                                                          octk_ahead next, const int32_t size,
                                                          const int32_t panels) {
    const int32_t together = panels == 1 ? 2 : 1, vectors = panels * together;
    const int32_t sums = size * vectors, chains = sums <= 8 ? 2 : 1;
    const int64_t position_u = (int64_t)a->blocks * 256, position_v = (int64_t)a->blocks * G * 16;
    const int16_t *v = a->v;
    for (int32_t p = 0; p < a->positions; p += together, m += together * G * 16) {
        const bool two = panels == 1 && p + 1 < a->positions;
        const int64_t beside_v = two ? position_v : 0, apart_u = panels > 1 ? a->u_panel
                                                                 : two      ? position_u
                                                                            : 0;
        __m512i s[24], w[4];
        _Pragma("GCC unroll 24") for (int32_t i = 0; i < chains * sums; i++) s[i] =
            _mm512_setzero_si512();
        for (int32_t b = 0; b < a->blocks; b++, v += G * 16) {
            octk_fetch(&next, a->u_panel * 2, panels);
            /* unrolled too: a loop's ends cost 2 to 5 % */
            _Pragma("GCC unroll 8") for (int32_t k = 0; k < 8; k++, u += 32) {
                _Pragma("GCC unroll 4") for (int32_t j = 0; j < vectors; j++) w[j] =
                    _mm512_loadu_si512((const void *)(u + j * apart_u));
                _Pragma("GCC unroll 6") for (int32_t i = 0; i < size; i++) {
                    const int16_t *at = v + i * 16 + 2 * k;
                    const __m512i x = pair_of(at), y = panels == 1 ? pair_of(at + beside_v) : x;
                    _Pragma("GCC unroll 4") for (int32_t j = 0; j < vectors; j++) {
                        if (panels == 1 && j)
                            DOT(s[k % chains * sums + i * vectors + j], y, w[j]);
                        else
                            DOT(s[k % chains * sums + i * vectors + j], x, w[j]);
                    }
                }
            }
        }
        const int32_t others = chains > 1 ? sums : 0;
        _Pragma("GCC unroll 8") for (int32_t i = 0; i < others; i++) s[i] =
            _mm512_add_epi32(s[i], s[sums + i]);
        _Pragma("GCC unroll 4") for (int32_t j = 0; j < vectors; j++) {
            if (panels == 1 && j && !two) continue;
            int32_t *to = m + j * (panels == 1 ? G * 16 : a->m_panel);
            _Pragma("GCC unroll 6") for (int32_t i = 0; i < size; i++)
                _mm512_storeu_si512((void *)(to + i * 16), s[i * vectors + j]);
        }
        v += beside_v;
        u += panels == 1 ? apart_u : 0;
    }
}

#define SIZE(n, panels)                                                                            \
    static void product##n##by##panels(const octk_wino_mul_s16 *a, const int16_t *u, int32_t *m,   \
                                       octk_ahead next) {                                          \
        product(a, u, m, next, n, panels);                                                         \
    }
#define SIZES(panels)                                                                              \
    SIZE(1, panels)                                                                                \
    SIZE(2, panels) SIZE(3, panels) SIZE(4, panels) SIZE(5, panels) SIZE(6, panels)
SIZES(1)
SIZES(2)
SIZES(4)

typedef void product_fn(const octk_wino_mul_s16 *a, const int16_t *u, int32_t *m, octk_ahead next);

/* Panels by fours, by twos, one. */
void octk_wino_mul_s16_avx512vnni(const octk_wino_mul_s16 *a) {
    static const struct {
        int32_t panels;
        product_fn *of[G];
    } widths[] = {
        {4, {product1by4, product2by4, product3by4, product4by4, product5by4, product6by4}},
        {2, {product1by2, product2by2, product3by2, product4by2, product5by2, product6by2}},
        {1, {product1by1, product2by1, product3by1, product4by1, product5by1, product6by1}}};
    octk_ahead next = a->next;
    int32_t done = 0;
    for (int32_t i = 0; i < 3; i++)
        for (; a->panels - done >= widths[i].panels; done += widths[i].panels) {
            next.at = a->next.at + (uintptr_t)(done * a->u_panel * 2);
            widths[i].of[a->count - 1](a, a->u + done * a->u_panel, a->m + done * a->m_panel, next);
        }
}
