/* SPDX-License-Identifier: MIT
 * Looks into the tables of backend.def and targets.def; scale and zero point of fixed grids. */
#include "qat/net/backend.h"
#include "src/words.h"

static const octi_backend_op ops[OCT_OP_KIND_COUNT] = {
#define OCT_INT8_OP(kind, fp32, int8, q31)                                                         \
    [OCT_OP_##kind] = {{OCTI_GRID_##fp32, OCTI_GRID_##q31}, OCT_OP_##int8},
#include "qat/net/backend.def"
#undef OCT_INT8_OP
};

const octi_backend_op *octi_backend(oct_op_kind kind) { return &ops[kind]; }

octi_grid octi_grid_under(oct_op_kind kind, int32_t law) {
    return law >= 0 && law < OCTQ_LAWS ? ops[kind].grid[law] : OCTI_GRID_NONE;
}

void octi_grid_qparams(octi_grid g, const oct_qspec *spec, float *scale, int32_t *zero_point) {
    const int32_t codes = spec->qmax - spec->qmin + 1;
    const bool is_signed = g == OCTI_GRID_SIGNED;
    *scale = (is_signed ? 2.0f : 1.0f) / (float)codes;
    *zero_point = spec->qmin + (is_signed ? codes / 2 : 0);
}

static const octi_target targets[OCT_TARGET_COUNT] = {
#define OCT_TARGET(value, name, reduce_range, per_channel, pow2, law, text)                        \
    [OCT_TARGET_##value] = {name, reduce_range, per_channel, pow2, OCTQ_##law, text},
#include "qat/net/targets.def"
};
static const char *const words[] = {
    NULL,
#define OCT_TARGET(value, name, reduce_range, per_channel, pow2, law, text) name,
#include "qat/net/targets.def"
};
const octi_words octi_target_words = OCTI_WORDS("target", words);
OCTI_WORD_PAIR(oct_target, octi_target_words)

const octi_target *octi_target_find(const char *name) {
    int value;
    if (octi_word_find(&octi_target_words, OCT_EUSAGE, "target", name, &value) != OCT_OK)
        return NULL;
    return &targets[value];
}

const octi_target *octi_target_of(oct_target value) {
    if (octi_word_check(&octi_target_words, "target", (int)value) != OCT_OK) return NULL;
    return &targets[value ? value : OCT_TARGET_OCTET];
}
