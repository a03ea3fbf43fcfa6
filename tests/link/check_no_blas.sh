#!/bin/sh
# SPDX-License-Identifier: MIT
# check_no_blas.sh FILE...: none of the archives or programs refers to a symbol of BLAS, of autograd or of the passes.
set -eu
for f in "$@"; do
    bad=$(nm "$f" 2>/dev/null | grep -E ' (cblas_|openblas_|sgemm_|oct_tape_|octi_diff_|oct_prepare|oct_convert$|oct_fuse)' || true)
    [ -z "$bad" ] || { echo "$f refers to:" >&2; echo "$bad" >&2; exit 1; }
done
echo "no BLAS, no autograd"
