/* SPDX-License-Identifier: MIT
 * Layers that lose what may explain a drop: a line each on stderr, --quiet or not, and an array in
 * JSON. */
#include <math.h>

#include <string.h>

#include "tools/cli_tables.h"

enum { IMAGES = 128 };

/* Hints are for whoever makes a run: qat is what runs already, one that goes on from a quantized
 * run keeps that run's settings, and commands without --set stand behind the one that is to be
 * given it. */
static void to_command(const cli *c, oct_layer_warning *w) {
    static const char qat[] = ", or octet qat";
    char text[sizeof w->hint];
    cli_in_words(w->hint, text, sizeof text, true);
    snprintf(w->hint, sizeof w->hint, "%s", text);
    if (c->goes_on && (strstr(w->hint, "--set") || strstr(w->hint, "--observer"))) {
        snprintf(text, sizeof text, "begin with the float run: %.*s", (int)sizeof text - 28,
                 w->hint);
        snprintf(w->hint, sizeof w->hint, "%s", text);
    }
    char *end = c->index == INDEX_QAT ? strstr(w->hint, qat) : NULL;
    if (end) memmove(end, end + strlen(qat), strlen(end + strlen(qat)) + 1);
    if (!cli_foreign_option(w->hint)) return;
    snprintf(text, sizeof text, "make the run again: %.*s", (int)sizeof text - 21, w->hint);
    snprintf(w->hint, sizeof w->hint, "%s", text);
}

cli_warnings cli_warn(const cli *c, oct_net *net, oct_data *data, double fp32, double quantized,
                      int64_t n) {
    cli_warnings w = {.row = NULL};
    double drop = fp32 >= 0 && quantized >= 0 ? fp32 - quantized : NAN;
    if (drop > 0 && drop <= oct_accuracy_chance(fp32, n)) drop = 0;
    if (oct_layer_warnings(net, data, IMAGES, drop, &w.row, &w.count) != OCT_OK) {
        fprintf(stderr, "octet: warning: layers were not looked at: %s\n", oct_error_message());
        return w;
    }
    for (int32_t i = 0; i < w.count; i++) to_command(c, &w.row[i]);
    if (w.count && drop > 0.005)
        fprintf(stderr, "octet: warning: accuracy is %.2f points below float's %.4f\n", 100 * drop,
                fp32);
    for (int32_t i = 0; i < w.count; i++)
        fprintf(stderr, "octet: warning: %s: %s: %s\n", w.row[i].layer, w.row[i].text,
                w.row[i].hint);
    if (!w.count || c->quiet.set) return w;
    const int64_t all = oct_data_count(data);
    if (data)
        fprintf(stderr, "octet: seen on %lld of %lld images, drawn from all over them; ",
                (long long)(all < IMAGES ? all : IMAGES), (long long)all);
    else
        fprintf(stderr, "octet: seen in weights and ranges alone, without images; ");
    fprintf(stderr, "octet layers tells more\n");
    return w;
}

void cli_warnings_json(json *j, const cli_warnings *w) {
    json_array(j, "warnings");
    for (int32_t i = 0; i < w->count; i++) {
        json_item(j);
        json_string(j, "layer", w->row[i].layer);
        json_string(j, "measure", oct_layer_measure_name(w->row[i].measure));
        json_number(j, "value", w->row[i].value);
        json_number(j, "bound", w->row[i].bound);
        json_string(j, "text", w->row[i].text);
        json_string(j, "hint", w->row[i].hint);
        json_item_end(j);
    }
    json_array_end(j);
}

void cli_warnings_free(const cli *c, cli_warnings *w) {
    oct_layer_warnings_free(c->ctx, w->row);
    *w = (cli_warnings){.row = NULL};
}
