/* SPDX-License-Identifier: MIT
 * A net's tensors for other programs: .safetensors and .npz. */
#include "qat/io/export.h"

#include <string.h>

#include "qat/io/tensor_files.h"
#include "src/arena.h"
#include "src/float_mode.h"
#include "src/format/npz.h"
#include "src/mem.h"
#include "src/words.h"

/* What another program has a use for: not what observers have seen, nor training's own state. */
static bool leaves(const oct_net *net, const oct_named_tensor *t) {
    switch (t->role) {
    case OCT_ROLE_PARAM:
    case OCT_ROLE_BUFFER:
        return true;
    case OCT_ROLE_QPARAM:
    case OCT_ROLE_CONST:
        return net->stage == OCT_STAGE_INT8;
    default:
        return false;
    }
}

/* Wide elements first: each begins at a multiple of its size, whatever stands in front. */
static oct_status collect(octi_tensor_list *l, const oct_net *net) {
    for (size_t size = 8; size; size /= 2)
        for (int32_t i = 0; i < net->tensor_count; i++) {
            const oct_named_tensor *t = &net->tensors[i];
            if (leaves(net, t) && oct_dtype_size(t->tensor->dtype) == size)
                OCT_TRY(octi_tensor_list_add(l, net, "", t, 1));
        }
    return OCT_OK;
}

static oct_status write_safetensors(const octi_tensor_list *l, const char *path) {
    /* what other loaders ask for before they believe a file */
    const octi_safetensors_meta pt = {"format", "pt"};
    return octi_safetensors_write(l->ctx, path, l->entries, l->count, &pt, 1);
}

/* Archives take plain names; a module may be called anything. Odd bytes become '_', and where two
 * names fall together the later one gets its number. */
static const char *plain_name(octi_arena *a, const octi_npz_array *before, int32_t n,
                              const char *name) {
    char *s = octi_arena_strdup(a, name);
    for (char *p = s; p && *p; p++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", *p))
            *p = '_';
    for (int32_t i = 0; s && i < n; i++)
        if (!strcmp(before[i].name, s)) return octi_arena_strdup(a, octi_fmt("%.900s_%d", s, n));
    return s;
}

static oct_status write_npz(const octi_tensor_list *l, const char *path) {
    octi_npz_array *arrays = octi_calloc(l->ctx, (size_t)l->count + 1, sizeof *arrays);
    octi_arena *names = octi_arena_new(l->ctx);
    oct_status s = arrays && names ? OCT_OK : oct_last_error()->code;
    for (int32_t i = 0; i < l->count && s == OCT_OK; i++) {
        const octi_safetensors_entry *e = &l->entries[i];
        const char *name = plain_name(names, arrays, i, e->name);
        arrays[i] = (octi_npz_array){name, e->dtype, e->shape, e->data};
        if (!name) s = oct_last_error()->code;
    }
    if (s == OCT_OK) s = octi_npz_write(l->ctx, path, arrays, l->count);
    octi_arena_free(names);
    octi_free(l->ctx, arrays);
    return s;
}

static oct_status export(const oct_net *net, const char *path,
                         oct_status (*write)(const octi_tensor_list *l, const char *path)) {
    octi_tensor_list l = {.ctx = net->ctx};
    oct_status s = collect(&l, net);
    if (s == OCT_OK) s = write(&l, path);
    octi_tensor_list_free(&l);
    return s;
}

oct_status oct_export_safetensors(const oct_net *net, const char *path) {
    OCTI_LAW_MODE();
    if (!net || !path) return octi_fail_null("oct_export_safetensors");
    return export(net, path, write_safetensors);
}

oct_status oct_export_npz(const oct_net *net, const char *path) {
    OCTI_LAW_MODE();
    if (!net || !path) return octi_fail_null("oct_export_npz");
    return export(net, path, write_npz);
}
