#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs into a temporary folder and uses what is there as a stranger would: pkg-config and CMake, C and C++; then looks at
# the exported symbols. Usage: check_install.sh BUILD_DIR
set -eu
build=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cmake --install "$build" --prefix "$tmp/p" >/dev/null
PKG_CONFIG_PATH=$(dirname "$(find "$tmp/p" -name octet.pc)")
export PKG_CONFIG_PATH
libdir=$(pkg-config --variable=libdir octet)
extra=$(sed -n 's/^OCT_SANITIZE:STRING=\(..*\)/-fsanitize=\1/p' "$build/CMakeCache.txt")
model=$(dirname "$0")/fuzz/corpus/fuzz_int8/net0
for lib in octet octet_infer; do
    # the header of this library, the library of this header
    cat >"$tmp/$lib.c" <<C
#include <stdio.h>
#include <string.h>
#include <$lib.h>
int main(int argc, char **argv) {
    oct_ctx *ctx = oct_open(NULL);
    oct_session *s = oct_session_new(oct_plan_new(oct_int8_load(ctx, argv[argc - 1]), NULL), 1, NULL, 0);
    if (!s) return fprintf(stderr, "%s\n", oct_error_message()), 1;
    oct_close(ctx);
    return oct_version_number() != OCT_VERSION_NUMBER || strcmp(oct_version(), OCT_VERSION) != 0;
}
C
    cp "$tmp/$lib.c" "$tmp/$lib.cc"
    for compile in "cc -std=c11 $tmp/$lib.c" "c++ $tmp/$lib.cc"; do
        # shellcheck disable=SC2046
        $compile -Wall -Werror -o "$tmp/t" $(pkg-config --cflags --libs $lib) $extra
        readelf -d "$tmp/t" | grep -q "NEEDED.*lib$lib\.so\.0\.1\]" || { echo "does not need lib$lib.so.0.1"; exit 1; }
        LD_LIBRARY_PATH=$libdir "$tmp/t" "$model"
        # shellcheck disable=SC2046
        $compile -Wall -Werror -o "$tmp/t" $(pkg-config --static --cflags --libs $lib | sed "s/-l$lib /-l:lib$lib.a /") $extra
        if readelf -d "$tmp/t" | grep -q 'NEEDED.*liboctet'; then echo "a static program needs a shared liboctet"; exit 1; fi
        "$tmp/t" "$model"
    done
done
# C++ from a net to its int8 model
# shellcheck disable=SC2046
c++ -std=c++11 -Wall -Wextra -Werror "$(dirname "$0")/link/train_and_convert.cc" -o "$tmp/t" $(pkg-config --cflags --libs octet) $extra
LD_LIBRARY_PATH=$libdir "$tmp/t"
# what is installed is the public half, and every option struct has its _init
if grep -rnE '\b(octi_[a-z0-9_]+ *\(|OCTI_)|_own\.h' "$tmp/p/include" | grep -v '#include "[a-z]*_own.h"'; then echo "internals are installed"; exit 1; fi
for o in $(grep -rhoE '^} oct_[a-z0-9_]*opts;' "$tmp/p/include" | tr -d '};'); do
    grep -rqE "OCT_API void ${o}_init\\(${o} \\*" "$tmp/p/include" || { echo "no ${o}_init"; exit 1; }
done
# examples as they are, deployment by its own library; a run needs no environment where the rpath is given
for e in "$(dirname "$0")"/../examples/*.c; do
    lib=octet
    case $e in *classify_int8.c) lib=octet_infer ;; esac
    # shellcheck disable=SC2046
    cc -std=gnu11 -Wall -Werror "$e" -o "$tmp/e" $(pkg-config --cflags --libs $lib) -Wl,-rpath,"$(pkg-config --variable=libdir $lib)" $extra || { echo "as installed: $e"; exit 1; }
done
"$tmp/e" >/dev/null 2>&1 || [ $? -lt 126 ] || { echo "an example does not start"; exit 1; }
# the README's program is what a newcomer compiles first: then the command works on the run that it leaves
sed -n '/^```c$/,/^```$/p' "$(dirname "$0")/../README.md" | sed '1d;$d' | sed 's/epochs = 2/epochs = 1/' >"$tmp/readme.c"
# shellcheck disable=SC2046
cc -std=gnu11 -Wall "$tmp/readme.c" -o "$tmp/readme" $(pkg-config --cflags --libs octet) -Wl,-rpath,"$libdir" $extra
(cd "$tmp" && ./readme && "$tmp/p/bin/octet" inspect mine --quiet | grep -q 'in_features=1352') || { echo "the README's program leaves no run that the command knows"; exit 1; }
# a second time the run is there already: that is all it says, no accuracy of an untrained net
if (cd "$tmp" && ./readme >readme.out 2>&1); then echo "the README's program writes over its run"; exit 1; fi
if ! grep -q 'exists already' "$tmp/readme.out" || grep -q right: "$tmp/readme.out"; then echo "the README's program, a second time: $(cat "$tmp/readme.out")"; exit 1; fi
# every public header alone, as C11 and C++
for h in $(cd "$tmp/p/include" && find octet octet*.h -name '*.h'); do
    printf '#include <%s>\n' "$h" >"$tmp/h.c"
    cc -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$tmp/p/include" "$tmp/h.c" || { echo "as C11: $h"; exit 1; }
    c++ -x c++ -std=c++11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$tmp/p/include" "$tmp/h.c" || { echo "as C++: $h"; exit 1; }
done
# and what macros of theirs expand to
cat >"$tmp/m.cc" <<'CC'
#include <octet.h>
int main() {
    long long width = 5;
    const oct_shape s = OCT_SHAPE(3, 4, width);
    return s.rank == 3 && s.dim[0] == 3 && s.dim[2] == 5 && s.dim[3] == 0 ? 0 : 1;
}
CC
c++ -std=c++11 -Wall -Wextra -Wpedantic -Werror -I"$tmp/p/include" "$tmp/m.cc" -o "$tmp/m" && "$tmp/m" || { echo "OCT_SHAPE in C++"; exit 1; }
mkdir "$tmp/c"
cat >"$tmp/c/CMakeLists.txt" <<'C'
cmake_minimum_required(VERSION 3.19)
project(user C CXX)
find_package(octet 0.1 REQUIRED)
foreach(lang c cc)
  foreach(lib octet octet_static)
    add_executable(${lang}_${lib} ../octet.${lang})
    target_link_libraries(${lang}_${lib} octet::${lib})
  endforeach()
  foreach(lib infer infer_static)
    add_executable(${lang}_${lib} ../octet_infer.${lang})
    target_link_libraries(${lang}_${lib} octet::${lib})
  endforeach()
endforeach()
C
cmake -G Ninja -S "$tmp/c" -B "$tmp/c/b" -DCMAKE_PREFIX_PATH="$tmp/p" -DCMAKE_C_FLAGS="$extra" -DCMAKE_CXX_FLAGS="$extra" >/dev/null
cmake --build "$tmp/c/b" >/dev/null
for lang in c cc; do
    for lib in octet octet_static infer infer_static; do
        "$tmp/c/b/${lang}_$lib" "$model" || { echo "by find_package: ${lang}_$lib"; exit 1; }
    done
done
# the pages that messages and headers name, and examples that build where they lie
doc=$tmp/p/share/doc/octet
for f in docs/c_export.md docs/guide/first_net.md examples/lenet_mnist.c examples/README.md; do [ -s "$doc/$f" ] || { echo "not installed: $f"; exit 1; }; done
for f in $(grep -rhoE 'docs/[a-z_]+\.md' "$(dirname "$0")/../tools" "$tmp/p/include" | sort -u); do [ -s "$doc/$f" ] || { echo "named, and not installed: $f"; exit 1; }; done
if nm -D --undefined-only "$libdir/liboctet_infer.so" | grep -qi 'blas\|protobuf'; then echo "liboctet_infer needs BLAS or protobuf-c"; exit 1; fi
echo "install: usable by pkg-config and CMake, C and C++, static and shared"
