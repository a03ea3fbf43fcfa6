# SPDX-License-Identifier: MIT
# Writes numpy_stored.npz and numpy_deflated.npz: what NumPy's own writer makes. Needs numpy.
import numpy as np

x = (np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5) * 7) % 251
arrays = dict(x=x, y=np.array([1, 0], np.int64), x_test=x[:1] + 1, y_test=np.array([2], np.uint8),
              f=np.array([[1.5, -2]], np.float32), h=np.array([0.5], np.float16), d=np.array([0.1]),
              u2=np.array([65535], np.uint16), i2=np.array([-2], np.int16), b=np.array([True]), s=np.int32(-7))
np.savez("numpy_stored.npz", **arrays)
np.savez_compressed("numpy_deflated.npz", **arrays)
