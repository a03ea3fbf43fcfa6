/* SPDX-License-Identifier: MIT
 * --help: of octet, and of each command what is needed, every option with its default, how data
 * lies, an example. */
#include <string.h>

#include "tools/cli_tables.h"

enum { WIDTH = 100, COLUMN = 28 };

/* "for all|train: for one command|qat: for another" */
const char *cli_text_for(int k, const char *text, size_t *size) {
    const char *all = NULL;
    size_t all_size = 0;
    for (const char *p = text;;) {
        size_t n = strcspn(p, "|");
        bool named = false;
        for (int i = 0; i < COMMANDS; i++) {
            size_t w = strlen(cli_commands[i].name);
            if (strncmp(p, cli_commands[i].name, w) || strncmp(p + w, ": ", 2)) continue;
            named = true;
            if (i == k) return *size = n - w - 2, p + w + 2;
        }
        if (!named && !all) all = p, all_size = n;
        if (!p[n]) break;
        p += n + 1;
    }
    *size = all_size;
    return all ? all : "";
}

/* Words from `column` on, in lines of WIDTH. */
static void wrapped(const char *text, size_t size, int column, int *at) {
    for (size_t i = 0; i < size;) {
        size_t n = strcspn(text + i, " ");
        if (n > size - i) n = size - i;
        if (*at > column && *at + 1 + (int)n > WIDTH) *at = printf("\n%*s", column, "") - 1;
        if (*at > column) *at += printf(" ");
        *at += printf("%.*s", (int)n, text + i);
        for (i += n; i < size && text[i] == ' ';) i++;
    }
}

static void option(int k, int row) {
    const cli_option *o = &cli_options[row];
    size_t size;
    int at = printf("  %c%c%c --%s %s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
                    o->letter ? ',' : ' ', o->name, o->meta);
    if (at >= COLUMN)
        at = printf("\n%*s", COLUMN, "") - 1;
    else
        at += printf("%*s", COLUMN - at, "");
    const char *help = cli_text_for(k, o->help, &size);
    wrapped(help, size, COLUMN, &at);
    const char *otherwise = cli_text_for(k, o->otherwise, &size);
    char shown[200];
    snprintf(shown, sizeof shown, "[%.*s]", (int)size, otherwise);
    if (size) wrapped(shown, strlen(shown), COLUMN, &at);
    printf("\n");
}

static void row_of_two(const char *left, const char *text) {
    int at = printf("  %-*s", COLUMN - 2, left);
    wrapped(text, strlen(text), COLUMN, &at);
    printf("\n");
}

static void help_title(const char *title) { printf("\n%s:\n", title); }

static void specs(const cli_pages *p) {
    const char *layout;
    p->title("SPEC, a data set (DIR and FILE are also looked up under $OCTET_DATA)");
    for (int i = 0; i < 100; i++) {
        const char *spec = oct_data_spec(i, &layout);
        if (!spec) break;
        p->row(spec, layout);
    }
}

/* The words of each enum that a key may have, by its value. */
#define WORDS(name)                                                                                \
    static const char *name##_word(int v) { return oct_##name##_name((oct_##name)v); }
WORDS(switch)
WORDS(granularity)
WORDS(weight_observer)
WORDS(weight_qmin)
WORDS(method)
WORDS(ste)
static const char *none_word(int v) { return (void)v, ""; }

static void rule_keys(const cli_pages *p) {
    static const struct {
        const char *key, *usual, *what;
        const char *(*word)(int);
    } keys[] = {
#define OCT_QKEY(key, field, type, lowest, highest, words, part, usual, what)                      \
    {key, usual, what, words##_word},
#include "qat/rules/qconfig_keys.def"
    };
    p->title(
        "RULE is PATTERN:KEY=VALUE,KEY=VALUE. PATTERN: a layer's name, one with * or ?, "
        "kind=KIND or global.\nFor each key a name wins over a pattern, that over a kind, that "
        "over global; among equals the last.\nKeys [default]");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char text[256];
        snprintf(text, sizeof text, "%s", keys[i].what);
        for (int v = 1; *keys[i].word(v); v++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", v == 1 ? ": " : " ",
                     keys[i].word(v));
        snprintf(text + strlen(text), sizeof text - strlen(text), " [%s]", keys[i].usual);
        p->row(keys[i].key, text);
    }
}

static void columns(const cli_pages *p) {
    static const char *const rows[][2] = {
        {"bits, scheme", "of the output's codes (w8: floats, by weights of 8 bits); the scheme is "
                         "the weights' where there are any"},
        {"scale, zp", "of the output's codes: value = scale * (code - zp)"},
        {"local", "signal to noise in dB of this layer's own rounding and clipping: 20 dB are a "
                  "tenth of noise, 40 dB a hundredth"},
        {"cum", "the same of all rounding up to here: codes of the quantized net against the "
                "float net"},
        {"cosine", "of the angle between those two: 1 is the same direction"},
        {"clip", "share of the float values that lie outside the codes' range"},
        {"dead", "channels whose code is the same for all images"},
        {"us, kernel",
         "microseconds per image in the int8 plan, and what runs it; fused: the layer before does"},
        {"sqnr, accuracy", "with --sweep: of the net's output with this layer quantized alone"}};
    p->title("columns");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) p->row(rows[i][0], rows[i][1]);
}

void cli_more_help(int k, const cli_pages *p) {
    if (k == INDEX_LAYERS) columns(p);
    if (cli_options[ROW_data].commands & 1 << k || k == INDEX_DATA) specs(p);
    if (cli_options[ROW_rules].commands & 1 << k) rule_keys(p);
}

void cli_command_help(int k) {
    const cli_command *c = &cli_commands[k];
    printf("usage: octet %s%s%s", c->name, *c->operands ? " " : "", c->operands);
    for (int i = 0; i < ROWS; i++)
        if (cli_is_needed(k, i)) printf(" --%s %s", cli_options[i].name, cli_options[i].meta);
    printf(" [OPTIONS]\n%s\n", c->text);
    for (int needed = 1; needed >= 0; needed--) {
        if (needed && !*c->needs) continue;
        printf(needed ? "\nneeded:\n" : "\noptions [default]:\n");
        for (int i = 0; i < ROWS; i++)
            if (cli_options[i].commands & 1 << k && cli_is_needed(k, i) == (needed == 1))
                option(k, i);
    }
    cli_more_help(k, &(cli_pages){help_title, row_of_two});
    printf("\nexample:\n  %s\n", c->example);
}

void cli_top_help(void) {
    printf("usage: octet COMMAND [OPTIONS]\n\n");
    for (int i = 0; i < COMMANDS; i++)
        printf("  %-8s %s\n", cli_commands[i].name, cli_commands[i].text);
    printf("\noctet COMMAND --help has what it needs, its options and an example. To begin:\n");
    for (int i = INDEX_TRAIN; i <= INDEX_EVAL; i++)
        if (i != INDEX_PTQ) printf("  %s\n", cli_commands[i].example);
    printf("\nExit codes: 0 ok, 1 failed check, 2 usage, 3 bad input, 4 I/O, 5 memory or limit, 6 "
           "diverged, 7 internal,\n"
           "128+n signal. $OCTET_DATA: a second place to look data up. $OCT_CPU: cap of kernels. "
           "$NO_COLOR: no colour.\n"
           "octet --man [COMMAND]: the manual in roff. octet --completion bash, zsh or fish: to be "
           "sourced.\n");
}
