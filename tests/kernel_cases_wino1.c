/* SPDX-License-Identifier: MIT
 * Kernels of exact integer Winograd along a row: F(2,5) and F(4,3) spelled by their definition, in
 * int64, reduced at the end. */
#include "tests/kernel_cases.h"

enum { POINTS = OCTK_WINO1_POINTS };
static const int BT[POINTS][POINTS] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0},
                                       {0, 4, -4, -1, 1, 0}, {0, -2, -1, 2, 1, 0},
                                       {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
static const int AT[4][POINTS - 1] = {
    {1, 1, 1, 1, 1}, {0, 1, -1, 2, -2}, {0, 1, 1, 4, 4}, {0, 1, -1, 8, -8}};

void check_wino1_in_u8s16(octk_wino1_in_u8s16_fn *kernel, const char *name) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 177, 0);
    int largest = 0;
    for (int round = 0; round < 600 / SANITIZED_PART; round++) {
        const int tile = round % 2 ? 2 : 4, rows = 1 + below(&r, 7), tiles = 1 + below(&r, 6),
                  c = 1 + below(&r, round % 3 ? 8 : 50), style = below(&r, 3),
                  line = below(&r, POINTS), cells = tile * (tiles - 1) + POINTS;
        const int64_t pixel = c + below(&r, 9), row = cells * pixel + below(&r, 9),
                      strip = rows * c, v_tile = strip + 15 + below(&r, 9),
                      v_point = tiles * v_tile + below(&r, 20);
        const size_t last = (size_t)((rows - 1) * row + (cells - 1) * pixel + c - 1),
                     bytes = (size_t)(POINTS * v_point) * 2;
        uint8_t *x = untouched(last + 16); /* whole vectors are read */
        int16_t *v = untouched(bytes), *want = untouched(bytes);
        for (size_t i = 0; i <= last; i++) {
            /* 2: the signs of a row of B^T, in the first tile: there |v| reaches its bound */
            const int w = (int)((int64_t)i % row / pixel), same = w < POINTS && BT[line][w] < 0;
            x[i] =
                (uint8_t)(style == 0 ? below(&r, 256) : 255 * (style == 1 ? below(&r, 2) : same));
        }
        kernel(&(octk_wino1_in_u8s16){.x = x,
                                      .row = row,
                                      .pixel = pixel,
                                      .v = v,
                                      .v_tile = v_tile,
                                      .v_point = v_point,
                                      .rows = rows,
                                      .tiles = tiles,
                                      .tile = tile,
                                      .c = c});
        for (int i = 0; i < POINTS * tiles; i++) {
            int16_t *to = want + i / tiles * v_point + i % tiles * v_tile;
            for (int k = 0; k < strip; k++) {
                const uint8_t *from = x + k / c * row + i % tiles * tile * pixel + k % c;
                int64_t sum = 0;
                for (int w = 0; w < POINTS; w++) sum += BT[i / tiles][w] * from[w * pixel];
                if (abs((int)sum) > largest) largest = abs((int)sum);
                to[k] = (int16_t)sum;
            }
            /* nobody's */
            memcpy(to + strip, v + (to - want) + strip, 15 * sizeof *v);
        }
        same_bytes(name, v, want, bytes);
        free(x), free(v), free(want);
    }
    ck_assert_int_eq(largest, 2040);
}

/* A lane of output (p, q), 24 times too large, modulo 2^32. */
static int32_t sum_of(const octk_wino1_s16u8 *a, int lane, int p, int q) {
    const int j = q % a->tile;
    uint64_t sum = (uint64_t)(int64_t)a->b[lane];
    for (int i = 0; i < POINTS; i++) {
        const int by = i < POINTS - 1 ? AT[j][i] : j == a->tile - 1;
        const int16_t *v = a->v + i * a->v_point + q / a->tile * a->v_tile + p * a->v_row;
        int64_t products = 0;
        for (int k = 0; k < 2 * a->steps; k++)
            products +=
                v[k] *
                a->u[(((lane / 16 * POINTS + i) * a->steps + k / 2) * 16 + lane % 16) * 2 + k % 2];
        sum += (uint64_t)(by * products);
    }
    return (int32_t)(uint32_t)sum;
}

static int drawn(octi_rng *r, int style, int most) {
    return style == 0 ? most : style == 1 ? -most : below(r, 2 * most + 1) - most;
}

void check_wino1_s16u8(octk_wino1_s16u8_fn *kernel, const char *name) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 178, 0);
    uint32_t inverse = 1; /* of 3 modulo 2^32 */
    for (int i = 0; i < 5; i++) inverse *= 2 - 3 * inverse;
    ck_assert_uint_eq(inverse * 3, 1);
    for (int round = 0; round < 800 / SANITIZED_PART; round++) {
        const int tile = round % 2 ? 2 : 4, pooled = below(&r, 2), each = 1 + pooled,
                  p = 1 + below(&r, 7), q = 1 + below(&r, 9), o = 1 + below(&r, 50),
                  lanes = (o + 15) / 16 * 16, tiles = (q * each + tile - 1) / tile,
                  steps = 1 + below(&r, 20), style = below(&r, 4);
        const int64_t v_row = 1 + below(&r, 2 * steps),
                      v_tile = (p * each - 1) * v_row + 2 * steps + below(&r, 9),
                      v_point = tiles * v_tile + below(&r, 20), pixel = o + below(&r, 9),
                      row = q * pixel + below(&r, 9);
        const size_t vs = (size_t)(POINTS * v_point), us = (size_t)(lanes * POINTS * steps * 2),
                     bytes = (size_t)(p * row);
        int16_t *v = untouched(vs * 2), *u = untouched(us * 2);
        int32_t *b = untouched((size_t)lanes * 4), *numbers = untouched((size_t)lanes * 8);
        float *m = untouched((size_t)lanes * 4);
        uint8_t *y = untouched(bytes), *want = untouched(bytes);
        const ends z = draw_ends(&r);
        /* small: whole multiples of 24, whose outputs stay below 2^24 / 3, some just so */
        const bool small = below(&r, 2);
        const int end = ((1 << 24) - 1) / 3, bias = end - 2 * steps * 31 * 100;
        const float largest = small ? 8.0f * (float)end : 0x1p31f;
        for (size_t i = 0; i < vs; i++)
            v[i] = (int16_t)(small ? 24 * drawn(&r, style, 10) : drawn(&r, style, 2040));
        for (size_t i = 0; i < us; i++) u[i] = (int16_t)drawn(&r, style % 2, small ? 10 : 31 * 128);
        for (int l = 0; l < lanes; l++) {
            b[l] = !small         ? (int32_t)octi_rng_u32(&r)
                   : below(&r, 3) ? 24 * (below(&r, 2 * bias + 1) - bias)
                                  : 24 * (below(&r, 2) ? bias : -bias);
            m[l] = below(&r, 3) ? 100.0f / largest * (0.1f + octi_rng_uniform(&r)) : 0x1p-40f;
        }
        const octk_wino1_s16u8 a = {.v = v,
                                    .u = u,
                                    .v_tile = v_tile,
                                    .v_point = v_point,
                                    .v_row = v_row,
                                    .b = b,
                                    .by = draw_records(&r, m, numbers, lanes),
                                    .y = {y, 0, row, pixel},
                                    .p = p,
                                    .q = q,
                                    .o = o,
                                    .tile = tile,
                                    .steps = steps,
                                    .zy = z.zy,
                                    .lo = z.lo,
                                    .hi = z.hi,
                                    .pooled = pooled,
                                    .small = small};
        for (int i = 0; i < p * q * lanes; i++) {
            const int l = i % lanes, at = i / lanes, c = octk_lane_channel(lanes, l);
            int32_t most = INT32_MIN;
            if (c >= o) continue;
            for (int k = 0; k < each * each; k++) {
                const int32_t sum =
                    sum_of(&a, l, at / q * each + k / each, at % q * each + k % each);
                if (sum > most) most = sum;
            }
            /* 8 times too large: fp32's multipliers know that */
            const int32_t whole = (int32_t)((uint32_t)most * inverse),
                          acc = a.by.law == OCTQ_FP32 ? whole : whole >> 3;
            want[at / q * row + at % q * pixel + c] =
                (uint8_t)law_of_sum(&a.by, l, acc, z.zy, z.lo, z.hi);
        }
        kernel(&a);
        same_bytes(name, y, want, bytes);
        free(v), free(u), free(b), free(numbers), free(m), free(y), free(want);
    }
}
