/* SPDX-License-Identifier: MIT
 * Exact integer Winograd F(4x4,3x3), the matrices written out. Everything is in a ring (modulo 2^16
 * for v, 2^32 for m), so unsigned numbers carry it. */
#include "ops/kernels/kernels.h"
#include "src/qround.h"

static const int32_t BT[6][6] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                                 {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
static const int32_t AT[4][6] = {
    {1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 8}};

void octk_wino_in_u8s16_ref(const octk_wino_in_u8s16 *a) {
    for (int32_t i = 0; i < a->count; i++) {
        const int32_t t = a->t + i;
        const uint8_t *x = a->x + i * 4 * a->pixel;
        int16_t *v = a->v + t / OCTK_WINO_GROUP * a->group + t % OCTK_WINO_GROUP * 16;
        for (int32_t c = 0; c < 16; c++)
            for (int32_t p = 0; p < 36; p++) {
                int32_t sum = 0;
                for (int32_t h = 0; h < 6; h++)
                    for (int32_t w = 0; w < 6; w++)
                        sum += BT[p / 6][h] * BT[p % 6][w] * x[h * a->row + w * a->pixel + c];
                v[p * a->place + c] = (int16_t)sum;
            }
    }
}

void octk_wino_mul_s16_ref(int32_t count, int32_t blocks, const int16_t *v, const int16_t *u,
                           int32_t *m) {
    for (int32_t p = 0; p < 36; p++)
        for (int32_t t = 0; t < count; t++)
            for (int32_t l = 0; l < 16; l++) {
                uint32_t sum = 0;
                for (int32_t c = 0; c < blocks * 16; c++)
                    sum +=
                        (uint32_t)(v[((p * blocks + c / 16) * OCTK_WINO_GROUP + t) * 16 + c % 16] *
                                   u[((p * blocks * 8 + c / 2) * 16 + l) * 2 + c % 2]);
                m[(p * OCTK_WINO_GROUP + t) * 16 + l] = (int32_t)sum;
            }
}

void octk_wino_out_s32u8_ref(const octk_wino_out_s32u8 *a) {
    const uint32_t inverse_of_9 = 954437177u;
    for (int32_t i = 0; i < 16; i++)
        for (int32_t l = 0; l < 16; l++) {
            uint32_t sum = (uint32_t)a->b[l];
            for (int32_t p = 0; p < 36; p++)
                sum += (uint32_t)(AT[i / 4][p / 6] * AT[i % 4][p % 6]) *
                       (uint32_t)a->m[p * OCTK_WINO_GROUP * 16 + l];
            a->y[i / 4 * a->row + i % 4 * a->pixel + octk_lane_channel(16, l)] =
                (uint8_t)octq_round_code((float)(int32_t)(sum * inverse_of_9) * a->scale[l], a->zy,
                                         a->lo, a->hi);
        }
}
