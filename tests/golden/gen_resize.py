# SPDX-License-Identifier: MIT
# Writes resize_golden.h: CRC-32 of what Pillow's BILINEAR makes of a pattern that tests/test_image.c repeats. Needs pillow 11: later
# versions may take the rows first, which rounds differently.
import zlib
import numpy as np
from PIL import Image

SIZES = [(8, 8, 8, 8), (7, 5, 14, 10), (100, 60, 50, 30), (50, 30, 100, 61), (333, 500, 224, 336), (500, 333, 37, 224), (1, 40, 3, 7),
         (40, 1, 7, 3), (2, 2, 1, 1), (97, 13, 97, 5), (13, 97, 5, 97), (640, 480, 1, 1), (255, 3, 16, 16), (3, 1000, 2, 17)]


def pattern(w, h, c):
    n = np.arange(w * h * c, dtype=np.uint64)
    v = (n * np.uint64(2654435761) + np.uint64(12345)) & np.uint64(0xFFFFFFFF)
    noise = (v >> np.uint64(24)).astype(np.uint8)
    smooth = ((n // np.uint64(c)) % np.uint64(w) * np.uint64(255) // np.uint64(w)).astype(np.uint8)
    return np.where(n // np.uint64(64) % np.uint64(2) == 0, noise, smooth).astype(np.uint8).reshape(h, w, c)


with open("resize_golden.h", "w") as f:
    f.write("/* SPDX-License-Identifier: MIT\n * tests/golden/resize_golden.h - made by gen_resize.py with Pillow: w, h, c, w2, h2, CRC-32 of the result. */\n")
    for w, h, w2, h2 in SIZES:
        for c in (1, 3):
            im = Image.fromarray(pattern(w, h, c).squeeze(2) if c == 1 else pattern(w, h, c))
            out = np.asarray(im.resize((w2, h2), Image.BILINEAR))
            f.write("{%d, %d, %d, %d, %d, 0x%08xu},\n" % (w, h, c, w2, h2, zlib.crc32(out.tobytes())))
