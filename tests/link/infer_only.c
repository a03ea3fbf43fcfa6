/* SPDX-License-Identifier: MIT
 * A program that links liboctet_infer alone: loads a file from memory,
 * plans, runs, saves. That it links proves that the library needs no autograd and no BLAS. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "octet_infer.h"

static int fail(const char *what) {
    return fprintf(stderr, "%s: %s\n", what, oct_error_message()), 1;
}

int main(int argc, char **argv) {
    if (argc != 2) return fprintf(stderr, "usage: infer_only MODEL\n"), 2;
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    oct_net *net = oct_int8_load(ctx, argv[1]);
    oct_plan *plan = oct_plan_new(net, NULL),
             *unfused = oct_plan_new(net, &(oct_plan_opts){.unfused = true});
    enum { N = 5 };
    oct_session *a = oct_session_new(plan, N, NULL, 0), *b = oct_session_new(unfused, N, NULL, 0);
    if (!a || !b) return fail("session");
    oct_shape in = oct_plan_input_shape(plan), out = oct_plan_output_shape(plan);
    in.dim[0] = out.dim[0] = N;
    size_t nx = (size_t)oct_shape_count(&in), ny = (size_t)oct_shape_count(&out);
    float *x = calloc(nx, sizeof *x), *y = calloc(ny, sizeof *y), *z = calloc(ny, sizeof *z);
    for (size_t i = 0; i < nx; i++) x[i] = (float)((int)(i % 23) - 11) * 0.2f;
    if (oct_session_run(a, x, N, y) || oct_session_run(b, x, N, z)) return fail("run");
    if (memcmp(y, z, ny * sizeof *y)) return fail("plans differ");
    uint8_t *bytes;
    size_t size;
    if (oct_int8_save_memory(net, &bytes, &size)) return fail("save");
    free(x), free(y), free(z);
    oct_session_free(a), oct_session_free(b);
    oct_plan_free(plan), oct_plan_free(unfused);
    oct_net_free(net);
    oct_close(ctx);
    return puts("ok") < 0;
}
