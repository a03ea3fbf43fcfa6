# SPDX-License-Identifier: MIT
# What liboctet_infer does without: images, BLAS, ONNX.
find_package(JPEG REQUIRED)
# protobuf-c's compiler and its small run-time library: the reader and writer of ONNX are generated from qat/io/onnx.proto
find_program(OCT_PROTOC_C protoc-c)
pkg_check_modules(PROTOBUF_C IMPORTED_TARGET libprotobuf-c)
if(NOT OCT_PROTOC_C OR NOT PROTOBUF_C_FOUND)
  message(FATAL_ERROR "no protobuf-c: install protobuf-c-compiler and libprotobuf-c-dev (Debian), which tools/packages build does, or give "
    "-DOCT_PROTOC_C=PATH of a protoc-c and a PKG_CONFIG_PATH that has libprotobuf-c.pc")
endif()
# The serial OpenBLAS, by its absolute path: the library loads it itself when training begins.
find_file(OCT_OPENBLAS_LIBRARY libopenblas.so.0 PATHS /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/openblas-serial NO_DEFAULT_PATH
  DOC "serial OpenBLAS (libopenblas.so.0)")
find_path(OCT_OPENBLAS_INCLUDE_DIR cblas.h PATHS /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}/openblas-serial NO_DEFAULT_PATH)
if(NOT OCT_OPENBLAS_LIBRARY OR NOT OCT_OPENBLAS_INCLUDE_DIR)
  message(FATAL_ERROR "no serial OpenBLAS: install libopenblas-serial-dev (Debian), or give -DOCT_OPENBLAS_LIBRARY=PATH of a libopenblas.so.0 "
    "built with USE_THREAD=0 USE_LOCKING=1 and -DOCT_OPENBLAS_INCLUDE_DIR=FOLDER of its cblas.h")
endif()
find_path(STB_INCLUDE_DIR stb_image.h PATH_SUFFIXES stb REQUIRED)
