// Event-driven stepping of one layer over a chunk of steps.
//
// For a target pixel and a step the bits of its source pixels become one list of weight rows; for a block of target channels the
// rows are added with the accumulators in registers, int8 rows into int16 lanes that are flushed before they can overflow. Then
// the neurons' rule is applied and only bits are written. Where nothing arrives and nothing can fire, a step costs nothing.
#include "kernels/stepping.h"

#if SP_LEVEL >= SP_AVX2
#include <immintrin.h>
#endif

namespace sp {
namespace SP_NAMESPACE {

// The widest vectors of 16 and of 32 bits, and how int8 become them.
#if SP_LEVEL >= SP_AVX512
typedef int16_t Shorts __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
static inline Shorts to_shorts(const int8_t* p) {
    return reinterpret_cast<Shorts>(_mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
}
static inline Ints to_ints(const int8_t* p) {
    return reinterpret_cast<Ints>(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
#elif SP_LEVEL >= SP_AVX2
typedef int16_t Shorts __attribute__((vector_size(32)));
typedef int32_t Ints __attribute__((vector_size(32)));
static inline Shorts to_shorts(const int8_t* p) {
    return reinterpret_cast<Shorts>(_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
static inline Ints to_ints(const int8_t* p) {
    return reinterpret_cast<Ints>(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
#else
typedef int16_t Shorts __attribute__((vector_size(16)));
typedef int32_t Ints __attribute__((vector_size(16)));
typedef int8_t Bytes8 __attribute__((vector_size(8), aligned(1)));
typedef int8_t Bytes4 __attribute__((vector_size(4), aligned(1)));
static inline Shorts to_shorts(const int8_t* p) { return __builtin_convertvector(*reinterpret_cast<const Bytes8*>(p), Shorts); }
static inline Ints to_ints(const int8_t* p) { return __builtin_convertvector(*reinterpret_cast<const Bytes4*>(p), Ints); }
#endif
constexpr int32_t SHORTS = sizeof(Shorts) / 2, INTS = sizeof(Ints) / 4;

constexpr int32_t FLUSH = 256;  // rows of int8 whose sum stays in int16: 256 * 128 = 2**15, and -2**15 is in it

// ---- lists of rows

// Numbers of the rows of the channels whose bits are set, after the n that the list has. It is written in whole vectors.
static inline int32_t append(uint32_t* list, int32_t n, uint64_t word, uint32_t base) {
#if SP_LEVEL >= SP_AVX512
    const __m512i iota = _mm512_set_epi8(63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41,
                                         40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18,
                                         17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const int32_t count = __builtin_popcountll(word);
    __m512i channels = _mm512_maskz_compress_epi8(word, iota);
    const __m512i from = _mm512_set1_epi32(static_cast<int>(base));
    _mm512_storeu_si512(list + n, _mm512_add_epi32(from, _mm512_cvtepu8_epi32(_mm512_castsi512_si128(channels))));
    for (int32_t i = 16; i < count; i += 16) {
        channels = _mm512_alignr_epi64(channels, channels, 2);
        _mm512_storeu_si512(list + n + i, _mm512_add_epi32(from, _mm512_cvtepu8_epi32(_mm512_castsi512_si128(channels))));
    }
    return n + count;
#else
    while (word != 0) {
        list[n++] = base + static_cast<uint32_t>(__builtin_ctzll(word));
        word &= word - 1;
    }
    return n;
#endif
}

// ---- sums of rows

// N vectors of target channels.
template <int N>
static void add_block(const int8_t* rows, const uint32_t* plus, int32_t n_plus, const uint32_t* minus, int32_t n_minus,
                      int64_t stride, int32_t* acc, int32_t worth) {
    int32_t i = 0, j = 0;
    while (i < n_plus || j < n_minus) {
        Shorts sum[N];
        for (int k = 0; k < N; ++k) sum[k] = Shorts{};
        const int32_t end = n_plus - i < FLUSH ? n_plus : i + FLUSH;
        const int32_t left = FLUSH - 1 - (end - i);  // one less: subtracting -128 adds 128
        for (; i < end; ++i) {
            const int8_t* row = rows + plus[i] * stride;
            for (int k = 0; k < N; ++k) sum[k] += to_shorts(row + SHORTS * k);
        }
        const int32_t last = left <= 0 ? j : n_minus - j < left ? n_minus : j + left;
        for (; j < last; ++j) {
            const int8_t* row = rows + minus[j] * stride;
            for (int k = 0; k < N; ++k) sum[k] -= to_shorts(row + SHORTS * k);
        }
        alignas(64) int16_t out[SHORTS * N];
        for (int k = 0; k < N; ++k) *reinterpret_cast<Shorts*>(out + SHORTS * k) = sum[k];
        if (worth == 1)
            for (int k = 0; k < SHORTS * N; ++k) acc[k] += out[k];
        else
            for (int k = 0; k < SHORTS * N; ++k) acc[k] += out[k] * worth;
    }
}

static void add_rows(const int8_t* rows, const uint32_t* plus, int32_t n_plus, const uint32_t* minus, int32_t n_minus,
                     int32_t* acc, int32_t padded, int32_t worth) {
    for (int32_t k = 0; k < padded;) {  // the last vector may reach into the next row: nobody reads those sums
        const int32_t left = (padded - k) / SHORTS;
        if (left >= 8) add_block<8>(rows + k, plus, n_plus, minus, n_minus, padded, acc + k, worth), k += 8 * SHORTS;
        else if (left >= 4) add_block<4>(rows + k, plus, n_plus, minus, n_minus, padded, acc + k, worth), k += 4 * SHORTS;
        else if (left >= 2) add_block<2>(rows + k, plus, n_plus, minus, n_minus, padded, acc + k, worth), k += 2 * SHORTS;
        else add_block<1>(rows + k, plus, n_plus, minus, n_minus, padded, acc + k, worth), k += SHORTS;
    }
}

template <int N>
static void pay_block(const int8_t* rows, const uint32_t* paid, const int32_t* payload, int32_t n, int64_t stride, int32_t* acc) {
    Ints sum[N];
    for (int k = 0; k < N; ++k) sum[k] = *reinterpret_cast<const Ints*>(acc + INTS * k);
    for (int32_t i = 0; i < n; ++i) {
        const int8_t* row = rows + paid[i] * stride;
        const int32_t value = payload[i];
        for (int k = 0; k < N; ++k) sum[k] += value * to_ints(row + INTS * k);
    }
    for (int k = 0; k < N; ++k) *reinterpret_cast<Ints*>(acc + INTS * k) = sum[k];
}

static void pay_rows(const int8_t* rows, const uint32_t* paid, const int32_t* payload, int32_t n, int32_t* acc, int32_t padded) {
    for (int32_t k = 0; k < padded;) {
        const int32_t left = (padded - k) / INTS;
        if (left >= 8) pay_block<8>(rows + k, paid, payload, n, padded, acc + k), k += 8 * INTS;
        else if (left >= 4) pay_block<4>(rows + k, paid, payload, n, padded, acc + k), k += 4 * INTS;
        else if (left >= 2) pay_block<2>(rows + k, paid, payload, n, padded, acc + k), k += 2 * INTS;
        else pay_block<1>(rows + k, paid, payload, n, padded, acc + k), k += INTS;
    }
}

// Rows of int8 are used with potentials of 32 bits only.
static void add_rows(const int8_t*, const uint32_t*, int32_t, const uint32_t*, int32_t, int64_t*, int32_t, int32_t) {}
static void pay_rows(const int8_t*, const uint32_t*, const int32_t*, int32_t, int64_t*, int32_t) {}

// Where the payloads of a pixel in a step are; null where spikes have none.
template <typename V>
static inline V* values_at(const Signal& signal, int32_t pixel, int32_t step) {
    if (signal.values == nullptr) return nullptr;
    const int64_t one = signal.value_step != 0 ? static_cast<int64_t>(signal.steps) * signal.value_step : signal.padded;
    return static_cast<V*>(signal.values) + pixel * one + step * signal.value_step;
}

// ---- what arrives at one pixel in one step

// Adds a factor for each channel that sent: no rows are needed where each channel meets its own.
static inline void add_factors(uint64_t word, uint64_t negative, const int32_t* factor, int32_t* acc) {
#if SP_LEVEL >= SP_AVX512
    for (int32_t k = 0; word != 0; k += 16, word >>= 16, negative >>= 16) {
        const __mmask16 all = static_cast<__mmask16>(word), minus = static_cast<__mmask16>(negative);
        if (all == 0) continue;
        const __m512i f = _mm512_loadu_si512(factor + k);
        __m512i a = _mm512_loadu_si512(acc + k);
        a = _mm512_mask_add_epi32(a, static_cast<__mmask16>(all & ~minus), a, f);
        _mm512_storeu_si512(acc + k, _mm512_mask_sub_epi32(a, minus, a, f));
    }
#else
    for (; word != 0; word &= word - 1) {
        const int32_t k = __builtin_ctzll(word);
        acc[k] += negative >> k & 1 ? -factor[k] : factor[k];
    }
#endif
}

static inline void add_factors(uint64_t word, uint64_t negative, const int64_t* factor, int64_t* acc) {
    for (; word != 0; word &= word - 1) {
        const int32_t k = __builtin_ctzll(word);
        acc[k] += negative >> k & 1 ? -factor[k] : factor[k];
    }
}

// One tap of any kind, spike by spike.
template <typename V>
static int32_t gather_tap(const Layer& layer, const Signal* signals, const Live& tap, int32_t step, Scratch& scratch, int32_t n_paid) {
    V* acc = static_cast<V*>(scratch.acc);
    const Taps& taps = layer.taps[tap.connection];
    const Signal& source = signals[taps.source];
    const V* values = values_at<V>(source, tap.pixel, step);
    const V each = static_cast<V>(source.worth[step]);
    const uint64_t* bits = tap.bits + static_cast<int64_t>(step) * tap.words;
    const uint64_t* signs = tap.signs != nullptr ? tap.signs + static_cast<int64_t>(step) * tap.words : nullptr;
    for (int32_t w = 0; w < tap.words; ++w) {
        for (uint64_t word = tap.mask != nullptr ? bits[w] & tap.mask[w] : bits[w]; word != 0; word &= word - 1) {
            const int32_t bit = __builtin_ctzll(word), c = 64 * w + bit;
            V value = values != nullptr ? values[c] : each;
            if (values == nullptr && signs != nullptr && (signs[w] >> bit & 1)) value = -value;
            if (taps.kind == TAPS_DIAGONAL || taps.kind == TAPS_IDENTITY) {
                const int32_t k = taps.target[tap.first + c];
                if (k >= 0) acc[k] += value * static_cast<const V*>(taps.factor)[tap.first + c];
            } else if (taps.kind == TAPS_NARROW) {
                scratch.paid[n_paid] = static_cast<uint32_t>(tap.first + c);
                scratch.payload[n_paid++] = static_cast<int32_t>(value);
            } else {
                const V* row = static_cast<const V*>(taps.wide) + (tap.first + c) * layer.padded;
                for (int32_t k = 0; k < layer.padded; ++k) acc[k] += value * row[k];
            }
        }
    }
    return n_paid;
}

// Adds to scratch.acc.
template <typename V>
static void gather(const Layer& layer, const Signal* signals, int32_t step, Scratch& scratch) {
    const uint16_t* taken = scratch.by_step + static_cast<int64_t>(step) * scratch.most_live;
    const int32_t n_taken = scratch.n_by_step[step];
    V* acc = static_cast<V*>(scratch.acc);
    const int32_t padded = layer.padded;
    int32_t n_plus = 0, n_minus = 0, n_paid = 0;
    int64_t worth = 1;
    for (int32_t i = 0; i < n_taken; ++i) {
        const Live& tap = scratch.live[taken[i]];
        if (tap.kind == TAPS_BITS && worth == 1) {
            n_plus = append(scratch.plus, n_plus, tap.bits[step], static_cast<uint32_t>(tap.first));
            continue;
        }
        const Signal& source = signals[layer.taps[tap.connection].source];
        const int64_t each = source.worth[step], at = static_cast<int64_t>(step) * tap.words;
        const bool plain = source.values == nullptr;
        if ((tap.kind == TAPS_NARROW || tap.kind == TAPS_BITS) && plain) {
            if (each != worth && n_plus + n_minus > 0) {
                add_rows(layer.rows, scratch.plus, n_plus, scratch.minus, n_minus, acc, padded, static_cast<int32_t>(worth));
                n_plus = n_minus = 0;
            }
            worth = each;
            uint32_t base = static_cast<uint32_t>(tap.first);
            for (int32_t w = 0; w < tap.words; ++w, base += 64) {
                const uint64_t word = tap.mask != nullptr ? tap.bits[at + w] & tap.mask[w] : tap.bits[at + w];
                const uint64_t negative = tap.signs != nullptr ? word & tap.signs[at + w] : 0;
                n_plus = append(scratch.plus, n_plus, word ^ negative, base);
                if (negative != 0) n_minus = append(scratch.minus, n_minus, negative, base);
            }
        } else if (tap.kind == TAPS_IDENTITY && plain && each == 1) {
            const V* factor = static_cast<const V*>(layer.taps[tap.connection].factor) + tap.first;
            for (int32_t w = 0; w < tap.words; ++w)
                add_factors(tap.bits[at + w], tap.signs != nullptr ? tap.bits[at + w] & tap.signs[at + w] : 0, factor + 64 * w,
                            acc + 64 * w);
        } else {
            n_paid = gather_tap<V>(layer, signals, tap, step, scratch, n_paid);
        }
    }
    if (n_plus + n_minus > 0)
        add_rows(layer.rows, scratch.plus, n_plus, scratch.minus, n_minus, acc, padded, static_cast<int32_t>(worth));
    if (n_paid > 0) pay_rows(layer.rows, scratch.paid, scratch.payload, n_paid, acc, padded);
}

// The taps of a pixel through which something arrives, and which of them in which step. In dense chunks narrow taps are left to
// sum_taps: they come first, n_dense of them, and `dense` has the steps in which anything arrives through them.
struct Found {
    uint64_t any, dense;
    int32_t n_dense;
};

static Found find_live(const Layer& layer, const Signal* signals, int32_t pixel, int32_t steps, bool densely, Scratch& scratch) {
    Found found = {0, 0, 0};
    int32_t n = 0;
    for (int32_t i = 0; i < steps; ++i) scratch.n_by_step[i] = 0;
    for (int32_t pass = densely ? 0 : 1; pass < 2; ++pass) {
        for (int32_t c = 0; c < layer.n_taps; ++c) {
            const Taps& taps = layer.taps[c];
            const Signal& source = signals[taps.source];
            const bool narrow = taps.kind == TAPS_NARROW;
            if (densely && narrow != (pass == 0)) continue;
            const bool bits = narrow && source.signs == nullptr && source.values == nullptr && source.words == 1 && !source.weighted;
            for (int32_t i = taps.offsets[pixel]; i < taps.offsets[pixel + 1]; ++i) {
                const int32_t from = taps.pixel[i];
                const uint64_t here = source.active[from];
                if (here == 0) continue;
                found.any |= here;
                const int64_t at = static_cast<int64_t>(from) * source.steps * source.words;
                const int64_t first = static_cast<int64_t>(taps.slab[i]) * taps.stride + static_cast<int64_t>(taps.base);
                const uint64_t* mask = taps.mask != nullptr ? taps.mask + static_cast<int64_t>(taps.slab[i]) * source.words : nullptr;
                scratch.live[n] = {source.bits + at, source.signs != nullptr ? source.signs + at : nullptr, mask, first, from,
                                   source.words, bits && mask == nullptr ? static_cast<int32_t>(TAPS_BITS) : taps.kind, c, taps.stride};
                if (pass == 0) {
                    found.dense |= here;
                    ++found.n_dense;
                } else {
                    for (uint64_t left = here; left != 0; left &= left - 1) {
                        const int32_t step = __builtin_ctzll(left);
                        scratch.by_step[step * scratch.most_live + scratch.n_by_step[step]++] = static_cast<uint16_t>(n);
                    }
                }
                ++n;
            }
        }
    }
    return found;
}

// ---- sums over all channels, where many of them send

#if SP_LEVEL >= SP_AVX512
// S steps and N vectors of 16 target channels, over the live taps. Weights are unsigned, 128 too large; spikes are signed bytes.
template <int S, int N>
static void sum_block(const uint8_t* packed, const Live* live, int32_t n_live, const int8_t* spikes, int64_t spikes_stride,
                      int64_t padded, int32_t* sums) {
    __m512i sum[S][N];
    for (int s = 0; s < S; ++s)
        for (int n = 0; n < N; ++n) sum[s][n] = _mm512_setzero_si512();
    for (int32_t i = 0; i < n_live; ++i) {
        const uint8_t* weights = packed + live[i].first * padded;
        for (int32_t c = 0; c < live[i].channels; c += 4, weights += 4 * padded, spikes += 4) {
            __m512i w[N];
            for (int n = 0; n < N; ++n) w[n] = _mm512_loadu_si512(weights + 64 * n);
            for (int s = 0; s < S; ++s) {
                int32_t four;
                __builtin_memcpy(&four, spikes + s * spikes_stride, 4);
                const __m512i x = _mm512_set1_epi32(four);
                for (int n = 0; n < N; ++n) sum[s][n] = _mm512_dpbusd_epi32(sum[s][n], w[n], x);
            }
        }
    }
    for (int s = 0; s < S; ++s)
        for (int n = 0; n < N; ++n) _mm512_storeu_si512(sums + s * padded + 16 * n, sum[s][n]);
}

template <int S>
static void sum_steps(const uint8_t* packed, const Live* live, int32_t n_live, const int8_t* spikes, int64_t spikes_stride,
                      int64_t padded, int32_t* sums) {
    int64_t k = 0;
    for (; k + 32 <= padded; k += 32) sum_block<S, 2>(packed + 4 * k, live, n_live, spikes, spikes_stride, padded, sums + k);
    for (; k < padded; k += 16) sum_block<S, 1>(packed + 4 * k, live, n_live, spikes, spikes_stride, padded, sums + k);
}

// What the narrow taps of a pixel deliver in the steps that are set in `any`, into scratch.sums in their order.
static void sum_taps(const Layer& layer, const Signal* signals, const Live* live, int32_t n_live, uint64_t any, Scratch& scratch) {
    const int32_t count = __builtin_popcountll(any);
    const int64_t padded = layer.padded;
    int32_t row = 0;
    int32_t excess[MAX_CHUNK];
    for (uint64_t left = any; left != 0; left &= left - 1, ++row) {
        const int32_t step = __builtin_ctzll(left);
        int8_t* spikes = scratch.spikes + row * scratch.spikes_stride;
        int32_t total = 0;
        for (int32_t i = 0; i < n_live; ++i) {
            const Live& tap = live[i];
            const Signal& source = signals[layer.taps[tap.connection].source];
            const bool sends = source.active[tap.pixel] >> step & 1;
            const int32_t* values = values_at<int32_t>(source, tap.pixel, step);
            const __m512i each = _mm512_set1_epi8(static_cast<char>(source.worth[step]));
            for (int32_t w = 0; w < tap.words; ++w) {
                const uint64_t word = sends ? tap.bits[static_cast<int64_t>(step) * tap.words + w] : 0;
                int8_t* to = spikes + 64 * w;  // beyond the channels the next tap writes over it
                if (values == nullptr) {
                    const uint64_t negative =
                        tap.signs != nullptr && sends ? word & tap.signs[static_cast<int64_t>(step) * tap.words + w] : 0;
                    __m512i bytes = _mm512_maskz_mov_epi8(word, each);
                    bytes = _mm512_mask_sub_epi8(bytes, negative, _mm512_setzero_si512(), bytes);
                    _mm512_storeu_si512(to, bytes);
                    total += static_cast<int32_t>(source.worth[step]) *
                             (__builtin_popcountll(word) - 2 * __builtin_popcountll(negative));
                } else {
                    for (int32_t g = 0; g < 4; ++g) {
                        const __mmask16 mask = static_cast<__mmask16>(word >> 16 * g);
                        const __m512i v = _mm512_maskz_loadu_epi32(mask, values + 64 * w + 16 * g);
                        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 16 * g), _mm512_cvtepi32_epi8(v));
                        total += _mm512_reduce_add_epi32(v);
                    }
                }
            }
            spikes += tap.channels;
        }
        excess[row] = 128 * total;
    }
    int32_t s = 0;
    const auto part = [&](auto sum, int32_t steps) {
        for (; s + steps <= count; s += steps)
            sum(layer.packed, live, n_live, scratch.spikes + s * scratch.spikes_stride, scratch.spikes_stride, padded,
                scratch.sums + s * padded);
    };
    part(sum_steps<8>, 8);
    part(sum_steps<4>, 4);
    part(sum_steps<2>, 2);
    part(sum_steps<1>, 1);
    for (int32_t r = 0; r < count; ++r)
        for (int64_t k = 0; k < padded; ++k) scratch.sums[r * padded + k] -= excess[r];
}

bool sums_densely() { return true; }
#else
static void sum_taps(const Layer&, const Signal*, const Live*, int32_t, uint64_t, Scratch&) {}

bool sums_densely() { return false; }
#endif

// ---- neurons

template <typename V>
struct Rule {
    const Layer& layer;
    const V *threshold, *release, *table;
    V *v, *sent;
    const V* acc;
};

template <typename V>
static inline V floored(V a, V b) {
    const V q = a / b;
    return q - (a % b < 0);
}

// What a neuron with a table of thresholds sends.
template <typename V>
static inline V climb(const Rule<V>& rule, int32_t k, int32_t phase) {
    const Layer& layer = rule.layer;
    const V v = rule.v[k], low = static_cast<V>(layer.low), size = layer.table_size;
    const V* table = rule.table + k;
    const int64_t next = layer.table_step;
    switch (layer.kind) {
        case NEURON_STAIRCASE: {
            const V climbed = rule.sent[k] - low;
            if (climbed < size && v >= table[climbed * next]) return 1;
            return climbed > 0 && v < table[(climbed - 1) * next] ? -1 : 0;
        }
        case NEURON_THERMOMETER: return v >= table[phase * next];
        case NEURON_DIGITS: {
            const V worth = static_cast<V>(1) << (layer.bits - 1 - phase), digit = rule.sent[k] + worth;
            return digit <= size && v >= table[(digit - 1) * next] ? worth : 0;
        }
        default: {
            V count = low;
            for (int32_t i = 0; i < layer.table_size; ++i) count += v >= table[i * next];
            return count;
        }
    }
}

// Which of LANES bytes are not 0.
static inline uint32_t set_bytes(const uint8_t* bytes) {
#if SP_LEVEL >= SP_AVX2
    const __m128i x = _mm_load_si128(reinterpret_cast<const __m128i*>(bytes));
    return 0xffffu & ~static_cast<uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_setzero_si128())));
#else
    uint32_t set = 0;
    for (int32_t i = 0; i < LANES; ++i) set |= static_cast<uint32_t>(bytes[i] != 0) << i;
    return set;
#endif
}

struct Fired {
    bool any, rests;  // something was sent; nothing more will be unless something arrives
};

#if SP_LEVEL >= SP_AVX512
// Plain and counting units, 16 at a time.
template <bool SIGNED>
static Fired fire_units(const Rule<int32_t>& rule, int32_t padded, uint64_t* bits, uint64_t* signs, Scratch& scratch) {
    const __m512i one = _mm512_set1_epi32(1), low = _mm512_set1_epi32(static_cast<int>(rule.layer.low)),
                  high = _mm512_set1_epi32(static_cast<int>(rule.layer.high));
    uint64_t any = 0, open = 0;
    int64_t events = 0;
    for (int32_t w = 0; 64 * w < padded; ++w) {
        uint64_t sends = 0, negative = 0;
        for (int32_t k = 64 * w; k < 64 * w + 64 && k < padded; k += 16) {
            const __m512i th = _mm512_loadu_si512(rule.threshold + k);
            __m512i v = _mm512_add_epi32(_mm512_loadu_si512(rule.v + k), _mm512_loadu_si512(rule.acc + k));
            __mmask16 up = _mm512_cmpge_epi32_mask(v, th), down = 0;
            if (SIGNED) {
                __m512i s = _mm512_loadu_si512(rule.sent + k);
                down = _mm512_movepi32_mask(v) & _mm512_cmpgt_epi32_mask(s, low);
                up &= _mm512_cmplt_epi32_mask(s, high);
                if ((up | down) != 0) {
                    v = _mm512_mask_add_epi32(_mm512_mask_sub_epi32(v, up, v, th), down, v, th);
                    s = _mm512_mask_sub_epi32(_mm512_mask_add_epi32(s, up, s, one), down, s, one);
                    _mm512_storeu_si512(rule.sent + k, s);
                    open |= (_mm512_cmpge_epi32_mask(v, th) & _mm512_cmplt_epi32_mask(s, high)) |
                            (_mm512_movepi32_mask(v) & _mm512_cmpgt_epi32_mask(s, low));
                }
            } else {  // without a branch: whether any of 16 units fires cannot be foreseen
                v = _mm512_mask_sub_epi32(v, up, v, th);
                const __m512i s = _mm512_loadu_si512(rule.sent + k);
                _mm512_storeu_si512(rule.sent + k, _mm512_mask_add_epi32(s, up, s, one));
                open |= _mm512_cmpge_epi32_mask(v, th);
            }
            _mm512_storeu_si512(rule.v + k, v);
            sends |= static_cast<uint64_t>(up | down) << (k & 63);
            negative |= static_cast<uint64_t>(down) << (k & 63);
        }
        bits[w] = sends;
        if (SIGNED) signs[w] = negative;
        any |= sends;
        events += __builtin_popcountll(sends);
    }
    scratch.events += events;
    return {any != 0, open == 0};
}
#endif

// Applies the rule of the neurons of one pixel in one step and writes what they send.
// Channels beyond the last have a potential of 0 and a threshold that is never reached.
template <typename V>
static Fired fire(const Rule<V>& rule, int32_t step, int32_t padded, uint64_t* bits, uint64_t* signs, V* values, Scratch& scratch) {
    const Layer& layer = rule.layer;
    V *v = rule.v, *sent = rule.sent;
    const V *acc = rule.acc, *threshold = rule.threshold;
    uint64_t any = 0;
    int64_t events = 0, charges = 0;
    for (int32_t w = 0; w < layer.words; ++w) {
        uint64_t sends = 0, negative = 0;
        const int32_t end = padded - 64 * w < 64 ? padded - 64 * w : 64;
        for (int32_t from = 0; from < end; from += LANES) {
            const int32_t at = 64 * w + from;
            alignas(64) uint8_t up[LANES], down[LANES];
            for (int32_t i = 0; i < LANES; ++i) down[i] = 0;
            switch (layer.kind) {
                case NEURON_SIGNED: {
                    const V low = static_cast<V>(layer.low), high = static_cast<V>(layer.high);
                    for (int32_t i = 0; i < LANES; ++i) {
                        const V now = v[at + i] + acc[at + i], th = threshold[at + i], s = sent[at + i];
                        const V spike = static_cast<V>((now >= th) & (s < high)) - static_cast<V>((now < 0) & (s > low));
                        v[at + i] = now - spike * th;
                        sent[at + i] = s + spike;
                        up[i] = spike > 0;
                        down[i] = spike < 0;
                    }
                    break;
                }
                case NEURON_PLAIN:
                case NEURON_PHASED: {
                    const V sign = static_cast<V>((step == layer.opens_at) - (step == layer.closes_at));
                    const bool plain = layer.kind == NEURON_PLAIN || sign == 0;
                    for (int32_t i = 0; i < LANES; ++i) {
                        const V now = v[at + i] + acc[at + i] + (plain ? 0 : sign * rule.release[at + i]), th = threshold[at + i];
                        const V spike = now >= th;
                        v[at + i] = now - spike * th;
                        sent[at + i] += spike;
                        up[i] = static_cast<uint8_t>(spike);
                    }
                    break;
                }
                case NEURON_RADIX: {
                    if (step < layer.opens_at || step >= layer.opens_at + layer.bits) {
                        for (int32_t i = 0; i < LANES; ++i) v[at + i] += acc[at + i], up[i] = 0;
                        break;
                    }
                    const V worth = static_cast<V>(1) << (layer.bits - 1 - (step - layer.opens_at));
                    for (int32_t i = 0; i < LANES; ++i) {
                        const V now = v[at + i] + acc[at + i], th = threshold[at + i] * worth;
                        const V spike = now >= th;
                        v[at + i] = now - spike * th;
                        sent[at + i] += spike * worth;
                        up[i] = static_cast<uint8_t>(spike);
                    }
                    break;
                }
                case NEURON_GRADED:
                case NEURON_BANK: {
                    if (step != layer.opens_at) {
                        for (int32_t i = 0; i < LANES; ++i) v[at + i] += acc[at + i], up[i] = 0;
                        break;
                    }
                    const V low = static_cast<V>(layer.low), high = static_cast<V>(layer.high);
                    for (int32_t i = 0; i < LANES; ++i) {
                        const V now = v[at + i] + acc[at + i], th = threshold[at + i];
                        V count = floored(now, th);
                        count = count < low ? low : count > high ? high : count;
                        v[at + i] = layer.kind == NEURON_GRADED ? now - count * th : now;  // a bank has no memory to reset
                        sent[at + i] += count;
                        up[i] = count != 0;
                        if (count != 0) values[at + i] = count, charges += count;
                    }
                    break;
                }
                case NEURON_STAIRCASE:
                case NEURON_THERMOMETER:
                case NEURON_DIGITS:
                case NEURON_LEVELS: {
                    const int32_t phase = step - layer.opens_at;
                    const bool silent = layer.kind != NEURON_STAIRCASE && (phase < 0 || phase >= layer.bits);
                    for (int32_t i = 0; i < LANES; ++i) {
                        v[at + i] += acc[at + i], up[i] = 0;
                        if (silent || at + i >= layer.channels) continue;
                        const V count = climb(rule, at + i, phase);
                        sent[at + i] += count;
                        up[i] = count > 0, down[i] = count < 0;
                        if (values != nullptr && count != 0) values[at + i] = count, charges += count;
                    }
                    break;
                }
                default:
                    for (int32_t i = 0; i < LANES; ++i) v[at + i] += acc[at + i], up[i] = 0;
            }
            const uint32_t plus = set_bytes(up), minus = set_bytes(down);
            sends |= static_cast<uint64_t>(plus | minus) << from;
            negative |= static_cast<uint64_t>(minus) << from;
        }
        bits[w] = sends;
        if (signs != nullptr) signs[w] = negative;
        any |= sends;
        events += __builtin_popcountll(sends);
    }
    scratch.events += events;
    scratch.charges += charges;
    return {any != 0, any == 0};
}

static Fired fire_fast(const Rule<int32_t>& rule, int32_t step, int32_t padded, uint64_t* bits, uint64_t* signs, int32_t* values,
                       Scratch& scratch) {
#if SP_LEVEL >= SP_AVX512
    switch (rule.layer.kind) {
        case NEURON_SIGNED: return fire_units<true>(rule, padded, bits, signs, scratch);
        case NEURON_PLAIN: return fire_units<false>(rule, padded, bits, signs, scratch);
        case NEURON_PHASED:
            if (step != rule.layer.opens_at && step != rule.layer.closes_at)
                return fire_units<false>(rule, padded, bits, signs, scratch);
            break;
        default: break;
    }
#endif
    return fire<int32_t>(rule, step, padded, bits, signs, values, scratch);
}

static Fired fire_fast(const Rule<int64_t>& rule, int32_t step, int32_t padded, uint64_t* bits, uint64_t* signs, int64_t* values,
                       Scratch& scratch) {
    return fire<int64_t>(rule, step, padded, bits, signs, values, scratch);
}

// Steps in which a neuron does something although nothing arrives.
static uint64_t scheduled(const Layer& layer, const Chunk& chunk) {
    uint64_t due = 0;
    for (int32_t i = 0; i < chunk.steps; ++i) {
        const int32_t step = chunk.first + i;
        bool now = false;
        switch (layer.kind) {
            case NEURON_PHASED: now = step == layer.opens_at || step == layer.closes_at; break;
            case NEURON_THERMOMETER:
            case NEURON_DIGITS:
            case NEURON_LEVELS:
            case NEURON_RADIX: now = step >= layer.opens_at && step < layer.opens_at + layer.bits; break;
            case NEURON_GRADED:
            case NEURON_BANK: now = step == layer.opens_at; break;
            default: break;
        }
        due |= static_cast<uint64_t>(now) << i;
    }
    return due;
}

template <typename V>
static void step_units(const Layer& layer, const State& state, const Signal* signals, Signal* out, const Chunk& chunk,
                       int32_t begin, int32_t end, Scratch& scratch) {
    const int32_t padded = layer.padded, steps = chunk.steps;
    const uint64_t every = steps == 64 ? ~static_cast<uint64_t>(0) : (static_cast<uint64_t>(1) << steps) - 1;
    uint64_t due = scheduled(layer, chunk) | chunk.biased;
    if (state.has_current)
        for (int32_t i = 0; i < steps; ++i)
            if (chunk.first + i < chunk.presentation) due |= static_cast<uint64_t>(1) << i;
    if (chunk.keep_all) due = every;
    V* acc = static_cast<V*>(scratch.acc);
    for (int32_t pixel = begin; pixel < end; ++pixel) {
        const int64_t offset = static_cast<int64_t>(pixel) * padded;
        uint64_t sent_in = 0;
        const Found found = find_live(layer, signals, pixel, steps, chunk.dense, scratch);
        const uint64_t arrives = found.any;
        if (found.dense != 0) sum_taps(layer, signals, scratch.live, found.n_dense, found.dense, scratch);
        const Rule<V> rule = {layer,
                              static_cast<const V*>(layer.threshold) + pixel * layer.threshold_stride,
                              static_cast<const V*>(layer.release) + pixel * layer.release_stride,
                              static_cast<const V*>(layer.table) + pixel * layer.table_stride,
                              static_cast<V*>(state.v) + offset,
                              static_cast<V*>(state.sent) + offset,
                              acc};
        V* trace = chunk.trace == nullptr ? nullptr : static_cast<V*>(chunk.trace) + offset * steps;
        bool rests = state.rests[pixel] != 0;
        uint64_t busy = rests ? arrives | due : every;
        while (busy != 0) {
            const int32_t i = __builtin_ctzll(busy), step = chunk.first + i;
            if (chunk.biased >> i & 1) {
                const V* bias = static_cast<const V*>(chunk.bias) + i * chunk.bias_step + pixel * chunk.bias_stride;
                for (int32_t k = 0; k < padded; ++k) acc[k] = bias[k];
            } else {
                for (int32_t k = 0; k < padded; ++k) acc[k] = 0;
            }
            if (found.dense >> i & 1) {
                const int32_t row = __builtin_popcountll(found.dense & ((static_cast<uint64_t>(1) << i) - 1));
                const int32_t* sums = scratch.sums + static_cast<int64_t>(row) * padded;
                for (int32_t k = 0; k < padded; ++k) acc[k] += sums[k];
            }
            if (arrives >> i & 1) gather<V>(layer, signals, i, scratch);
            if (state.has_current && step < chunk.presentation) {
                const V *share = static_cast<const V*>(state.share) + offset, *rest = static_cast<const V*>(state.rest) + offset;
                V* error = static_cast<V*>(state.error) + offset;
                const V whole = static_cast<V>(chunk.presentation);
                for (int32_t k = 0; k < padded; ++k) {
                    const V e = error[k] + rest[k], one = e >= whole;
                    acc[k] += share[k] + one;
                    error[k] = e - one * whole;
                }
            }
            Fired fires = {false, true};
            if (out != nullptr) {
                const int64_t at = (static_cast<int64_t>(pixel) * out->steps + i) * out->words;
                fires = fire_fast(rule, step, padded, out->bits + at, out->signs != nullptr ? out->signs + at : nullptr,
                                  values_at<V>(*out, pixel, i), scratch);
                sent_in |= static_cast<uint64_t>(fires.any) << i;
            } else {
                for (int32_t k = 0; k < padded; ++k) rule.v[k] += acc[k];
                sent_in |= static_cast<uint64_t>(arrives >> i & 1) << i;
            }
            if (trace != nullptr)
                for (int32_t k = 0; k < padded; ++k) trace[static_cast<int64_t>(i) * padded + k] = rule.v[k];
            rests = fires.rests;
            const uint64_t after = i == 63 ? 0 : every & (~static_cast<uint64_t>(0) << (i + 1));
            busy = after & (rests ? arrives | due : every);
        }
        state.rests[pixel] = rests;
        if (out != nullptr) {
            out->active[pixel] = sent_in;
            scratch.fired |= sent_in;
        }
    }
}

// Maxima over windows of counts that the layer before sums up: each unit sends the change of its maximum.
template <typename V>
static void step_maxima(const Layer& layer, const State& state, Signal* out, const Chunk& chunk, int32_t begin, int32_t end,
                        Scratch& scratch) {
    const int32_t padded = layer.padded, steps = chunk.steps;
    const uint64_t every = steps == 64 ? ~static_cast<uint64_t>(0) : (static_cast<uint64_t>(1) << steps) - 1;
    const V* counts = static_cast<const V*>(layer.trace_of);
    V* best = static_cast<V*>(scratch.acc);
    for (int32_t pixel = begin; pixel < end; ++pixel) {
        V* sent = static_cast<V*>(state.sent) + static_cast<int64_t>(pixel) * padded;
        uint64_t sent_in = 0;
        for (uint64_t busy = every; busy != 0; busy &= busy - 1) {
            const int32_t i = __builtin_ctzll(busy);
            if (layer.opens_at >= 0 && chunk.first + i != layer.opens_at) continue;
            for (int32_t n = layer.window_offsets[pixel]; n < layer.window_offsets[pixel + 1]; ++n) {
                const V* seen = counts + (static_cast<int64_t>(layer.window_pixel[n]) * steps + i) * padded;
                if (n == layer.window_offsets[pixel])
                    for (int32_t k = 0; k < padded; ++k) best[k] = seen[k];
                else
                    for (int32_t k = 0; k < padded; ++k) best[k] = best[k] < seen[k] ? seen[k] : best[k];
            }
            const int64_t at = (static_cast<int64_t>(pixel) * out->steps + i) * out->words;
            V* values = values_at<V>(*out, pixel, i);
            uint64_t any = 0;
            for (int32_t w = 0; w < layer.words; ++w) {
                uint64_t sends = 0, negative = 0;
                for (int32_t k = 64 * w; k < 64 * w + 64 && k < padded; ++k) {
                    const V change = best[k] - sent[k];
                    if (change == 0) continue;
                    sends |= static_cast<uint64_t>(1) << (k & 63);
                    negative |= static_cast<uint64_t>(change < 0) << (k & 63);
                    if (values != nullptr) values[k] = change;
                    sent[k] = best[k];
                    scratch.charges += change;
                }
                out->bits[at + w] = sends;
                if (out->signs != nullptr) out->signs[at + w] = negative;
                any |= sends;
                scratch.events += __builtin_popcountll(sends);
            }
            sent_in |= static_cast<uint64_t>(any != 0) << i;
        }
        out->active[pixel] = sent_in;
        scratch.fired |= sent_in;
    }
}

template <typename V>
static void step_layer(const Layer& layer, const State& state, const Signal* signals, Signal* out, const Chunk& chunk, int32_t begin,
                       int32_t end, Scratch& scratch) {
    if (layer.kind == NEURON_MAXIMUM) step_maxima<V>(layer, state, out, chunk, begin, end, scratch);
    else step_units<V>(layer, state, signals, out, chunk, begin, end, scratch);
}

template <typename V>
static void sum_once(const Layer& layer, const Signal* signals, void* total, int32_t begin, int32_t end, Scratch& scratch) {
    V* acc = static_cast<V*>(scratch.acc);
    for (int32_t pixel = begin; pixel < end; ++pixel) {
        const uint64_t arrives = find_live(layer, signals, pixel, 1, false, scratch).any;
        for (int32_t k = 0; k < layer.padded; ++k) acc[k] = 0;
        if (arrives & 1) gather<V>(layer, signals, 0, scratch);
        V* to = static_cast<V*>(total) + static_cast<int64_t>(pixel) * layer.padded;
        for (int32_t k = 0; k < layer.padded; ++k) to[k] = acc[k];
    }
}

void step_layer32(const Layer& layer, const State& state, const Signal* signals, Signal* out, const Chunk& chunk, int32_t begin,
                  int32_t end, Scratch& scratch) {
    step_layer<int32_t>(layer, state, signals, out, chunk, begin, end, scratch);
}

void step_layer64(const Layer& layer, const State& state, const Signal* signals, Signal* out, const Chunk& chunk, int32_t begin,
                  int32_t end, Scratch& scratch) {
    step_layer<int64_t>(layer, state, signals, out, chunk, begin, end, scratch);
}

void sum_once32(const Layer& layer, const Signal* signals, void* total, int32_t begin, int32_t end, Scratch& scratch) {
    sum_once<int32_t>(layer, signals, total, begin, end, scratch);
}

void sum_once64(const Layer& layer, const Signal* signals, void* total, int32_t begin, int32_t end, Scratch& scratch) {
    sum_once<int64_t>(layer, signals, total, begin, end, scratch);
}

}  // namespace SP_NAMESPACE
}  // namespace sp
