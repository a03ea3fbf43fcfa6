/* SPDX-License-Identifier: MIT
 * The library's last failure as the command says it: its messages are for C programs, and where
 * they name calls, a command is what helps here. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli_tables.h"

static const char *const words[][2] = {
#define C_WORD(in_c, here) {in_c, here},
#include "tools/c_words.def"
};

enum { ROOM = 4096, LINES = sizeof words / sizeof *words };

/* The first row that stands at `from`; of all, or of those with options of the running command. */
static size_t row_at(const char *from, bool all) {
    size_t k = 0;
    while (k < LINES && (strncmp(from, words[k][0], strlen(words[k][0])) != 0 ||
                         (!all && cli_foreign_option(words[k][1]))))
        k++;
    return k;
}

void cli_in_words(const char *from, char *to, size_t size, bool all) {
    size_t n = 0;
    while (*from && n + 1 < size) {
        const size_t k = row_at(from, all);
        if (k == LINES) {
            to[n++] = *from++;
            continue;
        }
        from += strlen(words[k][0]);
        n += (size_t)snprintf(to + n, size - n, "%s", words[k][1]);
        if (n >= size) n = size - 1;
    }
    to[n] = 0;
}

/* A word of the text is a call of the library. */
static bool names_call(const char *text) {
    for (const char *p = text; (p = strstr(p, "oct_")); p++)
        if ((p == text || !(p[-1] == '_' || p[-1] == '/' || p[-1] == '.')) && p[4] >= 'a' &&
            p[4] <= 'z')
            return true;
    return false;
}

/* What lies beside a path that is not there and is called nearly so; "" where nothing is. */
static void neighbour(const char *path, char *hint, size_t size) {
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    char dir[1024], *known = calloc(1, ROOM);
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
    DIR *d = known && *base ? opendir(dir) : NULL;
    size_t n = 0;
    for (const struct dirent *e; d && (e = readdir(d));)
        if (*e->d_name != '.' && !strpbrk(e->d_name, ",: ") && n + strlen(e->d_name) + 3 < ROOM)
            n += (size_t)snprintf(known + n, ROOM - n, "%s%s", n ? ", " : "", e->d_name);
    if (d) closedir(d);
    const char *near = n ? oct_nearest_word(base, known) : NULL;
    *hint = 0;
    if (near)
        snprintf(hint, size, "did you mean %.*s%s?", slash ? (int)(slash - path + 1) : 0, path,
                 near);
    free(known);
}

void cli_print_failure(void) {
    const oct_error *e = oct_last_error();
    char where[ROOM], what[ROOM], expected[ROOM], got[ROOM], hint[ROOM];
    if (e->code == OCT_OK) {
        (void)cli_usage("", oct_error_message(), NULL, NULL, NULL);
        return;
    }
    cli_in_words(e->expected, expected, ROOM, false);
    cli_in_words(e->hint, hint, ROOM, false);
    snprintf(what, sizeof what, "%s", e->what);
    snprintf(got, sizeof got, "%s", e->got);
    /* "oct_fit: batch": the option alone; a path is no call */
    const bool call = !strncmp(e->where, "oct_", 4) && !strpbrk(e->where, "./");
    const char *of = call ? strstr(e->where, ": ") : NULL;
    snprintf(where, sizeof where, "%s", of ? of + 2 : call ? "" : e->where);
    if (names_call(hint) || cli_foreign_option(hint)) *hint = 0;
    if (!*hint && e->code == OCT_EIO && !strcmp(got, strerror(ENOENT))) {
        neighbour(e->where, hint, sizeof hint);
        if (!*hint && !strncmp(what, "no such run", 11))
            snprintf(hint, sizeof hint, "octet train makes a run, octet convert an int8 file");
    }
    (void)cli_usage(where, what, *expected ? expected : NULL, *got ? got : NULL,
                    *hint ? hint : NULL);
}
