/* SPDX-License-Identifier: MIT
 * octet.h - the one header of octet's users. Installed as <octet.h>, with the rooms' headers below
 * octet/. */
#ifndef OCTET_H
#define OCTET_H

#include "src/context.h"
#include "src/status.h"
#include "src/words.h"
#include "src/tensor.h"
#include "src/graph.h"
#include "src/net.h"
#include "ops/ops.h"
#include "datasets/check.h"
#include "datasets/data.h"
#include "autograd/autograd.h"
#include "autograd/nn/nn.h"
#include "autograd/optim/optim.h"
#include "qat/infer/infer.h"
#include "qat/qat.h"
#include "qat/io/import.h"
#include "qat/io/export.h"
#include "qat/io/export_c.h"
#include "qat/fit/fit.h"
#include "qat/report/report.h"
#include "qat/doctor/doctor.h"

#endif
