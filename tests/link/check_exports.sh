#!/bin/sh
# SPDX-License-Identifier: MIT
# check_exports.sh CC {HEADER LIBRARY}...: a shared library exports the functions that its header declares with OCT_API, each
# of them and no other symbol, and carries its version in its soname. The headers are read through the preprocessor, not as
# cmake/libraries.cmake reads them.
set -eu
cc=$1
shift
tree=$(cd "$(dirname "$0")/../.." && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0
while [ $# -gt 1 ]; do
    "$cc" -E -P -I"$tree" "$tree/$1" | tr '\n' ' ' |
        sed 's/__attribute__((warn_unused_result))//g; s/__attribute__((visibility("default")))/\n@/g' |
        sed -n 's/^@[^(]*[ *]\(oct_[a-z0-9_]*\) *(.*/\1/p' | sort -u >"$tmp/declared"
    nm -D --defined-only "$2" | awk '{print $3}' | grep -vE '^(__asan|__odr_asan|__ubsan|__tsan)' | sort -u >"$tmp/exported"
    [ "$(wc -l <"$tmp/declared")" -gt 30 ] || { echo "$1: no declarations found"; bad=1; }
    comm -23 "$tmp/declared" "$tmp/exported" | sed "s,^,$1 declares what $(basename "$2") lacks: ," | grep . && bad=1
    comm -13 "$tmp/declared" "$tmp/exported" | sed "s,^,$(basename "$2") exports what $1 does not declare: ," | grep . && bad=1
    want=$(sed -n 's/^#define OCT_VERSION *"\([0-9]*[.][0-9]*\)[.].*/\1/p' "$tree/src/api.h")
    readelf -d "$2" | grep -q "soname.*\.so\.$want\]" || { echo "$2: soname does not end in .so.$want"; bad=1; }
    echo "$(basename "$2"): $(wc -l <"$tmp/exported") functions, as $1 declares them"
    shift 2
done
exit $bad
