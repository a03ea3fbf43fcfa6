/* SPDX-License-Identifier: MIT
 * octet compare: one table of what quantization can make of a net. Of a float run also what needs
 * no training: half, dynamic, weight-only, and PTQ by the defaults of octet ptq. */
#include <stdlib.h>
#include <string.h>

#include "tools/cli_compared.h"

enum { MORE = 5 }; /* rows of a float run */

typedef struct table {
    cli_compared *row;
    int count;
} table;

static cli_compared *add(table *t, const char *model, const char *kind, const char *how) {
    t->row[t->count] = (cli_compared){.model = model, .kind = kind, .how = how};
    return &t->row[t->count++];
}

static int by_calibration(cli *c, oct_net *net, oct_data *test, cli_compared *row) {
    oct_net *ptq = oct_prepare(net, NULL);
    oct_data *train = ptq ? cli_data(c, OCT_SPLIT_TRAIN, net) : NULL;
    if (!train || oct_calibrate(ptq, train, 512) != OCT_OK) return cli_failed();
    oct_data_free(train);
    return cli_measure(ptq, test, row);
}

static int of_float(cli *c, table *t, const char *path, oct_net *net, oct_data *test) {
    static const char *const small[] = {"half", "dynamic", "weight-only"};
    cli_compared *rows = &t->row[t->count];
    for (int i = 0; i < 3; i++) (void)add(t, path, small[i], NULL);
    const int code = cli_measure_small(net, test, rows);
    return code ? code : by_calibration(c, net, test, add(t, path, "int8", "by PTQ"));
}

static int of_model(cli *c, table *t, const char *path, oct_split split) {
    int code;
    oct_net *net = cli_load(c, path, false, &code);
    if (!net) return code;
    const bool real = oct_net_stage(net) < OCT_STAGE_PREPARED,
               prepared = oct_net_stage(net) == OCT_STAGE_PREPARED;
    oct_data *test = cli_data(c, split, net);
    if (!test) return cli_failed();
    if (c->dry_run.set) return 0;
    cli_note(c, "%s: %s net, %lld images of %s", path, oct_net_form_name(oct_net_form_of(net)),
             (long long)oct_data_count(test), c->data.s);
    cli_origin o = {.by = ""};
    const char *how = NULL;
    /* only a run holds such a net: what it cannot say is no answer */
    if (prepared && cli_origin_read(c, path, &o) != OCT_OK) return cli_failed();
    if (prepared) how = !strcmp(o.by, "ptq") ? "by PTQ" : !strcmp(o.by, "qat") ? "by QAT" : NULL;
    const char *kind = real ? "fp32" : prepared ? "int8" : oct_net_form_name(oct_net_form_of(net));
    cli_compared *row = add(t, path, kind, how);
    row->prepared = prepared;
    code = cli_measure(net, test, row);
    if (!code && real) code = of_float(c, t, path, net, test);
    if (!code && t->row[t->count - 1].score != t->row[0].score)
        code = cli_usage(path, "scored by other measures than the first model",
                         "models of one kind of net", NULL, NULL);
    oct_data_free(test);
    return code;
}

static void print_json(const table *t) {
    json j = json_open();
    json_array(&j, "models");
    for (int i = 0; i < t->count; i++) {
        const cli_compared *r = &t->row[i];
        json_item(&j);
        json_string(&j, "model", r->model);
        json_string(&j, "kind", r->kind);
        if (r->how) json_string(&j, "how", r->how);
        if (r->score == OCT_SCORE_CLASSES) json_number(&j, "accuracy", r->accuracy);
        json_number(&j, "loss", r->loss);
        json_int(&j, "bytes", r->bytes);
        json_number(&j, "us", r->us);
        json_item_end(&j);
    }
    json_array_end(&j);
    json_close(&j);
}

/* Of the first run that is quantized; where there is none, of the first that could be. */
static void next_of(const cli *c, const table *t) {
    for (int i = 0; i < t->count; i++)
        if (t->row[i].prepared) {
            cli_next(c, "next: octet layers %s --data %s: what it costs, layer by layer",
                     cli_word(t->row[i].model), cli_word(c->data.s));
            return;
        }
    for (int i = 0; i < t->count; i++)
        if (!strcmp(t->row[i].kind, "fp32")) {
            cli_next(c, "next: octet ptq %s --data %s --out %s, and layers of that",
                     cli_word(t->row[i].model), cli_word(c->data.s),
                     cli_free_name(t->row[i].model, "-ptq"));
            return;
        }
    cli_next(c, "next: octet predict %s IMAGE", cli_word(t->row[0].model));
}

int cmd_compare(cli *c) {
    bool ok;
    const oct_split split = cli_split(c, OCT_SPLIT_TEST, &ok);
    if (!ok) return 2;
    table t = {.row = calloc((size_t)c->operand_count * MORE, sizeof *t.row)};
    if (!t.row) return fprintf(stderr, "octet: out of memory\n"), 5;
    int code = 0;
    for (int i = 0; !code && i < c->operand_count; i++)
        code = of_model(c, &t, c->operands[i], split);
    if (!code && t.count && c->json.set) print_json(&t);
    if (!code && t.count && !c->json.set) {
        cli_compared_print(t.row, t.count);
        printf("bytes: of the tensors; us/image: an image alone (batch 1)\n");
    }
    if (!code && t.count) next_of(c, &t);
    free(t.row);
    return code;
}
