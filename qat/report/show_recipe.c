/* SPDX-License-Identifier: MIT
 * How a model was made, and the commands that make it again. */
#include <string.h>

#include "qat/report/show.h"

/* A word for a shell: quoted where it must be. */
static void shell_word(octi_page *p, const char *s) {
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+/:,=@%";
    if (*s && !s[strspn(s, plain)]) {
        octi_page_put(p, "%s", s);
        return;
    }
    octi_page_put(p, "%s", "'");
    for (char part[256]; *s;) { /* in pieces that end at characters, so that these stay whole */
        size_t n = strcspn(s, "'");
        if (n > sizeof part - 1) n = sizeof part - 1;
        while (n && n == sizeof part - 1 && ((unsigned char)s[n] & 0xc0) == 0x80) n--;
        memcpy(part, s, n);
        part[n] = 0;
        octi_page_put(p, "%s", part);
        s += n;
        if (*s == '\'') {
            octi_page_put(p, "%s", "'\\''");
            s++;
        }
    }
    octi_page_put(p, "%s", "'");
}

static bool is_operand(const char *key) { return !strncmp(key, "operand", 7); }

static void command(octi_page *p, const octi_recipe *c) {
    octi_page_put(p, "octet %s", c->name);
    for (int32_t i = 0; i < c->options; i++) {
        if (!is_operand(c->option[i].key)) continue;
        octi_page_raw(p, " ");
        shell_word(p, c->option[i].value);
    }
    for (int32_t i = 0; i < c->options; i++) {
        const char *key = c->option[i].key, *v = c->option[i].value;
        if (is_operand(key) || !strcmp(key, "name")) continue;
        octi_page_put(p, " --%s", key);
        if (!strcmp(v, "true")) continue;
        octi_page_raw(p, " ");
        shell_word(p, v);
    }
    for (int32_t i = 0; i < c->fits; i++)
        if (!strcmp(c->fit[i].key, "epochs") && !octi_recipe_option(c, "epochs"))
            octi_page_put(p, " --epochs %s", c->fit[i].value);
    if (*c->seed && !octi_recipe_option(c, "seed")) octi_page_put(p, " --seed %s", c->seed);
    octi_page_raw(p, " --out ");
    shell_word(p, c->run);
    octi_page_raw(p, "\n");
}

static void pairs(octi_page *p, const char *what, const octi_pair *list, int32_t n) {
    for (int32_t i = 0; i < n; i++)
        octi_page_put(p,
                      "<tr><td>%s</td><td>%s</td><td data-recipe=\"%s\" data-value=\"%s\">%s</td>"
                      "</tr>\n",
                      what, list[i].key, list[i].key, list[i].value, list[i].value);
}

void octi_show_recipe(const octi_show *s) {
    octi_page *p = s->p;
    const octi_model *m = s->m;
    octi_page_raw(p, "<pre data-commands>");
    for (int32_t i = 0; i < m->recipes; i++)
        if (*m->recipe[i].name)
            command(p, &m->recipe[i]);
        else
            octi_page_put(p, "# %s: made by a program of its own\n", m->recipe[i].run);
    if (m->net && m->net->stage == OCT_STAGE_PREPARED) {
        octi_page_raw(p, "octet convert ");
        shell_word(p, m->path);
        octi_page_raw(p, " --out model.oct8\n");
    }
    octi_page_raw(p, "octet report ");
    shell_word(p, m->path);
    octi_page_raw(p, " --out report.html</pre>\n");
    const octi_recipe *c = &m->recipe[m->recipes - 1];
    octi_page_put(p,
                  "<p>octet %s, instruction set %s, seed %s. Same seed, same bits, for any number "
                  "of threads; float results may differ between instruction sets.</p>\n",
                  c->version, c->isa, c->seed);
    octi_page_raw(p, "<div class=\"wide\"><table><thead><tr><th>of</th><th>option</th>"
                     "<th>value</th></tr></thead><tbody>\n");
    pairs(p, "command", c->option, c->options);
    pairs(p, "training", c->fit, c->fits);
    octi_page_raw(p, "</tbody></table></div>\n");
}
