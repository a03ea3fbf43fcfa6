/* SPDX-License-Identifier: MIT
 * autograd/optim/optim_words.h - words of optimizers and schedules, for who judges them. */
#ifndef OCT_AUTOGRAD_OPTIM_OPTIM_WORDS_H
#define OCT_AUTOGRAD_OPTIM_OPTIM_WORDS_H

#include "autograd/optim/optim.h"
#include "src/words.h"

extern const octi_words octi_optim_words, octi_schedule_words;

#endif
