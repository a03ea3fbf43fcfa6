/* SPDX-License-Identifier: MIT
 * What may stand in files: numbers. */
#include <math.h>
#include <string.h>

#include "src/net.h"

static double half(uint16_t h) {
    if ((h & 0x7c00) != 0x7c00) return 0; /* a number; which one does not matter here */
    return h & 0x3ff ? (double)NAN : h & 0x8000 ? -(double)INFINITY : (double)INFINITY;
}

static bool ends(const char *name, const char *tail) {
    size_t n = strlen(name), k = strlen(tail);
    return n >= k && !strcmp(name + n - k, tail);
}

/* A quantizer that has seen nothing has an empty range, [inf, -inf]; an observer of the user's own
 * may begin so, too. */
static bool allowed(const oct_named_tensor *t, float v) {
    if (t->role != OCT_ROLE_OBSERVER || isnan(v)) return false;
    return ends(t->name, ".min_val") ? v > 0 : ends(t->name, ".max_val") ? v < 0 : true;
}

/* First element that is not finite; -1: none. */
static int64_t first_bad(const oct_named_tensor *t, double *value) {
    const oct_tensor *x = t->tensor;
    const int64_t n = oct_tensor_count(x);
    if (x->dtype != OCT_F32 && x->dtype != OCT_F16) return -1;
    if (x->dtype == OCT_F32) {
        float probe = 0; /* 0 * inf and 0 * NaN are NaN */
        for (int64_t i = 0; i < n; i++) probe += 0.0f * oct_f32(x)[i];
        if (probe == 0.0f) return -1;
    }
    for (int64_t i = 0; i < n; i++) {
        double v = 0;
        if (x->dtype == OCT_F32) v = (double)oct_f32(x)[i];
        if (x->dtype == OCT_F16) v = half(((const uint16_t *)x->data)[i]);
        if (isfinite(v) || (x->dtype == OCT_F32 && allowed(t, oct_f32(x)[i]))) continue;
        *value = v;
        return i;
    }
    return -1;
}

oct_status octi_tensors_finite(const oct_named_tensor *t, int32_t n, const char *where,
                               oct_status code, const char *hint) {
    for (int32_t i = 0; i < n; i++) {
        double v = 0;
        const int64_t at = t[i].tensor ? first_bad(&t[i], &v) : -1;
        if (at < 0) continue;
        const char *name = where ? octi_fmt("%.300s: %.200s", where, t[i].name) : t[i].name;
        return octi_fail(code, name, "not finite", "finite numbers",
                         octi_fmt("%g at element %lld of %lld", v, (long long)at,
                                  (long long)oct_tensor_count(t[i].tensor)),
                         hint);
    }
    return OCT_OK;
}
