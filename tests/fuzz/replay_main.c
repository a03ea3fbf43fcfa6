/* SPDX-License-Identifier: MIT
 * Runs a fuzz target over files, or all files of folders, without a fuzzer: the corpus as a
 * test. */
#include <dirent.h>

#include "tests/fuzz/fuzz.h"

static int runs;

static int run_file(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) return perror(path), 1;
    static uint8_t buf[1 << 20];
    size_t n = fread(buf, 1, sizeof buf, f);
    fclose(f);
    uint8_t *exact = malloc(n ? n : 1); /* a sanitizer sees one byte too far */
    if (!exact) return 1;
    memcpy(exact, buf, n);
    (void)LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    runs++;
    return 0;
}

int main(int argc, char **argv) {
    int bad = 0;
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
