/* SPDX-License-Identifier: MIT
 * octet export: a model in other programs' formats, each a row of export_formats.def. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/cli_export.h"

enum { FLOAT = 1, INT8 = 2 };

static const struct format {
    const char *word;
    unsigned takes;
    int (*write)(export_job *job);
    const char *next;
} formats[] = {
#define FORMAT(word, takes, function, next) {#word, takes, function, next},
#include "tools/export_formats.def"
};
enum { FORMATS = sizeof formats / sizeof *formats };

static const char known[] =
#define FORMAT(word, takes, function, next) ", " #word
#include "tools/export_formats.def"
    ;

/* ---- what the formats share ---- */

const char *export_path(const export_job *job, const char *extension) {
    static char paths[2][1100];
    static int turn;
    char *path = paths[turn ^= 1];
    const char *dir = job->c->out.s;
    const size_t n = strlen(dir);
    const int size = snprintf(path, sizeof *paths, "%s%s%s.%s", dir,
                              n && dir[n - 1] == '/' ? "" : "/", job->name, extension);
    if (size > 0 && (size_t)size < sizeof *paths) return path;
    return (void)cli_usage("--out", "path is too long", "at most 1000 bytes", dir, NULL), NULL;
}

int export_wrote(export_job *job, const char *path) {
    struct stat st = {.st_size = 0};
    const bool there = !job->c->dry_run.set;
    if (there && stat(path, &st))
        return cli_print_to(stderr, "octet: %s: cannot be read: %s\n", path, strerror(errno)), 4;
    if (job->j) {
        json_item(job->j);
        json_string(job->j, "format", job->format);
        json_string(job->j, "path", path);
        if (there) json_int(job->j, "bytes", (long long)st.st_size);
        if (job->sizes) {
            json_int(job->j, "flash_bytes", job->sizes->flash_bytes);
            json_int(job->j, "arena_bytes", job->sizes->arena_bytes);
            json_int(job->j, "macs", job->sizes->macs);
        }
        json_item_end(job->j);
    } else if (there)
        cli_print("%-11s  %s  %lld bytes\n", job->format, path, (long long)st.st_size);
    else
        cli_print("%-11s  %s\n", job->format, path);
    snprintf(job->last, sizeof job->last, "%s", path);
    return 0;
}

/* ---- tensors ---- */

static int tensors(export_job *job, const char *extension, cli_file kind,
                   oct_status (*write)(const oct_net *net, const char *path)) {
    const char *path = export_path(job, extension);
    const int taken = path ? cli_may_replace(job->c, path, kind) : 2;
    if (taken) return taken;
    if (!job->c->dry_run.set && write(job->net, path) != OCT_OK) return cli_failed();
    return export_wrote(job, path);
}

int export_safetensors(export_job *job) {
    return tensors(job, "safetensors", CLI_FILE_TENSORS, oct_export_safetensors);
}

int export_npz(export_job *job) { return tensors(job, "npz", CLI_FILE_ARRAYS, oct_export_npz); }

/* ---- ONNX ---- */

static int onnx(export_job *job, const char *extension, const oct_onnx_opts *o) {
    const char *path = export_path(job, extension);
    const int taken = path ? cli_may_replace(job->c, path, CLI_FILE_ONNX) : 2;
    if (taken) return taken;
    if (!job->c->dry_run.set)
        return oct_export_onnx(job->net, path, o) == OCT_OK ? export_wrote(job, path)
                                                            : cli_failed();
    uint8_t *bytes;
    size_t size;
    if (oct_export_onnx_memory(job->net, o, &bytes, &size) != OCT_OK) return cli_failed();
    oct_export_free(job->c->ctx, bytes);
    return export_wrote(job, path);
}

int export_onnx(export_job *job) { return onnx(job, "onnx", NULL); }

int export_qdq(export_job *job) {
    return onnx(job, "qdq.onnx", &(oct_onnx_opts){.integer_kernels = true});
}

/* ---- the command ---- */

/* The formats of --to, each once, in its order; the number, or -1 behind a message. */
static int asked(const cli *c, int chosen[FORMATS]) {
    int n = 0;
    for (const char *p = c->to.s; *p; p += strspn(p, ",")) {
        const size_t size = strcspn(p, ",");
        int k = 0;
        while (k < FORMATS && (strncmp(formats[k].word, p, size) || formats[k].word[size])) k++;
        if (k == FORMATS) {
            char word[40];
            snprintf(word, sizeof word, "%.*s", (int)size, p);
            return cli_unknown("--to", "unknown format", known + 2, word), -1;
        }
        bool again = false;
        for (int i = 0; i < n; i++) again |= chosen[i] == k;
        if (!again) chosen[n++] = k;
        p += size;
    }
    if (!n) return cli_usage("--to", "no format", known + 2, c->to.s, NULL), -1;
    return n;
}

/* "runs/digits.oct8" -> "digits", "digits/" -> "digits". */
static void stem(const char *path, char *name, size_t size) {
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    size_t from = n;
    while (from && path[from - 1] != '/') from--;
    snprintf(name, size, "%.*s", (int)(n - from), path + from);
    char *dot = strrchr(name, '.');
    if (dot && dot != name && (!strcmp(dot, ".oct8") || !oct_run_is(path))) *dot = 0;
    if (!*name || !strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, "/"))
        snprintf(name, size, "model");
}

static int make_folder(const char *dir) {
    struct stat st;
    if (stat(dir, &st)) { /* a disk's error is told as it is, not as what mkdir makes of it */
        if (errno == ENOENT && !mkdir(dir, 0777)) return 0;
    } else {
        if (S_ISDIR(st.st_mode)) return 0;
        errno = EEXIST;
    }
    return cli_print_to(stderr, "octet: %s: cannot become a folder: %s\n", dir, strerror(errno)), 4;
}

/* What leaves a quantized run is the int8 net. */
static oct_net *to_export(cli *c, int *code) {
    oct_net *net = cli_load(c, c->operands[0], false, code);
    if (!net || oct_net_stage(net) != OCT_STAGE_PREPARED) return net;
    oct_net *int8 = oct_convert(net, NULL);
    if (!int8) *code = cli_failed();
    return int8;
}

static int refuse(const cli *c, const struct format *f, const oct_net *net) {
    char what[80];
    snprintf(what, sizeof what, "%s does not take a %s net", f->word,
             oct_net_stage(net) == OCT_STAGE_INT8 ? "int8" : "float");
    return cli_usage(c->operands[0], what,
                     f->takes & INT8 ? "a quantized run or an int8 file" : "a float run", NULL,
                     f->takes & INT8 ? "octet ptq, or octet qat, makes one" : NULL) +
           1;
}

/* The row's line, with the model in the place of MODEL and the last file in that of FILE. */
static void next_of(const cli *c, const char *line, const export_job *job) {
    char text[3000];
    size_t n = 0;
    for (const char *p = line; *p && n < sizeof text - 1200;) {
        const bool model = !strncmp(p, "MODEL", 5), file = !strncmp(p, "FILE", 4);
        if (model || file)
            n += (size_t)snprintf(text + n, 1100, "%s", cli_word(model ? job->model : job->last));
        else
            text[n++] = *p;
        p += model ? 5 : file ? 4 : 1;
    }
    text[n] = 0;
    cli_next(c, "next: %s", text);
}

int cmd_export(cli *c) {
    int chosen[FORMATS], code;
    const int n = asked(c, chosen);
    if (n < 0) return 2;
    oct_net *net = to_export(c, &code);
    if (!net) return code;
    for (int i = 0; i < n; i++)
        if (!(formats[chosen[i]].takes & (oct_net_stage(net) == OCT_STAGE_INT8 ? INT8 : FLOAT)))
            return refuse(c, &formats[chosen[i]], net);
    if (!c->dry_run.set && (code = make_folder(c->out.s))) return code;
    char name[300];
    if (c->name.set && (!*c->name.s || strchr(c->name.s, '/') || strlen(c->name.s) >= sizeof name))
        return cli_usage("--name", "no name of a file", "such as digits", c->name.s, NULL);
    if (c->name.set)
        snprintf(name, sizeof name, "%s", c->name.s);
    else
        stem(c->operands[0], name, sizeof name);
    json j;
    export_job job = {.c = c, .net = net, .model = c->operands[0], .name = name};
    if (c->json.set) {
        j = json_open();
        json_array(&j, "files");
        job.j = &j;
    }
    for (int i = 0; i < n && !code; i++) {
        job.format = formats[chosen[i]].word;
        code = formats[chosen[i]].write(&job);
    }
    if (c->json.set) {
        json_array_end(&j);
        json_close(&j);
    }
    if (!code && !c->dry_run.set) next_of(c, formats[chosen[n - 1]].next, &job);
    return code;
}
