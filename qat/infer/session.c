/* SPDX-License-Identifier: MIT
 * A session is one block:
 *   header | pointers [slots][values] | times [slots][steps] | logits [batch] | values (unfused)
 *   | work [slots] | scratch [threads]
 * A run cuts its images into slots; each takes its images through the whole plan, a few at a time,
 * in memory of its own. Where there are fewer images than threads and an image is worth it, each
 * step is cut instead, by its rows or its channels as the plan says. Images never meet, and every
 * row and channel is computed alike, so the codes depend on no cut. */
#include <math.h>
#include <string.h>

#include "qat/infer/plan.h"
#include "src/clock.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/paths.h"
#include "src/qround.h"
#include "src/threads.h"
#include "src/words.h"

/* Images that go through a step together: weights are read once for all of them. Fewer where that
 * many have more values alive than the second-level cache holds beside weights; where one image
 * has, weights are all that can be saved. */
enum { CHUNK = 8, CHUNK_BYTES = 160 << 10 };
/* Cycles of an image, of a step of it, from which on several threads share it: some 400 and 15 us.
 * A thread that waits for the next step begins it within a microsecond, but one that sleeps, as
 * before an image, takes 10 to 50 us, which ResNet-20 (20 steps of 15 us) hardly wins back. */
enum { WORTH_CUTTING = 1000000, WORTH_A_STEP = 40000 };

struct oct_session {
    const oct_plan *plan;
    int64_t batch, slots, chunk;
    int64_t last; /* images of the last run, -1 before the first */
    bool owned;
    void **pointers;
    uint64_t *ns, *images;
    float *logits;
    uint8_t *values;  /* unfused: one array per value, at offset * batch */
    uint8_t *work;    /* per slot: values of a chunk (fused), pixels as floats */
    uint8_t *scratch; /* per thread that may work on one image, or slot */
    size_t work_bytes, pixel_bytes, scratch_bytes;
    int64_t threads;
};

typedef struct layout {
    int64_t slots, chunk;
    int64_t threads;
    size_t pointers, ns, logits, values, work, scratch, work_bytes, pixel_bytes, scratch_bytes,
        total;
} layout;

static bool add(size_t *at, size_t *where, size_t n, size_t each) {
    size_t bytes;
    *where = *at;
    return octi_mul_size(n, each, &bytes) && octi_add_size(bytes, 63, &bytes) &&
           octi_add_size(*at, bytes & ~(size_t)63, at);
}

static bool lay_out(const oct_plan *p, int64_t batch, layout *l) {
    int64_t threads = octi_ctx_pool(p->ctx) ? oct_ctx_threads(p->ctx) : 1;
    size_t at = 0, header, chunked, chunk_bytes;
    l->slots = threads < batch ? threads : batch;
    l->chunk = (batch + l->slots - 1) / l->slots;
    if (l->chunk > CHUNK) l->chunk = CHUNK;
    if (p->activations <= CHUNK_BYTES && (size_t)l->chunk * p->activations > CHUNK_BYTES)
        l->chunk = (int64_t)(CHUNK_BYTES / p->activations);
    l->pixel_bytes = p->takes_u8 && !p->table ? p->values[p->input].image * (size_t)l->chunk : 0;
    l->pixel_bytes = (l->pixel_bytes + 63) & ~(size_t)63;
    chunked = p->unfused ? 0 : p->activations;
    if (!octi_mul_size(chunked, (size_t)l->chunk, &chunk_bytes) ||
        !octi_add_size(chunk_bytes, l->pixel_bytes, &l->work_bytes) ||
        !octi_mul_size(p->band, (size_t)l->chunk, &l->scratch_bytes) ||
        !octi_add_size(l->scratch_bytes, p->scratch, &l->scratch_bytes))
        return false;
    /* below that an image is not worth cutting */
    l->threads = p->cycles < WORTH_CUTTING || threads < l->slots ? l->slots : threads;
    bool ok = add(&at, &header, 1, sizeof(oct_session)) &&
              add(&at, &l->pointers, (size_t)l->slots * (size_t)p->value_count, sizeof(void *)) &&
              add(&at, &l->ns, p->profile ? 2 * (size_t)l->slots * (size_t)p->step_count : 0,
                  sizeof(uint64_t)) &&
              add(&at, &l->logits, (size_t)batch, p->values[p->output].image) &&
              add(&at, &l->values, p->unfused ? (size_t)batch : 0, p->activations) &&
              add(&at, &l->work, (size_t)l->slots, l->work_bytes) &&
              add(&at, &l->scratch, (size_t)l->threads, l->scratch_bytes);
    l->total = at;
    return ok && at <= (size_t)INT64_MAX / 2;
}

static oct_status measure(const oct_plan *p, int64_t batch, layout *l) {
    if (batch < 1 || batch > 1 << 24)
        return octi_fail(OCT_EUSAGE, "session", "batch out of range", "1 to 2^24",
                         octi_fmt("%lld", (long long)batch), NULL);
    if (!lay_out(p, batch, l))
        return octi_fail(OCT_ELIMIT, "session", "memory of the session overflows", NULL,
                         octi_fmt("batch %lld", (long long)batch), "use a smaller batch");
    return OCT_OK;
}

size_t oct_plan_session_bytes(const oct_plan *plan, int64_t batch) {
    layout l = {0};
    return plan && measure(plan, batch, &l) == OCT_OK ? l.total : 0;
}

oct_session *oct_session_new(const oct_plan *plan, int64_t batch, void *block, size_t bytes) {
    OCTI_LAW_MODE();
    layout l = {0};
    if (!plan) return NULL;
    if (measure(plan, batch, &l) != OCT_OK) return octi_ctx_failed(plan->ctx), NULL;
    if (block && bytes < l.total) {
        octi_fail(OCT_EUSAGE, "session", "block is too small", octi_fmt("%zu bytes", l.total),
                  octi_fmt("%zu", bytes), "oct_plan_session_bytes says how many");
        return octi_ctx_failed(plan->ctx), NULL;
    }
    if ((uintptr_t)block % 64) {
        octi_fail(OCT_EUSAGE, "session", "block is not aligned", "64 bytes", NULL, NULL);
        return octi_ctx_failed(plan->ctx), NULL;
    }
    uint8_t *b = block ? block : octi_alloc_raw(plan->ctx, l.total);
    if (!b) return octi_ctx_failed(plan->ctx), NULL;
    /* the work memory too: kernels read slack, which counts for nothing, before anything lies there
     */
    memset(b, 0, l.total);
    oct_session *s = (oct_session *)b;
    *s = (oct_session){.plan = plan,
                       .batch = batch,
                       .slots = l.slots,
                       .chunk = l.chunk,
                       .last = -1,
                       .owned = !block,
                       .pointers = (void **)(b + l.pointers),
                       .logits = (float *)(b + l.logits),
                       .values = b + l.values,
                       .work = b + l.work,
                       .scratch = b + l.scratch,
                       .threads = l.threads,
                       .work_bytes = l.work_bytes,
                       .scratch_bytes = l.scratch_bytes,
                       .pixel_bytes = l.pixel_bytes};
    if (plan->profile) {
        s->ns = (uint64_t *)(b + l.ns);
        s->images = s->ns + l.slots * plan->step_count;
    }
    return s;
}

void oct_session_free(oct_session *s) {
    if (s && s->owned) octi_free(s->plan->ctx, s);
}

typedef struct run_job {
    oct_session *s;
    const float *x;
    const uint8_t *pixels;
    float *y;
    int64_t n, slots;
} run_job;

/* Rows of the layout that the codes have. */
static void codes_of_pixels(const uint8_t *p, int64_t n, const octi_plan_value *v,
                            const uint8_t *table, uint8_t *at) {
    const oct_shape *s = &v->shape;
    const int64_t c = s->dim[s->rank - 1], rows = s->rank == 4 ? s->dim[1] : 1,
                  pixels = octi_image_count(s) / c / rows;
    for (int64_t i = 0; i < n; i++)
        for (int64_t h = 0; h < rows; h++) {
            uint8_t *y = at + i * v->at.image + h * v->at.row;
            for (int64_t w = 0; w < pixels; w++)
                for (int64_t k = 0; k < c; k++) *y++ = table[k * 256 + *p++];
        }
}

static void floats_of_pixels(const uint8_t *p, int64_t pixels, const oct_input_desc *d, float *y) {
    for (int64_t i = 0; i < pixels; i++)
        for (int32_t c = 0; c < d->channels; c++, p++, y++)
            *y = octq_pixel(*p, d->div, d->mean[c], d->std[c]);
}

/* Where each value of images [from, from + n) is, for slot i. */
static void locate(const run_job *j, int64_t i, int64_t from, void **at) {
    const oct_session *s = j->s;
    const oct_plan *p = s->plan;
    uint8_t *work = s->work + (size_t)i * s->work_bytes;
    for (int32_t v = 0; v < p->value_count; v++) {
        const octi_plan_value *w = &p->values[v];
        size_t skip = (size_t)from * w->image;
        if (w->home == OCTI_HOME_INPUT) at[v] = j->x ? (uint8_t *)(uintptr_t)j->x + skip : NULL;
        if (w->home == OCTI_HOME_OUTPUT) at[v] = (uint8_t *)j->y + skip;
        if (w->home == OCTI_HOME_BLOCK)
            at[v] = p->unfused ? s->values + w->offset * (size_t)s->batch + skip
                               : work + w->offset * (size_t)s->chunk + w->at.origin;
    }
}

/* A step on several threads, by its units. */
typedef struct cut {
    const oct_session *s;
    const octi_qmodule *m;
    octi_qcall call;
} cut;

static void run_part(void *arg, int64_t i) {
    const cut *c = arg;
    octi_qcall call = c->call;
    octi_qmodule_part(c->m, i, &call);
    call.scratch = c->s->scratch + (size_t)i * c->s->scratch_bytes;
    octi_qmodule_run(c->m, &call);
}

static void run_step(const oct_session *s, const octi_qmodule *m, octi_qcall *call, bool shared) {
    const int64_t parts = (int64_t)m->share.rows * m->share.panels;
    call->to = octi_qmodule_units(m);
    if (!shared || parts < 2 || octi_qmodule_cycles(m) * (double)call->n < WORTH_A_STEP) {
        octi_qmodule_run(m, call);
        return;
    }
    if (m->share.panels > 1)
        octi_path_count(octi_ctx_paths(s->plan->ctx), OCTI_SIDE_PLAN, OCTI_PATH_channels_cut);
    cut c = {s, m, *call};
    octi_parallel_for(octi_ctx_pool(s->plan->ctx), parts, run_part, &c);
}

/* Images [from, from + n) through the plan, in slot i; several threads may share each step. */
static void run_chunk(const run_job *j, int64_t i, int64_t from, int64_t n, bool shared) {
    oct_session *s = j->s;
    const oct_plan *p = s->plan;
    void **at = s->pointers + i * p->value_count;
    uint8_t *floats = s->work + (size_t)(i + 1) * s->work_bytes - s->pixel_bytes;
    const oct_shape *x = &p->values[p->input].shape;
    int64_t image = octi_image_count(x), c = x->dim[x->rank - 1];
    locate(j, i, from, at);
    if (j->pixels && !p->table) {
        floats_of_pixels(j->pixels + from * image, n * image / c, &p->desc, (float *)floats);
        at[p->input] = floats;
    }
    for (int32_t k = 0; k < p->step_count; k++) {
        const octi_qmodule *m = &p->steps[k];
        const octi_plan_value *out = &p->values[m->out];
        const void *in[OCTI_MAX_INPUTS];
        octi_qcall call = {.in = in,
                           .out = at[m->out],
                           .n = n,
                           .scratch = s->scratch + (size_t)i * s->scratch_bytes};
        const int64_t begin = s->ns ? octi_nanoseconds() : 0;
        for (int32_t e = 0; e < m->nin; e++) in[e] = m->in[e] >= 0 ? at[m->in[e]] : NULL;
        if (!octi_halo_none(&out->at.halo) && !out->halo_there)
            octi_halo_fill(&out->at, &out->shape, call.out, n, out->halo_code);
        if (j->pixels && k == p->table_step)
            codes_of_pixels(j->pixels + from * image, n, out, p->table, call.out);
        else if (!(m->view && call.out == in[0]))
            run_step(s, m, &call, shared);
        if (s->ns) {
            s->ns[i * p->step_count + k] += (uint64_t)(octi_nanoseconds() - begin);
            s->images[i * p->step_count + k] += (uint64_t)n;
        }
    }
    const octi_plan_value *out = &p->values[p->output];
    if (out->home == OCTI_HOME_BLOCK)
        memcpy((uint8_t *)j->y + (size_t)from * out->image, at[p->output], (size_t)n * out->image);
}

static void run_slot(void *arg, int64_t i) {
    const run_job *j = arg;
    int64_t from = j->n * i / j->slots, to = j->n * (i + 1) / j->slots, most = j->s->chunk;
    for (; from < to; from += most)
        run_chunk(j, i, from, to - from < most ? to - from : most, false);
}

static oct_status run(oct_session *s, const float *x, const uint8_t *pixels, int64_t n, float *y) {
    if (!s) return octi_fail_null("session");
    if (n < 0 || n > s->batch)
        return octi_fail(OCT_EUSAGE, "session", "images per run",
                         octi_fmt("0 to %lld", (long long)s->batch), octi_fmt("%lld", (long long)n),
                         NULL);
    if (n && (!y || (!x && !pixels)))
        return octi_fail(OCT_EUSAGE, "session", "input or output is NULL", NULL, NULL, NULL);
    if (pixels && !s->plan->takes_u8)
        return octi_fail(OCT_EUNSUPPORTED, "session",
                         "the model does not say how pixels become its input", NULL, NULL,
                         "give floats, or convert with an input description");
    octi_paths *paths = octi_ctx_paths(s->plan->ctx);
    for (int32_t k = 0; k < s->plan->step_count; k++) {
        const octi_qmodule *m = &s->plan->steps[k];
        octi_path_count(paths, OCTI_SIDE_PLAN,
                        (m->is_float ? OCTI_PATH_FLOAT : OCTI_PATH_CODES) + (int)m->kind);
        octi_path_count(paths, OCTI_SIDE_PLAN, m->is_float ? m->u.f.path : m->u.q.path);
        for (int32_t e = 0; e < m->also_count; e++)
            octi_path_count(paths, OCTI_SIDE_PLAN, (int)m->also_path[e]);
        if (m->is_float || !m->u.q.band) continue;
        if (s->plan->values[m->out].root != m->out)
            octi_path_count(paths, OCTI_SIDE_PLAN, OCTI_PATH_over_operand);
        if (m->u.q.band < (size_t)m->u.q.image)
            octi_path_count(paths, OCTI_SIDE_PLAN, OCTI_PATH_in_bands);
    }
    run_job j = {s, x, pixels, y, n, s->slots < n ? s->slots : n};
    /* fewer images than threads: these share each step, where that is worth it */
    if (n && n < s->threads && s->plan->cycles >= WORTH_CUTTING) {
        octi_path_count(paths, OCTI_SIDE_PLAN, OCTI_PATH_image_cut);
        for (int64_t i = 0; i < n; i += s->chunk)
            run_chunk(&j, 0, i, n - i < s->chunk ? n - i : s->chunk, true);
    } else {
        octi_parallel_for(octi_ctx_pool(s->plan->ctx), j.slots, run_slot, &j);
    }
    s->last = n;
    return OCT_OK;
}

oct_status oct_session_run(oct_session *s, const float *x, int64_t n, float *y) {
    OCTI_LAW_MODE();
    return run(s, x, NULL, n, y);
}
oct_status oct_session_run_u8(oct_session *s, const uint8_t *pixels, int64_t n, float *y) {
    OCTI_LAW_MODE();
    return run(s, NULL, pixels, n, y);
}

static oct_status classify(oct_session *s, const float *x, const uint8_t *pixels, int64_t n,
                           int32_t *index) {
    if (s && !index) return octi_fail_null("session");
    if (!s) return octi_fail_null("session");
    const oct_shape *y = &s->plan->values[s->plan->output].shape;
    if (y->rank != 2)
        return octi_fail(OCT_ESHAPE, "session", "output of a classifier", "[N,K]",
                         oct_shape_text(y), NULL);
    OCT_TRY(run(s, x, pixels, n, s->logits));
    for (int64_t i = 0; i < n; i++) {
        const float *v = s->logits + i * y->dim[1];
        int32_t best = 0;
        for (int32_t k = 1; k < y->dim[1]; k++)
            if (v[k] > v[best]) best = k;
        index[i] = best;
    }
    return OCT_OK;
}

oct_status oct_session_classify(oct_session *s, const float *x, int64_t n, int32_t *index) {
    OCTI_LAW_MODE();
    return classify(s, x, NULL, n, index);
}
oct_status oct_session_classify_u8(oct_session *s, const uint8_t *pixels, int64_t n,
                                   int32_t *index) {
    OCTI_LAW_MODE();
    return classify(s, NULL, pixels, n, index);
}

oct_status oct_session_value(const oct_session *s, const char *node, oct_tensor *value) {
    if (s && (!node || !value)) return octi_fail_null("oct_session_value");
    if (!s || !s->plan->unfused)
        return octi_fail(OCT_EUSAGE, "session", "values are kept by unfused plans only",
                         ".unfused = true", NULL, NULL);
    if (s->last < 0)
        return octi_fail(OCT_EUSAGE, "session", "nothing was run yet", NULL, NULL, NULL);
    const oct_plan *p = s->plan;
    for (int32_t i = 0; i < p->step_count; i++) {
        if (strcmp(p->steps[i].name, node)) continue;
        const octi_plan_value *v = &p->values[p->steps[i].out];
        *value = (oct_tensor){.dtype = v->dtype,
                              .shape = octi_shape_with_batch(&v->shape, s->last),
                              .data = s->values + v->offset * (size_t)s->batch};
        return OCT_OK;
    }
    return octi_fail(OCT_EUSAGE, node, "no such node", NULL, NULL, NULL);
}

bool oct_session_step_time(const oct_session *s, int32_t i, oct_step_time *t) {
    if (!s || !t || !s->ns || i < 0 || i >= s->plan->step_count) return false;
    const octi_qmodule *m = &s->plan->steps[i];
    *t = (oct_step_time){.node = m->name,
                         .kind = oct_op_name(m->kind),
                         .kernel = m->is_float ? "float" : m->u.q.kernel,
                         .why = m->is_float ? "" : m->u.q.why,
                         .also = m->also};
    for (int64_t k = 0; k < s->slots; k++) {
        t->ns += s->ns[k * s->plan->step_count + i];
        t->images += s->images[k * s->plan->step_count + i];
    }
    return true;
}
