/* SPDX-License-Identifier: MIT
 * tools/cli.h - what the command's files share: options, errors, output. Public headers only. */
#ifndef OCT_TOOLS_CLI_H
#define OCT_TOOLS_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "octet.h"

/* ---- options ---- */

enum { OPT_FLAG, OPT_INT, OPT_REAL, OPT_TEXT };

/** A value of each option; `set` says whether it was given. */
typedef struct opt_value {
    bool set;
    long long i;
    double d;
    const char *s;
    char *joined; /* s of an option that was given more than once */
} opt_value;

typedef struct cli {
    const char *command;
    int index; /* of commands.def */
    char **operands;
    int operand_count;
#define OPT(kind, field, name, short_, lo, hi, meta, commands, flags, otherwise, help)             \
    opt_value field;
#include "tools/options.def"
    double began;     /* cli_seconds of its start */
    oct_ctx *ctx;     /* open while a command runs */
    char opened[160]; /* what opening it warned of: which kernels cannot be used, and why */
    bool bar;         /* a progress bar may be drawn */
    bool color;
    bool goes_on;            /* qat of a quantized run, which keeps that run's settings */
    const char *progress_of; /* what alone is shown of a command's progress; NULL: everything */
} cli;

#define COMMAND(NAME, name, function, operands, least, most, needs, text, example)                 \
    int function(cli *c);
#include "tools/commands.def"

/** Parse; 0, or the exit code behind a message. *run is NULL where nothing is left to do (--help,
 *  --version). */
int cli_parse(cli *c, int argc, char **argv, int (**run)(cli *c));
/** Behind parsing: what a run that is to be resumed was made by, for options that were not given
 *  again. 0, or the exit code behind a message. */
int cli_resume(cli *c);
/** Then: are operands and needed options there? 0, or the exit code behind a message. */
int cli_complete(cli *c);
/** Free what parsing took, also behind an error. */
void cli_release(cli *c);
/** Options that were given and are stored, as one JSON object (static buffer). */
const char *cli_config_json(const cli *c);
/** "1,2,3" into at most n floats; the number read, or -1 (message printed). */
int cli_floats(const char *option, const char *text, float *out, int n);

/* ---- errors ---- */

/** "octet: where: what: expected E, got G (hint)" on stderr; returns 2. */
int cli_usage(const char *where, const char *what, const char *expected, const char *got,
              const char *hint);
/** The library's last failure on stderr; returns its exit code. */
int cli_failed(void);
/** cli_c_words.c: that line; calls and fields of C become commands and options in it. */
void cli_print_failure(void);
/** A text of the library in those words, cut at size bytes; all: rows too whose options the running
 *  command has not. */
void cli_in_words(const char *text, char *to, size_t size, bool all);
/** The same for a status: 0 for OCT_OK. */
int cli_status(oct_status s);
/** Progress on stderr, unless --quiet. */
void cli_note(const cli *c, const char *format, ...) OCT_PRINTF(2, 3);
/** Of commands that show kernels: which cannot be used, and why, where opening warned of it. */
void cli_note_kernels(const cli *c);

/* ---- output ---- */

/** A JSON object on stdout, on one line. */
typedef struct json {
    FILE *f;
    bool more;
} json;
json json_open(void);
void json_string(json *j, const char *key, const char *v);
/** Numbers that are NaN or infinite become null. */
void json_number(json *j, const char *key, double v);
void json_int(json *j, const char *key, long long v);
void json_bool(json *j, const char *key, bool v);
/** key: [ and ]; key NULL inside arrays; json_item opens an object in an array. */
void json_array(json *j, const char *key);
void json_array_end(json *j);
void json_item(json *j);
void json_item_end(json *j);
void json_close(json *j);
/** [null, 28, 28, 6]: the symbolic batch is null. */
void json_shape(json *j, const char *key, const oct_shape *s);

/* ---- plain pictures ---- */

/** A bar of a share (0 to 1) of `width` places, in eighths of a place where the terminal takes
 *  UTF-8, else of '#'; filled up with blanks. Good for the next three calls. */
const char *cli_bar_text(double share, int width);
/** A character for each of n values, low to high; what is not finite is a blank. The same. */
const char *cli_spark_text(const double *v, int n);

/* ---- data and models ---- */

/** What a set of data is opened like: sizes and classes. */
typedef struct cli_like {
    const oct_input_desc *input;
    const oct_class *classes;
    int32_t class_count;
} cli_like;
/** The data set of --data: part `split`, like the net (may be NULL): classes that it has no names
 *  for get the data's, with a note. */
oct_data *cli_data(cli *c, oct_split split, oct_net *net);
/** The same for a SPEC of its own; limit 0: all. */
oct_data *cli_data_of(cli *c, const char *spec, oct_split split, int64_t limit, oct_net *net);
/** The test part of --data, described as its training part is. */
oct_data *cli_test_like(cli *c, oct_data *train);
/** The same where there is no net yet; like may be NULL. */
oct_data *cli_data_like(cli *c, const char *spec, oct_split split, int64_t limit,
                        const cli_like *like);
/** What to call a class: its name, the id where it has none. */
const char *cli_class_name(const oct_net *net, int64_t i);
oct_split cli_split(const cli *c, oct_split otherwise, bool *ok);
/** A model, of a run or (run_only false) an int8 file, with what --div --mean --std --resize --crop
 *  --classes say of its input in place of its own words. NULL: *code is the exit code behind a
 *  message. */
oct_net *cli_load(cli *c, const char *path, bool run_only, int *code);
/** --div --mean --std into a description of `channels` (0: not known yet, up to 4); 0, or the exit
 *  code behind a message. */
int cli_input(cli *c, oct_input_desc *d, int32_t channels);
/** --div --mean --std --resize --crop into a net's description; 0, or the exit code behind a
 *  message. */
int cli_describe(cli *c, oct_net *net);
/** A net that nobody described takes the data's word on pixels, and it is said: for those who
 *  train it on. model: its name in the note. */
int cli_take_input(cli *c, oct_net *net, const oct_data *d, const char *model);
/** --div ... as cli_describe, and --classes for as many classes as the net has. */
int cli_override(cli *c, oct_net *net);
/** The list of --classes, in memory of the process; NULL: *code is the exit code. */
const oct_class *cli_classes(cli *c, int32_t *count, int *code);
/** The first operand's model and the data of --data that fits it: false behind a message, *code is
 *  the exit code. */
bool cli_model_and_data(cli *c, oct_net **net, oct_data **data, int *code);
/** A word that is none of `known` ("a, b or c"): says so, with the nearest; 2. */
int cli_unknown(const char *where, const char *what, const char *known, const char *got);
/** The same for a layer's name. */
int cli_no_layer(const char *option, const oct_net *net, const char *got);
/** printf on stdout in which no control byte of a name reaches the terminal; newlines and tabs of
 *  the format itself do. */
void cli_print(const char *format, ...) OCT_PRINTF(1, 2);
void cli_print_to(FILE *f, const char *format, ...) OCT_PRINTF(2, 3);
/** One line, the same way. */
void cli_print_line(FILE *f, const char *line);
/** A word for a shell: quoted where it must be. Good for the next seven calls. */
const char *cli_word(const char *s);
/** The last line of a command, on stderr: where the result lies and what comes next; nothing under
 *  --quiet and --json. */
void cli_next(const cli *c, const char *format, ...) OCT_PRINTF(2, 3);
double cli_seconds(void);

/** What made a run: the command ("ptq"), the run that it began with, the data set; "" where
 *  unknown. */
typedef struct cli_origin {
    char by[16], from[1000], data[1000];
} cli_origin;
cli_origin cli_origin_of(const cli *c, const char *run);
/** The same of what is a run; an error where it cannot be read. */
oct_status cli_origin_read(const cli *c, const char *run, cli_origin *o);
/** The float run that a quantized one goes back to; `otherwise` where it is not there. */
const char *cli_float_run(const cli *c, const char *run, const char *otherwise);
/** A run is quantized where `expected` is wanted: says so, with the float run that it goes back to;
 *  2. */
int cli_quantized_already(const cli *c, const char *run, const char *expected);
/** The data set to go on with: --data, else what the run at a path was made on, or one that it goes
 *  back to; a word for a shell. "SPEC" where none says it. */
const char *cli_next_data(const cli *c, const char *path);
/** cli_next for a model of any stage at a path: float: ptq or qat; prepared: convert; int8:
 *  predict. */
void cli_next_of_model(const cli *c, const oct_net *net, const char *path);
/** cli_next of the quantized run that was made in --out: convert. */
void cli_next_of_run(const cli *c);
/** A name to be proposed: PATH and an ending ("-ptq", ".oct8"), numbered where something has it
 *  already; a word for a shell. Good for the next three calls. */
const char *cli_free_name(const char *path, const char *ending);

/** What a command writes that is one file. */
typedef enum cli_file {
    CLI_FILE_INT8,
    CLI_FILE_PAGE,
    CLI_FILE_C,
    CLI_FILE_PNG,
    CLI_FILE_ONNX,
    CLI_FILE_TENSORS,
    CLI_FILE_ARRAYS
} cli_file;
/** Before such a file is written: is nothing there, or a file of the same kind by what is in it
 *  (cli_replace.c)? 0, or the exit code behind a message. */
int cli_may_replace(const cli *c, const char *path, cli_file kind);

/* ---- quantization ---- */

/** --target --observer --wbits --abits --percentile --method --ste --set --qconfig. Weakest first:
 *  the file's rules, options,
 *  --set (inside one level; a name beats a pattern whoever gives it). 0, or the exit code behind a
 *  message. */
int cli_qconfig(cli *c, oct_qconfig *q);
/** One of them was given. */
bool cli_qconfig_given(const cli *c);
/** Where the input has another observer than --observer says: a note. 0, or the exit code behind a
 *  message. */
int cli_note_input(const cli *c, const oct_net *net);
/** What became of each layer, and which rule decided it, as a table. */
int cli_placements(FILE *to, oct_net *net);

/** Layers of a prepared net that lose too much on some images of data (oct_layer_warnings),
 *  each said on stderr; nets of other stages have none. fp32, quantized: accuracies, below zero
 *  where unknown. */
typedef struct cli_warnings {
    oct_layer_warning *row;
    int32_t count;
} cli_warnings;
cli_warnings cli_warn(const cli *c, oct_net *net, oct_data *data, double fp32, double quantized,
                      int64_t n);
/** "warnings": [{layer, measure, value, bound, text, hint}]. */
void cli_warnings_json(json *j, const cli_warnings *w);
void cli_warnings_free(const cli *c, cli_warnings *w);

/* ---- inspect ---- */

/** What is in a net, and how it is laid out. */
int cli_show_net(cli *c, oct_net *net);
/** The net at the stage of --stage, with what was fused on the way to "fused"; NULL: *code is the
 *  exit code. */
oct_net *cli_at_stage(cli *c, oct_net *net, int *code);
/** inspect --weights NAME: a layer's weight, or any tensor of the net. */
int cli_show_weights(const cli *c, oct_net *net, const char *name);
/** inspect --histogram LAYER: the entropy search over what the layer's observer saw. */
int cli_show_divergences(const cli *c, oct_net *net, const char *layer);

/* ---- signals ---- */

/** From here on SIGINT and SIGTERM are remembered; the second one ends the process at once. */
void cli_catch_signals(void);
/** The signal, or 0. */
int cli_signal(void);

/** oct_opts.progress: a bar on a terminal, one line at the end elsewhere, nothing under --quiet. */
int cli_progress(void *c, const char *what, int64_t done, int64_t total);
/** "45 s", "2 min 05 s", "1 h 20 min"; good until the next call. */
const char *cli_left(double seconds);
/** "[###...] done/total" on stderr, behind what stands there. */
void cli_bar(long long done, long long total);

/* ---- --dry-run ---- */

/** What a training will take, told as a note: net is trained a little, and of no use behind it.
 *  from: the net that a prepared one was made of. 0, or the exit code behind a message. */
int cli_plan_fit(const cli *c, oct_net *from, oct_net *net, oct_data *train, const oct_fit_opts *o);
/** The same of calibration on n images; rounds: by adaround too. */
int cli_plan_ptq(cli *c, oct_net *from, oct_net *net, oct_data *train, oct_data *test, int64_t n,
                 bool rounds);
/** The same of a score. */
int cli_plan_eval(cli *c, oct_net *net, oct_data *data);

/* ---- shared by train, qat and demo ---- */

typedef struct fit_view {
    cli *c;
    bool int8;   /* int8_accuracy in place of test_accuracy */
    bool silent; /* demo: nothing on stdout */
    bool hold;   /* qat: the final line waits for cli_fit_final */
    double last_drawn;
    double begun;              /* when the first step was told of, and which it was: time left */
    int64_t first, tested;     /* tested: images of the part that each epoch is scored on */
    double last_step, scoring; /* scoring: seconds of evaluations so far, `scored` of them */
    int scored;
    oct_fit_report last;
} fit_view;
int cli_fit_progress(void *view, const oct_fit_report *r);
/** The final line that `hold` kept back. */
void cli_fit_final(fit_view *v, const cli_warnings *w);
/** Options of train and qat into oct_fit_opts; false behind a message, *code then the exit code. */
bool cli_fit_opts(cli *c, oct_net *net, oct_fit_opts *o, oct_data **val, int *code);
/** Run it, and print the exit's reason. */
int cli_fit(cli *c, oct_net *net, oct_data *train, oct_fit_opts *o, fit_view *v);

#endif
