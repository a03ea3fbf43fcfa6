/* SPDX-License-Identifier: MIT
 * Kernels of images of one channel under 5x5 kernels and a pool: weights transformed here, codes by
 * the convolution itself, in int64. */
#include "tests/kernel_cases.h"

enum { POINTS = OCTK_WINO1_POINTS, KERNEL = 5, MOST = 20 };

/* A row of a kernel at point i, 24 times what it is at points 0, 1, -1, 2, -2 and beyond. */
static int across(const int8_t *w, int i) {
    static const int points[] = {0, 1, -1, 2, -2}, times[] = {6, -4, -4, 1, 1};
    if (i == POINTS - 1) return 24 * w[KERNEL - 1];
    int sum = 0;
    for (int k = KERNEL; k-- > 0;) sum = sum * points[i] + w[k];
    return times[i] * sum;
}

/* The largest of an output's pool, exact. */
static int64_t largest_of(const octk_plane5_u8s16 *a, const int8_t *w, int64_t b, int p, int q) {
    int64_t most = INT64_MIN;
    for (int k = 0; k < 4; k++) {
        int64_t sum = b;
        for (int t = 0; t < KERNEL * KERNEL; t++)
            sum += w[t] *
                   a->x.base[(2 * p + k / 2 + t / KERNEL) * a->x.row + 2 * q + k % 2 + t % KERNEL];
        if (sum > most) most = sum;
    }
    return most;
}

void check_plane5_u8s16(octk_plane5_u8s16_fn *kernel, const char *name) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 179, 0);
    static int32_t v[POINTS * 4 * OCTK_PLANE5_TILES];
    for (int round = 0; round < 600 / SANITIZED_PART; round++) {
        const int room = OCTK_PLANE5_TILES - 16, q = below(&r, 8) ? 1 + below(&r, 40) : room,
                  p = 1 + below(&r, 12), o = 1 + below(&r, MOST), style = below(&r, 3);
        const bool small = below(&r, 2);
        const int64_t xr = 2 * q + 4 + below(&r, 9), yr = q * o + below(&r, 9);
        /* 36 bytes from a row's last cells */
        const size_t bx = (size_t)((2 * p + 3) * xr + 2 * q + 36), by = (size_t)(p * yr);
        static int8_t w[MOST][KERNEL * KERNEL];
        static int16_t u[MOST * POINTS * 8];
        static int32_t b[MOST], bias[MOST], numbers[2 * MOST];
        static float m[MOST];
        const ends e = draw_ends(&r);
        octk_plane5_u8s16 a = {.x = {untouched(bx), 0, xr, 1},
                               .y = {untouched(by), 0, yr, o},
                               .v = v,
                               .codes = untouched((size_t)(OCTK_PLANE5_TILES * o + 8)),
                               .u = u,
                               .b = b,
                               .zy = e.zy,
                               .lo = e.lo,
                               .hi = e.hi,
                               .p = p,
                               .q = q,
                               .o = o,
                               .small = small};
        for (size_t i = 0; i < bx; i++)
            a.x.base[i] = (uint8_t)(style ? below(&r, 256) : 255 * below(&r, 2));
        /* 48 times an output stays inside s32; of small ones 3 times below 2^24 */
        const int own = KERNEL * KERNEL * 128 * 255,
                  room_of = (small ? (1 << 24) / 3 : INT32_MAX / 48) - own - 1;
        for (int c = 0; c < o; c++) {
            for (int t = 0; t < KERNEL * KERNEL; t++)
                w[c][t] = (int8_t)(style == 2 ? below(&r, 256) - 128 : below(&r, 2) ? -128 : 127);
            for (int i = 0; i < POINTS; i++) {
                int t[KERNEL];
                for (int k = 0; k < KERNEL; k++) t[k] = across(w[c] + k * KERNEL, i);
                const int made[] = {
                    2 * t[0],           2 * t[3],          2 * t[2],           2 * t[4],
                    t[0] + t[1] + t[2], 2 * (t[3] + t[4]), t[0] - t[1] + t[2], 0};
                for (int k = 0; k < 8; k++) u[(c * POINTS + i) * 8 + k] = (int16_t)made[k];
            }
            bias[c] =
                below(&r, 3) ? below(&r, 2 * room_of) - room_of : (below(&r, 2) ? 1 : -1) * room_of;
            b[c] = 48 * bias[c];
            m[c] = below(&r, 4)   ? (float)(0x1p8 / (16.0 * own)) * (0.1f + octi_rng_uniform(&r))
                   : below(&r, 2) ? (float)(0x1p31 / (16.0 * (own + room_of)) * 0.99)
                                  : 0x1p-90f;
        }
        a.by = draw_records(&r, m, numbers, o);
        uint8_t *want = untouched(by);
        for (int at = 0; at < p * q * o; at++) {
            const int c = at % o, h = at / o / q, k = at / o % q;
            const int32_t most = (int32_t)largest_of(&a, w[c], bias[c], h, k),
                          times = a.by.law == OCTQ_FP32 ? 16 : 1;
            want[h * yr + k * o + c] =
                (uint8_t)law_of_sum(&a.by, c, times * most, a.zy, a.lo, a.hi);
        }
        kernel(&a);
        same_bytes(name, a.y.base, want, by);
        free(a.x.base), free(a.y.base), free(a.codes), free(want);
    }
}
