/* SPDX-License-Identifier: MIT
 * Words of augmentations, and which of them go together. */
#include <string.h>

#include "datasets/set.h"
#include "src/words.h"

static const struct row {
    const char *word;
    uint32_t bit;
} rows[] = {
#define OCT_AUGMENT(value, bit, word) {word, bit},
#include "datasets/augments.def"
};
enum { ROWS = sizeof rows / sizeof *rows };
static const char known[] = "none, crop4, crop8, flip";

const char *oct_augment_name(uint32_t augment) {
    const char *text = "";
    for (int i = 0; i < ROWS; i++)
        if (augment & rows[i].bit) text = octi_fmt("%s%s%s", text, *text ? "," : "", rows[i].word);
    return text;
}

oct_status octi_augment_check(uint32_t augment, const char *where) {
    uint32_t all = 0;
    for (int i = 0; i < ROWS; i++) all |= rows[i].bit;
    const bool crops = augment & OCT_AUGMENT_CROP4 && augment & OCT_AUGMENT_CROP8,
               none = augment & OCT_AUGMENT_NONE && augment != OCT_AUGMENT_NONE;
    if (augment & ~all)
        return octi_fail(OCT_EUSAGE, where, "augment has no such bit", known,
                         octi_fmt("%#x", (unsigned)augment), NULL);
    if (crops || none)
        return octi_fail(OCT_EUSAGE, where, "words that exclude each other",
                         none ? "none alone" : "one of crop4 and crop8", oct_augment_name(augment),
                         NULL);
    return OCT_OK;
}

oct_status oct_augment_from_name(const char *words, uint32_t *augment) {
    uint32_t bits = 0;
    if (!words || !augment) return octi_fail_null("oct_augment_from_name");
    for (const char *at = words; *at;) {
        const size_t n = strcspn(at, ",");
        int k = 0;
        while (k < ROWS && (strlen(rows[k].word) != n || memcmp(rows[k].word, at, n))) k++;
        if (k == ROWS)
            return octi_fail_word(OCT_EUSAGE, "augment", "unknown word", known,
                                  octi_fmt("%.*s", (int)(n < 40 ? n : 40), at), NULL);
        bits |= rows[k].bit;
        at += n + (at[n] == ',');
    }
    OCT_TRY(octi_augment_check(bits, "augment"));
    *augment = bits;
    return OCT_OK;
}
