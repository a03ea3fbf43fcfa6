/* SPDX-License-Identifier: MIT
 * Weights in PyTorch's names and layouts: into a net, out of one, and a zoo net made for a file. */
#include "qat/io/import.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "autograd/nn/nn.h"
#include "autograd/tape.h"
#include "qat/io/import_describe.h"
#include "qat/io/tensor_files.h"
#include "qat/io/weight_layout.h"
#include "qat/prepared_check.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/words.h"

/* ---- names ---- */

/* What wrappers put in front of every name. */
static const char *const wrappers[] = {"module.", "_orig_mod."};

static bool all_begin(const octi_safetensors *file, const char *prefix) {
    for (int32_t i = 0; i < octi_safetensors_count(file); i++)
        if (strncmp(octi_safetensors_at(file, i)->name, prefix, strlen(prefix))) return false;
    return octi_safetensors_count(file) > 0;
}

/* "module._orig_mod." or as much of it as all names have; "" for plain ones. */
static void find_prefix(const octi_safetensors *file, char prefix[64]) {
    enum { KNOWN = sizeof wrappers / sizeof *wrappers };
    prefix[0] = 0;
    for (int k = 0; k < KNOWN;) {
        char longer[64];
        int n = snprintf(longer, sizeof longer, "%s%s", prefix, wrappers[k]);
        if (n >= (int)sizeof longer) return;
        if (!all_begin(file, longer)) {
            k++;
            continue;
        }
        memcpy(prefix, longer, (size_t)n + 1);
        k = 0;
    }
}

static bool is_tracked(const char *name) {
    /* PyTorch's count of steps, which nothing reads */
    static const char tail[] = "num_batches_tracked";
    size_t n = strlen(name), k = sizeof tail - 1;
    return n > k && name[n - k - 1] == '.' && !strcmp(name + n - k, tail);
}

/* ---- does the file fit? ---- */

/* Words with commas between them; what finds no room is counted. */
typedef struct words {
    char text[200];
    int left_out;
} words;

static void add_word(words *w, const char *word) {
    size_t used = strlen(w->text);
    if (w->left_out || used + strlen(word) + 3 > sizeof w->text)
        w->left_out++;
    else
        snprintf(w->text + used, sizeof w->text - used, "%s%s", used ? ", " : "", word);
}

static const char *words_text(const words *w) {
    return w->left_out ? octi_fmt("%s and %d more", w->text, w->left_out)
           : *w->text  ? w->text
                       : NULL;
}

typedef struct verdict {
    int32_t missing, unused, misfits;
    words wanted, found; /* by the net, in the file */
} verdict;

static bool dtype_fits(const octi_safetensors_entry *e, oct_dtype to) {
    return e->dtype == to || (to == OCT_F32 && (e->dtype == OCT_F16 || e->dtype == OCT_F64 ||
                                                !strcmp(e->dtype_word, "BF16")));
}

static void judge_tensor(verdict *v, const octi_safetensors *file, const char *prefix,
                         const oct_named_tensor *t, bool list_missing) {
    const octi_safetensors_entry *e =
        octi_safetensors_find(file, octi_fmt("%s%s", prefix, t->name));
    oct_shape shape = octi_shape_out(&t->tensor->shape);
    if (!e) {
        v->missing++;
        if (list_missing) add_word(&v->wanted, t->name);
    } else if (!oct_shape_equal(&shape, &e->shape)) {
        v->misfits++;
        add_word(&v->wanted, octi_fmt("%s %s", t->name, oct_shape_text(&shape)));
        add_word(&v->found, octi_fmt("%s %s", t->name, oct_shape_text(&e->shape)));
    } else if (!dtype_fits(e, t->tensor->dtype)) {
        v->misfits++;
        add_word(&v->wanted, octi_fmt("%s %s", t->name, oct_dtype_name(t->tensor->dtype)));
        add_word(&v->found, octi_fmt("%s %s", t->name, e->dtype_word));
    }
}

static oct_status judge(const oct_net *net, const octi_safetensors *file, const char *path,
                        const char *prefix, int32_t *missing, int32_t *unused) {
    verdict v = {.missing = 0};
    for (int32_t i = 0; i < net->tensor_count; i++)
        judge_tensor(&v, file, prefix, &net->tensors[i], !missing);
    for (int32_t i = 0; i < octi_safetensors_count(file); i++) {
        const char *name = octi_safetensors_at(file, i)->name + strlen(prefix);
        if (is_tracked(name) || oct_net_tensor(net, name)) continue;
        v.unused++;
        if (!unused) add_word(&v.found, name);
    }
    if (missing) *missing = v.missing;
    if (unused) *unused = v.unused;
    if (!v.misfits && (missing || !v.missing) && (unused || !v.unused)) return OCT_OK;
    const char *what = octi_fmt(
        "weights are not those of %.60s: %d missing, %d extra, %d of another shape or type",
        net->model, v.missing, v.unused, v.misfits);
    return octi_fail(OCT_EFORMAT, path, what, words_text(&v.wanted), words_text(&v.found),
                     "octet inspect lists the file's tensors");
}

/* ---- loading ---- */

static oct_status load(oct_net *net, const octi_safetensors *file, const char *path,
                       int32_t *missing, int32_t *unused) {
    char prefix[64];
    int32_t lack = 0;
    find_prefix(file, prefix);
    OCT_TRY(judge(net, file, path, prefix, missing, unused));
    OCT_TRY(octi_tensors_read(file, net, prefix, net->tensors, net->tensor_count, path, &lack));
    /* scales and zero points came along */
    if (net->stage != OCT_STAGE_PREPARED || octi_prepared_check(net) == OCT_OK) return OCT_OK;
    return octi_fail_in(oct_last_error()->code, path);
}

oct_status oct_net_load_weights(oct_net *net, const char *path, int32_t *missing, int32_t *unused) {
    OCTI_LAW_MODE();
    if (!net || !path) return octi_fail_null("oct_net_load_weights");
    octi_safetensors *file = octi_safetensors_read(net->ctx, path);
    if (!file) return oct_last_error()->code;
    oct_status s = load(net, file, path, missing, unused);
    octi_safetensors_free(file);
    return s;
}

oct_status oct_net_save_weights(const oct_net *net, const char *path) {
    OCTI_LAW_MODE();
    if (!net || !path) return octi_fail_null("oct_net_save_weights");
    octi_tensor_list l = {.ctx = net->ctx};
    oct_status s = octi_tensor_list_add(&l, net, "", net->tensors, net->tensor_count);
    if (s == OCT_OK) s = octi_safetensors_write(net->ctx, path, l.entries, l.count, NULL, 0);
    octi_tensor_list_free(&l);
    return s;
}

/* ---- a net for a file ---- */

/* Dimension `free` of the file's weight `name`, where it is the model's in all others: whatever
 * else is wrong is told by judge, and no file makes a layer larger than itself. 0: the model's
 * own. */
static int64_t free_dim(const octi_safetensors *file, const char *prefix, const oct_named_tensor *t,
                        int dim, int64_t most) {
    const octi_safetensors_entry *e =
        t ? octi_safetensors_find(file, octi_fmt("%s%s", prefix, t->name)) : NULL;
    if (!e) return 0;
    oct_shape want = octi_shape_out(&t->tensor->shape);
    if (e->shape.rank != want.rank) return 0;
    want.dim[dim] = e->shape.dim[dim];
    return oct_shape_equal(&want, &e->shape) && want.dim[dim] >= 1 && want.dim[dim] <= most
               ? want.dim[dim]
               : 0;
}

/* Channels of the first convolution and outputs of the last linear layer as the file has them: the
 * model, made anew where they are not its own. */
static oct_module *fit_model(oct_module *m, const octi_safetensors *file, const char *model,
                             oct_zoo_opts *o) {
    char prefix[64];
    int32_t n;
    const oct_named_tensor *t = oct_module_tensors(m, &n), *first = NULL, *last = NULL;
    if (!t) return NULL;
    find_prefix(file, prefix);
    for (int32_t i = 0; i < n; i++) {
        if (t[i].tensor->shape.rank == 4 && !first) first = &t[i];
        if (t[i].tensor->shape.rank == 2) last = &t[i];
    }
    int channels = (int)free_dim(file, prefix, first, 1, 4),
        classes = (int)free_dim(file, prefix, last, 0, INT32_MAX);
    bool other = (channels && channels != o->channels) || (classes && classes != o->classes);
    if (channels) o->channels = channels;
    if (classes) o->classes = classes;
    return other ? oct_zoo_new(oct_module_ctx(m), model, o) : m;
}

static oct_net *import(oct_ctx *ctx, const octi_safetensors *file, const char *path,
                       const oct_import_opts *o) {
    const oct_zoo_opts *own = oct_zoo_defaults(o->model);
    if (!own) return NULL;
    oct_zoo_opts size = *own;
    if (o->height) size.height = o->height;
    if (o->width) size.width = o->width;
    oct_module *m = fit_model(oct_zoo_new(ctx, o->model, &size), file, o->model, &size);
    oct_net *net = oct_capture(m, OCT_SHAPE(size.height, size.width, size.channels));
    if (net && octi_import_describe(net, o->model) == OCT_OK &&
        load(net, file, path, NULL, NULL) == OCT_OK)
        return net;
    oct_net_free(net);
    return NULL;
}

oct_net *oct_import_torch(oct_ctx *ctx, const char *path, const oct_import_opts *opts) {
    OCTI_LAW_MODE();
    if (!ctx) return NULL;
    oct_net *net = NULL;
    if (!path || !opts || !opts->model)
        octi_fail(OCT_EUSAGE, "oct_import_torch", "path or model is missing",
                  "a .safetensors file and a zoo name", NULL, NULL);
    else {
        octi_safetensors *file = octi_safetensors_read(ctx, path);
        net = file ? import(ctx, file, path, opts) : NULL;
        octi_safetensors_free(file);
    }
    if (!net) octi_ctx_failed(ctx);
    return net;
}

void oct_import_opts_init(oct_import_opts *opts) {
    if (opts) *opts = (oct_import_opts){0};
}
