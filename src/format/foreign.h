/* SPDX-License-Identifier: MIT
 * src/format/foreign.h - files of other formats, told by their first bytes: what they are and how
 * to turn them into ours. */
#ifndef OCT_SRC_FORMAT_FOREIGN_H
#define OCT_SRC_FORMAT_FOREIGN_H

#include "src/status.h"

/** Do these bytes begin as ONNX models do? Protobuf has no magic. */
bool octi_is_onnx(const void *bytes, size_t size);
/** As torch.save of today writes: a zip archive too, but none of arrays. */
bool octi_is_torch(const void *bytes, size_t size);

/** True, behind OCT_EFORMAT that says what the file is and what to do, where the bytes are one of
 *  foreign.def's formats or a PyTorch checkpoint. `wanted`: what the reader takes. */
bool octi_foreign(const void *bytes, size_t size, const char *path, const char *wanted);

#endif
