/* SPDX-License-Identifier: MIT
 * Shapes and tensors: made, counted, copied, viewed, in the context or in an arena. */
#include "src/tensor.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "src/arena.h"
#include "src/mem.h"

typedef struct oct_storage {
    oct_ctx *ctx;
    atomic_int refs;
} oct_storage;

static const size_t dtype_bytes[OCT_DTYPE_COUNT] = {
#define OCT_DTYPE(name, bytes, word, st, npy) bytes,
#include "src/dtype.def"
#undef OCT_DTYPE
};

static const char *const dtype_words[OCT_DTYPE_COUNT] = {
#define OCT_DTYPE(name, bytes, word, st, npy) word,
#include "src/dtype.def"
#undef OCT_DTYPE
};

size_t oct_dtype_size(oct_dtype t) { return (unsigned)t < OCT_DTYPE_COUNT ? dtype_bytes[t] : 0; }
const char *oct_dtype_name(oct_dtype t) {
    return (unsigned)t < OCT_DTYPE_COUNT ? dtype_words[t] : "?";
}

int64_t oct_shape_count(const oct_shape *s) {
    if (!s || s->rank < 0 || s->rank > OCT_MAX_RANK) return 0;
    uint64_t n = 1; /* without a sign: a shape that no tensor has may overflow */
    for (int i = 0; i < s->rank; i++) n *= (uint64_t)s->dim[i];
    return (int64_t)n;
}

bool oct_shape_equal(const oct_shape *a, const oct_shape *b) {
    if (!a || !b || a->rank < 0 || a->rank > OCT_MAX_RANK) return false;
    return a->rank == b->rank && !memcmp(a->dim, b->dim, sizeof a->dim[0] * (size_t)a->rank);
}

const char *oct_shape_text(const oct_shape *s) {
    if (!s) return "";
    char buf[160];
    int n = snprintf(buf, sizeof buf, "[");
    for (int i = 0; i < s->rank && i < OCT_MAX_RANK; i++) {
        const char *sep = i ? ", " : "";
        n += s->dim[i] == OCT_BATCH
                 ? snprintf(buf + n, sizeof buf - (size_t)n, "%sN", sep)
                 : snprintf(buf + n, sizeof buf - (size_t)n, "%s%lld", sep, (long long)s->dim[i]);
    }
    return octi_fmt("%s]", buf);
}

oct_status octi_shape_bytes(const oct_shape *s, oct_dtype t, const char *where, size_t *bytes) {
    if (s->rank < 0 || s->rank > OCT_MAX_RANK)
        return octi_fail(OCT_EUSAGE, where, "rank out of range", octi_fmt("0 to %d", OCT_MAX_RANK),
                         octi_fmt("%d", s->rank), NULL);
    size_t n = oct_dtype_size(t);
    if (!n)
        return octi_fail(OCT_EDTYPE, where, "unknown dtype", NULL, octi_fmt("%d", (int)t), NULL);
    for (int i = 0; i < s->rank; i++) {
        if (s->dim[i] < 0)
            return octi_fail(OCT_EUSAGE, where, octi_fmt("dimension %d is negative", i),
                             "at least 0", octi_fmt("%lld", (long long)s->dim[i]), NULL);
        if (!octi_mul_size(n, (size_t)s->dim[i], &n) || n > (size_t)INT64_MAX / 2)
            return octi_fail(OCT_ELIMIT, where, "tensor size overflows", NULL, oct_shape_text(s),
                             NULL);
    }
    *bytes = n;
    return OCT_OK;
}

oct_shape octi_shape_with_batch(const oct_shape *s, int64_t n) {
    oct_shape r = *s;
    if (r.rank > 0 && r.dim[0] == OCT_BATCH) r.dim[0] = n;
    return r;
}

static oct_tensor *make(oct_ctx *ctx, oct_dtype dtype, oct_shape shape, void *borrowed) {
    size_t bytes, total;
    const size_t head = (sizeof(oct_tensor) + sizeof(oct_storage) + 63) & ~(size_t)63;
    if (octi_shape_bytes(&shape, dtype, "tensor", &bytes) != OCT_OK) return NULL;
    if (!octi_add_size(head, borrowed ? 0 : bytes, &total)) {
        octi_fail(OCT_ELIMIT, "tensor", "tensor size overflows", NULL, oct_shape_text(&shape),
                  NULL);
        return NULL;
    }
    char *p = octi_alloc(ctx, total);
    if (!p) return NULL;
    oct_tensor *t = (oct_tensor *)p;
    oct_storage *s = (oct_storage *)(p + sizeof *t);
    s->ctx = ctx;
    atomic_init(&s->refs, 1);
    *t = (oct_tensor){dtype, shape, borrowed ? borrowed : p + head, s, NULL};
    return t;
}

oct_tensor *oct_tensor_new(oct_ctx *ctx, oct_dtype dtype, oct_shape shape) {
    return make(ctx, dtype, shape, NULL);
}

oct_tensor *oct_tensor_borrow(oct_ctx *ctx, oct_dtype dtype, oct_shape shape, void *data) {
    if (!data)
        return octi_fail(OCT_EUSAGE, "oct_tensor_borrow", "data is NULL", NULL, NULL, NULL), NULL;
    return make(ctx, dtype, shape, data);
}

oct_tensor *oct_tensor_copy(oct_ctx *ctx, const oct_tensor *t) {
    if (!t) return NULL;
    oct_tensor *c = oct_tensor_new(ctx, t->dtype, t->shape);
    if (c) memcpy(c->data, t->data, oct_tensor_bytes(t));
    return c;
}

oct_tensor *oct_tensor_ref(oct_tensor *t) {
    if (t && t->storage) atomic_fetch_add_explicit(&t->storage->refs, 1, memory_order_relaxed);
    return t;
}

void oct_tensor_unref(oct_tensor *t) {
    if (t && t->storage &&
        atomic_fetch_sub_explicit(&t->storage->refs, 1, memory_order_acq_rel) == 1) {
        oct_tensor_unref(t->grad);
        octi_free(t->storage->ctx, t);
    }
}

oct_tensor *octi_tensor_view(octi_arena *a, oct_dtype dtype, oct_shape shape, void *data) {
    oct_tensor *t = octi_arena_alloc(a, sizeof *t);
    if (t) *t = (oct_tensor){dtype, shape, data, NULL, NULL};
    return t;
}

oct_tensor *octi_tensor_in_arena(octi_arena *a, oct_dtype dtype, oct_shape shape) {
    size_t bytes;
    if (octi_shape_bytes(&shape, dtype, "tensor", &bytes) != OCT_OK) return NULL;
    void *data = octi_arena_alloc(a, bytes);
    return data ? octi_tensor_view(a, dtype, shape, data) : NULL;
}
