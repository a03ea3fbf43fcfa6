/* SPDX-License-Identifier: MIT
 * The table of shape rules, and what all of them begin with. */
#include "ops/infer_rules.h"
#include "src/words.h"

oct_status octi_bad_attr(const octi_infer *j, const char *what, const char *expected,
                         const char *got) {
    return octi_fail(OCT_EUSAGE, j->where, what, expected, got, NULL);
}

oct_status octi_bad_shape(const octi_infer *j, const char *what, const char *expected,
                          const char *got) {
    return octi_fail(OCT_ESHAPE, j->where, what, expected, got, NULL);
}

const char *octi_num(int64_t v) { return octi_fmt("%lld", (long long)v); }

oct_status octi_want_dtype(const octi_infer *j, int k, const char *role, oct_dtype t) {
    if (j->in[k]->dtype == t) return OCT_OK;
    return octi_fail(OCT_EDTYPE, j->where, octi_fmt("dtype of %s", role), oct_dtype_name(t),
                     oct_dtype_name(j->in[k]->dtype), NULL);
}

oct_status octi_want_rank(const octi_infer *j, int k, const char *role, int least, int most) {
    int rank = j->in[k]->shape.rank;
    if (rank >= least && rank <= most) return OCT_OK;
    return octi_bad_shape(j, octi_fmt("rank of %s", role),
                          least == most ? octi_num(least) : octi_fmt("%d to %d", least, most),
                          octi_fmt("%d, %s", rank, oct_shape_text(&j->in[k]->shape)));
}

oct_status octi_want_vector(const octi_infer *j, int k, const char *role, oct_dtype t,
                            int64_t count) {
    OCT_TRY(octi_want_dtype(j, k, role, t));
    const oct_shape *s = &j->in[k]->shape;
    if (s->rank == 1 && s->dim[0] == count) return OCT_OK;
    return octi_bad_shape(j, octi_fmt("shape of %s", role), octi_fmt("[%lld]", (long long)count),
                          oct_shape_text(s));
}

oct_status octi_infer_same(octi_infer *j) {
    j->dtype = j->in[0]->dtype;
    j->shape = j->in[0]->shape;
    return OCT_OK;
}

/* ---- the table ---- */

static const struct rule {
    oct_status (*infer)(octi_infer *);
    int least, most;
} rules[OCT_OP_KIND_COUNT] = {
#define OCT_OP(name, least, most, flags) {octi_infer_##name, least, most},
#include "src/op_kinds.def"
#undef OCT_OP
};

/** Sides at least 1 (side 0 may be the batch), size without overflow. */
static oct_status check_value(const char *where, const char *role, oct_dtype t,
                              const oct_shape *s) {
    size_t bytes;
    if (s->rank < 0 || s->rank > OCT_MAX_RANK)
        return octi_fail(OCT_ESHAPE, where, octi_fmt("rank of %s", role),
                         octi_fmt("0 to %d", OCT_MAX_RANK), octi_num(s->rank), NULL);
    for (int i = 0; i < s->rank; i++)
        if (s->dim[i] < 1 && !(i == 0 && s->dim[i] == OCT_BATCH))
            return octi_fail(OCT_ESHAPE, where, octi_fmt("side %d of %s", i, role), "at least 1",
                             octi_num(s->dim[i]), NULL);
    oct_shape one = octi_shape_with_batch(s, 1);
    return octi_shape_bytes(&one, t, where, &bytes);
}

oct_status oct_infer_shape(oct_op_kind kind, const oct_attrs *a, const oct_value *const *in,
                           int nin, const char *where, oct_dtype *dtype, oct_shape *shape) {
    if ((!in && nin > 0) || !dtype || !shape) return octi_fail_null("oct_infer_shape");
    static const oct_attrs none;
    if ((unsigned)kind >= OCT_OP_KIND_COUNT)
        return octi_fail(OCT_EUSAGE, where ? where : "infer_shape", "unknown op kind", NULL,
                         octi_num((int)kind), NULL);
    const struct rule *r = &rules[kind];
    if (!where || !*where) where = oct_op_name(kind);
    if (nin < r->least || nin > r->most)
        return octi_fail(OCT_EUSAGE, where, octi_fmt("number of inputs of %s", oct_op_name(kind)),
                         r->least == r->most ? octi_num(r->least)
                                             : octi_fmt("%d to %d", r->least, r->most),
                         octi_num(nin), NULL);
    for (int k = 0; k < nin; k++) {
        /* lists have no optional members */
        if (!in[k] && (k < r->least || r->most > 8))
            return octi_fail(OCT_EUSAGE, where,
                             octi_fmt("input %d of %s is missing", k, oct_op_name(kind)), NULL,
                             NULL, NULL);
        if (in[k])
            OCT_TRY(check_value(where, octi_fmt("input %d", k), in[k]->dtype, &in[k]->shape));
    }
    octi_infer j = {a ? a : &none, in, nin, where, OCT_F32, {.rank = 0}};
    OCT_TRY(r->infer(&j));
    OCT_TRY(check_value(where, "the output", j.dtype, &j.shape));
    *dtype = j.dtype;
    *shape = j.shape;
    return OCT_OK;
}
