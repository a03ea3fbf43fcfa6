/* SPDX-License-Identifier: MIT
 * Named tensors of a net to a .safetensors file and back, each turned to PyTorch's layout on the
 * way. */
#include "qat/io/tensor_files.h"

#include <string.h>

#include "qat/io/weight_layout.h"
#include "src/mem.h"

/* "fc1.weight.momentum" has the layout of "fc1.weight". */
static bool flat_of(const oct_net *net, const char *name, int64_t hwc[3]) {
    if (octi_flat_image(net, name, hwc)) return true;
    const char *dot = strrchr(name, '.');
    char base[512];
    if (!dot || (size_t)(dot - name) >= sizeof base) return false;
    memcpy(base, name, (size_t)(dot - name));
    base[dot - name] = 0;
    return octi_flat_image(net, base, hwc);
}

static oct_status append(octi_tensor_list *l, char *name, oct_dtype dtype, oct_shape shape,
                         void *data, size_t bytes) {
    if (!name || !data ||
        octi_reserve(l->ctx, (void **)&l->entries, &l->cap, (size_t)l->count + 1,
                     sizeof *l->entries) != OCT_OK) {
        octi_free(l->ctx, name);
        octi_free(l->ctx, data);
        return oct_last_error()->code;
    }
    l->entries[l->count++] = (octi_safetensors_entry){
        .name = name, .dtype = dtype, .shape = shape, .data = data, .bytes = bytes};
    return OCT_OK;
}

oct_status octi_tensor_list_add(octi_tensor_list *l, const oct_net *net, const char *prefix,
                                const oct_named_tensor *t, int32_t n) {
    OCT_TRY(octi_tensors_finite(t, n, "save", OCT_EDIVERGED, NULL));
    for (int32_t i = 0; i < n; i++) {
        int64_t hwc[3];
        bool flat = t[i].tensor->shape.rank == 2 && flat_of(net, t[i].name, hwc);
        size_t bytes = oct_tensor_bytes(t[i].tensor);
        void *data = octi_alloc_raw(l->ctx, bytes + 1);
        if (data)
            octi_layout_out(&t[i].tensor->shape, flat ? hwc : NULL,
                            oct_dtype_size(t[i].tensor->dtype), t[i].tensor->data, data);
        OCT_TRY(append(l, octi_asprintf(l->ctx, "%s%s", prefix, t[i].name), t[i].tensor->dtype,
                       octi_shape_out(&t[i].tensor->shape), data, bytes));
    }
    return OCT_OK;
}

oct_status octi_tensor_list_number(octi_tensor_list *l, const char *prefix, const char *name,
                                   oct_dtype dtype, const void *value) {
    void *data = octi_alloc(l->ctx, 8);
    if (data) memcpy(data, value, oct_dtype_size(dtype));
    return append(l, octi_asprintf(l->ctx, "%s%s", prefix, name), dtype, (oct_shape){.rank = 0},
                  data, oct_dtype_size(dtype));
}

void octi_tensor_list_free(octi_tensor_list *l) {
    for (int32_t i = 0; i < l->count; i++) {
        octi_free(l->ctx, (void *)l->entries[i].name);
        octi_free(l->ctx, (void *)l->entries[i].data);
    }
    octi_free(l->ctx, l->entries);
    memset(l, 0, sizeof *l);
}

oct_status octi_tensors_read(const octi_safetensors *file, const oct_net *net, const char *prefix,
                             const oct_named_tensor *t, int32_t n, const char *where,
                             int32_t *missing) {
    for (int32_t i = 0; i < n; i++) {
        const octi_safetensors_entry *e =
            octi_safetensors_find(file, octi_fmt("%s%s", prefix, t[i].name));
        if (!e && missing) {
            ++*missing;
            continue;
        }
        if (!e) return octi_fail(OCT_EFORMAT, where, "tensor is missing", t[i].name, NULL, NULL);
        oct_tensor *to = t[i].tensor;
        oct_shape want = octi_shape_out(&to->shape);
        if (!oct_shape_equal(&want, &e->shape))
            return octi_fail(OCT_ESHAPE, octi_fmt("%s: %s", where, e->name), "shape",
                             oct_shape_text(&want), oct_shape_text(&e->shape), NULL);
        void *wide = NULL;
        const void *from = e->data;
        if (e->dtype != to->dtype) {
            if (to->dtype != OCT_F32)
                return octi_fail(OCT_EDTYPE, octi_fmt("%s: %s", where, e->name), "dtype",
                                 oct_dtype_name(to->dtype), e->dtype_word, NULL);
            if (!(wide = octi_alloc_raw(net->ctx, oct_tensor_bytes(to) + 1)))
                return oct_last_error()->code;
            oct_status s = octi_safetensors_to_f32(e, wide);
            if (s != OCT_OK) return octi_free(net->ctx, wide), s;
            from = wide;
        }
        int64_t hwc[3];
        bool flat = to->shape.rank == 2 && flat_of(net, t[i].name, hwc);
        octi_layout_in(&to->shape, flat ? hwc : NULL, oct_dtype_size(to->dtype), from, to->data);
        octi_free(net->ctx, wide);
    }
    return octi_tensors_finite(t, n, where, OCT_EFORMAT,
                               "it was saved by a training that had diverged, or changed since");
}

oct_status octi_number_read(const octi_safetensors *file, const char *prefix, const char *name,
                            oct_dtype dtype, const char *where, void *value) {
    const octi_safetensors_entry *e = octi_safetensors_find(file, octi_fmt("%s%s", prefix, name));
    if (!e || e->dtype != dtype || e->bytes != oct_dtype_size(dtype))
        return octi_fail(OCT_EFORMAT, where, "number is missing", octi_fmt("%s%s", prefix, name),
                         e ? e->dtype_word : "nothing", NULL);
    memcpy(value, e->data, e->bytes);
    return OCT_OK;
}
