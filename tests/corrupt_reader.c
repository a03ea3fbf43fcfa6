/* SPDX-License-Identifier: MIT
 * Reads one file after the other as the command would, for corrupt_files.py: a line "KIND PATH" on
 * stdin gives a line "status, milliseconds, KiB of memory, message" on stdout. What is taken is
 * used as well: run, converted, its images decoded. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "octet.h"

enum { IMAGES = 2, SIDE = 24, MOST = 1 << 18 };
static const char *base; /* a float run that is whole */

static oct_status image(oct_ctx *ctx, const char *path) {
    static uint8_t pixels[SIDE * SIDE * 3];
    const oct_input_desc in = {.channels = 3, .height = SIDE, .width = SIDE, .div = 255};
    return oct_image_load(ctx, path, &in, pixels);
}

static oct_status part(oct_ctx *ctx, const char *spec, oct_split split) {
    oct_data *d = oct_data_open(ctx, spec, &(oct_data_opts){.split = split});
    if (!d) return oct_last_error()->code;
    oct_loader *l = oct_loader_new(d, &(oct_loader_opts){.batch = 16});
    oct_status s = l ? oct_loader_start(l, 0, 0) : oct_last_error()->code;
    for (bool done = false; s == OCT_OK && !done;) {
        oct_batch b;
        s = oct_loader_next(l, &b, &done);
    }
    oct_loader_free(l);
    oct_data_free(d);
    return s;
}

static oct_status data(oct_ctx *ctx, const char *spec) {
    oct_status s = part(ctx, spec, OCT_SPLIT_TRAIN);
    return s == OCT_OK ? part(ctx, spec, OCT_SPLIT_TEST) : s;
}

static oct_tensor *random_images(oct_ctx *ctx, const oct_net *net) {
    const oct_graph *g = oct_net_graph(net);
    oct_shape s = *oct_value_shape(oct_graph_value(g, oct_graph_input(g)));
    s.dim[0] = IMAGES;
    if (oct_shape_count(&s) > MOST) return NULL;
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, s);
    for (int64_t i = 0; x && i < oct_tensor_count(x); i++)
        oct_f32(x)[i] = (float)(i % 37) * 0.17f - 3.0f;
    return x;
}

/* Runs it; a prepared one is converted and compared. */
static oct_status use(oct_ctx *ctx, oct_net *net) {
    if (!net) return oct_last_error()->code;
    oct_tensor *x = random_images(ctx, net);
    if (!x) return OCT_OK;
    oct_runner *r = oct_runner_new(net, NULL);
    oct_status s = r && oct_runner_run(r, x) ? OCT_OK : oct_last_error()->code;
    oct_net *int8 = NULL;
    if (s == OCT_OK && oct_net_stage(net) == OCT_STAGE_PREPARED) {
        oct_mismatch m = {.codes = 0};
        int8 = oct_convert(net, NULL);
        s = int8 ? oct_compare(net, int8, x, &m) : oct_last_error()->code;
        if (s == OCT_OK && m.mismatched) s = OCT_EINTERNAL;
    }
    oct_net_free(int8);
    oct_runner_free(r);
    oct_tensor_unref(x);
    return s;
}

static oct_status run(oct_ctx *ctx, const char *path) {
    oct_run_info info;
    return use(ctx, oct_run_load(ctx, path, &info));
}

static oct_status int8(oct_ctx *ctx, const char *path) {
    return use(ctx, oct_int8_load(ctx, path));
}

static oct_status onnx(oct_ctx *ctx, const char *path) {
    return use(ctx, oct_import_onnx(ctx, path, NULL));
}

static oct_status weights(oct_ctx *ctx, const char *path) {
    oct_import_opts o = {.model = "lenet", .height = 28, .width = 28};
    return use(ctx, oct_import_torch(ctx, path, &o));
}

static oct_status array(oct_ctx *ctx, const char *path) {
    oct_net *net = oct_run_load(ctx, base, NULL);
    oct_tensor *x = net ? oct_npz_images(net, path) : NULL;
    oct_runner *r = x ? oct_runner_new(net, &(oct_runner_opts){.batch = 64}) : NULL;
    if (r && x->shape.dim[0] > 64) x->shape.dim[0] = 64;
    return r && oct_runner_run(r, x) ? OCT_OK : oct_last_error()->code;
}

static const struct {
    const char *word;
    oct_status (*read)(oct_ctx *ctx, const char *path);
} kinds[] = {{"image", image}, {"data", data},   {"run", run},        {"int8", int8},
             {"onnx", onnx},   {"array", array}, {"weights", weights}};

/* The most memory that the process held since it was asked last; writing 5 begins anew. */
static long peak(void) {
    char line[200];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "VmHWM:", 6)) kib = atol(line + 6);
    if (f) fclose(f);
    if ((f = fopen("/proc/self/clear_refs", "w"))) fputs("5", f), fclose(f);
    return kib;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

int main(int argc, char **argv) {
    char line[4096];
    if (argc > 1) base = argv[1];
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        char *path = strchr(line, ' ');
        if (!path) return 2;
        *path++ = 0;
        (void)peak();
        const long before = peak();
        const double start = now();
        oct_clear_error();
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
        oct_status s = OCT_EINTERNAL;
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
            if (!strcmp(kinds[i].word, line)) s = kinds[i].read(ctx, path);
        printf("%d\t%.0f\t%ld\t%s\n", s, now() - start, peak() - before,
               s == OCT_OK ? "" : oct_error_message());
        fflush(stdout);
        oct_close(ctx);
    }
    return 0;
}
