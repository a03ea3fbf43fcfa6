/* SPDX-License-Identifier: MIT
 * Holds what convert made against what training saw, on the net's probe or on one made over its
 * input's range; the first code that differs is told. */
#include "qat/convert_check.h"

#include "qat/compare.h"
#include "qat/net/prepared.h"
#include "src/mem.h"
#include "src/qround.h"
#include "src/rng.h"

typedef struct range {
    float lo, hi;
} range;

/* What inputs can be: the range of the quantizer that reads them; else what pixels become; else an
 * assumption. */
static range input_range(const oct_net *net) {
    const oct_graph *g = net->graph;
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        if (n->kind != OCT_OP_quantize || n->in[0] != g->input || !octi_is_int8(g, n)) continue;
        const oct_quantizer *q = &g->quantizers[g->values[n->out].quantizer];
        return (range){octq_dequantize(q->spec.qmin, octi_scale(q), octi_zero_point(q)),
                       octq_dequantize(q->spec.qmax, octi_scale(q), octi_zero_point(q))};
    }
    range r = {-1, 1};
    for (int32_t c = 0; c < net->input.channels && c < 4 && net->input.div > 0; c++) {
        const float lo = octq_pixel(0, net->input.div, net->input.mean[c], net->input.std[c]),
                    hi = octq_pixel(255, net->input.div, net->input.mean[c], net->input.std[c]);
        r = (range){!c || lo < r.lo ? lo : r.lo, !c || hi > r.hi ? hi : r.hi};
    }
    return r;
}

/* Deterministic inputs for a net that kept none: even over the range, a little beyond it, image by
 * image within a narrower part of it, so that some are dark and some bright. */
static oct_tensor *made_probe(const oct_net *net) {
    enum { IMAGES = 16 };
    const oct_shape *in = &net->graph->values[net->graph->input].shape;
    oct_tensor *x = oct_tensor_new(net->ctx, OCT_F32, octi_shape_with_batch(in, IMAGES));
    const range r = input_range(net);
    const float mid = r.lo + (r.hi - r.lo) / 2, half = (r.hi - r.lo) / 2;
    octi_rng rng = octi_rng_stream(1, OCTI_RNG_SAMPLE, 0, 0);
    const int64_t image = x ? oct_tensor_count(x) / IMAGES : 0;
    for (int64_t i = 0; i < image * IMAGES; i++) {
        const float part = 1.05f * (float)(1 + i / image % 4) / 4,
                    shift = (1 - part) * (float)(i / image / 4 % 4 - 1) / 2;
        oct_f32(x)[i] = mid + half * (shift + part * (2 * octi_rng_uniform(&rng) - 1));
    }
    return x;
}

oct_status octi_convert_check(oct_net *prepared, const oct_net *int8, oct_convert_report *report) {
    oct_tensor *made = prepared->probe ? NULL : made_probe(prepared);
    const oct_tensor *x = made ? made : prepared->probe;
    if (!x) return oct_last_error()->code;
    report->probe = made ? OCT_PROBE_MADE : OCT_PROBE_KEPT;
    report->probe_images = (int32_t)x->shape.dim[0];
    oct_mismatch *m = &report->check;
    oct_status s = oct_compare(prepared, int8, x, m);
    oct_tensor_unref(made);
    if (s != OCT_OK || !m->mismatched) return s;
    return octi_fail(OCT_ECHECK, m->node,
                     octi_fmt("the int8 net is not the one that was trained: code of element %lld",
                              (long long)m->element),
                     octi_fmt("%d", m->expected),
                     octi_fmt("%d (%lld of %lld codes differ)", m->got, (long long)m->mismatched,
                              (long long)m->codes),
                     "a fault of octet: report it with the run");
}
