/* SPDX-License-Identifier: MIT
 * octet run: raw outputs of any model, or the values of one layer. */
#include <string.h>

#include "tools/cli.h"

enum { BATCH = 32 };

/* Where inputs come from: rows of an array, or the images of a data set. */
typedef struct source {
    const oct_tensor *x; /* NULL: the loader's */
    oct_loader *loader;
    int64_t count, at; /* of all of them, those that were given */
    oct_tensor part;
} source;

static int open_source(cli *c, oct_net *net, source *s) {
    *s = (source){.x = c->input.set ? oct_npz_images(net, c->input.s) : NULL};
    if (c->input.set && !s->x) return cli_failed();
    if (s->x) {
        s->count = s->x->shape.dim[0];
        if (s->count > 0) return 0;
        return cli_print_to(stderr, "octet: %s: array x is empty\n", c->input.s), 3;
    }
    bool ok;
    const oct_split split = cli_split(c, OCT_SPLIT_TEST, &ok);
    if (!ok) return 2;
    oct_data *data = cli_data(c, split, net);
    const oct_input_desc *in = oct_net_input(net);
    s->loader = data ? oct_loader_new(data, &(oct_loader_opts){.batch = BATCH,
                                                               .input = in->channels ? in : NULL})
                     : NULL;
    if (!s->loader || oct_loader_start(s->loader, 0, 0) != OCT_OK) return cli_failed();
    s->count = oct_data_count(data);
    return 0;
}

/* The next inputs; NULL: it failed. */
static const oct_tensor *next_inputs(source *s) {
    const int64_t left = s->count - s->at;
    if (!s->x) {
        oct_batch b;
        bool done = false;
        if (oct_loader_next(s->loader, &b, &done) != OCT_OK || done) return NULL;
        s->part = *b.x;
    } else {
        s->part = *s->x;
        s->part.shape.dim[0] = left < BATCH ? left : BATCH;
        s->part.data = oct_f32(s->x) + s->at * (oct_tensor_count(s->x) / s->count);
    }
    s->at += s->part.shape.dim[0];
    return &s->part;
}

/* All inputs through the runner; *y gets all rows. */
static oct_status run_all(cli *c, oct_runner *r, source *from, oct_tensor **y, float *scale,
                          int32_t *zero_point) {
    *y = NULL;
    while (from->at < from->count) {
        const int64_t i = from->at;
        const oct_tensor *x = next_inputs(from), *out = x ? oct_runner_run(r, x) : NULL;
        if (out && c->layer.set) out = oct_runner_value(r, c->layer.s, scale, zero_point);
        if (!out) return oct_last_error()->code;
        if (!*y) {
            oct_shape s = out->shape;
            s.dim[0] = from->count;
            if (!(*y = oct_tensor_new(c->ctx, out->dtype, s))) return oct_last_error()->code;
        }
        size_t row = oct_tensor_bytes(out) / (size_t)x->shape.dim[0];
        memcpy((char *)(*y)->data + (size_t)i * row, out->data, oct_tensor_bytes(out));
    }
    return OCT_OK;
}

/* Rows of the last axis under the place they have, as PyTorch orders them; codes with what they
 * stand for. */
static void print_values(const oct_tensor *y, float scale, int32_t zero_point) {
    enum { ROWS = 16, COLUMNS = 10 };
    const oct_shape *s = &y->shape;
    const int64_t row = s->rank > 0 ? s->dim[s->rank - 1] : 1,
                  rows = row > 0 ? oct_tensor_count(y) / row : 0,
                  shown = row < COLUMNS ? row : COLUMNS;
    const bool codes = y->dtype != OCT_F32;
    for (int64_t r = 0; r < rows && r < ROWS; r++) {
        char place[64] = "";
        int64_t at[OCT_MAX_RANK], rest = r;
        for (int k = s->rank - 2; k >= 0; rest /= s->dim[k--]) at[k] = rest % s->dim[k];
        for (int k = 0; k + 1 < s->rank; k++)
            snprintf(place + strlen(place), sizeof place - strlen(place), "%s%lld", k ? "," : "",
                     (long long)at[k]);
        printf("[%s]%s", place, codes ? " codes " : "");
        for (int64_t i = r * row; codes && i < r * row + shown; i++)
            printf(" %d", y->dtype == OCT_U8 ? oct_u8(y)[i] : oct_s8(y)[i]);
        if (codes) printf("%s\n[%s] values", row > shown ? " ..." : "", place);
        for (int64_t i = r * row; i < r * row + shown; i++) {
            const int32_t q = !codes ? 0 : y->dtype == OCT_U8 ? oct_u8(y)[i] : oct_s8(y)[i];
            printf(" %.6g", (double)(codes ? scale * (float)(q - zero_point) : oct_f32(y)[i]));
        }
        printf("%s\n", row > shown ? " ..." : "");
    }
    if (rows > ROWS)
        printf("... %lld more rows; --output Y.npz or --json has all\n", (long long)(rows - ROWS));
}

static void print_json(const cli *c, const oct_tensor *y, float scale, int32_t zero_point) {
    json j = json_open();
    if (c->output.set) json_string(&j, "output", c->output.s);
    json_string(&j, "dtype", oct_dtype_name(y->dtype));
    json_shape(&j, "shape", &y->shape);
    if (y->dtype != OCT_F32) {
        json_number(&j, "scale", (double)scale);
        json_int(&j, "zero_point", zero_point);
    }
    if (!c->output.set) {
        json_array(&j, "y");
        for (int64_t i = 0; i < oct_tensor_count(y); i++)
            json_number(&j, NULL,
                        y->dtype == OCT_F32  ? (double)oct_f32(y)[i]
                        : y->dtype == OCT_U8 ? oct_u8(y)[i]
                                             : oct_s8(y)[i]);
        json_array_end(&j);
    }
    json_close(&j);
}

static int report(const cli *c, const oct_net *net, const oct_tensor *y, float scale,
                  int32_t zero_point) {
    oct_tensor *t = oct_torch_layout(net, NULL, y);
    if (!t) return cli_failed();
    if (c->json.set)
        print_json(c, t, scale, zero_point);
    else {
        cli_print("%s%sy %s %s", c->output.set ? c->output.s : "", c->output.set ? ": " : "",
                  oct_dtype_name(t->dtype), oct_shape_text(&t->shape));
        if (t->dtype != OCT_F32) printf("  scale %.9g  zero_point %d", (double)scale, zero_point);
        printf("\n");
        if (!c->output.set) print_values(t, scale, zero_point);
    }
    oct_tensor_unref(t);
    if (c->output.set)
        cli_next(c, "array y in %s; next: octet inspect %s", cli_word(c->output.s),
                 cli_word(c->output.s));
    else
        cli_next(c, "nothing was kept; next: octet run %s --%s %s%s%s --output Y.npz",
                 cli_word(c->operands[0]), c->input.set ? "input" : "data",
                 cli_word(c->input.set ? c->input.s : c->data.s), c->layer.set ? " --layer " : "",
                 c->layer.set ? cli_word(c->layer.s) : "");
    return 0;
}

static int check_words(const cli *c) {
    if (!c->input.set && !c->data.set)
        return cli_usage("run", "nothing to run it on", "--input X.npz, or --data SPEC", NULL,
                         NULL);
    if (c->input.set && (c->data.set || c->split.set || c->limit.set))
        return cli_usage(c->data.set    ? "--data"
                         : c->split.set ? "--split"
                                        : "--limit",
                         "an array and a data set exclude each other", "one of them", NULL, NULL);
    if (c->output.set && c->input.set && !strcmp(c->input.s, c->output.s))
        return cli_usage("--output", "input and output are the same", "another path", c->output.s,
                         NULL);
    return c->output.set ? cli_may_replace(c, c->output.s, CLI_FILE_ARRAYS) : 0;
}

int cmd_run(cli *c) {
    int code = check_words(c);
    if (code) return code;
    oct_net *net = cli_load(c, c->operands[0], false, &code);
    if (!net) return code;
    if (c->layer.set && oct_graph_find_node(oct_net_graph(net), c->layer.s) < 0)
        return cli_no_layer("--layer", net, c->layer.s);
    source from;
    if ((code = open_source(c, net, &from))) return code;
    oct_runner *r = oct_runner_new(net, &(oct_runner_opts){.batch = BATCH, .values = c->layer.set});
    if (!r) return cli_failed();
    if (c->dry_run.set) return 0;
    oct_tensor *y;
    float scale = 0;
    int32_t zero_point = 0;
    if (run_all(c, r, &from, &y, &scale, &zero_point) != OCT_OK) return cli_failed();
    if (c->output.set &&
        oct_npz_save(c->ctx, c->output.s, y, y->dtype == OCT_F32 ? 0 : scale, zero_point) != OCT_OK)
        return cli_failed();
    return report(c, net, y, scale, zero_point);
}
