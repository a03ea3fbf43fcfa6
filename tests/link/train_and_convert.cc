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
    oct_net *q = oct_prepare(oct_fuse(net_float), &rules);
    if (!q || oct_calibrate(q, data, n) != OCT_OK) return fail("calibrate");
    oct_net *int8 = oct_convert(q, nullptr);
    oct_mismatch compared = {};
    if (!int8 || oct_compare_data(q, int8, data, 0, &compared) != OCT_OK) return fail("compare");
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
