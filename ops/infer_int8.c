/* SPDX-License-Identifier: MIT
 * Shape rules of the integer kinds: codes are u8, weights s8. */
#include "ops/infer_rules.h"

static oct_status check_clamp(const octi_infer *j) {
    if (j->a->lo[0] >= 0 && j->a->lo[0] <= j->a->hi[0] && j->a->hi[0] <= 255) return OCT_OK;
    return octi_bad_attr(j, "attributes lo, hi", "0 <= lo <= hi <= 255",
                         octi_fmt("%d, %d", j->a->lo[0], j->a->hi[0]));
}

static oct_status same_u8(octi_infer *j) {
    OCT_TRY(octi_want_dtype(j, 0, "x", OCT_U8));
    return octi_infer_same(j);
}

oct_status octi_infer_qconv2d(octi_infer *j) {
    OCT_TRY(octi_infer_conv_shape(j, OCT_U8, OCT_S8));
    OCT_TRY(check_clamp(j));
    OCT_TRY(octi_want_vector(j, 2, "b", OCT_S32, j->shape.dim[3]));
    return octi_want_vector(j, 3, "m", OCT_F32, j->shape.dim[3]);
}

oct_status octi_infer_qlinear(octi_infer *j) {
    OCT_TRY(octi_infer_linear_shape(j, OCT_U8, OCT_S8));
    OCT_TRY(check_clamp(j));
    OCT_TRY(octi_want_vector(j, 2, "b", OCT_S32, j->shape.dim[1]));
    return octi_want_vector(j, 3, "m", OCT_F32, j->shape.dim[1]);
}

static oct_status code_pair(octi_infer *j, int64_t multipliers) {
    OCT_TRY(octi_want_dtype(j, 0, "a", OCT_U8));
    OCT_TRY(octi_want_dtype(j, 1, "b", OCT_U8));
    OCT_TRY(octi_want_vector(j, 2, "m", OCT_F32, multipliers));
    OCT_TRY(check_clamp(j));
    return octi_infer_broadcast_shape(j);
}

oct_status octi_infer_qadd(octi_infer *j) { return code_pair(j, 2); }
oct_status octi_infer_qmul(octi_infer *j) { return code_pair(j, 1); }

oct_status octi_infer_qcat(octi_infer *j) {
    OCT_TRY(octi_want_vector(j, j->nin - 1, "m", OCT_F32, j->nin - 1));
    return octi_infer_cat_shape(j, j->nin - 1, OCT_U8);
}

/** m holds a multiplier for each number of cells from 0 to `most`. */
static oct_status want_mean_table(const octi_infer *j, int64_t most) {
    return octi_want_vector(j, 1, "m", OCT_F32, most + 1);
}

oct_status octi_infer_qavg_pool2d(octi_infer *j) {
    OCT_TRY(octi_want_dtype(j, 0, "x", OCT_U8));
    OCT_TRY(octi_infer_pool_shape(j));
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
    OCT_TRY(octi_want_vector(j, 1, "m", OCT_F32, 1));
    return same_u8(j);
}
