/* SPDX-License-Identifier: MIT
 * The functions that exported layers share, as C text: the arithmetic of src/qround.h in plain
 * loops. '@' is the model's name.
 *
 * Products go through a volatile: a compiler that fuses a product with the sum behind it (gcc on
 * AArch64 does by default, and takes no pragma) would round once where the law rounds twice.
 * Rounding is by conversion to integer and a comparison of what is left, which is exact, so that
 * no libm, no rounding trick and no reordering of sums is relied on. */
#include "qat/io/c_writer.h"

static const char times[] =
    "/* A product, rounded to float: volatile, so that no compiler fuses it with what follows. */\n"
    "static float @_times(float a, float b) {\n"
    "    volatile float product = a * b;\n"
    "    return product;\n"
    "}\n";

static const char code[] = "/* v rounded half to even, plus z, between lo and hi. */\n"
                           "static uint8_t @_code(float v, int32_t z, int32_t lo, int32_t hi) {\n"
                           "    int32_t q;\n"
                           "    float rest;\n"
                           "    if (v <= (float)(lo - z)) return (uint8_t)lo;\n"
                           "    if (v >= (float)(hi - z)) return (uint8_t)hi;\n"
                           "    q = (int32_t)v; /* toward zero */\n"
                           "    rest = v - (float)q;\n"
                           "    if (rest > 0.5f || (rest >= 0.5f && q % 2 != 0)) q++;\n"
                           "    if (rest < -0.5f || (rest <= -0.5f && q % 2 != 0)) q--;\n"
                           "    return (uint8_t)(q + z);\n"
                           "}\n";

static const char multiplier[] = "/* Of a requant: a sum's scale over the output's. */\n"
                                 "typedef float @_multiplier;\n";

static const char requant[] =
    "static uint8_t @_requant(int32_t sum, @_multiplier m, int32_t z, int32_t lo,\n"
    "                         int32_t hi) {\n"
    "    return @_code(@_times((float)sum, m), z, lo, hi);\n"
    "}\n";

/* ---- the same in fixed point ---- */

static const char multiplier_q31[] =
    "/* Of a requant: a sum's scale over the output's, q * 2^(shift - 31). */\n"
    "typedef struct {\n"
    "    int32_t q, shift;\n"
    "} @_multiplier;\n";

static const char scale_q31[] =
    "/* x * m in two roundings: the high half of the doubled product, then a shift to the right, "
    "a\n"
    " * half away from zero. A shift to the left comes first and saturates. */\n"
    "static int32_t @_scale(int32_t x, @_multiplier m) {\n"
    "    const int32_t left = m.shift > 0 ? m.shift : 0, right = m.shift > 0 ? 0 : -m.shift;\n"
    "    const int32_t mask = (int32_t)(((uint32_t)1 << right) - 1u);\n"
    "    int64_t wide = (int64_t)x * ((int64_t)1 << left);\n"
    "    int32_t high;\n"
    "    if (wide > INT32_MAX) wide = INT32_MAX;\n"
    "    if (wide < INT32_MIN) wide = INT32_MIN;\n"
    "    high = (int32_t)((wide * m.q + ((int64_t)1 << 30)) >> 31);\n"
    "    return (high >> right) + ((high & mask) > (mask >> 1) + (high < 0));\n"
    "}\n";

static const char code_q31[] =
    "static uint8_t @_code(int32_t v, int32_t z, int32_t lo, int32_t hi) {\n"
    "    if (v < lo - z) v = lo - z;\n"
    "    if (v > hi - z) v = hi - z;\n"
    "    return (uint8_t)(v + z);\n"
    "}\n";

static const char requant_q31[] =
    "static uint8_t @_requant(int32_t sum, @_multiplier m, int32_t z, int32_t lo,\n"
    "                         int32_t hi) {\n"
    "    return @_code(@_scale(sum, m), z, lo, hi);\n"
    "}\n";

static const char add_q31[] =
    "/* Operands 2^20 times as fine are scaled to a common grid, their sum to the output's. */\n"
    "static void @_add(const struct @_pair_layer *l, const uint8_t *a, const uint8_t *b,\n"
    "                  uint8_t *y) {\n"
    "    int32_t i, c;\n"
    "    for (i = 0; i < l->pixels; i++, a += l->a_step, b += l->b_step)\n"
    "        for (c = 0; c < l->c; c++) {\n"
    "            const int32_t va = @_scale((a[c] - l->za) * ((int32_t)1 << 20), l->m[0]),\n"
    "                          vb = @_scale((b[c] - l->zb) * ((int32_t)1 << 20), l->m[1]);\n"
    "            *y++ = @_code(@_scale(va + vb, l->m[2]), l->zy, l->lo, l->hi);\n"
    "        }\n"
    "}\n";

static const char mean_pool[] =
    "/* Averages on their input's grid: the mean of the codes, a half away from 128. Cells "
    "outside\n"
    " * the image hold zx. */\n"
    "static void @_mean_pool(const struct @_pool_layer *l, const uint8_t *x, uint8_t *y) {\n"
    "    int32_t p, q, c, h, v;\n"
    "    for (p = 0; p < l->p; p++)\n"
    "        for (q = 0; q < l->q; q++) {\n"
    "            const int32_t a = p * l->stride[0] - l->top, b = q * l->stride[1] - l->left;\n"
    "            const int32_t h0 = a < 0 ? 0 : a, h1 = a + l->r > l->h ? l->h : a + l->r;\n"
    "            const int32_t v0 = b < 0 ? 0 : b, v1 = b + l->s > l->w ? l->w : b + l->s;\n"
    "            const int32_t inside = (h1 - h0) * (v1 - v0);\n"
    "            const int32_t n = l->cells ? l->cells : inside;\n"
    "            for (c = 0; c < l->c; c++) {\n"
    "                int32_t sum = (n - inside) * l->zx - 128 * n;\n"
    "                for (h = h0; h < h1; h++)\n"
    "                    for (v = v0; v < v1; v++) sum += x[(h * l->w + v) * l->c + c];\n"
    "                sum = (sum > 0 ? sum + n / 2 : sum - n / 2) / n + 128;\n"
    "                *y++ = @_code(sum, 0, l->lo, l->hi);\n"
    "            }\n"
    "        }\n"
    "}\n";

static const char mean_inside[] =
    "/* The same of windows whose cells outside the image count for none. */\n"
    "static void @_mean_inside(const struct @_pool_layer *l, const uint8_t *x, uint8_t *y) {\n"
    "    @_mean_pool(l, x, y);\n"
    "}\n";

/* ---- layers ---- */

static const char window[] =
    "struct @_conv_layer {\n"
    "    int32_t h, w, c, p, q, o;   /* input h x w x c, output p x q x o */\n"
    "    int32_t r, s, stride[2], dilation[2], top, left, groups;\n"
    "    int32_t zx, zy, lo, hi;     /* zero points; the clamp */\n"
    "    int32_t per_channel;        /* 1: a multiplier per output channel; 0: one for all */\n"
    "};\n";

static const char conv[] =
    "/* w[o][r][s][c / groups], b[o]: the code is requant(sum (x - zx) * w + b). */\n"
    "static void @_conv2d(const struct @_conv_layer *l, const int8_t *w, const int32_t *b,\n"
    "                     const @_multiplier *m, const uint8_t *x, uint8_t *y) {\n"
    "    const int32_t cg = l->c / l->groups, og = l->o / l->groups, zx = l->zx;\n"
    "    int32_t p, q, o, r, s, c;\n"
    "    for (p = 0; p < l->p; p++)\n"
    "        for (q = 0; q < l->q; q++)\n"
    "            for (o = 0; o < l->o; o++) {\n"
    "                const int8_t *taps = w + o * l->r * l->s * cg;\n"
    "                int32_t acc = b[o];\n"
    "                for (r = 0; r < l->r; r++) {\n"
    "                    const int32_t h = p * l->stride[0] - l->top + r * l->dilation[0];\n"
    "                    if (h < 0 || h >= l->h) continue; /* zx there: adds nothing */\n"
    "                    for (s = 0; s < l->s; s++) {\n"
    "                        const int32_t v = q * l->stride[1] - l->left + s * l->dilation[1];\n"
    "                        const int8_t *k = taps + (r * l->s + s) * cg;\n"
    "                        const uint8_t *cell;\n"
    "                        if (v < 0 || v >= l->w) continue;\n"
    "                        cell = x + (h * l->w + v) * l->c + o / og * cg;\n"
    "                        for (c = 0; c < cg; c++) acc += (cell[c] - zx) * k[c];\n"
    "                    }\n"
    "                }\n"
    "                *y++ = @_requant(acc, m[o * l->per_channel], l->zy, l->lo, l->hi);\n"
    "            }\n"
    "}\n";

static const char depthwise[] =
    "/* A convolution whose every channel has a kernel of its own: groups = c = o. */\n"
    "static void @_depthwise(const struct @_conv_layer *l, const int8_t *w, const int32_t *b,\n"
    "                        const @_multiplier *m, const uint8_t *x, uint8_t *y) {\n"
    "    const int32_t size = l->r * l->s;\n"
    "    int32_t p, q, o, r, s;\n"
    "    for (p = 0; p < l->p; p++)\n"
    "        for (q = 0; q < l->q; q++) {\n"
    "            const int32_t h0 = p * l->stride[0] - l->top, v0 = q * l->stride[1] - l->left;\n"
    "            for (o = 0; o < l->c; o++) {\n"
    "                int32_t acc = b[o];\n"
    "                for (r = 0; r < l->r; r++) {\n"
    "                    const int32_t h = h0 + r * l->dilation[0];\n"
    "                    if (h < 0 || h >= l->h) continue;\n"
    "                    for (s = 0; s < l->s; s++) {\n"
    "                        const int32_t v = v0 + s * l->dilation[1];\n"
    "                        if (v < 0 || v >= l->w) continue;\n"
    "                        acc += (x[(h * l->w + v) * l->c + o] - l->zx) *\n"
    "                               w[o * size + r * l->s + s];\n"
    "                    }\n"
    "                }\n"
    "                *y++ = @_requant(acc, m[o * l->per_channel], l->zy, l->lo, l->hi);\n"
    "            }\n"
    "        }\n"
    "}\n";

static const char dense[] =
    "struct @_linear_layer {\n"
    "    int32_t k, o;           /* inputs, outputs */\n"
    "    int32_t zx, zy, lo, hi; /* zero points; the clamp */\n"
    "    int32_t per_channel;    /* 1: a multiplier per output; 0: one for all */\n"
    "};\n";

static const char linear[] =
    "static void @_linear(const struct @_linear_layer *l, const int8_t *w, const int32_t *b,\n"
    "                     const @_multiplier *m, const uint8_t *x, uint8_t *y) {\n"
    "    const int32_t zx = l->zx;\n"
    "    int32_t o, k;\n"
    "    for (o = 0; o < l->o; o++, w += l->k) {\n"
    "        int32_t acc = b[o];\n"
    "        for (k = 0; k < l->k; k++) acc += (x[k] - zx) * w[k];\n"
    "        y[o] = @_requant(acc, m[o * l->per_channel], l->zy, l->lo, l->hi);\n"
    "    }\n"
    "}\n";

static const char pair[] =
    "struct @_pair_layer {\n"
    "    int32_t pixels, c;      /* of the output */\n"
    "    int32_t a_step, b_step; /* c, or 0 for one pixel that serves all */\n"
    "    int32_t za, zb, zy, lo, hi;\n"
    "    @_multiplier m[2];\n"
    "};\n";

static const char pair_q31[] =
    "struct @_pair_layer {\n"
    "    int32_t pixels, c;      /* of the output */\n"
    "    int32_t a_step, b_step; /* c, or 0 for one pixel that serves all */\n"
    "    int32_t za, zb, zy, lo, hi;\n"
    "    @_multiplier m[3]; /* of a sum: of a, of b, of both */\n"
    "};\n";

static const char add[] =
    "static void @_add(const struct @_pair_layer *l, const uint8_t *a, const uint8_t *b,\n"
    "                  uint8_t *y) {\n"
    "    int32_t i, c;\n"
    "    for (i = 0; i < l->pixels; i++, a += l->a_step, b += l->b_step)\n"
    "        for (c = 0; c < l->c; c++) {\n"
    "            const float va = @_times((float)(a[c] - l->za), l->m[0]),\n"
    "                        vb = @_times((float)(b[c] - l->zb), l->m[1]);\n"
    "            *y++ = @_code(va + vb, l->zy, l->lo, l->hi);\n"
    "        }\n"
    "}\n";

static const char mul[] =
    "static void @_mul(const struct @_pair_layer *l, const uint8_t *a, const uint8_t *b,\n"
    "                  uint8_t *y) {\n"
    "    int32_t i, c;\n"
    "    for (i = 0; i < l->pixels; i++, a += l->a_step, b += l->b_step)\n"
    "        for (c = 0; c < l->c; c++) {\n"
    "            const int32_t product = (a[c] - l->za) * (b[c] - l->zb);\n"
    "            *y++ = @_requant(product, l->m[0], l->zy, l->lo, l->hi);\n"
    "        }\n"
    "}\n";

static const char rescale[] =
    "struct @_rescale_layer {\n"
    "    int32_t rows, n, pitch; /* n codes of every row; output rows begin `pitch` codes apart "
    "*/\n"
    "    int32_t zx, zy, lo, hi;\n"
    "    @_multiplier m;\n"
    "};\n"
    "static void @_rescale(const struct @_rescale_layer *l, const uint8_t *x, uint8_t *y) {\n"
    "    int32_t i, k;\n"
    "    for (i = 0; i < l->rows; i++, x += l->n, y += l->pitch)\n"
    "        for (k = 0; k < l->n; k++)\n"
    "            y[k] = @_requant(x[k] - l->zx, l->m, l->zy, l->lo, l->hi);\n"
    "}\n";

static const char pool[] =
    "struct @_pool_layer {\n"
    "    int32_t h, w, c, p, q; /* input h x w x c, output p x q x c */\n"
    "    int32_t r, s, stride[2], top, left;\n"
    "    int32_t cells, least; /* averages: cells to divide by, 0: those inside; count of m[0] */\n"
    "    int32_t zx, zy, lo, hi;\n"
    "};\n";

static const char pooled[] = ""; /* what pools share under CMSIS-NN alone */

static const char max_pool[] =
    "static void @_max_pool(const struct @_pool_layer *l, const uint8_t *x, uint8_t *y) {\n"
    "    int32_t p, q, c, h, v;\n"
    "    for (p = 0; p < l->p; p++)\n"
    "        for (q = 0; q < l->q; q++) {\n"
    "            const int32_t h0 = p * l->stride[0] - l->top, v0 = q * l->stride[1] - l->left;\n"
    "            for (c = 0; c < l->c; c++) {\n"
    "                uint8_t best = 0;\n"
    "                for (h = h0 < 0 ? 0 : h0; h < h0 + l->r && h < l->h; h++)\n"
    "                    for (v = v0 < 0 ? 0 : v0; v < v0 + l->s && v < l->w; v++) {\n"
    "                        const uint8_t cell = x[(h * l->w + v) * l->c + c];\n"
    "                        if (cell > best) best = cell;\n"
    "                    }\n"
    "                *y++ = best;\n"
    "            }\n"
    "        }\n"
    "}\n";

static const char average[] =
    "/* All channels of the window of rows h0 to h1, columns v0 to v1 (both behind the last). */\n"
    "static void @_average(const struct @_pool_layer *l, const @_multiplier *m, int32_t h0,\n"
    "                      int32_t h1, int32_t v0, int32_t v1, const uint8_t *x, uint8_t *y) {\n"
    "    const int32_t inside = (h1 - h0) * (v1 - v0), n = l->cells ? l->cells : inside;\n"
    "    int32_t c, h, v;\n"
    "    for (c = 0; c < l->c; c++) {\n"
    "        int32_t sum = 0;\n"
    "        for (h = h0; h < h1; h++)\n"
    "            for (v = v0; v < v1; v++) sum += x[(h * l->w + v) * l->c + c];\n"
    "        sum -= inside * l->zx;\n"
    "        y[c] = @_requant(sum, m[n - l->least], l->zy, l->lo, l->hi);\n"
    "    }\n"
    "}\n";

static const char avg_pool[] =
    "static void @_avg_pool(const struct @_pool_layer *l, const @_multiplier *m, const uint8_t "
    "*x,\n"
    "                       uint8_t *y) {\n"
    "    int32_t p, q;\n"
    "    for (p = 0; p < l->p; p++)\n"
    "        for (q = 0; q < l->q; q++, y += l->c) {\n"
    "            const int32_t h0 = p * l->stride[0] - l->top, h1 = h0 + l->r;\n"
    "            const int32_t v0 = q * l->stride[1] - l->left, v1 = v0 + l->s;\n"
    "            @_average(l, m, h0 < 0 ? 0 : h0, h1 > l->h ? l->h : h1, v0 < 0 ? 0 : v0,\n"
    "                      v1 > l->w ? l->w : v1, x, y);\n"
    "        }\n"
    "}\n";

static const char adaptive_pool[] =
    "/* Windows that share the image out. */\n"
    "static void @_adaptive_pool(const struct @_pool_layer *l, const @_multiplier *m,\n"
    "                            const uint8_t *x, uint8_t *y) {\n"
    "    int32_t p, q;\n"
    "    for (p = 0; p < l->p; p++)\n"
    "        for (q = 0; q < l->q; q++, y += l->c)\n"
    "            @_average(l, m, p * l->h / l->p, ((p + 1) * l->h + l->p - 1) / l->p,\n"
    "                      q * l->w / l->q, ((q + 1) * l->w + l->q - 1) / l->q, x, y);\n"
    "}\n";

static const char pad[] =
    "struct @_pad_layer {\n"
    "    int32_t h, w, c, p, q, top, left; /* input h x w x c, output p x q x c */\n"
    "    int32_t code;                     /* of the cells around the image */\n"
    "};\n"
    "static void @_pad(const struct @_pad_layer *l, const uint8_t *x, uint8_t *y) {\n"
    "    int32_t p, q, c;\n"
    "    for (p = 0; p < l->p; p++)\n"
    "        for (q = 0; q < l->q; q++) {\n"
    "            const int32_t h = p - l->top, v = q - l->left;\n"
    "            const int inside = h >= 0 && h < l->h && v >= 0 && v < l->w;\n"
    "            for (c = 0; c < l->c; c++) *y++ = inside ? *x++ : (uint8_t)l->code;\n"
    "        }\n"
    "}\n";

static const char slice[] = "/* Of rows that lie `pitch` apart, `run` codes from `from` on. */\n"
                            "static void @_slice(int32_t rows, int32_t pitch, int32_t from, "
                            "int32_t run, const uint8_t *x,\n"
                            "                    uint8_t *y) {\n"
                            "    int32_t i, k;\n"
                            "    for (i = 0; i < rows; i++, x += pitch, y += run)\n"
                            "        for (k = 0; k < run; k++) y[k] = x[from + k];\n"
                            "}\n";

static const char clip[] =
    "static void @_clip(int32_t n, int32_t lo, int32_t hi, const uint8_t *x, uint8_t *y) {\n"
    "    int32_t i;\n"
    "    for (i = 0; i < n; i++)\n"
    "        y[i] = x[i] < lo ? (uint8_t)lo : x[i] > hi ? (uint8_t)hi : x[i];\n"
    "}\n";

static const char table[] =
    "static void @_table(int32_t n, const uint8_t *t, const uint8_t *x, uint8_t *y) {\n"
    "    int32_t i;\n"
    "    for (i = 0; i < n; i++) y[i] = t[x[i]];\n"
    "}\n";

static const char softmax[] =
    "struct @_softmax_layer {\n"
    "    int32_t rows, c, zy, lo, hi;\n"
    "    float sy; /* scale of the output */\n"
    "};\n"
    "/* e[k] = exp(-scale * k), so that no exp is computed here. */\n"
    "static void @_softmax(const struct @_softmax_layer *l, const float *e, const uint8_t *x,\n"
    "                      uint8_t *y) {\n"
    "    int32_t i, c;\n"
    "    for (i = 0; i < l->rows; i++, x += l->c, y += l->c) {\n"
    "        uint8_t top = x[0];\n"
    "        float sum = 0.0f;\n"
    "        for (c = 1; c < l->c; c++)\n"
    "            if (x[c] > top) top = x[c];\n"
    "        for (c = 0; c < l->c; c++) sum += e[top - x[c]];\n"
    "        for (c = 0; c < l->c; c++) {\n"
    "            volatile float part = e[top - x[c]] / sum;\n"
    "            volatile float v = part / l->sy;\n"
    "            y[c] = @_code(v, l->zy, l->lo, l->hi);\n"
    "        }\n"
    "    }\n"
    "}\n";

static const char copy[] = "static void @_copy(int32_t n, const uint8_t *x, uint8_t *y) {\n"
                           "    int32_t i;\n"
                           "    for (i = 0; i < n; i++) y[i] = x[i];\n"
                           "}\n";

#define BIT(piece) (1u << OCTI_C_##piece)
/* In the order of the file. q31: what stands there where the law is fixed point, if it differs. */
static const struct {
    const char *text, *q31;
    unsigned needs;
    const char *cmsis; /* what stands there where CMSIS-NN is called */
} pieces[OCTI_C_PIECES] = {
    [OCTI_C_MULTIPLIER] = {multiplier, multiplier_q31, 0},
    [OCTI_C_TIMES] = {times, scale_q31, BIT(MULTIPLIER)},
    [OCTI_C_CODE] = {code, code_q31, 0},
    [OCTI_C_REQUANT] = {requant, requant_q31, BIT(TIMES) | BIT(CODE)},
    [OCTI_C_WINDOW] = {window, NULL, 0},
    [OCTI_C_CONV] = {conv, NULL, BIT(WINDOW) | BIT(REQUANT), octi_c_cmsis_conv},
    [OCTI_C_DEPTHWISE] = {depthwise, NULL, BIT(WINDOW) | BIT(REQUANT), octi_c_cmsis_depthwise},
    [OCTI_C_DENSE] = {dense, NULL, 0},
    [OCTI_C_LINEAR] = {linear, NULL, BIT(DENSE) | BIT(REQUANT), octi_c_cmsis_linear},
    [OCTI_C_PAIR] = {pair, pair_q31, BIT(MULTIPLIER)},
    [OCTI_C_ADD] = {add, add_q31, BIT(PAIR) | BIT(TIMES) | BIT(CODE), octi_c_cmsis_add},
    [OCTI_C_MUL] = {mul, NULL, BIT(PAIR) | BIT(REQUANT)},
    [OCTI_C_RESCALE] = {rescale, NULL, BIT(REQUANT)},
    [OCTI_C_POOL] = {pool, NULL, 0},
    [OCTI_C_POOLED] = {pooled, NULL, BIT(POOL), octi_c_cmsis_pool},
    [OCTI_C_MAX_POOL] = {max_pool, NULL, BIT(POOLED), octi_c_cmsis_max_pool},
    [OCTI_C_AVERAGE] = {average, NULL, BIT(POOL) | BIT(REQUANT)},
    [OCTI_C_AVG_POOL] = {avg_pool, NULL, BIT(AVERAGE)},
    [OCTI_C_ADAPTIVE_POOL] = {adaptive_pool, NULL, BIT(AVERAGE)},
    [OCTI_C_MEAN_POOL] = {mean_pool, NULL, BIT(POOL) | BIT(CODE)},
    [OCTI_C_MEAN_INSIDE] = {mean_inside, NULL, BIT(POOLED) | BIT(MEAN_POOL),
                            octi_c_cmsis_mean_inside},
    [OCTI_C_PAD] = {pad, NULL, 0},
    [OCTI_C_SLICE] = {slice, NULL, 0},
    [OCTI_C_CLIP] = {clip, NULL, 0},
    [OCTI_C_TABLE] = {table, NULL, 0},
    [OCTI_C_SOFTMAX] = {softmax, NULL, BIT(CODE)},
    [OCTI_C_COPY] = {copy, NULL, 0},
};

void octi_c_need(octi_c_writer *w, octi_c_piece piece) {
    w->need[piece] = true;
    for (int i = 0; i < OCTI_C_PIECES; i++)
        if (pieces[piece].needs & 1u << i) octi_c_need(w, (octi_c_piece)i);
}

void octi_c_put_pieces(const octi_c_writer *w, octi_text *t) {
    for (int i = 0; i < OCTI_C_PIECES; i++) {
        if (!w->need[i] || (!w->scratch && !*pieces[i].text)) continue;
        const bool other = w->q31 && pieces[i].q31, cmsis = w->scratch && pieces[i].cmsis;
        octi_c_put(w, t, "\n");
        if (cmsis) {
            octi_c_put(w, t, "#ifdef @_USE_CMSIS_NN\n");
            octi_c_put_text(w, t, pieces[i].cmsis);
            if (*pieces[i].text) octi_c_put(w, t, "#else\n");
        }
        octi_c_put_text(w, t, other ? pieces[i].q31 : pieces[i].text);
        if (cmsis) octi_c_put(w, t, "#endif\n");
        if (i == OCTI_C_MULTIPLIER && w->scratch) octi_c_put_text(w, t, octi_c_cmsis);
    }
}
