/* SPDX-License-Identifier: MIT
 * Why codes of a layer differ: other parameters, or the rule by which it computes: what verify says
 * behind the first value that differs. One row per kind that makes codes; tests/test_shown.sh wants
 * one for each. */
#include <string.h>

#include "tools/verify.h"

static const char conv[] = "law 7: clamp(rne(f32(sum (x - z_x) * w + b) * m) + z_y), m stored";
static const char same[] = "law 3: the input's codes, moved and not changed";
static const char mean[] =
    "law 8: clamp(rne(f32(sum (x - z_x)) * m[n]) + z_y), m of n cells stored";
static const char table[] = "law 8: a table of 256 codes, made in double and stored";
static const char add[] =
    "law 8: clamp(rne(f32(a - z_a) * m_a + f32(b - z_b) * m_b) + z_y), no FMA";
static const char mul[] = "law 8: clamp(rne(f32((a - z_a) * (b - z_b)) * m) + z_y)";
static const char cat[] = "law 8: clamp(rne(f32(x - z_x) * m_k) + z_y) of member k";
static const char clip[] = "law 8: the codes between quantize(lo) and quantize(hi)";
static const char soft[] = "law 8: (e[top - q] / sum) / s_y, summed in the order of channels";

static const char *const rules[OCT_OP_KIND_COUNT] = {
    [OCT_OP_quantize] = "law 1: clamp(rne(x / s) + z), a true division",
    [OCT_OP_dequantize] = "law 1: s * f32(q - z)",
    [OCT_OP_qconv2d] = conv,
    [OCT_OP_conv2d] = conv,
    [OCT_OP_qlinear] = conv,
    [OCT_OP_linear] = conv,
    [OCT_OP_batch_norm] = conv,
    [OCT_OP_qadd] = add,
    [OCT_OP_add] = add,
    [OCT_OP_qmul] = mul,
    [OCT_OP_mul] = mul,
    [OCT_OP_qcat] = cat,
    [OCT_OP_cat] = cat,
    [OCT_OP_requantize] = cat,
    [OCT_OP_qavg_pool2d] = mean,
    [OCT_OP_avg_pool2d] = mean,
    [OCT_OP_qadaptive_avg_pool2d] = mean,
    [OCT_OP_adaptive_avg_pool2d] = mean,
    [OCT_OP_qpad] = "law 8: cells around the image get the code of quantize(value)",
    [OCT_OP_pad] = "law 8: cells around the image get the code of quantize(value)",
    [OCT_OP_qclip] = clip,
    [OCT_OP_clamp] = clip,
    [OCT_OP_relu] = "law 8: max(x, z_x)",
    [OCT_OP_relu6] = clip,
    [OCT_OP_qtable] = table,
    [OCT_OP_leaky_relu] = table,
    [OCT_OP_elu] = table,
    [OCT_OP_hardswish] = table,
    [OCT_OP_hardsigmoid] = table,
    [OCT_OP_sigmoid] = table,
    [OCT_OP_tanh] = table,
    [OCT_OP_qsoftmax] = soft,
    [OCT_OP_softmax] = soft,
    [OCT_OP_max_pool2d] = "law 8: the largest code of the window; padding never wins",
    [OCT_OP_flatten] = same,
    [OCT_OP_reshape] = same,
    [OCT_OP_identity] = same,
    [OCT_OP_dropout] = same,
    [OCT_OP_slice] = same,
    [OCT_OP_dynamic_linear] = "each row quantized by its own range: y = f32(acc) * s * s_w + b",
    [OCT_OP_dynamic_lstm] = "x_t and h_t quantized row by row, cell and gates in fp32",
    [OCT_OP_dynamic_lstm_cell] = "x_t and h_t quantized row by row, cell and gates in fp32",
};

/* What law 16 says in place of a rule; rows without one are the same under both. */
static const struct {
    const char *fp32, *q31;
} fixed[] = {
    {conv, "law 16: clamp(scale(sum (x - z_x) * w + b) + z_y), multiplier and shift stored"},
    {mean, "law 16: clamp(scale(sum (x - z_x)) + z_y), multiplier and shift of n cells stored"},
    {mul, "law 16: clamp(scale((a - z_a) * (b - z_b)) + z_y)"},
    {cat, "law 16: clamp(scale(x - z_x) + z_y) of member k"},
    {add, "law 16: clamp(scale_y(scale_a((a - z_a) * 2^20) + scale_b((b - z_b) * 2^20)) + z_y)"},
};

const char *verify_rule(const verify_layer *l) {
    if ((unsigned)l->kind >= OCT_OP_KIND_COUNT) return NULL;
    if (l->law && (l->kind == OCT_OP_qavg_pool2d || l->kind == OCT_OP_avg_pool2d))
        return "law 16: sum / n on the input's grid, a half away from the code 128";
    const char *rule = rules[l->kind];
    for (size_t i = 0; l->law && i < sizeof fixed / sizeof *fixed; i++)
        if (rule == fixed[i].fp32) return fixed[i].q31;
    return rule;
}

static bool grid_of(const verify_side *s, const char *layer, float *scale, int32_t *zero_point) {
    oct_layer *rows;
    int32_t n;
    bool codes = false;
    if (!s->net) return false;
    if (oct_layers(s->net, NULL, 0, &rows, &n) != OCT_OK) return oct_clear_error(), false;
    for (int32_t i = 0; i < n; i++)
        if (rows[i].int8 && !strcmp(rows[i].name, layer)) {
            codes = true;
            *scale = rows[i].scale;
            *zero_point = rows[i].zero_point;
        }
    oct_layers_free(s->c->ctx, rows);
    return codes;
}

const char *verify_other_grid(const verify_side *a, const verify_side *b, const char *layer) {
    static char text[1400];
    float s[2];
    int32_t z[2];
    if (!grid_of(a, layer, &s[0], &z[0]) || !grid_of(b, layer, &s[1], &z[1]) ||
        (s[0] == s[1] && z[0] == z[1]))
        return NULL;
    snprintf(text, sizeof text,
             "scale %.9g, zero point %d in %.500s, but %.9g, %d in %.500s: other models, or other "
             "calibrations of one",
             (double)s[0], z[0], a->path, (double)s[1], z[1], b->path);
    return text;
}
