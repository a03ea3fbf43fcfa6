/* SPDX-License-Identifier: MIT
 * Learning-rate schedules: the closed forms of PyTorch's StepLR, MultiStepLR, CosineAnnealingLR and
 * OneCycleLR, in double. */
#include <math.h>

#include "autograd/optim/optim_words.h"
#include "src/float_mode.h"

static double cosine(double from, double to, double pct) {
    return to + (from - to) / 2.0 * (1.0 + cos(3.14159265358979323846 * pct));
}

static double clip01(double v) { return v < 0 ? 0 : v > 1 ? 1 : v; }

static double one_cycle(const oct_schedule *s, int64_t step) {
    double peak = s->lr, start = peak / (s->div > 0 ? s->div : 25.0f);
    double low = start / (s->final_div > 0 ? s->final_div : 1e4f);
    double pct_start = s->pct_start > 0 ? (double)s->pct_start : 0.3;
    double up = pct_start * (double)s->total - 1, down = (double)s->total - up - 1;
    if ((double)step <= up || down <= 0)
        return cosine(start, peak, up > 0 ? clip01((double)step / up) : 1);
    return cosine(peak, low, clip01(((double)step - up) / down));
}

static float lr_at(const oct_schedule *s, int64_t step) {
    if (!s || (unsigned)s->kind >= OCT_SCHEDULE_KIND_COUNT) return 0;
    if (step < 0) step = 0;
    const int64_t warmup = s->warmup > 0 ? s->warmup : 0;
    if (s->kind == OCT_SCHEDULE_ONE_CYCLE) return (float)one_cycle(s, step);
    double lr = s->lr, gamma = s->gamma != 0 ? (double)s->gamma : 0.1;
    /* the first step counts too */
    if (step < warmup) return (float)(lr * (double)(step + 1) / ((double)warmup + 1));
    step -= warmup;
    switch (s->kind) {
    case OCT_SCHEDULE_STEP:
        return (float)(s->every > 0 ? lr * pow(gamma, (double)(step / s->every)) : lr);
    case OCT_SCHEDULE_MULTI_STEP:
        for (int i = 0; i < 8 && s->milestones[i] > 0 && step + warmup >= s->milestones[i]; i++)
            lr *= gamma;
        return (float)lr;
    case OCT_SCHEDULE_COSINE: {
        const double span = (double)s->total - (double)warmup;
        return (float)(span > 0 ? cosine(lr, s->final_lr, clip01((double)step / span)) : lr);
    }
    default:
        return (float)lr;
    }
}

float oct_schedule_lr(const oct_schedule *s, int64_t step) {
    OCTI_LAW_MODE();
    float lr = lr_at(s, step);
    OCTI_LAW_VALUE(lr);
    return lr;
}

static const char *const optimizers[] = {
#define OCT_OPTIM(value, word, ...) word,
#include "autograd/optim/optim_words.def"
};
static const char *const schedules[] = {
#define OCT_SCHEDULE(value, word) word,
#include "autograd/optim/optim_words.def"
};
const octi_words octi_optim_words = OCTI_WORDS("optimizer", optimizers),
                 octi_schedule_words = OCTI_WORDS("schedule", schedules);
OCTI_WORD_PAIR(oct_optim_kind, octi_optim_words)
OCTI_WORD_PAIR(oct_schedule_kind, octi_schedule_words)
