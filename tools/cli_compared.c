/* SPDX-License-Identifier: MIT
 * Runs the nets that octet compare holds against each other, and prints them side by side. */
#include "tools/cli_compared.h"

#include <math.h>
#include <string.h>

/* Microseconds per image at batch 1: the best of five blocks, each of 50 runs or a tenth of a
 * second. */
static int time_of(oct_net *net, double *us) {
    enum { BLOCKS = 5, RUNS = 50 };
    const oct_graph *g = net->graph;
    oct_shape s = g->values[g->input].shape;
    s.dim[0] = 1;
    oct_runner *r = oct_runner_new(net, &(oct_runner_opts){.batch = 1, .fixed = true});
    oct_tensor *x = r ? oct_tensor_new(net->ctx, OCT_F32, s) : NULL;
    bool ok = x && oct_runner_run(r, x);
    *us = INFINITY;
    for (int block = 0; ok && block < BLOCKS; block++) {
        const double t0 = cli_seconds();
        double t = t0;
        int runs = 0;
        while (ok && runs < RUNS && t - t0 < 0.1) {
            ok = oct_runner_run(r, x) != NULL;
            runs++;
            t = cli_seconds();
        }
        *us = fmin(*us, (t - t0) / runs * 1e6);
    }
    oct_tensor_unref(x);
    oct_runner_free(r);
    return ok ? 0 : cli_failed();
}

int64_t cli_net_bytes(const oct_net *net) {
    int64_t n = 0;
    for (int32_t i = 0; i < net->tensor_count; i++)
        n += (int64_t)oct_tensor_bytes(net->tensors[i].tensor);
    return n;
}

const char *cli_net_word(const oct_net *net) {
    static const char *const stages[] = {"float", "fused", "prepared", "int8"};
    bool dynamic = false, half = false, small = false;
    if (net->stage < OCT_STAGE_INT8) return stages[net->stage];
    for (int32_t i = 0; i < net->graph->node_count; i++) {
        const oct_op_kind k = net->graph->nodes[i].kind;
        const bool row = !strncmp(oct_op_name(k), "dynamic_", strlen("dynamic_"));
        dynamic |= row;
        if ((oct_op_flags(k) & OCT_OPF_Q) && !row) return "int8";
    }
    for (int32_t i = 0; i < net->tensor_count; i++) {
        half |= net->tensors[i].tensor->dtype == OCT_F16;
        small |= net->tensors[i].tensor->dtype == OCT_S8;
    }
    return dynamic ? "dynamic" : half ? "half" : small ? "weight-only" : "int8";
}

int cli_measure(oct_net *net, oct_data *data, cli_compared *row) {
    oct_eval r;
    if (net->stage == OCT_STAGE_PREPARED && !(net = oct_convert(net, NULL))) return cli_failed();
    if (oct_evaluate(net, data, NULL, &r) != OCT_OK) return cli_failed();
    row->score = r.score;
    row->accuracy = r.score == OCT_SCORE_CLASSES ? r.accuracy : -1;
    row->loss = r.loss;
    row->bytes = cli_net_bytes(net);
    oct_eval_free(net->ctx, &r);
    return time_of(net, &row->us);
}

int cli_measure_small(oct_net *net, oct_data *data, cli_compared rows[3]) {
    oct_net *made[3] = {oct_half(net), oct_quantize_dynamic(net, NULL),
                        oct_quantize_weight_only(net, NULL)};
    for (int i = 0; i < 3; i++) {
        const int code = made[i] ? cli_measure(made[i], data, &rows[i]) : cli_failed();
        if (code) return code;
    }
    return 0;
}

/* "digits: int8 by PTQ" */
static int put_name(char *to, size_t size, const cli_compared *r) {
    return snprintf(to, size, "%s%s%s%s%s", r->model ? r->model : "", r->model ? ": " : "", r->kind,
                    r->how ? " " : "", r->how ? r->how : "");
}

void cli_compared_print(const cli_compared *rows, int n) {
    char name[600];
    int width = 22;
    for (int i = 0; i < n; i++) {
        const int size = put_name(name, sizeof name, &rows[i]);
        if (size > width) width = size;
    }
    const bool classes = rows[0].score == OCT_SCORE_CLASSES;
    cli_print("%-*s %9s %10s %9s\n", width, "", classes ? "accuracy" : "loss", "bytes", "us/image");
    for (int i = 0; i < n; i++) {
        put_name(name, sizeof name, &rows[i]);
        cli_print("%-*s", width, name);
        printf(classes ? " %9.4f" : " %9.4g", classes ? rows[i].accuracy : rows[i].loss);
        if (rows[i].bytes > 0) printf(" %10lld", (long long)rows[i].bytes);
        if (rows[i].us >= 0) printf(" %9.1f", rows[i].us);
        printf("\n");
    }
}
