/* SPDX-License-Identifier: MIT
 * Rows of codes times panels of weights with VPMADDUBSW, a code in two halves of four bits, so that
 * sums of eight steps stay inside s16 whatever the weights are; a VPMADDWD by 16 and by 1 then adds
 * both. 32 products take four instructions and an eighth of two, as many as with weights of s16,
 * but read half the bytes: a single row is bound by these. Assembly, since gcc 12 adds in another
 * order, for which registers are too few. */
#include <immintrin.h>

#include "ops/kernels/avx2/panels_avx2.h"

enum { STEPS = OCTK_NIBBLE_STEPS, BLOCK = 4 * STEPS /* codes */, HALF = 15 };

/* Upper halves of a row's codes, and behind them the lower ones; what lies behind its end meets
 * weights of zero. */
static void halve(const uint8_t *x, int32_t k, int64_t all, uint8_t *to) {
    const __m256i half = _mm256_set1_epi8(HALF);
    for (int64_t i = 0; i < all; i += BLOCK) {
        uint8_t last[BLOCK] = {0};
        const uint8_t *from = x + i;
        if (k - i < BLOCK) from = memcpy(last, from, (size_t)(k - i));
        const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)from);
        _mm256_storeu_si256((__m256i *)(void *)(to + i),
                            _mm256_and_si256(_mm256_srli_epi16(v, 4), half));
        _mm256_storeu_si256((__m256i *)(void *)(to + all + i), _mm256_and_si256(v, half));
    }
}

/* Step j of a block: both halves of its codes, then 32 bytes of weights times them into register h
 * and l, added or as the block's first ones. */
#define HALVES(j)                                                                                  \
    "vpbroadcastd 4*" #j "(%[x]),%%ymm8\n\tvpbroadcastd 4*" #j "(%[x],%[all]),%%ymm9\n\t"
#define FIRST(at, h, l, t, u)                                                                      \
    "vmovdqu " at "(%[w]),%%ymm" #t "\n\tvpmaddubsw %%ymm" #t ",%%ymm8,%%ymm" #h "\n\t"            \
    "vpmaddubsw %%ymm" #t ",%%ymm9,%%ymm" #l "\n\t"
#define MORE(at, h, l, t, u)                                                                       \
    "vmovdqu " at "(%[w]),%%ymm" #t "\n\tvpmaddubsw %%ymm" #t ",%%ymm8,%%ymm" #u "\n\t"            \
    "vpmaddubsw %%ymm" #t ",%%ymm9,%%ymm" #t "\n\tvpaddw %%ymm" #u ",%%ymm" #h ",%%ymm" #h "\n\t"  \
    "vpaddw %%ymm" #t ",%%ymm" #l ",%%ymm" #l "\n\t"
#define WIDE(what, j) HALVES(j) what("64*" #j, 0, 1, 10, 11) what("32+64*" #j, 2, 3, 12, 13)
#define SLIM(what, j) HALVES(j) what("32*" #j, 0, 1, 10, 11)
/* weights that come from memory, fetched 8 KB ahead: alone they had kept products waiting, as they
 * did a little at 4 KB */
#define FAR(what, j) WIDE(what, j) "prefetcht1 8192+64*" #j "(%[w])\n\t"
#define EACH(STEP)                                                                                 \
    STEP(FIRST, 0)                                                                                 \
    STEP(MORE, 1)                                                                                  \
    STEP(MORE, 2) STEP(MORE, 3) STEP(MORE, 4) STEP(MORE, 5) STEP(MORE, 6) STEP(MORE, 7)
#define END(h, l, s)                                                                               \
    "vpmaddwd %[upper],%%ymm" #h ",%%ymm" #h "\n\tvpmaddwd %[lower],%%ymm" #l ",%%ymm" #l "\n\t"   \
    "vpaddd %%ymm" #h "," s "," s "\n\tvpaddd %%ymm" #l "," s "," s "\n\t"
#define ENDS_WIDE END(0, 1, "%[s0]") END(2, 3, "%[s1]")
#define ENDS_SLIM END(0, 1, "%[s0]")

/* Adds a row times a panel to its sums s[0], s[1] (slim: s[0]). */
#define PANEL(name, STEP, ends, bytes)                                                             \
    static inline void name(const uint8_t *x, int64_t all, const int8_t *w, __m256i *s) {          \
        const __m256i upper = _mm256_set1_epi16(16), lower = _mm256_set1_epi16(1);                 \
        int64_t blocks = all / BLOCK;                                                              \
        __asm__ volatile(                                                                          \
            ".p2align 5\n1:\n\t" EACH(STEP) ends "add $32,%[x]\n\tadd $" #bytes                    \
                                                 ",%[w]\n\tdec %[blocks]\n\tjnz 1b\n\t"            \
            : [x] "+r"(x), [w] "+r"(w), [blocks] "+r"(blocks), [s0] "+x"(s[0]), [s1] "+x"(s[1])    \
            : [all] "r"(all), [upper] "x"(upper), [lower] "x"(lower)                               \
            : "memory", "cc", "ymm0", "ymm1", "ymm2", "ymm3", "ymm8", "ymm9", "ymm10", "ymm11",    \
              "ymm12", "ymm13");                                                                   \
    }
PANEL(wide, WIDE, ENDS_WIDE, 512)
PANEL(wide_far, FAR, ENDS_WIDE, 512)
PANEL(slim, SLIM, ENDS_SLIM, 256)

static inline void sums(const octk_nibbles_u8u8 *a, const int8_t *w, int32_t first, int32_t width,
                        int32_t image, __m256i s[2]) {
    const int64_t all = (int64_t)a->steps * 4;
    const uint8_t *x = a->halves + image * 2 * all;
    s[0] = _mm256_loadu_si256((const __m256i *)(const void *)(a->b + first));
    s[1] =
        width < 16 ? s[0] : _mm256_loadu_si256((const __m256i *)(const void *)(a->b + first + 8));
    if (width < 16)
        slim(x, all, w, s);
    else if (a->far && !image)
        wide_far(x, all, w, s);
    else
        wide(x, all, w, s);
}

/* Eight channels of two rows, of a vector of sums each. */
static inline void put_slim(__m256i s, __m256i t, const octk_eight *m, octq_law law, octk_ends e,
                            uint8_t *y, uint8_t *z, int32_t valid) {
    const __m256i c = octk_scaled(s, m, law), d = octk_scaled(t, m, law),
                  q = octk_codes(c, d, c, d, e);
    const __m128i both =
        _mm_unpacklo_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
    octk_store_bytes(y, both, valid);
    octk_store_bytes(z, _mm_unpackhi_epi64(both, both), valid);
}

/* A panel by all images, two at a time. */
static inline void run_panel(const octk_nibbles_u8u8 *a, const int8_t *w, int32_t first,
                             int32_t width, octq_law law) {
    const octk_ends e = octk_ends_of(a->zy, a->lo, a->hi);
    const int32_t valid = a->o - first < width ? a->o - first : width;
    const octk_eight m[2] = {octk_eight_of(&a->by, first, first + 4),
                             octk_eight_of(&a->by, first + width - 8, first + width - 4)};
    for (int32_t i = 0; i < a->n; i += 2) {
        const int32_t j = i + 1 < a->n ? i + 1 : i;
        uint8_t *y = a->y + i * a->y_image + first, *z = a->y + j * a->y_image + first;
        __m256i s[2], t[2];
        sums(a, w, first, width, i, s);
        t[0] = s[0], t[1] = s[1];
        if (j > i) sums(a, w, first, width, j, t);
        if (width == 16)
            octk_put_wide(s, t, m, law, e, y, z, valid);
        else
            put_slim(s[0], t[0], m, law, e, y, z, valid);
    }
}

static void run_fp32(const octk_nibbles_u8u8 *a, const int8_t *w, int32_t first, int32_t width) {
    run_panel(a, w, first, width, OCTQ_FP32);
}
static void run_q31(const octk_nibbles_u8u8 *a, const int8_t *w, int32_t first, int32_t width) {
    run_panel(a, w, first, width, OCTQ_Q31);
}

void octk_nibbles_u8u8_avx2(const octk_nibbles_u8u8 *a) {
    const int32_t lanes = octk_lanes(a->o);
    const int64_t all = (int64_t)a->steps * 4;
    const int8_t *w = a->w;
    for (int32_t i = 0; i < a->n; i++)
        halve(a->x + i * a->x_image, a->k, all, a->halves + i * 2 * all);
    for (int32_t first = 0; first < lanes; first += 16) {
        const int32_t width = octk_panel_lanes(lanes, first);
        (a->by.law == OCTQ_FP32 ? run_fp32 : run_q31)(a, w, first, width);
        w += all * width;
    }
}
