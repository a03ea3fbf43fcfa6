/* SPDX-License-Identifier: MIT
 * Where every rounding of an activation ends: a block of values to codes, and what the
 * straight-through gradient needs to know of it. */
#include "qat/step/rounding.h"

#include <math.h>

#include "src/qround.h"

static octi_gate gate_of(const oct_quantizer *q, oct_act act) {
    octi_gate g = {.below = (float)(q->spec.qmin - octi_zero_point(q)),
                   .above = (float)(q->spec.qmax - octi_zero_point(q)),
                   .strict = q->strict};
    g.lo = q->strict ? nextafterf(g.below, INFINITY) : g.below;
    g.hi = q->strict ? nextafterf(g.above, -INFINITY) : g.above;
    g.floor = act == OCT_ACT_NONE ? -INFINITY : 0.0f;
    g.top = act == OCT_ACT_RELU6 ? 6.0f / octi_scale(q) : INFINITY;
    return g;
}

/* What the activation closed is not what the codes' range clips: that is judged behind the
 * activation. */
static inline int32_t mask_of(float u, float r, octi_gate g) {
    float v = u > g.floor ? u : g.floor;
    v = v < g.top ? v : g.top;
    float judged = g.strict ? v : v == u ? r : octq_rne(v);
    int inside = (judged >= g.lo) & (judged <= g.hi);
    return (inside & (u > g.floor) & (u < g.top)) | ((inside ^ 1) << 1);
}

static inline float term_of(float u, float r, octi_gate g) {
    float v = u > g.floor ? u : g.floor;
    v = v < g.top ? v : g.top;
    const float code = v == u ? r : octq_rne(v), judged = g.strict ? v : code;
    return judged < g.lo ? g.below : judged > g.hi ? g.above : code - v;
}

octi_rounding octi_rounding_to(const oct_quantizer *q, oct_act act, float *y, oct_tensor *codes,
                               octi_straight to) {
    octi_rounding r = {
        q, gate_of(q, act), octi_scale(q), octi_zero_point(q), 0, 0, y, oct_u8(codes), to};
    octi_act_clamp(q, act, &r.lo, &r.hi);
    return r;
}

/* Law 1 and 7 in their two steps: the mask looks between them. One short loop for each thing that
 * is written, so that every one becomes vector code. */
void octi_round_block(const octi_rounding *to, int64_t at, const float *restrict u,
                      const float *restrict r, int32_t n) {
    const float s = to->s;
    const int32_t z = to->z, lo = to->lo, hi = to->hi;
    const octi_gate g = to->g;
    int32_t code[OCTI_ROUND_BLOCK];
    float nearest[OCTI_ROUND_BLOCK], *restrict y = to->y + at;
    uint8_t *restrict codes = to->codes + at;
    if (!r) {
        for (int32_t k = 0; k < n; k++) nearest[k] = octq_rne(u[k]);
        r = nearest;
    }
    for (int32_t k = 0; k < n; k++) code[k] = octq_clamp(r[k] + (float)z, lo, hi, z);
    for (int32_t k = 0; k < n; k++) y[k] = octq_dequantize(code[k], s, z);
    for (int32_t k = 0; k < n; k++) codes[k] = (uint8_t)code[k];
    if (!to->to.mask) return;
    uint8_t *restrict mask = oct_u8(to->to.mask) + at;
    for (int32_t k = 0; k < n; k++) code[k] = mask_of(u[k], r[k], g);
    for (int32_t k = 0; k < n; k++) mask[k] = (uint8_t)code[k];
    if (!to->to.term) return;
    float *restrict term = oct_f32(to->to.term) + at;
    for (int32_t k = 0; k < n; k++) term[k] = term_of(u[k], r[k], g);
}
