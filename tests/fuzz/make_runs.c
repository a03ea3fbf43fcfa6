/* SPDX-License-Identifier: MIT
 * Writes seeds of corpus/fuzz_run: small nets, float, prepared and with learned scales, and broken
 * ones. Weights carry no CRC, which no mutation would pass. Usage: make_runs CORPUS. Findings of
 * the fuzzer are added by hand (names begin with "found-"). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qat/fit/fit.h"
#include "src/format/bytes.h"
#include "src/format/safetensors.h"
#include "src/mem.h"
#include "tests/random_net.h"

static oct_ctx *ctx;
static char dir[] = "/tmp/octet-make-runs-XXXXXX";

static void check(bool ok, const char *what) {
    if (ok) return;
    fprintf(stderr, "%s: %s\n", what, oct_error_message());
    exit(1);
}

/* The file again, as another program would write it. */
static void bare(const octi_safetensors *st, octi_text *out) {
    octi_text head = {.ctx = ctx}, data = {.ctx = ctx};
    octi_text_printf(&head, "{");
    for (int32_t i = 0; i < octi_safetensors_count(st); i++) {
        const octi_safetensors_entry *e = octi_safetensors_at(st, i);
        octi_text_printf(&head, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", i ? "," : "", e->name,
                         e->dtype_word);
        for (int32_t d = 0; d < e->shape.rank; d++)
            octi_text_printf(&head, "%s%lld", d ? "," : "", (long long)e->shape.dim[d]);
        octi_text_printf(&head, "],\"data_offsets\":[%zu,%zu]}", data.size, data.size + e->bytes);
        octi_text_bytes(&data, e->data, e->bytes);
    }
    octi_text_printf(&head, "}");
    uint64_t n = head.size;
    octi_text_bytes(out, &n, 8);
    octi_text_bytes(out, head.data, head.size);
    octi_text_bytes(out, data.data, data.size);
    octi_text_free(&head);
    octi_text_free(&data);
}

static void emit(oct_net *net, const char *corpus, const char *name, const char *from,
                 const char *to) {
    char path[512];
    uint8_t *json;
    size_t size;
    check(oct_run_save(net, dir, NULL, true) == OCT_OK, name);
    snprintf(path, sizeof path, "%s/graph.json", dir);
    check(octi_file_read(ctx, path, 0, &json, &size) == OCT_OK, path);
    octi_text text = {.ctx = ctx}, all = {.ctx = ctx};
    octi_text_bytes(&text, json, size);
    char *at = from ? strstr(text.data, from) : NULL;
    octi_text edited = {.ctx = ctx};
    if (from) check(at != NULL, from);
    octi_text_printf(&edited, "%.*s%s%s", at ? (int)(at - text.data) : (int)text.size, text.data,
                     at ? to : "", at ? at + strlen(from) : "");
    uint32_t n = (uint32_t)edited.size;
    octi_text_bytes(&all, &n, 4);
    octi_text_bytes(&all, edited.data, edited.size);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    octi_safetensors *st = octi_safetensors_read(ctx, path);
    check(st != NULL, path);
    bare(st, &all);
    octi_safetensors_free(st);
    snprintf(path, sizeof path, "%s/%s", corpus, name);
    check(octi_file_save(ctx, path, all.data, all.size) == OCT_OK, path);
    printf("%s %zu\n", name, all.size);
}

int main(int argc, char **argv) {
    ctx = oct_open(&(oct_opts){.threads = 1});
    if (argc != 2 || !ctx || !mkdtemp(dir)) return 1;
    for (uint64_t seed = 1, made = 0; made < 5; seed++) {
        oct_shape image;
        char name[64];
        oct_net *net = random_net(ctx, seed, &image);
        check(net != NULL, "net");
        if (net->graph->node_count > 14) continue;
        snprintf(name, sizeof name, "float%d", (int)seed);
        if (made % 2 == 0) emit(net, argv[1], name, NULL, NULL);
        static const char *const observers[] = {"minmax", "ema", "histogram"};
        oct_net *q = oct_prepare(
            net, &(oct_qconfig){.observer = made < 3 ? observers[made] : NULL,
                                .method = made == 3 ? OCT_METHOD_LSQ_PLUS : OCT_METHOD_DEFAULT,
                                .wbits = made == 4 ? 4 : 0});
        check(q != NULL, "prepare");
        oct_tape *t = oct_tape_new(ctx);
        oct_tape_begin(t, OCT_CALIBRATE);
        oct_tensor *x = random_images(ctx, 4, image, 1);
        check(oct_net_forward(q, oct_input(t, x)) != NULL, "calibrate");
        snprintf(name, sizeof name, "prepared%d", (int)seed);
        emit(q, argv[1], name, NULL, NULL);
        if (made++) continue;
        emit(net, argv[1], "broken-in", "\"in\": [", "\"in\": [7, ");
        emit(net, argv[1], "broken-shape", "\"shape\": [", "\"shape\": [9223372036854775807,");
        emit(net, argv[1], "broken-format", "\"format\":1", "\"format\":2");
        emit(net, argv[1], "broken-stage", "\"stage\": \"float\"", "\"stage\": \"prepared\"");
        emit(q, argv[1], "broken-role", "\"qparam\"", "\"param\"");
    }
    oct_close(ctx);
    char cmd[96];
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd) != 0;
}
