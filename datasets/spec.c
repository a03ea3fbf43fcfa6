/* SPDX-License-Identifier: MIT
 * SPEC of a data set: the word before ':' names the kind, the rest is a path. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "datasets/set.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/words.h"

typedef oct_data *open_fn(oct_ctx *ctx, const char *path, const oct_data_opts *opts);

static const struct kind {
    const char *word, *path; /* what stands behind ':'; "": nothing does */
    open_fn *open;
    const char *layout;
} kinds[] = {
#define OCT_SPEC(word, path, open, layout) {word, path, octi_open_##open, layout},
#include "datasets/specs.def"
};
static const char known[] = "synth-digits, synth-shapes, idx:DIR, cifar10:DIR, cifar100:DIR, "
                            "cifar100-coarse:DIR, folder:DIR, npz:FILE";

const char *oct_data_spec(int i, const char **layout) {
    if (i < 0 || (size_t)i >= sizeof kinds / sizeof *kinds) return NULL;
    if (layout) *layout = kinds[i].layout;
    return octi_fmt("%s%s%s", kinds[i].word, *kinds[i].path ? ":" : "", kinds[i].path);
}

/* As given, else below the root. The path as given where neither is there: the kind's error will
 * name it. */
static char *locate(oct_ctx *ctx, const char *path, const char *root) {
    if (!root) root = getenv("OCTET_DATA");
    if (*path != '/' && access(path, F_OK) && root && *root) {
        char *below = octi_asprintf(ctx, "%s/%s", root, path);
        if (!below || !access(below, F_OK)) return below;
        octi_free(ctx, below);
    }
    return octi_strdup(ctx, path);
}

/* The kind with a path that holds it, as given or below the root; NULL: none. */
static const char *seen_at(oct_ctx *ctx, const char *spec, const char *root) {
    char *path = locate(ctx, spec, root);
    const char *kind = path ? oct_data_kind(path) : NULL;
    octi_free(ctx, path);
    return kind;
}

/* Sets that people call by name. */
static const char *by_name(const char *spec) {
    static const char *const names[][2] = {
        {"mnist", "idx:DIR"},          {"fashion-mnist", "idx:DIR"}, {"kmnist", "idx:DIR"},
        {"emnist", "idx:DIR"},         {"cifar", "cifar10:DIR"},     {"cifar-10", "cifar10:DIR"},
        {"cifar-100", "cifar100:DIR"}, {"imagenet", "folder:DIR"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(spec, names[i][0]))
            return octi_fmt("did you mean %s, DIR where its files lie?", names[i][1]);
    return NULL;
}

static void bad_spec(oct_ctx *ctx, const struct kind *k, const char *spec, const char *root) {
    const char *there = seen_at(ctx, spec, root);
    if (k)
        (void)octi_fail(OCT_EUSAGE, spec,
                        *k->path ? "data set needs a path" : "data set takes no path", known, NULL,
                        NULL);
    else if (there)
        (void)octi_fail(OCT_EUSAGE, spec, "a path is no data set", known, NULL,
                        octi_fmt("did you mean %s:%s?", there, spec));
    else
        (void)octi_fail_word(OCT_EUSAGE, spec, "unknown kind of data set", known,
                             octi_fmt("%.*s", (int)strcspn(spec, ":"), spec), by_name(spec));
}

/* Nothing lies at the path: where it was looked for, and what is called nearly so there. */
static bool nothing_there(const struct kind *k, const char *path, const char *root) {
    if (!*k->path || !access(path, F_OK) || errno != ENOENT) return false;
    if (!root) root = getenv("OCTET_DATA");
    const bool both = *path != '/' && root && *root;
    const char *near = octi_near_path(path, NULL);
    if (!near && both) near = octi_near_path(path, root);
    (void)octi_fail(OCT_EIO, path, "cannot open",
                    octi_fmt("a %s%s%s", strcmp(k->path, "DIR") ? "file" : "folder",
                             both ? ", here or below " : "", both ? root : ""),
                    strerror(ENOENT), near ? octi_fmt("did you mean %s:%s?", k->word, near) : NULL);
    return true;
}

/* What could not be read as one kind, and looks like another. */
static void other_kind(const struct kind *k, const char *path) {
    const oct_error *e = oct_last_error();
    const char *seen = *e->hint || !*k->path ? NULL : oct_data_kind(path);
    if (!seen || !strncmp(seen, k->word, strlen(seen))) return;
    (void)octi_fail(e->code, e->where, e->what, e->expected, e->got,
                    octi_fmt("did you mean %s:%s?", seen, path));
}

oct_data *oct_data_open(oct_ctx *ctx, const char *spec, const oct_data_opts *opts) {
    OCTI_LAW_MODE();
    if (!ctx)
        return octi_fail(OCT_EUSAGE, "oct_data_open", "context is NULL", NULL, NULL, NULL), NULL;
    if (!spec)
        return octi_fail(OCT_EUSAGE, "oct_data_open", "spec is NULL", known, NULL, NULL),
               octi_ctx_failed(ctx), NULL;
    static const oct_data_opts none = {0};
    if (!opts) opts = &none;
    const char *colon = strchr(spec, ':');
    size_t n = colon ? (size_t)(colon - spec) : strlen(spec);
    const struct kind *k = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strlen(kinds[i].word) == n && !memcmp(kinds[i].word, spec, n)) k = &kinds[i];
    if (!k || (*k->path != 0) != (colon && colon[1])) {
        bad_spec(ctx, k, spec, opts->root);
        return octi_ctx_failed(ctx), NULL;
    }
    char *path = locate(ctx, colon ? colon + 1 : spec, opts->root);
    if (!path) return octi_ctx_failed(ctx), NULL;
    const bool missing = nothing_there(k, path, opts->root);
    oct_data *d = missing ? NULL : k->open(ctx, path, opts);
    if (!d && !missing) other_kind(k, path);
    octi_free(ctx, path);
    if (!d) octi_ctx_failed(ctx);
    return d;
}
