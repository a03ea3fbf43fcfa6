#!/bin/sh
# SPDX-License-Identifier: MIT
# check_infer_build.sh SOURCE_DIR MODEL: -DOCT_INFER_ONLY=ON configures, builds and installs on a machine that has
# neither BLAS nor libjpeg nor stb nor protobuf-c nor Check, and what it installs runs a model.
set -eu
source=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# a pkg-config that knows cJSON and zlib alone
mkdir "$tmp/pc"
for name in libcjson zlib; do
    cp "$(pkg-config --variable=pcfiledir $name)/$name.pc" "$tmp/pc"
done
PKG_CONFIG_LIBDIR=$tmp/pc cmake -G Ninja -S "$source" -B "$tmp/b" -DOCT_INFER_ONLY=ON -DCMAKE_BUILD_TYPE=Debug -DOCT_WERROR=ON \
    -DCMAKE_DISABLE_FIND_PACKAGE_JPEG=ON -DOCT_OPENBLAS_LIBRARY=OCT_OPENBLAS_LIBRARY-NOTFOUND \
    -DOCT_OPENBLAS_INCLUDE_DIR=OCT_OPENBLAS_INCLUDE_DIR-NOTFOUND -DSTB_INCLUDE_DIR=STB_INCLUDE_DIR-NOTFOUND -DOCT_PROTOC_C=OCT_PROTOC_C-NOTFOUND >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
cmake --build "$tmp/b" >"$tmp/log" 2>&1 || { tail -30 "$tmp/log"; exit 1; }
(cd "$tmp/b" && ctest --output-on-failure >"$tmp/log" 2>&1) || { cat "$tmp/log"; exit 1; }
cmake --install "$tmp/b" --prefix "$tmp/p" >/dev/null
[ ! -e "$tmp/p/include/octet.h" ] || { echo "the header of training is installed without its library"; exit 1; }
lib=$(dirname "$(find "$tmp/p" -name liboctet_infer.so)")
if readelf -d "$lib/liboctet_infer.so" | grep -iE 'NEEDED.*(blas|jpeg|png|protobuf|libdl)'; then exit 1; fi
export PKG_CONFIG_PATH="$lib/pkgconfig"
sed 's/"octet_infer.h"/<octet_infer.h>/' "$source/tests/link/infer_only.c" >"$tmp/t.c"
# shellcheck disable=SC2046
cc -std=c11 -Wall -Werror "$tmp/t.c" -o "$tmp/t" $(pkg-config --cflags --libs octet_infer) -Wl,-rpath,"$lib"
"$tmp/t" "$2"
echo "OCT_INFER_ONLY: $(grep -c . "$tmp/b/install_manifest.txt") files, needs $(readelf -d "$lib/liboctet_infer.so" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | tr '\n' ' ')"
