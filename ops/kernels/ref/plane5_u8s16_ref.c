/* SPDX-License-Identifier: MIT
 * Images of one channel under 5x5 kernels and a pool, by exact integer Winograd. */
#include "ops/kernels/kernels.h"
#include "ops/kernels/ref/wino_ref.h"
#include "src/qround.h"

enum { POINTS = OCTK_WINO1_POINTS };
static const int32_t AT[2][POINTS] = {{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 1}};

/* The largest of a tile's four outputs, 48 times too large; x: its first cell. */
static int32_t largest(const octk_plane5_u8s16 *a, const int16_t *u, int32_t b, const uint8_t *x) {
    uint32_t sums[2][2] = {{(uint32_t)b, (uint32_t)b}, {(uint32_t)b, (uint32_t)b}};
    for (int32_t i = 0; i < POINTS; i++, u += 8) {
        int32_t d[6] = {0};
        for (int32_t h = 0; h < 6; h++)
            for (int32_t w = 0; w < POINTS; w++) d[h] += BT4[i * POINTS + w] * x[h * a->x.row + w];
        const int32_t both = (d[1] + d[2]) * u[4] + d[4] * u[5], apart = (d[2] - d[1]) * u[6],
                      rows[] = {(d[0] - d[2]) * u[0] + (d[3] - d[4]) * u[1] + both + apart,
                                (d[3] - d[1]) * u[2] + (d[5] - d[4]) * u[3] + both - apart};
        for (int32_t k = 0; k < 4; k++)
            sums[k / 2][k % 2] += (uint32_t)AT[k % 2][i] * (uint32_t)rows[k / 2];
    }
    int32_t most = INT32_MIN;
    for (int32_t k = 0; k < 4; k++)
        if ((int32_t)sums[k / 2][k % 2] > most) most = (int32_t)sums[k / 2][k % 2];
    return most;
}

void octk_plane5_u8s16_ref(const octk_plane5_u8s16 *a) {
    const uint32_t inverse_of_3 = 2863311531u;
    for (int64_t at = 0; at < (int64_t)a->p * a->q * a->o; at++) {
        const int32_t o = (int32_t)(at % a->o), q = (int32_t)(at / a->o % a->q),
                      p = (int32_t)(at / a->o / a->q);
        const uint8_t *x = a->x.base + 2 * p * a->x.row + 2 * q;
        int32_t most = largest(a, a->u + (int64_t)o * POINTS * 8, a->b[o], x);
        most = (int32_t)((uint32_t)most * inverse_of_3) >> (a->by.law == OCTQ_Q31 ? 4 : 0);
        octq_requant_row(&a->by, o, &most, 1, a->zy, a->lo, a->hi,
                         a->y.base + p * a->y.row + (int64_t)q * a->o + o);
    }
}
