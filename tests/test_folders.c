/* SPDX-License-Identifier: MIT
 * Folders of the library's own: one writer, what killed saves left and what living ones have, links
 * that are not followed, names, files that are taken over. */
#include "tests/temp_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "src/format/folders.h"
#include "src/mem.h"

static oct_ctx *ctx;
static octi_folder *f;

static void setup(void) {
    make_root();
    ck_not_null(ctx = oct_open(&(oct_opts){.threads = 1}));
    ck_not_null(f = octi_folder_open(ctx, root));
}
static void teardown(void) {
    octi_folder_close(f);
    oct_close(ctx);
    remove_root();
}

static void put(const char *name, const char *text) {
    ck_ok(octi_file_save_in(f, name, text, strlen(text)));
}
static bool there(const char *name) {
    bool is = false;
    ck_ok(octi_folder_has(f, name, &is));
    return is;
}
static bool holds(const char *name, const char *text) {
    uint8_t *bytes;
    size_t size;
    ck_ok(octi_file_read_in(f, name, 0, &bytes, &size));
    const bool same = size == strlen(text) && !memcmp(bytes, text, size);
    octi_free(ctx, bytes);
    return same;
}

/* "NAME.tmp-PID-N" of nobody that lives; what only looks like one is somebody's own. */
START_TEST(what_a_killed_save_left_goes) {
    static const struct {
        const char *name;
        bool of_a, of_any; /* goes with those of file "a", of any file */
    } rows[] = {{"a.tmp-123-0", true, true},
                {"a.tmp-1-take", true, true},
                {"b.tmp-123-0", false, true},
                {"aa.tmp-5-0", false, true},
                {"a.tmp-x", false, false},
                {"a.tmp-0-1", false, false},
                {"a.tmp--3-1", false, false},
                {".tmp-12-1", false, false},
                {"a", false, false},
                {"a.tmp-1.tmp-9-2", false, true},
                {"a.tmp-notes-7", false, false},
                {"a.tmp", false, false}};
    for (int any = 0; any < 2; any++) {
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) put(rows[i].name, "x");
        put("a.tmp-77-0", "somebody writes it");
        const int held = open(in_root("a.tmp-77-0"), O_RDONLY);
        ck_assert(held >= 0 && !flock(held, LOCK_EX | LOCK_NB));
        octi_folder_clear_left(f, any ? NULL : "a");
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            ck_assert_msg(there(rows[i].name) != (any ? rows[i].of_any : rows[i].of_a), "%s, %d",
                          rows[i].name, any);
        ck_assert(there("a.tmp-77-0"));
        close(held);
        octi_folder_clear_left(f, "a");
        ck_assert(!there("a.tmp-77-0"));
    }
}
END_TEST

START_TEST(a_folder_has_one_writer) {
    octi_folder *again = octi_folder_open(ctx, root);
    ck_not_null(again);
    ck_ok(octi_folder_lock(f));
    ck_fails(OCT_EBUSY, "another process is writing it", octi_folder_lock(again));
    octi_folder_close(f);
    ck_ok(octi_folder_lock(again)); /* given back */
    f = again;
}
END_TEST

/* Inside a folder nothing is followed out of it. */
START_TEST(links_are_not_followed) {
    ck_assert(!mkdir(in_root("out"), 0777) && !symlink("out", in_root("in")));
    put("file", "text");
    ck_assert(!symlink("file", in_root("link")));
    ck_assert(octi_folder_sub(f, "in") == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_EIO);
    octi_folder *out = octi_folder_sub(f, "out");
    ck_not_null(out);
    ck_ok(octi_file_save_in(out, "kept", "k", 1));
    octi_folder_clear(f, "in"); /* the link goes, not what it leads to */
    ck_assert(!there("in"));
    bool kept = false;
    ck_ok(octi_folder_has(out, "kept", &kept));
    ck_assert(kept);
    octi_folder_close(out);
    uint8_t *bytes;
    size_t size;
    ck_fails(OCT_EFORMAT, "a link in the place of a file",
             octi_file_read_in(f, "link", 0, &bytes, &size));
    put("link", "own"); /* written in its place */
    ck_assert(holds("file", "text") && holds("link", "own"));
}
END_TEST

START_TEST(names_and_places) {
    char *names = NULL;
    int seen = 0;
    put("a", "1"), put("b", "22");
    ck_ok(octi_folder_names(f, &names));
    for (const char *n = names; *n; n += strlen(n) + 1) {
        ck_assert_msg(!strcmp(n, "a") || !strcmp(n, "b"), "%s", n);
        seen++;
    }
    octi_free(ctx, names);
    ck_assert_int_eq(seen, 2);
    ck_ok(octi_folder_rename(f, "a", "b"));
    ck_assert(!there("a") && holds("b", "1"));
    ck_ok(octi_folder_remove(f, "none"));
    ck_ok(octi_folder_remove(f, "b"));
    ck_assert(!there("b"));
    /* what a killed process left in the new folder's place goes */
    octi_folder *sub = octi_folder_make(f, "new");
    ck_ok(octi_file_save_in(sub, "old", "o", 1));
    octi_folder_close(sub);
    ck_not_null(sub = octi_folder_make(f, "new"));
    bool old = true;
    ck_ok(octi_folder_has(sub, "old", &old));
    ck_assert(!old);
    ck_assert_str_eq(octi_folder_path(sub), root); /* for messages */
    /* a file under this folder's name: the same bytes, then two files */
    ck_ok(octi_file_save_in(sub, "taken", "bytes", 5));
    put("taken", "before");
    for (int twice = 0; twice < 2; twice++) {
        ck_ok(octi_folder_take(f, sub, "taken"));
        ck_assert(holds("taken", "bytes"));
    }
    ck_ok(octi_file_save_in(sub, "taken", "other", 5));
    ck_assert(holds("taken", "bytes"));
    octi_folder_clear_left(f, NULL);
    octi_folder_close(sub);
    octi_folder_clear(f, "new");
    ck_assert(!there("new"));
}
END_TEST

START_TEST(logs_are_cut_and_go_on) {
    ck_ok(octi_file_append_in(f, "log", 0, "one\n", 4));
    ck_ok(octi_file_append_in(f, "log", 4, "two\n", 4));
    ck_ok(octi_file_append_in(f, "log", 4, "2\n", 2)); /* what a killed run wrote is gone */
    ck_assert(holds("log", "one\n2\n"));
}
END_TEST

OCT_TEST_MAIN_WITH("folders", setup, teardown, what_a_killed_save_left_goes,
                   a_folder_has_one_writer, links_are_not_followed, names_and_places,
                   logs_are_cut_and_go_on)
