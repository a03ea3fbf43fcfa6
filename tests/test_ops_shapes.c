/* SPDX-License-Identifier: MIT
 * Shapes and attributes that must be refused, with code and words; values at the edge of what ops
 * accept. */
#include <math.h>

#include "src/mem.h"
#include "tests/ops_cases.h"
#include "tests/oct_test.h"

typedef struct refusal {
    oct_status code;
    const char *text;
    op_case c;
    oct_dtype t[CASE_INPUTS]; /* OCT_F32 where not said */
} refusal;

#define CONVA(k, s, p, d, g)                                                                       \
    {                                                                                              \
        .kernel = {k, k}, .stride = {s, s}, .pads = {p, p, p, p}, .dilation = {d, d}, .groups = {  \
            g                                                                                      \
        }                                                                                          \
    }
#define X4 SH(2, 8, 8, 4)
static const refusal refusals[] = {
    {OCT_EUSAGE,
     "vertical stride",
     {OCT_OP_conv2d, CONVA(3, 0, 1, 1, 1), 2, {X4, SH(5, 3, 3, 4)}},
     {0}},
    {OCT_EUSAGE,
     "vertical stride",
     {OCT_OP_conv2d, CONVA(3, -2, 1, 1, 1), 2, {X4, SH(5, 3, 3, 4)}},
     {0}},
    {OCT_EUSAGE, "dilation", {OCT_OP_conv2d, CONVA(3, 1, 1, 0, 1), 2, {X4, SH(5, 3, 3, 4)}}, {0}},
    {OCT_EUSAGE,
     "padding at the top",
     {OCT_OP_conv2d, CONVA(3, 1, -1, 1, 1), 2, {X4, SH(5, 3, 3, 4)}},
     {0}},
    {OCT_EUSAGE, "groups", {OCT_OP_conv2d, CONVA(3, 1, 1, 1, 0), 2, {X4, SH(5, 3, 3, 4)}}, {0}},
    {OCT_ESHAPE,
     "a multiple of 3 groups",
     {OCT_OP_conv2d, CONVA(3, 1, 1, 1, 3), 2, {X4, SH(6, 3, 3, 1)}},
     {0}},
    {OCT_ESHAPE,
     "output channels",
     {OCT_OP_conv2d, CONVA(3, 1, 1, 1, 2), 2, {X4, SH(5, 3, 3, 2)}},
     {0}},
    {OCT_ESHAPE,
     "input channels of w: expected 4",
     {OCT_OP_conv2d, CONVA(3, 1, 1, 1, 1), 2, {X4, SH(5, 3, 3, 3)}},
     {0}},
    {OCT_ESHAPE,
     "kernel of w: expected 3 x 3, got 5 x 5",
     {OCT_OP_conv2d, CONVA(3, 1, 1, 1, 1), 2, {X4, SH(5, 5, 5, 4)}},
     {0}},
    {OCT_ESHAPE,
     "does not fit",
     {OCT_OP_conv2d, CONVA(11, 1, 1, 1, 1), 2, {X4, SH(5, 11, 11, 4)}},
     {0}},
    {OCT_ESHAPE,
     "does not fit",
     {OCT_OP_conv2d, CONVA(3, 1, 0, INT32_MAX, 1), 2, {X4, SH(5, 3, 3, 4)}},
     {0}},
    {OCT_ESHAPE,
     "rank of x",
     {OCT_OP_conv2d, CONVA(3, 1, 1, 1, 1), 2, {SH(2, 8, 8), SH(5, 3, 3, 4)}},
     {0}},
    {OCT_EDTYPE,
     "dtype of w: expected float32, got int8",
     {OCT_OP_conv2d, CONVA(3, 1, 1, 1, 1), 2, {X4, SH(5, 3, 3, 4)}},
     {OCT_F32, OCT_S8}},
    {OCT_ESHAPE,
     "shape of b: expected [5]",
     {OCT_OP_conv2d, CONVA(3, 1, 1, 1, 1), 3, {X4, SH(5, 3, 3, 4), SH(4)}},
     {0}},
    {OCT_EUSAGE, "number of inputs", {OCT_OP_conv2d, CONVA(3, 1, 1, 1, 1), 1, {X4}}, {0}},
    {OCT_ELIMIT,
     "overflows",
     {OCT_OP_conv2d, CONVA(1, 1, INT32_MAX, 1, 1), 2, {X4, SH(1 << 20, 1, 1, 4)}},
     {0}},
    {OCT_ESHAPE,
     "side 1",
     {OCT_OP_conv2d, CONVA(3, 1, 1, 1, 1), 2, {SH(2, 0, 8, 4), SH(5, 3, 3, 4)}},
     {0}},
    {OCT_ESHAPE,
     "input features: expected 7, got 6",
     {OCT_OP_linear, {.eps = 0}, 2, {SH(3, 6), SH(5, 7)}},
     {0}},
    {OCT_ESHAPE, "rank of x", {OCT_OP_linear, {.eps = 0}, 2, {SH(3, 1, 6), SH(5, 6)}}, {0}},
    {OCT_ESHAPE, "oct_flatten", {OCT_OP_linear, {.eps = 0}, 2, {SH(3, 1, 1, 6), SH(5, 6)}}, {0}},
    {OCT_EUSAGE, "attribute act", {OCT_OP_linear, {.act = {9}}, 2, {SH(3, 6), SH(5, 6)}}, {0}},
    {OCT_EUSAGE,
     "less than the kernel, 2",
     {OCT_OP_max_pool2d, {.kernel = {2, 2}, .stride = {2, 2}, .pads = {0, 0, 2, 0}}, 1, {X4}},
     {0}},
    {OCT_EUNSUPPORTED,
     "dilated",
     {OCT_OP_max_pool2d, {.kernel = {2, 2}, .stride = {2, 2}, .dilation = {2, 1}}, 1, {X4}},
     {0}},
    {OCT_EUSAGE, "kernel", {OCT_OP_avg_pool2d, {.kernel = {0, 2}, .stride = {2, 2}}, 1, {X4}}, {0}},
    {OCT_EUSAGE, "output size", {OCT_OP_adaptive_avg_pool2d, {.out_size = {0, 1}}, 1, {X4}}, {0}},
    {OCT_ESHAPE,
     "shape of gamma",
     {OCT_OP_batch_norm, {.eps = 1e-5f}, 5, {X4, SH(3), SH(4), SH(4), SH(4)}},
     {0}},
    {OCT_EUSAGE, "eps", {OCT_OP_batch_norm, {.eps = -1}, 5, {X4, SH(4), SH(4), SH(4), SH(4)}}, {0}},
    {OCT_EUSAGE,
     "momentum",
     {OCT_OP_batch_norm, {.momentum = 1.5f}, 5, {X4, SH(4), SH(4), SH(4), SH(4)}},
     {0}},
    {OCT_ESHAPE, "shape of b", {OCT_OP_add, {.eps = 0}, 2, {X4, SH(2, 8, 1, 4)}}, {0}},
    {OCT_ESHAPE, "shape of b", {OCT_OP_add, {.eps = 0}, 2, {X4, SH(1, 1, 1, 4)}}, {0}},
    {OCT_EUSAGE, "axis", {OCT_OP_cat, {.axis = {0}}, 2, {X4, X4}}, {0}},
    {OCT_EUSAGE, "axis", {OCT_OP_cat, {.axis = {4}}, 2, {X4, X4}}, {0}},
    {OCT_ESHAPE,
     "side 1 of x1: expected 8, got 7",
     {OCT_OP_cat, {.axis = {3}}, 2, {X4, SH(2, 7, 8, 4)}},
     {0}},
    {OCT_ESHAPE, "elements of a sample", {OCT_OP_reshape, {.shape = {5, 5}}, 1, {SH(2, 24)}}, {0}},
    {OCT_EUSAGE, "new shape", {OCT_OP_reshape, {.shape = {-1, 24}}, 1, {SH(2, 24)}}, {0}},
    {OCT_ESHAPE,
     "overflows",
     {OCT_OP_reshape, {.shape = {INT32_MAX, INT32_MAX, INT32_MAX}}, 1, {SH(2, 24)}},
     {0}},
    {OCT_EUSAGE, "padding at the left", {OCT_OP_pad, {.pads = {0, -1, 0, 0}}, 1, {X4}}, {0}},
    {OCT_EUSAGE, "attribute p", {OCT_OP_dropout, {.p = 1.0f}, 1, {X4}}, {0}},
    {OCT_EUSAGE, "attribute p", {OCT_OP_dropout, {.p = NAN}, 1, {X4}}, {0}},
    {OCT_EUSAGE,
     "qmin, qmax",
     {OCT_OP_fake_quantize, {.qmin = {0}, .qmax = {256}, .axis = {-1}}, 3, {X4, SH(1), SH(1)}},
     {0, 0, OCT_S32}},
    {OCT_EUSAGE,
     "qmin, qmax",
     {OCT_OP_fake_quantize, {.qmin = {-1}, .qmax = {200}, .axis = {-1}}, 3, {X4, SH(1), SH(1)}},
     {0, 0, OCT_S32}},
    {OCT_EDTYPE,
     "zero_point",
     {OCT_OP_fake_quantize, {.qmax = {255}, .axis = {-1}}, 3, {X4, SH(1), SH(1)}},
     {0}},
    {OCT_ESHAPE,
     "shape of scale",
     {OCT_OP_fake_quantize, {.qmax = {255}, .axis = {0}}, 3, {X4, SH(4), SH(4)}},
     {0, 0, OCT_S32}},
    {OCT_EUSAGE,
     "axis",
     {OCT_OP_fake_quantize, {.qmax = {255}, .axis = {1}}, 3, {X4, SH(8), SH(8)}},
     {0, 0, OCT_S32}},
    {OCT_EDTYPE, "labels", {OCT_OP_cross_entropy, {.eps = 0}, 2, {SH(3, 10), SH(3)}}, {0}},
    {OCT_ESHAPE, "labels", {OCT_OP_cross_entropy, {.eps = 0}, 2, {SH(3, 10), SH(4)}}, {0, OCT_S32}},
    {OCT_EUSAGE,
     "smoothing",
     {OCT_OP_cross_entropy, {.smoothing = 1.5f}, 2, {SH(3, 10), SH(3)}},
     {0, OCT_S32}},
    {OCT_ESHAPE, "target", {OCT_OP_mse_loss, {.eps = 0}, 2, {SH(3, 10), SH(10, 3)}}, {0}},
    {OCT_ESHAPE, "rank of x", {OCT_OP_lstm, {.eps = 0}, 3, {SH(3, 6), SH(8, 6), SH(8, 2)}}, {0}},
    {OCT_ESHAPE,
     "shape of w_hh",
     {OCT_OP_lstm, {.eps = 0}, 3, {SH(3, 5, 6), SH(8, 6), SH(8, 3)}},
     {0}},
    {OCT_ESHAPE,
     "shape of w_ih: expected [8, 6]",
     {OCT_OP_lstm, {.eps = 0}, 3, {SH(3, 5, 6), SH(8, 7), SH(8, 2)}},
     {0}},
    {OCT_ESHAPE,
     "b_hh",
     {OCT_OP_lstm, {.eps = 0}, 5, {SH(3, 5, 6), SH(8, 6), SH(8, 2), SH(8), SH(7)}},
     {0}},
    {OCT_EUSAGE,
     "attribute last",
     {OCT_OP_lstm, {.last = {2}}, 3, {SH(3, 5, 6), SH(8, 6), SH(8, 2)}},
     {0}},
    {OCT_ESHAPE,
     "shape of the state: expected [3, 4]",
     {OCT_OP_lstm_cell, {.eps = 0}, 6, {SH(3, 6), SH(8, 6), SH(8, 2), SH(8), SH(8), SH(3, 2)}},
     {0}},
    {OCT_EUSAGE, "axis", {OCT_OP_slice, {.axis = {0}, .range = {0, 1}}, 1, {SH(3, 6)}}, {0}},
    {OCT_EUSAGE, "range", {OCT_OP_slice, {.axis = {1}, .range = {2, 2}}, 1, {SH(3, 6)}}, {0}},
    {OCT_EUSAGE, "range", {OCT_OP_slice, {.axis = {1}, .range = {-1, 2}}, 1, {SH(3, 6)}}, {0}},
    {OCT_EUSAGE, "range", {OCT_OP_slice, {.axis = {1}, .range = {0, 7}}, 1, {SH(3, 6)}}, {0}},
    {OCT_ESHAPE,
     "teacher's logits",
     {OCT_OP_distill_loss, {.temperature = 1}, 2, {SH(3, 10), SH(3, 9)}},
     {0}},
    {OCT_ESHAPE, "rank of x", {OCT_OP_distill_loss, {.temperature = 1}, 2, {SH(10), SH(10)}}, {0}},
    {OCT_EUSAGE,
     "temperature",
     {OCT_OP_distill_loss, {.temperature = 0}, 2, {SH(3, 10), SH(3, 10)}},
     {0}},
    {OCT_EUSAGE,
     "temperature",
     {OCT_OP_distill_loss, {.temperature = NAN}, 2, {SH(3, 10), SH(3, 10)}},
     {0}},
    {OCT_EDTYPE,
     "dtype of x",
     {OCT_OP_qconv2d, CONVA(3, 1, 1, 1, 1), 4, {X4, SH(5, 3, 3, 4), SH(5), SH(5)}},
     {OCT_F32, OCT_S8, OCT_S32}},
    {OCT_EUSAGE, "lo, hi", {OCT_OP_qclip, {.lo = {9}, .hi = {3}}, 1, {X4}}, {OCT_U8}},
    {OCT_ESHAPE, "e", {OCT_OP_qsoftmax, {.eps = 0}, 2, {X4, SH(255)}}, {OCT_U8}},
    {OCT_EDTYPE, "e", {OCT_OP_qsoftmax, {.eps = 0}, 2, {X4, SH(256)}}, {OCT_U8, OCT_U8}},
    {OCT_ESHAPE, "table", {OCT_OP_qtable, {.eps = 0}, 2, {X4, SH(255)}}, {OCT_U8, OCT_U8}},
    {OCT_ESHAPE, "shape of m", {OCT_OP_qcat, {.axis = {3}}, 3, {X4, X4, SH(3)}}, {OCT_U8, OCT_U8}},
    {OCT_ESHAPE, "elements of a sample", {OCT_OP_reshape, {.shape = {5, 4}}, 1, {SH(2, 24)}}, {0}},
    {OCT_ESHAPE,
     "shape of w_ih: expected [8, 6]",
     {OCT_OP_lstm, {.eps = 0}, 3, {SH(3, 5, 6), SH(7, 6), SH(8, 2)}},
     {0}},
    {OCT_EUSAGE, "attribute law", {OCT_OP_requantize, {.law = {2}}, 2, {X4, SH(1)}}, {OCT_U8}},
    {OCT_ESHAPE,
     "shape of m: expected [2,5]",
     {OCT_OP_qlinear, {.hi = {9}, .law = {1}}, 4, {SH(3, 6), SH(5, 6), SH(5), SH(1, 5)}},
     {OCT_U8, OCT_S8, OCT_S32, OCT_S32}},
    {OCT_EDTYPE,
     "dtype of m: expected int32",
     {OCT_OP_qlinear, {.hi = {9}, .law = {1}}, 4, {SH(3, 6), SH(5, 6), SH(5), SH(2, 5)}},
     {OCT_U8, OCT_S8, OCT_S32, OCT_F32}},
    {OCT_ESHAPE,
     "shape of b: expected [5]",
     {OCT_OP_qlinear, {.hi = {9}}, 4, {SH(3, 6), SH(5, 6), SH(6), SH(5)}},
     {OCT_U8, OCT_S8, OCT_S32}},
    {OCT_EUSAGE,
     "lo, hi: expected 0 <= lo <= hi <= 255, got 0, 256",
     {OCT_OP_qlinear, {.hi = {256}}, 4, {SH(3, 6), SH(5, 6), SH(5), SH(5)}},
     {OCT_U8, OCT_S8, OCT_S32}},
    {OCT_ESHAPE,
     "shape of m: expected [2]",
     {OCT_OP_qadd, {.hi = {9}}, 3, {X4, X4, SH(3)}},
     {OCT_U8, OCT_U8}},
    {OCT_ESHAPE,
     "shape of m: expected [1]",
     {OCT_OP_qmul, {.hi = {9}}, 3, {X4, X4, SH(2)}},
     {OCT_U8, OCT_U8}},
    {OCT_ESHAPE,
     "shape of m: expected [2,3]",
     {OCT_OP_qadd, {.hi = {9}, .law = {1}}, 3, {X4, X4, SH(2, 2)}},
     {OCT_U8, OCT_U8, OCT_S32}},
    {OCT_ESHAPE,
     "shape of m: expected [7]",
     {OCT_OP_qavg_pool2d, {.kernel = {2, 3}, .stride = {1, 1}}, 2, {X4, SH(6)}},
     {OCT_U8}},
    {OCT_EUSAGE,
     "inputs: expected x alone, got 2",
     {OCT_OP_qavg_pool2d, {.kernel = {2, 3}, .stride = {1, 1}, .law = {1}}, 2, {X4, SH(7)}},
     {OCT_U8}},
    {OCT_EUSAGE,
     "inputs: expected x, m, got 1",
     {OCT_OP_qavg_pool2d, {.kernel = {2, 3}, .stride = {1, 1}}, 1, {X4}},
     {OCT_U8}},
    /* thirds of 8 are 0-2, 2-5, 5-7: of at most 4 */
    {OCT_ESHAPE,
     "shape of m: expected [17]",
     {OCT_OP_qadaptive_avg_pool2d, {.out_size = {3, 3}}, 2, {X4, SH(10)}},
     {OCT_U8}},
    {OCT_EUSAGE, "0 to 255", {OCT_OP_qpad, {.lo = {256}}, 1, {X4}}, {OCT_U8}},
    {OCT_EDTYPE,
     "dtype of w: expected int8",
     {OCT_OP_dynamic_linear, {.eps = 0}, 2, {SH(3, 6), SH(5, 6)}},
     {0}},
};

START_TEST(bad_shapes_are_refused_in_words) {
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const refusal *r = &refusals[i];
        oct_value v[CASE_INPUTS];
        const oct_value *in[CASE_INPUTS];
        for (int k = 0; k < r->c.nin; k++) {
            v[k] = (oct_value){.dtype = r->t[k], .shape = r->c.s[k]};
            in[k] = &v[k];
        }
        oct_dtype t = OCT_F64;
        oct_shape s = {.rank = -7};
        oct_clear_error();
        oct_status got = oct_infer_shape(r->c.kind, &r->c.a, in, r->c.nin, "layer7", &t, &s);
        ck_assert_msg(got == r->code, "row %zu (%s): %s, message \"%s\"", i, r->text,
                      oct_status_text(got), oct_error_message());
        ck_assert_msg(strstr(oct_error_message(), r->text) && strstr(oct_error_message(), "layer7"),
                      "row %zu: \"%s\" lacks \"%s\"", i, oct_error_message(), r->text);
        ck_assert(t == OCT_F64 && s.rank == -7); /* nothing is written on failure */
    }
}
END_TEST

START_TEST(the_batch_stays_symbolic) {
    for (int i = 0; i < OP_CASES; i++) {
        const op_case *c = &op_cases[i];
        oct_value v[CASE_INPUTS];
        const oct_value *in[CASE_INPUTS];
        bool one_image = c->kind == OCT_OP_conv2d || c->kind == OCT_OP_linear ||
                         c->kind == OCT_OP_batch_norm || c->kind == OCT_OP_lstm ||
                         c->kind == OCT_OP_lstm_cell;
        for (int k = 0; k < c->nin; k++) {
            v[k] = (oct_value){.dtype = c->kind == OCT_OP_cross_entropy && k ? OCT_S32 : OCT_F32,
                               .shape = c->s[k]};
            if (k == 0 || !one_image || k == 5 /* the state of a cell */)
                v[k].shape.dim[0] = OCT_BATCH;
            in[k] = &v[k];
        }
        oct_dtype t;
        oct_shape s;
        ck_ok(oct_infer_shape(c->kind, &c->a, in, c->nin, NULL, &t, &s));
        ck_assert(s.rank == 0 || s.dim[0] == OCT_BATCH);
    }
    oct_attrs a = {.shape = {6, 4}};
    oct_value x = {.dtype = OCT_F32, .shape = SH(OCT_BATCH, 2, 3, 4)};
    const oct_value *in[] = {&x};
    oct_dtype t;
    oct_shape s;
    ck_ok(oct_infer_shape(OCT_OP_flatten, &a, in, 1, NULL, &t, &s));
    ck_assert_str_eq(oct_shape_text(&s), "[N, 24]");
    ck_ok(oct_infer_shape(OCT_OP_reshape, &a, in, 1, NULL, &t, &s));
    ck_assert_str_eq(oct_shape_text(&s), "[N, 6, 4]");
    ck_ok(oct_infer_shape(OCT_OP_quantize, &a, in, 1, NULL, &t, &s));
    ck_assert(t == OCT_U8);
}
END_TEST

START_TEST(ops_check_before_they_write) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_attrs conv = CONVA(3, 1, 1, 1, 1);
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, X4),
               *w = oct_tensor_new(ctx, OCT_F32, SH(5, 3, 3, 4)),
               *y = oct_tensor_new(ctx, OCT_F32, SH(2, 8, 8, 5));
    oct_tensor *small = oct_tensor_new(ctx, OCT_F32, SH(2, 8, 8, 4)),
               *bytes = oct_tensor_new(ctx, OCT_U8, SH(2, 8, 8, 5));
    ck_ok(oct_conv2d_forward(ctx, &conv, x, w, NULL, y));
    ck_fails(OCT_ESHAPE, "shape of y", oct_conv2d_forward(ctx, &conv, x, w, NULL, small));
    ck_fails(OCT_EDTYPE, "dtype of y", oct_conv2d_forward(ctx, &conv, x, w, NULL, bytes));
    ck_fails(OCT_EUSAGE, "NULL", oct_conv2d_forward(ctx, &conv, x, w, NULL, NULL));
    ck_fails(OCT_EUSAGE, "missing", oct_conv2d_forward(ctx, &conv, NULL, w, NULL, y));
    ck_fails(OCT_EUSAGE, "NULL", oct_conv2d_forward(ctx, NULL, x, w, NULL, y));
    ck_fails(OCT_ESHAPE, "dy", oct_conv2d_grad_x(ctx, &conv, small, w, x));
    ck_fails(OCT_ESHAPE, "dy", oct_conv2d_grad_w(ctx, &conv, x, small, w, NULL));
    ck_fails(OCT_EUSAGE, "dw is NULL", oct_conv2d_grad_w(ctx, &conv, x, y, NULL, NULL));

    oct_tensor *logits = oct_tensor_new(ctx, OCT_F32, SH(3, 4)),
               *labels = oct_tensor_new(ctx, OCT_S32, SH(3)),
               *prob = oct_tensor_new(ctx, OCT_F32, SH(3, 4));
    oct_tensor *loss = oct_tensor_new(ctx, OCT_F32, (oct_shape){.rank = 0});
    for (int bad = 0; bad < 2; bad++) {
        oct_s32(labels)[1] = bad ? -1 : 4;
        oct_f32(prob)[0] = oct_f32(loss)[0] = 77;
        ck_fails(OCT_EUSAGE, "label of row 1",
                 oct_cross_entropy_forward(ctx, &conv, logits, labels, prob, loss));
        ck_fails(OCT_EUSAGE, "label of row 1",
                 oct_cross_entropy_grad(ctx, &conv, logits, labels, loss, prob));
        ck_assert(oct_f32(prob)[0] == 77 && oct_f32(loss)[0] == 77);
    }

    oct_attrs bn = {.eps = 1e-5f, .momentum = 0.1f};
    oct_tensor *one = oct_tensor_new(ctx, OCT_F32, SH(1, 4)),
               *v = oct_tensor_new(ctx, OCT_F32, SH(4)), *u = oct_tensor_new(ctx, OCT_F32, SH(4));
    ck_fails(OCT_EUSAGE, "values per channel",
             oct_batch_norm_train(ctx, &bn, one, v, v, NULL, NULL, v, u, one));
    ck_fails(OCT_EUSAGE, "go together",
             oct_batch_norm_train(ctx, &bn, one, v, v, v, NULL, v, u, one));

    oct_tensor *scale = oct_tensor_new(ctx, OCT_F32, SH(1)),
               *zero = oct_tensor_new(ctx, OCT_S32, SH(1)),
               *same = oct_tensor_new(ctx, OCT_F32, SH(1, 4));
    const float bad_scales[] = {0, -1, NAN, INFINITY};
    for (int i = 0; i < 4; i++) {
        oct_f32(scale)[0] = bad_scales[i];
        ck_fails(OCT_EQPARAMS, "channel 0",
                 oct_fake_quantize_forward(ctx, one, scale, zero, 0, 255, same, NULL));
    }
    oct_f32(scale)[0] = 1;
    oct_s32(zero)[0] = 256;
    ck_fails(OCT_EQPARAMS, "channel 0",
             oct_fake_quantize_forward(ctx, one, scale, zero, 0, 255, same, NULL));
    oct_s32(zero)[0] = 0;
    ck_fails(OCT_EDTYPE, "codes",
             oct_fake_quantize_forward(ctx, one, scale, zero, -127, 127, same, bytes));

    oct_tensor *index = oct_tensor_new(ctx, OCT_S32, SH(1, 1, 1, 1)),
               *g = oct_tensor_new(ctx, OCT_F32, SH(1, 1, 1, 1)),
               *dx = oct_tensor_new(ctx, OCT_F32, SH(1, 2, 2, 1));
    oct_s32(index)[0] = 4;
    ck_fails(OCT_EUSAGE, "out of the image", oct_max_pool2d_grad(ctx, g, index, dx));
    oct_close(ctx);
}
END_TEST

START_TEST(special_values) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    float x[] = {NAN, -1, 3, NAN, 7, -0.0f, 9, INFINITY, -INFINITY};
    oct_tensor *t = oct_tensor_borrow(ctx, OCT_F32, SH(9), x),
               *y = oct_tensor_new(ctx, OCT_F32, SH(9));
    ck_ok(oct_act_forward(ctx, OCT_ACT_RELU6, t, y));
    ck_assert(isnan(oct_f32(y)[0]) && oct_f32(y)[1] == 0 && oct_f32(y)[2] == 3 &&
              oct_f32(y)[4] == 6 && oct_f32(y)[7] == 6 && oct_f32(y)[8] == 0);

    /* max pool: NaN wins, the first of equals wins, padding never does */
    float im[] = {1, NAN, NAN, -5, -5, -5, -9, -9, -9};
    oct_tensor *img = oct_tensor_borrow(ctx, OCT_F32, SH(1, 3, 3, 1), im),
               *p = oct_tensor_new(ctx, OCT_F32, SH(1, 2, 2, 1)),
               *at = oct_tensor_new(ctx, OCT_S32, SH(1, 2, 2, 1));
    oct_attrs a = {.kernel = {2, 2}, .stride = {2, 2}, .pads = {1, 1, 0, 0}};
    ck_ok(oct_max_pool2d_forward(ctx, &a, img, p, at));
    ck_assert(oct_f32(p)[0] == 1 && isnan(oct_f32(p)[1]) && oct_s32(at)[1] == 1);
    ck_assert(oct_f32(p)[2] == -5 && oct_s32(at)[2] == 3 && oct_f32(p)[3] == -5 &&
              oct_s32(at)[3] == 4);

    oct_tensor *lo = oct_tensor_new(ctx, OCT_F32, SH(1)), *hi = oct_tensor_new(ctx, OCT_F32, SH(1));
    ck_ok(oct_minmax(ctx, t, lo, hi));
    ck_assert(oct_f32(lo)[0] == -INFINITY && oct_f32(hi)[0] == INFINITY);
    x[7] = x[8] = NAN;
    ck_ok(oct_minmax(ctx, t, lo, hi));
    ck_assert(oct_f32(lo)[0] == -1 && oct_f32(hi)[0] == 9);
    for (int i = 0; i < 9; i++) x[i] = NAN;
    ck_ok(oct_minmax(ctx, t, lo, hi));
    ck_assert(oct_f32(lo)[0] == INFINITY && oct_f32(hi)[0] == -INFINITY);

    /* of many pieces, the least in one of the middle, the largest in the last */
    enum { MANY = 70001 };
    oct_tensor *many = oct_tensor_new(ctx, OCT_F32, SH(MANY));
    oct_f32(many)[MANY / 2] = -3;
    oct_f32(many)[MANY - 1] = 5;
    ck_ok(oct_minmax(ctx, many, lo, hi));
    ck_assert(oct_f32(lo)[0] == -3 && oct_f32(hi)[0] == 5);

    /* softmax and losses stay finite for large logits, wherever the largest stands */
    for (int top = 0; top < 3; top++) {
        float row[3] = {0, 0, 0};
        row[top] = 500;
        oct_tensor *three = oct_tensor_borrow(ctx, OCT_F32, SH(1, 3), row),
                   *q = oct_tensor_new(ctx, OCT_F32, SH(1, 3)),
                   *label = oct_tensor_new(ctx, OCT_S32, SH(1)),
                   *nats = oct_tensor_new(ctx, OCT_F32, (oct_shape){.rank = 0});
        ck_ok(oct_softmax_forward(ctx, three, q));
        ck_assert(oct_f32(q)[top] == 1 && oct_f32(q)[(top + 1) % 3] < 1e-30f);
        ck_ok(oct_log_softmax_forward(ctx, three, q));
        ck_assert(oct_f32(q)[top] == 0 && oct_f32(q)[(top + 1) % 3] == -500);
        oct_s32(label)[0] = (top + 2) % 3;
        ck_ok(oct_cross_entropy_forward(ctx, &a, three, label, q, nats));
        ck_assert_float_eq(oct_f32(nats)[0], 500);
    }
    float big[] = {1e30f, -1e30f, 0, 5000, 4999, -5000};
    oct_tensor *l = oct_tensor_borrow(ctx, OCT_F32, SH(2, 3), big),
               *s = oct_tensor_new(ctx, OCT_F32, SH(2, 3)),
               *lab = oct_tensor_new(ctx, OCT_S32, SH(2));
    oct_tensor *loss = oct_tensor_new(ctx, OCT_F32, (oct_shape){.rank = 0});
    ck_ok(oct_softmax_forward(ctx, l, s));
    ck_assert(oct_f32(s)[0] == 1 && oct_f32(s)[1] == 0 &&
              fabsf(oct_f32(s)[3] - 0.7310586f) < 1e-6f);
    ck_ok(oct_cross_entropy_forward(ctx, &a, l, lab, s, loss));
    ck_assert(fabsf(oct_f32(loss)[0] - 0.5f * 0.3132617f) < 1e-6f);

    /* a constant channel, far from zero: variance 0, not negative */
    oct_tensor *c = oct_tensor_new(ctx, OCT_F32, SH(300, 2)),
               *one = oct_tensor_new(ctx, OCT_F32, SH(2)),
               *zero = oct_tensor_new(ctx, OCT_F32, SH(2));
    oct_tensor *m = oct_tensor_new(ctx, OCT_F32, SH(2)), *inv = oct_tensor_new(ctx, OCT_F32, SH(2)),
               *rm = oct_tensor_new(ctx, OCT_F32, SH(2)), *rv = oct_tensor_new(ctx, OCT_F32, SH(2));
    for (int i = 0; i < 600; i++) oct_f32(c)[i] = i % 2 ? 1e4f + (float)(i / 2 % 3) : 12345.678f;
    oct_f32(one)[0] = oct_f32(one)[1] = 1;
    oct_attrs bn = {.eps = 1e-5f, .momentum = 1.0f};
    ck_ok(oct_batch_norm_train(ctx, &bn, c, one, zero, rm, rv, m, inv, c));
    ck_assert(fabsf(oct_f32(c)[0]) < 0.5f && oct_f32(m)[0] == 12345.678f && oct_f32(rv)[0] >= 0 &&
              oct_f32(rv)[0] < 1e-6f);
    ck_assert(fabsf(oct_f32(rm)[1] - 10001.0f) < 1e-2f &&
              fabsf(oct_f32(rv)[1] - 2.0f / 3 * 300 / 299) < 1e-5f);
    oct_close(ctx);
}
END_TEST

/** Every allocation fails once: an error, no leak, and the context works afterwards. */
START_TEST(allocation_failures_are_errors) {
    int failed = 0;
    for (int n = 1; n < 60; n++) {
        char text[16];
        snprintf(text, sizeof text, "%d", n);
        setenv("OCT_FAIL_ALLOC", text, 1);
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
        unsetenv("OCT_FAIL_ALLOC");
        if (!ctx) continue;
        oct_attrs conv = CONVA(3, 2, 1, 1, 1), bn = {.eps = 1e-5f};
        oct_tensor *x = oct_tensor_new(ctx, OCT_F32, SH(9, 40, 40, 16)),
                   *w = oct_tensor_new(ctx, OCT_F32, SH(20, 3, 3, 16)),
                   *y = oct_tensor_new(ctx, OCT_F32, SH(9, 20, 20, 20));
        oct_tensor *g = oct_tensor_new(ctx, OCT_F32, SH(20)),
                   *m = oct_tensor_new(ctx, OCT_F32, SH(20));
        for (int again = 0; x && w && y && g && m && again < 2; again++) {
            oct_status s[] = {oct_conv2d_forward(ctx, &conv, x, w, g, y),
                              oct_conv2d_grad_x(ctx, &conv, y, w, x),
                              oct_conv2d_grad_w(ctx, &conv, x, y, w, g),
                              oct_batch_norm_train(ctx, &bn, y, g, g, NULL, NULL, m, m, y)};
            for (int i = 0; i < 4; i++) {
                ck_assert(s[i] == OCT_OK || (s[i] == OCT_ENOMEM && !again));
                failed += s[i] != OCT_OK;
            }
        }
        oct_close(ctx);
    }
    ck_assert_int_ge(failed, 2); /* scratch comes in blocks of a megabyte and more */
}
END_TEST

OCT_TEST_MAIN("ops_shapes", bad_shapes_are_refused_in_words, the_batch_stays_symbolic,
              ops_check_before_they_write, special_values, allocation_failures_are_errors)
