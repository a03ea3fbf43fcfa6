/* SPDX-License-Identifier: MIT
 * src/format/folders.h - what files.c and folders.c share. */
#ifndef OCT_SRC_FORMAT_FOLDERS_H
#define OCT_SRC_FORMAT_FOLDERS_H

#include "files.h"

struct octi_folder {
    oct_ctx *ctx;
    char *path;
    int fd;
};

/** OCT_EIO with errno in words. */
oct_status octi_io_error(const char *path, const char *what);
/** OCT_EFORMAT: a link in the place of a file. */
oct_status octi_fail_link(const char *path);
/** "folder/name", for messages: one of the thread's eight rotating buffers. */
const char *octi_folder_at(const octi_folder *f, const char *name);

#endif
