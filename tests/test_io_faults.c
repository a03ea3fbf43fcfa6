/* SPDX-License-Identifier: MIT
 * Disks that fail: every system call of a save is made to fail (the linker wraps them, see
 * train_tests.cmake), the k-th one for k = 1, 2, ... A failed save is OCT_EIO, the old file is as
 * it was, no temporary file stays, and a run that met it goes on to the bits of one that did not.
 * Interrupted and short writes are no failures. */
#include "tests/io_rig.h"

#include <signal.h>
#include <sys/resource.h>

#include "qat/infer/infer.h"
#include "qat/io/import.h"

/* ---- one file over another ---- */

typedef oct_status save_fn(const oct_net *net, const char *path);

static oct_status save_npz(const oct_net *net, const char *path) {
    return oct_npz_save(net->ctx, path, net->tensors[0].tensor, 0.5f, 3);
}

static const struct {
    int fault, error;
} faults[] = {{HARD, ENOSPC}, {HARD, EIO}, {HARD, EDQUOT}, {EINTR_ONCE, 0}, {SHORT, 0}};

/* Each call of a save over an old file fails in turn. */
static void sweep(save_fn *save, const oct_net *first, const oct_net *second, const char *what) {
    char path[256], other[256];
    snprintf(path, sizeof path, "%s", in_root("file"));
    snprintf(other, sizeof other, "%s", in_root("other"));
    ck_ok(save(first, path));
    ck_ok(save(second, other));
    bytes old = slurp(path), new = slurp(other);
    ck_assert(!same(old, new));
    for (size_t f = 0; f < sizeof faults / sizeof *faults; f++) {
        int hits = 0;
        for (long k = 1;; k++) {
            ck_ok(save(first, path));
            oct_clear_error();
            arm(k, faults[f].fault, faults[f].error);
            oct_status s = save(second, path);
            bool hit = rig.hit, end = rig.calls < k;
            arm(0, HARD, 0);
            if (hit && faults[f].fault == HARD) {
                ck_assert_msg(s == OCT_EIO && oct_last_error()->code == OCT_EIO &&
                                  strstr(oct_error_message(), strerror(faults[f].error)),
                              "%s, call %ld: %s", what, k, oct_error_message());
                /* only the folder's sync comes behind the rename */
                ck_assert_msg(is_file(path, old) || is_file(path, new),
                              "%s, call %ld: the file is neither old nor new", what, k);
            } else {
                ck_assert_msg(s == OCT_OK, "%s, call %ld: %s", what, k, oct_error_message());
                ck_assert_msg(is_file(path, new), "%s, call %ld: another file", what, k);
            }
            no_temporaries(root, what, k);
            hits += hit;
            if (end) break;
        }
        ck_assert_int_ge(hits, faults[f].fault == SHORT ? 1 : 2);
    }
    free(old.p);
    free(new.p);
}

START_TEST(an_old_file_stays_whole) {
    sweep(oct_net_save_weights, make_net(2), make_net(4), "weights");
    sweep(save_npz, make_net(2), make_net(4), "npz");
    sweep(oct_int8_save, make_int8(2), make_int8(4), "int8");
}
END_TEST

START_TEST(file_size_limits) {
    oct_net *small = make_net(2), *big = make_net(8);
    char path[256];
    struct rlimit was, now;
    snprintf(path, sizeof path, "%s", in_root("file"));
    ck_ok(oct_net_save_weights(small, path));
    ck_ok(oct_net_save_weights(big, in_root("big")));
    bytes old = slurp(path), new = slurp(in_root("big"));
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &was), 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    for (size_t n = 0; n < new.n + 200; n += 199) {
        now = was;
        now.rlim_cur = n;
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &now), 0);
        oct_status s = oct_net_save_weights(big, path);
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &was), 0);
        ck_assert_int_eq(s, n < new.n ? OCT_EIO : OCT_OK);
        ck_assert(is_file(path, n < new.n ? old : new));
        no_temporaries(root, "limit", (long)n);
    }
    signal(SIGXFSZ, handler);
    free(old.p);
    free(new.p);
}
END_TEST

START_TEST(paths_that_are_no_files) {
    oct_net *net = make_net(2);
    struct stat st;
    ck_fails(OCT_EIO, "a special file", oct_net_save_weights(net, "/dev/full"));
    ck_fails(OCT_EIO, "a special file", oct_net_save_weights(net, "/dev/null"));
    ck_assert(!stat("/dev/full", &st) && S_ISCHR(st.st_mode) && !stat("/dev/null", &st) &&
              S_ISCHR(st.st_mode));
    ck_fails(OCT_EIO, "a directory", oct_net_save_weights(net, root));
    ck_fails(OCT_EIO, "missing/file", oct_net_save_weights(net, in_root("missing/file")));
    /* even for root */
    ck_fails(OCT_EIO, "cannot create", oct_net_save_weights(net, "/proc/self/weights"));
    ck_assert(oct_net_load_weights(net, "/dev/zero", NULL, NULL) == OCT_EIO);
    if (geteuid()) {
        ck_assert(!mkdir(in_root("shut"), 0555));
        ck_fails(OCT_EIO, "Permission denied", oct_net_save_weights(net, in_root("shut/file")));
        ck_fails(OCT_EIO, "Permission denied", oct_run_save(net, in_root("shut/run"), NULL, false));
    } else
        printf("skipped: folders without permission (root may write anywhere)\n");
    /* a link stays a link, permissions stay */
    ck_ok(oct_net_save_weights(net, in_root("real")));
    ck_assert(!chmod(in_root("real"), 0640) && !symlink(in_root("real"), in_root("link")));
    ck_ok(oct_net_save_weights(make_net(4), in_root("link")));
    ck_assert(!lstat(in_root("link"), &st) && S_ISLNK(st.st_mode));
    ck_assert(!stat(in_root("real"), &st) && (st.st_mode & 0777) == 0640);
    ck_ok(oct_net_load_weights(make_net(4), in_root("real"), NULL, NULL));
}
END_TEST

/* ---- runs ---- */

static bool quantized;

static oct_status fit(const char *dir, int epochs, bool resume) {
    oct_net *net = make_net(2);
    if (quantized) net = oct_prepare(net, NULL);
    oct_data *d = make_data();
    oct_status s = oct_fit(net, d,
                           &(oct_fit_opts){.epochs = epochs,
                                           .batch = 4,
                                           .run = dir,
                                           .resume = resume,
                                           .save_steps = 2,
                                           .val_share = 0.3f,
                                           .schedule = OCT_SCHEDULE_CONSTANT});
    oct_data_free(d);
    oct_net_free(net);
    return s;
}

static int lines(const char *path) {
    bytes b = slurp(path);
    int n = 0;
    for (size_t i = 0; i < b.n; i++) n += b.p[i] == '\n';
    free(b.p);
    return n;
}

START_TEST(a_run_that_met_a_failure_goes_on_to_the_same_bits) {
    ck_ok(fit(in_root("base"), 1, false));
    copy_run(in_root("base"), in_root("whole"));
    ck_ok(fit(in_root("whole"), 3, true));
    bytes want = slurp(in_root("whole/model.safetensors"));
    for (size_t f = 0; f < sizeof faults / sizeof *faults; f++) {
        for (long k = 1;; k++) {
            copy_run(in_root("base"), in_root("run"));
            arm(k, faults[f].fault, faults[f].error);
            oct_status s = fit(in_root("run"), 3, true);
            bool hit = rig.hit, end = rig.calls < k;
            arm(0, HARD, 0);
            ck_assert_msg(s == (hit && faults[f].fault == HARD ? OCT_EIO : OCT_OK), "call %ld: %s",
                          k, oct_error_message());
            no_temporaries(in_root("run"), "training", k);
            oct_net *net = oct_run_load(ctx, in_root("run"), NULL);
            ck_assert_msg(net != NULL, "call %ld: %s", k, oct_error_message());
            oct_net_free(net);
            if (s != OCT_OK) ck_ok(fit(in_root("run"), 3, true));
            ck_assert_msg(is_file(in_root("run/model.safetensors"), want), "call %ld: other bits",
                          k);
            ck_assert_msg(lines(in_root("run/metrics.jsonl")) == 3, "call %ld: %d lines", k,
                          lines(in_root("run/metrics.jsonl")));
            if (end) break;
        }
    }
    free(want.p);
}
END_TEST

/* The probe grows in the first steps: what belongs to steps that are made again is in it once. */
START_TEST(a_quantized_run_that_met_a_failure_has_the_same_probe) {
    quantized = true;
    ck_ok(fit(in_root("whole8"), 2, false));
    bytes model = slurp(in_root("whole8/model.safetensors")),
          probe = slurp(in_root("whole8/probe.npz"));
    int hits = 0;
    for (long k = 1, end = 0; !end; k++) {
        char dir[300], remove[320];
        snprintf(dir, sizeof dir, "%s", in_root("run8"));
        snprintf(remove, sizeof remove, "rm -rf %s", dir);
        ck_assert_int_eq(system(remove), 0);
        arm(k, HARD, EIO);
        oct_status s = fit(dir, 2, false);
        end = rig.calls < k;
        hits += rig.hit;
        arm(0, HARD, 0);
        if (s != OCT_OK) ck_ok(fit(dir, 2, oct_run_is(dir)));
        ck_assert_msg(is_file(in_root("run8/model.safetensors"), model), "call %ld: model", k);
        ck_assert_msg(is_file(in_root("run8/probe.npz"), probe), "call %ld: probe", k);
    }
    ck_assert_int_ge(hits, 20);
    free(model.p);
    free(probe.p);
    quantized = false;
}
END_TEST

/* A run that is made: what a failure leaves is no run, or a whole one; --force makes it anew. */
START_TEST(a_run_is_made_or_told_broken) {
    oct_net *net = make_net(2);
    for (long k = 1, end = 0; !end; k++) {
        arm(k, HARD, ENOSPC);
        oct_status s = oct_run_save(net, in_root("new"), NULL, k > 1);
        bool hit = rig.hit;
        end = rig.calls < k;
        arm(0, HARD, 0);
        ck_assert_int_eq(s, hit ? OCT_EIO : OCT_OK);
        oct_net *got = oct_run_load(ctx, in_root("new"), NULL);
        if (!got) {
            ck_assert(hit &&
                      (oct_last_error()->code == OCT_EIO || oct_last_error()->code == OCT_EFORMAT));
            ck_assert(*oct_last_error()->where);
        }
        oct_net_free(got);
        if (!access(in_root("new"), F_OK)) no_temporaries(in_root("new"), "new run", k);
        ck_ok(oct_run_save(net, in_root("new"), NULL, true));
    }
}
END_TEST

OCT_TEST_MAIN_WITH("io_faults", setup, teardown, an_old_file_stays_whole, file_size_limits,
                   paths_that_are_no_files, a_run_that_met_a_failure_goes_on_to_the_same_bits,
                   a_quantized_run_that_met_a_failure_has_the_same_probe,
                   a_run_is_made_or_told_broken)
