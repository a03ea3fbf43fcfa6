/* SPDX-License-Identifier: MIT
 * Small pieces that whole forms share: strings and numbers written, keys judged, numbers read. */
#include "src/format/json_bits.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

oct_status octi_json_array_of(const cJSON *obj, const char *key, int max, const char *where,
                              const cJSON **v) {
    OCT_TRY(octi_json_array(obj, key, where, v));
    int n = cJSON_GetArraySize(*v);
    if (n <= max) return OCT_OK;
    return octi_fail(OCT_ELIMIT, where, octi_fmt("array '%s' is too long", key),
                     octi_fmt("at most %d", max), octi_fmt("%d", n), NULL);
}

oct_status octi_json_only_keys(const cJSON *obj, const char *const *keys, const char *where) {
    if (!cJSON_IsObject(obj))
        return octi_fail(OCT_EFORMAT, where, "not a JSON object", NULL, NULL, NULL);
    for (const cJSON *e = obj->child; e; e = e->next) {
        int i = 0;
        while (keys[i] && strcmp(keys[i], e->string)) i++;
        if (!keys[i]) return octi_fail(OCT_EFORMAT, where, "unknown key", NULL, e->string, NULL);
    }
    return OCT_OK;
}

static const struct {
    const char *word;
    float v;
} words[] = {{"inf", INFINITY}, {"-inf", -INFINITY}, {"nan", NAN}};

oct_status octi_json_item_f32(const cJSON *e, const char *field, const char *where, float *v) {
    double d;
    for (int i = 0; i < 3 && cJSON_IsString(e); i++)
        if (!strcmp(e->valuestring, words[i].word)) return *v = words[i].v, OCT_OK;
    OCT_TRY(octi_json_item_number(e, field, where, &d));
    if (!isfinite((float)d))
        return octi_fail(OCT_EFORMAT, where, field, "a number that fits a float", octi_fmt("%g", d),
                         NULL);
    *v = (float)d;
    return OCT_OK;
}

oct_status octi_json_f32(const cJSON *obj, const char *key, const char *where, float *v) {
    const cJSON *e = octi_json_get(obj, key);
    return e ? octi_json_item_f32(e, key, where, v)
             : octi_fail(OCT_EFORMAT, where, octi_fmt("field '%s' is missing", key), NULL, NULL,
                         NULL);
}

void octi_json_put_f32(octi_text *out, float v) {
    char t[40];
    for (int i = 0; i < 3 && !isfinite(v); i++)
        if (v == words[i].v || (i == 2 && v != v)) {
            octi_text_printf(out, "\"%s\"", words[i].word);
            return;
        }
    snprintf(t, sizeof t, "%.9g", (double)v);
    for (char *p = t; *p; p++)
        if (!strchr("0123456789+-e", *p)) *p = '.'; /* the locale's decimal point */
    octi_text_bytes(out, t, strlen(t));
}
