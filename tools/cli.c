/* SPDX-License-Identifier: MIT
 * Errors, notes, JSON, data, signals: what every command needs. */
#include "tools/cli.h"

#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Bytes of a file name or argument must not reach a terminal as control sequences. */
static void put_clean(FILE *f, const char *s) {
    for (size_t n = 0; *s && n < 500; s++, n++) fputc((unsigned char)*s < 32 || *s == 127 ? '?' : *s, f);
}

int cli_usage(const char *where, const char *what, const char *expected, const char *got, const char *hint) {
    fputs("octet: ", stderr);
    put_clean(stderr, where);
    fputs(": ", stderr);
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
    fprintf(stderr, "octet: %s\n", oct_error_message());
    int code = oct_status_exit_code(s == OCT_OK ? OCT_EINTERNAL : s);
    return code ? code : 7;
}

int cli_status(oct_status s) { return s == OCT_OK ? 0 : cli_failed(); }

void cli_note(const cli *c, const char *format, ...) {
    if (c->quiet.set) return;
    va_list a;
    va_start(a, format);
    vfprintf(stderr, format, a);
    va_end(a);
    fputc('\n', stderr);
}

int cli_need(const char *option, const char *why) { return cli_usage(option, "option is missing", why, NULL, NULL); }

double cli_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- JSON ---- */

static void quoted(FILE *f, const char *s) {
    fputc('"', f);
    for (; *s; s++) {
        unsigned char ch = (unsigned char)*s;
        if (ch == '"' || ch == '\\') fprintf(f, "\\%c", ch);
        else if (ch < 32) fprintf(f, "\\u%04x", ch);
        else fputc(ch, f);
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
    if (isfinite(v)) fprintf(j->f, "%.9g", v);
    else fputs("null", j->f);
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
        if (s->dim[i] == OCT_BATCH) json_number(j, NULL, NAN);
        else json_int(j, NULL, s->dim[i]);
    }
    json_array_end(j);
}

/* ---- signals ---- */

static volatile sig_atomic_t caught;

static void on_signal(int n) {
    if (caught) _exit(128 + n);
    caught = n;
}

void cli_catch_signals(void) {
    struct sigaction a = {.sa_handler = on_signal};
    sigemptyset(&a.sa_mask);
    a.sa_flags = SA_RESTART;
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

int cli_signal(void) { return caught; }
