/* SPDX-License-Identifier: MIT
 * src/format/png_write.h - pixels to PNG (ISO/IEC 15948): eight bits, grey or RGB, nothing but
 * IHDR, IDAT, IEND. */
#ifndef OCT_SRC_FORMAT_PNG_WRITE_H
#define OCT_SRC_FORMAT_PNG_WRITE_H

#include "bytes.h"

OCT_BEGIN_DECLS

/** Append a whole PNG to *out: pixels u8 [height,width,channels], channels 1 (grey) or 3 (RGB),
 *  sides 1 to 65535. The same pixels give the same bytes for one zlib. OCT_EUSAGE for other sizes,
 *  OCT_ENOMEM, or what *out failed with before. */
oct_status octi_png_write(octi_text *out, const uint8_t *pixels, int32_t width, int32_t height,
                          int32_t channels);

OCT_END_DECLS
#endif
