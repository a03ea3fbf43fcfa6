/* SPDX-License-Identifier: MIT
 * octet demo: the whole journey on one small data set. */
#include <math.h>
#include <string.h>

#include "tools/cli.h"

static double accuracy_of(oct_net *net, oct_data *data) {
    oct_eval r;
    if (oct_evaluate(net, data, NULL, &r) != OCT_OK) return -1;
    double a = r.accuracy;
    oct_eval_free(net->ctx, &r);
    return a;
}

/* Microseconds per image at batch 1, the median-like best of several blocks. */
static double us_of(oct_net *net) {
    oct_runner *r = oct_runner_new(net, &(oct_runner_opts){.batch = 1});
    const oct_graph *g = net->graph;
    oct_shape s = g->values[g->input].shape;
    s.dim[0] = 1;
    oct_tensor *x = r ? oct_tensor_new(net->ctx, OCT_F32, s) : NULL;
    double best = INFINITY;
    for (int block = 0; x && block < 5; block++) {
        double t0 = cli_seconds();
        for (int i = 0; i < 50; i++)
            if (!oct_runner_run(r, x)) return oct_tensor_unref(x), oct_runner_free(r), -1;
        best = fmin(best, (cli_seconds() - t0) / 50 * 1e6);
    }
    oct_tensor_unref(x);
    oct_runner_free(r);
    return x ? best : -1;
}

static int64_t tensor_bytes(const oct_net *net) {
    int64_t n = 0;
    for (int32_t i = 0; i < net->tensor_count; i++)
        n += (int64_t)oct_tensor_bytes(net->tensors[i].tensor);
    return n;
}

int cmd_demo(cli *c) {
    if (!c->data.set) c->data = (opt_value){.set = true, .s = "synth-digits"};
    const char *dir = c->out.s;
    char path[4096];
    if (dir && oct_run_check(c->ctx, dir, false, c->force.set) != OCT_OK) return cli_failed();
    oct_data *train = cli_data(c, OCT_SPLIT_TRAIN, NULL);
    if (!train) return cli_failed();
    oct_net like = {.input = *oct_data_input(train)};
    like.classes = (oct_class *)(uintptr_t)oct_data_classes(train, &like.class_count);
    oct_data *test = cli_data(c, OCT_SPLIT_TEST, &like);
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
    double fp32 = v.last.test_accuracy;
    cli_note(c, "fp32 %.4f", fp32);

    oct_net *ptq = oct_prepare(net, NULL);
    if (!ptq || oct_calibrate(ptq, train, 512) != OCT_OK) return cli_failed();
    oct_convert_report ptq_report;
    oct_net *ptq8 = oct_convert(ptq, &ptq_report);
    double ptq_accuracy = ptq8 ? accuracy_of(ptq8, test) : -1;
    if (ptq_accuracy < 0) return cli_failed();
    cli_note(c, "ptq  %.4f", ptq_accuracy);

    oct_net *dynamic = oct_quantize_dynamic(net, NULL), *half = oct_half(net);
    double dynamic_accuracy = dynamic ? accuracy_of(dynamic, test) : -1,
           half_accuracy = half ? accuracy_of(half, test) : -1;
    if (dynamic_accuracy < 0 || half_accuracy < 0) return cli_failed();

    o = (oct_fit_opts){
        .epochs = 1, .test = test, .run = dir, .force = c->force.set, .config = cli_config_json(c)};
    v.int8 = true;
    code = cli_fit(c, ptq, train, &o, &v); /* goes on from the calibrated ranges */
    if (code) return code;
    double qat_accuracy = accuracy_of(ptq, test); /* the simulation */
    oct_convert_report r;
    oct_net *int8 = oct_convert(ptq, &r);
    double int8_accuracy = int8 ? accuracy_of(int8, test) : -1;
    oct_mismatch m = {.codes = 0};
    if (qat_accuracy < 0 || int8_accuracy < 0 ||
        oct_compare_data(ptq, int8, test, 4000, &m) != OCT_OK)
        return cli_failed();
    if (dir) {
        snprintf(path, sizeof path, "%s/model.oct8", dir);
        if (oct_int8_save(int8, path) != OCT_OK) return cli_failed();
    }
    double fp32_us = us_of(net), int8_us = us_of(int8), ptq_us = us_of(ptq8),
           dynamic_us = us_of(dynamic), half_us = us_of(half);
    if (fp32_us < 0 || int8_us < 0 || ptq_us < 0 || dynamic_us < 0 || half_us < 0)
        return cli_failed();
    if (c->json.set) {
        json j = json_open();
        json_number(&j, "fp32_accuracy", fp32);
        json_number(&j, "ptq_accuracy", ptq_accuracy);
        json_number(&j, "qat_accuracy", qat_accuracy);
        json_number(&j, "int8_accuracy", int8_accuracy);
        json_int(&j, "mismatched_codes", m.mismatched);
        json_int(&j, "fp32_bytes", tensor_bytes(net));
        json_int(&j, "int8_bytes", r.bytes);
        json_number(&j, "fp32_us", fp32_us);
        json_number(&j, "int8_us", int8_us);
        json_number(&j, "ptq_us", ptq_us);
        json_number(&j, "dynamic_accuracy", dynamic_accuracy);
        json_int(&j, "dynamic_bytes", tensor_bytes(dynamic));
        json_number(&j, "dynamic_us", dynamic_us);
        json_number(&j, "half_accuracy", half_accuracy);
        json_int(&j, "half_bytes", tensor_bytes(half));
        json_number(&j, "half_us", half_us);
        json_close(&j);
    } else {
        cli_print("%-22s %9s %9s %9s\n", "", "accuracy", "bytes", "us/image");
        cli_print("%-22s %9.4f %9lld %9.1f\n", "fp32", fp32, (long long)tensor_bytes(net), fp32_us);
        cli_print("%-22s %9.4f %9lld %9.1f\n", "half (fp16 weights)", half_accuracy,
                  (long long)tensor_bytes(half), half_us);
        cli_print("%-22s %9.4f %9lld %9.1f\n", "dynamic (int8 linear)", dynamic_accuracy,
                  (long long)tensor_bytes(dynamic), dynamic_us);
        cli_print("%-22s %9.4f %9lld %9.1f\n", "int8 by PTQ", ptq_accuracy,
                  (long long)ptq_report.bytes, ptq_us);
        cli_print("%-22s %9.4f %9s %9s\n", "QAT, as trained", qat_accuracy, "", "");
        cli_print("%-22s %9.4f %9lld %9.1f\n", "int8 by QAT", int8_accuracy, (long long)r.bytes,
                  int8_us);
        cli_print("%lld of %lld codes differ between training's simulation and the int8 model\n",
                  (long long)m.mismatched, (long long)m.codes);
    }
    if (dir)
        cli_next(c, "run in %s, int8 model in %s; next: octet inspect %s", cli_word(dir),
                 cli_word(path), cli_word(path));
    else
        cli_next(c,
                 "nothing was kept; next: octet demo --out DIR keeps the run and the int8 model");
    return m.mismatched ? 1 : 0;
}
