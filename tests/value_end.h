/* SPDX-License-Identifier: MIT
 * tests/value_end.h - for editors of JSON that octet wrote. */
#ifndef OCT_TESTS_VALUE_END_H
#define OCT_TESTS_VALUE_END_H

#include <stddef.h>
#include <string.h>

/** The value behind a key: a string, a number, a word, or a whole list. Its end. */
static inline size_t value_end(const char *s, size_t at) {
    if (s[at] == '"') {
        for (at++; s[at] != '"'; at++) at += s[at] == '\\';
        return at + 1;
    }
    if (s[at] == '[') return at + strcspn(s + at, "]") + 1;
    return at + strcspn(s + at, ",}\n");
}

#endif
