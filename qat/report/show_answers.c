/* SPDX-License-Identifier: MIT
 * Which classes are taken for which, and the images of it. */
#include <stdio.h>
#include <stdlib.h>

#include "qat/report/show.h"
#include "src/mem.h"

enum { HEAT_MOST = 50, PAIRS = 10 };

static const char *class_name(const octi_model *m, int32_t c) {
    return c >= 0 && c < m->name_count ? m->names[c].value : "?";
}

static void heat(const octi_show *s) {
    const octi_model *m = s->m;
    const char *names[HEAT_MOST];
    if (m->classes > HEAT_MOST) return;
    for (int32_t i = 0; i < m->classes; i++) names[i] = class_name(m, i);
    octi_plot_heat(s->p, "confusion", "Confusion matrix", m->confusion, m->classes, names);
}

/* The largest counts beside the diagonal. */
static void pairs(const octi_show *s) {
    const octi_model *m = s->m;
    int32_t at[PAIRS][2];
    int n = 0;
    for (int32_t i = 0; i < m->classes; i++)
        for (int32_t k = 0; k < m->classes; k++) {
            const int64_t c = m->confusion[(int64_t)i * m->classes + k];
            if (i == k || !c) continue;
            int to = n;
            while (to && m->confusion[(int64_t)at[to - 1][0] * m->classes + at[to - 1][1]] < c)
                to--;
            if (to >= PAIRS) continue;
            if (n < PAIRS) n++;
            for (int j = n - 1; j > to; j--) at[j][0] = at[j - 1][0], at[j][1] = at[j - 1][1];
            at[to][0] = i;
            at[to][1] = k;
        }
    if (!n) return;
    octi_page_raw(s->p,
                  "<figure><figcaption>Most often taken for another</figcaption><table><thead>"
                  "<tr><th>true</th><th>said</th><th class=\"n\">images</th></tr></thead>"
                  "<tbody>\n");
    for (int i = 0; i < n; i++)
        octi_page_put(s->p, "<tr><td>%s</td><td>%s</td><td class=\"n\">%lld</td></tr>\n",
                      class_name(m, at[i][0]), class_name(m, at[i][1]),
                      (long long)m->confusion[(int64_t)at[i][0] * m->classes + at[i][1]]);
    octi_page_raw(s->p, "</tbody></table></figure>\n");
}

static void pictures(const octi_show *s, const char *key, const octi_picture *list, int32_t n,
                     bool both) {
    octi_page *p = s->p;
    const octi_model *m = s->m;
    if (n > s->detail->pictures) n = s->detail->pictures;
    octi_page_put(p, "<ul class=\"pictures\" data-pictures=\"%s\">\n", key);
    for (int32_t i = 0; i < n; i++) {
        const octi_picture *x = &list[i];
        char text[40];
        snprintf(text, sizeof text, "image %lld", (long long)x->index);
        octi_page_put(p, "<li data-index=\"%lld\" data-said=\"%d\" data-label=\"%d\">",
                      (long long)x->index, x->own.said, x->own.label);
        octi_page_image(p, x->pixels, x->width, x->height, x->channels, text);
        octi_page_put(p, "is %s<br>%s: %s, %.0f %%", class_name(m, x->own.label), m->word,
                      class_name(m, x->own.said), 100 * (double)x->own.sure);
        if (both)
            octi_page_put(p, "<br>float: %s, %.0f %%", class_name(m, x->real.said),
                          100 * (double)x->real.sure);
        octi_page_put(p, "<br><span class=\"note\">%s</span></li>\n", text);
    }
    octi_page_raw(p, "</ul>\n");
}

void octi_show_answers(const octi_show *s) {
    octi_page *p = s->p;
    const octi_model *m = s->m;
    const bool both = m->float_answers.n > 0;
    octi_page_raw(p, "<div class=\"plots\">\n");
    heat(s);
    pairs(s);
    octi_page_raw(p, "</div>\n");
    const int32_t most = s->detail->pictures, worsts = m->worsts < most ? m->worsts : most,
                  differings = m->differings < most ? m->differings : most;
    if (worsts) {
        octi_page_put(p,
                      "<h3>The %d worst answers</h3><p class=\"note\">Wrong ones by their loss; "
                      "per cent: how sure the net is of what it says.</p>\n",
                      worsts);
        pictures(s, "worst", m->worst, m->worsts, both);
    }
    if (!both) return;
    octi_page_put(p,
                  "<h3>Where float and %s differ</h3><p data-differing=\"%lld\">%lld of %lld "
                  "images; on %lld of them %s is right, on %lld float is.",
                  m->word, (long long)m->apart.all, (long long)m->apart.all,
                  (long long)m->answers.n, (long long)m->apart.own_right, m->word,
                  (long long)m->apart.float_right);
    if (m->apart.all > differings)
        octi_page_put(p, " The %d on which both are surest:", differings);
    octi_page_raw(p, "</p>\n");
    if (m->differings) pictures(s, "differing", m->differing, m->differings, true);
}
