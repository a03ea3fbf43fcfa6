/* SPDX-License-Identifier: MIT
 * qat/net/function_codes.h - functions of one value between two grids. */
#ifndef OCT_QAT_NET_FUNCTION_CODES_H
#define OCT_QAT_NET_FUNCTION_CODES_H

#include "src/graph.h"

/** Values of a function of one input (requantize: of quantize on codes), for every code of x, in
 *  units of y's scale. Rounding them by the law gives the stored table. */
void octi_function_values(const oct_node *n, const oct_quantizer *x, const oct_quantizer *y,
                          float u[256]);
/** The same rounded, where law 16 has arithmetic of its own for node n (requantize, leaky_relu,
 *  hardswish): whole numbers, before the zero point. false: nothing is written, and the values
 *  above are rounded to the nearest. */
bool octi_function_rounded(const oct_node *n, const oct_quantizer *x, const oct_quantizer *y,
                           float r[256]);
/** Softmax's stored table: exp(-s_x * k). */
void octi_softmax_exps(const oct_quantizer *x, float e[256]);

#endif
