/* SPDX-License-Identifier: MIT
 * Two sides, layer by layer, batch by batch: what differs, where first, and whose doing it is. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/verify.h"

typedef struct comparison {
    verify_side *a, *b;
    const oct_graph *g; /* of the side that knows what each layer reads; NULL: none does */
    const char **names; /* of the layers, in order */
    int32_t count;
    verify_layer *rows; /* one per name */
    bool *differs;  /* [count][VERIFY_BATCH]: this layer's values of that image, in this batch */
    int64_t images; /* of the batches before */
    verify_result *r;
} comparison;

static double value_at(const oct_tensor *t, int64_t i) {
    return t->dtype == OCT_F32  ? (double)oct_f32(t)[i]
           : t->dtype == OCT_U8 ? ((const uint8_t *)t->data)[i]
                                : ((const int8_t *)t->data)[i];
}

static bool same_value(const oct_tensor *a, const oct_tensor *b, int64_t i, double bound) {
    const size_t size = oct_dtype_size(a->dtype);
    if (!memcmp((const char *)a->data + (size_t)i * size, (const char *)b->data + (size_t)i * size,
                size))
        return true;
    return bound > 0 && fabs(value_at(a, i) - value_at(b, i)) <= bound;
}

static double largest_of(const oct_tensor *t) {
    double most = 0;
    for (int64_t i = 0; i < oct_tensor_count(t); i++) {
        const double v = fabs(value_at(t, i));
        if (v > most && !isinf(v)) most = v;
    }
    return most;
}

/* Something that layer k reads differs in image i. */
static bool fed_otherwise(const comparison *c, int32_t k, int64_t i) {
    const oct_node *n = oct_graph_node(c->g, k);
    for (int32_t j = 0; j < oct_node_input_count(n); j++) {
        const int32_t from = oct_node_input(n, j) < 0
                                 ? -1
                                 : oct_value_producer(oct_graph_value(c->g, oct_node_input(n, j)));
        if (from >= 0 && c->differs[from * VERIFY_BATCH + i]) return true;
    }
    return false;
}

static void compare_values(comparison *c, int32_t k, const oct_tensor *a, const oct_tensor *b) {
    verify_result *r = c->r;
    verify_layer *row = &c->rows[k];
    row->name = c->names[k];
    row->codes = a->dtype != OCT_F32;
    const double share = fmax(c->a->kind->tolerance, c->b->kind->tolerance),
                 bound = row->codes ? 0 : share * largest_of(a);
    const int64_t n = oct_tensor_count(a), each = n / (a->shape.dim[0] > 0 ? a->shape.dim[0] : 1);
    row->values += n;
    *(row->codes ? &r->codes : &r->floats) += n;
    for (int64_t i = 0; i < n; i++) {
        const double expected = value_at(a, i), got = value_at(b, i),
                     difference = fabs(expected - got);
        if (same_value(a, b, i, bound)) {
            if (difference > row->largest) row->largest = difference;
            continue;
        }
        if (r->first < 0) {
            r->first = k;
            r->element = c->images * each + i;
            r->expected = expected;
            r->got = got;
        }
        const int64_t image = i / each;
        c->differs[k * VERIFY_BATCH + image] = true;
        const double by = isnan(difference) ? INFINITY : difference;
        if (!c->g || !fed_otherwise(c, k, image)) {
            row->own++;
            if (by > row->own_largest) row->own_largest = by;
        }
        row->differing++;
        ++*(row->codes ? &r->mismatched : &r->differing);
        if (by > row->largest) row->largest = by;
    }
}

/* A layer that cannot be compared hands on what its inputs were. */
static void pass_on(comparison *c, int32_t k) {
    for (int64_t i = 0; c->g && i < VERIFY_BATCH; i++)
        c->differs[k * VERIFY_BATCH + i] = fed_otherwise(c, k, i);
}

static bool comparable(comparison *c, int32_t k, const oct_tensor *a, const oct_tensor *b) {
    verify_result *r = c->r;
    r->same_names++;
    if (oct_tensor_count(a) != oct_tensor_count(b)) {
        r->other_shape = c->names[k];
        return false;
    }
    if (a->dtype == b->dtype) return true;
    if (!r->other_kinds++) {
        r->other_kind = c->names[k];
        r->a_floats = a->dtype == OCT_F32;
    }
    return false;
}

static int compare_batch(comparison *c, const oct_tensor *x) {
    int code = c->a->kind->run(c->a, x);
    if (!code) code = c->b->kind->run(c->b, x);
    if (code) return code;
    c->r->same_names = c->r->other_kinds = 0;
    memset(c->differs, 0, (size_t)c->count * VERIFY_BATCH * sizeof *c->differs);
    for (int32_t k = 0; k < c->count && !c->r->other_shape; k++) {
        const oct_tensor *p = c->a->kind->value(c->a, c->names[k]),
                         *q = p ? c->b->kind->value(c->b, c->names[k]) : NULL;
        if (q && comparable(c, k, p, q))
            compare_values(c, k, p, q);
        else
            pass_on(c, k);
    }
    c->images += x->shape.dim[0];
    return 0;
}

static int compare_all(comparison *c, oct_data *data) {
    const verify_side *described = c->a->desc.channels ? c->a : c->b;
    oct_loader *l =
        oct_loader_new(data, &(oct_loader_opts){.batch = VERIFY_BATCH, .input = &described->desc});
    int code = l ? cli_status(oct_loader_start(l, 0, 0)) : cli_failed();
    do {
        oct_batch batch;
        bool done = false;
        if (!code) code = cli_status(oct_loader_next(l, &batch, &done));
        if (code || done) break;
        code = compare_batch(c, batch.x);
    } while (!code && c->r->codes + c->r->floats && !c->r->other_shape);
    oct_loader_free(l);
    return code;
}

/* What was compared, in order; r->first counts among these. */
static int keep_rows(comparison *c) {
    verify_result *r = c->r;
    int32_t n = 0, first = -1;
    for (int32_t k = 0; k < c->count; k++) {
        if (!c->rows[k].values) continue;
        if (k == r->first) first = n;
        c->rows[k].kind = c->g ? oct_node_kind(oct_graph_node(c->g, k)) : OCT_OP_KIND_COUNT;
        c->rows[k].law = c->g ? oct_node_attrs(oct_graph_node(c->g, k))->law[0] : 0;
        c->rows[n++] = c->rows[k];
    }
    r->first = first;
    r->count = n;
    r->layers = c->rows;
    c->rows = NULL;
    return 0;
}

int verify_compare(verify_side *a, verify_side *b, oct_data *data, verify_result *r) {
    verify_side *guide = a->net || !b->net ? a : b;
    *r = (verify_result){.first = -1};
    comparison c = {.a = a, .b = b, .names = guide->layers, .r = r};
    if (guide->net) c.g = oct_net_graph(guide->net);
    while (c.names[c.count]) c.count++;
    c.rows = calloc((size_t)c.count + 1, sizeof *c.rows);
    c.differs = calloc((size_t)c.count + 1, VERIFY_BATCH * sizeof *c.differs);
    int code = c.rows && c.differs ? 0 : (fprintf(stderr, "octet: out of memory\n"), 5);
    if (!code) code = compare_all(&c, data);
    if (!code) code = keep_rows(&c);
    free(c.rows);
    free(c.differs);
    return code;
}

void verify_result_free(verify_result *r) { free(r->layers); }
