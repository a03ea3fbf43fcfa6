/* SPDX-License-Identifier: MIT
 * Before an op's first write: shapes, dtypes and overlaps judged; and loops cut into ranges for
 * the pool. */
#include "ops/checks.h"

#include <string.h>

#include "ops/ops.h"

oct_status octi_check_tensor(const char *op, const char *role, const oct_tensor *t, oct_dtype dtype,
                             const oct_shape *shape) {
    if (!t) return octi_fail(OCT_EUSAGE, op, octi_fmt("%s is NULL", role), NULL, NULL, NULL);
    if (t->dtype != dtype)
        return octi_fail(OCT_EDTYPE, op, octi_fmt("dtype of %s", role), oct_dtype_name(dtype),
                         oct_dtype_name(t->dtype), NULL);
    if (!oct_shape_equal(&t->shape, shape))
        return octi_fail(OCT_ESHAPE, op, octi_fmt("shape of %s", role), oct_shape_text(shape),
                         oct_shape_text(&t->shape), NULL);
    return OCT_OK;
}

oct_status octi_check_f32(const char *op, const char *role, const oct_tensor *t, int rank) {
    if (!t) return octi_fail(OCT_EUSAGE, op, octi_fmt("%s is NULL", role), NULL, NULL, NULL);
    if (t->dtype != OCT_F32)
        return octi_fail(OCT_EDTYPE, op, octi_fmt("dtype of %s", role), "float32",
                         oct_dtype_name(t->dtype), NULL);
    if (t->shape.rank < rank || oct_tensor_count(t) < 1)
        return octi_fail(OCT_ESHAPE, op, octi_fmt("shape of %s", role),
                         octi_fmt("rank %d or more, no empty side", rank),
                         oct_shape_text(&t->shape), NULL);
    return OCT_OK;
}

oct_status octi_check_op(oct_op_kind kind, const oct_attrs *a, const oct_tensor *const *in, int nin,
                         const oct_tensor *out, const char *role) {
    enum { MOST = 64 };
    oct_value v[MOST];
    const oct_value *p[MOST];
    const char *op = oct_op_name(kind);
    if (nin > MOST)
        return octi_fail(OCT_EUSAGE, op, "too many inputs", octi_fmt("at most %d", MOST),
                         octi_fmt("%d", nin), NULL);
    for (int i = 0; i < nin; i++) {
        p[i] = in[i] ? &v[i] : NULL;
        if (!in[i]) continue;
        v[i] = (oct_value){
            .dtype = in[i]->dtype, .shape = in[i]->shape, .quantizer = -1, .producer = -1};
        if (in[i]->shape.rank > 0 && in[i]->shape.dim[0] < 1)
            return octi_fail(OCT_ESHAPE, op, octi_fmt("input %d is empty", i), NULL,
                             oct_shape_text(&in[i]->shape), NULL);
    }
    oct_dtype dtype;
    oct_shape shape;
    OCT_TRY(oct_infer_shape(kind, a, p, nin, op, &dtype, &shape));
    return octi_check_tensor(op, role, out, dtype, &shape);
}

typedef struct range_job {
    octi_range_fn fn;
    void *arg;
    int64_t n, pieces;
} range_job;

static void range_task(void *arg, int64_t i) {
    range_job *j = arg;
    j->fn(j->arg, j->n * i / j->pieces, j->n * (i + 1) / j->pieces);
}

void octi_for_range(oct_ctx *ctx, int64_t n, int64_t grain, octi_range_fn fn, void *arg) {
    enum { MOST_PIECES = 64 };
    int64_t pieces = n / (grain < 1 ? 1 : grain);
    if (pieces > MOST_PIECES) pieces = MOST_PIECES;
    octi_threads *pool = octi_ctx_pool(ctx);
    if (pieces < 2 || !pool) {
        fn(arg, 0, n);
        return;
    }
    range_job j = {fn, arg, n, pieces};
    octi_parallel_for(pool, pieces, range_task, &j);
}
