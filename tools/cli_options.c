/* SPDX-License-Identifier: MIT
 * Parsing, --help and the stored options, all from options.def and commands.def. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli.h"

enum { STORE = 1, MANY = 2 };
enum {
#define COMMAND(NAME, name, function, operands, least, most, text) INDEX_##NAME,
#include "tools/commands.def"
    COMMANDS
};
enum {
#define COMMAND(NAME, name, function, operands, least, most, text) NAME = 1 << INDEX_##NAME,
#include "tools/commands.def"
    ALL = ~0
};

static const struct command {
    const char *name, *operands, *text;
    int (*run)(cli *c);
    int least, most;
} commands[] = {
#define COMMAND(NAME, name, function, operands, least, most, text) {name, operands, text, function, least, most},
#include "tools/commands.def"
};

static const struct option_row {
    int kind;
    size_t offset;
    const char *name;
    char letter;
    double lo, hi;
    const char *meta;
    int commands, flags;
    const char *help;
} rows[] = {
#define OPT(kind, field, name, short_, lo, hi, meta, commands, flags, help) {OPT_##kind, offsetof(cli, field), name, short_, lo, hi, meta, commands, flags, help},
#include "tools/options.def"
};
enum { ROWS = sizeof rows / sizeof *rows };

static opt_value *value_of(cli *c, int row) { return (opt_value *)((char *)c + rows[row].offset); }

static void top_help(void) {
    printf("usage: octet COMMAND [OPTIONS]\n\n");
    for (int i = 0; i < COMMANDS; i++) printf("  %-8s %s\n", commands[i].name, commands[i].text);
    printf("\noctet COMMAND --help has the options. Exit codes: 0 ok, 1 failed check, 2 usage, 3 bad input, 4 I/O, 5 memory or\n"
           "limit, 6 diverged, 7 internal, 128+n signal. $OCTET_DATA: a second place to look data up. $OCT_CPU: cap of kernels.\n");
}

static void command_help(int k) {
    printf("usage: octet %s %s%s[OPTIONS]\n%s\n\n", commands[k].name, commands[k].operands, *commands[k].operands ? " " : "", commands[k].text);
    for (int i = 0; i < ROWS; i++) {
        if (!(rows[i].commands & 1 << k)) continue;
        char left[64];
        snprintf(left, sizeof left, "%s%c%s --%s %s", rows[i].letter ? "-" : " ", rows[i].letter ? rows[i].letter : ' ', rows[i].letter ? "," : " ", rows[i].name, rows[i].meta);
        printf("  %-26s %s\n", left, rows[i].help);
    }
}

/* Whole decimal numbers only: no 1e3, no 0x10, no blanks, nothing behind. */
static int parse_int(const char *where, const char *text, double lo, double hi, long long *out) {
    const char *p = text + (*text == '-');
    char expected[80];
    snprintf(expected, sizeof expected, "a whole number, %.0f to %.0f", lo, hi);
    bool digits = *p != 0;
    for (const char *q = p; *q; q++) digits &= *q >= '0' && *q <= '9';
    errno = 0;
    long long v = digits ? strtoll(text, NULL, 10) : 0;
    if (!digits || errno || (double)v < lo || (double)v > hi) return cli_usage(where, "bad value", expected, text, NULL);
    *out = v;
    return 0;
}

static int parse_real(const char *where, const char *text, double lo, double hi, double *out) {
    char expected[80], *end;
    snprintf(expected, sizeof expected, "a number, %g to %g", lo, hi);
    bool plain = *text != 0;
    for (const char *q = text; *q; q++) plain &= (*q >= '0' && *q <= '9') || strchr("+-.eE", *q);
    double v = plain ? strtod(text, &end) : NAN;
    if (!plain || *end || end == text || !(v >= lo && v <= hi)) return cli_usage(where, "bad value", expected, text, NULL);
    *out = v;
    return 0;
}

void cli_release(cli *c) {
    for (int i = 0; i < ROWS; i++) {
        free(value_of(c, i)->joined);
        *value_of(c, i) = (opt_value){0};
    }
}

static int take(cli *c, int row, const char *text) {
    opt_value *v = value_of(c, row);
    char where[64];
    snprintf(where, sizeof where, "--%s", rows[row].name);
    if (v->set && rows[row].kind == OPT_TEXT && (rows[row].flags & MANY)) {
        size_t n = strlen(v->s) + strlen(text) + 2;
        char *joined = malloc(n);
        if (!joined) return fprintf(stderr, "octet: out of memory\n"), 5;
        snprintf(joined, n, "%s,%s", v->s, text);
        free(v->joined);
        v->s = v->joined = joined;
        return 0;
    }
    v->set = true;
    v->s = text;
    switch (rows[row].kind) {
    case OPT_INT: return parse_int(where, text, rows[row].lo, rows[row].hi, &v->i);
    case OPT_REAL: return parse_real(where, text, rows[row].lo, rows[row].hi, &v->d);
    case OPT_TEXT: return *text ? 0 : cli_usage(where, "empty value", rows[row].meta, NULL, NULL);
    default: return 0;
    }
}

int cli_parse(cli *c, int argc, char **argv, int (**run)(cli *c)) {
    if (argc < 2) return cli_usage("command", "missing", "octet COMMAND; octet --help lists them", NULL, NULL);
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) return top_help(), 0;
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) return printf("octet %s\n", OCT_VERSION), 0;
    int k = 0;
    while (k < COMMANDS && strcmp(commands[k].name, argv[1])) k++;
    if (k == COMMANDS) return cli_usage("command", "unknown", "one that octet --help lists", argv[1], NULL);
    c->command = commands[k].name;

    struct option longs[ROWS + 1];
    char shorts[2 * ROWS + 2] = ":"; /* a leading colon tells a missing value from an unknown option */
    int n = 0, which[ROWS];
    size_t s = 1;
    for (int i = 0; i < ROWS; i++) {
        if (!(rows[i].commands & 1 << k)) continue;
        bool arg = rows[i].kind != OPT_FLAG;
        longs[n] = (struct option){rows[i].name, arg ? required_argument : no_argument, NULL, 1000 + i};
        which[n++] = i;
        if (rows[i].letter) {
            shorts[s++] = rows[i].letter;
            if (arg) shorts[s++] = ':';
        }
    }
    shorts[s] = 0;
    longs[n] = (struct option){0};
    opterr = 0;
    optind = 1;
    for (int o; (o = getopt_long(argc - 1, argv + 1, shorts, longs, NULL)) != -1;) {
        const char *here = argv[optind < argc ? optind : argc - 1]; /* of argv + 1: the one just read */
        if (o == ':') return cli_usage(here, "option needs a value", NULL, NULL, NULL);
        if (o == '?') {
            char letter[3] = {'-', (char)optopt, 0};
            return cli_usage(optopt && optopt < 256 ? letter : here, optopt >= 1000 ? "option takes no value" : "unknown option", NULL, NULL, "octet COMMAND --help lists them");
        }
        int row = o - 1000;
        for (int i = 0; o < 1000 && i < n; i++)
            if (rows[which[i]].letter == o) row = which[i];
        int code = take(c, row, optarg ? optarg : "");
        if (code) return code;
    }
    if (c->help.set) return command_help(k), 0;
    if (c->version.set) return printf("octet %s\n", OCT_VERSION), 0;
    c->operands = argv + 1 + optind;
    c->operand_count = argc - 1 - optind;
    if (c->operand_count < commands[k].least) return cli_usage(commands[k].name, "operand is missing", commands[k].operands, NULL, NULL);
    if (c->operand_count > commands[k].most)
        return cli_usage(commands[k].name, "unexpected operand", *commands[k].operands ? commands[k].operands : "none", c->operands[commands[k].most], NULL);
    *run = commands[k].run;
    return 0;
}

int cli_floats(const char *option, const char *text, float *out, int n) {
    int count = 0;
    char part[64];
    for (const char *p = text;; count++) {
        size_t len = strcspn(p, ",");
        if (count == n || len >= sizeof part) return cli_usage(option, "too many numbers", "one per channel", text, NULL), -1;
        memcpy(part, p, len);
        part[len] = 0;
        double v;
        if (parse_real(option, part, -1e6, 1e6, &v)) return -1;
        out[count] = (float)v;
        p += len;
        if (!*p++) return count + 1;
    }
}

static void escape(char **p, const char *end, const char *s) {
    for (; *s && *p + 7 < end; s++) {
        unsigned char ch = (unsigned char)*s;
        if (ch == '"' || ch == '\\') *p += snprintf(*p, 3, "\\%c", ch);
        else if (ch < 32) *p += snprintf(*p, 7, "\\u%04x", ch);
        else *(*p)++ = (char)ch;
    }
}

const char *cli_config_json(const cli *c) {
    static char text[16384];
    char *p = text, *end = text + sizeof text - 256;
    p += snprintf(p, 64, "{\"name\":\"%s\"", c->command);
    for (int i = 0; i < c->operand_count && p < end; i++) {
        p += snprintf(p, 64, ",\"operand%d\":\"", i);
        escape(&p, end, c->operands[i]);
        *p++ = '"';
    }
    for (int i = 0; i < ROWS && p < end; i++) {
        const opt_value *v = value_of((cli *)c, i);
        if (!v->set || !(rows[i].flags & STORE)) continue;
        p += snprintf(p, 64, ",\"%s\":", rows[i].name);
        if (rows[i].kind == OPT_INT) p += snprintf(p, 64, "%lld", v->i);
        else if (rows[i].kind == OPT_REAL) p += snprintf(p, 64, "%.17g", v->d);
        else if (rows[i].kind == OPT_FLAG) p += snprintf(p, 64, "true");
        else {
            *p++ = '"';
            escape(&p, end, v->s);
            *p++ = '"';
        }
    }
    snprintf(p, 2, "}");
    return text;
}
