/* SPDX-License-Identifier: MIT
 * Weights of two layers, float against dequantized, as histograms one beside the other, and the
 * count of distinct values.
 *
 *     weight_histogram [DATA [LAYER...]]     default: lenet on the built-in synth-digits, conv1
 *     conv2 */
#include <stdio.h>
#include <stdlib.h>

#include <octet.h>

enum { BINS = 21 };

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static int64_t distinct(const float *x, int64_t n) {
    float *s = malloc((size_t)n * sizeof *s);
    int64_t count = n > 0;
    for (int64_t i = 0; s && i < n; i++) s[i] = x[i];
    if (s) qsort(s, (size_t)n, sizeof *s, by_value);
    for (int64_t i = 1; s && i < n; i++) count += s[i] != s[i - 1];
    free(s);
    return count;
}

static void bars(const int *count, int b, int most) {
    int n = most ? count[b] * 30 / most : 0;
    printf("  %5d %-30.*s", count[b], n, "##############################");
}

static int show(const oct_net *net, const oct_net *int8, const char *layer) {
    char name[200];
    snprintf(name, sizeof name, "%s.weight", layer);
    const oct_tensor *w = oct_net_tensor(net, name), *q = oct_net_tensor(int8, name);
    snprintf(name, sizeof name, "%s.weight.scale", layer);
    const oct_tensor *s = oct_net_tensor(int8, name);
    if (!w || !q || !s) return fprintf(stderr, "%s: no such layer\n", layer), 1;
    int64_t n = oct_tensor_count(w), row = n / w->shape.dim[0];
    float *d = malloc((size_t)n * sizeof *d), top = 0;
    if (!d) return 1;
    for (int64_t i = 0; i < n; i++) {
        d[i] = oct_f32(s)[i / row] * (float)oct_s8(q)[i];
        float size = oct_f32(w)[i] < 0 ? -oct_f32(w)[i] : oct_f32(w)[i];
        top = size > top ? size : top;
    }
    int a[BINS] = {0}, b[BINS] = {0}, most = 0;
    for (int64_t i = 0; i < n; i++) {
        int x = (int)((oct_f32(w)[i] / top + 1) / 2 * BINS), y = (int)((d[i] / top + 1) / 2 * BINS);
        a[x < BINS ? x : BINS - 1]++;
        b[y < BINS ? y : BINS - 1]++;
    }
    for (int i = 0; i < BINS; i++) most = a[i] > most ? a[i] : b[i] > most ? b[i] : most;
    printf("\n%s: %lld weights, %lld distinct as float, %lld dequantized\n%9s  %-36s  %s\n", layer,
           (long long)n, (long long)distinct(oct_f32(w), n), (long long)distinct(d, n), "", "float",
           "dequantized");
    for (int i = 0; i < BINS; i++) {
        printf("%+9.4f", top * (2 * ((float)i + 0.5f) / BINS - 1));
        bars(a, i, most);
        bars(b, i, most);
        putchar('\n');
    }
    free(d);
    return 0;
}

int main(int argc, char **argv) {
    oct_ctx *ctx = oct_open(NULL);
    oct_data *train =
        oct_data_open(ctx, argc > 1 ? argv[1] : "synth-digits", &(oct_data_opts){.limit = 6000});
    oct_net *net = oct_zoo_net(ctx, "lenet", train), *q = NULL, *int8 = NULL;
    /* symmetric, largest weight / 127 per channel: PyTorch's own observers divide by 127.5 */
    if (net && oct_fit(net, train, &(oct_fit_opts){.epochs = 1}) == OCT_OK &&
        (q = oct_prepare(net, NULL)) && oct_calibrate(q, train, 128) == OCT_OK)
        int8 = oct_convert(q, NULL);
    if (!int8) return fprintf(stderr, "%s\n", oct_error_message()), 1;
    int failed = argc > 2 ? 0 : show(net, int8, "conv1") + show(net, int8, "conv2");
    for (int i = 2; i < argc; i++) failed += show(net, int8, argv[i]);
    oct_close(ctx);
    return failed != 0;
}
