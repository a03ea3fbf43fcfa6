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
cat >"$tmp/t.c" <<'C'
#include <octet.h>
int main(void) {
    oct_ctx *ctx = oct_open(0);
    if (!ctx) return 1;
    oct_close(ctx);
    return 0;
}
C
cp "$tmp/t.c" "$tmp/t.cc"
extra=$(sed -n 's/^OCT_SANITIZE:STRING=\(..*\)/-fsanitize=\1/p' "$build/CMakeCache.txt")
for lib in octet octet_infer; do
    # shellcheck disable=SC2046
    cc -std=c11 -Wall -Werror "$tmp/t.c" -o "$tmp/t" $(pkg-config --cflags --libs $lib) $extra
    LD_LIBRARY_PATH=$libdir "$tmp/t"
done
# shellcheck disable=SC2046
c++ -Wall -Werror "$tmp/t.cc" -o "$tmp/tpp" $(pkg-config --cflags --libs octet) $extra
LD_LIBRARY_PATH=$libdir "$tmp/tpp"
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
# every public header alone, as C11 and C++
for h in $(cd "$tmp/p/include" && find octet octet.h -name '*.h'); do
    printf '#include <%s>\n' "$h" >"$tmp/h.c"
    cc -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$tmp/p/include" "$tmp/h.c" || { echo "as C11: $h"; exit 1; }
    c++ -x c++ -std=c++11 -Wall -Werror -fsyntax-only -I"$tmp/p/include" "$tmp/h.c" || { echo "as C++: $h"; exit 1; }
done
mkdir "$tmp/c"
cat >"$tmp/c/CMakeLists.txt" <<'C'
cmake_minimum_required(VERSION 3.19)
project(user C)
find_package(octet REQUIRED)
add_executable(train ../t.c)
target_link_libraries(train octet::octet)
add_executable(deploy ../t.c)
target_link_libraries(deploy octet::infer)
C
cmake -G Ninja -S "$tmp/c" -B "$tmp/c/b" -DCMAKE_PREFIX_PATH="$tmp/p" -DCMAKE_C_FLAGS="$extra" >/dev/null
cmake --build "$tmp/c/b" >/dev/null
"$tmp/c/b/train" && "$tmp/c/b/deploy"
# shared libraries export oct_ alone; the deployment library needs no BLAS
for so in "$libdir"/liboctet.so "$libdir"/liboctet_infer.so; do
    alien=$(nm -D --defined-only "$so" | awk '{print $3}' | grep -v '^oct_' | grep -vE '^(_init|_fini|__asan|__odr|__ubsan|_edata|_end|__bss_start)' || true)
    [ -z "$alien" ] || { echo "$so exports $alien"; exit 1; }
done
if nm -D --undefined-only "$libdir/liboctet_infer.so" | grep -qi blas; then echo "liboctet_infer needs BLAS"; exit 1; fi
readelf -d "$libdir/liboctet.so" | grep -q 'soname.*liboctet\.so\.0' || { echo "no soname"; exit 1; }
echo "install: usable by pkg-config and CMake, C and C++; symbols clean"
