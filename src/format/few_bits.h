/* SPDX-License-Identifier: MIT
 * src/format/few_bits.h - whole numbers of few bits behind one another: weights of 4 bits and fewer
 * as files hold them. */
#ifndef OCT_SRC_FORMAT_FEW_BITS_H
#define OCT_SRC_FORMAT_FEW_BITS_H

#include "../tensor.h"

/** Bits, 2 to 4, in two's complement, that every element of an s8 tensor fits; 0 where it takes
 *  more, is of another dtype, or has no elements. */
int octi_few_bits(const oct_tensor *t);
/** Bytes that `count` of them take: the last one's free bits are 0. */
static inline size_t octi_few_bytes(size_t count, int bits) {
    return count / 8 * (size_t)bits + (count % 8 * (size_t)bits + 7) / 8;
}
/** Element i stands in bits i * bits on of `packed`, which was all 0, the lowest first. */
void octi_few_pack(const int8_t *x, size_t count, int bits, uint8_t *packed);
/** Back; false where a free bit is not 0. */
bool octi_few_unpack(const uint8_t *packed, size_t count, int bits, int8_t *x);

#endif
