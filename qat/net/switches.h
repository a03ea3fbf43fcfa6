/* SPDX-License-Identifier: MIT
 * qat/net/switches.h - what of a prepared net moves: switches for all its layers. */
#ifndef OCT_QAT_NET_SWITCHES_H
#define OCT_QAT_NET_SWITCHES_H

#include "../../src/net.h"

OCT_BEGIN_DECLS

/** Switches of a prepared net; they are named tensors, so they are saved with it. */
OCT_API void oct_net_observe(oct_net *net, bool on);
OCT_API void oct_net_fake_quantize(oct_net *net, bool on);
OCT_API void oct_net_freeze_batch_norm(oct_net *net, bool on);
OCT_API bool oct_net_batch_norm_frozen(const oct_net *net);

OCT_END_DECLS
#endif
