/* SPDX-License-Identifier: MIT
 * --dry-run: what a command will take. Some of each thing that it does is done, on nets that are
 * thrown away: the time is that of all of it, and the memory is what the process came to, since it
 * is a batch and a net that decide it and not how many batches there are. */
#include <stdio.h>
#include <sys/resource.h>

#include "tools/cli.h"

enum { BATCH = 64 }; /* images of a plan's evaluations, where the command names no batch */

/* "about 1 min 20 s; about 412 MiB of memory" */
static void tell(const cli *c, const char *what, double seconds, const char *but) {
    struct rusage r;
    const long kib = getrusage(RUSAGE_SELF, &r) ? 0 : r.ru_maxrss;
    cli_note(c,
             "plan: %s in about %s; about %.0f MiB of memory at the peak, the data set and the "
             "program itself in it%s",
             what, cli_left(seconds), (double)kib / 1024, but);
}

/* The seconds of scoring all of a set, by a part of it. */
static oct_status score(oct_net *net, oct_data *data, int64_t batch, double *seconds) {
    const double t0 = cli_seconds();
    oct_eval r;
    const oct_eval_opts o = {.batch = batch, .limit = batch > BATCH ? batch : BATCH};
    if (oct_score_of(net, data) == OCT_SCORE_NONE) return OCT_OK;
    const oct_status s = oct_evaluate(net, data, &o, &r);
    if (s != OCT_OK) return s;
    *seconds += (cli_seconds() - t0) / (double)r.n * (double)oct_data_count(data);
    oct_eval_free(oct_net_ctx(net), &r);
    return OCT_OK;
}

/* Of a prepared net: converted, checked and scored, as an epoch's end and a calibration's do. */
static oct_status score_int8(oct_net *net, oct_data *test, int64_t batch, double *seconds) {
    const double t0 = cli_seconds();
    oct_net *int8 = oct_convert(net, NULL);
    if (!int8) return oct_last_error()->code;
    *seconds += cli_seconds() - t0;
    const oct_status s = test ? score(int8, test, batch, seconds) : OCT_OK;
    oct_net_free(int8);
    return s;
}

/* Layers are looked at when all is done. */
static oct_status look_at_layers(oct_net *net, oct_data *train, double *seconds) {
    enum { SOME = 32 };
    const double t0 = cli_seconds();
    oct_layer_warning *rows;
    int32_t count;
    const oct_status s = oct_layer_warnings(net, train, SOME, -1, &rows, &count);
    if (s != OCT_OK) return s;
    oct_layer_warnings_free(oct_net_ctx(net), rows);
    *seconds += 4 * (cli_seconds() - t0);
    return OCT_OK;
}

/* ---- train, qat ---- */

enum { TRIED = 6 }; /* steps of a plan */
typedef struct trial {
    const oct_fit_opts *o;
    oct_net *net;
    oct_data *train;
    double first, last; /* when the second and the last tried step ended */
    double score;       /* seconds at an epoch's end */
    double once;        /* seconds that batch norm's estimate takes */
    oct_status failed;
    oct_fit_report report;
} trial;

/* Batch norm is estimated anew where it is frozen, or at the end: a forward of its own, beside what
 * the training holds. */
static oct_status reestimate(trial *t) {
    enum { USUAL = 2048 };
    if (t->o->bn_images == OCT_NONE || t->o->batch_norm_until == OCT_NONE) return OCT_OK;
    const int64_t count = oct_data_count(t->train),
                  asked = t->o->bn_images ? t->o->bn_images : USUAL,
                  all = asked < count ? asked : count, some = all < BATCH ? all : BATCH;
    if (some < 2) return OCT_OK;
    const double t0 = cli_seconds();
    const oct_status s = oct_reestimate_batch_norm(t->net, t->train, some);
    t->once += (cli_seconds() - t0) / (double)some * (double)all;
    return s;
}

/* What comes at an epoch's end or before it, beside all that a training holds. */
static oct_status end_of_epoch(trial *t) {
    const int64_t asked = t->o->batch ? t->o->batch : BATCH, batch = asked < 256 ? asked : 256;
    const bool prepared = oct_net_stage(t->net) == OCT_STAGE_PREPARED;
    const oct_status s = prepared ? reestimate(t) : OCT_OK;
    if (s != OCT_OK || !t->o->test) return s;
    return (prepared ? score_int8 : score)(t->net, t->o->test, batch, &t->score);
}

static int try_steps(void *user, const oct_fit_report *r) {
    trial *t = user;
    t->last = cli_seconds();
    if (r->step == 2) t->first = t->last;
    t->report = *r;
    if (r->step < TRIED && r->step < r->steps) return cli_signal();
    t->failed = end_of_epoch(t);
    return 1;
}

int cli_plan_fit(const cli *c, oct_net *from, oct_net *net, oct_data *train,
                 const oct_fit_opts *o) {
    trial t = {.o = o, .net = net, .train = train};
    oct_fit_opts f = *o;
    if (o->resume) return 0; /* how much is left is in the run */
    const double begun = cli_seconds(), loaded = begun - c->began;
    f.run = NULL;
    f.test = f.val = NULL;
    f.val_share = 0;
    f.patience = 0;
    f.progress = try_steps;
    f.progress_user = &t;
    oct_status s = oct_fit(net, train, &f);
    if (t.failed != OCT_OK || (s != OCT_OK && s != OCT_ESTOPPED)) return cli_failed();
    const long long tried = t.report.step;
    const bool prepared = oct_net_stage(net) == OCT_STAGE_PREPARED;
    double once = loaded;
    s = OCT_OK;
    if (prepared && from != net && o->test) s = score(from, o->test, BATCH, &once);
    if (s == OCT_OK && prepared) s = look_at_layers(net, train, &once);
    if (s != OCT_OK) return cli_failed();
    char what[80];
    snprintf(what, sizeof what, "%lld step%s and %d evaluation%s", (long long)t.report.steps,
             t.report.steps == 1 ? "" : "s", t.report.epochs, t.report.epochs == 1 ? "" : "s");
    /* the first ones fill caches and arenas; where there are no others they have to do */
    const double each = tried > 2 ? (t.last - t.first) / (double)(tried - 2)
                                  : (t.last - begun) / (double)(tried > 0 ? tried : 1);
    tell(c, what, each * (double)t.report.steps + t.score * t.report.epochs + t.once + once, "");
    return 0;
}

/* ---- ptq ---- */

int cli_plan_ptq(cli *c, oct_net *from, oct_net *net, oct_data *train, oct_data *test, int64_t n,
                 bool rounds) {
    const int64_t some = n < BATCH ? n : BATCH;
    c->progress_of = "plan";
    const double t0 = cli_seconds();
    double seconds = t0 - c->began;
    if (oct_calibrate(net, train, some) != OCT_OK) return cli_failed();
    seconds += (cli_seconds() - t0) / (double)some * (double)n;
    oct_status s = score(from, test, 0, &seconds);
    if (s == OCT_OK) s = score_int8(net, test, 0, &seconds);
    if (s == OCT_OK) s = look_at_layers(net, train, &seconds);
    if (s != OCT_OK) return cli_failed();
    tell(c, "calibration and scores", seconds,
         rounds ? ", but nothing of adaround's time and memory" : "");
    return 0;
}

/* ---- eval ---- */

int cli_plan_eval(cli *c, oct_net *net, oct_data *data) {
    char what[48];
    double seconds = cli_seconds() - c->began;
    c->progress_of = "plan";
    oct_status s = score(net, data, c->batch.i, &seconds);
    if (s == OCT_OK && oct_net_stage(net) == OCT_STAGE_PREPARED)
        s = look_at_layers(net, data, &seconds);
    if (s != OCT_OK) return cli_failed();
    snprintf(what, sizeof what, "%lld images", (long long)oct_data_count(data));
    tell(c, what, seconds, "");
    return 0;
}
