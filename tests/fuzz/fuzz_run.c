/* SPDX-License-Identifier: MIT
 * A run: u32 (little-endian) size of graph.json, graph.json, model.safetensors. What loads is run
 * on two images and converted where it is prepared (either may refuse), saved, and loaded again to
 * the same tensors. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ops/qrun.h"
#include "qat/fit/fit.h"
#include "tests/fuzz/fuzz.h"

enum { MOST = 1 << 15, IMAGES = 2 }; /* elements of a value that are worth running */

static const char *folder(void) {
    static char dir[64];
    if (!*dir) {
        snprintf(dir, sizeof dir, "%s/octet-fuzz-XXXXXX",
                 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
        if (!mkdtemp(dir)) abort();
    }
    return dir;
}

static const char *in_folder(const char *name) {
    static char path[4][128];
    static unsigned turn;
    snprintf(path[++turn % 4], sizeof path[0], "%s/%s", folder(), name);
    return path[turn % 4];
}

static void clean(void) {
    static const char *const names[] = {"in/graph.json", "in/model.safetensors", "out/config.json",
                                        "out/graph.json", "out/model.safetensors"};
    for (int i = 0; i < 5; i++) unlink(in_folder(names[i]));
    rmdir(in_folder("in"));
    rmdir(in_folder("out"));
    rmdir(folder());
}

static void put(const char *name, const uint8_t *p, size_t n) {
    int fd = open(in_folder(name), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    fuzz_check(fd >= 0 && write(fd, p, n) == (ssize_t)n && !close(fd));
}

/* Work grows with the square of what a small file can ask for; only small nets are run. */
static bool is_small(const oct_net *net) {
    int64_t sum = 0;
    for (int32_t i = 0; i < net->graph->value_count; i++) {
        int64_t n = octi_image_count(&net->graph->values[i].shape);
        if (n < 0 || n > MOST || (sum += n) > 4 * MOST) return false;
    }
    return net->graph->input >= 0;
}

static void run(oct_net *net) {
    const oct_graph *g = net->graph;
    oct_shape in = g->values[g->input].shape;
    if (in.rank < 1 || in.dim[0] != OCT_BATCH || g->values[g->input].dtype != OCT_F32) return;
    in.dim[0] = IMAGES;
    oct_tensor *x = oct_tensor_new(net->ctx, OCT_F32, in);
    if (!x) return fuzz_failed(oct_last_error()->code);
    for (int64_t i = 0; i < oct_tensor_count(x); i++)
        ((float *)x->data)[i] = (float)(i % 37) * 0.17f - 3.0f;
    oct_runner *r = oct_runner_new(net, &(oct_runner_opts){.batch = IMAGES});
    if (!r || !oct_runner_run(r, x)) fuzz_failed(oct_last_error()->code);
    oct_runner_free(r);
    if (net->stage == OCT_STAGE_PREPARED) {
        oct_mismatch m = {.codes = 0};
        oct_net *i8 = oct_convert(net, NULL);
        if (!i8)
            fuzz_failed(oct_last_error()->code);
        else if (oct_compare(net, i8, x, &m) != OCT_OK)
            fuzz_failed(oct_last_error()->code);
        fuzz_check(m.mismatched == 0);
        oct_net_free(i8);
    }
    oct_tensor_unref(x);
}

static void again(oct_ctx *ctx, oct_net *net) {
    if (oct_run_save(net, in_folder("out"), NULL, true) != OCT_OK)
        return fuzz_failed(oct_last_error()->code);
    oct_net *back = oct_run_load(ctx, in_folder("out"), NULL);
    fuzz_check(back && back->tensor_count == net->tensor_count &&
               back->graph->node_count == net->graph->node_count);
    for (int32_t i = 0; i < net->tensor_count; i++) {
        const oct_tensor *a = net->tensors[i].tensor,
                         *b = oct_net_tensor(back, net->tensors[i].name);
        fuzz_check(b && oct_shape_equal(&a->shape, &b->shape) &&
                   !memcmp(a->data, b->data, oct_tensor_bytes(a)));
    }
    oct_net_free(back);
}

/* ---- mutations that stay JSON: a number or a word in place of another; else libFuzzer's own
 * ---- */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

static bool in_number(uint8_t c) {
    return (c >= '0' && c <= '9') || c == '-' || c == '.' || c == 'e';
}

/* The token at or behind `from`: a number, or a string with its quotes; false where there is none
 * before `end`. */
static bool token(const uint8_t *p, size_t from, size_t end, size_t *at, size_t *len) {
    for (size_t i = from; i < end; i++) {
        if (p[i] != '"' && !in_number(p[i])) continue;
        size_t k = i + 1;
        while (k < end && (p[i] == '"' ? p[k] != '"' : in_number(p[k]))) k++;
        *at = i;
        *len = k - i + (p[i] == '"' && k < end);
        return true;
    }
    return false;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed) {
    static const char *const values[] = {
        "0",     "1",   "-1",    "2",          "3",
        "8",     "255", "65536", "2147483647", "9223372036854775807",
        "1e300", "0.5", "\"\"",  "null",       "[]"};
    static uint8_t whole[1 << 20];
    if (!LLVMFuzzerMutate) return size;
    size_t n = size >= 4
                   ? data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16 | (size_t)data[3] << 24
                   : 0,
           at, len, at2, len2;
    if (seed % 4 == 0 || n < 8 || n > size - 4 ||
        !token(data, 4 + (seed >> 2) % n, 4 + n, &at, &len))
        return LLVMFuzzerMutate(data, size, max);
    const char *v = values[(seed >> 4) % 15];
    const uint8_t *put_in = (const uint8_t *)v;
    len2 = strlen(v);
    if (seed % 4 < 3 && token(data, 4 + (size_t)(seed * 2654435761u) % n, 4 + n, &at2, &len2))
        put_in = data + at2;
    else
        len2 = strlen(v);
    if (size - len + len2 > max || size + len2 > sizeof whole)
        return LLVMFuzzerMutate(data, size, max);
    memcpy(whole, data, at);
    memcpy(whole + at, put_in, len2);
    memcpy(whole + at + len2, data + at + len, size - at - len);
    n = n - len + len2;
    for (int i = 0; i < 4; i++) whole[i] = (uint8_t)(n >> 8 * i);
    memcpy(data, whole, size - len + len2);
    return size - len + len2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool made;
    if (!made) made = !mkdir(in_folder("in"), 0777) && !atexit(clean);
    if (size < 4) return 0;
    size_t n = data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16 | (size_t)data[3] << 24;
    if (n > size - 4) n = size - 4;
    put("in/graph.json", data + 4, n);
    put("in/model.safetensors", data + 4 + n, size - 4 - n);
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1, .max_bytes = (size_t)256 << 20});
    if (!ctx) abort();
    size_t held = oct_ctx_memory(ctx, OCT_MEMORY_BYTES);
    oct_net *net = oct_run_load(ctx, in_folder("in"), NULL);
    if (net) {
        if (is_small(net)) run(net);
        again(ctx, net);
        oct_net_free(net);
    } else {
        fuzz_failed(oct_last_error()->code);
        fuzz_check(oct_ctx_memory(ctx, OCT_MEMORY_BYTES) == held);
    }
    oct_close(ctx);
    return 0;
}
