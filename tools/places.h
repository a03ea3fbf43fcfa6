/* SPDX-License-Identifier: MIT
 * tools/places.h - where the command's own files lie: in a folder of this process alone, or inside
 * a folder that may be anybody's, such as a sweep's. */
#ifndef OCT_TOOLS_PLACES_H
#define OCT_TOOLS_PLACES_H

#include <stdio.h>

/** A folder below $TMPDIR that lives as long as this process needs it. It is locked meanwhile; what
 *  killed processes of this user left of such folders goes when one is made. */
typedef struct work_folder {
    char path[64]; /* "": none */
    int handle;
} work_folder;
/** 0, or exit code 4 behind a message. Signals are to be caught before. */
int work_folder_make(work_folder *w);
/** With the files in it; where there is none, nothing. */
void work_folder_end(work_folder *w);

/** A link in the place of a file that is about to be written goes: nothing outside the folder is
 *  written to. */
void place_without_link(const char *path);
/** A new file in the place of whatever is there, or (write: false) a file for reading that is no
 *  link. NULL and errno. */
FILE *place_open(const char *path, int write);

#endif
