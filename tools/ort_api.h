/* SPDX-License-Identifier: MIT
 * tools/ort_api.h - the part of ONNX Runtime's C interface that verify calls. Its table of
 * functions only ever grows at its end, so a place in it is a function for good: the numbers below
 * are those of API version 7 (ONNX Runtime 1.7), and every later library has them. */
#ifndef OCT_TOOLS_ORT_API_H
#define OCT_TOOLS_ORT_API_H

#include <stddef.h>
#include <stdint.h>

enum { ORT_API_VERSION_ASKED = 7 };

typedef void ort_status, ort_env, ort_options, ort_session, ort_value, ort_memory, ort_info;
typedef void (*ort_function)(void);

typedef struct ort_base {
    const ort_function *(*get_api)(uint32_t version); /* NULL: the library is older */
    const char *(*version)(void);
} ort_base;

/* ORT_CALL(name, place, result, arguments) */
#define ORT_CALLS                                                                                  \
    ORT_CALL(error_message, 2, const char *, (const ort_status *s))                                \
    ORT_CALL(create_env, 3, ort_status *, (int level, const char *id, ort_env **out))              \
    ORT_CALL(create_session, 7, ort_status *,                                                      \
             (const ort_env *e, const char *path, const ort_options *o, ort_session **out))        \
    ORT_CALL(run, 9, ort_status *,                                                                 \
             (ort_session * s, const void *o, const char *const *in_names,                         \
              const ort_value *const *in, size_t nin, const char *const *out_names, size_t nout,   \
              ort_value **out))                                                                    \
    ORT_CALL(create_options, 10, ort_status *, (ort_options * *out))                               \
    ORT_CALL(set_optimization, 23, ort_status *, (ort_options * o, int level))                     \
    ORT_CALL(set_threads, 24, ort_status *, (ort_options * o, int n))                              \
    ORT_CALL(tensor_with_data, 49, ort_status *,                                                   \
             (const ort_memory *m, void *data, size_t bytes, const int64_t *shape, size_t rank,    \
              int type, ort_value **out))                                                          \
    ORT_CALL(tensor_data, 51, ort_status *, (ort_value * v, void **out))                           \
    ORT_CALL(element_type, 60, ort_status *, (const ort_info *i, int *out))                        \
    ORT_CALL(dimension_count, 61, ort_status *, (const ort_info *i, size_t *out))                  \
    ORT_CALL(dimensions, 62, ort_status *, (const ort_info *i, int64_t *out, size_t n))            \
    ORT_CALL(type_and_shape, 65, ort_status *, (const ort_value *v, ort_info **out))               \
    ORT_CALL(cpu_memory, 69, ort_status *, (int allocator, int type, ort_memory **out))            \
    ORT_CALL(release_env, 92, void, (ort_env * e))                                                 \
    ORT_CALL(release_status, 93, void, (ort_status * s))                                           \
    ORT_CALL(release_memory, 94, void, (ort_memory * m))                                           \
    ORT_CALL(release_session, 95, void, (ort_session * s))                                         \
    ORT_CALL(release_value, 96, void, (ort_value * v))                                             \
    ORT_CALL(release_info, 99, void, (ort_info * i))                                               \
    ORT_CALL(release_options, 100, void, (ort_options * o))                                        \
    ORT_CALL(add_config, 130, ort_status *, (ort_options * o, const char *key, const char *value))

/** The functions by name, taken out of the table. */
typedef struct ort_api {
#define ORT_CALL(name, place, result, arguments) result(*name) arguments;
    ORT_CALLS
#undef ORT_CALL
} ort_api;

enum { ORT_FLOAT = 1, ORT_U8 = 2, ORT_S8 = 3, ORT_LOG_ERRORS = 3, ORT_OPTIMIZE_ALL = 99 };

#endif
