/* SPDX-License-Identifier: MIT
 * Builds an exported C file with a main of a few lines, without a shell, and talks to it through
 * pipes. Nothing is left behind: the folder goes as soon as the program runs. */
#include "tools/c_program.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/places.h"

extern char **environ;

/* '@' is the model's name, which is letters, digits and '_'. */
static const char main_text[] =
    "#include <stdio.h>\n"
    "#include \"@.h\"\n"
    "static int put(const void *p, uint32_t n) { return fwrite(p, 1, n, stdout) == n; }\n"
    "void @_trace(const char *layer, const uint8_t *codes, uint32_t bytes) {\n"
    "    uint32_t n = 0;\n"
    "    while (layer[n]) n++;\n"
    "    (void)(put(&n, 4) && put(layer, n) && put(&bytes, 4) && put(codes, bytes));\n"
    "}\n"
    "int main(void) {\n"
    "    static @_CODE x[@_IN_COUNT], y[@_OUT_COUNT];\n"
    "    const int32_t shape[] = {@_IN_H, @_IN_W, @_IN_C, @_IN_COUNT, @_IN_ZERO_POINT,\n"
    "                             @_IN_LOWEST, @_IN_HIGHEST, @_IN_RANK};\n"
    "    const float scale = @_IN_SCALE;\n"
    "    const uint32_t end = 0;\n"
    "    if (!put(shape, sizeof shape) || !put(&scale, 4) || fflush(stdout)) return 1;\n"
    "    while (fread(x, 1, sizeof x, stdin) == sizeof x) {\n"
    "        if (@_run(x, y, 0) || !put(&end, 4) || fflush(stdout)) return 1;\n"
    "    }\n"
    "    return 0;\n"
    "}\n";

typedef struct build {
    work_folder work;
    char main[80], prog[80];
    char name[256], folder[1024]; /* of NAME.c */
} build;

/* "a/NAME.c" -> "a", "NAME". */
static int take_name(build *b, const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const size_t n = strlen(name) - 2;
    if (n < 1 || n >= sizeof b->name || strlen(path) >= sizeof b->folder ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != n)
        return cli_usage(path, "no name of an exported file", "letters, digits and _ before .c",
                         NULL, "octet export --to c writes NAME.c and NAME.h") +
               1;
    snprintf(b->name, sizeof b->name, "%.*s", (int)n, name);
    snprintf(b->folder, sizeof b->folder, "%.*s", slash ? (int)(slash - path) : 1,
             slash ? path : ".");
    return 0;
}

static int write_main(build *b) {
    const int code = work_folder_make(&b->work);
    if (code) return code;
    snprintf(b->main, sizeof b->main, "%s/main.c", b->work.path);
    snprintf(b->prog, sizeof b->prog, "%s/program", b->work.path);
    FILE *f = fopen(b->main, "w");
    for (const char *p = main_text; f && *p; p++)
        if (*p == '@')
            fputs(b->name, f);
        else
            fputc(*p, f);
    if (f && !ferror(f) && !fclose(f)) return 0;
    return fprintf(stderr, "octet: %s: %s\n", b->main, strerror(errno)), 4;
}

/* The environment, with the work folder for what a compiler leaves where it is killed. NULL: no
 * memory. */
static char **its_environment(char *tmpdir) {
    size_t n = 0;
    while (environ[n]) n++;
    char **all = malloc((n + 2) * sizeof *all);
    if (!all) return NULL;
    n = 0;
    all[n++] = tmpdir;
    for (char **e = environ; *e; e++)
        if (strncmp(*e, "TMPDIR=", 7)) all[n++] = *e;
    all[n] = NULL;
    return all;
}

/* $CC may have arguments: "clang -m32". */
static int compile(const build *b, const char *path) {
    enum { WORDS = 60 };
    char words[2048], trace[300], include[1100], tmpdir[300], *argv[WORDS + 12];
    const char *cc = getenv("CC");
    int n = 0, status = 0;
    pid_t pid;
    snprintf(words, sizeof words, "%s", cc && *cc ? cc : "cc");
    static char standard[] = "-std=c99", level[] = "-O1";
    for (char *w = strtok(words, " \t"); w && n < WORDS; w = strtok(NULL, " \t")) {
        argv[n++] = w;
        if (n == 1) argv[n++] = standard, argv[n++] = level; /* the user's own come behind */
    }
    if (!n) return cli_usage("CC", "no compiler", NULL, "blanks", "set CC to one, such as gcc") + 1;
    snprintf(trace, sizeof trace, "-D%s_TRACE", b->name);
    snprintf(include, sizeof include, "-I%s", b->folder);
    const char *const rest[] = {trace, include, "-o", b->prog, b->main, path};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) argv[n++] = (char *)(uintptr_t)rest[i];
    argv[n] = NULL;
    snprintf(tmpdir, sizeof tmpdir, "TMPDIR=%s", b->work.path);
    char **its = its_environment(tmpdir);
    if (!its) return fprintf(stderr, "octet: %s: %s\n", argv[0], strerror(ENOMEM)), 5;
    const int failed = posix_spawnp(&pid, argv[0], NULL, NULL, argv, its);
    free(its);
    if (!failed)
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    if (cli_signal()) return 128 + cli_signal();
    if (failed || (WIFEXITED(status) && WEXITSTATUS(status) == 127))
        return cli_usage("CC", "the C compiler cannot be run", NULL, argv[0],
                         "set CC to one, such as gcc") +
               1;
    if (!status) return 0;
    return cli_usage(path, "does not compile", "a file of octet export --to c", argv[0],
                     "the compiler's own words stand above") +
           1;
}

int c_program_start(c_program *p, const char *path) {
    build b = {.work = {.path = ""}};
    *p = (c_program){.child = {.pid = 0}};
    cli_catch_signals(); /* so that the folder goes whatever happens */
    int code = take_name(&b, path);
    if (!code) code = write_main(&b);
    if (!code) code = compile(&b, path);
    char *argv[] = {b.prog, NULL};
    const int failed = code ? 0 : child_start(&p->child, argv);
    if (failed) code = (fprintf(stderr, "octet: %s: %s\n", b.prog, strerror(failed)), 4);
    if (!code && !child_read(&p->child, &p->model, sizeof p->model))
        code = cli_usage(path, "ends at once", "an exported net", NULL, NULL) + 1;
    work_folder_end(&b.work);
    return code;
}

void c_program_end(c_program *p) { child_end(&p->child); }

static int ended(void) {
    if (cli_signal()) return 128 + cli_signal();
    return fprintf(stderr, "octet: the program of the C file ended before its time\n"), 7;
}

int c_program_give(c_program *p, const uint8_t *codes) {
    return child_write(&p->child, codes, (size_t)p->model.count) ? 0 : ended();
}

int c_program_layer(c_program *p, char name[512], uint8_t **codes, uint32_t *bytes) {
    uint32_t n;
    *bytes = 0;
    if (!child_read(&p->child, &n, sizeof n)) return ended();
    if (!n) return 0;
    if (n > 511 || !child_read(&p->child, name, n)) return ended();
    name[n] = 0;
    if (!child_read(&p->child, bytes, sizeof *bytes) || *bytes > 1u << 30) return ended();
    void *grown = realloc(*codes, *bytes);
    if (!grown) return fprintf(stderr, "octet: out of memory\n"), 5;
    *codes = grown;
    return child_read(&p->child, grown, *bytes) ? 0 : ended();
}
