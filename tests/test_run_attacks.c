/* SPDX-License-Identifier: MIT
 * Runs that somebody prepared: links out of the folder, positions that no training passes through,
 * a second writer, options that no reader takes, weights that are no numbers. */
#include "tests/io_rig.h"

#include <locale.h>
#include <math.h>
#include <signal.h>
#include <sys/wait.h>

#include "src/format/safetensors.h"

static const char *const names[] = {"config.json",       "graph.json",    "state.safetensors",
                                    "model.safetensors", "metrics.jsonl", "best.safetensors",
                                    "probe.npz"};
enum { NAMES = sizeof names / sizeof *names };

static oct_status train(oct_fit_opts o) {
    oct_net *net = make_net(2);
    oct_data *d = make_data();
    if (!o.batch) o.batch = 4;
    oct_status s = oct_fit(net, d, &o);
    oct_data_free(d);
    oct_net_free(net);
    return s;
}

static oct_fit_opts opts(const char *run, int epochs, bool resume) {
    return (oct_fit_opts){.run = run,
                          .epochs = epochs,
                          .resume = resume,
                          .val_share = 0.3f,
                          .patience = 5,
                          .schedule = OCT_SCHEDULE_CONSTANT};
}

static void probe(const char *run) {
    oct_data *d = make_data();
    oct_net *net = oct_run_load(ctx, run, NULL);
    ck_not_null(net);
    ck_ok(oct_run_save_probe(net, run, d, 4));
    oct_net_free(net);
    oct_data_free(d);
}

/* ---- links ---- */

enum { SYMBOLIC, HARD_LINK };

/* name of the run is a link to a file outside that holds what it held; true where that file is as
 * it was behind `act`. */
static bool outside_stays(const char *name, int kind, oct_status (*act)(void), oct_status *got) {
    char inside[256], outside[256];
    copy_run(in_root("base"), in_root("run"));
    unlink(in_root("run/probe.npz"));
    copy_file(in_root("base/probe.npz"), in_root("run/probe.npz"));
    snprintf(inside, sizeof inside, "%s/%s", in_root("run"), name);
    snprintf(outside, sizeof outside, "%s", in_root("outside"));
    unlink(outside);
    /* a file that the run does not have yet */
    if (access(inside, F_OK))
        copy_file(in_root("base/config.json"), outside);
    else
        copy_file(inside, outside);
    unlink(inside);
    ck_assert_int_eq(kind == SYMBOLIC ? symlink(outside, inside) : link(outside, inside), 0);
    bytes was = slurp(outside);
    *got = act();
    const bool stays = is_file(outside, was);
    free(was.p);
    return stays;
}

static oct_status resume(void) { return train(opts(in_root("run"), 3, true)); }
static oct_status force(void) {
    oct_fit_opts o = opts(in_root("run"), 1, false);
    o.force = true;
    return train(o);
}
static oct_status write_probe(void) {
    oct_data *d = make_data();
    oct_net *net = make_net(2);
    ck_ok(oct_net_describe(net, d));
    oct_status s = oct_run_save_probe(net, in_root("run"), d, 4);
    oct_net_free(net);
    oct_data_free(d);
    return s;
}
static oct_status load(void) {
    oct_net *net = oct_run_load(ctx, in_root("run"), NULL);
    oct_net_free(net);
    return net ? OCT_OK : oct_last_error()->code;
}

START_TEST(nothing_outside_a_run_is_written_or_read) {
    oct_status s;
    ck_ok(train(opts(in_root("base"), 1, false)));
    probe(in_root("base"));
    for (int kind = 0; kind < 2; kind++)
        for (int i = 0; i < NAMES; i++) {
            ck_assert_msg(outside_stays(names[i], kind, resume, &s), "resume wrote through %s",
                          names[i]);
            /* by resume, which has its own graph and leaves the best model alone */
            const bool read = i != 1 && i != 5;
            ck_assert_msg(s == (kind == SYMBOLIC && read ? OCT_EFORMAT : OCT_OK), "%s: %s",
                          names[i], oct_error_message());
            if (s != OCT_OK)
                ck_assert_msg(strstr(oct_error_message(), "link"), "%s", oct_error_message());
            ck_assert_msg(outside_stays(names[i], kind, force, &s) && s == OCT_OK, "force, %s: %s",
                          names[i], oct_error_message());
            ck_assert_msg(outside_stays(names[i], kind, write_probe, &s) && s == OCT_OK,
                          "probe, %s: %s", names[i], oct_error_message());
            ck_assert_msg(outside_stays(names[i], kind, load, &s), "load wrote through %s",
                          names[i]);
        }
    copy_run(in_root("base"), in_root("run"));
    unlink(in_root("run/model.safetensors"));
    ck_assert_int_eq(symlink(in_root("base/model.safetensors"), in_root("run/model.safetensors")),
                     0);
    ck_fails(OCT_EFORMAT, "model.safetensors: a link", load());
    /* the path itself is the user's word */
    ck_assert_int_eq(symlink(in_root("base"), in_root("alias")), 0);
    ck_not_null(oct_run_load(ctx, in_root("alias"), NULL));
    ck_assert_int_eq(symlink(in_root("base"), in_root("run/.new")), 0);
    ck_assert(load() == OCT_EIO);
    ck_assert(resume() == OCT_EIO);
}
END_TEST

/* ---- one writer ---- */

static int hold(void *user, const oct_fit_report *r) {
    (void)r;
    const char go = 1;
    ck_assert_int_eq(write(*(int *)user, &go, 1), 1);
    for (;;) pause();
}

START_TEST(a_run_has_one_writer_and_a_dead_one_is_none) {
    int pipes[2];
    char go;
    ck_assert_int_eq(pipe(pipes), 0);
    pid_t child = fork();
    ck_assert(child >= 0);
    if (!child) {
        oct_fit_opts o = opts(in_root("run"), 2, false);
        o.progress = hold;
        o.progress_user = &pipes[1];
        (void)train(o);
        _exit(1);
    }
    ck_assert_int_eq(read(pipes[0], &go, 1), 1);
    ck_fails(OCT_EBUSY, "another process is writing it", train(opts(in_root("run"), 2, true)));
    ck_fails(OCT_EBUSY, "run: another process", force());
    oct_net *net = oct_run_load(ctx, in_root("run"), NULL); /* readers need no lock */
    ck_not_null(net);
    ck_fails(OCT_EBUSY, "one writer", oct_run_save(net, in_root("run"), NULL, true));
    oct_net_free(net);
    ck_fails(OCT_EBUSY, "one writer", write_probe());
    ck_assert_int_eq(oct_status_exit_code(OCT_EBUSY), 4);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    ck_ok(train(opts(in_root("run"), 2, true)));
    ck_ok(train(opts(in_root("whole"), 2, false)));
    bytes want = slurp(in_root("whole/model.safetensors"));
    ck_assert(is_file(in_root("run/model.safetensors"), want));
    free(want.p);
}
END_TEST

/* ---- positions ---- */

/* The run's state with another number under a name, and right checksums. */
static void set_number(const char *name, double v) {
    octi_safetensors *f = octi_safetensors_read(ctx, in_root("base/state.safetensors"));
    ck_not_null(f);
    const int32_t n = octi_safetensors_count(f);
    octi_safetensors_entry *e = calloc((size_t)n, sizeof *e);
    int64_t whole = isfinite(v) ? (int64_t)v : 0;
    bool found = false;
    for (int32_t i = 0; i < n; i++) {
        e[i] = *octi_safetensors_at(f, i);
        if (strcmp(e[i].name, name)) continue;
        found = true;
        e[i].data = e[i].dtype == OCT_S64 ? (void *)&whole : (void *)&v;
    }
    ck_assert_msg(found, "%s", name);
    octi_safetensors_meta meta[] = {{"generation", octi_safetensors_metadata(f, "generation")}};
    ck_ok(octi_safetensors_write(ctx, in_root("run/state.safetensors"), e, n, meta, 1));
    free(e);
    octi_safetensors_free(f);
}

START_TEST(a_position_is_one_of_its_training) {
    static const struct {
        const char *name;
        double v[6];
        int n;
    } rows[] = {{"epoch", {-1, 0, 3, 1e9, 9e15, 4294967297.0}, 6},
                {"step_in_epoch", {-1, 1, 2, 100, 9e15}, 5},
                {"step", {-1, 0, 1, 5, 9e15}, 5},
                {"seen", {-1, 1, 9e15}, 3},
                {"correct", {-1, 5, 9e15}, 3},
                {"generation", {-1, 0, 3, 9e15}, 4},
                {"metrics_bytes", {-1, 0, 7, 1e12, 9e15}, 5},
                {"stale", {-1, 3, 9e15}, 3},
                {"done", {-1, 2, 9e15}, 3},
                {"loss_sum", {(double)INFINITY, (double)NAN}, 2},
                {"best_val", {(double)INFINITY, (double)NAN}, 2}};
    ck_ok(train(opts(in_root("base"), 2, false)));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int k = 0; k < rows[i].n; k++) {
            copy_run(in_root("base"), in_root("run"));
            char name[32];
            snprintf(name, sizeof name, "fit.%s", rows[i].name);
            set_number(name, rows[i].v[k]);
            bytes was = slurp(in_root("run/metrics.jsonl"));
            oct_clear_error();
            oct_status s = train(opts(in_root("run"), 3, true));
            ck_assert_msg(s == OCT_EFORMAT, "%s = %g: status %d, %s", name, rows[i].v[k], (int)s,
                          oct_error_message());
            ck_assert_msg(is_file(in_root("run/metrics.jsonl"), was), "%s = %g: metrics changed",
                          name, rows[i].v[k]);
            free(was.p);
            oct_run_info info;
            oct_net *net = oct_run_load(ctx, in_root("run"), &info);
            /* judged against the file when it is written to */
            if (net) ck_assert(!strcmp(rows[i].name, "metrics_bytes"));
            oct_net_free(net);
        }
    copy_run(in_root("base"), in_root("run")); /* the file as long as it says, and nothing in it */
    set_number("fit.metrics_bytes", 1099511627776.0);
    ck_assert_int_eq(truncate(in_root("run/metrics.jsonl"), (off_t)1 << 40), 0);
    ck_assert(train(opts(in_root("run"), 3, true)) == OCT_ELIMIT);
    copy_run(in_root("base"), in_root("run"));
    set_number("fit.metrics_bytes", 40);
    ck_assert(train(opts(in_root("run"), 3, true)) == OCT_EFORMAT);
    copy_run(in_root("base"), in_root("run"));
    ck_ok(train(opts(in_root("run"), 3, true)));
}
END_TEST

/* ---- options ---- */

START_TEST(what_is_written_loads) {
    static const char *const bad[] = {"",
                                      "no json",
                                      "[1]",
                                      "1",
                                      "\"text\"",
                                      "{\"a\":1,\"a\":2}",
                                      "{\"a\":NaN}",
                                      "{\"a\":01}",
                                      "{} {}",
                                      "{\"a\":\"\\ud800\"}",
                                      "{\"a\":\"\xff\"}"};
    static const char *const good[] = {
        NULL, "{}", "{\"a\":1e-300,\"b\":[0.1,-0.0,123456789012345680],\"c\":{\"d\":null}}",
        "{\"text\":\"\\u00e9 \\\" \\\\ \\n\"}"};
    static const struct {
        uint64_t seed;
        float lr, decay, warmup;
    } odd[] = {{1, 0.1f, 5e-4f, 0},
               {(uint64_t)1 << 53, 1e-7f, 1e-9f, 0.3333333f},
               {((uint64_t)1 << 53) + 1, 0.3f, 9.9999f, 1},
               {UINT64_MAX, 1.17549435e-6f, OCT_NONE, 0.5f}};
    char deep[512] = "";
    for (int i = 0; i < 70; i++) strcat(deep, "{\"a\":");
    strcat(deep, "1");
    for (int i = 0; i < 70; i++) strcat(deep, "}");
    oct_net *net = make_net(2);
    for (size_t i = 0; i <= sizeof bad / sizeof *bad; i++) {
        const char *config = i < sizeof bad / sizeof *bad ? bad[i] : deep;
        oct_fit_opts o = opts(in_root("run"), 1, false);
        o.config = config;
        ck_fails(OCT_EUSAGE, "config", train(o));
        ck_fails(OCT_EUSAGE, "config", oct_run_save(net, in_root("run"), config, false));
        ck_assert(access(in_root("run"), F_OK));
    }
    static const char *const locales[] = {"C", "de_DE.UTF-8", "fr_FR.UTF-8"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        for (size_t g = 0; g < sizeof good / sizeof *good; g++) {
            oct_fit_opts o = opts(in_root("run"), 1, false);
            o.seed = odd[i].seed, o.lr = odd[i].lr, o.weight_decay = odd[i].decay,
            o.warmup = odd[i].warmup, o.config = good[g];
            fresh_run(in_root("run"));
            setlocale(LC_ALL, locales[(i + g) % 3]);
            ck_ok(train(o));
            setlocale(LC_ALL, locales[(i + g + 1) % 3]);
            oct_run_info info;
            oct_net *got = oct_run_load(ctx, in_root("run"), &info);
            ck_assert_msg(got != NULL, "%s", oct_error_message());
            ck_assert(info.seed == o.seed && info.has_state && info.epoch == 1);
            oct_net_free(got);
            o.resume = true, o.epochs = 2;
            ck_ok(train(o));
            o.seed = odd[i].seed - 1 ? odd[i].seed - 1 : 7; /* told apart where a double is not */
            ck_fails(OCT_EUSAGE, "seed", train(o));
        }
    setlocale(LC_ALL, "C");
    oct_net_free(net);
}
END_TEST

START_TEST(weights_that_are_no_numbers_are_refused) {
    static const char *const keys[] = {"model.0.weight", "optim.0.weight.momentum"};
    ck_ok(train(opts(in_root("base"), 2, false)));
    for (int i = 0; i < 2; i++) {
        copy_run(in_root("base"), in_root("run"));
        octi_safetensors *f = octi_safetensors_read(ctx, in_root("base/state.safetensors"));
        const int32_t n = octi_safetensors_count(f);
        octi_safetensors_entry *e = calloc((size_t)n, sizeof *e);
        float *wrong = NULL;
        for (int32_t k = 0; k < n; k++) {
            e[k] = *octi_safetensors_at(f, k);
            if (strcmp(e[k].name, keys[i])) continue;
            wrong = malloc(e[k].bytes);
            memcpy(wrong, e[k].data, e[k].bytes);
            wrong[1] = i ? INFINITY : NAN;
            e[k].data = wrong;
        }
        ck_not_null(wrong);
        octi_safetensors_meta meta[] = {{"generation", "9"}};
        ck_ok(octi_safetensors_write(ctx, in_root("run/state.safetensors"), e, n, meta, 1));
        ck_fails(OCT_EFORMAT, "not finite", train(opts(in_root("run"), 3, true)));
        unlink(in_root("run/model.safetensors"));
        if (!i) ck_fails(OCT_EFORMAT, "0.weight: not finite", load());
        free(wrong);
        free(e);
        octi_safetensors_free(f);
    }
}
END_TEST

OCT_TEST_MAIN_WITH("run_attacks", setup, teardown, nothing_outside_a_run_is_written_or_read,
                   a_run_has_one_writer_and_a_dead_one_is_none, a_position_is_one_of_its_training,
                   what_is_written_loads, weights_that_are_no_numbers_are_refused)
