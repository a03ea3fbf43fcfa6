/* SPDX-License-Identifier: MIT
 * Quantizers of a prepared net: readiness, clamps, switches. */
#include "qat/net/prepared.h"
#include "qat/net/switches.h"
#include "src/qround.h"

bool octi_quantizer_ready(const oct_quantizer *q) {
    return *oct_f32(q->min_val) <= *oct_f32(q->max_val);
}

oct_status octi_not_observed(const oct_quantizer *q) {
    return octi_fail(OCT_EQPARAMS, q->name, "no range was observed",
                     "a calibrated or trained value", "none",
                     "calibrate or train before evaluating or converting");
}

void octi_act_clamp(const oct_quantizer *q, oct_act act, int32_t *lo, int32_t *hi) {
    *lo = q->spec.qmin;
    *hi = q->spec.qmax;
    if (act == OCT_ACT_NONE) return;
    *lo = octi_zero_point(q);
    if (act == OCT_ACT_RELU6)
        *hi = octq_quantize(6.0f, octi_scale(q), octi_zero_point(q), *lo, *hi);
}

void octi_node_clamp(const oct_quantizer *q, const oct_node *n, int32_t *lo, int32_t *hi) {
    octi_act_clamp(q, n->kind == OCT_OP_relu6 ? OCT_ACT_RELU6 : (oct_act)n->attr.act[0], lo, hi);
    if (n->kind != OCT_OP_clamp) return;
    *lo =
        octq_quantize(n->attr.least, octi_scale(q), octi_zero_point(q), q->spec.qmin, q->spec.qmax);
    *hi =
        octq_quantize(n->attr.most, octi_scale(q), octi_zero_point(q), q->spec.qmin, q->spec.qmax);
}

oct_quantizer *octi_weight_quantizer(const oct_graph *g, const oct_node *n) {
    return &g->quantizers[g->values[n->in[OCTI_W]].quantizer];
}

/* ---- switches ---- */

static void set_switch(oct_net *net, int which, bool on) {
    for (int32_t i = 0; net && i < net->graph->quantizer_count; i++)
        if (net->graph->quantizers[i].enabled)
            oct_u8(net->graph->quantizers[i].enabled)[which] = on;
}

void oct_net_observe(oct_net *net, bool on) { set_switch(net, 0, on); }
void oct_net_fake_quantize(oct_net *net, bool on) { set_switch(net, 1, on); }

void oct_net_freeze_batch_norm(oct_net *net, bool on) {
    oct_tensor *t = net ? oct_net_tensor(net, OCTI_BN_FROZEN) : NULL;
    if (t) oct_u8(t)[0] = on;
}

bool oct_net_batch_norm_frozen(const oct_net *net) {
    const oct_tensor *t = net ? oct_net_tensor(net, OCTI_BN_FROZEN) : NULL;
    return t && oct_u8(t)[0];
}
