/* SPDX-License-Identifier: MIT
 * octet layers: what quantization costs, layer by layer. */
#include <math.h>
#include <string.h>

#include "tools/cli.h"

enum { IMAGES = 256 };

static void print_json(const cli *c, const oct_layer *rows, int32_t n, double float_accuracy,
                       int64_t images) {
    json j = json_open();
    json_int(&j, "images", images);
    if (c->sweep.set) json_number(&j, "fp32_accuracy", float_accuracy);
    json_array(&j, "layers");
    for (int32_t i = 0; i < n; i++) {
        const oct_layer *r = &rows[i];
        json_item(&j);
        json_string(&j, "name", r->name);
        json_string(&j, "kind", r->kind);
        json_shape(&j, "shape", &r->shape);
        json_int(&j, "bits", r->bits);
        json_string(&j, "scheme", oct_scheme_name(r->weight_scheme ? r->weight_scheme : r->scheme));
        json_number(&j, "scale", r->int8 ? r->scale : NAN);
        json_number(&j, "zero_point", r->int8 ? r->zero_point : NAN);
        json_number(&j, "sqnr_local", r->sqnr_local);
        json_number(&j, "sqnr_cum", r->sqnr_cum);
        json_number(&j, "cosine_local", r->cosine_local);
        json_number(&j, "cosine_cum", r->cosine_cum);
        json_number(&j, "clip", r->clip);
        json_number(&j, "clip_loss", r->clip_loss);
        json_number(&j, "round_loss", r->round_loss);
        json_int(&j, "channels", r->channels);
        json_number(&j, "dead", r->dead >= 0 ? (double)r->dead : NAN);
        json_number(&j, "dead_float", r->dead_float >= 0 ? (double)r->dead_float : NAN);
        if (c->sweep.set) {
            json_number(&j, "sqnr_alone", r->sqnr_alone);
            json_number(&j, "accuracy_alone", r->accuracy_alone);
        }
        json_number(&j, "us", r->us >= 0 ? r->us : NAN);
        if (r->kernel)
            json_string(&j, "kernel", r->kernel);
        else
            json_number(&j, "kernel", NAN);
        if (r->why[0])
            json_string(&j, "why", r->why);
        else
            json_number(&j, "why", NAN);
        json_item_end(&j);
    }
    json_array_end(&j);
    json_close(&j);
}

/* Columns are as wide as what stands in them: names of deep nets are long. */
typedef struct widths {
    int name, kind, shape;
} widths;

static int wider(int width, const char *text) {
    const int size = (int)strlen(text);
    return size > width ? size : width;
}

static widths widths_of(const oct_layer *rows, int32_t n) {
    widths w = {28, 14, 18};
    for (int32_t i = 0; i < n; i++) {
        w.name = wider(w.name, rows[i].name);
        w.kind = wider(w.kind, rows[i].kind);
        w.shape = wider(w.shape, oct_shape_text(&rows[i].shape));
    }
    return w;
}

static void print_sweep(const oct_layer *rows, int32_t n, double float_accuracy, int64_t images) {
    const widths w = widths_of(rows, n);
    printf("\none layer quantized, the others float, %lld images (accuracy of none: %.4f):\n"
           "%-*s %-*s %7s %9s\n",
           (long long)images, float_accuracy, w.name, "name", w.kind, "kind", "sqnr", "accuracy");
    for (int32_t i = 0; i < n; i++)
        if (!isnan(rows[i].sqnr_alone))
            cli_print("%-*s %-*s %7.1f %9.4f\n", w.name, rows[i].name, w.kind, rows[i].kind,
                      rows[i].sqnr_alone, rows[i].accuracy_alone);
}

/* The same to look at: less signal over noise is a longer bar, and the way of the codes through the
 * net. An int8 file has its times alone. */
static void print_bars(const oct_layer *rows, int32_t n) {
    enum { WIDTH = 20, DEPTH_MOST = 200 };
    double cum[DEPTH_MOST], worst = INFINITY, best = -INFINITY, slow = 0;
    int depth = 0;
    for (int32_t i = 0; i < n; i++) {
        const oct_layer *r = &rows[i];
        slow = fmax(slow, r->us);
        if (isnan(r->sqnr_local)) continue;
        worst = fmin(worst, r->sqnr_local);
        best = fmax(best, r->sqnr_local);
        if (depth < DEPTH_MOST && !isnan(r->sqnr_cum)) cum[depth++] = r->sqnr_cum;
    }
    if (!depth && !(slow > 0)) return;
    const int name = widths_of(rows, n).name;
    printf("\n%-*s %-*s %6s %s\n", name, "", WIDTH, depth ? "own noise, longer is worse" : "", "",
           slow > 0 ? "time" : "");
    for (int32_t i = 0; i < n; i++) {
        const oct_layer *r = &rows[i];
        const bool noise = !isnan(r->sqnr_local);
        if (!noise && !(r->us > 0)) continue;
        const double cost = !noise ? 0 : best > worst ? (best - r->sqnr_local) / (best - worst) : 1;
        char decibels[16] = "";
        if (noise) snprintf(decibels, sizeof decibels, "%.1f", r->sqnr_local);
        cli_print("%-*s %s %6s %s\n", name, r->name, cli_bar_text(cost, WIDTH), decibels,
                  cli_bar_text(slow > 0 && r->us > 0 ? r->us / slow : 0, WIDTH));
    }
    if (depth)
        cli_print("%-*s %s %.1f to %.1f dB\n", name, "cum, from input to output",
                  cli_spark_text(cum, depth), cum[0], cum[depth - 1]);
}

/* Decibels that rank layers: at the output where a sweep measured them, else their own. */
static double decibels(const oct_layer *r, bool swept) {
    return swept ? r->sqnr_alone : r->sqnr_local;
}

/* What it cost, and what mends that, is the doctor's to say: it knows how the run was made. */
static void next_of_layers(const cli *c, const oct_net *net, const oct_layer *rows, int32_t n) {
    const char *run = c->operands[0], *data = cli_word(c->data.s);
    const bool swept = c->sweep.set != 0;
    int32_t worst = -1;
    for (int32_t i = 0; i < n; i++)
        if (rows[i].int8 && !isnan(decibels(&rows[i], swept)) &&
            (worst < 0 || decibels(&rows[i], swept) < decibels(&rows[worst], swept)))
            worst = i;
    if (worst >= 0)
        cli_next(c,
                 "%s costs most (%.1f dB %s); next: octet doctor %s --data %s says what accuracy "
                 "was lost to, and the command that mends it",
                 rows[worst].name, decibels(&rows[worst], swept),
                 swept ? "at the output, quantized alone" : "by itself", cli_word(run), data);
    else if (oct_net_stage(net) < OCT_STAGE_PREPARED)
        cli_next(c,
                 "a float net costs nothing; next: octet ptq %s --data %s --out %s, and layers of "
                 "that",
                 cli_word(run), data, cli_free_name(run, "-ptq"));
    else
        cli_next(c,
                 "next: octet layers RUN, of the run that it was made from, compares with float");
}

int cmd_layers(cli *c) {
    oct_net *net;
    oct_data *data;
    int code;
    if (!c->limit.set) c->limit.i = IMAGES; /* evenly over the part, as --limit draws them */
    if (!cli_model_and_data(c, &net, &data, &code)) return code;
    if (c->sweep.set && oct_net_stage(net) != OCT_STAGE_PREPARED)
        return cli_usage("--sweep", "needs a net whose layers can be float",
                         "a run of octet ptq or octet qat", c->operands[0], NULL);
    if (c->dry_run.set) return 0;
    oct_layer *rows;
    int32_t n;
    double float_accuracy = NAN;
    const int64_t images = oct_data_count(data);
    if (oct_layers(net, data, images, &rows, &n) != OCT_OK) return cli_failed();
    if (c->sweep.set && oct_layers_sweep(net, data, images, rows, n, &float_accuracy) != OCT_OK)
        return cli_failed();
    cli_note_kernels(c);
    if (c->json.set)
        print_json(c, rows, n, float_accuracy, images);
    else {
        const widths w = widths_of(rows, n);
        cli_print("%-*s %-*s %-*s %4s %-22s %12s %4s %7s %7s %7s %8s %5s %9s %s\n", w.name, "name",
                  w.kind, "kind", w.shape, "shape", "bits", "scheme", "scale", "zp", "local", "cum",
                  "cosine", "clip", "dead", "us", "kernel");
        for (int32_t i = 0; i < n; i++) {
            const oct_layer *r = &rows[i];
            char bits[16];
            snprintf(bits, sizeof bits, !r->int8 && r->weight_bits ? "w%d" : "%d",
                     !r->int8 && r->weight_bits ? r->weight_bits : r->bits);
            cli_print("%-*s %-*s %-*s %4s %-22s", w.name, r->name, w.kind, r->kind, w.shape,
                      oct_shape_text(&r->shape), bits,
                      oct_scheme_name(r->weight_scheme ? r->weight_scheme : r->scheme));
            if (r->int8)
                printf(" %12.6g %4d", r->scale, r->zero_point);
            else
                cli_print(" %12s %4s", "-", "-");
            const struct {
                double v;
                int width, digits;
            } cells[] = {{r->sqnr_local, 7, 1},
                         {r->sqnr_cum, 7, 1},
                         {r->cosine_cum, 7, 5},
                         {r->clip, 8, 5},
                         {r->dead >= 0 ? (double)r->dead : NAN, 5, 0},
                         {r->us >= 0 ? r->us : NAN, 9, 2}};
            for (int k = 0; k < 6; k++) {
                if (isnan(cells[k].v))
                    cli_print(" %*s", cells[k].width, "-");
                else if (cells[k].v != 0 && fabs(cells[k].v) < 5e-6) /* little is not nothing */
                    printf(" %*.1e", cells[k].width, cells[k].v);
                else
                    printf(" %*.*f", cells[k].width, cells[k].digits, cells[k].v);
            }
            cli_print(" %s\n", r->kernel ? r->kernel : "-");
        }
        cli_print("%lld images of %s%s\n", (long long)images, c->data.s,
                  c->limit.set ? "" : ", evenly over it; --limit N: other numbers of them");
        print_bars(rows, n);
        if (c->sweep.set) print_sweep(rows, n, float_accuracy, images);
        next_of_layers(c, net, rows, n);
    }
    oct_layers_free(c->ctx, rows);
    return 0;
}
