/* SPDX-License-Identifier: MIT
 * src/net.h - the one model: graph + named tensors + description of the input + classes (design
 * 2). */
#ifndef OCT_SRC_NET_H
#define OCT_SRC_NET_H

#include "graph.h"

OCT_BEGIN_DECLS

/** Where a net stands in its life (design 2). */
typedef enum oct_stage {
    OCT_STAGE_FLOAT,
    OCT_STAGE_FUSED,
    OCT_STAGE_PREPARED,
    OCT_STAGE_INT8
} oct_stage;

typedef enum oct_color { OCT_COLOR_GREY, OCT_COLOR_RGB, OCT_COLOR_BGR } oct_color;

/** How pixels become the net's input: x = ((float)p / div - mean[c]) / std[c] (law 13). */
typedef struct oct_input_desc {
    int32_t channels, height, width; /* C, H, W */
    oct_color color;
    int32_t resize; /* shorter side before the crop; 0: none */
    int32_t crop;   /* centre crop, square; 0: none */
    float div;      /* 255 for pixels; 1 leaves arrays as they are */
    float mean[4], std[4];
    /* nobody said so: div 1, mean 0, std 1 of a captured net. Sets keep their own normalization,
     * and pixels that go in so are warned of */
    bool assumed;
} oct_input_desc;

typedef struct oct_class {
    const char *id; /* folder name or number */
    /* readable; the id where there is no other; "" as long as none is known (imported nets) */
    const char *name;
} oct_class;

typedef enum oct_tensor_role {
    OCT_ROLE_PARAM,    /* moved by gradients */
    OCT_ROLE_BUFFER,   /* batch-norm statistics */
    OCT_ROLE_QPARAM,   /* scale, zero_point */
    OCT_ROLE_OBSERVER, /* observer statistics and switches */
    OCT_ROLE_CONST,    /* G3 */
    OCT_ROLE_STEP      /* learned step sizes: moved by gradients, without weight decay */
} oct_tensor_role;

typedef struct oct_named_tensor {
    const char *name;
    oct_tensor_role role;
    oct_tensor *tensor;
} oct_named_tensor;

/** A net, read by the functions below. Passes return a new net and leave the old one as it was. */
typedef struct oct_net oct_net;

/** Drop a net. NULL is fine. */
OCT_API void oct_net_free(oct_net *net);
/* What they give is borrowed from the net. Of NULL: NULL, "", 0 or OCT_STAGE_FLOAT. */
OCT_API oct_ctx *oct_net_ctx(const oct_net *net);
OCT_API oct_stage oct_net_stage(const oct_net *net);
OCT_API const oct_graph *oct_net_graph(const oct_net *net);
/** The registry: all that training moves, or what an int8 net holds. */
OCT_API int32_t oct_net_tensor_count(const oct_net *net);
OCT_API const oct_named_tensor *oct_net_tensors(const oct_net *net);
OCT_API const oct_input_desc *oct_net_input(const oct_net *net);
OCT_API int32_t oct_net_class_count(const oct_net *net);
OCT_API const oct_class *oct_net_classes(const oct_net *net);
/** Name in the zoo, or "custom". */
OCT_API const char *oct_net_model(const oct_net *net);
/** Word of the target that it was prepared for (oct_target_name), as files have it; "" for float
 *  nets. */
OCT_API const char *oct_net_target(const oct_net *net);
/** Rules that it was prepared by, as JSON (qat/rules/qconfig.h); "" where none set anything. */
OCT_API const char *oct_net_qconfig(const oct_net *net);
/** Inputs that oct_convert compares simulation and plan on, f32 [n, ...]; NULL: none yet. */
OCT_API const oct_tensor *oct_net_probe(const oct_net *net);
/** Registered tensor by name ("conv1.weight", "conv1.activation_post_process.scale"); borrowed,
 *  NULL where absent. */
OCT_API oct_tensor *oct_net_tensor(const oct_net *net, const char *name);
/** What is not div 1, mean 0, std 1 was said by somebody: `assumed` goes. OCT_EUSAGE. */
OCT_API OCT_NODISCARD oct_status oct_net_set_input(oct_net *net, const oct_input_desc *input);
/** Images to compare on when the net is converted: copies the first of x (f32, as the net's input;
 *  at most 64, and as many as fit 16 MiB). NULL: none. What calibration or training sees next fills
 *  the room that is left. OCT_ESHAPE, OCT_EDTYPE. */
OCT_API OCT_NODISCARD oct_status oct_net_set_probe(oct_net *net, const oct_tensor *x);
/** Copies the strings. */
OCT_API OCT_NODISCARD oct_status oct_net_set_classes(oct_net *net, const oct_class *classes,
                                                     int32_t count);
/** Classes that nobody has named yet: only their number is known. Those of a folder of images then
 *  count in sorted order. */
OCT_API bool oct_classes_unnamed(const oct_class *classes, int32_t count);

OCT_END_DECLS

#ifdef OCT_BUILDING /* the library's own files */
#include "net_own.h"
#endif

#endif
