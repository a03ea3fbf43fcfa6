/* SPDX-License-Identifier: MIT
 * ONNX in: blocks of rows and columns to channels (SpaceToDepth, PixelUnshuffle) and back
 * (DepthToSpace, PixelShuffle). To channels: a convolution that never trains, whose windows are the
 * blocks. Back: an image [N,H,W,(i,j,C)] is, for each row i of the blocks, rows [N,H,W*j,C] as they
 * lie; those, one behind the other, are rows of the larger image. */
#include <string.h>

#include "qat/io/onnx_in.h"
#include "src/mem.h"

/* Sides of a block, its channels; what one step of each of them is in the index of the channels
 * that hold it. */
typedef struct blocks {
    int64_t rows, columns, channels;
    int64_t row_step, column_step, channel_step;
} blocks;

static oct_status index_of(octi_onnx_node *n, const blocks *b, int64_t **idx, int64_t *count) {
    if (__builtin_mul_overflow(b->rows, b->columns, count) ||
        __builtin_mul_overflow(*count, b->channels, count) || *count > n->o->made)
        return octi_onnx_refuse(n, OCTI_CURE_LIMIT, "blocks of %lld x %lld and %lld channels",
                                (long long)b->rows, (long long)b->columns, (long long)b->channels);
    *idx = octi_arena_calloc(n->o->arena, (size_t)*count + 1, sizeof **idx);
    return *idx ? OCT_OK : oct_last_error()->code;
}

static oct_status to_channels(octi_onnx_node *n, int32_t image, const blocks *b,
                              octi_onnx_place *to) {
    const bool apart = b->channel_step == b->rows * b->columns; /* each channel's own, in a row */
    const int64_t kept = apart ? 1 : b->channels;
    int64_t *at, count;
    int32_t v;
    OCT_TRY(index_of(n, b, &at, &count));
    for (int64_t i = 0; i < b->rows; i++)
        for (int64_t j = 0; j < b->columns; j++)
            for (int64_t c = 0; c < b->channels; c++)
                at[i * b->row_step + j * b->column_step + c * b->channel_step] =
                    (i * b->columns + j) * kept + (apart ? 0 : c);
    const int32_t r = (int32_t)b->rows, s = (int32_t)b->columns;
    const oct_attrs a = {.kernel = {r, s},
                         .stride = {r, s},
                         .dilation = {1, 1},
                         .groups = {apart ? (int32_t)b->channels : 1}};
    OCT_TRY(octi_onnx_one_hot(n, image, a, at, count, NULL, &v));
    *to = octi_onnx_placed(n->o, v);
    return OCT_OK;
}

static oct_status reshape(octi_onnx_node *n, int64_t h, int64_t w, int64_t c, const char *suffix,
                          int32_t *v) {
    oct_attrs a = {.shape = {(int32_t)h, (int32_t)w, (int32_t)c}};
    if (h > INT32_MAX || w > INT32_MAX || c > INT32_MAX)
        return octi_onnx_refuse(n, OCTI_CURE_LIMIT, "a side beyond 2^31");
    return octi_onnx_emit(n, OCT_OP_reshape, octi_onnx_name(n, suffix), &a, v, 1, v);
}

/* Channels in the order of rows, columns, channels. */
static oct_status in_order(octi_onnx_node *n, octi_onnx_place *x, const blocks *b) {
    int64_t *idx, count;
    bool moved = false;
    OCT_TRY(index_of(n, b, &idx, &count));
    for (int64_t k = 0; k < count; k++) {
        const int64_t c = k % b->channels, j = k / b->channels % b->columns,
                      i = k / b->channels / b->columns;
        idx[k] = i * b->row_step + j * b->column_step + c * b->channel_step;
        moved |= idx[k] != k;
    }
    const octi_onnx_place was = *x;
    return moved ? octi_onnx_pick(n, &was, idx, count, "channels", x) : OCT_OK;
}

static oct_status to_blocks(octi_onnx_node *n, octi_onnx_place x, const blocks *b,
                            octi_onnx_place *to) {
    const int64_t h = x.dim[2], w = x.dim[3], r = b->rows, row = b->columns * b->channels;
    int64_t line, wide;
    int32_t in[OCTI_ONNX_ARGS], v;
    if (r > OCTI_ONNX_ARGS || __builtin_mul_overflow(w, row, &line) ||
        __builtin_mul_overflow(line, r, &wide) || h > INT32_MAX)
        return octi_onnx_refuse(n, OCTI_CURE_LIMIT, "blocks of %lld rows", (long long)r);
    OCT_TRY(in_order(n, &x, b));
    v = x.v;
    for (int64_t i = 0; r > 1 && i < r; i++) {
        const oct_attrs a = {.axis = {3}, .range = {(int32_t)(i * row), (int32_t)((i + 1) * row)}};
        OCT_TRY(octi_onnx_emit(n, OCT_OP_slice, octi_onnx_name(n, "part"), &a, &x.v, 1, &in[i]));
        OCT_TRY(reshape(n, h, 1, line, "rows", &in[i]));
    }
    if (r > 1)
        OCT_TRY(octi_onnx_emit(n, OCT_OP_cat, octi_onnx_name(n, "cat"), &(oct_attrs){.axis = {3}},
                               in, (int)r, &v));
    OCT_TRY(reshape(n, h * r, w * b->columns, b->channels, NULL, &v));
    *to = octi_onnx_placed(n->o, v);
    return OCT_OK;
}

/* ---- the ops ---- */

static oct_status read(octi_onnx_node *n, bool deep) {
    const octi_onnx_value *v;
    octi_onnx_place x;
    int64_t r;
    const char *mode;
    OCT_TRY(octi_onnx_attr_int(n, "blocksize", 0, &r));
    OCT_TRY(octi_onnx_attr_word(n, "mode", "DCR", &mode));
    OCT_TRY(octi_onnx_act(n, 0, &v));
    OCT_TRY(octi_onnx_images(n, v, &x));
    const bool crd = !strcmp(mode, "CRD");
    if (!crd && strcmp(mode, "DCR") != 0)
        return octi_onnx_refuse(n, OCTI_CURE_RULES, "attribute mode: %s", octi_onnx_word(mode));
    if (r < 1 || r > 4096 || (deep ? x.dim[2] % r || x.dim[3] % r : x.dim[1] % (r * r)))
        return octi_onnx_refuse(n, OCTI_CURE_RULES, "blocks of %lld for a value of shape %s",
                                (long long)r, octi_onnx_dims_text(x.rank, x.dim));
    blocks b = {.rows = r, .columns = r, .channels = deep ? x.dim[1] : x.dim[1] / (r * r)};
    b.channel_step = crd ? r * r : 1;
    b.column_step = crd ? 1 : b.channels;
    b.row_step = r * b.column_step;
    OCT_TRY(deep ? to_channels(n, x.v, &b, &x) : to_blocks(n, x, &b, &x));
    return octi_onnx_like(n, 0, &x, x.v);
}

oct_status octi_onnx_read_space_to_depth(octi_onnx_node *n) { return read(n, true); }
oct_status octi_onnx_read_depth_to_space(octi_onnx_node *n) { return read(n, false); }

/* ---- as a Reshape, a Transpose and a Reshape ---- */

static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

/* [.., H, W] whose first three axes are, in some order, a block's rows, columns and channels: an
 * image [N, (H,rows), (W,columns), channels] in octet. */
static oct_status six_to_channels(octi_onnx_node *n, const octi_onnx_place *x, const int64_t *dim,
                                  bool *is, octi_onnx_place *to) {
    static const int at_of[3] = {2, 4, 5};
    for (int k = 0; k < 6 && !*is; k++) {
        int at[6] = {0, 0, 0, 0, 1, 3};
        int64_t side[3], step[3], next = 1;
        for (int a = 2; a >= 0; a--) {
            at[1 + a] = at_of[orders[k][a]];
            side[orders[k][a]] = x->dim[1 + a];
            step[orders[k][a]] = next;
            if (__builtin_mul_overflow(next, x->dim[1 + a], &next)) return OCT_OK;
        }
        if (!octi_onnx_lies_at(x, at) || next != dim[1] || x->dim[4] != dim[2]) continue;
        *is = true;
        const blocks b = {side[0], side[1], side[2], step[0], step[1], step[2]};
        int64_t h, w;
        int32_t v = x->v;
        if (__builtin_mul_overflow(dim[2], side[0], &h) ||
            __builtin_mul_overflow(dim[3], side[1], &w))
            return octi_onnx_refuse(n, OCTI_CURE_LIMIT, "a side beyond 2^31");
        OCT_TRY(reshape(n, h, w, side[2], "reshape", &v));
        return to_channels(n, v, &b, to);
    }
    return OCT_OK;
}

/* [channels, H, rows, W, columns], of an image [N,H,W, ...] whose channels are, in some order, the
 * other three. */
static oct_status six_to_blocks(octi_onnx_node *n, const octi_onnx_place *x, const int64_t *dim,
                                bool *is, octi_onnx_place *to) {
    static const int axis_of[3] = {3, 5, 1}; /* rows, columns, channels */
    for (int k = 0; k < 6 && !*is; k++) {
        int at[6] = {0, 0, 1, 0, 2, 0};
        int64_t step[3], next = 1;
        for (int p = 2; p >= 0; p--) {
            const int axis = axis_of[orders[k][p]];
            at[axis] = 3 + p;
            step[orders[k][p]] = next;
            if (__builtin_mul_overflow(next, x->dim[axis], &next)) return OCT_OK;
        }
        if (!octi_onnx_lies_at(x, at) || x->dim[1] != dim[1] || x->dim[2] * x->dim[3] != dim[2])
            continue;
        *is = true;
        const blocks b = {x->dim[3], x->dim[5], x->dim[1], step[0], step[1], step[2]};
        octi_onnx_place image;
        int32_t v = x->v;
        OCT_TRY(reshape(n, x->dim[2], x->dim[4], next, "reshape", &v));
        image = octi_onnx_placed(n->o, v);
        return to_blocks(n, image, &b, to);
    }
    return OCT_OK;
}

oct_status octi_onnx_blocks(octi_onnx_node *n, const octi_onnx_place *x, const int64_t *dim,
                            bool *is, octi_onnx_place *to) {
    *is = false;
    OCT_TRY(six_to_channels(n, x, dim, is, to));
    return *is ? OCT_OK : six_to_blocks(n, x, dim, is, to);
}
