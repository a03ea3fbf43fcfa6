/* SPDX-License-Identifier: MIT
 * Classify one image of raw pixels (u8, H x W x C, as the model's input says) with an int8 model.
 * Links octet_infer alone: no training code, no BLAS. classify_int8 model.oct8 pixels.raw
 *
 *     gcc classify_int8.c -o classify_int8 $(pkg-config --cflags --libs octet_infer) */
#include <stdio.h>
#include <stdlib.h>

#include <octet_infer.h>

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: classify_int8 MODEL PIXELS\n"), 2;
    oct_ctx *ctx = oct_open(NULL);
    oct_net *net = oct_int8_load(ctx, argv[1]);
    oct_session *session = oct_session_new(oct_plan_new(net, NULL), 1, NULL, 0);
    FILE *file = fopen(argv[2], "rb");
    if (!session || !file)
        return fprintf(stderr, "%s\n", file ? oct_error_message() : "cannot open the pixels"), 3;
    const oct_input_desc *in = oct_net_input(net);
    size_t size = (size_t)in->channels * (size_t)in->height * (size_t)in->width;
    uint8_t *pixels = malloc(size + 1);
    if (!pixels || fread(pixels, 1, size + 1, file) != size)
        return fprintf(stderr, "expected %zu bytes of pixels\n", size), 3;
    int32_t k;
    if (oct_session_classify_u8(session, pixels, 1, &k))
        return fprintf(stderr, "%s\n", oct_error_message()), 3;
    printf("%d %s\n", (int)k, k < oct_net_class_count(net) ? oct_net_classes(net)[k].name : "");
    fclose(file);
    free(pixels);
    oct_close(ctx); /* frees all that was made in it */
    return 0;
}
