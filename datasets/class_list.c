/* SPDX-License-Identifier: MIT
 * Lists of classes as files have them, a line each: NAME, ID<tab>NAME, INDEX<tab>ID<tab>NAME. */
#include <stdio.h>
#include <string.h>

#include "datasets/data.h"
#include "src/float_mode.h"
#include "src/format/files.h"
#include "src/mem.h"
#include "src/words.h"

static const size_t MOST = (size_t)4 << 20;

/* "id<sep>name" at `line`, of an id that is known: the name; NULL where it is not so. */
static char *behind_known(char *line, char sep, const oct_class *known, int32_t count) {
    char *end = strchr(line, sep);
    for (int32_t i = 0; end && i < count; i++)
        if (known[i].id && strlen(known[i].id) == (size_t)(end - line) &&
            !memcmp(line, known[i].id, (size_t)(end - line)))
            return end + strspn(end, " \t");
    return NULL;
}

/* A line that starts with its own number, as lists of class indices do, goes on behind it. */
static char *behind_index(char *line, int32_t n) {
    char *end = strchr(line, '\t'), index[12];
    snprintf(index, sizeof index, "%d", n);
    const bool numbered =
        end && (size_t)(end - line) == strlen(index) && !strncmp(line, index, strlen(index));
    return numbered && strchr(end + 1, '\t') ? end + 1 : line;
}

static oct_class of_line(char *line, int32_t n, const oct_class *known, int32_t count) {
    const char sep = strchr(line, '\t') ? '\t' : ' ';
    char *second = strchr(line, sep), *name = behind_known(line, sep, known, count);
    if (!name && second && (name = behind_known(second + 1, sep, known, count))) line = second + 1;
    if (!name && sep == '\t') {
        line = behind_index(line, n);
        name = strchr(line, '\t') + 1;
    }
    if (!name || !*name) return (oct_class){line, line};
    line[strcspn(line, sep == '\t' ? "\t" : " ")] = 0;
    return (oct_class){line, name};
}

oct_class *oct_classes_parse(oct_ctx *ctx, const char *text, size_t size, const oct_class *known,
                             int32_t known_count, int32_t *count) {
    if (!ctx || !text || !count || known_count < 0 || (known_count && !known))
        return octi_fail_null("oct_classes_parse"), NULL;
    *count = 0;
    if (size > MOST || memchr(text, 0, size))
        return octi_fail(OCT_EFORMAT, "classes", "no list of names", "at most 4 MiB of text", NULL,
                         NULL),
               NULL;
    size_t lines = 1;
    for (size_t i = 0; i < size; i++) lines += text[i] == '\n';
    oct_class *list = octi_alloc(ctx, lines * sizeof *list + size + 1); /* the text behind it */
    if (!list) return NULL;
    char *rest = NULL, *copy = (char *)(list + lines);
    memcpy(copy, text, size);
    copy[size] = 0;
    for (char *p = strtok_r(copy, "\r\n", &rest); p; p = strtok_r(NULL, "\r\n", &rest)) {
        size_t n = strlen(p);
        while (n && (p[n - 1] == ' ' || p[n - 1] == '\t')) p[--n] = 0;
        if (*p) list[*count] = of_line(p, *count, known, known_count), ++*count;
    }
    return list;
}

oct_class *oct_classes_read(oct_ctx *ctx, const char *path, const oct_class *known,
                            int32_t known_count, int32_t *count) {
    OCTI_LAW_MODE();
    if (!ctx || !path || !count) return octi_fail_null("oct_classes_read"), NULL;
    uint8_t *bytes = NULL;
    size_t size;
    if (octi_file_read(ctx, path, MOST, &bytes, &size) != OCT_OK) return NULL;
    oct_class *list = oct_classes_parse(ctx, (const char *)bytes, size, known, known_count, count);
    octi_free(ctx, bytes);
    if (!list && oct_last_error()->code == OCT_EFORMAT) octi_fail_in(OCT_EFORMAT, path);
    return list;
}

void oct_classes_free(oct_ctx *ctx, oct_class *list) {
    if (ctx) octi_free(ctx, list);
}
