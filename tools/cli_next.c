/* SPDX-License-Identifier: MIT
 * What comes next: the command that goes on with a model, under names that nothing has yet. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/cli.h"

const char *cli_free_name(const char *path, const char *ending) {
    static char room[4][4200];
    static int turn;
    char *to = room[turn++ % 4];
    const char *extension = strrchr(ending, '.');
    const int before = extension ? (int)(extension - ending) : (int)strlen(ending);
    int size = (int)strlen(path);
    while (size > 1 && path[size - 1] == '/') size--;
    struct stat st;
    for (int n = 1; n < 1000; n++) {
        char number[8] = "";
        if (n > 1) snprintf(number, sizeof number, "-%d", n);
        snprintf(to, sizeof room[0], "%.*s%.*s%s%s", size, path, before, ending, number,
                 extension ? extension : "");
        if (lstat(to, &st)) break;
    }
    return cli_word(to);
}

const char *cli_next_data(const cli *c, const char *path) {
    if (c->data.set) return cli_word(c->data.s);
    char run[sizeof((cli_origin *)0)->from];
    snprintf(run, sizeof run, "%s", path);
    for (int step = 0; step < 8 && *run; step++) {
        const cli_origin o = cli_origin_of(c, run);
        if (*o.data) return cli_word(o.data);
        snprintf(run, sizeof run, "%s", o.from);
    }
    return "SPEC";
}

void cli_next_of_model(const cli *c, const oct_net *net, const char *path) {
    const char *p = cli_word(path), *data = cli_next_data(c, path);
    if (oct_net_stage(net) <= OCT_STAGE_FUSED)
        cli_next(c, "next: octet ptq %s --data %s --out %s, or octet qat", p, data,
                 cli_free_name(path, "-ptq"));
    else if (oct_net_stage(net) == OCT_STAGE_PREPARED)
        cli_next(c, "next: octet convert %s --out %s", p, cli_free_name(path, ".oct8"));
    else if (!strcmp(c->command, "eval"))
        cli_next(c, "next: octet predict %s IMAGE", p);
    else
        cli_next(c, "next: octet eval %s --data %s", p, data);
}

void cli_next_of_run(const cli *c) {
    cli_next(c, "run in %s; next: octet convert %s --out %s", cli_word(c->out.s),
             cli_word(c->out.s), cli_free_name(c->out.s, ".oct8"));
}
