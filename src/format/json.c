/* SPDX-License-Identifier: MIT
 * A strict check of JSON text before cJSON builds its tree, and getters that say what is wrong. */
#include "src/format/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/mem.h"

/* ---- the strict check ---- */

typedef struct scan {
    const uint8_t *s;
    size_t n, i;
    size_t values;
    const char *where;
    bool whole; /* numbers are whole, and written so */
} scan;

static oct_status bad(const scan *c, const char *what) {
    const char *got = c->i >= c->n ? "the end"
                      : c->s[c->i] > 0x20 && c->s[c->i] < 0x7f
                          ? octi_fmt("'%c'", c->s[c->i])
                          : octi_fmt("byte 0x%02x", c->s[c->i]);
    return octi_fail(OCT_EFORMAT, c->where, octi_fmt("JSON at offset %zu", c->i), what, got, NULL);
}

static int peek(const scan *c) { return c->i < c->n ? c->s[c->i] : -1; }

static void blanks(scan *c) {
    while (c->i < c->n &&
           (c->s[c->i] == ' ' || c->s[c->i] == '\t' || c->s[c->i] == '\n' || c->s[c->i] == '\r'))
        c->i++;
}

static int hex4(const scan *c, size_t at) {
    int v = 0;
    if (c->n - at < 4) return -1;
    for (size_t k = at; k < at + 4; k++) {
        uint8_t h = c->s[k], low = h | 0x20;
        int d = h >= '0' && h <= '9' ? h - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
        if (d < 0) return -1;
        v = v * 16 + d;
    }
    return v;
}

static oct_status escape(scan *c) {
    c->i++;
    int e = peek(c);
    if (e > 0 && strchr("\"\\/bfnrt", e)) return c->i++, OCT_OK;
    if (e != 'u') return bad(c, "an escape");
    int v = hex4(c, c->i + 1);
    if (v < 0) return bad(c, "\\uXXXX");
    if (v == 0) return bad(c, "a character other than NUL");
    if (v >= 0xDC00 && v <= 0xDFFF) return bad(c, "a surrogate pair");
    c->i += 5;
    if (v < 0xD800 || v > 0xDBFF) return OCT_OK;
    if (c->n - c->i < 6 || c->s[c->i] != '\\' || c->s[c->i + 1] != 'u')
        return bad(c, "a surrogate pair");
    v = hex4(c, c->i + 2);
    if (v < 0xDC00 || v > 0xDFFF) return bad(c, "a surrogate pair");
    c->i += 6;
    return OCT_OK;
}

static oct_status utf8(scan *c) {
    static const struct {
        uint8_t mask, lead;
        uint32_t least;
        int more;
    } form[] = {{0xE0, 0xC0, 0x80, 1}, {0xF0, 0xE0, 0x800, 2}, {0xF8, 0xF0, 0x10000, 3}};
    for (int f = 0; f < 3; f++) {
        if ((c->s[c->i] & form[f].mask) != form[f].lead) continue;
        uint32_t v = c->s[c->i] & (uint8_t)~form[f].mask;
        if (c->n - c->i <= (size_t)form[f].more) break;
        int k = 1;
        for (; k <= form[f].more && (c->s[c->i + (size_t)k] & 0xC0) == 0x80; k++)
            v = v << 6 | (c->s[c->i + (size_t)k] & 0x3F);
        if (k <= form[f].more || v < form[f].least || v > 0x10FFFF || (v >= 0xD800 && v <= 0xDFFF))
            break;
        c->i += (size_t)k;
        return OCT_OK;
    }
    return bad(c, "valid UTF-8");
}

static oct_status string(scan *c) {
    if (peek(c) != '"') return bad(c, "a string");
    c->i++;
    for (;;) {
        int ch = peek(c);
        /* control character, NUL or the end */
        if (ch < 0x20) return bad(c, "the rest of a string");
        if (ch == '"') return c->i++, OCT_OK;
        if (ch == '\\')
            OCT_TRY(escape(c));
        else if (ch < 0x80)
            c->i++;
        else
            OCT_TRY(utf8(c));
    }
}

static size_t digits(scan *c) {
    size_t from = c->i;
    while (peek(c) >= '0' && peek(c) <= '9') c->i++;
    return c->i - from;
}

static oct_status number(scan *c) {
    size_t from = c->i;
    if (c->whole && c->n - c->i > 1 && !memcmp(c->s + c->i, "-0", 2))
        return bad(c, "a whole number without a sign");
    if (peek(c) == '-') c->i++;
    bool zero = peek(c) == '0';
    size_t d = digits(c);
    if (!d || (zero && d > 1)) return bad(c, "a number");
    const int behind = peek(c);
    if (c->whole && (behind == '.' || behind == 'e' || behind == 'E'))
        return bad(c, "a whole number, written as digits alone");
    if (peek(c) == '.') {
        c->i++;
        if (!digits(c)) return bad(c, "a digit");
    }
    if (peek(c) == 'e' || peek(c) == 'E') {
        c->i++;
        if (peek(c) == '+' || peek(c) == '-') c->i++;
        if (!digits(c)) return bad(c, "a digit");
    }
    return c->i - from > 60 ? bad(c, "a number of at most 60 characters") : OCT_OK;
}

static oct_status word(scan *c, const char *w) {
    size_t n = strlen(w);
    if (c->n - c->i < n || memcmp(c->s + c->i, w, n)) return bad(c, "a JSON value");
    c->i += n;
    return OCT_OK;
}

static oct_status value(scan *c, int depth);

static oct_status members(scan *c, bool object, int depth) {
    int close = object ? '}' : ']';
    c->i++;
    blanks(c);
    if (peek(c) == close) return c->i++, OCT_OK;
    for (;;) {
        if (object) {
            OCT_TRY(string(c));
            blanks(c);
            if (peek(c) != ':') return bad(c, "':'");
            c->i++;
            blanks(c);
        }
        OCT_TRY(value(c, depth + 1));
        blanks(c);
        int ch = peek(c);
        if (ch != ',' && ch != close) return bad(c, object ? "',' or '}'" : "',' or ']'");
        c->i++;
        if (ch == close) return OCT_OK;
        blanks(c);
    }
}

static oct_status value(scan *c, int depth) {
    if (depth > OCTI_JSON_DEPTH)
        return octi_fail(OCT_ELIMIT, c->where, octi_fmt("JSON nested too deep at offset %zu", c->i),
                         octi_fmt("at most %d levels", OCTI_JSON_DEPTH), NULL, NULL);
    if (++c->values > OCTI_JSON_VALUES)
        return octi_fail(OCT_ELIMIT, c->where, "too many values in JSON",
                         octi_fmt("at most %d", OCTI_JSON_VALUES), NULL, NULL);
    switch (peek(c)) {
    case '{':
        return members(c, true, depth);
    case '[':
        return members(c, false, depth);
    case '"':
        return string(c);
    case 't':
        return word(c, "true");
    case 'f':
        return word(c, "false");
    case 'n':
        return word(c, "null");
    default:
        return number(c);
    }
}

/* ---- duplicate keys ---- */

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static oct_status unique_keys(oct_ctx *ctx, const cJSON *item, const char *where) {
    size_t n = 0;
    for (const cJSON *c = item->child; c; c = c->next) {
        n++;
        if (c->child) OCT_TRY(unique_keys(ctx, c, where)); /* depth was limited by the check */
    }
    if (!cJSON_IsObject(item) || n < 2) return OCT_OK;
    const char **key = octi_calloc(ctx, n, sizeof *key);
    if (!key) return oct_last_error()->code;
    n = 0;
    for (const cJSON *c = item->child; c; c = c->next) key[n++] = c->string;
    qsort(key, n, sizeof *key, by_text);
    oct_status s = OCT_OK;
    for (size_t i = 1; i < n && s == OCT_OK; i++)
        if (!strcmp(key[i - 1], key[i]))
            s = octi_fail(OCT_EFORMAT, where, "JSON key stands twice", NULL, key[i], NULL);
    octi_free(ctx, key);
    return s;
}

static oct_status parse(oct_ctx *ctx, const void *bytes, size_t size, bool whole, const char *where,
                        cJSON **root) {
    scan c = {.s = bytes, .n = size, .where = where, .whole = whole};
    blanks(&c);
    OCT_TRY(value(&c, 0));
    size_t end = c.i;
    blanks(&c);
    if (c.i != size) return bad(&c, "nothing behind the value");
    cJSON *tree = cJSON_ParseWithLengthOpts(bytes, end, NULL, false);
    if (!tree)
        return octi_fail(OCT_ENOMEM, where, "JSON parser failed", NULL, octi_fmt("%zu bytes", size),
                         NULL);
    oct_status s = unique_keys(ctx, tree, where);
    if (s != OCT_OK) return cJSON_Delete(tree), s;
    *root = tree;
    return OCT_OK;
}

oct_status octi_json_parse(oct_ctx *ctx, const void *bytes, size_t size, const char *where,
                           cJSON **root) {
    return parse(ctx, bytes, size, false, where, root);
}

oct_status octi_json_parse_whole(oct_ctx *ctx, const void *bytes, size_t size, const char *where,
                                 cJSON **root) {
    return parse(ctx, bytes, size, true, where, root);
}

void octi_json_free(cJSON *root) { cJSON_Delete(root); }

/* ---- getters ---- */

static const char *type_text(const cJSON *v) {
    if (!v) return "nothing";
    if (cJSON_IsString(v)) return octi_fmt("\"%.100s\"", v->valuestring);
    if (cJSON_IsNumber(v)) return octi_fmt("%.17g", v->valuedouble);
    if (cJSON_IsArray(v)) return "an array";
    if (cJSON_IsObject(v)) return "an object";
    if (cJSON_IsNull(v)) return "null";
    return cJSON_IsTrue(v) ? "true" : "false";
}

static oct_status mistyped(const cJSON *v, const char *field, const char *where,
                           const char *expected) {
    return octi_fail(OCT_EFORMAT, where, octi_fmt("field '%.100s'", field), expected, type_text(v),
                     NULL);
}

const cJSON *octi_json_get(const cJSON *object, const char *key) {
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

oct_status octi_json_item_string(const cJSON *v, const char *field, const char *where,
                                 const char **out) {
    if (!cJSON_IsString(v)) return mistyped(v, field, where, "a string");
    *out = v->valuestring;
    return OCT_OK;
}

oct_status octi_json_item_int(const cJSON *v, const char *field, const char *where, int64_t min,
                              int64_t max, int64_t *out) {
    double d = cJSON_IsNumber(v) ? v->valuedouble : NAN;
    if (!(fabs(d) <= 0x1p53) || d != floor(d) || (int64_t)d < min || (int64_t)d > max)
        return mistyped(v, field, where,
                        octi_fmt("an integer from %lld to %lld", (long long)min, (long long)max));
    *out = (int64_t)d;
    return OCT_OK;
}

oct_status octi_json_item_number(const cJSON *v, const char *field, const char *where,
                                 double *out) {
    if (!cJSON_IsNumber(v) || !isfinite(v->valuedouble))
        return mistyped(v, field, where, "a finite number");
    *out = v->valuedouble;
    return OCT_OK;
}

oct_status octi_json_string(const cJSON *object, const char *key, const char *where,
                            const char **out) {
    return octi_json_item_string(octi_json_get(object, key), key, where, out);
}

oct_status octi_json_int(const cJSON *object, const char *key, const char *where, int64_t min,
                         int64_t max, int64_t *out) {
    return octi_json_item_int(octi_json_get(object, key), key, where, min, max, out);
}

oct_status octi_json_number(const cJSON *object, const char *key, const char *where, double *out) {
    return octi_json_item_number(octi_json_get(object, key), key, where, out);
}

oct_status octi_json_bool(const cJSON *object, const char *key, const char *where, bool *out) {
    const cJSON *v = octi_json_get(object, key);
    if (!cJSON_IsBool(v)) return mistyped(v, key, where, "true or false");
    *out = cJSON_IsTrue(v);
    return OCT_OK;
}

oct_status octi_json_array(const cJSON *object, const char *key, const char *where,
                           const cJSON **out) {
    *out = octi_json_get(object, key);
    return cJSON_IsArray(*out) ? OCT_OK : mistyped(*out, key, where, "an array");
}

oct_status octi_json_object(const cJSON *object, const char *key, const char *where,
                            const cJSON **out) {
    *out = octi_json_get(object, key);
    return cJSON_IsObject(*out) ? OCT_OK : mistyped(*out, key, where, "an object");
}

/* ---- writing ---- */

void octi_json_put_string(octi_text *t, const char *s) {
    octi_text_bytes(t, "\"", 1);
    for (; *s; s++) {
        uint8_t ch = (uint8_t)*s;
        if (ch == '"' || ch == '\\')
            octi_text_printf(t, "\\%c", ch);
        else if (ch < 0x20)
            octi_text_printf(t, "\\u%04x", ch);
        else
            octi_text_bytes(t, s, 1);
    }
    octi_text_bytes(t, "\"", 1);
}

void octi_json_put_number(octi_text *t, double v) {
    char buf[40];
    if (!isfinite(v)) {
        octi_text_bytes(t, "null", 4);
        return;
    }
    snprintf(buf, sizeof buf, "%.9g", v);
    if (strtod(buf, NULL) != v) snprintf(buf, sizeof buf, "%.17g", v);
    for (char *p = buf; *p; p++)
        if (*p == ',') *p = '.'; /* the locale's decimal mark */
    octi_text_bytes(t, buf, strlen(buf));
}
