/* SPDX-License-Identifier: MIT
 * Positions of a training that a file names, judged against its options: what goes on from one that
 * no training passes through would count wrongly, end early, or write where nothing was. */
#include <math.h>
#include <string.h>

#include "qat/fit/run_files.h"
#include "qat/io/tensor_files.h"
#include "src/format/json.h"

enum { MOST = 1000000 }; /* epochs, images of a batch: what octi_fit_defaults lets through */

oct_status octi_fit_extent_read(oct_ctx *ctx, const char *config_json, const char *where,
                                octi_fit_extent *e) {
    cJSON *root = NULL;
    *e = (octi_fit_extent){0};
    OCT_TRY(octi_json_parse(ctx, config_json, strlen(config_json), where, &root));
    const cJSON *fit = octi_json_get(root, "fit");
    oct_status s = OCT_OK;
    if (fit) s = octi_json_int(fit, "epochs", where, 1, MOST, &e->epochs);
    if (fit && s == OCT_OK) s = octi_json_int(fit, "batch", where, 1, MOST, &e->batch);
    if (fit && s == OCT_OK)
        s = octi_json_int(fit, "images", where, 1, (int64_t)1 << 53, &e->images);
    if (fit && s == OCT_OK) s = octi_json_int(fit, "patience", where, 0, MOST, &e->patience);
    octi_json_free(root);
    return s;
}

/* Images of an epoch's first `step` steps: batches of nearly equal size. */
static int64_t seen_after(const octi_fit_extent *e, int64_t steps, int64_t step) {
    return e->images / steps * step + e->images % steps * step / steps;
}

oct_status octi_position_check(const octi_position *p, const octi_fit_extent *e,
                               const char *where) {
    const int64_t big = (int64_t)1 << 53, epochs = e->images ? e->epochs : MOST;
    const int64_t batch = e->images && e->batch > e->images ? e->images : e->batch,
                  per_epoch = e->images ? (e->images + batch - 1) / batch : big;
    const int64_t steps = !e->images ? p->step : p->epoch * per_epoch + p->step_in_epoch;
    const int64_t seen = e->images && p->step_in_epoch >= 0 && p->step_in_epoch <= per_epoch
                             ? seen_after(e, per_epoch, p->step_in_epoch)
                             : p->seen;
    const struct {
        const char *name;
        int64_t v, lo, hi;
    } rows[] = {{"epoch", p->epoch, 0, epochs},
                {"step_in_epoch", p->step_in_epoch, 0, per_epoch},
                {"step", p->step, p->epoch <= epochs && p->epoch >= 0 ? steps : 0,
                 p->epoch <= epochs && p->epoch >= 0 ? steps : 0},
                {"generation", p->generation, p->step * 2 + !p->step_in_epoch,
                 p->step * 2 + !p->step_in_epoch},
                {"seen", p->seen, seen, seen},
                {"correct", p->correct, 0, seen},
                {"metrics_bytes", p->metrics_bytes, 0, p->epoch ? (int64_t)1 << 40 : 0},
                {"stale", p->stale, 0, p->epoch},
                {"probe_images", p->probe_images, -1, 64},
                {"done", p->done, 0, p->epoch && e->patience ? 1 : 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].v < rows[i].lo || rows[i].v > rows[i].hi)
            return octi_fail(
                OCT_EFORMAT, where,
                octi_fmt("fit.%s is no position of this training", rows[i].name),
                rows[i].lo == rows[i].hi
                    ? octi_fmt("%lld", (long long)rows[i].lo)
                    : octi_fmt("%lld to %lld", (long long)rows[i].lo, (long long)rows[i].hi),
                octi_fmt("%lld", (long long)rows[i].v), "the run is damaged");
    if (!isfinite(p->loss_sum) || !isfinite(p->best_val))
        return octi_fail(
            OCT_EFORMAT, where, "fit.loss_sum or fit.best_val is no figure of a training",
            "finite numbers", octi_fmt("%g, %g", p->loss_sum, p->best_val), "the run is damaged");
    return OCT_OK;
}

oct_status octi_position_read(const octi_safetensors *state, const octi_fit_extent *e,
                              const char *where, octi_position *p) {
    *p = (octi_position){0};
#define OCT_FIT_S64(name) OCT_TRY(octi_number_read(state, "fit.", #name, OCT_S64, where, &p->name));
#define OCT_FIT_F64(name) OCT_TRY(octi_number_read(state, "fit.", #name, OCT_F64, where, &p->name));
#define OCT_FIT_MAYBE(name)                                                                        \
    p->name = -1;                                                                                  \
    if (octi_safetensors_find(state, "fit." #name)) OCT_FIT_S64(name)
#include "qat/fit/position.def"
    return octi_position_check(p, e, where);
}
