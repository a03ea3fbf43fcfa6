/* SPDX-License-Identifier: MIT
 * Calibration inputs of a data set as one tensor, for what improves a net without training. */
#include <string.h>

#include "qat/fit/score.h"
#include "src/float_mode.h"
#include "src/mem.h"

oct_tensor *oct_calibration_inputs(oct_net *net, oct_data *data, int64_t n) {
    OCTI_LAW_MODE();
    if (!net || !data || n < 1)
        return octi_fail(OCT_EUSAGE, "oct_calibration_inputs", "arguments", "a net, data, n >= 1",
                         NULL, NULL),
               NULL;
    const oct_graph *g = net->graph;
    oct_shape s = g->values[g->input].shape;
    s.dim[0] = n < oct_data_count(data) ? n : oct_data_count(data);
    oct_loader *l = oct_loader_new(data, &(oct_loader_opts){.batch = 32,
                                                            .shuffle = true,
                                                            .augment = OCT_AUGMENT_NONE,
                                                            .input = octi_net_input(net)});
    oct_tensor *x =
        l && oct_loader_start(l, 0, 0) == OCT_OK ? oct_tensor_new(net->ctx, OCT_F32, s) : NULL;
    int64_t each = x ? oct_tensor_count(x) / s.dim[0] : 0;
    bool ok = x != NULL, done = false;
    for (int64_t got = 0; ok && !done && got < s.dim[0];) {
        oct_batch b;
        ok = oct_loader_next(l, &b, &done) == OCT_OK;
        if (!ok || done) break;
        int64_t k = b.x->shape.dim[0] < s.dim[0] - got ? b.x->shape.dim[0] : s.dim[0] - got;
        if (oct_tensor_count(b.x) / b.x->shape.dim[0] != each) {
            octi_fail(OCT_ESHAPE, "data", "does not fit the net", oct_shape_text(&s),
                      oct_shape_text(&b.x->shape), NULL);
            ok = false;
            break;
        }
        memcpy(oct_f32(x) + got * each, b.x->data, (size_t)(k * each) * sizeof(float));
        got += k;
    }
    oct_loader_free(l);
    if (ok) return x;
    oct_tensor_unref(x);
    return octi_ctx_failed(net->ctx), NULL;
}
