/* SPDX-License-Identifier: MIT
 * tools/c_program.h - an exported C file, built with $CC and run beside the command. */
#ifndef OCT_TOOLS_C_PROGRAM_H
#define OCT_TOOLS_C_PROGRAM_H

#include "tools/child.h"
#include "tools/cli.h"

/** What the program says of itself before anything else; as its main writes it. */
typedef struct c_model {
    int32_t h, w, c, count, zero_point, lowest, highest, rank;
    float scale;
} c_model;

typedef struct c_program {
    child child;
    c_model model;
} c_program;

/** Build NAME.c, which stands beside its NAME.h, into a folder that is gone again when this
 *  returns, and start it. 0, or the exit code behind a message. Signals are caught from here on. */
int c_program_start(c_program *p, const char *path);
void c_program_end(c_program *p);
/** One image's codes, model.count of them. Exit code 7 behind a message where the program ended. */
int c_program_give(c_program *p, const uint8_t *codes);
/** The next layer of that image: its name (borrowed until the next call) and codes into *codes,
 *  which grows by realloc; *bytes is 0 behind the last one. */
int c_program_layer(c_program *p, char name[512], uint8_t **codes, uint32_t *bytes);

#endif
