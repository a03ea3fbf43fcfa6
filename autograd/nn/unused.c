/* SPDX-License-Identifier: MIT
 * Modules that a forward function has and does not use: their weights would be in no net, and
 * nothing would say so. */
#include "autograd/nn/module.h"
#include "src/mem.h"

void octi_modules_begin(oct_module *m) {
    m->applied = false;
    for (int32_t i = 0; i < m->child_count; i++) octi_modules_begin(m->children[i]);
}

static bool in_net(const oct_module *m, const oct_net *net) {
    for (int i = 0; i < m->slot_count; i++)
        for (int32_t k = 0; k < net->tensor_count; k++)
            if (net->tensors[k].tensor == m->slots[i].tensor) return true;
    return false;
}

/* Itself or one inside: a list of modules is none that is applied; and weights may be used by
 * functions. */
static bool used(const oct_module *m, const oct_net *net) {
    if (m->applied || in_net(m, net)) return true;
    for (int32_t i = 0; i < m->child_count; i++)
        if (used(m->children[i], net)) return true;
    return false;
}

static void warn(const oct_module *m, const char *what) {
    char path[OCTI_MAX_NAME + 1];
    if (octi_module_path(m, path, sizeof path) != OCT_OK || !*path) return;
    octi_log(m->ctx, OCT_LOG_WARN, "%s: %s: it is not part of the captured net", path, what);
}

void octi_modules_warn(const oct_module *m, const oct_net *net) {
    if (!used(m, net)) {
        warn(m, "a module that the forward function never applies");
        return;
    }
    if (m->applied && m->slot_count && !in_net(m, net))
        warn(m, "the forward function applies it, and does not use what it gives");
    for (int32_t i = 0; i < m->child_count; i++) octi_modules_warn(m->children[i], net);
}
