/* SPDX-License-Identifier: MIT
 * Errors, notes, JSON, data, signals: what every command needs. */
#include "tools/cli.h"

#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <time.h>
#include <unistd.h>

/* Bytes of the character at s; *odd is 0, or what must not reach a terminal as it is: C0, DEL, C1
 * as UTF-8 has it, a byte that is no UTF-8 (C1 elsewhere). */
static size_t character(const unsigned char *s, unsigned *odd) {
    const size_t n = *s < 0x80 ? 1 : *s >= 0xf0 ? 4 : *s >= 0xe0 ? 3 : 2;
    *odd = n == 1 ? (*s < 32 || *s == 127 ? *s : 0u) : *s < 0xc2 || *s > 0xf4 ? *s : 0u;
    for (size_t i = 1; i < n && !*odd; i++)
        if ((s[i] & 0xc0) != 0x80) *odd = *s;
    if (*odd || *s != 0xc2 || s[1] >= 0xa0) return *odd ? 1 : n;
    *odd = s[1];
    return 2;
}

/* Bytes of names must not reach a terminal as control sequences: they become \\xNN. */
static void put_clean(FILE *f, const char *text) {
    unsigned odd;
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        const size_t n = character(s, &odd);
        if (odd)
            fprintf(f, "\\x%02x", odd);
        else
            fwrite(s, 1, n, f);
        s += n;
    }
}

/* The text of a printf without what of it could act on a terminal; newlines at the format's end
 * stay. */
static void print_clean(FILE *f, const char *format, va_list a) {
    char room[1024], shape[512], *text = room;
    size_t n = strlen(format), ends = 0;
    while (ends < n && format[n - 1 - ends] == '\n') ends++;
    snprintf(shape, sizeof shape, "%.*s", (int)(n - ends), format);
    va_list again;
    va_copy(again, a);
    int size = vsnprintf(room, sizeof room, shape, a);
    if (size >= (int)sizeof room && (text = malloc((size_t)size + 1)))
        vsnprintf(text, (size_t)size + 1, shape, again);
    va_end(again);
    put_clean(f, text ? text : room);
    if (text != room) free(text);
    while (ends--) fputc('\n', f);
}

void cli_print(const char *format, ...) {
    va_list a;
    va_start(a, format);
    print_clean(stdout, format, a);
    va_end(a);
}

void cli_print_to(FILE *f, const char *format, ...) {
    va_list a;
    va_start(a, format);
    print_clean(f, format, a);
    va_end(a);
}

void cli_print_line(FILE *f, const char *line) {
    put_clean(f, line);
    fputc('\n', f);
}

int cli_usage(const char *where, const char *what, const char *expected, const char *got,
              const char *hint) {
    fputs("octet: ", stderr);
    put_clean(stderr, where);
    if (*where) fputs(": ", stderr);
    put_clean(stderr, what);
    const char *part[2] = {expected, got}, *word[2] = {"expected ", "got "};
    for (int i = 0, first = 1; i < 2; i++) {
        if (!part[i]) continue;
        fputs(first ? ": " : ", ", stderr);
        fputs(word[i], stderr);
        put_clean(stderr, part[i]);
        first = 0;
    }
    if (hint) {
        fputs(" (", stderr);
        put_clean(stderr, hint);
        fputs(")", stderr);
    }
    fputs("\n", stderr);
    return 2;
}

int cli_failed(void) {
    oct_status s = oct_last_error()->code;
    cli_print_failure();
    int code = oct_status_exit_code(s == OCT_OK ? OCT_EINTERNAL : s);
    return code ? code : 7;
}

int cli_status(oct_status s) { return s == OCT_OK ? 0 : cli_failed(); }

void cli_note(const cli *c, const char *format, ...) {
    if (c->quiet.set) return;
    va_list a;
    va_start(a, format);
    print_clean(stderr, format, a);
    va_end(a);
    fputc('\n', stderr);
}
void cli_note_kernels(const cli *c) {
    if (*c->opened) cli_note(c, "octet: %s", c->opened);
}

void cli_bar(long long done, long long total) {
    int width = 30, full = (int)(done * width / (total > 0 ? total : 1));
    fprintf(stderr, "[%.*s%.*s] %lld/%lld", full, "##############################", width - full,
            "..............................", done, total);
}

const char *cli_left(double seconds) {
    static char text[32];
    const long s = seconds > 0 ? (long)(seconds + 0.5) : 0;
    if (s < 60)
        snprintf(text, sizeof text, "%ld s", s);
    else if (s < 3600)
        snprintf(text, sizeof text, "%ld min %02ld s", s / 60, s % 60);
    else
        snprintf(text, sizeof text, "%ld h %02ld min", s / 3600, s / 60 % 60);
    return text;
}

/* Since when the call that is told of runs: a new one begins where less is done than before. */
static double begun(const char *what, int64_t done) {
    static char name[32];
    static int64_t last;
    static double at;
    if (strcmp(name, what) || done < last) {
        snprintf(name, sizeof name, "%s", what);
        at = cli_seconds();
    }
    last = done;
    return at;
}

int cli_progress(void *user, const char *what, int64_t done, int64_t total) {
    enum { TOLD = 2 };    /* seconds from which on time is worth a word */
    static int64_t drawn; /* per cent */
    const cli *c = user;
    if (c->progress_of && strcmp(c->progress_of, what)) return cli_signal();
    const double now = cli_seconds(), taken = now - begun(what, done);
    const bool end = done == total;
    const int64_t cent = done * 100 / (total > 0 ? total : 1);
    if (c->bar && (end || !done || cent != drawn || taken > TOLD)) {
        drawn = cent;
        fprintf(stderr, "\r%s%s%s ", c->color ? "\x1b[1m" : "", what, c->color ? "\x1b[0m" : "");
        cli_bar(done, total);
        if (taken > TOLD && done > 0)
            fprintf(stderr, " %s left ", cli_left(taken * (double)(total - done) / (double)done));
        if (end) fprintf(stderr, "\r\x1b[K");
    }
    /* scores are told by their commands: of the call itself a word where it took long */
    if (end && (taken > TOLD || strcmp(what, "evaluate")))
        cli_note(c, "%s: %lld of %lld done", what, (long long)done, (long long)total);
    return cli_signal();
}

const char *cli_word(const char *s) {
    static char room[8][600];
    static int turn;
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+/:,=@%";
    if (*s && !s[strspn(s, plain)]) return s;
    char *d = room[turn++ % 8], *p = d, *end = d + sizeof room[0] - 8;
    for (*p++ = '\''; *s && p < end; s++) {
        if (*s == '\'')
            p += snprintf(p, 5, "'\\''");
        else
            *p++ = *s;
    }
    memcpy(p, "'", 2);
    return d;
}

void cli_next(const cli *c, const char *format, ...) {
    if (c->quiet.set || c->json.set) return;
    va_list a;
    va_start(a, format);
    fputs("octet: ", stderr);
    print_clean(stderr, format, a);
    va_end(a);
    fputc('\n', stderr);
}

double cli_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- JSON ---- */

static void quoted(FILE *f, const char *text) {
    unsigned odd;
    fputc('"', f);
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        const size_t n = character(s, &odd);
        if (odd)
            fprintf(f, "\\u%04x", odd);
        else
            fprintf(f, *s == '"' || *s == '\\' ? "\\%.*s" : "%.*s", (int)n, (const char *)s);
        s += n;
    }
    fputc('"', f);
}

static void begin(json *j, const char *key) {
    if (j->more) fputc(',', j->f);
    j->more = true;
    if (!key) return;
    quoted(j->f, key);
    fputc(':', j->f);
}

json json_open(void) {
    fputc('{', stdout);
    return (json){stdout, false};
}
void json_close(json *j) {
    fputs("}\n", j->f);
    fflush(j->f);
}
void json_string(json *j, const char *key, const char *v) {
    begin(j, key);
    quoted(j->f, v);
}
void json_number(json *j, const char *key, double v) {
    begin(j, key);
    if (isfinite(v))
        fprintf(j->f, "%.9g", v);
    else
        fputs("null", j->f);
}
void json_int(json *j, const char *key, long long v) {
    begin(j, key);
    fprintf(j->f, "%lld", v);
}
void json_bool(json *j, const char *key, bool v) {
    begin(j, key);
    fputs(v ? "true" : "false", j->f);
}
void json_array(json *j, const char *key) {
    begin(j, key);
    fputc('[', j->f);
    j->more = false;
}
void json_array_end(json *j) {
    fputc(']', j->f);
    j->more = true;
}
void json_item(json *j) {
    begin(j, NULL);
    fputc('{', j->f);
    j->more = false;
}
void json_item_end(json *j) {
    fputc('}', j->f);
    j->more = true;
}

void json_shape(json *j, const char *key, const oct_shape *s) {
    json_array(j, key);
    for (int32_t i = 0; i < s->rank; i++) {
        if (s->dim[i] == OCT_BATCH)
            json_number(j, NULL, NAN);
        else
            json_int(j, NULL, s->dim[i]);
    }
    json_array_end(j);
}

/* ---- signals ---- */

static volatile sig_atomic_t caught;
static pid_t ends_with; /* the parent, where this process was told to end when it does */

/* The second ends without saving. The death of a parent is one signal, though Linux sends it for
 * each thread that the parent had. */
static void on_signal(int n, siginfo_t *info, void *context) {
    (void)context;
    if (caught && (!ends_with || info->si_pid != ends_with)) _exit(128 + n);
    caught = n;
}

void cli_catch_signals(void) {
    struct sigaction a = {.sa_sigaction = on_signal};
    sigemptyset(&a.sa_mask);
    a.sa_flags = SA_RESTART | SA_SIGINFO;
#ifdef __linux__
    int with_parent = 0;
    if (!prctl(PR_GET_PDEATHSIG, &with_parent) && with_parent) ends_with = getppid();
#endif
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

int cli_signal(void) { return caught; }
