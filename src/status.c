/* SPDX-License-Identifier: MIT
 * The thread's record of the last failure, and how it is told in words. */
#include "src/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* `got` may be a list: what of a file is not taken, each by its name. */
enum {
    FIELD_BYTES = 256,
    GOT_BYTES = 2048,
    HINT_BYTES = 512, /* what to type may be several lines of another language */
    FMT_BYTES = 1024,
    MESSAGE_BYTES = 3500,
    FMT_SLOTS = 8
};
enum { WHERE, WHAT, EXPECTED, GOT, HINT, FIELDS };
static const size_t room[FIELDS] = {FIELD_BYTES, FIELD_BYTES, FIELD_BYTES, GOT_BYTES, HINT_BYTES};

typedef struct record {
    oct_error err;
    char field[FIELDS][GOT_BYTES];
    char message[MESSAGE_BYTES];
    char fmt[FMT_SLOTS][FMT_BYTES]; /* names go through it whole: see OCTI_MAX_NAME */
    unsigned next_fmt;
} record;

static _Thread_local record t_record;

static record *thread_record(void) {
    record *r = &t_record;
    if (!r->err.where) r->err = (oct_error){OCT_OK, "", "", "", "", ""};
    return r;
}

static const char *const status_texts[OCT_STATUS_COUNT] = {
#define OCT_STATUS(name, exit_code, text) text,
#include "src/status.def"
#undef OCT_STATUS
};

static const int exit_codes[OCT_STATUS_COUNT] = {
#define OCT_STATUS(name, exit_code, text) exit_code,
#include "src/status.def"
#undef OCT_STATUS
};

const char *oct_status_text(oct_status s) {
    return (unsigned)s < OCT_STATUS_COUNT ? status_texts[s] : "unknown status";
}

int oct_status_exit_code(oct_status s) {
    return (unsigned)s < OCT_STATUS_COUNT ? exit_codes[s] : 7;
}

const oct_error *oct_last_error(void) { return &thread_record()->err; }

void oct_clear_error(void) { thread_record()->err = (oct_error){OCT_OK, "", "", "", "", ""}; }

oct_status octi_excuse(oct_status s) {
    if (s == OCT_ENOMEM || s == OCT_ESTOPPED || s == OCT_EINTERNAL) return s;
    oct_clear_error();
    return OCT_OK;
}

/* Bytes of a character that a terminal shows and does not act on; 0: a control character (C0, DEL,
 * C1), or no UTF-8. */
static size_t shown(const unsigned char *s) {
    if (s[0] < 0x80) return s[0] >= 0x20 && s[0] != 0x7f;
    const size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || (s[0] == 0xc2 && s[1] < 0xa0)) return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    return n;
}

/* Bytes of untrusted files end up here: what is not shown becomes '?'. */
static void copy_clean(char *dst, const char *src, size_t bytes) {
    size_t n = 0;
    while (src && *src) {
        const size_t k = shown((const unsigned char *)src), room_for = k ? k : 1;
        if (n + room_for >= bytes) break;
        memcpy(dst + n, k ? src : "?", room_for);
        n += room_for, src += room_for;
    }
    dst[n] = 0;
}

oct_status octi_fail(oct_status code, const char *where, const char *what, const char *expected,
                     const char *got, const char *hint) {
    record *r = thread_record();
    /* An argument may point into the record itself (a frame that wraps the failure below it): copy
     * first. */
    char tmp[FIELDS][GOT_BYTES];
    const char *src[FIELDS] = {where, what ? what : oct_status_text(code), expected, got, hint};
    for (int i = 0; i < FIELDS; i++) copy_clean(tmp[i], src[i], room[i]);
    for (int i = 0; i < FIELDS; i++) strcpy(r->field[i], tmp[i]);
    r->err = (oct_error){code,          r->field[WHERE], r->field[WHAT], r->field[EXPECTED],
                         r->field[GOT], r->field[HINT]};
    return code;
}

oct_status octi_fail_in(oct_status code, const char *place) {
    const oct_error *e = oct_last_error();
    return octi_fail(e->code == OCT_ENOMEM ? e->code : code, place,
                     *e->where ? octi_fmt("%s: %s", e->where, e->what) : e->what, e->expected,
                     e->got, e->hint);
}

void octi_error_set(const oct_error *e) {
    (void)octi_fail(e->code, e->where, e->what, e->expected, e->got, e->hint);
}

oct_status octi_fail_errno(const char *where, const char *what) {
    return octi_fail(errno == ENOMEM ? OCT_ENOMEM : OCT_EIO, where, what, NULL, strerror(errno),
                     NULL);
}

const char *octi_fmt(const char *format, ...) {
    record *r = thread_record();
    char *dst = r->fmt[r->next_fmt++ % FMT_SLOTS];
    va_list ap;
    va_start(ap, format);
    vsnprintf(dst, FMT_BYTES, format, ap);
    va_end(ap);
    return dst;
}

const char *oct_error_message(void) {
    record *r = thread_record();
    const oct_error *e = &r->err;
    if (e->code == OCT_OK) return oct_status_text(OCT_OK);
    int n = snprintf(r->message, MESSAGE_BYTES, "%s%s%s", e->where, *e->where ? ": " : "", e->what);
    if (*e->expected)
        n += snprintf(r->message + n, (size_t)(MESSAGE_BYTES - n), ": expected %s", e->expected);
    if (*e->got)
        n += snprintf(r->message + n, (size_t)(MESSAGE_BYTES - n), "%s got %s",
                      *e->expected ? "," : ":", e->got);
    if (*e->hint) snprintf(r->message + n, (size_t)(MESSAGE_BYTES - n), " (%s)", e->hint);
    return r->message;
}
