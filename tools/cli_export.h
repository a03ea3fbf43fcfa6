/* SPDX-License-Identifier: MIT
 * tools/cli_export.h - what the formats of octet export (export_formats.def) share. */
#ifndef OCT_TOOLS_CLI_EXPORT_H
#define OCT_TOOLS_CLI_EXPORT_H

#include "tools/cli.h"

typedef struct export_job {
    cli *c;
    oct_net *net;      /* float, fused or int8: one that the format takes */
    const char *model; /* the path that it came from */
    const char *name;  /* the files' name, without extension: the model's, or --name */
    json *j;           /* --json: an open array of files */
    const char *format;
    const oct_c_sizes *sizes; /* of the file that is told of next, beside its bytes; or NULL */
    char last[1100];          /* the last file that was told of */
} export_job;

#define FORMAT(word, takes, function, next) int function(export_job *job);
#include "tools/export_formats.def"

/** "DIR/NAME.EXTENSION", into one of two rotating buffers; NULL behind a message where it is too
 *  long. */
const char *export_path(const export_job *job, const char *extension);
/** A file is there (under --dry-run: would be): its line on stdout, or its object in the JSON. */
int export_wrote(export_job *job, const char *path);

#endif
