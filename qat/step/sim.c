/* SPDX-License-Identifier: MIT
 * The eval forward is a tape in evaluation mode; this file only keeps the tape and finds nodes by
 * name. */
#include "autograd/tape.h"
#include "qat/net/prepared.h"
#include "qat/step/hooks.h"
#include "qat/step/sim.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/words.h"

struct oct_sim {
    oct_net *net;
    oct_tape *tape;
};

oct_sim *oct_sim_new(oct_net *net) {
    OCTI_LAW_MODE();
    if (!net) return NULL;
    if (net->stage != OCT_STAGE_PREPARED) {
        octi_fail(OCT_EUSAGE, "oct_sim_new", "net is not prepared", "a net from oct_prepare", NULL,
                  NULL);
        return octi_ctx_failed(net->ctx), NULL;
    }
    oct_sim *s = octi_alloc(net->ctx, sizeof *s);
    if (!s || !(s->tape = oct_tape_new(net->ctx))) return octi_free(net->ctx, s), NULL;
    s->net = net;
    return s;
}

oct_status octi_sim_hold(oct_sim *s) { return octi_tape_hold(s->tape); }

void oct_sim_free(oct_sim *s) {
    if (!s) return;
    oct_tape_free(s->tape);
    octi_free(s->net->ctx, s);
}

const oct_tensor *oct_sim_run(oct_sim *s, const oct_tensor *x) {
    OCTI_LAW_MODE();
    if (!s) return octi_fail_null("oct_sim_run"), NULL;
    oct_tape_begin(s->tape, OCT_EVAL);
    return oct_var_value(oct_net_forward(s->net, oct_input(s->tape, x)));
}

const oct_tensor *oct_sim_value(const oct_sim *s, const char *node) {
    if (!s || !node) return NULL;
    oct_var *v = octi_tape_find(s->tape, node);
    const oct_tensor *codes = octi_var_codes(v);
    return codes ? codes : oct_var_value(v);
}
