/* SPDX-License-Identifier: MIT
 * NOT CMSIS-NN: see arm_nnfunctions.h beside this file. Codes are s8; sums s32; a sum becomes a
 * code by a multiplier in units of 2^-31 and a shift, each of the two steps rounded by itself: the
 * product half up, what is shifted away half away from zero. A function notes that it was called in
 * the file that OCT_CMSIS_CALLS names. */
#include "arm_nnfunctions.h"

#include <stdio.h>
#include <stdlib.h>

static void called(int which, const char *name) {
    static char seen[8];
    const char *path = getenv("OCT_CMSIS_CALLS");
    FILE *f = seen[which] || !path ? NULL : fopen(path, "a");
    seen[which] = 1;
    if (!f) return;
    fprintf(f, "%s\n", name);
    fclose(f);
}

static int32_t scaled(int32_t v, int32_t multiplier, int32_t shift) {
    const int64_t up = (int64_t)v * ((int64_t)1 << (shift > 0 ? shift : 0));
    const int64_t product = (up * multiplier + ((int64_t)1 << 30)) >> 31;
    const int down = shift < 0 ? -shift : 0;
    const int64_t unit = (int64_t)1 << down, half = unit / 2;
    if (!down) return (int32_t)product;
    return (int32_t)(product >= 0 ? (product + half) / unit : -((-product + half) / unit));
}

static int8_t clamped(int32_t v, const cmsis_nn_activation *a) {
    return (int8_t)(v < a->min ? a->min : v > a->max ? a->max : v);
}

typedef struct {
    const cmsis_nn_dims *in, *filter, *out;
    cmsis_nn_tile stride, padding, dilation;
} window;

/* Cell (r, s) of the window at (p, q): the input's pixel, NULL outside the image. */
static const int8_t *pixel(const window *w, const int8_t *x, int32_t p, int32_t q, int32_t r,
                           int32_t s) {
    const int32_t h = p * w->stride.h - w->padding.h + r * w->dilation.h,
                  v = q * w->stride.w - w->padding.w + s * w->dilation.w;
    if (h < 0 || v < 0 || h >= w->in->h || v >= w->in->w) return NULL;
    return x + (h * w->in->w + v) * w->in->c;
}

arm_cmsis_nn_status arm_convolve_s8(const cmsis_nn_context *ctx, const cmsis_nn_conv_params *l,
                                    const cmsis_nn_per_channel_quant_params *by,
                                    const cmsis_nn_dims *in, const int8_t *x,
                                    const cmsis_nn_dims *filter, const int8_t *weights,
                                    const cmsis_nn_dims *bias_dims, const int32_t *bias,
                                    const cmsis_nn_dims *upscale, const cmsis_nn_dims *out,
                                    int8_t *y) {
    const window win = {in, filter, out, l->stride, l->padding, l->dilation};
    const int32_t each = out->c / (in->c / filter->c); /* outputs of a group */
    int32_t p, q, o, r, s, c;
    (void)bias_dims;
    if (!ctx->buf || upscale) return ARM_CMSIS_NN_ARG_ERROR;
    called(0, "arm_convolve_s8");
    for (p = 0; p < out->h; p++)
        for (q = 0; q < out->w; q++)
            for (o = 0; o < out->c; o++) {
                int32_t sum = bias ? bias[o] : 0;
                const int8_t *w = weights + o * filter->h * filter->w * filter->c;
                for (r = 0; r < filter->h; r++)
                    for (s = 0; s < filter->w; s++, w += filter->c) {
                        const int8_t *at = pixel(&win, x, p, q, r, s);
                        for (c = 0; at && c < filter->c; c++)
                            sum += (at[o / each * filter->c + c] + l->input_offset) * w[c];
                    }
                *y++ = clamped(scaled(sum, by->multiplier[o], by->shift[o]) + l->output_offset,
                               &l->activation);
            }
    return ARM_CMSIS_NN_SUCCESS;
}

/* Weights [1,R,S,C * ch_mult]. */
arm_cmsis_nn_status arm_depthwise_conv_s8(const cmsis_nn_context *ctx,
                                          const cmsis_nn_dw_conv_params *l,
                                          const cmsis_nn_per_channel_quant_params *by,
                                          const cmsis_nn_dims *in, const int8_t *x,
                                          const cmsis_nn_dims *filter, const int8_t *weights,
                                          const cmsis_nn_dims *bias_dims, const int32_t *bias,
                                          const cmsis_nn_dims *out, int8_t *y) {
    const window win = {in, filter, out, l->stride, l->padding, l->dilation};
    int32_t p, q, o, r, s;
    (void)ctx;
    (void)bias_dims;
    called(1, "arm_depthwise_conv_s8");
    for (p = 0; p < out->h; p++)
        for (q = 0; q < out->w; q++)
            for (o = 0; o < out->c; o++) {
                int32_t sum = bias ? bias[o] : 0;
                for (r = 0; r < filter->h; r++)
                    for (s = 0; s < filter->w; s++) {
                        const int8_t *at = pixel(&win, x, p, q, r, s);
                        if (at)
                            sum += (at[o / l->ch_mult] + l->input_offset) *
                                   weights[(r * filter->w + s) * out->c + o];
                    }
                *y++ = clamped(scaled(sum, by->multiplier[o], by->shift[o]) + l->output_offset,
                               &l->activation);
            }
    return ARM_CMSIS_NN_SUCCESS;
}

arm_cmsis_nn_status arm_fully_connected_per_channel_s8(
    const cmsis_nn_context *ctx, const cmsis_nn_fc_params *l,
    const cmsis_nn_per_channel_quant_params *by, const cmsis_nn_dims *in, const int8_t *x,
    const cmsis_nn_dims *filter, const int8_t *weights, const cmsis_nn_dims *bias_dims,
    const int32_t *bias, const cmsis_nn_dims *out, int8_t *y) {
    int32_t o, k;
    (void)ctx;
    (void)in;
    (void)bias_dims;
    called(2, "arm_fully_connected_per_channel_s8");
    for (o = 0; o < out->c; o++) {
        int32_t sum = bias ? bias[o] : 0;
        for (k = 0; k < filter->n; k++)
            sum += (x[k] + l->input_offset) * (weights[o * filter->n + k] + l->filter_offset);
        *y++ = clamped(scaled(sum, by->multiplier[o], by->shift[o]) + l->output_offset,
                       &l->activation);
    }
    return ARM_CMSIS_NN_SUCCESS;
}

arm_cmsis_nn_status arm_elementwise_add_s8(const int8_t *a, const int8_t *b, int32_t a_offset,
                                           int32_t a_multiplier, int32_t a_shift, int32_t b_offset,
                                           int32_t b_multiplier, int32_t b_shift, int32_t left,
                                           int8_t *y, int32_t y_offset, int32_t y_multiplier,
                                           int32_t y_shift, int32_t lo, int32_t hi, int32_t n) {
    cmsis_nn_activation limits;
    int32_t i;
    limits.min = lo;
    limits.max = hi;
    called(3, "arm_elementwise_add_s8");
    for (i = 0; i < n; i++) {
        const int32_t u = scaled((a[i] + a_offset) * (1 << left), a_multiplier, a_shift),
                      v = scaled((b[i] + b_offset) * (1 << left), b_multiplier, b_shift);
        y[i] = clamped(scaled(u + v, y_multiplier, y_shift) + y_offset, &limits);
    }
    return ARM_CMSIS_NN_SUCCESS;
}

/* Over the cells inside the image: the largest, or their mean, halves away from zero. */
static arm_cmsis_nn_status pool(const cmsis_nn_pool_params *l, const cmsis_nn_dims *in,
                                const int8_t *x, const cmsis_nn_dims *filter,
                                const cmsis_nn_dims *out, int mean, int8_t *y) {
    window win = {in, filter, out, l->stride, l->padding, {1, 1}};
    int32_t p, q, c, r, s;
    for (p = 0; p < out->h; p++)
        for (q = 0; q < out->w; q++)
            for (c = 0; c < out->c; c++) {
                int32_t sum = 0, top = -128, cells = 0;
                for (r = 0; r < filter->h; r++)
                    for (s = 0; s < filter->w; s++) {
                        const int8_t *at = pixel(&win, x, p, q, r, s);
                        if (!at) continue;
                        cells++;
                        sum += at[c];
                        top = at[c] > top ? at[c] : top;
                    }
                if (!cells) return ARM_CMSIS_NN_ARG_ERROR;
                if (mean) top = (sum > 0 ? sum + cells / 2 : sum - cells / 2) / cells;
                *y++ = clamped(top, &l->activation);
            }
    return ARM_CMSIS_NN_SUCCESS;
}

arm_cmsis_nn_status arm_max_pool_s8(const cmsis_nn_context *ctx, const cmsis_nn_pool_params *l,
                                    const cmsis_nn_dims *in, const int8_t *x,
                                    const cmsis_nn_dims *filter, const cmsis_nn_dims *out,
                                    int8_t *y) {
    (void)ctx;
    called(4, "arm_max_pool_s8");
    return pool(l, in, x, filter, out, 0, y);
}

arm_cmsis_nn_status arm_avgpool_s8(const cmsis_nn_context *ctx, const cmsis_nn_pool_params *l,
                                   const cmsis_nn_dims *in, const int8_t *x,
                                   const cmsis_nn_dims *filter, const cmsis_nn_dims *out,
                                   int8_t *y) {
    (void)ctx;
    called(5, "arm_avgpool_s8");
    return pool(l, in, x, filter, out, 1, y);
}
