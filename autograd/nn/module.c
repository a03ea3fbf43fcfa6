/* SPDX-License-Identifier: MIT
 * The module tree. A tensor's first values are keyed by its path from the root, and a path is
 * complete only when the tree is: so tensors are drawn lazily, all at once, when somebody first
 * looks (oct_apply, oct_module_tensors, oct_module_init). */
#include "autograd/nn/module.h"

#include <stdio.h>
#include <string.h>

#include "src/float_mode.h"
#include "src/mem.h"

/* names of tensors and ops behind a path stay below OCTI_MAX_NAME */
enum { MAX_PATH = 401, MAX_DEPTH = 64 };

oct_module *oct_module_new(oct_ctx *ctx, oct_forward_fn forward, void *self) {
    if (!ctx) return NULL;
    if (!forward) {
        octi_fail(OCT_EUSAGE, "module", "no forward function", NULL, NULL, NULL);
        return octi_ctx_failed(ctx), NULL;
    }
    oct_module *m = octi_alloc(ctx, sizeof *m);
    if (!m) return octi_ctx_failed(ctx), NULL;
    m->ctx = ctx;
    m->forward = forward;
    m->self = self;
    return m;
}

oct_module *octi_layer_new(oct_ctx *ctx, oct_forward_fn forward) {
    oct_module *m = oct_module_new(ctx, forward, NULL);
    if (m) m->self = m;
    return m;
}

oct_module *octi_layer_tensor(oct_module *m, const char *name, oct_tensor_role role, octi_init init,
                              int64_t fan_in, oct_shape shape) {
    if (!m) return NULL;
    oct_tensor *t = oct_tensor_new(m->ctx, OCT_F32, shape);
    if (!t) return octi_ctx_failed(m->ctx), NULL;
    m->slots[m->slot_count++] = (octi_slot){name, role, init, fan_in, t};
    return m;
}

oct_var *octi_layer_var(oct_module *m, oct_tape *t, const char *name) {
    for (int i = 0; i < m->slot_count; i++)
        if (!strcmp(m->slots[i].name, name))
            return octi_leaf(
                t, m->slots[i].tensor,
                m->slots[i].role == OCT_ROLE_PARAM ? OCT_VALUE_PARAM : OCT_VALUE_BUFFER, name);
    return NULL;
}

static oct_module *refuse(oct_module *parent, const char *name, const char *what,
                          const char *expected) {
    octi_fail(OCT_EUSAGE, name ? name : "module", what, expected, NULL, NULL);
    octi_ctx_failed(parent->ctx);
    return NULL;
}

/* Bytes of the longest path inside m, from m on; `depth` levels at most. */
static size_t longest_path(const oct_module *m, int depth) {
    size_t most = 0;
    for (int32_t i = 0; i < m->child_count && depth > 0; i++) {
        const size_t n = 1 + strlen(m->children[i]->name) + longest_path(m->children[i], depth - 1);
        most = n > most ? n : most;
    }
    return most;
}

oct_module *oct_module_add(oct_module *parent, const char *name, oct_module *child) {
    if (!parent || !child) return NULL;
    if (!name || !*name || strchr(name, '.'))
        return refuse(parent, name, "bad name of a module", "a word without dots");
    if (strlen(name) >= 128) return refuse(parent, "module", "name too long", "at most 127 bytes");
    if (child->parent)
        return refuse(parent, name, "module has a parent already",
                      "one parent; apply it twice to share it");
    for (const oct_module *up = parent; up; up = up->parent)
        if (up == child) return refuse(parent, name, "module would contain itself", NULL);
    size_t path = strlen(name) + longest_path(child, MAX_DEPTH);
    for (const oct_module *up = parent; up && up->name; up = up->parent)
        path += strlen(up->name) + 1;
    if (path >= MAX_PATH) {
        octi_fail(OCT_ELIMIT, name, "module path is too long",
                  octi_fmt("at most %d bytes", MAX_PATH - 1), octi_fmt("%zu", path),
                  "shorter names");
        return octi_ctx_failed(parent->ctx), NULL;
    }
    for (int32_t i = 0; i < parent->child_count; i++)
        if (!strcmp(parent->children[i]->name, name))
            return refuse(parent, name, "name stands twice in its parent", NULL);
    for (int i = 0; i < parent->slot_count; i++)
        if (!strcmp(parent->slots[i].name, name))
            return refuse(parent, name, "name stands twice in its parent", NULL);
    if (octi_reserve(parent->ctx, (void **)&parent->children, &parent->child_cap,
                     (size_t)parent->child_count + 1, sizeof *parent->children) != OCT_OK)
        return octi_ctx_failed(parent->ctx), NULL;
    child->name = octi_strdup(parent->ctx, name);
    if (!child->name) return octi_ctx_failed(parent->ctx), NULL;
    child->parent = parent;
    parent->children[parent->child_count++] = child;
    return child;
}

oct_ctx *oct_module_ctx(const oct_module *m) { return m ? m->ctx : NULL; }

oct_status octi_module_path(const oct_module *m, char *buf, size_t size) {
    const oct_module *up[MAX_DEPTH];
    int depth = 0;
    for (; m && m->name; m = m->parent) {
        if (depth == MAX_DEPTH)
            return octi_fail(OCT_ELIMIT, m->name, "modules are nested too deeply",
                             "at most 64 levels", NULL, NULL);
        up[depth++] = m;
    }
    size_t used = 0;
    buf[0] = 0;
    while (depth--) {
        int n = snprintf(buf + used, size - used, "%s%s", used ? "." : "", up[depth]->name);
        if (n < 0 || (size_t)n >= size - used)
            return octi_fail(OCT_ELIMIT, up[depth]->name, "module path too long",
                             "at most 400 bytes", NULL, NULL);
        used += (size_t)n;
    }
    return OCT_OK;
}

static const oct_module *root_of(const oct_module *m) {
    while (m->parent) m = m->parent;
    return m;
}

static oct_status draw_one(oct_module *m, oct_init scheme, bool weights_only) {
    char path[MAX_PATH], full[MAX_PATH + 160];
    OCT_TRY(octi_module_path(m, path, sizeof path));
    for (int i = 0; i < m->slot_count; i++) {
        if (weights_only && m->slots[i].init != OCTI_INIT_WEIGHT) continue;
        snprintf(full, sizeof full, "%s%s%s", path, *path ? "." : "", m->slots[i].name);
        OCT_TRY(octi_init_tensor(m->ctx, &m->slots[i], full, scheme));
    }
    m->drawn = true;
    return OCT_OK;
}

static oct_status draw_below(oct_module *m, bool again, oct_init scheme, bool weights_only) {
    if (again || !m->drawn) OCT_TRY(draw_one(m, scheme, weights_only));
    for (int32_t i = 0; i < m->child_count; i++)
        OCT_TRY(draw_below(m->children[i], again, scheme, weights_only));
    return OCT_OK;
}

oct_status octi_module_draw(oct_module *any) {
    return draw_below((oct_module *)root_of(any), false, OCT_INIT_KAIMING_UNIFORM, false);
}

oct_status oct_module_init(oct_module *m, oct_init scheme) {
    OCTI_LAW_MODE();
    if (!m) return octi_fail(OCT_EUSAGE, "module", "no module", NULL, "NULL", NULL);
    OCT_TRY(octi_init_check(scheme));
    OCT_TRY(octi_module_draw(m));
    return draw_below(m, true, scheme, true);
}

/* A constructor failed before: its code, and its record where that still is the thread's last. */
static oct_var *no_module(oct_tape *t) {
    oct_status first = oct_ctx_status(octi_tape_ctx(t));
    if (first == OCT_OK || oct_last_error()->code != first)
        octi_fail(first == OCT_OK ? OCT_EUSAGE : first, "oct_apply", "module is NULL", NULL, NULL,
                  first == OCT_OK ? NULL : "its constructor failed");
    return octi_tape_failed(t);
}

oct_var *oct_apply(oct_module *m, oct_var *x) {
    if (!x) return NULL;
    oct_tape *t = oct_var_tape(x);
    if (!m) return no_module(t);
    if (!m->drawn && octi_module_draw(m) != OCT_OK) return octi_tape_failed(t);
    /* Names come from the tree, not from the calls: a forward function that applies a grandchild
     * still gets its full path. */
    const oct_module *up[MAX_DEPTH];
    int depth = 0;
    for (const oct_module *a = m; a->name && !(a != m && a->active); a = a->parent) {
        if (depth == MAX_DEPTH) {
            octi_fail(OCT_ELIMIT, a->name, "modules are nested too deeply", "at most 64 levels",
                      NULL, NULL);
            return octi_tape_failed(t);
        }
        up[depth++] = a;
    }
    for (int i = depth; i-- > 0;) octi_scope_push(t, up[i]->name);
    m->active++;
    m->applied = true;
    oct_var *y = m->forward(m->self, t, x);
    m->active--;
    for (int i = 0; i < depth; i++) octi_scope_pop(t);
    return y;
}

static int32_t count_tensors(const oct_module *m) {
    int32_t n = m->slot_count;
    for (int32_t i = 0; i < m->child_count; i++) n += count_tensors(m->children[i]);
    return n;
}

static oct_status list_below(oct_module *top, const oct_module *m, size_t skip) {
    char path[MAX_PATH];
    OCT_TRY(octi_module_path(m, path, sizeof path));
    const char *rel = path + (strlen(path) > skip ? skip : strlen(path));
    for (int i = 0; i < m->slot_count; i++) {
        char *name = octi_asprintf(m->ctx, "%s%s%s", rel, *rel ? "." : "", m->slots[i].name);
        if (!name) return oct_last_error()->code;
        top->list[top->list_count++] =
            (oct_named_tensor){name, m->slots[i].role, m->slots[i].tensor};
    }
    for (int32_t i = 0; i < m->child_count; i++) OCT_TRY(list_below(top, m->children[i], skip));
    return OCT_OK;
}

const oct_named_tensor *oct_module_tensors(oct_module *m, int32_t *count) {
    if (count) *count = 0;
    if (!m) return NULL;
    if (octi_module_draw(m) != OCT_OK) return octi_ctx_failed(m->ctx), NULL;
    int32_t n = count_tensors(m);
    /* grown since; names of the old list stay with the context */
    if (!m->list || m->list_count != n) {
        octi_free(m->ctx, m->list);
        m->list_count = 0;
        m->list = octi_calloc(m->ctx, (size_t)n + 1, sizeof *m->list);
        char path[MAX_PATH];
        if (!m->list || octi_module_path(m, path, sizeof path) != OCT_OK ||
            list_below(m, m, *path ? strlen(path) + 1 : 0) != OCT_OK) {
            octi_free(m->ctx, m->list);
            m->list = NULL;
            m->list_count = 0;
            return octi_ctx_failed(m->ctx), NULL;
        }
    }
    if (count) *count = n;
    return m->list;
}

oct_tensor *oct_module_tensor(oct_module *m, const char *path) {
    int32_t n;
    const oct_named_tensor *list = oct_module_tensors(m, &n);
    for (int32_t i = 0; list && path && i < n; i++)
        if (!strcmp(list[i].name, path)) return list[i].tensor;
    return NULL;
}
