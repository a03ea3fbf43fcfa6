/* SPDX-License-Identifier: MIT
 * Opens a run's folder for readers or for its one writer: locks it, replaces what it held, and
 * finishes or drops what a killed writer left. */
#include "qat/fit/run_folder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/format/foreign.h"
#include "src/mem.h"

/* Files of a run, in the order in which they are replaced: state first, without it the rest cannot
 * be taken for a moment of training */
static const char *const run_names[] = {
    "state.safetensors", "model.safetensors", "best.safetensors", "metrics.jsonl",
    "probe.npz",         "graph.json",        "config.json"};
enum { RUN_NAMES = sizeof run_names / sizeof *run_names };

#define NEW  ".new"
#define TEMP ".tmp-"

struct octi_run {
    oct_ctx *ctx;
    octi_folder *folder, *begun; /* begun: NULL but between renew and keep */
    char *path, *temp;           /* temp: name of begun */
    bool made;                   /* the folder, by this writer */
    bool first, kept;            /* no run was in it; this writer's is */
};

static oct_status io(const char *path, const char *what) { return octi_fail_errno(path, what); }

enum entry { FOREIGN, FILE_OF_A_RUN, LEFT_OVER };

/* "config.json", or what a killed writer leaves: "config.json.tmp-PID-N", ".new.tmp-PID". */
static enum entry entry_of(const char *name) {
    for (int i = 0; i < RUN_NAMES; i++) {
        const size_t n = strlen(run_names[i]);
        if (strncmp(run_names[i], name, n)) continue;
        if (!name[n]) return FILE_OF_A_RUN;
        if (!strncmp(name + n, TEMP, strlen(TEMP))) return LEFT_OVER;
    }
    if (!strcmp(name, NEW)) return FILE_OF_A_RUN;
    return strncmp(name, NEW TEMP, strlen(NEW TEMP)) ? FOREIGN : LEFT_OVER;
}

/* ---- may a folder become a run? ---- */

static oct_status check_parent(const char *dir) {
    struct stat st;
    char parent[4096];
    if (snprintf(parent, sizeof parent, "%s", dir) >= (int)sizeof parent)
        return octi_fail(OCT_EUSAGE, "run", "path too long", "at most 4095 bytes", NULL, NULL);
    for (size_t n = strlen(parent); n > 1 && parent[n - 1] == '/'; n--) parent[n - 1] = 0;
    char *slash = strrchr(parent, '/');
    if (slash) *(slash == parent ? slash + 1 : slash) = 0;
    const char *up = slash ? parent : ".";
    if (stat(up, &st)) return io(up, "folder of the run");
    if (!S_ISDIR(st.st_mode)) return octi_fail(OCT_EIO, up, "not a folder", NULL, NULL, NULL);
    return access(up, W_OK) ? io(up, "cannot write") : OCT_OK;
}

static oct_status check_entries(oct_ctx *ctx, const octi_folder *f, bool resume, bool force) {
    char *names;
    bool run = false, foreign = false;
    OCT_TRY(octi_folder_names(f, &names));
    for (const char *n = names; *n; n += strlen(n) + 1) {
        run |= entry_of(n) == FILE_OF_A_RUN;
        foreign |= entry_of(n) == FOREIGN;
    }
    octi_free(ctx, names);
    const char *dir = octi_folder_path(f);
    if (!resume && foreign && !run)
        return octi_fail(OCT_EUSAGE, dir, "folder is not empty and not a run",
                         "a run or a new path", NULL, NULL);
    if (!resume && run && !force)
        return octi_fail(OCT_EUSAGE, dir, "run exists already", "a new path", NULL,
                         ".resume goes on, .force replaces it");
    return OCT_OK;
}

static oct_status check_path(const char *dir, bool resume, bool force, bool *there) {
    struct stat st;
    *there = false;
    if (!dir || !*dir) return octi_fail(OCT_EUSAGE, "run", "no folder", "a path", NULL, NULL);
    if (resume && force)
        return octi_fail(OCT_EUSAGE, dir, "resume and force exclude each other", "one of them",
                         NULL, NULL);
    if (stat(dir, &st))
        return errno == ENOENT ? check_parent(dir) : io(dir, "cannot look at the run");
    if (!S_ISDIR(st.st_mode))
        return octi_fail(OCT_EUSAGE, dir, "exists and is not a folder", "a run or a new path", NULL,
                         NULL);
    *there = true;
    return access(dir, W_OK) ? io(dir, "cannot write") : OCT_OK;
}

oct_status oct_run_check(oct_ctx *ctx, const char *dir, bool resume, bool force) {
    bool there;
    if (!ctx) return octi_fail(OCT_EUSAGE, "oct_run_check", "ctx is NULL", NULL, NULL, NULL);
    OCT_TRY(check_path(dir, resume, force, &there));
    octi_folder *f = there ? octi_folder_open(ctx, dir) : NULL;
    if (!f) return there ? oct_last_error()->code : OCT_OK;
    oct_status s = check_entries(ctx, f, resume, force);
    octi_folder_close(f);
    return s;
}

/* What a disk's error keeps from being seen counts as there: reading it says so. Asked twice, for
 * an error may pass (EINTR). */
static bool may_be_there(const char *path) {
    for (int i = 0; i < 2; i++) {
        if (!access(path, F_OK)) return true;
        const bool nothing =
            errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EACCES;
        if (nothing || errno == ENAMETOOLONG || errno == EINVAL) return false;
    }
    return true;
}

bool oct_run_is(const char *path) {
    char at[4096];
    static const char *const marks[] = {"graph.json", NEW "/graph.json"};
    for (int i = 0; path && i < 2; i++)
        if (snprintf(at, sizeof at, "%s/%s", path, marks[i]) < (int)sizeof at && may_be_there(at))
            return true;
    return false;
}

/* ---- opening ---- */

static octi_run *new_run(oct_ctx *ctx, const char *dir) {
    octi_run *r = octi_alloc(ctx, sizeof *r);
    if (!r) return NULL;
    r->ctx = ctx;
    r->path = octi_strdup(ctx, dir);
    r->temp = octi_asprintf(ctx, NEW TEMP "%ld", (long)getpid());
    if (r->path && r->temp) return r;
    octi_run_close(r);
    return NULL;
}

/* A file in the place of a run: what it is, by its first bytes. */
static void not_a_run(const char *path, bool file) {
    uint8_t first[512];
    FILE *f = file ? fopen(path, "rb") : NULL;
    const size_t n = f ? fread(first, 1, sizeof first, f) : 0;
    if (f) fclose(f);
    if (!octi_foreign(first, n, path, "a run: a folder with graph.json"))
        octi_fail(OCT_EFORMAT, path, "not a run", "a folder with graph.json", NULL,
                  n > 8 && first[8] == '{' ? "octet import makes a run of PyTorch's weights"
                                           : NULL);
}

octi_run *octi_run_open(oct_ctx *ctx, const char *dir) {
    octi_run *r = new_run(ctx, dir);
    if (!r) return NULL;
    struct stat st;
    if (stat(dir, &st))
        octi_fail(OCT_EIO, dir, "no such run", "a run's folder", strerror(errno), NULL);
    else if (!oct_run_is(dir))
        not_a_run(dir, S_ISREG(st.st_mode));
    else
        r->folder = octi_folder_open(ctx, dir);
    bool begun = false;
    const bool known = r->folder && octi_folder_has(r->folder, NEW, &begun) == OCT_OK;
    if (begun) { /* its writer was killed, or is about to end */
        octi_folder *sub = octi_folder_sub(r->folder, NEW);
        octi_folder_close(r->folder);
        r->folder = sub;
    }
    if (known && r->folder) return r;
    octi_run_close(r);
    return NULL;
}

/* ".new" becomes the run: idempotent, so that whoever finds it ends it. */
static oct_status settle(const octi_folder *f, const char *temp) {
    bool begun, has;
    oct_status s = octi_folder_has(f, NEW, &begun);
    if (s != OCT_OK || !begun) return s;
    octi_folder *sub = octi_folder_sub(f, NEW);
    if (!sub) return oct_last_error()->code;
    for (int i = 0; i < RUN_NAMES && s == OCT_OK; i++) {
        s = octi_folder_has(sub, run_names[i], &has);
        if (s == OCT_OK)
            s = has ? octi_folder_take(f, sub, run_names[i]) : octi_folder_remove(f, run_names[i]);
    }
    octi_folder_close(sub);
    if (s == OCT_OK) s = octi_folder_sync(f);
    if (s == OCT_OK) s = octi_folder_rename(f, NEW, temp);
    if (s == OCT_OK) octi_folder_clear(f, temp);
    return s;
}

static oct_status clear_left(oct_ctx *ctx, const octi_folder *f) {
    char *names;
    for (int i = 0; i < RUN_NAMES; i++) octi_folder_clear_left(f, run_names[i]);
    OCT_TRY(octi_folder_names(f, &names));
    for (const char *n = names; *n; n += strlen(n) + 1)
        if (!strncmp(n, NEW TEMP, strlen(NEW TEMP))) octi_folder_clear(f, n);
    octi_free(ctx, names);
    return OCT_OK;
}

static oct_status open_to_write(octi_run *r, bool resume, bool force) {
    bool there;
    OCT_TRY(check_path(r->path, resume, force, &there));
    if (!there && mkdir(r->path, 0777)) {
        if (errno != EEXIST) return io(r->path, "cannot make the run");
        there = true;
    }
    r->made = !there;
    r->first = !oct_run_is(r->path);
    r->folder = octi_folder_open(r->ctx, r->path);
    if (!r->folder) return oct_last_error()->code;
    OCT_TRY(octi_folder_lock(r->folder));
    /* behind the lock: what another writer made counts */
    OCT_TRY(check_entries(r->ctx, r->folder, resume, force));
    OCT_TRY(settle(r->folder, r->temp));
    return clear_left(r->ctx, r->folder);
}

octi_run *octi_run_write(oct_ctx *ctx, const char *dir, bool resume, bool force) {
    octi_run *r = new_run(ctx, dir ? dir : "");
    if (!r || open_to_write(r, resume, force) == OCT_OK) return r;
    octi_run_close(r);
    return NULL;
}

const octi_folder *octi_run_folder(const octi_run *r) { return r->begun ? r->begun : r->folder; }

oct_status octi_run_renew(octi_run *r) {
    r->begun = octi_folder_make(r->folder, r->temp);
    return r->begun ? OCT_OK : oct_last_error()->code;
}

oct_status octi_run_keep(octi_run *r) {
    OCT_TRY(octi_folder_sync(r->begun));
    OCT_TRY(octi_folder_rename(r->folder, r->temp, NEW));
    octi_folder_close(r->begun);
    r->begun = NULL;
    r->kept = true;
    OCT_TRY(octi_folder_sync(r->folder));
    return settle(r->folder, r->temp);
}

/* The graph first: without it the rest is no run. */
void octi_run_drop(octi_run *r) {
    if (!r->first || !r->kept) return;
    octi_folder_clear(r->folder, "graph.json");
    for (int i = 0; i < RUN_NAMES; i++) octi_folder_clear(r->folder, run_names[i]);
    r->kept = false;
}

void octi_run_close(octi_run *r) {
    if (!r) return;
    /* what was begun; or what is left of it, where an error kept it from being cleared (settle) */
    if (r->begun || r->kept) octi_folder_clear(r->folder, r->temp);
    if (r->made && !r->kept && r->folder) (void)rmdir(r->path);
    octi_folder_close(r->begun);
    octi_folder_close(r->folder);
    octi_free(r->ctx, r->path);
    octi_free(r->ctx, r->temp);
    octi_free(r->ctx, r);
}
