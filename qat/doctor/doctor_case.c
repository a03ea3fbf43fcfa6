/* SPDX-License-Identifier: MIT
 * Scores, copies and trials of a run that is looked at. */
#include "qat/doctor/doctor_case.h"

#include <stdlib.h>
#include <string.h>

#include "qat/fit/fit_config.h"
#include "qat/fit/layer_report.h"
#include "qat/fit/score.h"
#include "src/mem.h"
#include "src/words.h"

enum { BATCH = 64, LAYER_IMAGES = 128 };

const char *octi_option(const octi_made_by *by, const char *key) {
    for (int i = 0; i < by->count; i++)
        if (!strcmp(by->key[i], key)) return by->value[i];
    return NULL;
}

double octi_made_at_rate(const octi_made_by *by, bool prepared, double *usual) {
    const char *lr = octi_option(by, "lr"), *optimizer = octi_option(by, "optimizer");
    oct_optim_kind kind = OCT_OPTIM_SGD;
    if (optimizer && oct_optim_kind_from_name(optimizer, &kind) != OCT_OK) kind = OCT_OPTIM_SGD;
    *usual = octi_fit_usual_lr(kind, prepared);
    return lr ? strtod(lr, NULL) : *usual;
}

const char *octi_maker(const octi_case *k) {
    const char *name = octi_option(&k->by, "name");
    return name ? name : "";
}

bool octi_case_stale(const octi_case *k) {
    return k->parent && k->parent->stage == OCT_STAGE_FLOAT && k->net->made_from &&
           k->net->made_from != octi_net_crc(k->parent);
}

oct_net *octi_case_copy(const octi_case *k) {
    oct_net *net = oct_run_load(k->ctx, k->run, NULL);
    if (!net || oct_net_set_input(net, &k->net->input) == OCT_OK) return net;
    oct_net_free(net);
    return NULL;
}

typedef struct tally {
    int64_t n, right;
    double loss;
} tally;

static oct_status count(const octi_case *k, const oct_tensor *y, const oct_batch *b, int64_t n,
                        tally *t) {
    const int64_t values = oct_tensor_count(y) / y->shape.dim[0];
    if (k->kind == OCT_SCORE_CLASSES)
        t->right += octi_count_right(oct_f32(y), oct_s32(b->labels), n, values);
    else
        for (int64_t i = 0; i < n * values; i++) {
            const double d = (double)oct_f32(y)[i] - oct_f32(b->targets)[i];
            t->loss += d * d / (double)values;
        }
    t->n += n;
    return octi_progress(k->ctx, "doctor", k->at, k->of);
}

oct_status octi_case_score(const octi_case *k, oct_net *net, double *score) {
    oct_tape *tape = oct_tape_new(k->ctx);
    oct_loader *l =
        tape ? oct_loader_new(k->test, &(oct_loader_opts){.batch = BATCH, .input = &net->input})
             : NULL;
    oct_status s = l ? oct_loader_start(l, 0, 0) : oct_last_error()->code;
    tally t = {0};
    while (s == OCT_OK && t.n < k->n) {
        oct_batch b;
        bool done = false;
        s = oct_loader_next(l, &b, &done);
        if (s != OCT_OK || done) break;
        oct_tape_begin(tape, OCT_EVAL);
        const oct_tensor *y = oct_var_value(oct_net_forward(net, oct_input(tape, b.x)));
        if (!y)
            s = oct_last_error()->code;
        else if (y->dtype != OCT_F32)
            s = octi_fail(OCT_EUNSUPPORTED, "output", "is not float", "float32",
                          oct_dtype_name(y->dtype), NULL);
        else
            s = count(k, y, &b, b.x->shape.dim[0], &t);
    }
    oct_loader_free(l);
    oct_tape_free(tape);
    if (s != OCT_OK || !t.n) return s;
    *score = k->kind == OCT_SCORE_CLASSES ? (double)t.right / (double)t.n : t.loss / (double)t.n;
    return OCT_OK;
}

double octi_case_relative(const octi_case *k, double score) {
    return k->kind == OCT_SCORE_CLASSES ? score : score > k->best ? k->best / score : 1;
}

double octi_case_gain(const octi_case *k, double score) {
    return octi_case_relative(k, score) - octi_case_relative(k, k->score);
}

oct_status octi_case_observe(octi_case *k, octi_trial *t, const char *observer, double *gain) {
    if (!t->done && k->overflow) *t = (octi_trial){true, k->score};
    if (!t->done) {
        t->done = true;
        oct_net *copy = octi_case_copy(k);
        if (!copy) return oct_last_error()->code;
        oct_status s = observer ? oct_net_set_observer(copy, observer) : OCT_OK;
        if (s == OCT_OK) {
            oct_net_reset_observers(copy);
            oct_net_observe(copy, true);
            s = oct_calibrate(copy, k->train, k->calib);
        }
        if (s == OCT_OK) s = octi_case_score(k, copy, &t->score);
        oct_net_free(copy);
        OCT_TRY(s);
    }
    *gain = octi_case_gain(k, t->score);
    return OCT_OK;
}

oct_status octi_case_layers(octi_case *k) {
    if (k->rows) return OCT_OK;
    if (k->quantized)
        k->measured = octi_case_copy(k);
    else {
        k->measured = oct_prepare(k->net, NULL);
        if (k->measured) OCT_TRY(oct_calibrate(k->measured, k->train, LAYER_IMAGES));
    }
    if (!k->measured) return oct_last_error()->code;
    const int64_t n = k->n < LAYER_IMAGES ? k->n : LAYER_IMAGES;
    k->row_count = k->measured->graph->node_count;
    k->rows = octi_calloc(k->ctx, (size_t)k->row_count + 1, sizeof *k->rows);
    if (!k->rows) return oct_last_error()->code;
    OCT_TRY(oct_net_settle(k->measured));
    oct_data *some;
    OCT_TRY(octi_layers_some(k->ctx, k->test, n, &some));
    oct_status s = octi_layers_noise(k->measured, some ? some : k->test, n, false, k->rows);
    if (s == OCT_OK)
        s = oct_layers_sweep(k->measured, some ? some : k->test, n, k->rows, k->row_count, NULL);
    oct_data_free(some);
    return s;
}
