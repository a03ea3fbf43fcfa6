# SPDX-License-Identifier: MIT
# Installed: #include <octet.h>, rooms below octet/; pkg-config; CMake package octet::octet.
include(CMakePackageConfigHelpers)
