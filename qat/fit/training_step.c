/* SPDX-License-Identifier: MIT
 * A step of training: switches, forward, loss, backward, what keeps weights from swinging. */
#include <math.h>

#include "autograd/replay.h"
#include "qat/fit/diverged.h"
#include "qat/fit/fit_config.h"
#include "qat/fit/reestimate.h"
#include "qat/fit/training.h"
#include "qat/improve/oscillation.h"

static double share_done(const training *t) {
    return (double)t->at.step / (double)(t->per_epoch * t->o.epochs);
}

/* Switches of a prepared net, as a function of the step alone. */
static oct_status set_switches(training *t) {
    if (t->net->stage != OCT_STAGE_PREPARED) return OCT_OK;
    const double share = share_done(t);
    oct_net_observe(t->net, t->o.observe_until >= 1 || share < (double)t->o.observe_until);
    const bool freeze = t->o.batch_norm_until < 1 && share >= (double)t->o.batch_norm_until,
               frozen = oct_net_batch_norm_frozen(t->net);
    if (freeze && !frozen && t->at.step && t->o.bn_images > 0)
        OCT_TRY(octi_reestimate_batch_norm(t->net, t->train, t->o.bn_images, t->o.augment));
    oct_net_freeze_batch_norm(t->net, freeze);
    return OCT_OK;
}

/* 1 at the first step, falling to 0 along half a cosine. */
static float still(const training *t) {
    return 0.5f * (1 + (float)cos(share_done(t) * 3.14159265358979323846));
}

/* Between backward and step, and behind the step: what keeps weights from swinging, as a function
 * of the step. */
static oct_status damp(training *t) {
    if (t->o.oscillation != OCT_OSCILLATION_DAMP) return OCT_OK;
    return oct_oscillation_damp(t->net, t->o.oscillation_end * (1 - still(t)));
}

static oct_status track(training *t) {
    if (!t->o.oscillation) return OCT_OK;
    const float end = t->o.oscillation_end, start = end > 0.1f ? end : 0.1f;
    const bool freeze = t->o.oscillation == OCT_OSCILLATION_FREEZE;
    return oct_oscillation_step(t->net, freeze ? end + (start - end) * still(t) : 1);
}

static oct_var *loss_of(const training *t, oct_var *y, const oct_batch *b) {
    if (t->o.loss) return y ? t->o.loss(t->o.loss_user, y, b) : NULL;
    if (t->score == OCT_SCORE_VALUES) return oct_mse_loss(y, b->targets);
    return oct_cross_entropy(y, b->labels, &(oct_cross_entropy_opts){.smoothing = t->o.smoothing});
}

oct_status octi_training_step(training *t, const oct_batch *b) {
    OCT_TRY(set_switches(t));
    oct_optim_set_lr(t->optim, oct_schedule_lr(&t->schedule, t->at.step));
    oct_optim_zero_grad(t->optim);
    const octi_cut cut = octi_cut_whole(b->x->shape.dim[0]);
    oct_var *logits = octi_replay(t->tape, t->net, b->x,
                                  &(octi_place){(uint32_t)t->at.epoch, (uint32_t)b->first, cut});
    oct_var *loss = loss_of(t, logits, b);
    if (t->teacher)
        loss = octi_teacher_loss(t->teacher, b->x, logits, loss, t->o.temperature,
                                 t->o.distill_weight);
    if (!loss && oct_tape_status(t->tape) != OCT_OK) return oct_tape_status(t->tape);
    if (!loss || oct_tensor_count(oct_var_value(loss)) != 1)
        return octi_fail(OCT_EUSAGE, "loss", "of the caller's own", "a scalar",
                         loss ? oct_shape_text(&oct_var_value(loss)->shape) : "NULL", NULL);
    double value = oct_f32(oct_var_value(loss))[0];
    if (!isfinite(value))
        return octi_diverged_loss(t->net, t->tape, octi_training_at(t, t->at.step + 1),
                                  t->o.loss != NULL);
    double right = 0; /* behind the backward pass there are no logits */
    if (t->score == OCT_SCORE_CLASSES)
        right = (double)octi_count_right(oct_f32(oct_var_value(logits)), oct_s32(b->labels),
                                         b->x->shape.dim[0], oct_var_value(logits)->shape.dim[1]);
    OCT_TRY(octi_cut_total(&cut, &right));
    OCT_TRY(oct_backward(loss));
    OCT_TRY(damp(t));
    OCT_TRY(octi_diverged_step(oct_optim_step(t->optim), octi_training_at(t, t->at.step + 1)));
    OCT_TRY(track(t));
    t->at.loss_sum += value * (double)cut.images;
    t->at.correct += (int64_t)right;
    t->at.seen += cut.images;
    t->at.step++;
    t->at.step_in_epoch++;
    return OCT_OK;
}
