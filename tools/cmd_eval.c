/* SPDX-License-Identifier: MIT
 * octet eval, octet predict. */
#include <math.h>

#include "tools/cli.h"

static void eval_json(const oct_eval *r, const cli_warnings *w) {
    json j = json_open();
    const bool classes = r->score == OCT_SCORE_CLASSES; /* keys that say nothing of a net are not there */
    if (classes) json_number(&j, "accuracy", r->accuracy);
    if (classes) json_number(&j, "top5", r->top5);
    json_number(&j, "loss", r->loss);
    json_int(&j, "n", r->n);
    if (!classes) {
        cli_warnings_json(&j, w);
        json_close(&j);
        return;
    }
    json_array(&j, "per_class");
    for (int32_t i = 0; i < r->classes; i++) json_number(&j, NULL, r->class_n[i] ? (double)r->class_correct[i] / (double)r->class_n[i] : NAN);
    json_array_end(&j);
    json_array(&j, "confusion");
    for (int32_t i = 0; i < r->classes; i++) {
        json_array(&j, NULL);
        for (int32_t k = 0; k < r->classes; k++) json_int(&j, NULL, r->confusion[(int64_t)i * r->classes + k]);
        json_array_end(&j);
    }
    json_array_end(&j);
    cli_warnings_json(&j, w);
    json_close(&j);
}

int cmd_eval(cli *c) {
    oct_net *net;
    oct_data *data;
    int code;
    if (!cli_model_and_data(c, &net, &data, &code)) return code;
    if (c->dry_run.set) return 0;
    oct_eval r;
    if (oct_evaluate(net, data, &(oct_eval_opts){.batch = c->batch.i}, &r) != OCT_OK) return cli_failed();
    cli_warnings w = cli_warn(c, net, data, -1, -1);
    if (c->json.set) eval_json(&r, &w);
    else if (r.score != OCT_SCORE_CLASSES) printf("loss %.6g (mean squared error)  n %lld  (%.0f img/s)\n", r.loss, (long long)r.n, r.img_per_s);
    else {
        printf("accuracy %.4f  top5 %.4f  loss %.4f  n %lld  (%.0f img/s)\n", r.accuracy, r.top5, r.loss, (long long)r.n, r.img_per_s);
        for (int32_t i = 0; i < r.classes && i < net->class_count; i++)
            printf("  %-16s %.4f of %lld\n", cli_class_name(net, i), r.class_n[i] ? (double)r.class_correct[i] / (double)r.class_n[i] : 0, (long long)r.class_n[i]);
    }
    cli_warnings_free(c, &w);
    oct_eval_free(c->ctx, &r);
    return 0;
}

/* ---- predict ---- */

/* Of a net that is no classifier: what it gives. */
static int print_values(const cli *c, const char *path, const float *y, int64_t k) {
    if (c->json.set) {
        json j = json_open();
        json_string(&j, "file", path);
        json_array(&j, "values");
        for (int64_t i = 0; i < k; i++) json_number(&j, NULL, y[i]);
        json_array_end(&j);
        json_close(&j);
        return 0;
    }
    printf("%s:", path);
    for (int64_t i = 0; i < k; i++) printf(" %.6g", y[i]);
    printf("\n");
    return 0;
}

static int predict_one(cli *c, oct_net *net, oct_runner *run, const char *path, oct_tensor *x) {
    if (oct_image_input(c->ctx, path, &net->input, oct_f32(x)) != OCT_OK) return cli_failed();
    const oct_tensor *y = oct_runner_run(run, x);
    if (!y) return cli_failed();
    int64_t k = oct_tensor_count(y);
    const float *z = oct_f32(y);
    if (y->shape.rank != 2 || !net->class_count) return print_values(c, path, z, k);
    double top = z[0], sum = 0;
    for (int64_t i = 1; i < k; i++)
        if (z[i] > top) top = z[i];
    for (int64_t i = 0; i < k; i++) sum += exp(z[i] - top);
    json j = {stdout, false};
    if (c->json.set) {
        j = json_open();
        json_string(&j, "file", path);
        json_array(&j, "top");
    } else
        printf("%s:", path);
    double below = INFINITY;
    int64_t last = -1;
    for (int rank = 0; rank < 5 && rank < k; rank++) { /* the next one in order of (score, index) */
        int64_t best = -1;
        for (int64_t i = 0; i < k; i++) {
            bool after = z[i] < below || (z[i] == below && i > last);
            if (after && (best < 0 || z[i] > z[best])) best = i;
        }
        if (best < 0) break;
        below = z[best];
        last = best;
        const char *name = cli_class_name(net, best);
        double score = exp(z[best] - top) / sum;
        if (c->json.set) {
            json_item(&j);
            json_string(&j, "class", best < net->class_count ? net->classes[best].id : "?");
            json_string(&j, "name", name);
            json_number(&j, "score", score);
            json_item_end(&j);
        } else
            printf(" %s %.4f%s", name, score, rank < 4 && rank + 1 < k ? "," : "");
    }
    if (c->json.set) {
        json_array_end(&j);
        json_close(&j);
    } else
        printf("\n");
    return 0;
}

int cmd_predict(cli *c) {
    int code;
    oct_net *net = cli_load(c, c->operands[0], false, &code);
    if (!net) return code;
    oct_runner *run = oct_runner_new(net, &(oct_runner_opts){.batch = 1});
    if (!run) return cli_failed();
    const oct_input_desc *d = &net->input;
    if (d->channels < 1) return cli_usage(c->operands[0], "model takes no images", NULL, NULL, NULL);
    oct_tensor *x = oct_tensor_new(c->ctx, OCT_F32, OCT_SHAPE(1, d->height, d->width, d->channels));
    if (!x) return cli_failed();
    for (int i = 1; i < c->operand_count && !c->dry_run.set; i++) { /* a bad file does not stop the rest */
        int one = predict_one(c, net, run, c->operands[i], x);
        if (one > code) code = one;
    }
    return code;
}
