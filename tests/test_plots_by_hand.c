/* SPDX-License-Identifier: MIT
 * Where a plot draws what, worked out by hand: 360 x 208, of which 46 to 348 across and 174 up to
 * 20 are the plot's own; a plain axis upward has 4 % more room than its largest value. */
#include <math.h>

#include "qat/report/plot.h"
#include "qat/report/show.h"
#include "tests/oct_test.h"

static oct_ctx *ctx;
static octi_page page;

static void setup(void) {
    ck_not_null(ctx = oct_open(&(oct_opts){.threads = 1}));
    page = (octi_page){.ctx = ctx, .text = {.ctx = ctx}};
}
static void teardown(void) {
    octi_page_free(&page);
    oct_close(ctx);
}

static const char *drawn(void) {
    octi_text_bytes(&page.text, "", 1);
    page.text.size--;
    ck_ok(page.status);
    return page.text.data;
}
static void shows(const char *what) {
    ck_assert_msg(strstr(drawn(), what) != NULL, "no '%s' in\n%s", what, drawn());
}
static void hides(const char *what) {
    ck_assert_msg(strstr(drawn(), what) == NULL, "'%s' in\n%s", what, drawn());
}

static octi_plot plot_of(octi_axis x, octi_axis y) {
    octi_plot g;
    octi_page_free(&page);
    page = (octi_page){.ctx = ctx, .text = {.ctx = ctx}};
    const octi_legend legend[] = {{'l', 2, "a line"}, {'h', 3, "bars"}, {'d', 4, "dots"}};
    octi_plot_open(&g, &page, "key", "caption", "", x, y, legend, 3);
    return g;
}
static octi_plot plain(double x, double y) {
    return plot_of((octi_axis){.label = "along", .unit = "", .hi = x},
                   (octi_axis){.label = "up", .unit = "", .hi = y});
}

/* A tick's line and its text, at a place along or up. */
static void tick(bool along, const char *at, const char *text) {
    char want[200];
    if (along)
        snprintf(want, sizeof want,
                 "<path class=\"axis\" d=\"M%s 174v4\"/><text x=\"%s\" y=\"189\" "
                 "text-anchor=\"middle\">%s</text>",
                 at, at, text);
    else
        snprintf(want, sizeof want, "<path class=\"grid\" d=\"M46 %sH348\"/>", at);
    shows(want);
    if (along) return;
    snprintf(want, sizeof want, "text-anchor=\"end\">%s</text>", text);
    shows(want);
}

START_TEST(axes_take_what_can_be_drawn) {
    static const double v[] = {3, NAN, -1, INFINITY, 0.5, 0};
    octi_axis a = octi_axis_over("", "", v, 6, false);
    ck_assert(a.lo == -1 && a.hi == 3);
    a = octi_axis_over("", "", v, 1, true);
    ck_assert(a.lo == 0 && a.hi == 3);
    octi_axis log = {.log = true, .lo = 1, .hi = 1};
    octi_axis_take(&log, v, 6);
    ck_assert(log.lo == 0.5 && log.hi == 3);
}
END_TEST

/* Halves up to 1.04, twos along 10: 302 pixels are 10, 154 are 1.04. */
START_TEST(plain_axes) {
    static const double x[] = {0, 5, 6, 10}, y[] = {0, 1, NAN, 0.5};
    octi_plot g = plain(10, 1);
    tick(true, "46.0", "0");
    tick(true, "106.4", "2");
    tick(true, "348.0", "10");
    hides(">1</text>");
    tick(false, "174.0", "0.0");
    tick(false, "100.0", "0.5");
    tick(false, "25.9", "1.0");
    shows("y=\"11\">up</text>");
    shows("text-anchor=\"end\">along</text>");
    shows("<path class=\"l s2\" d=\"M0 5h22\"/></svg>a line</li>");
    shows("<path class=\"h f3\" d=\"M0 1h22v8h-22z\"/></svg>bars</li>");
    shows("<circle class=\"d f4\" cx=\"11\" cy=\"4.5\" r=\"4\"/></svg>dots</li>");
    octi_plot_line(&g, 1, "k", x, y, 4);
    /* what is not finite is a gap, in which no dot stands */
    shows("d=\"M46.0 174.0L197.0 25.9M348.0 100.0\"/>");
    shows("cx=\"197.0\" cy=\"25.9\"");
    hides("cx=\"227.2\"");
    octi_plot_mark_x(&g, 1, "m", 5);
    shows("d=\"M197.0 20V174\"/>");
    octi_plot_mark_y(&g, 1, "m", 1);
    shows("d=\"M46 25.9H348\"/>");
}
END_TEST

/* Below a floor of zero there is no room; below any other there is. */
START_TEST(room_around) {
    octi_plot g = plot_of((octi_axis){.label = "", .unit = "", .hi = 1},
                          (octi_axis){.label = "", .unit = "", .lo = 1, .hi = 2});
    ck_assert(fabs(g.y.lo - 0.96) < 1e-12 && fabs(g.y.hi - 2.04) < 1e-12);
    g = plain(1, 2);
    ck_assert(g.y.lo == 0 && fabs(g.y.hi - 2.08) < 1e-12);
    /* one value alone stands in the middle; zero has half a unit on either side */
    g = plot_of((octi_axis){.label = "", .unit = "", .lo = 5, .hi = 5},
                (octi_axis){.label = "", .unit = ""});
    ck_assert(g.x.lo == 4.5 && g.x.hi == 5.5 && g.y.lo < -0.5 && g.y.hi > 0.5);
}
END_TEST

START_TEST(ticks_have_units) {
    static const struct {
        const char *unit;
        double hi;
        bool whole;
        const char *has[4], *not ;
    } rows[] = {{"%", 1, false, {">0%</text>", ">20%</text>", ">100%</text>"}, ">0.2"},
                {"", 20000, false, {">0</text>", ">5k</text>", ">20k</text>"}, ">5000<"},
                {"", 5e6, false, {">0</text>", ">1000k</text>", ">5000k</text>"}, "M</text>"},
                {"", 3e7, false, {">0</text>", ">10M</text>", ">30M</text>"}, "k</text>"},
                {"", 2, true, {">0</text>", ">1</text>", ">2</text>"}, ">0.5<"},
                {"", 2, false, {">0.0</text>", ">0.5</text>", ">2.0</text>"}, ">0.2<"},
                {"", 0.02, false, {">0.000</text>", ">0.005</text>", ">0.020</text>"}, ">0.01<"},
                {"", 2e-5, false, {">0</text>", ">5e-06</text>", ">2e-05</text>"}, ">0.00"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        (void)plot_of(
            (octi_axis){
                .label = "", .unit = rows[i].unit, .hi = rows[i].hi, .whole = rows[i].whole},
            (octi_axis){.label = "", .unit = "", .lo = 77, .hi = 78});
        for (int k = 0; k < 4 && rows[i].has[k]; k++) shows(rows[i].has[k]);
        hides(rows[i].not );
    }
    (void)plot_of((octi_axis){.label = "share", .unit = "%", .hi = 1},
                  (octi_axis){.label = "time", .unit = "us", .lo = 1, .hi = 9, .log = true});
    shows(">share</text>"); /* what its ticks say is not said again */
    shows(">time (us), log</text>");
}
END_TEST

/* Ten is half of the way from 1 to 100; powers have their doubles and fives where there are fewer
 * than two. */
START_TEST(log_axes) {
    octi_plot g = plot_of((octi_axis){.label = "", .unit = "", .hi = 1},
                          (octi_axis){.label = "", .unit = "", .lo = 1, .hi = 100, .log = true});
    ck_assert(g.y.hi == 100);
    tick(false, "174.0", "1");
    tick(false, "97.0", "10");
    tick(false, "20.0", "100");
    hides(">2<");
    g = plot_of((octi_axis){.label = "", .unit = "", .hi = 1},
                (octi_axis){.label = "", .unit = "", .lo = 1, .hi = 50, .log = true});
    for (int i = 0; i < 6; i++)
        shows(((const char *const[]){">1<", ">2<", ">5<", ">10<", ">20<", ">50<"})[i]);
    /* what cannot stand on it lies at its lower end; one value alone has ten times it above */
    static const double x[] = {0, 1}, y[] = {0, 40};
    g = plot_of((octi_axis){.label = "", .unit = "", .hi = 1},
                (octi_axis){.label = "", .unit = "", .lo = 4, .hi = 4, .log = true});
    ck_assert(g.y.lo == 4 && g.y.hi == 40);
    octi_plot_line(&g, 0, "k", x, y, 2);
    shows("d=\"M46.0 174.0L348.0 20.0\"/>");
}
END_TEST

/* Bars of 1 and 4 over [2, 4) and [4, 6); 5.2 are 154 pixels upward, 6 are 302 along. */
START_TEST(bars) {
    static const double count[] = {1, 4, 0};
    octi_plot g = plain(6, 5);
    octi_plot_bins(&g, 3, "k", 0, 2, count, 3);
    shows("data-lo=\"0\" data-width=\"2\" data-y=\"1,4,0\"");
    shows("class=\"h f3\"");
    shows(" d=\"M46 174v-29.6h100.7v-88.9h100.6v118.5h100.7z\"/>");
}
END_TEST

/* Of four channels, two together: bars stand over the middle of what they stand for, and a level
 * is as wide as that; the last one ends with the axis. */
START_TEST(channels) {
    static const double lo[] = {1, 2, NAN}, hi[] = {3, 4, 1}, level[] = {4, 2, 1};
    octi_plot g = plain(5, 5);
    octi_plot_spans(&g, 1, "k", lo, hi, 3, 2);
    /* 60.4 pixels are a channel, 29.6 a unit upward; then from the first one's top */
    shows("stroke-width=\"96.64\" data-by=\"2\" data-lo=\"1,2,\" data-hi=\"3,4,1\"");
    shows(" d=\"M106.4 144.4v-59.2m120.8 29.6v-59.3\"/>");
    octi_plot_levels(&g, 2, "k", level, 3, 2);
    shows("data-y=\"4,2,1\" d=\"M46 55.5h120.8v59.3h120.8v29.6h60.4\"/>");
}
END_TEST

/* Beside the dot, else at its left, above or below; not on what stands there; long ones not at
 * all. A letter is 6.6 wide, a name 12 high. */
START_TEST(names_of_dots) {
    octi_plot g = plain(10, 5);
    octi_plot_dot(&g, 1, "a", 5, 2.5);
    octi_plot_dot(&g, 1, "b", 5.5, 2.5);
    octi_plot_dot(&g, 1, "far", 10, 2.5);
    shows("cx=\"197.0\" cy=\"100.0\" r=\"4\" data-x=\"5\" data-y=\"2.5\"><title>a</title>");
    octi_plot_name(&g, "far", 10, 2.5);
    shows("<text x=\"343.0\" y=\"103.5\" text-anchor=\"end\">far</text>");
    octi_plot_name(&g, "b", 5.5, 2.5);
    shows("<text x=\"217.1\" y=\"103.5\" text-anchor=\"start\">b</text>");
    octi_plot_name(&g, "a", 5, 2.5);
    shows("<text x=\"192.0\" y=\"103.5\" text-anchor=\"end\">a</text>");
    octi_plot_name(&g, "a", 5, 2.5); /* again: above */
    shows("<text x=\"197.0\" y=\"92.5\" text-anchor=\"middle\">a</text>");
    octi_plot_name(&g, "twenty-three characters", 1, 1);
    hides("twenty");
    octi_plot_dot(&g, 1, "none", NAN, 1);
    hides("none");
}
END_TEST

START_TEST(small_lines) {
    static const double y[] = {0, 4, 2};
    octi_plot_spark(&page, y, 3);
    shows("d=\"M2.0 14.0L40.0 2.0L78.0 8.0\"/>");
}
END_TEST

/* Two classes: 3 of 5 right, and 1 of 1 wrong. Cells of 128, shades by the row's share. */
START_TEST(heat) {
    static const int64_t count[] = {3, 2, 1, 0};
    static const char *const names[] = {"0", "a name of more than 15 bytes"};
    octi_plot_heat(&page, "key", "caption", count, 2, names);
    shows("<rect class=\"r\" x=\"104.0\" y=\"30.0\" width=\"128.0\" height=\"128.0\" "
          "fill-opacity=\"0.33\" data-row=\"0\" data-column=\"0\" data-count=\"3\"/>");
    shows("<rect class=\"w\" x=\"232.0\" y=\"30.0\" width=\"128.0\" height=\"128.0\" "
          "fill-opacity=\"0.25\" data-row=\"0\" data-column=\"1\" data-count=\"2\"/>");
    shows("<rect class=\"w\" x=\"104.0\" y=\"158.0\" width=\"128.0\" height=\"128.0\" "
          "fill-opacity=\"0.50\" data-row=\"1\" data-column=\"0\" data-count=\"1\"/>");
    shows("<rect class=\"z\"");
    shows("<text x=\"100\" y=\"98.0\" text-anchor=\"end\">0</text>");
    shows("<text x=\"100\" y=\"226.0\" text-anchor=\"end\">a name of more… 1</text>");
}
END_TEST

OCT_TEST_MAIN_WITH("plots_by_hand", setup, teardown, axes_take_what_can_be_drawn, plain_axes,
                   room_around, ticks_have_units, log_axes, bars, channels, names_of_dots,
                   small_lines, heat)
