/* SPDX-License-Identifier: MIT
 * octet predict: classes of image files, or of a data set's images beside their labels. */
#include <math.h>

#include "tools/cli.h"

enum { SHOWN = 5 };

/* The next class in order of (score, index) behind the one given. */
static int64_t next_best(const float *z, int64_t k, double below, int64_t last) {
    int64_t best = -1;
    for (int64_t i = 0; i < k; i++) {
        bool after = z[i] < below || (z[i] == below && i > last);
        if (after && (best < 0 || z[i] > z[best])) best = i;
    }
    return best;
}

static const char *id_of(const oct_net *net, int64_t i) {
    return i < oct_net_class_count(net) ? oct_net_classes(net)[i].id : "?";
}

/* Of a net that is no classifier: what it gives. */
static void show_values(const cli *c, const char *name, const oct_tensor *y) {
    json j = {stdout, false};
    if (c->json.set) {
        j = json_open();
        json_string(&j, "file", name);
        json_array(&j, "values");
    } else
        cli_print("%s:", name);
    for (int64_t i = 0; i < oct_tensor_count(y); i++) {
        if (c->json.set)
            json_number(&j, NULL, (double)oct_f32(y)[i]);
        else
            printf(" %.6g", (double)oct_f32(y)[i]);
    }
    if (c->json.set) {
        json_array_end(&j);
        json_close(&j);
    } else
        printf("\n");
}

/* label: of a data set; -1: not known. */
static void show(const cli *c, const oct_net *net, const char *name, const oct_tensor *y,
                 int64_t label) {
    const int64_t k = oct_tensor_count(y);
    const float *z = oct_f32(y);
    if (y->shape.rank != 2 || !oct_net_class_count(net)) {
        show_values(c, name, y);
        return;
    }
    double top = z[0], sum = 0, below = INFINITY;
    for (int64_t i = 1; i < k; i++)
        if (z[i] > top) top = z[i]; /* as fmax(), gcc 12 for AArch64 does not survive it */
    for (int64_t i = 0; i < k; i++) sum += exp(z[i] - top);
    json j = {stdout, false};
    if (c->json.set) {
        j = json_open();
        json_string(&j, "file", name);
        if (label >= 0) json_string(&j, "label", id_of(net, label));
        json_array(&j, "top");
    } else
        cli_print("%s:", name);
    int64_t best = -1;
    for (int rank = 0; rank < SHOWN && rank < k && (best = next_best(z, k, below, best)) >= 0;
         rank++) {
        below = z[best];
        double score = exp(z[best] - top) / sum;
        if (c->json.set) {
            json_item(&j);
            json_string(&j, "class", id_of(net, best));
            json_string(&j, "name", cli_class_name(net, best));
            json_number(&j, "score", score);
            json_item_end(&j);
        } else
            cli_print(" %s %.4f%s", cli_class_name(net, best), score,
                      rank + 1 < SHOWN && rank + 1 < k ? "," : "");
    }
    if (c->json.set) {
        json_array_end(&j);
        json_close(&j);
        return;
    }
    if (label >= 0) cli_print("  (label %s)", cli_class_name(net, label));
    printf("\n");
}

/* Pictures whose colours are not the net's: how many, and the first one. */
typedef struct turned {
    int count;
    const char *first;
} turned;

static void tell_turned(const cli *c, const oct_net *net, const turned *t) {
    const bool grey = oct_net_input(net)->channels == 1;
    if (!t->count) return;
    cli_note(c, "octet: %s%s: %s; the net takes %s", t->first, t->count > 1 ? " and others" : "",
             grey ? "in colour, turned to grey (0.299 red, 0.587 green, 0.114 blue)"
                  : "grey, taken as three equal channels",
             grey ? "grey images" : "images in colour");
}

static int predict_file(cli *c, oct_net *net, oct_runner *run, const char *path, oct_tensor *x,
                        turned *t) {
    const oct_input_desc *d = oct_net_input(net);
    int32_t channels;
    if (oct_image_input_from(c->ctx, path, d, oct_f32(x), &channels) != OCT_OK) return cli_failed();
    const oct_tensor *y = oct_runner_run(run, x);
    if (!y) return cli_failed();
    show(c, net, path, y, -1);
    if (channels != d->channels && !t->count++) t->first = path;
    return 0;
}

static int predict_files(cli *c, oct_net *net, oct_runner *run) {
    const oct_input_desc *d = oct_net_input(net);
    oct_tensor *x = oct_tensor_new(c->ctx, OCT_F32, OCT_SHAPE(1, d->height, d->width, d->channels));
    int code = x ? 0 : cli_failed();
    turned t = {.count = 0};
    /* a bad file does not stop the rest */
    for (int i = 1; i < c->operand_count && x && !c->dry_run.set; i++) {
        int one = predict_file(c, net, run, c->operands[i], x, &t);
        if (one > code) code = one;
    }
    tell_turned(c, net, &t);
    return code;
}

static int predict_data(cli *c, oct_net *net, oct_runner *run) {
    bool ok, done = false;
    oct_split split = cli_split(c, OCT_SPLIT_TEST, &ok);
    if (!ok) return 2;
    oct_data *data = cli_data(c, split, net);
    oct_loader *l =
        data ? oct_loader_new(data, &(oct_loader_opts){.batch = 1, .input = oct_net_input(net)})
             : NULL;
    if (!l || oct_loader_start(l, 0, 0) != OCT_OK) return cli_failed();
    int code = 0;
    for (int64_t i = 0; !code && !c->dry_run.set; i++) {
        oct_batch b;
        char name[320];
        if (oct_loader_next(l, &b, &done) != OCT_OK) code = cli_failed();
        if (code || done) break;
        const oct_tensor *y = oct_runner_run(run, b.x);
        snprintf(name, sizeof name, "%.280s[%lld]", c->data.s, (long long)oct_data_origin(data, i));
        if (y)
            show(c, net, name, y, b.labels ? oct_s32(b.labels)[0] : -1);
        else
            code = cli_failed();
    }
    oct_loader_free(l);
    return code;
}

int cmd_predict(cli *c) {
    int code;
    if (c->operand_count < 2 && !c->data.set)
        return cli_usage("predict", "nothing to classify", "image files, or --data SPEC", NULL,
                         NULL);
    if (c->operand_count > 1 && (c->data.set || c->split.set || c->limit.set))
        return cli_usage(c->data.set    ? "--data"
                         : c->split.set ? "--split"
                                        : "--limit",
                         "files and a data set exclude each other", "one of them", NULL, NULL);
    oct_net *net = cli_load(c, c->operands[0], false, &code);
    if (!net) return code;
    if (oct_net_input(net)->channels < 1)
        return cli_usage(c->operands[0], "model takes no images", NULL, NULL, NULL);
    oct_runner *run = oct_runner_new(net, &(oct_runner_opts){.batch = 1, .fixed = true});
    if (!run) return cli_failed();
    code = c->data.set ? predict_data(c, net, run) : predict_files(c, net, run);
    if (!code)
        cli_next(c, "next: octet eval %s --data %s", cli_word(c->operands[0]),
                 cli_next_data(c, c->operands[0]));
    return code;
}
