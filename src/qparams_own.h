/* SPDX-License-Identifier: MIT
 * src/qparams_own.h - quantization parameters: what the library's own files have of them.
 * Comes with qparams.h where the library is built; never installed. */
#ifndef OCT_SRC_QPARAMS_OWN_H
#define OCT_SRC_QPARAMS_OWN_H

#include "qparams.h"

/** Law 6: no sum of codes of an output channel leaves 32 bits: |bias| + sum_abs * reach is at most
 *  2^31 - 1; sum_abs: the weights' sizes, reach: the largest |q - z|. *bound (may be NULL) gets the
 *  sum. OCT_ELIMIT, naming the channel of `where`. */
oct_status octi_prove_accumulator(const char *where, int64_t channel, int64_t bias, int64_t sum_abs,
                                  int64_t reach, int64_t *bound);

#endif
