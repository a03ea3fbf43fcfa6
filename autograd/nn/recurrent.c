/* SPDX-License-Identifier: MIT
 * LSTM layers: PyTorch's nn.LSTM (batch first, one direction) and nn.LSTMCell, with their names and
 * first values. */
#include "autograd/nn/module.h"
#include "src/mem.h"

enum { MOST_LAYERS = OCTI_MODULE_SLOTS / 4, PARTS = 4 };

/* nn.LSTM's names for layer 0 to 3, then nn.LSTMCell's. */
static const char *const names[MOST_LAYERS + 1][PARTS] = {
    {"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"},
    {"weight_ih_l1", "weight_hh_l1", "bias_ih_l1", "bias_hh_l1"},
    {"weight_ih_l2", "weight_hh_l2", "bias_ih_l2", "bias_hh_l2"},
    {"weight_ih_l3", "weight_hh_l3", "bias_ih_l3", "bias_hh_l3"},
    {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}};

static oct_module *bad(oct_ctx *ctx, const char *what, const char *expected, int got) {
    octi_fail(OCT_EUSAGE, "lstm", what, expected, octi_fmt("%d", got), NULL);
    octi_ctx_failed(ctx);
    return NULL;
}

/* Everything is uniform in +-1/sqrt(hidden), as there: the biases' rule with the hidden size as fan
 * in. */
static oct_module *parameters(oct_module *m, const char *const name[PARTS], int in, int hidden,
                              bool no_bias) {
    for (int k = 0; k < (no_bias ? 2 : PARTS); k++) {
        oct_shape s = k == 0   ? OCT_SHAPE(4 * hidden, in)
                      : k == 1 ? OCT_SHAPE(4 * hidden, hidden)
                               : OCT_SHAPE(4 * hidden);
        m = octi_layer_tensor(m, name[k], OCT_ROLE_PARAM, OCTI_INIT_BIAS, hidden, s);
    }
    return m;
}

/* The four variables of a layer; false where one could not be made. */
static bool variables(oct_module *m, oct_tape *t, const char *const name[PARTS], bool no_bias,
                      oct_var *v[PARTS]) {
    for (int k = 0; k < PARTS; k++) {
        v[k] = no_bias && k >= 2 ? NULL : octi_layer_var(m, t, name[k]);
        if (!v[k] && !(no_bias && k >= 2)) return octi_tape_failed(t), false;
    }
    return true;
}

static const char *node_name(const oct_tape *t) {
    const char *s = octi_scope(t);
    return s && *s ? s : NULL;
}

static oct_module *checked(oct_ctx *ctx, const oct_lstm_opts *o, oct_forward_fn forward) {
    if (!ctx) return NULL;
    if (!o || o->in < 1 || o->in > 1 << 24)
        return bad(ctx, "input features", "1 to 2^24", o ? o->in : 0);
    if (o->hidden < 1 || o->hidden > 1 << 24)
        return bad(ctx, "hidden size", "1 to 2^24", o->hidden);
    return octi_layer_new(ctx, forward);
}

static oct_var *lstm_forward(void *self, oct_tape *t, oct_var *x) {
    oct_module *m = self;
    /* what follows layer 0's weights */
    bool no_bias = m->slot_count < 3 || m->slots[2].name == names[1][0];
    int layers = m->slot_count / (no_bias ? 2 : PARTS);
    for (int l = 0; l < layers; l++) {
        oct_var *v[PARTS];
        oct_attrs a = {.last = {l + 1 == layers && m->attr.last[0]}};
        if (!variables(m, t, names[l], no_bias, v)) return NULL;
        x = octi_record(t, OCT_OP_lstm, &a, (oct_var *[]){x, v[0], v[1], v[2], v[3]},
                        no_bias ? 3 : 5, node_name(t));
        if (!x) return NULL;
    }
    return x;
}

oct_module *oct_lstm_new(oct_ctx *ctx, const oct_lstm_opts *o) {
    oct_module *m = checked(ctx, o, lstm_forward);
    if (!m) return NULL;
    int layers = o->layers ? o->layers : 1;
    if (layers < 1 || layers > MOST_LAYERS)
        return bad(ctx, "layers", octi_fmt("1 to %d", MOST_LAYERS), layers);
    m->attr.last[0] = o->last;
    for (int l = 0; l < layers && m; l++)
        m = parameters(m, names[l], l ? o->hidden : o->in, o->hidden, o->no_bias);
    return m;
}

/* Its state comes beside x: m->state, set while oct_lstm_cell_step runs. */
static oct_var *cell_forward(void *self, oct_tape *t, oct_var *x) {
    oct_module *m = self;
    oct_var *v[PARTS];
    if (!variables(m, t, names[MOST_LAYERS], m->slot_count < PARTS, v)) return NULL;
    return octi_record(t, OCT_OP_lstm_cell, NULL,
                       (oct_var *[]){x, v[0], v[1], v[2], v[3], m->state}, m->state ? 6 : 5,
                       node_name(t));
}

oct_module *oct_lstm_cell_new(oct_ctx *ctx, const oct_lstm_opts *o) {
    oct_module *m = checked(ctx, o, cell_forward);
    return m ? parameters(m, names[MOST_LAYERS], o->in, o->hidden, o->no_bias) : NULL;
}

oct_var *oct_lstm_cell_step(oct_module *cell, oct_var *x, oct_var *state) {
    if (!cell) return NULL;
    cell->state = state;
    oct_var *y = oct_apply(cell, x);
    cell->state = NULL;
    return y;
}

void oct_lstm_opts_init(oct_lstm_opts *opts) {
    if (opts) *opts = (oct_lstm_opts){0};
}
