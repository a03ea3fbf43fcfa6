/* SPDX-License-Identifier: MIT
 * Makes a calibrated run of many wide or many narrow layers, whose page would be large and whose
 * weights are few. Usage: wide_run FOLDER CHANNELS LAYERS SEED; the folder is the run's. */
#include <stdio.h>
#include <stdlib.h>

#include "octet.h"

enum { IMAGES = 16, SIDE = 4, CLASSES = 3, LAYERS_MOST = 128 };

static float pixels[IMAGES * SIDE * SIDE];
static int32_t labels[IMAGES];
static struct {
    oct_module *first, *each[LAYERS_MOST], *fc;
    int layers;
} own;

static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
    (void)self, (void)t;
    x = oct_apply(own.first, x);
    for (int i = 0; i < own.layers; i++) x = oct_relu(oct_apply(own.each[i], x));
    return oct_apply(own.fc, oct_flatten(oct_adaptive_avg_pool2d(x, 1, 1)));
}

int main(int argc, char **argv) {
    const int channels = argc == 5 ? atoi(argv[2]) : 0;
    own.layers = argc == 5 ? atoi(argv[3]) : 0;
    if (channels < 1 || own.layers < 1 || own.layers > LAYERS_MOST) return 2;
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1, .seed = (uint64_t)atoi(argv[4])});
    for (int i = 0; i < IMAGES * SIDE * SIDE; i++) pixels[i] = (float)(i * 37 % 101) / 50.0f - 1;
    for (int i = 0; i < IMAGES; i++) labels[i] = i % CLASSES;
    oct_data *d = oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(IMAGES, SIDE, SIDE, 1), pixels,
                                       labels, &(oct_array_opts){.classes = CLASSES});
    oct_module *m = oct_module_new(ctx, forward, &own);
    const oct_conv2d_opts first = {.in = 1, .out = channels, .kernel = 1},
                          one = {.in = channels,
                                 .out = channels,
                                 .kernel = 3,
                                 .pad = 1,
                                 .groups = channels};
    own.first = oct_module_add(m, "first", oct_conv2d_new(ctx, &first));
    for (int i = 0; i < own.layers; i++) {
        char name[16];
        snprintf(name, sizeof name, "l%d", i);
        own.each[i] = oct_module_add(m, name, oct_conv2d_new(ctx, &one));
    }
    own.fc = oct_module_add(
        m, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = channels, .out = CLASSES}));
    oct_net *net = oct_capture(m, OCT_SHAPE(SIDE, SIDE, 1));
    oct_net *q = net && oct_net_describe(net, d) == OCT_OK ? oct_prepare(net, NULL) : NULL;
    oct_status s = oct_calibrate(q, d, IMAGES);
    if (s == OCT_OK) s = oct_run_save(q, argv[1], NULL, false);
    if (s != OCT_OK) fprintf(stderr, "wide_run: %s\n", oct_error_message());
    oct_close(ctx);
    return s != OCT_OK;
}
