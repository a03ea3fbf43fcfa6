/* SPDX-License-Identifier: MIT
 * octet_infer.h - the one header of programs that run int8 models and nothing else: context,
 * errors, tensors, the int8 file, plans and sessions. Installed as <octet_infer.h>; what it
 * declares is all that liboctet_infer exports, and liboctet has it too. */
#ifndef OCTET_INFER_H
#define OCTET_INFER_H

#include "src/context.h"
#include "src/status.h"
#include "src/tensor.h"
#include "src/graph.h"
#include "src/net.h"
#include "qat/infer/infer.h"

#endif
