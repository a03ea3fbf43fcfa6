/* SPDX-License-Identifier: MIT
 * octet doctor: why a run lost accuracy. */
#include <string.h>

#include "tools/cli.h"

static const char *stage_of(const oct_diagnosis *d) { return d->quantized ? "quantized" : "float"; }
static bool ill(const oct_diagnosis *d) { return d->count || d->lost > d->tolerance; }

static void print_json(const cli *c, const oct_diagnosis *d) {
    json j = json_open();
    json_string(&j, "run", c->operands[0]);
    json_string(&j, "stage", stage_of(d));
    json_bool(&j, "healthy", !ill(d));
    json_number(&j, "accuracy", d->score);
    json_number(&j, "float_accuracy", d->float_score);
    if (d->parent_score >= 0) json_number(&j, "fp32_accuracy", d->parent_score);
    json_number(&j, "lost", d->lost);
    json_number(&j, "tolerance", d->tolerance);
    json_int(&j, "n", d->n);
    json_array(&j, "causes");
    for (int32_t i = 0; i < d->count; i++) {
        const oct_cause *k = &d->causes[i];
        json_item(&j);
        json_string(&j, "name", oct_cause_kind_name(k->kind));
        json_string(&j, "layer", k->layer);
        json_number(&j, "value", k->value);
        json_number(&j, "bound", k->bound);
        json_number(&j, "gain", k->gain);
        json_bool(&j, "measured", k->measured);
        json_string(&j, "evidence", k->evidence);
        json_string(&j, "command", k->command);
        json_item_end(&j);
    }
    json_array_end(&j);
    json_close(&j);
}

static void print_text(const cli *c, const oct_diagnosis *d) {
    cli_print("%s: %s net, accuracy %.4f", c->operands[0], stage_of(d), d->score);
    if (d->quantized) printf(", with nothing quantized %.4f", d->float_score);
    if (d->parent_score >= 0) printf(", the float run %.4f", d->parent_score);
    printf(" (%lld images)\n", (long long)d->n);
    if (d->count) printf("%.2f points are lost\n", 100 * (d->lost > 0 ? d->lost : 0));
    for (int32_t i = 0; i < d->count; i++) {
        const oct_cause *k = &d->causes[i];
        cli_print("%d. %s: %s\n", i + 1, oct_cause_kind_name(k->kind),
                  oct_cause_kind_meaning(k->kind));
        cli_print("   %s\n", k->evidence);
        cli_print("   mend: %s\n", k->command);
    }
    if (!d->count && ill(d))
        printf("no cause is known for the %.2f points that are lost\n", 100 * d->lost);
    else if (!d->count)
        printf("healthy: %.2f points are lost, %.2f may be chance\n",
               100 * (d->lost > 0 ? d->lost : 0), 100 * d->tolerance);
}

int cmd_doctor(cli *c) {
    const char *run = c->operands[0];
    int code;
    oct_net *net = cli_load(c, run, true, &code);
    if (!net) return code;
    oct_net_free(net);
    if (c->dry_run.set) return 0;
    c->progress_of = "doctor";
    oct_diagnosis *d = oct_doctor(c->ctx, run,
                                  &(oct_doctor_opts){.data = c->data.set ? c->data.s : NULL,
                                                     .limit = c->limit.i,
                                                     .calib = c->calib.i});
    if (!d) return cli_failed();
    if (c->json.set)
        print_json(c, d);
    else
        print_text(c, d);
    code = ill(d);
    oct_diagnosis_free(c->ctx, d);
    if (!code)
        cli_next(c, "next: octet layers %s --data %s: what it costs, layer by layer", cli_word(run),
                 cli_next_data(c, run));
    return code;
}
