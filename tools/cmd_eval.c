/* SPDX-License-Identifier: MIT
 * octet eval. */
#include <math.h>

#include "tools/cli.h"

/* The 95 % interval of an accuracy of n images (Wilson): another sample of as many would lie within
 * it. Its middle is not the accuracy: it is nearer to a half, and never leaves 0 to 1. */
typedef struct interval {
    double lo, hi;
} interval;

static interval interval_of(const oct_eval *r) {
    const double z = 1.96, n = (double)r->n, p = r->accuracy,
                 middle = (p + z * z / (2 * n)) / (1 + z * z / n),
                 half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    return (interval){fmax(0, middle - half), fmin(1, middle + half)};
}

static void eval_json(const oct_eval *r, const cli_warnings *w) {
    json j = json_open();
    /* keys that say nothing of a net are not there */
    const bool classes = r->score == OCT_SCORE_CLASSES;
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
    for (int32_t i = 0; i < r->classes; i++)
        json_number(&j, NULL,
                    r->class_n[i] ? (double)r->class_correct[i] / (double)r->class_n[i] : NAN);
    json_array_end(&j);
    json_array(&j, "confusion");
    for (int32_t i = 0; i < r->classes; i++) {
        json_array(&j, NULL);
        for (int32_t k = 0; k < r->classes; k++)
            json_int(&j, NULL, r->confusion[(int64_t)i * r->classes + k]);
        json_array_end(&j);
    }
    json_array_end(&j);
    const interval i = interval_of(r);
    json_number(&j, "accuracy_low", i.lo);
    json_number(&j, "accuracy_high", i.hi);
    json_number(&j, "accuracy_uncertainty", (i.hi - i.lo) / 2);
    cli_warnings_json(&j, w);
    json_close(&j);
}

int cmd_eval(cli *c) {
    oct_net *net;
    oct_data *data;
    int code;
    if (!cli_model_and_data(c, &net, &data, &code)) return code;
    if (c->dry_run.set) return cli_plan_eval(c, net, data);
    oct_eval r;
    if (oct_evaluate(net, data, &(oct_eval_opts){.batch = c->batch.i}, &r) != OCT_OK)
        return cli_failed();
    cli_warnings w = cli_warn(c, net, data, -1, -1, 0);
    if (c->json.set)
        eval_json(&r, &w);
    else if (r.score != OCT_SCORE_CLASSES)
        printf("loss %.6g (mean squared error)  n %lld  (%.0f img/s)\n", r.loss, (long long)r.n,
               r.img_per_s);
    else {
        const interval of = interval_of(&r);
        cli_print("accuracy %.4f  top5 %.4f  loss %.4f  n %lld  (accuracy %.4f to %.4f at 95 %%, "
                  "%.0f img/s)\n",
                  r.accuracy, r.top5, r.loss, (long long)r.n, of.lo, of.hi, r.img_per_s);
        for (int32_t i = 0; i < r.classes && i < oct_net_class_count(net); i++)
            cli_print("  %-16s %.4f of %lld\n", cli_class_name(net, i),
                      r.class_n[i] ? (double)r.class_correct[i] / (double)r.class_n[i] : 0,
                      (long long)r.class_n[i]);
    }
    cli_warnings_free(c, &w);
    oct_eval_free(c->ctx, &r);
    cli_next_of_model(c, net, c->operands[0]);
    return 0;
}
