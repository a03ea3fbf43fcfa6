/* SPDX-License-Identifier: MIT
 * ONNX in: names. octet's are paths of modules, as PyTorch's: `layer1.0.conv1`. A weight's name
 * says it best; PyTorch's newer exporter notes the scopes of a node, its older one writes them into
 * the node's name: /layer1/layer1.0/conv1/Conv. */
#include <stdio.h>
#include <string.h>

#include "qat/io/onnx_in.h"
#include "src/mem.h"

enum { MOST = 200 }; /* bytes of a path */

/* What a name may be made of, so that it can stand in a pattern, a file and a terminal. */
static void clean(char *s) {
    for (; *s; s++) {
        const bool fine = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
                          (*s >= '0' && *s <= '9') || *s == '.' || *s == '_' || *s == '-';
        if (!fine) *s = '_';
    }
}

/* Append a scope: one that begins with the last one goes on from it (layer1, then layer1.0). */
typedef struct path {
    char text[MOST + 1];
    size_t last; /* where the last scope begins */
} path;

static void push(path *p, const char *scope, size_t n) {
    const size_t used = strlen(p->text), tail = used - p->last;
    if (!n) return;
    const bool goes_on =
        tail && n > tail && scope[tail] == '.' && !strncmp(scope, p->text + p->last, tail);
    const size_t at = goes_on ? p->last : used ? used + 1 : 0;
    if (at + n > MOST) return;
    if (at && !goes_on) p->text[used] = '.';
    memcpy(p->text + at, scope, n);
    p->text[at + n] = 0;
    p->last = at;
}

static const char *metadata(const octi_onnx_proto *p, const char *key) {
    for (size_t i = 0; i < p->n_metadata_props; i++)
        if (p->metadata_props[i]->key && !strcmp(p->metadata_props[i]->key, key))
            return p->metadata_props[i]->value;
    return NULL;
}

/* The scopes that the newer exporter notes: ['', 'layer1', 'layer1.0', 'layer1.0.conv1', 'conv2d'];
 * the last word is the op's, the one in front of it the path. */
static bool noted(const octi_onnx_proto *p, char to[MOST + 1]) {
    const char *s = metadata(p, "pkg.torch.onnx.name_scopes");
    char word[2][MOST + 1] = {"", ""};
    int count = 0;
    while (s && (s = strchr(s, '\''))) {
        const char *end = strchr(++s, '\'');
        if (!end) return false;
        memcpy(word[0], word[1], sizeof word[0]);
        snprintf(word[1], sizeof word[1], "%.*s", end - s < MOST ? (int)(end - s) : MOST, s);
        count++;
        s = end + 1;
    }
    if (count < 2) return false;
    memcpy(to, word[0], MOST + 1);
    return true;
}

/* The scopes in a node's name, without the op behind them. */
static bool in_name(const octi_onnx_proto *p, char to[MOST + 1]) {
    path q = {.last = 0};
    const char *s = p->name;
    if (!s || *s != '/') return false;
    while (*s == '/') {
        const char *end = strchr(++s, '/');
        if (!end) break;
        push(&q, s, (size_t)(end - s));
        s = end;
    }
    memcpy(to, q.text, MOST + 1);
    return true;
}

static bool scope_of(const octi_onnx_proto *p, char to[MOST + 1]) {
    if (!noted(p, to) && !in_name(p, to)) return false;
    clean(to);
    return true;
}

/* ---- scopes: is one a module with a single op? ---- */

typedef struct octi_onnx_scope {
    const char *name, *op;
    bool mixed; /* several ops, or scopes inside */
    struct octi_onnx_scope *next;
} scope;
enum { BUCKETS = 1024 };

static scope **bucket(const octi_onnx *o, const char *name) {
    size_t h = 5381;
    for (const char *s = name; *s; s++) h = h * 33 + (uint8_t)*s;
    return &o->scopes[h % BUCKETS];
}

static scope *find_scope(const octi_onnx *o, const char *name) {
    for (scope *s = *bucket(o, name); s; s = s->next)
        if (!strcmp(s->name, name)) return s;
    return NULL;
}

static oct_status note_scope(octi_onnx *o, const char *name, const char *op) {
    scope *s = find_scope(o, name);
    if (s) {
        s->mixed |= !op || !s->op || strcmp(s->op, op) != 0;
        return OCT_OK;
    }
    if (!(s = octi_arena_alloc(o->arena, sizeof *s))) return oct_last_error()->code;
    *s = (scope){.name = octi_arena_strdup(o->arena, name),
                 .op = op,
                 .mixed = !op,
                 .next = *bucket(o, name)};
    *bucket(o, name) = s;
    return s->name ? OCT_OK : oct_last_error()->code;
}

oct_status octi_onnx_scan_scopes(octi_onnx *o) {
    char name[MOST + 1];
    if (!(o->scopes = octi_arena_calloc(o->arena, BUCKETS, sizeof(scope *))))
        return oct_last_error()->code;
    for (size_t i = 0; i < o->graph->n_node; i++) {
        const octi_onnx_proto *p = o->graph->node[i];
        /* what exporters leave behind is no op of a module */
        const octi_onnx_row *row = octi_onnx_row_of(p->op_type);
        if (!row || row->read == octi_onnx_read_none || !scope_of(p, name)) continue;
        OCT_TRY(note_scope(o, name, p->op_type));
        for (char *dot = strrchr(name, '.'); dot; dot = strrchr(name, '.')) {
            *dot = 0;
            OCT_TRY(note_scope(o, name, NULL));
        }
    }
    return OCT_OK;
}

/* ---- a node's path ---- */

/* "layer1.0.conv1" of "layer1.0.conv1.weight"; of a weight's codes, whose name a quantizer may have
 * made longer. */
static bool of_weight(const octi_onnx_node *n, char to[MOST + 1]) {
    if (!octi_onnx_has(n, 1)) return false;
    const octi_onnx_proto *p = n->in[1]->maker < 0 ? NULL : n->o->graph->node[n->in[1]->maker];
    const char *name =
                   octi_onnx_is(p, "DequantizeLinear") && p->n_input ? p->input[0] : n->in[1]->name,
               *dot = strrchr(name, '.');
    if (!dot || dot == name || dot - name > MOST ||
        (strcmp(dot, ".weight") && strcmp(dot, ".weight_quantized")))
        return false;
    snprintf(to, MOST + 1, "%.*s", (int)(dot - name), name);
    return true;
}

static bool has_weights(const octi_onnx_node *n) {
    static const char *const ops[] = {"Conv", "Gemm", "MatMul", "BatchNormalization"};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (octi_onnx_is(n->p, ops[i])) return true;
    return false;
}

static void lower(char *s) {
    for (; *s; s++)
        if (*s >= 'A' && *s <= 'Z') *s = (char)(*s - 'A' + 'a');
}

oct_status octi_onnx_path_of(octi_onnx_node *n) {
    char to[MOST + 1] = "", op[40];
    const bool weights = has_weights(n);
    snprintf(op, sizeof op, "%s", n->p->op_type);
    clean(op);
    lower(op);
    if (weights && of_weight(n, to))
        clean(to);
    else if (scope_of(n->p, to)) {
        const scope *s = find_scope(n->o, to);
        if (!*to || (!weights && (!s || s->mixed))) { /* a nameless op of that scope */
            const size_t used = strlen(to);
            snprintf(to + used, sizeof to - used, "%s%s", used && used < MOST ? "." : "", op);
        }
    } else if (n->p->name && *n->p->name) {
        snprintf(to, sizeof to, "%s", n->p->name);
        clean(to);
    } else
        snprintf(to, sizeof to, "%s", op);
    return (n->path = octi_arena_strdup(n->o->arena, to)) ? OCT_OK : oct_last_error()->code;
}
