/* SPDX-License-Identifier: MIT
 * Text forms of rules: those of --set, and JSON. Both end in the same rules, judged by
 * octi_qrules_of. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "qat/net/backend.h"
#include "qat/rules/qconfig_rules.h"
#include "src/arena.h"
#include "src/float_mode.h"
#include "src/format/json_bits.h"
#include "src/mem.h"
#include "src/words.h"

enum { FILE_MOST = 1 << 20, RULES_MOST = 65536 };

static void *field_of(oct_qsettings *s, int key) { return (char *)s + octi_qkey_rows[key].offset; }

static int key_named(const char *word) {
    int k = 0;
    while (k < OCTI_QKEYS && strcmp(octi_qkey_rows[k].key, word)) k++;
    return k;
}

static bool is_switch(int key) { return octi_qkey_rows[key].words == &octi_switch_words; }

static const char *known_keys(char *room, size_t size) {
    size_t at = 0;
    for (int k = 0; k < OCTI_QKEYS && at + 32 < size; k++) {
        size_t n = strlen(octi_qkey_rows[k].key);
        if (k) memcpy(room + at, ", ", 2), at += 2;
        memcpy(room + at, octi_qkey_rows[k].key, n);
        at += n;
    }
    room[at] = 0;
    return room;
}

/* ---- --set ---- */

static oct_status bad_piece(const char *where, const char *what, const char *expected,
                            const char *piece) {
    return octi_fail(OCT_EUSAGE, where, what, expected, piece, NULL);
}

/* A JSON number, nothing behind: whatever the locale's decimal mark. Zero would mean "not set": no
 * key has it in its range. */
static bool number_of(const char *text, bool whole, double *v) {
    const char *allowed = whole ? "0123456789" : "0123456789.eE+-";
    if (!*text || strlen(text) > 32 || text[strspn(text, allowed)]) return false;
    cJSON *n = cJSON_ParseWithOpts(text, NULL, true);
    const bool number = cJSON_IsNumber(n);
    if (number) *v = n->valuedouble;
    octi_json_free(n);
    return number;
}

/* `where`: the rule, for messages. */
static oct_status set_key(const char *where, oct_qsettings *s, char *piece) {
    char *value = strchr(piece, '=');
    char known[256];
    if (value) *value++ = 0;
    int key = key_named(piece);
    if (key == OCTI_QKEYS)
        return octi_fail_word(OCT_EUSAGE, where, "unknown key", known_keys(known, sizeof known),
                              piece, NULL);
    const octi_qkey_row *row = &octi_qkey_rows[key];
    if (!value && !is_switch(key))
        return bad_piece(where, "key without a value", octi_fmt("%s=VALUE", row->key), piece);
    double v = 0;
    if (row->type >= OCTI_QKEY_TEXT && value && !*value)
        return bad_piece(where, "key without a value", octi_fmt("%s=VALUE", row->key), piece);
    if (row->type == OCTI_QKEY_WORD)
        return octi_word_find(row->words, OCT_EUSAGE, where, value ? value : "yes",
                              field_of(s, key));
    if (row->type == OCTI_QKEY_TEXT) {
        *(const char **)field_of(s, key) = value;
        return OCT_OK;
    }
    errno = 0;
    const bool number = number_of(value, row->type == OCTI_QKEY_INT, &v);
    /* cJSON found no memory for it */
    if (!number && errno == ENOMEM) return octi_fail_errno(where, "a number");
    if (!number || !(v >= row->lowest && v <= row->highest))
        return bad_piece(where, octi_fmt("bad value of %s", row->key),
                         octi_fmt("%g to %g", row->lowest, row->highest), value);
    if (row->type == OCTI_QKEY_INT)
        *(int *)field_of(s, key) = (int)v;
    else
        *(float *)field_of(s, key) = (float)v;
    return OCT_OK;
}

static oct_status scope_of(char *where, oct_qrule *r) {
    static const struct {
        const char *prefix;
        oct_qscope scope;
    } prefixes[] = {
        {"kind=", OCT_QSCOPE_KIND}, {"pattern=", OCT_QSCOPE_PATTERN}, {"name=", OCT_QSCOPE_NAME}};
    *r = (oct_qrule){.scope = strpbrk(where, "*?[") ? OCT_QSCOPE_PATTERN : OCT_QSCOPE_NAME,
                     .of = where};
    if (!strcmp(where, "global")) *r = (oct_qrule){.scope = OCT_QSCOPE_GLOBAL};
    for (int i = 0; i < 3; i++)
        if (!strncmp(where, prefixes[i].prefix, strlen(prefixes[i].prefix)))
            *r = (oct_qrule){.scope = prefixes[i].scope, .of = where + strlen(prefixes[i].prefix)};
    return r->of && !*r->of
               ? bad_piece("qconfig", "rule without a pattern", "PATTERN:KEY=VALUE", where)
               : OCT_OK;
}

static oct_status parse(char *text, octi_qrules *rules) {
    char where[400];
    const char *pattern = "";
    for (char *piece = text, *next; piece; piece = next) {
        next = strchr(piece, ',');
        if (next) *next++ = 0;
        char *key = strrchr(piece, ':'); /* keys and values have none; names may */
        if (key) {
            *key++ = 0;
            pattern = piece;
            OCT_TRY(scope_of(piece, &rules->rule[rules->count++]));
            piece = key;
        }
        if (!rules->count)
            return bad_piece("qconfig", "rule without a pattern", "PATTERN:KEY=VALUE", piece);
        snprintf(where, sizeof where, "rule %.200s:%.100s", pattern, piece);
        OCT_TRY(set_key(where, &rules->rule[rules->count - 1].set, piece));
    }
    return OCT_OK;
}

oct_status oct_qconfig_parse(oct_ctx *ctx, const char *text, oct_qconfig *config) {
    OCTI_LAW_MODE();
    octi_qrules rules = {.count = 0};
    if (!ctx || !text || !config) return octi_fail_null("oct_qconfig_parse");
    size_t most = 1;
    for (const char *p = text; *p; p++) most += *p == ':';
    if (most > RULES_MOST)
        return octi_fail(OCT_ELIMIT, "qconfig", "too many rules",
                         octi_fmt("at most %d", RULES_MOST), NULL, NULL);
    char *own = octi_strdup(ctx, text); /* the rules' words lie in it: it stays */
    rules.rule = octi_calloc(ctx, most, sizeof *rules.rule);
    oct_status s = own && rules.rule ? parse(own, &rules) : oct_last_error()->code;
    if (s == OCT_OK) s = octi_qrules_append(ctx, &rules, config);
    octi_free(ctx, rules.rule);
    if (s != OCT_OK) octi_free(ctx, own);
    return s;
}

/* ---- JSON ---- */

typedef struct reading {
    oct_ctx *ctx;
    octi_arena *arena;
    const char *where; /* file, then rule */
} reading;

static const char *keep(const reading *r, const char *s) {
    return r->arena ? octi_arena_strdup(r->arena, s) : octi_strdup(r->ctx, s);
}

static oct_status read_key(const reading *r, const cJSON *item, oct_qsettings *s) {
    int key = key_named(item->string);
    char known[256];
    const char *word;
    if (key == OCTI_QKEYS)
        return octi_fail_word(OCT_EFORMAT, r->where, "unknown key", known_keys(known, sizeof known),
                              item->string, NULL);
    const octi_qkey_row *row = &octi_qkey_rows[key];
    if (is_switch(key) && cJSON_IsBool(item)) {
        *(oct_switch *)field_of(s, key) = cJSON_IsTrue(item) ? OCT_SWITCH_YES : OCT_SWITCH_NO;
        return OCT_OK;
    }
    if (row->type >= OCTI_QKEY_TEXT) {
        OCT_TRY(octi_json_item_string(item, row->key, r->where, &word));
        if (!*word)
            return octi_fail(OCT_EFORMAT, r->where, octi_fmt("field '%s' is empty", row->key),
                             row->words ? octi_words_known(row->words) : NULL, NULL, NULL);
        if (row->words)
            return octi_word_find(row->words, OCT_EFORMAT, octi_fmt("%s: %s", r->where, row->key),
                                  word, field_of(s, key));
        *(const char **)field_of(s, key) = word = keep(r, word);
        return word ? OCT_OK : oct_last_error()->code;
    }
    double v;
    int64_t whole = 0;
    if (row->type == OCTI_QKEY_INT) {
        OCT_TRY(octi_json_item_int(item, row->key, r->where, (int64_t)row->lowest,
                                   (int64_t)row->highest, &whole));
        *(int *)field_of(s, key) = (int)whole;
        return OCT_OK;
    }
    OCT_TRY(octi_json_item_number(item, row->key, r->where, &v));
    if (!(v >= row->lowest && v <= row->highest))
        return octi_fail(OCT_EFORMAT, r->where, octi_fmt("field '%s' out of range", row->key),
                         octi_fmt("%g to %g", row->lowest, row->highest), octi_fmt("%g", v), NULL);
    *(float *)field_of(s, key) = (float)v;
    return OCT_OK;
}

static oct_status read_rule(const reading *r, const cJSON *object, oct_qrule *rule) {
    static const char *const scopes[] = {NULL, "kind", "pattern", "name"};
    const cJSON *item;
    if (!cJSON_IsObject(object))
        return octi_fail(OCT_EFORMAT, r->where, "a rule is no object", "an object", NULL, NULL);
    *rule = (oct_qrule){.scope = OCT_QSCOPE_GLOBAL};
    cJSON_ArrayForEach(item, object) {
        int scope = OCT_QSCOPE_NAME;
        while (scope && strcmp(scopes[scope], item->string)) scope--;
        if (!scope) {
            OCT_TRY(read_key(r, item, &rule->set));
            continue;
        }
        const char *of;
        OCT_TRY(octi_json_item_string(item, item->string, r->where, &of));
        if (rule->of || !*of)
            return octi_fail(OCT_EFORMAT, r->where, "a rule is for one thing",
                             "one of kind, pattern, name", of, NULL);
        rule->scope = (oct_qscope)scope;
        if (!(rule->of = keep(r, of))) return oct_last_error()->code;
    }
    return OCT_OK;
}

static oct_status read_target(const reading *r, const cJSON *item, oct_target *target) {
    const char *word;
    int value = 0;
    OCT_TRY(octi_json_item_string(item, "target", r->where, &word));
    OCT_TRY(octi_word_find(&octi_target_words, OCT_EFORMAT, octi_fmt("%s: target", r->where), word,
                           &value));
    *target = (oct_target)value;
    return OCT_OK;
}

static oct_status read_root(const reading *r, const cJSON *root, octi_qrules *rules,
                            oct_target *target) {
    const cJSON *list = octi_json_get(root, "rules"), *item;
    if (!cJSON_IsObject(root))
        return octi_fail(OCT_EFORMAT, r->where, "no qconfig", "an object", NULL, NULL);
    if (list) OCT_TRY(octi_json_array(root, "rules", r->where, &list));
    const int n = list ? cJSON_GetArraySize(list) : 0;
    if (n > RULES_MOST)
        return octi_fail(OCT_ELIMIT, r->where, "too many rules", octi_fmt("at most %d", RULES_MOST),
                         NULL, NULL);
    rules->rule = r->arena ? octi_arena_calloc(r->arena, (size_t)n + 1, sizeof *rules->rule)
                           : octi_calloc(r->ctx, (size_t)n + 1, sizeof *rules->rule);
    if (!rules->rule) return oct_last_error()->code;
    rules->count = 1;
    cJSON_ArrayForEach(item, root) {
        if (item == list) continue;
        if (!strcmp(item->string, "target"))
            OCT_TRY(read_target(r, item, target));
        else
            OCT_TRY(read_key(r, item, &rules->rule[0].set));
    }
    cJSON_ArrayForEach(item, list) {
        char where[300];
        const int at = rules->count - 1;
        snprintf(where, sizeof where, "%s: rule %d", r->where, at);
        const reading inner = {r->ctx, r->arena, where};
        OCT_TRY(read_rule(&inner, item, &rules->rule[rules->count]));
        rules->count++;
    }
    return OCT_OK;
}

oct_status octi_qrules_read(oct_ctx *ctx, octi_arena *arena, const void *text, size_t size,
                            const char *where, octi_qrules *rules, oct_target *target) {
    const reading r = {ctx, arena, where};
    cJSON *root;
    *rules = (octi_qrules){.count = 0};
    *target = OCT_TARGET_DEFAULT;
    OCT_TRY(octi_json_parse(ctx, text, size, where, &root));
    oct_status s = read_root(&r, root, rules, target);
    octi_json_free(root);
    return s;
}

oct_status oct_qconfig_load(oct_ctx *ctx, const char *path, oct_qconfig *config) {
    OCTI_LAW_MODE();
    if (!ctx || !path || !config) return octi_fail_null("oct_qconfig_load");
    uint8_t *bytes;
    size_t size;
    octi_qrules rules;
    oct_target target;
    OCT_TRY(octi_file_read(ctx, path, FILE_MOST, &bytes, &size));
    oct_status s = octi_qrules_read(ctx, NULL, bytes, size, path, &rules, &target);
    octi_free(ctx, bytes);
    if (s == OCT_OK) s = octi_qrules_append(ctx, &rules, config);
    if (s == OCT_OK && !config->target) config->target = target;
    octi_free(ctx, rules.rule);
    return s;
}

static void write_settings(octi_text *out, const oct_qsettings *s, bool *more) {
    for (int k = 0; k < OCTI_QKEYS; k++) {
        const char *v = octi_qkey_text(s, k);
        if (!*v) continue;
        octi_text_printf(out, "%s\"%s\": ", *more ? ", " : "", octi_qkey_rows[k].key);
        if (octi_qkey_rows[k].type >= OCTI_QKEY_TEXT)
            octi_json_put_string(out, v);
        else if (octi_qkey_rows[k].type == OCTI_QKEY_INT)
            octi_text_printf(out, "%s", v);
        else
            octi_json_put_f32(out, *(const float *)((const char *)s + octi_qkey_rows[k].offset));
        *more = true;
    }
}

static bool sets_anything(const oct_qsettings *s) {
    for (int k = 0; k < OCTI_QKEYS; k++)
        if (*octi_qkey_text(s, k)) return true;
    return false;
}

oct_status octi_qrules_write(const octi_qrules *rules, octi_text *out) {
    static const char *const scopes[] = {"global", "kind", "pattern", "name"};
    bool any = false, inside = false;
    for (int32_t i = 0; i < rules->count; i++) any |= sets_anything(&rules->rule[i].set);
    if (!any) return out->status;
    octi_text_printf(out, "{\"rules\": [");
    for (int32_t i = 0; i < rules->count; i++) {
        const oct_qrule *r = &rules->rule[i];
        bool more = false;
        if (!sets_anything(&r->set)) continue;
        octi_text_printf(out, inside ? ", {" : "{");
        if (r->scope != OCT_QSCOPE_GLOBAL) {
            octi_text_printf(out, "\"%s\": ", scopes[r->scope]);
            octi_json_put_string(out, r->of);
            more = true;
        }
        write_settings(out, &r->set, &more);
        octi_text_printf(out, "}");
        inside = true;
    }
    octi_text_printf(out, "]}");
    return out->status;
}
