/* SPDX-License-Identifier: MIT
 * Axes, ticks, legends, and what stands inside. */
#include "qat/report/plot.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The same drawing for every width: the page lays out figures of about this size, so that texts
 * are as large on a phone as on a desk. */
enum { WIDTH = 360, HEIGHT = 208, LEFT = 46, RIGHT = 12, TOP = 20, BOTTOM = 34, DOTS = 40 };
static const double GROWN = 0.04;

/* ---- axes ---- */

void octi_axis_take(octi_axis *a, const double *v, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(v[i]) || (a->log && !(v[i] > 0))) continue;
        a->lo = fmin(a->lo, v[i]);
        a->hi = fmax(a->hi, v[i]);
    }
}

octi_axis octi_axis_over(const char *label, const char *unit, const double *v, int64_t n,
                         bool zero) {
    octi_axis a = {.label = label, .unit = unit, .lo = DBL_MAX, .hi = -DBL_MAX};
    if (zero) a.lo = a.hi = 0;
    octi_axis_take(&a, v, n);
    return a;
}

/* Never empty, so that every place is finite. */
static void settle(octi_axis *a) {
    if (!(a->lo <= a->hi)) a->lo = a->hi = a->log ? 1 : 0;
    if (a->log) {
        if (!(a->lo > 0)) a->lo = 1;
        if (!(a->hi > a->lo * 1.001)) a->hi = a->lo * 10;
        return;
    }
    const double size = fmax(fabs(a->lo), fabs(a->hi));
    if (a->hi - a->lo > size * 1e-9) return;
    a->lo -= size > 0 ? size * 0.1 : 0.5;
    a->hi += size > 0 ? size * 0.1 : 0.5;
}

static double share(const octi_axis *a, double v) {
    const double t =
        a->log ? log(fmax(v, a->lo) / a->lo) / log(a->hi / a->lo) : (v - a->lo) / (a->hi - a->lo);
    if (!isfinite(t)) return 0;         /* a span that no double holds */
    return t < -1 ? -1 : t > 2 ? 2 : t; /* what is far outside is cut by the SVG's frame */
}
static double at_x(const octi_plot *g, double v) {
    return LEFT + share(&g->x, v) * (WIDTH - LEFT - RIGHT);
}
static double at_y(const octi_plot *g, double v) {
    return HEIGHT - BOTTOM - share(&g->y, v) * (HEIGHT - TOP - BOTTOM);
}

/* 1, 2 or 5 times a power of ten, so that about `most` steps fit. */
static double tick_step(double span, int most) {
    const double raw = span / most, ten = pow(10, floor(log10(raw))), m = raw / ten;
    return (m <= 1 ? 1 : m <= 2 ? 2 : m <= 5 ? 5 : 10) * ten;
}

/* "0.25", "12k", "1e-5": short, and told apart from its neighbours. */
static void tick_text(const octi_axis *a, double v, double step, char *text, size_t size) {
    static const char *const powers[] = {"", "k", "M", "G", "T"};
    const bool shares = !strcmp(a->unit, "%");
    double shown = shares ? v * 100 : v;
    const double fine = shares ? step * 100 : step;
    if (fabs(shown) < fine * 1e-6) shown = 0;
    const double most = fmax(fabs(a->lo), fabs(a->hi)) * (shares ? 100 : 1);
    if (most >= 1e15 || (most < 1e-3 && most > 0)) {
        snprintf(text, size, "%.3g", shown);
        return;
    }
    int p = 0;
    while (p < 4 && most >= 1e4 * pow(1000, p)) p++;
    const double unit = pow(1000, p);
    int digits = fine > 0 ? (int)ceil(-log10(fine / unit) - 1e-9) : 0;
    digits = digits < 0 ? 0 : digits > 4 ? 4 : digits;
    snprintf(text, size, "%.*f%s%s", digits, shown / unit, shown != 0 ? powers[p] : "",
             shares ? "%" : "");
}

static void tick(octi_plot *g, bool along_x, double v, const char *text) {
    if (along_x)
        octi_page_put(g->p,
                      "<path class=\"axis\" d=\"M%.1f %dv4\"/><text x=\"%.1f\" y=\"%d\" "
                      "text-anchor=\"middle\">%s</text>",
                      at_x(g, v), HEIGHT - BOTTOM, at_x(g, v), HEIGHT - BOTTOM + 15, text);
    else
        octi_page_put(g->p,
                      "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text x=\"%d\" y=\"%.1f\" "
                      "text-anchor=\"end\">%s</text>",
                      LEFT, at_y(g, v), WIDTH - RIGHT, LEFT - 5, at_y(g, v) + 4, text);
}

static void plain_ticks(octi_plot *g, bool along_x, const octi_axis *a) {
    char text[40];
    double step = tick_step(a->hi - a->lo, along_x ? 6 : 5);
    if (a->whole && step < 1) step = 1;
    for (double k = ceil(a->lo / step - 1e-9); k * step <= a->hi + step * 1e-9; k++) {
        tick_text(a, k * step, step, text, sizeof text);
        tick(g, along_x, k * step, text);
    }
}

/* Powers of ten, of less than two of them their doubles and fives too, each in its own unit; plain
 * steps where that are too few. */
static void log_ticks(octi_plot *g, bool along_x, const octi_axis *a) {
    static const double times[] = {1, 2, 5};
    const int lo = (int)floor(log10(a->lo)), hi = (int)ceil(log10(a->hi)),
              by = (hi - lo) / (along_x ? 6 : 5) + 1, each = a->hi < 100 * a->lo ? 3 : 1;
    double at[64];
    int n = 0;
    for (int e = lo; e <= hi; e += by)
        for (int k = 0; k < each && n < 64; k++) {
            const double v = times[k] * pow(10, e);
            if (v >= a->lo * (1 - 1e-9) && v <= a->hi * (1 + 1e-9)) at[n++] = v;
        }
    if (n < 2) {
        plain_ticks(g, along_x, a);
        return;
    }
    for (int i = 0; i < n; i++) {
        char text[40];
        tick_text(&(octi_axis){.unit = a->unit, .hi = at[i]}, at[i], at[i], text, sizeof text);
        tick(g, along_x, at[i], text);
    }
}

static void ticks(octi_plot *g, bool along_x) {
    const octi_axis *a = along_x ? &g->x : &g->y;
    if (a->log)
        log_ticks(g, along_x, a);
    else
        plain_ticks(g, along_x, a);
}

static void axis_word(octi_page *p, const octi_axis *a) {
    octi_page_put(p, "%s", a->label);
    if (*a->unit && strcmp(a->unit, "%")) octi_page_put(p, " (%s)", a->unit);
    if (a->log) octi_page_raw(p, ", log");
}

/* ---- the figure ---- */

static void swatch(octi_page *p, const octi_legend *e) {
    octi_page_raw(p, "<li><svg viewBox=\"0 0 22 9\" aria-hidden=\"true\">");
    if (e->form == 'h')
        octi_page_put(p, "<path class=\"h f%d\" d=\"M0 1h22v8h-22z\"/>", e->series);
    else if (e->form == 'd')
        octi_page_put(p, "<circle class=\"d f%d\" cx=\"11\" cy=\"4.5\" r=\"4\"/>", e->series);
    else
        octi_page_put(p, "<path class=\"l s%d\" d=\"M0 5h22\"/>", e->series);
    octi_page_put(p, "</svg>%s</li>", e->name);
}

void octi_plot_open(octi_plot *g, octi_page *p, const char *key, const char *caption,
                    const char *note, octi_axis x, octi_axis y, const octi_legend *legend,
                    int entries) {
    *g = (octi_plot){.p = p, .x = x, .y = y};
    settle(&g->x);
    settle(&g->y);
    if (!g->y.log) { /* room above and below, but never below a floor of zero */
        const double span = g->y.hi - g->y.lo;
        g->y.hi += GROWN * span;
        if (g->y.lo != 0) g->y.lo -= GROWN * span;
    }
    octi_page_put(p, "<figure data-plot=\"%s\"><figcaption>%s</figcaption>", key, caption);
    if (*note) octi_page_put(p, "<div class=\"note\">%s</div>", note);
    octi_page_raw(p, "<ul class=\"legend\">");
    for (int i = 0; i < entries; i++) swatch(p, &legend[i]);
    octi_page_put(p,
                  "</ul><svg viewBox=\"0 0 %d %d\" role=\"img\" "
                  "xmlns=\"http://www.w3.org/2000/svg\"><title>%s</title>",
                  WIDTH, HEIGHT, caption);
    ticks(g, false);
    ticks(g, true);
    octi_page_put(p,
                  "<path class=\"axis\" d=\"M%d %dV%dH%d\"/><text class=\"unit\" x=\"2\" "
                  "y=\"11\">",
                  LEFT, TOP, HEIGHT - BOTTOM, WIDTH - RIGHT);
    axis_word(p, &g->y);
    octi_page_put(p, "</text><text class=\"unit\" x=\"%d\" y=\"%d\" text-anchor=\"end\">",
                  WIDTH - RIGHT, HEIGHT - 4);
    axis_word(p, &g->x);
    octi_page_raw(p, "</text>\n");
}

void octi_plot_close(octi_plot *g) { octi_page_raw(g->p, "</svg></figure>\n"); }

/* ---- what stands inside ---- */

static void begin_path(octi_plot *g, char form, int series, const char *key) {
    char name[2] = {form, 0};
    octi_page_put(g->p, "<path class=\"%s %s%d\" data-series=\"%s\"", name, form == 'h' ? "f" : "s",
                  series % OCTI_SERIES, key);
}

void octi_plot_line(octi_plot *g, int series, const char *key, const double *x, const double *y,
                    int64_t n) {
    begin_path(g, 'l', series, key);
    octi_page_data_list(g->p, "x", x, n, 9);
    octi_page_data_list(g->p, "y", y, n, 9);
    octi_page_raw(g->p, " d=\"");
    bool on = false;
    for (int64_t i = 0; i < n; i++) {
        const bool there = isfinite(x[i]) && isfinite(y[i]);
        if (there) octi_page_put(g->p, "%s%.1f %.1f", on ? "L" : "M", at_x(g, x[i]), at_y(g, y[i]));
        on = there;
    }
    octi_page_raw(g->p, "\"/>");
    for (int64_t i = 0; n <= DOTS && i < n; i++)
        if (isfinite(x[i]) && isfinite(y[i]))
            octi_page_put(g->p, "<circle class=\"d f%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.4\"/>",
                          series % OCTI_SERIES, at_x(g, x[i]), at_y(g, y[i]));
}

/* Places in tenths of a unit, each from where the last one is: small steps, few bytes. */
typedef struct pen {
    octi_plot *g;
    int x, y;
} pen;
static int tenth(double v) { return (int)lrint(v * 10); }
static void pen_to(pen *q, bool along_x, int to) {
    int *at = along_x ? &q->x : &q->y;
    const int by = to - *at;
    if (by) octi_page_put(q->g->p, "%s%g", along_x ? "h" : "v", by / 10.0);
    *at = to;
}

void octi_plot_bins(octi_plot *g, int series, const char *key, double lo, double width,
                    const double *count, int64_t n) {
    const double floor_at = g->y.log ? g->y.lo : 0;
    begin_path(g, 'h', series, key);
    octi_page_data(g->p, "lo", lo);
    octi_page_data(g->p, "width", width);
    octi_page_data_list(g->p, "y", count, n, 9);
    pen q = {g, tenth(at_x(g, lo)), tenth(at_y(g, floor_at))};
    const int ground = q.y;
    octi_page_put(g->p, " d=\"M%g %g", q.x / 10.0, q.y / 10.0);
    for (int64_t i = 0; i < n; i++) {
        pen_to(&q, false, count[i] > floor_at ? tenth(at_y(g, count[i])) : ground);
        pen_to(&q, true, tenth(at_x(g, lo + width * (double)(i + 1))));
    }
    pen_to(&q, false, ground);
    octi_page_raw(g->p, "z\"/>");
}

enum { CHANNEL_DIGITS = 5 };

void octi_plot_spans(octi_plot *g, int series, const char *key, const double *lo, const double *hi,
                     int64_t n, int64_t by) {
    const double most = g->x.hi, wide = 0.8 * (at_x(g, (double)by) - at_x(g, 0));
    octi_page_put(g->p, "<path class=\"c s%d\" data-series=\"%s\" stroke-width=\"%.2f\"",
                  series % OCTI_SERIES, key, wide);
    octi_page_data(g->p, "by", (double)by);
    octi_page_data_list(g->p, "lo", lo, n, CHANNEL_DIGITS);
    octi_page_data_list(g->p, "hi", hi, n, CHANNEL_DIGITS);
    octi_page_raw(g->p, " d=\"");
    pen q = {g, 0, 0};
    for (int64_t i = 0, some = 0; i < n; i++) {
        if (!isfinite(lo[i]) || !isfinite(hi[i])) continue;
        const int x = tenth(at_x(g, fmin(((double)i + 0.5) * (double)by, most))),
                  bottom = tenth(at_y(g, lo[i])), top = tenth(at_y(g, hi[i]));
        octi_page_put(g->p, "%s%g %gv%g", some++ ? "m" : "M", (x - q.x) / 10.0,
                      (bottom - q.y) / 10.0, (top - bottom) / 10.0);
        q.x = x;
        q.y = top;
    }
    octi_page_raw(g->p, "\"/>");
}

void octi_plot_levels(octi_plot *g, int series, const char *key, const double *y, int64_t n,
                      int64_t by) {
    begin_path(g, 'm', series, key);
    octi_page_data_list(g->p, "y", y, n, CHANNEL_DIGITS);
    pen q = {g, tenth(at_x(g, 0)), n ? tenth(at_y(g, y[0])) : 0};
    octi_page_put(g->p, " d=\"M%g %g", q.x / 10.0, q.y / 10.0);
    for (int64_t i = 0; i < n; i++) {
        pen_to(&q, false, tenth(at_y(g, y[i])));
        pen_to(&q, true, tenth(at_x(g, fmin((double)(i + 1) * (double)by, g->x.hi))));
    }
    octi_page_raw(g->p, "\"/>");
}

void octi_plot_mark_x(octi_plot *g, int series, const char *key, double x) {
    if (!isfinite(x)) return;
    begin_path(g, 'm', series, key);
    octi_page_data(g->p, "x", x);
    octi_page_put(g->p, " d=\"M%.1f %dV%d\"/>", at_x(g, x), TOP, HEIGHT - BOTTOM);
}

void octi_plot_mark_y(octi_plot *g, int series, const char *key, double y) {
    if (!isfinite(y)) return;
    begin_path(g, 'm', series, key);
    octi_page_data(g->p, "y", y);
    octi_page_put(g->p, " d=\"M%d %.1fH%d\"/>", LEFT, at_y(g, y), WIDTH - RIGHT);
}

static bool is_free(const octi_plot *g, struct octi_place b) {
    if (b.x0 < LEFT || b.x1 > WIDTH - RIGHT || b.y0 < TOP || b.y1 > HEIGHT - BOTTOM) return false;
    for (int i = 0; i < g->places; i++) {
        const struct octi_place *o = &g->placed[i];
        if (b.x0 < o->x1 && o->x0 < b.x1 && b.y0 < o->y1 && o->y0 < b.y1) return false;
    }
    return true;
}

static void occupy(octi_plot *g, struct octi_place b) {
    if (g->places < OCTI_PLACED) g->placed[g->places++] = b;
}

void octi_plot_dot(octi_plot *g, int series, const char *name, double x, double y) {
    if (!isfinite(x) || !isfinite(y)) return;
    const float px = (float)at_x(g, x), py = (float)at_y(g, y), r = 4;
    octi_page_put(g->p, "<circle class=\"d f%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"",
                  series % OCTI_SERIES, (double)px, (double)py);
    octi_page_data(g->p, "x", x);
    octi_page_data(g->p, "y", y);
    octi_page_put(g->p, "><title>%s</title></circle>", name);
    occupy(g, (struct octi_place){px - r, py - r, px + r, py + r});
}

void octi_plot_name(octi_plot *g, const char *name, double x, double y) {
    enum { NAME_MOST = 22 };
    const size_t n = strlen(name);
    if (!isfinite(x) || !isfinite(y) || n > NAME_MOST || g->places == OCTI_PLACED) return;
    /* of a letter, generously */
    const float px = (float)at_x(g, x), py = (float)at_y(g, y), w = 6.6f * (float)n, h = 12;
    const struct octi_place at[] = {{px + 5, py - h / 2, px + 5 + w, py + h / 2},
                                    {px - 5 - w, py - h / 2, px - 5, py + h / 2},
                                    {px - w / 2, py - 5 - h, px + w / 2, py - 5},
                                    {px - w / 2, py + 5, px + w / 2, py + 5 + h}};
    static const char *const anchors[] = {"start", "end", "middle", "middle"};
    for (int i = 0; i < 4; i++) {
        if (!is_free(g, at[i])) continue;
        const double tx = (double)(i == 0 ? at[i].x0 : i == 1 ? at[i].x1 : px);
        octi_page_put(g->p, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>", tx,
                      (double)at[i].y1 - 2.5, anchors[i], name);
        occupy(g, at[i]);
        return;
    }
}

void octi_plot_spark(octi_page *p, const double *y, int64_t n) {
    octi_axis a = octi_axis_over("", "", y, n, false);
    settle(&a);
    octi_page_raw(p, "<svg class=\"spark\" viewBox=\"0 0 80 16\" aria-hidden=\"true\"><path "
                     "class=\"l s0\" d=\"");
    for (int64_t i = 0, on = 0; i < n; i++)
        if (isfinite(y[i]))
            octi_page_put(p, "%s%.1f %.1f", on++ ? "L" : "M",
                          n > 1 ? 2 + 76.0 * (double)i / (double)(n - 1) : 40,
                          14 - 12 * share(&a, y[i]));
    octi_page_raw(p, "\"/></svg>");
}
