/* SPDX-License-Identifier: MIT
 * tests/through_file.h - a net as it comes back from its file. */
#ifndef OCT_TESTS_THROUGH_FILE_H
#define OCT_TESTS_THROUGH_FILE_H

#include "qat/infer/infer.h"
#include "tests/oct_test.h"

static inline oct_net *through_a_file(oct_net *net) {
    uint8_t *bytes;
    size_t size;
    ck_ok(oct_int8_save_memory(net, &bytes, &size));
    oct_net *again = oct_int8_load_memory(net->ctx, bytes, size, "memory");
    ck_assert_msg(again != NULL, "%s", oct_error_message());
    oct_int8_bytes_free(net->ctx, bytes);
    return again;
}

#endif
