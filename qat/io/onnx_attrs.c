/* SPDX-License-Identifier: MIT
 * ONNX in: attributes and inputs of a node, of the kind that its reader wants, or refused. */
#include <math.h>
#include <string.h>

#include "qat/io/onnx_in.h"
#include "src/mem.h"

typedef OctiOnnx__AttributeProto attribute;

bool octi_onnx_is(const octi_onnx_proto *p, const char *op) {
    return p && p->op_type && !strcmp(p->op_type, op) &&
           (!p->domain || !*p->domain || !strcmp(p->domain, "ai.onnx"));
}

const attribute *octi_onnx_attr(const octi_onnx_proto *p, const char *name) {
    for (size_t i = 0; i < p->n_attribute; i++)
        if (p->attribute[i]->name && !strcmp(p->attribute[i]->name, name)) return p->attribute[i];
    return NULL;
}

/* What an attribute holds, by its own word or, where it says none, by what is there. */
static int type_of(const attribute *a) {
    if (a->has_type && a->type) return a->type;
    if (a->has_f) return OCTI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
    if (a->has_i) return OCTI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
    if (a->has_s) return OCTI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING;
    if (a->t) return OCTI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR;
    if (a->n_floats) return OCTI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS;
    return OCTI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
}

static oct_status find(const octi_onnx_node *n, const char *name, int type, const attribute **a) {
    *a = octi_onnx_attr(n->p, name);
    if (!*a || type_of(*a) == type) return OCT_OK;
    return octi_onnx_refuse(n, OCTI_CURE_RULES, "attribute %s is of another type than the format's",
                            name);
}

oct_status octi_onnx_attr_int(const octi_onnx_node *n, const char *name, int64_t otherwise,
                              int64_t *v) {
    const attribute *a;
    OCT_TRY(find(n, name, OCTI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT, &a));
    *v = a ? a->i : otherwise;
    return OCT_OK;
}

oct_status octi_onnx_attr_float(const octi_onnx_node *n, const char *name, float otherwise,
                                float *v) {
    const attribute *a;
    OCT_TRY(find(n, name, OCTI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT, &a));
    *v = a ? a->f : otherwise;
    return isfinite(*v) ? OCT_OK
                        : octi_onnx_refuse(n, OCTI_CURE_RULES, "attribute %s is not finite", name);
}

oct_status octi_onnx_attr_ints(const octi_onnx_node *n, const char *name, int most, int64_t *v,
                               int *count) {
    const attribute *a;
    OCT_TRY(find(n, name, OCTI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS, &a));
    *count = 0;
    if (!a) return OCT_OK;
    if (a->n_ints > (size_t)most)
        return octi_onnx_refuse(n, OCTI_CURE_RULES,
                                "attribute %s has %zu numbers, at most %d are taken", name,
                                a->n_ints, most);
    for (size_t k = 0; k < a->n_ints; k++) v[k] = a->ints[k];
    *count = (int)a->n_ints;
    return OCT_OK;
}

oct_status octi_onnx_attr_word(const octi_onnx_node *n, const char *name, const char *otherwise,
                               const char **v) {
    const attribute *a;
    OCT_TRY(find(n, name, OCTI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING, &a));
    *v = otherwise;
    if (a) *v = octi_fmt("%.*s", a->s.len < 60 ? (int)a->s.len : 60, (const char *)a->s.data);
    return OCT_OK;
}

bool octi_onnx_has(const octi_onnx_node *n, int k) { return k < n->nin && n->in[k]; }

oct_status octi_onnx_act(const octi_onnx_node *n, int k, const octi_onnx_value **v) {
    if (!octi_onnx_has(n, k)) return octi_onnx_refuse(n, OCTI_CURE_RULES, "input %d is missing", k);
    if (n->in[k]->state == OCTI_ONNX_LOST) return OCT_EUNSUPPORTED;
    if (n->in[k]->state != OCTI_ONNX_ACT)
        return octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "input %d, %s, is a constant", k,
                                octi_onnx_word(n->in[k]->name));
    *v = n->in[k];
    return OCT_OK;
}

oct_status octi_onnx_weights(const octi_onnx_node *n, int k, const char *role,
                             const octi_onnx_const **c) {
    if (!octi_onnx_has(n, k)) return octi_onnx_refuse(n, OCTI_CURE_RULES, "%s is missing", role);
    if (n->in[k]->state == OCTI_ONNX_LOST) return OCT_EUNSUPPORTED;
    if (n->in[k]->state != OCTI_ONNX_CONST)
        return octi_onnx_refuse(n, OCTI_CURE_COMPUTED, "%s is no constant: the net computes it",
                                role);
    if (!(*c = octi_onnx_const_of(n->o, n->in[k]))) return octi_onnx_refuse_last(n);
    return OCT_OK;
}

oct_status octi_onnx_whole(const octi_onnx_node *n, int k, const char *role, int most, int64_t *v,
                           int *count) {
    const octi_onnx_const *c;
    OCT_TRY(octi_onnx_weights(n, k, role, &c));
    if (!c->i || c->rank > 1 || c->count > most)
        return octi_onnx_refuse(n, OCTI_CURE_RULES, "%s is no list of at most %d whole numbers",
                                role, most);
    for (int64_t j = 0; j < c->count; j++) v[j] = c->i[j];
    *count = (int)c->count;
    return OCT_OK;
}

oct_status octi_onnx_axes(const octi_onnx_node *n, const char *name, int k, int64_t *v,
                          int *count) {
    *count = -1;
    if (octi_onnx_attr(n->p, name)) return octi_onnx_attr_ints(n, name, OCTI_ONNX_RANK, v, count);
    return octi_onnx_has(n, k) ? octi_onnx_whole(n, k, name, OCTI_ONNX_RANK, v, count) : OCT_OK;
}

oct_status octi_onnx_scalar(const octi_onnx_node *n, const char *name, int k, float otherwise,
                            float *v) {
    const octi_onnx_const *c;
    const attribute *a;
    *v = otherwise;
    OCT_TRY(find(n, name, OCTI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT, &a));
    if (a) *v = a->f;
    if (octi_onnx_has(n, k)) {
        OCT_TRY(octi_onnx_weights(n, k, name, &c));
        if (c->count != 1)
            return octi_onnx_refuse(n, OCTI_CURE_RULES, "%s is not one number", name);
        *v = (float)octi_onnx_number(c, 0);
    }
    return isnan(*v) ? octi_onnx_refuse(n, OCTI_CURE_RULES, "%s is not a number", name) : OCT_OK;
}

oct_status octi_onnx_axis(const octi_onnx_node *n, int64_t axis, int rank, int *to) {
    if (axis < -rank || axis >= rank)
        return octi_onnx_refuse(n, OCTI_CURE_RULES, "axis %lld of a value with %d axes",
                                (long long)axis, rank);
    *to = (int)(axis < 0 ? axis + rank : axis);
    return OCT_OK;
}

oct_status octi_onnx_cut_of(const octi_onnx_node *n, int rank, octi_onnx_cut *cut) {
    int64_t axes[OCTI_ONNX_RANK];
    int ends, some, stepped = -1;
    OCT_TRY(octi_onnx_axes(n, "starts", 1, cut->from, &cut->count));
    OCT_TRY(octi_onnx_axes(n, "ends", 2, cut->to, &ends));
    OCT_TRY(octi_onnx_axes(n, "axes", 3, axes, &some));
    if (octi_onnx_has(n, 4))
        OCT_TRY(octi_onnx_whole(n, 4, "steps", OCTI_ONNX_RANK, cut->step, &stepped));
    if (cut->count < 0 || cut->count != ends || (some >= 0 && some != cut->count) ||
        (stepped >= 0 && stepped != cut->count))
        return octi_onnx_refuse(n, OCTI_CURE_RULES,
                                "starts, ends, axes or steps are missing or differ in number");
    for (int i = 0; i < cut->count; i++) {
        OCT_TRY(octi_onnx_axis(n, some >= 0 ? axes[i] : i, rank, &cut->axis[i]));
        if (stepped < 0) cut->step[i] = 1;
    }
    return OCT_OK;
}
