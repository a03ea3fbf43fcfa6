/* SPDX-License-Identifier: MIT
 * src/words.h - a word that is not known is answered with the nearest one that is. */
#ifndef OCT_SRC_WORDS_H
#define OCT_SRC_WORDS_H

#include "status.h"

OCT_BEGIN_DECLS

/** The word of a list that `word` most likely stands for: few edits away (a swap of neighbours is
 *  one), or begun by it. The list is text as messages have it: "sgd, adam or rmsprop"; of "idx:DIR"
 *  the part before ':' is compared, and all of it given. NULL where none is near. Valid until the
 *  eighth failure of the thread from here. */
OCT_API const char *oct_nearest_word(const char *word, const char *known);

/* ---- for the library's own files ---- */

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

OCT_END_DECLS
#endif
