/* SPDX-License-Identifier: MIT
 * autograd/diff.h - forward and backward of every float kind: octi_fwd_<kind>, octi_bwd_<kind>, one
 * pair a row of src/op_kinds.def. */
#ifndef OCT_AUTOGRAD_DIFF_H
#define OCT_AUTOGRAD_DIFF_H

#include "autograd/tape.h"

#define OCT_OP(name, least, most, flags) octi_diff_fn octi_fwd_##name, octi_bwd_##name;
#define OCT_OP_INT8(name, least, most, flags)
#include "src/op_kinds.def"
#undef OCT_OP

#endif
