#!/bin/sh
# SPDX-License-Identifier: MIT
# cpack's Debian packages: what is in which, that they install and leave nothing behind, that a program builds against them, and
# lintian without an error. Skipped where dpkg-deb is not there, lintian alone where it is not. Usage: test_packages.sh BUILD_DIR
set -u
build=$(realpath "$1")
tree=$(realpath "$(dirname "$0")/..")
command -v dpkg-deb >/dev/null && command -v dpkg-shlibdeps >/dev/null || { echo "test_packages: skipped: no dpkg-dev here"; exit 0; }
[ -f "$build/CPackConfig.cmake" ] || { echo "test_packages: skipped: this build makes none"; exit 0; }
dir=$(mktemp -d /tmp/octet-test-packages-XXXXXX)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fails=0
say() { echo "test_packages: $*"; fails=$((fails + 1)); }

cpack --config "$build/CPackConfig.cmake" -D CPACK_DEBIAN_COMPRESSION_TYPE=gzip -B "$dir/out" >.log 2>&1 || { cat .log; exit 1; }
mv out/*.deb . || exit 1
arch=$(dpkg --print-architecture)
version=$(sed -n 's/.*OCT_VERSION  *"\(.*\)".*/\1/p' "$tree/src/api.h")
lib=liboctet${version%.*}
for p in $lib liboctet-dev octet; do
    f=${p}_${version}_$arch.deb
    [ -s "$f" ] || { say "no $f: $(ls)"; continue; }
    dpkg-deb -f "$f" Package Version Depends Description >$p.fields || say "$f cannot be read"
    dpkg-deb -c "$f" | awk '{ print $6 }' | grep -v '/$' | sort >$p.files
    grep -q "usr/share/doc/$p/copyright" $p.files || say "$p has no copyright"
done
# each file in one package, and in the right one
cat $lib.files liboctet-dev.files octet.files | sort | uniq -d >twice
[ -s twice ] && say "in two packages: $(cat twice)"
grep -q "/liboctet.so.${version%.*}$" $lib.files && grep -q "/liboctet_infer.so.${version%.*}$" $lib.files || say "libraries are not in $lib"
grep -qE 'include/|\.a$|\.pc$|\.so$' $lib.files && say "$lib holds what is for development"
for f in include/octet.h include/octet_infer.h /liboctet.so /liboctet.a /octet.pc octet-config.cmake; do grep -qF "$f" liboctet-dev.files || say "liboctet-dev lacks $f"; done
for f in docs/c_export.md docs/guide/quantize.md examples/own_net.c; do grep -qF "usr/share/doc/octet/$f" liboctet-dev.files || say "liboctet-dev lacks $f"; done
for f in bin/octet man1/octet.1.gz man1/octet-doctor.1.gz bash-completion/completions/octet; do grep -qF "$f" octet.files || say "octet lacks $f: $(cat octet.files)"; done
grep -q "Depends:.*$lib (= $version)" liboctet-dev.fields || say "liboctet-dev may meet another $lib"
grep -q 'Depends:.*libc6' octet.fields && grep -q 'Depends:.*libjpeg62-turbo\|Depends:.*libjpeg' octet.fields || say "octet depends on: $(grep Depends octet.fields)"

# installed below a folder of its own: works, is used, and is gone again
root=$dir/root
mkdir -p root/var/lib/dpkg/updates root/var/lib/dpkg/info && touch root/var/lib/dpkg/status root/var/lib/dpkg/available
into() { dpkg --root="$root" --force-depends --force-not-root --force-script-chrootless --log=/dev/null "$@" >.log 2>&1 || say "dpkg $*: $(tail -3 .log)"; }
if dpkg --root="$root" --force-depends --force-not-root --force-script-chrootless --log=/dev/null -i ./*.deb >.log 2>&1; then
    [ "$(root/usr/bin/octet --version)" = "octet $version" ] || say "the command does not run"
    libs=$(dirname "$(find root -name liboctet.so)")
    printf '#include <octet.h>\nint main(void) { oct_ctx *c = oct_open(NULL); oct_close(c); return !c; }\n' >t.c
    cc -Iroot/usr/include t.c -o t -L"$libs" -loctet && LD_LIBRARY_PATH=$libs ./t || say "no program can be built"
    into -r octet liboctet-dev $lib
    into -P octet liboctet-dev $lib
    [ -z "$(find root/usr -type f -o -type l 2>/dev/null)" ] || say "left behind: $(find root/usr -type f -o -type l | head -3)"
else
    say "cannot be installed: $(tail -3 .log)"
fi

if command -v lintian >/dev/null; then
    lintian --allow-root --fail-on error ./*.deb >.lint 2>&1 || say "lintian: $(grep '^E' .lint)"
    [ -z "${OCT_TEST_VERBOSE:-}" ] || cat .lint
else
    echo "test_packages: no lintian here"
fi

[ $fails = 0 ] && echo "test_packages: all held" || echo "test_packages: $fails failed"
exit $((fails > 0))
