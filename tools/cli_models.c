/* SPDX-License-Identifier: MIT
 * Models and data sets of a command, and what its options say of the input in place of the model's
 * own words. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/cli.h"

/* ---- classes ---- */

enum { CLASSES_FILE = 1 << 20 };

static int read_file(const char *path, char **text) {
    FILE *f = fopen(path, "rb");
    *text = malloc(CLASSES_FILE + 1);
    size_t n = f && *text ? fread(*text, 1, CLASSES_FILE + 1, f) : 0;
    bool bad = !f || !*text || ferror(f), large = n > CLASSES_FILE;
    if (f) fclose(f);
    if (bad) return cli_print_to(stderr, "octet: %s: cannot read\n", path), 4;
    if (large || memchr(*text, 0, n))
        return cli_usage("--classes", "file is no list of names", "at most 1 MiB of text", path,
                         NULL) +
               1;
    (*text)[n] = 0;
    return 0;
}

/* A line that starts with its own number, as lists of class indices do, goes on behind it. */
static char *behind_index(char *line, int32_t n) {
    char *end = strchr(line, '\t'), index[12];
    snprintf(index, sizeof index, "%d", n);
    bool numbered =
        end && (size_t)(end - line) == strlen(index) && !strncmp(line, index, strlen(index));
    return numbered && strchr(end + 1, '\t') ? end + 1 : line;
}

/* Cut at ends, in place: "name"; in a file also "id<tab>name" or "index<tab>id<tab>name". */
static int32_t cut(char *text, const char *ends, oct_class *list) {
    int32_t n = 0;
    char *rest = NULL;
    for (char *p = strtok_r(text, ends, &rest); p; p = strtok_r(NULL, ends, &rest)) {
        p = behind_index(p, n);
        char *tab = strchr(p, '\t');
        if (list) {
            if (tab) *tab = 0;
            list[n] = (oct_class){p, tab ? tab + 1 : p};
        }
        n++;
    }
    return n;
}

const oct_class *cli_classes(cli *c, int32_t *count, int *code) {
    static oct_class *list; /* one --classes in a process */
    static int32_t n;
    *code = 0;
    if (!list) {
        struct stat st;
        char *text = NULL, *again = NULL;
        bool file = !stat(c->classes.s, &st) && S_ISREG(st.st_mode);
        if (file && (*code = read_file(c->classes.s, &text))) return free(text), NULL;
        if (!file) text = strdup(c->classes.s);
        again = text ? strdup(text) : NULL;
        const char *ends = file ? "\r\n" : ",";
        n = again ? cut(again, ends, NULL) : 0;
        list = n ? calloc((size_t)n, sizeof *list) : NULL;
        free(again);
        if (!list)
            return free(text),
                   *code = cli_usage("--classes", "no names", "A,B,C or a file with a name a line",
                                     c->classes.s, NULL),
                   NULL;
        cut(text, ends, list);
    }
    for (int32_t i = 0; i < n; i++)
        for (int32_t k = 0; k < i; k++)
            if (!strcmp(list[i].id, list[k].id))
                return *code = cli_usage("--classes", "name stands twice", "names that differ",
                                         list[i].id, NULL),
                       NULL;
    *count = n;
    return list;
}

const char *cli_class_name(const oct_net *net, int64_t i) {
    if (i >= net->class_count) return "?";
    return *net->classes[i].name ? net->classes[i].name : net->classes[i].id;
}

static int take_classes(cli *c, oct_net *net) {
    int32_t n;
    int code;
    const oct_class *list = cli_classes(c, &n, &code);
    if (!list) return code;
    char got[48], expected[48];
    snprintf(got, sizeof got, "%d", n);
    snprintf(expected, sizeof expected, "%d", net->class_count);
    if (n != net->class_count)
        return cli_usage("--classes", "number of names", expected, got, "the model's classes");
    oct_class *named = calloc((size_t)n, sizeof *named);
    if (!named) return fprintf(stderr, "octet: out of memory\n"), 5;
    for (int32_t i = 0; i < n; i++) { /* a bare name leaves the id alone: folders match by both */
        named[i] = list[i];
        if (!strcmp(list[i].id, list[i].name)) named[i].id = net->classes[i].id;
    }
    code = cli_status(oct_net_set_classes(net, named, n));
    free(named);
    return code;
}

/* ---- the input ---- */

/* A net's input has one size: the crop must be it, and the resize in front of it no smaller. */
static int photographs(cli *c, oct_input_desc *d) {
    char got[48], expected[64];
    int32_t side = d->height < d->width ? d->height : d->width;
    if (!c->resize.set && !c->crop.set) return 0;
    snprintf(expected, sizeof expected, "%d x %d", d->height, d->width);
    snprintf(got, sizeof got, "%lld", c->crop.set ? c->crop.i : (long long)side);
    if (d->height != d->width || (c->crop.set && c->crop.i != d->height))
        return cli_usage("--crop", "size of the model's input", expected, got, NULL);
    if (c->resize.set) d->resize = (int32_t)c->resize.i;
    d->crop = d->height;
    snprintf(got, sizeof got, "%d", d->resize);
    if (d->resize && d->resize < d->crop)
        return cli_usage("--resize", "smaller than the model's input", expected, got, NULL);
    return 0;
}

int cli_input(cli *c, oct_input_desc *d, int32_t channels) {
    if (c->div.set) d->div = (float)c->div.d;
    const struct {
        const opt_value *v;
        const char *name;
        float *to;
    } lists[] = {{&c->mean, "--mean", d->mean}, {&c->std, "--std", d->std}};
    for (int k = 0; k < 2; k++) {
        if (!lists[k].v->set) continue;
        int n = cli_floats(lists[k].name, lists[k].v->s, lists[k].to, channels ? channels : 4);
        if (n < 0) return 2;
        if (channels && n != channels && n != 1)
            return cli_usage(lists[k].name, "count of numbers", "one, or one per channel",
                             lists[k].v->s, NULL);
        for (int i = n; i < (channels ? channels : 4); i++) lists[k].to[i] = lists[k].to[0];
    }
    return 0;
}

int cli_describe(cli *c, oct_net *net) {
    oct_input_desc d = net->input;
    if (!c->div.set && !c->mean.set && !c->std.set && !c->resize.set && !c->crop.set) return 0;
    if (d.channels < 1)
        return cli_usage("--div --mean --std --resize --crop", "model takes no images", NULL, NULL,
                         NULL);
    int code = cli_input(c, &d, d.channels);
    if (!code) code = photographs(c, &d);
    return code ? code : cli_status(oct_net_set_input(net, &d));
}

int cli_override(cli *c, oct_net *net) {
    int code = cli_describe(c, net);
    return code || !c->classes.set ? code : take_classes(c, net);
}

/* ---- models ---- */

oct_net *cli_load(cli *c, const char *path, bool run_only, int *code) {
    oct_net *net = run_only ? oct_run_load(c->ctx, path, NULL) : oct_model_load(c->ctx, path);
    *code = net ? cli_override(c, net) : cli_failed();
    return *code ? NULL : net;
}

void cli_next_of_model(const cli *c, const oct_net *net, const char *path) {
    const char *p = cli_word(path), *data = c->data.set ? cli_word(c->data.s) : "SPEC";
    if (net->stage <= OCT_STAGE_FUSED)
        cli_next(c, "next: octet ptq %s --data %s --out %s-ptq, or octet qat", p, data, p);
    else if (net->stage == OCT_STAGE_PREPARED)
        cli_next(c, "next: octet convert %s --out %s.oct8", p, p);
    else if (!strcmp(c->command, "eval"))
        cli_next(c, "next: octet predict %s IMAGE", p);
    else
        cli_next(c, "next: octet eval %s --data %s", p, data);
}

/* ---- data ---- */

/* Classes that are called by their place and nothing else, as labels in a file are. */
static bool numbers_alone(const oct_class *list, int32_t n) {
    char number[12];
    for (int32_t i = 0; i < n; i++) {
        snprintf(number, sizeof number, "%d", i);
        if (strcmp(list[i].id, number) || strcmp(list[i].name, number)) return false;
    }
    return true;
}

/* A net without names of its classes takes those of its data, where these have any: said once,
 * since it decides what is right. */
static oct_status take_names(cli *c, oct_net *net, const oct_data *d) {
    int32_t n;
    const oct_class *list = oct_data_classes(d, &n);
    if (!oct_classes_unnamed(net->classes, net->class_count) || n != net->class_count ||
        numbers_alone(list, n))
        return OCT_OK;
    cli_note(c,
             "octet: classes are the data's, in its order: %s, %s, ... (--classes says otherwise)",
             list[0].name, list[n > 1].name);
    return oct_net_set_classes(net, list, n);
}

oct_data *cli_data_of(cli *c, const char *spec, oct_split split, int64_t limit, oct_net *like) {
    oct_data_opts o = {.split = split, .limit = limit};
    oct_input_desc d = {.channels = 0}, asked = {.channels = 0};
    const bool normalized = c->mean.set && c->std.set;
    int code;
    if (like) {
        if (like->input.channels) o.input = &like->input;
        o.classes = like->classes;
        o.class_count = like->class_count;
    } else if (c->resize.set || c->crop.set || normalized) {
        if (normalized && cli_input(c, &d, 0)) return NULL;
        if (c->resize.set || c->crop.set) {
            d.channels = 3;
            d.color = OCT_COLOR_RGB;
            d.resize = (int32_t)c->resize.i;
            d.crop = (int32_t)c->crop.i;
            d.height = d.width = d.crop ? d.crop : d.resize;
        }
        o.input = &d;
    }
    if (!like && c->classes.set && !(o.classes = cli_classes(c, &o.class_count, &code)))
        return NULL;
    oct_data *data = oct_data_open(c->ctx, spec, &o);
    if (!data) return NULL;
    if (c->div.set || c->mean.set || c->std.set) { /* said of pixels, where there may be none */
        if (cli_input(c, &asked, 0) || oct_data_takes(data, &asked) != OCT_OK)
            return oct_data_free(data), NULL;
    }
    if (!like || take_names(c, like, data) == OCT_OK) return data;
    oct_data_free(data);
    return NULL;
}

oct_data *cli_data(cli *c, oct_split split, oct_net *like) {
    return cli_data_of(c, c->data.s, split, c->limit.set ? c->limit.i : 0, like);
}

oct_split cli_split(const cli *c, oct_split otherwise, bool *ok) {
    *ok = true;
    if (!c->split.set) return otherwise;
    if (!strcmp(c->split.s, "train")) return OCT_SPLIT_TRAIN;
    if (!strcmp(c->split.s, "test")) return OCT_SPLIT_TEST;
    if (!strcmp(c->split.s, "all")) return OCT_SPLIT_ALL;
    *ok = false;
    (void)cli_unknown("--split", "unknown part", "train, test or all", c->split.s);
    return otherwise;
}

bool cli_model_and_data(cli *c, oct_net **net, oct_data **data, int *code) {
    bool ok;
    *code = 2;
    oct_split split = cli_split(c, OCT_SPLIT_TEST, &ok);
    if (!ok) return false;
    *net = cli_load(c, c->operands[0], false, code);
    if (!*net) return false;
    *data = cli_data(c, split, *net);
    if (!*data) *code = cli_failed();
    return *data != NULL;
}
