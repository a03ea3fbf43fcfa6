/* SPDX-License-Identifier: MIT
 * Runs a fuzz target over files, or all files of folders, without a fuzzer: the corpus as a test,
 * and some mutations of each, drawn anew by OCT_TEST_SEED (OCT_TEST_LONG=1: many). */
#include <dirent.h>

#include "tests/fuzz/fuzz.h"
#include "tests/long_test.h"

static int runs;

static uint64_t state = 88172645463325252u;
static uint32_t draw(uint32_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % below;
}

static void run(const uint8_t *bytes, size_t n) {
    uint8_t *exact = malloc(n ? n : 1); /* a sanitizer sees one byte too far */
    if (!exact) abort();
    memcpy(exact, bytes, n);
    (void)LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    runs++;
}

/* One to four edits: a byte, a bit, a digit or mark, a piece gone, a piece twice, the rest gone. */
static size_t mutate(uint8_t *b, size_t n) {
    static const char marks[] = "0123456789-,.[]{}\"\\ntf";
    for (uint32_t k = 1 + draw(4); k && n; k--) {
        size_t at = draw((uint32_t)n), len = 1 + draw(16);
        if (len > n - at) len = n - at;
        switch (draw(7)) {
        case 0:
            b[at] = (uint8_t)draw(256);
            break;
        case 1:
            b[at] ^= (uint8_t)(1u << draw(8));
            break;
        case 2:
            b[at] = (uint8_t)marks[draw(sizeof marks - 1)];
            break;
        case 3:
            b[at] = (uint8_t)(draw(2) ? 255 : 0);
            break;
        case 4:
            memmove(b + at, b + at + len, n - at - len);
            n -= len;
            break;
        case 5:
            memmove(b + at, b + draw((uint32_t)(n - len + 1)), len);
            break;
        default:
            if (!draw(8)) n = at;
        }
    }
    return n;
}

static int run_file(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) return perror(path), 1;
    static uint8_t buf[1 << 20];
    size_t n = fread(buf, 1, sizeof buf, f);
    fclose(f);
    run(buf, n);
    for (int i = oct_test_long() ? 2000 : 5; i; i--) {
        static uint8_t other[sizeof buf];
        memcpy(other, buf, n);
        run(other, mutate(other, n));
    }
    return 0;
}

int main(int argc, char **argv) {
    int bad = 0;
    if (getenv("OCT_TEST_SEED")) state += strtoull(getenv("OCT_TEST_SEED"), NULL, 10);
    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        if (!d) {
            bad |= run_file(argv[i]);
            continue;
        }
        for (struct dirent *e; (e = readdir(d));) {
            char path[4096];
            if (e->d_name[0] == '.') continue;
            snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
            bad |= run_file(path);
        }
        closedir(d);
    }
    printf("%d inputs\n", runs);
    return bad || !runs;
}
