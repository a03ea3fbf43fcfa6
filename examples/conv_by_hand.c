/* SPDX-License-Identifier: MIT
 * The first quantized convolution of a net recomputed by hand, from the numbers that the int8 file
 * holds: quantize the input, gather the window (im2col), multiply integers, take the zero point
 * off, add the bias, requantize. Every code is compared with the model's.
 *
 *     conv_by_hand [DATA]     DATA: any set; default: the built-in synth-shapes */
#include <math.h>
#include <stdio.h>

#include <octet.h>

static oct_net *int8_resnet8(oct_ctx *ctx, oct_data *data) {
    oct_net *net = oct_zoo_net(ctx, "resnet8", data);
    if (!net || oct_fit(net, data, &(oct_fit_opts){.epochs = 1}) != OCT_OK) return NULL;
    oct_net *q = oct_prepare(net, &(oct_qconfig){.target = OCT_TARGET_QNNPACK});
    return q && oct_calibrate(q, data, 128) == OCT_OK ? oct_convert(q, NULL) : NULL;
}

int main(int argc, char **argv) {
    oct_ctx *ctx = oct_open(NULL);
    oct_data *data =
        oct_data_open(ctx, argc > 1 ? argv[1] : "synth-shapes", &(oct_data_opts){.limit = 640});
    oct_net *net = int8_resnet8(ctx, data);
    oct_runner *run = oct_runner_new(net, &(oct_runner_opts){.values = true});
    oct_tensor *x = oct_calibration_inputs(net, data, 1);
    if (!run || !x || !oct_runner_run(run, x))
        return fprintf(stderr, "%s\n", oct_error_message()), 1;

    float s_x, s_y;
    int32_t z_x, z_y;
    const oct_tensor *in = oct_runner_value(run, "input.quantize", &s_x, &z_x),
                     *out = oct_runner_value(run, "conv1", &s_y, &z_y);
    const oct_tensor *w = oct_net_tensor(net, "conv1.weight"),
                     *b = oct_net_tensor(net, "conv1.bias");
    const oct_tensor *s_w = oct_net_tensor(net, "conv1.weight.scale"),
                     *m = oct_net_tensor(net, "conv1.multiplier");
    const oct_graph *g = oct_net_graph(net);
    const oct_node *conv = oct_graph_node(g, oct_graph_find_node(g, "conv1"));
    const oct_attrs *attr = oct_node_attrs(conv);
    if (!attr || !in || !out || !w || !b || !s_w || !m)
        return fprintf(stderr, "%s\n", oct_error_message()), 1;
    printf("conv1: input scale %.8g zero_point %d, weight scale %.8g, output scale %.8g zero_point "
           "%d\n",
           s_x, z_x, oct_f32(s_w)[0], s_y, z_y);
    printf("weight[0, 0, 0]:");
    for (int64_t k = 0; k < w->shape.dim[2] * w->shape.dim[3]; k += w->shape.dim[3])
        printf(" %.6f (int_repr %d)", oct_f32(s_w)[0] * (float)oct_s8(w)[k], oct_s8(w)[k]);
    printf("\nfirst codes: input");
    for (int i = 0; i < 10; i++) printf(" %d", oct_u8(in)[i]);
    printf(", output");
    for (int i = 0; i < 10; i++) printf(" %d", oct_u8(out)[i]);

    /* NHWC, weights O R S C; padding holds z_x, so it adds nothing behind the subtraction */
    const int64_t H = in->shape.dim[1], W = in->shape.dim[2], C = in->shape.dim[3],
                  P = out->shape.dim[1], Q = out->shape.dim[2], O = out->shape.dim[3];
    const int64_t R = w->shape.dim[1], S = w->shape.dim[2];
    long long compared = 0, differ = 0;
    for (int64_t p = 0; p < P; p++)
        for (int64_t q = 0; q < Q; q++)
            for (int64_t o = 0; o < O; o++) {
                int32_t acc = oct_s32(b)[o]; /* bias at s_x * s_w */
                for (int64_t r = 0; r < R; r++)
                    for (int64_t s = 0; s < S; s++) {
                        int64_t h = p * attr->stride[0] - attr->pads[0] + r,
                                v = q * attr->stride[1] - attr->pads[1] + s;
                        if (h < 0 || v < 0 || h >= H || v >= W) continue;
                        for (int64_t c = 0; c < C; c++)
                            acc += ((int32_t)oct_u8(in)[(h * W + v) * C + c] - z_x) *
                                   oct_s8(w)[((o * R + r) * S + s) * C + c];
                    }
                /* half to even, zero point behind it */
                float code = rintf((float)acc * oct_f32(m)[o]) + (float)z_y;
                /* ReLU: lo is z_y */
                code = fminf(fmaxf(code, (float)attr->lo[0]), (float)attr->hi[0]);
                compared++;
                differ += (int)code != oct_u8(out)[(p * Q + q) * O + o];
            }
    printf("\n%lld of %lld output codes differ\n", differ, compared);
    oct_tensor_unref(x);
    oct_runner_free(run);
    oct_close(ctx);
    return differ != 0;
}
