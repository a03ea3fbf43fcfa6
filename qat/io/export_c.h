/* SPDX-License-Identifier: MIT
 * qat/io/export_c.h - an int8 net as one C file and its header: C99 without malloc, libc or octet,
 * for a microcontroller or any program. It gives the codes that the plan gives, by the law that the
 * net's requants carry (fp32, or q31: its codes are then int8_t outside).
 *
 *     oct_net *net = oct_int8_load(ctx, "lenet.oct8");
 *     oct_export_c(net, "out", &(oct_export_c_opts){.name = "lenet"}, NULL); // out/lenet.c, .h */
#ifndef OCT_QAT_IO_EXPORT_C_H
#define OCT_QAT_IO_EXPORT_C_H

#include "../../src/net.h"

OCT_BEGIN_DECLS

/** What the files need of a device. */
typedef struct oct_c_sizes {
    char name[64];       /* the prefix of every name in them; the files are name.c and name.h */
    int64_t flash_bytes; /* constants: weights, biases, multipliers, tables, names of classes;
                            without code and self test, pointers counted as 4 bytes */
    int64_t arena_bytes; /* RAM of a run, beside some 200 bytes of stack */
    int64_t macs;        /* multiplications of 8-bit numbers in one run */
} oct_c_sizes;

/** Called before anything is written; what it returns, unless 0, ends the export: OCT_ESTOPPED. */
typedef int (*oct_c_sizes_fn)(void *user, const oct_c_sizes *sizes);

typedef struct oct_export_c_opts {
    /* prefix of every name, at most 63 bytes; what C does not take in a name becomes '_'. NULL: the
     * net's model */
    const char *name;
    oct_c_sizes_fn sizes; /* NULL: nobody asks */
    void *user;
} oct_export_c_opts;
OCT_API void oct_export_c_opts_init(oct_export_c_opts *opts);

/** Write name.c and name.h of a G3 net into the folder `dir`, which must be there. opts and sizes
 *  may be NULL. The same net gives the same bytes. OCT_EUNSUPPORTED names every layer that computes
 *  in floats (kept float, LSTM, dynamic); OCT_EUSAGE for a net of another stage or a name that is
 *  empty or too long; OCT_EIO; all that oct_plan_new finds. */
OCT_API OCT_NODISCARD oct_status oct_export_c(const oct_net *net, const char *dir,
                                              const oct_export_c_opts *opts, oct_c_sizes *sizes);

OCT_END_DECLS
#endif
