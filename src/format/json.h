/* SPDX-License-Identifier: MIT
 * src/format/json.h - JSON that came from a file: a strict check before cJSON sees it, and getters
 * that say what is wrong.
 *
 * cJSON builds the tree with malloc, outside the context's count; the number of values is limited
 * here instead, and every tree is freed with octi_json_free. Text is written with octi_text and the
 * two helpers below, keys in the caller's order. */
#ifndef OCT_SRC_FORMAT_JSON_H
#define OCT_SRC_FORMAT_JSON_H

#include <cjson/cJSON.h>

#include "bytes.h"

OCT_BEGIN_DECLS

enum { OCTI_JSON_DEPTH = 64, OCTI_JSON_VALUES = 1000000 };

/** Parse `size` bytes of UTF-8 (no terminator needed). Stricter than cJSON: RFC 8259 grammar, valid
 *  UTF-8, no NUL even as an escape, no lone surrogate, no duplicate key, depth and number of values
 *  limited, nothing but blanks behind the value. Errors: OCT_EFORMAT (where, offset), OCT_ELIMIT,
 *  OCT_ENOMEM. Free *root with octi_json_free. */
oct_status octi_json_parse(oct_ctx *ctx, const void *bytes, size_t size, const char *where,
                           cJSON **root);
/** The same where every number must be digits alone, as in the header of safetensors: 2.0 and 2e0
 *  are no sizes. */
oct_status octi_json_parse_whole(oct_ctx *ctx, const void *bytes, size_t size, const char *where,
                                 cJSON **root);
/** NULL is fine. */
void octi_json_free(cJSON *root);

/** Member of an object, exact name; NULL where absent (or where `object` is no object). */
const cJSON *octi_json_get(const cJSON *object, const char *key);
/** Checked members: OCT_EFORMAT "where: field 'key': expected E, got G" where absent or of another
 *  type. Strings are borrowed from the tree. An integer is a whole number in [min, max], at most
 *  2^53 in size. A number is finite. */
oct_status octi_json_string(const cJSON *object, const char *key, const char *where,
                            const char **out);
oct_status octi_json_int(const cJSON *object, const char *key, const char *where, int64_t min,
                         int64_t max, int64_t *out);
oct_status octi_json_number(const cJSON *object, const char *key, const char *where, double *out);
oct_status octi_json_bool(const cJSON *object, const char *key, const char *where, bool *out);
oct_status octi_json_array(const cJSON *object, const char *key, const char *where,
                           const cJSON **out);
oct_status octi_json_object(const cJSON *object, const char *key, const char *where,
                            const cJSON **out);
/** The same for one item of an array (or any value), `field` is its name in errors. */
oct_status octi_json_item_int(const cJSON *item, const char *field, const char *where, int64_t min,
                              int64_t max, int64_t *out);
oct_status octi_json_item_number(const cJSON *item, const char *field, const char *where,
                                 double *out);
oct_status octi_json_item_string(const cJSON *item, const char *field, const char *where,
                                 const char **out);

/** Append "s", quoted and escaped. */
void octi_json_put_string(octi_text *t, const char *s);
/** Append the shortest of %.9g and %.17g that gives v back, with a point in every locale; NaN and
 *  infinities become null. */
void octi_json_put_number(octi_text *t, double v);

OCT_END_DECLS
#endif
