#!/bin/sh
# SPDX-License-Identifier: MIT
# CONTRIBUTING.md says which files a new function of one value touches, by the example of elu: those that have its name, no others.
set -eu
cd "$(dirname "$0")/.."
told=$(sed -n '/^| file | what |/,/^$/p' CONTRIBUTING.md | sed -n 's/^| \(`[^|]*\)|.*/\1/p' | tr -d '` ' | tr , '\n' | sort)
found=$(grep -rlwE 'elu|OCT_OP_elu|oct_elu|oct_elu_new' src autograd ops qat datasets tools | grep -v README | sort)
[ "$told" = "$found" ] && exit 0
printf 'CONTRIBUTING.md names\n%s\nelu stands in\n%s\n' "$told" "$found" >&2
exit 1
