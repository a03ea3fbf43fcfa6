/* SPDX-License-Identifier: MIT
 * The zoo's own nets with each of their layers kept float in turn: whatever the shape of an island,
 * its floats are the same in evaluation and in the plan, so the codes behind it are. (resnet8 with
 * one 3x3 layer float once went through Winograd in evaluation and through the direct loop in the
 * plan: thousands of codes differed.) */
#include "tests/exact_fix.h"

static const struct zoo_case {
    const char *model;
    int h, w, c, images;
} cases[] = {{"lenet", 28, 28, 1, 8},
             {"resnet8", 32, 32, 3, 4},
             {"resnet20", 16, 16, 3, 4},
             {"resnet18", 32, 37, 3, 2}};

static void one_float(const struct zoo_case *z, const oct_net *fused, const char *layer) {
    const oct_qrule rule = {OCT_QSCOPE_NAME, layer, {.stay_float = OCT_SWITCH_YES}};
    oct_net *q = oct_prepare(fused, &(oct_qconfig){.rules = &rule, .rule_count = 1});
    ck_assert_msg(q != NULL, "%s without %s: %s", z->model, layer, oct_error_message());
    oct_tape *t = oct_tape_new(q->ctx);
    const oct_shape image = OCT_SHAPE(z->h, z->w, z->c);
    ck_ok(calibrate(q, t, image, 1));
    char what[128];
    snprintf(what, sizeof what, "%s with %s float", z->model, layer);
    oct_net_free(exact(q, image, z->images, 2, what));
    oct_tape_free(t);
    oct_net_free(q);
}

START_TEST(any_layer_may_stay_float) {
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const struct zoo_case *z = &cases[k];
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
        oct_module *m = oct_zoo_new(
            ctx, z->model,
            &(oct_zoo_opts){.height = z->h, .width = z->w, .channels = z->c, .classes = 10});
        ck_assert_msg(m != NULL, "%s", oct_error_message());
        oct_net *fused = oct_fuse(oct_capture(m, OCT_SHAPE(z->h, z->w, z->c)));
        const oct_graph *g = fused->graph;
        for (int32_t i = 0; i < g->node_count;
             i++) /* resnet8: every node; the larger ones: every other */
            if (k < 2 || i % 2 == 0) one_float(z, fused, g->nodes[i].name);
        oct_close(ctx);
    }
}
END_TEST

OCT_TEST_MAIN("exact_zoo", any_layer_may_stay_float)
