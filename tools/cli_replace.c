/* SPDX-License-Identifier: MIT
 * May a file that is there be replaced? One of the kind that the command writes, whatever it is
 * called: weights, scripts and pictures of people are not what a slip of a name may cost. Others
 * with --force; what belongs to a run never. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/cli.h"

/* By its first bytes, which have `text` in them (or begin with it); text NULL: as inspect sees it,
 * of one of two kinds. */
static const struct kind {
    const char *word, *text;
    bool begins;
    oct_file_kind is, too;
} kinds[] = {
    [CLI_FILE_INT8] = {.word = "an int8 file", .text = "OCTINT8\n", .begins = true},
    [CLI_FILE_PAGE] = {.word = "a page of octet report", .text = "content=\"octet "},
    [CLI_FILE_C] = {.word = "C that octet export wrote", .text = " made by octet "},
    [CLI_FILE_PNG] = {.word = "a PNG image", .text = "\x89PNG", .begins = true},
    [CLI_FILE_ONNX] = {.word = "an ONNX file", .is = OCT_FILE_ONNX, .too = OCT_FILE_ONNX},
    [CLI_FILE_TENSORS] = {"a .safetensors file", NULL, false, OCT_FILE_SAFETENSORS,
                          OCT_FILE_SAFETENSORS},
    [CLI_FILE_ARRAYS] = {"an .npz or .npy file", NULL, false, OCT_FILE_NPZ, OCT_FILE_NPY},
};

/* A run's own file: what it holds nothing else has. */
static bool of_a_run(const char *path) {
    static const char *const names[] = {"model.safetensors", "best.safetensors",
                                        "state.safetensors", "probe.npz"};
    char dir[4096];
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path + 1) : 1,
                 slash ? path : ".") >= (int)sizeof dir)
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i])) return oct_run_is(dir);
    return false;
}

/* The first bytes, 0 behind them; their number, or -1. */
static int head_of(const char *path, char *head, size_t size) {
    FILE *f = fopen(path, "rb");
    if (!f) return -1;
    const size_t n = fread(head, 1, size - 1, f);
    const bool failed = ferror(f) != 0;
    fclose(f);
    head[n] = 0;
    return failed ? -1 : (int)n;
}

static bool looks_like(const cli *c, const struct kind *k, const char *path, const char *head) {
    if (k->text)
        return k->begins ? !strncmp(head, k->text, strlen(k->text)) : strstr(head, k->text) != NULL;
    oct_file_info *f = oct_file_inspect(c->ctx, path);
    const bool same = f && (f->kind == k->is || f->kind == k->too);
    oct_file_info_free(c->ctx, f);
    return same;
}

int cli_may_replace(const cli *c, const char *path, cli_file kind) {
    const struct kind *k = &kinds[kind];
    struct stat st;
    char head[1024], what[100], expected[100];
    if (stat(path, &st) || !S_ISREG(st.st_mode) || !st.st_size) return 0;
    if (of_a_run(path))
        return cli_usage(path, "belongs to the run beside it", "a new name", NULL, NULL);
    if (c->force.set) return 0;
    if (head_of(path, head, sizeof head) < 0)
        return cli_print_to(stderr, "octet: %s: cannot be read: %s\n", path, strerror(errno)), 4;
    oct_clear_error();
    if (looks_like(c, k, path, head)) return 0;
    if (oct_last_error()->code == OCT_EIO || oct_last_error()->code == OCT_ENOMEM)
        return cli_failed();
    oct_clear_error();
    snprintf(what, sizeof what, "is there, and is not %s", k->word);
    snprintf(expected, sizeof expected, "a new name, or %s to replace", k->word);
    return cli_usage(path, what, expected, NULL,
                     "octet replaces what it writes itself alone; --force replaces this too");
}
