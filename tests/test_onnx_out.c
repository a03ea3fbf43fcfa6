/* SPDX-License-Identifier: MIT
 * ONNX out: every kind is written or refused by name; files repeat, hold what they should, and
 * survive names of any kind. What they compute: tests/test_onnx_runs.py. */
#include "tests/temp_folder.h"

#include "qat/infer/infer.h"
#include "qat/io/import.h"
#include "qat/io/onnx_out.h"
#include "qat/qat.h"
#include "src/mem.h"
#include "tests/exact_fix.h"
#include "tests/int8_nets.h"

static oct_ctx *ctx;

static void setup(void) {
    make_root();
    ctx = oct_open(&(oct_opts){.threads = 1});
    ck_not_null(ctx);
}

static void teardown(void) {
    oct_close(ctx);
    remove_root();
}

typedef struct model {
    uint8_t *bytes;
    size_t size;
    OctiOnnx__ModelProto *m;
    OctiOnnx__GraphProto *g;
} model;

static model export(const oct_net *net, bool integer_kernels) {
    model x;
    ck_ok(oct_export_onnx_memory(net, &(oct_onnx_opts){.integer_kernels = integer_kernels},
                                 &x.bytes, &x.size));
    x.m = octi_onnx__model_proto__unpack(NULL, x.size, x.bytes);
    ck_assert_ptr_nonnull(x.m);
    x.g = x.m->graph;
    return x;
}

static void done(model *x) {
    octi_onnx__model_proto__free_unpacked(x->m, NULL);
    oct_export_free(ctx, x->bytes);
}

static const OctiOnnx__TensorProto *constant(const model *x, const char *name) {
    for (size_t i = 0; i < x->g->n_initializer; i++)
        if (!strcmp(x->g->initializer[i]->name, name)) return x->g->initializer[i];
    return NULL;
}

static const OctiOnnx__ValueInfoProto *value(const model *x, const char *name) {
    for (size_t i = 0; i < x->g->n_value_info; i++)
        if (!strcmp(x->g->value_info[i]->name, name)) return x->g->value_info[i];
    return strcmp(x->g->output[0]->name, name) ? NULL : x->g->output[0];
}

static const OctiOnnx__NodeProto *maker(const model *x, const char *name) {
    for (size_t i = 0; i < x->g->n_node; i++)
        if (!strcmp(x->g->node[i]->output[0], name)) return x->g->node[i];
    return NULL;
}

static int64_t integer(const OctiOnnx__TensorProto *t, int64_t i) {
    if (t->data_type == OCTI_ONNX_S8) return ((const int8_t *)t->raw_data.data)[i];
    if (t->data_type == OCTI_ONNX_U8) return t->raw_data.data[i];
    int32_t v;
    memcpy(&v, t->raw_data.data + 4 * i, 4);
    return v;
}

START_TEST(every_kind_has_a_row) {
    for (int k = 0; k < OCT_OP_KIND_COUNT; k++)
        ck_assert_msg(!octi_onnxw_writer_of((oct_op_kind)k) != !octi_onnxw_refusal((oct_op_kind)k),
                      "kind %s: no row in onnx_out_kinds.def, or two", oct_op_name((oct_op_kind)k));
}
END_TEST

/* Names stand once, are made before they are read, and every value has its type and shape. */
static void check_form(const model *x) {
    ck_assert_str_eq(x->m->producer_name, "octet");
    ck_assert_str_eq(x->m->producer_version, oct_version());
    ck_assert_int_eq(x->m->opset_import[0]->version, 13);
    ck_assert_int_eq(x->m->ir_version, 7);
    ck_assert_int_eq(x->g->n_input, 1);
    ck_assert_int_eq(x->g->n_output, 1);
    for (size_t i = 0; i < x->g->n_node; i++) {
        const OctiOnnx__NodeProto *n = x->g->node[i];
        ck_assert_msg(n->n_output && value(x, n->output[0]), "%s is not described", n->output[0]);
        for (size_t k = 0; k < i; k++) {
            ck_assert_str_ne(x->g->node[k]->name, n->name);
            ck_assert_str_ne(x->g->node[k]->output[0], n->output[0]);
        }
        for (size_t k = 0; k < n->n_input; k++) {
            const char *in = n->input[k];
            bool known = !*in || !strcmp(in, x->g->input[0]->name) || constant(x, in);
            for (size_t j = 0; j < i && !known; j++)
                for (size_t o = 0; o < x->g->node[j]->n_output; o++)
                    known |= !strcmp(x->g->node[j]->output[o], in);
            ck_assert_msg(known, "%s reads %s", n->name, in);
        }
    }
    const OctiOnnx__TypeProto__Tensor *in = x->g->input[0]->type->tensor_type,
                                      *out = x->g->output[0]->type->tensor_type;
    ck_assert_str_eq(in->shape->dim[0]->dim_param, "N");
    ck_assert_str_eq(out->shape->dim[0]->dim_param, "N");
}

static oct_net *quantized(uint64_t seed, const oct_qconfig *how) {
    oct_shape image;
    oct_net *net = random_net(ctx, seed, &image), *q = oct_prepare(oct_fuse(net), how);
    ck_not_null(q);
    oct_tape *t = oct_tape_new(ctx);
    ck_ok(calibrate(q, t, image, 3));
    oct_net *made = oct_convert_with(q, &(oct_convert_opts){.skip_check = true}, NULL);
    ck_not_null(made);
    return made;
}

/* By the law's multipliers nothing may invite a runtime to fuse: a convolution or product of codes
 * has its weights from a node (else a multiplier behind it is folded into them, or they are
 * quantized anew), and a product's come by no DequantizeLinear. */
static void check_left_alone(const model *x) {
    for (size_t i = 0; i < x->g->n_node; i++) {
        const OctiOnnx__NodeProto *n = x->g->node[i];
        const bool conv = !strcmp(n->op_type, "Conv"), gemm = !strcmp(n->op_type, "Gemm");
        const OctiOnnx__NodeProto *in = conv || gemm ? maker(x, n->input[0]) : NULL;
        if (!in || strcmp(in->op_type, "DequantizeLinear")) continue;
        const OctiOnnx__NodeProto *weights = maker(x, n->input[1]);
        ck_assert_msg(weights != NULL, "%s: weights of floats behind codes", n->name);
        ck_assert_str_eq(weights->op_type, conv ? "DequantizeLinear" : "Cast");
    }
}

/* Of every convolution and product of whole numbers: the largest sum of magnitudes that u8 codes
 * can make of it; whatever a runtime's order, fp32 holds it. */
static int64_t largest_sum(const model *x, const OctiOnnx__NodeProto *n) {
    const OctiOnnx__NodeProto *in = maker(x, n->input[0]), *of = maker(x, n->input[1]),
                              *bias = n->n_input > 2 ? maker(x, n->input[2]) : NULL;
    if (!in || strcmp(in->op_type, "DequantizeLinear") || !of) return 0;
    const OctiOnnx__TensorProto *w = constant(x, of->input[0]), *zero = constant(x, in->input[2]),
                                *b = bias ? constant(x, bias->input[0]) : NULL;
    const int64_t z = integer(zero, 0), reach = z > 255 - z ? z : 255 - z, o = w->dims[0];
    int64_t most = 0;
    for (int64_t c = 0; c < o; c++) {
        int64_t sum = b ? llabs((long long)integer(b, c)) : 0;
        const int64_t k = (int64_t)w->raw_data.len / o;
        for (int64_t e = c * k; e < (c + 1) * k; e++) sum += reach * llabs(integer(w, e));
        if (sum > most) most = sum;
    }
    return most;
}

/* One convolution and one linear layer whose sums leave 2^24, and one whose bias alone does: dealt
 * out to several, none of which can. */
static oct_var *wide_forward(void *self, oct_tape *t, oct_var *x) {
    oct_module **m = self;
    (void)t;
    return oct_apply(m[1], oct_flatten(oct_apply(m[0], x)));
}

START_TEST(sums_stay_where_fp32_is_exact) {
    oct_module *m[2], *top = oct_module_new(ctx, wide_forward, m);
    m[0] = oct_module_add(
        top, "conv",
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 192, .out = 20, .kernel = 3, .pad = 1}));
    m[1] = oct_module_add(top, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = 2000, .out = 3}));
    for (int k = 0; k < 2; k++) {
        oct_tensor *w = oct_module_tensor(top, k ? "fc.weight" : "conv.weight");
        for (int64_t i = 0; i < oct_tensor_count(w); i++) oct_f32(w)[i] = i % 3 ? 0.03f : -0.028f;
    }
    for (int high = 0; high < 2; high++) {
        if (high) { /* few weights of no size: the bias alone is too large */
            oct_tensor *w = oct_module_tensor(top, "fc.weight");
            for (int64_t i = 0; i < oct_tensor_count(w); i++) oct_f32(w)[i] = i % 2000 ? 0 : 1e-3f;
            oct_f32(oct_module_tensor(top, "fc.bias"))[1] = 1e6f;
        }
        oct_shape image = OCT_SHAPE(10, 10, 192);
        oct_net *q = oct_prepare(oct_fuse(oct_capture(top, image)), NULL);
        oct_tape *t = oct_tape_new(ctx);
        ck_ok(calibrate(q, t, image, 3));
        oct_net *net = oct_convert_with(q, &(oct_convert_opts){.skip_check = true}, NULL);
        ck_assert_msg(net != NULL, "%s", oct_error_message());
        model x = export(net, false);
        check_form(&x);
        check_left_alone(&x);
        int products = 0, additions = 0;
        for (size_t i = 0; i < x.g->n_node; i++) {
            const OctiOnnx__NodeProto *n = x.g->node[i];
            additions += !strcmp(n->op_type, "Add");
            if (strcmp(n->op_type, "Conv") && strcmp(n->op_type, "Gemm")) continue;
            const int64_t most = largest_sum(&x, n);
            ck_assert_msg(most > 0 && most <= 1 << 24, "%s: up to %lld", n->name, (long long)most);
            products++;
        }
        ck_assert_int_ge(products, high ? 3 : 4);
        ck_assert_int_eq(products, additions); /* bias is added to the first */
        done(&x);
    }
}
END_TEST

/* Random nets, float and int8: the same bytes each time, and from a file of the net as well. */
START_TEST(files_repeat_and_are_whole) {
    for (uint64_t seed = 0; seed < 24; seed++) {
        oct_shape image;
        oct_net *net = seed % 3 ? quantized(seed, NULL) : random_net(ctx, seed, &image),
                *twin = net;
        if (net->stage == OCT_STAGE_INT8) {
            ck_ok(oct_int8_save(net, in_root("a.oct8")));
            ck_not_null(twin = oct_int8_load(ctx, in_root("a.oct8")));
        }
        for (int form = 0; form < 2; form++) {
            model a = export(net, form), b = export(twin, form);
            check_form(&a);
            if (!form) check_left_alone(&a);
            ck_assert_int_eq(a.size, b.size);
            ck_assert_int_eq(memcmp(a.bytes, b.bytes, a.size), 0);
            for (int32_t i = 0; i < net->graph->node_count; i++) {
                const oct_value *v = &net->graph->values[net->graph->nodes[i].out];
                const OctiOnnx__ValueInfoProto *info = value(&a, v->name);
                if (!info) continue; /* the output does not depend on it */
                const OctiOnnx__TypeProto__Tensor *t = info->type->tensor_type;
                ck_assert_int_eq(t->elem_type, v->dtype == OCT_U8 ? OCTI_ONNX_U8 : OCTI_ONNX_F32);
                ck_assert_int_eq(t->shape->n_dim, v->shape.rank);
                const int last = v->shape.rank == 4 ? 1 : v->shape.rank - 1;
                ck_assert_int_eq(t->shape->dim[last]->dim_value, v->shape.dim[v->shape.rank - 1]);
            }
            done(&a);
            done(&b);
        }
    }
}
END_TEST

static float real(const OctiOnnx__TensorProto *t, int64_t i) {
    float v;
    memcpy(&v, t->raw_data.data + 4 * i, 4);
    return v;
}

/* A convolution and a linear layer of a net by hand: codes of weights as O,I,H,W (columns C,H,W),
 * biases as they are, scales of both forms. */
START_TEST(weights_are_the_nets) {
    oct_net *net = test_small_net(ctx);
    ck_ok(oct_export_onnx(net, in_root("a.onnx"), NULL));
    oct_onnx_file *f = oct_onnx_open(ctx, in_root("a.onnx"));
    ck_not_null(f);
    ck_assert_int_eq(memcmp(&f->desc, &net->input, sizeof f->desc), 0);
    ck_assert(f->by_multipliers && f->value_count > net->graph->node_count);
    const int32_t shown[] = {0, 3};
    ck_ok(oct_onnx_expose(f, shown, 2, in_root("b.onnx")));
    oct_onnx_file *more = oct_onnx_open(ctx, in_root("b.onnx"));
    ck_not_null(more);
    OctiOnnx__ModelProto *made = octi_onnx__model_proto__unpack(NULL, more->size, more->bytes);
    ck_assert_int_eq(made->graph->n_output, 3);
    ck_assert_str_eq(made->graph->output[2]->name, f->values[3]);
    ck_assert_int_eq(made->graph->n_node, f->value_count);
    octi_onnx__model_proto__free_unpacked(made, NULL);
    ck_fails(OCT_EUSAGE, "no such value",
             oct_onnx_expose(f, (const int32_t[]){f->value_count}, 1, in_root("c.onnx")));
    oct_onnx_close(more);
    oct_onnx_close(f);
    const oct_graph *g = net->graph;
    for (int form = 0; form < 2; form++) {
        model x = export(net, form);
        int seen = 0;
        for (int32_t i = 0; i < g->node_count; i++) {
            const oct_node *n = &g->nodes[i];
            if (n->kind != OCT_OP_qconv2d) continue;
            const oct_tensor *w = octi_node_in(g, n, 1)->tensor, *b = octi_node_in(g, n, 2)->tensor,
                             *m = octi_node_in(g, n, 3)->tensor;
            const OctiOnnx__TensorProto *cw = constant(&x, octi_node_in(g, n, 1)->name),
                                        *cb = constant(&x, octi_node_in(g, n, 2)->name);
            ck_assert_ptr_nonnull(cw);
            ck_assert_ptr_nonnull(cb);
            ck_assert_int_eq(cw->data_type, OCTI_ONNX_S8);
            ck_assert_int_eq(cb->data_type, OCTI_ONNX_S32);
            const int64_t *d = w->shape.dim;
            for (int64_t o = 0; o < d[0]; o++) {
                for (int64_t r = 0; r < d[1] * d[2]; r++)
                    for (int64_t c = 0; c < d[3]; c++)
                        ck_assert_int_eq(integer(cw, (o * d[3] + c) * d[1] * d[2] + r),
                                         oct_s8(w)[(o * d[1] * d[2] + r) * d[3] + c]);
                ck_assert_int_eq(integer(cb, o), oct_s32(b)[o]);
            }
            const OctiOnnx__NodeProto *conv = NULL, *scaled = NULL;
            for (size_t k = 0; k < x.g->n_node; k++) {
                const OctiOnnx__NodeProto *p = x.g->node[k];
                if (!strncmp(p->output[0], n->name, strlen(n->name))) {
                    if (!strcmp(p->op_type, "Conv")) conv = p;
                    if (!strcmp(p->op_type, "Mul")) scaled = p;
                }
            }
            ck_assert_ptr_nonnull(conv);
            const OctiOnnx__NodeProto *dw = maker(&x, conv->input[1]),
                                      *db = maker(&x, conv->input[2]);
            ck_assert_str_eq(dw->op_type, "DequantizeLinear");
            ck_assert_str_eq(db->op_type, "DequantizeLinear");
            const int32_t qw = octi_node_in(g, n, 1)->quantizer;
            const float *s_w = qw < 0 ? NULL : oct_f32(g->quantizers[qw].scale),
                        s_y = oct_f32(g->quantizers[g->values[n->out].quantizer].scale)[0],
                        s_x = oct_f32(g->quantizers[octi_node_in(g, n, 0)->quantizer].scale)[0];
            for (int64_t o = 0; o < d[0]; o++) {
                const double by_m = (double)oct_f32(m)[o] * (double)s_y / (double)s_x;
                const float scale = s_w ? s_w[o] : (float)by_m;
                if (form) {
                    ck_assert(real(constant(&x, dw->input[1]), o) == scale);
                    ck_assert(real(constant(&x, db->input[1]), o) ==
                              (float)((double)s_x * (double)scale));
                } else {
                    ck_assert(real(constant(&x, dw->input[1]), 0) == 1);
                    ck_assert(real(constant(&x, db->input[1]), 0) == 1);
                    ck_assert(real(constant(&x, scaled->input[1]), o) == oct_f32(m)[o]);
                }
            }
            seen++;
        }
        ck_assert_int_gt(seen, 1);
        done(&x);
    }
}
END_TEST

/* Ranges narrower than u8: a Clip stands in front of every QuantizeLinear that makes a layer's
 * codes, its limits those of the codes. */
START_TEST(narrow_ranges_are_clipped) {
    oct_net *net = quantized(5, &(oct_qconfig){.target = OCT_TARGET_FBGEMM});
    for (int form = 0; form < 2; form++) {
        model x = export(net, form);
        int seen = 0;
        for (size_t i = 0; i < x.g->n_node; i++) {
            const OctiOnnx__NodeProto *q = x.g->node[i];
            const int32_t at = oct_graph_find_node(net->graph, q->output[0]);
            if (strcmp(q->op_type, "QuantizeLinear") || at < 0) continue;
            const oct_op_kind kind = net->graph->nodes[at].kind;
            if (oct_op_flags(kind) & OCT_OPF_G || kind == OCT_OP_qpad) continue;
            const OctiOnnx__NodeProto *clip = maker(&x, q->input[0]);
            ck_assert_msg(clip && !strcmp(clip->op_type, "Clip"), "%s is not clipped",
                          q->output[0]);
            const float s = real(constant(&x, q->input[1]), 0);
            const int64_t z = integer(constant(&x, q->input[2]), 0);
            const float hi = real(constant(&x, clip->input[2]), 0) / s + (float)z;
            ck_assert_msg(hi > 126.9f && hi < 127.1f, "%s: up to %g", q->output[0], (double)hi);
            seen++;
        }
        ck_assert_int_gt(seen, 3);
        done(&x);
    }
}
END_TEST

/* Names that are no UTF-8, that hold control bytes, or that are those of derived values. */
static oct_var *named_forward(void *self, oct_tape *t, oct_var *x) {
    oct_module **m = self;
    (void)t;
    return oct_apply(m[2], oct_relu(oct_apply(m[1], oct_apply(m[0], x))));
}

START_TEST(names_of_any_kind) {
    static const char *const names[][3] = {{"a.product", "a", "a.dequantized"},
                                           {"one", "two\xff\xfe", "two__"},
                                           {"x\n", "x\x01", "\xed\xa0\x80"}};
    for (size_t i = 0; i < 3; i++) {
        oct_module *m[3], *top = oct_module_new(ctx, named_forward, m);
        for (int k = 0; k < 3; k++)
            m[k] = oct_module_add(
                top, names[i][k],
                oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 2, .out = 2, .kernel = 1}));
        oct_net *net = oct_capture(top, OCT_SHAPE(3, 3, 2));
        if (!net) { /* refused where it is made: as good */
            oct_clear_error();
            continue;
        }
        model x = export(net, false);
        check_form(&x);
        for (size_t k = 0; k < x.g->n_node; k++)
            for (const char *p = x.g->node[k]->output[0]; *p; p++)
                ck_assert_msg((unsigned char)*p >= 0x20 && (unsigned char)*p < 0x7f, "%s",
                              x.g->node[k]->output[0]);
        done(&x);
    }
}
END_TEST

/* What cannot leave is named, all of it, and prepared nets are told what they lack. */
START_TEST(refusals_name_every_layer) {
    oct_shape image;
    oct_net *q = oct_prepare(oct_fuse(random_net(ctx, 1, &image)), NULL);
    uint8_t *bytes;
    size_t size;
    ck_fails(OCT_EUSAGE, "oct_convert", oct_export_onnx_memory(q, NULL, &bytes, &size));
    ck_assert(!bytes && !size);
    oct_net *net = quantized(5, NULL);
    for (int32_t i = 0; i < net->graph->node_count; i++) {
        oct_node *n = &net->graph->nodes[i];
        if (n->kind == OCT_OP_qconv2d || n->kind == OCT_OP_qlinear) n->attr.law[0] = 1;
    }
    ck_fails(OCT_EUNSUPPORTED, "layers cannot be written",
             oct_export_onnx_memory(net, NULL, &bytes, &size));
    ck_assert(strstr(oct_error_message(), "(qconv2d): requantizes in fixed point"));
    ck_assert(strstr(oct_error_message(), "; "));
    model x = export(net, true); /* by scales it can */
    check_form(&x);
    done(&x);
    ck_fails(OCT_EIO, "nowhere",
             oct_export_onnx(net, "/nowhere/a.onnx", &(oct_onnx_opts){.integer_kernels = true}));
}
END_TEST

/* A file that octet wrote says how pixels become its input, and what its classes are called. */
START_TEST(what_octet_wrote_comes_back_described) {
    static const oct_class classes[] = {{"n1", "ant"}, {"n2", "bee \"b\""}, {"n3", "cat"}};
    oct_module *top = oct_zoo_new(ctx, "lenet", &(oct_zoo_opts){.channels = 1, .classes = 3});
    oct_net *net = oct_capture(top, OCT_SHAPE(28, 28, 1));
    const oct_input_desc in = {.channels = 1,
                               .height = 28,
                               .width = 28,
                               .color = OCT_COLOR_GREY,
                               .div = 200,
                               .mean = {0.25f},
                               .std = {0.5f}};
    ck_ok(oct_net_set_input(net, &in));
    ck_ok(oct_net_set_classes(net, classes, 3));
    model x = export(net, false);
    oct_net *back = oct_import_onnx_memory(ctx, x.bytes, x.size, NULL);
    ck_not_null(back);
    ck_assert_int_eq(back->stage, OCT_STAGE_FLOAT);
    ck_assert(back->input.div == 200 && back->input.mean[0] == 0.25f && back->input.std[0] == 0.5f);
    ck_assert_int_eq(back->class_count, 3);
    ck_assert_str_eq(back->classes[1].id, "n2");
    ck_assert_str_eq(back->classes[1].name, "bee \"b\"");
    done(&x);
    /* of another net, or damaged: refused */
    char *meta = NULL;
    x = export(net, false);
    for (size_t i = 0; i < x.m->n_metadata_props; i++)
        if (!strcmp(x.m->metadata_props[i]->key, "octet")) meta = x.m->metadata_props[i]->value;
    ck_assert_ptr_nonnull(meta);
    const struct {
        const char *from, *to;
    } slips[] = {{"\"height\": 28", "\"height\": 27"}, {"\"octet_meta\"", "\"octet_mexa\""}};
    for (int k = 0; k < 2; k++) {
        char *at = strstr(meta, slips[k].from), kept[64];
        ck_assert_msg(at != NULL, "%s in %s", slips[k].from, meta);
        const size_t n = strlen(slips[k].from);
        memcpy(kept, at, n);
        memcpy(at, slips[k].to, n);
        uint8_t *bytes = malloc(octi_onnx__model_proto__get_packed_size(x.m));
        const size_t size = octi_onnx__model_proto__pack(x.m, bytes);
        ck_assert(!oct_import_onnx_memory(ctx, bytes, size, NULL));
        ck_assert_int_eq(oct_last_error()->code, OCT_EFORMAT);
        oct_ctx_clear(ctx);
        free(bytes);
        memcpy(at, kept, n);
    }
    done(&x);
}
END_TEST

OCT_TEST_MAIN_WITH("onnx_out", setup, teardown, every_kind_has_a_row, files_repeat_and_are_whole,
                   sums_stay_where_fp32_is_exact, weights_are_the_nets, narrow_ranges_are_clipped,
                   names_of_any_kind, refusals_name_every_layer,
                   what_octet_wrote_comes_back_described)
