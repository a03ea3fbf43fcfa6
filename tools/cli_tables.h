/* SPDX-License-Identifier: MIT
 * tools/cli_tables.h - commands.def and options.def as tables: for the parser, the help and the
 * stored options. */
#ifndef OCT_TOOLS_CLI_TABLES_H
#define OCT_TOOLS_CLI_TABLES_H

#include <stddef.h>

#include "tools/cli.h"

enum { STORE = 1, MANY = 2 };
enum {
#define COMMAND(NAME, name, function, operands, least, most, needs, text, example) INDEX_##NAME,
#include "tools/commands.def"
    COMMANDS
};
enum {
#define COMMAND(NAME, name, function, operands, least, most, needs, text, example)                 \
    NAME = 1 << INDEX_##NAME,
#include "tools/commands.def"
    ALL = (1 << COMMANDS) - 1
};
enum {
#define OPT(kind, field, name, short_, lo, hi, meta, commands, flags, otherwise, help) ROW_##field,
#include "tools/options.def"
    ROWS
};

typedef struct cli_command {
    const char *name, *operands, *needs, *text, *example;
    int (*run)(cli *c);
    int least, most;
} cli_command;
extern const cli_command cli_commands[COMMANDS];

typedef struct cli_option {
    int kind;
    size_t offset;
    const char *name;
    char letter;
    double lo, hi;
    const char *meta;
    int commands, flags;
    const char *otherwise, *help;
} cli_option;
extern const cli_option cli_options[ROWS];

static inline opt_value *cli_value(cli *c, int row) {
    return (opt_value *)((char *)c + cli_options[row].offset);
}
/** The first option in a text ("--resume goes on") that the command it is said of has not: the one
 *  named before it ("octet train --lr X"), else the one that runs; NULL: none. */
const char *cli_foreign_option(const char *text);
/** Is a row's option one of those that command k cannot do without? */
bool cli_is_needed(int k, int row);
/** A row's value from text: 0, or the exit code behind a message. */
int cli_take(cli *c, int row, const char *text);

/** Of a table's text ("for all|train: for one command") what command k has: *size bytes. */
const char *cli_text_for(int k, const char *text, size_t *size);
/** What stands behind the options of command k's help: titles, and rows below them. */
typedef struct cli_pages {
    void (*title)(const char *title);
    void (*row)(const char *left, const char *text);
} cli_pages;
void cli_more_help(int k, const cli_pages *p);

/** octet --man [COMMAND]: a manual page in roff, of octet or of one command. */
int cli_man(const char *command);
/** octet --completion SHELL: bash, zsh or fish. */
int cli_completion(const char *shell);
void cli_top_help(void);
void cli_command_help(int k);

#endif
