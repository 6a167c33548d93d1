// The physical limit of the products: their instruction on operands that never leave the registers.
#include "kernels/peak.h"

#include "abi.h"
#include "kernels/product.h"
#include "parallel.h"

#if SP_LEVEL >= SP_AVX2
#include <immintrin.h>
#endif

namespace sp {
namespace SP_NAMESPACE {

namespace {

#if SP_LEVEL >= SP_AMX
int64_t piece(int64_t rounds) {
    begin_products();
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    for (int64_t i = 0; i < rounds; ++i) {
        _tile_dpbusd(0, 4, 5);
        _tile_dpbusd(1, 4, 5);
        _tile_dpbusd(2, 4, 5);
        _tile_dpbusd(3, 4, 5);
    }
    end_products();
    return rounds * 4 * 16 * 16 * 64;
}
#elif SP_LEVEL >= SP_AVX512
int64_t piece(int64_t rounds) {
    __m512i a = _mm512_set1_epi8(1), sum[12];
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) sum[j] = _mm512_setzero_si512();
    for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
        for (int j = 0; j < 12; ++j) {
            sum[j] = _mm512_dpbusd_epi32(sum[j], a, a);
            __asm__ volatile("" : "+v"(sum[j]));
        }
    }
    return rounds * 12 * 64;
}
#elif SP_LEVEL >= SP_AVX2
int64_t piece(int64_t rounds) {
    __m256i a = _mm256_set1_epi8(1), ones = _mm256_set1_epi16(1), sum[8];
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) sum[j] = _mm256_setzero_si256();
    for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 8
        for (int j = 0; j < 8; ++j) {
            __asm__ volatile("" : "+v"(a));
            sum[j] = _mm256_add_epi32(sum[j], _mm256_madd_epi16(_mm256_maddubs_epi16(a, a), ones));
            __asm__ volatile("" : "+v"(sum[j]));
        }
    }
    return rounds * 8 * 32;
}
#else
int64_t piece(int64_t rounds) {
    volatile uint8_t first = 3;
    volatile int8_t second = -5;
    const uint8_t x = first;
    const int8_t w = second;
    int32_t sum[BLOCK] = {};
    for (int64_t i = 0; i < rounds; ++i) {
        for (int64_t j = 0; j < BLOCK; ++j) sum[j] += int32_t{x} * w;
        __asm__ volatile("" : "+m"(sum));
    }
    return rounds * BLOCK;
}
#endif

}  // namespace

int64_t multiply_in_registers(int64_t rounds, int32_t threads) {
    int64_t done = 0;
    parallel_for(threads, threads, [&](int64_t, int32_t) {
        const int64_t mine = piece(rounds);
        __atomic_fetch_add(&done, mine, __ATOMIC_RELAXED);
    });
    return done;
}

}  // namespace SP_NAMESPACE
}  // namespace sp

#if SP_LEVEL == SP_PORTABLE
SP_API int64_t sp_multiply_in_registers(int64_t rounds, int32_t threads) {
    return SP_DISPATCH(multiply_in_registers, rounds, threads);
}
#endif
