/* SPDX-License-Identifier: MIT */
#include "qat/int8/int8.h"

oct_status octi_fnode_init(octi_fnode *f, octi_arena *arena, const oct_graph *g, const oct_node *n) {
    (void)f, (void)arena, (void)g;
    return octi_fail(OCT_EUNSUPPORTED, n->name, "float layers in an int8 net", "integer kinds", oct_op_name(n->kind), NULL);
}
