/* SPDX-License-Identifier: MIT
 * octet inspect: what is in any file or data set that octet reads. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/cli.h"

/* ---- files ---- */

static bool has_array(const oct_file_info *f, const char *name) {
    for (int32_t i = 0; i < f->array_count; i++)
        if (!strcmp(f->arrays[i].name, name)) return true;
    return false;
}

/* Floats alone, but for the counters of batch norm: no codes, no state of a training. */
static bool float_weights(const oct_file_info *f) {
    static const char counter[] = "num_batches_tracked";
    for (int32_t i = 0; i < f->array_count; i++) {
        const char *name = f->arrays[i].name, *type = f->arrays[i].dtype;
        const size_t n = strlen(name), k = sizeof counter - 1;
        if (*type != 'F' && *type != 'B' && !(n >= k && !strcmp(name + n - k, counter)))
            return false;
    }
    return f->array_count > 0;
}

/* What fits what is in the file; nothing where nothing does. */
static void next_of_file(const cli *c, const char *path, const oct_file_info *f) {
    const char *p = cli_word(path), *slash = strrchr(path, '/');
    char dir[4200];
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path + (slash == path)) : 1,
             slash ? path : ".");
    const char *kind = oct_data_kind(dir);
    const bool x = has_array(f, "x"), y = has_array(f, "y");
    if (f->kind == OCT_FILE_SAFETENSORS && float_weights(f))
        cli_next(c, "next: octet import %s --model M --out RUN", p);
    else if (f->kind == OCT_FILE_ONNX)
        cli_next(c, "next: octet import %s --out RUN", p);
    else if (f->kind == OCT_FILE_IMAGE)
        cli_next(c, "next: octet predict MODEL %s", p);
    else if (f->kind == OCT_FILE_NPZ && x && y)
        cli_next(
            c, "next: octet train --model M --data npz:%s --out RUN, or octet run MODEL --input %s",
            p, p);
    else if (f->kind == OCT_FILE_NPY || (f->kind == OCT_FILE_NPZ && x))
        cli_next(c, "next: octet run MODEL --input %s", p);
    else if (f->kind >= OCT_FILE_CIFAR10 || f->kind == OCT_FILE_IDX)
        if (kind)
            cli_next(c, "next: octet train --model M --data %s:%s --out RUN", kind, cli_word(dir));
}

static int show_file(cli *c, const char *path) {
    oct_file_info *f = oct_file_inspect(c->ctx, path);
    if (!f) return cli_failed();
    if (c->json.set) {
        json j = json_open();
        json_string(&j, "kind", oct_file_kind_name(f->kind));
        json_array(&j, "arrays");
        for (int32_t i = 0; i < f->array_count; i++) {
            json_item(&j);
            json_string(&j, "name", f->arrays[i].name);
            json_string(&j, "dtype", f->arrays[i].dtype);
            json_shape(&j, "shape", &f->arrays[i].shape);
            json_item_end(&j);
        }
        json_array_end(&j);
        json_array(&j, "metadata");
        for (int32_t i = 0; i < f->note_count; i++) {
            json_item(&j);
            json_string(&j, "key", f->notes[i].key);
            json_string(&j, "value", f->notes[i].value);
            json_item_end(&j);
        }
        json_array_end(&j);
        json_close(&j);
    } else {
        cli_print("%s, %d array%s\n", oct_file_kind_name(f->kind), f->array_count,
                  f->array_count == 1 ? "" : "s");
        for (int32_t i = 0; i < f->array_count; i++)
            cli_print("  %-40s %-8s %s\n", f->arrays[i].name, f->arrays[i].dtype,
                      oct_shape_text(&f->arrays[i].shape));
        for (int32_t i = 0; i < f->note_count; i++)
            cli_print("  %s: %s\n", f->notes[i].key, f->notes[i].value);
    }
    next_of_file(c, path, f);
    oct_file_info_free(c->ctx, f);
    return 0;
}

/* ---- data sets ---- */

typedef struct part {
    const char *name;
    oct_data *data;
    int64_t *counts;
} part;

static int open_part(cli *c, const char *spec, oct_split split, const oct_data *like, part *p) {
    p->data = oct_data_open(
        c->ctx, spec,
        &(oct_data_opts){.split = split, .input = like ? oct_data_input(like) : NULL});
    if (!p->data) return cli_failed();
    int32_t classes;
    oct_data_classes(p->data, &classes);
    p->counts = calloc((size_t)classes + 1, sizeof *p->counts);
    if (!p->counts) return fprintf(stderr, "octet: out of memory\n"), 5;
    return cli_status(oct_data_class_counts(p->data, p->counts));
}

static int show_data(cli *c, const char *spec) {
    part p[2] = {{.name = "train"}, {.name = "test"}};
    int code = open_part(c, spec, OCT_SPLIT_TRAIN, NULL, &p[0]);
    if (!code) code = open_part(c, spec, OCT_SPLIT_TEST, p[0].data, &p[1]);
    if (code) return code;
    int32_t classes;
    const oct_class *list = oct_data_classes(p[0].data, &classes);
    const oct_input_desc *d = oct_data_input(p[0].data);
    if (c->json.set) {
        json j = json_open();
        json_string(&j, "kind", "data");
        json_string(&j, "dtype", oct_dtype_name(oct_data_dtype(p[0].data)));
        json_array(&j, "input");
        json_int(&j, NULL, d->channels);
        json_int(&j, NULL, d->height);
        json_int(&j, NULL, d->width);
        json_array_end(&j);
        for (int k = 0; k < 2; k++) json_int(&j, p[k].name, oct_data_count(p[k].data));
        json_array(&j, "classes");
        for (int32_t i = 0; i < classes; i++) {
            json_item(&j);
            json_string(&j, "id", list[i].id);
            json_string(&j, "name", list[i].name);
            for (int k = 0; k < 2; k++) json_int(&j, p[k].name, p[k].counts[i]);
            json_item_end(&j);
        }
        json_array_end(&j);
        json_close(&j);
    } else {
        cli_print("%s: %s, %d x %d x %d (C, H, W), train %lld, test %lld, %d classes\n", spec,
                  oct_dtype_name(oct_data_dtype(p[0].data)), d->channels, d->height, d->width,
                  (long long)oct_data_count(p[0].data), (long long)oct_data_count(p[1].data),
                  classes);
        for (int32_t i = 0; i < classes; i++)
            cli_print("  %-16s %-24s train %lld  test %lld\n", list[i].id, list[i].name,
                      (long long)p[0].counts[i], (long long)p[1].counts[i]);
    }
    for (int k = 0; k < 2; k++) free(p[k].counts);
    cli_next(c, "next: octet train --model %s --data %s --out RUN",
             d->channels == 1 ? "lenet"
             : d->height > 64 ? "resnet18"
                              : "resnet8",
             cli_word(spec));
    return 0;
}

/* The first runs that lie in a folder, a blank between; how many there are. */
static int runs_inside(const char *dir, char *names, size_t size) {
    int n = 0;
    size_t used = 0;
    *names = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[4200];
        if (*e->d_name == '.' ||
            snprintf(path, sizeof path, "%s/%s", dir, e->d_name) >= (int)sizeof path ||
            !oct_run_is(path))
            continue;
        const size_t room = strlen(e->d_name) + 2;
        if (used + room < size)
            used += (size_t)snprintf(names + used, size - used, "%s%s", n ? " " : "", e->d_name);
        n++;
    }
    if (d) closedir(d);
    return n;
}

/* A folder that is no run: what lies in it tells the kind. */
static int show_folder(cli *c, const char *dir) {
    char spec[4200], runs[400];
    const int n = runs_inside(dir, runs, sizeof runs);
    if (n)
        return cli_usage(dir, "is no run, but holds some", "a run, a file or a data set", runs,
                         n == 1 ? "octet inspect of that one" : "octet inspect of one of them");
    const char *kind = oct_data_kind(dir);
    snprintf(spec, sizeof spec, "%s:%s", kind ? kind : "folder", dir);
    return show_data(c, spec);
}

/* ---- */

static bool is_int8(const char *path) {
    char magic[8] = "";
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(magic, 1, 8, f) : 0;
    if (f) fclose(f);
    return n == 8 && !memcmp(magic, "OCTINT8\n", 8);
}

/* --histogram of a net that keeps none. */
static int no_histogram(const cli *c, const oct_net *n) {
    char hint[700];
    const char *run = c->operands[0],
               *from = oct_net_stage(n) < OCT_STAGE_PREPARED ? run : cli_float_run(c, run, "RUN");
    snprintf(hint, sizeof hint, "octet ptq %s --data SPEC --observer entropy --out %s makes one",
             cli_word(from), cli_free_name(from, "-ptq"));
    return cli_usage(run, "keeps no histograms", "a run of octet ptq with observer entropy",
                     oct_net_form_name(oct_net_form_of(n)), hint);
}

int cmd_inspect(cli *c) {
    const char *path = c->operands[0];
    struct stat st;
    bool there = !stat(path, &st), folder = there && S_ISDIR(st.st_mode),
         file = there && S_ISREG(st.st_mode);
    if (c->at.set && !c->weights.set)
        return cli_usage("--at", "belongs to --weights", "--weights NAME", NULL, NULL);
    bool net = c->weights.set || c->stage.set || c->histogram.set ||
               (folder ? oct_run_is(path) : !file || is_int8(path));
    if (!there && (strchr(path, ':') || !strncmp(path, "synth-", 6))) return show_data(c, path);
    if (!net) return folder ? show_folder(c, path) : show_file(c, path);
    int code;
    oct_net *n = cli_load(c, path, false, &code);
    if (!n) return code;
    if (c->stage.set && !(n = cli_at_stage(c, n, &code))) return code;
    if (c->histogram.set && oct_net_stage(n) != OCT_STAGE_PREPARED) return no_histogram(c, n);
    if (c->histogram.set)
        code = cli_show_divergences(c, n, c->histogram.s);
    else
        code = c->weights.set ? cli_show_weights(c, n, c->weights.s) : cli_show_net(c, n);
    if (!code && !c->stage.set) cli_next_of_model(c, n, path);
    return code;
}
