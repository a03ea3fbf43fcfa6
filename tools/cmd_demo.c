/* SPDX-License-Identifier: MIT
 * octet demo: the whole journey on one small data set. */
#include <string.h>

#include "tools/cli_compared.h"
#include "tools/places.h"

enum { FP32, HALF, DYNAMIC, WEIGHT_ONLY, PTQ8, TRAINED, QAT8, KINDS };

static void print_json(const cli_compared *row, const oct_mismatch *m) {
    static const struct {
        const char *word;
        int kind;
    } keys[] = {{"fp32", FP32}, {"ptq", PTQ8},        {"int8", QAT8},
                {"half", HALF}, {"dynamic", DYNAMIC}, {"weight_only", WEIGHT_ONLY}};
    char key[40];
    json j = json_open();
    json_number(&j, "qat_accuracy", row[TRAINED].accuracy);
    json_int(&j, "mismatched_codes", m->mismatched);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const cli_compared *r = &row[keys[i].kind];
        snprintf(key, sizeof key, "%s_accuracy", keys[i].word);
        json_number(&j, key, r->accuracy);
        snprintf(key, sizeof key, "%s_bytes", keys[i].word);
        json_int(&j, key, r->bytes);
        snprintf(key, sizeof key, "%s_us", keys[i].word);
        json_number(&j, key, r->us);
    }
    json_close(&j);
}

/* The page of what was kept, with what else was measured beside it. */
static int write_page(cli *c, const char *dir, const cli_compared *row) {
    static const int shown[] = {FP32, HALF, DYNAMIC, WEIGHT_ONLY, PTQ8};
    enum { SHOWN = sizeof shown / sizeof *shown };
    oct_report_row rows[SHOWN];
    char path[4096];
    for (int i = 0; i < SHOWN; i++) {
        const cli_compared *from = &row[shown[i]];
        rows[i] = (oct_report_row){.name = "demo",
                                   .how = shown[i] == PTQ8   ? "PTQ ema w8 a8"
                                          : shown[i] == FP32 ? "float"
                                                             : from->kind,
                                   .measured = {.score = from->score,
                                                .accuracy = from->accuracy,
                                                .loss = from->loss,
                                                .n = from->n,
                                                .bytes = from->bytes,
                                                .us = from->us}};
    }
    oct_report *r = oct_report_new(c->ctx, &dir, 1,
                                   &(oct_report_opts){.data = c->data.s,
                                                      .limit = c->limit.set ? c->limit.i : 0,
                                                      .title = "octet demo",
                                                      .rows = rows,
                                                      .row_count = SHOWN});
    snprintf(path, sizeof path, "%s/report.html", dir);
    place_without_link(path);
    const bool written = r && oct_report_save(r, path) == OCT_OK;
    oct_report_free(r);
    return written ? 0 : cli_failed();
}

int cmd_demo(cli *c) {
    if (!c->data.set) c->data = (opt_value){.set = true, .s = "synth-digits"};
    const char *dir = c->out.s;
    char path[4096];
    if (dir && oct_run_check(c->ctx, dir, false, c->force.set) != OCT_OK) return cli_failed();
    oct_data *train = cli_data(c, OCT_SPLIT_TRAIN, NULL);
    if (!train) return cli_failed();
    oct_data *test = cli_test_like(c, train);
    const char *model = train && oct_data_input(train)->channels == 3 ? "resnet8" : "lenet";
    oct_net *net = test ? oct_zoo_net(c->ctx, model, train) : NULL;
    if (!net) return cli_failed();
    cli_note(c, "demo: %s on %s, %lld images, test %lld, seed %llu, %d threads, %s", model,
             c->data.s, (long long)oct_data_count(train), (long long)oct_data_count(test),
             (unsigned long long)oct_ctx_seed(c->ctx), oct_ctx_threads(c->ctx),
             oct_ctx_isa(c->ctx));
    if (c->dry_run.set) return 0;
    fit_view v = {.c = c, .silent = true};

    oct_fit_opts o = {.epochs = 3, .test = test};
    int code = cli_fit(c, net, train, &o, &v);
    if (code) return code;
    cli_compared row[KINDS] = {[FP32] = {.kind = "fp32"},
                               [HALF] = {.kind = "half", .how = "(fp16 weights)"},
                               [DYNAMIC] = {.kind = "dynamic", .how = "(int8 linear)"},
                               [WEIGHT_ONLY] = {.kind = "weight-only", .how = "(int8)"},
                               [PTQ8] = {.kind = "int8", .how = "by PTQ"},
                               [TRAINED] = {.kind = "QAT, as trained", .us = -1},
                               [QAT8] = {.kind = "int8", .how = "by QAT"}};
    if ((code = cli_measure(net, test, &row[FP32]))) return code;
    cli_note(c, "fp32 %.4f", row[FP32].accuracy);

    oct_net *ptq = oct_prepare(net, NULL);
    if (!ptq || oct_calibrate(ptq, train, 512) != OCT_OK) return cli_failed();
    if ((code = cli_measure(ptq, test, &row[PTQ8]))) return code;
    cli_note(c, "ptq  %.4f", row[PTQ8].accuracy);
    if ((code = cli_measure_small(net, test, &row[HALF]))) return code;

    o = (oct_fit_opts){
        .epochs = 1, .test = test, .run = dir, .force = c->force.set, .config = cli_config_json(c)};
    v.int8 = true;
    code = cli_fit(c, ptq, train, &o, &v); /* goes on from the calibrated ranges */
    if (code) return code;
    oct_eval r; /* the simulation */
    if (oct_evaluate(ptq, test, NULL, &r) != OCT_OK) return cli_failed();
    row[TRAINED].score = r.score;
    row[TRAINED].accuracy = r.accuracy;
    oct_eval_free(c->ctx, &r);
    oct_net *int8 = oct_convert(ptq, NULL);
    oct_mismatch m = {.codes = 0};
    if (!int8 || oct_compare_data(ptq, int8, test, 4000, &m) != OCT_OK) return cli_failed();
    if ((code = cli_measure(int8, test, &row[QAT8]))) return code;
    if (dir) {
        snprintf(path, sizeof path, "%s/model.oct8", dir);
        place_without_link(path);
        if (oct_int8_save(int8, path) != OCT_OK) return cli_failed();
        if ((code = write_page(c, dir, row))) return code;
    }
    if (c->json.set)
        print_json(row, &m);
    else {
        cli_compared_print(row, KINDS);
        cli_print("%lld of %lld codes differ between training's simulation and the int8 model\n",
                  (long long)m.mismatched, (long long)m.codes);
    }
    if (dir)
        cli_next(c,
                 "run in %s, int8 model in %s, the page of it all in %s/report.html: open it in a "
                 "browser; next: octet inspect %s",
                 cli_word(dir), cli_word(path), cli_word(dir), cli_word(path));
    else
        cli_next(c,
                 "nothing was kept; next: octet demo --out DIR keeps the run, the int8 model and a "
                 "page that shows all of it");
    return m.mismatched ? 1 : 0;
}
