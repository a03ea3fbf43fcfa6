/* SPDX-License-Identifier: MIT
 * What a command must have been given: operands and options; a resumed run's options; words for
 * what stands in the wrong place. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/cli_tables.h"

/* ---- resume ---- */

/* An option of the run that was not given again. */
static int take_stored(void *user, const char *key, const char *value) {
    cli *c = user;
    if (!strcmp(key, "operand0") && !c->operand_count) {
        static char *one[2];
        free(one[0]);
        if (!(one[0] = strdup(value))) return 5;
        c->operands = one;
        c->operand_count = 1;
        return 0;
    }
    for (int i = 0; i < ROWS; i++) {
        opt_value *v = cli_value(c, i);
        if (strcmp(cli_options[i].name, key) || v->set ||
            !(cli_options[i].commands & 1 << c->index))
            continue;
        char *own = strdup(value);
        if (!own) return 5;
        int code = cli_take(c, i, own);
        v->joined = own;
        return code;
    }
    return 0;
}

int cli_resume(cli *c) {
    int code = 0;
    if (!c->resume.set || !c->out.set || !oct_run_is(c->out.s)) return 0;
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    if (!ctx || oct_run_options(ctx, c->out.s, take_stored, c, &code) != OCT_OK)
        code = cli_failed();
    oct_close(ctx);
    return code;
}

/* ---- words ---- */

static bool is_spec(const char *word) {
    const size_t n = strcspn(word, ":");
    for (int i = 0; i < 100; i++) {
        const char *spec = oct_data_spec(i, NULL);
        if (!spec) return false;
        if (strcspn(spec, ":") == n && !strncmp(spec, word, n) &&
            (spec[n] == ':') == (word[n] == ':'))
            return true;
    }
    return false;
}

static bool exists(const char *path) {
    struct stat st;
    return !stat(path, &st);
}

/* What an operand too many was meant to be; "" where nothing is known. */
static void meant(const cli *c, const char *extra, char *hint, size_t size) {
    const bool has[] = {cli_options[ROW_data].commands & 1 << c->index,
                        cli_options[ROW_model].commands & 1 << c->index,
                        cli_options[ROW_out].commands & 1 << c->index};
    const char *option = has[0] && (is_spec(extra) || is_spec(c->operands[0])) ? "data"
                         : has[1] && !c->model.set                             ? "model"
                         : has[2] && !c->out.set                               ? "out"
                                                                               : NULL;
    const char *first = c->operands[0];
    *hint = 0;
    if (option && c->operand_count > 1 && !exists(first) && !is_spec(first) &&
        exists(extra)) /* octet convert FILE RUN */
        snprintf(hint, size, "did you mean octet %s %s --%s %s?", c->command, extra, option, first);
    else if (option && is_spec(first) && cli_commands[c->index].most == 1)
        snprintf(hint, size, "did you mean octet %s %s --data %s?", c->command, extra, first);
    else if (option)
        snprintf(hint, size, "did you mean --%s %s?", option, extra);
}

static int operands(cli *c) {
    const cli_command *k = &cli_commands[c->index];
    char hint[300];
    if (c->operand_count < k->least)
        return cli_usage(k->name, "operand is missing", k->operands, NULL, k->example);
    const int takes = 1 << INDEX_INSPECT | 1 << INDEX_PREDICT | 1 << INDEX_DATA;
    for (int i = 0; i < c->operand_count && i < 2 && !(takes & 1 << c->index); i++) {
        if (!is_spec(c->operands[i]) || i >= k->most || c->operand_count > k->most) continue;
        snprintf(hint, sizeof hint, "a data set is given by --data %s", c->operands[i]);
        return cli_usage(c->operands[i], "a data set in the place of a model", k->operands, NULL,
                         hint);
    }
    if (c->operand_count <= k->most) return 0;
    meant(c, c->operands[k->most], hint, sizeof hint);
    return cli_usage(k->name, "unexpected operand", *k->operands ? k->operands : "none",
                     c->operands[k->most], *hint ? hint : NULL);
}

/* Options come from the run, so where they lack it is the run that lacks. */
static int no_run_to_resume(const cli *c) {
    char hint[200];
    snprintf(hint, sizeof hint, "to begin one: %s", cli_commands[c->index].example);
    return cli_usage(c->out.s, "no such run to go on with", "a run's folder", NULL, hint);
}

int cli_complete(cli *c) {
    const bool lost = c->resume.set && c->out.set && !oct_run_is(c->out.s);
    if (c->resume.set && !c->out.set)
        return cli_usage("--out", "option is missing", "--out RUN, the run to go on with", NULL,
                         NULL);
    if (lost && c->operand_count < cli_commands[c->index].least) return no_run_to_resume(c);
    int code = operands(c);
    for (int i = 0; i < ROWS && !code; i++) {
        char option[64], expected[200];
        if (!cli_is_needed(c->index, i) || cli_value(c, i)->set) continue;
        if (lost) return no_run_to_resume(c);
        snprintf(option, sizeof option, "--%s", cli_options[i].name);
        snprintf(expected, sizeof expected, "--%s %s", cli_options[i].name, cli_options[i].meta);
        code =
            cli_usage(option, "option is missing", expected, NULL, cli_commands[c->index].example);
    }
    return code;
}

int cli_unknown(const char *where, const char *what, const char *known, const char *got) {
    const char *near = oct_nearest_word(got, known);
    char hint[160];
    if (near) snprintf(hint, sizeof hint, "did you mean %s?", near);
    return cli_usage(where, what, known, got, near ? hint : NULL);
}

int cli_no_layer(const char *option, const oct_net *net, const char *got) {
    const oct_graph *g = oct_net_graph(net);
    size_t size = 1;
    for (int32_t i = 0; i < oct_graph_node_count(g); i++)
        size += strlen(oct_node_name(oct_graph_node(g, i))) + 2;
    char *names = calloc(1, size), hint[300] = "octet inspect lists them";
    for (int32_t i = 0, at = 0; names && i < oct_graph_node_count(g); i++)
        at += snprintf(names + at, size - (size_t)at, "%s, ", oct_node_name(oct_graph_node(g, i)));
    const char *near = oct_nearest_word(got, names);
    if (near) snprintf(hint, sizeof hint, "did you mean %s?", near);
    free(names);
    return cli_usage(option, "no such layer", "a layer of the model", got, hint);
}
