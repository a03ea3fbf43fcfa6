/* SPDX-License-Identifier: MIT
 * Shape rules of the integer kinds: codes are u8, weights s8. */
#include "ops/infer_rules.h"
#include "src/qround.h"

static oct_status check_clamp(const octi_infer *j) {
    if (j->a->lo[0] >= 0 && j->a->lo[0] <= j->a->hi[0] && j->a->hi[0] <= 255) return OCT_OK;
    return octi_bad_attr(j, "attributes lo, hi", "0 <= lo <= hi <= 255",
                         octi_fmt("%d, %d", j->a->lo[0], j->a->hi[0]));
}

static oct_status same_u8(octi_infer *j) {
    OCT_TRY(octi_want_dtype(j, 0, "x", OCT_U8));
    return octi_infer_same(j);
}

/** A requant's records, by the node's law: f32 [count], or s32 [2,count]. */
static oct_status want_records(const octi_infer *j, int k, int64_t count) {
    switch (j->a->law[0]) {
    case OCTQ_FP32:
        return octi_want_vector(j, k, "m", OCT_F32, count);
    case OCTQ_Q31: {
        const oct_shape *s = &j->in[k]->shape;
        OCT_TRY(octi_want_dtype(j, k, "m", OCT_S32));
        if (s->rank == 2 && s->dim[0] == 2 && s->dim[1] == count) return OCT_OK;
        return octi_bad_shape(j, "shape of m", octi_fmt("[2,%lld]", (long long)count),
                              oct_shape_text(s));
    }
    default:
        return octi_bad_attr(j, "attribute law", "0 (fp32) or 1 (q31)", octi_num(j->a->law[0]));
    }
}

oct_status octi_infer_qconv2d(octi_infer *j) {
    OCT_TRY(octi_infer_conv_shape(j, OCT_U8, OCT_S8));
    OCT_TRY(check_clamp(j));
    OCT_TRY(octi_want_vector(j, 2, "b", OCT_S32, j->shape.dim[3]));
    return want_records(j, 3, j->shape.dim[3]);
}

oct_status octi_infer_qlinear(octi_infer *j) {
    OCT_TRY(octi_infer_linear_shape(j, OCT_U8, OCT_S8));
    OCT_TRY(check_clamp(j));
    OCT_TRY(octi_want_vector(j, 2, "b", OCT_S32, j->shape.dim[1]));
    return want_records(j, 3, j->shape.dim[1]);
}

static oct_status code_pair(octi_infer *j, int64_t records) {
    OCT_TRY(octi_want_dtype(j, 0, "a", OCT_U8));
    OCT_TRY(octi_want_dtype(j, 1, "b", OCT_U8));
    OCT_TRY(want_records(j, 2, records));
    OCT_TRY(check_clamp(j));
    return octi_infer_broadcast_shape(j);
}

oct_status octi_infer_qadd(octi_infer *j) { return code_pair(j, j->a->law[0] == OCTQ_Q31 ? 3 : 2); }
oct_status octi_infer_qmul(octi_infer *j) { return code_pair(j, 1); }

oct_status octi_infer_qcat(octi_infer *j) {
    OCT_TRY(want_records(j, j->nin - 1, j->nin - 1));
    return octi_infer_cat_shape(j, j->nin - 1, OCT_U8);
}

/** m holds a multiplier for each number of cells from 0 to `most`. */
static oct_status want_mean_table(const octi_infer *j, int64_t most) {
    return want_records(j, 1, most + 1);
}

oct_status octi_infer_qavg_pool2d(octi_infer *j) {
    OCT_TRY(octi_want_dtype(j, 0, "x", OCT_U8));
    OCT_TRY(octi_infer_pool_shape(j));
    if (j->a->law[0] == OCTQ_Q31) /* on its input's grid: a division */
        return j->nin == 1 ? OCT_OK : octi_bad_attr(j, "inputs", "x alone", octi_num(j->nin));
    if (j->nin != 2) return octi_bad_attr(j, "inputs", "x, m", octi_num(j->nin));
    return want_mean_table(j, (int64_t)j->a->kernel[0] * j->a->kernel[1]);
}

static int64_t largest_window(int64_t size, int64_t out) {
    int64_t most = 0;
    for (int64_t i = 0; i < out; i++) {
        int64_t n = ((i + 1) * size + out - 1) / out - i * size / out;
        if (n > most) most = n;
    }
    return most;
}

oct_status octi_infer_qadaptive_avg_pool2d(octi_infer *j) {
    OCT_TRY(octi_want_dtype(j, 0, "x", OCT_U8));
    OCT_TRY(octi_infer_adaptive_shape(j));
    const int64_t *x = j->in[0]->shape.dim;
    return want_mean_table(j, largest_window(x[1], j->shape.dim[1]) *
                                  largest_window(x[2], j->shape.dim[2]));
}

oct_status octi_infer_qpad(octi_infer *j) {
    OCT_TRY(octi_want_dtype(j, 0, "x", OCT_U8));
    if (j->a->lo[0] < 0 || j->a->lo[0] > 255)
        return octi_bad_attr(j, "attribute lo (code of the padding)", "0 to 255",
                             octi_num(j->a->lo[0]));
    return octi_infer_pad_shape(j);
}

oct_status octi_infer_qclip(octi_infer *j) {
    OCT_TRY(check_clamp(j));
    return same_u8(j);
}

oct_status octi_infer_qtable(octi_infer *j) {
    OCT_TRY(octi_want_vector(j, 1, "table", OCT_U8, 256));
    return same_u8(j);
}

oct_status octi_infer_qsoftmax(octi_infer *j) {
    OCT_TRY(octi_want_vector(j, 1, "e", OCT_F32, 256));
    return same_u8(j);
}

oct_status octi_infer_requantize(octi_infer *j) {
    OCT_TRY(want_records(j, 1, 1));
    return same_u8(j);
}
