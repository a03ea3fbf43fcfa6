/* SPDX-License-Identifier: MIT
 * ops/kernels/avx512/tile_f32_avx512.h - the pieces of register tiles of up to 14 rows x 32 columns
 * (TILE_) or 16 (SLIM_): 28 accumulators, two vectors of B, one of A. Each element is one chain of
 * FMAs from zero on, whatever tile it is in, so that its bits do not depend on where it lies. A
 * user defines TILE_A(i), row i's float at this step. On a core of two 512-bit FMAs a cycle 14 rows
 * take 14 cycles a step and load 16 times; fewer than 4 rows of 32 wait for their own sums. */
#ifndef OCT_OPS_KERNELS_AVX512_TILE_F32_AVX512_H
#define OCT_OPS_KERNELS_AVX512_TILE_F32_AVX512_H

#include <immintrin.h>
#include <stdint.h>

#define TILE_REP1(F)  F(0)
#define TILE_REP2(F)  TILE_REP1(F) F(1)
#define TILE_REP3(F)  TILE_REP2(F) F(2)
#define TILE_REP4(F)  TILE_REP3(F) F(3)
#define TILE_REP5(F)  TILE_REP4(F) F(4)
#define TILE_REP6(F)  TILE_REP5(F) F(5)
#define TILE_REP7(F)  TILE_REP6(F) F(6)
#define TILE_REP8(F)  TILE_REP7(F) F(7)
#define TILE_REP9(F)  TILE_REP8(F) F(8)
#define TILE_REP10(F) TILE_REP9(F) F(9)
#define TILE_REP11(F) TILE_REP10(F) F(10)
#define TILE_REP12(F) TILE_REP11(F) F(11)
#define TILE_REP13(F) TILE_REP12(F) F(12)
#define TILE_REP14(F) TILE_REP13(F) F(13)
/** M(1) to M(14), and a table of what these make: {NULL, name1, ... name14}. */
#define TILE_EACH(M) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12) M(13) M(14)
#define TILE_TABLE(name)                                                                           \
    {                                                                                              \
        NULL, name##1, name##2, name##3, name##4, name##5, name##6, name##7, name##8, name##9,     \
            name##10, name##11, name##12, name##13, name##14                                       \
    }
enum { TILE_ROWS = 14 };

#define TILE_DECL(i) __m512 s##i = _mm512_setzero_ps(), r##i = _mm512_setzero_ps();
#define TILE_MAC(i)                                                                                \
    {                                                                                              \
        const __m512 t_ = _mm512_set1_ps(TILE_A(i));                                               \
        s##i = _mm512_fmadd_ps(t_, b0, s##i);                                                      \
        r##i = _mm512_fmadd_ps(t_, b1, r##i);                                                      \
    }
#define SLIM_DECL(i) __m512 s##i = _mm512_setzero_ps();
#define SLIM_MAC(i)  s##i = _mm512_fmadd_ps(_mm512_set1_ps(TILE_A(i)), b0, s##i);

#if defined(__clang__)
#define TILE_UNROLL _Pragma("unroll 2")
#else
#define TILE_UNROLL _Pragma("GCC unroll 2")
#endif

/** The lanes that hold columns where so many are left. */
static inline __mmask16 tile_lanes(int64_t left) {
    return left < 16 ? (__mmask16)((1u << left) - 1) : (__mmask16)0xffff;
}
/** Tile i of `tiles` of n rows begins here: all are nearly as high. */
static inline int64_t tile_begin(int64_t n, int64_t tiles, int64_t i) { return n * i / tiles; }

#endif
