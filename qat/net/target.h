/* SPDX-License-Identifier: MIT
 * qat/net/target.h - where the int8 net will run (law 14): presets, rows of targets.def. */
#ifndef OCT_QAT_NET_TARGET_H
#define OCT_QAT_NET_TARGET_H

#include "../../src/status.h"

OCT_BEGIN_DECLS

typedef enum oct_target {
    OCT_TARGET_DEFAULT, /* octet */
#define OCT_TARGET(value, name, reduce_range, per_channel, pow2, law, text) OCT_TARGET_##value,
#include "targets.def"
    OCT_TARGET_COUNT
} oct_target;

/** "octet", "fbgemm", ...: the word of a target, and the reverse (src/words.h). */
OCT_API const char *oct_target_name(oct_target v);
OCT_API OCT_NODISCARD oct_status oct_target_from_name(const char *word, oct_target *v);

OCT_END_DECLS
#endif
