/* SPDX-License-Identifier: MIT
 * The nearest known word: edit distance, and the message that names it. */
#include "src/words.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { WORD_MOST = 64 };

static int least(int a, int b) { return a < b ? a : b; }

static bool same(char a, char b) { return tolower((unsigned char)a) == tolower((unsigned char)b); }

/* Edits between two words, a swap of neighbours being one (optimal string alignment). */
static int edits(const char *a, int n, const char *b, int m) {
    int row[3][WORD_MOST + 1], *before = row[0], *last = row[1], *now = row[2];
    for (int k = 0; k <= m; k++) last[k] = k;
    for (int i = 1; i <= n; i++) {
        now[0] = i;
        for (int k = 1; k <= m; k++) {
            now[k] = least(least(last[k], now[k - 1]) + 1, last[k - 1] + !same(a[i - 1], b[k - 1]));
            if (i > 1 && k > 1 && same(a[i - 1], b[k - 2]) && same(a[i - 2], b[k - 1]))
                now[k] = least(now[k], before[k - 2] + 1);
        }
        int *free_row = before;
        before = last, last = now, now = free_row;
    }
    return last[m];
}

/* Edits of `word` to a known one, or a number too large: a third of the letters may be wrong; three
 * letters may stand for the word that they begin. */
static int distance(const char *word, int n, const char *k, int m) {
    if (n < 1 || m < 1 || n > WORD_MOST || m > WORD_MOST) return OCTI_FAR + 1;
    int d = edits(word, n, k, m), most = least(n, m) < 3 ? 1 : (n > m ? n : m) / 3;
    if (d <= most && d < n) return d;
    return n >= 3 && n < m && edits(word, n, k, n) == 0 ? WORD_MOST : OCTI_FAR + 1;
}

int octi_word_distance(const char *word, const char *known) {
    return distance(word, (int)strlen(word), known, (int)strlen(known));
}

const char *oct_nearest_word(const char *word, const char *known) {
    if (!word || !known) return NULL;
    const char *best = NULL;
    int best_edits = WORD_MOST + 1, best_size = 0;
    const int n = (int)strcspn(word, ":");
    for (const char *p = known; *p;) {
        int size = (int)strcspn(p, ", \t\n");
        int d = distance(word, n, p, (int)strcspn(p, ":, \t\n"));
        bool joint = (size == 2 && !strncmp(p, "or", 2)) || (size == 3 && !strncmp(p, "and", 3));
        if (d < best_edits && !joint) best = p, best_edits = d, best_size = size;
        p += size;
        p += strspn(p, ", \t\n");
    }
    return best ? octi_fmt("%.*s", best_size, best) : NULL;
}

oct_status octi_fail_word(oct_status code, const char *where, const char *what, const char *known,
                          const char *got, const char *hint) {
    const char *near = oct_nearest_word(got, known);
    return octi_fail(code, where, what, known, got,
                     near ? octi_fmt("did you mean %s?", near) : hint);
}

oct_status octi_fail_null(const char *where) {
    oct_status before = oct_last_error()->code;
    return before != OCT_OK ? before
                            : octi_fail(OCT_EUSAGE, where, "an argument is NULL", NULL, NULL, NULL);
}

/* ---- words of enums ---- */

const char *octi_word_of(const octi_words *w, int value) {
    const bool has = value >= 0 && value < w->count && w->word[value];
    return has ? w->word[value] : "";
}

int octi_word_value(const octi_words *w, const char *word) {
    int v = w->count - 1;
    while (v >= 0 && (!w->word[v] || strcmp(w->word[v], word))) v--;
    return v;
}

const char *octi_words_known(const octi_words *w) {
    char list[512] = "";
    int last = w->count - 1, first = 0;
    while (first < last && !w->word[first]) first++;
    for (int i = first; i <= last; i++) {
        const char *join = i == first ? "" : i == last ? " or " : ", ";
        const size_t at = strlen(list);
        if (w->word[i]) snprintf(list + at, sizeof list - at, "%s%s", join, w->word[i]);
    }
    return octi_fmt("%s", list);
}

oct_status octi_word_find(const octi_words *w, oct_status code, const char *where, const char *word,
                          int *v) {
    const int value = octi_word_value(w, word);
    if (value < 0)
        return octi_fail_word(code, where, octi_fmt("unknown %s", w->what), octi_words_known(w),
                              word, NULL);
    *v = value;
    return OCT_OK;
}

oct_status octi_word_check(const octi_words *w, const char *where, int value) {
    if (value >= 0 && value < w->count && (!value || w->word[value])) return OCT_OK;
    return octi_fail(OCT_EUSAGE, where, octi_fmt("%s has no such value", w->what),
                     octi_words_known(w), octi_fmt("%d", value), NULL);
}

static const char *const switches[] = {NULL, "yes", "no"};
const octi_words octi_switch_words = OCTI_WORDS("switch", switches);
OCTI_WORD_PAIR(oct_switch, octi_switch_words)
