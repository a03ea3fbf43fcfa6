/* SPDX-License-Identifier: MIT
 * tests/option_rows.h - one row per field of an option struct, each with a check that the field
 * does what it says. The fields are read from the header itself, so that one without a row fails,
 * whoever adds it. */
#ifndef OCT_TESTS_OPTION_ROWS_H
#define OCT_TESTS_OPTION_ROWS_H

#include "tests/oct_test.h"

typedef struct option_row {
    const char *field;
    void (*check)(void);
} option_row;

enum { OPTION_FIELDS = 64, OPTION_NAME = 48 };

/* Names of "typedef struct NAME { ... } NAME;" in the header: of each declaration the word before
 * ';', ',' or '['. */
static inline int option_fields(const char *header, const char *name,
                                char fields[OPTION_FIELDS][OPTION_NAME]) {
    static char text[1 << 17];
    char path[512], opening[96];
    snprintf(path, sizeof path, "%s/%s", OCT_SOURCE_DIR, header);
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "%s", path);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    snprintf(opening, sizeof opening, "typedef struct %s {", name);
    char *p = strstr(text, opening);
    ck_assert_msg(p != NULL, "%s has no %s", header, name);
    int n = 0;
    size_t word = 0;
    for (p += strlen(opening); *p && *p != '}'; p++) {
        if (!strncmp(p, "/*", 2)) p = strstr(p, "*/") + 2;
        const bool letter = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '_';
        if (letter) {
            ck_assert(n < OPTION_FIELDS && word < OPTION_NAME - 1);
            fields[n][word++] = *p;
            continue;
        }
        if (word) fields[n][word] = 0;
        if (word && (*p == ';' || *p == ',' || *p == '[')) n++;
        word = 0;
        if (*p == '[') p = strchr(p, ';');
    }
    return n;
}

static inline void check_options(const char *header, const char *name, const option_row *rows,
                                 int count) {
    char fields[OPTION_FIELDS][OPTION_NAME];
    const int n = option_fields(header, name, fields);
    ck_assert_int_gt(n, 0);
    for (int i = 0; i < n; i++) {
        int k = 0;
        while (k < count && strcmp(rows[k].field, fields[i])) k++;
        ck_assert_msg(k < count, "%s.%s has no row: say what it does", name, fields[i]);
    }
    for (int k = 0; k < count; k++) {
        int i = 0;
        while (i < n && strcmp(rows[k].field, fields[i])) i++;
        ck_assert_msg(i < n, "%s has no field %s", name, rows[k].field);
        rows[k].check();
    }
}

#endif
