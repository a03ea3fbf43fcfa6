/* SPDX-License-Identifier: MIT
 * The end of an epoch: scores, the better one, metrics, a moment; and what the caller is told. */
#include <math.h>

#include "qat/fit/reestimate.h"
#include "qat/fit/run_files.h"
#include "qat/fit/training.h"
#include "qat/improve/oscillation.h"

static oct_status evaluate(training *t, oct_net *net, oct_data *data, double *accuracy,
                           double *loss) {
    if (!data) return OCT_OK;
    oct_eval e;
    OCT_TRY(oct_evaluate(net, data,
                         &(oct_eval_opts){.batch = t->o.batch < 256 ? t->o.batch : 256,
                                          .loss = t->o.loss,
                                          .loss_user = t->o.loss_user,
                                          .no_progress = true},
                         &e));
    *accuracy = e.accuracy;
    *loss = e.loss;
    oct_eval_free(t->ctx, &e);
    return OCT_OK;
}

static oct_status scores(training *t, oct_fit_report *r) {
    const bool prepared = t->net->stage == OCT_STAGE_PREPARED;
    /* what is told of ranges and scales is what is scored */
    if (prepared) OCT_TRY(oct_net_settle(t->net));
    /* the real integer path */
    oct_net *net =
        prepared ? oct_convert_with(t->net, &(oct_convert_opts){.skip_check = true}, NULL) : t->net;
    if (!net) return oct_last_error()->code;
    oct_status s =
        evaluate(t, net, t->test, prepared ? &r->int8_accuracy : &r->test_accuracy, &r->test_loss);
    if (s == OCT_OK) s = evaluate(t, net, t->val, &r->val_accuracy, &r->val_loss);
    if (prepared) oct_net_free(net);
    return s;
}

/* What is left behind converts exactly. */
static oct_status check_final(training *t) {
    if (t->net->stage != OCT_STAGE_PREPARED) return OCT_OK;
    oct_net *int8 = oct_convert(t->net, NULL);
    oct_net_free(int8);
    return int8 ? OCT_OK : oct_last_error()->code;
}

oct_fit_report octi_training_report(const training *t) {
    double n = t->at.seen > 0 ? (double)t->at.seen : 1;
    return (oct_fit_report){
        .epoch = (int32_t)t->at.epoch + 1,
        .epochs = t->o.epochs,
        .step = t->at.step,
        .steps = t->per_epoch * t->o.epochs,
        .step_in_epoch = t->at.step_in_epoch,
        .steps_per_epoch = t->per_epoch,
        .lr = octi_training_lr(t, t->at.step),
        .train_loss = t->at.loss_sum / n,
        .train_accuracy = t->score == OCT_SCORE_CLASSES ? (double)t->at.correct / n : -1,
        .test_accuracy = -1,
        .int8_accuracy = -1,
        .val_accuracy = -1,
        .oscillating = -1,
        .frozen = -1,
        .test_loss = NAN,
        .val_loss = NAN,
        .score = t->score,
        .img_per_s = t->epoch_time > 0 ? (double)t->epoch_images / t->epoch_time : 0,
        .resumed = t->resumed};
}

void octi_training_tell(training *t, const oct_fit_report *r) {
    if (t->o.progress && t->o.progress(t->o.progress_user, r)) t->stop = true;
    t->resumed = false;
}

oct_status octi_training_end_epoch(training *t) {
    oct_fit_report r = octi_training_report(t);
    r.epoch_end = true;
    t->at.epoch++;
    const bool never_frozen =
        t->net->stage == OCT_STAGE_PREPARED && !oct_net_batch_norm_frozen(t->net);
    if (t->at.epoch == t->o.epochs && never_frozen && t->o.bn_images > 0)
        OCT_TRY(octi_reestimate_batch_norm(t->net, t->train, t->o.bn_images, t->o.augment));
    OCT_TRY(scores(t, &r));
    const double tracked =
        t->o.oscillation ? (double)oct_oscillation_count(t->net, OCT_SWING_TRACKED) : 0;
    if (tracked > 0) {
        r.oscillating = (double)oct_oscillation_count(t->net, OCT_SWING_OSCILLATING) / tracked;
        r.frozen = (double)oct_oscillation_count(t->net, OCT_SWING_FROZEN) / tracked;
    }
    if (t->val) {
        const double reached = t->score == OCT_SCORE_CLASSES ? r.val_accuracy : -r.val_loss;
        bool better = reached > t->at.best_val;
        t->at.stale = better ? 0 : t->at.stale + 1;
        if (better) t->at.best_val = reached;
        if (better && t->run)
            OCT_TRY(octi_run_write_model(t->net, octi_run_folder(t->run), "best.safetensors",
                                         t->at.epoch));
        if (t->o.patience && t->at.stale >= t->o.patience) t->at.done = 1;
    }
    r.final = t->at.epoch == t->o.epochs || t->at.done;
    if (r.final) OCT_TRY(check_final(t));
    OCT_TRY(octi_training_tell_run(t, &r));
    t->at.step_in_epoch = t->at.seen = t->at.correct = 0;
    t->at.loss_sum = 0;
    OCT_TRY(octi_training_save(t));
    octi_training_tell(t, &r);
    return OCT_OK;
}
