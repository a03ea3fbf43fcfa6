/* SPDX-License-Identifier: MIT
 * src/status_own.h - status and error record: what the library's own files have of it.
 * Comes with status.h where the library is built; never installed. */
#ifndef OCT_SRC_STATUS_OWN_H
#define OCT_SRC_STATUS_OWN_H

#include "status.h"

/** Record a failure and return its code. Any string may be NULL. Strings are copied (cut at about
 *  250 bytes each, `got`, which may be a list, at 2,000;
 *  control characters are replaced, so that bytes of a file cannot reach a terminal). */
oct_status octi_fail(oct_status code, const char *where, const char *what, const char *expected,
                     const char *got, const char *hint);
/** OCT_EIO with what errno says; OCT_ENOMEM where that is memory. */
oct_status octi_fail_errno(const char *where, const char *what);
/** printf into one of the thread's eight rotating buffers of 1024 bytes: for arguments of
 *  octi_fail, and for names. */
const char *octi_fmt(const char *format, ...) OCT_PRINTF(1, 2);
/** The thread's last failure again, as `code` (one of memory stays that), with a place in front of
 *  where it was: "place: where: what". */
oct_status octi_fail_in(oct_status code, const char *place);
/** A failure that the caller goes on without is forgotten: OCT_OK. One of memory, a stop, or a
 *  fault of the library says nothing of what was asked for, and stays. */
oct_status octi_excuse(oct_status s);
/** Record again, in this thread, a failure that a worker copied out of its own record. */
void octi_error_set(const oct_error *e);

#define OCT_TRY(call)                                                                              \
    do {                                                                                           \
        oct_status oct_try_s_ = (call);                                                            \
        if (oct_try_s_ != OCT_OK) return oct_try_s_;                                               \
    } while (0)
#define OCT_TRY_GOTO(st, label, call)                                                              \
    do {                                                                                           \
        (st) = (call);                                                                             \
        if ((st) != OCT_OK) goto label;                                                            \
    } while (0)

#endif
