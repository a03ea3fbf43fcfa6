/* SPDX-License-Identifier: MIT
 * Which rules decide: levels, matching, checks of values. Text forms are in qconfig_text.c. */
#include "qat/rules/qconfig_rules.h"

#include <fnmatch.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "qat/scales/observing.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/words.h"

static const char *const granularities[] = {
    NULL,
#define OCT_GRANULARITY(value, word) word,
#include "qat/rules/qconfig_words.def"
};
static const char *const weight_observers[] = {
    NULL,
#define OCT_WEIGHT_OBSERVER(value, word) word,
#include "qat/rules/qconfig_words.def"
};
static const char *const weight_qmins[] = {
    NULL,
#define OCT_WEIGHT_QMIN(value, word) word,
#include "qat/rules/qconfig_words.def"
};
static const char *const stes[] = {
    NULL,
#define OCT_STE(value, word) word,
#include "qat/rules/qconfig_words.def"
};
const octi_words octi_granularity_words = OCTI_WORDS("granularity", granularities),
                 octi_weight_observer_words = OCTI_WORDS("weight_observer", weight_observers),
                 octi_weight_qmin_words = OCTI_WORDS("weight_qmin", weight_qmins),
                 octi_ste_words = OCTI_WORDS("ste", stes);
OCTI_WORD_PAIR(oct_granularity, octi_granularity_words)
OCTI_WORD_PAIR(oct_weight_observer, octi_weight_observer_words)
OCTI_WORD_PAIR(oct_weight_qmin, octi_weight_qmin_words)
OCTI_WORD_PAIR(oct_ste, octi_ste_words)

#define OF_none                   NULL
#define OF_switch                 &octi_switch_words
#define OF_granularity            &octi_granularity_words
#define OF_weight_observer        &octi_weight_observer_words
#define OF_weight_qmin            &octi_weight_qmin_words
#define OF_method                 &octi_method_words
#define OF_ste                    &octi_ste_words
#define OCTI_QKEY_SWITCH          OCTI_QKEY_WORD
#define OCTI_QKEY_GRANULARITY     OCTI_QKEY_WORD
#define OCTI_QKEY_WEIGHT_OBSERVER OCTI_QKEY_WORD
#define OCTI_QKEY_WEIGHT_QMIN     OCTI_QKEY_WORD
#define OCTI_QKEY_METHOD          OCTI_QKEY_WORD
#define OCTI_QKEY_STE             OCTI_QKEY_WORD
const octi_qkey_row octi_qkey_rows[OCTI_QKEYS] = {
#define OCT_QKEY(key, field, type, lowest, highest, words, part, usual, what)                      \
    {key,                                                                                          \
     offsetof(oct_qsettings, field),                                                               \
     OCTI_QKEY_##type,                                                                             \
     lowest,                                                                                       \
     highest,                                                                                      \
     OF_##words,                                                                                   \
     OCTI_QPART_##part},
#include "qat/rules/qconfig_keys.def"
};

static const void *field_of(const oct_qsettings *s, int key) {
    return (const char *)s + octi_qkey_rows[key].offset;
}

static bool is_set(const oct_qsettings *s, int key) {
    switch (octi_qkey_rows[key].type) {
    case OCTI_QKEY_INT:
    case OCTI_QKEY_WORD:
        return *(const int *)field_of(s, key) != 0;
    case OCTI_QKEY_REAL:
        return *(const float *)field_of(s, key) != 0;
    default:
        return *(const char *const *)field_of(s, key) && **(const char *const *)field_of(s, key);
    }
}

const char *octi_qkey_text(const oct_qsettings *s, int key) {
    if (!is_set(s, key)) return "";
    switch (octi_qkey_rows[key].type) {
    case OCTI_QKEY_INT:
        return octi_fmt("%d", *(const int *)field_of(s, key));
    case OCTI_QKEY_REAL:
        return octi_fmt("%.9g", (double)*(const float *)field_of(s, key));
    case OCTI_QKEY_WORD:
        return octi_word_of(octi_qkey_rows[key].words, *(const int *)field_of(s, key));
    default:
        return *(const char *const *)field_of(s, key);
    }
}

static void copy_key(oct_qsettings *to, const oct_qsettings *from, int key) {
    const size_t size[] = {sizeof(int), sizeof(float), sizeof(char *), sizeof(oct_switch)};
    memcpy((char *)to + octi_qkey_rows[key].offset, field_of(from, key),
           size[octi_qkey_rows[key].type]);
}

/* ---- checks ---- */

const char *octi_qrule_text(const oct_qrule *r) {
    static const char *const scopes[] = {"global", "kind", "pattern", "name"};
    return r->scope == OCT_QSCOPE_GLOBAL ? "global" : octi_fmt("%s %s", scopes[r->scope], r->of);
}

static oct_status check_value(oct_ctx *ctx, const oct_qrule *r, int key) {
    const octi_qkey_row *row = &octi_qkey_rows[key];
    if (!is_set(&r->set, key)) return OCT_OK;
    const char *got = octi_qkey_text(&r->set, key),
               *bad = octi_fmt("%s: %s out of range", octi_qrule_text(r), row->key);
    if (row->type == OCTI_QKEY_TEXT) {
        const bool fine = key != OCTI_QKEY_observer || octi_observer_find(ctx, got);
        return fine ? OCT_OK
               : r->scope == OCT_QSCOPE_GLOBAL
                   ? oct_last_error()->code
                   : octi_fail_in(oct_last_error()->code, octi_fmt("rule %s", octi_qrule_text(r)));
    }
    if (row->type == OCTI_QKEY_WORD)
        return octi_word_check(row->words,
                               octi_fmt("qconfig: %s: %s", octi_qrule_text(r), row->key),
                               *(const int *)field_of(&r->set, key));
    double v = row->type == OCTI_QKEY_INT ? *(const int *)field_of(&r->set, key)
                                          : (double)*(const float *)field_of(&r->set, key);
    if (v >= row->lowest && v <= row->highest) return OCT_OK;
    return octi_fail(OCT_EUSAGE, "qconfig", bad, octi_fmt("%g to %g", row->lowest, row->highest),
                     got, NULL);
}

/* PyTorch's class names are near: Linear, Conv2d, MaxPool2d. */
static const char *meant_kind(const char *word) {
    char known[1024] = "";
    for (int k = 0; k < OCT_OP_KIND_COUNT; k++) {
        const size_t at = strlen(known);
        if (oct_op_flags((oct_op_kind)k) & OCT_OPF_F)
            snprintf(known + at, sizeof known - at, "%s, ", oct_op_name((oct_op_kind)k));
    }
    const char *near = oct_nearest_word(word, known);
    return near ? octi_fmt("did you mean kind=%s?", near) : NULL;
}

static oct_status check_rule(oct_ctx *ctx, const oct_qrule *r) {
    oct_op_kind kind;
    if ((unsigned)r->scope > OCT_QSCOPE_NAME)
        return octi_fail(OCT_EUSAGE, "qconfig", "a rule has no scope",
                         "global, kind, pattern or name", NULL, NULL);
    if (r->scope != OCT_QSCOPE_GLOBAL && (!r->of || !*r->of))
        return octi_fail(OCT_EUSAGE, "qconfig", "a rule says not for what",
                         "a kind, pattern or name", NULL, NULL);
    if (r->scope == OCT_QSCOPE_KIND && !oct_op_from_name(r->of, &kind))
        return octi_fail(OCT_EUSAGE, "qconfig", "unknown kind", "one such as conv2d, linear, add",
                         r->of, meant_kind(r->of));
    for (int k = 0; k < OCTI_QKEYS; k++) OCT_TRY(check_value(ctx, r, k));
    return OCT_OK;
}

oct_status octi_qrules_of(oct_ctx *ctx, const oct_qconfig *c, octi_qrules *rules) {
    *rules = (octi_qrules){.count = c->rule_count + 1};
    if (c->rule_count < 0 || (c->rule_count && !c->rules))
        return octi_fail(OCT_EUSAGE, "qconfig", "rules are missing", NULL, NULL, NULL);
    rules->rule = octi_calloc(ctx, (size_t)rules->count, sizeof *rules->rule);
    if (!rules->rule) return oct_last_error()->code;
    oct_qsettings *global = &rules->rule[0].set;
#define OCT_QKEY(key, field, type, lowest, highest, words, part, usual, what)                      \
    global->field = c->field;
#include "qat/rules/qconfig_keys.def"
    if (c->rule_count) memcpy(rules->rule + 1, c->rules, (size_t)c->rule_count * sizeof *c->rules);
    for (int32_t i = 0; i < rules->count; i++) OCT_TRY(check_rule(ctx, &rules->rule[i]));
    return OCT_OK;
}

oct_status octi_qrules_append(oct_ctx *ctx, const octi_qrules *more, oct_qconfig *config) {
    if (config->rule_count < 0 || (config->rule_count && !config->rules))
        return octi_fail(OCT_EUSAGE, "qconfig", "rules that it has",
                         "rule_count >= 0, rules not NULL", octi_fmt("%d", config->rule_count),
                         NULL);
    oct_qrule *list =
        octi_calloc(ctx, (size_t)config->rule_count + (size_t)more->count + 1, sizeof *list);
    if (!list) return oct_last_error()->code;
    if (config->rule_count) memcpy(list, config->rules, (size_t)config->rule_count * sizeof *list);
    if (more->count)
        memcpy(list + config->rule_count, more->rule, (size_t)more->count * sizeof *list);
    config->rules = list;
    config->rule_count += more->count;
    return OCT_OK;
}

oct_status oct_qconfig_add(oct_ctx *ctx, const oct_qrule *rule, oct_qconfig *config) {
    OCTI_LAW_MODE();
    if (!ctx || !rule || !config) return octi_fail_null("oct_qconfig_add");
    oct_qrule one = *rule;
    return octi_qrules_append(ctx, &(octi_qrules){&one, 1}, config);
}

/* ---- matching ---- */

/* A border is called after its value: "input.quantize" is the input's, "fc.quantize" that of a
 * float fc. */
static const char *module_of(const char *name, oct_op_kind kind, char *room, size_t size) {
    size_t n = strlen(name), tail = strlen(".quantize");
    if (kind != OCT_OP_quantize || n <= tail || strcmp(name + n - tail, ".quantize") ||
        n - tail >= size)
        return name;
    memcpy(room, name, n - tail);
    room[n - tail] = 0;
    return room;
}

bool octi_qrule_matches(const oct_qrule *r, const char *name, oct_op_kind kind) {
    char room[512];
    const char *module = module_of(name, kind, room, sizeof room);
    const size_t n = r->of ? strlen(r->of) : 0;
    switch (r->scope) {
    case OCT_QSCOPE_GLOBAL:
        return true;
    case OCT_QSCOPE_KIND:
        return !strcmp(r->of, oct_op_name(kind));
    case OCT_QSCOPE_PATTERN:
        return !fnmatch(r->of, module, 0);
    default:
        return !strcmp(r->of, name) ||
               (!strncmp(r->of, module, n) && (!module[n] || module[n] == '.'));
    }
}

static oct_status matches_nothing(const oct_qrule *r, const oct_graph *g) {
    return octi_fail(
        OCT_EUSAGE, "qconfig", octi_fmt("%s matches nothing", octi_qrule_text(r)),
        "a layer of the net", NULL,
        octi_graph_meant(g, r->of ? r->of : "",
                         "octet inspect lists them; a fused layer has its first one's name"));
}

oct_status octi_qrules_hit(const octi_qrules *rules, const oct_graph *g) {
    for (int32_t i = 0; i < rules->count; i++) {
        bool hit = false;
        for (int32_t k = 0; k < g->node_count && !hit; k++)
            hit = octi_qrule_matches(&rules->rule[i], g->nodes[k].name, g->nodes[k].kind);
        if (!hit) return matches_nothing(&rules->rule[i], g);
    }
    return OCT_OK;
}

octi_resolved octi_qrules_resolve(const octi_qrules *rules, const char *name, oct_op_kind kind) {
    octi_resolved out = {.by = {0}};
    for (int k = 0; k < OCTI_QKEYS; k++) out.by[k] = -1;
    for (int scope = OCT_QSCOPE_GLOBAL; scope <= OCT_QSCOPE_NAME; scope++)
        for (int32_t i = 0; i < rules->count; i++) {
            const oct_qrule *r = &rules->rule[i];
            if ((int)r->scope != scope || !octi_qrule_matches(r, name, kind)) continue;
            for (int k = 0; k < OCTI_QKEYS; k++) {
                if (!is_set(&r->set, k)) continue;
                copy_key(&out.set, &r->set, k);
                out.by[k] = i;
            }
        }
    return out;
}

bool octi_qrules_named(const octi_qrules *rules, const octi_resolved *r, int key) {
    return r->by[key] >= 0 && rules->rule[r->by[key]].scope >= OCT_QSCOPE_PATTERN;
}

void oct_qconfig_init(oct_qconfig *opts) {
    if (opts) *opts = (oct_qconfig){0};
}
