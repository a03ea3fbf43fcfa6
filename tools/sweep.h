/* SPDX-License-Identifier: MIT
 * tools/sweep.h - a grid of ptq and qat runs: its cells, how they are run side by side, what they
 * gave. */
#ifndef OCT_TOOLS_SWEEP_H
#define OCT_TOOLS_SWEEP_H

#include <sys/types.h>

#include "tools/cli.h"

enum { SWEEP_CELLS_MAX = 4096, SWEEP_WORDS_MAX = 80 };

/** What a cell is made by; those that differ in the seed alone are one configuration. */
typedef struct sweep_cell {
    const char *method, *target, *observer, *wbits, *abits, *floats, *seed;
    int config;         /* of the sweep's configurations */
    char name[200];     /* of its run: a folder in the sweep's */
    char command[3000]; /* as a shell would be given it, but for --threads and --quiet */
    char *argv[SWEEP_WORDS_MAX];
    int argc;
    bool done, was_there;           /* was_there: by an earlier sweep */
    int code;                       /* exit code of a cell that failed */
    double accuracy, loss, seconds; /* NAN: none */
    pid_t pid;                      /* while it runs */
    bool busy;                      /* somebody else writes its run */
} sweep_cell;

typedef struct sweep {
    cli *c;
    const char *run, *dir, *octet;
    sweep_cell *cell;
    int count, configs;
    int jobs, threads; /* of each cell */
    bool stopped;      /* its cells were told to end */
} sweep;

/** Cells whose result lies in the sweep's folder, made by the same command: 0, or the exit code
 *  behind a message where another command made one (--force: it is made again). */
int sweep_find_done(sweep *s);
/** Run what is not done, `jobs` at once; `each` hears of every cell that ends. 0; 128 + n for a
 *  signal: what was done stays done; 4 where no process can be made. */
int sweep_run(sweep *s, void (*each)(sweep *s, const sweep_cell *cell));
/** One configuration: what its cells have in common, and their spread. */
typedef struct sweep_config {
    const sweep_cell *first;       /* of them */
    int n, failed;                 /* cells that are done; that failed */
    double mean, std, least, most; /* of accuracy; of losses where there are no classes */
    oct_measured measured;         /* bytes and time of one of its runs; bytes 0: not measured */
    int64_t packed;                /* bytes, with weights packed as tightly as their bits allow */
    bool front;                    /* nothing else is at once smaller and better */
} sweep_config;
/** Spreads, bytes and times of all configurations, and who is on the front; [s->configs], to be
 *  freed. NULL: *code is the exit code behind a message. */
sweep_config *sweep_summarize(sweep *s, oct_net *real, oct_data *test, oct_measured *of_real,
                              int *code);
void sweep_print(const sweep *s, const sweep_config *g, const oct_measured *real);
void sweep_print_json(const sweep *s, const sweep_config *g, const oct_measured *real);
/** The page of octet report, over all configurations: DIR/report.html. */
int sweep_report(const sweep *s, const sweep_config *g);

/** DIR/NAME and an ending; good for the next seven calls. */
const char *sweep_path(const sweep *s, const sweep_cell *cell, const char *ending);

#endif
