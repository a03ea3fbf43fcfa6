/* SPDX-License-Identifier: MIT
 * Runs on disks that fail: an old run is whole until the new one is, a start that failed leaves
 * nothing, and what cannot be read is never taken for something that is not there. */
#include "tests/io_rig.h"

#include "qat/infer/infer.h"

static const char *const saved[] = {"config.json", "graph.json", "model.safetensors"};

/* All files of `dir` are those of the run `want`. */
static bool is_run(const char *dir, const char *want) {
    bool yes = true;
    for (int i = 0; i < 3; i++) {
        char a[256], b[256];
        snprintf(a, sizeof a, "%s/%s", dir, saved[i]);
        snprintf(b, sizeof b, "%s/%s", want, saved[i]);
        bytes w = slurp(b);
        yes = yes && is_file(a, w);
        free(w.p);
    }
    return yes;
}

static oct_status train(const char *dir, int width, bool force, bool resume) {
    oct_net *net = make_net(width);
    oct_data *d = make_data();
    oct_status s = oct_fit(
        net, d,
        &(oct_fit_opts){.epochs = 1, .batch = 4, .run = dir, .force = force, .resume = resume});
    oct_data_free(d);
    oct_net_free(net);
    return s;
}

/* Each writing call fails in turn while a run of width 4 takes the place of one of width 2. */
START_TEST(an_old_run_is_there_until_the_new_one_is_whole) {
    oct_net *other = make_net(4);
    ck_ok(oct_run_save(make_net(2), in_root("old"), "{\"n\":1}", false));
    ck_ok(oct_run_save(other, in_root("new"), "{\"n\":2}", false));
    int was_old = 0, was_new = 0;
    for (int fit = 0; fit < 2; fit++)
        for (long k = 1, end = 0; !end; k++) {
            fresh_run(in_root("run"));
            copy_run(in_root("old"), in_root("run"));
            arm(k, HARD, ENOSPC);
            oct_status s = fit ? train(in_root("run"), 4, true, false)
                               : oct_run_save(other, in_root("run"), "{\"n\":2}", true);
            const bool hit = rig.hit;
            end = rig.calls < k;
            arm(0, HARD, 0);
            ck_assert_msg(s == (hit ? OCT_EIO : OCT_OK), "call %ld: %s", k, oct_error_message());
            oct_net *got = oct_run_load(ctx, in_root("run"), NULL);
            ck_assert_msg(got != NULL, "call %ld: %s", k, oct_error_message());
            const bool old = is_run(in_root("run"), in_root("old"));
            ck_assert(old ? hit : (oct_net_tensor(got, "0.weight")->shape.dim[0] == 4));
            if (!old && !fit && s == OCT_OK) ck_assert(is_run(in_root("run"), in_root("new")));
            oct_net_free(got);
            was_old += old;
            was_new += !old;
            /* the next writer ends or drops what was begun */
            ck_ok(oct_run_save(other, in_root("run"), "{\"n\":2}", true));
            ck_assert(is_run(in_root("run"), in_root("new")));
            only_files(in_root("run"), 3);
        }
    ck_assert(was_old > 20 && was_new > 4);
    oct_net_free(other);
}
END_TEST

START_TEST(a_start_that_failed_leaves_nothing_or_a_run) {
    int nothing = 0;
    for (int fit = 0; fit < 2; fit++)
        for (long k = 1, end = 0; !end; k++) {
            fresh_run(in_root("run"));
            arm(k, HARD, EIO);
            oct_net *net = make_net(2);
            oct_status s = fit ? train(in_root("run"), 2, false, false)
                               : oct_run_save(net, in_root("run"), NULL, false);
            oct_net_free(net);
            const bool hit = rig.hit;
            end = rig.calls < k;
            arm(0, HARD, 0);
            ck_assert_msg(s == (hit ? OCT_EIO : OCT_OK), "call %ld: %s", k, oct_error_message());
            if (access(in_root("run"), F_OK)) {
                nothing++;
                continue;
            }
            oct_net *got = oct_run_load(ctx, in_root("run"), NULL);
            ck_assert_msg(got != NULL, "call %ld: %s", k, oct_error_message());
            oct_net_free(got);
        }
    ck_assert_int_gt(nothing, 20);
}
END_TEST

/* ---- reading ---- */

static uint32_t sum_of(const oct_net *net) {
    uint32_t sum = 2166136261u;
    for (int32_t i = 0; i < net->tensor_count; i++)
        for (size_t k = 0; k < oct_tensor_bytes(net->tensors[i].tensor); k++)
            sum = (sum ^ oct_u8(net->tensors[i].tensor)[k]) * 16777619u;
    return sum;
}

static oct_net *load_int8(void) { return oct_int8_load(ctx, in_root("i8")); }
static oct_net *load_run(void) { return oct_run_load(ctx, in_root("base"), NULL); }

START_TEST(what_cannot_be_read_is_no_other_model) {
    oct_net *(*const loads[])(void) = {load_int8, load_run};
    oct_net *i8 = make_int8(2);
    ck_ok(oct_int8_save(i8, in_root("i8")));
    ck_ok(train(in_root("base"), 2, false, false));
    /* the state is newer: without it the run would load as another */
    ck_ok(oct_run_save(make_net(2), in_root("other"), NULL, false));
    copy_file(in_root("other/model.safetensors"), in_root("base/model.safetensors"));
    for (int l = 0; l < 2; l++) {
        oct_net *net = loads[l]();
        ck_not_null(net);
        const uint32_t want = sum_of(net);
        oct_net_free(net);
        int hits = 0;
        for (long k = 1, end = 0; !end; k++) {
            arm(k, READING, EIO);
            oct_clear_error();
            net = loads[l]();
            const bool hit = rig.hit;
            end = rig.calls < k;
            arm(0, HARD, 0);
            if (net)
                ck_assert_msg(sum_of(net) == want, "call %ld: another model", k);
            else
                ck_assert_msg(hit && oct_last_error()->code == OCT_EIO, "call %ld: %s", k,
                              oct_error_message());
            oct_net_free(net);
            hits += hit;
        }
        ck_assert_int_gt(hits, l ? 8 : 2);
    }
    oct_net_free(i8);
}
END_TEST

START_TEST(a_resume_that_cannot_read_starts_nothing_anew) {
    ck_ok(train(in_root("base"), 2, false, false));
    oct_data *d = make_data();
    oct_net *net = make_net(2);
    copy_run(in_root("base"), in_root("whole"));
    const oct_fit_opts go_on = {.epochs = 2, .batch = 4, .resume = true};
    oct_fit_opts o = go_on;
    o.run = in_root("whole");
    ck_ok(oct_fit(net, d, &o));
    bytes want = slurp(in_root("whole/model.safetensors"));
    for (long k = 1, end = 0; !end; k++) {
        copy_run(in_root("base"), in_root("run"));
        oct_net *n = make_net(2);
        o.run = in_root("run");
        arm(k, READING, EIO);
        oct_status s = oct_fit(n, d, &o);
        const bool hit = rig.hit;
        end = rig.calls < k;
        arm(0, HARD, 0);
        ck_assert_msg(s == OCT_OK || (hit && s == OCT_EIO), "call %ld: %s", k, oct_error_message());
        oct_net_free(n);
        n = make_net(2);
        if (s != OCT_OK) ck_ok(oct_fit(n, d, &o));
        oct_net_free(n);
        ck_assert_msg(is_file(in_root("run/model.safetensors"), want), "call %ld: other bits", k);
    }
    free(want.p);
    oct_data_free(d);
}
END_TEST

OCT_TEST_MAIN_WITH("run_faults", setup, teardown, an_old_run_is_there_until_the_new_one_is_whole,
                   a_start_that_failed_leaves_nothing_or_a_run,
                   what_cannot_be_read_is_no_other_model,
                   a_resume_that_cannot_read_starts_nothing_anew)
