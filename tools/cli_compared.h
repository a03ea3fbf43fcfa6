/* SPDX-License-Identifier: MIT
 * tools/cli_compared.h - nets of one kind and another side by side: what each scores, holds and
 * takes. */
#ifndef OCT_TOOLS_CLI_COMPARED_H
#define OCT_TOOLS_CLI_COMPARED_H

#include "tools/cli.h"

typedef struct cli_compared {
    const char *model; /* its path; NULL: none is said */
    const char *kind;  /* "fp32", "half", "int8" */
    const char *how;   /* behind the kind: "by PTQ"; NULL: nothing */
    bool prepared;     /* the model is a run of octet ptq or octet qat */
    oct_score score;
    double accuracy, loss; /* as score says; accuracy below 0: none */
    int64_t bytes;         /* of all tensors that a file of it would hold; 0: not said */
    int64_t n;             /* images that were scored */
    double us;             /* per image, batch 1; below 0: not said */
} cli_compared;

/** Score a net on data and time it; a prepared net as the int8 one that it becomes. 0, or the exit
 *  code behind a message. */
int cli_measure(oct_net *net, oct_data *data, cli_compared *row);
/** The same of what a float net becomes without calibration: three rows, half, dynamic,
 *  weight-only. */
int cli_measure_small(oct_net *net, oct_data *data, cli_compared rows[3]);
/** A table on stdout. */
void cli_compared_print(const cli_compared *rows, int n);

#endif
