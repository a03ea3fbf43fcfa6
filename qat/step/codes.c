/* SPDX-License-Identifier: MIT
 * Values to codes: of any grid, and of the inputs' grid. */
#include "qat/step/rounding.h"
#include "src/mem.h"
#include "src/threads.h"

enum { CHUNKS = 64, BLOCK = OCTI_ROUND_BLOCK };

typedef struct quantize_job {
    octi_rounding to; /* y holds the values at first */
    int64_t n;
} quantize_job;

static void quantize_task(void *arg, int64_t i) {
    const quantize_job *j = arg;
    const float s = j->to.s, *x = j->to.y;
    for (int64_t at = j->n * i / CHUNKS, end = j->n * (i + 1) / CHUNKS; at < end; at += BLOCK) {
        float u[BLOCK];
        int32_t n = end - at < BLOCK ? (int32_t)(end - at) : BLOCK;
        for (int32_t k = 0; k < n; k++) u[k] = x[at + k] / s;
        octi_round_block(&j->to, at, u, NULL, n);
    }
}

void octi_quantize_tensor(oct_ctx *ctx, oct_tensor *x, const oct_quantizer *q, oct_act act,
                          oct_tensor *codes, octi_straight to) {
    quantize_job j = {octi_rounding_to(q, act, oct_f32(x), codes, to), oct_tensor_count(x)};
    j.to.lo = q->spec.qmin; /* the activation ran in float */
    j.to.hi = q->spec.qmax;
    octi_parallel_for(octi_ctx_pool(ctx), CHUNKS, quantize_task, &j);
}

void octi_codes_on_grid(octi_call *c, const oct_quantizer *q) {
    const octi_straight none = {.mask = NULL};
    quantize_job j = {octi_rounding_to(q, OCT_ACT_NONE, oct_f32(c->out), c->out_codes, none),
                      oct_tensor_count(c->out)};
    octi_node_clamp(q, c->node, &j.to.lo, &j.to.hi);
    octi_parallel_for(octi_ctx_pool(c->ctx), CHUNKS, quantize_task, &j);
}
