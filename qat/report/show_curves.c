/* SPDX-License-Identifier: MIT
 * What each epoch came to. */
#include <math.h>

#include "qat/report/show.h"

typedef struct curve {
    int metric; /* of octi_metrics */
    int series;
} curve;

static bool measured(const octi_epochs *e, int metric) {
    for (int32_t i = 0; i < e->n; i++)
        if (isfinite(e->v[metric][i])) return true;
    return false;
}

/* Those of `list` that were measured, as one plot; float_at: the float run's, or NAN. */
/* Of prepared nets the test part's loss is the int8 net's. */
static const char *label_of(const octi_show *s, int metric) {
    const bool prepared = s->m->net && s->m->net->stage == OCT_STAGE_PREPARED;
    if (prepared && metric == OCTI_TEST_LOSS) metric = OCTI_INT8_ACCURACY;
    return octi_metrics[metric].label;
}

static void plot(const octi_show *s, const char *key, const char *caption, octi_axis y,
                 const curve *list, int n, double float_at) {
    const octi_epochs *e = &s->m->epochs;
    octi_legend legend[OCTI_SERIES];
    int entries = 0;
    for (int i = 0; i < n; i++) {
        if (!measured(e, list[i].metric)) continue;
        octi_axis_take(&y, e->v[list[i].metric], e->n);
        legend[entries++] = (octi_legend){'l', list[i].series, label_of(s, list[i].metric)};
    }
    if (!entries) return;
    if (isfinite(float_at)) {
        octi_axis_take(&y, &float_at, 1);
        legend[entries++] = (octi_legend){'m', 7,
                                          s->m->real_path ? "the float run, test part"
                                                          : "its weights in float, test part"};
    }
    octi_axis x = octi_axis_over("epoch", "", e->epoch, e->n, false);
    x.whole = true;
    octi_plot g;
    octi_plot_open(&g, s->p, key, caption, "", x, y, legend, entries);
    if (isfinite(float_at)) octi_plot_mark_y(&g, 7, "float", float_at);
    for (int i = 0; i < n; i++)
        if (measured(e, list[i].metric))
            octi_plot_line(&g, list[i].series, octi_metrics[list[i].metric].key, e->epoch,
                           e->v[list[i].metric], e->n);
    octi_plot_close(&g);
}

void octi_show_curves(const octi_show *s) {
    const bool prepared = s->m->net && s->m->net->stage == OCT_STAGE_PREPARED;
    const oct_measured *f = &s->m->float_own;
    const double at = f->score == OCT_SCORE_CLASSES ? f->accuracy : NAN;
    octi_page_raw(s->p, "<div class=\"plots\">\n");
    plot(s, "accuracy", prepared ? "Accuracy, fake-quantized and true int8" : "Accuracy, float",
         octi_axis_over("accuracy", "%", NULL, 0, false),
         (curve[]){{OCTI_TRAIN_ACCURACY, 1},
                   {OCTI_TEST_ACCURACY, 0},
                   {OCTI_INT8_ACCURACY, 2},
                   {OCTI_VAL_ACCURACY, 3}},
         4, prepared ? at : NAN);
    plot(s, "loss", prepared ? "Loss, fake-quantized and true int8" : "Loss, float",
         octi_axis_over("loss", "", NULL, 0, false),
         (curve[]){{OCTI_TRAIN_LOSS, 1}, {OCTI_TEST_LOSS, 0}, {OCTI_VAL_LOSS, 3}}, 3, NAN);
    plot(s, "lr", "Learning rate at the epoch's end",
         octi_axis_over("learning rate", "", NULL, 0, true), (curve[]){{OCTI_LR, 0}}, 1, NAN);
    plot(s, "oscillation", "Weights that swing between two codes",
         octi_axis_over("share of the tracked weights", "%", NULL, 0, true),
         (curve[]){{OCTI_OSCILLATING, 1}, {OCTI_FROZEN, 0}}, 2, NAN);
    octi_page_raw(s->p, "</div>\n");
}
