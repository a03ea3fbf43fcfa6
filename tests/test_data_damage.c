/* SPDX-License-Identifier: MIT
 * Files of data sets that lie about their size, their name or their place, and folders that cannot
 * be read to the end. */
#include "tests/set_files.h"

#include <dirent.h>
#include <errno.h>

static oct_ctx *ctx;
static int fail_at; /* the readdir of that number fails; 0: none */
struct dirent *__real_readdir(DIR *d);
struct dirent *__wrap_readdir(DIR *d);
struct dirent *__wrap_readdir(DIR *d) {
    if (!fail_at || --fail_at) return __real_readdir(d);
    errno = EIO;
    return NULL;
}

static int look_fails_at; /* the lstat of that number fails; 0: none */
int __real_lstat(const char *path, struct stat *st);
int __wrap_lstat(const char *path, struct stat *st);
int __wrap_lstat(const char *path, struct stat *st) {
    if (!look_fails_at || --look_fails_at) return __real_lstat(path, st);
    errno = EIO;
    return -1;
}

static oct_data *open_set(const char *spec) {
    return oct_data_open(ctx, spec, &(oct_data_opts){.root = root, .split = OCT_SPLIT_ALL});
}
#define opens_not(want, text, spec)                                                                \
    do {                                                                                           \
        oct_clear_error();                                                                         \
        ck_assert(open_set(spec) == NULL);                                                         \
        ck_assert_msg(oct_last_error()->code == (want) && strstr(oct_error_message(), text), "%s", \
                      oct_error_message());                                                        \
    } while (0)

/* ---- folders ---- */

START_TEST(a_folder_is_read_to_its_end_or_refused) {
    char name[64];
    make_dir("f");
    for (int k = 0; k < 2; k++) {
        snprintf(name, sizeof name, "f/c%d", k);
        make_dir(name);
        for (int i = 0; i < 5; i++) {
            snprintf(name, sizeof name, "f/c%d/%d.bmp", k, i);
            save_bmp(name, 4, 4, (uint8_t[]){1, 2, (uint8_t)i});
        }
    }
    int calls = 0;
    for (bool failed = true; failed; calls++) {
        fail_at = calls + 1;
        oct_data *d = open_set("folder:f");
        failed = fail_at == 0;
        fail_at = 0;
        ck_assert_msg(!d == failed, "readdir %d failed and the set has %d images", calls + 1,
                      d ? (int)oct_data_count(d) : 0);
        if (failed)
            ck_assert(oct_last_error()->code == OCT_EIO &&
                      strstr(oct_error_message(), "cannot list the folder"));
        else
            ck_assert_int_eq(oct_data_count(d), 10);
    }
    ck_assert_int_gt(calls, 20); /* two folders of five and the one above */
}
END_TEST

/* train/, val/ and links are looked at: what cannot be is no part that is not there */
START_TEST(a_folder_that_cannot_be_looked_at_is_refused) {
    static const char *const dirs[] = {"f",     "f/train", "f/train/a", "f/train/b",
                                       "f/val", "f/val/a", "f/val/b",   NULL};
    for (int i = 0; dirs[i]; i++) make_dir(dirs[i]);
    for (int i = 2; dirs[i]; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s/1.bmp", dirs[i]);
        if (i != 4) save_bmp(name, 4, 4, (uint8_t[]){1, 2, 3});
    }
    ck_assert_int_eq(symlink("1.bmp", in_root("f/train/a/2.bmp")), 0);
    int k = 1;
    for (bool failed = true; failed; k++) {
        oct_clear_error();
        look_fails_at = k;
        oct_data *d = oct_data_open(ctx, "folder:f", &(oct_data_opts){.root = root});
        failed = look_fails_at == 0;
        look_fails_at = 0;
        ck_assert_msg(!d == failed, "lstat %d failed and the set has %d images", k,
                      d ? (int)oct_data_count(d) : 0);
        if (failed)
            ck_assert_msg(oct_last_error()->code == OCT_EIO &&
                              strstr(oct_error_message(), "cannot look"),
                          "%s", oct_error_message());
    }
    ck_assert_int_gt(k, 4);
}
END_TEST

START_TEST(links_that_lead_out_are_told) {
    make_dir("f");
    make_dir("f/a");
    make_dir("f/b");
    for (int k = 0; k < 2; k++) save_bmp(k ? "f/b/1.bmp" : "f/a/1.bmp", 4, 4, (uint8_t[]){1, 2, 3});
    ck_assert_int_eq(symlink("1.bmp", in_root("f/a/2.bmp")), 0); /* inside: an image like another */
    save("f/a/3.webp", "RIFF", 4);
    forget();
    ck_assert_int_eq(oct_data_count(open_set("folder:f")), 3);
    ck_assert_msg(
        !logged("links") &&
            logged("left out: pictures of formats that octet does not read: 1, such as") &&
            logged("f/a/3.webp"),
        "%s", set_log);
    save_bmp("out.bmp", 4, 4, (uint8_t[]){1, 2, 3});
    ck_assert_int_eq(symlink(in_root("out.bmp"), in_root("f/a/3.bmp")), 0);
    ck_assert_int_eq(symlink("nowhere.bmp", in_root("f/b/2.bmp")), 0);
    ck_assert_int_eq(symlink("/usr", in_root("f/c")), 0); /* a class elsewhere */
    forget();
    ck_assert_int_eq(oct_data_count(open_set("folder:f")), 3);
    ck_assert_msg(logged("W ") &&
                      logged("left out: links that lead out of the folder, or nowhere: 3, such as"),
                  "%s", set_log);
    make_dir("idx");
    save("idx/train-images-idx3-ubyte.gz", "x", 1);
    /* there, and broken: no other is taken for it */
    ck_assert_int_eq(symlink("nowhere", in_root("idx/train-images-idx3-ubyte")), 0);
    opens_not(OCT_EIO, "idx/train-images-idx3-ubyte: cannot open: got No such file", "idx:idx");
    make_dir("c10");
    ck_assert_int_eq(symlink("nowhere", in_root("c10/data_batch_2.bin")), 0);
    opens_not(OCT_EIO, "data_batch_2.bin", "cifar10:c10");
}
END_TEST

/* ---- gzip ---- */

static const uint8_t images[] = {0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 1,
                                 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8},
                     labels[] = {0, 0, 8, 1, 0, 0, 0, 4, 0, 1, 0, 1};

START_TEST(gzip_is_known_by_its_content) {
    make_dir("idx");
    /* unpacked by name, packed by content */
    save_gz("idx/train-images-idx3-ubyte", images, sizeof images);
    save("idx/train-labels-idx1-ubyte.gz", labels, sizeof labels); /* and the other way */
    oct_data *d = open_set("idx:idx");
    ck_not_null(d);
    uint8_t px[2];
    int32_t label;
    ck_ok(oct_data_get(d, 3, px, &label));
    ck_assert(px[0] == 7 && px[1] == 8 && label == 1);
}
END_TEST

enum { MIB = 1 << 20 };

/* A small head, and many MiB of zeros behind it. */
static void save_bomb(const char *name, const void *head, size_t n, int mib) {
    static const uint8_t zeros[MIB];
    gzFile f = gzopen(in_root(name), "wb1");
    ck_assert_int_eq(gzwrite(f, head, (unsigned)n), (int)n);
    for (int i = 0; i < mib; i++) ck_assert_int_eq(gzwrite(f, zeros, MIB), MIB);
    gzclose(f);
}

static size_t peak_of_refusal(oct_status want, const char *text, const char *spec) {
    oct_ctx *own = oct_open(&(oct_opts){.threads = 1});
    ck_assert(oct_data_open(own, spec, &(oct_data_opts){.root = root}) == NULL);
    ck_assert_msg(oct_last_error()->code == want && strstr(oct_error_message(), text), "%s",
                  oct_error_message());
    size_t peak = oct_ctx_memory(own, OCT_MEMORY_PEAK_BYTES);
    oct_close(own);
    return peak;
}

START_TEST(nothing_is_unpacked_beyond_what_is_declared) {
    make_dir("idx");
    /* 140 kB of file, 24 bytes declared */
    save_bomb("idx/train-images-idx3-ubyte.gz", images, sizeof images, 32);
    save("idx/train-labels-idx1-ubyte", labels, sizeof labels);
    ck_assert_uint_lt(peak_of_refusal(OCT_EFORMAT,
                                      "unpacked size: expected 24 bytes, as declared, got more",
                                      "idx:idx"),
                      2 * MIB);
    save_bomb("idx/train-images-idx3-ubyte.gz", "no head of IDX..", 16, 32);
    ck_assert_uint_lt(peak_of_refusal(OCT_EFORMAT, "magic number", "idx:idx"), 2 * MIB);
    save("idx/train-images-idx3-ubyte", images, sizeof images);
    save_bomb("idx/train-labels-idx1-ubyte", labels, sizeof labels, 32);
    ck_assert_uint_lt(peak_of_refusal(OCT_EFORMAT, "as declared", "idx:idx"), 2 * MIB);
    make_dir("c10"); /* declares nothing: bounded by the packed size */
    save_bomb("c10/data_batch_1.bin.gz", "", 0, 80);
    ck_assert_uint_lt(peak_of_refusal(OCT_ELIMIT, "decompressed data too large", "cifar10:c10"),
                      200 * MIB);
    oct_close(oct_open(NULL));
    uint8_t lie[64]; /* the size at the end says less than there is */
    gzFile f = gzopen(in_root("lie.gz"), "wb");
    ck_assert_int_eq(gzwrite(f, images, sizeof images), (int)sizeof images);
    gzclose(f);
    FILE *in = fopen(in_root("lie.gz"), "rb");
    size_t n = fread(lie, 1, sizeof lie, in), size;
    fclose(in);
    uint8_t *out;
    ck_ok(octi_gunzip(ctx, lie, n, 0, NULL, "gz", &out, &size));
    ck_assert(size == sizeof images && !memcmp(out, images, size));
    octi_free(ctx, out);
    /* as many as allowed */
    ck_ok(octi_gunzip(ctx, lie, n, sizeof images, NULL, "gz", &out, &size));
    octi_free(ctx, out);
    ck_fails(OCT_ELIMIT, "at most 23 bytes",
             octi_gunzip(ctx, lie, n, sizeof images - 1, NULL, "gz", &out, &size));
    /* bytes behind the stream, the last four of them a size that fits */
    ck_assert_uint_le(n + 8, sizeof lie);
    memcpy(lie + n, lie + n - 8, 8);
    ck_fails(OCT_EFORMAT, "bytes behind the gzip stream: expected none, got 8",
             octi_gunzip(ctx, lie, n + 8, 0, NULL, "gz", &out, &size));
    lie[n - 4] = 23;
    ck_fails(OCT_EFORMAT, "gz", octi_gunzip(ctx, lie, n, 0, NULL, "gz", &out, &size));
}
END_TEST

/* An archive of one deflated member: `head`, then zeros up to `size` bytes. */
static void save_npz_bomb(const char *name, const char *array, const char *head, size_t head_size,
                          uint32_t size) {
    static const uint8_t zeros[MIB];
    uint8_t *packed = malloc(4 * MIB), *zip = malloc(4 * MIB + 300);
    z_stream z = {.next_out = packed, .avail_out = 4 * MIB};
    ck_assert_int_eq(deflateInit2(&z, 1, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
    uint32_t crc = (uint32_t)crc32(0, (const uint8_t *)head, (uInt)head_size);
    for (size_t done = 0; done < size;) {
        size_t n = done < head_size ? head_size : size - done < MIB ? size - done : MIB;
        z.next_in = (Bytef *)(uintptr_t)(done < head_size ? (const uint8_t *)head : zeros);
        z.avail_in = (uInt)n;
        if (done) crc = (uint32_t)crc32(crc, zeros, (uInt)n);
        done += n;
        ck_assert_int_ge(deflate(&z, done == size ? Z_FINISH : Z_NO_FLUSH), 0);
    }
    const uint32_t packed_size = (uint32_t)z.total_out, len = (uint32_t)strlen(array) + 4;
    deflateEnd(&z);
    size_t n = 0;
    for (int part = 0; part < 3; part++) { /* local header and data, directory, end */
        static size_t at;
        if (part == 1) at = n;
        if (part == 2) {
            memcpy(zip + n, "PK\5\6\0\0\0\0\1\0\1\0", 12);
            const uint32_t v[2] = {(uint32_t)(n - at), (uint32_t)at};
            memcpy(zip + n + 12, v, 8);
            memset(zip + n + 20, 0, 2);
            n += 22;
            break;
        }
        memcpy(zip + n, part ? "PK\1\2\24\0" : "PK\3\4", part ? 6 : 4);
        n += part ? 6 : 4;
        memcpy(zip + n, "\24\0\0\0\10\0\0\0\41\0", 10);
        const uint32_t v[3] = {crc, packed_size, size};
        memcpy(zip + n + 10, v, 12);
        memcpy(zip + n + 22, &(uint16_t[]){(uint16_t)len, 0}, 4);
        n += 26;
        if (part) memset(zip + n, 0, 14), n += 14;
        memcpy(zip + n, array, len - 4);
        memcpy(zip + n + len - 4, ".npy", 4);
        n += len;
        if (!part) memcpy(zip + n, packed, packed_size), n += packed_size;
    }
    save(name, zip, n);
    free(packed);
    free(zip);
}

START_TEST(npz_takes_what_its_arrays_declare) {
    char head[128];
    memset(head, ' ', sizeof head);
    memcpy(head, "\x93NUMPY\1\0\x76\0", 10);
    memcpy(head + 10, "{'descr': '|u1', 'fortran_order': False, 'shape': (4, 1, 1, 2), }", 65);
    head[127] = '\n';
    save_npz_bomb("small.npz", "x", head, 128, 128 + 8);
    oct_data *d = open_set("npz:small.npz"); /* the archive itself is well made */
    ck_not_null(d);
    ck_assert_int_eq(oct_data_count(d), 4);
    save_npz_bomb("bomb.npz", "x", head, 128, 32 * MIB);
    oct_ctx *own = oct_open(NULL); /* whoever asks for the array */
    octi_npz *z = octi_npz_read(own, in_root("bomb.npz"));
    octi_npy a;
    ck_fails(OCT_EFORMAT, "expected 8 bytes by dtype and shape", octi_npz_get(z, "x", 0, &a));
    octi_npz_free(z);
    ck_assert_uint_lt(oct_ctx_memory(own, OCT_MEMORY_PEAK_BYTES), 4 * MIB);
    oct_close(own);
    ck_assert_uint_lt(
        peak_of_refusal(
            OCT_EFORMAT,
            "bomb.npz:x: NPY data at offset 128: expected 8 bytes by dtype and shape, got 33554304",
            "npz:bomb.npz"),
        4 * MIB);
}
END_TEST

static void setup(void) {
    ck_not_null(ctx = oct_open(&(oct_opts){.threads = 2, .log = set_log_line}));
    make_root();
}
static void teardown(void) {
    remove_root();
    oct_close(ctx);
}

OCT_TEST_MAIN_WITH("data_damage", setup, teardown, a_folder_is_read_to_its_end_or_refused,
                   a_folder_that_cannot_be_looked_at_is_refused, links_that_lead_out_are_told,
                   gzip_is_known_by_its_content, nothing_is_unpacked_beyond_what_is_declared,
                   npz_takes_what_its_arrays_declare)
