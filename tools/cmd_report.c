/* SPDX-License-Identifier: MIT
 * octet report: one page that shows what training and quantization did. */
#include <string.h>

#include "tools/cli.h"

static int check_models(cli *c) {
    int code = 0;
    for (int i = 0; !code && i < c->operand_count; i++) {
        oct_net *net = cli_load(c, c->operands[i], false, &code);
        if (!net) return code;
        if (c->data.set) {
            oct_data *data = cli_data(c, OCT_SPLIT_TEST, net);
            if (!data) code = cli_failed();
            oct_data_free(data);
        }
        oct_net_free(net);
    }
    return code;
}

int cmd_report(cli *c) {
    const char *path = c->out.set ? c->out.s : "report.html";
    const bool page = c->out.set || !c->json.set;
    int code = page ? cli_may_replace(c, path, CLI_FILE_PAGE) : 0;
    if (code) return code;
    if (c->dry_run.set) return check_models(c);
    oct_report *r = oct_report_new(c->ctx, (const char *const *)c->operands, c->operand_count,
                                   &(oct_report_opts){.data = c->data.set ? c->data.s : NULL,
                                                      .limit = c->limit.set ? c->limit.i : 0,
                                                      .sweep = c->sweep.set});
    if (!r) return cli_failed();
    if (page) code = cli_status(oct_report_save(r, path));
    const char *text = !code && c->json.set ? oct_report_json(r) : NULL;
    if (!code && c->json.set && !text) code = cli_failed();
    if (text) puts(text);
    oct_report_free(r);
    if (!code)
        cli_next(c,
                 "report in %s: open it in a browser; octet report --json tells the same numbers",
                 cli_word(path));
    return code;
}
