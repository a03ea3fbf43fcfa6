/* SPDX-License-Identifier: MIT
 * Kernels of convolutions against sums in int64 and the law: packed panels with lanes left over,
 * largest sums. */
#include <math.h>

#include "src/qround.h"
#include "tests/kernel_cases.h"

/* Usual multipliers, exact ties, and as large as is allowed: |sum| * m < 2^31. */
static float draw_m(octi_rng *r, double largest_sum) {
    switch (below(r, 6)) {
    case 0:
        return 0.5f;
    case 1:
        return (float)(0x1p31 / largest_sum * 0.99);
    case 2:
        return 0x1p-90f;
    default:
        return (float)(300.0 / largest_sum) * (0.1f + octi_rng_uniform(r));
    }
}

void check_widen_u8s16(octk_widen_u8s16_fn *kernel, const char *name) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 170, 0);
    for (int n = 0; n < 300; n++) {
        uint8_t *x = untouched((size_t)n);
        int16_t *y = untouched((size_t)n * 2 + 32), *want = untouched((size_t)n * 2 + 32);
        const int z = n % 3 ? below(&r, 256) : n % 2 * 255;
        for (int i = 0; i < n; i++) x[i] = (uint8_t)below(&r, 256), want[i] = (int16_t)(x[i] - z);
        kernel(x, n, z, y);
        same_bytes(name, y, want, (size_t)n * 2 + 32);
        free(x), free(y), free(want);
    }
}

/* Element i of a row: s16, or of four to a step codes and s8. */
static void put(void *at, int64_t i, int each, int v) {
    if (each == 2)
        ((int16_t *)at)[i] = (int16_t)v;
    else
        ((int8_t *)at)[i] = (int8_t)v;
}
static int code_at(const void *x, int64_t i, int each) {
    return each == 2 ? ((const int16_t *)x)[i] : ((const uint8_t *)x)[i];
}
static int weight_at(const void *w, int64_t i, int each) {
    return each == 2 ? ((const int16_t *)w)[i] : ((const int8_t *)w)[i];
}

/* Of weight j of k of lane l, in the panel of `width` lanes that begins at `first`. */
static int place(int first, int width, int l, int j, int k, int each) {
    return first * k + j / each * width * each + (l - first) * each + j % each;
}

/* Rows of s16, or of codes: `each` elements to a step. */
static void check_rows(octk_conv_rows_fn *kernel, const char *name, const int each) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, each == 2 ? 171 : 175, 0);
    const int size = 4 / each;
    int raised = 0;
    for (int round = 0; round < 1500 / SANITIZED_PART; round++) {
        const bool turns = !below(&r, 4), dense = !below(&r, 4);
        const int o = round < 140             ? 1 + round * 37 % 140
                      : dense && below(&r, 2) ? 16 << below(&r, turns ? 1 : 3)
                                              : 1 + below(&r, turns ? 28 : 140),
                  runs = turns ? 2 + below(&r, 6) : 1 + below(&r, 5),
                  steps = 1 + below(&r, round % 5 ? 6 : 40), pool = below(&r, 3) ? 1 : OCTK_POOLED,
                  lanes = octk_lanes(o), k = runs * steps * each;
        const int turn = !turns ? 1 : pool > 1 ? OCTK_POOLED_LINES : OCTK_LINES;
        const int np = turn == OCTK_LINES ? (dense ? 16 : 4) * (1 + below(&r, dense ? 3 : 10))
                                          : pool * (1 + below(&r, 20)),
                  pair = np % 2 || turns ? 0 : below(&r, 3) * (1 + below(&r, 20)),
                  line = turns ? 1 + below(&r, 20) : 0,
                  room = 4 * k + 64 + 9 * 20; /* elements that pixels and runs lie in */
        const bool lifted = each == 4 && strstr(name, "avx512vnni") && !below(&r, 3);
        const ends e = lifted ? (ends){below(&r, 2) * below(&r, 256), 0, 255} : draw_ends(&r);
        const int style = below(&r, 4), heavy = (1 << 22) / (255 * k), /* weights of lifted sums */
            most = !lifted || heavy > 127 ? 127 : heavy;
        const int64_t bound = lifted ? (1 << 23) - 1 : INT32_MAX;
        void *x = untouched((size_t)(room * size)), *w = untouched((size_t)(lanes * k * size));
        int32_t *b = untouched((size_t)(lanes + 16) * 4),
                *sums = untouched((size_t)(lanes + 16) * 4);
        float *m = untouched((size_t)(lanes + 16) * 4);
        int32_t *numbers = untouched((size_t)(lanes + 16) * 8);
        int64_t *pix = untouched((size_t)np * 8), *out = untouched((size_t)np * 8),
                *run = untouched((size_t)runs * 8);
        for (int i = 0; i < room; i++)
            put(x, i, each, style ? below(&r, 511) - 255 : i % 2 ? 255 : -255);
        for (int i = 0; i < lanes * k; i++)
            put(w, i, each, style ? below(&r, 2 * most + 2) - most - 1 : i % 3 ? most : -most - 1);
        memset(sums, 0, (size_t)(lanes + 16) * 4);
        for (int l = 0; l < lanes && each == 4; l++)
            for (int n = 0; n < k; n++) {
                const int first = l / 16 * 16, width = octk_panel_lanes(lanes, first);
                sums[l] += weight_at(w, place(first, width, l, n, k, each), each);
            }
        for (int l = 0; l < lanes + 16; l++)
            b[l] = style ? below(&r, 1 << 20) - (1 << 19)
                         : (l % 2 ? 1 : -1) * (int)(bound - 255 * (most + 1) * k),
            m[l] = lifted && e.zy ? 0x1p-12f * (0.1f + octi_rng_uniform(&r))
                                  : draw_m(&r, style ? 255.0 * 128 * k + (1 << 20) : (double)bound);
        for (int i = 0; i < runs; i++)
            run[i] = turns && i ? run[i - 1] + line * size : size * below(&r, k + 1);
        const int64_t pitch = o + (dense ? 0 : below(&r, 7));
        const int groups = (np + 15) / 16 * 4;
        for (int i = 0; i < np; i++) {
            const int first = size * below(&r, room - 2 * k - 1 - pair - 9 * line),
                      at = turn == OCTK_LINES ? i / 16 * 16 + i % 16 / 4 + 4 * (i % 4) : i,
                      group = round % 2 ? at / 4 : groups - 1 - at / 4;
            pix[i] = i % turn        ? pix[i - 1] + line * size
                     : pair && i % 2 ? pix[i - 1] + pair * size
                                     : first;
            out[i] = (4 * group + at % 4) * pitch;
        }
        const size_t bytes = (size_t)(4 * groups * pitch);
        uint8_t *want = untouched(bytes);
        octk_conv_rows a = {.x = x,
                            .w = w,
                            .pix = pix,
                            .out = out,
                            .run = run,
                            .pair = pair * size,
                            .line = line * size,
                            .dense = dense,
                            .b = b,
                            .sums = sums,
                            .by = lifted ? (octq_multipliers){.law = OCTQ_FP32, .m = m}
                                         : draw_records(&r, m, numbers, lanes + 16),
                            .y = untouched(bytes),
                            .np = np,
                            .runs = runs,
                            .steps = steps,
                            .o = o,
                            .zy = e.zy,
                            .lo = e.lo,
                            .hi = e.hi,
                            .pooled = pool > 1};
        for (int i = 0; i < np; i++)
            for (int l = 0; l < lanes; l++) {
                const int first = l / 16 * 16, width = octk_panel_lanes(lanes, first),
                          channel = octk_lane_channel(lanes, l);
                if (channel >= o) continue;
                int64_t sum = b[l];
                for (int j = 0; j < k; j++)
                    sum += (int64_t)code_at(
                               x, (pix[i] + run[j / (each * steps)]) / size + j % (each * steps),
                               each) *
                           weight_at(w, place(first, width, l, j, k, each), each);
                uint8_t *at = want + out[i / pool] + channel;
                const uint8_t code = (uint8_t)law_of_sum(&a.by, l, (int32_t)sum, e.zy, e.lo, e.hi);
                if (i % pool == 0 || code > *at) *at = code;
            }
        if (lifted) a.lift = draw_lift(b, m, lanes, a.zy, bound);
        raised += a.lift.b && a.zy;
        kernel(&a);
        same_bytes(name, a.y, want, bytes);
        free(x), free(w), free(b), free(sums), free(m), free(numbers), free(pix), free(out),
            free(run);
        free(want), free(a.y);
        free_lift(&a.lift);
    }
    if (each == 4 && strstr(name, "avx512vnni") && SANITIZED_PART == 1)
        ck_assert_int_gt(raised, 50);
}

void check_conv_s16u8(octk_conv_rows_fn *kernel, const char *name) { check_rows(kernel, name, 2); }
void check_conv_u8u8(octk_conv_rows_fn *kernel, const char *name) { check_rows(kernel, name, 4); }

void check_dw_u8s16(octk_dw_u8s16_fn *kernel, const char *name) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 75, 0);
    for (int round = 0; round < 500 / SANITIZED_PART; round++) {
        const int taps = 1 + below(&r, 10), pairs = (taps + 1) / 2;
        octk_dw_u8s16 a = {.n = 1 + below(&r, 2),
                           .c = round < 140 ? round + 1 : 1 + below(&r, 200),
                           .p = 1 + below(&r, 4),
                           .q = 1 + below(&r, 4),
                           .pairs = pairs,
                           .stride_h = 1 + below(&r, 3),
                           .stride_w = 1 + below(&r, 3)};
        const ends e = draw_ends(&r);
        a.zy = e.zy, a.lo = e.lo, a.hi = e.hi;
        const int reach = 3; /* taps lie up to so many rows and pixels from a window's corner */
        const int h = (a.p - 1) * a.stride_h + reach + 1, w_in = (a.q - 1) * a.stride_w + reach + 1;
        const int64_t xp = a.c + below(&r, 5), xr = w_in * xp + below(&r, 9),
                      xi = h * xr + below(&r, 17), yp = a.c + below(&r, 5),
                      yr = a.q * yp + below(&r, 9), yi = a.p * yr + below(&r, 17);
        const size_t bx = (size_t)(a.n * xi), by = (size_t)(a.n * yi);
        a.x = (octk_image){untouched(bx), xi, xr, xp};
        a.y = (octk_image){untouched(by), yi, yr, yp};
        for (size_t i = 0; i < bx; i++) a.x.base[i] = (uint8_t)below(&r, 256);
        int16_t *w = untouched((size_t)(pairs * a.c) * 4);
        int32_t *b = untouched((size_t)a.c * 4);
        float *m = untouched((size_t)a.c * 4);
        int32_t *numbers = untouched((size_t)a.c * 8);
        int64_t *tap = untouched((size_t)pairs * 16);
        for (int t = 0; t < 2 * pairs; t++)
            tap[t] = below(&r, reach + 1) * xr + below(&r, reach + 1) * xp;
        for (int c = 0; c < a.c; c++) {
            for (int t = 0; t < 2 * pairs; t++)
                w[(t / 2 * a.c + c) * 2 + t % 2] = (int16_t)(t >= taps      ? 0
                                                             : below(&r, 4) ? below(&r, 256) - 128
                                                                            : -128);
            b[c] = below(&r, 1 << 20) - (1 << 19);
            m[c] = draw_m(&r, 255.0 * 128 * taps + (1 << 20));
        }
        a.w = w, a.b = b, a.by = draw_records(&r, m, numbers, a.c), a.tap = tap;
        uint8_t *want = untouched(by);
        for (int64_t at = 0; at < (int64_t)a.n * a.p * a.q * a.c; at++) {
            const int c = (int)(at % a.c), q = (int)(at / a.c % a.q),
                      p = (int)(at / a.c / a.q % a.p), n = (int)(at / a.c / a.q / a.p);
            int64_t sum = b[c];
            for (int t = 0; t < taps; t++)
                sum +=
                    (int64_t)
                        a.x.base[n * xi + p * a.stride_h * xr + q * a.stride_w * xp + tap[t] + c] *
                    w[(t / 2 * a.c + c) * 2 + t % 2];
            want[n * yi + p * yr + q * yp + c] =
                (uint8_t)law_of_sum(&a.by, c, (int32_t)sum, a.zy, a.lo, a.hi);
        }
        kernel(&a);
        same_bytes(name, a.y.base, want, by);
        free(a.x.base), free(a.y.base), free(w), free(b), free(m), free(numbers), free(tap);
        free(want);
    }
}

/* An output's sum, exact. */
static int64_t plane_sum(const octk_plane_u8s16 *a, const int16_t *w, int lanes, int lane, int row,
                         int column) {
    int64_t sum = a->b[lane];
    for (int k = 0; k < a->pairs; k++)
        for (int t = 0; t < 2; t++)
            sum += (int64_t)a->x.base[row * a->stride_h * a->x.row + column + a->tap[k] +
                                      t * (k < a->pairs - a->down ? 1 : a->below)] *
                   w[2 * lanes * k + t];
    return sum;
}

void check_plane_u8s16(octk_plane_u8s16_fn *kernel, const char *name) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 76, 0);
    enum { MOST = 40 };
    for (int round = 0; round < 500 / SANITIZED_PART; round++) {
        octk_plane_u8s16 a = {.p = 1 + below(&r, 5),
                              .q = 1 + below(&r, 40),
                              .o = 1 + below(&r, 20),
                              .pairs = 1 + below(&r, 16),
                              .stride_h = 1 + below(&r, 2),
                              .pooled = below(&r, 2)};
        const ends e = draw_ends(&r);
        a.zy = e.zy, a.lo = e.lo, a.hi = e.hi;
        a.down = below(&r, 2) ? 0 : below(&r, a.pairs);
        const int each = a.pooled ? 2 : 1, reach = 4, far = 1 + below(&r, 2),
                  w_in = a.q * each + reach + 2;
        const int64_t xr = w_in + below(&r, 9), yp = a.o + below(&r, 3),
                      yr = a.q * yp + below(&r, 9);
        a.below = far * xr;
        /* 33 bytes from a tap of the last output */
        const size_t bx = (size_t)(((a.p * each - 1) * a.stride_h + reach + far) * xr + w_in + 33),
                     by = (size_t)(a.p * yr);
        a.x = (octk_image){untouched(bx), 0, xr, 1};
        a.y = (octk_image){untouched(by), 0, yr, yp};
        for (size_t i = 0; i < bx; i++) a.x.base[i] = (uint8_t)below(&r, 256);
        static int16_t w[2 * MOST * 16];
        static int32_t b[MOST], numbers[2 * MOST];
        static float m[MOST];
        static int64_t tap[16];
        int lanes = 0;
        for (int o = 0; o < a.o; o += octk_plane_lanes(a.o - o)) lanes += octk_plane_lanes(a.o - o);
        for (int k = 0; k < a.pairs; k++) tap[k] = below(&r, reach) * xr + below(&r, reach);
        for (int i = 0; i < 2 * lanes * a.pairs; i++)
            w[i] = (int16_t)(below(&r, 4) ? below(&r, 256) - 128 : -128);
        for (int i = 0; i < lanes; i++) {
            b[i] = below(&r, 1 << 20) - (1 << 19);
            m[i] = draw_m(&r, 255.0 * 256 * a.pairs + (1 << 20));
        }
        a.w = w, a.b = b, a.by = draw_records(&r, m, numbers, lanes), a.tap = tap;
        uint8_t *want = untouched(by);
        const int16_t *panel = w;
        for (int o = 0, lane = 0; o < a.o;) {
            const int wide = octk_plane_lanes(a.o - o);
            for (int at = 0; at < wide * a.p * a.q; at++) {
                const int c = at % wide, q = at / wide % a.q, p = at / wide / a.q;
                int64_t most = INT64_MIN;
                for (int k = 0; k < each * each; k++) {
                    const int64_t sum = plane_sum(&a, panel + 2 * c, wide, lane + c,
                                                  p * each + k / each, q * each + k % each);
                    if (sum > most) most = sum;
                }
                if (o + c < a.o)
                    want[p * yr + q * yp + o + c] =
                        (uint8_t)law_of_sum(&a.by, lane + c, (int32_t)most, a.zy, a.lo, a.hi);
            }
            panel += 2 * wide * a.pairs;
            o += wide, lane += wide;
        }
        kernel(&a);
        same_bytes(name, a.y.base, want, by);
        free(a.x.base), free(a.y.base), free(want);
    }
}
