/* SPDX-License-Identifier: MIT
 * What a training leaves in its run: moments, metrics, and where it goes on. */
#include <math.h>
#include <string.h>

#include "qat/fit/diverged.h"
#include "qat/fit/fit_config.h"
#include "qat/fit/run_files.h"
#include "qat/fit/training.h"
#include "src/clock.h"
#include "src/format/json_bits.h"
#include "src/mem.h"

oct_status octi_training_save(training *t) {
    int32_t n;
    const oct_named_tensor *optim = oct_optim_state(t->optim, &n);
    /* a loss can stay finite while a weight does not (max(NaN, 0) is 0): such a moment must not
     * replace a good one */
    OCT_TRY(octi_diverged_settle(t->net, optim, n, octi_training_at(t, t->at.step)));
    if (!t->run) return OCT_OK;
    const int64_t images = t->net->probe ? t->net->probe->shape.dim[0] : 0;
    if (images != t->probe_saved) OCT_TRY(octi_run_write_probe(t->net, octi_run_folder(t->run)));
    t->probe_saved = t->at.probe_images = images;
    t->last_save = octi_seconds();
    OCT_TRY(octi_run_commit(t->net, octi_run_folder(t->run), optim, n, &t->at));
    t->kept = t->kept || t->at.step > 0;
    return OCT_OK;
}

/* "quantizers":{"conv1":{"scale":0.01,"zero_point":3},"fc.weight":{"scale":[...],"zero_point":0}}:
 * a number where all are one. */
static void put_qparams(const oct_net *net, octi_text *x) {
    octi_text_printf(x, ",\"quantizers\":{");
    for (int32_t i = 0; i < net->graph->quantizer_count; i++) {
        const oct_quantizer *q = &net->graph->quantizers[i];
        const int64_t n = oct_tensor_count(q->scale);
        bool same_scale = true, same_zero = true;
        for (int64_t c = 1; c < n; c++) {
            same_scale &= oct_f32(q->scale)[c] == oct_f32(q->scale)[0];
            same_zero &= oct_s32(q->zero_point)[c] == oct_s32(q->zero_point)[0];
        }
        octi_text_printf(x, "%s", i ? "," : "");
        octi_json_put_string(x, q->name);
        octi_text_printf(x, ":{\"scale\":%s", same_scale ? "" : "[");
        for (int64_t c = 0; c < (same_scale ? 1 : n); c++) {
            if (c) octi_text_printf(x, ",");
            octi_json_put_f32(x, oct_f32(q->scale)[c]);
        }
        octi_text_printf(x, "%s,\"zero_point\":%s", same_scale ? "" : "]", same_zero ? "" : "[");
        for (int64_t c = 0; c < (same_zero ? 1 : n); c++)
            octi_text_printf(x, "%s%d", c ? "," : "", oct_s32(q->zero_point)[c]);
        octi_text_printf(x, "%s}", same_zero ? "" : "]");
    }
    octi_text_printf(x, "}");
}

oct_status octi_training_tell_run(training *t, const oct_fit_report *r) {
    if (!t->run) return OCT_OK;
    octi_text x = {.ctx = t->ctx};
    octi_text_printf(&x, "{\"epoch\":%d,\"step\":%lld", r->epoch, (long long)r->step);
    const struct {
        const char *key;
        double v;
    } rows[] = {{"lr", r->lr},
                {"train_loss", r->train_loss},
                {"train_accuracy", r->train_accuracy},
                {"test_accuracy", r->test_accuracy},
                {"int8_accuracy", r->int8_accuracy},
                {"val_accuracy", r->val_accuracy},
                {"oscillating", r->oscillating},
                {"frozen", r->frozen},
                {"img_per_s", r->img_per_s},
                {"test_loss", r->test_loss},
                {"val_loss", r->val_loss}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        /* the caller's own may be negative */
        const bool loss = strstr(rows[i].key, "loss") != NULL;
        if (loss ? isnan(rows[i].v) : rows[i].v < 0) continue; /* not measured */
        octi_text_printf(&x, ",\"%s\":", rows[i].key);
        octi_json_put_number(&x, rows[i].v);
    }
    if (t->net->stage == OCT_STAGE_PREPARED) put_qparams(t->net, &x);
    octi_text_printf(&x, "}\n");
    oct_status s = x.status == OCT_OK
                       ? octi_file_append_in(octi_run_folder(t->run), "metrics.jsonl",
                                             t->at.metrics_bytes, x.data, x.size)
                       : x.status;
    if (s == OCT_OK) t->at.metrics_bytes += (int64_t)x.size;
    octi_text_free(&x);
    return s;
}

/* Where the run stands, from its checkpoint. */
static oct_status go_on(training *t, const char *config) {
    const octi_folder *f = octi_run_folder(t->run);
    char *old = NULL;
    bool grown = false;
    octi_fit_extent extent;
    int32_t n;
    const oct_named_tensor *optim = oct_optim_state(t->optim, &n);
    oct_status s = octi_run_read_config(t->ctx, f, &old);
    if (s == OCT_OK && old) s = octi_fit_config_check(t->ctx, old, config, t->o.run, &grown);
    if (s == OCT_OK && old) s = octi_fit_extent_read(t->ctx, config, "config.json", &extent);
    if (s == OCT_OK && old) s = octi_run_restore(t->net, f, &extent, optim, n, &t->at, &t->resumed);
    if (s == OCT_OK && !t->resumed)
        octi_log(t->ctx, OCT_LOG_WARN, "%s: no checkpoint to resume from: starting at 0", t->o.run);
    if (s == OCT_OK && t->resumed && grown) {
        t->at.done = 0;
        s = octi_run_write_config(f, config);
    }
    octi_free(t->ctx, old);
    return s;
}

/* The run is what it was until its first moment is whole. */
static oct_status begin_anew(training *t, const char *config) {
    OCT_TRY(octi_run_renew(t->run));
    OCT_TRY(octi_run_create(t->net, octi_run_folder(t->run), config));
    OCT_TRY(octi_training_save(t));
    return octi_run_keep(t->run);
}

oct_status octi_training_start_run(training *t) {
    octi_text config = {.ctx = t->ctx};
    oct_status s = octi_fit_config(t->net, &t->o, t->train, &config);
    if (s == OCT_OK && !(t->run = octi_run_write(t->ctx, t->o.run, t->o.resume, t->o.force)))
        s = oct_last_error()->code;
    t->kept = t->o.resume;
    if (s == OCT_OK && t->o.resume) s = go_on(t, config.data);
    if (s == OCT_OK && !t->resumed) s = begin_anew(t, config.data);
    octi_text_free(&config);
    return s;
}

/* What start_run would refuse, without writing. */
oct_status octi_training_check_run(training *t) {
    OCT_TRY(oct_run_check(t->ctx, t->o.run, t->o.resume, t->o.force));
    octi_text config = {.ctx = t->ctx};
    char *old = NULL;
    bool grown;
    oct_status s = octi_fit_config(t->net, &t->o, t->train, &config);
    const bool old_run = s == OCT_OK && t->o.resume && oct_run_is(t->o.run);
    octi_run *r = old_run ? octi_run_open(t->ctx, t->o.run) : NULL;
    if (old_run && !r) s = oct_last_error()->code;
    if (r) s = octi_run_read_config(t->ctx, octi_run_folder(r), &old);
    if (s == OCT_OK && old) s = octi_fit_config_check(t->ctx, old, config.data, t->o.run, &grown);
    octi_run_close(r);
    octi_free(t->ctx, old);
    octi_text_free(&config);
    return s;
}
