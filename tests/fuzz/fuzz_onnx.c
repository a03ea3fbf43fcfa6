/* SPDX-License-Identifier: MIT
 * ONNX files. What comes in is a net that runs, unless it is too large to try. */
#include "autograd/autograd.h"
#include "qat/io/import.h"
#include "tests/fuzz/fuzz.h"

/* Work of a forward pass, roughly: elements of all values and weights. */
static bool small(const oct_net *net) {
    size_t sum = 0;
    for (int32_t v = 0; v < net->graph->value_count; v++) {
        const oct_shape *s = &net->graph->values[v].shape;
        size_t count = 1;
        for (int i = 0; i < s->rank; i++)
            if (s->dim[i] >= 0 && !octi_mul_size(count, (size_t)s->dim[i], &count)) return false;
        if (!octi_add_size(sum, count, &sum) || sum > 100000) return false;
    }
    return true;
}

static void run(oct_ctx *ctx, oct_net *net) {
    oct_shape s = net->graph->values[net->graph->input].shape;
    s.dim[0] = 1;
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, s);
    oct_tape *t = oct_tape_new(ctx);
    oct_tape_begin(t, OCT_EVAL);
    if (x && !oct_net_forward(net, oct_input(t, x))) fuzz_failed(oct_tape_status(t));
    oct_tape_free(t);
    oct_tensor_unref(x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    oct_ctx *ctx = fuzz_context();
    static const oct_import_onnx_opts sides = {8, 8};
    const size_t held = oct_ctx_memory(ctx, OCT_MEMORY_BYTES);
    oct_net *net = oct_import_onnx_memory(ctx, data, size, &sides);
    if (!net) fuzz_failed(oct_last_error()->code);
    const size_t with_net = oct_ctx_memory(ctx, OCT_MEMORY_BYTES);
    if (net && small(net)) run(ctx, net);
    fuzz_check(net || with_net == held);
    oct_net_free(net);
    return 0;
}
