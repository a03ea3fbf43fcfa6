/* SPDX-License-Identifier: MIT
 * src/format/graph_form.h - the words of a graph's form, for its writer and its reader. */
#ifndef OCT_SRC_FORMAT_GRAPH_FORM_H
#define OCT_SRC_FORMAT_GRAPH_FORM_H

#include <stddef.h>

#include "src/graph.h"

enum { FORM_VERSION = 2 };

static const struct attr_row {
    const char *name;
    size_t offset;
    int count;
    bool is_float;
} attr_rows[] = {
#define OCT_ATTR_I32(name, count) {#name, offsetof(oct_attrs, name), count, false},
#define OCT_ATTR_F32(name)        {#name, offsetof(oct_attrs, name), 1, true},
#include "src/attr_fields.def"
#undef OCT_ATTR_I32
#undef OCT_ATTR_F32
};
enum { ATTR_COUNT = sizeof attr_rows / sizeof *attr_rows };

static const char *const role_words[] = {"input", "param", "buffer", "const", "act"};
static const char *const quantizer_roles[] = {"values", "weight", "fixed"};
static const char *const reason_words[OCT_FLOAT_REASONS] = {
    "",
#define OCT_FLOAT_REASON(name, word, text) word,
#include "src/float_reasons.def"
};

static const char *const state_keys[OCT_OBSERVER_TENSORS] = {"state0", "state1", "state2",
                                                             "state3"};

#endif
