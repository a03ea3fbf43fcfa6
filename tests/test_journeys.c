/* SPDX-License-Identifier: MIT
 * Random journeys: random nets under random settings go through what users do in any order -
 * calibrate, train, freeze, evaluate, improve, save and load, change observers - and are converted.
 * Every code is the simulation's, both plans and the file agree, and evaluation moves nothing that
 * training moves. */
#include "tests/temp_folder.h"

#include "octet.h"
#include "src/rng.h"
#include "tests/plans_agree.h"
#include "tests/random_net.h"
#include "tests/through_file.h"

enum { BATCH = 8 };

typedef struct journey {
    oct_ctx *ctx;
    oct_net *q;
    oct_tape *tape;
    oct_shape image;
    octi_rng r;
    char log[600];
    bool swings; /* oscillation is tracked */
} journey;

#define at_least_ok(j, call)                                                                       \
    ck_assert_msg((call) == OCT_OK, "%s: %s: %s", (j)->log, #call, oct_error_message())

static oct_tensor *images(journey *j, int64_t n) {
    return random_images(j->ctx, n, j->image, octi_rng_below(&j->r, 1000));
}

static void calibrate(journey *j) {
    oct_tape_begin(j->tape, OCT_CALIBRATE);
    (void)oct_net_forward(j->q, oct_input(j->tape, images(j, BATCH)));
    at_least_ok(j, oct_tape_status(j->tape));
}

static void train(journey *j) {
    int32_t count;
    const oct_named_tensor *p = oct_net_parameters(j->q, &count);
    oct_optim *o =
        oct_optim_new(j->ctx, p, count, &(oct_optim_opts){.lr = 0.01f, .momentum = 0.9f});
    oct_tensor *labels = oct_tensor_new(j->ctx, OCT_S32, OCT_SHAPE(BATCH));
    for (int i = 0; i < BATCH; i++) oct_s32(labels)[i] = i % 3;
    for (int i = 0; i < 3; i++) {
        oct_optim_zero_grad(o);
        oct_tape_begin(j->tape, OCT_TRAIN);
        at_least_ok(
            j, oct_backward(oct_cross_entropy(
                   oct_net_forward(j->q, oct_input(j->tape, images(j, BATCH))), labels, NULL)));
        if (j->swings) at_least_ok(j, oct_oscillation_damp(j->q, 0.1f));
        at_least_ok(j, oct_optim_step(o));
        if (j->swings) at_least_ok(j, oct_oscillation_step(j->q, 0.001f));
    }
    oct_optim_free(o);
}

static uint32_t crc_of(const oct_net *net) {
    uint32_t crc = 2166136261u;
    for (int32_t i = 0; i < net->tensor_count; i++) {
        const oct_named_tensor *t = &net->tensors[i];
        const uint8_t *p = t->tensor->data;
        for (size_t k = 0; k < oct_tensor_bytes(t->tensor); k++) crc = (crc ^ p[k]) * 16777619u;
    }
    return crc;
}

static void evaluate(journey *j) {
    const uint32_t before = crc_of(j->q);
    oct_tape_begin(j->tape, OCT_EVAL);
    (void)oct_net_forward(j->q, oct_input(j->tape, images(j, BATCH)));
    at_least_ok(j, oct_tape_status(j->tape));
    ck_assert_msg(crc_of(j->q) == before, "%s: evaluation moved something", j->log);
}

static void freeze(journey *j) { oct_net_freeze_batch_norm(j->q, octi_rng_below(&j->r, 3)); }
static void switches(journey *j) { oct_net_observe(j->q, octi_rng_below(&j->r, 2)); }
static void bias(journey *j) { at_least_ok(j, oct_correct_bias(j->q, images(j, BATCH), NULL)); }
static void adaround(journey *j) {
    at_least_ok(j, oct_adaround(j->q, images(j, BATCH),
                                &(oct_adaround_opts){.iterations = 20, .rows = 64}));
}

static void observer(journey *j) {
    static const char *const names[] = {"ema", "minmax", "histogram", "percentile", "mae"};
    at_least_ok(j, oct_net_set_observer(j->q, names[octi_rng_below(&j->r, 5)]));
}

static void oscillation(journey *j) {
    at_least_ok(j, oct_oscillation_start(j->q));
    j->swings = true;
}

static void through_a_run(journey *j) {
    at_least_ok(j, oct_run_save(j->q, in_root("run"), NULL, true));
    oct_net *back = oct_run_load(j->ctx, in_root("run"), NULL);
    ck_assert_msg(back != NULL, "%s: %s", j->log, oct_error_message());
    ck_assert_msg(crc_of(back) == crc_of(j->q), "%s: another net came back", j->log);
    j->q = back;
}

static const struct stop {
    const char *name;
    void (*go)(journey *j);
} stops[] = {{"calibrate", calibrate}, {"train", train},
             {"train", train},         {"evaluate", evaluate},
             {"freeze", freeze},       {"switches", switches},
             {"bias", bias},           {"adaround", adaround},
             {"observer", observer},   {"oscillation", oscillation},
             {"run", through_a_run}};
enum { STOPS = sizeof stops / sizeof *stops };

static void settings(journey *j, oct_qconfig *c) {
    static const oct_target targets[] = {OCT_TARGET_OCTET, OCT_TARGET_FBGEMM, OCT_TARGET_QNNPACK,
                                         OCT_TARGET_POW2,  OCT_TARGET_LITERT, OCT_TARGET_CMSIS_NN};
    static const oct_method methods[] = {OCT_METHOD_DEFAULT, OCT_METHOD_LSQ, OCT_METHOD_LSQ_PLUS,
                                         OCT_METHOD_PACT};
    static const char *const observers[] = {"minmax", "ema", "histogram", "entropy"};
    *c = (oct_qconfig){.target = targets[octi_rng_below(&j->r, 6)]};
    c->method = methods[octi_rng_below(&j->r, 4)];
    c->observer = observers[octi_rng_below(&j->r, 4)];
    c->wbits = 2 + (int)octi_rng_below(&j->r, 7);
    c->abits = 2 + (int)octi_rng_below(&j->r, 7);
    c->all_layers = octi_rng_below(&j->r, 2);
    if (!octi_rng_below(&j->r, 3)) c->weight_observer = OCT_WEIGHT_OBSERVER_MSE;
    if (!octi_rng_below(&j->r, 3)) c->weight_qmin = OCT_WEIGHT_QMIN_FULL;
    if (!octi_rng_below(&j->r, 4)) c->granularity = OCT_GRANULARITY_TENSOR;
}

static void check_journey(int seed) {
    journey j = {.ctx = oct_open(&(oct_opts){.threads = 1 + seed % 2}),
                 .r = octi_rng_stream((uint64_t)seed, OCTI_RNG_TEST, 41, 0)};
    snprintf(j.log, sizeof j.log, "journey %d", seed);
    oct_net *net = random_net(j.ctx, (uint64_t)(20000 + seed), &j.image),
            *fused = octi_rng_below(&j.r, 2) ? oct_equalize(net, NULL) : oct_fuse(net);
    ck_assert_msg(fused != NULL, "%s: %s", j.log, oct_error_message());
    oct_qconfig c;
    settings(&j, &c);
    oct_qrule rules[2];
    for (int k = 0; k < 2; k++, c.rule_count += !octi_rng_below(&j.r, 2)) { /* islands of float */
        const oct_node *n =
            &fused->graph->nodes[octi_rng_below(&j.r, (uint32_t)fused->graph->node_count)];
        rules[c.rule_count] = (oct_qrule){OCT_QSCOPE_NAME, n->name, {.stay_float = OCT_SWITCH_YES}};
    }
    c.rules = rules;
    j.q = oct_prepare(fused, &c);
    if (!j.q && oct_last_error()->code == OCT_EUNSUPPORTED) return oct_close(j.ctx); /* all float */
    ck_assert_msg(j.q != NULL, "%s: %s", j.log, oct_error_message());
    j.tape = oct_tape_new(j.ctx);
    if (octi_rng_below(&j.r, 4))
        calibrate(&j);
    else
        train(&j); /* its first data */
    for (int k = (int)octi_rng_below(&j.r, 7); k > 0; k--) {
        const struct stop *s = &stops[octi_rng_below(&j.r, STOPS)];
        snprintf(j.log + strlen(j.log), sizeof j.log - strlen(j.log), ", %s", s->name);
        s->go(&j);
    }
    const uint32_t before = crc_of(j.q);
    oct_net *i8 = oct_convert(j.q, NULL);
    ck_assert_msg(i8 != NULL, "%s: %s", j.log, oct_error_message());
    oct_mismatch m = {0};
    oct_tensor *x = images(&j, 16);
    at_least_ok(&j, oct_compare(j.q, i8, x, &m));
    ck_assert_msg(m.mismatched == 0,
                  "%s: %lld of %lld codes differ, first %s[%lld]: expected %d, got %d", j.log,
                  (long long)m.mismatched, (long long)m.codes, m.node, (long long)m.element,
                  m.expected, m.got);
    ck_assert_msg(crc_of(j.q) == before, "%s: convert or the comparison moved something", j.log);
    plans_agree(through_a_file(i8), x, 1 + seed % 7);
    oct_close(j.ctx);
}

START_TEST(every_journey_ends_exact) {
    const char *nets = getenv("OCT_TEST_NETS"), *only = getenv("OCT_TEST_ONLY");
    if (only) return check_journey(atoi(only));
    const int count = nets ? atoi(nets) : oct_test_long() ? 3000 : 100;
    for (int i = 0; i < count; i++) check_journey(i);
}
END_TEST

OCT_TEST_MAIN_WITH("journeys", make_root, remove_root, every_journey_ends_exact)
