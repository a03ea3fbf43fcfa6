/* SPDX-License-Identifier: MIT */
#include "qat/fit/run_files.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qat/fit/graph_file.h"
#include "qat/int8/int8.h"
#include "qat/io/tensor_files.h"
#include "qat/prepared.h"
#include "src/format/json.h"
#include "src/mem.h"

/* state first: without it the rest cannot be taken for a moment of training */
const char *const octi_run_names[] = {"state.safetensors", "model.safetensors", "best.safetensors", "metrics.jsonl",
                                      "probe.npz",         "graph.json",        "config.json",      NULL};

oct_status octi_run_path(char *buf, const char *dir, const char *name) {
    int n = snprintf(buf, OCTI_PATH, "%s/%s", dir, name);
    return n > 0 && n < OCTI_PATH ? OCT_OK : octi_fail(OCT_EUSAGE, "run", "path too long", "at most 4095 bytes", NULL, NULL);
}

static bool exists(const char *dir, const char *name) {
    char path[OCTI_PATH];
    return octi_run_path(path, dir, name) == OCT_OK && !access(path, F_OK);
}

bool oct_run_is(const char *path) { return path && exists(path, "graph.json"); }

/* "config.json" or "config.json.tmp-PID-N", what a killed save leaves; *pid is 0 for the file itself. */
static bool is_run_file(const char *name, long *pid) {
    for (int i = 0; octi_run_names[i]; i++) {
        size_t n = strlen(octi_run_names[i]);
        if (strncmp(octi_run_names[i], name, n)) continue;
        *pid = 0;
        if (!name[n] || (!strncmp(name + n, ".tmp-", 5) && (*pid = strtol(name + n + 5, NULL, 10)) > 0)) return true;
    }
    return false;
}

void octi_run_sweep(const char *dir) {
    DIR *d = opendir(dir);
    char path[OCTI_PATH];
    for (struct dirent *e; d && (e = readdir(d));) {
        long pid;
        if (!is_run_file(e->d_name, &pid) || !pid || !kill((pid_t)pid, 0) || octi_run_path(path, dir, e->d_name) != OCT_OK) continue;
        unlink(path); /* its process is gone */
    }
    if (d) closedir(d);
}

static oct_status io(const char *path, const char *what) { return octi_fail(OCT_EIO, path, what, NULL, strerror(errno), NULL); }

oct_status oct_run_check(oct_ctx *ctx, const char *dir, bool resume, bool force) {
    (void)ctx;
    if (!dir || !*dir) return octi_fail(OCT_EUSAGE, "run", "no folder", "a path", NULL, NULL);
    if (resume && force) return octi_fail(OCT_EUSAGE, dir, "resume and force exclude each other", "one of them", NULL, NULL);
    struct stat st;
    if (stat(dir, &st)) {
        if (errno != ENOENT) return io(dir, "cannot look at the run");
        char parent[OCTI_PATH]; /* the folder above must be there */
        OCT_TRY(octi_run_path(parent, dir, ".."));
        snprintf(parent, sizeof parent, "%s", dir);
        for (size_t n = strlen(parent); n > 1 && parent[n - 1] == '/'; n--) parent[n - 1] = 0;
        char *slash = strrchr(parent, '/');
        if (slash) *(slash == parent ? slash + 1 : slash) = 0;
        const char *up = slash ? parent : ".";
        if (stat(up, &st)) return io(up, "folder of the run");
        if (!S_ISDIR(st.st_mode)) return octi_fail(OCT_EIO, up, "not a folder", NULL, NULL, NULL);
        return access(up, W_OK) ? io(up, "cannot write") : OCT_OK;
    }
    if (!S_ISDIR(st.st_mode)) return octi_fail(OCT_EUSAGE, dir, "exists and is not a folder", "a run or a new path", NULL, NULL);
    if (access(dir, W_OK)) return io(dir, "cannot write");
    if (resume) return OCT_OK;
    bool known = false, any = false;
    DIR *d = opendir(dir);
    if (!d) return io(dir, "cannot read");
    for (struct dirent *e; (e = readdir(d));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        long pid;
        any = true;
        known |= is_run_file(e->d_name, &pid);
    }
    closedir(d);
    if (any && !known) return octi_fail(OCT_EUSAGE, dir, "folder is not empty and not a run", "a run or a new path", NULL, NULL);
    if (any && !force) return octi_fail(OCT_EUSAGE, dir, "run exists already", "a new path", NULL, "--resume goes on, --force replaces it");
    return OCT_OK;
}

oct_status octi_run_write_config(oct_ctx *ctx, const char *dir, const char *config_json) {
    char path[OCTI_PATH];
    OCT_TRY(octi_run_path(path, dir, "config.json"));
    return octi_file_save(ctx, path, config_json, strlen(config_json));
}

oct_status octi_run_read_config(oct_ctx *ctx, const char *dir, char **text) {
    char path[OCTI_PATH];
    *text = NULL;
    OCT_TRY(octi_run_path(path, dir, "config.json"));
    if (access(path, F_OK)) return OCT_OK;
    uint8_t *bytes;
    size_t size;
    OCT_TRY(octi_file_read(ctx, path, 1 << 20, &bytes, &size));
    *text = octi_realloc(ctx, bytes, size + 1);
    if (!*text) return octi_free(ctx, bytes), oct_last_error()->code;
    (*text)[size] = 0;
    return OCT_OK;
}

oct_status octi_run_create(const oct_net *net, const char *dir, const char *config_json, bool force) {
    if (mkdir(dir, 0777) && errno != EEXIST) return io(dir, "cannot make the run");
    char path[OCTI_PATH];
    for (int i = 0; force && octi_run_names[i]; i++) {
        OCT_TRY(octi_run_path(path, dir, octi_run_names[i]));
        if (unlink(path) && errno != ENOENT) return io(path, "cannot remove");
    }
    OCT_TRY(octi_run_write_config(net->ctx, dir, config_json));
    OCT_TRY(octi_run_path(path, dir, "graph.json"));
    return octi_graph_file_write(net, path);
}

/* ---- moments ---- */

static oct_status write_list(octi_tensor_list *l, const char *dir, const char *name, int64_t generation) {
    char path[OCTI_PATH], text[32];
    OCT_TRY(octi_run_path(path, dir, name));
    snprintf(text, sizeof text, "%lld", (long long)generation);
    octi_safetensors_meta meta[] = {{"generation", text}};
    return octi_safetensors_write(l->ctx, path, l->entries, l->count, meta, 1);
}

oct_status octi_run_write_model(const oct_net *net, const char *dir, const char *name, int64_t g) {
    octi_tensor_list l = {.ctx = net->ctx};
    oct_status s = octi_tensor_list_add(&l, net, "", net->tensors, net->tensor_count);
    for (int32_t i = 0; s == OCT_OK && i < net->tensor_count; i++) { /* PyTorch's strict loading looks for it */
        const char *n = net->tensors[i].name, *tail = strstr(n, ".running_var");
        if (!tail || tail[12] || net->tensors[i].role != OCT_ROLE_BUFFER) continue;
        s = octi_tensor_list_number(&l, "", octi_fmt("%.*s.num_batches_tracked", (int)(tail - n), n), OCT_S64, &(int64_t){0});
    }
    if (s == OCT_OK) s = write_list(&l, dir, name, g);
    octi_tensor_list_free(&l);
    return s;
}

static oct_status fill_state(octi_tensor_list *l, const oct_net *net, const oct_named_tensor *optim, int32_t n, const octi_position *p) {
    OCT_TRY(octi_tensor_list_add(l, net, "model.", net->tensors, net->tensor_count));
    OCT_TRY(octi_tensor_list_add(l, net, "optim.", optim, n));
#define OCT_FIT_S64(name) OCT_TRY(octi_tensor_list_number(l, "fit.", #name, OCT_S64, &p->name));
#define OCT_FIT_F64(name) OCT_TRY(octi_tensor_list_number(l, "fit.", #name, OCT_F64, &p->name));
#include "qat/fit/position.def"
    return OCT_OK;
}

oct_status octi_run_commit(const oct_net *net, const char *dir, const oct_named_tensor *optim, int32_t n, octi_position *p) {
    p->generation = 2 * p->step + (p->step_in_epoch == 0); /* of the position alone: a resumed run writes the same bytes */
    octi_tensor_list l = {.ctx = net->ctx};
    oct_status s = fill_state(&l, net, optim, n, p);
    if (s == OCT_OK) s = write_list(&l, dir, "state.safetensors", p->generation);
    octi_tensor_list_free(&l);
    return s == OCT_OK ? octi_run_write_model(net, dir, "model.safetensors", p->generation) : s;
}

static oct_status take_state(oct_net *net, const octi_safetensors *f, const char *path, const oct_named_tensor *optim, int32_t n,
                             octi_position *p) {
    octi_position q = {.generation = 0};
#define OCT_FIT_S64(name) OCT_TRY(octi_number_read(f, "fit.", #name, OCT_S64, path, &q.name));
#define OCT_FIT_F64(name) OCT_TRY(octi_number_read(f, "fit.", #name, OCT_F64, path, &q.name));
#include "qat/fit/position.def"
    if (q.epoch < 0 || q.step_in_epoch < 0 || q.step < 0 || q.metrics_bytes < 0)
        return octi_fail(OCT_EFORMAT, path, "negative position", NULL, NULL, NULL);
    OCT_TRY(octi_tensors_read(f, net, "model.", net->tensors, net->tensor_count, path, NULL));
    OCT_TRY(octi_tensors_read(f, net, "optim.", optim, n, path, NULL));
    *p = q;
    return OCT_OK;
}

static octi_safetensors *read_if(oct_ctx *ctx, const char *dir, const char *name, oct_status *s);
static int64_t generation_of(const octi_safetensors *f);

oct_status octi_run_restore(oct_net *net, const char *dir, const oct_named_tensor *optim, int32_t n, octi_position *p, bool *found) {
    char path[OCTI_PATH];
    *found = exists(dir, "state.safetensors");
    if (!*found) return OCT_OK;
    OCT_TRY(octi_run_path(path, dir, "state.safetensors"));
    octi_safetensors *f = octi_safetensors_read(net->ctx, path);
    if (!f) return oct_last_error()->code;
    oct_status s = take_state(net, f, path, optim, n, p);
    octi_safetensors_free(f);
    if (s != OCT_OK) return s;
    /* killed between the two files: the model lags. A run that has nothing left to do would never write it again. */
    octi_safetensors *model = read_if(net->ctx, dir, "model.safetensors", &s);
    bool lags = !model || generation_of(model) != p->generation;
    octi_safetensors_free(model);
    return s == OCT_OK && lags ? octi_run_write_model(net, dir, "model.safetensors", p->generation) : s;
}

/* ---- whole runs ---- */

static int64_t generation_of(const octi_safetensors *f) {
    const char *g = f ? octi_safetensors_metadata(f, "generation") : NULL;
    return g ? strtoll(g, NULL, 10) : -1;
}

static octi_safetensors *read_if(oct_ctx *ctx, const char *dir, const char *name, oct_status *s) {
    char path[OCTI_PATH];
    if (*s != OCT_OK || !exists(dir, name) || (*s = octi_run_path(path, dir, name)) != OCT_OK) return NULL;
    octi_safetensors *f = octi_safetensors_read(ctx, path);
    if (!f) *s = oct_last_error()->code;
    return f;
}

static oct_status read_info(oct_ctx *ctx, const char *dir, const octi_safetensors *state, oct_run_info *info) {
    char *text = NULL;
    cJSON *root = NULL;
    OCT_TRY(octi_run_read_config(ctx, dir, &text));
    if (text) {
        oct_status s = octi_json_parse(ctx, text, strlen(text), "config.json", &root);
        octi_free(ctx, text);
        OCT_TRY(s);
        const char *isa = NULL;
        int64_t seed = 0;
        if (octi_json_string(root, "isa", "config.json", &isa) == OCT_OK) snprintf(info->isa, sizeof info->isa, "%s", isa);
        if (octi_json_int(root, "seed", "config.json", 0, (int64_t)1 << 53, &seed) == OCT_OK) info->seed = (uint64_t)seed;
        octi_json_free(root);
    }
    if (state) {
        int64_t epoch = 0;
        OCT_TRY(octi_number_read(state, "fit.", "epoch", OCT_S64, dir, &epoch));
        OCT_TRY(octi_number_read(state, "fit.", "step", OCT_S64, dir, &info->step));
        info->epoch = (int32_t)epoch;
        info->has_state = true;
    }
    return OCT_OK;
}

/* What the values of tensors must be, behind what the graph says. */
static oct_status check_contents(const oct_net *net) {
    return net->stage == OCT_STAGE_PREPARED ? octi_prepared_check(net) : net->stage == OCT_STAGE_INT8 ? octi_int8_check(net) : OCT_OK;
}

oct_net *oct_run_load(oct_ctx *ctx, const char *dir, oct_run_info *info) {
    if (!ctx || !dir) return NULL;
    char path[OCTI_PATH];
    oct_net *net = NULL;
    oct_run_info i = {.epoch = 0};
    oct_status s = octi_run_path(path, dir, "graph.json");
    if (s == OCT_OK && !exists(dir, "graph.json"))
        s = octi_fail(access(dir, F_OK) ? OCT_EIO : OCT_EFORMAT, dir, access(dir, F_OK) ? "no such run" : "not a run", "a folder with graph.json", NULL, NULL);
    octi_safetensors *state = read_if(ctx, dir, "state.safetensors", &s), *model = read_if(ctx, dir, "model.safetensors", &s);
    if (s == OCT_OK && !state && !model) s = octi_fail(OCT_EFORMAT, dir, "run has no weights", "model.safetensors", NULL, "it was stopped before its first save");
    /* a model without a generation was put there by somebody else, on purpose */
    bool newer = state && (!model || (generation_of(model) >= 0 && generation_of(model) < generation_of(state)));
    const octi_safetensors *weights = newer ? state : model;
    const char *prefix = newer ? "model." : "";
    if (s == OCT_OK && !(net = octi_graph_file_read(ctx, path, weights, prefix))) s = oct_last_error()->code;
    if (s == OCT_OK) s = octi_tensors_read(weights, net, prefix, net->tensors, net->tensor_count, dir, NULL);
    if (s == OCT_OK && check_contents(net) != OCT_OK) s = octi_fail_in(octi_file_fault(oct_last_error()->code), path);
    if (s == OCT_OK) s = read_info(ctx, dir, state, &i);
    octi_safetensors_free(state);
    octi_safetensors_free(model);
    if (s != OCT_OK) {
        oct_net_free(net);
        octi_ctx_failed(ctx);
        return NULL;
    }
    if (info) *info = i;
    return net;
}
