/* SPDX-License-Identifier: MIT
 * A training's options: defaults filled in, written to config.json, read back and compared on
 * resume, one table for all four. */
#include "qat/fit/fit_config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/optim/optim_words.h"
#include "datasets/set.h"
#include "qat/fit/teacher.h"
#include "src/format/json.h"
#include "src/mem.h"
#include "src/words.h"

static oct_status range(const char *name, double v, double lo, double hi) {
    if (v >= lo && v <= hi) return OCT_OK;
    return octi_fail(OCT_EUSAGE, name, "out of range", octi_fmt("%g to %g", lo, hi),
                     octi_fmt("%g", v), NULL);
}

/* A net from scratch starts badly at its full rate; three tenths are one-cycle's, one epoch is
 * enough for long trainings. */
static float default_warmup(int epochs) { return epochs < 4 ? 0.3f * (float)epochs : 1.0f; }

float octi_fit_usual_lr(oct_optim_kind kind, bool prepared) {
    oct_optim_opts usual = {.kind = kind};
    if (octi_optim_defaults(&usual) != OCT_OK) return 0;
    return prepared ? usual.lr * 0.1f : usual.lr;
}

oct_status octi_fit_defaults(oct_net *net, oct_data *train, const oct_fit_opts *in, oct_fit_opts *o,
                             oct_optim_opts *optim) {
    *o = in ? *in : (oct_fit_opts){.epochs = 0};
    bool prepared = net->stage == OCT_STAGE_PREPARED;
    if (net->stage == OCT_STAGE_INT8)
        return octi_fail(OCT_EUSAGE, "oct_fit", "an int8 net cannot be trained",
                         "a float or prepared net", NULL, NULL);
    OCT_TRY(octi_augment_check(o->augment, "oct_fit"));
    if (!o->augment) o->augment = oct_data_default_augment(train);
    if (!o->epochs) o->epochs = prepared ? 3 : 10;
    if (!o->batch) o->batch = OCTI_DEFAULT_BATCH;
    if (!o->seed) o->seed = oct_ctx_seed(net->ctx);
    const oct_optim_kind kind = o->optimizer;
    const oct_schedule_kind shape = o->schedule;
    OCT_TRY(octi_word_check(&octi_optim_words, "oct_fit: optimizer", (int)kind));
    OCT_TRY(octi_word_check(&octi_schedule_words, "oct_fit: schedule", (int)shape));
    if (shape == OCT_SCHEDULE_MULTI_STEP)
        return octi_fail(OCT_EUSAGE, "oct_fit: schedule", "it has no milestones",
                         "cosine, constant, step or onecycle", "multistep",
                         "step has its own; others: oct_schedule in a loop of one's own");
    /* as the optimizer will see them; what is stored is what they come to */
    *optim = (oct_optim_opts){.kind = kind,
                              .lr = o->lr,
                              .momentum = o->momentum,
                              .weight_decay = o->weight_decay,
                              .clip_norm = o->clip_norm};
    oct_optim_opts meant = *optim;
    OCT_TRY(octi_optim_defaults(&meant));
    o->lr = o->lr == 0 ? octi_fit_usual_lr(kind, prepared) : meant.lr;
    o->momentum = meant.momentum;
    o->weight_decay = meant.weight_decay;
    optim->lr = o->lr;
    o->warmup = octi_or_default(
        o->warmup, !prepared && (shape == OCT_SCHEDULE_COSINE || shape == OCT_SCHEDULE_STEP)
                       ? default_warmup(o->epochs)
                       : 0);
    o->observe_until = octi_or_default(o->observe_until, 0.5f);
    o->batch_norm_until = octi_or_default(o->batch_norm_until, 2.0f / 3.0f);
    o->bn_images = o->bn_images == 0 ? 2048 : o->bn_images == OCT_NONE ? 0 : o->bn_images;
    OCT_TRY(octi_word_check(&octi_oscillation_words, "oct_fit: oscillation", (int)o->oscillation));
    const oct_oscillation_mode swing = o->oscillation;
    if (swing && !prepared)
        return octi_fail(OCT_EUSAGE, "oscillation", "a float net has no codes", "a prepared net",
                         NULL, NULL);
    if (o->oscillation_end == 0) o->oscillation_end = swing == OCT_OSCILLATION_DAMP ? 0.1f : 0.01f;
    OCT_TRY(range("epochs", o->epochs, 1, 1e6));
    OCT_TRY(range("batch", (double)o->batch, 1, 1e6));
    OCT_TRY(range("lr", o->lr, 1e-12, 1e3));
    OCT_TRY(range("momentum", o->momentum, 0, 0.9999));
    OCT_TRY(range("weight_decay", o->weight_decay, 0, 10));
    OCT_TRY(range("clip_norm", o->clip_norm, 0, 1e9));
    OCT_TRY(range("smoothing", o->smoothing, 0, 0.999));
    OCT_TRY(range("warmup", o->warmup, 0, o->epochs));
    OCT_TRY(range("observe_until", o->observe_until, 0, 1));
    OCT_TRY(range("batch_norm_until", o->batch_norm_until, 0, 1));
    OCT_TRY(range("bn_images", (double)o->bn_images, 0, 1e9));
    OCT_TRY(range("oscillation_end", o->oscillation_end, 1e-9, 1e3));
    if (o->teacher) {
        o->temperature = octi_or_default(o->temperature, 4.0f);
        o->distill_weight = octi_or_default(o->distill_weight, 0.5f);
        OCT_TRY(range("temperature", o->temperature, 1e-3, 1e3));
        OCT_TRY(range("distill_weight", o->distill_weight, 0, 1));
        OCT_TRY(octi_teacher_check(net, o->teacher));
    } else if (o->temperature != 0 || o->distill_weight != 0)
        return octi_fail(OCT_EUSAGE, o->temperature != 0 ? "temperature" : "distill_weight",
                         "nobody to learn from", "a teacher", "none", NULL);
    OCT_TRY(range("val_share", o->val_share, 0, 0.9));
    OCT_TRY(range("patience", o->patience, 0, 1e6));
    OCT_TRY(range("save_steps", (double)o->save_steps, 0, 1e15));
    OCT_TRY(range("save_seconds", o->save_seconds, 0, 1e9));
    if (o->val && o->val_share > 0)
        return octi_fail(OCT_EUSAGE, "val", "a set and a share exclude each other", "one of them",
                         NULL, NULL);
    if (o->patience && !o->val && !(o->val_share > 0))
        return octi_fail(OCT_EUSAGE, "patience", "needs a validation set", "val or val_share", NULL,
                         "the test part never chooses");
    return OCT_OK;
}

float octi_fit_slower(const oct_net *net, const oct_fit_opts *o) {
    const float lr = octi_fit_usual_lr(o->optimizer, net->stage == OCT_STAGE_PREPARED);
    return lr > 0 && o->lr > lr ? lr : o->lr * 0.1f;
}

oct_schedule octi_fit_schedule(const oct_fit_opts *o, int64_t per_epoch) {
    int64_t total = o->epochs * per_epoch;
    oct_schedule s = {.kind = o->schedule,
                      .lr = o->lr,
                      .total = total,
                      .warmup = (int64_t)((double)o->warmup * (double)per_epoch)};
    if (s.kind == OCT_SCHEDULE_STEP) { /* tenths at a half and at three quarters of the way */
        s.kind = OCT_SCHEDULE_MULTI_STEP;
        s.milestones[0] = total / 2 > 0 ? total / 2 : 1;
        s.milestones[1] = total * 3 / 4 > s.milestones[0] ? total * 3 / 4 : s.milestones[0] + 1;
    }
    return s;
}

/* A float as the decimal that was meant: 0.05, not 0.0500000007. */
static void put(octi_text *t, const char *key, double v) {
    char text[32];
    snprintf(text, sizeof text, "%.7g", v);
    double d = strtod(text, NULL);
    octi_text_printf(t, ",\"%s\":", key);
    octi_json_put_number(t, (float)d == (float)v ? d : v);
}

static void put_word(octi_text *t, const char *key, const char *v) {
    octi_text_printf(t, ",\"%s\":", key);
    octi_json_put_string(t, v);
}

/* What is written must be readable: numbers are doubles there, so that a greater seed is kept as
 * text. */
enum { CONFIG_BYTES = 1 << 20 };
static const uint64_t WHOLE = (uint64_t)1 << 53;

oct_status octi_config_seed(const cJSON *root, const char *where, uint64_t *seed) {
    const cJSON *item = octi_json_get(root, "seed");
    int64_t v = 0;
    if (!cJSON_IsString(item)) {
        OCT_TRY(octi_json_item_int(item, "seed", where, 0, (int64_t)WHOLE, &v));
        *seed = (uint64_t)v;
        return OCT_OK;
    }
    const char *s = item->valuestring;
    const size_t n = strlen(s);
    *seed = strtoull(s, NULL, 10);
    if (n && n <= 20 && strspn(s, "0123456789") == n &&
        !strcmp(octi_fmt("%llu", (unsigned long long)*seed), s))
        return OCT_OK;
    return octi_fail(OCT_EFORMAT, where, "field 'seed'", "a whole number", s, NULL);
}

/* What a reader would call a damaged file is the caller's mistake here. */
static oct_status as_option(oct_status s) {
    return s == OCT_OK ? s : octi_fail_in(s == OCT_ENOMEM ? s : OCT_EUSAGE, "config");
}

/* The caller's part is text of anybody's: it is an object, and the file that holds it loads. */
static oct_status check_own(oct_ctx *ctx, const char *config) {
    cJSON *root = NULL;
    if (!config) return OCT_OK;
    OCT_TRY(as_option(octi_json_parse(ctx, config, strlen(config), "options", &root)));
    const bool object = cJSON_IsObject(root);
    octi_json_free(root);
    return object ? OCT_OK
                  : octi_fail(OCT_EUSAGE, "config", "options of the caller", "a JSON object",
                              config, NULL);
}

static oct_status check_whole(const octi_text *t) {
    cJSON *root = NULL;
    OCT_TRY(t->status);
    if (t->size > CONFIG_BYTES)
        return octi_fail(OCT_EUSAGE, "config", "options are too long",
                         octi_fmt("at most %d bytes", CONFIG_BYTES), octi_fmt("%zu", t->size),
                         NULL);
    OCT_TRY(as_option(octi_json_parse(t->ctx, t->data, t->size, "options", &root)));
    octi_json_free(root);
    return OCT_OK;
}

static oct_status put_config(const oct_net *net, uint64_t seed, const char *config, octi_text *t) {
    OCT_TRY(check_own(net->ctx, config));
    octi_text_printf(t, "{\"octet\":\"%s\"", OCT_VERSION);
    put_word(t, "isa", oct_ctx_isa(net->ctx));
    octi_text_printf(t, seed > WHOLE ? ",\"seed\":\"%llu\"" : ",\"seed\":%llu",
                     (unsigned long long)seed);
    octi_text_printf(t, ",\n\"command\":%s", config ? config : "{}");
    octi_text_printf(t, "}\n");
    return t->status;
}

oct_status octi_plain_config(const oct_net *net, uint64_t seed, const char *config, octi_text *t) {
    OCT_TRY(put_config(net, seed, config, t));
    return check_whole(t);
}

oct_status octi_fit_config(const oct_net *net, const oct_fit_opts *o, oct_data *train,
                           octi_text *t) {
    OCT_TRY(put_config(net, o->seed, o->config, t));
    t->size -= 2; /* reopen the object */
    octi_text_printf(t, ",\n\"fit\":{\"epochs\":%d", o->epochs);
    octi_text_printf(t, ",\"batch\":%lld,\"images\":%lld", (long long)o->batch,
                     (long long)oct_data_count(train));
    put_word(t, "optimizer", oct_optim_kind_name(o->optimizer));
    put_word(t, "schedule", oct_schedule_kind_name(o->schedule));
    put_word(t, "augment", oct_augment_name(o->augment));
    put(t, "lr", o->lr);
    put(t, "momentum", o->momentum);
    put(t, "weight_decay", o->weight_decay);
    put(t, "clip_norm", o->clip_norm);
    put(t, "smoothing", o->smoothing);
    put(t, "warmup", o->warmup);
    if (net->stage == OCT_STAGE_PREPARED) {
        put(t, "observe_until", o->observe_until);
        put(t, "batch_norm_until", o->batch_norm_until);
        put(t, "bn_images", (double)o->bn_images);
        put_word(t, "oscillation", oct_oscillation_mode_name(o->oscillation));
        put(t, "oscillation_end", o->oscillation_end);
    }
    const bool values = oct_data_truth(train, NULL) == OCT_TRUTH_TARGETS;
    if (values || o->loss) put_word(t, "loss", o->loss ? "custom" : "mse"); /* else cross entropy */
    /* a run goes on with the teacher it began with */
    if (o->teacher) { /* what an older octet wrote has no such keys, and goes on without them */
        put(t, "temperature", o->temperature);
        put(t, "distill_weight", o->distill_weight);
        octi_text_printf(t, ",\"teacher_crc32\":\"%08x\"", (unsigned)octi_net_crc(o->teacher));
    }
    put(t, "val_share", o->val_share);
    put(t, "patience", o->patience);
    octi_text_printf(t, "}}\n");
    return check_whole(t);
}

/* ---- resume ---- */

static const char *text_of(const cJSON *item) {
    char *s = item ? cJSON_PrintUnformatted(item) : NULL;
    const char *shown = octi_fmt("%s", s ? s : "nothing");
    cJSON_free(s);
    return shown;
}

static oct_status differs(const char *dir, const char *key, const cJSON *was, const cJSON *is) {
    return octi_fail(OCT_EUSAGE, octi_fmt("%s: %s", dir, key), "option differs from the run's",
                     text_of(was), text_of(is),
                     "a resumed run keeps its options; only epochs may grow");
}

/* Both are their number of epochs' default: it follows epochs, which may grow. */
static bool default_warmups(const cJSON *was, const cJSON *is) {
    const cJSON *const of[2] = {was, is};
    for (int i = 0; i < 2; i++) {
        const cJSON *epochs = octi_json_get(of[i], "epochs"),
                    *warmup = octi_json_get(of[i], "warmup");
        if (!cJSON_IsNumber(epochs) || !cJSON_IsNumber(warmup) ||
            (float)warmup->valuedouble != default_warmup(epochs->valueint))
            return false;
    }
    return true;
}

static oct_status same_object(const cJSON *was, const cJSON *is, const char *dir, bool *grown) {
    const cJSON *item;
    cJSON_ArrayForEach(item, is) {
        const cJSON *other = octi_json_get(was, item->string);
        if (other && !strcmp(item->string, "epochs") && cJSON_IsNumber(item) &&
            cJSON_IsNumber(other)) {
            if (item->valuedouble < other->valuedouble) return differs(dir, "epochs", other, item);
            *grown |= item->valuedouble > other->valuedouble;
        } else if (!strcmp(item->string, "warmup") && default_warmups(was, is))
            continue;
        else if (!other || !cJSON_Compare(item, other, 1))
            return differs(dir, item->string, other, item);
    }
    cJSON_ArrayForEach(item, was) if (!octi_json_get(is, item->string)) return differs(
        dir, item->string, item, NULL);
    return OCT_OK;
}

static oct_status compare(oct_ctx *ctx, const cJSON *was, const cJSON *is, const char *dir,
                          bool *grown) {
    uint64_t x, y; /* cJSON holds neighbours for the same */
    OCT_TRY(octi_config_seed(was, dir, &x));
    OCT_TRY(octi_config_seed(is, dir, &y));
    const cJSON *a = octi_json_get(was, "seed"), *b = octi_json_get(is, "seed");
    if (x != y) return differs(dir, "seed", a, b);
    a = octi_json_get(was, "isa"), b = octi_json_get(is, "isa");
    if (!a || !b || !cJSON_Compare(a, b, 1))
        octi_log(ctx, OCT_LOG_WARN,
                 "%s: made with instruction set %s, resumed with %s: float results may differ in "
                 "last bits",
                 dir, text_of(a), text_of(b));
    static const char *const objects[] = {"fit", "command"};
    for (int i = 0; i < 2; i++) {
        a = octi_json_get(was, objects[i]), b = octi_json_get(is, objects[i]);
        if (!a || !b)
            return octi_fail(OCT_EUSAGE, dir, "not a run of training", objects[i], "nothing", NULL);
        OCT_TRY(same_object(a, b, dir, grown));
    }
    return OCT_OK;
}

oct_status octi_fit_config_check(oct_ctx *ctx, const char *old_text, const char *new_text,
                                 const char *dir, bool *grown) {
    cJSON *was = NULL, *is = NULL;
    *grown = false;
    oct_status s = octi_json_parse(ctx, old_text, strlen(old_text), "config.json", &was);
    if (s == OCT_OK) s = octi_json_parse(ctx, new_text, strlen(new_text), "config", &is);
    if (s == OCT_OK) s = compare(ctx, was, is, dir, grown);
    octi_json_free(was);
    octi_json_free(is);
    return s;
}
