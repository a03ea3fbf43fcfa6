/* SPDX-License-Identifier: MIT
 * tests/doctor_rig.h - the command in a folder of its own, and what octet doctor said there. */
#ifndef OCT_TESTS_DOCTOR_RIG_H
#define OCT_TESTS_DOCTOR_RIG_H

#include "tests/temp_folder.h"

#include <math.h>
#include <stdarg.h>
#include <sys/wait.h>

#include "octet.h"
#include "src/format/npz.h"

#define SPEC "npz:digits.npz"
#define DATA "--data " SPEC
static oct_ctx *ctx;
static char octet[1024];
static bool verbose;

/* ---- the command ---- */

static int sh(const char *format, ...) {
    char words[4000], line[6000];
    va_list a;
    va_start(a, format);
    vsnprintf(words, sizeof words, format, a);
    va_end(a);
    snprintf(line, sizeof line, "cd %s && PATH='%s':\"$PATH\" && export PATH && %s >.out 2>.err",
             root, octet, words);
    if (verbose) printf("%s\n", words);
    const int rc = system(line);
    return WIFEXITED(rc) ? WEXITSTATUS(rc) : -1;
}
static void does(const char *format, ...) {
    char words[4000];
    va_list a;
    va_start(a, format);
    vsnprintf(words, sizeof words, format, a);
    va_end(a);
    const int rc = sh("%s", words);
    if (!rc) return;
    FILE *f = fopen(in_root(".err"), "r");
    char text[600] = "";
    if (f) text[fread(text, 1, sizeof text - 1, f)] = 0;
    if (f) fclose(f);
    ck_abort_msg("%s: exit %d: %s", words, rc, text);
}

static double accuracy_of(const char *run, const char *spec, int64_t limit) {
    oct_net *net = oct_run_load(ctx, in_root(run), NULL);
    ck_not_null(net);
    oct_data *test = oct_data_open(
        ctx, spec,
        &(oct_data_opts){
            .split = OCT_SPLIT_TEST, .limit = limit, .input = &net->input, .root = root});
    ck_not_null(test);
    oct_eval e;
    ck_ok(oct_evaluate(net, test, NULL, &e));
    const double a = e.accuracy;
    oct_eval_free(ctx, &e);
    oct_data_free(test);
    oct_net_free(net);
    return a;
}

/* The doctor, in the folder, as the command runs it. */
static oct_diagnosis *look(const char *run, const char *spec) {
    char here[1024];
    ck_assert(getcwd(here, sizeof here) && !chdir(root));
    oct_diagnosis *d = oct_doctor(ctx, run, &(oct_doctor_opts){.data = spec});
    ck_assert(!chdir(here));
    ck_not_null(d);
    for (int32_t i = 0; verbose && i < d->count; i++)
        printf("%s: %s (%.3f): %s\n  %s\n", run, oct_cause_kind_name(d->causes[i].kind),
               d->causes[i].gain, d->causes[i].evidence, d->causes[i].command);
    for (int32_t i = 1; i < d->count; i++)
        ck_assert_msg(d->causes[i].gain <= d->causes[i - 1].gain + 1e-9, "%s: order", run);
    return d;
}

/* From another folder, where the recipe's names are nothing: the float run lies beside the run. */
static void float_run_beside(const char *run, const char *spec) {
    char path[1100];
    snprintf(path, sizeof path, "npz:%s/%s", root, spec);
    oct_diagnosis *d = look(run, NULL),
                  *away = oct_doctor(ctx, in_root(run), &(oct_doctor_opts){.data = path});
    ck_not_null(away);
    ck_assert_double_gt(d->parent_score, 0);
    ck_assert_double_eq(away->parent_score, d->parent_score);
    oct_diagnosis_free(ctx, d);
    oct_diagnosis_free(ctx, away);
}

static void healthy(const char *run) {
    oct_diagnosis *d = look(run, NULL);
    ck_assert_msg(!d->count, "%s: %s: %s", run, oct_cause_kind_name(d->causes[0].kind),
                  d->causes[0].evidence);
    ck_assert_double_lt(d->lost, d->tolerance);
    /* a net that learned nothing has nothing to lose */
    ck_assert_msg(d->score > 0.75, "%s: right for a share of %.3f", run, d->score);
    oct_diagnosis_free(ctx, d);
}

/* Named first; its command wins `share` of what was lost, on data that is not the doctor's own
 * sample of it. */
static void cured(const char *run, const char *cause, const char *spec, const char *shown,
                  double share) {
    oct_diagnosis *d = look(run, spec);
    ck_assert_msg(d->count > 0, "%s: called healthy: lost %.3f of %.3f", run, d->lost,
                  d->score + d->lost);
    ck_assert_msg(!strcmp(oct_cause_kind_name(d->causes[0].kind), cause),
                  "%s: %s (%.3f: %s) in place of %s", run, oct_cause_kind_name(d->causes[0].kind),
                  d->causes[0].gain, d->causes[0].evidence, cause);
    ck_assert(!strncmp(d->causes[0].command, "octet ", 6));
    does("%s --quiet", d->causes[0].command);
    char mended[80];
    snprintf(mended, sizeof mended, "%s-mended", run);
    const char *on = spec ? spec : shown;
    const double after = accuracy_of(mended, on, 1000),
                 before = d->score; /* of a run that cannot be run at all: 0 */
    const double best = d->score + d->lost, lost = best - before;
    if (verbose) printf("%s: %.3f, best %.3f, mended %.3f\n", run, before, best, after);
    ck_assert_msg(after - before >= share * lost && after > before, "%s: %.3f, %.3f, mended %.3f",
                  run, before, best, after);
    oct_diagnosis_free(ctx, d);
}

/* By a command that has these words: of its own rules, which stay in front. */
static void cured_by(const char *run, const char *cause, const char *words, double share) {
    oct_diagnosis *d = look(run, NULL);
    ck_assert_int_gt(d->count, 0);
    ck_assert_msg(strstr(d->causes[0].command, words), "%s", d->causes[0].command);
    oct_diagnosis_free(ctx, d);
    cured(run, cause, NULL, SPEC, share);
}

#endif
