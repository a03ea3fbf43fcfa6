/* SPDX-License-Identifier: MIT
 * QuantStub, DeQuantStub and FloatFunctional: what PyTorch's eager mode has instead of reading a
 * graph. */
#include "autograd/nn/module.h"

static oct_var *stub_forward(void *self, oct_tape *t, oct_var *x) {
    const oct_module *m = self;
    const char *name = octi_scope(t);
    return octi_record(t, OCT_OP_identity, &m->attr, &x, 1, name && *name ? name : NULL);
}

static oct_module *stub_new(oct_ctx *ctx, oct_stub stub) {
    oct_module *m = octi_layer_new(ctx, stub_forward);
    if (m) m->attr.stub[0] = stub;
    return m;
}

oct_module *oct_quant_stub_new(oct_ctx *ctx) { return stub_new(ctx, OCT_STUB_QUANT); }
oct_module *oct_dequant_stub_new(oct_ctx *ctx) { return stub_new(ctx, OCT_STUB_DEQUANT); }

/* What the call that runs now wants recorded; the module's forward sees one input alone. */
typedef struct octi_functional {
    oct_op_kind kind;
    oct_attrs attr;
    oct_var *const *in;
    int count;
} octi_functional;

static oct_var *functional_forward(void *self, oct_tape *t, oct_var *x) {
    const octi_functional *f = ((const oct_module *)self)->functional;
    if (!f) {
        octi_fail(OCT_EUSAGE, "FloatFunctional", "applied like a module",
                  "oct_functional_add, _add_relu, _mul or _cat", NULL, NULL);
        return octi_tape_failed(t);
    }
    (void)x;
    const char *name = octi_scope(t);
    return octi_record(t, f->kind, &f->attr, f->in, f->count, name && *name ? name : NULL);
}

oct_module *oct_float_functional_new(oct_ctx *ctx) {
    return octi_layer_new(ctx, functional_forward);
}

static oct_var *call(oct_module *m, const octi_functional *f) {
    if (!m) return NULL;
    for (int i = 0; i < f->count; i++)
        if (!f->in[i]) return NULL;
    m->functional = f;
    oct_var *y = oct_apply(m, f->in[0]);
    m->functional = NULL;
    return y;
}

static oct_var *pair(oct_module *m, oct_op_kind kind, oct_act act, oct_var *a, oct_var *b) {
    return call(m,
                &(octi_functional){
                    .kind = kind, .attr = {.act = {act}}, .in = (oct_var *[]){a, b}, .count = 2});
}

oct_var *oct_functional_add(oct_module *m, oct_var *a, oct_var *b) {
    return pair(m, OCT_OP_add, OCT_ACT_NONE, a, b);
}
oct_var *oct_functional_mul(oct_module *m, oct_var *a, oct_var *b) {
    return pair(m, OCT_OP_mul, OCT_ACT_NONE, a, b);
}

/* One operation, whether anything is fused or not: what it adds is never seen. */
oct_var *oct_functional_add_relu(oct_module *m, oct_var *a, oct_var *b) {
    return pair(m, OCT_OP_add, OCT_ACT_RELU, a, b);
}

oct_var *oct_functional_cat(oct_module *m, oct_var *const *x, int count, int axis) {
    if (!x) return NULL;
    /* the one message for it */
    if (count < 1 || count > 64) return m ? oct_cat(x, count, axis) : NULL;
    return call(m, &(octi_functional){
                       .kind = OCT_OP_cat, .attr = {.axis = {axis}}, .in = x, .count = count});
}
