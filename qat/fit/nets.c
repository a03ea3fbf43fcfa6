/* SPDX-License-Identifier: MIT
 * Nets for data sets, nets from paths. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "autograd/nn/nn.h"
#include "qat/fit/fit.h"
#include "qat/infer/infer.h"
#include "src/arena.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/words.h"

oct_status oct_net_describe(oct_net *net, const oct_data *data) {
    if (!net || !data) return octi_fail_null("oct_net_describe");
    int32_t classes;
    const oct_class *list = oct_data_classes(data, &classes);
    OCT_TRY(oct_net_set_input(net, oct_data_input(data)));
    return oct_net_set_classes(net, list, classes);
}

oct_net *oct_zoo_net(oct_ctx *ctx, const char *name, oct_data *data) {
    OCTI_LAW_MODE();
    if (!ctx || !data) return NULL;
    const oct_input_desc *d = oct_data_input(data);
    int32_t classes;
    oct_data_classes(data, &classes);
    oct_shape target;
    /* else fit says what does not fit */
    if (oct_data_truth(data, &target) == OCT_TRUTH_TARGETS)
        classes = target.rank == 2 ? (int32_t)target.dim[1] : 0;
    oct_module *m = oct_zoo_new(
        ctx, name,
        &(oct_zoo_opts){
            .channels = d->channels, .height = d->height, .width = d->width, .classes = classes});
    oct_net *net = oct_capture(m, OCT_SHAPE(d->height, d->width, d->channels));
    if (!net) return NULL;
    net->model = octi_arena_strdup(net->graph->arena, name);
    if (net->model && oct_net_describe(net, data) == OCT_OK) return net;
    octi_ctx_failed(ctx);
    oct_net_free(net);
    return NULL;
}

oct_net *oct_model_load(oct_ctx *ctx, const char *path) {
    OCTI_LAW_MODE();
    struct stat st;
    if (!ctx || !path) return NULL;
    if (stat(path, &st)) {
        octi_fail(OCT_EIO, path, "no such run or int8 file", "a run's folder, or an int8 file",
                  strerror(errno), NULL);
        return octi_ctx_failed(ctx), NULL;
    }
    return S_ISDIR(st.st_mode) ? oct_run_load(ctx, path, NULL) : oct_int8_load(ctx, path);
}
