/* SPDX-License-Identifier: MIT
 * The int8 file: CRCs are made right, so that what lies behind them is reached; what is accepted is
 * saved again (the bytes must load), planned both ways and run on two images, whose outputs must
 * agree. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/qrun.h"
#include "qat/infer/infer.h"
#include "tests/sections_fix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 1 << 16, IMAGES = 2 }; /* elements of a value that are worth running */

static void *copy_of(const uint8_t *data, size_t size) {
    uint8_t *p = malloc(size ? size : 1);
    if (p) memcpy(p, data, size);
    return p;
}

/* Work grows with the square of what a small file can ask for; only small nets are run. */
static int is_small(const oct_net *net) {
    int64_t sum = 0;
    for (int32_t i = 0; i < net->graph->value_count; i++) {
        int64_t n = octi_image_count(&net->graph->values[i].shape);
        if (n > MOST) return 0;
        sum += n;
    }
    return sum <= 4 * MOST;
}

static void run(const oct_net *net, bool unfused, const float *x, float *y) {
    oct_plan *plan = oct_plan_new(net, &(oct_plan_opts){.unfused = unfused});
    oct_session *s = oct_session_new(plan, IMAGES, NULL, 0);
    if (!s || oct_session_run(s, x, IMAGES, y) != OCT_OK)
        fputs(oct_error_message(), stderr), abort();
    oct_session_free(s);
    oct_plan_free(plan);
}

static void try_net(const oct_net *net) {
    oct_shape in = net->graph->values[net->graph->input].shape,
              out = net->graph->values[net->graph->output].shape;
    size_t nx = (size_t)octi_image_count(&in) * IMAGES,
           ny = (size_t)octi_image_count(&out) * IMAGES;
    float *x = calloc(nx, sizeof *x), *y = calloc(ny, sizeof *y), *z = calloc(ny, sizeof *z);
    if (x && y && z) {
        for (size_t i = 0; i < nx; i++) x[i] = (float)(i % 37) * 0.17f - 3.0f;
        run(net, false, x, y);
        run(net, true, x, z);
        if (memcmp(y, z, ny * sizeof *y)) abort(); /* fused and unfused plans give the same bits */
    }
    free(x), free(y), free(z);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1, .max_bytes = (size_t)256 << 20});
    uint8_t *fixed = copy_of(data, size), *again = NULL;
    if (!ctx || !fixed) abort();
    sections_fix(fixed, size, "OCTINT8\n", 3);
    oct_net *net = oct_int8_load_memory(ctx, fixed, size, "fuzz");
    if (net) {
        size_t n;
        if (oct_int8_save_memory(net, &again, &n) != OCT_OK) abort();
        oct_net *back = oct_int8_load_memory(ctx, again, n, "again");
        if (!back) abort();
        if (is_small(net)) try_net(back);
    } else if (oct_last_error()->code == OCT_OK)
        abort();
    oct_close(ctx);
    free(fixed);
    return 0;
}
