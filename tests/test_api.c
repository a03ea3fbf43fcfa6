/* SPDX-License-Identifier: MIT
 * Every public function answers every argument: calls that tests/api_fuzz.py made from the headers,
 * in children. A child that dies of a signal, or does not end, is named with the argument; so is a
 * valid call that fails, since its probes would not reach far. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/api_world.h"

typedef struct fuzz_row {
    const char *name;
    void (*call)(int k); /* 0: valid arguments; else the k-th word is how it differs */
    const char *const *words;
    int cases;
    bool moves; /* what it does to its arguments could hide the next case: a child for each */
} fuzz_row;

static struct progress {
    int k;           /* being called */
    char wrong[400]; /* an answer that is none */
} * seen;

static void wrong(const char *what) {
    snprintf(seen->wrong, sizeof seen->wrong, "%s: %s", what, oct_error_message());
}

static void answer_status(int k, oct_status s) {
    if (k == 0 && s != OCT_OK) wrong("valid arguments are refused");
    if ((unsigned)s >= OCT_STATUS_COUNT) wrong("no status");
    if (s != OCT_OK && oct_last_error()->code == OCT_OK) wrong("failed without a record");
    if (s == OCT_EINTERNAL) wrong("internal error");
}
static void answer_pointer(int k, const void *p) {
    if (k == 0 && !p) wrong("valid arguments give NULL");
    if (p && (uintptr_t)p < 4096) wrong("a member of NULL"); /* &object->field */
}

#include "api_calls.h"

#ifdef __SANITIZE_ADDRESS__ /* what reads a whole data set takes ten times as long */
enum { SECONDS = 200 };
#else
enum { SECONDS = 20 };
#endif

/* Cases from `k` on, in a child; how it ended. */
static int run_child(const fuzz_row *r, int k) {
    fflush(NULL);
    pid_t child = fork();
    ck_assert(child >= 0);
    if (!child) {
        signal(SIGALRM, SIG_DFL); /* Check's handler kills the whole group */
        for (seen->k = k; seen->k < r->cases; seen->k++) {
            alarm(SECONDS);
            oct_clear_error();
            r->call(seen->k);
            if (*seen->wrong || r->moves) break;
        }
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

static int play(const fuzz_row *r) {
    int failures = 0;
    for (int k = 0; k < r->cases; k = seen->k + 1) {
        *seen->wrong = 0;
        int status = run_child(r, k);
        const char *words = r->words[seen->k < r->cases ? seen->k : r->cases - 1];
        if (WIFSIGNALED(status))
            printf("%s(%s): %s\n", r->name, words,
                   WTERMSIG(status) == SIGALRM ? "does not end" : strsignal(WTERMSIG(status)));
        else if (status)
            printf("%s(%s): a sanitizer's report\n", r->name, words);
        else if (*seen->wrong)
            printf("%s(%s): %s\n", r->name, words, seen->wrong);
        else
            continue;
        failures++;
    }
    return failures;
}

START_TEST(test_every_function_answers_every_argument) {
    int failures = 0, cases = 0;
    const char *only = getenv("OCT_API_ONLY"); /* one function, by hand */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (only && strcmp(only, rows[i].name)) continue;
        failures += play(&rows[i]);
        cases += rows[i].cases;
    }
    printf("%zu functions, %d calls, %d failures\n", sizeof rows / sizeof *rows, cases, failures);
    ck_assert_int_eq(failures, 0);
}
END_TEST

static void set_up(void) {
    make_root();
    ck_assert(!chdir(root));
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(seen != MAP_FAILED);
    w_make();
}
static void tear_down(void) {
    oct_close(w.ctx);
    munmap(seen, sizeof *seen);
    ck_assert(!chdir("/"));
    remove_root();
}

OCT_TEST_MAIN_WITH("api", set_up, tear_down, test_every_function_answers_every_argument)
