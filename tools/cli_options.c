/* SPDX-License-Identifier: MIT
 * Parsing and the stored options, all from options.def and commands.def. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli_tables.h"

const cli_command cli_commands[COMMANDS] = {
#define COMMAND(NAME, name, function, operands, least, most, needs, text, example)                 \
    {name, operands, needs, text, example, function, least, most},
#include "tools/commands.def"
};

const cli_option cli_options[ROWS] = {
#define OPT(kind, field, name, short_, lo, hi, meta, commands, flags, otherwise, help)             \
    {OPT_##kind, offsetof(cli, field), name, short_, lo, hi, meta, commands, flags, otherwise,     \
     help},
#include "tools/options.def"
};

bool cli_is_needed(int k, int row) {
    const size_t n = strlen(cli_options[row].name);
    for (const char *p = cli_commands[k].needs; *p;) {
        size_t w = strcspn(p, " ");
        if (w == n && !strncmp(p, cli_options[row].name, n)) return true;
        p += w + (p[w] == ' ');
    }
    return false;
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
    if (!digits || errno || (double)v < lo || (double)v > hi)
        return cli_usage(where, "bad value", expected, text, NULL);
    *out = v;
    return 0;
}

static int parse_real(const char *where, const char *text, double lo, double hi, double *out) {
    char expected[80], *end;
    snprintf(expected, sizeof expected, "a number, %g to %g", lo, hi);
    bool plain = *text != 0;
    for (const char *q = text; *q; q++) plain &= (*q >= '0' && *q <= '9') || strchr("+-.eE", *q);
    double v = plain ? strtod(text, &end) : NAN;
    if (!plain || *end || end == text || !(v >= lo && v <= hi))
        return cli_usage(where, "bad value", expected, text, NULL);
    *out = v;
    return 0;
}

void cli_release(cli *c) {
    for (int i = 0; i < ROWS; i++) {
        free(cli_value(c, i)->joined);
        *cli_value(c, i) = (opt_value){0};
    }
}

int cli_take(cli *c, int row, const char *text) {
    opt_value *v = cli_value(c, row);
    char where[64];
    snprintf(where, sizeof where, "--%s", cli_options[row].name);
    if (v->set && cli_options[row].kind == OPT_TEXT && (cli_options[row].flags & MANY)) {
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
    switch (cli_options[row].kind) {
    case OPT_INT:
        return parse_int(where, text, cli_options[row].lo, cli_options[row].hi, &v->i);
    case OPT_REAL:
        return parse_real(where, text, cli_options[row].lo, cli_options[row].hi, &v->d);
    case OPT_TEXT:
        return *text ? 0 : cli_usage(where, "empty value", cli_options[row].meta, NULL, NULL);
    default:
        return 0;
    }
}

/* The options of command k, for getopt_long. */
typedef struct getopt_table {
    struct option longs[ROWS + 1];
    char shorts[2 * ROWS + 2]; /* a leading colon tells a missing value from an unknown option */
} getopt_table;

static void fill(getopt_table *t, int k) {
    int n = 0;
    size_t s = 0;
    t->shorts[s++] = ':';
    for (int i = 0; i < ROWS; i++) {
        if (!(cli_options[i].commands & 1 << k)) continue;
        bool arg = cli_options[i].kind != OPT_FLAG;
        t->longs[n++] = (struct option){cli_options[i].name, arg ? required_argument : no_argument,
                                        NULL, 1000 + i};
        if (!cli_options[i].letter) continue;
        t->shorts[s++] = cli_options[i].letter;
        if (arg) t->shorts[s++] = ':';
    }
    t->shorts[s] = 0;
    t->longs[n] = (struct option){0};
}

/* Row of a short option of command k. */
static int row_of_letter(int k, int letter) {
    int row = 0;
    while (cli_options[row].letter != letter || !(cli_options[row].commands & 1 << k)) row++;
    return row;
}

/* An option that the command has not: another's, or a slip. */
static int unknown_option(int k, const char *given) {
    char word[64], known[1024] = "", got[96];
    snprintf(word, sizeof word, "%.*s", (int)strcspn(given, "="), given);
    const char *name = word + (word[0] == '-') + (word[0] == '-' && word[1] == '-');
    for (int i = 0; i < ROWS; i++) {
        size_t at = strlen(known);
        if (cli_options[i].commands & 1 << k)
            snprintf(known + at, sizeof known - at, "%s, ", cli_options[i].name);
    }
    char others[160] = "";
    for (int i = 0; i < ROWS; i++)
        for (int m = 0; m < COMMANDS && !strcmp(cli_options[i].name, name); m++) {
            size_t at = strlen(others);
            if (cli_options[i].commands & 1 << m)
                snprintf(others + at, sizeof others - at, "%s%s", at ? ", " : "",
                         cli_commands[m].name);
        }
    const char *near = oct_nearest_word(name, known);
    char hint[256];
    if (*others)
        snprintf(hint, sizeof hint, "%s is an option of %s", word, others);
    else if (near)
        snprintf(hint, sizeof hint, "did you mean --%s?", near);
    else
        snprintf(hint, sizeof hint, "octet %s --help lists them", cli_commands[k].name);
    snprintf(got, sizeof got, "%s", word);
    return cli_usage(got, "unknown option", NULL, NULL, hint);
}

/* ---- options in words ---- */

static int running = -1; /* of commands.def: one in a process */

static bool has_option(int k, const char *name, size_t size) {
    for (int i = 0; i < ROWS; i++)
        if (strlen(cli_options[i].name) == size && !strncmp(cli_options[i].name, name, size) &&
            cli_options[i].commands & 1 << k)
            return true;
    return false;
}

const char *cli_foreign_option(const char *text) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz-";
    int of = running;
    for (const char *p = text; running >= 0 && *p; p++) {
        const bool begins = p == text || strchr(" (,:'", p[-1]);
        for (int k = 0; begins && !strncmp(p, "octet ", 6) && k < COMMANDS; k++) {
            const size_t n = strlen(cli_commands[k].name);
            if (!strncmp(p + 6, cli_commands[k].name, n) && !strchr(letters, p[6 + n])) of = k;
        }
        const size_t n = begins && !strncmp(p, "--", 2) ? strspn(p + 2, letters) : 0;
        if (n && !has_option(of, p + 2, n)) return p;
    }
    return NULL;
}

static int command_named(const char *word) {
    char known[256] = "";
    for (int k = 0; k < COMMANDS; k++) {
        if (!strcmp(cli_commands[k].name, word)) return k;
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s, ", cli_commands[k].name);
    }
    /* what other tools call it */
    static const char *const other[][2] = {{"weights", "octet inspect --weights"},
                                           {"quantize", "octet ptq, octet qat or octet convert"},
                                           {"quantise", "octet ptq, octet qat or octet convert"},
                                           {"calibrate", "octet ptq"},
                                           {"finetune", "octet qat"},
                                           {"evaluate", "octet eval"},
                                           {"test", "octet eval"},
                                           {"classify", "octet predict"},
                                           {"infer", "octet run or octet predict"},
                                           {"benchmark", "octet bench"},
                                           {"version", "octet --version"}};
    const char *near = oct_nearest_word(word, known);
    char hint[64];
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (!strcmp(word, other[i][0])) {
            snprintf(hint, sizeof hint, "did you mean %s?", other[i][1]);
            (void)cli_usage("command", "unknown", "one that octet --help lists", word, hint);
            return -1;
        }
    if (near) snprintf(hint, sizeof hint, "did you mean octet %s?", near);
    (void)cli_usage("command", "unknown", "one that octet --help lists", word, near ? hint : NULL);
    return -1;
}

int cli_parse(cli *c, int argc, char **argv, int (**run)(cli *c)) {
    if (argc < 2)
        return cli_usage("command", "missing", "octet COMMAND; octet --help lists them", NULL,
                         NULL);
    const bool help = !strcmp(argv[1], "help");
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || (help && argc < 3))
        return cli_top_help(), 0;
    if (help) { /* octet help train */
        const int of = command_named(argv[2]);
        return of < 0 ? 2 : (cli_command_help(of), 0);
    }
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
        return printf("octet %s\n", OCT_VERSION), 0;
    if (!strcmp(argv[1], "--man")) return cli_man(argc > 2 ? argv[2] : NULL);
    if (!strcmp(argv[1], "--completion")) return cli_completion(argc > 2 ? argv[2] : NULL);
    int k = command_named(argv[1]);
    if (k < 0) return 2;
    c->command = cli_commands[k].name;
    c->index = running = k;

    getopt_table t;
    fill(&t, k);
    opterr = 0;
    optind = 1;
    for (int o; (o = getopt_long(argc - 1, argv + 1, t.shorts, t.longs, NULL)) != -1;) {
        /* of argv + 1: the one just read */
        const char *here = argv[optind < argc ? optind : argc - 1];
        if (o == ':') return cli_usage(here, "option needs a value", NULL, NULL, NULL);
        if (o == '?') {
            char letter[3] = {'-', (char)optopt, 0};
            if (optopt >= 1000) return cli_usage(here, "option takes no value", NULL, NULL, NULL);
            return unknown_option(k, optopt && optopt < 256 ? letter : here);
        }
        int code = cli_take(c, o < 1000 ? row_of_letter(k, o) : o - 1000, optarg ? optarg : "");
        if (code) return code;
    }
    if (c->help.set) return cli_command_help(k), 0;
    if (c->version.set) return printf("octet %s\n", OCT_VERSION), 0;
    c->operands = argv + 1 + optind;
    c->operand_count = argc - 1 - optind;
    *run = cli_commands[k].run;
    return 0;
}

int cli_floats(const char *option, const char *text, float *out, int n) {
    int count = 0;
    char part[64];
    for (const char *p = text;; count++) {
        size_t len = strcspn(p, ",");
        if (count == n || len >= sizeof part)
            return cli_usage(option, "too many numbers", "one per channel", text, NULL), -1;
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
        if (ch == '"' || ch == '\\')
            *p += snprintf(*p, 3, "\\%c", ch);
        else if (ch < 32)
            *p += snprintf(*p, 7, "\\u%04x", ch);
        else
            *(*p)++ = (char)ch;
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
        const opt_value *v = cli_value((cli *)c, i);
        if (!v->set || !(cli_options[i].flags & STORE)) continue;
        p += snprintf(p, 64, ",\"%s\":", cli_options[i].name);
        if (cli_options[i].kind == OPT_INT)
            p += snprintf(p, 64, "%lld", v->i);
        else if (cli_options[i].kind == OPT_REAL)
            p += snprintf(p, 64, "%.17g", v->d);
        else if (cli_options[i].kind == OPT_FLAG)
            p += snprintf(p, 64, "true");
        else {
            *p++ = '"';
            escape(&p, end, v->s);
            *p++ = '"';
        }
    }
    snprintf(p, 2, "}");
    return text;
}
