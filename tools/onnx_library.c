/* SPDX-License-Identifier: MIT
 * ONNX Runtime by its library: loaded when it is asked for, called through its C interface. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "tools/onnx_runtime.h"
#include "tools/ort_api.h"

typedef struct library {
    void *handle;
    ort_api api;
    ort_env *env;
    ort_session *session;
    ort_memory *memory;
} library;

/* A status as an exit code behind its message; NULL is success. */
static int said(const onnx_runtime *r, ort_status *s) {
    const library *l = r->state;
    if (!s) return 0;
    cli_print_to(stderr, "octet: %s: ONNX Runtime: %.400s\n", r->path, l->api.error_message(s));
    l->api.release_status(s);
    return 3;
}

static int no_library(const char *where, const char *why) {
    return cli_usage("OCT_ORT", "is no ONNX Runtime", "the path of libonnxruntime.so, 1.7 or later",
                     where, why) +
           1;
}

/* dlsym gives functions as data pointers: POSIX says that they convert. */
static int load(library *l, const char *where) {
    const ort_base *(*base)(void) = NULL;
    if (!(l->handle = dlopen(where, RTLD_NOW | RTLD_LOCAL))) return no_library(where, dlerror());
    void *symbol = dlsym(l->handle, "OrtGetApiBase");
    if (!symbol) return no_library(where, "it has no OrtGetApiBase");
    memcpy(&base, &symbol, sizeof base);
    const ort_function *table = base() ? base()->get_api(ORT_API_VERSION_ASKED) : NULL;
    if (!table) return no_library(where, "it is older than 1.7");
#define ORT_CALL(name, place, result, arguments)                                                   \
    memcpy(&l->api.name, &table[place], sizeof l->api.name);
    ORT_CALLS
#undef ORT_CALL
    return 0;
}

static int library_open(onnx_runtime *r, const char *where, const char *model) {
    library *l = r->state = calloc(1, sizeof *l);
    if (!l) return fprintf(stderr, "octet: out of memory\n"), 5;
    int code = load(l, where);
    if (code) return code;
    const ort_api *a = &l->api;
    ort_options *o = NULL;
    code = said(r, a->create_env(ORT_LOG_ERRORS, "octet", &l->env));
    if (!code) code = said(r, a->create_options(&o));
    if (!code) code = said(r, a->set_optimization(o, ORT_OPTIMIZE_ALL));
    if (!code) code = said(r, a->set_threads(o, 1));
    if (!code) code = said(r, a->add_config(o, "session.x64quantprecision", "1"));
    if (!code) code = said(r, a->create_session(l->env, model, o, &l->session));
    if (!code) code = said(r, a->cpu_memory(1, 0, &l->memory)); /* an arena's, the default kind */
    if (o) a->release_options(o);
    return code;
}

static int take_value(const onnx_runtime *r, ort_value *from, onnx_value *to) {
    const ort_api *a = &((library *)r->state)->api;
    ort_info *info = NULL;
    size_t rank = 0;
    void *data = NULL;
    int code = said(r, a->type_and_shape(from, &info));
    if (!code) code = said(r, a->element_type(info, &to->type));
    if (!code) code = said(r, a->dimension_count(info, &rank));
    to->rank = rank <= ONNX_RANK ? (int)rank : 0;
    if (!code && rank <= ONNX_RANK) code = said(r, a->dimensions(info, to->dim, rank));
    if (!code) code = said(r, a->tensor_data(from, &data));
    to->bytes = rank <= ONNX_RANK ? onnx_element_size(to->type) : 0;
    for (int i = 0; i < to->rank; i++) to->bytes *= (size_t)to->dim[i];
    if (!code && to->bytes) {
        if ((to->data = malloc(to->bytes)))
            memcpy(to->data, data, to->bytes);
        else
            code = (fprintf(stderr, "octet: out of memory\n"), 5);
    }
    if (info) a->release_info(info);
    return code;
}

static int library_run(onnx_runtime *r, const float *x, int rank, const int64_t *dim,
                       onnx_value *out) {
    library *l = r->state;
    const ort_api *a = &l->api;
    size_t bytes = sizeof *x;
    for (int i = 0; i < rank; i++) bytes *= (size_t)dim[i];
    ort_value *in = NULL, **made = calloc((size_t)r->count + 1, sizeof *made);
    if (!made) return fprintf(stderr, "octet: out of memory\n"), 5;
    int code = said(r, a->tensor_with_data(l->memory, (void *)(uintptr_t)x, bytes, dim,
                                           (size_t)rank, ORT_FLOAT, &in));
    const ort_value *const inputs[] = {in};
    if (!code)
        code = said(
            r, a->run(l->session, NULL, &r->input, inputs, 1, r->outputs, (size_t)r->count, made));
    for (int32_t i = 0; i < r->count && !code; i++) code = take_value(r, made[i], &out[i]);
    for (int32_t i = 0; i < r->count; i++)
        if (made[i]) a->release_value(made[i]);
    if (in) a->release_value(in);
    free(made);
    return code;
}

static void library_close(onnx_runtime *r) {
    library *l = r->state;
    if (!l) return;
    if (l->session) l->api.release_session(l->session);
    if (l->memory) l->api.release_memory(l->memory);
    if (l->env) l->api.release_env(l->env);
    /* never unloaded: its threads may still be ending */
    free(l);
    r->state = NULL;
}

const onnx_backend onnx_library = {
    .variable = "OCT_ORT",
    .open = library_open,
    .run = library_run,
    .close = library_close,
};
