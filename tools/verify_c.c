/* SPDX-License-Identifier: MIT
 * The side of verify that is an exported C file: built with $CC, its trace read layer by layer. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/c_program.h"
#include "tools/verify.h"

typedef struct c_layer {
    oct_tensor codes; /* u8 [n, bytes]; its data is VERIFY_BATCH images long */
    uint32_t bytes;
} c_layer;

typedef struct c_side {
    c_program program;
    c_layer *layers;
    int32_t count;
    oct_tensor *scale, *zero_point, *codes; /* of the input */
    uint8_t *room;
} c_side;

static bool is_c(const char *path) {
    struct stat st;
    const size_t n = strlen(path);
    return n > 2 && !strcmp(path + n - 2, ".c") && !stat(path, &st) && S_ISREG(st.st_mode);
}

static int no_memory(void) { return fprintf(stderr, "octet: out of memory\n"), 5; }

/* A run on zeros, to learn which layers there are. */
static int learn_layers(verify_side *s, c_side *c) {
    char name[512];
    uint32_t bytes;
    uint8_t *zeros = calloc((size_t)c->program.model.count, 1);
    int code = zeros ? c_program_give(&c->program, zeros) : no_memory();
    free(zeros);
    while (!code) {
        code = c_program_layer(&c->program, name, &c->room, &bytes);
        if (code || !bytes) return code;
        void *layers = realloc(c->layers, ((size_t)c->count + 1) * sizeof *c->layers);
        if (layers) c->layers = layers;
        void *names = realloc((void *)s->layers, ((size_t)c->count + 2) * sizeof *s->layers);
        if (names) s->layers = names;
        if (!layers || !names) return no_memory();
        c_layer *l = &c->layers[c->count];
        *l = (c_layer){.codes = {.dtype = OCT_U8, .data = malloc((size_t)bytes * VERIFY_BATCH)},
                       .bytes = bytes};
        if (!(s->layers[c->count] = strdup(name)) || !l->codes.data) return no_memory();
        s->layers[++c->count] = NULL;
    }
    return code;
}

static int c_open(verify_side *s, const verify_side *other) {
    c_side *c = s->state = calloc(1, sizeof *c);
    if (!c || !(s->layers = calloc(1, sizeof *s->layers))) return no_memory();
    int code = c_program_start(&c->program, s->path);
    if (code) return code;
    const c_model *m = &c->program.model;
    s->input =
        m->rank == 2 ? OCT_SHAPE(OCT_BATCH, m->count) : OCT_SHAPE(OCT_BATCH, m->h, m->w, m->c);
    if (other && other->input.rank != s->input.rank) { /* [N,T,C], say: the same in order */
        int64_t count = 1;
        for (int i = 1; i < other->input.rank; i++) count *= other->input.dim[i];
        if (count == m->count) s->input = other->input;
    }
    c->scale = oct_tensor_new(s->c->ctx, OCT_F32, OCT_SHAPE(1));
    c->zero_point = oct_tensor_new(s->c->ctx, OCT_S32, OCT_SHAPE(1));
    c->codes = oct_tensor_new(s->c->ctx, m->lowest < 0 ? OCT_S8 : OCT_U8,
                              OCT_SHAPE(VERIFY_BATCH, m->count));
    if (!c->scale || !c->zero_point || !c->codes) return cli_failed();
    *oct_f32(c->scale) = m->scale;
    *oct_s32(c->zero_point) = m->zero_point;
    return learn_layers(s, c);
}

/* The trace of one image. */
static int take_image(verify_side *s, c_side *c, int64_t image) {
    char name[512];
    for (int32_t k = 0;; k++) {
        uint32_t bytes;
        const int code = c_program_layer(&c->program, name, &c->room, &bytes);
        if (code || (!bytes && k == c->count)) return code;
        if (k == c->count || bytes != c->layers[k].bytes || strcmp(name, s->layers[k]))
            return fprintf(stderr, "octet: %s: its layers are not the same in every run\n",
                           s->path),
                   7;
        memcpy((uint8_t *)c->layers[k].codes.data + (size_t)image * bytes, c->room, bytes);
    }
}

static int c_run(verify_side *s, const oct_tensor *x) {
    c_side *c = s->state;
    const c_model *m = &c->program.model;
    const int64_t n = x->shape.dim[0];
    oct_tensor in = *x, codes = *c->codes;
    in.shape = codes.shape = OCT_SHAPE(n, m->count);
    if (oct_fake_quantize_forward(s->c->ctx, &in, c->scale, c->zero_point, m->lowest, m->highest,
                                  NULL, &codes) != OCT_OK)
        return cli_failed();
    for (int64_t i = 0; i < n; i++) {
        int code = c_program_give(&c->program, (const uint8_t *)codes.data + i * m->count);
        if (!code) code = take_image(s, c, i);
        if (code) return code;
    }
    for (int32_t k = 0; k < c->count; k++)
        c->layers[k].codes.shape = OCT_SHAPE(n, c->layers[k].bytes);
    return 0;
}

static const oct_tensor *c_value(verify_side *s, const char *layer) {
    c_side *c = s->state;
    for (int32_t k = 0; k < c->count; k++)
        if (!strcmp(s->layers[k], layer)) return &c->layers[k].codes;
    return NULL;
}

static void c_close(verify_side *s) {
    c_side *c = s->state;
    if (!c) return;
    c_program_end(&c->program);
    for (int32_t k = 0; k < c->count; k++) {
        free(c->layers[k].codes.data);
        free((void *)(uintptr_t)s->layers[k]);
    }
    oct_tensor_unref(c->scale);
    oct_tensor_unref(c->zero_point);
    oct_tensor_unref(c->codes);
    free((void *)s->layers);
    free(c->layers);
    free(c->room);
    free(c);
}

const side_kind verify_c_file = {
    .word = "an exported C file",
    .is = is_c,
    .open = c_open,
    .run = c_run,
    .value = c_value,
    .close = c_close,
};
