/* SPDX-License-Identifier: MIT
 * Sums of a tile's pixels by one, two or four panels of 16 channels, a vector each (or of a panel
 * of 8 lanes in half of one), whatever instruction multiplies: a user defines DOT_NAME, its name.
 * Included in the middle of a file: no guard.
 *
 * A step is spread and multiplied in one piece of assembly: around the intrinsic gcc 12 copies
 * every sum, and of places that it adds up by itself it keeps some in vector or mask registers,
 * from which they come back behind all products that wait (a tenth of a layer of 16 channels). */
#define ALWAYS static inline __attribute__((always_inline))

enum { WIDE = 24, SLIM = 16, AT_ONCE = 4 }; /* sums of a tile; steps of a turn of the loop */

/* Weights that are wanted next: so many lines of 64 bytes with each turn. */
typedef struct ahead {
    const uint8_t *at;
    int32_t lines;
} ahead;

/* What a tile works from. Volatile: kept in memory and read again by who needs it, since a register
 * is free nowhere else but among vectors. */
typedef struct work {
    const octk_conv_rows *volatile a;
    const struct group *volatile g;
    ahead *next;
} work;

/* The step at p + at + off, in every lane, by one, two or four vectors of weights. */
#ifdef DOT /* a test has its own */
#define STEP_AT(spread, off, p, at)         spread(octk_step_at((p) + (at) + (off)))
#define DOT1(vec, spread, off, p, at, s, w) DOT((s)[0], STEP_AT(spread, off, p, at), (w)[0]);
#define DOT2(vec, spread, off, p, at, s, w)                                                        \
    for (int v_ = 0; v_ < 2; v_++) DOT((s)[v_], STEP_AT(spread, off, p, at), (w)[v_]);
#define DOT4(vec, spread, off, p, at, s, w)                                                        \
    for (int v_ = 0; v_ < 4; v_++) DOT((s)[v_], STEP_AT(spread, off, p, at), (w)[v_]);
#else
#define DOT1(vec, spread, off, p, at, s, w)                                                        \
    {                                                                                              \
        vec x_;                                                                                    \
        __asm__ volatile("vpbroadcastd " #off "(%2,%3),%1\n\t" DOT_NAME " %4,%1,%0"                \
                         : "+v"((s)[0]), "=&v"(x_)                                                 \
                         : "r"(p), "r"(at), "v"((w)[0])                                            \
                         : "memory");                                                              \
    }
#define DOT2(vec, spread, off, p, at, s, w)                                                        \
    {                                                                                              \
        vec x_;                                                                                    \
        __asm__ volatile("vpbroadcastd " #off "(%3,%4),%2\n\t" DOT_NAME " %5,%2,%0\n\t" DOT_NAME   \
                         " %6,%2,%1"                                                               \
                         : "+v"((s)[0]), "+v"((s)[1]), "=&v"(x_)                                   \
                         : "r"(p), "r"(at), "v"((w)[0]), "v"((w)[1])                               \
                         : "memory");                                                              \
    }
#define DOT4(vec, spread, off, p, at, s, w)                                                        \
    {                                                                                              \
        vec x_;                                                                                    \
        __asm__ volatile("vpbroadcastd " #off "(%5,%6),%4\n\t" DOT_NAME " %7,%4,%0\n\t" DOT_NAME   \
                         " %8,%4,%1\n\t" DOT_NAME " %9,%4,%2\n\t" DOT_NAME " %10,%4,%3"            \
                         : "+v"((s)[0]), "+v"((s)[1]), "+v"((s)[2]), "+v"((s)[3]), "=&v"(x_)       \
                         : "r"(p), "r"(at), "v"((w)[0]), "v"((w)[1]), "v"((w)[2]), "v"((w)[3])     \
                         : "memory");                                                              \
    }
#endif

/* All steps of a run; off: bytes of a step from where `at` and w stand. */
#define EACH_STEP(STEP, GO_ON)                                                                     \
    {                                                                                              \
        int32_t left = a->steps;                                                                   \
        for (; left >= AT_ONCE; left -= AT_ONCE) {                                                 \
            STEP(0)                                                                                \
            STEP(4)                                                                                \
            STEP(8)                                                                                \
            STEP(12)                                                                               \
            GO_ON(AT_ONCE)                                                                         \
        }                                                                                          \
        for (; left >= 2; left -= 2) {                                                             \
            STEP(0)                                                                                \
            STEP(4)                                                                                \
            GO_ON(2)                                                                               \
        }                                                                                          \
        if (left) {                                                                                \
            STEP(0)                                                                                \
            GO_ON(1)                                                                               \
        }                                                                                          \
    }

/* Sums of `size` pixels by `panels` vectors; unrolled for each size, so that they stay in
 * registers. p has every pixel, or every second. */
#define SUMS(name, vec, most, load, lanes, STEP, GO_ON)                                            \
    ALWAYS void name(const work *t, const uint8_t *w, const int32_t *b, const uint8_t *const *p,   \
                     vec *s, const int32_t size, const int32_t panels, const bool pairs) {         \
        const int64_t panel = (int64_t)t->a->runs * t->a->steps * lanes * 4;                       \
        ahead *const next = t->next;                                                               \
        vec c[most], four[4];                                                                      \
        _Pragma("GCC unroll 24") for (int32_t i = 0; i < size * panels; i++) c[i] =                \
            load((const void *)(b + i % panels * lanes));                                          \
        for (int32_t r = 0; r < t->a->runs; r++) {                                                 \
            const octk_conv_rows *const a = t->a;                                                  \
            int64_t at = a->run[r], beside = at + a->pair;                                         \
            EACH_STEP(STEP, GO_ON)                                                                 \
        }                                                                                          \
        _Pragma("GCC unroll 24") for (int32_t i = 0; i < size * panels; i++) s[i] = c[i];          \
    }
#define SUMS_STEP(off, vec, load, spread, lanes)                                                   \
    _Pragma("GCC unroll 4") for (int32_t v = 0; v < panels; v++) four[v] =                         \
        load((const void *)(w + lanes * off + v * panel));                                         \
    _Pragma("GCC unroll 24") for (int32_t j = 0; j < size; j++) {                                  \
        const uint8_t *const q = p[pairs ? j / 2 : j];                                             \
        const int64_t place = pairs && j % 2 ? beside : at;                                        \
        vec *const to = c + j * panels;                                                            \
        if (panels == 4)                                                                           \
            DOT4(vec, spread, off, q, place, to, four)                                             \
        else if (panels == 2)                                                                      \
            DOT2(vec, spread, off, q, place, to, four)                                             \
        else                                                                                       \
            DOT1(vec, spread, off, q, place, to, four)                                             \
    }
#define LOAD256(at)    _mm256_loadu_si256((const __m256i *)(at))
#define SLIM_STEP(off) SUMS_STEP(off, __m256i, LOAD256, _mm256_set1_epi32, 8)
#define SLIM_GO_ON(n)  (void)next, w += (n)*32, at += (n)*4, beside += (n)*4;
#define WIDE_STEP(off) SUMS_STEP(off, __m512i, _mm512_loadu_si512, _mm512_set1_epi32, 16)
#define WIDE_GO_ON(n)                                                                              \
    w += (n)*64, at += (n)*4, beside += (n)*4;                                                     \
    if (next && (n) == AT_ONCE)                                                                    \
        for (int32_t i = 0; i < next->lines; i++, next->at += 64)                                  \
            _mm_prefetch((const char *)next->at, _MM_HINT_T0);
SUMS(sums_slim, __m256i, SLIM, LOAD256, 8, SLIM_STEP, SLIM_GO_ON)
SUMS(sums_wide, __m512i, WIDE, _mm512_loadu_si512, 16, WIDE_STEP, WIDE_GO_ON)

/* Sums of pixels of two lines by one panel: p has every fourth of them, whose row and column are
 * the first ones. The first row of the image is the upper line's alone, the last one the lower
 * line's: these two are multiplied beside each other. The others are for both. */
#define ENDS_STEP(off)                                                                             \
    upper = _mm512_loadu_si512(w + 16 * off), lower = _mm512_loadu_si512(v + 16 * off);            \
    _Pragma("GCC unroll 4") for (int32_t j = 0; j < size / 4; j++) {                               \
        DOT1(__m512i, _mm512_set1_epi32, off, p[j], at, c + 4 * j, &upper)                         \
        DOT1(__m512i, _mm512_set1_epi32, off, p[j], below, c + 4 * j + 1, &lower)                  \
        DOT1(__m512i, _mm512_set1_epi32, off, p[j], beside, c + 4 * j + 2, &upper)                 \
        DOT1(__m512i, _mm512_set1_epi32, off, p[j], across, c + 4 * j + 3, &lower)                 \
    }
#define ENDS_GO_ON(n)                                                                              \
    w += (n)*64, v += (n)*64, at += (n)*4, below += (n)*4, beside += (n)*4, across += (n)*4;
#define LINES_STEP(off)                                                                            \
    both[0] = _mm512_loadu_si512(w + 16 * off), both[1] = _mm512_loadu_si512(v + 16 * off);        \
    _Pragma("GCC unroll 4") for (int32_t j = 0; j < size / 4; j++) {                               \
        DOT2(__m512i, _mm512_set1_epi32, off, p[j], at, c + 4 * j, both)                           \
        DOT2(__m512i, _mm512_set1_epi32, off, p[j], beside, c + 4 * j + 2, both)                   \
    }
#define LINES_GO_ON(n) w += (n)*64, v += (n)*64, at += (n)*4, beside += (n)*4;

ALWAYS void sums_lines(const work *t, const uint8_t *w, const int32_t *b, const uint8_t *const *p,
                       __m512i *s, const int32_t size) {
    __m512i c[SLIM], upper, lower, both[2];
    const uint8_t *v;
    _Pragma("GCC unroll 16") for (int32_t i = 0; i < size; i++) c[i] = _mm512_loadu_si512(b);
    {
        const octk_conv_rows *const a = t->a;
        int64_t at = a->run[0], below = at + a->runs * a->line, beside = at + a->pair,
                across = below + a->pair;
        v = w + (int64_t)(a->runs - 1) * a->steps * 64;
        EACH_STEP(ENDS_STEP, ENDS_GO_ON)
    }
    v = w - (int64_t)t->a->steps * 64;
    for (int32_t r = 1; r < t->a->runs; r++) {
        const octk_conv_rows *const a = t->a;
        int64_t at = a->run[r], beside = at + a->pair;
        EACH_STEP(LINES_STEP, LINES_GO_ON)
    }
    _Pragma("GCC unroll 16") for (int32_t i = 0; i < size; i++) s[i] = c[i];
}
