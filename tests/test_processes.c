/* SPDX-License-Identifier: MIT
 * Several processes that train one net: each has its slots of a batch and sees no other image, and
 * what they reduce along the batch's tree has the bits of a process that has the whole batch:
 * losses, gradients, parameters, batch-norm statistics, observers, scales. Here a process is a
 * thread with a context and a net of its own; what it hands to the others is copied. */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "autograd/tape.h"
#include "octet.h"
#include "qat/improve/improve_internal.h"
#include "src/cut.h"
#include "src/mem.h"
#include "src/rng.h"
#include "tests/thread_checks.h"

enum { MOST_PROCESSES = 8, STEPS = 2, CLASSES = 5 };

/* ---- what stands between them ---- */

typedef struct meeting {
    pthread_mutex_t lock;
    pthread_cond_t all;
    int processes, arrived, left;
    unsigned round;
    int64_t met;
    uint8_t *part[MOST_PROCESSES]; /* by the subtree that it comes from */
} meeting;

/* Fold along what of the tree is above the subtrees that processes have. */
static void fold_above(const meeting *m, const octi_cut *cut, const octi_sum *sum) {
    for (int width = cut->count; width < cut->slots; width *= 2)
        for (int s = 0; s < cut->slots; s += 2 * width)
            octi_cut_join(cut, sum, s, width, m->part[s / cut->count],
                          m->part[(s + width) / cut->count]);
}

static oct_status reduce(void *user, const octi_cut *cut, const octi_sum *sum, void *partial) {
    meeting *m = user;
    const int mine = cut->first / cut->count;
    pthread_mutex_lock(&m->lock);
    uint8_t *copy = malloc(sum->bytes);
    memcpy(copy, partial, sum->bytes);
    free(m->part[mine]);
    m->part[mine] = copy;
    const unsigned round = m->round;
    if (++m->arrived == m->processes) {
        fold_above(m, cut, sum);
        m->arrived = 0;
        m->met++;
        m->round++;
        pthread_cond_broadcast(&m->all);
    }
    while (m->round == round) pthread_cond_wait(&m->all, &m->lock);
    memcpy(partial, m->part[0], sum->bytes);
    /* nobody brings the next before all have taken this one */
    if (++m->left == m->processes) {
        m->left = 0;
        m->round++;
        pthread_cond_broadcast(&m->all);
    }
    while (m->round == round + 1) pthread_cond_wait(&m->all, &m->lock);
    pthread_mutex_unlock(&m->lock);
    return OCT_OK;
}

/* ---- nets ---- */

/* One convolution and its batch norm used twice, a depthwise one, dropout, an LSTM over rows. */
typedef struct shared {
    oct_module *in, *conv, *bn, *depthwise, *drop, *lstm, *fc;
} shared;

static oct_var *shared_forward(void *self, oct_tape *t, oct_var *x) {
    const shared *s = self;
    (void)t;
    x = oct_relu(oct_apply(s->in, x));
    for (int i = 0; i < 2; i++) x = oct_relu(oct_apply(s->bn, oct_apply(s->conv, x)));
    x = oct_apply(s->drop, oct_apply(s->depthwise, x));
    x = oct_apply(s->lstm, oct_reshape(x, (int[]){6, 6 * 16}, 2));
    return oct_apply(s->fc, x);
}

static oct_module *conv_of(oct_ctx *ctx, int in, int out, int groups) {
    return oct_conv2d_new(
        ctx, &(oct_conv2d_opts){.in = in, .out = out, .kernel = 3, .pad = 1, .groups = groups});
}

static oct_net *shared_net(oct_ctx *ctx, shared *s) {
    oct_module *m = oct_module_new(ctx, shared_forward, s);
    s->in = oct_module_add(m, "in", conv_of(ctx, 3, 16, 1));
    s->conv = oct_module_add(m, "conv", conv_of(ctx, 16, 16, 1));
    s->bn =
        oct_module_add(m, "bn", oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 16}));
    s->depthwise = oct_module_add(m, "depthwise", conv_of(ctx, 16, 16, 16));
    s->drop = oct_module_add(m, "drop", oct_dropout_new(ctx, 0.3f));
    s->lstm = oct_module_add(
        m, "lstm", oct_lstm_new(ctx, &(oct_lstm_opts){.in = 96, .hidden = 12, .last = true}));
    s->fc =
        oct_module_add(m, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = 12, .out = CLASSES}));
    return oct_capture(m, OCT_SHAPE(6, 6, 3));
}

typedef struct recipe {
    const char *name, *model; /* NULL: shared */
    int side, channels;
    const char *quantize; /* rules; NULL: floats */
    bool calibrate;       /* before training */
    bool frozen;          /* batch norm, from the second step on */
    bool mse;             /* and distillation, in place of cross entropy */
} recipe;

static const recipe recipes[] = {
    {"lenet", "lenet", 28, 1, NULL, .mse = true},
    {"resnet8", "resnet8", 32, 3, NULL},
    {"shared", NULL, 6, 3, NULL},
    {"lenet, scales by an observer", "lenet", 28, 1, "global:observer=ema", .mse = true},
    {"resnet8, scales by an observer", "resnet8", 32, 3, "global:observer=minmax", .frozen = true},
    {"lenet, calibrated histograms", "lenet", 28, 1, "global:observer=mse", .calibrate = true},
    {"shared, histograms", NULL, 6, 3, "global:observer=histogram"},
    {"resnet8, lsq", "resnet8", 32, 3, "global:method=lsq,wbits=4,abits=4", .frozen = true},
    {"lenet, lsq+", "lenet", 28, 1, "global:method=lsq+,wbits=4,abits=4"},
    {"shared, pact", NULL, 6, 3, "global:method=pact,wbits=3,abits=4", .frozen = true},
};

static oct_net *net_of(oct_ctx *ctx, const recipe *r, shared *s) {
    const oct_zoo_opts zoo = {r->channels, r->side, r->side, CLASSES};
    oct_net *net = r->model ? oct_capture(oct_zoo_new(ctx, r->model, &zoo),
                                          OCT_SHAPE(r->side, r->side, r->channels))
                            : shared_net(ctx, s);
    ck_not_null(net);
    if (!r->quantize) return net;
    oct_qconfig q = {0};
    ck_ok(oct_qconfig_parse(ctx, r->quantize, &q));
    net = oct_prepare(net, &q);
    ck_not_null(net);
    return net;
}

/* ---- a process ---- */

typedef struct process {
    const recipe *recipe;
    int64_t images;
    int rank, processes, threads;
    meeting *with;
    oct_ctx *ctx;
    oct_net *net;
    shared modules;
    float loss[STEPS + 1];
    oct_status sum_of_weights; /* what a sum over another value's first axis ends with */
} process;

static void draw(float *x, int64_t n, int64_t image, uint32_t key) {
    for (int64_t i = 0; i < n; i++) {
        octi_rng r = octi_rng_stream(3, OCTI_RNG_TEST, key, (uint32_t)i);
        for (int64_t k = 0; k < image; k++)
            x[i * image + k] = octi_rng_normal(&r) * (1 + 0.1f * (float)(i % 7));
    }
}

static octi_cut cut_of(const process *p) {
    return p->processes == 1 ? octi_cut_whole(p->images)
                             : octi_cut_share(p->images, p->rank, p->processes, reduce, p->with);
}

typedef struct batch {
    oct_tensor *x, *labels, *teacher;
} batch;

/* The images of this process, cut out of the whole batch. */
static batch batch_of(const process *p, const octi_cut *cut, uint32_t key) {
    const recipe *r = p->recipe;
    const int64_t image = (int64_t)r->side * r->side * r->channels, here = octi_cut_here(cut),
                  from = octi_cut_begin(cut, cut->first);
    float *all = malloc((size_t)(p->images * image) * sizeof *all);
    batch b = {oct_tensor_new(p->ctx, OCT_F32, OCT_SHAPE(here, r->side, r->side, r->channels)),
               oct_tensor_new(p->ctx, OCT_S32, OCT_SHAPE(here)),
               oct_tensor_new(p->ctx, OCT_F32, OCT_SHAPE(here, CLASSES))};
    draw(all, p->images, image, key);
    memcpy(b.x->data, all + from * image, (size_t)(here * image) * sizeof *all);
    for (int64_t i = 0; i < here; i++) oct_s32(b.labels)[i] = (int32_t)((from + i) * 3 % CLASSES);
    draw(all, p->images, CLASSES, key + 100);
    memcpy(b.teacher->data, all + from * CLASSES, (size_t)(here * CLASSES) * sizeof *all);
    free(all);
    return b;
}

static void begin(const process *p, oct_tape *t, oct_mode mode, const octi_cut *cut, int step) {
    oct_tape_begin(t, mode);
    oct_tape_key(t, 1, (uint32_t)(step * p->images));
    octi_tape_cut(t, *cut);
}

static int failing_rank = -1; /* of the process in which a check is made to fail */

static void *run(void *arg) {
    process *p = arg;
    const recipe *r = p->recipe;
    p->ctx = oct_open(&(oct_opts){.threads = p->threads, .seed = 9});
    p->net = net_of(p->ctx, r, &p->modules);
    oct_tape *t = oct_tape_new(p->ctx);
    const octi_cut cut = cut_of(p);
    ck_assert_msg(p->rank != failing_rank, "planted");
    for (int step = 0; r->calibrate && step < 2; step++) {
        begin(p, t, OCT_CALIBRATE, &cut, step);
        ck_not_null(oct_net_forward(p->net, oct_input(t, batch_of(p, &cut, 50 + step).x)));
    }
    int32_t count;
    const oct_named_tensor *params = oct_net_parameters(p->net, &count);
    oct_optim *o = oct_optim_new(p->ctx, params, count,
                                 &(oct_optim_opts){.lr = 0.02f, .momentum = 0.9f, .clip_norm = 1});
    for (int step = 0; step < STEPS; step++) {
        const batch b = batch_of(p, &cut, (uint32_t)step);
        if (r->frozen && r->quantize) oct_net_freeze_batch_norm(p->net, step > 0);
        oct_optim_zero_grad(o);
        begin(p, t, OCT_TRAIN, &cut, step);
        oct_var *y = oct_net_forward(p->net, oct_input(t, b.x)), *loss;
        if (r->mse)
            loss = oct_mix(oct_mse_loss(y, b.teacher), oct_distill_loss(y, b.teacher, 2), 0.3f);
        else
            loss = oct_cross_entropy(y, b.labels, &(oct_cross_entropy_opts){.smoothing = 0.1f});
        ck_not_null(loss);
        p->loss[step] = oct_f32(oct_var_value(loss))[0];
        ck_ok(oct_backward(loss));
        ck_ok(oct_optim_step(o));
    }
    oct_tensor *w = oct_tensor_new(p->ctx, OCT_F32, OCT_SHAPE(3, 2)),
               *zeros = oct_tensor_copy(p->ctx, w);
    begin(p, t, OCT_TRAIN, &cut, 0);
    (void)oct_mse_loss(oct_param(t, w, "w"), zeros);
    p->sum_of_weights = oct_tape_status(t);
    oct_tape_free(t);
    oct_optim_free(o);
    return NULL;
}

static void same(const process *p, const char *name, const oct_tensor *a, const oct_tensor *b) {
    const size_t n = oct_tensor_bytes(a);
    size_t i = 0;
    ck_assert_uint_eq(n, oct_tensor_bytes(b));
    while (i < n && ((const uint8_t *)a->data)[i] == ((const uint8_t *)b->data)[i]) i++;
    ck_assert_msg(i == n, "%s, %lld images, process %d of %d: %s differs at element %zu",
                  p->recipe->name, (long long)p->images, p->rank, p->processes, name,
                  i / oct_dtype_size(a->dtype));
}

static void compare(const process *one, const process *p) {
    for (int i = 0; i < STEPS; i++)
        ck_assert_msg(!memcmp(&one->loss[i], &p->loss[i], sizeof(float)),
                      "%s, %lld images, process %d of %d: loss of step %d is %a, not %a",
                      p->recipe->name, (long long)p->images, p->rank, p->processes, i,
                      (double)p->loss[i], (double)one->loss[i]);
    ck_assert_int_eq(one->net->tensor_count, p->net->tensor_count);
    for (int32_t i = 0; i < one->net->tensor_count; i++) {
        const oct_named_tensor *a = &one->net->tensors[i], *b = &p->net->tensors[i];
        if (a->tensor->grad)
            same(p, octi_fmt("gradient of %s", a->name), a->tensor->grad, b->tensor->grad);
        same(p, a->name, a->tensor, b->tensor);
    }
    if (one->net->probe) same(p, "the probe", one->net->probe, p->net->probe);
}

static void train_in(const recipe *r, int64_t images, int processes, const process *one) {
    meeting m = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, .processes = processes};
    process p[MOST_PROCESSES];
    pthread_t thread[MOST_PROCESSES];
    for (int i = 0; i < processes; i++) {
        p[i] = (process){.recipe = r,
                         .images = images,
                         .rank = i,
                         .processes = processes,
                         .threads = 1,
                         .with = &m};
        ck_assert_int_eq(octi_thread_start(&thread[i], run, &p[i]), 0);
    }
    for (int i = 0; i < processes; i++) pthread_join(thread[i], NULL);
    ck_assert_int_gt(m.met, 0);
    for (int i = 0; i < processes; i++) {
        compare(one, &p[i]);
        ck_assert_int_eq(p[i].sum_of_weights, OCT_EUNSUPPORTED);
        oct_close(p[i].ctx);
    }
    for (int i = 0; i < MOST_PROCESSES; i++) free(m.part[i]);
}

static void every_count(const recipe *r, int64_t images) {
    process one = {.recipe = r, .images = images, .processes = 1, .threads = 2};
    run(&one);
    ck_assert_int_eq(one.sum_of_weights, OCT_OK);
    train_in(r, images, 2, &one);
    train_in(r, images, 4, &one);
    if (r->side == 6) train_in(r, images, 8, &one);
    oct_close(one.ctx);
}

START_TEST(processes_have_the_bits_of_one) {
    for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++) {
        const recipe *r = &recipes[i];
        every_count(r, 7);
        every_count(r, 1);
        if (!r->quantize || r->side == 6 || oct_test_long()) every_count(r, 90);
    }
    every_count(&recipes[0], 130); /* sixteen slots, of eight and nine images */
}
END_TEST

/* Slots are where they are in the whole batch, and every one is somewhere. */
START_TEST(shares_make_up_the_batch) {
    static const int64_t batches[] = {1, 2, 3, 7, 8, 90, 127, 128, 1000};
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++)
        for (int processes = 1; processes <= 16; processes *= 2) {
            const octi_cut whole = octi_cut_whole(batches[i]);
            int64_t to = 0;
            for (int rank = 0; rank < processes; rank++) {
                const octi_cut c = octi_cut_share(batches[i], rank, processes, reduce, NULL);
                const int64_t from = octi_cut_begin(&c, c.first);
                ck_assert_int_eq(c.slots, whole.slots);
                ck_assert_int_eq(c.first % c.count, 0);
                ck_assert_int_ge(octi_cut_here(&c), 1);
                ck_assert_int_le(from, to); /* the next, or the same again */
                if (c.slots >= processes) ck_assert_int_eq(from, to);
                for (int s = 0; s <= c.count; s++)
                    ck_assert_int_eq(from + octi_cut_at(&c, s),
                                     octi_cut_begin(&whole, c.first + s));
                to = from + octi_cut_here(&c);
            }
            ck_assert_int_eq(to, batches[i]);
        }
}
END_TEST

/* The first process leaves its sums, the second folds them with its own. */
static oct_status second_half(void *user, const octi_cut *cut, const octi_sum *sum, void *partial) {
    if (cut->first) octi_cut_join(cut, sum, 0, cut->count, user, partial);
    memcpy(cut->first ? partial : user, cut->first ? user : partial, sum->bytes);
    return OCT_OK;
}

/* What bias correction and AdaRound sum over images: two processes have the bits of one. */
START_TEST(columns_are_summed_along_the_cut) {
    enum { N = 23, ROWS = 3, K = 4 };
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    float x[N * ROWS * K];
    octi_rng r = octi_rng_stream(8, OCTI_RNG_TEST, 0, 0);
    for (int i = 0; i < N * ROWS * K; i++) x[i] = octi_rng_normal(&r);
    for (int squares = 0; squares < 2; squares++) {
        double whole[K], sums[K], first[K], plain[K] = {0};
        ck_ok(octi_column_sums(ctx, x, N, ROWS, K, squares, whole));
        for (int rank = 0; rank < 2; rank++) {
            const octi_cut c = octi_cut_share(N, rank, 2, second_half, first);
            const octi_cut *before = octi_ctx_set_cut(ctx, &c);
            ck_ok(octi_column_sums(ctx, x + octi_cut_begin(&c, c.first) * ROWS * K,
                                   octi_cut_here(&c), ROWS, K, squares, sums));
            octi_ctx_set_cut(ctx, before);
        }
        ck_assert(!memcmp(sums, whole, sizeof sums));
        for (int i = 0; i < N * ROWS * K; i++)
            plain[i % K] += squares ? (double)x[i] * (double)x[i] : (double)x[i];
        for (int k = 0; k < K; k++) ck_assert_double_eq_tol(plain[k], whole[k], 1e-11);
    }
    oct_close(ctx);
}
END_TEST

/* Of two processes one fails a check while the other waits for it: the program ends, at once and
 * with a word, where it would wait for ever. */
START_TEST(a_check_that_fails_in_a_process_ends_all) {
    int said[2], status;
    char text[400];
    ck_assert_int_eq(pipe(said), 0);
    const pid_t child = fork();
    if (!child) {
        dup2(said[1], STDERR_FILENO);
        alarm(60); /* ends it by a signal where it hangs */
        failing_rank = 1;
        const process none = {.recipe = NULL};
        train_in(&recipes[0], 8, 2, &none);
        _exit(0);
    }
    close(said[1]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    const ssize_t n = read(said[0], text, sizeof text - 1);
    close(said[0]);
    text[n > 0 ? n : 0] = 0;
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 1, "status %d", status);
    ck_assert_msg(strstr(text, "in a thread") && strstr(text, "planted"), "%s", text);
}
END_TEST

OCT_TEST_MAIN("processes", processes_have_the_bits_of_one, shares_make_up_the_batch,
              columns_are_summed_along_the_cut, a_check_that_fails_in_a_process_ends_all)
