/* SPDX-License-Identifier: MIT
 * The version that was built, for programs that meet another library than their headers'. */
#include "src/api.h"

const char *oct_version(void) { return OCT_VERSION; }
int oct_version_number(void) { return OCT_VERSION_NUMBER; }
