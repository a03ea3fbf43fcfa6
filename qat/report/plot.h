/* SPDX-License-Identifier: MIT
 * qat/report/plot.h - every plot of a page: axes with ticks and units, a legend, and what stands
 * inside, as inline SVG of one size. A series has a number: its colour and its dashes. Numbers that
 * are not finite are left out. Each plot holds what it shows as data-x and data-y too, with all
 * digits but for bars and levels of channels, of which five are more than can be seen. */
#ifndef OCT_QAT_REPORT_PLOT_H
#define OCT_QAT_REPORT_PLOT_H

#include "qat/report/page.h"

enum { OCTI_SERIES = 8 };

typedef struct octi_axis {
    const char *label, *unit; /* unit "": a plain number; "%": shares, shown as per cent */
    double lo, hi;
    bool log;   /* lo > 0 */
    bool whole; /* ticks at whole numbers alone */
} octi_axis;

/** One entry: how the series is drawn ('l' line, 'h' histogram, 'm' mark, 'd' dots), its number,
 *  what it is called. */
typedef struct octi_legend {
    char form;
    int series;
    const char *name;
} octi_legend;

enum { OCTI_PLACED = 256 };
typedef struct octi_plot {
    octi_page *p;
    octi_axis x, y;
    struct octi_place { /* what is taken: of dots and their names */
        float x0, y0, x1, y1;
    } placed[OCTI_PLACED];
    int places;
} octi_plot;

/** An axis over the finite ones of n values, zero inside where `zero`; never empty. */
octi_axis octi_axis_over(const char *label, const char *unit, const double *v, int64_t n,
                         bool zero);
/** The axis grown by more values. */
void octi_axis_take(octi_axis *a, const double *v, int64_t n);

/** <figure> with caption, note ("" none), legend, and the SVG's axes; key is its data-plot. */
void octi_plot_open(octi_plot *plot, octi_page *p, const char *key, const char *caption,
                    const char *note, octi_axis x, octi_axis y, const octi_legend *legend,
                    int entries);
void octi_plot_close(octi_plot *plot);
/** A line through n points, each with a dot where they are few. */
void octi_plot_line(octi_plot *plot, int series, const char *key, const double *x, const double *y,
                    int64_t n);
/** Bins [lo + i * width, ...): filled steps. */
void octi_plot_bins(octi_plot *plot, int series, const char *key, double lo, double width,
                    const double *count, int64_t n);
/** From lo[i] to hi[i], one bar over [i * by, (i + 1) * by] each, as far as the axis goes. */
void octi_plot_spans(octi_plot *plot, int series, const char *key, const double *lo,
                     const double *hi, int64_t n, int64_t by);
/** A level y[i] over the same: one line of steps. */
void octi_plot_levels(octi_plot *plot, int series, const char *key, const double *y, int64_t n,
                      int64_t by);
/** A line across at x, or along at y. */
void octi_plot_mark_x(octi_plot *plot, int series, const char *key, double x);
void octi_plot_mark_y(octi_plot *plot, int series, const char *key, double y);
/** A dot with a name, which is shown where somebody points at it. */
void octi_plot_dot(octi_plot *plot, int series, const char *name, double x, double y);
/** Behind all dots: the name of one beside it, where there is room, else not. */
void octi_plot_name(octi_plot *plot, const char *name, double x, double y);

/** Heat map of counts [n][n], rows the true class, columns what was said: the darker, the larger
 *  the share of its row; numbers where they can be read. names [n]. */
void octi_plot_heat(octi_page *p, const char *key, const char *caption, const int64_t *count,
                    int32_t n, const char *const *names);
/** A line of n values in a table's cell. */
void octi_plot_spark(octi_page *p, const double *y, int64_t n);

#endif
