/* SPDX-License-Identifier: MIT
 * Simulation against plan: the same codes at every node, or the first place where they differ. */
#include <stdio.h>
#include <string.h>

#include "qat/infer/infer.h"
#include "qat/prepared.h"
#include "qat/qat.h"
#include "src/mem.h"

static void compare_codes(const char *node, const oct_tensor *want, const oct_tensor *got, oct_mismatch *m) {
    const uint8_t *a = oct_u8(want), *b = oct_u8(got);
    int64_t n = oct_tensor_count(want);
    m->codes += n;
    if (!memcmp(a, b, (size_t)n)) return;
    for (int64_t i = 0; i < n; i++) {
        if (a[i] == b[i]) continue;
        if (!m->mismatched++) {
            snprintf(m->node, sizeof m->node, "%s", node);
            m->element = i;
            m->expected = a[i];
            m->got = b[i];
        }
    }
}

static oct_status compare(oct_sim *sim, const oct_net *prepared, oct_session *session, const oct_tensor *x, float *y, oct_mismatch *m) {
    if (!oct_sim_run(sim, x)) return oct_last_error()->code;
    OCT_TRY(oct_session_run(session, oct_f32(x), x->shape.dim[0], y));
    const oct_graph *g = prepared->graph;
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        if (!octi_is_int8(g, n)) continue;
        const oct_tensor *want = oct_sim_value(sim, n->name);
        oct_tensor got;
        OCT_TRY(oct_session_value(session, n->name, &got));
        if (!want || want->dtype != OCT_U8 || got.dtype != OCT_U8 || oct_tensor_count(want) != oct_tensor_count(&got))
            return octi_fail(OCT_EINTERNAL, n->name, "no codes to compare", NULL, NULL, NULL);
        compare_codes(n->name, want, &got, m);
    }
    return OCT_OK;
}

oct_status oct_compare(oct_net *prepared, const oct_net *int8, const oct_tensor *x, oct_mismatch *m) {
    if (!prepared || !int8 || !x) return octi_fail(OCT_EUSAGE, "oct_compare", "argument is NULL", NULL, NULL, NULL);
    oct_plan *plan = oct_plan_new(int8, &(oct_plan_opts){.unfused = true});
    oct_session *session = oct_session_new(plan, x->shape.dim[0], NULL);
    oct_sim *sim = oct_sim_new(prepared);
    oct_shape out = plan ? oct_plan_output_shape(plan) : (oct_shape){0};
    out.dim[0] = x->shape.dim[0];
    oct_tensor *y = plan ? oct_tensor_new(prepared->ctx, OCT_F32, out) : NULL;
    oct_status s = session && sim && y ? compare(sim, prepared, session, x, oct_f32(y), m) : oct_last_error()->code;
    oct_tensor_unref(y);
    oct_sim_free(sim);
    oct_session_free(session);
    oct_plan_free(plan);
    return s;
}
