// Integer matrix products: unsigned bytes x signed bytes, or signed words x signed words, exact in 32 bits.
//
// All variants read the same packed weights. Callers prove that no partial sum leaves 32 bits; the order of additions is then
// free, and every instruction set gives the same sums.
#include "kernels/product.h"

#include "abi.h"

#if SP_LEVEL >= SP_AVX2
#include <immintrin.h>
#endif

namespace sp {
namespace SP_NAMESPACE {

namespace {

constexpr int64_t STRIDE = BLOCK * MOST_BLOCKS;

inline int32_t four_bytes(const uint8_t* at) {
    int32_t value;
    __builtin_memcpy(&value, at, 4);
    return value;
}

#if SP_LEVEL >= SP_AVX512

template <int ROWS, int BLOCKS, bool WORDS>
void tile(const Product& p, const uint8_t* panel, int32_t* sums) {
    __m512i sum[ROWS][BLOCKS];
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 4
        for (int b = 0; b < BLOCKS; ++b) sum[r][b] = _mm512_setzero_si512();
    const int64_t stride = p.row_bytes, block = p.row_bytes * BLOCK;
    const uint8_t* weights = p.weights;
    for (int64_t k = 0; k < p.steps; ++k, panel += 4, weights += 64) {
        __m512i weight[BLOCKS];
#pragma GCC unroll 4
        for (int b = 0; b < BLOCKS; ++b) weight[b] = _mm512_loadu_si512(weights + b * block);
#pragma GCC unroll 16
        for (int r = 0; r < ROWS; ++r) {
            const __m512i x = _mm512_set1_epi32(four_bytes(panel + r * stride));
#pragma GCC unroll 4
            for (int b = 0; b < BLOCKS; ++b)
                sum[r][b] = WORDS ? _mm512_dpwssd_epi32(sum[r][b], x, weight[b])
                                  : _mm512_dpbusd_epi32(sum[r][b], x, weight[b]);
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 4
        for (int b = 0; b < BLOCKS; ++b) _mm512_storeu_si512(sums + r * STRIDE + b * BLOCK, sum[r][b]);
}

template <int ROWS, int BLOCKS, bool WORDS>
void rows_of(const Product& p, int64_t rows, int32_t* sums) {
    int64_t r = 0;
    // a last tile may compute rows that nobody reads; a few rows alone are cheaper one by one
    for (; r + 2 < rows; r += ROWS) tile<ROWS, BLOCKS, WORDS>(p, p.panel + r * p.row_bytes, sums + r * STRIDE);
    for (; r < rows; ++r) tile<1, BLOCKS, WORDS>(p, p.panel + r * p.row_bytes, sums + r * STRIDE);
}

template <bool WORDS>
void vector_product(const Product& p, int64_t rows, int32_t* sums) {
    switch (p.blocks) {
        case 1: return rows_of<16, 1, WORDS>(p, rows, sums);
        case 2: return rows_of<12, 2, WORDS>(p, rows, sums);
        case 3: return rows_of<8, 3, WORDS>(p, rows, sums);
        default: return rows_of<6, 4, WORDS>(p, rows, sums);
    }
}

#elif SP_LEVEL >= SP_AVX2

// How a broadcast of four bytes meets a line of weights. Two products of bytes may pass 16 bits: then even and odd ones go apart.
enum Meeting { SMALL_BYTES, BYTES, WORDS };

template <Meeting HOW>
inline __m256i meet(__m256i sum, __m256i x, __m256i weight) {
    if (HOW == WORDS) return _mm256_add_epi32(sum, _mm256_madd_epi16(x, weight));
    const __m256i ones = _mm256_set1_epi16(1);
    if (HOW == SMALL_BYTES) return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(x, weight), ones));
    const __m256i even = _mm256_set1_epi16(0xff);
    const __m256i low = _mm256_maddubs_epi16(_mm256_and_si256(x, even), weight);
    const __m256i high = _mm256_maddubs_epi16(_mm256_andnot_si256(even, x), weight);
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(low, ones));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(high, ones));
}

template <int ROWS, Meeting HOW>
void tile(const Product& p, const uint8_t* panel, const uint8_t* weights, int32_t* sums) {
    __m256i sum[ROWS][2];
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; ++r) sum[r][0] = sum[r][1] = _mm256_setzero_si256();
    for (int64_t k = 0; k < p.steps; ++k, panel += 4, weights += 64) {
        const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights));
        const __m256i second = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights + 32));
#pragma GCC unroll 4
        for (int r = 0; r < ROWS; ++r) {
            const __m256i x = _mm256_set1_epi32(four_bytes(panel + r * p.row_bytes));
            sum[r][0] = meet<HOW>(sum[r][0], x, first);
            sum[r][1] = meet<HOW>(sum[r][1], x, second);
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; ++r) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + r * STRIDE), sum[r][0]);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + r * STRIDE + 8), sum[r][1]);
    }
}

template <Meeting HOW>
void vector_product(const Product& p, int64_t rows, int32_t* sums) {
    for (int b = 0; b < p.blocks; ++b) {
        const uint8_t* weights = p.weights + b * p.row_bytes * BLOCK;
        int64_t r = 0;
        for (; r + 1 < rows; r += 4)
            tile<4, HOW>(p, p.panel + r * p.row_bytes, weights, sums + r * STRIDE + b * BLOCK);
        for (; r < rows; ++r) tile<1, HOW>(p, p.panel + r * p.row_bytes, weights, sums + r * STRIDE + b * BLOCK);
    }
}

#else

template <typename Operand, typename Weight, int EACH>
void plain_product(const Product& p, int64_t rows, int32_t* sums) {
    for (int b = 0; b < p.blocks; ++b) {
        for (int64_t r = 0; r < rows; ++r) {
            int32_t sum[BLOCK] = {};
            const uint8_t* panel = p.panel + r * p.row_bytes;
            const uint8_t* weights = p.weights + b * p.row_bytes * BLOCK;
            for (int64_t k = 0; k < p.steps; ++k, panel += 4, weights += 64) {
                Operand x[EACH];
                Weight w[BLOCK * EACH];
                __builtin_memcpy(x, panel, 4);
                __builtin_memcpy(w, weights, 64);
                for (int o = 0; o < BLOCK; ++o)
                    for (int i = 0; i < EACH; ++i) sum[o] += int32_t(x[i]) * int32_t(w[o * EACH + i]);
            }
            __builtin_memcpy(sums + r * STRIDE + b * BLOCK, sum, sizeof sum);
        }
    }
}

#endif

#if SP_LEVEL >= SP_AMX

// gcc's tile loads do not tell the compiler that they read memory: panels are written, and sums read, in other files only.
struct alignas(64) Tiles {
    uint8_t palette = 1, start = 0, zero[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// 32 rows x 32 outputs in four tiles of sums.
void tiles_2_2(const uint8_t* panel, int64_t row_bytes, const uint8_t* weights, int32_t* sums) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    const uint8_t *below = panel + 16 * row_bytes, *beside = weights + row_bytes * BLOCK;
    for (int64_t k = 0; k < row_bytes; k += 64) {
        _tile_loadd(4, panel + k, row_bytes);
        _tile_loadd(6, weights + k * BLOCK, 64);
        _tile_dpbusd(0, 4, 6);
        _tile_loadd(7, beside + k * BLOCK, 64);
        _tile_dpbusd(1, 4, 7);
        _tile_loadd(5, below + k, row_bytes);
        _tile_dpbusd(2, 5, 6);
        _tile_dpbusd(3, 5, 7);
    }
    _tile_stored(0, sums, STRIDE * 4);
    _tile_stored(1, sums + 16, STRIDE * 4);
    _tile_stored(2, sums + 16 * STRIDE, STRIDE * 4);
    _tile_stored(3, sums + 16 * STRIDE + 16, STRIDE * 4);
}

void tiles_2_1(const uint8_t* panel, int64_t row_bytes, const uint8_t* weights, int32_t* sums) {
    _tile_zero(0);
    _tile_zero(2);
    const uint8_t* below = panel + 16 * row_bytes;
    for (int64_t k = 0; k < row_bytes; k += 64) {
        _tile_loadd(4, panel + k, row_bytes);
        _tile_loadd(6, weights + k * BLOCK, 64);
        _tile_dpbusd(0, 4, 6);
        _tile_loadd(5, below + k, row_bytes);
        _tile_dpbusd(2, 5, 6);
    }
    _tile_stored(0, sums, STRIDE * 4);
    _tile_stored(2, sums + 16 * STRIDE, STRIDE * 4);
}

// 16 rows x 16 outputs for each block.
void tiles_1(const uint8_t* panel, int64_t row_bytes, const uint8_t* weights, int32_t* sums) {
    _tile_zero(0);
    for (int64_t k = 0; k < row_bytes; k += 64) {
        _tile_loadd(4, panel + k, row_bytes);
        _tile_loadd(6, weights + k * BLOCK, 64);
        _tile_dpbusd(0, 4, 6);
    }
    _tile_stored(0, sums, STRIDE * 4);
}

void tile_product(const Product& p, int64_t rows, int32_t* sums) {
    const int64_t block = p.row_bytes * BLOCK;
    for (int64_t r = 0; r < rows; r += 32) {
        const uint8_t* panel = p.panel + r * p.row_bytes;
        int32_t* to = sums + r * STRIDE;
        const bool two = rows - r > 16;
        int b = 0;
        for (; two && b + 2 <= p.blocks; b += 2)
            tiles_2_2(panel, p.row_bytes, p.weights + b * block, to + b * BLOCK);
        for (; b < p.blocks; ++b) {
            if (two) tiles_2_1(panel, p.row_bytes, p.weights + b * block, to + b * BLOCK);
            else tiles_1(panel, p.row_bytes, p.weights + b * block, to + b * BLOCK);
        }
    }
}

#endif

}  // namespace

void product(const Product& p, int64_t rows, int32_t* sums) {
#if SP_LEVEL >= SP_AMX
    if (!p.words && rows > 4) return tile_product(p, rows, sums);
#endif
#if SP_LEVEL >= SP_AVX512
    if (p.words) vector_product<true>(p, rows, sums);
    else vector_product<false>(p, rows, sums);
#elif SP_LEVEL >= SP_AVX2
    constexpr int32_t PAIR_FITS = 127;  // 2 * 127 * 128 < 2^15
    if (p.words) vector_product<WORDS>(p, rows, sums);
    else if (p.most <= PAIR_FITS) vector_product<SMALL_BYTES>(p, rows, sums);
    else vector_product<BYTES>(p, rows, sums);
#else
    if (p.words) plain_product<int16_t, int16_t, 2>(p, rows, sums);
    else plain_product<uint8_t, int8_t, 4>(p, rows, sums);
#endif
}

void begin_products() {
#if SP_LEVEL >= SP_AMX
    static constexpr Tiles tiles{};
    _tile_loadconfig(&tiles);
#endif
}

void end_products() {
#if SP_LEVEL >= SP_AMX
    _tile_release();
#endif
}

}  // namespace SP_NAMESPACE
}  // namespace sp
