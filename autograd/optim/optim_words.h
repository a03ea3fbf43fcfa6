/* SPDX-License-Identifier: MIT
 * autograd/optim/optim_words.h - words and defaults of optimizers and words of schedules, for
 * who judges them. */
#ifndef OCT_AUTOGRAD_OPTIM_OPTIM_WORDS_H
#define OCT_AUTOGRAD_OPTIM_OPTIM_WORDS_H

#include "autograd/optim/optim.h"
#include "src/words.h"

extern const octi_words octi_optim_words, octi_schedule_words;

/** What is 0 becomes the kind's default, OCT_NONE a 0, what the kind has not a 0: oct_optim_new and
 *  oct_fit both ask here. OCT_EUSAGE: no such kind. */
oct_status octi_optim_defaults(oct_optim_opts *o);

#endif
