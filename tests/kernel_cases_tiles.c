/* SPDX-License-Identifier: MIT
 * Kernels over tiles of codes against sums in int64 and the law: strips that overlap, lines with
 * windows between them that nobody wants, the largest sums, memory that ends with the last window
 * (ASan sees who reads on). */
#include "tests/kernel_cases.h"

static octk_tiles_u8u8 draw_walk(octi_rng *r, int round) {
    const bool pooled = below(r, 3) == 0;
    octk_tiles_u8u8 a = {.o = round < 70 ? round + 1 : 1 + below(r, 70),
                         .runs = 1 + below(r, 9),
                         .steps = 1 + below(r, 16),
                         .images = 1 + below(r, 3),
                         .strips = 1 + below(r, 4),
                         .length = 1 + below(r, below(r, 4) ? 40 : 90),
                         .pixel = 1 + below(r, 80),
                         .strip = below(r, 300),
                         .image = below(r, 900),
                         .zy = below(r, 4) ? below(r, 256) : 255 * below(r, 2),
                         .hi = 255,
                         .pooled = pooled};
    if (below(r, 2)) a.lo = below(r, a.zy + 1), a.hi = a.zy + below(r, 256 - a.zy);
    if (pooled) a.strips *= 2, a.length = (a.length + 1) & ~1;
    a.line = a.wanted = a.length;
    if (!pooled && below(r, 2)) {
        a.line = 1 + below(r, a.length < OCTK_TILES_LINE ? a.length : OCTK_TILES_LINE);
        a.wanted = 1 + below(r, a.line);
        while ((a.length - 1) % a.line >= a.wanted) a.length--; /* the last window is wanted */
    }
    a.y_pixel = a.o + below(r, 5);
    a.y_line = a.wanted * a.y_pixel + below(r, 9);
    a.y_strip = (a.length / a.line + 1) * a.y_line + below(r, 9);
    a.y_image = (a.strips + 1) * a.y_strip + below(r, 9);
    return a;
}

/* Products of lane l over the window at x. */
static int64_t products(const octk_tiles_u8u8 *a, const uint8_t *x, const int8_t *w, int l) {
    const int run = a->steps * 4, panel = l / 16 * 16;
    int64_t sum = 0;
    for (int r = 0; r < a->runs; r++)
        for (int i = 0; i < run; i++)
            sum += x[a->run[r] + i] *
                   w[(panel * a->runs + 16 * r) * run + i / 4 * 64 + (l - panel) * 4 + i % 4];
    return sum;
}

static void want_window(const octk_tiles_u8u8 *a, int n, int s, int i, uint8_t *want) {
    const int each = a->pooled ? 2 : 1;
    if (i % a->line >= a->wanted) return;
    for (int l = 0; l < (a->o + 15) / 16 * 16; l++) {
        const int o = l / 16 * 16 + octk_lane_channel(16, l % 16);
        if (o >= a->o) continue;
        const int64_t sum =
            a->b[l] + products(a,
                               (const uint8_t *)a->x + n * a->image + s * a->strip + i * a->pixel,
                               a->w, l);
        const int32_t wrapped = (int32_t)(uint32_t)(uint64_t)sum;
        uint8_t *y = want + n * a->y_image + s / each * a->y_strip + i / a->line * a->y_line +
                     i % a->line / each * a->y_pixel + o;
        const uint8_t code = (uint8_t)law_of_sum(&a->by, l, wrapped, a->zy, a->lo, a->hi);
        if ((s % each == 0 && i % each == 0) || code > *y) *y = code;
    }
}

void check_tiles_u8u8(octk_tiles_u8u8_fn *kernel, const char *name) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 176, 0);
    int raised = 0;
    for (int round = 0; round < 200 / SANITIZED_PART; round++) {
        octk_tiles_u8u8 a = draw_walk(&r, round);
        const bool lifted = below(&r, 3) == 0;
        if (lifted) a.zy = below(&r, 2) * below(&r, 256), a.lo = 0, a.hi = 255;
        const int run = 4 * a.steps, k = a.runs * run, lanes = (a.o + 15) / 16 * 16,
                  largest = below(&r, 4), farthest = below(&r, 400);
        const int64_t most = lifted ? (1 << 23) - 1 : INT32_MAX;
        int64_t *runs = untouched((size_t)a.runs * 8);
        for (int i = 0; i < a.runs; i++) runs[i] = i ? below(&r, farthest + 1) : farthest;
        const size_t codes = (size_t)((a.images - 1) * a.image + (a.strips - 1) * a.strip +
                                      (a.length - 1) * a.pixel + farthest + run),
                     bytes = (size_t)(a.images * a.y_image);
        uint8_t *x = untouched(codes), *want = untouched(bytes);
        int8_t *w = untouched((size_t)(lanes * k));
        int32_t *b = untouched((size_t)lanes * 4), *numbers = untouched((size_t)lanes * 8);
        float *m = untouched((size_t)lanes * 4);
        for (size_t i = 0; i < codes; i++) x[i] = (uint8_t)(largest ? below(&r, 256) : 255);
        for (int i = 0; i < lanes * k; i++)
            w[i] = (int8_t)(largest ? below(&r, 256) - 128 : below(&r, 50) ? 127 : -128);
        if (lifted && largest) /* their sums stay inside 2^22 */
            for (int i = 0; i < lanes * k; i++) w[i] = (int8_t)(w[i] / (1 + k / 128));
        a.x = x, a.w = w, a.b = b, a.run = runs, a.y = untouched(bytes);
        for (int l = 0; l < lanes; l++) {
            /* where all windows are one: the largest sums, by a bias that wraps on the way */
            b[l] = largest ? below(&r, 1 << 20) - (1 << 19)
                           : (int32_t)(uint32_t)(uint64_t)((l % 2 ? 1 : -1) * most -
                                                           products(&a, x, w, l));
            m[l] = largest ? 300.0f / (255 * 128 * (float)k) * (0.1f + octi_rng_uniform(&r))
                   : l % 3 ? 0.99f
                           : 300.0f / (float)most * octi_rng_uniform(&r);
            if (lifted && largest) m[l] *= (float)(1 + k / 128);
        }
        a.by = draw_records(&r, m, numbers, lanes);
        if (lifted) a.by = (octq_multipliers){.law = OCTQ_FP32, .m = m};
        for (int s = 0; s < a.images * a.strips; s++)
            for (int i = 0; i < a.length; i++) want_window(&a, s / a.strips, s % a.strips, i, want);
        if (lifted) a.lift = draw_lift(b, m, lanes, a.zy, most);
        raised += a.lift.b && a.zy;
        kernel(&a);
        same_bytes(name, a.y, want, bytes);
        free(x), free(w), free(b), free(numbers), free(m), free(runs), free(want), free(a.y);
        free_lift(&a.lift);
    }
    if (SANITIZED_PART == 1) ck_assert_int_gt(raised, 5); /* else few rounds */
}
