/* SPDX-License-Identifier: MIT
 * Parameters that training leaves alone, by pattern. What rests with them:
 * octi_batch_norm_rests. */
#include <fnmatch.h>

#include "autograd/tape.h"
#include "src/words.h"

oct_status oct_net_freeze(oct_net *net, const char *pattern, bool on, int32_t *count) {
    if (count) *count = 0;
    if (!net || !pattern) return octi_fail_null("oct_net_freeze");
    if (net->stage == OCT_STAGE_INT8) return octi_runs_alone("oct_net_freeze");
    int32_t hits = 0;
    for (int32_t i = 0; i < net->graph->value_count; i++) {
        oct_value *v = &net->graph->values[i];
        if (v->role != OCT_VALUE_PARAM || fnmatch(pattern, v->name, 0)) continue;
        v->frozen = on;
        hits++;
    }
    if (count) *count = hits;
    if (hits) return OCT_OK;
    return octi_fail(OCT_EUSAGE, "freeze", "pattern matches no parameter", "such as 'layer1.*'",
                     pattern, "octet inspect RUN lists them");
}
