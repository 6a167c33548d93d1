// Counts as the stepper keeps them, (pixel, channel) in 32 bits, as a recording holds them, (channel, pixel) in 64.
#include "kernels/transpose.h"

#if SP_LEVEL >= SP_AVX2
#include <immintrin.h>
#endif

namespace sp {
namespace SP_NAMESPACE {

#if SP_LEVEL >= SP_AVX2
// Rows of 8 numbers become columns.
static inline void transpose8(__m256i r[8]) {
    __m256i a[8], b[8];
    for (int i = 0; i < 4; ++i) {
        a[2 * i] = _mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        a[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 2; ++i) {
        b[4 * i] = _mm256_unpacklo_epi64(a[4 * i], a[4 * i + 2]);
        b[4 * i + 1] = _mm256_unpackhi_epi64(a[4 * i], a[4 * i + 2]);
        b[4 * i + 2] = _mm256_unpacklo_epi64(a[4 * i + 1], a[4 * i + 3]);
        b[4 * i + 3] = _mm256_unpackhi_epi64(a[4 * i + 1], a[4 * i + 3]);
    }
    for (int i = 0; i < 4; ++i) {
        r[i] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x20);
        r[i + 4] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x31);
    }
}

static inline void store_wide(int64_t* to, __m256i eight) {
#if SP_LEVEL >= SP_AVX512
    _mm512_storeu_si512(to, _mm512_cvtepi32_epi64(eight));
#else
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_cvtepi32_epi64(_mm256_castsi256_si128(eight)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 4), _mm256_cvtepi32_epi64(_mm256_extracti128_si256(eight, 1)));
#endif
}
#endif

// to[c * to_stride + r] = from[r * stride + c]; the rows of `from` may be read up to the next multiple of 8 columns.
void widen_transposed(const int32_t* from, int64_t stride, int64_t rows, int64_t columns, int64_t* to, int64_t to_stride) {
    int64_t row = 0;
#if SP_LEVEL >= SP_AVX2
    for (; row + 8 <= rows; row += 8)
        for (int64_t column = 0; column < columns; column += 8) {
            __m256i block[8];
            for (int i = 0; i < 8; ++i)
                block[i] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + (row + i) * stride + column));
            transpose8(block);
            const int64_t left = columns - column < 8 ? columns - column : 8;
            for (int64_t i = 0; i < left; ++i) store_wide(to + (column + i) * to_stride + row, block[i]);
        }
#endif
    for (int64_t column = 0; column < columns; ++column)
        for (int64_t r = row; r < rows; ++r) to[column * to_stride + r] = from[r * stride + column];
}

}  // namespace SP_NAMESPACE
}  // namespace sp
