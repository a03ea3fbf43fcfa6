/* SPDX-License-Identifier: MIT
 * tests/onnx_values.h - small ONNX files by hand whose outputs a test works out itself, by the
 * standard's words. */
#ifndef OCT_TESTS_ONNX_VALUES_H
#define OCT_TESTS_ONNX_VALUES_H

#include <math.h>

#include "octet.h"
#include "tests/onnx_file.h"

enum { N = 2, C = 3, H = 6, W = 5 };

/* ---- files ---- */

static inline OctiOnnx__NodeProto *node3(const char *op, const char *a, const char *b,
                                         const char *c, const char *y) {
    OctiOnnx__NodeProto *n = node(op, a, b, y);
    n->input[2] = (char *)c;
    n->n_input = 3;
    return n;
}

static inline OctiOnnx__NodeProto *with_int(OctiOnnx__NodeProto *n, const char *name, int64_t v) {
    attribute *a = attr(n, name);
    a->type = OCTI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
    a->has_i = 1;
    a->i = v;
    return n;
}
static inline OctiOnnx__NodeProto *with_float(OctiOnnx__NodeProto *n, const char *name, float v) {
    attribute *a = attr(n, name);
    a->type = OCTI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
    a->has_f = 1;
    a->f = v;
    return n;
}
static inline OctiOnnx__NodeProto *with_word(OctiOnnx__NodeProto *n, const char *name,
                                             const char *v) {
    attribute *a = attr(n, name);
    a->type = OCTI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING;
    a->has_s = 1;
    a->s.data = (uint8_t *)v;
    a->s.len = strlen(v);
    return n;
}
static inline OctiOnnx__NodeProto *with_two(OctiOnnx__NodeProto *n, const char *name, int64_t a,
                                            int64_t b) {
    ints(n, name, 2, (int64_t[]){a, b});
    return n;
}

static float numbers[MOST]; /* what the constants hold, until the file is read */
static int64_t wholes[MOST][4];

static inline void number(const char *name, float v) {
    const size_t k = f.g.n_initializer;
    numbers[k] = v;
    init(name, 1, 0, (int64_t[]){0}, &numbers[k], sizeof *numbers);
}
static inline void whole(const char *name, int count, const int64_t *v) {
    const size_t k = f.g.n_initializer;
    memcpy(wholes[k], v, sizeof *v * (size_t)count);
    init(name, 7, 1, (int64_t[]){count}, wholes[k], sizeof *v * (size_t)count);
}

/* ---- values ---- */

/* From -4 to 4, no two near each other alike. */
static inline double x_at(int64_t n, int64_t c, int64_t h, int64_t w) {
    return (double)((((n * C + c) * H + h) * W + w) * 7919 % 801 - 400) / 100;
}
typedef double want_fn(int64_t n, int64_t c, int64_t p, int64_t q);

/* The file's output has this shape (h 0: two axes) and these values. */
static inline void gives(const char *what, int64_t c, int64_t h, int64_t w, want_fn *want) {
    oct_net *net = import(NULL);
    ck_assert_msg(net != NULL, "%s: %s", what, oct_error_message());
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(N, H, W, C));
    for (int64_t i = 0; i < N * H * W * C; i++)
        oct_f32(x)[i] = (float)x_at(i / C / W / H, i % C, i / C / W % H, i / C % W);
    oct_tape *t = oct_tape_new(ctx);
    oct_tape_begin(t, OCT_EVAL);
    const oct_var *out = oct_net_forward(net, oct_input(t, x));
    ck_assert_msg(out != NULL, "%s: %s", what, oct_error_message());
    const oct_tensor *y = oct_var_value(out);
    const oct_shape s = h ? OCT_SHAPE(N, h, w, c) : OCT_SHAPE(N, c);
    ck_assert_msg(oct_shape_equal(&s, &y->shape), "%s: shape %s", what, oct_shape_text(&y->shape));
    if (!h) h = w = 1;
    for (int64_t i = 0; i < N * h * w * c; i++) {
        const int64_t n = i / c / w / h, k = i % c, p = i / c / w % h, q = i / c % w;
        const double is = (double)oct_f32(y)[i], should = want(n, k, p, q);
        ck_assert_msg(fabs(is - should) <= 2e-5 * (1 + fabs(should)),
                      "%s: y[%d,%d,%d,%d] = %g, by hand %g", what, (int)n, (int)k, (int)p, (int)q,
                      is, should);
    }
    oct_tape_free(t);
    oct_tensor_unref(x);
    oct_net_free(net);
}

static inline void is_refused(const char *text) {
    ck_assert_msg(import(NULL) == NULL, "%s: it came in", text);
    ck_assert_msg(strstr(oct_error_message(), text) != NULL, "\"%s\" lacks \"%s\"",
                  oct_error_message(), text);
}

#endif
