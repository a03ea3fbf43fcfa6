/* SPDX-License-Identifier: MIT
 * The matrix that exact integer Winograd's references share. */
#ifndef OCT_OPS_KERNELS_REF_WINO_REF_H
#define OCT_OPS_KERNELS_REF_WINO_REF_H

#include <stdint.h>

/* B^T of six cells. */
static const int32_t BT4[] = {4, 0,  -5, 0, 1, 0, 0, -4, -4, 1,  1, 0, 0, 4, -4, -1, 1, 0,
                              0, -2, -1, 2, 1, 0, 0, 2,  -1, -2, 1, 0, 0, 4, 0,  -5, 0, 1};

#endif
