/* SPDX-License-Identifier: MIT
 * src/format/json_bits.h - what writers and readers of whole forms (graph, metadata, qconfig,
 * metrics) need beside json.h. */
#ifndef OCT_SRC_FORMAT_JSON_BITS_H
#define OCT_SRC_FORMAT_JSON_BITS_H

#include "json.h"

/** "file: owner" for errors, in a rotating buffer. */
static inline const char *octi_json_at(const char *where, const char *owner) {
    return octi_fmt("%s: %s", where, owner);
}
/** An array of at most max items. */
oct_status octi_json_array_of(const cJSON *obj, const char *key, int max, const char *where,
                              const cJSON **v);
/** An object whose keys are all in `keys` (NULL-terminated). */
oct_status octi_json_only_keys(const cJSON *obj, const char *const *keys, const char *where);
/** A float; "inf", "-inf", "nan" stand for what JSON lacks. Nine digits determine a float, also
 * through a double. */
oct_status octi_json_item_f32(const cJSON *item, const char *field, const char *where, float *v);
oct_status octi_json_f32(const cJSON *obj, const char *key, const char *where, float *v);
/** Append a float with nine digits, and the three strings above. */
void octi_json_put_f32(octi_text *out, float v);

#endif
