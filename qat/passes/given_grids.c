/* SPDX-License-Identifier: MIT
 * Grids that came with a net: whose they are beside those that have them. */
#include "qat/passes/given_grids.h"

#include "src/mem.h"

bool octi_same_grid(const oct_graph *g, int32_t a, int32_t b) {
    const oct_quantizer *x = &g->quantizers[a], *y = &g->quantizers[b];
    return a == b || (octi_scale(x) == octi_scale(y) && octi_zero_point(x) == octi_zero_point(y) &&
                      x->spec.qmin == y->spec.qmin && x->spec.qmax == y->spec.qmax);
}

static bool shares(const oct_node *n) {
    return octi_grid_under(n->kind, OCTQ_FP32) == OCTI_GRID_SHARE;
}

/* Every element that it gives is one that it read, or 0, which each grid has. */
static bool stays_on_grid(const oct_node *n) {
    return shares(n) && n->kind != OCT_OP_relu6 && n->kind != OCT_OP_clamp &&
           (n->kind != OCT_OP_pad || n->attr.value == 0);
}

/* The one grid of all that a node reads, -1. */
static int32_t grid_in(const oct_graph *g, const oct_node *n, const int32_t *grid) {
    for (int32_t k = 0; k < n->nin; k++)
        if (grid[n->in[k]] < 0 || !octi_same_grid(g, grid[n->in[k]], grid[n->in[0]])) return -1;
    return grid[n->in[0]];
}

static bool forward(const oct_graph *g, int32_t *grid) {
    bool any = false;
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        if (grid[n->out] >= 0 || !stays_on_grid(n)) continue;
        grid[n->out] = grid_in(g, n, grid);
        any |= grid[n->out] >= 0;
    }
    return any;
}

/* Of values whose readers all round to one grid, moving elements or comparing them before: they may
 * as well be rounded first. from: [values], work space. */
static bool backward(const oct_graph *g, int32_t *grid, int32_t *from) {
    enum { NOT_SEEN = -1, NONE = -2 };
    bool any = false;
    for (int32_t v = 0; v < g->value_count; v++) from[v] = v == g->output ? NONE : NOT_SEEN;
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        const int32_t to = shares(n) ? grid[n->out] : -1;
        for (int32_t k = 0; k < n->nin; k++) {
            if (n->in[k] < 0) continue;
            int32_t *have = &from[n->in[k]];
            if (to < 0 || (*have >= 0 && !octi_same_grid(g, *have, to)))
                *have = NONE;
            else if (*have == NOT_SEEN)
                *have = to;
        }
    }
    for (int32_t v = 0; v < g->value_count; v++)
        if (grid[v] < 0 && !g->values[v].tensor && from[v] >= 0) grid[v] = from[v], any = true;
    return any;
}

oct_status octi_given_grids(const oct_graph *g, int32_t **grid) {
    *grid = NULL;
    if (!g->quantizer_count) return OCT_OK;
    *grid = octi_calloc(g->ctx, (size_t)g->value_count + 1, sizeof **grid);
    int32_t *from = octi_calloc(g->ctx, (size_t)g->value_count + 1, sizeof *from);
    if (*grid && from) {
        for (int32_t v = 0; v < g->value_count; v++) (*grid)[v] = g->values[v].quantizer;
        bool any = true;
        while (any) {
            any = forward(g, *grid);
            any |= backward(g, *grid, from);
        }
    }
    octi_free(g->ctx, from);
    if (*grid && from) return OCT_OK;
    octi_free(g->ctx, *grid);
    *grid = NULL;
    return oct_last_error()->code;
}
