/* SPDX-License-Identifier: MIT
 * Weights of exact integer Winograd, transformed: see kernels_wino.h for their layout. */
#include "ops/qconv_winograd.h"
#include "src/mem.h"

enum { TOGETHER = 16 * 2 }; /* kernels: a panel's outputs by two inputs */

/* Where product (y, x) of a tile stands. */
static int32_t place_of(const octi_wino_form *f, int32_t y, int32_t x) {
    return f->stride == 1 ? y * f->edge + x : octk_wino_s2_product(f->edge, y, x);
}

/* u = V g V^T of so many kernels, rows first; `step` from one product to the next. Rows of |V| sum
 * to 12 at most: 12 * 12 * 128 < 2^15, every sum is its 16 bits. */
static void weights_in(const octi_wino_form *f, const int16_t g[9][TOGETHER], int16_t *u,
                       int64_t step) {
    for (int32_t y = 0; y < f->edge; y++) {
        const int16_t *down = f->v[y];
        int16_t row[3][TOGETHER];
        for (int32_t k = 0; k < 3; k++)
            for (int32_t e = 0; e < TOGETHER; e++)
                row[k][e] =
                    (int16_t)(down[0] * g[k][e] + down[1] * g[3 + k][e] + down[2] * g[6 + k][e]);
        for (int32_t x = 0; x < f->edge; x++) {
            const int16_t *across = f->v[x];
            int16_t *to = u + place_of(f, y, x) * step;
            for (int32_t e = 0; e < TOGETHER; e++)
                to[e] = (int16_t)(across[0] * row[0][e] + across[1] * row[1][e] +
                                  across[2] * row[2][e]);
        }
    }
}

/* A panel's weights; sums[16] += of each output. Lanes and inputs that are none are 0. */
static void pack_panel(const octi_qwinograd *own, const octi_qconv *c, int32_t panel, int16_t *u,
                       int32_t *sums) {
    const int64_t step = (int64_t)own->blocks * 8 * TOGETHER;
    for (int32_t i = 0; i < own->blocks * 16; i += 2, u += TOGETHER) {
        int16_t g[9][TOGETHER] = {{0}};
        const int32_t both = c->c - i < 2 ? c->c - i : 2;
        for (int32_t l = 0; l < 16; l++) {
            const int32_t o = octk_lane_channel(own->panels * 16, panel * 16 + l);
            if (o >= c->o) continue;
            for (int32_t k = 0; k < 9; k++)
                for (int32_t a = 0; a < both; a++) {
                    g[k][l * 2 + a] = c->weight[((int64_t)o * 9 + k) * c->c + i + a];
                    sums[l] += g[k][l * 2 + a];
                }
        }
        weights_in(own->f, g, u, step);
    }
}

oct_status octi_pack_winograd(const octi_qargs *q, const octi_qconv *c, octi_qwinograd *own) {
    const octi_wino_form *f = own->f;
    const int32_t lanes = own->panels * 16;
    int16_t *u = octi_arena_alloc(q->arena, (size_t)own->products * (size_t)own->blocks * 16 *
                                                (size_t)lanes * sizeof *u);
    int32_t *b = octi_arena_calloc(q->arena, (size_t)lanes, sizeof *b);
    if (!u || !b) return oct_last_error()->code;
    OCT_TRY(octi_new_records(q->arena, c->by.law, (size_t)lanes, &own->by));
    for (int32_t panel = 0; panel < own->panels; panel++) {
        int32_t sums[16] = {0};
        pack_panel(own, c, panel, u + (int64_t)panel * own->products * own->blocks * 16 * 16, sums);
        for (int32_t l = panel * 16; l < panel * 16 + 16; l++) {
            const int32_t o = octk_lane_channel(lanes, l);
            if (o >= c->o) continue;
            /* of raw codes; everything is modulo 2^32 until the last step */
            b[l] = (int32_t)((uint32_t)f->factor *
                             ((uint32_t)c->bias[o] - (uint32_t)c->zx * (uint32_t)sums[l % 16]));
            octi_put_record(&c->by, o, &own->by, l, f->over);
        }
    }
    own->u = u;
    own->b = b;
    return OCT_OK;
}
