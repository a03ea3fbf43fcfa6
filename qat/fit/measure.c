/* SPDX-License-Identifier: MIT
 * What a net scores, holds and takes. */
#include <math.h>
#include <string.h>

#include "qat/fit/fit.h"
#include "src/clock.h"
#include "src/float_mode.h"
#include "src/format/few_bits.h"
#include "src/words.h"

int64_t oct_net_bytes(const oct_net *net) {
    int64_t n = 0;
    for (int32_t i = 0; net && i < net->tensor_count; i++) {
        const oct_tensor *t = net->tensors[i].tensor;
        const int bits = octi_few_bits(t);
        n += (int64_t)(bits ? octi_few_bytes((size_t)oct_tensor_count(t), bits)
                            : oct_tensor_bytes(t));
    }
    return n;
}

static const char *const forms[] = {"float",   "fused",       "prepared", "int8",
                                    "dynamic", "weight-only", "half"};
static const octi_words form_words = OCTI_WORDS("form of a net", forms);
OCTI_WORD_PAIR(oct_net_form, form_words)

oct_net_form oct_net_form_of(const oct_net *net) {
    bool dynamic = false, half = false, small = false;
    if (!net) return OCT_FORM_FLOAT;
    if (net->stage == OCT_STAGE_FUSED) return OCT_FORM_FUSED;
    if (net->stage < OCT_STAGE_INT8)
        return net->stage == OCT_STAGE_PREPARED ? OCT_FORM_PREPARED : OCT_FORM_FLOAT;
    for (int32_t i = 0; i < net->graph->node_count; i++) {
        const oct_op_kind k = net->graph->nodes[i].kind;
        const bool row = !strncmp(oct_op_name(k), "dynamic_", strlen("dynamic_"));
        dynamic |= row;
        if ((oct_op_flags(k) & OCT_OPF_Q) && !row) return OCT_FORM_INT8;
    }
    for (int32_t i = 0; i < net->tensor_count; i++) {
        half |= net->tensors[i].tensor->dtype == OCT_F16;
        small |= net->tensors[i].tensor->dtype == OCT_S8;
    }
    if (dynamic) return OCT_FORM_DYNAMIC;
    if (half) return OCT_FORM_HALF;
    return small ? OCT_FORM_WEIGHT_ONLY : OCT_FORM_INT8;
}

static oct_status time_of(oct_net *net, double *us) {
    enum { BLOCKS = 5, RUNS = 50 };
    const oct_graph *g = net->graph;
    oct_shape s = g->values[g->input].shape;
    s.dim[0] = 1;
    oct_runner *r = oct_runner_new(net, &(oct_runner_opts){.batch = 1, .fixed = true});
    oct_tensor *x = r ? oct_tensor_new(net->ctx, OCT_F32, s) : NULL;
    bool ok = x && oct_runner_run(r, x);
    *us = INFINITY;
    for (int block = 0; ok && block < BLOCKS; block++) {
        const double t0 = octi_seconds();
        double t = t0;
        int runs = 0;
        while (ok && runs < RUNS && t - t0 < 0.1) {
            ok = oct_runner_run(r, x) != NULL;
            runs++;
            t = octi_seconds();
        }
        *us = fmin(*us, (t - t0) / runs * 1e6);
    }
    if (!(*us > 0) || !isfinite(*us)) *us = NAN; /* a clock that stands, or goes back */
    oct_tensor_unref(x);
    oct_runner_free(r);
    return ok ? OCT_OK : oct_last_error()->code;
}

static oct_status score(oct_net *net, oct_data *data, const oct_eval_opts *opts, oct_measured *m) {
    oct_eval r;
    OCT_TRY(oct_evaluate(net, data, opts, &r));
    m->score = r.score;
    m->accuracy = r.accuracy;
    m->loss = r.loss;
    m->n = r.n;
    oct_eval_free(net->ctx, &r);
    return OCT_OK;
}

oct_status oct_measure(oct_net *net, oct_data *data, const oct_eval_opts *opts,
                       oct_measured *result) {
    OCTI_LAW_MODE();
    if (!net || !result) return octi_fail_null("oct_measure");
    *result = (oct_measured){.accuracy = -1, .loss = NAN};
    oct_net *made = net->stage == OCT_STAGE_PREPARED ? oct_convert(net, NULL) : net;
    oct_status s = made ? OCT_OK : oct_last_error()->code;
    if (s == OCT_OK && data) s = score(made, data, opts, result);
    if (s == OCT_OK) s = time_of(made, &result->us);
    if (s == OCT_OK) result->bytes = oct_net_bytes(made);
    if (made != net) oct_net_free(made);
    return s;
}
