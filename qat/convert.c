/* SPDX-License-Identifier: MIT
 * oct_convert: the pass makes, the check of convert_check.c judges, and what it refuses is
 * nobody's. */
#include "qat/convert_check.h"
#include "qat/passes/pass_convert.h"
#include "qat/qat.h"
#include "qat/scales/scales.h"
#include "src/float_mode.h"
#include "src/mem.h"

static oct_net *refused(oct_ctx *ctx, oct_net *made) {
    octi_ctx_failed(ctx);
    oct_net_free(made);
    return NULL;
}

oct_net *oct_convert_with(oct_net *prepared, const oct_convert_opts *opts,
                          oct_convert_report *report) {
    OCTI_LAW_MODE();
    if (!prepared) return NULL;
    oct_ctx *ctx = prepared->ctx;
    if (prepared->stage != OCT_STAGE_PREPARED)
        return octi_fail(OCT_EUSAGE, "oct_convert", "net is not prepared", "a net from oct_prepare",
                         NULL, "prepare, then calibrate or train"),
               refused(ctx, NULL);
    oct_convert_report sum = {.probe = OCT_PROBE_SKIPPED};
    octi_converted count = {0};
    octi_arena *arena = octi_arena_new(ctx);
    oct_net *seen = arena ? octi_settled_view(prepared, arena) : NULL;
    oct_net *made = seen ? octi_convert_pass(seen, &count) : NULL;
    if (!seen) octi_ctx_failed(ctx);
    if (made && !(opts && opts->skip_check) && octi_convert_check(seen, made, &sum) != OCT_OK)
        made = refused(ctx, made);
    octi_arena_free(arena);
    sum.layers_int8 = count.layers_int8;
    sum.layers_float = count.layers_float;
    sum.bytes = count.bytes;
    if (report) *report = sum;
    return made;
}

oct_net *oct_convert(oct_net *prepared, oct_convert_report *report) {
    return oct_convert_with(prepared, NULL, report);
}

void oct_convert_opts_init(oct_convert_opts *opts) {
    if (opts) *opts = (oct_convert_opts){0};
}
