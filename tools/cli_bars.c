/* SPDX-License-Identifier: MIT
 * Bars and sparklines of plain text. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tools/cli.h"

enum { BYTES = 1024, MARKS = 8 };

static char *room(void) {
    static char text[3][BYTES];
    static int turn;
    return text[turn++ % 3];
}

/* What the locale says of texts, as setlocale would look for it. */
static bool utf8(void) {
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (int i = 0; i < 3; i++) {
        const char *v = getenv(names[i]);
        if (!v || !*v) continue;
        const char *dot = strchr(v, '.');
        return dot && (!strncasecmp(dot + 1, "UTF-8", 5) || !strncasecmp(dot + 1, "UTF8", 4));
    }
    return false;
}

const char *cli_bar_text(double share, int width) {
    static const char *const part[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    const double s = share > 0 ? fmin(share, 1) : 0;
    const bool fine = utf8();
    const int eighths = (int)lrint(s * width * MARKS),
              full = fine ? eighths / MARKS : (int)lrint(s * width);
    char *text = room();
    *text = 0;
    int places = 0;
    for (; places < full && strlen(text) + 8 < BYTES; places++) strcat(text, fine ? "█" : "#");
    if (fine && eighths % MARKS) strcat(text, part[eighths % MARKS]), places++;
    for (; places < width && strlen(text) + 8 < BYTES; places++) strcat(text, " ");
    return text;
}

const char *cli_spark_text(const double *v, int n) {
    static const char *const fine[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const plain[] = {"_", ".", "-", "~", "=", "+", "*", "#"};
    const char *const *mark = utf8() ? fine : plain;
    double lo = INFINITY, hi = -INFINITY;
    for (int i = 0; i < n; i++)
        if (isfinite(v[i])) lo = fmin(lo, v[i]), hi = fmax(hi, v[i]);
    char *text = room();
    *text = 0;
    for (int i = 0; i < n && strlen(text) + 8 < BYTES; i++) {
        const double at = hi > lo ? (v[i] - lo) / (hi - lo) * (MARKS - 1) : MARKS - 1;
        strcat(text, isfinite(v[i]) ? mark[(int)lrint(at)] : " ");
    }
    return text;
}
