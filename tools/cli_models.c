/* SPDX-License-Identifier: MIT
 * Models and data sets of a command, and what its options say of the input in place of the model's
 * own words. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/cli.h"

/* ---- classes ---- */

const oct_class *cli_classes(cli *c, int32_t *count, int *code) {
    static oct_class *list; /* one --classes in a process */
    static int32_t n;
    *code = 0;
    struct stat st;
    if (!list && !stat(c->classes.s, &st) && S_ISREG(st.st_mode))
        list = oct_classes_read(c->ctx, c->classes.s, NULL, 0, &n);
    else if (!list) {
        char *lines = strdup(c->classes.s);
        for (char *p = lines; p && *p; p++)
            if (*p == ',') *p = '\n';
        list = lines ? oct_classes_parse(c->ctx, lines, strlen(lines), NULL, 0, &n) : NULL;
        free(lines);
    }
    if (!list) return *code = cli_failed(), NULL;
    if (!n)
        return *code = cli_usage("--classes", "no names", "A,B,C or a file with a name a line",
                                 c->classes.s, NULL),
               NULL;
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
    if (i >= oct_net_class_count(net)) return "?";
    return *oct_net_classes(net)[i].name ? oct_net_classes(net)[i].name
                                         : oct_net_classes(net)[i].id;
}

static int take_classes(cli *c, oct_net *net) {
    int32_t n;
    int code;
    const oct_class *list = cli_classes(c, &n, &code);
    if (!list) return code;
    char got[48], expected[48];
    snprintf(got, sizeof got, "%d", n);
    snprintf(expected, sizeof expected, "%d", oct_net_class_count(net));
    if (n != oct_net_class_count(net))
        return cli_usage("--classes", "number of names", expected, got, "the model's classes");
    oct_class *named = calloc((size_t)n, sizeof *named);
    if (!named) return fprintf(stderr, "octet: out of memory\n"), 5;
    for (int32_t i = 0; i < n; i++) { /* a bare name leaves the id alone: folders match by both */
        named[i] = list[i];
        if (!strcmp(list[i].id, list[i].name)) named[i].id = oct_net_classes(net)[i].id;
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
    oct_input_desc d = *oct_net_input(net);
    if (!c->div.set && !c->mean.set && !c->std.set && !c->resize.set && !c->crop.set) return 0;
    if (d.channels < 1)
        return cli_usage("--div --mean --std --resize --crop", "model takes no images", NULL, NULL,
                         NULL);
    int code = cli_input(c, &d, d.channels);
    if (c->div.set || c->mean.set || c->std.set) d.assumed = false;
    if (!code) code = photographs(c, &d);
    return code ? code : cli_status(oct_net_set_input(net, &d));
}

int cli_take_input(cli *c, oct_net *net, const oct_data *d, const char *model) {
    if (!oct_net_input(net)->assumed || oct_data_dtype(d) != OCT_U8) return 0;
    const oct_input_desc *in = oct_data_input(d);
    cli_note(c,
             "octet: %s: nobody described the net: pixels as the data has it, div %g, mean %g, std "
             "%g in channel 0 (--div --mean --std say otherwise)",
             model, (double)in->div, (double)in->mean[0], (double)in->std[0]);
    return cli_status(oct_net_set_input(net, in));
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

static int take_origin(void *user, const char *key, const char *value) {
    cli_origin *o = user;
    if (!strcmp(key, "name")) snprintf(o->by, sizeof o->by, "%s", value);
    if (!strcmp(key, "operand0") && strlen(value) < sizeof o->from)
        snprintf(o->from, sizeof o->from, "%s", value);
    if (!strcmp(key, "data") && strlen(value) < sizeof o->data)
        snprintf(o->data, sizeof o->data, "%s", value);
    return 0;
}

oct_status cli_origin_read(const cli *c, const char *run, cli_origin *o) {
    *o = (cli_origin){.by = ""};
    return oct_run_options(c->ctx, run, take_origin, o, NULL);
}

cli_origin cli_origin_of(const cli *c, const char *run) {
    cli_origin o = {.by = ""};
    if (!oct_run_is(run) || cli_origin_read(c, run, &o) != OCT_OK) oct_clear_error();
    return o;
}

const char *cli_float_run(const cli *c, const char *run, const char *otherwise) {
    static char path[sizeof((cli_origin *)0)->from];
    snprintf(path, sizeof path, "%s", run);
    for (int step = 0; step < 8; step++) {
        const cli_origin o = cli_origin_of(c, path);
        oct_net *net = oct_run_is(path) ? oct_run_load(c->ctx, path, NULL) : NULL;
        const bool real = net && oct_net_stage(net) < OCT_STAGE_PREPARED;
        oct_net_free(net);
        if (real) return path;
        if (!net || !*o.from) break;
        snprintf(path, sizeof path, "%s", o.from);
    }
    oct_clear_error();
    return otherwise;
}

int cli_quantized_already(const cli *c, const char *run, const char *expected) {
    char hint[1100] = "its settings stay; a float run takes others";
    const char *from = cli_float_run(c, run, NULL);
    if (from)
        snprintf(hint, sizeof hint, "its float run is %s: octet %s %s", from, c->command,
                 cli_word(from));
    return cli_usage(run, "run is quantized already", expected, NULL, hint);
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
    if (!oct_classes_unnamed(oct_net_classes(net), oct_net_class_count(net)) ||
        n != oct_net_class_count(net) || numbers_alone(list, n))
        return OCT_OK;
    cli_note(c,
             "octet: classes are the data's, in its order: %s, %s, ... (--classes says otherwise)",
             list[0].name, list[n > 1].name);
    return oct_net_set_classes(net, list, n);
}

oct_data *cli_data_like(cli *c, const char *spec, oct_split split, int64_t limit,
                        const cli_like *like) {
    oct_data_opts o = {.split = split, .limit = limit};
    oct_input_desc d = {.channels = 0}, asked = {.channels = 0};
    const bool normalized = c->mean.set && c->std.set;
    int code;
    if (like) {
        if (like->input->channels) o.input = like->input;
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
    return data;
}

oct_data *cli_data_of(cli *c, const char *spec, oct_split split, int64_t limit, oct_net *net) {
    const cli_like like = {oct_net_input(net), oct_net_classes(net), oct_net_class_count(net)};
    oct_data *data = cli_data_like(c, spec, split, limit, net ? &like : NULL);
    if (!data || !net || take_names(c, net, data) == OCT_OK) return data;
    oct_data_free(data);
    return NULL;
}

oct_data *cli_data(cli *c, oct_split split, oct_net *net) {
    return cli_data_of(c, c->data.s, split, c->limit.i,
                       net); /* 0, or a command's own, if not set */
}

oct_data *cli_test_like(cli *c, oct_data *train) {
    cli_like like = {.input = oct_data_input(train)};
    like.classes = oct_data_classes(train, &like.class_count);
    return cli_data_like(c, c->data.s, OCT_SPLIT_TEST, c->limit.set ? c->limit.i : 0, &like);
}

oct_split cli_split(const cli *c, oct_split otherwise, bool *ok) {
    *ok = true;
    if (!c->split.set) return otherwise;
    for (int s = OCT_SPLIT_TRAIN; s <= OCT_SPLIT_ALL; s++)
        if (!strcmp(c->split.s, oct_split_name((oct_split)s))) return (oct_split)s;
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
