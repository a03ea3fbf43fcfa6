/* SPDX-License-Identifier: MIT
 * octet bench: images per second of a workload, as the median of blocks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli.h"

static const char *const modes[] = {"train-fp32", "train-qat", "infer-fp32", "infer-int8"};
enum { TRAIN_FP32, TRAIN_QAT, INFER_FP32, INFER_INT8, MODES };

typedef struct bench {
    oct_ctx *ctx;
    oct_net *net;
    oct_tensor *x, *labels; /* labels: of a net without classes, values of its output's shape */
    int64_t batch;
    int mode;
    oct_tape *tape;
    oct_optim *optim;
    oct_runner *run;
} bench;

/* Any fixed numbers do: arithmetic takes the same time for all of them. */
static void fill(oct_tensor *x) {
    uint32_t s = 1;
    for (int64_t i = 0; i < oct_tensor_count(x); i++) {
        s = s * 1664525u + 1013904223u;
        oct_f32(x)[i] = (float)(s >> 8) / 16777216.0f * 2 - 1;
    }
}

static oct_status step(bench *b) {
    if (b->run) return oct_runner_run(b->run, b->x) ? OCT_OK : oct_last_error()->code;
    oct_optim_zero_grad(b->optim);
    oct_tape_begin(b->tape, OCT_TRAIN);
    oct_var *y = oct_net_forward(b->net, oct_input(b->tape, b->x));
    oct_var *loss = b->labels->dtype == OCT_F32 ? oct_mse_loss(y, b->labels)
                                                : oct_cross_entropy(y, b->labels, NULL);
    oct_status s = oct_backward(loss);
    return s == OCT_OK ? oct_optim_step(b->optim) : s;
}

static oct_status calibrate_on(bench *b) {
    oct_tape *t = oct_tape_new(b->ctx);
    oct_tape_begin(t, OCT_CALIBRATE);
    oct_status s = oct_net_forward(b->net, oct_input(t, b->x)) ? OCT_OK : oct_last_error()->code;
    oct_tape_free(t);
    return s;
}

static oct_status set_up(bench *b, oct_net *float_or_any) {
    b->net = float_or_any;
    const oct_graph *g = oct_net_graph(b->net);
    oct_shape in = *oct_value_shape(oct_graph_value(g, oct_graph_input(g))),
              out = *oct_value_shape(oct_graph_value(g, oct_graph_output(g)));
    in.dim[0] = out.dim[0] = b->batch;
    const bool classes = out.rank == 2;
    b->x = oct_tensor_new(b->ctx, OCT_F32, in);
    b->labels = classes ? oct_tensor_new(b->ctx, OCT_S32, OCT_SHAPE(b->batch))
                        : oct_tensor_new(b->ctx, OCT_F32, out);
    if (!b->x || !b->labels) return oct_last_error()->code;
    fill(b->x);
    for (int64_t i = 0; i < b->batch && classes; i++)
        oct_s32(b->labels)[i] = (int32_t)(i % out.dim[1]);
    bool quant = b->mode == TRAIN_QAT || b->mode == INFER_INT8;
    if (quant && oct_net_stage(b->net) < OCT_STAGE_PREPARED) {
        if (!(b->net = oct_prepare(b->net, NULL))) return oct_last_error()->code;
        oct_status s = calibrate_on(b);
        if (s != OCT_OK) return s;
    }
    if (b->mode == INFER_INT8 && oct_net_stage(b->net) == OCT_STAGE_PREPARED &&
        !(b->net = oct_convert(b->net, NULL)))
        return oct_last_error()->code;
    if (b->mode == INFER_FP32 || b->mode == INFER_INT8) {
        b->run = oct_runner_new(b->net, &(oct_runner_opts){.batch = b->batch, .fixed = true});
        return b->run ? OCT_OK : oct_last_error()->code;
    }
    int32_t n;
    const oct_named_tensor *p = oct_net_parameters(b->net, &n);
    b->tape = oct_tape_new(b->ctx);
    b->optim = oct_optim_new(b->ctx, p, n, &(oct_optim_opts){.lr = 1e-4f});
    return b->tape && b->optim ? OCT_OK : oct_last_error()->code;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of a clock that stands or goes back there is no time to divide by, nor would any number of steps
 * be enough. */
static int no_clock(double seconds) {
    char got[48];
    snprintf(got, sizeof got, "%g seconds", seconds);
    cli_usage("bench", "the machine's clock does not go forward", "more than 0 seconds for a step",
              got, NULL);
    return oct_status_exit_code(OCT_EUNSUPPORTED);
}

/* Where the time goes, by a second runner that counts: counting takes time of its own. */
static oct_status layers(const bench *b, json *j) {
    const oct_graph *g = oct_net_graph(b->net);
    oct_runner *r = oct_runner_new(
        b->net, &(oct_runner_opts){.batch = b->batch, .fixed = true, .profile = true});
    oct_status s = r ? OCT_OK : oct_last_error()->code;
    const double end = cli_seconds() + 0.05;
    for (int i = 0; s == OCT_OK && (i < 3 || (i < 1000 && cli_seconds() < end)); i++)
        if (!oct_runner_run(r, b->x)) s = oct_last_error()->code;
    json_array(j, "layers");
    for (int32_t i = 0; s == OCT_OK && i < oct_graph_node_count(g); i++) {
        const char *name = oct_node_name(oct_graph_node(g, i)), *why = oct_runner_node_why(r, name);
        if (!why) continue; /* not in the plan */
        json_item(j);
        json_string(j, "name", name);
        const double ns = oct_runner_node_ns(r, name);
        json_number(j, "us", ns < 0 ? NAN : ns / 1000); /* fused: in another's time */
        json_string(j, "kernel", oct_runner_node_kernel(r, name));
        json_string(j, "why", why);
        const double share = oct_runner_node_share(r, name);
        if (share >= 0) json_number(j, "peak_share", share);
        json_item_end(j);
    }
    json_array_end(j);
    oct_runner_free(r);
    return s;
}

static int measure(cli *c, const char *workload, oct_net *net, int mode) {
    enum { BLOCKS = 9 };
    double seconds[BLOCKS];
    bench b = {.ctx = c->ctx,
               .mode = mode,
               .batch = c->batch.set        ? c->batch.i
                        : mode < INFER_FP32 ? 128
                                            : 32};
    if (set_up(&b, net) != OCT_OK) return cli_failed();
    long long steps = 1;
    double t = 0; /* of the fastest: one that another process broke into says nothing */
    for (int warm = 0; warm < 5; warm++) {
        double t0 = cli_seconds();
        if (step(&b) != OCT_OK) return cli_failed();
        double took = cli_seconds() - t0;
        if (!warm || took < t) t = took;
    }
    if (!(t > 0)) return no_clock(t);
    const double least = c->seconds.set ? c->seconds.d : 0.1;
    /* no step takes less than a microsecond; a clock that all but stands must not go on for ever */
    while (t * (double)steps < least && (double)steps < least * 1e6) steps *= 2;
    for (int k = 0; k < BLOCKS; k++) {
        double t0 = cli_seconds();
        for (long long i = 0; i < steps; i++)
            if (step(&b) != OCT_OK) return cli_failed();
        seconds[k] = cli_seconds() - t0;
    }
    qsort(seconds, BLOCKS, sizeof *seconds, by_value);
    if (!(seconds[0] > 0)) return no_clock(seconds[0]);
    double per = seconds[BLOCKS / 2] / (double)(steps * b.batch);
    cli_note_kernels(c);
    if (c->json.set) {
        json j = json_open();
        json_string(&j, "workload", workload);
        json_string(&j, "mode", modes[mode]);
        json_int(&j, "batch", b.batch);
        json_int(&j, "threads", oct_ctx_threads(c->ctx));
        json_string(&j, "isa", oct_ctx_isa(c->ctx));
        if (oct_ctx_no_amx(c->ctx)) json_string(&j, "no_amx", oct_ctx_no_amx(c->ctx));
        json_number(&j, "img_per_s", 1 / per);
        json_number(&j, "us_per_img", per * 1e6);
        json_int(&j, "steps", steps);
        if (b.run && layers(&b, &j) != OCT_OK) return cli_failed();
        json_close(&j);
    } else {
        cli_print("%-10s %-11s batch %-4lld threads %-3d %12.1f img/s %10.2f us/img  (fastest "
                  "block %.2f, slowest %.2f)\n",
                  workload, modes[mode], (long long)b.batch, oct_ctx_threads(c->ctx), 1 / per,
                  per * 1e6, seconds[0] / (double)(steps * b.batch) * 1e6,
                  seconds[BLOCKS - 1] / (double)(steps * b.batch) * 1e6);
        fflush(stdout);
    }
    oct_runner_free(b.run);
    oct_optim_free(b.optim);
    oct_tape_free(b.tape);
    return 0;
}

int cmd_bench(cli *c) {
    static const char *const workloads[] = {"lenet", "resnet8", "resnet20", "resnet18"};
    const oct_shape images[] = {OCT_SHAPE(28, 28, 1), OCT_SHAPE(32, 32, 3), OCT_SHAPE(32, 32, 3),
                                OCT_SHAPE(224, 224, 3)};
    int only = -1, code = 0;
    for (int m = 0; m < MODES && c->mode.set; m++)
        if (!strcmp(modes[m], c->mode.s)) only = m;
    if (c->mode.set && only < 0)
        return cli_unknown("--mode", "unknown", "train-fp32, train-qat, infer-fp32 or infer-int8",
                           c->mode.s);
    bool known = !c->workload.set;
    for (int w = 0; w < 4 && c->workload.set; w++) known |= !strcmp(workloads[w], c->workload.s);
    if (!known)
        return cli_unknown("--workload", "unknown", "lenet, resnet8, resnet20 or resnet18",
                           c->workload.s);
    if (c->operand_count && c->workload.set)
        return cli_usage("--workload", "a file and a workload exclude each other", "one of them",
                         NULL, NULL);
    if (c->dry_run.set) return 0;
    for (int w = 0; w < 4 && !code; w++) {
        if (w == 3 && !c->workload.set) break; /* minutes: only when asked for */
        if (c->operand_count && w) break;
        if (c->workload.set && strcmp(workloads[w], c->workload.s)) continue;
        for (int m = 0; m < MODES && !code; m++) {
            if (only >= 0 && m != only) continue;
            oct_net *net;
            if (c->operand_count)
                net = oct_model_load(c->ctx, c->operands[0]);
            else {
                oct_module *z = oct_zoo_new(c->ctx, workloads[w], NULL);
                net = oct_capture(z, images[w]);
            }
            if (!net) return cli_failed();
            bool fits = oct_net_stage(net) == OCT_STAGE_INT8 ? m == INFER_INT8
                        : oct_net_stage(net) == OCT_STAGE_PREPARED
                            ? m == TRAIN_QAT || m == INFER_INT8
                            : true;
            if (fits)
                code = measure(c, c->operand_count ? c->operands[0] : workloads[w], net, m);
            else if (only >= 0)
                return cli_usage(c->operands[0], "mode does not fit this model", "infer-int8",
                                 c->mode.s, NULL);
        }
    }
    const char *file = c->operand_count ? cli_word(c->operands[0]) : "MODEL";
    if (!code) cli_next(c, "next: octet layers %s --data SPEC shows the time of each layer", file);
    return code;
}
