/* SPDX-License-Identifier: MIT
 * Nodes that make a grid of their own from codes and have no weights: add, mul, averages, functions
 * of one value, softmax, requantize. Each is its line of the law (src/qround.h) up to the rounding;
 * octi_round_block does that. Law 16 rounds by the way: its whole numbers go there too. */
#include <math.h>

#include "autograd/diff.h"
#include "ops/windows.h"
#include "qat/net/function_codes.h"
#include "qat/step/rounding.h"
#include "src/mem.h"
#include "src/qround.h"
#include "src/threads.h"

enum { CHUNKS = 64, BLOCK = OCTI_ROUND_BLOCK };

static const oct_quantizer *in_quantizer(const octi_call *c, int k) {
    const oct_graph *g = c->net->graph;
    return &g->quantizers[g->values[c->net_node->in[k]].quantizer];
}

typedef struct own_job {
    const octi_call *c;
    octi_rounding to;
    const oct_quantizer *a, *b; /* of the inputs */
    const float *table;         /* [256]: functions' values, or softmax's exponentials */
    const float *rounded;       /* [256]: law 16's requantize: what they round to */
    bool in_q31;
    int32_t q31[3], shift[3]; /* law 16 */
} own_job;

/* ---- add, mul ---- */

/* One run of elements that stand side by side in a, b and y. */
static void add_run(const own_job *j, const uint8_t *restrict a, const uint8_t *restrict b,
                    int64_t at, int64_t count) {
    const float ma = octq_ratio(octi_scale(j->a), j->to.s),
                mb = octq_ratio(octi_scale(j->b), j->to.s);
    const int32_t za = octi_zero_point(j->a), zb = octi_zero_point(j->b);
    for (int64_t i = 0; i < count; i += BLOCK) {
        float u[BLOCK], r[BLOCK];
        int32_t n = count - i < BLOCK ? (int32_t)(count - i) : BLOCK;
        for (int32_t k = 0; k < n; k++) u[k] = octq_add_value(a[i + k], za, ma, b[i + k], zb, mb);
        for (int32_t k = 0; j->in_q31 && k < n; k++)
            r[k] = (float)octq_q31_add(a[i + k], za, b[i + k], zb, j->q31, j->shift);
        octi_round_block(&j->to, at + i, u, j->in_q31 ? r : NULL, n);
    }
}

static void mul_run(const own_job *j, const uint8_t *restrict a, const uint8_t *restrict b,
                    int64_t at, int64_t count) {
    const float m = octq_multiplier(octi_scale(j->a), octi_scale(j->b), j->to.s);
    const int32_t za = octi_zero_point(j->a), zb = octi_zero_point(j->b);
    for (int64_t i = 0; i < count; i += BLOCK) {
        float u[BLOCK], r[BLOCK];
        int32_t n = count - i < BLOCK ? (int32_t)(count - i) : BLOCK;
        for (int32_t k = 0; k < n; k++) u[k] = octq_mul_value(a[i + k], za, b[i + k], zb, m);
        for (int32_t k = 0; j->in_q31 && k < n; k++)
            r[k] = (float)octq_q31_scale((a[i + k] - za) * (b[i + k] - zb), j->q31[0], j->shift[0]);
        octi_round_block(&j->to, at + i, u, j->in_q31 ? r : NULL, n);
    }
}

static void pair_task(void *arg, int64_t n) {
    const own_job *j = arg;
    const octi_call *c = j->c;
    int64_t chans = c->out->shape.dim[c->out->shape.rank - 1],
            each = oct_tensor_count(c->out) / c->out->shape.dim[0];
    bool ba = !oct_shape_equal(&c->in[0]->shape, &c->out->shape),
         bb = !oct_shape_equal(&c->in[1]->shape, &c->out->shape);
    const uint8_t *a = oct_u8(c->in_codes[0]), *b = oct_u8(c->in_codes[1]);
    int64_t run = ba || bb ? chans : each; /* a broadcast side begins again at every pixel */
    for (int64_t at = n * each; at < (n + 1) * each; at += run) {
        const uint8_t *pa = ba ? a + n * chans : a + at, *pb = bb ? b + n * chans : b + at;
        if (c->node->kind == OCT_OP_mul)
            mul_run(j, pa, pb, at, run);
        else
            add_run(j, pa, pb, at, run);
    }
}

/* ---- averages ---- */

/* Law 16: sums of q - z over a window to whole codes less z. */
static void round_means(const own_job *j, const int32_t *sum, int32_t cells, int32_t n, float *r) {
    const int32_t z = octi_zero_point(j->a);
    int32_t q31, shift;
    if (octi_grid_of(j->c->net_node) == OCTI_GRID_SHARE) {
        for (int32_t k = 0; k < n; k++)
            r[k] = (float)(octq_q31_average(sum[k] + cells * z, cells) - z);
        return;
    }
    octq_q31_mean_of(octi_scale(j->a), j->to.s, cells, &q31, &shift);
    for (int32_t k = 0; k < n; k++) r[k] = (float)octq_q31_scale(sum[k], q31, shift);
}

static void average_task(void *arg, int64_t n) {
    const own_job *j = arg;
    const octi_call *c = j->c;
    const oct_attrs *a = &c->node->attr;
    const int64_t *x = c->in[0]->shape.dim, *y = c->out->shape.dim;
    const uint8_t *image = oct_u8(c->in_codes[0]) + n * x[1] * x[2] * x[3];
    int32_t z = octi_zero_point(j->a);
    bool fixed = c->node->kind == OCT_OP_avg_pool2d && !a->exclude_pad[0];
    for (int64_t p = 0; p < y[1]; p++)
        for (int64_t q = 0; q < y[2]; q++) {
            const octi_cells rows = octi_cells_of(c->node, 0, p, x[1], y[1]),
                             columns = octi_cells_of(c->node, 1, q, x[2], y[2]);
            int64_t cells = fixed ? (int64_t)a->kernel[0] * a->kernel[1]
                                  : (rows.to - rows.from) * (columns.to - columns.from);
            float m = octq_mean_multiplier(octi_scale(j->a), j->to.s, cells);
            for (int64_t k0 = 0; k0 < y[3]; k0 += BLOCK) {
                int32_t sum[BLOCK] = {0}, count = y[3] - k0 < BLOCK ? (int32_t)(y[3] - k0) : BLOCK;
                float u[BLOCK], r[BLOCK];
                for (int64_t h = rows.from; h < rows.to; h++)
                    for (int64_t w = columns.from; w < columns.to; w++) {
                        const uint8_t *restrict cell = image + (h * x[2] + w) * x[3] + k0;
                        for (int32_t k = 0; k < count; k++) sum[k] += (int32_t)cell[k] - z;
                    }
                for (int32_t k = 0; k < count; k++) u[k] = (float)sum[k] * m;
                if (j->in_q31) round_means(j, sum, (int32_t)cells, count, r);
                octi_round_block(&j->to, ((n * y[1] + p) * y[2] + q) * y[3] + k0, u,
                                 j->in_q31 ? r : NULL, count);
            }
        }
}

/* ---- functions of one value, requantize ---- */

static void map_task(void *arg, int64_t i) {
    const own_job *j = arg;
    const uint8_t *restrict x = oct_u8(j->c->in_codes[0]);
    const int64_t count = oct_tensor_count(j->c->out), end = count * (i + 1) / CHUNKS;
    for (int64_t at = count * i / CHUNKS; at < end; at += BLOCK) {
        float u[BLOCK], r[BLOCK];
        int32_t n = end - at < BLOCK ? (int32_t)(end - at) : BLOCK;
        for (int32_t k = 0; k < n; k++) u[k] = j->table[x[at + k]];
        for (int32_t k = 0; j->rounded && k < n; k++) r[k] = j->rounded[x[at + k]];
        octi_round_block(&j->to, at, u, j->rounded ? r : NULL, n);
    }
}

/* ---- softmax ---- */

static void softmax_task(void *arg, int64_t i) {
    const own_job *j = arg;
    const int64_t chans = j->c->out->shape.dim[j->c->out->shape.rank - 1],
                  rows = oct_tensor_count(j->c->out) / chans;
    for (int64_t r = rows * i / CHUNKS, end = rows * (i + 1) / CHUNKS; r < end; r++) {
        const uint8_t *x = oct_u8(j->c->in_codes[0]) + r * chans;
        int32_t top;
        const float sum = octq_softmax_sum(x, chans, j->table, &top);
        for (int64_t at = 0; at < chans; at += BLOCK) {
            float u[BLOCK];
            int32_t n = chans - at < BLOCK ? (int32_t)(chans - at) : BLOCK;
            for (int32_t k = 0; k < n; k++)
                u[k] = octq_softmax_value(j->table[top - x[at + k]], sum, j->to.s);
            octi_round_block(&j->to, r * chans + at, u, NULL, n);
        }
    }
}

/* ---- the table of kinds ---- */

typedef struct own_row {
    void (*task)(void *arg, int64_t i);
    bool by_image; /* a task an image; else CHUNKS of elements or rows */
    bool pair;     /* two inputs */
} own_row;

static own_row row_of(oct_op_kind kind) {
    switch (kind) {
    case OCT_OP_add:
    case OCT_OP_mul:
        return (own_row){pair_task, true, true};
    case OCT_OP_avg_pool2d:
    case OCT_OP_adaptive_avg_pool2d:
        return (own_row){average_task, true, false};
    case OCT_OP_softmax:
        return (own_row){softmax_task, false, false};
    case OCT_OP_quantize: /* of codes: requantize */
        return (own_row){map_task, false, false};
    default:
        return (own_row){octi_is_unary(kind) ? map_task : NULL, false, false};
    }
}

/* What law 16 needs for all elements of a node. */
static void make_records(own_job *j, float rounded[256]) {
    const float s_a = octi_scale(j->a), s_y = j->to.s;
    switch (j->c->node->kind) {
    case OCT_OP_add:
        octq_q31_add_of(s_a, octi_scale(j->b), s_y, j->q31, j->shift);
        break;
    case OCT_OP_mul:
        octq_q31_of(octq_product_ratio(s_a, octi_scale(j->b), s_y), j->q31, j->shift);
        break;
    default:
        if (octi_function_rounded(j->c->net_node, j->a, j->to.q, rounded)) j->rounded = rounded;
        break;
    }
}

bool octi_own_has(oct_op_kind kind) { return row_of(kind).task != NULL; }

oct_status octi_own_on_codes(octi_call *c, const oct_quantizer *q, octi_straight to) {
    const own_row row = row_of(c->node->kind);
    float table[256], rounded[256];
    own_job j = {.c = c,
                 .a = in_quantizer(c, 0),
                 .table = table,
                 .in_q31 = c->net_node->attr.law[0] == OCTQ_Q31};
    if (!row.task)
        return octi_fail(OCT_EINTERNAL, c->node->name, "no arithmetic on codes", NULL,
                         oct_op_name(c->node->kind), NULL);
    j.to = octi_rounding_to(q, (oct_act)c->node->attr.act[0], oct_f32(c->out), c->out_codes, to);
    if (row.pair) {
        j.b = in_quantizer(c, 1);
        if (!oct_shape_equal(&c->in[0]->shape, &c->in[1]->shape))
            octi_call_took(c, OCTI_PATH_broadcast_pair);
    }
    if (row.task == softmax_task) octi_softmax_exps(j.a, table);
    if (row.task == map_task) octi_function_values(c->node, j.a, q, table);
    if (j.in_q31) make_records(&j, rounded);
    octi_parallel_for(octi_ctx_pool(c->ctx), row.by_image ? c->out->shape.dim[0] : CHUNKS, row.task,
                      &j);
    return OCT_OK;
}
