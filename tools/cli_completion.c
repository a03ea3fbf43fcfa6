/* SPDX-License-Identifier: MIT
 * Completion for bash, zsh and fish, from the tables that --help is made of: commands, their
 * options, and the words of options whose help is a list of words. */
#include <string.h>

#include "tools/cli_tables.h"

/* The words of a list, "a, b or c", behind those that are there; how many there are then: as before
 * where it is no list of words. */
static int take_list(char *words, size_t size, int count, const char *list, size_t n) {
    const size_t before = strlen(words);
    size_t at = before;
    int more = 0;
    for (size_t i = 0; i < n; more++) {
        const size_t from = at;
        if (at && at + 1 < size) words[at++] = ' ';
        for (; i < n && (strchr("+-", list[i]) || (list[i] >= 'a' && list[i] <= 'z') ||
                         (list[i] >= '0' && list[i] <= '9'));
             i++)
            if (at + 1 < size) words[at++] = list[i];
        const bool comma = i + 2 < n && !strncmp(list + i, ", ", 2),
                   either = i + 4 < n && !strncmp(list + i, " or ", 4);
        if (at <= from + (from > 0) || (i < n && !comma && !either)) {
            words[before] = 0;
            return count;
        }
        i += comma ? 2 : either ? 4 : 0;
    }
    words[at] = 0;
    return count + more;
}

/* Of "what it is: a, b: more of it" the list; where there is none, the one word before a colon. */
static int words_of_part(char *words, size_t size, int count, const char *part, size_t n) {
    for (int least = 2; least; least--) {
        size_t from = 0;
        while (from < n) {
            const char *colon = strstr(part + from, ": ");
            const size_t to = colon && colon < part + n ? (size_t)(colon - part) : n,
                         before = strlen(words);
            const int now = take_list(words, size, count, part + from, to - from);
            if (now >= count + least && (least > 1 || (!from && to < n))) return now;
            words[before] = 0;
            from = to + 2;
        }
    }
    return count;
}

/* The words that an option takes, of its help: of "a, b; c, d: what these are", of "what it is: a,
 * b", remarks in brackets left out. "": no such words, or one alone. */
static const char *words_of(int k, int row) {
    static char words[400];
    char text[600];
    size_t size, n = 0;
    int count = 0, depth = 0;
    const char *help = cli_text_for(k, cli_options[row].help, &size);
    *words = 0;
    if (cli_options[row].kind != OPT_TEXT) return "";
    for (size_t i = 0; i < size && n + 1 < sizeof text; i++) {
        depth += help[i] == '(';
        if (!depth && !(help[i] == ' ' && i + 1 < size && help[i + 1] == '(')) text[n++] = help[i];
        depth -= help[i] == ')';
    }
    text[n] = 0;
    for (const char *part = text; *part;) {
        const char *end = strstr(part, "; ");
        const size_t whole = end ? (size_t)(end - part) : strlen(part);
        count = words_of_part(words, sizeof words, count, part, whole);
        part += whole + (end ? 2 : 0);
    }
    return count > 1 ? words : "";
}

/* Behind what a list of words says, nothing is left to be read "below". */
static const char *text_of(int k, int row, size_t *size) {
    static const char below[] = ": see below";
    const char *help = cli_text_for(k, cli_options[row].help, size);
    const size_t n = sizeof below - 1;
    if (*size > n && !strncmp(help + *size - n, below, n)) *size -= n;
    return help;
}

/* "idx:" of "idx:DIR"; NULL behind the last. */
static const char *spec_word(int i, int *size) {
    const char *spec = oct_data_spec(i, NULL);
    if (spec) *size = (int)(strcspn(spec, ":") + (strchr(spec, ':') != NULL));
    return spec;
}

/* The i-th word of a command whose first operand is one of some ("check|stats SPEC": then the
 * second one is a data set); NULL behind the last, and of other commands. */
static const char *operand_word(int k, int i, int *size) {
    const char *o = cli_commands[k].operands;
    const size_t n = strcspn(o, " ");
    if (!memchr(o, '|', n)) return NULL;
    for (const char *at = o; at < o + n; at += *size + 1) {
        *size = (int)strcspn(at, "| ");
        if (!i--) return at;
    }
    return NULL;
}

static bool is_number(int row) {
    return cli_options[row].kind == OPT_INT || cli_options[row].kind == OPT_REAL;
}

static void put_specs(const char *between) {
    int size;
    const char *spec;
    for (int i = 0; (spec = spec_word(i, &size)); i++)
        printf("%s%.*s", i ? between : "", size, spec);
}

static void put_operand_words(int k) {
    int size;
    const char *word;
    for (int i = 0; (word = operand_word(k, i, &size)); i++)
        printf("%s%.*s", i ? " " : "", size, word);
}

static bool has_operand_words(int k) { return operand_word(k, 0, &(int){0}); }

static bool has(int k, int row) { return cli_options[row].commands & 1 << k; }

/* ---- bash ---- */

static void bash_values(int k) {
    for (int i = 0; i < ROWS; i++) {
        const char *words = has(k, i) ? words_of(k, i) : "";
        if (*words)
            printf("    '%s --%s') words='%s' ;;\n", cli_commands[k].name, cli_options[i].name,
                   words);
    }
}

static void bash_operands(int k) {
    int size;
    const char *word, *name = cli_commands[k].name;
    if (!has_operand_words(k)) return;
    for (int i = 0; (word = operand_word(k, i, &size)); i++)
        printf("%s'%s %.*s'", i ? " | " : "    ", name, size, word);
    printf(") words='");
    put_specs(" ");
    printf("' ;;\n    '%s %s') words='", name, name);
    put_operand_words(k);
    printf("' ;;\n");
}

static void bash(void) {
    printf("# bash completion of octet %s, made by octet --completion bash\n"
           "_octet() {\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} "
           "command=${COMP_WORDS[1]} words=\n"
           "    COMPREPLY=()\n"
           "    if [ \"$COMP_CWORD\" = 1 ]; then\n"
           "        COMPREPLY=($(compgen -W '",
           OCT_VERSION);
    for (int k = 0; k < COMMANDS; k++) printf("%s ", cli_commands[k].name);
    printf("--help --version --man --completion' -- \"$cur\"))\n        return\n    fi\n"
           "    case \"$command $prev\" in\n");
    for (int k = 0; k < COMMANDS; k++) bash_values(k);
    printf("    *' --data' | *' -d') words='");
    put_specs(" ");
    printf("' ;;\n    '--man '*) words='");
    for (int k = 0; k < COMMANDS; k++) printf("%s%s", k ? " " : "", cli_commands[k].name);
    printf("' ;;\n    '--completion '*) words='bash zsh fish' ;;\n");
    for (int k = 0; k < COMMANDS; k++) bash_operands(k);
    printf("    esac\n"
           "    if [ -n \"$words\" ]; then\n"
           "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
           "        [[ ${COMPREPLY[0]} == *: ]] && compopt -o nospace\n"
           "        return\n    fi\n"
           "    case $cur in\n    -*)\n        case $command in\n");
    for (int k = 0; k < COMMANDS; k++) {
        printf("        %s) words='", cli_commands[k].name);
        for (int i = 0; i < ROWS; i++)
            if (has(k, i)) printf("--%s ", cli_options[i].name);
        printf("' ;;\n");
    }
    printf(
        "        esac\n        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n    esac\n}\n"
        "complete -o default -o bashdefault -F _octet octet\n");
}

/* ---- zsh ---- */

/* Inside single quotes and a specification of _arguments. */
static void zsh_text(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\'')
            fputs("'\\''", stdout);
        else if (strchr("[]:\\", text[i]))
            printf("\\%c", text[i]);
        else
            putchar(text[i]);
    }
}

static void zsh_value(int row, const char *words) {
    if (row == ROW_data)
        printf(":_octet_spec");
    else if (*words && row == ROW_model)
        printf(":{_values model %s; _files}", words);
    else if (*words)
        printf(":(%s)", words);
    else
        printf(is_number(row) ? ": " : ":_files");
}

static void zsh_option(int k, int row) {
    const cli_option *o = &cli_options[row];
    size_t size;
    const char *help = text_of(k, row, &size), *words = words_of(k, row);
    const bool value = o->kind != OPT_FLAG, many = o->flags & MANY;
    if (o->letter)
        printf("            %s'{-%c,--%s%s}'[", many ? "'*" : "'", o->letter, o->name,
               value ? "=" : "");
    else
        printf("            %s--%s%s[", many ? "'*" : "'", o->name, value ? "=" : "");
    zsh_text(help, size);
    putchar(']');
    if (value) {
        putchar(':');
        zsh_text(o->meta, strlen(o->meta));
        zsh_value(row, words);
    }
    printf("' \\\n");
}

/* What is typed behind a command's options. */
static void zsh_operands(int k) {
    if (!has_operand_words(k)) {
        printf("            '*:operand:_files' ;;\n");
        return;
    }
    printf("            '1:operand:(");
    put_operand_words(k);
    printf(")' '2:data set:_octet_spec' ;;\n");
}

static void zsh(void) {
    printf("#compdef octet\n# zsh completion of octet %s, made by octet --completion zsh\n"
           "_octet_spec() {\n    if compset -P '[a-z0-9-]#:'; then\n        _files\n    else\n"
           "        compadd -S '' -- ",
           OCT_VERSION);
    put_specs(" ");
    printf("\n    fi\n}\n_octet() {\n    local -a commands\n    commands=(\n");
    for (int k = 0; k < COMMANDS; k++) {
        printf("        '%s:", cli_commands[k].name);
        zsh_text(cli_commands[k].text, strlen(cli_commands[k].text));
        printf("'\n");
    }
    printf("    )\n    if (( CURRENT == 2 )); then\n        _describe command commands\n"
           "        return\n    fi\n    local command=$words[2]\n    shift words\n"
           "    (( CURRENT-- ))\n    case $command in\n");
    for (int k = 0; k < COMMANDS; k++) {
        printf("    %s)\n        _arguments \\\n", cli_commands[k].name);
        for (int i = 0; i < ROWS; i++)
            if (has(k, i)) zsh_option(k, i);
        zsh_operands(k);
    }
    /* read by name for the first completion, or by hand before it */
    printf("    esac\n}\n"
           "(( $+functions[compdef] )) && [[ $funcstack[1] != _octet ]] && compdef _octet octet\n"
           "[[ $funcstack[1] != _octet ]] || _octet \"$@\"\n");
}

/* ---- fish ---- */

static void fish_text(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\'' || text[i] == '\\') putchar('\\');
        putchar(text[i]);
    }
}

static void fish_option(int k, int row) {
    const cli_option *o = &cli_options[row];
    size_t size;
    const char *help = text_of(k, row, &size), *words = words_of(k, row);
    const bool files = !*words && !is_number(row);
    printf("complete -c octet -n '__octet_is %s' -l %s", cli_commands[k].name, o->name);
    if (o->letter) printf(" -s %c", o->letter);
    if (o->kind != OPT_FLAG) printf(files || row == ROW_model ? " -r" : " -x");
    if (*words || row == ROW_data) printf(" -a '");
    if (row == ROW_data)
        put_specs(" ");
    else
        fputs(words, stdout);
    printf(*words || row == ROW_data ? "' -d '" : " -d '");
    fish_text(help, size);
    printf("'\n");
}

static void fish_operands(int k) {
    const char *name = cli_commands[k].name;
    if (!has_operand_words(k)) return;
    printf("complete -c octet -f -n '__octet_is %s; and not __octet_has ", name);
    put_operand_words(k);
    printf("' -a '");
    put_operand_words(k);
    printf("'\ncomplete -c octet -n '__octet_is %s; and __octet_has ", name);
    put_operand_words(k);
    printf("' -a '");
    put_specs(" ");
    printf("'\n");
}

static void fish(void) {
    printf("# fish completion of octet %s, made by octet --completion fish\n"
           "function __octet_is # is the command this one?\n"
           "    set -l words (commandline -opc)\n"
           "    test (count $words) -gt 1; and test $words[2] = $argv[1]\nend\n"
           "function __octet_has # is one of these typed?\n"
           "    set -l words (commandline -opc)\n"
           "    for w in $argv\n        contains -- $w $words[3..-1]; and return 0\n    end\n"
           "    return 1\nend\n",
           OCT_VERSION);
    for (int k = 0; k < COMMANDS; k++) {
        printf("complete -c octet -f -n __fish_use_subcommand -a %s -d '", cli_commands[k].name);
        fish_text(cli_commands[k].text, strlen(cli_commands[k].text));
        printf("'\n");
    }
    for (int k = 0; k < COMMANDS; k++) {
        fish_operands(k);
        for (int i = 0; i < ROWS; i++)
            if (has(k, i)) fish_option(k, i);
    }
}

int cli_completion(const char *shell) {
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (size_t i = 0; shell && i < sizeof shells / sizeof *shells; i++)
        if (!strcmp(shells[i].name, shell)) return shells[i].print(), 0;
    if (!shell)
        return cli_usage("--completion", "shell is missing", "bash, zsh or fish", NULL, NULL);
    return cli_unknown("--completion", "unknown shell", "bash, zsh or fish", shell);
}
