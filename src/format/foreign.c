/* SPDX-License-Identifier: MIT
 * Tells files of other formats by their first bytes, so that messages can say what they are. */
#include "src/format/foreign.h"

#include <string.h>

/* The line that runs nothing first: weights load so. A model saved whole is no data but a program,
 * for which torch.load asks for the other flag, and runs it. */
#define OCTI_FROM_TORCH                                                                            \
    "in Python: d = torch.load(F, 'cpu', weights_only=True); d = d.get('state_dict', d); "         \
    "safetensors.torch.save_file(d, 'w.safetensors'); then "                                       \
    "octet import w.safetensors --model M --out RUN; where that load is refused, F is a model "    \
    "saved whole: weights_only=False loads it and runs code of F, so only one that you trust, "    \
    "and then d = d.state_dict()"

static const struct foreign {
    size_t offset;
    const char *magic;
    size_t length;
    const char *reader, *what, *hint;
} formats[] = {
#define FOREIGN(offset, bytes, length, reader, what, hint)                                         \
    {offset, bytes, length, reader, what, hint},
#include "src/format/foreign.def"
};

/* torch.save of today writes a zip archive whose first member is ARCHIVE/data.pkl. */
bool octi_is_torch(const void *bytes, size_t size) {
    const unsigned char *b = bytes;
    static const char member[] = "/data.pkl";
    if (size < 64 || memcmp(b, "PK\3\4", 4)) return false;
    const size_t n = (size_t)b[26] | (size_t)b[27] << 8, tail = sizeof member - 1;
    return n >= tail && 30 + n <= size && !memcmp(b + 30 + n - tail, member, tail);
}

/* Field 1, the version of the form; then who wrote it, or another field of a model. */
bool octi_is_onnx(const void *bytes, size_t size) {
    static const char next[] = "\x12\x1a\x22\x28\x32\x3a\x42\x72";
    const unsigned char *b = bytes;
    return size > 3 && b[0] == 8 && b[1] >= 3 && b[1] <= 20 && b[2] && strchr(next, b[2]);
}

bool octi_foreign(const void *bytes, size_t size, const char *path, const char *wanted) {
    const char *what = NULL, *hint = NULL;
    if (!bytes) return false;
    if (octi_is_torch(bytes, size))
        what = "a checkpoint of PyTorch (torch.save)", hint = OCTI_FROM_TORCH;
    else if (octi_is_onnx(bytes, size))
        what = "an ONNX model", hint = "octet import FILE.onnx --out RUN makes a run of it";
    for (size_t i = 0; !what && i < sizeof formats / sizeof *formats; i++) {
        const struct foreign *f = &formats[i];
        if (size < f->offset + f->length ||
            memcmp((const char *)bytes + f->offset, f->magic, f->length) ||
            !strcmp(f->reader, wanted))
            continue;
        what = f->what, hint = f->hint;
    }
    if (what) (void)octi_fail(OCT_EFORMAT, path, octi_fmt("this is %s", what), wanted, NULL, hint);
    return what != NULL;
}
