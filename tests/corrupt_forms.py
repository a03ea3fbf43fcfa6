# SPDX-License-Identifier: MIT
"""Damage with knowledge of a file's form (corrupt_files.py): each function takes a random.Random and the bytes of a file that is
whole, and gives those of one that is not; idx, cifar and run write a folder."""
import gzip, io, json, os, re, shutil, struct, zipfile, zlib

BOMB = (400 if os.environ.get("OCT_TEST_LONG") == "1" else 40) << 20  # zeros behind what a file declares; MEMORY: all that reading it may take
MEMORY = (256 if os.environ.get("OCT_TEST_LONG") == "1" else 32) << 20
EDGES = [0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 65535, 65536, 0x7fffffff, 0x80000000, 0xffffffff, 1 << 40, (1 << 63) - 1, (1 << 64) - 1]
WORDS = [0, 1, -1, 2, 3, 8, 255, 65536, 2147483647, -2147483648, 4294967296, 9223372036854775807, 1e300, -1e-300, 0.5, 1e39, True, False, None,
         "", "x", "\x1b[2J", "a" * 5000, "../../etc/passwd", [], {}, [0], [-1, -1, -1, -1], [1e9] * 4, [[[[]]]], {"a": 1}]


# ---- bytes of any kind

def cut(r, b):
    return b[:r.randrange(len(b) + 1)]


def longer(r, b):
    return b + r.randbytes(r.choice([1, 4, 300]))


def hole(r, b):
    i = r.randrange(len(b) + 1)
    return b[:i] + b[i + r.choice([1, 2, 4, 16, len(b) // 3 + 1]):]


def doubled(r, b):
    i = r.randrange(len(b) + 1)
    n = r.choice([1, 4, 16, len(b) // 3 + 1])
    return b[:i + n] + b[i:i + n] + b[i + n:]


def word(r, b):
    size, order = r.choice([(1, "<"), (2, "<"), (2, ">"), (4, "<"), (4, ">"), (8, "<"), (8, ">")])
    if len(b) < size:
        return b
    at = r.randrange(min(len(b), r.choice([64, 512, len(b)])) - size + 1) if len(b) > size else 0
    v = r.choice(EDGES) & ((1 << 8 * size) - 1)
    return b[:at] + v.to_bytes(size, "little" if order == "<" else "big") + b[at + size:]


def swapped(r, b):
    if len(b) < 16:
        return b
    n = r.choice([1, 2, 4, 8])
    i, k = sorted(r.randrange(len(b) - n) for _ in range(2))
    if k < i + n:
        return b
    return b[:i] + b[k:k + n] + b[i + n:k] + b[i:i + n] + b[k + n:]


def bits(r, b):
    b = bytearray(b)
    for _ in range(r.choice([1, 1, 3, 20])):
        if b:
            b[r.randrange(len(b))] ^= 1 << r.randrange(8)
    return bytes(b)


ANY = [cut, longer, hole, doubled, word, swapped, bits]


def anyhow(r, b):
    return r.choice(ANY)(r, b)


# ---- images

def png(r, b):
    at, chunks = 8, []
    while at + 12 <= len(b):
        n, = struct.unpack(">I", b[at:at + 4])
        chunks.append([b[at + 4:at + 8], b[at + 8:at + 8 + n], n])
        at += 12 + n
    how = r.randrange(8)
    i = r.randrange(len(chunks))
    c = chunks[i]
    if how == 0:  # a field of the header
        h = bytearray(chunks[0][1])
        f = r.choice([(0, 4), (4, 4), (8, 1), (9, 1), (10, 1), (11, 1), (12, 1)])
        v = r.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 255, 65535, 1 << 20, 0x7fffffff, 0xffffffff]) & ((1 << 8 * f[1]) - 1)
        h[f[0]:f[0] + f[1]] = v.to_bytes(f[1], "big")
        chunks[0][1] = bytes(h)
    elif how == 1:
        del chunks[i]
    elif how == 2:
        chunks.insert(r.randrange(len(chunks) + 1), list(c))
    elif how == 3:
        k = r.randrange(len(chunks))
        chunks[i], chunks[k] = chunks[k], chunks[i]
    elif how == 4 and any(c[0] == b"IDAT" for c in chunks):  # its rows, packed again
        rows = zlib.decompress(b"".join(c[1] for c in chunks if c[0] == b"IDAT"))
        rows = r.choice([anyhow, cut, longer, lambda r, b: b + bytes(r.choice([1, 1000, BOMB >> 4]))])(r, rows)
        chunks = [c for c in chunks if c[0] != b"IDAT"]
        chunks.insert(len(chunks) - 1, [b"IDAT", zlib.compress(rows), 0])
    elif how == 5:
        c[0] = r.choice([b"tRNS", b"PLTE", b"IDAT", b"IEND", b"gAMA", b"XXXX", b"acTL", b"\x1b[2J", b"iCCP"])
    elif how == 6:
        c[1] = anyhow(r, c[1]) if c[1] else r.randbytes(5)
    else:
        chunks.insert(r.randrange(1, len(chunks) + 1), [r.choice([b"tRNS", b"PLTE", b"IDAT"]), r.randbytes(r.choice([0, 1, 3, 6, 256, 768, 771])), 0])
    out, lie = b[:8], r.random() < 0.1
    for t, d, _ in chunks:
        n = r.choice(EDGES) & 0xffffffff if lie and r.random() < 0.3 else len(d)
        out += struct.pack(">I", n) + t + d + struct.pack(">I", zlib.crc32(t + d))
    return out


def jpeg(r, b):
    at, parts = 2, []
    while at + 4 <= len(b) and b[at] == 0xff:
        m, n = b[at + 1], struct.unpack(">H", b[at + 2:at + 4])[0]
        parts.append([m, b[at + 4:at + 2 + n]])
        at += 2 + n
        if m == 0xda:
            break
    scan = b[at:]
    how, i = r.randrange(8), r.randrange(len(parts))
    frame = next((p for p in parts if 0xc0 <= p[0] <= 0xc2), parts[0])
    if how == 0:
        del parts[i]
    elif how == 1:
        k = r.randrange(len(parts))
        parts[i], parts[k] = parts[k], parts[i]
    elif how == 2 and len(frame[1]) >= 6:  # sides, precision, components, sampling, tables
        f = bytearray(frame[1])
        k = r.randrange(len(f))
        f[k] = r.choice([0, 1, 2, 3, 4, 8, 12, 0x11, 0x22, 0x41, 0x44, 0xff])
        frame[1] = bytes(f)
    elif how == 3:
        scan = scan[:int(len(scan) * r.choice([0, 0.05, 0.5, 0.9, 0.99]))] + r.choice([b"", b"\xff\xd9"])
    elif how == 4:
        parts[i][1] = anyhow(r, parts[i][1]) if parts[i][1] else b"\0"
    elif how == 5:
        scan = anyhow(r, scan)
    elif how == 6:
        parts.insert(r.randrange(len(parts) + 1), [r.choice([0xc0, 0xc2, 0xc4, 0xdb, 0xdd, 0xda, 0xe1, 0xfe, 0xc3, 0xc9, 0xd8]), parts[i][1]])
    else:
        k = r.randrange(4)
        scan = scan.replace(b"\xff\xd9", bytes([0xff, 0xd0 + k]) * r.choice([1, 5000]) + b"\xff\xd9")
    out, lie = b"\xff\xd8", r.random() < 0.1
    for m, d in parts:
        n = r.choice([0, 1, 2, 65535]) if lie and r.random() < 0.3 else min(len(d) + 2, 65535)
        out += bytes([0xff, m]) + struct.pack(">H", n) + d
    return out + scan


def bmp(r, b):
    b = bytearray(b)
    for _ in range(r.choice([1, 1, 2])):
        at, n = r.choice([(2, 4), (10, 4), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2), (30, 4), (34, 4), (46, 4), (50, 4), (54, 4), (58, 4)])
        if at + n <= len(b):
            b[at:at + n] = (r.choice([0, 1, 2, 3, 4, 8, 12, 16, 24, 32, 40, 124, 1 << 16, 1 << 20, 1 << 30, 0x7fffffff, 0x80000000, 0xffffffff, 0xffffff00]) & ((1 << 8 * n) - 1)).to_bytes(n, "little")
    return bytes(b)


# ---- arrays

def npy_of(r, descr="<f4", shape=(8, 1, 28, 28), data=None, order=False, version=1):
    text = "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }" % (descr, order, shape if isinstance(shape, str) else repr(tuple(shape)))
    text += " " * (-(len(text) + 11) % 64) + "\n"
    if data is None:
        data = r.randbytes(8 * 784 * 4) if descr != "<f4" else struct.pack("<%df" % (8 * 784), *[r.random() for _ in range(8 * 784)])
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text.encode("latin1") + data


def npy(r, _=None):
    how = r.randrange(7)
    if how == 0:
        return npy_of(r, shape=r.choice(["(8,)", "()", "(8, 1, 28, -28)", "(8, 1, 28, 28, 1, 1, 1, 1, 1, 1, 1, 1, 1)", "(4294967296, 4294967296, 1, 1)", "(9223372036854775807, 2)",
                                         "(0, 1, 28, 28)", "(8, 1, 28, 28.0)", "(8 1)", "8", "(8, 1, 28, 28", "(1000000, 1, 28, 28)", "(8, 28, 28)", "(00008, 1, 28, 28)", "(1e1, 1, 28, 28)"]))
    if how == 1:
        return npy_of(r, descr=r.choice([">f4", "|u1", "<f8", "|O", "<f2", "<i8", "|S100", "<U4", "", "<f4'", "\x1b[2J", "|V1000000000", "<c8", "[('a', '<f4')]"]))
    if how == 2:
        nasty = [float("nan"), float("inf"), -float("inf"), 3.4e38, -3.4e38, 1e-45, -0.0]
        return npy_of(r, data=struct.pack("<%df" % (8 * 784), *[r.choice(nasty) if r.random() < r.choice([0.01, 1]) else 0.5 for _ in range(8 * 784)]))
    if how == 3:
        return npy_of(r, version=r.choice([0, 2, 3, 4, 255]))
    if how == 4:
        return npy_of(r, order=r.choice(["True", "None", "1", "False, 'shape': (1,)"]))
    b = npy_of(r)
    return anyhow(r, b) if how == 5 else word(r, b[:128]) + b[128:]


def npz(r, _=None, labels=False):
    f = io.BytesIO()
    with zipfile.ZipFile(f, "w", r.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as z:
        names = ["x.npy"] + (["y.npy"] if labels else [])
        whole = {"x.npy": npy_of(r), "y.npy": npy_of(r, "<i8", (8,), struct.pack("<8q", *range(8)))}
        how = r.randrange(8)
        for n in names:
            b = whole[n]
            if how == 0 and r.random() < 0.7:
                b = npy(r)
            if how == 1 and n == "y.npy":
                b = npy_of(r, r.choice(["<i8", "<f4", "|u1", "<i4"]), (8,), struct.pack("<8q", *[r.choice([-1, 0, 9, 1000, 100001, 2147483647, 1 << 62]) for _ in range(8)]))
            z.writestr(r.choice([n, n, n, "arr_0.npy", "../x.npy", "x", "\x1b[2J.npy"]) if how == 2 else n, b)
        if how == 3:
            import warnings
            warnings.simplefilter("ignore")
            z.writestr("x.npy", whole["x.npy"])
        if how == 4:  # a bomb: declared small, zeros without end
            z.writestr("z.npy" if r.random() < 0.5 else "x_test.npy", whole["x.npy"] + bytes(BOMB), zipfile.ZIP_DEFLATED)
    b = f.getvalue()
    if how == 5:  # a field of the directory
        at = r.choice([m.start() for m in re.finditer(b"PK\x01\x02|PK\x03\x04|PK\x05\x06", b)])
        k = at + r.randrange(4, 46)
        n = r.choice([1, 2, 4])
        return b[:k] + (r.choice(EDGES) & ((1 << 8 * n) - 1)).to_bytes(n, "little") + b[k + n:]
    return anyhow(r, b) if how > 5 else b


def idx(r, d):  # a folder
    parts = {}
    for p, n in (("train", 12), ("t10k", 6)):
        parts[p + "-images-idx3-ubyte"] = struct.pack(">IIII", 2051, n, 28, 28) + r.randbytes(n * 784)
        parts[p + "-labels-idx1-ubyte"] = struct.pack(">II", 2049, n) + bytes(r.randrange(10) for _ in range(n))
    name = r.choice(sorted(parts))
    how, b, gz = r.randrange(7), parts[name], r.random() < 0.5
    if how == 0:
        k = 4 * r.randrange(4 if "images" in name else 2)
        b = b[:k] + struct.pack(">I", r.choice([0, 1, 11, 13, 27, 29, 2049, 2050, 2051, 1 << 16, 1 << 30, 0x7fffffff, 0xffffffff])) + b[k + 4:]
    elif how == 1:
        b = anyhow(r, b)
    elif how == 2:
        b = b[:8] + bytes(r.choice([9, 10, 255]) for _ in b[8:]) if "labels" in name else b
    elif how == 3:
        b += bytes(r.choice([1, 784, BOMB if r.random() < 0.2 else 4000]))
        gz = True
    elif how == 4:
        b = r.choice([b"", b"<!DOCTYPE html><html>404</html>", b"version https://git-lfs.github.com/spec/v1\n", b"PK\x03\x04" + bytes(40), b"\x1f\x8b"])
    parts[name] = b
    os.makedirs(d)
    for n, b in parts.items():
        z = gzip.compress(b, 1, mtime=0) if gz else b
        if n == name and how == 5:
            z = anyhow(r, z)
        if n == name and how == 6 and gz:  # its length or check, or a flag of the header
            k = r.choice([3, len(z) - 8, len(z) - 4])
            z = z[:k] + r.randbytes(1) + z[k + 1:]
        open("%s/%s%s" % (d, n, ".gz" if gz and r.random() < 0.8 else ""), "wb").write(z)


def cifar(r, d):
    os.makedirs(d)
    for n in ["data_batch_%d.bin" % i for i in range(1, 6)] + ["test_batch.bin"]:
        b = b"".join(bytes([r.randrange(10)]) + bytes(3072) for _ in range(2))
        if r.random() < 0.3:
            b = anyhow(r, b)
        if r.random() < 0.9:
            open(d + "/" + n, "wb").write(b)


# ---- JSON, at any depth

def leaves(v, path=()):
    if isinstance(v, dict):
        for k in v:
            yield from leaves(v[k], path + (k,))
    elif isinstance(v, list):
        for i, w in enumerate(v):
            yield from leaves(w, path + (i,))
    yield path


def json_damaged(r, text):
    v = json.loads(text)
    paths = [p for p in leaves(v) if p]
    for _ in range(r.choice([1, 1, 1, 2, 3])):
        p = r.choice(paths)
        at = v
        try:
            for k in p[:-1]:
                at = at[k]
            how, last = r.randrange(5), p[-1]
            if how == 0:
                del at[last]
            elif how == 1:
                at[last] = r.choice(WORDS)
            elif how == 2:  # another of the same text
                q = v
                for k in r.choice(paths):
                    q = q[k]
                at[last] = json.loads(json.dumps(q))
            elif how == 3 and isinstance(at[last], (int, float)) and not isinstance(at[last], bool):
                at[last] = r.choice([at[last] + 1, at[last] - 1, -at[last], at[last] * 2, at[last] * 1000003, 0])
            elif isinstance(at, list):
                at.insert(r.randrange(len(at) + 1), at[last])
            else:
                at["more"] = at[last]
        except (KeyError, IndexError, TypeError):
            continue
    t = json.dumps(v)
    return t.encode() if r.random() < 0.9 else r.choice([
        t.encode()[:-1], t.encode() * 2, b"\xef\xbb\xbf" + t.encode(), t.replace(": 1", ": NaN").encode(), t.replace("1", "01", 1).encode(),
        t.replace("{", '{"a":' * 300 + "1" + "}" * 300, 1).encode(), t.encode("utf-16"), anyhow(r, t.encode())])


def summed(b):
    """octet's files hold the CRC of the whole, with zeros in its place."""
    at = b.find(b'"crc32":"') + 9
    if at < 9 or b[at + 8:at + 9] != b'"':
        return b
    b = b[:at] + b"00000000" + b[at + 8:]
    return b[:at] + b"%08x" % zlib.crc32(b) + b[at + 8:]


def safetensors(r, b):
    n, = struct.unpack("<Q", b[:8])
    head, body = json.loads(b[8:8 + n]), b[8 + n:]
    how = r.randrange(7)
    names = [k for k in head if k != "__metadata__"]
    a, c = r.choice(names), r.choice(names)
    if how == 0:
        head[a]["data_offsets"] = r.choice([[0, 0], [0, len(body) + 4], [4, 0], [-4, 4], [1 << 62, 1 << 63], head[c]["data_offsets"], [0.0, 4.0], ["0", "4"], [0], None])
    elif how == 1:
        head[a]["shape"] = r.choice([[], [-1], [1 << 40, 1 << 40], [0], [1.5], ["6"], head[c]["shape"], [1] * 40, None, head[a]["shape"][::-1]])
    elif how == 2:
        head[a]["dtype"] = r.choice(["F64", "F16", "BF16", "I8", "U64", "BOOL", "X", "", 4, None])
    elif how == 3 and head[a].get("dtype") == "F32":
        s, e = head[a]["data_offsets"]
        k = s + 4 * r.randrange(max((e - s) // 4, 1))
        body = body[:k] + struct.pack("<I", r.choice([0x7fc00000, 0x7f800000, 0xff800000, 0x7f7fffff, 0x80000000, 1])) + body[k + 4:]
    elif how == 4:
        head[r.choice(["x", "../x", "\x1b[2J", "a" * 3000, "conv1.weight"])] = head.pop(a)
    elif how == 5:
        t = json_damaged(r, json.dumps(head)).replace(b'"crc32": "', b'"crc32":"')
        return summed(struct.pack("<Q", len(t)) + t + body)
    else:
        return anyhow(r, b) if r.random() < 0.5 else summed(anyhow(r, b))
    t = json.dumps(head, separators=(",", ":")).encode()
    n = r.choice(EDGES) if r.random() < 0.05 else len(t)
    return summed(struct.pack("<Q", n & (1 << 64) - 1) + t + body)


def run(r, d, source):
    shutil.copytree(source, d)
    name = r.choice(["graph.json"] * 6 + ["config.json", "model.safetensors", "model.safetensors", "state.safetensors", "probe.npz", "metrics.jsonl"])
    path = d + "/" + name
    if not os.path.exists(path):
        path = d + "/graph.json"
    b = open(path, "rb").read()
    if r.random() < 0.06:
        os.remove(path)
        if r.random() < 0.5:
            os.mkdir(path)
        return
    if path.endswith(".json") and r.random() < 0.9:
        b = json_damaged(r, b)
    elif path.endswith(".safetensors") and r.random() < 0.9:
        b = safetensors(r, b)
    elif path.endswith(".npz"):
        b = npz(r)
    else:
        b = anyhow(r, b)
    open(path, "wb").write(b)


def int8(r, b):
    count, = struct.unpack("<I", b[12:16])
    parts = []
    for i in range(count):
        tag, _, at, n = struct.unpack("<4sIQQ", b[24 + 24 * i:48 + 24 * i])
        parts.append([tag, b[at:at + n]])
    how, p = r.randrange(6), r.choice(parts)
    if how < 3:
        g = r.choice([q for q in parts if q[0] in (b"GRPH", b"META")])
        g[1] = json_damaged(r, g[1])
    elif how == 3:
        t = next(q for q in parts if q[0] == b"TENS")
        t[1] = r.choice([word, word, swapped, bits, cut, hole, doubled])(r, t[1])
    elif how == 4:
        k = r.randrange(3)
        if k == 0:
            parts.remove(p)
        elif k == 1:
            parts.append(list(p))
        else:
            parts[0][0], p[0] = p[0], parts[0][0]
    else:
        return anyhow(r, b)
    head, at = b"", 24 + 24 * len(parts) + 4
    for t, d in parts:
        n = r.choice(EDGES) if r.random() < 0.01 else len(d)
        head += struct.pack("<4sIQQ", t, zlib.crc32(d), at, n & (1 << 64) - 1)
        at += len(d)
    head = struct.pack("<8sIIQ", b[:8], r.choice([0, 3, 1 << 31]) if r.random() < 0.02 else struct.unpack("<I", b[8:12])[0], len(parts), at) + head
    return head + struct.pack("<I", zlib.crc32(head)) + b"".join(d for _, d in parts)


# ---- protobuf: fields of messages in messages, whatever they mean

def varint(b, at):
    v = n = 0
    while True:
        c = b[at]
        v |= (c & 127) << 7 * n
        at, n = at + 1, n + 1
        if c < 128:
            return v, at
        if n > 9:
            raise ValueError


def of_varint(v):
    out = b""
    v &= (1 << 64) - 1
    while v > 127:
        out += bytes([v & 127 | 128])
        v >>= 7
    return out + bytes([v])


def fields(b):
    at, out = 0, []
    while at < len(b):
        key, at = varint(b, at)
        if key >> 3 == 0:
            raise ValueError
        if key & 7 == 0:
            v, at = varint(b, at)
        elif key & 7 == 2:
            n, at = varint(b, at)
            if at + n > len(b):
                raise ValueError
            v, at = b[at:at + n], at + n
        elif key & 7 in (1, 5):
            n = 8 if key & 7 == 1 else 4
            if at + n > len(b):
                raise ValueError
            v, at = b[at:at + n], at + n
        else:
            raise ValueError
        out.append([key, v])
    return out


def protobuf(r, b, depth=0):
    try:
        f = fields(b)
    except (ValueError, IndexError):
        return anyhow(r, b)
    if not f:
        return b
    i = r.randrange(len(f))
    big = [k for k, x in enumerate(f) if x[0] & 7 == 2 and len(x[1]) > 2]
    if big and depth < 6 and r.random() < 0.8:
        i = r.choice(big)
        f[i][1] = protobuf(r, f[i][1], depth + 1)
    else:
        how = r.randrange(6)
        if how == 0:
            del f[i]
        elif how == 1:
            f.insert(r.randrange(len(f) + 1), list(f[i]))
        elif how == 2:
            k = r.randrange(len(f))
            f[i], f[k] = f[k], f[i]
        elif f[i][0] & 7 == 0:
            f[i][1] = r.choice(EDGES + [f[i][1] + 1, f[i][1] * 2])
        elif how == 3:
            f[i][0] = f[i][0] & 7 | r.randrange(1, 30) << 3
        else:
            f[i][1] = r.choice([b"", anyhow(r, f[i][1]) if f[i][1] else b"x", b"\x1b[2J", b"Conv", b"a" * 4000])[:None if f[i][0] & 7 == 2 else len(f[i][1])].ljust(0 if f[i][0] & 7 == 2 else len(f[i][1]), b"\0")
    out = b""
    for key, v in f:
        out += of_varint(key)
        if key & 7 == 0:
            out += of_varint(v)
        elif key & 7 == 2:
            out += of_varint(len(v)) + v
        else:
            out += v
    return out
