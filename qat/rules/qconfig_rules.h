/* SPDX-License-Identifier: MIT
 * qat/rules/qconfig_rules.h - rules of a qconfig from inside: which of them decide for a node,
 * checks, the text that a net keeps. */
#ifndef OCT_QAT_RULES_QCONFIG_RULES_H
#define OCT_QAT_RULES_QCONFIG_RULES_H

#include "qat/rules/qconfig.h"
#include "src/format/bytes.h"
#include "src/graph.h"

enum octi_qkey {
#define OCT_QKEY(key, field, type, lowest, highest, words, part, usual, what) OCTI_QKEY_##field,
#include "qat/rules/qconfig_keys.def"
    OCTI_QKEYS
};
/* every enum is a word of its table */
enum octi_qkey_type { OCTI_QKEY_INT, OCTI_QKEY_REAL, OCTI_QKEY_TEXT, OCTI_QKEY_WORD };
/** Whose a key is, as bits. */
enum octi_qpart { OCTI_QPART_A = 1, OCTI_QPART_W = 2, OCTI_QPART_F = 3 };

typedef struct octi_qkey_row {
    const char *key;
    size_t offset; /* in oct_qsettings */
    enum octi_qkey_type type;
    double lowest, highest;
    const octi_words *words; /* of an enum */
    int part;
} octi_qkey_row;
extern const octi_qkey_row octi_qkey_rows[OCTI_QKEYS];

/** A key's value as text ("" where it is not set), in a rotating buffer or the settings' own. */
const char *octi_qkey_text(const oct_qsettings *s, int key);
extern const octi_words octi_granularity_words, octi_weight_observer_words, octi_weight_qmin_words,
    octi_ste_words;

/** The rules of a config, its fields first, as a global one. */
typedef struct octi_qrules {
    oct_qrule *rule;
    int32_t count;
} octi_qrules;
/** Refuses, with OCT_EUSAGE, values that the keys do not have, unknown kinds and observers. Memory
 *  of the context: free `rule`. */
oct_status octi_qrules_of(oct_ctx *ctx, const oct_qconfig *config, octi_qrules *rules);
/** A rule that matches no node of the graph: OCT_EUSAGE, naming it. */
oct_status octi_qrules_hit(const octi_qrules *rules, const oct_graph *g);
bool octi_qrule_matches(const oct_qrule *r, const char *name, oct_op_kind kind);
/** "pattern fc*", "global"; in a rotating buffer. */
const char *octi_qrule_text(const oct_qrule *r);
/** idle_rules.c: a warning for each key of a rule that changes nothing at any node of the prepared
 *  graph which the rule matches. */
void octi_qrules_warn_idle(const octi_qrules *rules, oct_ctx *ctx, const oct_graph *g);

/** What holds for one node. */
typedef struct octi_resolved {
    oct_qsettings set;
    int32_t by[OCTI_QKEYS]; /* index of the rule that decided; -1: none, the preset */
} octi_resolved;
octi_resolved octi_qrules_resolve(const octi_qrules *rules, const char *name, oct_op_kind kind);
/** A pattern or a name decided a key. */
bool octi_qrules_named(const octi_qrules *rules, const octi_resolved *r, int key);

/** JSON as oct_qconfig_load reads it; what a prepared net keeps (oct_net.qconfig). "" where no rule
 *  sets anything. */
oct_status octi_qrules_write(const octi_qrules *rules, octi_text *out);
/** Read it back, into memory of an arena, or of the context where there is none. *target: 0 where
 *  the text has none. */
oct_status octi_qrules_read(oct_ctx *ctx, struct octi_arena *arena, const void *text, size_t size,
                            const char *where, octi_qrules *rules, oct_target *target);
/** Append rules to config->rules. */
oct_status octi_qrules_append(oct_ctx *ctx, const octi_qrules *more, oct_qconfig *config);

#endif
