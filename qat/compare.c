/* SPDX-License-Identifier: MIT
 * Simulation against plan: the same codes at every node, or the first place where they differ. */
#include "qat/compare.h"

#include <stdio.h>
#include <string.h>

#include "qat/infer/infer.h"
#include "qat/net/prepared.h"
#include "qat/step/hooks.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/words.h"

/* Codes of images [from, ...): elements count from the first image of all. */
static void compare_codes(const char *node, const oct_tensor *want, const oct_tensor *got,
                          int64_t from, oct_mismatch *m) {
    const uint8_t *a = oct_u8(want), *b = oct_u8(got);
    int64_t n = oct_tensor_count(want);
    m->codes += n;
    if (!memcmp(a, b, (size_t)n)) return;
    for (int64_t i = 0; i < n; i++) {
        if (a[i] == b[i]) continue;
        if (!m->mismatched++) {
            snprintf(m->node, sizeof m->node, "%s", node);
            m->element = from * (n / want->shape.dim[0]) + i;
            m->expected = a[i];
            m->got = b[i];
        }
    }
}

struct octi_comparison {
    oct_net *prepared;
    oct_plan *plan;
    oct_session *session;
    oct_sim *sim;
    oct_tensor *y;
    int64_t batch;
};

octi_comparison *octi_comparison_new(oct_net *prepared, const oct_net *int8, int64_t batch) {
    octi_comparison *c = octi_alloc(prepared->ctx, sizeof *c);
    if (!c) return NULL;
    c->prepared = prepared;
    c->batch = batch;
    c->plan = oct_plan_new(int8, &(oct_plan_opts){.unfused = true});
    c->session = oct_session_new(c->plan, batch, NULL, 0);
    c->sim = oct_sim_new(prepared);
    oct_shape out = c->plan ? oct_plan_output_shape(c->plan) : (oct_shape){0};
    out.dim[0] = batch;
    c->y = c->plan ? oct_tensor_new(prepared->ctx, OCT_F32, out) : NULL;
    if (c->session && c->sim && c->y && octi_sim_hold(c->sim) == OCT_OK) return c;
    octi_comparison_free(c);
    return NULL;
}

void octi_comparison_free(octi_comparison *c) {
    if (!c) return;
    oct_tensor_unref(c->y);
    oct_sim_free(c->sim);
    oct_session_free(c->session);
    oct_plan_free(c->plan);
    octi_free(c->prepared->ctx, c);
}

static oct_status run_piece(octi_comparison *c, const oct_tensor *x, int64_t from,
                            oct_mismatch *m) {
    if (!oct_sim_run(c->sim, x)) return oct_last_error()->code;
    OCT_TRY(oct_session_run(c->session, oct_f32(x), x->shape.dim[0], oct_f32(c->y)));
    const oct_graph *g = c->prepared->graph;
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        if (!octi_is_int8(g, n)) continue;
        const oct_tensor *want = oct_sim_value(c->sim, n->name);
        oct_tensor got;
        OCT_TRY(oct_session_value(c->session, n->name, &got));
        if (!want || want->dtype != OCT_U8 || got.dtype != OCT_U8 ||
            oct_tensor_count(want) != oct_tensor_count(&got))
            return octi_fail(OCT_EINTERNAL, n->name, "no codes to compare", NULL, NULL, NULL);
        compare_codes(n->name, want, &got, from, m);
    }
    return OCT_OK;
}

oct_status octi_comparison_run(octi_comparison *c, const oct_tensor *x, oct_mismatch *m) {
    const int64_t n = x->shape.dim[0], image = n ? oct_tensor_count(x) / n : 0;
    for (int64_t from = 0; from < n; from += c->batch) {
        oct_tensor piece = *x;
        piece.shape.dim[0] = n - from < c->batch ? n - from : c->batch;
        piece.data = oct_f32(x) + from * image;
        OCT_TRY(run_piece(c, &piece, from, m));
    }
    return OCT_OK;
}

oct_status oct_compare(oct_net *prepared, const oct_net *int8, const oct_tensor *x,
                       oct_mismatch *m) {
    OCTI_LAW_MODE();
    if (!prepared || !int8 || !x || !m) return octi_fail_null("oct_compare");
    octi_comparison *c = octi_comparison_new(
        prepared, int8,
        x->shape.dim[0] < OCTI_COMPARE_BATCH ? x->shape.dim[0] : OCTI_COMPARE_BATCH);
    oct_status s = c ? octi_comparison_run(c, x, m) : oct_last_error()->code;
    octi_comparison_free(c);
    return s;
}
