/* SPDX-License-Identifier: MIT
 * Manual pages in roff (man macros), from the tables that --help is made of. */
#include <string.h>

#include "tools/cli_tables.h"

/* Of the version's pages; not of the build, which must give the same bytes every time. */
static const char DATE[] = "2026-11-28";

/* Text that no formatter takes for a request: backslashes, hyphens, quotes, and what would begin a
 * line. */
static void put(const char *text, size_t size) {
    bool fresh = true;
    for (size_t i = 0; i < size; i++) {
        const char c = text[i];
        if (fresh && (c == '.' || c == '\'')) fputs("\\&", stdout);
        if (c == '\\')
            fputs("\\e", stdout);
        else if (c == '-')
            fputs("\\-", stdout);
        else if (c == '\'')
            fputs("\\(aq", stdout);
        else if (c == '"')
            fputs("\\(dq", stdout);
        else if (c == '^')
            fputs("\\(ha", stdout);
        else if (c == '~')
            fputs("\\(ti", stdout);
        else
            putchar(c == '\n' ? ' ' : c);
        fresh = false;
    }
}

static void text(const char *s) { put(s, strlen(s)); }

static void line(const char *s) {
    text(s);
    putchar('\n');
}

static void begin(const char *name, const char *what) {
    char upper[40];
    size_t n = 0;
    for (; name[n] && n < sizeof upper - 1; n++)
        upper[n] = (char)(name[n] >= 'a' && name[n] <= 'z' ? name[n] - 32 : name[n]);
    upper[n] = 0;
    printf(".TH %s 1 %s \"octet %s\" \"User Commands\"\n.SH NAME\n", upper, DATE, OCT_VERSION);
    text(name);
    fputs(" \\- ", stdout);
    line(what);
}

/* .TP, a tag in bold with its value's name in italics. */
static void option(int k, int row) {
    const cli_option *o = &cli_options[row];
    size_t size;
    printf(".TP\n\\fB");
    if (o->letter) printf("\\-%c\\fR, \\fB", o->letter);
    printf("\\-\\-");
    text(o->name);
    printf("\\fR");
    if (*o->meta) {
        printf(" \\fI");
        text(o->meta);
        printf("\\fR");
    }
    putchar('\n');
    const char *help = cli_text_for(k, o->help, &size);
    put(help, size);
    const char *otherwise = cli_text_for(k, o->otherwise, &size);
    if (size) {
        fputs(" [", stdout);
        put(otherwise, size);
        putchar(']');
    }
    putchar('\n');
}

static void title(const char *s) {
    printf(".PP\n");
    text(s);
    printf(":\n");
}

static void row(const char *left, const char *what) {
    printf(".TP\n\\fB");
    text(left);
    printf("\\fR\n");
    line(what);
}

static void endings(void) {
    static const char *const codes[][2] = {
        {"0", "all went well"},
        {"1", "a check failed: codes that differ, a cause of lost accuracy, data that harms"},
        {"2", "usage"},
        {"3", "bad input"},
        {"4", "a file or stream that cannot be read or written"},
        {"5", "memory, or a limit"},
        {"6", "training diverged"},
        {"7", "an error of octet itself"},
        {"128+n", "ended by signal n; what can be saved was"}};
    static const char *const variables[][2] = {
        {"OCTET_DATA", "a second place where data sets are looked up"},
        {"OCT_CPU",
         "caps the kernels: ref, avx2, avxvnni, avx512, avx512vnni, amx, neon, neondot, "
         "neoni8mm. Where that leaves amx and the CPU has it, the command asks for its tiles"},
        {"NO_COLOR", "no colors on a terminal"}};
    printf(".SH EXIT STATUS\n");
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) row(codes[i][0], codes[i][1]);
    printf(".SH ENVIRONMENT\n");
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        row(variables[i][0], variables[i][1]);
}

static void example(const char *command) {
    printf(".nf\n");
    line(command);
    printf(".fi\n");
}

static void page_of(int k) {
    const cli_command *c = &cli_commands[k];
    char name[40];
    snprintf(name, sizeof name, "octet-%s", c->name);
    begin(name, c->text);
    printf(".SH SYNOPSIS\n\\fBoctet %s\\fR", c->name);
    if (*c->operands) {
        printf(" \\fI");
        text(c->operands);
        printf("\\fR");
    }
    for (int i = 0; i < ROWS; i++) {
        if (!cli_is_needed(k, i)) continue;
        printf(" \\fB\\-\\-");
        text(cli_options[i].name);
        printf("\\fR \\fI");
        text(cli_options[i].meta);
        printf("\\fR");
    }
    printf(" [\\fIOPTIONS\\fR]\n.SH OPTIONS\nDefaults stand in brackets.\n");
    for (int needed = 1; needed >= 0; needed--)
        for (int i = 0; i < ROWS; i++)
            if (cli_options[i].commands & 1 << k && cli_is_needed(k, i) == (needed == 1))
                option(k, i);
    printf(".SH WORDS\nResults go to standard output, all else to standard error.\n");
    cli_more_help(k, &(cli_pages){title, row});
    printf(".SH EXAMPLES\n");
    example(c->example);
    endings();
    printf(".SH SEE ALSO\n.BR octet (1)\n");
}

static void page_of_all(void) {
    begin("octet", "train small nets, quantize them, and run them as int8");
    printf(".SH SYNOPSIS\n\\fBoctet\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]\n.SH DESCRIPTION\n");
    line(
        "octet trains small convolutional nets, makes them quantization-aware, and turns them into "
        "int8 models whose every output code is the one that training saw.");
    printf(".PP\n");
    line("Each command has a page of its own, and octet COMMAND --help the same in short.");
    printf(".SH COMMANDS\n");
    for (int i = 0; i < COMMANDS; i++) row(cli_commands[i].name, cli_commands[i].text);
    printf(".SH OPTIONS\n");
    row("--help", "the commands; behind a command, its options");
    row("--version", "the version");
    row("--man [COMMAND]", "this page, or a command's, in roff");
    row("--completion SHELL", "completion for bash, zsh or fish, to be sourced by it");
    printf(".SH EXAMPLES\n");
    for (int i = INDEX_TRAIN; i <= INDEX_EVAL; i++) example(cli_commands[i].example);
    endings();
    printf(".SH SEE ALSO\n");
    for (int i = 0; i < COMMANDS; i++)
        printf(".BR octet\\-%s (1)%s\n", cli_commands[i].name, i + 1 < COMMANDS ? "," : "");
}

int cli_man(const char *command) {
    int k = 0;
    if (!command) return page_of_all(), 0;
    while (k < COMMANDS && strcmp(cli_commands[k].name, command)) k++;
    if (k == COMMANDS)
        return cli_usage("--man", "unknown command", "one that octet --help lists", command, NULL);
    page_of(k);
    return 0;
}
