/* SPDX-License-Identifier: MIT
 * The one writer of a page. */
#include "qat/report/page.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "src/format/png_write.h"
#include "src/mem.h"

static void bytes(octi_page *p, const char *s, size_t n) {
    if (p->status != OCT_OK) return;
    octi_text_bytes(&p->text, s, n);
    p->status = p->text.status;
}

void octi_page_raw(octi_page *p, const char *markup) { bytes(p, markup, strlen(markup)); }

/* ---- texts ---- */

/* Bytes of the UTF-8 sequence at s, whose code goes to *code; 0: none is there. */
static int sequence(const unsigned char *s, uint32_t *code) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const int n = *s < 0x80             ? 1
                  : (*s & 0xe0) == 0xc0 ? 2
                  : (*s & 0xf0) == 0xe0 ? 3
                  : (*s & 0xf8) == 0xf0 ? 4
                                        : 0;
    if (!n) return 0;
    *code = n == 1 ? *s : *s & (0x7fu >> n);
    for (int i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0; /* the end of the text too */
        *code = *code << 6 | (s[i] & 0x3f);
    }
    const bool surrogate = *code >= 0xd800 && *code < 0xe000;
    return *code < least[n] || *code > 0x10ffff || surrogate ? 0 : n;
}

/* Controls, marks that turn the direction of writing or show nothing, and what is no character:
 * seen, they could make one name look like another. */
static bool harmless(uint32_t c) {
    static const uint32_t bad[][2] = {
        {0, 0x1f},        {0x7f, 0x9f},     {0xad, 0xad},     {0x61c, 0x61c},   {0x200b, 0x200f},
        {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xfdd0, 0xfdef}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (c >= bad[i][0] && c <= bad[i][1]) return false;
    return (c & 0xfffe) != 0xfffe && c < 0xe0000;
}

static void escaped(octi_page *p, const char *text) {
    static const struct {
        char byte;
        const char *entity;
    } entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
    for (const unsigned char *s = (const unsigned char *)(text ? text : ""); *s;) {
        uint32_t code = 0;
        const int n = sequence(s, &code);
        const char *entity = NULL;
        for (size_t i = 0; i < sizeof entities / sizeof *entities; i++)
            if (*s == (unsigned char)entities[i].byte) entity = entities[i].entity;
        if (entity)
            octi_page_raw(p, entity);
        else if (n && harmless(code))
            bytes(p, (const char *)s, (size_t)n);
        else {
            char hex[8];
            for (int i = 0; i < (n ? n : 1); i++)
                bytes(p, hex, (size_t)snprintf(hex, sizeof hex, "\\x%02x", s[i]));
        }
        s += n ? n : 1;
    }
}

/* ---- numbers ---- */

/* What snprintf made of a number, with a point in every locale. */
static void number(octi_page *p, char *text) {
    for (char *c = text; *c; c++)
        if (!strchr("0123456789+-e infa", *c)) *c = '.';
    octi_page_raw(p, text);
}

void octi_page_put(octi_page *p, const char *format, ...) {
    va_list a;
    va_start(a, format);
    for (const char *f = format; *f && p->status == OCT_OK;) {
        const size_t plain = strcspn(f, "%");
        bytes(p, f, plain);
        if (!*(f += plain)) break;
        const size_t n = 1 + strspn(f + 1, "+-0123456789.l");
        char spec[24], text[400];
        if (n + 2 > sizeof spec) {
            p->status = octi_fail(OCT_EINTERNAL, "page", "conversion", NULL, f, NULL);
            break;
        }
        memcpy(spec, f, n + 1);
        spec[n + 1] = 0;
        const bool wide = strstr(spec, "ll") != NULL;
        f += n + 1;
        switch (spec[n]) {
        case '%':
            octi_page_raw(p, "%");
            break;
        case 's':
            escaped(p, va_arg(a, const char *));
            break;
        case 'd':
            if (wide)
                snprintf(text, sizeof text, spec, va_arg(a, long long));
            else
                snprintf(text, sizeof text, spec, va_arg(a, int));
            octi_page_raw(p, text);
            break;
        case 'e':
        case 'f':
        case 'g':
            snprintf(text, sizeof text, spec, va_arg(a, double));
            number(p, text);
            break;
        default:
            p->status = octi_fail(OCT_EINTERNAL, "page", "conversion", NULL, spec, NULL);
        }
    }
    va_end(a);
}

void octi_page_number(octi_page *p, const char *format, double v) {
    char text[64];
    if (!isfinite(v)) {
        octi_page_raw(p, "–");
        return;
    }
    snprintf(text, sizeof text, format, v);
    number(p, text);
}

static void with_digits(octi_page *p, double v, int digits) {
    char text[40];
    snprintf(text, sizeof text, "%.*g", digits, v);
    number(p, text);
}

void octi_page_data(octi_page *p, const char *key, double v) {
    if (!isfinite(v)) return;
    octi_page_put(p, " data-%s=\"", key);
    with_digits(p, v, 9);
    octi_page_raw(p, "\"");
}

void octi_page_data_list(octi_page *p, const char *key, const double *v, int64_t n, int digits) {
    octi_page_put(p, " data-%s=\"", key);
    for (int64_t i = 0; i < n; i++) {
        if (i) octi_page_raw(p, ",");
        if (isfinite(v[i])) with_digits(p, v[i], digits);
    }
    octi_page_raw(p, "\"");
}

/* ---- pieces ---- */

void octi_page_bar(octi_page *p, double share) {
    const double s = share > 1 ? 1 : share > 0 ? share : 0;
    octi_page_put(p, "<span class=\"bar\"><i style=\"width:%.1f%%\"></i></span>", 100 * s);
}

static void base64(octi_page *p, const uint8_t *b, size_t n) {
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        const uint32_t v = (uint32_t)b[i] << 16 | (i + 1 < n ? (uint32_t)b[i + 1] << 8 : 0) |
                           (i + 2 < n ? b[i + 2] : 0);
        const char four[4] = {digit[v >> 18], digit[v >> 12 & 63],
                              i + 1 < n ? digit[v >> 6 & 63] : '=',
                              i + 2 < n ? digit[v & 63] : '='};
        bytes(p, four, 4);
    }
}

/* The picture that ends the text: which earlier one has the same bytes; -1: none, and it is
 * kept. */
static int twin_of(octi_page *p, size_t at, size_t size) {
    for (int i = 0; i < p->images; i++)
        if (p->image[i].size == size &&
            !memcmp(p->text.data + p->image[i].at, p->text.data + at, size))
            return i;
    if (p->images < OCTI_PAGE_IMAGES) p->image[p->images++] = (struct octi_page_image){at, size};
    return -1;
}

void octi_page_image(octi_page *p, const uint8_t *pixels, int32_t width, int32_t height,
                     int32_t channels, const char *alternative) {
    octi_text png = {.ctx = p->ctx};
    if (p->status != OCT_OK) return;
    p->status = octi_png_write(&png, pixels, width, height, channels);
    octi_page_put(p,
                  "<svg class=\"picture\" viewBox=\"0 0 %d %d\" role=\"img\" "
                  "aria-label=\"%s\" xmlns=\"http://www.w3.org/2000/svg\">",
                  width, height, alternative);
    /* as a new one; where it is none, what was put there goes again */
    const size_t begin = p->text.size;
    octi_page_put(p,
                  "<image id=\"picture-%d\" width=\"%d\" height=\"%d\" "
                  "href=\"data:image/png;base64,",
                  p->images, width, height);
    const size_t at = p->text.size;
    if (p->status == OCT_OK) base64(p, (const uint8_t *)png.data, png.size);
    octi_text_free(&png);
    if (p->status != OCT_OK) return;
    const int twin = twin_of(p, at, p->text.size - at);
    if (twin < 0)
        octi_page_raw(p, "\"/>");
    else {
        p->text.size = begin;
        octi_page_put(p, "<use href=\"#picture-%d\"/>", twin);
    }
    octi_page_raw(p, "</svg>");
}

void octi_page_heading(octi_page *p, int level, const char *id, const char *text) {
    octi_page_put(p, "<h%d id=\"%s\">%s</h%d>\n", level, id, text, level);
}

void octi_page_open(octi_page *p, oct_ctx *ctx, const char *title) {
    p->ctx = ctx;
    p->text = (octi_text){.ctx = ctx};
    p->status = OCT_OK;
    p->images = 0;
    octi_page_put(p,
                  "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                  "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                  "style-src 'unsafe-inline'; img-src data:\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                  "<meta name=\"color-scheme\" content=\"light dark\">\n"
                  "<meta name=\"generator\" content=\"octet %s\">\n<title>%s</title>\n<style>\n",
                  OCT_VERSION, title);
    octi_page_raw(p, octi_page_style);
    octi_page_raw(p, "</style>\n</head>\n<body>\n");
}

oct_status octi_page_close(octi_page *p) {
    octi_page_raw(p, "</body>\n</html>\n");
    return p->status;
}

oct_status octi_page_save(const octi_page *p, const char *path) {
    return p->status == OCT_OK ? octi_file_save(p->ctx, path, p->text.data, p->text.size)
                               : p->status;
}

void octi_page_free(octi_page *p) { octi_text_free(&p->text); }
