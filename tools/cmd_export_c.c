/* SPDX-License-Identifier: MIT
 * octet export --to c: sizes first, then NAME.h and NAME.c. */
#include "tools/cli_export.h"

typedef struct telling {
    export_job *job;
    int taken; /* the exit code where a file of another kind is in the way */
} telling;

static int may_write(const export_job *job, const char *name) {
    export_job named = *job;
    named.name = name;
    for (int i = 0; i < 2; i++) {
        const char *path = export_path(&named, i ? "c" : "h");
        const int code = path ? cli_may_replace(job->c, path, CLI_FILE_C) : 2;
        if (code) return code;
    }
    return 0;
}

/* Before anything is written. */
static int tell(void *user, const oct_c_sizes *s) {
    telling *t = user;
    const export_job *job = t->job;
    if ((t->taken = may_write(job, s->name))) return 1;
    if (!job->j)
        cli_print("%-11s  %s: constants %lld bytes, RAM %lld bytes, %lld MACs\n", job->format,
                  s->name, (long long)s->flash_bytes, (long long)s->arena_bytes,
                  (long long)s->macs);
    return job->c->dry_run.set;
}

int export_c(export_job *job) {
    oct_c_sizes sizes = {.name = ""};
    telling t = {job, 0};
    const oct_export_c_opts o = {.name = job->name, .sizes = tell, .user = &t};
    const oct_status s = oct_export_c(job->net, job->c->out.s, &o, &sizes);
    if (t.taken) return t.taken;
    if (s != OCT_OK && !(s == OCT_ESTOPPED && job->c->dry_run.set)) return cli_failed();
    const char *asked = job->name;
    job->name = sizes.name;
    const char *h = export_path(job, "h"), *c = export_path(job, "c");
    int code = h && c ? export_wrote(job, h) : 2;
    job->sizes = &sizes;
    if (!code) code = export_wrote(job, c);
    job->sizes = NULL;
    job->name = asked;
    return code;
}
