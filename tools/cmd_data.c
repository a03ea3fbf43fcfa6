/* SPDX-License-Identifier: MIT
 * octet data check|stats: what is in a data set, and what of it harms. */
#include <string.h>

#include "tools/cli.h"

typedef struct parts {
    oct_data *train, *test;
    oct_input_desc input; /* with what options say in the set's place */
    const char *norm;
    bool broken; /* pictures that cannot be read kept the set from being measured */
} parts;

/* A folder whose normalization cannot be measured for a broken picture is opened without it: the
 * check names all of them. */
static oct_data *open_part(cli *c, const char *spec, oct_split split, const oct_data *like,
                           bool broken) {
    const int64_t limit = c->limit.set ? c->limit.i : 0;
    if (!like && !broken) return cli_data_of(c, spec, split, limit, NULL);
    oct_data_opts o = {.split = split, .limit = limit};
    oct_input_desc d = {.channels = 3, .color = OCT_COLOR_RGB, .std = {1, 1, 1, 1}};
    d.resize = (int32_t)c->resize.i;
    d.crop = (int32_t)c->crop.i;
    o.input = like ? oct_data_input(like) : &d;
    if (like) o.classes = oct_data_classes(like, &o.class_count);
    if (like && oct_classes_unnamed(o.classes, o.class_count)) o.classes = NULL, o.class_count = 0;
    return oct_data_open(c->ctx, spec, &o);
}

static int open_parts(cli *c, const char *spec, parts *p) {
    if (!(p->train = open_part(c, spec, OCT_SPLIT_TRAIN, NULL, false))) {
        const oct_status why = oct_last_error()->code;
        if (strncmp(spec, "folder:", 7) || (why != OCT_EFORMAT && why != OCT_ELIMIT))
            return cli_failed();
        p->broken = true;
        if (!(p->train = open_part(c, spec, OCT_SPLIT_TRAIN, NULL, true))) return cli_failed();
    }
    p->norm = p->broken ? "not measured: pictures cannot be read" : oct_data_norm(p->train);
    if (!(p->test = open_part(c, spec, OCT_SPLIT_TEST, p->train, false))) return cli_failed();
    p->input = *oct_data_input(p->train);
    if (c->mean.set || c->std.set || c->div.set) p->norm = "as the options say";
    return cli_input(c, &p->input, p->input.channels);
}

/* ---- JSON ---- */

static void numbers(json *j, const char *key, const double *v, int32_t n) {
    json_array(j, key);
    for (int32_t i = 0; i < n; i++) json_number(j, NULL, v[i]);
    json_array_end(j);
}

static void floats(json *j, const char *key, const float *v, int32_t n) {
    json_array(j, key);
    for (int32_t i = 0; i < n; i++) json_number(j, NULL, v[i]);
    json_array_end(j);
}

static void two(json *j, const char *key, const int32_t v[2]) {
    json_array(j, key);
    json_int(j, NULL, v[0]);
    json_int(j, NULL, v[1]);
    json_array_end(j);
}

static void part_json(json *j, const char *part, const oct_data_stats *t, int32_t channels) {
    json_item(j);
    json_string(j, "part", part);
    json_int(j, "n", t->count);
    json_int(j, "unreadable", t->unreadable);
    json_int(j, "not_finite", t->not_finite);
    json_int(j, "constant", t->constant);
    json_int(j, "repeated", t->repeats);
    numbers(j, "mean", t->mean, channels);
    numbers(j, "std", t->std, channels);
    numbers(j, "min", t->least, channels);
    numbers(j, "max", t->most, channels);
    two(j, "width", t->width);
    two(j, "height", t->height);
    json_item_end(j);
}

static const char *part_of(const oct_data_finding *f) {
    return f->part == OCT_SPLIT_ALL ? "" : oct_split_name(f->part);
}

/* Until the next one. */
static const char *hint_of(const oct_data_finding *f) {
    static char text[2 * sizeof f->hint];
    cli_in_words(f->hint, text, sizeof text, false);
    return text;
}

static void findings_json(json *j, const oct_data_report *r) {
    json_array(j, "findings");
    for (int32_t i = 0; i < r->finding_count; i++) {
        const oct_data_finding *f = &r->findings[i];
        json_item(j);
        json_string(j, "kind", oct_finding_kind_name(f->kind));
        json_string(j, "part", part_of(f));
        json_bool(j, "harms", f->harms);
        json_int(j, "count", f->count);
        json_number(j, "value", f->value);
        json_number(j, "bound", f->bound);
        json_string(j, "text", f->text);
        json_string(j, "hint", hint_of(f));
        json_array(j, "samples");
        for (int32_t k = 0; k < f->sample_count; k++) json_string(j, NULL, f->samples[k]);
        json_array_end(j);
        json_item_end(j);
    }
    json_array_end(j);
}

static void print_json(const char *spec, const parts *p, const oct_data_report *r) {
    const oct_input_desc *d = &p->input;
    int32_t known;
    const oct_class *list = oct_data_classes(p->train, &known);
    json j = json_open();
    json_string(&j, "data", spec);
    json_string(&j, "dtype", oct_dtype_name(oct_data_dtype(p->train)));
    json_array(&j, "input");
    json_int(&j, NULL, d->channels);
    json_int(&j, NULL, d->height);
    json_int(&j, NULL, d->width);
    json_array_end(&j);
    json_number(&j, "div", d->div);
    floats(&j, "mean", d->mean, d->channels);
    floats(&j, "std", d->std, d->channels);
    json_string(&j, "normalization", p->norm);
    json_array(&j, "parts");
    part_json(&j, "train", &r->train, r->channels);
    part_json(&j, "test", &r->test, r->channels);
    json_array_end(&j);
    json_array(&j, "classes");
    for (int32_t i = 0; i < r->classes; i++) {
        json_item(&j);
        json_string(&j, "id", i < known ? list[i].id : "");
        json_string(&j, "name", i < known ? list[i].name : "");
        json_int(&j, "train", r->train.per_class[i]);
        json_int(&j, "test", r->test.per_class[i]);
        json_item_end(&j);
    }
    json_array_end(&j);
    json_int(&j, "leaked", r->leaked);
    json_int(&j, "conflicting", r->conflicting);
    findings_json(&j, r);
    json_bool(&j, "healthy", !r->harming);
    json_close(&j);
}

/* ---- words ---- */

static void range(const char *what, const int32_t v[2]) {
    if (v[0] == v[1])
        printf("  %s %d", what, v[0]);
    else
        printf("  %s %d to %d", what, v[0], v[1]);
}

static void print_part(const char *word, const oct_data_stats *t, int32_t channels) {
    static const char *const rgb[] = {"red", "green", "blue", "alpha"};
    printf("%s: %lld samples", word, (long long)t->count);
    range("width", t->width);
    range("height", t->height);
    printf("\n");
    for (int32_t i = 0; i < channels; i++)
        printf("  %-8s mean %-9.5g std %-9.5g from %.5g to %.5g\n",
               channels == 1 ? "values" : rgb[i], t->mean[i], t->std[i], t->least[i], t->most[i]);
}

static void print_classes(const parts *p, const oct_data_report *r) {
    enum { MOST = 200 };
    int32_t known, shown = r->classes < MOST ? r->classes : MOST, wide = 4;
    const oct_class *list = oct_data_classes(p->train, &known);
    if (!r->classes) return;
    for (int32_t i = 0; i < shown && i < known; i++) {
        const int32_t n = (int32_t)strlen(list[i].name);
        if (n > wide) wide = n < 32 ? n : 32;
    }
    printf("%5s  %-*s %9s %9s\n", "class", wide, "name", "train", "test");
    for (int32_t i = 0; i < shown; i++)
        cli_print("%5d  %-*.32s %9lld %9lld\n", i, wide, i < known ? list[i].name : "",
                  (long long)r->train.per_class[i], (long long)r->test.per_class[i]);
    if (shown < r->classes) printf("  ... and %d more: --json has them\n", r->classes - shown);
}

static void print_findings(const parts *p, const oct_data_report *r) {
    for (int32_t i = 0; i < r->finding_count; i++) {
        const oct_data_finding *f = &r->findings[i];
        cli_print("%s %s%s%s: %s (%s)\n", f->harms ? "HARMS" : "note ",
                  oct_finding_kind_name(f->kind), *part_of(f) ? ", " : "", part_of(f), f->text,
                  hint_of(f));
        for (int32_t k = 0; k < f->sample_count; k++) cli_print("        %s\n", f->samples[k]);
        if (f->sample_count && f->count > f->sample_count)
            printf("        and %lld more\n", (long long)f->count - f->sample_count);
    }
    char truth[40] = "neither labels nor targets";
    oct_shape of;
    const oct_truth is = oct_data_truth(p->train, &of);
    if (is == OCT_TRUTH_LABELS) snprintf(truth, sizeof truth, "%d classes", r->classes);
    if (is == OCT_TRUTH_TARGETS) snprintf(truth, sizeof truth, "targets of a regression");
    printf("%lld samples to train, %lld to test, %s: ", (long long)r->train.count,
           (long long)r->test.count, truth);
    if (r->harming)
        printf("%d finding%s\n", r->harming, r->harming > 1 ? "s that harm" : " that harms");
    else
        printf("nothing harms\n");
}

static void print_text(const char *spec, const parts *p, const oct_data_report *r) {
    const oct_input_desc *d = &p->input;
    cli_print("%s: %s, %d x %d x %d (C, H, W)\n", spec, oct_dtype_name(oct_data_dtype(p->train)),
              d->channels, d->height, d->width);
    print_part("train", &r->train, r->channels);
    print_part("test", &r->test, r->channels);
    if (oct_data_dtype(p->train) == OCT_U8) {
        printf("normalization: div %g  mean", d->div);
        for (int32_t i = 0; i < d->channels; i++) printf("%c%.4g", i ? ',' : ' ', d->mean[i]);
        printf("  std");
        for (int32_t i = 0; i < d->channels; i++) printf("%c%.4g", i ? ',' : ' ', d->std[i]);
        cli_print(": %s\n", p->norm);
    } else
        cli_print("normalization: none: %s\n", p->norm);
    print_classes(p, r);
}

/* ---- */

static int save_sheet(cli *c, oct_data *d) {
    const int taken = cli_may_replace(c, c->sheet.s, CLI_FILE_PNG);
    if (taken) return taken;
    uint32_t augment = OCT_AUGMENT_DEFAULT;
    if (c->augment.set && oct_augment_from_name(c->augment.s, &augment) != OCT_OK)
        return cli_failed();
    oct_tensor *sheet =
        oct_data_sheet(d, &(oct_sheet_opts){.augment = augment, .seed = (uint64_t)c->seed.i});
    if (!sheet) return cli_failed();
    const int32_t height = (int32_t)sheet->shape.dim[0], width = (int32_t)sheet->shape.dim[1];
    const int code = cli_status(oct_image_save(c->ctx, c->sheet.s, sheet->data, width, height, 3));
    oct_tensor_unref(sheet);
    if (!code)
        cli_note(c, "sheet in %s: samples as they are, and augmented (%s)", c->sheet.s,
                 oct_augment_name(augment ? augment : oct_data_default_augment(d)));
    return code;
}

int cmd_data(cli *c) {
    const char *verb = c->operands[0], *spec = c->operands[1];
    const bool check = !strcmp(verb, "check");
    if (!check && strcmp(verb, "stats"))
        return cli_unknown("octet data", "unknown word", "check or stats", verb);
    if (c->augment.set && !c->sheet.set)
        return cli_usage("--augment", "belongs to --sheet", "--sheet FILE.png", NULL, NULL);
    parts p = {0};
    int code = open_parts(c, spec, &p);
    if (code || c->dry_run.set) return code;
    if (c->sheet.set && (code = save_sheet(c, p.train))) return code;
    oct_data_report *r = oct_data_check(p.train, p.test, &(oct_data_check_opts){.input = &p.input});
    if (!r) return cli_failed();
    if (c->json.set)
        print_json(spec, &p, r);
    else {
        if (!check) print_text(spec, &p, r);
        if (check) print_findings(&p, r);
    }
    code = check && r->harming;
    oct_data_report_free(c->ctx, r);
    if (!code)
        cli_next(c, check ? "next: octet data stats %s" : "next: octet data check %s",
                 cli_word(spec));
    return code;
}
