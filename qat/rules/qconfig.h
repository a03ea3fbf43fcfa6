/* SPDX-License-Identifier: MIT
 * qat/rules/qconfig.h - what to quantize to, layer by layer: rules on top of oct_qconfig, from C,
 * text or a file.
 *
 *     oct_qconfig c = {.target = "octet"};
 *     oct_qconfig_parse(ctx, "layer1.*:wbits=4,observer=mse,fc3:float", &c);    // as --set of the
 *     command
 *     oct_net *q = oct_prepare(net, &c);
 *
 * Weakest first: preset of the target; the fields of oct_qconfig and global rules; rules for a
 * kind; for a pattern; for a name. Inside one level the last rule wins; each key by itself.
 *
 * Names are module paths, as reports print them. A fused node has its first module's name (conv1
 * stands for conv1, bn1 and the relu behind). A name means what is below it too: layer1 is
 * layer1.0.conv1 and all the rest. The input is "input". Values that share a grid (cat and its
 * members, pools, flatten) take the rules of the first of them; that one makes the grid. Whether a
 * layer stays float, and its weights, are its own. With fewer bits the first and the last int8
 * layer with weights, and values at borders with floats, keep 8, unless a pattern or a name says
 * otherwise. */
#ifndef OCT_QAT_RULES_QCONFIG_H
#define OCT_QAT_RULES_QCONFIG_H

#include "../../src/context.h"

OCT_BEGIN_DECLS

typedef enum oct_qscope {
    OCT_QSCOPE_GLOBAL,
    OCT_QSCOPE_KIND,
    OCT_QSCOPE_PATTERN,
    OCT_QSCOPE_NAME
} oct_qscope;

/** A row of qconfig_keys.def each; 0 and NULL: as weaker rules have it. */
typedef struct oct_qsettings {
#define OCT_QKEY_INT                                                   int
#define OCT_QKEY_REAL                                                  float
#define OCT_QKEY_TEXT                                                  const char *
#define OCT_QKEY(key, field, type, lowest, highest, words, part, what) OCT_QKEY_##type field;
#include "qconfig_keys.def"
#undef OCT_QKEY_INT
#undef OCT_QKEY_REAL
#undef OCT_QKEY_TEXT
} oct_qsettings;

typedef struct oct_qrule {
    oct_qscope scope;
    const char *of; /* kind ("conv2d"), pattern (fnmatch: * ? [abc]), name; unused for global */
    oct_qsettings set;
} oct_qrule;

/** What to quantize to. Zero is the default everywhere. */
typedef struct oct_qconfig {
    const char *target; /* NULL: "octet"; presets of qat/net/targets.def */
    /* activations; NULL: "ema". Those of qat/observe/observers.def, or registered (observer.h).
     * The net's input takes "minmax" in place of one that searches, unless a rule names it
     * ("input*:observer=mse") */
    const char *observer;
    /* 0: 8; 2 to 8. First and last weighted layer, input and output stay at 8 */
    int wbits, abits;
    bool all_layers; /* the first and last layer too */
    float ema;       /* share of the new batch; 0: 0.01 */
    /* how scales move in training; NULL: by the observer. "lsq", "lsq+", "pact": by gradients */
    const char *method;
    /* straight-through mask; NULL: "rounded" (the code lies in range), learned scales "strict" (the
     * value lies strictly inside) */
    const char *ste;
    /* "percentile": share of the values that stays inside, in per cent; 0: 99.99 */
    float percentile;
    /* NULL: as the target has it. All of these, and the ones above but target and all_layers, per
     * layer by rules */
    const char *granularity; /* of weight scales: "channel", "tensor" */
    /* of weights without learned steps: "minmax", "mse" (each step searches: slower) */
    const char *weight_observer;
    /* "narrow": +-127 at 8 bits; "full": -128 to 127, scales of 127.5 steps as in PyTorch */
    const char *weight_qmin;
    const char *symmetric, *reduce_range; /* activations: "yes", "no" */
    const char *stay_float;               /* "yes": every layer of which no rule says otherwise */
    const oct_qrule *rules;               /* above */
    int32_t rule_count;
} oct_qconfig;
OCT_API void oct_qconfig_init(oct_qconfig *opts);

/** Append one rule to config->rules (memory of the context, until oct_close; the old array is left
 *  alone; texts stay the caller's). It is judged by oct_prepare. */
OCT_API OCT_NODISCARD oct_status oct_qconfig_add(oct_ctx *ctx, const oct_qrule *rule,
                                                 oct_qconfig *config);
/** Append the rules of a text to config->rules (memory of the context, until oct_close; the old
 *array is left alone):
 *
 *     RULE,RULE...     RULE: WHERE:KEY=VALUE,KEY=VALUE...
 *     WHERE: global, kind=conv2d, pattern=P, name=N; or bare: a pattern where it has * ? or [, else
 *     a name
 *
 *  "fc3:float" is "fc3:float=yes". OCT_EUSAGE naming the piece that is wrong; config is left alone
 *  then. */
OCT_API OCT_NODISCARD oct_status oct_qconfig_parse(oct_ctx *ctx, const char *text,
                                                   oct_qconfig *config);
/** The same from a JSON file: settings, a target (taken where config has none), and rules in their
 *  order, each with "kind", "pattern", "name", or none of them:
 *
 *     {"target": "octet", "abits": 8, "rules": [{"kind": "conv2d", "wbits": 4}, {"pattern":
 *     "layer1.*", "observer": "mse"},
 *                                               {"name": "fc3", "float": true}]}
 *
 *  OCT_EIO; OCT_EFORMAT naming the rule and the key; OCT_ELIMIT above 1 MiB. */
OCT_API OCT_NODISCARD oct_status oct_qconfig_load(oct_ctx *ctx, const char *path,
                                                  oct_qconfig *config);

OCT_END_DECLS
#endif
