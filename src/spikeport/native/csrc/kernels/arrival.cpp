// What spikes do to sums, and which neurons sent some. Sums wrap as two's complement, so that their order does not matter.
#include "kernels/lockstep.h"

#include "abi.h"
#include "kernels/wrapping.h"

#if SP_LEVEL >= SP_AVX2
#include <immintrin.h>
#endif

namespace sp {
namespace SP_NAMESPACE {

namespace {

// ---- rows of weights

// Whole vectors of sums, and how weights become them.
#if SP_LEVEL >= SP_AVX512
typedef int16_t Shorts __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
inline Shorts widened(const int8_t* p) {
    return reinterpret_cast<Shorts>(_mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
}
inline Ints widened(const int16_t* p) {
    return reinterpret_cast<Ints>(_mm512_cvtepi16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
}
constexpr int32_t WIDEST = 8;  // vectors of sums that registers hold
#elif SP_LEVEL >= SP_AVX2
typedef int16_t Shorts __attribute__((vector_size(32)));
typedef int32_t Ints __attribute__((vector_size(32)));
inline Shorts widened(const int8_t* p) {
    return reinterpret_cast<Shorts>(_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
inline Ints widened(const int16_t* p) {
    return reinterpret_cast<Ints>(_mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
constexpr int32_t WIDEST = 8;
#else
typedef int16_t Shorts __attribute__((vector_size(16)));
typedef int32_t Ints __attribute__((vector_size(16)));
typedef int8_t Bytes8 __attribute__((vector_size(8), aligned(1), may_alias));
typedef int16_t Shorts4 __attribute__((vector_size(8), aligned(2), may_alias));
inline Shorts widened(const int8_t* p) { return __builtin_convertvector(*reinterpret_cast<const Bytes8*>(p), Shorts); }
inline Ints widened(const int16_t* p) { return __builtin_convertvector(*reinterpret_cast<const Shorts4*>(p), Ints); }
constexpr int32_t WIDEST = 8;
#endif

// Sums of so many rows stay in narrow integers: int8 in int16, int16 in int32. `most` is the largest sum of payloads with which
// they do, -128 times -255 and -2^15 times -(2^16 - 1) among them.
template <typename W> struct Sums;
template <> struct Sums<int8_t> {
    using Item = int16_t;
    using Vector = Shorts;
    static constexpr int64_t most = 255;
};
template <> struct Sums<int16_t> {
    using Item = int32_t;
    using Vector = Ints;
    static constexpr int64_t most = 65535;
};

constexpr int32_t MOST_ROWS = 256;

// Rows of one slab that go to the same neurons.
template <typename W>
struct Rows {
    int64_t at[MOST_ROWS];  // in weights from the begin of the slab
    typename Sums<W>::Item value[MOST_ROWS];
    int32_t count;
    bool ones;
};

template <int N, bool ONES, typename W, typename V>
inline void tile(const Rows<W>& rows, const W* slab, V* __restrict sums, int32_t up) {
    using Vector = typename Sums<W>::Vector;
    constexpr int32_t lanes = sizeof(Vector) / sizeof(typename Sums<W>::Item);
    Vector held[N] = {};
    for (int32_t r = 0; r < rows.count; ++r) {
        const W* row = slab + rows.at[r];
        for (int32_t j = 0; j < N; ++j) {
            if constexpr (ONES) held[j] += widened(row + j * lanes);
            else held[j] += widened(row + j * lanes) * rows.value[r];
        }
    }
    for (int32_t j = 0; j < N; ++j)
        for (int32_t k = 0; k < lanes; ++k) sums[j * lanes + k] = add(sums[j * lanes + k], left(static_cast<V>(held[j][k]), up));
}

// 16 neurons, which may be less than a vector.
template <bool ONES, typename W, typename V>
inline void narrow_tile(const Rows<W>& rows, const W* slab, V* __restrict sums, int32_t up) {
    using Item = typename Sums<W>::Item;
    Item held[16] = {};
    for (int32_t r = 0; r < rows.count; ++r) {
        const W* row = slab + rows.at[r];
        const Item value = ONES ? Item{1} : rows.value[r];
        for (int32_t k = 0; k < 16; ++k) held[k] = static_cast<Item>(held[k] + row[k] * value);
    }
    for (int32_t k = 0; k < 16; ++k) sums[k] = add(sums[k], left(static_cast<V>(held[k]), up));
}

// What sums are added to is read and written once for all rows.
template <bool ONES, typename W, typename V>
void add_rows(const Rows<W>& rows, const W* slab, V* sums, int32_t padded, int32_t up) {
    constexpr int32_t lanes = sizeof(typename Sums<W>::Vector) / sizeof(typename Sums<W>::Item);
    int32_t k = 0;
    for (; k + WIDEST * lanes <= padded; k += WIDEST * lanes) tile<WIDEST, ONES>(rows, slab + k, sums + k, up);
    for (; k + 4 * lanes <= padded; k += 4 * lanes) tile<4, ONES>(rows, slab + k, sums + k, up);
    for (; k + 2 * lanes <= padded; k += 2 * lanes) tile<2, ONES>(rows, slab + k, sums + k, up);
    for (; k + lanes <= padded; k += lanes) tile<1, ONES>(rows, slab + k, sums + k, up);
    for (; k < padded; k += 16) narrow_tile<ONES>(rows, slab + k, sums + k, up);
}

template <typename V, typename W>
void add_row(const W* __restrict row, V value, V* __restrict sums, int32_t padded) {
    for (int32_t k = 0; k < padded; ++k) sums[k] = add(sums[k], times(value, static_cast<V>(row[k])));
}

template <typename V, typename W>
void deliver_row(const LockstepArc& arc, const LockstepSpikes& spikes, int64_t s, V* sums) {
    const W* rows = static_cast<const W*>(arc.rows);
    const V value = left(static_cast<const V*>(spikes.value)[s], arc.up);
    for (int64_t i = arc.offsets[spikes.pixel[s]], end = arc.offsets[spikes.pixel[s] + 1]; i < end; ++i) {
        const W* row = rows + (static_cast<int64_t>(arc.slab[i]) * arc.channels + spikes.channel[s]) * arc.padded;
        add_row<V, W>(row, value, sums + static_cast<int64_t>(arc.pixel[i]) * arc.padded, arc.padded);
    }
}

// The spikes from s on of one pixel, as many as narrow sums hold; those of a block's pixel lie side by side.
template <typename V, typename W>
void gather(const LockstepArc& arc, const LockstepSpikes& spikes, int64_t s, Rows<W>& rows) {
    const V* value = static_cast<const V*>(spikes.value);
    const int32_t *pixel = spikes.pixel + s, *channel = spikes.channel + s;
    const int64_t padded = arc.padded, left = spikes.count - s, most = left < MOST_ROWS ? left : MOST_ROWS;
    int64_t room = Sums<W>::most;
    int32_t n = 0;
    bool ones = true;
    value += s;
    for (; n < most && pixel[n] == pixel[0]; ++n) {
        const V size = magnitude(value[n]);
        if (size < 0 || size > room) break;
        room -= size;
        rows.at[n] = channel[n] * padded;
        rows.value[n] = static_cast<typename Sums<W>::Item>(value[n]);
        ones &= value[n] == 1;
    }
    rows.count = n, rows.ones = ones;
}

template <typename V, typename W>
void deliver_rows(const LockstepArc& arc, const LockstepSpikes& spikes, V* sums) {
    if constexpr (sizeof(W) <= 2) {
        if (arc.padded % 16 == 0) {
            Rows<W> rows;
            for (int64_t s = 0; s < spikes.count; s += rows.count > 0 ? rows.count : 1) {
                gather<V, W>(arc, spikes, s, rows);
                if (rows.count == 0) {
                    deliver_row<V, W>(arc, spikes, s, sums);
                    continue;
                }
                for (int64_t i = arc.offsets[spikes.pixel[s]], end = arc.offsets[spikes.pixel[s] + 1]; i < end; ++i) {
                    const W* slab = static_cast<const W*>(arc.rows) + static_cast<int64_t>(arc.slab[i]) * arc.channels * arc.padded;
                    V* to = sums + static_cast<int64_t>(arc.pixel[i]) * arc.padded;
                    if (rows.ones) add_rows<true>(rows, slab, to, arc.padded, arc.up);
                    else add_rows<false>(rows, slab, to, arc.padded, arc.up);
                }
            }
            return;
        }
    }
    for (int64_t s = 0; s < spikes.count; ++s) deliver_row<V, W>(arc, spikes, s, sums);
}

template <typename V>
void deliver(const LockstepArc& arc, const LockstepSpikes& spikes, V* sums) {
    const V* value = static_cast<const V*>(spikes.value);
    switch (arc.weights) {
        case LOCKSTEP_ROWS8: return deliver_rows<V, int8_t>(arc, spikes, sums);
        case LOCKSTEP_ROWS16: return deliver_rows<V, int16_t>(arc, spikes, sums);
        case LOCKSTEP_ROWS32: return deliver_rows<V, int32_t>(arc, spikes, sums);
        case LOCKSTEP_DIAGONAL:
            for (int64_t s = 0; s < spikes.count; ++s) {
                const int64_t channel = spikes.channel[s];
                for (int64_t i = arc.offsets[spikes.pixel[s]], end = arc.offsets[spikes.pixel[s] + 1]; i < end; ++i) {
                    const int64_t entry = static_cast<int64_t>(arc.slab[i]) * arc.channels + channel;
                    if (arc.to[entry] < 0) continue;
                    V& sum = sums[static_cast<int64_t>(arc.pixel[i]) * arc.padded + arc.to[entry]];
                    sum = add(sum, times(value[s], static_cast<V>(arc.factor[entry])));
                }
            }
            return;
        default: {
            const int32_t* weight = static_cast<const int32_t*>(arc.rows);
            for (int64_t s = 0; s < spikes.count; ++s) {
                const int64_t flat = static_cast<int64_t>(spikes.channel[s]) * arc.source_pixels + spikes.pixel[s];
                for (int64_t i = arc.offsets[flat], end = arc.offsets[flat + 1]; i < end; ++i) {
                    V& sum = sums[arc.pixel[i]];
                    sum = add(sum, times(value[s], static_cast<V>(weight[i])));
                }
            }
        }
    }
}

template <typename V>
void arrive(V* __restrict sums, V* __restrict arriving, int64_t count, int32_t shift, int32_t wraps) {
    const int32_t up = shift > 0 ? shift : 0, down = shift < 0 ? -shift : 0;
    if (wraps & LOCKSTEP_SUMS_32)
        for (int64_t i = 0; i < count; ++i) sums[i] = wrap<V>(sums[i], 31);
    if (wraps & LOCKSTEP_HANDS_24) {
        for (int64_t i = 0; i < count; ++i) arriving[i] = add(arriving[i], wrap<V>(left(sums[i], up) >> down, 23)), sums[i] = 0;
    } else {
        for (int64_t i = 0; i < count; ++i) arriving[i] = add(arriving[i], left(sums[i], up) >> down), sums[i] = 0;
    }
}

// ---- which neurons sent

// Entries of a row that are not zero, into lists: their positions from `base` on, and what they are.
template <typename V>
inline int64_t found(const V* row, int64_t length, int32_t base, int32_t* position, V* value) {
    int64_t n = 0, i = 0;
#if SP_LEVEL >= SP_AVX512
    if constexpr (sizeof(V) == 4) {
        const __m512i iota = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
        for (; i < length; i += 16) {
            const __mmask16 inside = length - i >= 16 ? 0xFFFF : static_cast<__mmask16>((1u << (length - i)) - 1);
            const __m512i here = _mm512_maskz_loadu_epi32(inside, row + i);
            const __mmask16 any = _mm512_test_epi32_mask(here, here);
            if (any == 0) continue;
            const int32_t count = __builtin_popcount(any);
            const __mmask16 first = static_cast<__mmask16>((1u << count) - 1);
            const __m512i places = _mm512_add_epi32(iota, _mm512_set1_epi32(base + static_cast<int32_t>(i)));
            _mm512_mask_storeu_epi32(position + n, first, _mm512_maskz_compress_epi32(any, places));
            _mm512_mask_storeu_epi32(value + n, first, _mm512_maskz_compress_epi32(any, here));
            n += count;
        }
        return n;
    } else {
        const __m512i iota = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
        for (; i < length; i += 8) {
            const __mmask8 inside = length - i >= 8 ? 0xFF : static_cast<__mmask8>((1u << (length - i)) - 1);
            const __m512i here = _mm512_maskz_loadu_epi64(inside, row + i);
            const __mmask8 any = _mm512_test_epi64_mask(here, here);
            if (any == 0) continue;
            const int32_t count = __builtin_popcount(any);
            const __mmask8 first = static_cast<__mmask8>((1u << count) - 1);
            const __m512i places = _mm512_add_epi64(iota, _mm512_set1_epi64(base + i));
            _mm256_mask_storeu_epi32(position + n, first, _mm512_cvtepi64_epi32(_mm512_maskz_compress_epi64(any, places)));
            _mm512_mask_storeu_epi64(value + n, first, _mm512_maskz_compress_epi64(any, here));
            n += count;
        }
        return n;
    }
#endif
    for (; i < length; ++i) {
        if (i + 16 <= length) {
            V any = 0;
            for (int64_t j = i; j < i + 16; ++j) any |= row[j];
            if (any == 0) {
                i += 15;
                continue;
            }
            for (const int64_t end = i + 16; i < end; ++i)
                if (row[i] != 0) position[n] = base + static_cast<int32_t>(i), value[n++] = row[i];
            --i;
        } else if (row[i] != 0) {
            position[n] = base + static_cast<int32_t>(i), value[n++] = row[i];
        }
    }
    return n;
}

template <typename V>
int64_t collect(const LockstepNeurons& n, const LockstepPlace& place, const V* sends, int32_t* pixel, int32_t* channel, V* value) {
    if (n.padded == 1) {  // pixels lie side by side
        const int64_t count = found(sends, n.pixels, place.first_pixel, pixel, value);
        for (int64_t i = 0; i < count; ++i) channel[i] = place.first_channel;
        return count;
    }
    int64_t count = 0;
    for (int32_t p = 0; p < n.pixels; ++p) {
        const int64_t before = count;
        count += found(sends + static_cast<int64_t>(p) * n.padded, place.channels, place.first_channel, channel + count, value + count);
        for (int64_t i = before; i < count; ++i) pixel[i] = place.first_pixel + p;
    }
    return count;
}

}  // namespace

void lockstep_deliver32(const LockstepArc& arc, const LockstepSpikes& spikes, int32_t* sums) { deliver(arc, spikes, sums); }
void lockstep_deliver64(const LockstepArc& arc, const LockstepSpikes& spikes, int64_t* sums) { deliver(arc, spikes, sums); }

void lockstep_arrive32(int32_t* sums, int32_t* arriving, int64_t count, int32_t shift, int32_t wraps) {
    arrive(sums, arriving, count, shift, wraps);
}
void lockstep_arrive64(int64_t* sums, int64_t* arriving, int64_t count, int32_t shift, int32_t wraps) {
    arrive(sums, arriving, count, shift, wraps);
}

int64_t lockstep_collect32(const LockstepNeurons& neurons, const LockstepPlace& place, const int32_t* sends, int32_t* pixel,
                           int32_t* channel, int32_t* value) {
    return collect(neurons, place, sends, pixel, channel, value);
}
int64_t lockstep_collect64(const LockstepNeurons& neurons, const LockstepPlace& place, const int64_t* sends, int32_t* pixel,
                           int32_t* channel, int64_t* value) {
    return collect(neurons, place, sends, pixel, channel, value);
}

int64_t lockstep_count(const int64_t* raster, int64_t count) {
    int64_t total = 0;
    for (int64_t i = 0; i < count; ++i) total += raster[i] != 0;
    return total;
}

int64_t lockstep_list(const int64_t* raster, int64_t steps, int64_t samples, int64_t size, int64_t* offsets, int32_t* neurons,
                   int64_t* values) {
    int64_t n = 0;
    for (int64_t sample = 0; sample < samples; ++sample) {
        for (int64_t step = 0; step < steps; ++step) {
            *offsets++ = n;
            n += found(raster + (step * samples + sample) * size, size, 0, neurons + n, values + n);
        }
        *offsets++ = n;
    }
    return n;
}

}  // namespace SP_NAMESPACE
}  // namespace sp

#if SP_LEVEL == SP_PORTABLE
SP_API int64_t sp_lockstep_count(const int64_t* raster, int64_t count) { return SP_DISPATCH(lockstep_count, raster, count); }

SP_API int64_t sp_lockstep_list(const int64_t* raster, int64_t steps, int64_t samples, int64_t size, int64_t* offsets, int32_t* neurons,
                             int64_t* values) {
    return SP_DISPATCH(lockstep_list, raster, steps, samples, size, offsets, neurons, values);
}
#endif
