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
/** OCT_EUSAGE, "an argument is NULL"; but where the thread has failed before, that failure stays,
 *  since a constructor that gave NULL is most likely why, and its code is returned. */
oct_status octi_fail_null(const char *where);

#endif
