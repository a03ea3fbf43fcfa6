/* SPDX-License-Identifier: MIT
 * Scores and calibration. */
#include <math.h>
#include <string.h>

#include "datasets/set.h"
#include "qat/compare.h"
#include "qat/fit/fit.h"
#include "qat/fit/runner.h"
#include "qat/fit/score.h"
#include "src/clock.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/words.h"

void oct_eval_free(oct_ctx *ctx, oct_eval *r) {
    if (!r) return;
    octi_free(ctx, r->class_n);
    octi_free(ctx, r->class_correct);
    octi_free(ctx, r->confusion);
    memset(r, 0, sizeof *r);
}

/* One image: its logits, its label. */
static oct_status score(oct_eval *r, const float *z, int32_t label, double *loss, int64_t *top5) {
    int32_t k = r->classes, above = 0;
    if (label < 0 || label >= k)
        return octi_fail(OCT_EFORMAT, "label", "out of range", octi_fmt("0 to %d", k - 1),
                         octi_fmt("%d", label), NULL);
    const int32_t best = octi_argmax(z, k);
    for (int32_t i = 0; i < k; i++) above += z[i] > z[label] || (z[i] == z[label] && i < label);
    double sum = 0;
    for (int32_t i = 0; i < k; i++) sum += exp((double)z[i] - (double)z[best]);
    *loss += log(sum) - ((double)z[label] - (double)z[best]);
    *top5 += above < 5;
    r->n++;
    r->class_n[label]++;
    r->class_correct[label] += best == label;
    r->confusion[(int64_t)label * k + best]++;
    return OCT_OK;
}

static oct_status make_tables(oct_ctx *ctx, oct_eval *r, int64_t k) {
    if (k > OCT_CLASSES_MAX)
        return octi_fail(OCT_ELIMIT, "evaluate", "too many classes",
                         octi_fmt("at most %d", OCT_CLASSES_MAX), octi_fmt("%lld", (long long)k),
                         NULL);
    r->classes = (int32_t)k;
    r->class_n = octi_calloc(ctx, (size_t)k, sizeof *r->class_n);
    r->class_correct = octi_calloc(ctx, (size_t)k, sizeof *r->class_correct);
    r->confusion = octi_calloc(ctx, (size_t)k * (size_t)k, sizeof *r->confusion);
    return r->class_n && r->class_correct && r->confusion ? OCT_OK : oct_last_error()->code;
}

/* A loss of the caller's own, of values that are there. */
static oct_status own_loss(oct_tape *tape, const oct_eval_opts *o, const oct_tensor *y,
                           const oct_batch *b, double *sum) {
    oct_tape_begin(tape, OCT_EVAL);
    const oct_tensor *v = oct_var_value(o->loss(o->loss_user, oct_input(tape, y), b));
    if (!v || oct_tensor_count(v) != 1 || v->dtype != OCT_F32) {
        if (oct_tape_status(tape) != OCT_OK) return oct_tape_status(tape);
        return octi_fail(OCT_EUSAGE, "loss", "of the caller's own", "a float scalar",
                         v ? oct_shape_text(&v->shape) : "NULL", NULL);
    }
    *sum += (double)oct_f32(v)[0] * (double)y->shape.dim[0];
    return OCT_OK;
}

static void cut(oct_batch *b, int64_t n, oct_tensor cut[3]) {
    const oct_tensor **of[3] = {&b->x, &b->labels, &b->targets};
    for (int i = 0; i < 3; i++) {
        if (!*of[i]) continue;
        cut[i] = **of[i];
        cut[i].shape.dim[0] = n;
        *of[i] = &cut[i];
    }
}

static oct_status evaluate(oct_runner *run, oct_loader *loader, oct_ctx *ctx,
                           const oct_eval_opts *o, int64_t total, oct_tape *tape, oct_eval *r) {
    double loss = 0, rule_loss = 0, time = 0;
    int64_t top5 = 0;
    const int64_t limit = o->limit;
    OCT_TRY(oct_loader_start(loader, 0, 0));
    OCT_TRY(octi_runner_hold(run));
    for (;;) {
        oct_batch b;
        bool done = false;
        OCT_TRY(oct_loader_next(loader, &b, &done));
        if (done || (limit > 0 && r->n >= limit)) break;
        if (!o->no_progress) OCT_TRY(octi_progress(ctx, "evaluate", r->n, total));
        oct_tensor short_batch[3];
        if (limit > 0 && r->n + b.x->shape.dim[0] > limit) cut(&b, limit - r->n, short_batch);
        double t0 = octi_seconds();
        const oct_tensor *y = oct_runner_run(run, b.x);
        time += octi_seconds() - t0;
        if (!y) return oct_last_error()->code;
        const int64_t n = b.x->shape.dim[0], k = oct_tensor_count(y) / y->shape.dim[0];
        if (tape) OCT_TRY(own_loss(tape, o, y, &b, &loss));
        if (r->score != OCT_SCORE_CLASSES) {
            if (r->score == OCT_SCORE_VALUES)
                rule_loss += octi_squared_errors(oct_f32(y), oct_f32(b.targets), n, k);
            r->n += n;
            continue;
        }
        if (!r->confusion) OCT_TRY(make_tables(ctx, r, k));
        for (int64_t i = 0; i < n; i++) {
            const float *z = oct_f32(y) + i * k;
            const int32_t label = oct_s32(b.labels)[i];
            OCT_TRY(score(r, z, label, &rule_loss, &top5));
            if (o->answer) o->answer(o->answer_user, r->n - 1, z, k, label);
        }
    }
    if (!r->n) return octi_fail(OCT_EFORMAT, "data", "no images", "at least one", "0", NULL);
    if (!o->no_progress) OCT_TRY(octi_progress(ctx, "evaluate", total, total));
    int64_t right = 0;
    for (int32_t i = 0; i < r->classes; i++) right += r->class_correct[i];
    r->accuracy = r->score == OCT_SCORE_CLASSES ? (double)right / (double)r->n : -1;
    r->top5 = r->score == OCT_SCORE_CLASSES ? (double)top5 / (double)r->n : -1;
    r->loss = (tape ? loss : rule_loss) / (double)r->n;
    r->img_per_s = time > 0 ? (double)r->n / time : 0;
    return OCT_OK;
}

oct_status oct_evaluate(oct_net *net, oct_data *data, const oct_eval_opts *opts, oct_eval *result) {
    OCTI_LAW_MODE();
    if (!net || !data || !result) return octi_fail_null("oct_evaluate");
    memset(result, 0, sizeof *result);
    const oct_eval_opts o = opts ? *opts : (oct_eval_opts){.batch = 0};
    int64_t batch = o.batch > 0 ? o.batch : OCTI_DEFAULT_BATCH, total = oct_data_count(data);
    if (o.limit > 0 && o.limit < total) total = o.limit;
    oct_status s;
    result->score = octi_score_of(net, data, &s);
    if (s != OCT_OK && !o.loss) return s;
    oct_runner *run = oct_runner_new(net, &(oct_runner_opts){.batch = batch});
    oct_loader *loader =
        run ? oct_loader_new(data, &(oct_loader_opts){.batch = batch, .input = octi_net_input(net)})
            : NULL;
    oct_tape *tape = loader && o.loss ? oct_tape_new(net->ctx) : NULL;
    s = loader && (tape || !o.loss) ? evaluate(run, loader, net->ctx, &o, total, tape, result)
                                    : oct_last_error()->code;
    oct_tape_free(tape);
    oct_loader_free(loader);
    oct_runner_free(run);
    if (s != OCT_OK) oct_eval_free(net->ctx, result);
    return s;
}

/* n: at most the set's */
static oct_status calibrate(oct_tape *tape, oct_loader *loader, oct_net *net, int64_t n) {
    OCT_TRY(oct_loader_start(loader, 0, 0));
    for (int64_t seen = 0; seen < n;) {
        oct_batch b;
        bool done = false;
        OCT_TRY(octi_progress(net->ctx, "calibrate", seen, n));
        OCT_TRY(oct_loader_next(loader, &b, &done));
        if (done) break;
        oct_tensor x = *b.x;
        if (seen + x.shape.dim[0] > n) x.shape.dim[0] = n - seen;
        seen += x.shape.dim[0];
        oct_tape_begin(tape, OCT_CALIBRATE);
        if (!oct_net_forward(net, oct_input(tape, &x))) return oct_last_error()->code;
    }
    return octi_progress(net->ctx, "calibrate", n, n);
}

oct_status oct_calibrate(oct_net *net, oct_data *data, int64_t n) {
    OCTI_LAW_MODE();
    if (!net || !data) return octi_fail_null("oct_calibrate");
    if (net->stage != OCT_STAGE_PREPARED)
        return octi_fail(OCT_EUSAGE, "oct_calibrate", "net is not prepared",
                         "the result of oct_prepare", NULL, NULL);
    if (n < 1)
        return octi_fail(OCT_EUSAGE, "oct_calibrate", "number of images", ">= 1",
                         octi_fmt("%lld", (long long)n), NULL);
    if (n > oct_data_count(data)) n = oct_data_count(data);
    oct_tape *tape = oct_tape_new(net->ctx);
    oct_loader *loader =
        tape ? oct_loader_new(data, &(oct_loader_opts){.batch = 32,
                                                       .shuffle = true,
                                                       .augment = OCT_AUGMENT_NONE,
                                                       .input = octi_net_input(net)})
             : NULL;
    oct_status s = loader ? calibrate(tape, loader, net, n) : oct_last_error()->code;
    oct_loader_free(loader);
    oct_tape_free(tape);
    return s == OCT_OK ? oct_net_settle(net) : s;
}

oct_status oct_compare_data(oct_net *prepared, const oct_net *int8, oct_data *data, int64_t limit,
                            oct_mismatch *m) {
    OCTI_LAW_MODE();
    if (!prepared || !int8 || !data || !m) return octi_fail_null("oct_compare_data");
    enum { BATCH = 32 };
    octi_comparison *c = octi_comparison_new(prepared, int8, BATCH);
    oct_loader *l = c ? oct_loader_new(data, &(oct_loader_opts){.batch = BATCH,
                                                                .input = octi_net_input(prepared)})
                      : NULL;
    oct_status s = l ? oct_loader_start(l, 0, 0) : oct_last_error()->code;
    for (int64_t seen = 0; s == OCT_OK && (limit <= 0 || seen < limit);) {
        oct_batch b;
        bool done = false;
        s = oct_loader_next(l, &b, &done);
        if (s != OCT_OK || done) break;
        s = octi_comparison_run(c, b.x, m);
        seen += b.x->shape.dim[0];
    }
    oct_loader_free(l);
    octi_comparison_free(c);
    return s;
}

void oct_eval_opts_init(oct_eval_opts *opts) {
    if (opts) *opts = (oct_eval_opts){0};
}
