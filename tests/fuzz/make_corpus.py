# SPDX-License-Identifier: MIT
# Writes the seed inputs of corpus/: small valid files and hand-broken ones. Needs numpy, pillow, safetensors.
# Findings of the fuzzers are added by hand beside them (names begin with "found-").
import gzip, io, json, os, struct, zlib
import numpy as np
from PIL import Image
from safetensors.numpy import save as st_save

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def put(target, name, data):
    os.makedirs(os.path.join(here, target), exist_ok=True)
    with open(os.path.join(here, target, name), "wb") as f:
        f.write(data)


def breaks(target, name, data, at=()):
    put(target, name, data)
    put(target, name + "-half", data[:len(data) // 2])
    put(target, name + "-short", data[:-1])
    put(target, name + "-long", data + b"\0")
    for i in at:
        b = bytearray(data)
        b[i] ^= 0xff
        put(target, "%s-flip%d" % (name, i), bytes(b))


rng = np.random.default_rng(1)
# IDX
img = bytes([0, 0, 8, 3]) + struct.pack(">III", 2, 3, 2) + bytes(range(12))
lab = bytes([0, 0, 8, 1]) + struct.pack(">I", 3) + bytes([1, 0, 9])
breaks("fuzz_idx", "images", img, (2, 3, 7, 11, 15))
breaks("fuzz_idx", "labels", lab, (3, 7))
breaks("fuzz_idx", "gz", gzip.compress(img, mtime=0), (3, 12, -5, -1))
put("fuzz_idx", "gz-bomb", gzip.compress(bytes(3 << 20), mtime=0))
put("fuzz_idx", "overflow", bytes([0, 0, 8, 3]) + struct.pack(">III", 0x7fffffff, 0x4000, 0x4000))
put("fuzz_idx", "empty", b"")
put("fuzz_idx", "html", b"<!DOCTYPE html><title>404</title>")
# CIFAR: a byte for the kind, then records (compressible ones, the corpus is small)
ramp = bytes(i // 32 & 255 for i in range(3072))
breaks("fuzz_cifar", "ten", b"\0" + b"\x03" + ramp + b"\x09" + ramp[::-1])
breaks("fuzz_cifar", "hundred", b"\1" + b"\x01\x63" + ramp)
put("fuzz_cifar", "label", b"\0" + b"\x0a" + ramp)
put("fuzz_cifar", "label100", b"\1" + b"\x00\x64" + ramp)
put("fuzz_cifar", "none", b"\0")


# images
def image(mode, fmt, size=(9, 7), **kw):
    c = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "1": 1, "P": 3, "I;16": 1, "CMYK": 4}[mode]
    a = (np.add.outer(np.arange(size[1]) * 9, np.arange(size[0]) * 13)[..., None] + np.arange(c) * 40).astype(np.uint8)
    if mode == "I;16":
        im = Image.fromarray((a[..., 0].astype(np.uint16) * 257))
    elif mode == "P":
        im = Image.fromarray(a).quantize(kw.pop("colors", 16))
    elif mode == "1":
        im = Image.fromarray(a[..., 0]).convert("1")
    else:
        im = Image.fromarray(a.squeeze(2) if c == 1 else a, mode=mode)
    out = io.BytesIO()
    im.save(out, fmt, **kw)
    return out.getvalue()


T = "fuzz_image"
breaks(T, "grey.jpg", image("L", "JPEG"), (2, 100))
breaks(T, "rgb420.jpg", image("RGB", "JPEG", (17, 18), quality=60, subsampling=2), (163, 180))
put(T, "rgb444.jpg", image("RGB", "JPEG", subsampling=0))
put(T, "progressive.jpg", image("RGB", "JPEG", (16, 16), progressive=True, quality=40))
put(T, "cmyk.jpg", image("CMYK", "JPEG"))
jpg = image("RGB", "JPEG", (16, 16), restart_marker_blocks=1) if True else b""
put(T, "restart.jpg", jpg)
sos = jpg.index(b"\xff\xda")
put(T, "no-sos.jpg", jpg[:sos] + b"\xff\xd9")
put(T, "no-eoi.jpg", jpg[:-2])
put(T, "huffman-overflow.jpg", b"\xff\xd8\xff\xc4\x02\x23\x00" + b"\xff\xff" + b"\0" * 14 + bytes(528) + jpg[2:])
sof = jpg.index(b"\xff\xc0")
put(T, "huge.jpg", jpg[:sof + 5] + b"\xff\xff\xff\xff" + jpg[sof + 9:])
put(T, "zero.jpg", jpg[:sof + 5] + b"\0\0\0\0" + jpg[sof + 9:])
put(T, "two-frames.jpg", jpg[:sof] + jpg[sof:sof + 19] + jpg[sof:])
for mode in ("L", "LA", "RGB", "RGBA", "1", "P", "I;16"):
    put(T, "%s.png" % mode.lower().replace(";", ""), image(mode, "PNG"))
put(T, "p4.png", image("P", "PNG", colors=4))
png = image("RGB", "PNG")
breaks(T, "whole.png", png, (20, 29, 45, -6))


def chunk(t, d):
    return struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d))


def png_of(w, h, depth, color, rows, *extra, interlace=0):
    head = struct.pack(">IIBBBBB", w, h, depth, color, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(extra) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


put(T, "interlaced.png", png_of(2, 2, 8, 0, b"\0\1\0\2\0\3\4", interlace=1))
put(T, "palette-low.png", png_of(2, 1, 8, 3, b"\0\0\xff", chunk(b"PLTE", b"\1\2\3")))
put(T, "palette-none.png", png_of(2, 1, 8, 3, b"\0\0\xff"))
put(T, "plte-empty-idat.png", png_of(2, 1, 8, 3, b"\0\0\0", chunk(b"PLTE", b"\1\2\3"), chunk(b"IDAT", b"")))
put(T, "trns.png", png_of(1, 1, 8, 2, b"\0\1\2\3", chunk(b"tRNS", b"\0\1\0\2\0\3")))
put(T, "cgbi.png", png_of(1, 1, 8, 2, b"\0\1\2\3", chunk(b"CgBI", b"\0\0\0\0")))
put(T, "filters.png", png_of(3, 5, 8, 2, b"".join(bytes([f]) + bytes(range(f, f + 9)) for f in range(5))))
put(T, "filter-bad.png", png_of(1, 1, 8, 0, b"\7\1"))
put(T, "few.png", png_of(4, 4, 8, 0, b"\0\1"))
put(T, "huge.png", png_of(16385, 1, 8, 0, b""))
put(T, "bomb.png", png_of(16, 16, 8, 0, bytes(1 << 22)))
for mode in ("1", "L", "RGB", "RGBA", "P"):
    put(T, "%s.bmp" % mode.lower(), image(mode, "BMP"))
bmp = image("RGB", "BMP")
breaks(T, "whole.bmp", bmp, (10, 14, 18, 22, 28, 30))
put(T, "intmin.bmp", bmp[:22] + b"\0\0\0\x80" + bmp[26:])
put(T, "topdown.bmp", bmp[:22] + struct.pack("<i", -7) + bmp[26:])
put(T, "palette-low.bmp", b"BM" + bytes(8) + struct.pack("<IIiiHHIIIIII", 58, 40, 2, 1, 1, 8, 0, 0, 0, 0, 0, 0) + b"\1\2\3\0" + b"\0\5\0\0")
put(T, "bits16.bmp", b"BM" + bytes(8) + struct.pack("<IIiiHHIIIIII", 54, 40, 2, 1, 1, 16, 0, 0, 0, 0, 0, 0) + b"\x1f\x7c\xe0\x03")
put(T, "fields.bmp", b"BM" + bytes(8) + struct.pack("<IIiiHHIIIIII", 66, 40, 1, 1, 1, 32, 3, 0, 0, 0, 0, 0) + struct.pack("<III", 255 << 16, 255 << 8, 255) + b"\1\2\3\4")
put(T, "gif", b"GIF89a\1\0\1\0\0\0\0;")
put(T, "tga", bytes([0, 0, 2]) + bytes(9) + b"\x81\x5a\x81\x5a\x20\0")
# NPZ, NPY
T = "fuzz_npz"


def npz(**arrays):
    out = io.BytesIO()
    comp = arrays.pop("comp", False)
    (np.savez_compressed if comp else np.savez)(out, **arrays)
    return out.getvalue()


def npy(a):
    out = io.BytesIO()
    np.save(out, a, allow_pickle=False)
    return out.getvalue()


x = np.arange(6, dtype=np.float32).reshape(2, 3)
stored, packed = npz(x=x, y=np.arange(2)), npz(x=x, y=np.arange(2), comp=True)
breaks(T, "stored", stored, (0, 8, 18, 26, -22, -12, -10, -6, -2))
breaks(T, "packed", packed, (8, 30, 60, -12, -6))
breaks(T, "f4", npy(x), (6, 8, 20, 30, 60))
for i, t in enumerate(("f2", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", ">f4", "c8", "U2")):
    put(T, "type%d" % i, npy(np.zeros(3, t)))
put(T, "fortran", npy(np.asfortranarray(x)))
put(T, "scalar", npy(np.int16(-3)))
put(T, "empty", b"PK\5\6" + bytes(18))
put(T, "v2", b"\x93NUMPY\2\0" + struct.pack("<I", 64) + b"{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }".ljust(63) + b"\n" + b"x")
put(T, "v2-huge", b"\x93NUMPY\2\0\xff\xff\xff\xff{}")
put(T, "big-shape", b"\x93NUMPY\1\0" + struct.pack("<H", 80) + b"{'descr': '<f8', 'fortran_order': False, 'shape': (65536, 65536), }".ljust(79) + b"\n")
central = stored.index(b"PK\1\2")
put(T, "twice", stored.replace(b"y.npy", b"x.npy"))
put(T, "overlap", stored[:central + 42] + stored[stored.index(b"PK\1\2", central + 4) + 42:][:4] + stored[central + 46:])
# safetensors
T = "fuzz_safetensors"


def st(header, data=b""):
    h = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(h)) + h + data


good = st_save({"a": x, "b": np.array(3, np.int64), "c": np.zeros((0, 2), np.float16), "d": np.array([1, 255], np.uint8)}, {"k": "v"})
breaks(T, "good", good, (0, 7, 8, 20, 40, 60))
e = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
cases = {"bf16": {"a": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}, "f64": {"a": {"dtype": "F64", "shape": [], "data_offsets": [0, 8]}},
         "empty": {}, "hole": {"a": dict(e, data_offsets=[4, 12])}, "overlap": {"a": e, "b": dict(e, data_offsets=[4, 12])},
         "negative": {"a": dict(e, shape=[-2])}, "huge": {"a": dict(e, shape=[4294967296, 4294967296, 0])}, "float": {"a": dict(e, shape=[1.5])},
         "rank9": {"a": dict(e, shape=[1] * 9)}, "type": {"a": dict(e, dtype="F8_E4M3")}, "order": {"a": dict(e, data_offsets=[8, 0])},
         "meta": {"__metadata__": {"a": 1}}, "mark": {"__metadata__": {"octet": "1"}}, "crc": {"__metadata__": {"crc32": "00000000", "octet": "1"}}}
for name, header in cases.items():
    put(T, name, st(header, bytes(sum(1 for v in header if v != "__metadata__") * 8 if name not in ("bf16",) else 2)))
put(T, "twice", st(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x"))
put(T, "deep", st(b'{"a":' + b"[" * 500 + b"]" * 500 + b"}"))
put(T, "size-max", b"\xff" * 8 + b"{}")
put(T, "blank", st(b"{}   "))
for i, j in enumerate((b' {"a":[1,-2.5e3,true,false,null,"x\\u00e9\\ud83d\\ude00"],"b":{}}', b' "\\ud800"', b' "\xc3\x28"', b' [1,2,', b' 01', b' {"a":1,"a":2}',
                       b' "\\u0000"', b' [[[[[[[[]]]]]]]]', b' 1e999', b' nul', b' {"a" 1}')):
    put(T, "json%d" % i, j)
