// SPDX-License-Identifier: MIT
// C++11: a net of its own is built, trained, prepared, converted, saved and run. Options are filled
// by name behind their _init.
#include <cstdio>
#include <cstring>
#include <vector>

#include <octet.h>

namespace {
struct Net {
    oct_module *conv, *fc;
};

oct_var *forward(void *self, oct_tape *, oct_var *x) {
    Net *n = static_cast<Net *>(self);
    oct_pool_opts pool;
    oct_pool_opts_init(&pool);
    pool.kernel = 2;
    x = oct_max_pool2d(oct_relu(oct_apply(n->conv, x)), &pool);
    return oct_apply(n->fc, oct_flatten(x));
}

int fail(const char *what) {
    std::fprintf(stderr, "%s: %s\n", what, oct_error_message());
    return 1;
}
} // namespace

/* A net is read by its functions alone: what makes each value, on which grid, from which weights. */
static bool walks(const oct_net *q, const oct_net *int8) {
    const oct_graph *g = oct_net_graph(q);
    int32_t values = 0, weights = 0;
    for (int32_t i = 0; i < oct_graph_node_count(g); i++) {
        const oct_node *n = oct_graph_node(g, i);
        const oct_value *y = oct_graph_value(g, oct_node_output(n));
        if (oct_value_producer(y) != i || oct_graph_find_node(g, oct_node_name(n)) != i) return false;
        for (int32_t k = 0; k < oct_node_input_count(n); k++) {
            const oct_value *x = oct_graph_value(g, oct_node_input(n, k));
            const oct_quantizer *z = oct_graph_quantizer(g, oct_value_quantizer(x));
            if (oct_value_role_of(x) != OCT_VALUE_PARAM || !z) continue;
            weights += oct_quantizer_role_of(z) == OCT_QUANTIZER_WEIGHT;
            if (oct_tensor_count(oct_quantizer_scale(z)) != oct_value_shape(x)->dim[0]) return false;
            if (oct_net_tensor(q, oct_value_name(x)) != oct_value_tensor(x)) return false;
        }
        const oct_quantizer *z = oct_graph_quantizer(g, oct_value_quantizer(y));
        values += z && oct_quantizer_spec(z)->bits == 8 &&
                  *oct_f32(oct_quantizer_min(z)) <= *oct_f32(oct_quantizer_max(z));
    }
    const oct_value *out = oct_graph_value(g, oct_graph_output(g));
    return weights == 2 && values > 2 && oct_value_shape(out)->dim[1] == oct_net_class_count(q) &&
           oct_net_stage(int8) == OCT_STAGE_INT8 && !std::strcmp(oct_net_target(int8), "octet") &&
           oct_net_tensor_count(int8) > 0 && oct_net_input(int8)->channels == 1;
}

int main() {
    const int n = 64, side = 8;
    std::vector<float> x(n * side * side);
    std::vector<int32_t> y(n);
    for (int i = 0; i < n; i++) {
        y[i] = i % 2;
        for (int k = 0; k < side * side; k++)
            x[i * side * side + k] = ((k / 4 + i) % 2 ? 1.0f : -1.0f) * (0.5f + (float)(k % 7) / 7);
    }
    oct_opts opts;
    std::memset(&opts, 0x5a, sizeof opts);
    oct_opts_init(&opts);
    opts.seed = 3;
    oct_ctx *ctx = oct_open(&opts);
    if (!ctx) return fail("open");
    Net net = {};
    oct_conv2d_opts conv;
    std::memset(&conv, 0x5a, sizeof conv);
    oct_conv2d_opts_init(&conv);
    conv.in = 1, conv.out = 4, conv.kernel = 3, conv.pad = 1;
    oct_linear_opts fc;
    oct_linear_opts_init(&fc);
    fc.in = 4 * 4 * 4, fc.out = 2;
    oct_module *m = oct_module_new(ctx, forward, &net);
    net.conv = oct_module_add(m, "conv", oct_conv2d_new(ctx, &conv));
    net.fc = oct_module_add(m, "fc", oct_linear_new(ctx, &fc));
    oct_array_opts array;
    oct_array_opts_init(&array);
    array.classes = 2;
    oct_shape shape = {4, {n, side, side, 1}}, image = {3, {side, side, 1}};
    oct_data *data = oct_data_from_memory(ctx, OCT_F32, shape, x.data(), y.data(), &array);
    oct_fit_opts fit;
    oct_fit_opts_init(&fit);
    fit.epochs = 3, fit.batch = 16, fit.test = data;
    oct_net *net_float = oct_capture(m, image);
    if (oct_fit(net_float, data, &fit) != OCT_OK) return fail("fit");
    oct_qconfig rules;
    oct_qconfig_init(&rules);
    rules.target = OCT_TARGET_OCTET;
    rules.symmetric = OCT_SWITCH_NO;
    oct_net *q = oct_prepare(oct_fuse(net_float), &rules);
    if (!q || oct_calibrate(q, data, n) != OCT_OK) return fail("calibrate");
    oct_net *int8 = oct_convert(q, nullptr);
    oct_mismatch compared = {};
    if (!int8 || oct_compare_data(q, int8, data, 0, &compared) != OCT_OK) return fail("compare");
    if (!walks(q, int8)) return fail("accessors");
    oct_plan_opts plan;
    oct_plan_opts_init(&plan);
    oct_session *s = oct_session_new(oct_plan_new(int8, &plan), n, nullptr, 0);
    std::vector<int32_t> index(n);
    if (!s || oct_session_classify(s, x.data(), n, index.data()) != OCT_OK) return fail("run");
    int right = 0;
    for (int i = 0; i < n; i++) right += index[i] == y[i];
    std::printf("%d of %d right, %lld of %lld codes differ\n", right, n,
                (long long)compared.mismatched, (long long)compared.codes);
    oct_close(ctx);
    return right == n && !compared.mismatched && compared.codes ? 0 : 1;
}
