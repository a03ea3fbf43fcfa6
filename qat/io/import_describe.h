/* SPDX-License-Identifier: MIT
 * qat/io/import_describe.h - what an imported net knows of its input and classes: next to
 * nothing. */
#ifndef OCT_QAT_IO_IMPORT_DESCRIBE_H
#define OCT_QAT_IO_IMPORT_DESCRIBE_H

#include "src/net.h"

/** Its model, its classes by number, and, where the input may be an image of pixels (at most 4
 *  channels), pixels / 255. */
oct_status octi_import_describe(oct_net *net, const char *model);

#endif
