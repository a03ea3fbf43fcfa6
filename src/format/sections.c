/* SPDX-License-Identifier: MIT
 * The container of int8 files: a table of named sections, each under its own CRC. */
#include "src/format/sections.h"

#include <string.h>
#include <zlib.h>

#include "src/mem.h"

enum { HEADER = 24, ENTRY = 24 };

static void put(uint8_t *p, uint64_t v, int bytes) {
    for (int i = 0; i < bytes; i++) p[i] = (uint8_t)(v >> 8 * i);
}

static uint32_t crc_of(const uint8_t *p, size_t n) { return n ? (uint32_t)crc32_z(0, p, n) : 0; }

void octi_sections_write(octi_text *out, const char *magic, uint32_t version,
                         const octi_section *sections, int count) {
    uint8_t head[HEADER + ENTRY * OCTI_MAX_SECTIONS + 4];
    size_t table = HEADER + ENTRY * (size_t)count, at = table + 4;
    for (int i = 0; i < count; i++) {
        uint8_t *e = head + HEADER + ENTRY * i;
        memcpy(e, sections[i].tag, 4);
        put(e + 4, crc_of(sections[i].bytes, sections[i].size), 4);
        put(e + 8, at, 8);
        put(e + 16, sections[i].size, 8);
        at += sections[i].size;
    }
    memcpy(head, magic, 8);
    put(head + 8, version, 4);
    put(head + 12, (uint64_t)count, 4);
    put(head + 16, at, 8);
    put(head + table, crc_of(head, table), 4);
    octi_text_bytes(out, head, table + 4);
    for (int i = 0; i < count; i++) octi_text_bytes(out, sections[i].bytes, sections[i].size);
}

static oct_status read_table(octi_reader *r, const char *magic, uint32_t version,
                             octi_section *sections, uint32_t *crc, int *count) {
    uint32_t v, n, want;
    uint64_t total, at;
    const uint8_t *m = octi_take(r, 8, "magic");
    if (!m) return OCT_EFORMAT;
    if (memcmp(m, magic, 8))
        return octi_bad_bytes(r, 0, "wrong magic", octi_fmt("%.7s", magic), "other bytes");
    OCT_TRY(octi_read_u32le(r, &v, "version"));
    OCT_TRY(octi_read_u32le(r, &n, "section count"));
    OCT_TRY(octi_read_u64le(r, &total, "total length"));
    if (n < 1 || n > OCTI_MAX_SECTIONS)
        return octi_bad_bytes(r, 12, "section count out of range",
                              octi_fmt("1 to %d", OCTI_MAX_SECTIONS), octi_fmt("%u", n));
    if (!octi_take(r, ENTRY * (size_t)n, "section table")) return OCT_EFORMAT;
    size_t table = r->pos;
    OCT_TRY(octi_read_u32le(r, &want, "table CRC"));
    if (crc_of(r->base, table) != want)
        return octi_bad_bytes(r, 0, "header CRC differs", octi_fmt("%08x", want),
                              octi_fmt("%08x", crc_of(r->base, table)));
    if (!v || v > version)
        return octi_fail(OCT_EUNSUPPORTED, r->where, "file version", octi_fmt("1 to %u", version),
                         octi_fmt("%u", v), "written by a newer octet");
    if (total != r->size)
        return octi_bad_bytes(r, 16, "file length differs",
                              octi_fmt("%llu", (unsigned long long)total),
                              octi_fmt("%zu", r->size));
    octi_reader t = {r->base, table, HEADER, r->where};
    at = table + 4;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t offset, size;
        size_t entry = t.pos;
        const uint8_t *tag = octi_take(&t, 4, "tag");
        if (!tag) return OCT_EFORMAT;
        OCT_TRY(octi_read_u32le(&t, &crc[i], "section CRC"));
        OCT_TRY(octi_read_u64le(&t, &offset, "section offset"));
        OCT_TRY(octi_read_u64le(&t, &size, "section size"));
        if (offset != at || size > r->size - at)
            return octi_bad_bytes(r, entry, "section outside the file",
                                  octi_fmt("offset %llu, at most %llu bytes",
                                           (unsigned long long)at,
                                           (unsigned long long)(r->size - at)),
                                  octi_fmt("offset %llu, %llu bytes", (unsigned long long)offset,
                                           (unsigned long long)size));
        sections[i] = (octi_section){.bytes = r->base + offset, .size = (size_t)size};
        memcpy(sections[i].tag, tag, 4);
        for (uint32_t k = 0; k < i; k++)
            if (!memcmp(sections[k].tag, tag, 4))
                return octi_bad_bytes(r, entry, "section stands twice", NULL, sections[i].tag);
        at += size;
    }
    if (at != r->size)
        return octi_bad_bytes(r, (size_t)at, "bytes behind the last section", "none",
                              octi_fmt("%llu", (unsigned long long)(r->size - at)));
    *count = (int)n;
    return OCT_OK;
}

oct_status octi_sections_read(const uint8_t *bytes, size_t size, const char *where,
                              const char *magic, uint32_t version,
                              octi_section sections[OCTI_MAX_SECTIONS], int *count) {
    octi_reader r = {bytes, size, 0, where};
    uint32_t crc[OCTI_MAX_SECTIONS];
    OCT_TRY(read_table(&r, magic, version, sections, crc, count));
    for (int i = 0; i < *count; i++) {
        uint32_t got = crc_of(sections[i].bytes, sections[i].size);
        if (got != crc[i])
            return octi_bad_bytes(&r, (size_t)(sections[i].bytes - bytes),
                                  octi_fmt("CRC of section %s differs", sections[i].tag),
                                  octi_fmt("%08x", crc[i]), octi_fmt("%08x", got));
    }
    return OCT_OK;
}

const octi_section *octi_section_find(const octi_section *sections, int count, const char *tag,
                                      const char *where) {
    for (int i = 0; i < count; i++)
        if (!memcmp(sections[i].tag, tag, 4)) return &sections[i];
    octi_fail(OCT_EFORMAT, where, "section is missing", tag, NULL, NULL);
    return NULL;
}
