#!/bin/sh
# SPDX-License-Identifier: MIT
# The API's pages are made without a warning, and say what the headers say: a call, an option's field, a page of the guide.
# Usage: check_doxygen.sh BUILD_DIR
set -eu
command -v doxygen >/dev/null || { echo "skipped: doxygen is not there"; exit 77; }
said=$(doxygen "$1/Doxyfile" 2>&1)
[ -z "$said" ] || { echo "$said"; exit 1; }
for text in 'oct_fit' 'First net' 'epochs of linear warm-up' 'oct_session_classify_u8'; do
    grep -rqF -- "$text" "$1/html" || { echo "no page says: $text"; exit 1; }
done
