/* SPDX-License-Identifier: MIT
 * The command that mends: the one that made the run, or its float run, with options in place of
 * those that did the harm. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "qat/doctor/doctor_case.h"

typedef struct line {
    char *to;
    size_t size, at;
} line;

static void put(line *l, const char *text) {
    const size_t n = strlen(text), room = l->size - l->at - 1, take = n < room ? n : room;
    memcpy(l->to + l->at, text, take);
    l->to[l->at += take] = 0;
}

/* A word for a shell, quoted where it must be. */
static void put_word(line *l, const char *text) {
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+/:,=@%";
    if (*text && !text[strspn(text, plain)]) {
        put(l, text);
        return;
    }
    put(l, "'");
    for (char one[2] = ""; *text; text++) {
        one[0] = *text;
        put(l, *text == '\'' ? "'\\''" : one);
    }
    put(l, "'");
}

static void option(line *l, const char *key, const char *value) {
    put(l, " --");
    put(l, key);
    put(l, " ");
    put_word(l, value);
}

/* "key=value" of the changes, {layer} and {with} filled in; false behind the last. */
static bool next_change(const char **at, const oct_cause *c, const char *with, char *key,
                        char *value, size_t size) {
    *at += strspn(*at, " ");
    const size_t n = strcspn(*at, " "), k = strcspn(*at, "=");
    if (!n) return false;
    line l = {value, size, 0};
    *value = 0;
    snprintf(key, size, "%.*s", (int)(k < n ? k : n), *at);
    for (const char *p = *at + (k < n ? k + 1 : n), *end = *at + n; p < end;) {
        const char *word = !strncmp(p, "{layer}", 7)  ? c->layer
                           : !strncmp(p, "{with}", 6) ? with
                                                      : NULL;
        if (word) {
            put(&l, word);
            p += strcspn(p, "}") + 1;
            continue;
        }
        put(&l, (char[]){*p++, 0});
    }
    *at += n;
    return true;
}

static bool in_changes(const char *changes, const char *key) {
    const size_t n = strlen(key);
    for (const char *p = changes; *p; p += strcspn(p, " "), p += strspn(p, " "))
        if (!strncmp(p, key, n) && p[n] == '=') return true;
    return false;
}

/* What a maker does not take, or what another maker's options are in its place. */
static bool left_out(const char *maker, const char *key) {
    static const char *const never[] = {"name", "operand0", "operand1", "out"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (!strcmp(key, never[i])) return true;
    if (!strcmp(maker, "import") && (!strcmp(key, "seed") || !strcmp(key, "epochs"))) return true;
    if (!strcmp(maker, "ptq") && !strcmp(key, "epochs")) return true;
    return !strcmp(maker, "qat") && (!strcmp(key, "calib") || !strcmp(key, "improve"));
}

/* octet MAKER [FROM] with the options that it was made by, changed. Rules come last, behind each
 * other. */
static void again(line *l, const octi_made_by *by, const char *maker, const char *from,
                  const char *spec, const char *changes, const oct_cause *c, const char *with) {
    char key[400], value[400];
    const char *old_rules = octi_option(by, "set");
    bool data = in_changes(changes, "data");
    put(l, "octet ");
    put(l, maker);
    if (from) put(l, " "), put_word(l, from);
    for (int i = 0; i < by->count; i++) {
        if (left_out(maker, by->key[i]) || in_changes(changes, by->key[i]) ||
            !strcmp(by->key[i], "set"))
            continue;
        data |= !strcmp(by->key[i], "data");
        option(l, by->key[i], by->value[i]);
    }
    if (!data && strcmp(maker, "import")) option(l, "data", spec);
    if (old_rules) option(l, "set", old_rules);
    for (const char *p = changes; next_change(&p, c, with, key, value, sizeof key);)
        if (*value) option(l, key, value);
}

/* Where a mended run goes: a name that nothing has yet, the same for all commands of one line. */
static void mended_name(const char *run, char *path, size_t size) {
    struct stat st;
    snprintf(path, size, "%s-mended", run);
    for (int n = 2; n < 1000 && !lstat(path, &st); n++)
        snprintf(path, size, "%s-mended-%d", run, n);
}

static void out(line *l, const char *run) {
    char path[900];
    mended_name(run, path, sizeof path);
    put(l, " --out ");
    put_word(l, path);
}

/* The run's own command; of a run that does not say how it was made: as octet ptq makes one. */
static void run_again(line *l, const octi_case *k, const char *maker, const char *from,
                      const char *changes, const oct_cause *c, const char *with) {
    const char *own = octi_option(&k->by, "operand0"), *name = octi_maker(k);
    if (!maker) maker = *name ? name : k->quantized ? "ptq" : "train";
    const bool no_operand = !strcmp(maker, "train");
    if (!from) from = own && (oct_run_is(own) || !k->parent_path) ? own : k->parent_path;
    if (!from) from = "FLOAT_RUN";
    again(l, &k->by, maker, no_operand ? NULL : from, k->spec, changes, c, with);
    if (no_operand && !octi_option(&k->by, "model")) option(l, "model", k->net->model);
    out(l, k->run);
}

/* What the float run is mended by, then the run behind it. */
static void float_again(line *l, const octi_case *k, bool tune, const char *changes,
                        const oct_cause *c, const char *with) {
    const char *path = k->quantized ? k->parent_path : k->run;
    const octi_made_by *by = k->quantized ? &k->parent_by : &k->by;
    if (!path) path = "FLOAT_RUN";
    if (tune) {
        static const octi_made_by none;
        again(l, &none, "train", NULL, k->spec, changes, c, with);
        option(l, "model", path);
        if (k->limit) {
            char limit[24];
            snprintf(limit, sizeof limit, "%lld", (long long)k->limit);
            option(l, "limit", limit);
        }
    } else {
        again(l, by, "train", NULL, k->spec, changes, c, with);
        if (!octi_option(by, "model")) option(l, "model", k->net->model);
    }
    out(l, path);
    if (!k->quantized) return;
    char mended[900];
    mended_name(path, mended, sizeof mended);
    put(l, " && ");
    run_again(l, k, NULL, mended, "", c, with);
}

void octi_case_command(const octi_case *k, const octi_cause_row *row, oct_cause *c,
                       const char *with) {
    line l = {c->command, sizeof c->command, 0};
    switch (row->mend) {
    case OCTI_MEND_CHECK:
        if (*with) { /* a validation set of its own: a share in its place */
            run_again(&l, k, NULL, NULL, with, c, "");
            break;
        }
        put(&l, "octet data check ");
        put_word(&l, k->spec);
        break;
    case OCTI_MEND_FLOAT:
    case OCTI_MEND_TUNE:
        float_again(&l, k, row->mend == OCTI_MEND_TUNE, row->changes, c, with);
        break;
    case OCTI_MEND_QAT:
        run_again(&l, k, "qat", k->parent_path, row->changes, c, with);
        break;
    default:
        if (!strcmp(row->changes, "{with}")) /* the function's own changes */
            run_again(&l, k, NULL, NULL, with, c, "");
        else
            run_again(&l, k, NULL, NULL, row->changes, c, with);
    }
}
