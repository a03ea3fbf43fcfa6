/* SPDX-License-Identifier: MIT
 * Learned steps by the papers' formulas, in double: first values (LSQ: 2 mean|v| / sqrt(Qp); LSQ+:
 * mean +- 3 standard deviations, or the least error of a first batch; PACT: the range's end),
 * gradients of weight steps, and whole steps of small nets. */
#include "tests/oct_test.h"

#include <math.h>
#include <string.h>

#include "autograd/tape.h"
#include "octet.h"
#include "qat/scales/learned.h"
#include "qat/step/learned_grad.h"
#include "src/qround.h"
#include "src/rng.h"

static oct_tensor *drawn(oct_ctx *ctx, oct_shape s, uint32_t key) {
    oct_tensor *t = oct_tensor_new(ctx, OCT_F32, s);
    octi_rng r = octi_rng_stream(3, OCTI_RNG_TEST, key, 0);
    for (int64_t i = 0; i < oct_tensor_count(t); i++) oct_f32(t)[i] = octi_rng_normal(&r);
    return t;
}

/* ---- first values ---- */

static double mean_abs(const float *x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += fabs((double)x[i]);
    return sum / (double)n;
}

static double three_deviations(const float *x, int64_t n) {
    double sum = 0, square = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    const double mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) square += (x[i] - mean) * (x[i] - mean);
    const double sd = sqrt(square / (double)n);
    return fmax(fabs(mean - 3 * sd), fabs(mean + 3 * sd));
}

enum { IN = 5, OUT = 4, BATCH = 16 };

/* A linear layer behind nothing but the input's quantization, with or without batch norm. */
static oct_net *layer(oct_ctx *ctx, bool bn, const oct_qconfig *c) {
    oct_module *parts[] = {
        oct_linear_new(ctx, &(oct_linear_opts){.in = IN, .out = OUT, .no_bias = bn}),
        bn ? oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = OUT}) : NULL};
    oct_net *net = oct_capture(oct_sequential_new(ctx, parts, bn ? 2 : 1), OCT_SHAPE(IN));
    ck_not_null(net);
    for (int i = 0; bn && i < OUT; i++) {
        oct_f32(oct_net_tensor(net, "1.weight"))[i] = i == 2 ? -0.4f : 0.5f + 0.7f * (float)i;
        oct_f32(oct_net_tensor(net, "1.running_var"))[i] = 0.3f + (float)i;
    }
    oct_net *q = oct_prepare(net, c);
    ck_not_null(q);
    return q;
}

static const oct_node *product_of(const oct_net *q) {
    const oct_node *n = NULL;
    for (int32_t i = 0; i < q->graph->node_count; i++)
        if (q->graph->nodes[i].kind == OCT_OP_linear || q->graph->nodes[i].kind == OCT_OP_conv2d)
            n = &q->graph->nodes[i];
    ck_not_null(n);
    return n;
}

static oct_var *train_forward(oct_tape *t, oct_net *q, const oct_tensor *x) {
    oct_tape_begin(t, OCT_TRAIN);
    oct_var *y = oct_net_forward(q, oct_input(t, x));
    ck_not_null(y);
    return y;
}

START_TEST(first_steps_of_weights) {
    static const oct_method methods[] = {OCT_METHOD_LSQ, OCT_METHOD_LSQ_PLUS};
    static const oct_granularity grain[] = {OCT_GRANULARITY_CHANNEL, OCT_GRANULARITY_TENSOR};
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_tape *t = oct_tape_new(ctx);
    for (int k = 0; k < 16; k++) {
        const bool plus = k & 1, tensor = k & 2, bn = k & 4;
        const int bits = k & 8 ? 4 : 2, top = (1 << (bits - 1)) - 1;
        oct_net *q = layer(ctx, bn,
                           &(oct_qconfig){.method = methods[plus],
                                          .granularity = grain[tensor],
                                          .wbits = bits,
                                          .all_layers = true});
        const float *w = oct_f32(oct_net_tensor(q, "0.weight"));
        float folded[OUT * IN];
        for (int i = 0; i < OUT * IN; i++) {
            const int o = i / IN;
            folded[i] =
                bn ? w[i] * oct_fold_factor(oct_f32(oct_net_tensor(q, "1.weight"))[o],
                                            oct_f32(oct_net_tensor(q, "1.running_var"))[o], 1e-5f)
                   : w[i];
        }
        oct_net_freeze_batch_norm(q, true);
        train_forward(t, q, drawn(ctx, OCT_SHAPE(BATCH, IN), 1));
        const oct_tensor *step = octi_weight_quantizer(q->graph, product_of(q))->step;
        ck_assert_int_eq(oct_tensor_count(step), tensor ? 1 : OUT);
        for (int o = 0; o < (tensor ? 1 : OUT); o++) {
            /* a channel's step is of the weights before the fold */
            const float *of = tensor ? folded : w + o * IN;
            const int64_t n = tensor ? OUT * IN : IN;
            double want = plus ? three_deviations(of, n) / top : 2 * mean_abs(of, n) / sqrt(top);
            ck_assert_msg(fabs(oct_f32(step)[o] - want) < 2e-6 * want,
                          "case %d, step %d: %.9g, not %.9g", k, o, oct_f32(step)[o], want);
        }
    }
    oct_close(ctx);
}
END_TEST

/* relu(x) of standard normals: lsq 2 mean / sqrt(levels); lsq+ the share of the range's scale, in
 * fortieths, of least error. */
START_TEST(first_steps_of_values) {
    static const oct_method methods[] = {OCT_METHOD_LSQ, OCT_METHOD_LSQ_PLUS, OCT_METHOD_PACT};
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    for (int k = 0; k < 6; k++) {
        const oct_method method = methods[k % 3];
        oct_quantizer q = {
            .name = "q", .observer = "minmax", .method = method, .spec = {.bits = 3, .qmax = 7}};
        q.scale = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1));
        q.step = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1));
        q.min_val = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1));
        q.max_val = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1));
        q.zero_point = oct_tensor_new(ctx, OCT_S32, OCT_SHAPE(1));
        if (method == OCT_METHOD_LSQ_PLUS) q.offset = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1));
        oct_tensor *x = drawn(ctx, OCT_SHAPE(BATCH, 30), 2);
        float lo = 0, hi = 0;
        for (int64_t i = 0; i < oct_tensor_count(x); i++) {
            /* zero point 0, else in the middle */
            if (k < 3) oct_f32(x)[i] = fmaxf(oct_f32(x)[i], 0);
            lo = fminf(lo, oct_f32(x)[i]), hi = fmaxf(hi, oct_f32(x)[i]);
        }
        *oct_f32(q.min_val) = lo, *oct_f32(q.max_val) = hi;
        ck_ok(
            oct_qparams_from_range(&q.spec, lo, hi, "x", oct_f32(q.scale), oct_s32(q.zero_point)));
        const float scale = *oct_f32(q.scale);
        const int32_t z = *oct_s32(q.zero_point);
        ck_assert_int_eq(z > 0, k >= 3);
        octi_learned_start(&q, oct_f32(x), oct_tensor_count(x));
        double want = 0, least = INFINITY;
        if (k % 3 == 0) want = 2 * mean_abs(oct_f32(x), oct_tensor_count(x)) / sqrt(7 - z);
        if (k % 3 == 2) want = (double)scale * (7 - z);
        for (int c = 0; c < 40 && k % 3 == 1; c++) {
            double s = scale * (1 - c / 40.0), e = 0;
            for (int64_t i = 0; i < oct_tensor_count(x); i++) {
                double code = fmin(fmax(rint(oct_f32(x)[i] / s) + z, 0), 7),
                       d = oct_f32(x)[i] - s * (code - z);
                e += d * d;
            }
            if (e < least) least = e, want = s;
        }
        ck_assert_msg(fabs(*oct_f32(q.step) - want) < 1e-5 * want, "%s: first step %.9g, not %.9g",
                      oct_method_name(method), *oct_f32(q.step), want);
        if (q.offset) ck_assert_float_eq_tol(*oct_f32(q.offset), (float)(-want * z), 1e-5f);
        ck_assert_float_eq_tol(*oct_f32(q.scale), (float)(k % 3 == 2 ? want / (7 - z) : want),
                               1e-6f);
        ck_assert_int_eq(*oct_s32(q.zero_point), z);
        /* a moved offset moves the zero point, rounded and inside the codes */
        if (!q.offset) continue;
        for (int d = -9; d <= 9; d++) {
            *oct_f32(q.offset) = -((float)d + 0.3f) * *oct_f32(q.step);
            octi_learned_settle(&q);
            ck_assert_int_eq(*oct_s32(q.zero_point), d < 0 ? 0 : d > 7 ? 7 : d);
        }
    }
    oct_close(ctx);
}
END_TEST

/* What an optimizer may decay: weights, and PACT's alpha (its paper's L2 term); no step, no
 * offset. */
START_TEST(alpha_decays_and_steps_do_not) {
    static const oct_method methods[] = {OCT_METHOD_LSQ, OCT_METHOD_LSQ_PLUS, OCT_METHOD_PACT};
    for (int k = 0; k < 3; k++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
        oct_net *q = layer(ctx, false, &(oct_qconfig){.method = methods[k]});
        int32_t count, steps = 0, alphas = 0, offsets = 0;
        const oct_named_tensor *p = oct_net_parameters(q, &count);
        for (int32_t i = 0; i < count; i++) {
            const char *last = strrchr(p[i].name, '.') + 1;
            const bool step = !strcmp(last, "step"), offset = !strcmp(last, "offset");
            ck_assert_msg(p[i].role == (step || offset ? OCT_ROLE_STEP : OCT_ROLE_PARAM), "%s",
                          p[i].name);
            steps += step, offsets += offset, alphas += !strcmp(last, "alpha");
        }
        /* of values and, but with PACT, of weights */
        ck_assert_int_eq(alphas > 0, k == 2);
        ck_assert_int_eq(steps > alphas, k != 2);
        ck_assert_int_eq(offsets > 0, k == 1);
        oct_close(ctx);
    }
}
END_TEST

/* A step that runs away from its data is kept at a 64th of what the range gives, in the unit of
 * each method. */
START_TEST(steps_do_not_die) {
    oct_ctx *ctx = oct_open(NULL);
    for (int pact = 0; pact < 2; pact++) {
        oct_quantizer q = {.name = "q",
                           .observer = "minmax",
                           .method = pact ? OCT_METHOD_PACT : OCT_METHOD_LSQ,
                           .spec = {.bits = 4, .qmax = 15}};
        q.scale = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1));
        q.step = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1));
        q.min_val = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1));
        q.max_val = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1));
        q.zero_point = oct_tensor_new(ctx, OCT_S32, OCT_SHAPE(1));
        *oct_f32(q.max_val) = 30;
        *oct_f32(q.step) = 1e-9f;
        octi_learned_settle(&q);
        ck_assert_float_eq_tol(*oct_f32(q.scale), 2.0f / 64, 1e-7f);
        ck_assert_float_eq_tol(*oct_f32(q.step), 2.0f / 64 * (pact ? 15 : 1), 1e-6f);
    }
    oct_close(ctx);
}
END_TEST

/* ---- gradients of weight steps ---- */

/* sum dW (rne(u) - u inside, qmin below, qmax above) / sqrt(weights behind the step * qmax); u = w
 * f / s. */
START_TEST(weight_gradients_by_the_formula) {
    enum { O = 3, K = 40 };
    oct_ctx *ctx = oct_open(NULL);
    const oct_tensor *wt = drawn(ctx, OCT_SHAPE(O, K), 7), *dt = drawn(ctx, OCT_SHAPE(O, K), 8);
    for (int k = 0; k < 8; k++) {
        const bool channel = k & 1, bn = k & 2, strict = k & 4;
        oct_quantizer q = {
            .name = "w",
            .observer = "minmax",
            .role = OCT_QUANTIZER_WEIGHT,
            .method = OCT_METHOD_LSQ,
            .strict = strict,
            .spec = {.bits = 3, .qmin = -3, .qmax = 3, .symmetric = true, .per_channel = channel}};
        q.step = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(channel ? O : 1));
        float factor[O] = {0.5f, -1.5f, 2}, scale[O], bias[O] = {0, 1, 0}, dw[O * K];
        for (int o = 0; o < O; o++) {
            if (channel || !o) oct_f32(q.step)[channel ? o : 0] = 0.25f + 0.125f * (float)o;
            scale[o] = oct_f32(q.step)[channel ? o : 0] * (bn && channel ? fabsf(factor[o]) : 1);
        }
        octi_qweights w = {
            .o = O, .k = K, .scale = scale, .factor = bn ? factor : NULL, .bias = bias};
        memcpy(dw, dt->data, sizeof dw);
        ck_ok(octi_learned_weight_grad(ctx, &q, &w, oct_f32(wt), 0.01f, dw));
        double all = 0;
        int clipped = 0;
        for (int o = 0; o < O; o++) {
            double sum = 0;
            for (int i = o * K; i < (o + 1) * K; i++) {
                const double u = (double)oct_f32(wt)[i] * (bn ? factor[o] : 1) / scale[o],
                             r = rint(u);
                const bool above = strict ? u >= 3 : r > 3, below = strict ? u <= -3 : r < -3;
                sum += oct_f32(dt)[i] * (above ? 3 : below ? -3 : r - u);
                clipped += above || below;
                ck_assert_float_eq(dw[i], above || below ? 0 : oct_f32(dt)[i]);
            }
            all += sum;
            if (!channel) continue;
            const double want = sum * (bn ? fabsf(factor[o]) : 1) / sqrt(K * 3.0);
            ck_assert_msg(fabs(oct_f32(q.step->grad)[o] - want) < 1e-4,
                          "case %d, channel %d: %g, not %g", k, o, oct_f32(q.step->grad)[o], want);
        }
        if (!channel)
            ck_assert_double_eq_tol(oct_f32(q.step->grad)[0], all / sqrt(O * K * 3.0), 1e-4);
        ck_assert_int_gt(clipped, 10);
        /* where the bias sets a channel's scale (law 5), its step has no say */
        bias[1] = 0.01f * 0x1p30f * 100;
        memset(q.step->grad->data, 0, oct_tensor_bytes(q.step->grad));
        memcpy(dw, dt->data, sizeof dw);
        ck_ok(octi_learned_weight_grad(ctx, &q, &w, oct_f32(wt), 0.01f, dw));
        if (channel) ck_assert(oct_f32(q.step->grad)[1] == 0 && oct_f32(q.step->grad)[0] != 0);
    }
    oct_close(ctx);
}
END_TEST

/* ---- whole steps ---- */

/* Gradients of gamma and beta of channel o, by dy and the normalized values. */
static void bn_gradients(const oct_net *q, int o, const double *dy, const double *normal,
                         const char *what) {
    double want[2] = {0, 0};
    for (int i = 0; i < BATCH; i++) want[0] += dy[i] * normal[i], want[1] += dy[i];
    for (int k = 0; k < 2; k++) {
        const float got = oct_f32(oct_net_tensor(q, k ? "1.bias" : "1.weight")->grad)[o];
        ck_assert_msg(fabs(got - want[k]) < 2e-5 * (1 + fabs(want[k])), "%s, %s of %d: %g, not %g",
                      what, k ? "beta" : "gamma", o, got, want[k]);
    }
}

/* One step of a layer: gradients of weights and steps from dy and the input as quantized, with
 * batch norm folded and frozen, and around batch statistics; of batch norm's own too. dy of an mse
 * loss is 2 (y - target) / n, closed where the output's own quantization clips. */
START_TEST(a_step_of_a_net_by_the_formula) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    oct_tape *t = oct_tape_new(ctx);
    for (int k = 0; k < 3; k++) { /* plain, frozen batch norm, batch statistics */
        oct_net *q = layer(
            ctx, k > 0, &(oct_qconfig){.method = OCT_METHOD_LSQ, .wbits = 3, .all_layers = true});
        oct_net_freeze_batch_norm(q, k == 1);
        for (int o = 0; k && o < OUT; o++) {
            oct_f32(oct_net_tensor(q, "1.bias"))[o] = 0.2f * (float)(o - 1);
            oct_f32(oct_net_tensor(q, "1.running_mean"))[o] = 0.1f * (float)o;
            if (o == 1) oct_f32(oct_net_tensor(q, "1.running_var"))[o] = 1e-3f; /* eps counts */
        }
        const oct_tensor *x = drawn(ctx, OCT_SHAPE(BATCH, IN), 4),
                         *target = drawn(ctx, OCT_SHAPE(BATCH, OUT), 5);
        const oct_graph *g = q->graph;
        const oct_node *n = product_of(q);
        oct_quantizer *wq = octi_weight_quantizer(g, n),
                      *yq = &g->quantizers[g->values[n->out].quantizer];
        train_forward(t, q, x);     /* ranges and first steps */
        oct_u8(yq->enabled)[1] = 0; /* the output stays as it is: dy is the loss's */
        oct_net_observe(q, false);
        oct_var *y = train_forward(t, q, x);
        ck_ok(oct_backward(oct_mse_loss(y, target)));
        const oct_tensor *xq = oct_var_value(octi_tape_find(t, g->values[n->in[0]].name));
        const float *w = oct_f32(oct_net_tensor(q, "0.weight"));
        for (int o = 0; o < OUT; o++) {
            const float step = oct_f32(wq->step)[o],
                        f = k ? oct_fold_factor(oct_f32(oct_net_tensor(q, "1.weight"))[o],
                                                oct_f32(oct_net_tensor(q, "1.running_var"))[o],
                                                1e-5f)
                              : 1;
            double dstep = 0, dmean = 0, dvar = 0, m = 0, inv = 1, raw[BATCH], dy[BATCH];
            for (int i = 0; i < BATCH; i++)
                dy[i] = 2.0 *
                        (oct_f32(oct_var_value(y))[i * OUT + o] - oct_f32(target)[i * OUT + o]) /
                        (BATCH * OUT);
            if (k == 1) { /* the normalized value is (y - beta) / gamma */
                const float gamma = oct_f32(oct_net_tensor(q, "1.weight"))[o],
                            beta = oct_f32(oct_net_tensor(q, "1.bias"))[o];
                for (int i = 0; i < BATCH; i++)
                    raw[i] = ((double)oct_f32(oct_var_value(y))[i * OUT + o] - beta) / gamma;
                bn_gradients(q, o, dy, raw, "frozen");
            }
            if (k == 2) { /* through batch norm: y = gamma (c - m) inv + beta */
                const double gamma = oct_f32(oct_net_tensor(q, "1.weight"))[o];
                for (int i = 0; i < BATCH; i++) {
                    raw[i] = 0;
                    for (int c = 0; c < IN; c++) {
                        const double u = (double)w[o * IN + c] / step,
                                     code = fmin(fmax(rint(u), -3), 3);
                        raw[i] += oct_f32(xq)[i * IN + c] * code * step;
                    }
                    m += raw[i] / BATCH;
                }
                double v = 0;
                for (int i = 0; i < BATCH; i++) v += (raw[i] - m) * (raw[i] - m) / BATCH;
                inv = 1 / sqrt(v + 1e-5);
                for (int i = 0; i < BATCH; i++)
                    dmean += dy[i] / BATCH, dvar += dy[i] * (raw[i] - m) * inv / BATCH;
                double normal[BATCH];
                for (int i = 0; i < BATCH; i++) normal[i] = (raw[i] - m) * inv;
                bn_gradients(q, o, dy, normal, "batch statistics");
                for (int i = 0; i < BATCH; i++)
                    dy[i] = gamma * inv * (dy[i] - dmean - (raw[i] - m) * inv * dvar);
            }
            for (int c = 0; c < IN; c++) {
                double d = 0; /* of the weight that acts: folded where frozen */
                for (int i = 0; i < BATCH; i++) d += dy[i] * oct_f32(xq)[i * IN + c];
                const double u = (double)w[o * IN + c] / step, r = rint(u);
                const bool above = u >= 3, below = u <= -3;
                /* u is the same before and behind the fold, but for gamma's sign */
                dstep += d * (k == 1 ? f : 1) * (above ? 3 : below ? -3 : r - u);
                const double want = above || below ? 0 : d * (k == 1 ? f : 1);
                const float got = oct_f32(oct_net_tensor(q, "0.weight")->grad)[o * IN + c];
                ck_assert_msg(fabs(got - want) < 2e-5 * (1 + fabs(want)),
                              "case %d, weight %d of %d: %g, not %g", k, c, o, got, want);
            }
            const double want = dstep / sqrt(IN * 3.0);
            ck_assert_msg(fabs(oct_f32(wq->step->grad)[o] - want) < 2e-5 * (1 + fabs(want)),
                          "case %d, step %d: %g, not %g", k, o, oct_f32(wq->step->grad)[o], want);
        }
    }
    oct_close(ctx);
}
END_TEST

/* A value's step, offset and alpha through a whole net: slots fold, the batch is not in the
 * gradient's scale, fused relu closes. */
START_TEST(steps_of_values_in_a_net) {
    static const oct_method methods[] = {OCT_METHOD_LSQ, OCT_METHOD_LSQ_PLUS, OCT_METHOD_PACT};
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 3});
    oct_tape *t = oct_tape_new(ctx);
    for (int k = 0; k < 6; k++) {
        const oct_method method = methods[k % 3];
        const int batch = k < 3 ? 7 : 160;
        oct_module *parts[] = {
            oct_linear_new(ctx, &(oct_linear_opts){.in = IN, .out = OUT, .no_bias = true}),
            oct_relu_new(ctx)};
        oct_net *q = oct_prepare(oct_capture(oct_sequential_new(ctx, parts, 2), OCT_SHAPE(IN)),
                                 &(oct_qconfig){.method = method, .abits = 3, .all_layers = true});
        ck_not_null(q);
        const oct_tensor *x = drawn(ctx, OCT_SHAPE(batch, IN), 6),
                         *target = drawn(ctx, OCT_SHAPE(batch, OUT), 5);
        const oct_graph *g = q->graph;
        oct_quantizer *yq = &g->quantizers[g->values[product_of(q)->out].quantizer];
        train_forward(t, q, x);
        *oct_f32(yq->step) *= 0.55f; /* so that something clips */
        if (yq->offset) *oct_f32(yq->offset) = -0.9f * *oct_f32(yq->step);
        oct_u8(yq->enabled)[1] = 0; /* the values before rounding */
        oct_net_observe(q, false);
        oct_tensor *real = oct_tensor_copy(ctx, oct_var_value(train_forward(t, q, x)));
        oct_u8(yq->enabled)[1] = 1;
        oct_var *y = train_forward(t, q, x);
        ck_ok(oct_backward(oct_mse_loss(y, target)));
        const double s = *oct_f32(yq->scale), z = *oct_s32(yq->zero_point), top = yq->spec.qmax;
        double inside = 0, outside = 0, count = 0;
        int clipped = 0;
        for (int i = 0; i < batch * OUT; i++) {
            const double dy = 2.0 * (oct_f32(oct_var_value(y))[i] - oct_f32(target)[i]) /
                              (batch * OUT),
                         u = oct_f32(real)[i] / s;
            const bool above = u >= top - z, below = u <= -z;
            if (above || below) {
                outside += dy * (above ? top - z : -z);
                count += dy;
                clipped += above;
            } else
                inside += dy * (rint(u) - u);
        }
        ck_assert_int_gt(clipped, 0);
        const double scale = 1 / sqrt(OUT * (top - z)); /* features of one image */
        double want = k % 3 == 2 ? outside / (top - z)
                                 : scale * (inside + outside + (k % 3 == 1 ? z * count : 0));
        ck_assert_msg(fabs(*oct_f32(yq->step->grad) - want) < 3e-5 * (1 + fabs(want)),
                      "%s, batch %d: %g, not %g", oct_method_name(method), batch,

                      *oct_f32(yq->step->grad), want);
        if (yq->offset) ck_assert_double_eq_tol(*oct_f32(yq->offset->grad), scale * count, 3e-5);
    }
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("learned_by_hand", first_steps_of_weights, first_steps_of_values,
              alpha_decays_and_steps_do_not, steps_do_not_die, weight_gradients_by_the_formula,
              a_step_of_a_net_by_the_formula, steps_of_values_in_a_net)
