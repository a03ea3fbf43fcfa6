/* SPDX-License-Identifier: MIT
 * tests/command_says.h - what the command prints, run in a test's own folder. */
#ifndef OCT_TESTS_COMMAND_SAYS_H
#define OCT_TESTS_COMMAND_SAYS_H

#include "tests/temp_folder.h"

#include <stdio.h>
#include <string.h>

static const char *octet(const char *args, int code) {
    static char text[16384], cmd[1024];
    snprintf(cmd, sizeof cmd, "cd %s && %s %s 2>err", root, OCT_COMMAND, args);
    FILE *p = popen(cmd, "r");
    text[fread(text, 1, sizeof text - 1, p)] = 0;
    const int got = pclose(p) >> 8;
    ck_assert_msg(got == code, "octet %s: exit code %d\n%s", args, got, text);
    return text;
}
static void says(const char *out, const char *what) {
    ck_assert_msg(strstr(out, what) != NULL, "%s\nlacks %s", out, what);
}
static void hides(const char *out, const char *what) {
    ck_assert_msg(strstr(out, what) == NULL, "%s\nhas %s", out, what);
}

#endif
