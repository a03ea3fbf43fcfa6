/* SPDX-License-Identifier: MIT
 * octet sweep: a grid of ptq and qat runs. Each cell is an ordinary run. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/cli_tables.h"
#include "tools/places.h"
#include "tools/sweep.h"

/* ---- axes ---- */

enum { VALUES_MAX = 64 };
typedef struct axis {
    const char *option, *known; /* words that may stand in it; NULL: checked by the runs */
    char *text;                 /* owns the values */
    const char *value[VALUES_MAX];
    int count;
} axis;

/* "a,b,c"; what stands twice would be one run. */
static int split(axis *a, const char *text, const char *otherwise) {
    if (!(a->text = strdup(text ? text : otherwise)))
        return fprintf(stderr, "octet: out of memory\n"), 5;
    for (char *p = a->text, *next; p; p = next) {
        if ((next = strchr(p, ','))) *next++ = 0;
        if (!*p || a->count == VALUES_MAX)
            return cli_usage(a->option, *p ? "too many values" : "empty value",
                             *p ? "at most 64" : "values between commas", text, NULL);
        for (int i = 0; i < a->count; i++)
            if (!strcmp(a->value[i], p))
                return cli_usage(a->option, "value stands twice", "values that differ", p, NULL);
        a->value[a->count++] = p;
    }
    return 0;
}

static bool listed(const char *known, const char *word) {
    const size_t n = strlen(word);
    for (const char *p = known; *p; p += strcspn(p, ", "), p += strspn(p, ", "))
        if (!strncmp(p, word, n) && (!p[n] || p[n] == ',' || p[n] == ' ')) return true;
    return false;
}

static int check_words(const axis *a) {
    for (int i = 0; a->known && i < a->count; i++)
        if (!listed(a->known, a->value[i]))
            return cli_unknown(a->option, "unknown", a->known, a->value[i]);
    return 0;
}

/* ---- cells ---- */

static void word(sweep_cell *cell, const char *text) {
    if (cell->argc < SWEEP_WORDS_MAX - 8) cell->argv[cell->argc++] = strdup(text);
}

static void option(sweep_cell *cell, const char *name, const char *value) {
    char with[80];
    snprintf(with, sizeof with, "--%s", name);
    word(cell, with);
    if (value) word(cell, value);
}

/* conv1+fc3 as rules. */
static void float_rules(sweep_cell *cell) {
    char rule[400], layer[300];
    for (const char *p = cell->floats; *p && strcmp(cell->floats, "none");) {
        const size_t n = strcspn(p, "+");
        snprintf(layer, sizeof layer, "%.*s", (int)n, p);
        snprintf(rule, sizeof rule, "%s:float", layer);
        option(cell, "set", rule);
        p += n + (p[n] == '+');
    }
}

/* Options that were given to the sweep and that the cell's command has. */
static void shared_options(const cli *c, sweep_cell *cell, int command) {
    for (int i = 0; i < ROWS; i++) {
        const opt_value *v = cli_value((cli *)(uintptr_t)c, i);
        if (!v->set || !(cli_options[i].commands & command) || i == ROW_out || i == ROW_force ||
            i == ROW_json || i == ROW_quiet || i == ROW_threads || i == ROW_dry_run)
            continue;
        option(cell, cli_options[i].name, v->s);
    }
}

static void fill(sweep *s, sweep_cell *cell) {
    const bool ptq = !strcmp(cell->method, "ptq");
    size_t at = (size_t)snprintf(cell->name, sizeof cell->name, "%s-%s-%s-w%sa%s", cell->method,
                                 cell->target, cell->observer, cell->wbits, cell->abits);
    if (strcmp(cell->floats, "none"))
        at +=
            (size_t)snprintf(cell->name + at, sizeof cell->name - at, "-float_%.80s", cell->floats);
    snprintf(cell->name + at, sizeof cell->name - at, "-s%s", cell->seed);
    for (char *p = cell->name; *p; p++) /* a file's name, whatever a layer is called */
        if (*p == '/' || (unsigned char)*p < 33 || strchr("*?[]'\"\\$`", *p)) *p = '_';
    word(cell, "octet");
    word(cell, ptq ? "ptq" : "qat");
    word(cell, s->run);
    shared_options(s->c, cell, ptq ? PTQ : QAT);
    if (!ptq) option(cell, "method", cell->method);
    option(cell, "target", cell->target);
    option(cell, "observer", cell->observer);
    option(cell, "wbits", cell->wbits);
    option(cell, "abits", cell->abits);
    float_rules(cell);
    option(cell, "seed", cell->seed);
    option(cell, "out", sweep_path(s, cell, ""));
    for (int i = 0, n = 0; i < cell->argc; i++)
        n += snprintf(cell->command + n, sizeof cell->command - (size_t)n, "%s%s", i ? " " : "",
                      cli_word(cell->argv[i]));
}

enum { METHOD, TARGET, OBSERVER, WBITS, ABITS, FLOATS, SEED, AXES };

static int make_cells(sweep *s, axis a[AXES]) {
    long long count = 1;
    for (int i = 0; i < AXES; i++) count *= a[i].count;
    char got[32];
    snprintf(got, sizeof got, "%lld", count);
    if (count > SWEEP_CELLS_MAX)
        return cli_usage("octet sweep", "too many runs", "at most 4096", got, NULL);
    if (!(s->cell = calloc((size_t)count, sizeof *s->cell)))
        return fprintf(stderr, "octet: out of memory\n"), 5;
    s->count = (int)count;
    s->configs = s->count / a[SEED].count;
    for (int i = 0; i < s->count; i++) {
        sweep_cell *cell = &s->cell[i];
        const char **to[AXES] = {&cell->method, &cell->target, &cell->observer, &cell->wbits,
                                 &cell->abits,  &cell->floats, &cell->seed};
        for (int k = AXES - 1, rest = i; k >= 0; rest /= a[k--].count)
            *to[k] = a[k].value[rest % a[k].count];
        cell->config = i / a[SEED].count;
        fill(s, cell);
        for (int j = 0; j < i; j++)
            if (!strcmp(s->cell[j].name, cell->name))
                return cli_usage("--float", "two choices have one name", "names that differ",
                                 cell->floats, NULL);
    }
    return 0;
}

/* ---- while it runs ---- */

static void cell_json(const sweep *s, const sweep_cell *cell) {
    json j = json_open();
    json_string(&j, "run", sweep_path(s, cell, ""));
    json_string(&j, "method", cell->method);
    json_string(&j, "target", cell->target);
    json_string(&j, "observer", cell->observer);
    json_int(&j, "wbits", atoi(cell->wbits));
    json_int(&j, "abits", atoi(cell->abits));
    json_string(&j, "float", cell->floats);
    json_int(&j, "seed", atoll(cell->seed));
    json_number(&j, "accuracy", cell->accuracy);
    json_number(&j, "loss", cell->loss);
    json_number(&j, "seconds", cell->seconds);
    json_bool(&j, "was_there", cell->was_there);
    json_int(&j, "code", cell->code);
    json_close(&j);
}

/* What a cell that failed said last; or why that cannot be read. */
static void last_words(const char *path, char *line, size_t size) {
    FILE *f = place_open(path, 0);
    char more[1024];
    *line = 0;
    if (!f) snprintf(line, size, "%s: cannot be read: %s", path, strerror(errno));
    for (bool begins = true; f && fgets(more, sizeof more, f); begins = strchr(more, '\n'))
        if (begins) snprintf(line, size, "%s", more);
    if (f) fclose(f);
    line[strcspn(line, "\n")] = 0;
}

static void tell(sweep *s, const sweep_cell *cell) {
    int done = 0;
    for (int i = 0; i < s->count; i++) done += s->cell[i].done || s->cell[i].code;
    if (s->c->bar) fprintf(stderr, "\r\x1b[K");
    if (cell->code) {
        char why[1024];
        last_words(sweep_path(s, cell, ".err"), why, sizeof why);
        cli_print_to(stderr, "octet: %s: exit %d: %s\n", cell->name, cell->code, why);
    } else if (!isnan(cell->accuracy))
        cli_note(s->c, "%d of %d  %s  accuracy %.4f  %.1f s", done, s->count, cell->name,
                 cell->accuracy, cell->seconds);
    else
        cli_note(s->c, "%d of %d  %s  loss %.6g  %.1f s", done, s->count, cell->name, cell->loss,
                 cell->seconds);
    if (s->c->json.set) cell_json(s, cell);
    if (done < s->count) cli_progress(s->c, "sweep", done, s->count);
}

static int plan(const sweep *s) {
    int left = 0;
    for (int i = 0; i < s->count; i++) left += !s->cell[i].done;
    cli_note(s->c, "%d runs in %s, %d at once with %d thread%s each; %d are there", s->count,
             s->dir, s->jobs, s->threads, s->threads > 1 ? "s" : "", s->count - left);
    for (int i = 0; i < s->count && s->c->dry_run.set; i++)
        if (!s->cell[i].done) cli_note(s->c, "%s", s->cell[i].command);
    return left;
}

/* ---- */

static const char *own_path(char *argv0) {
    static char path[4200];
    const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0) return argv0;
    path[n] = 0;
    return path;
}

/* One sweep in a folder at a time; 0, or the exit code behind a message. */
static int take_folder(const sweep *s) {
    char path[1200];
    if (mkdir(s->dir, 0777) && errno != EEXIST)
        return fprintf(stderr, "octet: %s: %s\n", s->dir, strerror(errno)), 4;
    if (oct_run_is(s->dir))
        return cli_usage("--out", "is a run", "a folder for the sweep's runs", s->dir, NULL);
    snprintf(path, sizeof path, "%s/.lock", s->dir);
    const int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0) return fprintf(stderr, "octet: %s: %s\n", path, strerror(errno)), 4;
    if (!flock(fd, LOCK_EX | LOCK_NB)) return 0; /* until the process ends */
    close(fd);
    return fprintf(stderr, "octet: %s: another sweep works here\n", s->dir), 4;
}

static int results(sweep *s, oct_net *net, oct_data *test) {
    int code;
    oct_measured real;
    sweep_config *g = sweep_summarize(s, net, test, &real, &code);
    if (!g) return code;
    if (s->c->json.set)
        sweep_print_json(s, g, &real);
    else
        sweep_print(s, g, &real);
    code = sweep_report(s, g);
    free(g);
    return code;
}

static void next_of(const sweep *s) {
    const char *first = sweep_path(s, &s->cell[0], "");
    cli_next(s->c,
             "runs and report.html in %s; next: octet doctor %s, or octet convert %s --out %s",
             cli_word(s->dir), cli_word(first), cli_word(first), cli_free_name(first, ".oct8"));
}

static int work(sweep *s, oct_net *net, oct_data *test) {
    int code = s->c->dry_run.set ? 0 : take_folder(s);
    if (!code) code = sweep_find_done(s);
    if (code) return code;
    plan(s);
    if (s->c->dry_run.set) return 0;
    for (int i = 0; i < s->count && s->c->json.set; i++)
        if (s->cell[i].done) cell_json(s, &s->cell[i]);
    if ((code = sweep_run(s, tell))) {
        if (code > 128) cli_note(s->c, "octet: stopped; the same command goes on from here");
        return code;
    }
    if ((code = results(s, net, test))) return code;
    for (int i = 0; i < s->count && !code; i++) code = s->cell[i].code;
    if (!code) next_of(s);
    return code;
}

int cmd_sweep(cli *c) {
    axis a[AXES] = {[METHOD] = {"--method", "ptq, ema, lsq, lsq+, pact"},
                    [TARGET] = {"--target"},
                    [OBSERVER] = {"--observer"},
                    [WBITS] = {"--wbits", "2, 3, 4, 5, 6, 7, 8"},
                    [ABITS] = {"--abits", "2, 3, 4, 5, 6, 7, 8"},
                    [FLOATS] = {"--float"},
                    [SEED] = {"--seeds"}};
    const opt_value *given[AXES] = {&c->methods,    &c->targets, &c->observers, &c->wbits_list,
                                    &c->abits_list, &c->floats,  &c->seeds};
    static const char *const usual[AXES] = {"ptq", "octet", "ema", "8", "8", "none", "1"};
    sweep s = {.c = c, .run = c->operands[0], .dir = c->out.s, .octet = own_path("octet")};
    int code = 0;
    oct_net *net = cli_load(c, s.run, true, &code);
    if (!net) return code;
    if (oct_net_stage(net) >= OCT_STAGE_PREPARED)
        return cli_quantized_already(c, s.run, "a float run");
    oct_data *test = cli_data(c, OCT_SPLIT_TEST, net);
    if (!test) return cli_failed();
    for (int i = 0; i < AXES && !code; i++)
        if (!(code = split(&a[i], given[i]->s, usual[i]))) code = check_words(&a[i]);
    s.jobs = c->jobs.set ? (int)c->jobs.i : 1;
    const int cores = c->threads.set ? (int)c->threads.i : oct_ctx_threads(c->ctx);
    s.threads = cores / s.jobs > 0 ? cores / s.jobs : 1;
    if (!code) code = make_cells(&s, a);
    if (!code) code = work(&s, net, test);
    for (int i = 0; i < s.count; i++)
        for (int k = 0; k < s.cell[i].argc; k++) free(s.cell[i].argv[k]);
    for (int i = 0; i < AXES; i++) free(a[i].text);
    free(s.cell);
    return code;
}
