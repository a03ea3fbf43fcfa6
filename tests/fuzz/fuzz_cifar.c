/* SPDX-License-Identifier: MIT
 * CIFAR records; the first byte chooses CIFAR-10 or CIFAR-100, and its label. */
#include "datasets/set.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size) return 0;
    int head = 1 + (data[0] & 1), label = head == 2 && !(data[0] & 2),
        classes = head == 1 ? 10
                  : label   ? 100
                            : 20;
    data++;
    size--;
    size_t n = size / (OCTI_CIFAR_PIXELS + (size_t)head);
    uint8_t *pixels = malloc(n * OCTI_CIFAR_PIXELS + 1);
    int32_t *labels = malloc((n + 1) * sizeof *labels);
    fuzz_check(pixels && labels);
    oct_status s = octi_cifar_parse(data, size, "cifar", head, label, classes, pixels, labels);
    if (s != OCT_OK)
        fuzz_failed(s);
    else
        for (size_t i = 0; i < n; i++) fuzz_check(labels[i] >= 0 && labels[i] < classes);
    free(pixels);
    free(labels);
    return 0;
}
