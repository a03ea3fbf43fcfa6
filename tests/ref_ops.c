/* SPDX-License-Identifier: MIT
 * Forward passes of all ops in double, by their definition, written apart from the library. */
#include "tests/ref_ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int64_t side(int64_t size, int64_t before, int64_t after, int64_t kernel, int64_t dilation,
                    int64_t stride) {
    int64_t n = 0;
    for (int64_t at = -before; at + (kernel - 1) * dilation < size + after; at += stride) n++;
    return n;
}

oct_shape ref_shape(oct_op_kind kind, const oct_attrs *a, const oct_shape *in, int nin) {
    const int64_t *x = in[0].dim;
    int64_t dh = a->dilation[0] ? a->dilation[0] : 1, dw = a->dilation[1] ? a->dilation[1] : 1;
    switch (kind) {
    case OCT_OP_conv2d:
        return OCT_SHAPE(x[0], side(x[1], a->pads[0], a->pads[2], a->kernel[0], dh, a->stride[0]),
                         side(x[2], a->pads[1], a->pads[3], a->kernel[1], dw, a->stride[1]),
                         in[1].dim[0]);
    case OCT_OP_max_pool2d:
    case OCT_OP_avg_pool2d:
        return OCT_SHAPE(x[0], side(x[1], a->pads[0], a->pads[2], a->kernel[0], 1, a->stride[0]),
                         side(x[2], a->pads[1], a->pads[3], a->kernel[1], 1, a->stride[1]), x[3]);
    case OCT_OP_adaptive_avg_pool2d:
        return OCT_SHAPE(x[0], a->out_size[0], a->out_size[1], x[3]);
    case OCT_OP_linear:
        return OCT_SHAPE(x[0], in[1].dim[0]);
    case OCT_OP_pad:
        return OCT_SHAPE(x[0], x[1] + a->pads[0] + a->pads[2], x[2] + a->pads[1] + a->pads[3],
                         x[3]);
    case OCT_OP_lstm:
        return a->last[0] ? OCT_SHAPE(x[0], in[2].dim[1]) : OCT_SHAPE(x[0], x[1], in[2].dim[1]);
    case OCT_OP_lstm_cell:
        return OCT_SHAPE(x[0], 2 * in[2].dim[1]);
    case OCT_OP_slice: {
        oct_shape s = in[0];
        s.dim[a->axis[0]] = a->range[1] - a->range[0];
        return s;
    }
    case OCT_OP_cross_entropy:
    case OCT_OP_distill_loss:
    case OCT_OP_mse_loss:
        return (oct_shape){.rank = 0};
    case OCT_OP_mul:
    case OCT_OP_add:
        return oct_shape_count(&in[0]) >= oct_shape_count(&in[1]) ? in[0] : in[1];
    case OCT_OP_cat: {
        oct_shape s = in[0];
        for (int k = 1; k < nin; k++) s.dim[a->axis[0]] += in[k].dim[a->axis[0]];
        return s;
    }
    default:
        return in[0];
    }
}

static double at(const double *x, const oct_shape *s, int64_t n, int64_t h, int64_t w, int64_t c) {
    return x[((n * s->dim[1] + h) * s->dim[2] + w) * s->dim[3] + c];
}

static void conv(const oct_attrs *a, const oct_shape *s, const oct_shape *o,
                 const double *const *in, int nin, double *y, double *bound) {
    int64_t og = o->dim[3] / a->groups[0], cg = s[1].dim[3], i = 0;
    for (int64_t n = 0; n < o->dim[0]; n++)
        for (int64_t p = 0; p < o->dim[1]; p++)
            for (int64_t q = 0; q < o->dim[2]; q++)
                for (int64_t k = 0; k < o->dim[3]; k++, i++) {
                    double sum = 0, size = 0;
                    for (int64_t r = 0; r < a->kernel[0]; r++)
                        for (int64_t t = 0; t < a->kernel[1]; t++) {
                            int64_t h = p * a->stride[0] - a->pads[0] + r * a->dilation[0],
                                    w = q * a->stride[1] - a->pads[1] + t * a->dilation[1];
                            if (h < 0 || w < 0 || h >= s[0].dim[1] || w >= s[0].dim[2]) continue;
                            for (int64_t c = 0; c < cg; c++) {
                                double v = at(in[0], &s[0], n, h, w, k / og * cg + c) *
                                           at(in[1], &s[1], k, r, t, c);
                                sum += v;
                                size += fabs(v);
                            }
                        }
                    if (nin > 2 && in[2]) sum += in[2][k], size += fabs(in[2][k]);
                    y[i] = sum;
                    if (bound) bound[i] = (double)(a->kernel[0] * a->kernel[1] * cg + 1) * size;
                }
}

static void linear(const oct_shape *s, const double *const *in, int nin, double *y, double *bound) {
    int64_t k = s[0].dim[1], o = s[1].dim[0];
    for (int64_t i = 0; i < s[0].dim[0] * o; i++) {
        double sum = 0, size = 0;
        for (int64_t l = 0; l < k; l++) {
            double v = in[0][i / o * k + l] * in[1][i % o * k + l];
            sum += v;
            size += fabs(v);
        }
        if (nin > 2 && in[2]) sum += in[2][i % o], size += fabs(in[2][i % o]);
        y[i] = sum;
        if (bound) bound[i] = (double)(k + 1) * size;
    }
}

static void batch_norm(const oct_attrs *a, const oct_shape *s, const double *const *in, bool train,
                       double *y) {
    int64_t c = s->dim[s->rank - 1], rows = oct_shape_count(s) / c;
    for (int64_t k = 0; k < c; k++) {
        double mean = 0, var = 0;
        for (int64_t r = 0; r < rows; r++) mean += in[0][r * c + k] / (double)rows;
        for (int64_t r = 0; r < rows; r++)
            var += (in[0][r * c + k] - mean) * (in[0][r * c + k] - mean) / (double)rows;
        if (!train) mean = in[3][k], var = in[4][k];
        for (int64_t r = 0; r < rows; r++)
            y[r * c + k] =
                (in[0][r * c + k] - mean) / sqrt(var + (double)a->eps) * in[1][k] + in[2][k];
    }
}

static void pool(oct_op_kind kind, const oct_attrs *a, const oct_shape *s, const oct_shape *o,
                 const double *x, double *y) {
    int64_t i = 0;
    for (int64_t n = 0; n < o->dim[0]; n++)
        for (int64_t p = 0; p < o->dim[1]; p++)
            for (int64_t q = 0; q < o->dim[2]; q++)
                for (int64_t c = 0; c < o->dim[3]; c++) {
                    double best = -INFINITY, sum = 0, cells = 0;
                    for (int64_t h = 0; h < s->dim[1]; h++)
                        for (int64_t w = 0; w < s->dim[2]; w++) {
                            int64_t r = h + a->pads[0] - p * a->stride[0],
                                    t = w + a->pads[1] - q * a->stride[1];
                            bool in = r >= 0 && t >= 0 && r < a->kernel[0] && t < a->kernel[1];
                            if (kind == OCT_OP_adaptive_avg_pool2d)
                                in = h >= floor((double)(p * s->dim[1]) / (double)o->dim[1]) &&
                                     h < ceil((double)((p + 1) * s->dim[1]) / (double)o->dim[1]) &&
                                     w >= floor((double)(q * s->dim[2]) / (double)o->dim[2]) &&
                                     w < ceil((double)((q + 1) * s->dim[2]) / (double)o->dim[2]);
                            if (!in) continue;
                            double v = at(x, s, n, h, w, c);
                            best = fmax(best, v);
                            sum += v;
                            cells++;
                        }
                    if (kind == OCT_OP_avg_pool2d && !a->exclude_pad[0])
                        cells = a->kernel[0] * a->kernel[1];
                    y[i++] = kind == OCT_OP_max_pool2d ? best : sum / cells;
                }
}

static void softmax(const oct_shape *s, const double *x, bool logarithm, double *y) {
    int64_t k = s->dim[s->rank - 1];
    for (int64_t r = 0; r < oct_shape_count(s) / k; r++) {
        double sum = 0;
        for (int64_t i = 0; i < k; i++) sum += exp(x[r * k + i]);
        for (int64_t i = 0; i < k; i++)
            y[r * k + i] = logarithm ? x[r * k + i] - log(sum) : exp(x[r * k + i]) / sum;
    }
}

static double cross_entropy(const oct_attrs *a, const oct_shape *s, const double *const *in) {
    double e = (double)a->smoothing, loss = 0;
    int64_t n = s->dim[0], k = s->dim[1];
    double *y = calloc((size_t)(n * k), sizeof *y);
    softmax(s, in[0], true, y);
    for (int64_t r = 0; r < n; r++)
        for (int64_t i = 0; i < k; i++)
            loss -=
                y[r * k + i] * (((int64_t)in[1][r] == i ? 1 - e : 0) + e / (double)k) / (double)n;
    free(y);
    return loss;
}

static double logistic(double v) { return 1 / (1 + exp(-v)); }

/* The textbook's equations, an image and a step at a time. out: the hidden state of each step, or
 * of the last one, or h and c. */
static void lstm(const oct_attrs *a, const oct_shape *s, const double *const *in, int nin,
                 bool cell, double *y) {
    int64_t n = s[0].dim[0], t = cell ? 1 : s[0].dim[1], c = s[0].dim[s[0].rank - 1],
            h = s[2].dim[1];
    double *now = calloc((size_t)(4 * h), sizeof *now), *hs = calloc((size_t)(2 * h), sizeof *hs),
           *cs = hs + h;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = 0; k < 2 * h; k++) hs[k] = nin > 5 ? in[5][i * 2 * h + k] : 0;
        for (int64_t step = 0; step < t; step++) {
            for (int64_t r = 0; r < 4 * h; r++) {
                now[r] = (nin > 3 ? in[3][r] : 0) + (nin > 4 ? in[4][r] : 0);
                for (int64_t k = 0; k < c; k++)
                    now[r] += in[1][r * c + k] * in[0][(i * t + step) * c + k];
                for (int64_t k = 0; k < h; k++) now[r] += in[2][r * h + k] * hs[k];
            }
            for (int64_t k = 0; k < h; k++) {
                cs[k] = logistic(now[h + k]) * cs[k] + logistic(now[k]) * tanh(now[2 * h + k]);
                hs[k] = logistic(now[3 * h + k]) * tanh(cs[k]);
            }
            if (!cell && !a->last[0]) memcpy(y + (i * t + step) * h, hs, (size_t)h * sizeof *y);
        }
        if (cell)
            memcpy(y + i * 2 * h, hs, (size_t)(2 * h) * sizeof *y);
        else if (a->last[0])
            memcpy(y + i * h, hs, (size_t)h * sizeof *y);
    }
    free(now);
    free(hs);
}

/* By its definition: tempered probabilities first, then their divergence. */
static double distill(const oct_attrs *a, const oct_shape *s, const double *const *in) {
    double temperature = (double)a->temperature, loss = 0;
    int64_t n = s->dim[0], k = s->dim[1];
    double *cold = calloc((size_t)(2 * n * k), sizeof *cold),
           *p = calloc((size_t)(2 * n * k), sizeof *p);
    for (int side = 0; side < 2; side++) {
        for (int64_t i = 0; i < n * k; i++) cold[i] = in[side][i] / temperature;
        softmax(s, cold, false, p + side * n * k);
    }
    for (int64_t i = 0; i < n * k; i++) loss += p[n * k + i] * log(p[n * k + i] / p[i]) / (double)n;
    free(cold);
    free(p);
    return temperature * temperature * loss;
}

void ref_forward(oct_op_kind kind, const oct_attrs *a, const oct_shape *shape,
                 const double *const *in, int nin, bool train, double *y, double *bound) {
    oct_shape o = ref_shape(kind, a, shape, nin);
    int64_t count = oct_shape_count(&o);
    const double *x = in[0];
    switch (kind) {
    case OCT_OP_conv2d:
        conv(a, shape, &o, in, nin, y, bound);
        return;
    case OCT_OP_linear:
        linear(shape, in, nin, y, bound);
        return;
    case OCT_OP_batch_norm:
        batch_norm(a, shape, in, train, y);
        return;
    case OCT_OP_max_pool2d:
    case OCT_OP_avg_pool2d:
    case OCT_OP_adaptive_avg_pool2d:
        pool(kind, a, shape, &o, x, y);
        return;
    case OCT_OP_softmax:
        softmax(shape, x, false, y);
        return;
    case OCT_OP_log_softmax:
        softmax(shape, x, true, y);
        return;
    case OCT_OP_cross_entropy:
        *y = cross_entropy(a, shape, in);
        return;
    case OCT_OP_distill_loss:
        *y = distill(a, shape, in);
        return;
    case OCT_OP_lstm:
    case OCT_OP_lstm_cell:
        lstm(a, shape, in, nin, kind == OCT_OP_lstm_cell, y);
        return;
    case OCT_OP_slice: {
        int axis = a->axis[0];
        int64_t inner = 1;
        for (int d = axis + 1; d < o.rank; d++) inner *= o.dim[d];
        for (int64_t i = 0; i < count; i++) {
            int64_t row = i / inner / o.dim[axis], along = i / inner % o.dim[axis];
            y[i] = x[(row * shape->dim[axis] + along + a->range[0]) * inner + i % inner];
        }
        return;
    }
    case OCT_OP_relu:
        for (int64_t i = 0; i < count; i++) y[i] = fmax(x[i], 0);
        return;
    case OCT_OP_relu6:
        for (int64_t i = 0; i < count; i++) y[i] = fmin(fmax(x[i], 0), 6);
        return;
    case OCT_OP_mse_loss:
        *y = 0;
        for (int64_t i = 0, n = oct_shape_count(&shape[0]); i < n; i++)
            *y += (x[i] - in[1][i]) * (x[i] - in[1][i]) / (double)n;
        return;
    case OCT_OP_clamp:
        for (int64_t i = 0; i < count; i++)
            y[i] = fmin(fmax(x[i], (double)a->least), (double)a->most);
        return;
    case OCT_OP_leaky_relu:
        for (int64_t i = 0; i < count; i++) y[i] = fmax(x[i], 0) + (double)a->slope * fmin(x[i], 0);
        return;
    case OCT_OP_elu:
        for (int64_t i = 0; i < count; i++)
            y[i] = fmax(x[i], 0) + (double)a->slope * (exp(fmin(x[i], 0)) - 1);
        return;
    case OCT_OP_hardswish:
        for (int64_t i = 0; i < count; i++) y[i] = x[i] * fmin(fmax(x[i] + 3, 0), 6) / 6;
        return;
    case OCT_OP_hardsigmoid:
        for (int64_t i = 0; i < count; i++) y[i] = fmin(fmax(x[i] + 3, 0), 6) / 6;
        return;
    case OCT_OP_sigmoid:
        for (int64_t i = 0; i < count; i++) y[i] = 0.5 + 0.5 * tanh(x[i] / 2);
        return;
    case OCT_OP_tanh:
        for (int64_t i = 0; i < count; i++) y[i] = 1 - 2 / (exp(2 * x[i]) + 1);
        return;
    case OCT_OP_mul:
    case OCT_OP_add:
        for (int64_t i = 0; i < count; i++) {
            y[i] = kind == OCT_OP_mul;
            for (int k = 0; k < 2; k++) {
                int64_t c = o.dim[o.rank - 1], per = count / o.dim[0];
                double v =
                    oct_shape_count(&shape[k]) == count ? in[k][i] : in[k][i / per * c + i % c];
                if (kind == OCT_OP_mul)
                    y[i] *= v;
                else
                    y[i] += v;
            }
        }
        return;
    case OCT_OP_cat:
        for (int64_t i = 0; i < count; i++) {
            int axis = a->axis[0];
            int64_t inner = 1;
            for (int d = axis + 1; d < o.rank; d++) inner *= o.dim[d];
            int64_t row = i / inner / o.dim[axis], along = i / inner % o.dim[axis];
            int k = 0;
            while (along >= shape[k].dim[axis]) along -= shape[k++].dim[axis];
            y[i] = in[k][(row * shape[k].dim[axis] + along) * inner + i % inner];
        }
        return;
    case OCT_OP_pad: {
        int64_t i = 0;
        for (int64_t n = 0; n < o.dim[0]; n++)
            for (int64_t h = -a->pads[0]; h < shape->dim[1] + a->pads[2]; h++)
                for (int64_t w = -a->pads[1]; w < shape->dim[2] + a->pads[3]; w++)
                    for (int64_t c = 0; c < o.dim[3]; c++)
                        y[i++] = h < 0 || w < 0 || h >= shape->dim[1] || w >= shape->dim[2]
                                     ? (double)a->value
                                     : at(x, shape, n, h, w, c);
        return;
    }
    default:
        abort();
    }
}
