/* SPDX-License-Identifier: MIT
 * C as text: names, strings and comments that no model can break out of, numbers that read back,
 * constants. */
#include "qat/io/c_writer.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "src/mem.h"

struct octi_c_const {
    const void *data;
    int64_t count;
    octi_c_type type;
    octi_c_label label;
};

void octi_c_put_text(const octi_c_writer *w, octi_text *t, const char *text) {
    for (const char *at = text; *at;) {
        size_t n = strcspn(at, "@");
        octi_text_bytes(t, at, n);
        at += n;
        if (*at != '@') continue;
        octi_text_bytes(t, w->id, strlen(w->id));
        at++;
    }
}

void octi_c_put(const octi_c_writer *w, octi_text *t, const char *format, ...) {
    char wide[8192], line[12288]; /* the longest of ours has 1,100 bytes and 10 names */
    size_t n = 0;
    for (const char *p = format; *p && n + sizeof w->id < sizeof wide; p++)
        if (*p == '@')
            n += (size_t)snprintf(wide + n, sizeof wide - n, "%s", w->id);
        else
            wide[n++] = *p;
    wide[n] = 0;
    va_list args;
    va_start(args, format);
    /* the format is one of ours, with a name of letters and digits in it */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    vsnprintf(line, sizeof line, wide, args);
#pragma GCC diagnostic pop
    va_end(args);
    octi_text_bytes(t, line, strlen(line));
}

static bool is_plain(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

void octi_c_put_string(octi_text *t, const char *s) {
    octi_text_printf(t, "\"");
    for (const unsigned char *p = (const unsigned char *)s; *p; p++)
        if (is_plain(*p) || strchr(" !#$%&'()*+,-./:;<=>[]^_`{|}~", *p))
            octi_text_printf(t, "%c", *p);
        else if (*p == '"' || *p == '\\')
            octi_text_printf(t, "\\%c", *p);
        else /* three octal digits end by themselves, whatever follows */
            octi_text_printf(t, "\\%03o", *p);
    octi_text_printf(t, "\"");
}

const char *octi_c_comment(const char *s) {
    char words[201];
    size_t n = 0;
    for (; *s && n + 1 < sizeof words; s++)
        words[n++] = is_plain((unsigned char)*s) || strchr(" .,:;_+-=()", *s) ? *s : '_';
    words[n] = 0;
    return octi_fmt("%s%s", words, *s ? "..." : "");
}

const char *octi_c_float(float v) {
    char t[40];
    snprintf(t, sizeof t, "%.9g", (double)v);
    bool whole = true;
    for (char *p = t; *p; p++) {
        if (!strchr("0123456789+-e", *p)) *p = '.'; /* the locale's decimal point */
        whole = whole && *p != '.' && *p != 'e';
    }
    return octi_fmt("%s%sf", t, whole ? ".0" : "");
}

oct_status octi_c_name(const char *from, char name[64]) {
    size_t n = strlen(from), digit = *from >= '0' && *from <= '9'; /* "8bit": "_8bit" */
    if (n < 1 || n + digit > 63)
        return octi_fail(OCT_EUSAGE, "export", "name of the C files", "1 to 63 bytes",
                         n ? octi_fmt("%zu bytes", n) : "an empty one", NULL);
    if (digit) *name++ = '_';
    for (size_t i = 0; i <= n; i++)
        name[i] = from[i] && !is_plain((unsigned char)from[i]) ? '_' : from[i];
    return OCT_OK;
}

/* The value that the caller's x is, through views alone. */
static bool is_input(const octi_c_writer *w, int32_t value) {
    for (int32_t i = w->last; i >= w->first; i--) {
        const octi_qmodule *m = &w->plan->steps[i];
        if (m->out != value) continue;
        if (i == w->first) return true;
        const octi_plan_value *in = &w->plan->values[m->in[0]], *out = &w->plan->values[value];
        if (!m->view || in->root != out->root) return false;
        value = m->in[0];
    }
    return false;
}

const char *octi_c_place(const octi_c_writer *w, int32_t value) {
    const octi_plan_value *v = &w->plan->values[value],
                          *end = &w->plan->values[w->plan->steps[w->last].in[0]];
    if (is_input(w, value)) return "x";
    if (v->root == end->root) return "y";
    return v->offset ? octi_fmt("arena + %zu", v->offset) : "arena";
}

/* ---- constants ---- */

static const struct {
    const char *word;
    int64_t bytes;
} types[] = {[OCTI_C_U8] = {"uint8_t", 1},
             [OCTI_C_S8] = {"int8_t", 1},
             [OCTI_C_S32] = {"int32_t", 4},
             [OCTI_C_F32] = {"float", 4},
             [OCTI_C_Q31] = {"multiplier", 8}};

static const char *element(const octi_c_writer *w, octi_c_type type, const void *data, int64_t i) {
    const int32_t *words = data;
    switch (type) {
    case OCTI_C_U8:
        return octi_fmt("%d", ((const uint8_t *)data)[i]);
    case OCTI_C_S8:
        return octi_fmt("%d", ((const int8_t *)data)[i]);
    case OCTI_C_S32:
        return octi_fmt("%ld", (long)words[i]);
    case OCTI_C_Q31:
        return octi_fmt("{%ld, %ld}", (long)words[i], (long)words[i + w->shifts]);
    default:
        return octi_c_float(((const float *)data)[i]);
    }
}

void octi_c_named(octi_c_writer *w, octi_c_type type, const char *name, const void *data,
                  int64_t count) {
    octi_text *t = &w->tables;
    octi_c_put(w, t, "@_CONST static const %s%s @_%s[%lld] = {",
               type == OCTI_C_Q31 ? octi_fmt("%s_", w->id) : "", types[type].word, name,
               (long long)count);
    size_t column = 100;
    for (int64_t i = 0; i < count; i++) {
        const char *e = element(w, type, data, i);
        size_t n = strlen(e) + 2;
        if (column + n > 98) {
            octi_text_bytes(t, "\n   ", 4);
            column = 4;
        }
        octi_text_bytes(t, " ", 1);
        octi_text_bytes(t, e, n - 2);
        if (i + 1 < count) octi_text_bytes(t, ",", 1);
        column += n;
    }
    octi_text_bytes(t, "};\n", 3);
    w->flash += types[type].bytes * count;
}

/* The label of a constant; *known where it was printed before. */
static octi_c_label label_of(octi_c_writer *w, octi_c_type type, char letter, const void *data,
                             int64_t count, bool *known) {
    *known = true;
    for (size_t i = 0; i < w->known_count; i++) {
        const octi_c_const *k = &w->known[i];
        if (k->data == data && k->count == count && k->type == type) return k->label;
    }
    if (octi_reserve(w->ctx, (void **)&w->known, &w->known_cap, w->known_count + 1,
                     sizeof *w->known) != OCT_OK)
        return w->tables.status = OCT_ENOMEM, (octi_c_label){""};
    *known = false;
    octi_c_const *k = &w->known[w->known_count++];
    *k = (octi_c_const){.data = data, .count = count, .type = type};
    snprintf(k->label.text, sizeof k->label.text, "%c%d", letter, (int)w->step);
    return k->label;
}

octi_c_label octi_c_array(octi_c_writer *w, octi_c_type type, char letter, const void *data,
                          int64_t count) {
    bool known;
    const octi_c_label label = label_of(w, type, letter, data, count, &known);
    if (!known) octi_c_named(w, type, label.text, data, count);
    return label;
}

octi_c_label octi_c_depthwise(octi_c_writer *w, const oct_tensor *t) {
    const int64_t n = oct_tensor_count(t), o = t->shape.dim[0];
    bool known;
    const octi_c_label label = label_of(w, OCTI_C_S8, 'd', t->data, n, &known);
    if (known) return label;
    if (w->q31) {
        int8_t *turned = octi_alloc_raw(w->ctx, (size_t)n);
        if (!turned) return w->tables.status = OCT_ENOMEM, label;
        for (int64_t i = 0; i < n; i++) turned[i % (n / o) * o + i / (n / o)] = oct_s8(t)[i];
        octi_c_put(w, &w->tables, "#ifdef @_USE_CMSIS_NN\n");
        octi_c_named(w, OCTI_C_S8, label.text, turned, n);
        octi_c_put(w, &w->tables, "#else\n");
        octi_free(w->ctx, turned);
        w->flash -= n; /* one of the two */
    }
    octi_c_named(w, OCTI_C_S8, label.text, t->data, n);
    if (w->q31) octi_c_put(w, &w->tables, "#endif\n");
    return label;
}
