/* SPDX-License-Identifier: MIT
 * qat/fit/run_folder.h - a run's folder as its readers and its one writer have it open.
 *
 * A run that begins anew (its first save, and --force) is written whole into ".new.tmp-PID" inside
 * the folder, which then gets the name ".new": from that moment it is the run, whatever else lies
 * there. Its files are linked over the old ones, those that it does not have are removed, and
 * ".new" goes. Whoever finds ".new" reads the run there; the next writer ends what a killed one
 * began. So an old run is there until the new one is whole, and no moment shows a mixture. */
#ifndef OCT_QAT_FIT_RUN_FOLDER_H
#define OCT_QAT_FIT_RUN_FOLDER_H

#include "qat/fit/fit.h"
#include "src/format/files.h"

typedef struct octi_run octi_run;

/** Open a run to read it: needs no lock and writes nothing. NULL on failure: OCT_EIO (no such
 *  folder), OCT_EFORMAT (not a run). */
octi_run *octi_run_open(oct_ctx *ctx, const char *dir);
/** Open a folder to write a run: made where absent, judged as by oct_run_check, locked (OCT_EBUSY),
 *  and freed of what killed writers left. NULL on failure. */
octi_run *octi_run_write(oct_ctx *ctx, const char *dir, bool resume, bool force);
/** Where files are read and written now. */
const octi_folder *octi_run_folder(const octi_run *r);
/** Begin the run anew, beside what is there. */
oct_status octi_run_renew(octi_run *r);
/** What was begun is whole: it becomes the run. */
oct_status octi_run_keep(octi_run *r);
/** The run was not worth keeping: where it took no other's place its files go, and with them a
 *  folder that was made for it. What a disk refuses to remove stays. */
void octi_run_drop(octi_run *r);
/** What was begun and not kept goes, and with it a folder that was made for it. NULL is fine. */
void octi_run_close(octi_run *r);

#endif
