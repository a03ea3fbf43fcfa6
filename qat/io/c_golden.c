/* SPDX-License-Identifier: MIT
 * What the self test of an exported file must find: the output's codes, and a sum over every code
 * of every layer, for inputs that the file makes itself. They come from the plan, never from the C
 * that is printed. */
#include <string.h>

#include "qat/io/c_writer.h"
#include "src/mem.h"
#include "src/qround.h"

/* FNV-1a, as c_frame.c prints it. */
static uint32_t sum_of(uint32_t sum, const uint8_t *codes, size_t n) {
    for (size_t i = 0; i < n; i++) sum = (sum ^ codes[i]) * 16777619u;
    return sum;
}

/* The vectors, as c_frame.c prints how they are made, as the floats that these codes stand for. */
static void make_inputs(const octi_qdesc *d, int64_t count, float *x) {
    for (int v = 0; v < OCTI_C_VECTORS; v++) {
        uint32_t r = (uint32_t)v + 1;
        for (int64_t i = 0; i < count; i++) {
            r ^= r << 13;
            r ^= r >> 17;
            r ^= r << 5;
            int32_t q = d->qmin + (int32_t)((r >> 8) % (uint32_t)(d->qmax - d->qmin + 1));
            if (v == 2) q = d->qmin;
            if (v == 3) q = d->qmax;
            *x++ = octq_dequantize(q, d->scale, d->zero_point);
        }
    }
}

static oct_status sum_values(const octi_c_writer *w, oct_session *s, octi_c_vectors *golden) {
    uint32_t *sum = golden->sum;
    for (int v = 0; v < OCTI_C_VECTORS; v++) sum[v] = 2166136261u;
    for (int32_t i = w->first; i < w->last; i++) {
        const size_t image = w->plan->values[w->plan->steps[i].out].image;
        oct_tensor codes;
        OCT_TRY(oct_session_value(s, w->plan->steps[i].name, &codes));
        for (int v = 0; v < OCTI_C_VECTORS; v++)
            sum[v] = sum_of(sum[v], oct_u8(&codes) + (size_t)v * image, image);
        if (golden->out && w->plan->steps[i].out == w->plan->steps[w->last].in[0])
            memcpy(golden->out, codes.data, OCTI_C_VECTORS * image);
    }
    return OCT_OK;
}

oct_status octi_c_golden(const octi_c_writer *w, octi_c_vectors *golden) {
    const octi_plan_value *in = &w->plan->values[w->plan->input],
                          *out = &w->plan->values[w->plan->output];
    const int64_t count = octi_image_count(&in->shape);
    oct_plan *plan = oct_plan_new(w->net, &(oct_plan_opts){.unfused = true});
    oct_session *s = oct_session_new(plan, OCTI_C_VECTORS, NULL, 0);
    float *x = octi_calloc(w->ctx, OCTI_C_VECTORS * (size_t)count, sizeof *x),
          *y = octi_calloc(w->ctx, OCTI_C_VECTORS, out->image);
    oct_status status = s && x && y ? OCT_OK : oct_last_error()->code;
    golden->pixels = 0;
    if (w->plan->table)
        golden->pixels =
            sum_of(2166136261u, w->plan->table, 256 * (size_t)in->shape.dim[in->shape.rank - 1]);
    if (status == OCT_OK) {
        make_inputs(w->plan->steps[w->first].u.q.args->out, count, x);
        status = oct_session_run(s, x, OCTI_C_VECTORS, y);
    }
    if (status == OCT_OK) status = sum_values(w, s, golden);
    octi_free(w->ctx, x);
    octi_free(w->ctx, y);
    oct_session_free(s);
    oct_plan_free(plan);
    return status;
}
