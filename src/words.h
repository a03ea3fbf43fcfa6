/* SPDX-License-Identifier: MIT
 * src/words.h - a word that is not known is answered with the nearest one that is. */
#ifndef OCT_SRC_WORDS_H
#define OCT_SRC_WORDS_H

#include "status.h"

OCT_BEGIN_DECLS

/** An option that is off, on, or as something else says: "no", "yes", "". */
typedef enum oct_switch { OCT_SWITCH_DEFAULT, OCT_SWITCH_YES, OCT_SWITCH_NO } oct_switch;

/* Enums whose values have words, in commands and files, each have two functions: oct_<enum>_name
 * gives the word of a value ("" where it has none: most often 0, by default), and
 * oct_<enum>_from_name the value of a word (OCT_EUSAGE: all of them, and the nearest). */
OCT_API const char *oct_switch_name(oct_switch v);
OCT_API OCT_NODISCARD oct_status oct_switch_from_name(const char *word, oct_switch *v);

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
