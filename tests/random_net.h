/* SPDX-License-Identifier: MIT
 * tests/random_net.h - random nets of every quantizable op: branches, cats, depthwise, odd
 * shapes. */
#ifndef OCT_TESTS_RANDOM_NET_H
#define OCT_TESTS_RANDOM_NET_H

#include "octet.h"

/** A captured net drawn by `seed`, with batch-norm statistics that are not trivial; *image gets its
 *  input's [H,W,C]. */
oct_net *random_net(oct_ctx *ctx, uint64_t seed, oct_shape *image);
/** f32 [n, image] of standard normals, drawn by key. */
oct_tensor *random_images(oct_ctx *ctx, int64_t n, oct_shape image, uint32_t key);

#endif
