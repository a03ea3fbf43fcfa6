/* SPDX-License-Identifier: MIT
 * Options of ptq and qat into an oct_qconfig; what came of them as a table. */
#include <string.h>

#include "tools/cli.h"

bool cli_qconfig_given(const cli *c) {
    return c->target.set || c->observer.set || c->wbits.set || c->abits.set || c->percentile.set ||
           c->method.set || c->rules.set || c->qconfig.set;
}

/* "minmax" is an observer, and a word that people use for a method: nothing is learned. */
static const char *method_of(const cli *c) {
    return c->method.set && !strcmp(c->method.s, "minmax") ? "ema" : c->method.s;
}

/* An observer that never moves would cost the whole calibration, and give no range. */
static int check_observers(const cli *c, const oct_qconfig *q) {
    char known[256] = "", where[300];
    for (int32_t i = 0; oct_observer_choice(i, NULL); i++)
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "",
                 oct_observer_choice(i, NULL));
    for (int32_t i = 0; i < q->rule_count; i++) {
        const oct_qrule *r = &q->rules[i];
        const char *name = r->set.observer, *from = c->observer.set ? "--observer" : "--qconfig";
        if (!name || oct_observer_moves(c->ctx, name)) continue;
        snprintf(where, sizeof where, "rule %s", r->of ? r->of : "");
        return cli_unknown(r->of ? where : from, "no observer that finds a range", known, name);
    }
    return 0;
}

int cli_qconfig(cli *c, oct_qconfig *q) {
    oct_method method = OCT_METHOD_DEFAULT;
    oct_ste ste = OCT_STE_DEFAULT;
    *q = (oct_qconfig){.target = OCT_TARGET_DEFAULT};
    if ((c->target.s && oct_target_from_name(c->target.s, &q->target) != OCT_OK) ||
        (c->method.s && oct_method_from_name(method_of(c), &method) != OCT_OK) ||
        (c->ste.s && oct_ste_from_name(c->ste.s, &ste) != OCT_OK))
        return cli_failed();
    if (c->qconfig.set && oct_qconfig_load(c->ctx, c->qconfig.s, q) != OCT_OK) return cli_failed();
    const oct_qrule options = {.scope = OCT_QSCOPE_GLOBAL,
                               .set = {.observer = c->observer.s,
                                       .wbits = (int)c->wbits.i,
                                       .abits = (int)c->abits.i,
                                       .percentile = (float)c->percentile.d,
                                       .method = method,
                                       .ste = ste}};
    if (oct_qconfig_add(c->ctx, &options, q) != OCT_OK) return cli_failed();
    if (c->rules.set && oct_qconfig_parse(c->ctx, c->rules.s, q) != OCT_OK) return cli_failed();
    return check_observers(c, q);
}

/* A searching observer leaves the input whole. */
int cli_note_input(const cli *c, const oct_net *net) {
    oct_placement *rows;
    int32_t count;
    if (!c->observer.set) return 0;
    if (oct_net_placements(net, &rows, &count) != OCT_OK) return cli_failed();
    for (int32_t i = 0; i < count; i++)
        if (!strcmp(rows[i].kind, "quantize") && strcmp(rows[i].observer, c->observer.s) &&
            !strstr(rows[i].rule, "by name"))
            cli_note(c,
                     "octet: %s: observer %s, not %s: the range of an input is known and stays "
                     "whole (--set '%s:observer=%s' for the other)",
                     rows[i].name, rows[i].observer, c->observer.s, rows[i].name, c->observer.s);
    oct_placements_free((oct_net *)(uintptr_t)net, rows);
    return 0;
}

int cli_placements(FILE *to, oct_net *net) {
    oct_placement *rows;
    int32_t count, width = 5;
    if (oct_net_placements(net, &rows, &count) != OCT_OK) return cli_failed();
    for (int32_t i = 0; i < count; i++)
        width = (int32_t)strlen(rows[i].name) > width ? (int32_t)strlen(rows[i].name) : width;
    cli_print_to(to, "  %-*s  %-20s  %-9s  %-6s  %-10s  %s\n", width, "layer", "kind", "weights",
                 "values", "observer", "why");
    for (int32_t i = 0; i < count; i++) {
        const oct_placement *r = &rows[i];
        char weights[32] = "", values[16] = "float";
        if (r->wbits)
            snprintf(weights, sizeof weights, "%d %s%s", r->wbits,
                     oct_granularity_name(r->granularity),
                     r->weight_observer == OCT_WEIGHT_OBSERVER_MSE ? " mse" : "");
        if (r->abits) snprintf(values, sizeof values, "%d", r->abits);
        const bool shares = r->int8 && strcmp(r->grid, r->name);
        const char *parts[] = {r->reason, shares ? "grid of " : "", shares ? r->grid : "", r->rule};
        cli_print_to(to, "  %-*s  %-20s  %-9s  %-6s  %-10s  ", width, r->name, r->kind, weights,
                     values, r->observer);
        for (int k = 0, some = 0; k < 4; k++) {
            cli_print_to(to, "%s%s", some && k != 2 && *parts[k] ? "; " : "", parts[k]);
            some |= *parts[k] != 0;
        }
        cli_print_to(to, "\n");
    }
    oct_placements_free(net, rows);
    return 0;
}
