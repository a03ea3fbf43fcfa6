/* SPDX-License-Identifier: MIT
 * src/format/sections.h - a container of named sections, in which no bit can change unnoticed.
 *
 *   magic[8]  version u32  count u32  total u64           header: 24 bytes, little-endian
 *   { tag[4]  crc u32  offset u64  size u64 } x count     table
 *   crc u32                                               of header and table
 *   bytes of the sections, in the table's order, without gaps, to the end of the file
 *
 * Every byte is under one CRC-32 (zlib's), and the length is stored: damage, cuts and extensions
 * are refused.
 */
#ifndef OCT_SRC_FORMAT_SECTIONS_H
#define OCT_SRC_FORMAT_SECTIONS_H

#include "bytes.h"

OCT_BEGIN_DECLS

enum { OCTI_MAX_SECTIONS = 16 };

typedef struct octi_section {
    char tag[5]; /* four printable characters and NUL */
    const uint8_t *bytes;
    size_t size;
} octi_section;

/** Append a container to `out`; magic has 8 bytes. Failures are remembered in out->status. */
void octi_sections_write(octi_text *out, const char *magic, uint32_t version,
                         const octi_section *sections, int count);
/** Check a container whole and list its sections, which point into `bytes`. OCT_EFORMAT names what
 * is damaged and where; OCT_EUNSUPPORTED for a version above `version`. */
oct_status octi_sections_read(const uint8_t *bytes, size_t size, const char *where,
                              const char *magic, uint32_t version,
                              octi_section sections[OCTI_MAX_SECTIONS], int *count);
/** Section by tag, NULL (recorded: OCT_EFORMAT) where absent. */
const octi_section *octi_section_find(const octi_section *sections, int count, const char *tag,
                                      const char *where);

OCT_END_DECLS
#endif
