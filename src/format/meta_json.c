/* SPDX-License-Identifier: MIT
 * What a net says of itself beside its graph: input description, classes, model, target, stage. */
#include <stdlib.h>
#include <string.h>

#include "src/arena.h"
#include "src/format/graph_json.h"
#include "src/format/json_bits.h"
#include "src/mem.h"

enum { MAX_CLASSES = 1 << 20, FORM_VERSION = 1 };

static const char *const stage_words[] = {"float", "fused", "prepared", "int8"};
static const char *const color_words[] = {"grey", "RGB", "BGR"};

oct_status octi_meta_to_json(const oct_net *net, octi_text *out) {
    const oct_input_desc *in = &net->input;
    octi_text_printf(out, "{\"octet_meta\": %d,\n\"stage\": \"%s\",\n\"model\": ", FORM_VERSION,
                     stage_words[net->stage]);
    octi_json_put_string(out, net->model);
    octi_text_printf(out, ",\n\"target\": ");
    octi_json_put_string(out, net->target);
    if (*net->qconfig) {
        octi_text_printf(out, ",\n\"qconfig\": ");
        octi_json_put_string(out, net->qconfig);
    }
    if (net->made_from && net->stage < OCT_STAGE_INT8) /* a file of codes goes its own way */
        octi_text_printf(out, ",\n\"made_from\": \"%08x\"", (unsigned)net->made_from);
    if (in->channels > 0) {
        octi_text_printf(
            out,
            ",\n\"input\": {\"channels\": %d, \"height\": %d, \"width\": %d, \"color\": \"%s\", "
            "\"resize\": %d, \"crop\": %d, \"div\": ",
            (int)in->channels, (int)in->height, (int)in->width, color_words[in->color],
            (int)in->resize, (int)in->crop);
        octi_json_put_f32(out, in->div);
        for (int k = 0; k < 2; k++) {
            octi_text_printf(out, k ? ", \"std\": [" : ", \"mean\": [");
            for (int c = 0; c < in->channels && c < 4; c++) {
                if (c) octi_text_printf(out, ", ");
                octi_json_put_f32(out, k ? in->std[c] : in->mean[c]);
            }
            octi_text_printf(out, "]");
        }
        octi_text_printf(out, "%s}", in->assumed ? ", \"assumed\": true" : "");
    }
    octi_text_printf(out, ",\n\"classes\": [");
    for (int32_t i = 0; i < net->class_count; i++) {
        octi_text_printf(out, i ? ",\n{\"id\": " : "\n{\"id\": ");
        octi_json_put_string(out, net->classes[i].id);
        octi_text_printf(out, ", \"name\": ");
        octi_json_put_string(out, net->classes[i].name);
        octi_text_printf(out, "}");
    }
    octi_text_printf(out, "]}\n");
    return out->status;
}

static oct_status word_of(const char *const *words, int count, const char *word, const char *where,
                          const char *what, int *v) {
    for (*v = 0; *v < count; (*v)++)
        if (!strcmp(words[*v], word)) return OCT_OK;
    return octi_fail(OCT_EFORMAT, where, octi_fmt("unknown %s", what), NULL, word, NULL);
}

static oct_status read_desc(const cJSON *obj, const char *where, oct_input_desc *to) {
    static const char *const keys[] = {"channels", "height", "width", "color",   "resize", "crop",
                                       "div",      "mean",   "std",   "assumed", NULL};
    const char *owner = "input", *word;
    oct_input_desc in = {0};
    const struct {
        const char *key;
        int64_t least, most;
        int32_t *v;
    } whole[] = {{"channels", 1, 4, &in.channels},
                 {"height", 1, 1 << 20, &in.height},
                 {"width", 1, 1 << 20, &in.width},
                 {"resize", 0, 1 << 20, &in.resize},
                 {"crop", 0, 1 << 20, &in.crop}};
    int color;
    OCT_TRY(octi_json_only_keys(obj, keys, octi_json_at(where, owner)));
    for (int i = 0; i < 5; i++) {
        int64_t v;
        OCT_TRY(octi_json_int(obj, whole[i].key, octi_json_at(where, owner), whole[i].least,
                              whole[i].most, &v));
        *whole[i].v = (int32_t)v;
    }
    OCT_TRY(octi_json_string(obj, "color", octi_json_at(where, owner), &word));
    OCT_TRY(word_of(color_words, 3, word, where, "color", &color));
    in.color = (oct_color)color;
    OCT_TRY(octi_json_f32(obj, "div", octi_json_at(where, owner), &in.div));
    for (int k = 0; k < 2; k++) {
        const char *key = k ? "std" : "mean";
        const cJSON *list, *e;
        OCT_TRY(octi_json_array_of(obj, key, 4, octi_json_at(where, owner), &list));
        if (cJSON_GetArraySize(list) != in.channels)
            return octi_fail(OCT_EFORMAT, where, octi_fmt("input: %s", key),
                             octi_fmt("%d numbers", (int)in.channels),
                             octi_fmt("%d", cJSON_GetArraySize(list)), NULL);
        int c = 0;
        cJSON_ArrayForEach(e, list) OCT_TRY(octi_json_item_f32(e, key, octi_json_at(where, owner),
                                                               k ? &in.std[c++] : &in.mean[c++]));
    }
    if (octi_json_get(obj, "assumed"))
        OCT_TRY(octi_json_bool(obj, "assumed", octi_json_at(where, owner), &in.assumed));
    *to = in;
    return OCT_OK;
}

static oct_status read_input(oct_net *net, const cJSON *obj, const char *where) {
    oct_input_desc in;
    OCT_TRY(read_desc(obj, where, &in));
    if (oct_net_set_input(net, &in) == OCT_OK) return OCT_OK;
    return octi_fail_in(OCT_EFORMAT, where);
}

oct_status octi_desc_from_json(oct_ctx *ctx, const char *text, size_t size, const char *where,
                               oct_input_desc *to) {
    cJSON *root = NULL;
    OCT_TRY(octi_json_parse(ctx, text, size, where, &root));
    const cJSON *input = octi_json_get(root, "input");
    const oct_status s = input ? read_desc(input, where, to) : OCT_OK;
    octi_json_free(root);
    return s;
}

static oct_status read_made_from(oct_net *net, const cJSON *root, const char *where) {
    const char *word;
    OCT_TRY(octi_json_string(root, "made_from", octi_json_at(where, "meta"), &word));
    if (strlen(word) != 8 || strspn(word, "0123456789abcdef") != 8)
        return octi_fail(OCT_EFORMAT, octi_json_at(where, "meta"), "made_from",
                         "eight hexadecimal digits", word, NULL);
    net->made_from = (uint32_t)strtoul(word, NULL, 16);
    return OCT_OK;
}

static oct_status read_meta(oct_net *net, const cJSON *root, const char *where) {
    static const char *const keys[] = {"octet_meta", "stage", "model",   "target", "qconfig",
                                       "made_from",  "input", "classes", NULL};
    static const char *const class_keys[] = {"id", "name", NULL};
    const char *word, *model, *target, *qconfig = "";
    int64_t version;
    int stage;
    OCT_TRY(octi_json_only_keys(root, keys, octi_json_at(where, "meta")));
    OCT_TRY(
        octi_json_int(root, "octet_meta", octi_json_at(where, "meta"), 1, FORM_VERSION, &version));
    OCT_TRY(octi_json_string(root, "stage", octi_json_at(where, "meta"), &word));
    OCT_TRY(word_of(stage_words, 4, word, where, "stage", &stage));
    OCT_TRY(octi_json_string(root, "model", octi_json_at(where, "meta"), &model));
    OCT_TRY(octi_json_string(root, "target", octi_json_at(where, "meta"), &target));
    net->stage = (oct_stage)stage;
    net->model = octi_arena_strdup(net->graph->arena, model);
    net->target = octi_arena_strdup(net->graph->arena, target);
    if (octi_json_get(root, "qconfig"))
        OCT_TRY(octi_json_string(root, "qconfig", octi_json_at(where, "meta"), &qconfig));
    net->qconfig = octi_arena_strdup(net->graph->arena, qconfig);
    if (!net->model || !net->target || !net->qconfig) return oct_last_error()->code;
    if (octi_json_get(root, "made_from")) OCT_TRY(read_made_from(net, root, where));
    const cJSON *input = octi_json_get(root, "input"), *list, *e;
    if (input) OCT_TRY(read_input(net, input, where));
    OCT_TRY(octi_json_array_of(root, "classes", MAX_CLASSES, octi_json_at(where, "meta"), &list));
    int32_t count = cJSON_GetArraySize(list), i = 0;
    oct_class *classes = octi_calloc(net->ctx, (size_t)count + 1, sizeof *classes);
    if (!classes) return oct_last_error()->code;
    oct_status s = OCT_OK;
    cJSON_ArrayForEach(e, list) {
        if (s == OCT_OK)
            s = octi_json_only_keys(e, class_keys,
                                    octi_json_at(where, octi_fmt("class %d", (int)i)));
        if (s == OCT_OK)
            s = octi_json_string(e, "id", octi_json_at(where, octi_fmt("class %d", (int)i)),
                                 &classes[i].id);
        if (s == OCT_OK)
            s = octi_json_string(e, "name", octi_json_at(where, octi_fmt("class %d", (int)i)),
                                 &classes[i].name);
        i++;
    }
    if (s == OCT_OK) s = oct_net_set_classes(net, classes, count);
    octi_free(net->ctx, classes);
    return s;
}

oct_status octi_meta_from_json(oct_net *net, const char *text, size_t size, const char *where) {
    cJSON *root = NULL;
    OCT_TRY(octi_json_parse(net->ctx, text, size, where, &root));
    oct_status s = read_meta(net, root, where);
    octi_json_free(root);
    return s;
}
