/* SPDX-License-Identifier: MIT
 * src/api.h - what every public header needs: visibility, must-use, C++ guards. */
#ifndef OCT_SRC_API_H
#define OCT_SRC_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define OCT_API          __attribute__((visibility("default")))
#define OCT_NODISCARD    __attribute__((warn_unused_result))
#define OCT_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define OCT_API
#define OCT_NODISCARD
#define OCT_PRINTF(f, a)
#endif

#ifdef __cplusplus
#define OCT_BEGIN_DECLS extern "C" {
#define OCT_END_DECLS   }
#else
#define OCT_BEGIN_DECLS
#define OCT_END_DECLS
#endif

/* Option structs: zero is the default, so designated initializers name what differs; where there
 * are none (C++11, bindings), oct_<name>_opts_init(&opts) writes the defaults first. Structs grow
 * at their end. */
/** For option fields whose default is not 0: OCT_NONE asks for a real 0 (design 3). */
#define OCT_NONE (-1)

/* The one place of the version: CMake reads it here. The soname is MAJOR.MINOR as long as MAJOR
 * is 0. */
#define OCT_VERSION_MAJOR 0
#define OCT_VERSION_MINOR 1
#define OCT_VERSION_PATCH 0
#define OCT_VERSION       "0.1.0"
/** One number to compare: 0.2.1 is 201. */
#define OCT_VERSION_NUMBER (OCT_VERSION_MAJOR * 10000 + OCT_VERSION_MINOR * 100 + OCT_VERSION_PATCH)

OCT_BEGIN_DECLS
/** Version of the library that runs, OCT_VERSION being that of the headers: "0.1.0". */
OCT_API const char *oct_version(void);
/** The same as OCT_VERSION_NUMBER has it. */
OCT_API int oct_version_number(void);
OCT_END_DECLS

#endif
