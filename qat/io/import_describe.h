/* SPDX-License-Identifier: MIT
 * qat/io/import_describe.h - what an imported net knows of its input and classes: next to
 * nothing, but where octet wrote the file. */
#ifndef OCT_QAT_IO_IMPORT_DESCRIBE_H
#define OCT_QAT_IO_IMPORT_DESCRIBE_H

#include "src/net.h"

/** Its model, its classes by number, and, where the input may be an image of pixels (at most 4
 *  channels), pixels / 255. */
oct_status octi_import_describe(oct_net *net, const char *model);
/** What a file that octet wrote says of them (oct_export_onnx: metadata "octet"), in place of that.
 *  OCT_EFORMAT where it is damaged or does not fit the net. */
oct_status octi_import_own_words(oct_net *net, const char *text, const char *where);

#endif
