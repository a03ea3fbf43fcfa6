/* SPDX-License-Identifier: MIT
 * What a reader should know of a data set: a row for each kind, what harms first. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "datasets/check_internal.h"
#include "src/mem.h"
#include "src/words.h"

/* One in a thousand: a smaller share moves accuracy less than ten thousand images can tell. */
static const double SHARE = 0.001;
/* Parts drawn alike differ by much less: a quarter of a standard deviation is another light. */
static const double SHIFT = 0.25;
/* A net learns from values around 0 of spread 1; batch norm and biases take what is near. */
static const double CENTRE = 3, SPREAD_LEAST = 0.05, SPREAD_MOST = 10;
static const double BALANCE = 0.1; /* smallest class by largest */

typedef struct finding_row {
    void (*find)(const struct finding_row *row, const octi_checked part[2],
                 const oct_input_desc *input, oct_data_report *r);
    bool flag_harms; /* kinds that any case of harms */
    size_t flag;     /* where samples have their mark, for kinds that name them */
    const char *hint;
} finding_row;

static oct_finding_kind kind_of(const finding_row *row);

static oct_data_finding *add(oct_data_report *r, const finding_row *row, oct_split part,
                             bool harms) {
    oct_data_finding *f = &r->findings[r->finding_count++];
    *f = (oct_data_finding){.kind = kind_of(row), .part = part, .harms = harms};
    snprintf(f->hint, sizeof f->hint, "%s", row->hint);
    r->harming += harms;
    return f;
}

static bool marked(const finding_row *row, const octi_seen_sample *s) {
    bool is;
    memcpy(&is, (const char *)s + row->flag, sizeof is);
    return is;
}

static void name_samples(const finding_row *row, const octi_checked *p, oct_data_finding *f) {
    enum { MOST = sizeof f->samples / sizeof *f->samples };
    for (int64_t i = 0; i < p->d->count && f->sample_count < MOST; i++) {
        if (!marked(row, &p->seen[i])) continue;
        const char *name = octi_strdup(p->d->ctx, octi_set_sample(p->d, i));
        if (!name) return; /* named by fewer */
        f->samples[f->sample_count++] = name;
    }
}

/* ---- samples ---- */

static void by_mark(const finding_row *row, const octi_checked part[2], const oct_input_desc *input,
                    oct_data_report *r) {
    (void)input;
    static const char *const texts[OCT_FINDING_KIND_COUNT] = {
        [OCT_FINDING_unreadable] = "cannot be read",
        [OCT_FINDING_not_finite] = "hold a NaN or an infinite value",
        [OCT_FINDING_constant] = "show nothing: one value everywhere, or next to it",
        [OCT_FINDING_leaked] = "stand in the training part too",
        [OCT_FINDING_conflicting] = "have another label elsewhere",
        [OCT_FINDING_repeated] = "stand in their part before"};
    const oct_finding_kind kind = kind_of(row);
    for (int k = 0; k < 2; k++) {
        const octi_checked *p = &part[k];
        int64_t n = 0;
        for (int64_t i = 0; p->d && i < p->d->count; i++) n += marked(row, &p->seen[i]);
        if (!n) continue;
        const double share = (double)n / (double)p->d->count;
        const bool any = row->flag_harms, never = kind == OCT_FINDING_repeated;
        oct_data_finding *f = add(r, row, p->split, any || (share > SHARE && !never));
        f->count = n;
        f->value = share;
        f->bound = any ? 0 : SHARE;
        snprintf(f->text, sizeof f->text, "%lld of %lld pictures (%.3g %%) %s", (long long)n,
                 (long long)p->d->count, 100 * share, texts[kind]);
        name_samples(row, p, f);
    }
}

static bool rgb_of_grey(const octi_checked *p) { return p->usable && p->grey == p->usable; }

static void grey(const finding_row *row, const octi_checked part[2], const oct_input_desc *input,
                 oct_data_report *r) {
    (void)input;
    if (!rgb_of_grey(&part[0])) return;
    oct_data_finding *f = add(r, row, OCT_SPLIT_TRAIN, false);
    snprintf(f->text, sizeof f->text, "red, green and blue are equal in each picture: all is grey");
}

static void small(const finding_row *row, const octi_checked part[2], const oct_input_desc *input,
                  oct_data_report *r) {
    const int32_t least = input->resize ? input->resize : input->crop;
    for (int k = 0; k < 2; k++) {
        int64_t n = 0;
        if (!part[k].d || !least || !part[k].d->size) continue;
        for (int64_t i = 0; i < part[k].d->count; i++) {
            const octi_seen_sample *s = &part[k].seen[i];
            n += !s->unreadable && (s->width < least || s->height < least);
        }
        if (!n) continue;
        oct_data_finding *f = add(r, row, part[k].split, false);
        f->count = n;
        snprintf(f->text, sizeof f->text, "%lld pictures are smaller than %d: they are enlarged",
                 (long long)n, least);
    }
}

/* ---- classes ---- */

static void name_classes(const octi_checked part[2], const uint8_t *in, int32_t n, char *to,
                         size_t size) {
    int32_t known, said = 0;
    const oct_class *list = oct_data_classes(part[0].d, &known);
    size_t at = 0;
    for (int32_t i = 0; i < n && said < 5; i++) {
        if (!in[i]) continue;
        at += (size_t)snprintf(to + at, size - at, "%s%d", said++ ? ", " : "", i);
        if (i < known && at < size && strcmp(list[i].name, list[i].id))
            at += (size_t)snprintf(to + at, size - at, " (%.20s)", list[i].name);
        if (at >= size) return;
    }
}

static bool in_kind(oct_finding_kind kind, int64_t train, int64_t test) {
    if (kind == OCT_FINDING_no_training) return !train && test;
    if (kind == OCT_FINDING_no_test) return train && !test;
    return !train && !test; /* gap */
}

static void classes(const finding_row *row, const octi_checked part[2], const oct_input_desc *input,
                    oct_data_report *r) {
    (void)input;
    const oct_finding_kind kind = kind_of(row);
    const bool gap = kind == OCT_FINDING_gap, no_test = kind == OCT_FINDING_no_test;
    if (!r->classes || (!part[1].d && !gap)) return;
    uint8_t *in = octi_calloc(part[0].d->ctx, (size_t)r->classes, 1);
    int64_t n = 0;
    for (int32_t i = 0; in && i < r->classes; i++)
        n += in[i] = in_kind(kind, r->train.per_class[i], part[1].d ? r->test.per_class[i] : 0);
    if (n) {
        char names[140] = "";
        name_classes(part, in, r->classes, names, sizeof names);
        const oct_split where = no_test ? OCT_SPLIT_TEST : OCT_SPLIT_TRAIN;
        oct_data_finding *f = add(r, row, gap ? OCT_SPLIT_ALL : where, !no_test);
        f->count = n;
        snprintf(f->text, sizeof f->text, "%lld of %d classes have no sample%s: %s", (long long)n,
                 r->classes,
                 gap       ? ""
                 : no_test ? " to be tested by"
                           : " to be learned from",
                 names);
    }
    octi_free(part[0].d->ctx, in);
}

static void float_labels(const finding_row *row, const octi_checked part[2],
                         const oct_input_desc *input, oct_data_report *r) {
    (void)input;
    if (!part[0].d->like_labels) return;
    oct_data_finding *f = add(r, row, OCT_SPLIT_TRAIN, false);
    f->value = part[0].d->like_labels;
    snprintf(f->text, sizeof f->text,
             "y is float, whole numbers 0 to %d: they are targets of a regression, not classes",
             part[0].d->like_labels);
}

static void imbalance(const finding_row *row, const octi_checked part[2],
                      const oct_input_desc *input, oct_data_report *r) {
    (void)part, (void)input;
    int64_t least = INT64_MAX, most = 0;
    for (int32_t i = 0; i < r->classes; i++) {
        const int64_t n = r->train.per_class[i];
        if (n && n < least) least = n;
        if (n > most) most = n;
    }
    if (!most || (double)least >= BALANCE * (double)most) return;
    oct_data_finding *f = add(r, row, OCT_SPLIT_TRAIN, false);
    f->value = (double)least / (double)most;
    f->bound = BALANCE;
    snprintf(f->text, sizeof f->text, "the smallest class has %lld samples, the largest %lld",
             (long long)least, (long long)most);
}

/* ---- values ---- */

static void scale(const finding_row *row, const octi_checked part[2], const oct_input_desc *input,
                  oct_data_report *r) {
    const octi_checked *p = &part[0];
    const bool pixels = p->d->dtype == OCT_U8;
    bool moves = false;
    for (int32_t c = 0; c < r->channels; c++) moves |= r->train.std[c] > 0;
    if (!p->usable || !moves) return;
    for (int32_t c = 0; c < r->channels; c++) {
        const double div = pixels && input->div > 0 ? input->div : 1,
                     mean = pixels ? input->mean[c] : 0,
                     std = pixels && input->std[c] > 0 ? input->std[c] : 1,
                     centre = (r->train.mean[c] / div - mean) / std,
                     spread = r->train.std[c] / div / std;
        const bool off = fabs(centre) > CENTRE;
        if (!off && spread >= SPREAD_LEAST && spread <= SPREAD_MOST) continue;
        oct_data_finding *f = add(r, row, OCT_SPLIT_TRAIN, true);
        f->value = off ? centre : spread;
        f->bound = off ? CENTRE : spread > SPREAD_MOST ? SPREAD_MOST : SPREAD_LEAST;
        snprintf(f->text, sizeof f->text,
                 "a net would see values around %.3g with a spread of %.3g in channel %d, far from "
                 "0 and 1",
                 centre, spread, c);
        if (!pixels)
            snprintf(f->hint, sizeof f->hint,
                     "floats are taken as they are: normalize them before, or store u8 pixels");
        return;
    }
}

static void shift(const finding_row *row, const octi_checked part[2], const oct_input_desc *input,
                  oct_data_report *r) {
    (void)input;
    if (!part[0].usable || !part[1].usable) return;
    for (int32_t c = 0; c < r->channels; c++) {
        const double std = r->train.std[c], gap = fabs(r->train.mean[c] - r->test.mean[c]),
                     chance = 4 * sqrt(part[0].of_means[c] / (double)part[0].usable +
                                       part[1].of_means[c] / (double)part[1].usable);
        if (!(gap > SHIFT * std) || gap <= chance) continue;
        oct_data_finding *f = add(r, row, OCT_SPLIT_ALL, true);
        f->value = std > 0 ? gap / std : INFINITY;
        f->bound = SHIFT;
        snprintf(f->text, sizeof f->text,
                 "channel %d has mean %.4g to train and %.4g to test: %.2g standard deviations", c,
                 r->train.mean[c], r->test.mean[c], f->value);
        return;
    }
}

/* ---- the table ---- */

#define AT(field) offsetof(octi_seen_sample, field)
static const finding_row rows[] = {
    [OCT_FINDING_unreadable] = {by_mark, true, AT(unreadable), "remove them or write them again"},
    [OCT_FINDING_not_finite] = {by_mark, true, AT(not_finite),
                                "training stops at the first of them"},
    [OCT_FINDING_leaked] = {by_mark, false, AT(leaked),
                            "accuracy on them is memory, not skill: take them out of one part"},
    [OCT_FINDING_no_training] = {classes, true, 0,
                                 "a class that is tested and never learned: move samples"},
    [OCT_FINDING_gap] = {classes, true, 0,
                         "the net has an output that nothing trains: are labels counted from 0?"},
    [OCT_FINDING_scale] = {scale, true, 0,
                           "div, mean and std of .input say how pixels become values"},
    [OCT_FINDING_shift] = {shift, true, 0, "were both parts made, stored and normalized alike?"},
    [OCT_FINDING_conflicting] = {by_mark, false, AT(conflicting), "one of the labels is wrong"},
    [OCT_FINDING_constant] = {by_mark, false, AT(constant),
                              "they carry a label and nothing to learn"},
    [OCT_FINDING_float_labels] = {float_labels, false, 0, "as integers they are labels"},
    [OCT_FINDING_no_test] = {classes, false, 0, "accuracy says nothing of them"},
    [OCT_FINDING_imbalance] = {imbalance, false, 0,
                               "accuracy is that of the large classes: look at per_class"},
    [OCT_FINDING_repeated] = {by_mark, false, AT(repeat), "counted more than once"},
    [OCT_FINDING_grey] = {grey, false, 0, "a net of one channel does the same work with less"},
    [OCT_FINDING_small] = {small, false, 0, "a smaller resize and crop of .input loses nothing"},
};
enum { ROWS = sizeof rows / sizeof *rows };

static oct_finding_kind kind_of(const finding_row *row) { return (oct_finding_kind)(row - rows); }

static const char *const names[] = {
#define OCT_FINDING(name) #name,
#include "datasets/finding_kinds.def"
};
static const octi_words finding_words = OCTI_WORDS("finding", names);
OCTI_WORD_PAIR(oct_finding_kind, finding_words)

oct_status octi_check_find(const octi_checked part[2], const oct_input_desc *input,
                           oct_data_report *r) {
    r->findings = octi_calloc(part[0].d->ctx, 2 * ROWS, sizeof *r->findings);
    if (!r->findings) return oct_last_error()->code;
    oct_clear_error();
    for (int i = 0; i < ROWS; i++) rows[i].find(&rows[i], part, input, r);
    /* a row that had no memory has found nothing */
    OCT_TRY(oct_last_error()->code);
    /* what harms first, in the table's order */
    int32_t to = 0;
    for (int32_t i = 0; i < r->finding_count; i++) {
        if (!r->findings[i].harms) continue;
        const oct_data_finding f = r->findings[i];
        for (int32_t k = i; k > to; k--) r->findings[k] = r->findings[k - 1];
        r->findings[to++] = f;
    }
    return OCT_OK;
}
