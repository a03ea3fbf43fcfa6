/* SPDX-License-Identifier: MIT
 * Saves a run in an order that survives a kill at any moment, and reads the pieces of its state. */
#include "qat/fit/run_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qat/fit/graph_file.h"
#include "qat/io/tensor_files.h"
#include "src/format/bytes.h"
#include "src/mem.h"

oct_status octi_run_write_config(const octi_folder *f, const char *config_json) {
    return octi_file_save_in(f, "config.json", config_json, strlen(config_json));
}

oct_status octi_run_read_config(oct_ctx *ctx, const octi_folder *f, char **text) {
    uint8_t *bytes;
    size_t size;
    bool there;
    *text = NULL;
    OCT_TRY(octi_folder_has(f, "config.json", &there));
    if (!there) return OCT_OK;
    OCT_TRY(octi_file_read_in(f, "config.json", 1 << 20, &bytes, &size));
    *text = octi_realloc(ctx, bytes, size + 1);
    if (!*text) return octi_free(ctx, bytes), oct_last_error()->code;
    (*text)[size] = 0;
    return OCT_OK;
}

oct_status octi_run_create(const oct_net *net, const octi_folder *f, const char *config_json) {
    OCT_TRY(octi_run_write_config(f, config_json));
    OCT_TRY(octi_graph_file_write(net, f));
    return octi_run_write_probe(net, f);
}

/* ---- moments ---- */

static oct_status write_list(octi_tensor_list *l, const octi_folder *f, const char *name,
                             int64_t generation) {
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)generation);
    octi_safetensors_meta meta[] = {{"generation", text}};
    return octi_safetensors_write_in(l->ctx, f, name, l->entries, l->count, meta, 1);
}

oct_status octi_run_write_model(const oct_net *net, const octi_folder *f, const char *name,
                                int64_t g) {
    octi_tensor_list l = {.ctx = net->ctx};
    oct_status s = octi_tensor_list_add(&l, net, "", net->tensors, net->tensor_count);
    /* PyTorch's strict loading looks for it */
    for (int32_t i = 0; s == OCT_OK && i < net->tensor_count; i++) {
        const char *n = net->tensors[i].name, *tail = strstr(n, ".running_var");
        if (!tail || tail[12] || net->tensors[i].role != OCT_ROLE_BUFFER) continue;
        s = octi_tensor_list_number(&l, "",
                                    octi_fmt("%.*s.num_batches_tracked", (int)(tail - n), n),
                                    OCT_S64, &(int64_t){0});
    }
    if (s == OCT_OK) s = write_list(&l, f, name, g);
    octi_tensor_list_free(&l);
    return s;
}

static oct_status fill_state(octi_tensor_list *l, const oct_net *net, const oct_named_tensor *optim,
                             int32_t n, const octi_position *p) {
    OCT_TRY(octi_tensor_list_add(l, net, "model.", net->tensors, net->tensor_count));
    OCT_TRY(octi_tensor_list_add(l, net, "optim.", optim, n));
#define OCT_FIT_S64(name) OCT_TRY(octi_tensor_list_number(l, "fit.", #name, OCT_S64, &p->name));
#define OCT_FIT_F64(name) OCT_TRY(octi_tensor_list_number(l, "fit.", #name, OCT_F64, &p->name));
#define OCT_FIT_MAYBE     OCT_FIT_S64
#include "qat/fit/position.def"
    return OCT_OK;
}

oct_status octi_run_commit(const oct_net *net, const octi_folder *f, const oct_named_tensor *optim,
                           int32_t n, octi_position *p) {
    /* of the position alone: a resumed run writes the same bytes */
    p->generation = 2 * p->step + (p->step_in_epoch == 0);
    octi_tensor_list l = {.ctx = net->ctx};
    oct_status s = fill_state(&l, net, optim, n, p);
    if (s == OCT_OK) s = write_list(&l, f, "state.safetensors", p->generation);
    octi_tensor_list_free(&l);
    return s == OCT_OK ? octi_run_write_model(net, f, "model.safetensors", p->generation) : s;
}

static oct_status take_state(oct_net *net, const octi_safetensors *s, const octi_fit_extent *e,
                             const char *where, const oct_named_tensor *optim, int32_t n,
                             octi_position *p) {
    octi_position q;
    OCT_TRY(octi_position_read(s, e, where, &q));
    OCT_TRY(octi_tensors_read(s, net, "model.", net->tensors, net->tensor_count, where, NULL));
    OCT_TRY(octi_tensors_read(s, net, "optim.", optim, n, where, NULL));
    *p = q;
    return OCT_OK;
}

/* metrics.jsonl as it was at the saved moment: a line for each epoch. The file is made anew where
 * it is another, so that what is appended later goes to no file but the run's. */
static oct_status cut_metrics(oct_ctx *ctx, const octi_folder *f, const octi_position *p) {
    static const char name[] = "metrics.jsonl";
    const char *where = octi_fmt("%s/%s", octi_folder_path(f), name);
    uint8_t *bytes = NULL;
    size_t size = 0;
    bool there;
    OCT_TRY(octi_folder_has(f, name, &there));
    if (there) OCT_TRY(octi_file_read_in(f, name, (size_t)1 << 30, &bytes, &size));
    const size_t keep = (size_t)p->metrics_bytes;
    int64_t lines = 0;
    for (size_t i = 0; i < keep && i < size; i++) lines += bytes[i] == '\n';
    oct_status s = OCT_OK;
    if (keep > size)
        s = octi_fail(OCT_EFORMAT, where, "file is shorter than the checkpoint says",
                      octi_fmt("%zu bytes", keep), octi_fmt("%zu", size), "the run is damaged");
    else if (lines != p->epoch || (keep && bytes[keep - 1] != '\n'))
        s = octi_fail(OCT_EFORMAT, where, "lines of the epochs that are done",
                      octi_fmt("%lld", (long long)p->epoch), octi_fmt("%lld", (long long)lines),
                      "the run is damaged");
    else if (bytes && !keep)
        s = octi_folder_remove(f, name);
    else if (bytes)
        s = octi_file_save_in(f, name, bytes, keep);
    octi_free(ctx, bytes);
    return s;
}

/* Killed between probe and state: the images of steps that are made again come again. */
static oct_status cut_probe(oct_net *net, int64_t images) {
    if (!images) return oct_net_set_probe(net, NULL);
    net->probe->shape.dim[0] = images;
    return OCT_OK;
}

oct_status octi_run_restore(oct_net *net, const octi_folder *f, const octi_fit_extent *e,
                            const oct_named_tensor *optim, int32_t n, octi_position *p,
                            bool *found) {
    OCT_TRY(octi_folder_has(f, "state.safetensors", found));
    if (!*found) return OCT_OK;
    octi_safetensors *state = octi_safetensors_read_in(net->ctx, f, "state.safetensors");
    if (!state) return oct_last_error()->code;
    oct_status s = take_state(net, state, e, octi_fmt("%s/state.safetensors", octi_folder_path(f)),
                              optim, n, p);
    octi_safetensors_free(state);
    if (s == OCT_OK) s = cut_metrics(net->ctx, f, p);
    if (s == OCT_OK) s = octi_run_read_probe(net, f);
    if (s == OCT_OK && net->probe && p->probe_images >= 0 &&
        p->probe_images < net->probe->shape.dim[0])
        s = cut_probe(net, p->probe_images);
    /* killed between the two files: the model lags. A run that has nothing left to do would never
     * write it again. */
    octi_safetensors *model = octi_run_read_if(net->ctx, f, "model.safetensors", &s);
    bool lags = !model || octi_run_generation(model) != p->generation;
    octi_safetensors_free(model);
    return s == OCT_OK && lags ? octi_run_write_model(net, f, "model.safetensors", p->generation)
                               : s;
}

int64_t octi_run_generation(const octi_safetensors *s) {
    const char *g = s ? octi_safetensors_metadata(s, "generation") : NULL;
    return g ? strtoll(g, NULL, 10) : -1;
}

octi_safetensors *octi_run_read_if(oct_ctx *ctx, const octi_folder *f, const char *name,
                                   oct_status *s) {
    bool there = false;
    if (*s == OCT_OK) *s = octi_folder_has(f, name, &there);
    if (!there) return NULL;
    octi_safetensors *got = octi_safetensors_read_in(ctx, f, name);
    if (!got) *s = oct_last_error()->code;
    return got;
}
