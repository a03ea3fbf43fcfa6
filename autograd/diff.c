/* SPDX-License-Identifier: MIT
 * The table, and the kinds that need no more than a call each. */
#include "autograd/diff.h"

#include <string.h>

static oct_status no_float_form(octi_call *c) {
    return octi_fail(OCT_EUNSUPPORTED, c->node->name, "integer op on a tape", "a float op",
                     oct_op_name(c->node->kind), "int8 nets run through a plan");
}

static const octi_diff table[OCT_OP_KIND_COUNT] = {
#define OCT_OP(name, least, most, flags)      {octi_fwd_##name, octi_bwd_##name},
#define OCT_OP_INT8(name, least, most, flags) {no_float_form, no_float_form},
#include "src/op_kinds.def"
#undef OCT_OP
};

const octi_diff *octi_diff_of(oct_op_kind kind) { return &table[kind]; }

/* ---- activations ---- */

static oct_status act_fwd(octi_call *c, oct_act act) {
    OCT_TRY(octi_call_output(c));
    return oct_act_forward(c->ctx, act, c->in[0], c->out);
}

static oct_status act_bwd(octi_call *c, oct_act act) {
    octi_call_pass(c, 0);
    return oct_act_grad(c->ctx, act, c->out, c->dout, c->din[0]);
}

oct_status octi_fwd_relu(octi_call *c) { return act_fwd(c, OCT_ACT_RELU); }
oct_status octi_bwd_relu(octi_call *c) { return act_bwd(c, OCT_ACT_RELU); }
oct_status octi_fwd_relu6(octi_call *c) { return act_fwd(c, OCT_ACT_RELU6); }
oct_status octi_bwd_relu6(octi_call *c) { return act_bwd(c, OCT_ACT_RELU6); }

static oct_status unary_fwd(octi_call *c) {
    OCT_TRY(octi_call_output(c));
    return oct_unary_forward(c->ctx, c->node->kind, &c->node->attr, c->in[0], c->out);
}
static oct_status unary_bwd(octi_call *c) {
    octi_call_pass(c, 0);
    return oct_unary_grad(c->ctx, c->node->kind, &c->node->attr, c->in[0], c->out, c->dout,
                          c->din[0]);
}
#define OCT_OP(name, least, most, flags)
#define OCT_OP_INT8(name, least, most, flags)
#define OCT_OP_UNARY(name)                                                                         \
    oct_status octi_fwd_##name(octi_call *c) { return unary_fwd(c); }                              \
    oct_status octi_bwd_##name(octi_call *c) { return unary_bwd(c); }
#include "src/op_kinds.def"
#undef OCT_OP

oct_status octi_fwd_softmax(octi_call *c) {
    OCT_TRY(octi_call_output(c));
    return oct_softmax_forward(c->ctx, c->in[0], c->out);
}
oct_status octi_bwd_softmax(octi_call *c) {
    OCT_TRY(octi_call_din(c, 0));
    return oct_softmax_grad(c->ctx, c->out, c->dout, c->din[0]);
}
oct_status octi_fwd_log_softmax(octi_call *c) {
    OCT_TRY(octi_call_output(c));
    return oct_log_softmax_forward(c->ctx, c->in[0], c->out);
}
oct_status octi_bwd_log_softmax(octi_call *c) {
    OCT_TRY(octi_call_din(c, 0));
    return oct_log_softmax_grad(c->ctx, c->out, c->dout, c->din[0]);
}

/* ---- views: no element moves ---- */

static oct_status view_fwd(octi_call *c) {
    const oct_value *v = &c->graph->values[c->node->out];
    c->out = octi_tensor_view(c->arena, v->dtype, v->shape, c->in[0]->data);
    return c->out ? OCT_OK : oct_last_error()->code;
}
static oct_status view_bwd(octi_call *c) { return octi_call_pass(c, 0), OCT_OK; }

oct_status octi_fwd_flatten(octi_call *c) { return view_fwd(c); }
oct_status octi_bwd_flatten(octi_call *c) { return view_bwd(c); }
oct_status octi_fwd_reshape(octi_call *c) { return view_fwd(c); }
oct_status octi_bwd_reshape(octi_call *c) { return view_bwd(c); }
oct_status octi_fwd_identity(octi_call *c) { return view_fwd(c); }
oct_status octi_bwd_identity(octi_call *c) { return view_bwd(c); }
/* Borders between float and codes are identities on a tape: a prepared net's hook gives them their
 * meaning. */
oct_status octi_fwd_quantize(octi_call *c) { return view_fwd(c); }
oct_status octi_bwd_quantize(octi_call *c) { return view_bwd(c); }
oct_status octi_fwd_dequantize(octi_call *c) { return view_fwd(c); }
oct_status octi_bwd_dequantize(octi_call *c) { return view_bwd(c); }

/* ---- pooling ---- */

oct_status octi_fwd_max_pool2d(octi_call *c) {
    OCT_TRY(octi_call_output(c));
    if (c->wants_grad && !(c->saved[0] = octi_call_tensor(c, OCT_S32, c->out->shape)))
        return oct_last_error()->code;
    return oct_max_pool2d_forward(c->ctx, &c->node->attr, c->in[0], c->out, c->saved[0]);
}
oct_status octi_bwd_max_pool2d(octi_call *c) {
    OCT_TRY(octi_call_din(c, 0));
    return oct_max_pool2d_grad(c->ctx, c->dout, c->saved[0], c->din[0]);
}
oct_status octi_fwd_avg_pool2d(octi_call *c) {
    OCT_TRY(octi_call_output(c));
    return oct_avg_pool2d_forward(c->ctx, &c->node->attr, c->in[0], c->out);
}
oct_status octi_bwd_avg_pool2d(octi_call *c) {
    OCT_TRY(octi_call_din(c, 0));
    return oct_avg_pool2d_grad(c->ctx, &c->node->attr, c->dout, c->din[0]);
}
oct_status octi_fwd_adaptive_avg_pool2d(octi_call *c) {
    OCT_TRY(octi_call_output(c));
    return oct_adaptive_avg_pool2d_forward(c->ctx, c->in[0], c->out);
}
oct_status octi_bwd_adaptive_avg_pool2d(octi_call *c) {
    OCT_TRY(octi_call_din(c, 0));
    return oct_adaptive_avg_pool2d_grad(c->ctx, c->dout, c->din[0]);
}

/* ---- joins ---- */

oct_status octi_fwd_add(octi_call *c) {
    OCT_TRY(octi_call_output(c));
    OCT_TRY(oct_add_forward(c->ctx, c->in[0], c->in[1], c->out));
    oct_act act = (oct_act)c->node->attr.act[0];
    return act ? oct_act_forward(c->ctx, act, c->out, c->out) : OCT_OK;
}
oct_status octi_bwd_add(octi_call *c) {
    oct_act act = (oct_act)c->node->attr.act[0];
    if (act) OCT_TRY(oct_act_grad(c->ctx, act, c->out, c->dout, c->dout));
    int whole = -1; /* the side that takes dout over, once the other has what it needs */
    for (int k = 0; k < 2; k++) {
        if (!c->din[k]) continue;
        bool broadcast = !oct_shape_equal(&c->in[k]->shape, &c->dout->shape);
        if (!broadcast && whole < 0) {
            whole = k;
            continue;
        }
        OCT_TRY(octi_call_din(c, k));
        if (broadcast)
            OCT_TRY(oct_add_grad_broadcast(c->ctx, c->dout, c->din[k]));
        else
            memcpy(c->din[k]->data, c->dout->data, oct_tensor_bytes(c->dout));
    }
    if (whole >= 0) octi_call_pass(c, whole);
    return OCT_OK;
}

oct_status octi_fwd_mul(octi_call *c) {
    OCT_TRY(octi_call_output(c));
    return oct_mul_forward(c->ctx, c->in[0], c->in[1], c->out);
}
oct_status octi_bwd_mul(octi_call *c) {
    for (int k = 0; k < 2; k++) {
        if (!c->din[k]) continue;
        OCT_TRY(octi_call_din(c, k));
        OCT_TRY(oct_mul_grad(c->ctx, c->dout, c->in[1 - k], c->din[k]));
    }
    return OCT_OK;
}

oct_status octi_fwd_cat(octi_call *c) {
    OCT_TRY(octi_call_output(c));
    return oct_cat_forward(c->ctx, &c->node->attr, (const oct_tensor *const *)c->in, c->node->nin,
                           c->out);
}
oct_status octi_bwd_cat(octi_call *c) {
    int64_t offset = 0;
    for (int k = 0; k < c->node->nin; k++) {
        if (c->din[k]) {
            OCT_TRY(octi_call_din(c, k));
            OCT_TRY(oct_cat_grad(c->ctx, &c->node->attr, c->dout, offset, c->din[k]));
        }
        offset += c->in[k]->shape.dim[c->node->attr.axis[0]];
    }
    return OCT_OK;
}

oct_status octi_fwd_pad(octi_call *c) {
    OCT_TRY(octi_call_output(c));
    return oct_pad_forward(c->ctx, &c->node->attr, c->in[0], c->out);
}
oct_status octi_bwd_pad(octi_call *c) {
    OCT_TRY(octi_call_din(c, 0));
    return oct_pad_grad(c->ctx, &c->node->attr, c->dout, c->din[0]);
}

oct_status octi_fwd_slice(octi_call *c) {
    OCT_TRY(octi_call_output(c));
    return oct_slice_forward(c->ctx, &c->node->attr, c->in[0], c->out);
}
oct_status octi_bwd_slice(octi_call *c) {
    OCT_TRY(octi_call_din(c, 0));
    return oct_slice_grad(c->ctx, &c->node->attr, c->dout, c->din[0]);
}

oct_status octi_fwd_dropout(octi_call *c) {
    if (c->mode != OCT_TRAIN || c->node->attr.p == 0) return view_fwd(c);
    OCT_TRY(octi_call_output(c));
    return oct_dropout_forward(c->ctx, &c->node->attr, &c->key, c->in[0], c->out);
}
oct_status octi_bwd_dropout(octi_call *c) {
    octi_call_pass(c, 0);
    return c->node->attr.p == 0
               ? OCT_OK
               : oct_dropout_forward(c->ctx, &c->node->attr, &c->key, c->dout, c->din[0]);
}

/* ---- fake quantization ---- */

oct_status octi_fwd_fake_quantize(octi_call *c) {
    OCT_TRY(octi_call_output(c));
    const oct_attrs *a = &c->node->attr;
    return oct_fake_quantize_forward(c->ctx, c->in[0], c->in[1], c->in[2], a->qmin[0], a->qmax[0],
                                     c->out, NULL);
}
oct_status octi_bwd_fake_quantize(octi_call *c) {
    const oct_attrs *a = &c->node->attr;
    octi_call_pass(c, 0);
    return oct_fake_quantize_grad(c->ctx, c->in[0], c->in[1], c->in[2], a->qmin[0], a->qmax[0],
                                  c->dout, c->din[0]);
}

/* ---- losses ---- */

oct_status octi_fwd_cross_entropy(octi_call *c) {
    OCT_TRY(octi_call_output(c));
    if (!(c->saved[0] = octi_call_tensor(c, OCT_F32, c->in[0]->shape)))
        return oct_last_error()->code;
    return oct_cross_entropy_forward(c->ctx, &c->node->attr, c->in[0], c->in[1], c->saved[0],
                                     c->out);
}
oct_status octi_bwd_cross_entropy(octi_call *c) {
    OCT_TRY(octi_call_din(c, 0));
    return oct_cross_entropy_grad(c->ctx, &c->node->attr, c->saved[0], c->in[1], c->dout,
                                  c->din[0]);
}
oct_status octi_fwd_mse_loss(octi_call *c) {
    OCT_TRY(octi_call_output(c));
    return oct_mse_loss_forward(c->ctx, c->in[0], c->in[1], c->out);
}
oct_status octi_bwd_mse_loss(octi_call *c) {
    OCT_TRY(octi_call_din(c, 0));
    return oct_mse_loss_grad(c->ctx, c->in[0], c->in[1], c->dout, c->din[0]);
}
oct_status octi_fwd_distill_loss(octi_call *c) {
    OCT_TRY(octi_call_output(c));
    if (!(c->saved[0] = octi_call_tensor(c, OCT_F32, c->in[0]->shape)))
        return oct_last_error()->code;
    return oct_distill_loss_forward(c->ctx, &c->node->attr, c->in[0], c->in[1], c->saved[0],
                                    c->out);
}
oct_status octi_bwd_distill_loss(octi_call *c) {
    if (c->din[1])
        return octi_fail(OCT_EUNSUPPORTED, c->node->name, "gradient of the teacher",
                         "logits without one", NULL, NULL);
    OCT_TRY(octi_call_din(c, 0));
    return oct_distill_loss_grad(c->ctx, &c->node->attr, c->saved[0], c->dout, c->din[0]);
}
