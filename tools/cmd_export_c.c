/* SPDX-License-Identifier: MIT
 * octet export --to c: sizes first, then NAME.h and NAME.c. */
#include "tools/cli_export.h"

/* Before anything is written. */
static int tell(void *user, const oct_c_sizes *s) {
    export_job *job = user;
    if (!job->j)
        cli_print("%-11s  %s: constants %lld bytes, RAM %lld bytes, %lld MACs\n", job->format,
                  s->name, (long long)s->flash_bytes, (long long)s->arena_bytes,
                  (long long)s->macs);
    return job->c->dry_run.set;
}

int export_c(export_job *job) {
    oct_c_sizes sizes = {.name = ""};
    const oct_export_c_opts o = {.name = job->name, .sizes = tell, .user = job};
    const oct_status s = oct_export_c(job->net, job->c->out.s, &o, &sizes);
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
