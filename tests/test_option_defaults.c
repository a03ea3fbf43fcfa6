/* SPDX-License-Identifier: MIT
 * A field that several option structs have means one thing and has one default everywhere. The
 * structs are read from the headers: a name that a second struct takes fails here until it is said
 * what holds. The command's defaults are held against the library's by test_cli_defaults.sh. */
#include <ftw.h>

#include "octet.h"
#include "src/rng.h"
#include "tests/option_rows.h"

/* ---- the fields ---- */

enum { MOST_FIELDS = 400 };
static struct field { char name[OPTION_NAME], of[OPTION_NAME]; } fields[MOST_FIELDS];
static int field_count, struct_count;

static void read_struct(const char *header, const char *name) {
    char names[OPTION_FIELDS][OPTION_NAME];
    const int n = option_fields(header, name, names);
    struct_count++;
    for (int i = 0; i < n; i++) {
        ck_assert_int_lt(field_count, MOST_FIELDS);
        struct field *f = &fields[field_count++];
        memcpy(f->name, names[i], sizeof f->name);
        snprintf(f->of, sizeof f->of, "%s", name);
    }
}

static bool holds_options(const char *name) {
    const char *end = name + strlen(name);
    return (end - name > 4 && !strcmp(end - 4, "opts")) || !strcmp(name, "oct_qconfig") ||
           !strcmp(name, "oct_schedule");
}

static int read_header(const char *path, const struct stat *s, int kind, struct FTW *at) {
    static char text[1 << 17];
    const size_t n = strlen(path);
    (void)s, (void)at;
    if (kind != FTW_F || n < 2 || strcmp(path + n - 2, ".h")) return 0;
    FILE *f = fopen(path, "r");
    ck_assert(f != NULL);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    for (const char *p = text; (p = strstr(p, "typedef struct oct_")); p++) {
        char name[OPTION_NAME];
        if (sscanf(p, "typedef struct %47[a-z0-9_] {", name) == 1 && holds_options(name) &&
            strchr(p, '{') < strchr(p, ';'))
            read_struct(path + strlen(OCT_SOURCE_DIR) + 1, name);
    }
    return 0;
}

/* Names in more than one struct. One that means two things, with two defaults, says which: each is
 * PyTorch's or the mathematics' name in its place. All others have one default, 0 or NULL for what
 * is not wanted, or proven below. */
static const struct shared {
    const char *name, *apart;
} shared[] = {
    {"augment", NULL},
    {"batch", NULL},
    {"channels", "of the model's input; of a batch norm, which has to be told"},
    {"classes", "names of a set's; how many a set has; how many a model tells apart"},
    {"clip_norm", NULL},
    {"data", NULL},
    {"eps", "of the root in Adam and RMSprop; of a variance in batch norm"},
    {"height", NULL},
    {"in", NULL},
    {"input", NULL},
    {"kernel", NULL},
    {"kernel_size", NULL},
    {"kind", "of an optimizer; of a schedule"},
    {"limit", NULL},
    {"loss", NULL},
    {"loss_user", NULL},
    {"lr", NULL},
    {"momentum", "of an optimizer; of batch norm's statistics"},
    {"no_bias", NULL},
    {"out", NULL},
    {"pad", NULL},
    {"pads", NULL},
    {"profile", NULL},
    {"progress", NULL},
    {"progress_user", NULL},
    {"rows", "of a sheet of samples; that AdaRound fits on; of a report's table"},
    {"seed", NULL},
    {"smoothing", NULL},
    {"stride", "of a convolution, 1; of a pool, its kernel"},
    {"strides", NULL},
    {"warmup", "in epochs, of a training; in steps, of a schedule, which has no epochs"},
    {"weight_decay", NULL},
    {"width", NULL},
};
enum { SHARED = sizeof shared / sizeof *shared };

START_TEST(each_shared_name_is_known) {
    static const char *const rooms[] = {"src", "datasets", "autograd", "ops", "qat"};
    bool met[SHARED] = {false};
    field_count = struct_count = 0;
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", OCT_SOURCE_DIR, rooms[i]);
        ck_assert_int_eq(nftw(path, read_header, 16, FTW_PHYS), 0);
    }
    ck_assert_int_ge(struct_count, 27); /* they were found */
    for (int i = 0; i < field_count; i++)
        for (int k = 0; k < i; k++) {
            if (strcmp(fields[i].name, fields[k].name)) continue;
            int at = 0;
            while (at < SHARED && strcmp(shared[at].name, fields[i].name)) at++;
            ck_assert_msg(at < SHARED,
                          "%s and %s both have %s: give it one meaning and default, or another "
                          "name, and say so here",
                          fields[k].of, fields[i].of, fields[i].name);
            met[at] = true;
        }
    for (int i = 0; i < SHARED; i++)
        ck_assert_msg(met[i], "%s is in one struct alone", shared[i].name);
}
END_TEST

/* ---- a loop of one's own that says nothing trains as oct_fit does that is told nothing ---- */

enum { N = 150, SIDE = 4, CLASSES = 3, STEPS = 3 };
static float images[N][SIDE * SIDE];
static int32_t labels[N];

typedef struct toy {
    oct_module *conv, *fc;
} toy;

static oct_var *toy_forward(void *self, oct_tape *t, oct_var *x) {
    const toy *m = self;
    (void)t;
    return oct_apply(m->fc, oct_flatten(oct_relu(oct_apply(m->conv, x))));
}

static oct_net *toy_net(oct_ctx *ctx, toy *t) {
    oct_module *m = oct_module_new(ctx, toy_forward, t);
    t->conv = oct_module_add(
        m, "conv", oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 1, .out = 4, .kernel = 3}));
    t->fc =
        oct_module_add(m, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = 16, .out = CLASSES}));
    return oct_capture(m, OCT_SHAPE(SIDE, SIDE, 1));
}

static oct_data *toy_data(oct_ctx *ctx) {
    octi_rng r = octi_rng_stream(11, OCTI_RNG_TEST, 0, 0);
    for (int i = 0; i < N; i++) {
        labels[i] = (int32_t)octi_rng_below(&r, CLASSES);
        for (int k = 0; k < SIDE * SIDE; k++)
            images[i][k] = octi_rng_normal(&r) + 4.0f * (float)(k % CLASSES == labels[i]);
    }
    return oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(N, SIDE, SIDE, 1), images, labels, NULL);
}

static void own_loop(oct_net *net, oct_data *data, const oct_optim_opts *opts) {
    oct_ctx *ctx = oct_net_ctx(net);
    int32_t count;
    const oct_named_tensor *params = oct_net_parameters(net, &count);
    oct_optim *optim = oct_optim_new(ctx, params, count, opts);
    oct_loader *loader = oct_loader_new(data, &(oct_loader_opts){.shuffle = true, .even = true});
    oct_tape *tape = oct_tape_new(ctx);
    oct_batch b;
    bool done = false;
    int steps = 0;
    for (ck_ok(oct_loader_next(loader, &b, &done)); !done;
         ck_ok(oct_loader_next(loader, &b, &done))) {
        oct_optim_zero_grad(optim);
        oct_tape_begin(tape, OCT_TRAIN);
        ck_ok(oct_backward(oct_cross_entropy(oct_net_forward(net, oct_input(tape, b.x)), b.labels,
                                             &(oct_cross_entropy_opts){0})));
        ck_ok(oct_optim_step(optim));
        steps++;
    }
    ck_assert_int_eq(steps, STEPS); /* batches of 64 at most */
}

START_TEST(an_own_loop_has_the_defaults_of_fit) {
    for (int kind = 0; kind < OCT_OPTIM_KIND_COUNT; kind++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1, .seed = 5});
        toy t, u;
        oct_net *a = toy_net(ctx, &t), *b = toy_net(ctx, &u);
        oct_data *data = toy_data(ctx);
        ck_ok(oct_fit(a, data,
                      &(oct_fit_opts){.epochs = 1,
                                      .optimizer = (oct_optim_kind)kind,
                                      .schedule = OCT_SCHEDULE_CONSTANT}));
        own_loop(b, data, &(oct_optim_opts){.kind = (oct_optim_kind)kind});
        int32_t n, m;
        const oct_named_tensor *p = oct_net_parameters(a, &n), *q = oct_net_parameters(b, &m);
        ck_assert_int_eq(n, m);
        for (int32_t i = 0; i < n; i++)
            ck_assert_msg(
                !memcmp(p[i].tensor->data, q[i].tensor->data, oct_tensor_bytes(p[i].tensor)),
                "%s: %s differs", oct_optim_kind_name((oct_optim_kind)kind), p[i].name);
        oct_close(ctx);
    }
}
END_TEST

/* What takes a batch takes 64 images of it where nothing is said. */
START_TEST(a_batch_is_64) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    toy t;
    oct_net *net = toy_net(ctx, &t);
    oct_data *data = toy_data(ctx);
    oct_batch b;
    bool done;
    ck_ok(oct_loader_next(oct_loader_new(data, NULL), &b, &done));
    ck_assert_int_eq(b.x->shape.dim[0], 64);
    oct_runner *r = oct_runner_new(net, NULL);
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(65, SIDE, SIDE, 1));
    ck_assert(!oct_runner_run(r, x));
    x->shape.dim[0] = 64;
    ck_not_null(oct_runner_run(r, x));
    oct_close(ctx);
}
END_TEST

/* ---- words ---- */

/* What a library hands out of a closed set is an enum, whose values have one word each; `none` of
 * them at the front have "". */
#define HAS_WORDS(type, count, none)                                                               \
    do {                                                                                           \
        for (int v = 0; v < (int)(count); v++) {                                                   \
            const char *word = type##_name((type)v);                                               \
            type back = (type)-1;                                                                  \
            ck_assert_msg((v < (none)) == !*word, #type " %d: \"%s\"", v, word);                   \
            if (v < (none)) continue;                                                              \
            ck_ok(type##_from_name(word, &back));                                                  \
            ck_assert_int_eq((int)back, v);                                                        \
        }                                                                                          \
        type t;                                                                                    \
        ck_assert_str_eq(type##_name((type)(count)), "");                                          \
        ck_assert_str_eq(type##_name((type)-1), "");                                               \
        ck_fails(OCT_EUSAGE, "none", type##_from_name("none", &t));                                \
    } while (0)

START_TEST(outputs_are_enums_with_words) {
    HAS_WORDS(oct_scheme, OCT_SCHEME_COUNT, 1);
    HAS_WORDS(oct_layer_measure, OCT_MEASURE_COUNT, 0);
    HAS_WORDS(oct_net_form, OCT_FORM_COUNT, 0);
    HAS_WORDS(oct_file_kind, OCT_FILE_KIND_COUNT, 0);
    HAS_WORDS(oct_finding_kind, OCT_FINDING_KIND_COUNT, 0);
    HAS_WORDS(oct_split, OCT_SPLIT_ALL + 1, 0);
    HAS_WORDS(oct_cause_kind, OCT_CAUSE_KIND_COUNT, 0);
    for (int i = 0; i < OCT_CAUSE_KIND_COUNT; i++)
        ck_assert(*oct_cause_kind_meaning((oct_cause_kind)i));
    ck_assert_str_eq(oct_cause_kind_meaning(OCT_CAUSE_KIND_COUNT), "");
}
END_TEST

OCT_TEST_MAIN("option_defaults", each_shared_name_is_known, an_own_loop_has_the_defaults_of_fit,
              a_batch_is_64, outputs_are_enums_with_words)
