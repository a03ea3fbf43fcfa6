/* SPDX-License-Identifier: MIT
 * Batches. Two buffers: the caller holds one while the loader's thread fills the other. What stands
 * in a batch depends on (seed, epoch, step) alone. */
#include <pthread.h>
#include <string.h>

#include "datasets/set.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/qround.h"
#include "src/rng.h"
#include "src/threads.h"
#include "src/words.h"

typedef struct buffer {
    oct_tensor x, labels, targets;
} buffer;

typedef struct error_copy {
    oct_status code;
    char text[5][256];
} error_copy;

struct oct_loader {
    oct_ctx *ctx;
    oct_data *d;
    oct_loader_opts opts;
    int pad; /* of the random crop; 0 none */
    bool flip;
    float (*table)[256]; /* [C]: pixel to value, by law 13; NULL for float sets */
    int channel[4];      /* where value c of a pixel comes from */
    uint32_t *order;
    int64_t steps, next; /* next: the step that the caller gets next */
    uint32_t epoch;
    bool started;
    buffer buffers[2];
    /* images as the set gives them: one, or a batch of them where several threads decode */
    uint8_t *raw;
    error_copy *sample_error; /* [batch] */
    /* prefetch: a thread of its own, and where images are decoded others; the context's pool is for
     * the steps that compute meanwhile */
    octi_threads *decoders;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake, ready;
    unsigned forks;            /* when the thread was made */
    bool threaded, stop, busy; /* busy: a step is wanted or being made */
    int64_t made;              /* step that buffers[made % 2] holds, or -1 */
    int64_t wanted;
    error_copy error;
};

static void keep_error(error_copy *e, oct_status code) {
    const oct_error *last = oct_last_error();
    const char *field[5] = {last->where, last->what, last->expected, last->got, last->hint};
    e->code = code;
    for (int i = 0; i < 5; i++) {
        strncpy(e->text[i], field[i], sizeof e->text[i] - 1);
        e->text[i][sizeof e->text[i] - 1] = 0;
    }
}

static oct_status raise_error(const error_copy *e) {
    octi_error_set(
        &(oct_error){e->code, e->text[0], e->text[1], e->text[2], e->text[3], e->text[4]});
    return e->code;
}

/* ---- one batch ---- */

typedef struct fill_job {
    oct_loader *l;
    buffer *s;
    int64_t first;
} fill_job;

/* Crop and flip of a sample, keyed by (seed, epoch, sample): offsets of the window in the padded
 * image. */
static void draw(const oct_loader *l, uint32_t sample, int *dy, int *dx, bool *flip) {
    *dy = *dx = 0;
    *flip = false;
    if (!l->pad && !l->flip) return;
    octi_rng r = octi_rng_stream(l->opts.seed, OCTI_RNG_AUGMENT, l->epoch, sample);
    if (l->pad) {
        *dy = (int)octi_rng_below(&r, 2 * (uint32_t)l->pad + 1) - l->pad;
        *dx = (int)octi_rng_below(&r, 2 * (uint32_t)l->pad + 1) - l->pad;
    }
    if (l->flip) *flip = octi_rng_u32(&r) & 1;
}

/* Outside the image stands pixel 0 (a float 0 in float sets), as zero padding before normalization
 * gives it. */
static void write_image(const oct_loader *l, const uint8_t *raw, float *out, int dy, int dx,
                        bool flip) {
    int h = l->d->input.height, w = l->d->input.width, c = l->d->input.channels;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            int sy = y + dy, sx = (flip ? w - 1 - x : x) + dx;
            bool inside = sy >= 0 && sy < h && sx >= 0 && sx < w;
            size_t at = ((size_t)sy * (size_t)w + (size_t)sx) * (size_t)c;
            for (int k = 0; k < c; k++, out++) {
                size_t from = at + (size_t)l->channel[k];
                if (l->table)
                    *out = l->table[k][inside ? raw[from] : 0];
                else
                    *out = inside ? ((const float *)raw)[from] : 0;
            }
        }
}

static void write_whole(const oct_loader *l, const uint8_t *raw, float *out) {
    size_t n = (size_t)l->d->input.height * (size_t)l->d->input.width;
    int c = l->d->input.channels;
    if (!l->table && l->channel[0] == 0)
        memcpy(out, raw, n * (size_t)c * sizeof *out);
    else if (l->table && c == 1)
        for (size_t i = 0; i < n; i++) out[i] = l->table[0][raw[i]];
    else
        write_image(l, raw, out, 0, 0, false);
}

static bool not_finite(float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return (bits & 0x7f800000u) == 0x7f800000u; /* whole numbers: the loop below goes by vectors */
}

/* One NaN would stay in batch norm's statistics for good. */
static oct_status check_finite(const oct_loader *l, int64_t sample, const float *v, size_t n) {
    int any = 0;
    for (size_t i = 0; i < n; i++) any |= not_finite(v[i]);
    if (!any) return OCT_OK;
    size_t at = 0;
    while (!not_finite(v[at])) at++;
    return octi_fail(OCT_EFORMAT, octi_set_sample(l->d, sample), octi_fmt("value %zu", at),
                     "a finite number", octi_fmt("%g", (double)v[at]), NULL);
}

static void fill_sample(void *arg, int64_t i) {
    fill_job *j = arg;
    oct_loader *l = j->l;
    uint32_t sample = l->order ? l->order[j->first + i] : (uint32_t)(j->first + i);
    size_t bytes = octi_set_image_bytes(l->d), values = bytes / oct_dtype_size(l->d->dtype);
    uint8_t *raw = l->raw + (l->d->slow ? (size_t)i * bytes : 0);
    error_copy *e = &l->sample_error[i];
    oct_status s = l->d->get(l->d, sample, raw, &oct_s32(&j->s->labels)[i]);
    if (s == OCT_OK && !l->table) s = check_finite(l, sample, (const float *)raw, values);
    if (s != OCT_OK) {
        keep_error(e, s);
        return;
    }
    if (j->s->targets.data &&
        (s = octi_set_target(l->d, sample, oct_f32(&j->s->targets) + i * l->d->target_count)) !=
            OCT_OK) {
        keep_error(e, s);
        return;
    }
    e->code = OCT_OK;
    int dy, dx;
    bool flip;
    draw(l, sample, &dy, &dx, &flip);
    float *out = oct_f32(&j->s->x) + (size_t)i * values;
    if (!dy && !dx && !flip)
        write_whole(l, raw, out);
    else
        write_image(l, raw, out, dy, dx, flip);
}

/* Position of a batch's first sample; of the step behind the last one: the end. */
static int64_t first_of(const oct_loader *l, int64_t step) {
    if (l->opts.even)
        return l->d->count / l->steps * step + l->d->count % l->steps * step / l->steps;
    int64_t first = step * l->opts.batch;
    return first < l->d->count ? first : l->d->count;
}

static oct_status fill(oct_loader *l, int64_t step) {
    buffer *s = &l->buffers[step & 1];
    fill_job j = {l, s, first_of(l, step)};
    int64_t n = first_of(l, step + 1) - j.first;
    s->x.shape.dim[0] = s->labels.shape.dim[0] = s->targets.shape.dim[0] = n;
    octi_parallel_for(l->decoders, n, fill_sample, &j);
    for (int64_t i = 0; i < n; i++) /* the first in order, whoever found it */
        if (l->sample_error[i].code != OCT_OK) return raise_error(&l->sample_error[i]);
    return OCT_OK;
}

/* ---- prefetch ---- */

static void *prefetch(void *arg) {
    oct_loader *l = arg;
    (void)octi_float_mode_enter(); /* the thread begins in the mode of whoever made it */
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!l->busy && !l->stop) pthread_cond_wait(&l->wake, &l->lock);
        if (l->stop) break;
        int64_t step = l->wanted;
        pthread_mutex_unlock(&l->lock);
        oct_status s = fill(l, step);
        if (s != OCT_OK) keep_error(&l->error, s);
        pthread_mutex_lock(&l->lock);
        l->error.code = s;
        l->made = step;
        l->busy = false;
        pthread_cond_signal(&l->ready);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static void want(oct_loader *l, int64_t step) {
    pthread_mutex_lock(&l->lock);
    l->wanted = step;
    l->busy = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
}

static void settle(oct_loader *l) {
    pthread_mutex_lock(&l->lock);
    while (l->busy) pthread_cond_wait(&l->ready, &l->lock);
    pthread_mutex_unlock(&l->lock);
}

/* ---- construction ---- */

static oct_status set_augment(oct_loader *l) {
    uint32_t augment = l->opts.augment;
    OCT_TRY(octi_augment_check(augment, "loader"));
    if (!augment && l->opts.shuffle) augment = l->d->augment;
    l->pad = augment & OCT_AUGMENT_CROP8 ? 8 : augment & OCT_AUGMENT_CROP4 ? 4 : 0;
    l->flip = augment & OCT_AUGMENT_FLIP;
    return OCT_OK;
}

static oct_status make_tables(oct_loader *l) {
    const oct_input_desc *set = &l->d->input, *in = l->opts.input ? l->opts.input : set;
    if (in->channels != set->channels || in->height != set->height || in->width != set->width)
        return octi_fail(OCT_ESHAPE, l->d->where, "size of the images (C, H, W)",
                         octi_fmt("%d, %d, %d", in->channels, in->height, in->width),
                         octi_fmt("%d, %d, %d", set->channels, set->height, set->width), NULL);
    bool swap =
        in->channels == 3 && (in->color == OCT_COLOR_BGR) != (l->d->stored == OCT_COLOR_BGR);
    for (int c = 0; c < 4; c++) l->channel[c] = swap ? 2 - c : c;
    if (l->d->dtype != OCT_U8) return OCT_OK;
    octi_norm_warn(l->ctx, l->d->where, l->opts.input, set);
    if (!(l->table = octi_calloc(l->ctx, (size_t)set->channels, sizeof *l->table)))
        return oct_last_error()->code;
    for (int c = 0; c < set->channels; c++) {
        if (!(in->div > 0) || !(in->std[c] > 0))
            return octi_fail(OCT_EUSAGE, "input", "normalization", "div and std above 0",
                             octi_fmt("div %g, std %g", (double)in->div, (double)in->std[c]), NULL);
        for (int p = 0; p < 256; p++)
            l->table[c][p] = octq_pixel((uint8_t)p, in->div, in->mean[c], in->std[c]);
    }
    return OCT_OK;
}

static oct_status make_buffers(oct_loader *l) {
    const oct_input_desc *in = &l->d->input;
    int64_t b = l->opts.batch;
    oct_shape x = OCT_SHAPE(b, in->height, in->width, in->channels);
    size_t bytes, raw = octi_set_image_bytes(l->d);
    OCT_TRY(octi_shape_bytes(&x, OCT_F32, "batch", &bytes));
    for (int i = 0; i < 2; i++) {
        l->buffers[i].x = (oct_tensor){OCT_F32, x, octi_alloc_raw(l->ctx, bytes), NULL};
        l->buffers[i].labels = (oct_tensor){OCT_S32, OCT_SHAPE(b),
                                            octi_calloc(l->ctx, (size_t)b, sizeof(int32_t)), NULL};
        if (!l->buffers[i].x.data || !l->buffers[i].labels.data) return oct_last_error()->code;
        if (l->d->truth != OCT_TRUTH_TARGETS) continue;
        l->buffers[i].targets = (oct_tensor){
            OCT_F32, octi_shape_with_batch(&l->d->target_shape, b),
            octi_calloc(l->ctx, (size_t)(b * l->d->target_count), sizeof(float)), NULL};
        if (!l->buffers[i].targets.data) return oct_last_error()->code;
    }
    l->raw = octi_alloc_raw(l->ctx, l->d->slow ? raw * (size_t)b : raw);
    l->sample_error = octi_calloc(l->ctx, (size_t)b, sizeof *l->sample_error);
    if (l->opts.shuffle) l->order = octi_calloc(l->ctx, (size_t)l->d->count, sizeof *l->order);
    return l->raw && l->sample_error && (l->order || !l->opts.shuffle) ? OCT_OK
                                                                       : oct_last_error()->code;
}

/* In a forked child the thread is not there: what it had in hand is made anew. */
static bool has_thread(oct_loader *l) {
    if (!l->threaded || l->forks == octi_forks()) return l->threaded;
    l->threaded = l->busy = false;
    return false;
}

static void loader_destroy(void *arg) {
    oct_loader *l = arg;
    if (has_thread(l)) {
        pthread_mutex_lock(&l->lock);
        l->stop = true;
        pthread_cond_signal(&l->wake);
        pthread_mutex_unlock(&l->lock);
        pthread_join(l->thread, NULL);
    }
    octi_threads_free(l->decoders);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->wake);
    pthread_cond_destroy(&l->ready);
    for (int i = 0; i < 2; i++) {
        octi_free(l->ctx, l->buffers[i].x.data);
        octi_free(l->ctx, l->buffers[i].labels.data);
        octi_free(l->ctx, l->buffers[i].targets.data);
    }
    octi_free(l->ctx, l->table);
    octi_free(l->ctx, l->order);
    octi_free(l->ctx, l->raw);
    octi_free(l->ctx, l->sample_error);
    octi_free(l->ctx, l);
}

void oct_loader_free(oct_loader *l) {
    if (!l) return;
    octi_on_close_cancel(l->ctx, l);
    loader_destroy(l);
}

static oct_status set_up(oct_loader *l) {
    oct_loader_opts *o = &l->opts;
    if (!o->batch) o->batch = OCTI_DEFAULT_BATCH;
    if (!o->seed) o->seed = oct_ctx_seed(l->ctx);
    if (o->batch < 1 || o->batch > 1 << 20)
        return octi_fail(OCT_EUSAGE, "loader", "batch", "1 to 1048576",
                         octi_fmt("%lld", (long long)o->batch), NULL);
    if (l->d->count > UINT32_MAX)
        return octi_fail(OCT_ELIMIT, l->d->where, "samples", "at most 2^32 - 1",
                         octi_fmt("%lld", (long long)l->d->count), NULL);
    if (o->even && o->drop_last)
        return octi_fail(OCT_EUSAGE, "loader", "even and drop_last", "one of them", NULL,
                         "even batches leave no rest to drop");
    if (o->batch > l->d->count && !o->drop_last) o->batch = l->d->count;
    l->steps = (l->d->count + (o->drop_last ? 0 : o->batch - 1)) / o->batch;
    if (!l->steps)
        return octi_fail(OCT_EUSAGE, "loader",
                         "batch is larger than the set and incomplete batches are left out",
                         octi_fmt("at most %lld", (long long)l->d->count),
                         octi_fmt("%lld", (long long)o->batch), NULL);
    OCT_TRY(set_augment(l));
    OCT_TRY(make_tables(l));
    OCT_TRY(make_buffers(l));
    OCT_TRY(octi_on_close(l->ctx, loader_destroy, l));
    const int threads = oct_ctx_threads(l->ctx);
    if (l->d->slow && threads > 1 && !(l->decoders = octi_threads_new(l->ctx, threads)))
        return oct_last_error()->code;
    if (!o->no_prefetch) {
        l->forks = octi_forks();
        l->threaded = !octi_thread_start(&l->thread, prefetch, l);
        if (!l->threaded)
            octi_log(l->ctx, OCT_LOG_WARN,
                     "loader: no thread for prefetching; batches are made when asked for");
    }
    return OCT_OK;
}

oct_loader *oct_loader_new(oct_data *d, const oct_loader_opts *opts) {
    OCTI_LAW_MODE();
    if (!d) return NULL;
    oct_loader *l = octi_alloc(d->ctx, sizeof *l);
    if (!l) return octi_ctx_failed(d->ctx), NULL;
    l->ctx = d->ctx;
    l->d = d;
    if (opts) l->opts = *opts;
    l->made = -1;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->wake, NULL);
    pthread_cond_init(&l->ready, NULL);
    oct_status s = set_up(l);
    l->opts.input = NULL; /* borrowed until here */
    if (s == OCT_OK) return l;
    octi_ctx_failed(d->ctx);
    oct_loader_free(l);
    return NULL;
}

int64_t oct_loader_steps(const oct_loader *l) { return l ? l->steps : 0; }

oct_status oct_loader_start(oct_loader *l, int32_t epoch, int64_t step) {
    OCTI_LAW_MODE();
    if (!l) return octi_fail_null("oct_loader_start");
    if (epoch < 0 || step < 0 || step > l->steps)
        return octi_fail(OCT_EUSAGE, "oct_loader_start", "epoch or step out of range",
                         octi_fmt("epoch >= 0, step 0 to %lld", (long long)l->steps),
                         octi_fmt("epoch %d, step %lld", epoch, (long long)step), NULL);
    if (has_thread(l)) settle(l); /* nobody reads order and epoch now */
    l->epoch = (uint32_t)epoch;
    l->next = step;
    l->made = -1;
    l->started = true;
    if (l->order) {
        octi_rng r = octi_rng_stream(l->opts.seed, OCTI_RNG_SHUFFLE, l->epoch, 0);
        octi_rng_permutation(&r, l->order, (uint32_t)l->d->count);
    }
    if (has_thread(l) && step < l->steps) want(l, step);
    return OCT_OK;
}

oct_status oct_loader_next(oct_loader *l, oct_batch *batch, bool *done) {
    OCTI_LAW_MODE();
    if (!l || !batch || !done) return octi_fail_null("oct_loader_next");
    if (!l->started) OCT_TRY(oct_loader_start(l, 0, 0));
    *done = l->next >= l->steps;
    if (*done) return OCT_OK;
    int64_t step = l->next;
    if (!has_thread(l))
        OCT_TRY(fill(l, step));
    else {
        settle(l);
        if (l->made != step) { /* a failed step is asked for again */
            want(l, step);
            settle(l);
        }
        if (l->error.code != OCT_OK) {
            l->made = -1;
            return raise_error(&l->error);
        }
        if (step + 1 < l->steps) want(l, step + 1);
    }
    buffer *s = &l->buffers[step & 1];
    *batch = (oct_batch){&s->x, &s->labels, first_of(l, step), step,
                         s->targets.data ? &s->targets : NULL};
    l->next = step + 1;
    return OCT_OK;
}

void oct_loader_opts_init(oct_loader_opts *opts) {
    if (opts) *opts = (oct_loader_opts){0};
}
