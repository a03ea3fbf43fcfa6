#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: with_numpy.sh SCRIPT.py ARGUMENT... Exit 77 (skipped) where no Python has NumPy.
for python in python3 /usr/bin/python3; do # the distribution's own Python has its packages, another one that comes first may not
    "$python" -c 'import numpy' 2>/dev/null && exec "$python" "$@"
done
echo "skipped: python3-numpy is not there"
exit 77
