/* SPDX-License-Identifier: MIT
 * qat/report/page.h - the one writer of a page: all that is not markup of the library's own goes
 * through its escapes. */
#ifndef OCT_QAT_REPORT_PAGE_H
#define OCT_QAT_REPORT_PAGE_H

#include "src/format/bytes.h"

enum { OCTI_PAGE_IMAGES = 512 };

/** HTML in memory, so that its size is known before it is written. Whatever fails is kept in
 *  `status`, and nothing is added behind it. */
typedef struct octi_page {
    oct_ctx *ctx;
    octi_text text;
    oct_status status;
    struct octi_page_image { /* where the pixels of a picture stand in the text */
        size_t at, size;
    } image[OCTI_PAGE_IMAGES];
    int images;
} octi_page;

/** Begin a page: head, style, and a policy that lets nothing run or load. */
void octi_page_open(octi_page *p, oct_ctx *ctx, const char *title);
/** End it; its status. */
oct_status octi_page_close(octi_page *p);
/** Write a page that was ended, whole or not at all. */
oct_status octi_page_save(const octi_page *p, const char *path);
void octi_page_free(octi_page *p);

/** printf whose format is markup and whose texts never are: %s is escaped for text and for quoted
 *  attributes, with control bytes, direction marks and what is no UTF-8 shown as \\xNN. Numbers
 *  have a point in every locale. Conversions: %s %d %lld %e %f %g (flags, width, precision), %%. */
void octi_page_put(octi_page *p, const char *format, ...) OCT_PRINTF(2, 3);
/** Markup as it stands: the library's own alone. */
void octi_page_raw(octi_page *p, const char *markup);

/** A number for readers and for programs: "0.9312", or a dash where there is none. */
void octi_page_number(octi_page *p, const char *format, double v);
/** ` data-KEY="v"` with all digits of v; nothing where it is not finite. */
void octi_page_data(octi_page *p, const char *key, double v);
/** ` data-KEY="1,2,,4"`: an empty place where a value is not finite. digits: of each, 9 at most. */
void octi_page_data_list(octi_page *p, const char *key, const double *v, int64_t n, int digits);
/** A bar of a share of its row's room, 0 to 1. */
void octi_page_bar(octi_page *p, double share);
/** A picture of u8 pixels [height,width,channels] as PNG inside the page; one that stands in it
 *  already is shown from there. */
void octi_page_image(octi_page *p, const uint8_t *pixels, int32_t width, int32_t height,
                     int32_t channels, const char *alternative);
/** A heading that can be jumped to. */
void octi_page_heading(octi_page *p, int level, const char *id, const char *text);

extern const char octi_page_style[];

#endif
