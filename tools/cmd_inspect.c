/* SPDX-License-Identifier: MIT
 * octet inspect: what is in any file or data set that octet reads. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/cli.h"

static const char *const stages[] = {"float", "fused", "prepared", "int8"};

/* ---- nets ---- */

static void net_json(const oct_net *net, const oct_layer *rows, int32_t n, const oct_placement *places, int32_t placed, int64_t bytes) {
    const oct_input_desc *d = &net->input;
    json j = json_open();
    json_string(&j, "stage", stages[net->stage]);
    json_string(&j, "model", net->model);
    json_string(&j, "target", net->target);
    json_int(&j, "bytes", bytes);
    json_array(&j, "input");
    json_int(&j, NULL, d->channels);
    json_int(&j, NULL, d->height);
    json_int(&j, NULL, d->width);
    json_array_end(&j);
    json_array(&j, "classes");
    for (int32_t i = 0; i < net->class_count; i++) json_string(&j, NULL, cli_class_name(net, i));
    json_array_end(&j);
    json_array(&j, "layers");
    for (int32_t i = 0; i < n; i++) {
        json_item(&j);
        json_string(&j, "name", rows[i].name);
        json_string(&j, "kind", rows[i].kind);
        json_shape(&j, "shape", &rows[i].shape);
        json_item_end(&j);
    }
    json_array_end(&j);
    json_array(&j, "placements");
    for (int32_t i = 0; i < placed; i++) {
        json_item(&j);
        json_string(&j, "name", places[i].name);
        json_bool(&j, "int8", places[i].int8);
        json_string(&j, "reason", places[i].reason);
        json_int(&j, "wbits", places[i].wbits);
        json_int(&j, "abits", places[i].abits);
        json_string(&j, "granularity", places[i].granularity);
        json_string(&j, "observer", places[i].observer);
        json_string(&j, "weight_observer", places[i].weight_observer);
        json_string(&j, "grid", places[i].grid);
        json_string(&j, "rule", places[i].rule);
        json_item_end(&j);
    }
    json_array_end(&j);
    json_array(&j, "tensors");
    for (int32_t i = 0; i < net->tensor_count; i++) {
        json_item(&j);
        json_string(&j, "name", net->tensors[i].name);
        json_string(&j, "dtype", oct_dtype_name(net->tensors[i].tensor->dtype));
        json_shape(&j, "shape", &net->tensors[i].tensor->shape);
        json_item_end(&j);
    }
    json_array_end(&j);
    json_close(&j);
}

static void put_line(void *user, const char *line) { fprintf(user, "%s\n", line); }

static int show_net(cli *c, oct_net *net) {
    oct_layer *rows;
    int32_t n;
    if (oct_layers(net, NULL, 0, &rows, &n) != OCT_OK) return cli_failed();
    const oct_input_desc *d = &net->input;
    int64_t bytes = 0;
    for (int32_t i = 0; i < net->tensor_count; i++) bytes += (int64_t)oct_tensor_bytes(net->tensors[i].tensor);
    if (c->json.set) {
        oct_placement *places = NULL;
        int32_t placed = 0;
        if (net->stage == OCT_STAGE_PREPARED && oct_net_placements(net, &places, &placed) != OCT_OK) return cli_failed();
        net_json(net, rows, n, places, placed, bytes);
        oct_placements_free(net, places);
    }
    else {
        printf("%s net, model %s%s%s, %lld bytes in %d tensors\n", stages[net->stage], net->model, *net->target ? ", target " : "", net->target,
               (long long)bytes, net->tensor_count);
        printf("input %d x %d x %d (C, H, W), div %g, mean %g, std %g; %d classes\n", d->channels, d->height, d->width, d->div, d->mean[0], d->std[0],
               net->class_count);
        oct_net_print(net, put_line, stdout);
        int code = net->stage == OCT_STAGE_PREPARED ? cli_placements(stdout, net) : 0;
        if (code) return code;
        for (int32_t i = 0; i < net->tensor_count; i++)
            printf("  %-40s %-8s %s\n", net->tensors[i].name, oct_dtype_name(net->tensors[i].tensor->dtype), oct_shape_text(&net->tensors[i].tensor->shape));
    }
    oct_layers_free(c->ctx, rows);
    return 0;
}

/* ---- files ---- */

static int show_file(cli *c, const char *path) {
    oct_file_info *f = oct_file_inspect(c->ctx, path);
    if (!f) return cli_failed();
    if (c->json.set) {
        json j = json_open();
        json_string(&j, "kind", f->kind);
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
        printf("%s, %d array%s\n", f->kind, f->array_count, f->array_count == 1 ? "" : "s");
        for (int32_t i = 0; i < f->array_count; i++)
            printf("  %-40s %-8s %s\n", f->arrays[i].name, f->arrays[i].dtype, oct_shape_text(&f->arrays[i].shape));
        for (int32_t i = 0; i < f->note_count; i++) printf("  %s: %s\n", f->notes[i].key, f->notes[i].value);
    }
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
    p->data = oct_data_open(c->ctx, spec, &(oct_data_opts){.split = split, .input = like ? oct_data_input(like) : NULL});
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
        printf("%s: %s, %d x %d x %d (C, H, W), train %lld, test %lld, %d classes\n", spec, oct_dtype_name(oct_data_dtype(p[0].data)), d->channels, d->height,
               d->width, (long long)oct_data_count(p[0].data), (long long)oct_data_count(p[1].data), classes);
        for (int32_t i = 0; i < classes; i++)
            printf("  %-16s %-24s train %lld  test %lld\n", list[i].id, list[i].name, (long long)p[0].counts[i], (long long)p[1].counts[i]);
    }
    for (int k = 0; k < 2; k++) free(p[k].counts);
    return 0;
}

/* A folder that is no run: what lies in it tells the kind. */
static int show_folder(cli *c, const char *dir) {
    static const char *const marks[][2] = {{"train-images-idx3-ubyte", "idx"}, {"t10k-images-idx3-ubyte", "idx"}, {"data_batch_1.bin", "cifar10"},
                                           {"test_batch.bin", "cifar10"},      {"train.bin", "cifar100"},         {"test.bin", "cifar100"}};
    char path[4200];
    const char *kind = "folder";
    for (int i = 5; i >= 0; i--)
        for (int gz = 0; gz < 2; gz++) {
            snprintf(path, sizeof path, "%s/%s%s", dir, marks[i][0], gz ? ".gz" : "");
            if (!access(path, F_OK)) kind = marks[i][1];
        }
    snprintf(path, sizeof path, "%s:%s", kind, dir);
    return show_data(c, path);
}

/* ---- */

static bool is_int8(const char *path) {
    char magic[8] = "";
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(magic, 1, 8, f) : 0;
    if (f) fclose(f);
    return n == 8 && !memcmp(magic, "OCTINT8\n", 8);
}

int cmd_inspect(cli *c) {
    const char *path = c->operands[0];
    struct stat st;
    bool there = !stat(path, &st), folder = there && S_ISDIR(st.st_mode), file = there && S_ISREG(st.st_mode);
    bool net = c->weights.set || c->histogram.set || (folder ? oct_run_is(path) : !file || is_int8(path));
    if (!there && (strchr(path, ':') || !strncmp(path, "synth-", 6))) return show_data(c, path);
    if (!net) return folder ? show_folder(c, path) : show_file(c, path);
    int code;
    oct_net *n = cli_load(c, path, false, &code);
    if (!n) return code;
    if (c->histogram.set) return cli_show_divergences(c, n, c->histogram.s);
    return c->weights.set ? cli_show_weights(c, n, c->weights.s) : show_net(c, n);
}
