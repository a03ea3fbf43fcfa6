/* SPDX-License-Identifier: MIT
 * Sums that fp32 may not hold: beyond 2^24 the result of a float convolution hangs on the order in
 * which a runtime adds. Each channel's products are dealt out to as many convolutions as keep below
 * it, whose sums are whole numbers; they are added as int32 and become floats once, as the law has
 * it. */
#include <stdlib.h>

#include "qat/io/onnx_out_floats.h"
#include "qat/io/weight_layout.h"
#include "src/mem.h"
#include "src/words.h"

enum { HELD = 1 << 24 }; /* fp32 has every whole number up to it */

/* The largest |q - z| of input 0. */
static int64_t reach(const octi_onnx_out *w) {
    const oct_value *x = octi_onnxw_in_value(w, 0);
    const oct_qspec *spec = &w->g->quantizers[x->quantizer].spec;
    const int64_t z = octi_onnxw_zero(w, x), below = z - spec->qmin, above = spec->qmax - z;
    return below > above ? below : above;
}

/* Deals weight e of every channel to part[e]; how many parts there are. */
static int deal(const int8_t *codes, int64_t o, int64_t k, int64_t most, uint16_t *part) {
    int parts = 1;
    for (int64_t c = 0; c < o; c++) {
        int64_t sum = 0;
        int at = 0;
        for (int64_t e = c * k; e < (c + 1) * k; e++) {
            const int64_t add = most * abs(codes[e]);
            if (sum + add > HELD) at++, sum = 0;
            sum += add;
            part[e] = (uint16_t)at;
        }
        if (at + 1 > parts) parts = at + 1;
    }
    return parts;
}

static bool holds(const int8_t *codes, const int32_t *bias, int64_t o, int64_t k, int64_t most) {
    for (int64_t c = 0; c < o; c++) {
        int64_t sum = llabs((long long)bias[c]);
        for (int64_t e = c * k; e < (c + 1) * k; e++) sum += most * abs(codes[e]);
        if (sum > HELD) return false;
    }
    return true;
}

static const char *cast(octi_onnx_out *w, const char *x, const char *suffix, int type,
                        const oct_shape *shape) {
    const char *y = octi_onnxw_op_as(w, "Cast", suffix, 1, &x, type, shape);
    octi_onnxw_int(&w->b, "to", type);
    return y;
}

/* The products of one part, as int32. */
static const char *part_sum(octi_onnx_out *w, const char *op, const uint16_t *part, int which,
                            int8_t *few, int8_t *laid, const oct_shape *out) {
    const oct_value *v = octi_onnxw_in_value(w, 1);
    const oct_shape *s = &v->tensor->shape, shape = octi_shape_out(s);
    for (int64_t e = 0; e < oct_shape_count(s); e++)
        few[e] = part[e] == which ? oct_s8(v->tensor)[e] : 0;
    octi_layout_out(s, octi_onnxw_columns(w, 1), 1, few, laid);
    const char *base = octi_fmt("%.800s.part_%d", v->name, which),
               *codes = octi_onnxw_value_name(&w->b, base);
    octi_onnxw_constant(&w->b, codes, OCTI_ONNX_S8, &shape, laid);
    const char *const in[] = {octi_onnxw_whole(w, 0), octi_onnxw_whole_of(w, codes, codes, &shape)};
    const char *x = octi_onnxw_op(w, op, octi_fmt("sum_%d", which), 2, in);
    octi_onnxw_product_form(w);
    return cast(w, x, octi_fmt("exact_%d", which), OCTI_ONNX_S32, out);
}

static const char *in_parts(octi_onnx_out *w, const char *op, const uint16_t *part, int parts,
                            int8_t *few, int8_t *laid) {
    const oct_value *b = octi_onnxw_in_value(w, 2);
    const oct_shape out = octi_shape_out(&octi_onnxw_out_value(w)->shape);
    const int64_t o = oct_tensor_count(b->tensor);
    const oct_shape along = out.rank == 4 ? OCT_SHAPE(1, o, 1, 1) : OCT_SHAPE(o);
    const char *sum = octi_onnxw_value_name(&w->b, b->name);
    octi_onnxw_constant(&w->b, sum, OCTI_ONNX_S32, &along, b->tensor->data);
    for (int i = 0; i < parts && w->b.status == OCT_OK; i++) {
        const char *const in[] = {part_sum(w, op, part, i, few, laid, &out), sum};
        sum = octi_onnxw_op_as(w, "Add", octi_fmt("total_%d", i), 2, in, OCTI_ONNX_S32, &out);
    }
    return cast(w, sum, "sum", OCTI_ONNX_F32, &out);
}

const char *octi_onnxw_wide_sums(octi_onnx_out *w, const char *op) {
    const oct_tensor *t = octi_onnxw_in_value(w, 1)->tensor, *b = octi_onnxw_in_value(w, 2)->tensor;
    const int64_t n = oct_tensor_count(t), o = oct_tensor_count(b), k = n / o, most = reach(w);
    if (holds(oct_s8(t), oct_s32(b), o, k, most)) return NULL;
    uint16_t *part = octi_calloc(w->net->ctx, (size_t)n, sizeof *part);
    int8_t *few = octi_calloc(w->net->ctx, (size_t)n, 1),
           *laid = octi_calloc(w->net->ctx, (size_t)n, 1);
    const char *x = NULL;
    if (part && few && laid)
        x = in_parts(w, op, part, deal(oct_s8(t), o, k, most, part), few, laid);
    else
        w->b.status = oct_last_error()->code;
    octi_free(w->net->ctx, part);
    octi_free(w->net->ctx, few);
    octi_free(w->net->ctx, laid);
    return x;
}

bool octi_onnxw_too_wide(octi_onnx_out *w, int64_t cells) {
    if (cells * reach(w) <= HELD) return false;
    octi_onnxw_refuse(w, "sums more cells than fp32 holds in a float convolution");
    return true;
}

const char *octi_onnxw_wide_image_sum(octi_onnx_out *w) {
    static const int64_t axes[2] = {2, 3};
    const int64_t *in = octi_onnxw_in_value(w, 0)->shape.dim;
    if (in[1] * in[2] * reach(w) <= HELD) return NULL;
    const oct_shape whole = octi_shape_out(&octi_onnxw_in_value(w, 0)->shape),
                    out = octi_shape_out(&octi_onnxw_out_value(w)->shape);
    const char *const from[] = {cast(w, octi_onnxw_whole(w, 0), "exact", OCTI_ONNX_S32, &whole),
                                octi_onnxw_longs(w, "axes", axes, 2)};
    const char *x = octi_onnxw_op_as(w, "ReduceSum", "total", 2, from, OCTI_ONNX_S32, &out);
    octi_onnxw_int(&w->b, "keepdims", 1);
    return cast(w, x, "sum", OCTI_ONNX_F32, &out);
}
