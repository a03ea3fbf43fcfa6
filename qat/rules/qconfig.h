/* SPDX-License-Identifier: MIT
 * qat/rules/qconfig.h - what to quantize to, layer by layer: rules on top of oct_qconfig, from C,
 * text or a file.
 *
 *     oct_qconfig c = {.target = OCT_TARGET_FBGEMM};
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

#include "../../src/graph.h"
#include "../../src/words.h"
#include "../net/target.h"

OCT_BEGIN_DECLS

typedef enum oct_qscope {
    OCT_QSCOPE_GLOBAL,
    OCT_QSCOPE_KIND,
    OCT_QSCOPE_PATTERN,
    OCT_QSCOPE_NAME
} oct_qscope;

/** Of weight scales: one a channel, or one for the layer. By default as the target has it. */
typedef enum oct_granularity {
    OCT_GRANULARITY_DEFAULT,
#define OCT_GRANULARITY(value, word) OCT_GRANULARITY_##value,
#include "qconfig_words.def"
} oct_granularity;

/** Range of weights whose steps are not learned: whole (the default), or of least squared error,
 *  which each step searches: slower. */
typedef enum oct_weight_observer {
    OCT_WEIGHT_OBSERVER_DEFAULT,
#define OCT_WEIGHT_OBSERVER(value, word) OCT_WEIGHT_OBSERVER_##value,
#include "qconfig_words.def"
} oct_weight_observer;

/** Lowest code of weights: as far down as up (+-127 at 8 bits; the default), or one further (-128
 *  to 127, scales of 127.5 steps as in PyTorch). */
typedef enum oct_weight_qmin {
    OCT_WEIGHT_QMIN_DEFAULT,
#define OCT_WEIGHT_QMIN(value, word) OCT_WEIGHT_QMIN_##value,
#include "qconfig_words.def"
} oct_weight_qmin;

/** Straight-through mask: where the code lies in range, or where the value lies strictly inside. By
 *  default rounded; of learned scales strict. */
typedef enum oct_ste {
    OCT_STE_DEFAULT,
#define OCT_STE(value, word) OCT_STE_##value,
#include "qconfig_words.def"
} oct_ste;

/** Words of these enums, and the reverse (src/words.h). */
OCT_API const char *oct_granularity_name(oct_granularity v);
OCT_API OCT_NODISCARD oct_status oct_granularity_from_name(const char *word, oct_granularity *v);
OCT_API const char *oct_weight_observer_name(oct_weight_observer v);
OCT_API OCT_NODISCARD oct_status oct_weight_observer_from_name(const char *word,
                                                               oct_weight_observer *v);
OCT_API const char *oct_weight_qmin_name(oct_weight_qmin v);
OCT_API OCT_NODISCARD oct_status oct_weight_qmin_from_name(const char *word, oct_weight_qmin *v);
OCT_API const char *oct_ste_name(oct_ste v);
OCT_API OCT_NODISCARD oct_status oct_ste_from_name(const char *word, oct_ste *v);

/** A row of qconfig_keys.def each; 0 and NULL: as weaker rules have it. */
typedef struct oct_qsettings {
#define OCT_QKEY_INT                                                          int
#define OCT_QKEY_REAL                                                         float
#define OCT_QKEY_TEXT                                                         const char *
#define OCT_QKEY_SWITCH                                                       oct_switch
#define OCT_QKEY_GRANULARITY                                                  oct_granularity
#define OCT_QKEY_WEIGHT_OBSERVER                                              oct_weight_observer
#define OCT_QKEY_WEIGHT_QMIN                                                  oct_weight_qmin
#define OCT_QKEY_METHOD                                                       oct_method
#define OCT_QKEY_STE                                                          oct_ste
#define OCT_QKEY(key, field, type, lowest, highest, words, part, usual, what) OCT_QKEY_##type field;
#include "qconfig_keys.def"
#undef OCT_QKEY_INT
#undef OCT_QKEY_REAL
#undef OCT_QKEY_TEXT
#undef OCT_QKEY_SWITCH
#undef OCT_QKEY_GRANULARITY
#undef OCT_QKEY_WEIGHT_OBSERVER
#undef OCT_QKEY_WEIGHT_QMIN
#undef OCT_QKEY_METHOD
#undef OCT_QKEY_STE
} oct_qsettings;

typedef struct oct_qrule {
    oct_qscope scope;
    const char *of; /* kind ("conv2d"), pattern (fnmatch: * ? [abc]), name; unused for global */
    oct_qsettings set;
} oct_qrule;

/** What to quantize to. Zero is the default everywhere. */
typedef struct oct_qconfig {
    oct_target target; /* by default octet */
    /* activations; NULL: "ema". Those of qat/scales/observers.def, or registered (observer.h).
     * The net's input takes "minmax" in place of one that searches, unless a rule names it
     * ("input*:observer=mse") */
    const char *observer;
    /* 0: 8; 2 to 8. First and last weighted layer, input and output stay at 8 */
    int wbits, abits;
    bool all_layers;   /* the first and last layer too */
    float ema;         /* share of the new batch; 0: 0.01 */
    oct_method method; /* how scales move in training */
    oct_ste ste;
    /* "percentile": share of the values that stays inside, in per cent; 0: 99.99 */
    float percentile;
    /* all of these, and the ones above but target and all_layers, per layer by rules */
    oct_granularity granularity;
    oct_weight_observer weight_observer;
    oct_weight_qmin weight_qmin;
    oct_switch symmetric, reduce_range; /* activations; by default as the target has it */
    oct_switch stay_float;              /* yes: every layer of which no rule says otherwise */
    const oct_qrule *rules;             /* above */
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
