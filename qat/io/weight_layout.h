/* SPDX-License-Identifier: MIT
 * qat/io/weight_layout.h - between octet's layouts and PyTorch's: conv weights [O,R,S,C] and OIHW;
 * columns of a linear layer behind a flatten in H,W,C order and in C,H,W order. */
#ifndef OCT_QAT_IO_WEIGHT_LAYOUT_H
#define OCT_QAT_IO_WEIGHT_LAYOUT_H

#include "src/net.h"

/** H, W, C of the image that is flattened in front of the linear layer that this tensor is the
 *  weight of; false where it is no such weight (or where H*W or C is 1 and nothing moves). */
bool octi_flat_image(const oct_net *net, const char *weight, int64_t hwc[3]);
/** Elements of `size` bytes from octet's layout to PyTorch's, and back. `shape` is octet's in both.
 *  hwc: of octi_flat_image, or NULL. Tensors of other ranks are copied. */
void octi_layout_out(const oct_shape *shape, const int64_t *hwc, size_t size, const void *from,
                     void *to);
void octi_layout_in(const oct_shape *shape, const int64_t *hwc, size_t size, const void *from,
                    void *to);
/** PyTorch's shape of octet's, and octet's of PyTorch's: rank 4 is permuted. */
oct_shape octi_shape_out(const oct_shape *s);
oct_shape octi_shape_in(const oct_shape *s);

#endif
