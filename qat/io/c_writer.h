/* SPDX-License-Identifier: MIT
 * qat/io/c_writer.h - what the files that print C share: text in which '@' stands for the model's
 * name, constants, and where values live. */
#ifndef OCT_QAT_IO_C_WRITER_H
#define OCT_QAT_IO_C_WRITER_H

#include "qat/infer/plan.h"
#include "qat/io/export_c.h"
#include "src/format/bytes.h"

/** Shared functions of the file, each printed where a layer needs it (c_pieces.c). */
typedef enum octi_c_piece {
    OCTI_C_MULTIPLIER,
    OCTI_C_TIMES,
    OCTI_C_CODE,
    OCTI_C_REQUANT,
    OCTI_C_WINDOW,
    OCTI_C_CONV,
    OCTI_C_DEPTHWISE,
    OCTI_C_DENSE,
    OCTI_C_LINEAR,
    OCTI_C_PAIR,
    OCTI_C_ADD,
    OCTI_C_MUL,
    OCTI_C_RESCALE,
    OCTI_C_POOL,
    OCTI_C_POOLED,
    OCTI_C_MAX_POOL,
    OCTI_C_AVERAGE,
    OCTI_C_AVG_POOL,
    OCTI_C_ADAPTIVE_POOL,
    OCTI_C_MEAN_POOL,
    OCTI_C_MEAN_INSIDE,
    OCTI_C_PAD,
    OCTI_C_SLICE,
    OCTI_C_CLIP,
    OCTI_C_TABLE,
    OCTI_C_SOFTMAX,
    OCTI_C_COPY,
    OCTI_C_PIECES
} octi_c_piece;

typedef struct octi_c_const octi_c_const;

typedef struct octi_c_writer {
    oct_ctx *ctx;
    const oct_net *net;
    const oct_plan *plan; /* dense; plan->steps[first] is quantize, [last] dequantize */
    int32_t first, last;
    bool q31; /* its requants are in fixed point, and its codes int8_t outside */
    char id[64];
    bool need[OCTI_C_PIECES];
    octi_text tables, body;
    octi_c_const *known; /* constants that were printed, so that shared ones are printed once */
    size_t known_count, known_cap;
    int64_t flash, macs, shifts;
    int64_t scratch; /* bytes that CMSIS-NN's functions want beside the arena; 0: none is called */
    int64_t beside;  /* what its pools want, where others are called */
    int32_t step;    /* that is printed now */
} octi_c_writer;

/** printf in which every '@' of the format becomes the model's name. */
void octi_c_put(const octi_c_writer *w, octi_text *t, const char *format, ...) OCT_PRINTF(3, 4);
/** The same of a text as it is. */
void octi_c_put_text(const octi_c_writer *w, octi_text *t, const char *text);
/** A C string literal of any bytes: no trigraph, nothing but printable ASCII. */
void octi_c_put_string(octi_text *t, const char *s);
/** Any bytes as words of a comment: letters, digits and harmless marks, all else '_'. */
const char *octi_c_comment(const char *s);
/** A float as C reads it back, whatever the locale: "0.5f". */
const char *octi_c_float(float v);
/** What C takes as the beginning of every name; OCT_EUSAGE. */
oct_status octi_c_name(const char *from, char name[64]);

/** Where a value lives, as an expression: "x", "y", "arena + 12". */
const char *octi_c_place(const octi_c_writer *w, int32_t value);

/* Q31: pairs of which the second numbers stand w->shifts elements behind the first */
typedef enum octi_c_type { OCTI_C_U8, OCTI_C_S8, OCTI_C_S32, OCTI_C_F32, OCTI_C_Q31 } octi_c_type;
typedef struct octi_c_label {
    char text[16]; /* a name without the prefix: "w3" */
} octi_c_label;
/** Print a constant once, however many layers have it. `data` is what identifies it, with count. */
octi_c_label octi_c_array(octi_c_writer *w, octi_c_type type, char letter, const void *data,
                          int64_t count);

/** The weights s8 [O,R,S] of a depthwise layer, the same way; as [R,S,O] where CMSIS-NN reads
 *  them. */
octi_c_label octi_c_depthwise(octi_c_writer *w, const oct_tensor *t);

/** The same under a name of its own. */
void octi_c_named(octi_c_writer *w, octi_c_type type, const char *name, const void *data,
                  int64_t count);
/** What a class is called: its name, or its id. */
const char *octi_c_class(const oct_net *net, int32_t i);

/** The function of a piece is needed, and those that it calls. */
void octi_c_need(octi_c_writer *w, octi_c_piece piece);
void octi_c_put_pieces(const octi_c_writer *w, octi_text *t);

/** c_cmsis.c: what stands in front of all functions, and those in place of octet's own. */
extern const char octi_c_cmsis[], octi_c_cmsis_conv[], octi_c_cmsis_linear[],
    octi_c_cmsis_depthwise[], octi_c_cmsis_add[], octi_c_cmsis_pool[], octi_c_cmsis_max_pool[],
    octi_c_cmsis_mean_inside[];

/** Print step i: its tables and its call. Only kinds that octi_c_has. */
oct_status octi_c_put_step(octi_c_writer *w, int32_t i);
/** A kind of G3 that can be printed. */
bool octi_c_has(oct_op_kind kind);

/** Vectors of the self test: two of noise, the lowest and the highest code everywhere. The output's
 *  codes stand in the file as they are where there are at most so many. */
enum { OCTI_C_VECTORS = 4, OCTI_C_MOST_OUT = 1024 };
typedef struct octi_c_vectors {
    uint32_t pixels;              /* sum of the table of pixels; 0 where there is none */
    uint32_t sum[OCTI_C_VECTORS]; /* over all codes of all layers */
    uint8_t *out;                 /* [vectors][codes of an output]; NULL: not wanted */
} octi_c_vectors;
/** What the plan makes of the vectors. `out` is the caller's. */
oct_status octi_c_golden(const octi_c_writer *w, octi_c_vectors *golden);

/** The two files. */
oct_status octi_c_put_header(const octi_c_writer *w, const oct_c_sizes *sizes, octi_text *t);
oct_status octi_c_put_source(const octi_c_writer *w, const oct_c_sizes *sizes, octi_text *t);

#endif
