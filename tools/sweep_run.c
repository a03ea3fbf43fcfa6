/* SPDX-License-Identifier: MIT
 * Cells of a sweep as processes of their own, and their results on disk. A cell is done when its
 * result file is there: written last, whole or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tools/places.h"
#include "tools/sweep.h"

extern char **environ;

const char *sweep_path(const sweep *s, const sweep_cell *cell, const char *ending) {
    static char room[8][1500];
    static int turn;
    char *to = room[turn++ % 8];
    snprintf(to, sizeof room[0], "%s/%s%s", s->dir, cell->name, ending);
    return to;
}

/* ---- results ---- */

/* The last line of a file that begins an object; "" where there is none. 0, or the exit code. */
static int last_object(const char *path, char *line, size_t size) {
    FILE *f = place_open(path, 0);
    char *more = malloc(size);
    *line = 0;
    while (f && more && fgets(more, (int)size, f))
        if (*more == '{') memcpy(line, more, strlen(more) + 1);
    const bool ok = f && more && !ferror(f);
    if (!ok) fprintf(stderr, "octet: %s: cannot be read: %s\n", path, strerror(errno));
    free(more);
    if (f) fclose(f);
    return ok ? 0 : 4;
}

static double number_of(const char *object, const char *key) {
    char quoted[40];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(object, quoted);
    return at && strncmp(at + strlen(quoted), "null", 4) ? strtod(at + strlen(quoted), NULL) : NAN;
}

static void take_scores(sweep_cell *cell, const char *object) {
    cell->accuracy = number_of(object, "int8_accuracy");
    if (isnan(cell->accuracy)) cell->accuracy = number_of(object, "accuracy");
    cell->loss = number_of(object, "int8_loss");
    if (isnan(cell->loss)) cell->loss = number_of(object, "loss");
}

/* COMMAND on one line, the numbers on the next. */
static int write_result(const sweep *s, const sweep_cell *cell) {
    char path[1600], part[1600];
    snprintf(path, sizeof path, "%s", sweep_path(s, cell, ".result"));
    snprintf(part, sizeof part, "%s", sweep_path(s, cell, ".result.part"));
    FILE *f = place_open(part, 1);
    bool ok = f != NULL;
    ok = ok && fprintf(f, "%s\n{\"accuracy\":", cell->command) > 0;
    ok = ok && fprintf(f, isnan(cell->accuracy) ? "null" : "%.17g", cell->accuracy) > 0;
    ok = ok && fprintf(f, isnan(cell->loss) ? ",\"loss\":null" : ",\"loss\":%.17g", cell->loss) > 0;
    ok = ok && fprintf(f, ",\"seconds\":%.3f}\n", cell->seconds) > 0;
    ok = ok && !fflush(f) && !fsync(fileno(f));
    if (f && fclose(f)) ok = false;
    if (ok && !rename(part, path)) return 0;
    fprintf(stderr, "octet: %s: cannot be written: %s\n", path, strerror(errno));
    return 4;
}

int sweep_find_done(sweep *s) {
    for (int i = 0; i < s->count; i++) {
        sweep_cell *cell = &s->cell[i];
        struct stat st;
        if (!lstat(sweep_path(s, cell, ""), &st) && S_ISLNK(st.st_mode))
            return cli_usage(sweep_path(s, cell, ""), "a link in the place of a run", "a folder",
                             NULL, "nothing outside the sweep's folder is read or written") +
                   1;
        FILE *f = place_open(sweep_path(s, cell, ".result"), 0);
        char command[sizeof cell->command + 2] = "", numbers[400] = "";
        const bool whole = f && fgets(command, sizeof command, f) &&
                           fgets(numbers, sizeof numbers, f) && strchr(numbers, '}');
        if (f) fclose(f);
        if (!whole || !oct_run_is(sweep_path(s, cell, ""))) continue;
        command[strcspn(command, "\n")] = 0;
        if (strcmp(command, cell->command)) {
            if (s->c->force.set) continue;
            return cli_usage(sweep_path(s, cell, ""), "was made by another command", cell->command,
                             command, "another --out, or --force to make it again");
        }
        cell->done = cell->was_there = true;
        take_scores(cell, numbers);
        cell->seconds = number_of(numbers, "seconds");
    }
    return 0;
}

/* ---- processes ---- */

/* What failed in a process that was to become a cell: errno, and at which file. */
typedef struct failure {
    int why;
    enum { IN, OUT, ERR, PROGRAM } at; /* its streams by their numbers */
} failure;

/* In the new process, between fork and exec, where only what a signal handler may call may be
 * called: its streams, and an end of its own when this process ends, however it does; a run that
 * is being written is saved first, as on every SIGTERM. Back only where something failed. */
static failure become(const sweep *s, char *const argv[], const char *out, const char *err,
                      pid_t parent) {
    enum { WRITE_NEW = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW };
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(128 + SIGTERM); /* it has ended before this was said */
#else
    (void)parent;
#endif
    if (setpgid(0, 0)) /* a group of its own: Ctrl-C comes through the sweep, once */
        return (failure){errno, PROGRAM};
    const char *const files[] = {[IN] = "/dev/null", [OUT] = out, [ERR] = err};
    for (int i = IN; i <= ERR; i++) {
        const int to = open(files[i], i == IN ? O_RDONLY : WRITE_NEW, 0666);
        if (to < 0 || (to != i && dup2(to, i) < 0)) return (failure){errno, i};
        if (to > 2) close(to);
    }
    execve(s->octet, argv, environ);
    return (failure){errno, PROGRAM};
}

/* 0 and its pid; or what failed is told, with the cell and the file: the exit code. */
static int spawn(const sweep *s, sweep_cell *cell, char *const argv[]) {
    int told[2];
    char out[1500], err[1500];
    failure f = {0, PROGRAM};
    snprintf(out, sizeof out, "%s", sweep_path(s, cell, ".out"));
    snprintf(err, sizeof err, "%s", sweep_path(s, cell, ".err"));
    unlink(out);
    unlink(err);
    if (!pipe(told)) {
        for (int i = 0; i < 2; i++) fcntl(told[i], F_SETFD, FD_CLOEXEC);
        const pid_t parent = getpid();
        cell->pid = fork();
        if (!cell->pid) {
            f = become(s, argv, out, err, parent);
            _exit(write(told[1], &f, sizeof f) == (ssize_t)sizeof f ? 127 : 126);
        }
        if (cell->pid < 0) f.why = errno;
        close(told[1]); /* the end of file is the new program's beginning */
        ssize_t got = 0;
        while (cell->pid > 0 && (got = read(told[0], &f, sizeof f)) < 0 && errno == EINTR) continue;
        close(told[0]);
        if (cell->pid > 0 && got > 0) waitpid(cell->pid, NULL, 0);
    } else {
        f.why = errno;
    }
    if (!f.why) return 0;
    const char *const files[] = {
        [IN] = "/dev/null", [OUT] = out, [ERR] = err, [PROGRAM] = s->octet};
    cell->pid = 0;
    fprintf(stderr, "octet: %s: cannot be started: %s: %s\n", sweep_path(s, cell, ""), files[f.at],
            strerror(f.why));
    return 4;
}

static int start(sweep *s, sweep_cell *cell) {
    char threads[16];
    char *argv[SWEEP_WORDS_MAX + 8];
    int n = 0;
    for (; n < cell->argc; n++) argv[n] = cell->argv[n];
    snprintf(threads, sizeof threads, "%d", s->threads);
    const char *const more[] = {"--json", "--quiet", "--threads", threads};
    for (int i = 0; i < 4; i++) argv[n++] = (char *)(uintptr_t)more[i];
    /* a run without a result may be there: cut off between the two, or in the middle of a training;
     * or come while this looks, from a cell that is ending */
    argv[n++] = (char *)(uintptr_t)(!strcmp(cell->method, "ptq") || s->c->force.set ? "--force"
                                                                                    : "--resume");
    argv[n] = NULL;
    cell->seconds = cli_seconds();
    return spawn(s, cell, argv);
}

static bool says(const char *path, const char *words) {
    char line[1000];
    bool any = false;
    FILE *f = place_open(path, 0);
    while (f && !any && fgets(line, sizeof line, f)) any = strstr(line, words) != NULL;
    if (f) fclose(f);
    return any;
}

static int end(sweep *s, sweep_cell *cell, int status) {
    char object[8000];
    cell->pid = 0;
    cell->busy = false;
    cell->seconds = cli_seconds() - cell->seconds;
    cell->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (cell->code) {
        cell->accuracy = cell->loss = NAN;
        /* a cell of a sweep that was killed is still saving: it is waited for */
        cell->busy = cell->code == 4 && says(sweep_path(s, cell, ".err"), "another process");
        if (cell->busy) cell->code = 0;
        return 0;
    }
    int code = last_object(sweep_path(s, cell, ".out"), object, sizeof object);
    if (code) return code;
    take_scores(cell, object);
    code = write_result(s, cell);
    cell->done = !code;
    return code;
}

/* Once: a second signal would end them before they have saved. */
static void stop_all(sweep *s) {
    for (int i = 0; i < s->count && !s->stopped; i++)
        if (s->cell[i].pid) kill(s->cell[i].pid, SIGTERM);
    s->stopped = true;
}

/* Its own children alone: the cells. */
static sweep_cell *wait_one(sweep *s, int *status) {
    for (;;) {
        for (int i = 0; i < s->count; i++)
            if (s->cell[i].pid && waitpid(s->cell[i].pid, status, WNOHANG) == s->cell[i].pid)
                return &s->cell[i];
        if (cli_signal()) stop_all(s);
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
}

/* The next one to start; those that are busy elsewhere come last, half a second apart. */
static sweep_cell *next_cell(sweep *s, int running) {
    sweep_cell *busy = NULL;
    for (int i = 0; i < s->count; i++) {
        sweep_cell *cell = &s->cell[i];
        if (cell->done || cell->code || cell->pid) continue;
        if (!cell->busy) return cell;
        if (!busy) busy = cell;
    }
    if (!busy || running) return NULL;
    nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
    return busy;
}

int sweep_run(sweep *s, void (*each)(sweep *s, const sweep_cell *cell)) {
    int running = 0, code = 0;
    cli_catch_signals();
    for (;;) {
        while (!code && !cli_signal() && running < s->jobs) {
            sweep_cell *cell = next_cell(s, running);
            if (!cell) break;
            code = start(s, cell);
            running += !code;
        }
        if (!running) break;
        int status;
        sweep_cell *cell = wait_one(s, &status);
        const int failed = end(s, cell, status);
        if (!code) code = failed;
        running--;
        if (!cli_signal() && !cell->busy) each(s, cell);
    }
    return cli_signal() ? 128 + cli_signal() : code;
}
