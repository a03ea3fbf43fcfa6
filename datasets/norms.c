/* SPDX-License-Identifier: MIT
 * How pixels become numbers, where nobody said so: what is published of the known sets, else what
 * the pixels say themselves. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/set.h"
#include "src/mem.h"
#include "src/words.h"

static const struct norm {
    const char *name;
    int32_t channels; /* of the set that is known by these numbers; 0: by other things alone */
    float mean[3], std[3];
} norms[] = {
    [OCTI_NORM_PLAIN] = {"plain", 0, {0.5f, 0.5f, 0.5f}, {0.25f, 0.25f, 0.25f}},
    [OCTI_NORM_PIXELS] = {"none", 0, {0, 0, 0}, {1, 1, 1}},
    [OCTI_NORM_MNIST] = {"MNIST", 1, {0.1307f, 0.1307f, 0.1307f}, {0.3081f, 0.3081f, 0.3081f}},
    [OCTI_NORM_FASHION] = {"Fashion-MNIST",
                           1,
                           {0.2860f, 0.2860f, 0.2860f},
                           {0.3530f, 0.3530f, 0.3530f}},
    [OCTI_NORM_CIFAR10] = {"CIFAR-10", 3, {0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}},
    [OCTI_NORM_CIFAR100] = {"CIFAR-100",
                            3,
                            {0.5071f, 0.4865f, 0.4409f},
                            {0.2673f, 0.2564f, 0.2762f}},
    [OCTI_NORM_IMAGENET] = {"ImageNet", 0, {0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}},
};
enum { NORMS = sizeof norms / sizeof *norms };

oct_input_desc octi_input_desc(octi_norm norm, int32_t channels, int32_t height, int32_t width) {
    oct_input_desc in = {.channels = channels, .height = height, .width = width, .div = 255};
    in.color = channels == 3 ? OCT_COLOR_RGB : OCT_COLOR_GREY;
    const struct norm *n = &norms[norm];
    for (int c = 0; c < 4; c++) {
        bool grey = channels == 1; /* one channel of a colour set: the averages */
        in.mean[c] = grey ? (n->mean[0] + n->mean[1] + n->mean[2]) / 3 : n->mean[c % 3];
        in.std[c] = grey ? (n->std[0] + n->std[1] + n->std[2]) / 3 : n->std[c % 3];
    }
    return in;
}

bool octi_norm_given(const oct_data_opts *opts) {
    return opts->input && opts->input->std[0] > 0 && !opts->input->assumed;
}

static void tell(oct_data *d, const char *why) {
    d->norm = octi_arena_strdup(d->arena, why);
    octi_text mean = {.ctx = d->ctx}, std = {.ctx = d->ctx};
    for (int32_t c = 0; c < d->input.channels; c++) {
        octi_text_printf(&mean, "%s%.4g", c ? "," : "", (double)d->input.mean[c]);
        octi_text_printf(&std, "%s%.4g", c ? "," : "", (double)d->input.std[c]);
    }
    octi_log(d->ctx, OCT_LOG_INFO, "%s: mean %s std %s: %s", d->where, mean.data ? mean.data : "",
             std.data ? std.data : "", why);
    octi_text_free(&mean);
    octi_text_free(&std);
}

static void put_numbers(octi_text *t, const char *word, const float *v, int32_t n) {
    octi_text_printf(t, ", %s ", word);
    for (int32_t c = 0; c < n && c < 4; c++)
        octi_text_printf(t, "%s%.4g", c ? "," : "", (double)v[c]);
}

void octi_norm_warn(oct_ctx *ctx, const char *where, const oct_input_desc *net,
                    const oct_input_desc *own) {
    if (!net || !net->assumed || (own && octi_input_is_raw(own))) return;
    octi_text t = {.ctx = ctx};
    octi_text_printf(&t,
                     "%.60s: its pixels go into the net as they are, div 1, mean 0, std 1, for "
                     "nobody described the net",
                     where);
    if (own) {
        octi_text_printf(&t, "; the data has div %g", (double)own->div);
        put_numbers(&t, "mean", own->mean, own->channels);
        put_numbers(&t, "std", own->std, own->channels);
    }
    octi_text_printf(&t, " (oct_net_describe)");
    bool said = t.status != OCT_OK;
    for (int i = 0; !said && oct_ctx_warning(ctx, i); i++)
        said = !strncmp(oct_ctx_warning(ctx, i), t.data, strlen(oct_ctx_warning(ctx, i)));
    if (!said) octi_log(ctx, OCT_LOG_WARN, "%s", t.data);
    octi_text_free(&t);
}

void octi_norm_take(oct_data *d, octi_norm norm, const char *why) {
    const oct_input_desc in =
        octi_input_desc(norm, d->input.channels, d->input.height, d->input.width);
    for (int c = 0; c < 4; c++) {
        d->input.mean[c] = in.mean[c];
        d->input.std[c] = in.std[c];
    }
    tell(d, octi_fmt("%s's, %s", norms[norm].name, why));
}

void octi_sums_add(octi_pixel_sums *s, const uint8_t *hwc, size_t pixels, int32_t channels) {
    s->pixels += pixels;
    for (int32_t c = 0; c < channels; c++) {
        uint64_t sum = 0, square = 0;
        for (size_t i = 0; i < pixels; i++) {
            const uint32_t p = hwc[i * (size_t)channels + (size_t)c];
            sum += p;
            square += p * p;
        }
        s->sum[c] += sum;
        s->square[c] += square;
    }
}

static float four_digits(double v) {
    char text[32];
    snprintf(text, sizeof text, "%.4g", v);
    return strtof(text, NULL);
}

void octi_norm_measured(oct_data *d, const octi_pixel_sums *s, const char *of) {
    oct_input_desc *in = &d->input;
    const double n = s->pixels ? (double)s->pixels : 1;
    for (int c = 0; c < 4; c++) {
        const int from = c < in->channels ? c : 0;
        const double mean = (double)s->sum[from] / n,
                     var = (double)s->square[from] / n - mean * mean;
        in->mean[c] = four_digits(mean / 255);
        /* one level everywhere: nothing to scale */
        in->std[c] = var > 0 ? four_digits(sqrt(var) / 255) : 1;
    }
    for (int k = 0; k < NORMS; k++) {
        bool same = norms[k].channels == in->channels;
        for (int c = 0; c < in->channels && same; c++)
            same = in->mean[c] == norms[k].mean[c] && in->std[c] == norms[k].std[c];
        if (same) return tell(d, octi_fmt("%s's, known by its pixels", norms[k].name));
    }
    tell(d, octi_fmt("of %s", of));
}

oct_status octi_norm_for_floats(const char *where, const oct_input_desc *in) {
    const char *what = in->div != 0 && in->div != 1 ? "div" : NULL;
    for (int c = 0; c < 4 && !what; c++)
        what = in->mean[c] != 0 ? "mean" : in->std[c] != 0 && in->std[c] != 1 ? "std" : NULL;
    return !what ? OCT_OK
                 : octi_fail(OCT_EUSAGE, where, octi_fmt("%s of float arrays", what),
                             "none: floats are taken as they are", NULL,
                             "normalize them before, or give u8 pixels");
}

const char *oct_data_norm(const oct_data *d) {
    if (!d) return NULL;
    if (d->norm) return d->norm;
    return d->dtype == OCT_F32 ? "floats are taken as they are" : "constants of the kind of set";
}

oct_status oct_data_takes(const oct_data *d, const oct_input_desc *input) {
    if (!d || !input) return octi_fail_null("oct_data_takes");
    return d->dtype == OCT_F32 ? octi_norm_for_floats(d->where, input) : OCT_OK;
}
