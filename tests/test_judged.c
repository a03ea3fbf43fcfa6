/* SPDX-License-Identifier: MIT
 * A net that comes from outside is judged rule by rule: what each stage may hold, and what every
 * graph must be. One thing at a time is wrong, and it is named. What a graph's file keeps of a
 * quantizer: each of its fields. */
#include <math.h>

#include "octet.h"
#include "qat/fit/run_files.h"
#include "qat/net/prepared.h"
#include "qat/prepared_check.h"
#include "src/format/graph_json.h"
#include "src/net.h"
#include "tests/int8_nets.h"
#include "tests/oct_test.h"

static oct_ctx *ctx;

static void setup(void) { ck_not_null(ctx = oct_open(&(oct_opts){.threads = 1})); }
static void teardown(void) { oct_close(ctx); }

/* Row i is taken, where `says` is NULL; else it is refused in such words. */
static void judged(oct_status s, size_t i, const char *says) {
    if (!says)
        ck_assert_msg(s == OCT_OK, "row %zu: %s", i, oct_error_message());
    else
        ck_assert_msg(s != OCT_OK && strstr(oct_error_message(), says), "row %zu, '%s': %s", i,
                      says, s == OCT_OK ? "taken" : oct_error_message());
    oct_clear_error();
}

/* conv, batch norm, relu, flatten, linear: of images of 4 x 6. */
static oct_net *float_net(void) {
    oct_module *const layers[] = {
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 1, .out = 2, .kernel = 3}),
        oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 2}), oct_relu_new(ctx),
        oct_flatten_new(ctx), oct_linear_new(ctx, &(oct_linear_opts){.in = 16, .out = 3})};
    oct_net *net = oct_capture(oct_sequential_new(ctx, layers, 5), OCT_SHAPE(4, 6, 1));
    ck_not_null(net);
    return net;
}
static oct_net *prepared_net(void) {
    oct_net *net = oct_prepare(float_net(), NULL);
    ck_not_null(net);
    return net;
}
static oct_net *int8_net(void) { return test_small_net(ctx); }

static oct_value *value(oct_net *net, oct_value_role role) {
    for (int32_t i = 0; i < net->graph->value_count; i++)
        if (net->graph->values[i].role == role) return &net->graph->values[i];
    ck_abort_msg("no value of role %d", (int)role);
    return NULL;
}
static oct_named_tensor *tensor_of(oct_net *net, oct_value_role role) {
    const oct_tensor *t = value(net, role)->tensor;
    for (int32_t i = 0; i < net->tensor_count; i++)
        if (net->tensors[i].tensor == t) return &net->tensors[i];
    return NULL;
}

#define SPOIL(name, what)                                                                          \
    static void name(oct_net *net) { what; }
SPOIL(nothing, (void)net)
SPOIL(an_unknown_stage, net->stage = (oct_stage)4)
SPOIL(a_fold, net->graph->nodes[0].attr.bn[0] = 1)
SPOIL(a_border, net->graph->nodes[2].kind = OCT_OP_quantize)
SPOIL(an_integer_kind, net->graph->nodes[3].kind = OCT_OP_max_pool2d;
      net->graph->nodes[2].kind = OCT_OP_qclip)
SPOIL(a_loss, net->graph->nodes[2].kind = OCT_OP_mse_loss; net->graph->nodes[2].nin = 2;
      net->graph->nodes[2].in = net->graph->nodes[0].in)
SPOIL(codes, value(net, OCT_VALUE_ACT)->dtype = OCT_U8)
SPOIL(halves, value(net, OCT_VALUE_PARAM)->dtype = OCT_F16)
SPOIL(a_parameter, value(net, OCT_VALUE_CONST)->role = OCT_VALUE_PARAM)
SPOIL(a_grid, (void)octi_graph_add_quantizer(net->graph, &(oct_quantizer){.name = "q"}))
SPOIL(a_value_on_a_grid, a_grid(net); value(net, OCT_VALUE_ACT)->quantizer = 0)
SPOIL(an_input_on_a_grid, value(net, OCT_VALUE_INPUT)->quantizer = 0)
SPOIL(a_frozen_buffer, value(net, OCT_VALUE_BUFFER)->frozen = true)
SPOIL(hooks_of_another, net->hooks = prepared_net()->hooks)
SPOIL(no_hooks, net->hooks = NULL)
SPOIL(a_range, net->graph->quantizers[0].min_val = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1)))
SPOIL(an_observer, net->graph->quantizers[0].observer = "ema")
SPOIL(a_method, net->graph->quantizers[0].method = OCT_METHOD_LSQ)
SPOIL(a_state, net->graph->quantizers[0].state[0] = oct_tensor_ref(net->graph->quantizers[0].scale);
      net->graph->quantizers[0].state_count = 1)
SPOIL(an_observers_tensor, net->tensors[0].role = OCT_ROLE_OBSERVER)
SPOIL(a_tensor_of_nobody,
      value(net, OCT_VALUE_PARAM)->tensor = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(2, 3, 3, 1)))
SPOIL(a_parameter_as_buffer, tensor_of(net, OCT_VALUE_PARAM)->role = OCT_ROLE_BUFFER)
SPOIL(a_buffer_as_parameter, tensor_of(net, OCT_VALUE_BUFFER)->role = OCT_ROLE_PARAM)
SPOIL(another_image, net->input.height = 6; net->input.width = 4)
SPOIL(more_channels, net->input.channels = 3)
SPOIL(a_second_input, value(net, OCT_VALUE_ACT)->role = OCT_VALUE_INPUT)
SPOIL(an_input_that_is_made, net->graph->input = net->graph->output)
SPOIL(an_output_that_is_not, net->graph->output = net->graph->input)
/* ---- of every graph ---- */
SPOIL(an_unknown_kind, net->graph->nodes[0].kind = OCT_OP_KIND_COUNT)
SPOIL(too_many_inputs, net->graph->nodes[2].nin = 2)
SPOIL(too_few_inputs, net->graph->nodes[0].nin = 1)
SPOIL(a_missing_input, net->graph->nodes[0].in[1] = -1)
SPOIL(an_input_beyond, net->graph->nodes[0].in[0] = net->graph->value_count)
SPOIL(an_input_made_later, net->graph->nodes[0].in[0] = net->graph->output)
SPOIL(an_output_of_another, net->graph->nodes[1].out = net->graph->nodes[0].out)
SPOIL(a_grid_beyond, net->graph->values[0].quantizer = 0)
SPOIL(a_tensor_too_many, value(net, OCT_VALUE_ACT)->tensor = net->tensors[0].tensor)
SPOIL(a_name_twice, net->graph->values[1].name = net->graph->values[0].name)
SPOIL(no_output, net->graph->output = -1)

START_TEST(each_rule_is_held) {
    static const struct {
        oct_net *(*make)(void);
        void (*spoil)(oct_net *);
        const char *says; /* NULL: nothing is wrong */
    } rows[] = {
        {float_net, nothing, NULL},
        {prepared_net, nothing, NULL},
        {int8_net, nothing, NULL},
        {float_net, an_unknown_stage, "unknown stage"},
        {float_net, a_fold, "batch norm inside a node in a net of stage float"},
        {float_net, a_border, "kind of a node in a net of stage float"},
        {float_net, an_integer_kind, "kind of a node in a net of stage float"},
        {float_net, a_loss, "kind of a node in a net of stage float"},
        {float_net, codes, "dtype of a value in a net of stage float"},
        {prepared_net, halves, "dtype of a value in a net of stage prepared"},
        {int8_net, a_parameter, "role of a value in a net of stage int8"},
        {float_net, a_grid, "quantizer in a net of stage float"},
        {float_net, a_value_on_a_grid, "quantizer of a value in a net of stage float"},
        {prepared_net, an_input_on_a_grid, "quantizer of the input in a net of stage prepared"},
        {float_net, a_frozen_buffer, "frozen value in a net of stage float"},
        {float_net, hooks_of_another, "rules by which nodes run in a net of stage float"},
        {prepared_net, no_hooks, "rules by which nodes run in a net of stage prepared"},
        {int8_net, a_range, "quantizer that training moves in a net of stage int8"},
        {int8_net, an_observer, "observer or method in a net of stage int8"},
        {int8_net, a_method, "observer or method in a net of stage int8"},
        {int8_net, a_state, "observer or method in a net of stage int8"},
        {float_net, an_observers_tensor, "role of a tensor in a net of stage float"},
        {float_net, a_tensor_of_nobody, "tensor outside the registry"},
        {float_net, a_parameter_as_buffer, "role of a tensor that is another than its value's"},
        {float_net, a_buffer_as_parameter, "role of a tensor that is another than its value's"},
        {float_net, another_image, "shape of the input is not its description's"},
        {float_net, more_channels, "shape of the input is not its description's"},
        {float_net, a_second_input, "second input"},
        {float_net, an_input_that_is_made, "second input"},
        {float_net, an_output_that_is_not, "output that no node makes"},
        {float_net, an_unknown_kind, "unknown op kind"},
        {float_net, too_many_inputs, "inputs of relu"},
        {float_net, too_few_inputs, "inputs of conv2d"},
        {float_net, a_missing_input, "input index out of range"},
        {float_net, an_input_beyond, "input index out of range"},
        {float_net, an_input_made_later, "input is made later"},
        {float_net, an_output_of_another, "output is not its own"},
        {float_net, a_grid_beyond, "quantizer index out of range"},
        {float_net, a_tensor_too_many, "tensor missing or unexpected"},
        {float_net, a_name_twice, "name stands twice"},
        {float_net, no_output, "input or output not set"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        oct_net *net = rows[i].make();
        rows[i].spoil(net);
        judged(octi_net_judge(net), i, rows[i].says);
    }
}
END_TEST

/* ---- prepared nets ---- */

static oct_quantizer *grid(oct_net *net, bool of_weight) {
    for (int32_t i = 0; i < net->graph->quantizer_count; i++)
        if (octi_is_weight(&net->graph->quantizers[i]) == of_weight)
            return &net->graph->quantizers[i];
    return NULL;
}
static oct_value *weights(oct_net *net) {
    const int32_t q = (int32_t)(grid(net, true) - net->graph->quantizers);
    for (int32_t i = 0; i < net->graph->value_count; i++)
        if (net->graph->values[i].quantizer == q) return &net->graph->values[i];
    return NULL;
}
static oct_node *node(oct_net *net, oct_op_kind kind) {
    for (int32_t i = 0; i < net->graph->node_count; i++)
        if (net->graph->nodes[i].kind == kind) return &net->graph->nodes[i];
    return NULL;
}
static oct_value *made(oct_net *net, oct_op_kind kind) {
    return &net->graph->values[node(net, kind)->out];
}
static oct_tensor *many(int64_t n) { return oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(n)); }

SPOIL(nine_bits, grid(net, true)->spec.bits = 9)
SPOIL(one_bit, grid(net, false)->spec.bits = 1)
SPOIL(negative_codes, grid(net, false)->spec.qmin = -1)
SPOIL(codes_above, grid(net, false)->spec.qmax = 256)
SPOIL(no_codes, grid(net, false)->spec.qmin = grid(net, false)->spec.qmax)
SPOIL(values_per_channel, grid(net, false)->spec.per_channel = true)
SPOIL(weights_of_two_ends, grid(net, true)->spec.symmetric = false)
SPOIL(weights_above, grid(net, true)->spec.qmax = 128)
SPOIL(weights_from_zero, grid(net, true)->spec.qmin = 0)
SPOIL(a_method_of_none, grid(net, false)->method = OCT_METHOD_EMA)
SPOIL(two_scales, grid(net, false)->scale = many(2))
SPOIL(no_switches, grid(net, false)->enabled = NULL)
SPOIL(a_step, grid(net, false)->step = many(1))
SPOIL(no_step, grid(net, false)->method = OCT_METHOD_LSQ)
SPOIL(a_weights_offset, grid(net, true)->offset = many(1))
SPOIL(half_an_oscillation, grid(net, true)->osc_code = many(oct_shape_count(&weights(net)->shape)))
SPOIL(a_scale_of_zero, oct_f32(grid(net, false)->scale)[0] = 0)
SPOIL(a_scale_of_none, oct_f32(grid(net, true)->scale)[1] = NAN)
SPOIL(a_zero_beyond, oct_s32(grid(net, false)->zero_point)[0] = 256)
SPOIL(a_weights_zero, oct_s32(grid(net, true)->zero_point)[1] = 1)
SPOIL(weights_of_nobody, weights(net)->quantizer = -1)
SPOIL(a_value_on_a_weights_grid, made(net, OCT_OP_conv2d)->quantizer = weights(net)->quantizer)
SPOIL(a_weight_on_a_values_grid, value(net, OCT_VALUE_PARAM)->quantizer = 0)
SPOIL(another_target, net->target = "nobody's")
SPOIL(another_law, node(net, OCT_OP_conv2d)->attr.law[0] = 1)
SPOIL(two_switches, oct_net_tensor(net, OCTI_BN_FROZEN)->shape.dim[0] = 2)
SPOIL(no_codes_at_the_border, made(net, OCT_OP_quantize)->quantizer = -1)
SPOIL(floats_read_codes, made(net, OCT_OP_linear)->quantizer = -1;
      node(net, OCT_OP_linear)->attr.law[0] = 0)
SPOIL(a_grid_of_its_own, made(net, OCT_OP_flatten)->quantizer = made(net, OCT_OP_linear)->quantizer)
SPOIL(a_quantized_bias,
      net->graph->values[node(net, OCT_OP_linear)->in[2]].quantizer = weights(net)->quantizer)

START_TEST(each_rule_of_prepared_nets_is_held) {
    static const struct {
        void (*spoil)(oct_net *);
        const char *says;
    } rows[] = {{nothing, NULL},
                {nine_bits, "codes of a quantizer"},
                {one_bit, "codes of a quantizer"},
                {negative_codes, "codes of a quantizer"},
                {codes_above, "codes of a quantizer"},
                {no_codes, "codes of a quantizer"},
                {values_per_channel, "codes of a quantizer"},
                {weights_of_two_ends, "codes of a quantizer"},
                {weights_above, "codes of a quantizer"},
                {weights_from_zero, "codes of a quantizer"},
                {a_method_of_none, "method of a quantizer"},
                {two_scales, "its scale"},
                {no_switches, "its enabled"},
                {a_step, "its step"},
                {no_step, "its step"},
                {a_weights_offset, "its offset"},
                {half_an_oscillation, "its osc_turn"},
                {a_scale_of_zero, "scale"},
                {a_scale_of_none, "scale"},
                {a_zero_beyond, "zero point"},
                {a_weights_zero, "zero point"},
                {weights_of_nobody, "quantizer of no weight"},
                {a_value_on_a_weights_grid, "value does not fit its quantizer"},
                {a_weight_on_a_values_grid, "value does not fit its quantizer"},
                {another_target, "target"},
                {another_law, "law of its requant"},
                {two_switches, "switch"},
                {no_codes_at_the_border, "quantizer of its output"},
                {floats_read_codes, "quantizer of input 0"},
                {a_grid_of_its_own, "quantizer of input 0"},
                {a_quantized_bias, "value does not fit its quantizer"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        oct_net *net = prepared_net();
        rows[i].spoil(net);
        judged(octi_prepared_check(net), i, rows[i].says);
    }
}
END_TEST

/* ---- positions of a training ---- */

/* 11 images in batches of 4: three steps an epoch, behind which 3, 7 and 11 are seen. */
START_TEST(positions_that_a_training_passes_through) {
    const octi_fit_extent e = {.epochs = 5, .batch = 4, .images = 11, .patience = 2};
    static const struct {
        octi_position p;
        const char *wrong; /* NULL: fine */
    } rows[] = {
        {{.generation = 1}, NULL},
        {{.step_in_epoch = 1, .step = 1, .generation = 2, .seen = 3, .correct = 3}, NULL},
        {{.step_in_epoch = 2, .step = 2, .generation = 4, .seen = 7}, NULL},
        {{.step_in_epoch = 2, .step = 2, .generation = 4, .seen = 6}, "seen"},
        {{.step_in_epoch = 2, .step = 2, .generation = 4, .seen = 8}, "seen"},
        {{.epoch = 1, .step = 3, .generation = 7, .stale = 1, .metrics_bytes = 9}, NULL},
        {{.epoch = 1, .step = 3, .generation = 7, .stale = 2}, "stale"},
        {{.epoch = 1, .step = 3, .generation = 6}, "generation"},
        {{.epoch = 1, .step = 4, .generation = 9}, "step "},
        {{.epoch = 6, .step = 18, .generation = 37}, "epoch"},
        {{.epoch = -1, .generation = 1}, "epoch"},
        {{.step_in_epoch = 4, .step = 4, .generation = 8, .seen = 11}, "step_in_epoch"},
        {{.step_in_epoch = 1, .step = 1, .generation = 2, .seen = 3, .correct = 4}, "correct"},
        {{.generation = 1, .metrics_bytes = 1}, "metrics_bytes"},
        {{.generation = 1, .probe_images = 65}, "probe_images"},
        {{.epoch = 1, .step = 3, .generation = 7, .done = 1}, NULL},
        {{.generation = 1, .done = 1}, "done"},
        {{.generation = 1, .loss_sum = INFINITY}, "loss_sum"},
        {{.generation = 1, .best_val = NAN}, "best_val"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        judged(octi_position_check(&rows[i].p, &e, "run"), i, rows[i].wrong);
    }
    const octi_fit_extent no_patience = {.epochs = 5, .batch = 4, .images = 11};
    const octi_position done = {.epoch = 1, .step = 3, .generation = 7, .done = 1};
    ck_assert(octi_position_check(&done, &no_patience, "run") != OCT_OK);
    oct_clear_error();
}
END_TEST

/* ---- what a file keeps ---- */

static oct_tensor *named(oct_net *net, const char *name, oct_dtype dtype) {
    oct_tensor *t = oct_net_tensor(net, name);
    if (t) return t;
    t = oct_tensor_new(ctx, dtype, OCT_SHAPE(1));
    ck_ok(octi_net_register(net, name, OCT_ROLE_QPARAM, t));
    oct_tensor_unref(t);
    return t;
}

static oct_net *bare_net(void) {
    oct_net *net = octi_net_new(ctx, OCT_STAGE_PREPARED);
    oct_graph *g = net->graph;
    const oct_shape s = OCT_SHAPE(OCT_BATCH, 3);
    g->input = octi_graph_add_value(g, "x", OCT_VALUE_INPUT, OCT_F32, s, NULL);
    const int32_t n =
        octi_graph_add_node(g, OCT_OP_relu, "y", &(oct_attrs){.p = 0}, &g->input, 1, OCT_F32, s);
    g->output = g->nodes[n].out;
#define OCT_QTENSOR(field, dtype) (void)named(net, #field, OCT_##dtype);
#include "src/quantizer_tensors.def"
    for (int k = 0; k < OCT_OBSERVER_TENSORS; k++) {
        char name[20];
        snprintf(name, sizeof name, "state%d", k);
        (void)named(net, name, OCT_F32);
    }
    return net;
}

START_TEST(a_graph_keeps_all_of_a_quantizer) {
    static const oct_quantizer_role roles[] = {OCT_QUANTIZER_VALUES, OCT_QUANTIZER_WEIGHT,
                                               OCT_QUANTIZER_FIXED};
    for (int one = 0; one < 12; one++) { /* one flag at a time */
        oct_net *a = bare_net(), *b = octi_net_new(ctx, OCT_STAGE_PREPARED);
        oct_quantizer q = {.name = "q",
                           .spec = {.bits = 2 + one % 7, .qmin = -one, .qmax = 3 + one},
                           .observer = one % 2 ? "ema" : "mse",
                           .averaging = 0.01f * (float)one,
                           .percentile = one % 3 ? 99.5f : 0,
                           .method = (oct_method)(one % OCT_METHOD_COUNT),
                           .role = roles[one % 3],
                           .state_count = one % (OCT_OBSERVER_TENSORS + 1)};
        q.spec.symmetric = one == 1, q.spec.per_channel = one == 2, q.spec.pow2 = one == 3;
        q.strict = one == 4;
        for (int k = 0; k < q.state_count; k++) {
            char name[20];
            snprintf(name, sizeof name, "state%d", (k + one) % OCT_OBSERVER_TENSORS);
            q.state[k] = oct_net_tensor(a, name);
        }
        int n = 0;
#define OCT_QTENSOR(field, dtype)                                                                  \
    if (n++ != one) q.field = oct_net_tensor(a, #field);
#include "src/quantizer_tensors.def"
        ck_assert_int_ge(octi_graph_add_quantizer(a->graph, &q), 0);
        for (int32_t i = 0; i < a->tensor_count; i++)
            ck_ok(
                octi_net_register(b, a->tensors[i].name, a->tensors[i].role, a->tensors[i].tensor));
        octi_text t = {ctx};
        ck_ok(octi_graph_to_json(a, &t));
        ck_ok(octi_graph_from_json(b, t.data, t.size, "graph.json"));
        octi_text_free(&t);
        const oct_quantizer *r = &b->graph->quantizers[0];
        ck_assert_str_eq(r->name, q.name);
        ck_assert_str_eq(r->observer, q.observer);
        ck_assert(r->spec.bits == q.spec.bits && r->spec.qmin == q.spec.qmin &&
                  r->spec.qmax == q.spec.qmax && r->spec.symmetric == q.spec.symmetric &&
                  r->spec.per_channel == q.spec.per_channel && r->spec.pow2 == q.spec.pow2);
        ck_assert(r->averaging == q.averaging && r->percentile == q.percentile);
        ck_assert(r->strict == q.strict && r->method == q.method && r->role == q.role);
        ck_assert_int_eq(r->state_count, q.state_count);
        for (int k = 0; k < q.state_count; k++) ck_assert_ptr_eq(r->state[k], q.state[k]);
#define OCT_QTENSOR(field, dtype) ck_assert_ptr_eq(r->field, q.field);
#include "src/quantizer_tensors.def"
        oct_net_free(a), oct_net_free(b);
    }
}
END_TEST

/* Scales that are all one are no scales per channel, whatever was asked for. */
START_TEST(equal_scales_are_one) {
    oct_tensor *two = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(2)),
               *one = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1));
    oct_quantizer q = {.spec = {.per_channel = true}, .scale = two};
    oct_f32(two)[0] = oct_f32(two)[1] = 0.5f;
    ck_assert(!oct_quantizer_is_per_channel(&q));
    oct_f32(two)[1] = 0.25f;
    ck_assert(oct_quantizer_is_per_channel(&q));
    q.spec.per_channel = false;
    ck_assert(!oct_quantizer_is_per_channel(&q) && !oct_quantizer_is_per_channel(NULL));
    q = (oct_quantizer){.spec = {.per_channel = true}, .scale = one};
    ck_assert(oct_quantizer_is_per_channel(&q)); /* of a layer of one channel */
    oct_tensor_unref(one), oct_tensor_unref(two);
}
END_TEST

OCT_TEST_MAIN_WITH("judged", setup, teardown, each_rule_is_held, each_rule_of_prepared_nets_is_held,
                   positions_that_a_training_passes_through, a_graph_keeps_all_of_a_quantizer,
                   equal_scales_are_one)
