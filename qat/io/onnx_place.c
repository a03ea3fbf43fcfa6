/* SPDX-License-Identifier: MIT
 * ONNX in: where ONNX's axes lie in octet. A Transpose moves no element: it says where axes are
 * from there on. A Reshape cuts or joins axes that lie side by side; where it flattens what does
 * not, the order of the elements goes along with the value, and the weights behind it are put in
 * that order. */
#include <string.h>

#include "qat/io/onnx_in.h"
#include "src/mem.h"

static const int images_at[4] = {0, 3, 1, 2};

octi_onnx_place octi_onnx_placed(const octi_onnx *o, int32_t v) {
    const oct_shape *s = &o->to->values[v].shape;
    octi_onnx_place p = {.v = v, .rank = s->rank, .turned = -1};
    for (int a = 0; a < s->rank; a++) {
        p.at[a] = s->rank == 4 ? images_at[a] : a;
        p.dim[a] = s->dim[p.at[a]];
    }
    p.dim[0] = OCTI_ONNX_BATCH;
    return p;
}

int octi_onnx_channel_axis(const octi_onnx_place *x) {
    for (int a = 0; a < x->rank; a++)
        if (x->at[a] == x->rank - 1) return a;
    return x->rank - 1;
}

int64_t octi_onnx_channels(const octi_onnx_place *x) { return x->dim[octi_onnx_channel_axis(x)]; }

/* ---- order of flattened elements ---- */

static int64_t run_index(const octi_onnx_run *r, int64_t k) {
    int64_t side[OCT_MAX_RANK], coord[OCT_MAX_RANK], index = 0;
    if (!r->rank) return k;
    for (int a = 0; a < r->rank; a++) side[r->at[a]] = r->dim[a];
    for (int p = r->rank - 1; p >= 0; p--) coord[p] = k % side[p], k /= side[p];
    for (int a = 0; a < r->rank; a++) index = index * r->dim[a] + coord[r->at[a]];
    return index;
}

int64_t octi_onnx_index(const octi_onnx_order *order, int64_t k) {
    int64_t base = 0;
    for (int32_t i = 0; order && i < order->count; i++) {
        if (k < order->run[i].size) return base + run_index(&order->run[i], k);
        k -= order->run[i].size;
        base += order->run[i].size;
    }
    return base + k;
}

bool octi_onnx_same_order(const octi_onnx_order *a, const octi_onnx_order *b) {
    if (a == b) return true;
    if (!a || !b || a->count != b->count) return false;
    for (int32_t i = 0; i < a->count; i++) {
        const octi_onnx_run *p = &a->run[i], *q = &b->run[i];
        if (p->size != q->size || p->rank != q->rank) return false;
        for (int k = 0; k < p->rank; k++)
            if (p->dim[k] != q->dim[k] || p->at[k] != q->at[k]) return false;
    }
    return true;
}

/* ---- images and vectors ---- */

/* Axes longer than 1, behind the batch, in octet's order. */
static int long_axes(const octi_onnx_place *x, int *axis) {
    int count = 0;
    for (int p = 1; p < x->rank; p++)
        for (int a = 1; a < x->rank; a++)
            if (x->at[a] == p && x->dim[a] != 1) axis[count++] = a;
    return count;
}

bool octi_onnx_lies_at(const octi_onnx_place *x, const int *at) {
    int mine[OCT_MAX_RANK];
    const int count = long_axes(x, mine);
    for (int i = 1; i < count; i++)
        if (at[mine[i - 1]] > at[mine[i]]) return false;
    return true;
}

/* The same elements, ONNX's axes at `at`: nothing, or a reshape. */
static oct_status lay(octi_onnx_node *n, const octi_onnx_place *x, int rank, const int64_t *dim,
                      const int *at, const char *suffix, octi_onnx_place *to) {
    oct_attrs a = {.p = 0};
    oct_shape want = {.rank = rank}, have = n->o->to->values[x->v].shape;
    for (int i = 0; i < rank; i++) want.dim[at[i]] = i ? dim[i] : OCT_BATCH;
    octi_onnx_place made = {.v = x->v, .rank = rank, .order = x->order, .turned = x->turned};
    for (int i = 0; i < rank; i++) made.at[i] = at[i], made.dim[i] = dim[i];
    *to = made;
    if (oct_shape_equal(&want, &have)) return OCT_OK;
    for (int i = 1; i < rank; i++) {
        if (want.dim[i] > INT32_MAX)
            return octi_onnx_refuse(n, OCTI_CURE_LIMIT, "a side beyond 2^31");
        a.shape[i - 1] = (int32_t)want.dim[i];
    }
    if (rank == 2)
        return octi_onnx_emit(n, OCT_OP_flatten, octi_onnx_name(n, suffix), NULL, &x->v, 1, &to->v);
    return octi_onnx_emit(n, OCT_OP_reshape, octi_onnx_name(n, suffix), &a, &x->v, 1, &to->v);
}

static oct_status misplaced(octi_onnx_node *n, const octi_onnx_place *x, const char *want) {
    if (x->turned < 0)
        return octi_onnx_refuse(n, OCTI_CURE_AXES, "input of shape %s, where %s is taken",
                                octi_onnx_dims_text(x->rank, x->dim), want);
    const octi_onnx_proto *t = n->o->graph->node[x->turned];
    return octi_onnx_refuse(n, OCTI_CURE_LAYOUT, "needs %s, which Transpose %s in front has turned",
                            want, octi_onnx_word(t->name));
}

oct_status octi_onnx_images(octi_onnx_node *n, const octi_onnx_value *x, octi_onnx_place *to) {
    if (x->at.rank != 4 || x->at.order || !octi_onnx_lies_at(&x->at, images_at))
        return misplaced(n, &x->at, "[N, C, H, W]");
    return lay(n, &x->at, 4, x->at.dim, images_at, "reshape", to);
}

oct_status octi_onnx_vectors(octi_onnx_node *n, const octi_onnx_value *x, octi_onnx_place *to) {
    *to = x->at;
    return x->at.rank == 2 ? OCT_OK : misplaced(n, &x->at, "[N, K]");
}

oct_status octi_onnx_settle(octi_onnx_node *n, octi_onnx_place *x) {
    const octi_onnx_place fine = octi_onnx_placed(n->o, x->v), was = *x;
    if (x->order || !octi_onnx_lies_at(x, fine.at)) return OCT_OK;
    return lay(n, &was, x->rank, was.dim, fine.at, "reshape", x);
}

/* ---- reshape ---- */

/* One output axis of all elements, whatever their order: flatten, and remember the order. */
static oct_status flattened(octi_onnx_node *n, const octi_onnx_place *x, octi_onnx_place *to) {
    const size_t bytes = sizeof(octi_onnx_order) + sizeof(octi_onnx_run);
    octi_onnx_order *order = octi_arena_calloc(n->o->arena, 1, bytes);
    if (!order) return oct_last_error()->code;
    octi_onnx_run *r = &order->run[0];
    order->count = 1;
    r->size = 1;
    r->rank = x->rank - 1;
    for (int a = 1; a < x->rank; a++) {
        r->dim[a - 1] = x->dim[a];
        r->at[a - 1] = x->at[a] - 1;
        if (__builtin_mul_overflow(r->size, x->dim[a], &r->size))
            return octi_onnx_refuse(n, OCTI_CURE_LIMIT, "size of the flattened value overflows");
    }
    *to = *x;
    OCT_TRY(octi_onnx_emit(n, OCT_OP_flatten, octi_onnx_name(n, NULL), NULL, &x->v, 1, &to->v));
    *to = octi_onnx_placed(n->o, to->v);
    to->order = order;
    return OCT_OK;
}

/* Back from a flattened value to the axes that it had. */
static bool unflattens(const octi_onnx_place *x, int rank, const int64_t *dim) {
    if (!x->order || x->order->count != 1 || x->rank != 2) return false;
    const octi_onnx_run *r = &x->order->run[0];
    if (r->rank != rank - 1) return false;
    for (int a = 1; a < rank; a++)
        if (r->dim[a - 1] != dim[a]) return false;
    return true;
}

/* ONNX's output axes in octet's order: every group of input axes with as many elements as a group
 * of output axes must lie side by side. Returns their number, or -1. */
static int regroup(const octi_onnx_place *x, int rank, const int64_t *dim, int *axis) {
    int mine[OCT_MAX_RANK], first_of[OCT_MAX_RANK] = {0}, last_of[OCT_MAX_RANK] = {0},
                            place[OCT_MAX_RANK];
    const int count = long_axes(x, mine);
    for (int i = 0; i < count; i++) place[mine[i]] = i;
    int a = 1, b = 1, made = 0;
    for (; a < x->rank; a++) {
        if (x->dim[a] == 1) continue;
        while (b < rank && dim[b] == 1) b++;
        int64_t p = x->dim[a], q = b < rank ? dim[b] : 0;
        const int from = a, to = b;
        int last = a;
        while (p != q && b < rank) {
            if (p < q) {
                for (a++; a < x->rank && x->dim[a] == 1;) a++;
                if (a == x->rank || place[a] != place[last] + 1) return -1;
                last = a;
                if (__builtin_mul_overflow(p, x->dim[a], &p)) return -1;
            } else if (++b == rank || __builtin_mul_overflow(q, dim[b], &q))
                return -1;
        }
        if (p != q) return -1;
        first_of[place[from]] = to;
        last_of[place[from]] = b++;
    }
    for (int i = 0; i < count; i++)
        for (int k = first_of[i]; k && k <= last_of[i]; k++)
            if (dim[k] != 1) axis[made++] = k;
    return made;
}

/* Axes `axis` (those longer than 1, in octet's order) among `rank`: as images where they may lie
 * so, else as ONNX has them, else sides of 1 first. */
static void choose(int rank, const int *axis, int count, int *at) {
    static const int plain[OCT_MAX_RANK] = {0, 1, 2, 3, 4, 5}, rows[3] = {0, 2, 1};
    const int *candidate[3] = {rank == 4 ? images_at : rank == 3 ? rows : plain, plain, NULL};
    for (int c = 0; candidate[c]; c++) {
        bool fits = true;
        for (int i = 1; i < count; i++) fits &= candidate[c][axis[i - 1]] < candidate[c][axis[i]];
        if (fits) {
            memcpy(at, candidate[c], sizeof *at * (size_t)rank);
            return;
        }
    }
    bool is_long[OCT_MAX_RANK] = {false};
    for (int i = 0; i < count; i++) is_long[axis[i]] = true;
    int next = 1;
    at[0] = 0;
    for (int a = 1; a < rank; a++)
        if (!is_long[a]) at[a] = next++;
    for (int i = 0; i < count; i++) at[axis[i]] = next++;
}

static bool same_dims(const octi_onnx_place *x, int rank, const int64_t *dim) {
    bool same = x->rank == rank;
    for (int a = 1; same && a < rank; a++) same = x->dim[a] == dim[a];
    return same;
}

/* Channels that were cut apart, turned and joined again (a shuffle), as a run: the first axes of x,
 * which lie last in octet, become axis 1, and what is behind them is the image. *is: it is one. */
static octi_onnx_run shuffle_of(const octi_onnx_place *x, int rank, const int64_t *dim, bool *is) {
    octi_onnx_run r = {.size = 1};
    *is = false;
    for (int a = 1; a < x->rank && rank == 4 && r.size < dim[1]; a++) {
        if (__builtin_mul_overflow(r.size, x->dim[a], &r.size)) return r;
        r.dim[r.rank] = x->dim[a];
        r.at[r.rank++] = x->at[a] - (x->rank - 1);
    }
    if (rank != 4 || r.size != dim[1] || x->rank - r.rank != 3) return r;
    for (int a = 0; a < r.rank; a++)
        if ((r.at[a] += r.rank - 1) < 0) return r; /* not among the last */
    for (int i = 0; i < 2; i++) {
        const int a = 1 + r.rank + i;
        if (x->at[a] != 1 + i || x->dim[a] != dim[2 + i]) return r;
    }
    *is = true;
    return r;
}

static oct_status shuffled(octi_onnx_node *n, const octi_onnx_place *x, const octi_onnx_run *r,
                           const int64_t *dim) {
    octi_onnx_place image = *x, to;
    oct_attrs a = {.p = 0};
    if (r->size > n->o->made || dim[2] > INT32_MAX || dim[3] > INT32_MAX)
        return octi_onnx_refuse(n, OCTI_CURE_LIMIT, "of %lld channels", (long long)r->size);
    int64_t *idx = octi_arena_calloc(n->o->arena, (size_t)r->size + 1, sizeof *idx);
    if (!idx) return oct_last_error()->code;
    for (int64_t k = 0; k < r->size; k++) idx[run_index(r, k)] = k;
    for (int i = 0; i < 3; i++) a.shape[i] = (int32_t)dim[1 + (i + 1) % 3];
    OCT_TRY(octi_onnx_emit(n, OCT_OP_reshape, octi_onnx_name(n, NULL), &a, &x->v, 1, &image.v));
    image = octi_onnx_placed(n->o, image.v);
    OCT_TRY(octi_onnx_pick(n, &image, idx, r->size, "channels", &to));
    return octi_onnx_like(n, 0, &to, to.v);
}

/* [N, C, H, W], with or without sides of 1 behind C, as an exporter leaves them. */
static bool is_image(int rank, const int64_t *dim, int64_t image[4]) {
    bool is = rank >= 4;
    for (int a = 2; a < rank - 2; a++) is &= dim[a] == 1;
    for (int a = 0; is && a < 4; a++) image[a] = dim[a < 2 ? a : rank - 4 + a];
    return is;
}

oct_status octi_onnx_reshaped(octi_onnx_node *n, const octi_onnx_place *x, int rank,
                              const int64_t *dim) {
    int axis[OCT_MAX_RANK], at[OCT_MAX_RANK];
    octi_onnx_place to;
    if (same_dims(x, rank, dim)) return octi_onnx_like(n, 0, x, x->v);
    if (rank < 2 || rank > OCT_MAX_RANK)
        return octi_onnx_refuse(n, OCTI_CURE_AXES, "to %s", octi_onnx_dims_text(rank, dim));
    if (unflattens(x, rank, dim)) {
        const octi_onnx_run *r = &x->order->run[0];
        octi_onnx_place back = *x;
        back.order = NULL;
        at[0] = 0;
        for (int a = 1; a < rank; a++) at[a] = r->at[a - 1] + 1;
        OCT_TRY(lay(n, &back, rank, dim, at, NULL, &to));
        return octi_onnx_like(n, 0, &to, to.v);
    }
    const int count = regroup(x, rank, dim, axis);
    bool shuffles = false, blocks;
    int64_t image[4];
    const octi_onnx_run channels =
        count < 0 && !x->order ? shuffle_of(x, rank, dim, &shuffles) : (octi_onnx_run){.rank = 0};
    if (shuffles) return shuffled(n, x, &channels, dim);
    if (count < 0 && x->rank == 6 && !x->order && is_image(rank, dim, image)) {
        OCT_TRY(octi_onnx_blocks(n, x, image, &blocks, &to));
        if (blocks && rank > 4) return octi_onnx_reshaped(n, &to, rank, dim);
        if (blocks) return octi_onnx_like(n, 0, &to, to.v);
    }
    if (count < 0 && rank == 2 && !x->order) {
        OCT_TRY(flattened(n, x, &to));
        return octi_onnx_like(n, 0, &to, to.v);
    }
    if (count < 0 || (x->order && count != 1))
        return octi_onnx_refuse(n, OCTI_CURE_MOVES, "%s to %s moves elements",
                                octi_onnx_dims_text(x->rank, x->dim),
                                octi_onnx_dims_text(rank, dim));
    choose(rank, axis, count, at);
    OCT_TRY(lay(n, x, rank, dim, at, NULL, &to));
    if (x->order && octi_onnx_channels(&to) == 1)
        return octi_onnx_refuse(n, OCTI_CURE_MOVES, "of a flattened image to %s",
                                octi_onnx_dims_text(rank, dim));
    return octi_onnx_like(n, 0, &to, to.v);
}

/* ---- one number a channel ---- */

oct_status octi_onnx_per_channel(const octi_onnx_node *n, const octi_onnx_place *x,
                                 const octi_onnx_const *c, float **to) {
    const int channel = octi_onnx_channel_axis(x);
    const int64_t channels = x->dim[channel];
    size_t bytes;
    bool fits = c->rank <= x->rank;
    for (int j = 0; fits && j < c->rank; j++)
        fits = c->dim[j] == 1 || (x->rank - c->rank + j == channel && c->dim[j] == channels);
    if (!fits)
        return octi_onnx_refuse(n, OCTI_CURE_PER_CHANNEL,
                                "constant of shape %s for a value of shape %s: one number a "
                                "channel is taken",
                                octi_onnx_dims_text(c->rank, c->dim),
                                octi_onnx_dims_text(x->rank, x->dim));
    if (channels > n->o->made || !octi_mul_size((size_t)channels, sizeof **to, &bytes))
        return octi_fail(OCT_ELIMIT, n->o->where, "constants for more channels than the file has",
                         NULL, octi_fmt("%lld", (long long)channels),
                         octi_onnx_cure(OCTI_CURE_LIMIT, NULL));
    n->o->made -= channels;
    if (!(*to = octi_arena_alloc(n->o->arena, bytes + 1))) return oct_last_error()->code;
    for (int64_t k = 0; k < channels; k++)
        (*to)[k] = (float)octi_onnx_number(c, c->count == 1 ? 0 : octi_onnx_index(x->order, k));
    return OCT_OK;
}
