/* SPDX-License-Identifier: MIT
 * Functions of one value between two grids, for every code (law 8): what convert stores as tables,
 * and what the simulation rounds by. */
#include "qat/net/function_codes.h"

#include "ops/ops_own.h"
#include "qat/net/prepared.h"
#include "src/qround.h"

void octi_function_values(const oct_node *n, const oct_quantizer *x, const oct_quantizer *y,
                          float u[256]) {
    const double s = (double)octi_scale(x);
    const float m = octq_ratio(octi_scale(x), octi_scale(y));
    for (int32_t q = 0; q < 256; q++) {
        const int32_t step = q - octi_zero_point(x);
        u[q] = octi_is_unary(n->kind)
                   ? octq_table_value(octi_unary_f64(n->kind, &n->attr, s * step), octi_scale(y))
                   : octq_rescale_value(q, octi_zero_point(x), m);
    }
}

bool octi_function_rounded(const oct_node *n, const oct_quantizer *x, const oct_quantizer *y,
                           float r[256]) {
    const float s_x = octi_scale(x), s_y = octi_scale(y);
    const bool swish = n->kind == OCT_OP_hardswish;
    int32_t q31, shift;
    if (n->attr.law[0] != OCTQ_Q31 || (swish && !(s_x < 128 * s_y)) ||
        (!swish && n->kind != OCT_OP_quantize && n->kind != OCT_OP_leaky_relu))
        return false;
    octq_q31_of((double)s_x / (double)s_y, &q31, &shift);
    for (int32_t q = 0; q < 256; q++) {
        const int32_t step = q - octi_zero_point(x);
        r[q] = (float)(swish ? octq_q31_hardswish(step, s_x, s_y)
                       : n->kind == OCT_OP_leaky_relu
                           ? octq_q31_leaky_relu(step, n->attr.slope, s_x, s_y)
                           : octq_q31_scale(step, q31, shift));
    }
    return true;
}

void octi_softmax_exps(const oct_quantizer *x, float e[256]) {
    for (int32_t k = 0; k < 256; k++) e[k] = octq_softmax_exp(octi_scale(x), k);
}
