/* SPDX-License-Identifier: MIT
 * What quantization costs, layer by layer: the float net, the codes of the quantized one, and the
 * time of the int8 plan. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "autograd/tape.h"
#include "qat/fit/layer_report.h"
#include "qat/fit/score.h"
#include "src/float_mode.h"
#include "src/format/few_bits.h"
#include "src/mem.h"
#include "src/qround.h"
#include "src/words.h"

typedef struct sums { /* over all images */
    double signal, local, cum;
    double dot_local, dot_cum, square_local, square_cum; /* for cosines */
    double size, cut, rounded; /* of sizes: all, what clipping takes, what rounding does */
    int64_t n, clipped;
    struct channel { /* what each has had so far */
        float least, most;
        uint8_t lowest, highest;
    } * channel; /* NULL: nothing seen */
} sums;

static oct_scheme scheme_of(const oct_quantizer *q) {
    return oct_qspec_scheme(&q->spec, oct_quantizer_is_per_channel(q));
}

/* What a layer holds, and how often its weights are multiplied for one image. */
static void weigh(const oct_graph *g, const oct_node *n, oct_layer *r) {
    int64_t weights = 0, image = 1;
    r->params = r->bytes = 0;
    for (int32_t k = 1; k < n->nin; k++) {
        const oct_value *v = octi_node_in(g, n, k);
        if (!v || !v->tensor) continue;
        const int64_t count = oct_shape_count(&v->shape);
        r->bytes += (int64_t)oct_tensor_bytes(v->tensor);
        if (v->role != OCT_VALUE_BUFFER) r->params += count;
        if (v->shape.rank >= 2) weights += count;
    }
    const oct_shape *out = &g->values[n->out].shape, *in = &g->values[n->in[0]].shape;
    for (int32_t i = 1; i < out->rank; i++) image *= out->dim[i];
    switch (n->kind) {
    case OCT_OP_conv2d:
    case OCT_OP_linear:
    case OCT_OP_qconv2d:
    case OCT_OP_qlinear:
    case OCT_OP_dynamic_linear: /* each output channel's weights, at each of its places */
        r->macs = r->channels > 0 ? image / r->channels * weights : 0;
        break;
    case OCT_OP_lstm:
    case OCT_OP_dynamic_lstm:
        r->macs = in->dim[1] * weights;
        break;
    case OCT_OP_lstm_cell:
    case OCT_OP_dynamic_lstm_cell:
        r->macs = weights;
        break;
    default:
        r->macs = 0;
    }
}

static void describe(const oct_net *net, const oct_node *n, oct_layer *r) {
    const oct_graph *g = net->graph;
    const oct_value *out = &g->values[n->out];
    *r = (oct_layer){.name = n->name,
                     .kind = oct_op_name(n->kind),
                     .shape = out->shape,
                     .bits = 32,
                     .scheme = OCT_SCHEME_FLOAT,
                     .sqnr_local = NAN,
                     .sqnr_cum = NAN,
                     .clip = NAN,
                     .us = -1,
                     .cosine_local = NAN,
                     .cosine_cum = NAN,
                     .channels = out->shape.rank > 1 ? out->shape.dim[out->shape.rank - 1] : 1,
                     .dead = -1,
                     .dead_float = -1,
                     .sqnr_alone = NAN,
                     .accuracy_alone = NAN,
                     .clip_loss = NAN,
                     .round_loss = NAN,
                     .lo = NAN,
                     .hi = NAN};
    weigh(g, n, r);
    if (net->stage == OCT_STAGE_PREPARED) r->bytes = -1; /* of the int8 net, once it is made */
    if (out->quantizer >= 0) {
        const oct_quantizer *q = &g->quantizers[out->quantizer];
        r->int8 = true;
        r->bits = q->spec.bits;
        r->scheme = scheme_of(q);
        r->scale = q->scale ? oct_f32(q->scale)[0] : 0;
        r->zero_point = q->zero_point ? oct_s32(q->zero_point)[0] : 0;
        /* an int8 net keeps no bits: a byte's codes */
        const bool known = q->spec.qmax > q->spec.qmin;
        r->lo = octq_dequantize(known ? q->spec.qmin : 0, r->scale, r->zero_point);
        r->hi = octq_dequantize(known ? q->spec.qmax : 255, r->scale, r->zero_point);
    }
    const oct_value *w = octi_node_in(g, n, 1);
    /* not the other side of an add */
    const bool codes = w && w->tensor && w->tensor->dtype == OCT_S8,
               whole = codes && (n->kind == OCT_OP_qconv2d || n->kind == OCT_OP_qlinear),
               small = codes && (!r->int8 || whole);
    if (w && (w->role == OCT_VALUE_PARAM || small) && w->shape.rank >= 2 && w->quantizer >= 0) {
        const oct_quantizer *q = &g->quantizers[w->quantizer];
        oct_qspec spec = q->spec;
        spec.symmetric |= small; /* codes of weights have no zero point */
        /* an int8 net keeps no bits: as few as a file packs its codes in */
        const int packed = whole ? octi_few_bits(w->tensor) : 0;
        r->weight_bits = whole ? (packed ? packed : 8) : q->spec.bits;
        r->weight_scheme = oct_qspec_scheme(&spec, oct_quantizer_is_per_channel(q));
    }
}

static void measure(const oct_tensor *real, const oct_tensor *codes, const oct_layer *r,
                    const oct_qspec *spec, sums *s) {
    int64_t n = oct_tensor_count(real);
    const float *x = oct_f32(real);
    for (int64_t i = 0; i < n; i++) {
        float v = octq_rne(x[i] / r->scale) + (float)r->zero_point;
        int32_t q = octq_quantize(x[i], r->scale, r->zero_point, spec->qmin, spec->qmax);
        double near = octq_dequantize(q, r->scale, r->zero_point),
               got = octq_dequantize(oct_u8(codes)[i], r->scale, r->zero_point);
        double local = (double)x[i] - near, cum = (double)x[i] - got;
        s->signal += (double)x[i] * x[i];
        s->local += local * local;
        s->cum += cum * cum;
        s->dot_local += x[i] * near;
        s->dot_cum += x[i] * got;
        s->square_local += near * near;
        s->square_cum += got * got;
        const bool clipped = v < (float)spec->qmin || v > (float)spec->qmax;
        s->clipped += clipped;
        s->size += fabs((double)x[i]);
        *(clipped ? &s->cut : &s->rounded) += fabs(local);
    }
    s->n += n;
}

static oct_status measure_channels(oct_ctx *ctx, const oct_tensor *real, const oct_tensor *codes,
                                   int64_t channels, sums *s) {
    const bool first = !s->channel;
    const float *x = oct_f32(real);
    const uint8_t *q = oct_u8(codes);
    if (first && !(s->channel = octi_calloc(ctx, (size_t)channels, sizeof *s->channel)))
        return oct_last_error()->code;
    for (int64_t c = 0; first && c < channels; c++)
        s->channel[c] = (struct channel){x[c], x[c], q[c], q[c]};
    for (int64_t i = 0, n = oct_tensor_count(real); i < n; i += channels)
        for (int64_t c = 0; c < channels; c++) {
            struct channel *h = &s->channel[c];
            h->least = fminf(h->least, x[i + c]);
            h->most = fmaxf(h->most, x[i + c]);
            if (q[i + c] < h->lowest) h->lowest = q[i + c];
            if (q[i + c] > h->highest) h->highest = q[i + c];
        }
    return OCT_OK;
}

static void count_dead(const sums *s, oct_layer *r) {
    if (!s->channel) return;
    r->dead = r->dead_float = 0;
    for (int64_t c = 0; c < r->channels; c++) {
        const struct channel *h = &s->channel[c];
        if (h->lowest != h->highest) continue;
        r->dead++;
        r->dead_float += h->least == h->most;
    }
}

/* Two values that are nothing but zeros point the same way; one alone has no direction. */
static double cosine(double dot, double a, double b) {
    return a > 0 && b > 0 ? dot / sqrt(a * b) : a == b ? 1 : NAN;
}

static double decibel(double signal, double noise) {
    return noise > 0 && signal > 0 ? 10 * log10(signal / noise) : NAN;
}

/* One batch: floats with fake quantization off, codes of the simulation. */
static oct_status one_batch(oct_net *net, oct_tape *tape, oct_sim *sim, const oct_tensor *x,
                            oct_layer *rows, sums *s) {
    const oct_graph *g = net->graph;
    if (!oct_sim_run(sim, x)) return oct_last_error()->code;
    oct_net_fake_quantize(net, false);
    oct_tape_begin(tape, OCT_EVAL);
    oct_var *y = oct_net_forward(net, oct_input(tape, x));
    oct_net_fake_quantize(net, true);
    if (!y) return oct_last_error()->code;
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_tensor *real = oct_var_value(octi_tape_find(tape, rows[i].name)),
                         *codes = oct_sim_value(sim, rows[i].name);
        if (!rows[i].int8 || !real || !codes || codes->dtype != OCT_U8 || real->dtype != OCT_F32 ||
            !(rows[i].scale > 0))
            continue;
        measure(real, codes, &rows[i], &g->quantizers[g->values[g->nodes[i].out].quantizer].spec,
                &s[i]);
        OCT_TRY(measure_channels(net->ctx, real, codes, rows[i].channels, &s[i]));
    }
    return OCT_OK;
}

static oct_status noise_of(oct_net *net, oct_loader *loader, int32_t epoch, int64_t n,
                           oct_layer *rows, sums *s) {
    oct_tape *tape = oct_tape_new(net->ctx);
    oct_sim *sim = oct_sim_new(net);
    oct_status st = tape && sim ? oct_loader_start(loader, epoch, 0) : oct_last_error()->code;
    for (int64_t seen = 0; st == OCT_OK && seen < n;) {
        oct_batch b;
        bool done = false;
        st = oct_loader_next(loader, &b, &done);
        if (st != OCT_OK || done) break;
        oct_tensor x = *b.x;
        if (seen + x.shape.dim[0] > n) x.shape.dim[0] = n - seen;
        seen += x.shape.dim[0];
        st = one_batch(net, tape, sim, &x, rows, s);
    }
    oct_sim_free(sim);
    oct_tape_free(tape);
    for (int32_t i = 0; st == OCT_OK && i < net->graph->node_count; i++) {
        if (!s[i].n) continue;
        rows[i].sqnr_local = decibel(s[i].signal, s[i].local);
        rows[i].sqnr_cum = decibel(s[i].signal, s[i].cum);
        rows[i].clip = (double)s[i].clipped / (double)s[i].n;
        rows[i].clip_loss = s[i].size > 0 ? s[i].cut / s[i].size : 0;
        rows[i].round_loss = s[i].size > 0 ? s[i].rounded / s[i].size : 0;
        rows[i].cosine_local = cosine(s[i].dot_local, s[i].signal, s[i].square_local);
        rows[i].cosine_cum = cosine(s[i].dot_cum, s[i].signal, s[i].square_cum);
        count_dead(&s[i], &rows[i]);
    }
    return st;
}

oct_status octi_layers_noise(oct_net *net, oct_data *data, int64_t n, bool mixed, oct_layer *rows) {
    const int32_t count = net->graph->node_count;
    for (int32_t i = 0; i < count; i++) describe(net, &net->graph->nodes[i], &rows[i]);
    if (!data) return OCT_OK;
    oct_loader *loader = oct_loader_new(data, &(oct_loader_opts){.batch = 32,
                                                                 .shuffle = mixed,
                                                                 .augment = OCT_AUGMENT_NONE,
                                                                 .input = octi_net_input(net)});
    sums *s = octi_calloc(net->ctx, (size_t)count + 1, sizeof *s);
    oct_status st =
        loader && s ? noise_of(net, loader, mixed ? 1 : 0, n, rows, s) : oct_last_error()->code;
    for (int32_t i = 0; s && i < count; i++) octi_free(net->ctx, s[i].channel);
    octi_free(net->ctx, s);
    oct_loader_free(loader);
    return st;
}

oct_status octi_layers_some(oct_ctx *ctx, oct_data *data, int64_t n, oct_data **some) {
    const int64_t all = oct_data_count(data);
    *some = NULL;
    if (n >= all) return OCT_OK;
    *some = oct_data_share(data, (double)n / (double)all, oct_ctx_seed(ctx), true);
    return *some ? OCT_OK : oct_last_error()->code;
}

/* Behind the rows, in their block: what names kernels is the plan's, which goes. */
enum { KERNEL_BYTES = 512 };
static const char *keep_kernel(oct_layer *rows, int32_t count, int32_t i, const char *kernel) {
    char *text = (char *)(rows + count + 1) + (size_t)i * KERNEL_BYTES;
    if (!kernel) return NULL;
    snprintf(text, KERNEL_BYTES, "%s", kernel);
    return text;
}

static oct_status times(oct_net *int8, oct_loader *loader, int64_t n, oct_layer *rows,
                        int32_t count) {
    oct_runner *r = oct_runner_new(int8, &(oct_runner_opts){.batch = 32, .profile = true});
    oct_status st = r ? oct_loader_start(loader, 0, 0) : oct_last_error()->code;
    for (int64_t seen = 0; st == OCT_OK && seen < n;) {
        oct_batch b;
        bool done = false;
        st = oct_loader_next(loader, &b, &done);
        if (st != OCT_OK || done) break;
        if (!oct_runner_run(r, b.x)) st = oct_last_error()->code;
        seen += b.x->shape.dim[0];
    }
    for (int32_t i = 0; st == OCT_OK && i < count; i++) {
        double ns = oct_runner_node_ns(r, rows[i].name);
        if (ns >= 0) rows[i].us = ns / 1000;
        rows[i].kernel = keep_kernel(rows, count, i, oct_runner_node_kernel(r, rows[i].name));
        const char *why = oct_runner_node_why(r, rows[i].name);
        snprintf(rows[i].why, sizeof rows[i].why, "%s", why ? why : "");
    }
    oct_runner_free(r);
    return st;
}

static oct_status fill(oct_net *net, oct_data *data, int64_t n, oct_layer *rows) {
    const int32_t count = net->graph->node_count;
    for (int32_t i = 0; i < count; i++) describe(net, &net->graph->nodes[i], &rows[i]);
    if (!data || net->stage < OCT_STAGE_PREPARED) return OCT_OK;
    oct_net *int8 = net->stage == OCT_STAGE_INT8 ? net : oct_convert(net, NULL);
    oct_loader *loader =
        int8 ? oct_loader_new(data, &(oct_loader_opts){.batch = 32, .input = octi_net_input(net)})
             : NULL;
    oct_status st = loader ? OCT_OK : oct_last_error()->code;
    if (st == OCT_OK && net->stage == OCT_STAGE_PREPARED)
        st = octi_layers_noise(net, data, n, false, rows);
    for (int32_t i = 0; st == OCT_OK && i < count; i++) {
        const int32_t at = oct_graph_find_node(int8->graph, rows[i].name);
        oct_layer made = {.channels = 0};
        if (at >= 0) weigh(int8->graph, &int8->graph->nodes[at], &made);
        rows[i].bytes = made.bytes;
    }
    if (st == OCT_OK) st = times(int8, loader, n, rows, count);
    if (int8 != net) oct_net_free(int8);
    oct_loader_free(loader);
    return st;
}

oct_status oct_layers(oct_net *net, oct_data *data, int64_t n, oct_layer **rows, int32_t *count) {
    OCTI_LAW_MODE();
    if (!net || !rows || !count) return octi_fail_null("oct_layers");
    *count = net->graph->node_count;
    *rows = octi_calloc(net->ctx, (size_t)*count + 1, sizeof **rows + KERNEL_BYTES);
    oct_status s = *rows ? fill(net, data, n > 0 ? n : 64, *rows) : oct_last_error()->code;
    if (s != OCT_OK) {
        octi_free(net->ctx, *rows);
        *rows = NULL;
    }
    return s;
}

void oct_layers_free(oct_ctx *ctx, oct_layer *rows) { octi_free(ctx, rows); }
