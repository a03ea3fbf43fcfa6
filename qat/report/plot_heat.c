/* SPDX-License-Identifier: MIT
 * Heat maps of counts. */
#include <stdio.h>
#include <string.h>

#include "qat/report/plot.h"

enum { WIDTH = 360, LEFT = 104, TOP = 30, NUMBERS_MOST = 12, NAMES_MOST = 26, NAME_BYTES = 15 };

/* The beginning of a name, whole characters of it. */
static void cut(const char *name, char *to) {
    size_t n = strlen(name);
    const bool whole = n <= NAME_BYTES;
    if (!whole) n = NAME_BYTES - 1;
    while (!whole && n && ((unsigned char)name[n] & 0xc0) == 0x80) n--;
    memcpy(to, name, n);
    strcpy(to + n, whole ? "" : "…");
}

void octi_plot_heat(octi_page *p, const char *key, const char *caption, const int64_t *count,
                    int32_t n, const char *const *names) {
    const double side = (double)(WIDTH - LEFT) / n;
    const int height = TOP + (WIDTH - LEFT);
    octi_page_put(
        p,
        "<figure data-plot=\"%s\"><figcaption>%s</figcaption><ul class=\"legend heat\">"
        "<li><svg viewBox=\"0 0 22 9\" aria-hidden=\"true\"><rect class=\"r\" width=\"22\""
        " height=\"9\" fill-opacity=\"0.5\"/></svg>right</li>"
        "<li><svg viewBox=\"0 0 22 9\" aria-hidden=\"true\"><rect class=\"w\" width=\"22\""
        " height=\"9\" fill-opacity=\"0.5\"/></svg>wrong; the fuller, the larger the "
        "share of its row</li></ul><svg class=\"heat\" viewBox=\"0 0 %d %d\" role=\"img\""
        " xmlns=\"http://www.w3.org/2000/svg\"><title>%s</title><text class=\"unit\" "
        "x=\"2\" y=\"11\">true class</text><text class=\"unit\" x=\"%d\" y=\"11\" "
        "text-anchor=\"end\">said (number of the row)</text>\n",
        key, caption, WIDTH, height, caption, WIDTH);
    const int by = n / NAMES_MOST + 1; /* names that have room */
    for (int32_t i = 0; i < n; i++) {
        char name[NAME_BYTES + 4];
        int64_t sum = 0;
        for (int32_t k = 0; k < n; k++) sum += count[(int64_t)i * n + k];
        char number[12];
        cut(names[i], name);
        snprintf(number, sizeof number, "%d", i);
        if (i % by == 0)
            octi_page_put(p,
                          "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s%s%s</text><text "
                          "x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%d</text>",
                          LEFT - 4, TOP + side * (i + 0.5) + 4, name,
                          strcmp(name, number) ? " " : "", strcmp(name, number) ? number : "",
                          LEFT + side * (i + 0.5), TOP - 4, i);
        for (int32_t k = 0; k < n; k++) {
            const int64_t c = count[(int64_t)i * n + k];
            const double share = sum ? (double)c / (double)sum : 0;
            if (!c && n > NUMBERS_MOST) continue; /* an empty cell says so by itself */
            octi_page_put(p,
                          "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\""
                          " fill-opacity=\"%.2f\" data-row=\"%d\" data-column=\"%d\" "
                          "data-count=\"%lld\"/>",
                          !c       ? "z"
                          : i == k ? "r"
                                   : "w",
                          LEFT + side * k, TOP + side * i, side, side, c ? 0.08 + 0.42 * share : 0,
                          i, k, (long long)c);
            if (c && n <= NUMBERS_MOST)
                octi_page_put(p, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%lld</text>",
                              LEFT + side * (k + 0.5), TOP + side * (i + 0.5) + 4, (long long)c);
        }
        octi_page_raw(p, "\n");
    }
    octi_page_raw(p, "</svg></figure>\n");
}
