/* SPDX-License-Identifier: MIT
 * What a sweep gave: spreads over seeds, bytes, time, the front of accuracy against bytes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/places.h"
#include "tools/sweep.h"

static double score_of(const sweep_cell *cell) {
    return isnan(cell->accuracy) ? cell->loss : cell->accuracy;
}

static void spread(const sweep *s, sweep_config *g, int config) {
    double sum = 0, square = 0;
    g->least = INFINITY, g->most = -INFINITY;
    for (int i = 0; i < s->count; i++) {
        const sweep_cell *cell = &s->cell[i];
        if (cell->config != config) continue;
        if (!g->first || !g->first->done) g->first = cell;
        g->failed += cell->code != 0;
        if (!cell->done) continue;
        const double v = score_of(cell);
        g->n++;
        sum += v;
        g->least = fmin(g->least, v);
        g->most = fmax(g->most, v);
    }
    g->mean = g->n ? sum / g->n : NAN;
    for (int i = 0; i < s->count; i++)
        if (s->cell[i].config == config && s->cell[i].done)
            square += (score_of(&s->cell[i]) - g->mean) * (score_of(&s->cell[i]) - g->mean);
    g->std = g->n > 1 ? sqrt(square / (g->n - 1)) : NAN;
}

static int measure(const sweep *s, sweep_config *g) {
    int code;
    oct_net *net = cli_load(s->c, sweep_path(s, g->first, ""), true, &code);
    if (!net) return code;
    if (oct_measure(net, NULL, NULL, &g->measured) != OCT_OK) return cli_failed();
    g->packed = g->measured.bytes; /* of the int8 file: codes of 4 bits and fewer lie packed */
    oct_net_free(net);
    return 0;
}

static void find_front(sweep_config *g, int n, bool classes) {
    for (int i = 0; i < n; i++) {
        g[i].front = g[i].n > 0;
        for (int k = 0; k < n && g[i].front; k++) {
            if (!g[k].n) continue;
            const double better = classes ? g[k].mean - g[i].mean : g[i].mean - g[k].mean;
            const bool no_worse = better >= 0 && g[k].packed <= g[i].packed,
                       equal = better == 0 && g[k].packed == g[i].packed;
            if (no_worse && (!equal || k < i)) g[i].front = false;
        }
    }
}

sweep_config *sweep_summarize(sweep *s, oct_net *real, oct_data *test, oct_measured *of_real,
                              int *code) {
    sweep_config *g = calloc((size_t)s->configs, sizeof *g);
    if (!g) return fprintf(stderr, "octet: out of memory\n"), *code = 5, NULL;
    *code = oct_measure(real, test, NULL, of_real) == OCT_OK ? 0 : cli_failed();
    for (int i = 0; i < s->configs && !*code; i++) {
        spread(s, &g[i], i);
        if (g[i].n) *code = measure(s, &g[i]);
    }
    if (*code) return free(g), NULL;
    find_front(g, s->configs, of_real->score == OCT_SCORE_CLASSES);
    return g;
}

static const char *front_word(const sweep_config *g) { return g->front ? "  *" : ""; }

/* "-": the clock stood. */
static const char *time_word(const oct_measured *m, char word[32]) {
    snprintf(word, 32, m->us > 0 ? "%.1f" : "-", m->us);
    return word;
}

/* The way that a net went: calibrated, or trained with scales that move so. */
static const char *method_word(const sweep_cell *c) {
    static char word[24];
    snprintf(word, sizeof word, "%s%s", strcmp(c->method, "ptq") ? "qat " : "", c->method);
    return word;
}

void sweep_print(const sweep *s, const sweep_config *g, const oct_measured *real) {
    const bool classes = real->score == OCT_SCORE_CLASSES;
    const int digits = classes ? 4 : 6;
    char us[32];
    cli_print("%-8s %-9s %-10s %2s %2s %-12s %3s %9s %8s %9s %9s %9s %9s\n", "method", "target",
              "observer", "w", "a", "float", "n", classes ? "accuracy" : "loss", "std", "min",
              "max", "bytes", "us/image");
    cli_print("%-8s %-9s %-10s %2s %2s %-12s %3s %9.*f %8s %9s %9s %9lld %9s\n", "float", "", "",
              "32", "32", "", "1", digits, classes ? real->accuracy : real->loss, "", "", "",
              (long long)real->bytes, time_word(real, us));
    for (int i = 0; i < s->configs; i++) {
        const sweep_cell *c = g[i].first;
        cli_print("%-8s %-9s %-10s %2s %2s %-12s %3d", method_word(c), c->target, c->observer,
                  c->wbits, c->abits, c->floats, g[i].n);
        if (!g[i].n) {
            cli_print(" failed: %s\n", sweep_path(s, c, ".err"));
            continue;
        }
        printf(" %9.*f", digits, g[i].mean);
        if (g[i].n > 1)
            printf(" %8.*f", digits, g[i].std);
        else
            printf(" %8s", "-");
        printf(" %9.*f %9.*f %9lld %9s%s\n", digits, g[i].least, digits, g[i].most,
               (long long)g[i].packed, time_word(&g[i].measured, us), front_word(&g[i]));
    }
    printf(
        "w, a: bits of weights, of activations; n: seeds; *: nothing else is at once smaller and "
        "better\nbytes: the int8 file's weights, as octet compare has them; us/image: an image "
        "alone (batch 1)\n");
}

void sweep_print_json(const sweep *s, const sweep_config *g, const oct_measured *real) {
    const bool classes = real->score == OCT_SCORE_CLASSES;
    json j = json_open();
    json_bool(&j, "final", true);
    if (classes) json_number(&j, "fp32_accuracy", real->accuracy);
    json_number(&j, "fp32_loss", real->loss);
    json_int(&j, "fp32_bytes", real->bytes);
    json_number(&j, "fp32_us", real->us);
    json_array(&j, "configs");
    for (int i = 0; i < s->configs; i++) {
        const sweep_cell *c = g[i].first;
        json_item(&j);
        json_string(&j, "method", c->method);
        json_string(&j, "target", c->target);
        json_string(&j, "observer", c->observer);
        json_int(&j, "wbits", atoi(c->wbits));
        json_int(&j, "abits", atoi(c->abits));
        json_string(&j, "float", c->floats);
        json_int(&j, "n", g[i].n);
        json_int(&j, "failed", g[i].failed);
        json_number(&j, classes ? "accuracy" : "loss", g[i].mean);
        json_number(&j, "std", g[i].std);
        json_number(&j, "min", g[i].n ? g[i].least : NAN);
        json_number(&j, "max", g[i].n ? g[i].most : NAN);
        json_int(&j, "bytes", g[i].measured.bytes);
        json_int(&j, "packed_bytes", g[i].packed);
        json_number(&j, "us", g[i].n ? g[i].measured.us : NAN);
        json_bool(&j, "front", g[i].front);
        json_item_end(&j);
    }
    json_array_end(&j);
    json_close(&j);
}

/* The best run is shown whole, the others as rows. */
int sweep_report(const sweep *s, const sweep_config *g) {
    char path[1200], (*how)[120] = calloc((size_t)s->configs, sizeof *how);
    oct_report_row *rows = calloc((size_t)s->configs, sizeof *rows);
    const sweep_config *best = NULL;
    int n = 0, code = how && rows ? 0 : 5;
    for (int i = 0; i < s->configs && !code; i++) {
        const sweep_cell *c = g[i].first;
        if (!g[i].n) continue;
        snprintf(how[n], sizeof *how, "%s, %s, observer %s, %s and %s bits%s%s", method_word(c),
                 c->target, c->observer, c->wbits, c->abits,
                 strcmp(c->floats, "none") ? ", float " : "",
                 strcmp(c->floats, "none") ? c->floats : "");
        rows[n] = (oct_report_row){.name = c->name,
                                   .how = how[n],
                                   .measured = g[i].measured,
                                   .spread = g[i].n > 1 ? g[i].std : 0,
                                   .seeds = g[i].n};
        const bool classes = !isnan(c->accuracy);
        if (g[i].front && (!best || (classes ? g[i].mean > best->mean : g[i].mean < best->mean)))
            best = &g[i];
        rows[n].measured.score = classes ? OCT_SCORE_CLASSES : OCT_SCORE_VALUES;
        rows[n].measured.accuracy = classes ? g[i].mean : -1;
        rows[n].measured.loss = classes ? NAN : g[i].mean;
        rows[n].measured.bytes = g[i].packed;
        n++;
    }
    if (code) fprintf(stderr, "octet: out of memory\n");
    if (best) {
        const char *paths[] = {s->run, sweep_path(s, best->first, "")};
        oct_report *r = oct_report_new(s->c->ctx, paths, 2,
                                       &(oct_report_opts){.data = s->c->data.s,
                                                          .limit = s->c->limit.i,
                                                          .title = s->dir,
                                                          .rows = rows,
                                                          .row_count = n});
        snprintf(path, sizeof path, "%s/report.html", s->dir);
        place_without_link(path);
        if (!r || oct_report_save(r, path) != OCT_OK) code = cli_failed();
        oct_report_free(r);
    }
    free(rows);
    free(how);
    return code;
}
