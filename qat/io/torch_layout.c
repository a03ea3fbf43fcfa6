/* SPDX-License-Identifier: MIT
 * Tensors of a net as PyTorch lays them out: for those who compare by hand. */
#include "qat/io/import.h"
#include "qat/io/weight_layout.h"
#include "src/format/safetensors.h"
#include "src/words.h"

oct_tensor *oct_torch_layout(const oct_net *net, const char *name, const oct_tensor *t) {
    if (!net || !t) return (void)octi_fail_null("oct_torch_layout"), NULL;
    int64_t hwc[3];
    const bool flat = name && t->shape.rank == 2 && octi_flat_image(net, name, hwc);
    const oct_dtype dtype = t->dtype == OCT_F16 ? OCT_F32 : t->dtype;
    oct_tensor *same = oct_tensor_new(net->ctx, t->dtype, octi_shape_out(&t->shape)), *wide = same;
    if (!same) return NULL;
    octi_layout_out(&t->shape, flat ? hwc : NULL, oct_dtype_size(t->dtype), t->data, same->data);
    if (dtype == t->dtype) return same;
    if ((wide = oct_tensor_new(net->ctx, dtype, same->shape)))
        for (int64_t i = 0; i < oct_tensor_count(same); i++)
            oct_f32(wide)[i] = octi_f16_to_f32(((const uint16_t *)same->data)[i]);
    oct_tensor_unref(same);
    return wide;
}
