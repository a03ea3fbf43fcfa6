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

OCT_END_DECLS

#ifdef OCT_BUILDING /* the library's own files */
#include "words_own.h"
#endif

#endif
