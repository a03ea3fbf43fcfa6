/* SPDX-License-Identifier: MIT
 * Makes a run whose layers and classes have names that would act in a page that took them for
 * markup. Usage: hostile_run FOLDER, which is the run's. */
#include "octet.h"
#include <stdio.h>

enum { IMAGES = 24, SIDE = 6, CLASSES = 4 };

static float pixels[IMAGES * SIDE * SIDE];
static int32_t labels[IMAGES];
static struct { oct_module *conv, *fc; } own;

static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
    (void)self, (void)t;
    return oct_apply(own.fc, oct_flatten(oct_relu(oct_apply(own.conv, x))));
}

int main(int argc, char **argv) {
    static const char layer[] = "<script>alert(1)</script>\"'&";
    static char longest[300];
    for (size_t i = 0; i + 1 < sizeof longest; i++) longest[i] = (char)('a' + i % 26);
    const oct_class classes[CLASSES] = {{"0", "<img src=x onerror=alert(2)>"},
                                        {"1", "\" onload=\"alert(3)"},
                                        {"2", "\x1b[31m\x01\x7f\xc2\x85\xe2\x80\xae \xc3\xa4"},
                                        {"3", longest}};
    if (argc != 2) return 2;
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    for (int i = 0; i < IMAGES * SIDE * SIDE; i++) pixels[i] = (float)(i * 37 % 101) / 50.0f - 1;
    for (int i = 0; i < IMAGES; i++) labels[i] = i % CLASSES;
    oct_data *d = oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(IMAGES, SIDE, SIDE, 1), pixels,
                                       labels, &(oct_array_opts){.classes = CLASSES});
    oct_module *m = oct_module_new(ctx, forward, &own);
    const oct_conv2d_opts conv = {.in = 1, .out = 3, .kernel = 3};
    own.conv = oct_module_add(m, layer, oct_conv2d_new(ctx, &conv));
    own.fc = oct_module_add(m, longest + sizeof longest - 121,
                            oct_linear_new(ctx, &(oct_linear_opts){.in = 48, .out = CLASSES}));
    oct_net *net = oct_capture(m, OCT_SHAPE(SIDE, SIDE, 1));
    const bool named = net && oct_net_set_classes(net, classes, CLASSES) == OCT_OK;
    oct_net *q = named ? oct_prepare(net, NULL) : NULL;
    const oct_status s = oct_fit(q, d, &(oct_fit_opts){.epochs = 2, .run = argv[1]});
    if (s != OCT_OK) fprintf(stderr, "hostile_run: %s\n", oct_error_message());
    oct_close(ctx);
    return s != OCT_OK;
}
