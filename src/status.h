/* SPDX-License-Identifier: MIT
 * src/status.h - status codes and the thread's error record.
 *
 * Every fallible call returns oct_status; constructors and recorded ops return the object and NULL
 * on failure. On failure a record of the calling thread says what went wrong, where, what was
 * expected, what was got and what to do. */
#ifndef OCT_SRC_STATUS_H
#define OCT_SRC_STATUS_H

#include "api.h"

OCT_BEGIN_DECLS

typedef enum oct_status {
#define OCT_STATUS(name, exit_code, text) OCT_##name,
#include "status.def"
#undef OCT_STATUS
    OCT_STATUS_COUNT
} oct_status;

/** The calling thread's last failure. Strings are never NULL ("" where absent) and stay valid until
 *  its next failure. */
typedef struct oct_error {
    oct_status code;
    const char *where;    /* layer, file, option, tensor */
    const char *what;     /* what is wrong */
    const char *expected; /* "" where it does not apply */
    const char *got;
    const char *hint; /* what to do */
} oct_error;

/** Record of the calling thread's last failure; code OCT_OK before the first. Never NULL. */
OCT_API const oct_error *oct_last_error(void);
/** The same in one line: "where: what: expected E, got G (hint)". Valid until the thread's next
 *  failure. */
OCT_API const char *oct_error_message(void);
/** Forget the calling thread's record. */
OCT_API void oct_clear_error(void);
/** Constant text of a code, "unknown status" outside the range. */
OCT_API const char *oct_status_text(oct_status s);
/** Exit code that the command uses for a status (design 6). */
OCT_API int oct_status_exit_code(oct_status s);

OCT_END_DECLS

#ifdef OCT_BUILDING /* the library's own files */
#include "status_own.h"
#endif

#endif
