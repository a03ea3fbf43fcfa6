/* SPDX-License-Identifier: MIT
 * src/format/files.h - whole-file input and atomic output: by a path, which is the user's word and
 * is followed where it leads, or inside an open folder, which may be anybody's.
 *
 * A folder is reached through its handle alone: whatever its path becomes meanwhile, and whatever
 * links lie in it, nothing outside is read or written. A link that stands in the place of a file is
 * refused where it would be read, and replaced, not followed, where it would be written. */
#ifndef OCT_SRC_FORMAT_FILES_H
#define OCT_SRC_FORMAT_FILES_H

#include "../tensor.h"

OCT_BEGIN_DECLS

/** A whole regular file in memory of the context (free with octi_free), and a zero byte behind it.
 *  OCT_EIO (missing, directory, not a regular file, unreadable), OCT_ELIMIT above max_bytes (0: 4
 *  GiB). */
oct_status octi_file_read(oct_ctx *ctx, const char *path, size_t max_bytes, uint8_t **bytes,
                          size_t *size);

/** Output file that appears whole or not at all: temporary in the same folder, checked writes,
 *  fsync, rename, fsync of the folder. Until commit the old file stays byte-identical; abort leaves
 *  no trace. A link to a file stays a link, permissions stay; OCT_EIO for a path that is a folder
 *  or a device, or a file without write permission. Temporaries of the same file that a killed
 *  process left ("<name>.tmp-PID-N", locked while it lived) are removed. */
typedef struct octi_file octi_file;
octi_file *octi_file_create(oct_ctx *ctx, const char *path);
oct_status octi_file_write(octi_file *f, const void *bytes, size_t size);
/** Both free f; commit reports any failure since create (OCT_EIO, errno in words). */
oct_status octi_file_commit(octi_file *f);
void octi_file_abort(octi_file *f);
/** The three calls above for bytes that are all there. */
oct_status octi_file_save(oct_ctx *ctx, const char *path, const void *bytes, size_t size);

/* ---- inside a folder ---- */

typedef struct octi_folder octi_folder;
/** Open a folder; a path that is a link is followed. NULL on failure (OCT_EIO). */
octi_folder *octi_folder_open(oct_ctx *ctx, const char *path);
/** A folder in it, never a link, that goes by the path of the outer one in messages; NULL on
 *  failure (OCT_EIO). octi_folder_make makes it, empty. */
octi_folder *octi_folder_sub(const octi_folder *f, const char *name);
octi_folder *octi_folder_make(const octi_folder *f, const char *name);
/** Gives the lock back too. NULL is fine. */
void octi_folder_close(octi_folder *f);
/** As it was opened, for messages. */
const char *octi_folder_path(const octi_folder *f);
/** The one writer of a folder: OCT_EBUSY where another process, or another handle, has it. It goes
 *  with the handle, however the process ends. A file system without locks gives it to everybody
 *  (logged). */
oct_status octi_folder_lock(octi_folder *f);
/** Is something of that name there? A folder that cannot tell is OCT_EIO, not a "no". */
oct_status octi_folder_has(const octi_folder *f, const char *name, bool *there);
/** Names in it but "." and "..", as one block of strings of the context, the last followed by an
 *  empty one (octi_free). */
oct_status octi_folder_names(const octi_folder *f, char **names);
/** Remove a file or link; one that is not there is no failure. */
oct_status octi_folder_remove(const octi_folder *f, const char *name);
/** Remove a folder in it with the files that it holds, not what lies deeper; whatever cannot go
 *  stays, and nothing is recorded. */
void octi_folder_clear(const octi_folder *f, const char *name);
oct_status octi_folder_rename(const octi_folder *f, const char *from, const char *to);
oct_status octi_folder_sync(const octi_folder *f);
/** Another folder's file under this folder's name: by a link, or a copy where the file system has
 *  none. */
oct_status octi_folder_take(const octi_folder *f, const octi_folder *from, const char *name);
/** Remove temporaries of saves that were killed ("<name>.tmp-PID-N") of one file, or of any (name
 *  NULL). */
void octi_folder_clear_left(const octi_folder *f, const char *name);

/** As octi_file_read, _create, _save. OCT_EFORMAT for a link. */
oct_status octi_file_read_in(const octi_folder *f, const char *name, size_t max_bytes,
                             uint8_t **bytes, size_t *size);
/** A whole file of a folder, or (in NULL) by its path, for a parser that keeps the bytes; *where is
 *  its name in messages, as octi_fmt makes it. */
oct_status octi_file_read_for(oct_ctx *ctx, const octi_folder *in, const char *name,
                              uint8_t **bytes, size_t *size, const char **where);
octi_file *octi_file_create_in(const octi_folder *f, const char *name);
oct_status octi_file_save_in(const octi_folder *f, const char *name, const void *bytes,
                             size_t size);
/** Cut a file to `at` bytes, append and sync: for logs, whose good length the caller knows. What a
 *  failure leaves behind it is cut by the next call. OCT_EIO where the file is shorter. */
oct_status octi_file_append_in(const octi_folder *f, const char *name, int64_t at,
                               const void *bytes, size_t size);

OCT_END_DECLS
#endif
