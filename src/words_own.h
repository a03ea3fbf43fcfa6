/* SPDX-License-Identifier: MIT
 * src/words_own.h - nearest words: what the library's own files have of it.
 * Comes with words.h where the library is built; never installed. */
#ifndef OCT_SRC_WORDS_OWN_H
#define OCT_SRC_WORDS_OWN_H

#include "words.h"

/** Edits between a word and one that it may stand for (what oct_nearest_word compares), or a number
 *  above OCTI_FAR where it does not. */
enum { OCTI_FAR = 999 };
int octi_word_distance(const char *word, const char *known);
/** octi_fail for a word that is none of `known`, with the nearest as the hint, else `hint` (may be
 *  NULL). */
oct_status octi_fail_word(oct_status code, const char *where, const char *what, const char *known,
                          const char *got, const char *hint);
/** Words of an enum by value, one table for commands, files, printers and messages: NULL for a
 *  value without one (0 where that is "by default"). */
typedef struct octi_words {
    const char *what; /* "optimizer", for messages */
    const char *const *word;
    int count;
} octi_words;
#define OCTI_WORDS(what, list)                                                                     \
    { what, list, (int)(sizeof(list) / sizeof *(list)) }
/** "" where the value has none. */
const char *octi_word_of(const octi_words *w, int value);
/** Value of a word; -1 where none has it. */
int octi_word_value(const octi_words *w, const char *word);
/** All of them, as messages have lists: "sgd, adam or rmsprop". */
const char *octi_words_known(const octi_words *w);
/** Value of a word, else `code` at `where` with the nearest word. `v` is an enum of the compiler's
 *  int size. */
oct_status octi_word_find(const octi_words *w, oct_status code, const char *where, const char *word,
                          int *v);
/** OCT_EUSAGE at `where` for a value that the enum has not, with its words. */
oct_status octi_word_check(const octi_words *w, const char *where, int value);
/** The two public functions of an enum. */
#define OCTI_WORD_PAIR(type, table)                                                                \
    const char *type##_name(type v) { return octi_word_of(&(table), (int)v); }                     \
    oct_status type##_from_name(const char *word, type *v) {                                       \
        int value = 0;                                                                             \
        if (!word || !v) return octi_fail_null(#type "_from_name");                                \
        OCT_TRY(octi_word_find(&(table), OCT_EUSAGE, (table).what, word, &value));                 \
        *v = (type)value;                                                                          \
        return OCT_OK;                                                                             \
    }
extern const octi_words octi_switch_words;
/** A number of an option struct: 0 asks for the default, OCT_NONE for a real 0. */
static inline float octi_or_default(float v, float otherwise) {
    return v == 0 ? otherwise : v == OCT_NONE ? 0 : v;
}
/** OCT_EUSAGE, "an argument is NULL"; but where the thread has failed before, that failure stays,
 *  since a constructor that gave NULL is most likely why, and its code is returned. */
oct_status octi_fail_null(const char *where);

#endif
