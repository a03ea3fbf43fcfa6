/* SPDX-License-Identifier: MIT
 * ResNet-18 calibrated by histogram observers on photographs: every observer with scale and zero
 * point, the quantized modules, the first layer's numbers, and by a watcher the first codes that go
 * into it and come out of it.
 *
 *     resnet18_histogram [WEIGHTS|-] [FOLDER|-] [IMAGES] [SIDE]
 *
 * WEIGHTS: torchvision's resnet18 as .safetensors; without it the net is a seeded one. FOLDER:
 * photographs, a folder per class;
 * without it built-in images of 32x32. IMAGES to calibrate on, 64; SIDE of the square that the net
 * sees, 224. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <octet.h>

static void line(void *user, const char *text) { (void)user, puts(text); }

/* A forward hook: ten codes into the layer and out of it. */
static void first_codes(void *user, const oct_watched *w) {
    (void)user;
    if (!w->codes || !w->in_codes[0]) return;
    printf("%s, first codes: input", w->name);
    for (int i = 0; i < 10; i++) printf(" %d", oct_u8(w->in_codes[0])[i]);
    printf(", output");
    for (int i = 0; i < 10; i++) printf(" %d", oct_u8(w->codes)[i]);
    printf("\n");
}

static oct_net *make_net(oct_ctx *ctx, const char *weights, int side) {
    if (weights)
        return oct_import_torch(
            ctx, weights, &(oct_import_opts){.model = "resnet18", .height = side, .width = side});
    return oct_capture(oct_zoo_new(ctx, "resnet18", &(oct_zoo_opts){.height = side, .width = side}),
                       OCT_SHAPE(side, side, 3));
}

static void show_observers(const oct_net *q) {
    printf("%-36s %-10s %12s %11s\n", "observer of", "kind", "scale", "zero point");
    for (int i = 0; i < oct_graph_quantizer_count(oct_net_graph(q)); i++) {
        const oct_quantizer *z = oct_graph_quantizer(oct_net_graph(q), i);
        /* weights: their scales are made from them alone */
        if (oct_quantizer_role_of(z) == OCT_QUANTIZER_WEIGHT) continue;
        printf("%-36s %-10s %12.6g %11d\n", oct_quantizer_name(z), oct_quantizer_observer(z),
               (double)oct_f32(oct_quantizer_scale(z))[0], oct_s32(oct_quantizer_zero_point(z))[0]);
    }
}

static void show_first_layer(const oct_net *net, const oct_net *int8) {
    const oct_tensor *w = oct_net_tensor(int8, "conv1.weight"),
                     *s = oct_net_tensor(int8, "conv1.weight.scale"),
                     *f = oct_net_tensor(net, "conv1.weight");
    /* what is quantized: batch norm is in it */
    oct_net *folded = oct_fold(net);
    const oct_tensor *b = oct_net_tensor(folded, "conv1.weight");
    if (!b) return;
    const double scale = oct_f32(s)[0];
    printf("conv1: weight scale %.8g, zero point 0; weight[0, 0, 0], float, with batch norm folded "
           "in, as codes:\n",
           scale);
    /* channel 0: weights are O R S C */
    for (int k = 0; k < 7; k++)
        printf("  %9.5f  folded %9.5f  int_repr %4d, that is %9.5f\n", (double)oct_f32(f)[k * 3],
               (double)oct_f32(b)[k * 3], oct_s8(w)[k * 3], scale * oct_s8(w)[k * 3]);
    oct_net_free(folded);
}

static int best(const float *v, int64_t n) {
    int k = 0;
    for (int i = 1; i < n; i++)
        if (v[i] > v[k]) k = i;
    return k;
}

int main(int argc, char **argv) {
    const char *weights = argc > 1 && strcmp(argv[1], "-") ? argv[1] : NULL,
               *folder = argc > 2 && strcmp(argv[2], "-") ? argv[2] : NULL;
    int images = argc > 3 ? atoi(argv[3]) : 64, side = folder ? argc > 4 ? atoi(argv[4]) : 224 : 32;
    char spec[1024];
    snprintf(spec, sizeof spec, "%s%s", folder ? "folder:" : "synth-shapes", folder ? folder : "");
    if (!weights)
        puts("no weights given: a seeded, untrained resnet18; its numbers say nothing of a trained "
             "one");
    if (!folder) puts("no photographs given: built-in images of 32x32");
    oct_ctx *ctx = oct_open(NULL);
    const oct_input_desc input = {.channels = 3,
                                  .height = side,
                                  .width = side,
                                  .color = OCT_COLOR_RGB,
                                  .resize = folder ? side * 8 / 7 : 0,
                                  .crop = folder ? side : 0,
                                  .div = 255,
                                  .mean = {0.485f, 0.456f, 0.406f},
                                  .std = {0.229f, 0.224f, 0.225f}};
    oct_data *photos = oct_data_open(
        ctx, spec, &(oct_data_opts){.limit = images, .input = folder ? &input : NULL});
    oct_net *net = photos ? make_net(ctx, weights, side) : NULL, *q = NULL, *int8 = NULL;
    oct_tape *tape = oct_tape_new(ctx);
    oct_tensor *x = NULL;
    oct_mismatch m = {0};
    bool ok = net && oct_net_set_input(net, &input) == OCT_OK;
    /* so that signals neither die nor explode */
    if (ok && !weights) ok = oct_reestimate_batch_norm(net, photos, images) == OCT_OK;
    ok = ok &&
         (q = oct_prepare(net,
                          &(oct_qconfig){.target = OCT_TARGET_QNNPACK, .observer = "histogram"})) &&
         oct_calibrate(q, photos, images) == OCT_OK;
    ok = ok && (int8 = oct_convert(q, NULL)) && (x = oct_calibration_inputs(net, photos, 4));
    if (ok) {
        show_observers(q);
        oct_net_print(int8, line, NULL);
        show_first_layer(net, int8);
        ok = oct_tape_watch(tape, "conv1", first_codes, NULL) == OCT_OK;
        oct_tape_begin(tape, OCT_EVAL); /* the simulation: codes at every node */
        ok = ok && oct_net_forward(q, oct_input(tape, x)) && oct_compare(q, int8, x, &m) == OCT_OK;
    }
    oct_runner *a = ok ? oct_runner_new(net, NULL) : NULL,
               *b = ok ? oct_runner_new(int8, NULL) : NULL;
    const oct_tensor *ya = a ? oct_runner_run(a, x) : NULL, *yb = b ? oct_runner_run(b, x) : NULL;
    if ((ok = ok && ya && yb)) {
        int same = 0, n = (int)ya->shape.dim[0], classes = (int)ya->shape.dim[1];
        for (int i = 0; i < n; i++)
            same += best(oct_f32(ya) + i * classes, classes) ==
                    best(oct_f32(yb) + i * classes, classes);
        printf("%lld of %lld codes of the int8 net differ from the simulation's; float and int8 "
               "name the same class for %d of %d images\n",
               (long long)m.mismatched, (long long)m.codes, same, n);
    } else
        fprintf(stderr, "%s\n", oct_error_message());
    oct_runner_free(a);
    oct_runner_free(b);
    oct_tensor_unref(x);
    oct_close(ctx);
    return !ok || m.mismatched;
}
