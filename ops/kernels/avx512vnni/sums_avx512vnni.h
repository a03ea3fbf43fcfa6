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

/* What a tile works from. Volatile: kept in memory and read again by who needs it, since a register
 * is free nowhere else but among vectors. */
typedef struct work {
    const octk_conv_rows *volatile a;
    const struct group *volatile g;
    octk_ahead *next; /* weights: with each turn of the loop; NULL: none */
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

/* Chains of a tile of so few sums that each would wait for its last product: of every second step,
 * or every fourth. */
#define CHAINS(sums) ((sums) <= 4 ? 4 : (sums) <= 8 ? 2 : 1)

/* Sums of `size` pixels by `panels` vectors; unrolled for each size, so that they stay in
 * registers. p has every pixel, or every second. */
#define SUMS(name, vec, most, load, lanes, STEP, GO_ON)                                            \
    ALWAYS void name(const work *t, const uint8_t *w, const int32_t *b, const uint8_t *const *p,   \
                     vec *s, const int32_t size, const int32_t panels, const bool pairs) {         \
        const int64_t panel = (int64_t)t->a->runs * t->a->steps * lanes * 4;                       \
        octk_ahead *const next = t->next;                                                          \
        const int32_t sums = size * panels, chains = CHAINS(sums);                                 \
        vec c[most], four[4];                                                                      \
        _Pragma("GCC unroll 24") for (int32_t i = 0; i < sums; i++) c[i] =                         \
            load((const void *)(b + i % panels * lanes));                                          \
        _Pragma("GCC unroll 24") for (int32_t i = sums; i < chains * sums; i++) c[i] = (vec){0};   \
        for (int32_t r = 0; r < t->a->runs; r++) {                                                 \
            const octk_conv_rows *const a = t->a;                                                  \
            int64_t at = a->run[r], beside = at + a->pair;                                         \
            EACH_STEP(STEP, GO_ON)                                                                 \
        }                                                                                          \
        _Pragma("GCC unroll 24") for (int32_t i = 0; i < sums; i++) {                              \
            s[i] = c[i];                                                                           \
            if (chains == 4) s[i] = ADD_##lanes(s[i], c[2 * sums + i]);                            \
            if (chains > 1) s[i] = ADD_##lanes(s[i], c[sums + i]);                                 \
            if (chains == 4) s[i] = ADD_##lanes(s[i], c[3 * sums + i]);                            \
        }                                                                                          \
    }
#define ADD_8  _mm256_add_epi32
#define ADD_16 _mm512_add_epi32
#define SUMS_STEP(off, vec, load, spread, lanes)                                                   \
    _Pragma("GCC unroll 4") for (int32_t v = 0; v < panels; v++) four[v] =                         \
        load((const void *)(w + lanes * off + v * panel));                                         \
    _Pragma("GCC unroll 24") for (int32_t j = 0; j < size; j++) {                                  \
        const uint8_t *const q = p[pairs ? j / 2 : j];                                             \
        const int64_t place = pairs && j % 2 ? beside : at;                                        \
        vec *const to = c + off / 4 % chains * sums + j * panels;                                  \
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
    if (next && (n) == AT_ONCE) octk_fetch(next, 0, 1);
SUMS(sums_slim, __m256i, SLIM, LOAD256, 8, SLIM_STEP, SLIM_GO_ON)
SUMS(sums_wide, __m512i, WIDE, _mm512_loadu_si512, 16, WIDE_STEP, WIDE_GO_ON)

/* ---- pixels of several lines by one panel ---- */

#ifdef DOT
#define SPREAD(x, p, index, scale) (x) = _mm512_set1_epi32(octk_step_at((p) + (index) * (scale)))
#define PRODUCT(s, x, w)           DOT(s, x, w)
#else
#define SPREAD(x, p, i, scale)                                                                     \
    __asm__ volatile("vpbroadcastd (%1,%2," #scale "),%0" : "=v"(x) : "r"(p), "r"(i) : "memory")
#define PRODUCT(s, x, w) __asm__ volatile(DOT_NAME " %2,%1,%0" : "+v"(s) : "v"(x), "v"(w))
#endif

/* Where rows of the image are behind each other: multiples of the pitch that no address has. */
typedef struct row_pitch {
    int64_t one, three, five;
} row_pitch;

/* The step at p, r rows further down. */
ALWAYS __m512i spread_below(const uint8_t *p, const int32_t r, const row_pitch *at) {
    __m512i x;
    if (r == 5)
        SPREAD(x, p, at->five, 1);
    else if (r == 4)
        SPREAD(x, p, at->one, 4);
    else if (r == 3)
        SPREAD(x, p, at->three, 1);
    else if (r == 2)
        SPREAD(x, p, at->one, 2);
    else if (r == 1)
        SPREAD(x, p, at->one, 1);
    else
        SPREAD(x, p, (int64_t)0, 1);
    return x;
}

/* Products of `rows` rows of the kernel, 2 or 3: their weights are in registers, and a row of the
 * image is loaded once for all lines whose windows it is in. */
ALWAYS void rows_of_lines(const work *t, const uint8_t *w, const uint8_t **p, __m512i *c,
                          const int32_t columns, const int32_t lines, const int32_t rows) {
    const row_pitch at = {t->a->line, 3 * t->a->line, 5 * t->a->line};
    int32_t left = t->a->steps;
    const int64_t row = (int64_t)left * 64;
    do {
        __m512i of[3];
        _Pragma("GCC unroll 3") for (int32_t v = 0; v < rows; v++) of[v] =
            _mm512_loadu_si512(w + v * row);
        _Pragma("GCC unroll 6") for (int32_t r = 0; r < lines + rows - 1; r++) {
            _Pragma("GCC unroll 8") for (int32_t j = 0; j < columns; j++) {
                const __m512i x = spread_below(p[j], r, &at);
                _Pragma("GCC unroll 4") for (int32_t l = 0; l < lines; l++) {
                    if (r - l >= 0 && r - l < rows) PRODUCT(c[j * lines + l], x, of[r - l]);
                }
            }
        }
        _Pragma("GCC unroll 8") for (int32_t j = 0; j < columns; j++) p[j] += 4;
        w += 64;
    } while (--left);
}

/* Sums of `columns` columns of pixels of `lines` lines: p has the first pixel of each. Rows of the
 * kernel go by twos, the last three at once: nearly all kernels have no more, whose places then
 * need not be kept. */
ALWAYS void sums_lines(const work *t, const uint8_t *w, const int32_t *b, const uint8_t **p,
                       __m512i *s, const int32_t columns, const int32_t lines) {
    __m512i c[WIDE];
    int32_t left = t->a->runs;
    _Pragma("GCC unroll 24") for (int32_t i = 0; i < columns * lines; i++) c[i] =
        _mm512_loadu_si512(b);
    for (; left > 3; left -= 2) {
        rows_of_lines(t, w, p, c, columns, lines, 2);
        const octk_conv_rows *const a = t->a;
        const int64_t on = 2 * a->line - 4 * (int64_t)a->steps;
        _Pragma("GCC unroll 8") for (int32_t j = 0; j < columns; j++) p[j] += on;
        w += (int64_t)a->steps * 128;
    }
    if (left == 3)
        rows_of_lines(t, w, p, c, columns, lines, 3);
    else
        rows_of_lines(t, w, p, c, columns, lines, 2);
    _Pragma("GCC unroll 24") for (int32_t i = 0; i < columns * lines; i++) s[i] = c[i];
}
