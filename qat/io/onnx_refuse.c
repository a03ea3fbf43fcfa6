/* SPDX-License-Identifier: MIT
 * ONNX in: what cannot be taken, gathered while a file is read and told in one error: every reason
 * once, with the nodes that it holds for and with what to do about it. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "qat/io/onnx_in.h"
#include "src/mem.h"

enum { LIST = 2040, NODES_NAMED = 4, REASONS = 64 };

typedef struct refusal {
    const char *op, *why, *cure;
    const char *node[NODES_NAMED];
    int64_t count;
    bool told;
} refusal;

struct octi_onnx_refusals {
    refusal list[REASONS];
    int count;
    int64_t nodes, reasons_left_out;
};

const char *octi_onnx_word(const char *name) {
    char word[64];
    size_t n = 0;
    if (!name || !*name) return "(no name)";
    for (; name[n] && n < sizeof word - 4; n++) {
        const unsigned char c = (unsigned char)name[n];
        word[n] = c < 0x20 || c > 0x7e ? '?' : (char)c;
    }
    snprintf(word + n, sizeof word - n, "%s", name[n] ? "..." : "");
    return octi_fmt("%s", word);
}

const char *octi_onnx_cure(octi_onnx_cause cause, const char *op) {
    static const char *const cures[OCTI_CURES] = {
#define OCT_ONNX_CURE(cause, words) words,
#include "qat/io/onnx_cures.def"
    };
    static const char *const of_ops[][2] = {
#define OCT_ONNX_CURE_OPS(ops, words) {ops, words},
#include "qat/io/onnx_cures.def"
    };
    char word[64];
    snprintf(word, sizeof word, " %.60s ", op ? op : "");
    for (size_t i = 0; cause == OCTI_CURE_OP && i < sizeof of_ops / sizeof *of_ops; i++)
        if (strstr(of_ops[i][0], word)) return of_ops[i][1];
    return cures[cause];
}

static refusal *reason(struct octi_onnx_refusals *r, octi_arena *a, const char *op, const char *why,
                       const char *cure) {
    for (int i = 0; i < r->count; i++)
        if (!strcmp(r->list[i].op, op) && !strcmp(r->list[i].why, why)) return &r->list[i];
    if (r->count == REASONS) return r->reasons_left_out++, NULL;
    refusal *f = &r->list[r->count];
    *f = (refusal){.op = octi_arena_strdup(a, op), .why = octi_arena_strdup(a, why), .cure = cure};
    return f->op && f->why ? r->count++, f : NULL;
}

static oct_status note(octi_onnx *o, octi_onnx_cause cause, const char *op, const char *node,
                       const char *why) {
    struct octi_onnx_refusals *r = o->refusals;
    if (!r && !(r = o->refusals = octi_arena_calloc(o->arena, 1, sizeof *r)))
        return oct_last_error()->code;
    oct_clear_error();
    refusal *f = reason(r, o->arena, op, why, octi_onnx_cure(cause, op));
    if (!f && oct_last_error()->code != OCT_OK) return oct_last_error()->code;
    r->nodes++;
    if (!f) return OCT_EUNSUPPORTED;
    if (f->count < NODES_NAMED && !(f->node[f->count] = octi_arena_strdup(o->arena, node)))
        return oct_last_error()->code;
    f->count++;
    return OCT_EUNSUPPORTED;
}

oct_status octi_onnx_refuse(const octi_onnx_node *n, octi_onnx_cause cause, const char *format,
                            ...) {
    char why[200];
    va_list ap;
    va_start(ap, format);
    vsnprintf(why, sizeof why, format, ap);
    va_end(ap);
    const char *name = n->p->name && *n->p->name           ? n->p->name
                       : n->p->n_output && n->p->output[0] ? n->p->output[0]
                                                           : "";
    return note(n->o, cause, octi_onnx_word(n->p->op_type), octi_onnx_word(name), why);
}

oct_status octi_onnx_refuse_file(octi_onnx *o, octi_onnx_cause cause, const char *format, ...) {
    char why[200];
    va_list ap;
    va_start(ap, format);
    vsnprintf(why, sizeof why, format, ap);
    va_end(ap);
    return note(o, cause, "", "", why);
}

oct_status octi_onnx_refuse_last(const octi_onnx_node *n) {
    const oct_error *e = oct_last_error();
    if (e->code == OCT_ENOMEM || e->code == OCT_ELIMIT || e->code == OCT_EINTERNAL) return e->code;
    char why[200];
    snprintf(why, sizeof why, "%s%s%s%s%s", e->what, *e->expected ? ": expected " : "", e->expected,
             *e->got ? ", got " : "", e->got);
    return octi_onnx_refuse(n, OCTI_CURE_MISFIT, "%s", why);
}

/* "Gelu (node /a/Gelu, /b/Gelu and 3 more): why" */
static void tell(const refusal *f, char *to, size_t room) {
    size_t used = 0;
    if (*f->op) used += (size_t)snprintf(to, room, "%s (", f->op);
    const int64_t named = f->count < NODES_NAMED ? f->count : NODES_NAMED;
    for (int64_t k = 0; *f->op && k < named && used < room; k++)
        used += (size_t)snprintf(to + used, room - used, "%s%s", k ? ", " : "node ", f->node[k]);
    if (*f->op && f->count > named && used < room)
        used += (size_t)snprintf(to + used, room - used, " and %lld more",
                                 (long long)(f->count - named));
    if (used < room) snprintf(to + used, room - used, "%s%s", *f->op ? "): " : "", f->why);
}

/* Reason i with all later ones that the same helps, as many as fit: "why; why -> what to do".
 * Returns the bytes, 0 where not even one fits. */
static size_t tell_alike(struct octi_onnx_refusals *r, int i, char *to, size_t room) {
    const char *cure = r->list[i].cure;
    const size_t end = strlen(cure) + 5;
    size_t used = 0;
    for (int k = i; k < r->count; k++) {
        refusal *f = &r->list[k];
        char one[512];
        if (f->cure != cure) continue;
        tell(f, one, sizeof one);
        if (used + strlen(one) + 2 + end > room) break;
        used += (size_t)snprintf(to + used, room - used, "%s%s", used ? "; " : "", one);
        f->told = true;
    }
    return used ? used + (size_t)snprintf(to + used, room - used, " -> %s", cure) : 0;
}

oct_status octi_onnx_refused(const octi_onnx *o) {
    struct octi_onnx_refusals *r = o->refusals;
    if (!r) return OCT_OK;
    char text[LIST], one[LIST];
    const size_t last = sizeof "; and 65536 more reasons";
    size_t used = 0;
    int64_t left_out = r->reasons_left_out;
    text[0] = 0;
    for (int i = 0; i < r->count; i++) {
        const size_t taken = used + last + sizeof "; ", room = taken < LIST ? LIST - taken : 0;
        const size_t n = r->list[i].told ? 0 : tell_alike(r, i, one, room);
        if (n)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? "; " : "", one);
        left_out += !r->list[i].told;
    }
    if (left_out)
        snprintf(text + used, sizeof text - used, "; and %lld more reasons", (long long)left_out);
    return octi_fail(OCT_EUNSUPPORTED, o->where,
                     octi_fmt("%lld of the file's parts are not taken", (long long)r->nodes),
                     "what the table in qat/io/README.md lists", text,
                     o->grids_refused ? "without the file's scales it may come in: .as_floats"
                                      : NULL);
}
