/* SPDX-License-Identifier: MIT
 * NPY and NPZ: NumPy's files, own files, and every kind of damage. */
#include "tests/temp_folder.h"

#include <zlib.h>

#include "src/format/npz.h"
#include "src/mem.h"

static oct_ctx *ctx;

static void check_numpy(const char *name) {
    char file[1024];
    snprintf(file, sizeof file, OCT_SOURCE_DIR "/tests/golden/%s", name);
    octi_npz *z = octi_npz_read(ctx, file);
    ck_not_null(z);
    ck_assert_int_eq(octi_npz_count(z), 11);
    octi_npy a;
    ck_ok(octi_npz_get(z, "x", 0, &a));
    ck_assert(a.kind == 'u' && a.size == 1);
    ck_assert_str_eq(oct_shape_text(&a.shape), "[2, 3, 4, 5]");
    for (int i = 0; i < 120; i++)
        ck_assert_int_eq(((const uint8_t *)a.data)[i], (i * 7 & 255) % 251);
    ck_ok(octi_npz_get(z, "y", 0, &a));
    ck_assert(octi_npy_int(&a, 0) == 1 && octi_npy_dtype(&a) == OCT_S64);
    ck_ok(octi_npz_get(z, "i2", 0, &a));
    ck_assert(octi_npy_int(&a, 0) == -2 && octi_npy_dtype(&a) == OCT_DTYPE_COUNT);
    ck_ok(octi_npz_get(z, "u2", 0, &a));
    ck_assert_int_eq(octi_npy_int(&a, 0), 65535);
    ck_ok(octi_npz_get(z, "s", 0, &a));
    ck_assert(a.shape.rank == 0 && octi_npy_int(&a, 0) == -7);
    float v[2];
    const struct {
        const char *name;
        float first;
    } floats[] = {{"f", 1.5f}, {"h", 0.5f}, {"d", 0.1f}};
    for (int i = 0; i < 3; i++) {
        ck_ok(octi_npz_get(z, floats[i].name, 0, &a));
        ck_ok(octi_npy_to_f32(&a, "a", v));
        ck_assert(v[0] == floats[i].first);
    }
    ck_fails(OCT_EFORMAT, "missing", octi_npz_get(z, "nope", 0, &a));
    ck_fails(OCT_ELIMIT, "too large", octi_npz_get(z, "x", 100, &a));
    octi_npz_free(z);
}

START_TEST(numpys_files) {
    check_numpy("numpy_stored.npz");
    check_numpy("numpy_deflated.npz");
}
END_TEST

static uint8_t *sample(size_t *size) {
    static const float x[6] = {1, 2, 3, 4, 5, 6};
    static const uint8_t u[1] = {9};
    const octi_npz_array a[] = {{"x", OCT_F32, OCT_SHAPE(2, 3), x},
                                {"none", OCT_S32, OCT_SHAPE(0), u},
                                {"codes", OCT_U8, OCT_SHAPE(1), u}};
    ck_ok(octi_npz_write(ctx, in_root("a.npz"), a, 3));
    uint8_t *bytes;
    ck_ok(octi_file_read(ctx, in_root("a.npz"), 0, &bytes, size));
    return bytes;
}

START_TEST(round_trip) {
    size_t n, m;
    uint8_t *a = sample(&n), *b = sample(&m);
    ck_assert(n == m && !memcmp(a, b, n));
    octi_npz *z = octi_npz_parse(ctx, a, n, "bytes");
    ck_not_null(z);
    octi_npy x;
    ck_ok(octi_npz_get(z, "x", 0, &x));
    float v[6];
    memcpy(v, x.data, sizeof v); /* data may be unaligned */
    ck_assert(x.shape.rank == 2 && v[5] == 6 && octi_npy_dtype(&x) == OCT_F32);
    ck_ok(octi_npz_get(z, "none", 0, &x));
    ck_assert(x.shape.rank == 1 && x.shape.dim[0] == 0);
    octi_npz_free(z);
    octi_free(ctx, a);
    octi_free(ctx, b);
    const octi_npz_array bad[] = {{"a/b", OCT_U8, OCT_SHAPE(1), "x"}};
    ck_fails(OCT_EUSAGE, "array name", octi_npz_write(ctx, in_root("bad.npz"), bad, 1));
}
END_TEST

static bool reads(const uint8_t *bytes, size_t n) {
    uint8_t *exact = malloc(n + 1);
    memcpy(exact, bytes, n);
    octi_npz *z = octi_npz_parse(ctx, exact, n, "bytes");
    bool good = z != NULL;
    octi_npy a;
    const char *const names[] = {"x", "none", "codes"};
    for (int i = 0; good && i < 3; i++) good = octi_npz_get(z, names[i], 0, &a) == OCT_OK;
    octi_npz_free(z);
    free(exact);
    return good;
}

START_TEST(damage) {
    size_t n, held = oct_ctx_memory(ctx, OCT_MEMORY_BYTES);
    uint8_t *a = sample(&n);
    ck_assert(reads(a, n));
    for (size_t k = 0; k < n; k++) ck_assert_msg(!reads(a, k), "%zu of %zu bytes pass", k, n);
    int passed = 0;
    for (size_t bit = 0; bit < 8 * n; bit++) {
        a[bit / 8] ^= (uint8_t)(1 << bit % 8);
        passed += reads(a, n);
        a[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    /* dates, versions, flags and attributes of members mean nothing here; data and names are held
     * by CRC and comparison */
    ck_assert_int_lt(passed, 1000);
    octi_free(ctx, a);
    ck_assert_uint_eq(oct_ctx_memory(ctx, OCT_MEMORY_BYTES), held);
}
END_TEST

static oct_status npy(const char *dict, size_t data) {
    uint8_t b[512] = "\x93NUMPY\x01";
    size_t n = strlen(dict);
    b[8] = (uint8_t)n;
    b[9] = (uint8_t)(n >> 8);
    memcpy(b + 10, dict, n);
    octi_npy a;
    uint8_t *exact = malloc(10 + n + data);
    memcpy(exact, b, 10 + n + data);
    oct_status s = octi_npy_parse(exact, 10 + n + data, "npy", &a);
    free(exact);
    return s;
}
#define D(descr, fortran, shape)                                                                   \
    "{'descr': " descr ", 'fortran_order': " fortran ", 'shape': " shape ", }\n"

START_TEST(npy_headers) {
    ck_ok(npy(D("'<f4'", "False", "(2,)"), 8));
    ck_ok(npy("{\"shape\":(2, 1),\"descr\":\"|u1\",\"fortran_order\":False}", 2));
    ck_ok(npy(D("'<i8'", "False", "()"), 8));
    ck_fails(OCT_EUNSUPPORTED, "Fortran", npy(D("'<f4'", "True", "(2,)"), 8));
    ck_fails(OCT_EUNSUPPORTED, "got >f4", npy(D("'>f4'", "False", "(2,)"), 8));
    ck_fails(OCT_EUNSUPPORTED, "got |O", npy(D("'|O'", "False", "(2,)"), 8));
    ck_fails(OCT_EUNSUPPORTED, "descr", npy(D("'<U3'", "False", "(2,)"), 8));
    ck_fails(OCT_EUNSUPPORTED, "descr", npy(D("''", "False", "(2,)"), 8));
    ck_fails(OCT_EFORMAT, "NPY data", npy(D("'<f4'", "False", "(2,)"), 7));
    ck_fails(OCT_EFORMAT, "NPY data", npy(D("'<f4'", "False", "(2,)"), 9));
    ck_fails(OCT_EFORMAT, "overflows", npy(D("'<f4'", "False", "(4294967296, 4294967296)"), 8));
    ck_fails(OCT_EFORMAT, "fits", npy(D("'<f4'", "False", "(99999999999999999999,)"), 8));
    ck_fails(OCT_EUNSUPPORTED, "axes", npy(D("'<f4'", "False", "(1, 1, 1, 1, 1, 1, 1)"), 4));
    const char *bad[] = {"",
                         "{",
                         "{}",
                         "{'descr': '<f4'}",
                         D("'<f4'", "false", "(2,)"),
                         D("'<f4'", "False", "(2,"),
                         D("'<f4'", "False", "2"),
                         D("'<f4", "False", "(2,)"),
                         D("'<f4'", "False", "(2,)") "x",
                         D("'<f4'", "False", "(-2,)"),
                         "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
                         "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(npy(bad[i], 8) == OCT_EFORMAT, "accepted %s: %s", bad[i],
                      oct_error_message());
    octi_npy a;
    ck_fails(OCT_EFORMAT, "at most 10000",
             octi_npy_parse("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12, "npy", &a));
    ck_fails(OCT_EFORMAT, "version", octi_npy_parse("\x93NUMPY\x07\x00\x00\x00", 10, "npy", &a));
}
END_TEST

/* Field substitution in the directory of an archive: offset from the end record and from the first
 * entry. */
START_TEST(zip_fields) {
    size_t n;
    uint8_t *a = sample(&n), *end = a + n - 22, *central = a + (end[16] | end[17] << 8);
    const uint32_t values[] = {0,          1,          0x7fffffff, 0x80000000,
                               0xffffffff, 0xfffffffe, 0xffff,     0x10000};
    const struct {
        uint8_t *at;
        int bytes;
    } field[] = {{end + 8, 2},      {end + 10, 2},     {end + 12, 4},     {end + 16, 4},
                 {end + 20, 2},     {central + 10, 2}, {central + 16, 4}, {central + 20, 4},
                 {central + 24, 4}, {central + 28, 2}, {central + 30, 2}, {central + 32, 2},
                 {central + 42, 4}, {a + 26, 2},       {a + 28, 2}};
    for (size_t k = 0; k < sizeof field / sizeof *field; k++)
        for (int v = 0; v < 8; v++) {
            uint8_t old[4];
            memcpy(old, field[k].at, (size_t)field[k].bytes);
            memcpy(field[k].at, &values[v], (size_t)field[k].bytes);
            bool same = !memcmp(old, field[k].at, (size_t)field[k].bytes);
            ck_assert_msg(reads(a, n) == same, "field %zu value %x", k, values[v]);
            memcpy(field[k].at, old, (size_t)field[k].bytes);
        }
    octi_free(ctx, a);
    /* a comment may stand behind all, as long as the end record says */
    a = sample(&n);
    uint8_t *commented = calloc(n + 7, 1);
    memcpy(commented, a, n);
    memcpy(commented + n, "comment", 7);
    commented[n - 2] = 7;
    ck_assert(reads(commented, n + 7));
    commented[n - 2] = 6;
    ck_assert(!reads(commented, n + 7));
    free(commented);
    octi_free(ctx, a);
    uint8_t none[22] = "PK\x05\x06";
    octi_npz *z = octi_npz_parse(ctx, none, 22, "empty");
    ck_not_null(z);
    ck_assert_int_eq(octi_npz_count(z), 0);
    octi_npz_free(z);
    ck_assert(octi_npz_parse(ctx, none, 0, "empty") == NULL);
}
END_TEST

static uint8_t *bytes_of(const char *name, size_t *n) {
    uint8_t *bytes;
    ck_ok(octi_file_read(ctx, in_root(name), 0, &bytes, n));
    return bytes;
}

/* A whole member inside the data of another, and an entry of the directory that points there:
 * every name, size and CRC is right. */
START_TEST(members_do_not_overlap) {
    const float v[3] = {1, 2, 3};
    octi_npz_array two[] = {{"a", OCT_U8, OCT_SHAPE(0), NULL}, {"b", OCT_F32, OCT_SHAPE(3), v}};
    ck_ok(octi_npz_write(ctx, in_root("b.npz"), two + 1, 1));
    size_t inner, n;
    uint8_t *b = bytes_of("b.npz", &inner);
    two[0].shape = OCT_SHAPE((int64_t)inner);
    two[0].data = b;
    ck_ok(octi_npz_write(ctx, in_root("ab.npz"), two, 2));
    uint8_t *ab = bytes_of("ab.npz", &n), *end = ab + n - 22,
            *second = ab + (end[16] | end[17] << 8) + 46 + 5; /* behind the entry of a.npy */
    octi_npz *z = octi_npz_parse(ctx, ab, n, "ab");
    ck_not_null(z);
    octi_npz_free(z);
    ck_assert(!memcmp(second, "PK\1\2", 4));
    uint32_t begin = 0; /* the b inside a */
    while (memcmp(ab + begin, b, inner)) begin++;
    for (int i = 0; i < 4; i++) second[42 + i] = (uint8_t)(begin >> 8 * i);
    oct_clear_error();
    ck_assert(octi_npz_parse(ctx, ab, n, "ab") == NULL);
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "overlap"));
    octi_free(ctx, ab);
    octi_free(ctx, b);
}
END_TEST

static void setup(void) {
    ck_not_null(ctx = oct_open(&(oct_opts){.threads = 1, .max_bytes = 64 << 20}));
    make_root();
}
static void teardown(void) {
    remove_root();
    oct_close(ctx);
}

OCT_TEST_MAIN_WITH("npz", setup, teardown, numpys_files, round_trip, damage, npy_headers,
                   zip_fields, members_do_not_overlap)
