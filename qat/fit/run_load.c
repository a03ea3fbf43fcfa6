/* SPDX-License-Identifier: MIT
 * Whole runs: loading one of any stage, saving a net that does not train. */
#include <stdio.h>
#include <string.h>

#include "qat/fit/diverged.h"
#include "qat/fit/fit_config.h"
#include "qat/fit/graph_file.h"
#include "qat/fit/run_files.h"
#include "qat/int8/int8.h"
#include "qat/io/tensor_files.h"
#include "qat/net/prepared.h"
#include "qat/prepared_check.h"
#include "src/float_mode.h"
#include "src/format/json.h"
#include "src/mem.h"
#include "src/words.h"

static oct_status read_config(cJSON *root, const char *where, oct_run_info *info) {
    const char *isa = NULL;
    if (octi_json_get(root, "isa")) {
        OCT_TRY(octi_json_string(root, "isa", where, &isa));
        snprintf(info->isa, sizeof info->isa, "%s", isa);
    }
    return octi_json_get(root, "seed") ? octi_config_seed(root, where, &info->seed) : OCT_OK;
}

static oct_status read_info(oct_ctx *ctx, const octi_folder *f, const octi_safetensors *state,
                            oct_run_info *info) {
    const char *where = octi_fmt("%s/config.json", octi_folder_path(f));
    char *text = NULL;
    cJSON *root = NULL;
    octi_fit_extent e = {0};
    OCT_TRY(octi_run_read_config(ctx, f, &text));
    oct_status s = text ? octi_json_parse(ctx, text, strlen(text), where, &root) : OCT_OK;
    if (s == OCT_OK && text) s = read_config(root, where, info);
    if (s == OCT_OK && text) s = octi_fit_extent_read(ctx, text, where, &e);
    octi_json_free(root);
    octi_free(ctx, text);
    if (s != OCT_OK || !state) return s;
    octi_position p;
    OCT_TRY(
        octi_position_read(state, &e, octi_fmt("%s/state.safetensors", octi_folder_path(f)), &p));
    info->epoch = (int32_t)p.epoch;
    info->step = p.step;
    info->has_state = true;
    return OCT_OK;
}

/* What the values of tensors must be, behind what the graph says. */
static oct_status check_contents(const oct_net *net) {
    return net->stage == OCT_STAGE_PREPARED ? octi_prepared_check(net)
           : net->stage == OCT_STAGE_INT8   ? octi_int8_check(net)
                                            : OCT_OK;
}

static oct_net *load(oct_ctx *ctx, const octi_folder *f, oct_run_info *info) {
    const char *dir = octi_folder_path(f);
    oct_net *net = NULL;
    oct_run_info i = {.epoch = 0};
    oct_status s = OCT_OK;
    octi_safetensors *state = octi_run_read_if(ctx, f, "state.safetensors", &s),
                     *model = octi_run_read_if(ctx, f, "model.safetensors", &s);
    if (s == OCT_OK && !state && !model)
        s = octi_fail(OCT_EFORMAT, dir, "run has no weights", "model.safetensors", NULL,
                      "it was stopped before its first save");
    /* a model without a generation was put there by somebody else, on purpose */
    bool newer = state && (!model || (octi_run_generation(model) >= 0 &&
                                      octi_run_generation(model) < octi_run_generation(state)));
    const octi_safetensors *weights = newer ? state : model;
    const char *prefix = newer ? "model." : "";
    if (s == OCT_OK && !(net = octi_graph_file_read(ctx, f, weights, prefix)))
        s = oct_last_error()->code;
    if (s == OCT_OK)
        s = octi_tensors_read(
            weights, net, prefix, net->tensors, net->tensor_count,
            octi_fmt("%s/%s", dir, newer ? "state.safetensors" : "model.safetensors"), NULL);
    if (s == OCT_OK && check_contents(net) != OCT_OK)
        s = octi_fail_in(octi_file_fault(oct_last_error()->code), octi_fmt("%s/graph.json", dir));
    if (s == OCT_OK && net->stage == OCT_STAGE_PREPARED) s = octi_run_read_probe(net, f);
    if (s == OCT_OK) s = read_info(ctx, f, state, &i);
    octi_safetensors_free(state);
    octi_safetensors_free(model);
    if (s == OCT_OK) {
        if (info) *info = i;
        return net;
    }
    oct_net_free(net);
    return NULL;
}

oct_net *oct_run_load(oct_ctx *ctx, const char *dir, oct_run_info *info) {
    OCTI_LAW_MODE();
    if (!ctx || !dir) return NULL;
    octi_run *r = octi_run_open(ctx, dir);
    oct_net *net = r ? load(ctx, octi_run_folder(r), info) : NULL;
    octi_run_close(r);
    if (!net) octi_ctx_failed(ctx);
    return net;
}

/* Into a run that begins anew. */
static oct_status save(const oct_net *net, octi_run *r, const char *config) {
    OCT_TRY(octi_run_renew(r));
    OCT_TRY(octi_run_create(net, octi_run_folder(r), config));
    OCT_TRY(octi_run_write_model(net, octi_run_folder(r), "model.safetensors", 0));
    return octi_run_keep(r);
}

oct_status oct_run_save(oct_net *net, const char *dir, const char *config, bool force) {
    OCTI_LAW_MODE();
    if (!net) return octi_fail_null("oct_run_save");
    OCT_TRY(octi_diverged_settle(net, NULL, 0, (octi_diverged_at){.step = 0}));
    octi_text t = {.ctx = net->ctx};
    oct_status s = octi_plain_config(net, oct_ctx_seed(net->ctx), config, &t);
    octi_run *r = s == OCT_OK ? octi_run_write(net->ctx, dir, false, force) : NULL;
    if (s == OCT_OK) s = r ? save(net, r, t.data) : oct_last_error()->code;
    octi_run_close(r);
    octi_text_free(&t);
    return s;
}
