/* SPDX-License-Identifier: MIT
 * Completion for bash, zsh and fish, from the tables that --help is made of: commands, their
 * options, and the words of options whose help is a list of words. */
#include <string.h>

#include "tools/cli_tables.h"

/* "sgd, adam, adamw" as "sgd adam adamw": of a help that is such a list and nothing else; else
 * "". */
static const char *words_of(int k, int row) {
    static char words[400];
    size_t size, n = 0;
    const char *help = cli_text_for(k, cli_options[row].help, &size);
    int count = 1;
    *words = 0;
    if (cli_options[row].kind != OPT_TEXT || size >= sizeof words) return "";
    for (size_t i = 0; i < size; i++) {
        const char c = help[i];
        if (c == ',' && i + 1 < size && help[i + 1] == ' ') {
            words[n++] = ' ';
            count++;
            i++;
        } else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-')
            words[n++] = c;
        else
            return "";
    }
    words[n] = 0;
    return count > 1 ? words : "";
}

static bool has(int k, int row) { return cli_options[row].commands & 1 << k; }

/* ---- bash ---- */

static void bash_specs(void) {
    for (int i = 0; i < 100; i++) {
        const char *spec = oct_data_spec(i, NULL);
        if (!spec) break;
        const size_t word = strcspn(spec, ":") + (strchr(spec, ':') != NULL);
        printf("%s%.*s", i ? " " : "", (int)word, spec);
    }
}

static void bash_values(int k) {
    for (int i = 0; i < ROWS; i++) {
        const char *words = has(k, i) ? words_of(k, i) : "";
        if (*words)
            printf("    '%s --%s') words='%s' ;;\n", cli_commands[k].name, cli_options[i].name,
                   words);
    }
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
    bash_specs();
    printf("' ;;\n    '--man '*) words='");
    for (int k = 0; k < COMMANDS; k++) printf("%s%s", k ? " " : "", cli_commands[k].name);
    printf("' ;;\n    '--completion '*) words='bash zsh fish' ;;\n    esac\n"
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

static void zsh_option(int k, int row) {
    const cli_option *o = &cli_options[row];
    size_t size;
    const char *help = cli_text_for(k, o->help, &size), *words = words_of(k, row);
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
        if (*words)
            printf(":(%s)", words);
        else
            printf(":_files");
    }
    printf("' \\\n");
}

static void zsh(void) {
    printf("#compdef octet\n# zsh completion of octet %s, made by octet --completion zsh\n"
           "_octet() {\n    local -a commands\n    commands=(\n",
           OCT_VERSION);
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
        printf("            '*:operand:_files' ;;\n");
    }
    printf("    esac\n}\ncompdef _octet octet\n");
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
    const char *help = cli_text_for(k, o->help, &size), *words = words_of(k, row);
    printf("complete -c octet -n '__fish_seen_subcommand_from %s' -l %s", cli_commands[k].name,
           o->name);
    if (o->letter) printf(" -s %c", o->letter);
    if (o->kind != OPT_FLAG) printf(*words ? " -x" : " -r");
    if (*words) printf(" -a '%s'", words);
    printf(" -d '");
    fish_text(help, size);
    printf("'\n");
}

static void fish(void) {
    printf("# fish completion of octet %s, made by octet --completion fish\n", OCT_VERSION);
    for (int k = 0; k < COMMANDS; k++) {
        printf("complete -c octet -n __fish_use_subcommand -a %s -d '", cli_commands[k].name);
        fish_text(cli_commands[k].text, strlen(cli_commands[k].text));
        printf("'\n");
    }
    for (int k = 0; k < COMMANDS; k++)
        for (int i = 0; i < ROWS; i++)
            if (has(k, i)) fish_option(k, i);
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
