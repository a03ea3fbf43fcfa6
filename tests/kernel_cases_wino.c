/* SPDX-License-Identifier: MIT
 * Kernels of exact integer Winograd: every matrix spelled by its definition, in int64, reduced at
 * the end. */
#include "tests/kernel_cases.h"

typedef struct form {
    int tile, stride, edge, sums, bt[9][9], at[4][7];
    int odd, over; /* factors to undo: modulo 2^32, by a shift */
    int largest;   /* |v| that must be seen: near its bound */
} form;
static const form f4 = {
    4,
    1,
    6,
    6,
    {{4, 0, -5, 0, 1, 0},
     {0, -4, -4, 1, 1, 0},
     {0, 4, -4, -1, 1, 0},
     {0, -2, -1, 2, 1, 0},
     {0, 2, -1, -2, 1, 0},
     {0, 4, 0, -5, 0, 1}},
    {{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 8}},
    9,
    6,
    17340};
static const form f2 = {2,
                        1,
                        4,
                        4,
                        {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, -1, 0, 1}},
                        {{1, 1, 1, 0}, {0, 1, -1, 1}},
                        1,
                        2,
                        1020};
/* stride 2: what the first output alone needs, the last one alone, all; then single cells */
static const form f4s2 = {
    4,
    2,
    9,
    7,
    {{2, 0, -1, 0, -2, 0, 1},
     {0, 1},
     {0, 0, 2, 0, -1, 0, -2, 0, 1},
     {0, 0, 0, 0, 0, 0, 0, 1},
     {0, 0, -2, 0, -1, 0, 1},
     {0, 0, 2, 0, -3, 0, 1},
     {0, 0, -1, 0, 0, 0, 1},
     {0, 0, 0, 1},
     {0, 0, 0, 0, 0, 1}},
    {{1, 0, 1, 1, 1, 0, 0}, {0, 0, 1, -1, 2, 1, 0}, {0, 0, 1, 1, 4, 0, 1}, {0, 1, 1, -1, 8, 0, 0}},
    9,
    2,
    4590};
static const form f2s2 = {2,
                          2,
                          5,
                          3,
                          {{1, 0, -1}, {0, 1}, {0, 0, -1, 0, 1}, {0, 0, 0, 1}, {0, 0, 1}},
                          {{1, 0, 1}, {0, 1, 1}},
                          1,
                          0,
                          510};
/* Where product (i, k) and sum (i, k) stand. */
static int product_at(const form *f, int i, int k) {
    return f->stride == 1 ? i * f->edge + k : octk_wino_s2_product(f->edge, i, k);
}
static int sum_at(const form *f, int i, int k) {
    return f->stride == 1 ? i * f->sums + k : octk_wino_s2_sum(f->sums, i, k);
}

static void check_in(octk_wino_in_fn *kernel, const char *name, const form *f) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 172, 0);
    int largest = 0;
    for (int round = 0; round < 300 / SANITIZED_PART; round++) {
        const int count = 1 + below(&r, 19), t = below(&r, 8), blocks = 1 + below(&r, 3),
                  groups = (t + count + OCTK_WINO_GROUP - 1) / OCTK_WINO_GROUP,
                  style = below(&r, 3), e = f->edge, line = below(&r, e);
        const int64_t pixel = 16 * blocks + below(&r, 20),
                      row = (f->tile * f->stride * (count - 1) + e) * pixel + below(&r, 9),
                      place = blocks * OCTK_WINO_GROUP * 16, group = e * e * place;
        uint8_t *x = untouched((size_t)(e * row + 16));
        for (int64_t i = 0; i < e * row; i++) {
            const int h = (int)(i / row), w = (int)(i % row / pixel);
            /* 2: the signs of a row of B^T, in the first tile: there |v| reaches its bound */
            const bool same = w < e && (f->bt[line][h] < 0) == (f->bt[line][w] < 0);
            const int bit = style == 1 ? below(&r, 2) : same;
            x[i] = (uint8_t)(style ? 255 * bit : below(&r, 256));
        }
        const size_t bytes = (size_t)(groups * group) * 2;
        int16_t *v = untouched(bytes), *want = untouched(bytes),
                *columns = untouched(OCTK_WINO_COLUMNS);
        for (int i = 0; i < count; i++)
            for (int p = 0; p < e * e; p++)
                for (int c = 0; c < 16 * blocks; c++) {
                    int64_t sum = 0;
                    for (int h = 0; h < e; h++)
                        for (int w = 0; w < e; w++)
                            sum += f->bt[p / e][h] * f->bt[p % e][w] *
                                   x[h * row + (f->tile * f->stride * i + w) * pixel + c];
                    ck_assert_msg(sum >= -32768 && sum <= 32767, "v leaves s16");
                    if (abs((int)sum) > largest) largest = abs((int)sum);
                    want[(t + i) / OCTK_WINO_GROUP * group + product_at(f, p / e, p % e) * place +
                         (c / 16 * OCTK_WINO_GROUP + (t + i) % OCTK_WINO_GROUP) * 16 + c % 16] =
                        (int16_t)sum;
                }
        kernel(&(octk_wino_in_u8s16){.x = x,
                                     .row = row,
                                     .pixel = pixel,
                                     .group = group,
                                     .place = place,
                                     .v = v,
                                     .columns = columns,
                                     .count = count,
                                     .t = t,
                                     .blocks = blocks});
        same_bytes(name, v, want, bytes);
        free(x), free(v), free(want), free(columns);
    }
    ck_assert_int_eq(largest, f->largest);
}
void check_wino4_in_u8s16(octk_wino_in_fn *kernel, const char *name) {
    check_in(kernel, name, &f4);
}
void check_wino2_in_u8s16(octk_wino_in_fn *kernel, const char *name) {
    check_in(kernel, name, &f2);
}

void check_wino4s2_in_u8s16(octk_wino_in_fn *kernel, const char *name) {
    check_in(kernel, name, &f4s2);
}
void check_wino2s2_in_u8s16(octk_wino_in_fn *kernel, const char *name) {
    check_in(kernel, name, &f2s2);
}

void check_wino_mul_s16(octk_wino_mul_s16_fn *kernel, const char *name) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 173, 0);
    enum { G = OCTK_WINO_GROUP };
    for (int round = 0; round < 60 / SANITIZED_PART; round++) {
        const int blocks = 1 + below(&r, 4), count = 1 + below(&r, G), style = below(&r, 3),
                  positions = round % 3 ? 36 : 1 + below(&r, 25), panels = 1 + below(&r, 7);
        const size_t vs = (size_t)positions * (size_t)blocks * G * 16,
                     u_panel = (size_t)(positions * blocks * 256 + below(&r, 3) * 16),
                     m_panel = (size_t)(positions * G * 16 + below(&r, 3) * 16),
                     us = u_panel * (size_t)panels, ms = m_panel * (size_t)panels;
        int16_t *v = untouched(vs * 2), *u = untouched(us * 2);
        const size_t behind = G * 16; /* nobody's */
        int32_t *m = untouched((ms + behind) * 4), *want = untouched((ms + behind) * 4);
        for (size_t i = 0; i < vs; i++)
            v[i] = (int16_t)(style ? below(&r, 2 * 17340 + 1) - 17340 : 17340);
        for (size_t i = 0; i < us; i++)
            u[i] = (int16_t)(style == 1 ? below(&r, 2 * 18288 + 1) - 18288 : 18288);
        for (int i = 0; i < panels * positions * count * 16; i++) {
            const int l = i % 16, t = i / 16 % count, p = i / 16 / count % positions;
            const size_t panel = (size_t)(i / 16 / count / positions);
            int64_t sum = 0;
            for (int c = 0; c < blocks * 16; c++)
                sum +=
                    (int64_t)v[((p * blocks + c / 16) * G + t) * 16 + c % 16] *
                    u[panel * u_panel + (size_t)(((p * blocks * 8 + c / 2) * 16 + l) * 2 + c % 2)];
            want[panel * m_panel + (size_t)((p * G + t) * 16 + l)] =
                (int32_t)(uint32_t)(uint64_t)sum;
        }
        kernel(&(octk_wino_mul_s16){.v = v,
                                    .u = u,
                                    .m = m,
                                    .u_panel = (int64_t)u_panel,
                                    .m_panel = (int64_t)m_panel,
                                    .count = count,
                                    .positions = positions,
                                    .blocks = blocks,
                                    .panels = panels,
                                    .next = {(uintptr_t)u, below(&r, 9), below(&r, 2)}});
        /* tiles beyond `count` are nobody's: whatever the kernel leaves there */
        for (int i = 0; i < panels * positions; i++) {
            const size_t at = (size_t)(i / positions) * m_panel + (size_t)(i % positions * G * 16);
            same_bytes(name, m + at, want + at, (size_t)count * 64);
        }
        same_bytes(name, m + ms, want + ms, behind * 4);
        free(v), free(u), free(m), free(want);
    }
}

static void check_out(octk_wino_out_fn *kernel, const char *name, const form *f) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 174, 0);
    enum { G = OCTK_WINO_GROUP, GROUPS = 3, MS = (49 * G * 16 + 16) * GROUPS };
    static int32_t m[MS];
    const int tile = f->tile, e = f->sums;
    int line = 0; /* the largest row of |A^T|, summed */
    for (int i = 0; i < tile; i++) {
        int sum = 0;
        for (int k = 0; k < e; k++) sum += abs(f->at[i][k]);
        if (sum > line) line = sum;
    }
    /* what undoes the odd factor modulo 2^32: found, not written down */
    uint32_t inverse = 1;
    for (int i = 0; i < 5; i++) inverse *= 2 - (uint32_t)f->odd * inverse;
    ck_assert_uint_eq(inverse * (uint32_t)f->odd, 1);
    for (int round = 0; round < 400 / SANITIZED_PART; round++) {
        int32_t b[16];
        float scale[16];
        int32_t numbers[32];
        const ends z = draw_ends(&r);
        /* runs that begin and end anywhere in their groups */
        const int count = 1 + below(&r, 2 * G), t = below(&r, G);
        const int64_t pixel = 16 + below(&r, 20), row = tile * count * pixel + below(&r, 40),
                      group = e * e * G * 16 + 16 * below(&r, 2);
        const size_t bytes = (size_t)((tile - 1) * row + tile * count * pixel);
        uint8_t *y = untouched(bytes), *want = untouched(bytes);
        /* small: whole multiples of the factor, outputs below 2^24 / odd, some just so; or far:
         * just below what s32 has, where those beyond 2^24 / odd are 256 codes away */
        const bool small = f->odd > 1 && below(&r, 2), far = small && below(&r, 2);
        const int factor = f->odd << f->over, last = ((1 << 24) - 1) / 9,
                  most = far ? INT32_MAX / factor : last, some = 1 + below(&r, 2000),
                  bias = most - some * line * line;
        const float largest = small ? (float)most * (float)(1 << f->over) : 0x1p31f;
        for (int i = 0; i < MS; i++)
            m[i] = small ? factor * (below(&r, 2 * some + 1) - some) : (int32_t)octi_rng_u32(&r);
        for (int l = 0; l < 16; l++) {
            b[l] = !small         ? (int32_t)octi_rng_u32(&r)
                   : below(&r, 3) ? factor * (below(&r, 2 * bias + 1) - bias)
                                  : factor * (below(&r, 2) ? bias : -bias);
            scale[l] = far ? (256.1f + below(&r, 1000)) / ((float)last * (float)(1 << f->over))
                       : below(&r, 3) ? 100.0f / largest * (0.1f + octi_rng_uniform(&r))
                                      : 0x1p-40f;
        }
        const octq_multipliers by = draw_records(&r, scale, numbers, 16);
        for (int n = 0; n < count * tile * tile; n++)
            for (int l = 0; l < 16; l++) {
                const int run = n / (tile * tile), i = n % (tile * tile);
                const int32_t *of = m + (t + run) / G * group + (t + run) % G * 16;
                uint64_t sum = (uint64_t)(int64_t)b[l];
                for (int p = 0; p < e * e; p++)
                    sum += (uint64_t)((int64_t)(f->at[i / tile][p / e] * f->at[i % tile][p % e]) *
                                      of[sum_at(f, p / e, p % e) * G * 16 + l]);
                /* so many bits too large: fp32's multipliers know that */
                const int32_t whole = (int32_t)((uint32_t)sum * inverse),
                              acc = by.law == OCTQ_FP32 ? whole : whole >> f->over;
                want[i / tile * row + (run * tile + i % tile) * pixel + octk_lane_channel(16, l)] =
                    (uint8_t)law_of_sum(&by, l, acc, z.zy, z.lo, z.hi);
            }
        kernel(&(octk_wino_out_s32u8){.m = m,
                                      .b = b,
                                      .by = by,
                                      .y = y,
                                      .row = row,
                                      .pixel = pixel,
                                      .group = group,
                                      .count = count,
                                      .t = t,
                                      .zy = z.zy,
                                      .lo = z.lo,
                                      .hi = z.hi,
                                      .small = small});
        same_bytes(name, y, want, bytes);
        free(y), free(want);
    }
}
void check_wino4_out_s32u8(octk_wino_out_fn *kernel, const char *name) {
    check_out(kernel, name, &f4);
}
void check_wino2_out_s32u8(octk_wino_out_fn *kernel, const char *name) {
    check_out(kernel, name, &f2);
}

void check_wino4s2_out_s32u8(octk_wino_out_fn *kernel, const char *name) {
    check_out(kernel, name, &f4s2);
}
void check_wino2s2_out_s32u8(octk_wino_out_fn *kernel, const char *name) {
    check_out(kernel, name, &f2s2);
}
