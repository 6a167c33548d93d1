// How many bytes of an array are not zero: the measured activity by which kernels are chosen.
#include "kernels/activity.h"

#include "abi.h"

#if SP_LEVEL >= SP_AVX2
#include <immintrin.h>
#endif

namespace sp {
namespace SP_NAMESPACE {

int64_t count_active(const uint8_t* values, int64_t size) {
    int64_t active = 0, i = 0;
#if SP_LEVEL >= SP_AVX512
    for (; i + 64 <= size; i += 64) {
        const __m512i x = _mm512_loadu_si512(values + i);
        active += __builtin_popcountll(_mm512_test_epi8_mask(x, x));
    }
#elif SP_LEVEL >= SP_AVX2
    for (; i + 32 <= size; i += 32) {
        const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values + i));
        const __m256i zero = _mm256_cmpeq_epi8(x, _mm256_setzero_si256());
        active += 32 - __builtin_popcount(static_cast<uint32_t>(_mm256_movemask_epi8(zero)));
    }
#endif
    for (; i < size; ++i) active += values[i] != 0;
    return active;
}

}  // namespace SP_NAMESPACE
}  // namespace sp

#if SP_LEVEL == SP_PORTABLE
SP_API int64_t sp_count_active(const uint8_t* values, int64_t size) { return SP_DISPATCH(count_active, values, size); }
#endif
