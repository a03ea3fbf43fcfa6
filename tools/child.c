/* SPDX-License-Identifier: MIT
 * Starts a program with pipes to it, and reads and writes whole blocks. */
#include "tools/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/cli.h"

extern char **environ;

int child_start(child *c, char *const argv[]) {
    int in[2], out[2], pid = 0;
    posix_spawn_file_actions_t acts;
    *c = (child){.pid = 0};
    cli_catch_signals(); /* so that nothing is left whatever happens */
    if (pipe(in)) return errno;
    if (pipe(out)) {
        const int why = errno;
        close(in[0]);
        close(in[1]);
        return why;
    }
    const int mine[] = {in[0], in[1], out[0], out[1]};
    for (int i = 0; i < 4; i++) fcntl(mine[i], F_SETFD, FD_CLOEXEC);
    posix_spawn_file_actions_init(&acts);
    posix_spawn_file_actions_adddup2(&acts, in[0], 0);
    posix_spawn_file_actions_adddup2(&acts, out[1], 1);
    const int failed = posix_spawnp(&pid, argv[0], &acts, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&acts);
    close(in[0]);
    close(out[1]);
    *c = (child){.pid = failed ? 0 : pid, .to = in[1], .from = out[0]};
    if (failed) {
        close(c->to);
        close(c->from);
    }
    return failed;
}

void child_end(child *c) {
    if (!c->pid) return;
    close(c->to);
    close(c->from);
    kill(c->pid, SIGKILL);
    waitpid(c->pid, NULL, 0);
    c->pid = 0;
}

bool child_read(const child *c, void *to, size_t n) {
    char *p = to;
    while (n) {
        const ssize_t got = read(c->from, p, n);
        if (got <= 0 && !(got < 0 && errno == EINTR && !cli_signal())) return false;
        if (got > 0) p += got, n -= (size_t)got;
    }
    return true;
}

bool child_write(const child *c, const void *from, size_t n) {
    const char *p = from;
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    while (n) {
        const ssize_t put = write(c->to, p, n);
        if (put <= 0 && !(put < 0 && errno == EINTR && !cli_signal())) break;
        if (put > 0) p += put, n -= (size_t)put;
    }
    signal(SIGPIPE, before);
    return !n;
}
