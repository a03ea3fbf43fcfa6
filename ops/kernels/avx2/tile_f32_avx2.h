/* SPDX-License-Identifier: MIT
 * ops/kernels/avx2/tile_f32_avx2.h - the pieces of register tiles of n rows x 16 columns: 12
 * accumulators at 6 rows, 2 vectors of B, 1 of A. Accumulators are named, not an array, since
 * compilers spill arrays; the first step multiplies instead of clearing; an old C is added at the
 * end, off the FMA chain, which is also more accurate. A user defines TILE_A(i) (address of row i's
 * element at this step) and, to finish, TILE_C(i) (address of row i's columns). */
#ifndef OCT_OPS_KERNELS_AVX2_TILE_F32_AVX2_H
#define OCT_OPS_KERNELS_AVX2_TILE_F32_AVX2_H

#include <immintrin.h>

#define TILE_REP1(F) F(0)
#define TILE_REP2(F) TILE_REP1(F) F(1)
#define TILE_REP3(F) TILE_REP2(F) F(2)
#define TILE_REP4(F) TILE_REP3(F) F(3)
#define TILE_REP5(F) TILE_REP4(F) F(4)
#define TILE_REP6(F) TILE_REP5(F) F(5)
#define TILE_REP8(F) TILE_REP6(F) F(6) F(7)

#define TILE_DECL(i) __m256 s##i, r##i;
#define TILE_B(b)    __m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps((b) + 8);
#define TILE_MUL(i)                                                                                \
    {                                                                                              \
        __m256 t_ = _mm256_broadcast_ss(TILE_A(i));                                                \
        s##i = _mm256_mul_ps(t_, b0);                                                              \
        r##i = _mm256_mul_ps(t_, b1);                                                              \
    }
#define TILE_MAC(i)                                                                                \
    {                                                                                              \
        __m256 t_ = _mm256_broadcast_ss(TILE_A(i));                                                \
        s##i = _mm256_fmadd_ps(t_, b0, s##i);                                                      \
        r##i = _mm256_fmadd_ps(t_, b1, r##i);                                                      \
    }
#define TILE_OLD(i)                                                                                \
    s##i = _mm256_add_ps(s##i, _mm256_loadu_ps(TILE_C(i)));                                        \
    r##i = _mm256_add_ps(r##i, _mm256_loadu_ps(TILE_C(i) + 8));
#define TILE_PUT(i)                                                                                \
    _mm256_storeu_ps(TILE_C(i), s##i);                                                             \
    _mm256_storeu_ps(TILE_C(i) + 8, r##i);

#if defined(__clang__)
#define TILE_UNROLL _Pragma("unroll 4")
#else
#define TILE_UNROLL _Pragma("GCC unroll 4")
#endif

#endif
