/* SPDX-License-Identifier: MIT
 * octet: train, quantize and run small nets. Subcommands in cmd_*.c; options in options.def. */
#include <fenv.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli.h"

/* Both parts of a set have the same to say: once is enough. */
static bool said_before(const char *line) {
    enum { LINES = 16, BYTES = 512 };
    static char said[LINES][BYTES];
    static int next;
    for (int i = 0; i < LINES; i++)
        if (!strncmp(said[i], line, BYTES - 1)) return true;
    snprintf(said[next], BYTES, "%s", line);
    next = (next + 1) % LINES;
    return false;
}

static void log_line(void *user, oct_log_level level, const char *line) {
    cli *c = user;
    if (!c->ctx) { /* for those who show kernels */
        snprintf(c->opened, sizeof c->opened, "%s", line);
        return;
    }
    if (said_before(line)) return;
    char text[4096];
    cli_in_words(line, text, sizeof text, false);
    if (level <= OCT_LOG_WARN || (level == OCT_LOG_INFO && !c->quiet.set)) {
        fputs("octet: ", stderr);
        cli_print_line(stderr, text);
    }
}

int main(int argc, char **argv) {
    static char *none[] = {"octet", NULL};
    if (argc < 1) {
        argc = 1;
        argv = none;
    }
    /* whatever libraries loaded before left: numbers are read and written as C has them */
    fesetenv(FE_DFL_ENV);
    setlocale(LC_ALL, "C");
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* whole lines, where both streams go to one file */
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is a failed write, told like any other */
    cli c = {.command = "", .began = cli_seconds()};
    int (*run)(cli * c) = NULL;
    int code = cli_parse(&c, argc, argv, &run);
    if (code || !run) {
        cli_release(&c);
        return code || (fflush(stdout) | ferror(stdout)) ? (code ? code : 4) : 0;
    }
    if ((code = cli_resume(&c))) return cli_release(&c), code;
    c.bar = !c.quiet.set && isatty(2);
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    c.color = c.bar && !(no_color && *no_color) && !(term && !strcmp(term, "dumb"));
    c.ctx = oct_open(&(oct_opts){.seed = c.seed.set ? (uint64_t)c.seed.i : 0,
                                 .threads = c.threads.set ? (int)c.threads.i : 0,
                                 .log = log_line,
                                 .log_user = &c,
                                 .progress = cli_progress,
                                 .progress_user = &c,
                                 .amx = true});
    if (!c.ctx) {
        cli_release(&c);
        return cli_failed();
    }
    code = cli_complete(&c);
    if (!code) code = run(&c);
    if (fflush(stdout) || ferror(stdout)) {
        fprintf(stderr, "octet: stdout: cannot write\n");
        if (!code) code = 4;
    }
    oct_close(c.ctx);
    cli_release(&c);
    return code;
}
