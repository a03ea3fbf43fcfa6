/* SPDX-License-Identifier: MIT
 * What a core's multiplications reach on registers: what a layer's time is held against. */
#define _GNU_SOURCE
#include <string.h>

#include "ops/kernels/kernels.h"
#include "ops/ops.h"
#include "src/clock.h"
#include "src/mem.h"

/* What a kernel multiplies; NULL: nothing. */
static octk_peak_fn *peak_of(const octk_table *k, const char *kernel) {
    const struct {
        const char *name;
        octk_peak_fn *peak;
    } of[] = {
        {k->name.conv_s16u8, k->peak_s16},   {k->name.wino_mul_s16, k->peak_s16},
        {k->name.dw_u8s16, k->peak_s16},     {k->name.dot_s16u8, k->peak_s16},
        {k->name.plane_u8s16, k->peak_s16},  {k->name.plane5_u8s16, k->peak_s16},
        {k->name.conv_u8u8, k->peak_u8},     {k->name.pairs_u8u8, k->peak_u8},
        {k->name.nibbles_u8u8, k->peak_u8}, /* twice as many products for each of its own */
        {k->name.tiles_u8u8, k->peak_tiles}, {k->name.conv_f32, k->peak_f32},
        {k->name.gemm_f32, k->peak_f32},     {"float", k->peak_f32}, /* a plan's step */
    };
    for (size_t i = 0; kernel && i < sizeof of / sizeof *of; i++)
        if (!strcmp(of[i].name, kernel)) return of[i].peak;
    return NULL;
}

double octi_peak(const oct_ctx *ctx, const char *kernel) {
    enum { BLOCKS = 5, ROUNDS = 4000 };
    octk_peak_fn *peak = peak_of(octi_ctx_kernels(ctx), kernel);
    double most = 0;
    if (!peak) return 0;
    peak(ROUNDS); /* the first one wakes units that sleep */
    for (int i = 0; i < BLOCKS; i++) {
        const int64_t begin = octi_nanoseconds();
        const int64_t products = peak(ROUNDS);
        const double took = 1e-9 * (double)(octi_nanoseconds() - begin);
        if (took > 0 && (double)products / took > most) most = (double)products / took;
    }
    return most;
}
