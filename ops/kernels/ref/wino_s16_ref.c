/* SPDX-License-Identifier: MIT
 * Exact integer Winograd, the matrices written out. Everything is in a ring (modulo 2^16 for v,
 * 2^32 for m), so unsigned numbers carry it. */
#include "ops/kernels/kernels.h"
#include "ops/kernels/ref/wino_ref.h"
#include "src/qround.h"

typedef struct form {
    int32_t tile, stride, edge, sums; /* outputs; cells, and products; sums: of a dimension */
    const int32_t *bt, *at;           /* [edge][edge], [tile][sums] */
    uint32_t factor;                  /* what undoes the odd part of what sums are too large by */
    int32_t over;                     /* bits of the rest; fp32's multipliers know */
} form;

static const int32_t AT4[] = {1, 1, 1, 1, 1, 0, 0, 1, -1, 2, -2, 0,
                              0, 1, 1, 4, 4, 0, 0, 1, -1, 8, -8, 8};
static const int32_t BT2[] = {1, 0, -1, 0, 0, 1, 1, 0, 0, -1, 1, 0, 0, -1, 0, 1};
static const int32_t AT2[] = {1, 1, 1, 0, 0, 1, -1, 1};
/* of stride 2 in the order of octk_wino_s2_product: points 0 and infinity before odd cells */
static const int32_t BT4S2[] = {
    2, 0, -1, 0, -2, 0, 1, 0, 0, 0, 1, 0,  0, 0,  0, 0, 0, 0, 0, 0, 2, 0, -1, 0, -2, 0, 1,
    0, 0, 0,  0, 0,  0, 0, 1, 0, 0, 0, -2, 0, -1, 0, 1, 0, 0, 0, 0, 2, 0, -3, 0, 1,  0, 0,
    0, 0, -1, 0, 0,  0, 1, 0, 0, 0, 0, 0,  1, 0,  0, 0, 0, 0, 0, 0, 0, 0, 0,  1, 0,  0, 0};
static const int32_t AT4S2[] = {1, 0, 1, 1, 1, 0, 0, 0, 0, 1, -1, 2, 1, 0,
                                0, 0, 1, 1, 4, 0, 1, 0, 1, 1, -1, 8, 0, 0};
static const int32_t BT2S2[] = {1, 0, -1, 0, 0, 0, 1, 0, 0, 0, 0, 0, -1,
                                0, 1, 0,  0, 0, 1, 0, 0, 0, 1, 0, 0};
static const int32_t AT2S2[] = {1, 0, 1, 0, 1, 1};
static const form F4 = {4, 1, 6, 6, BT4, AT4, 954437177u, 6}, /* the inverse of 9 */
    F2 = {2, 1, 4, 4, BT2, AT2, 1, 2}, F4S2 = {4, 2, 9, 7, BT4S2, AT4S2, 954437177u, 2},
                  F2S2 = {2, 2, 5, 3, BT2S2, AT2S2, 1, 0};

static void transform_in(const octk_wino_in_u8s16 *a, const form *f) {
    const int32_t e = f->edge;
    for (int32_t i = 0; i < a->count; i++) {
        const int32_t t = a->t + i;
        const uint8_t *x = a->x + i * f->tile * f->stride * a->pixel;
        int16_t *v = a->v + t / OCTK_WINO_GROUP * a->group + t % OCTK_WINO_GROUP * 16;
        for (int32_t c = 0; c < 16 * a->blocks; c++)
            for (int32_t p = 0; p < e * e; p++) {
                int32_t sum = 0;
                for (int32_t h = 0; h < e; h++)
                    for (int32_t w = 0; w < e; w++)
                        sum += f->bt[p / e * e + h] * f->bt[p % e * e + w] *
                               x[h * a->row + w * a->pixel + c];
                const int32_t at = f->stride == 1 ? p : octk_wino_s2_product(e, p / e, p % e);
                v[at * a->place + c / 16 * OCTK_WINO_GROUP * 16 + c % 16] = (int16_t)sum;
            }
    }
}

static void tile_out(const octk_wino_out_s32u8 *a, const form *f, const int32_t *m, uint8_t *y) {
    const int32_t e = f->sums, tile = f->tile;
    int32_t acc[16];
    uint8_t codes[16];
    for (int32_t i = 0; i < tile * tile; i++) {
        for (int32_t l = 0; l < 16; l++) {
            uint32_t sum = (uint32_t)a->b[l];
            for (int32_t p = 0; p < e * e; p++) {
                const int32_t at = f->stride == 1 ? p : octk_wino_s2_sum(e, p / e, p % e);
                sum += (uint32_t)(f->at[i / tile * e + p / e] * f->at[i % tile * e + p % e]) *
                       (uint32_t)m[at * OCTK_WINO_GROUP * 16 + l];
            }
            acc[l] = (int32_t)(sum * f->factor) >> (a->by.law == OCTQ_Q31 ? f->over : 0);
        }
        octq_requant_row(&a->by, 0, acc, 16, a->zy, a->lo, a->hi, codes);
        for (int32_t l = 0; l < 16; l++)
            y[i / tile * a->row + i % tile * a->pixel + octk_lane_channel(16, l)] = codes[l];
    }
}
static void transform_out(const octk_wino_out_s32u8 *a, const form *f) {
    for (octk_wino_tile t = octk_wino_first(a); t.left; octk_wino_next(&t, f->tile * a->pixel))
        tile_out(a, f, t.m, t.y);
}

void octk_wino4_in_u8s16_ref(const octk_wino_in_u8s16 *a) { transform_in(a, &F4); }
void octk_wino2_in_u8s16_ref(const octk_wino_in_u8s16 *a) { transform_in(a, &F2); }
void octk_wino4s2_in_u8s16_ref(const octk_wino_in_u8s16 *a) { transform_in(a, &F4S2); }
void octk_wino2s2_in_u8s16_ref(const octk_wino_in_u8s16 *a) { transform_in(a, &F2S2); }
void octk_wino4_out_s32u8_ref(const octk_wino_out_s32u8 *a) { transform_out(a, &F4); }
void octk_wino2_out_s32u8_ref(const octk_wino_out_s32u8 *a) { transform_out(a, &F2); }
void octk_wino4s2_out_s32u8_ref(const octk_wino_out_s32u8 *a) { transform_out(a, &F4S2); }
void octk_wino2s2_out_s32u8_ref(const octk_wino_out_s32u8 *a) { transform_out(a, &F2S2); }

void octk_wino_mul_s16_ref(const octk_wino_mul_s16 *a) {
    const int32_t blocks = a->blocks;
    for (int32_t panel = 0; panel < a->panels; panel++)
        for (int32_t p = 0; p < a->positions; p++)
            for (int32_t t = 0; t < a->count; t++)
                for (int32_t l = 0; l < 16; l++) {
                    const int16_t *u = a->u + panel * a->u_panel + (p * blocks * 8 * 16 + l) * 2,
                                  *v = a->v + (p * blocks * OCTK_WINO_GROUP + t) * 16;
                    uint32_t sum = 0;
                    for (int32_t c = 0; c < blocks * 16; c++)
                        sum += (uint32_t)(v[c / 16 * OCTK_WINO_GROUP * 16 + c % 16] *
                                          u[c / 2 * 16 * 2 + c % 2]);
                    a->m[panel * a->m_panel + (p * OCTK_WINO_GROUP + t) * 16 + l] = (int32_t)sum;
                }
}

/* ---- along a row alone ---- */

void octk_wino1_in_u8s16_ref(const octk_wino1_in_u8s16 *a) {
    enum { CELLS = OCTK_WINO1_POINTS };
    for (int32_t t = 0; t < a->tiles; t++)
        for (int32_t h = 0; h < a->rows; h++)
            for (int32_t c = 0; c < a->c; c++)
                for (int32_t i = 0; i < CELLS; i++) {
                    const uint8_t *x = a->x + h * a->row + (int64_t)t * a->tile * a->pixel + c;
                    int32_t sum = 0;
                    for (int32_t w = 0; w < CELLS; w++) sum += BT4[i * CELLS + w] * x[w * a->pixel];
                    a->v[i * a->v_point + t * a->v_tile + (int64_t)h * a->c + c] = (int16_t)sum;
                }
}

/* Lane l of output (p, q), before it is undone that it is too large. */
static int32_t row_sum(const octk_wino1_s16u8 *a, int32_t first, int32_t l, int32_t p, int32_t q) {
    const int32_t points[] = {0, 1, -1, 2, -2}, j = q % a->tile;
    uint32_t sum = (uint32_t)a->b[first + l];
    for (int32_t i = 0; i < OCTK_WINO1_POINTS; i++) {
        const int16_t *v = a->v + i * a->v_point + q / a->tile * a->v_tile + p * a->v_row,
                      *u = a->u +
                           ((int64_t)(first / 16 * OCTK_WINO1_POINTS + i) * a->steps * 16 + l) * 2;
        int32_t by = i < 5 || j == a->tile - 1;
        for (int32_t k = 0; k < j && i < 5; k++) by *= points[i];
        for (int32_t k = 0; k < a->steps; k++, v += 2, u += 32)
            sum += (uint32_t)by * (uint32_t)(v[0] * u[0] + v[1] * u[1]);
    }
    return (int32_t)sum;
}

void octk_wino1_s16u8_ref(const octk_wino1_s16u8 *a) {
    const uint32_t inverse_of_3 = 2863311531u;
    const int32_t each = a->pooled ? 2 : 1, lanes = (a->o + 15) / 16 * 16;
    for (int64_t at = 0; at < (int64_t)a->p * a->q * lanes; at++) {
        const int32_t lane = (int32_t)(at % lanes), q = (int32_t)(at / lanes % a->q),
                      p = (int32_t)(at / lanes / a->q), o = octk_lane_channel(lanes, lane);
        int32_t most = INT32_MIN;
        if (o >= a->o) continue;
        for (int32_t k = 0; k < each * each; k++) {
            const int32_t sum =
                row_sum(a, lane / 16 * 16, lane % 16, p * each + k / each, q * each + k % each);
            if (sum > most) most = sum;
        }
        most = (int32_t)((uint32_t)most * inverse_of_3) >> (a->by.law == OCTQ_Q31 ? 3 : 0);
        octq_requant_row(&a->by, lane, &most, 1, a->zy, a->lo, a->hi,
                         a->y.base + p * a->y.row + q * a->y.pixel + o);
    }
}
