/* SPDX-License-Identifier: MIT
 * Runs the nets that octet compare holds against each other, and prints them side by side. */
#include "tools/cli_compared.h"

#include <string.h>

int cli_measure(oct_net *net, oct_data *data, cli_compared *row) {
    oct_measured m;
    if (oct_measure(net, data, NULL, &m) != OCT_OK) return cli_failed();
    row->score = m.score;
    row->accuracy = m.score == OCT_SCORE_CLASSES ? m.accuracy : -1;
    row->loss = m.loss;
    row->n = m.n;
    row->bytes = m.bytes;
    row->us = m.us;
    return 0;
}

int cli_measure_small(oct_net *net, oct_data *data, cli_compared rows[3]) {
    oct_net *made[3] = {oct_half(net), oct_quantize_dynamic(net, NULL),
                        oct_quantize_weight_only(net, NULL)};
    for (int i = 0; i < 3; i++) {
        const int code = made[i] ? cli_measure(made[i], data, &rows[i]) : cli_failed();
        if (code) return code;
    }
    return 0;
}

/* "digits: int8 by PTQ" */
static int put_name(char *to, size_t size, const cli_compared *r) {
    return snprintf(to, size, "%s%s%s%s%s", r->model ? r->model : "", r->model ? ": " : "", r->kind,
                    r->how ? " " : "", r->how ? r->how : "");
}

void cli_compared_print(const cli_compared *rows, int n) {
    char name[600];
    int width = 22;
    for (int i = 0; i < n; i++) {
        const int size = put_name(name, sizeof name, &rows[i]);
        if (size > width) width = size;
    }
    const bool classes = rows[0].score == OCT_SCORE_CLASSES;
    cli_print("%-*s %9s %10s %9s\n", width, "", classes ? "accuracy" : "loss", "bytes", "us/image");
    for (int i = 0; i < n; i++) {
        put_name(name, sizeof name, &rows[i]);
        cli_print("%-*s", width, name);
        printf(classes ? " %9.4f" : " %9.4g", classes ? rows[i].accuracy : rows[i].loss);
        if (rows[i].bytes > 0) printf(" %10lld", (long long)rows[i].bytes);
        if (rows[i].us >= 0) printf(" %9.1f", rows[i].us);
        printf("\n");
    }
}
