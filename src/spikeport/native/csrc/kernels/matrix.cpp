// One layer in one pass: gather the patches of some rows into a panel, multiply, add what is added neuron by neuron, and answer
// with counts, while everything is near. Values are held channels last: [sample][row][column][channel].
//
// Division by a threshold th without dividing: with V = clip(U - low * th, 0, (L + 1) * th - 1) and L = high - low, the count is
// low + floor(V / th). (V + 1/2) / th is at least 1 / (2 th) away from every integer. Computed as (V + 1/2) * (1 / th) in float32
// it is off by less than (L + 1) * 2^-22.9: the sum is exact, reciprocal and product are each rounded by at most 2^-24 of their
// size. So (L + 1) * th <= 2^21 suffices, and 2^50 in float64.
#include "kernels/matrix.h"

#include "abi.h"
#include "kernels/product.h"
#include "kernels/types.h"
#include "parallel.h"

#if SP_LEVEL >= SP_AVX512
#include <immintrin.h>
#endif

namespace sp {
namespace SP_NAMESPACE {

namespace {

constexpr int64_t OUTS = BLOCK * MOST_BLOCKS;
constexpr int64_t CHUNK = SP_LEVEL >= SP_AMX ? 32 : 48;  // rows of one product

// ---- panels

inline void copy(uint8_t* to, const uint8_t* from, int64_t n) {
#if SP_LEVEL >= SP_AVX512
    for (; n >= 64; n -= 64, to += 64, from += 64) _mm512_storeu_si512(to, _mm512_loadu_si512(from));
    if (n > 0) {
        const __mmask64 rest = _cvtu64_mask64(~uint64_t{0} >> (64 - n));
        _mm512_mask_storeu_epi8(to, rest, _mm512_maskz_loadu_epi8(rest, from));
    }
#else
    __builtin_memcpy(to, from, n);
#endif
}

inline void copy(uint8_t* to, const int8_t* from, int64_t n) {
    for (int64_t i = 0; i < n; ++i) to[i] = static_cast<uint8_t>(from[i]) ^ 0x80;  // + 128
}

template <typename To, typename From>
inline void copy(To* to, const From* from, int64_t n) {
    for (int64_t i = 0; i < n; ++i) to[i] = static_cast<To>(from[i]);
}

template <typename To>
inline void fill(To* to, To value, int64_t n) {
    for (int64_t i = 0; i < n; ++i) to[i] = value;
}

// The patch of one source that the output at (y, x) reads, channels [first, first + channels); gives back where the next one goes.
template <typename To, typename From>
To* patch(To* to, const MatrixSource& s, const From* sample, int64_t y, int64_t x, int64_t first, int64_t channels, To zero) {
    const int64_t top = y * s.stride_height - s.top, left = x * s.stride_width - s.left;
    const bool runs = s.dilation_width == 1 && channels == s.channels;
    for (int64_t ky = 0; ky < s.kernel_height; ++ky) {
        const int64_t row = top + ky * s.dilation_height;
        if (row < 0 || row >= s.height) {
            fill(to, zero, s.kernel_width * channels);
            to += s.kernel_width * channels;
            continue;
        }
        const From* line = sample + row * s.width * s.channels;
        if (runs) {
            const int64_t before = left >= 0 ? 0 : -left < s.kernel_width ? -left : s.kernel_width;
            int64_t end = s.width - left < s.kernel_width ? s.width - left : s.kernel_width;
            if (end < before) end = before;
            fill(to, zero, before * channels);
            copy(to + before * channels, line + (left + before) * channels, (end - before) * channels);
            fill(to + end * channels, zero, (s.kernel_width - end) * channels);
            to += s.kernel_width * channels;
            continue;
        }
        for (int64_t kx = 0; kx < s.kernel_width; ++kx, to += channels) {
            const int64_t column = left + kx * s.dilation_width;
            if (column < 0 || column >= s.width) fill(to, zero, channels);
            else copy(to, line + column * s.channels + first, channels);
        }
    }
    return to;
}

template <typename To>
void fill_panel(const Matrix& m, const void* const* sources, int64_t group, int64_t first, int64_t rows, To* panel) {
    const int64_t pixels = int64_t{m.height} * m.width, width = m.row_bytes / sizeof(To);
    int64_t sample = first / pixels, y = first % pixels / m.width, x = first % m.width;
    for (int64_t r = 0; r < rows; ++r) {
        To *start = panel + r * width, *to = start;
        for (int32_t i = 0; i < m.n_sources; ++i) {
            const MatrixSource& s = m.sources[i];
            const int64_t channels = s.channels / m.groups, size = int64_t{s.height} * s.width * s.channels;
            with_type(s.type, sources[i], [&](auto* data) {
                using From = typename RemoveReference<decltype(*data)>::type;
                const bool shifted = sizeof(To) == 1 && From(-1) < From(0);
                to = patch(to, s, data + sample * size, y, x, group * channels, channels, To(shifted ? 128 : 0));
            });
        }
        fill(to, To(0), start + width - to);
        if (++x == m.width) {
            x = 0;
            if (++y == m.height) y = 0, ++sample;
        }
    }
}

// ---- answers

template <typename Sum>
void count_steps(const Matrix& m, const Sum* steps, int64_t stride, const Sum* sum, Sum* count, int64_t n) {
    for (int64_t j = 0; j < n; ++j) count[j] = m.low;
    for (int32_t k = 0; k < m.levels; ++k, steps += stride)
        for (int64_t j = 0; j < n; ++j) count[j] += sum[j] >= steps[j];
}

// Answers of the channels [first, first + n) of one neuron row; sum is overwritten.
template <typename Sum>
void answer(const Matrix& m, const void* const* terms, void* out, int64_t row, int64_t pixel, int64_t first, int64_t n,
            Sum* __restrict sum) {
    const int64_t channels = int64_t{m.groups} * m.outs, here = pixel * channels + first, at = row * channels + first;
    const Sum* constant = static_cast<const Sum*>(m.constant) + (m.constant_each ? here : first);
    for (int64_t j = 0; j < n; ++j) sum[j] += constant[j];
    for (int32_t i = 0; i < m.n_terms; ++i) {
        const MatrixTerm& term = m.terms[i];
        const Sum* factor = term.factor ? static_cast<const Sum*>(term.factor) + (term.each ? here : first) : nullptr;
        with_type(term.type, terms[i], [&](auto* data) {
            const auto* value = data + at;
            if (factor)
                for (int64_t j = 0; j < n; ++j) sum[j] += factor[j] * static_cast<Sum>(value[j]);
            else
                for (int64_t j = 0; j < n; ++j) sum[j] += static_cast<Sum>(value[j]);
        });
    }
    const int64_t parameter = m.threshold_each ? here : first;
    const Sum low = m.low;
    switch (m.answer) {
        case COUNT32: {
            const Sum* limit = static_cast<const Sum*>(m.limit) + parameter;
            const float* reciprocal = static_cast<const float*>(m.reciprocal) + parameter;
            for (int64_t j = 0; j < n; ++j) {
                Sum v = sum[j] < 0 ? 0 : sum[j];
                v = v > limit[j] ? limit[j] : v;
                sum[j] = low + static_cast<int32_t>((static_cast<float>(v) + 0.5f) * reciprocal[j]);
            }
            break;
        }
        case COUNT64: {
            const Sum* limit = static_cast<const Sum*>(m.limit) + parameter;
            const double* reciprocal = static_cast<const double*>(m.reciprocal) + parameter;
            for (int64_t j = 0; j < n; ++j) {
                Sum v = sum[j] < 0 ? 0 : sum[j];
                v = v > limit[j] ? limit[j] : v;
                sum[j] = low + static_cast<Sum>((static_cast<double>(v) + 0.5) * reciprocal[j]);
            }
            break;
        }
        case STAIRCASE: {
            Sum count[OUTS];
            const int64_t stride = m.threshold_each ? int64_t{m.height} * m.width * channels : channels;
            count_steps(m, static_cast<const Sum*>(m.steps) + parameter, stride, sum, count, n);
            for (int64_t j = 0; j < n; ++j) sum[j] = count[j];
            break;
        }
        default: break;
    }
    with_type(m.out_type, out, [&](auto* data) {
        using To = typename RemoveReference<decltype(*data)>::type;
        auto* __restrict to = data + at;
        for (int64_t j = 0; j < n; ++j) to[j] = static_cast<To>(sum[j]);
    });
}

#if SP_LEVEL >= SP_AVX512

inline __m512i widened(const uint8_t* from, __mmask16 some) { return _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(some, from)); }

// The common case in registers: counts that fit a byte, parameters one a channel, at most one term of unsigned bytes.
bool is_common(const Matrix& m) {
    const bool added = m.n_terms == 0 || (m.n_terms == 1 && m.terms[0].type == U8 && m.terms[0].factor && !m.terms[0].each);
    return m.kind != WIDE && m.answer == COUNT32 && m.out_type <= S8 && !m.constant_each && !m.threshold_each && added;
}

template <bool ADDED>
void answer_common(const Matrix& m, const void* const* terms, void* out, int64_t row, int64_t rows, int64_t first, int64_t n,
                   const int32_t* sums) {
    const int64_t channels = int64_t{m.groups} * m.outs;
    const __m512i low = _mm512_set1_epi32(m.low), zero = _mm512_setzero_si512();
    const __m512 half = _mm512_set1_ps(0.5f);
    for (int64_t o = 0; o < n; o += BLOCK) {
        const int64_t c = first + o;
        const __mmask16 some = static_cast<__mmask16>(n - o >= BLOCK ? 0xffff : (1u << (n - o)) - 1);
        const __m512i constant = _mm512_maskz_loadu_epi32(some, static_cast<const int32_t*>(m.constant) + c);
        const __m512i limit = _mm512_maskz_loadu_epi32(some, static_cast<const int32_t*>(m.limit) + c);
        const __m512 reciprocal = _mm512_maskz_loadu_ps(some, static_cast<const float*>(m.reciprocal) + c);
        __m512i factor = zero;
        const uint8_t* value = nullptr;
        if (ADDED) {
            factor = _mm512_maskz_loadu_epi32(some, static_cast<const int32_t*>(m.terms[0].factor) + c);
            value = static_cast<const uint8_t*>(terms[0]) + row * channels + c;
        }
        uint8_t* to = static_cast<uint8_t*>(out) + row * channels + c;
        const int32_t* sum = sums + o;
        for (int64_t r = 0; r < rows; ++r, sum += OUTS, to += channels) {
            __m512i u = _mm512_add_epi32(_mm512_loadu_si512(sum), constant);
            if (ADDED) {
                u = _mm512_add_epi32(u, _mm512_mullo_epi32(factor, widened(value, some)));
                value += channels;
            }
            u = _mm512_min_epi32(_mm512_max_epi32(u, zero), limit);
            const __m512 quotient = _mm512_mul_ps(_mm512_add_ps(_mm512_cvtepi32_ps(u), half), reciprocal);
            const __m512i count = _mm512_add_epi32(_mm512_cvttps_epi32(quotient), low);
            _mm_mask_storeu_epi8(to, some, _mm512_cvtepi32_epi8(count));
        }
    }
}

#endif

// ---- products

// Sums of channels [first, first + n) where each output channel reads the input channel of its number alone: no panel is needed.
template <typename Sum>
void depthwise_row(const Matrix& m, const void* source, int64_t row, int64_t first, int64_t n, Sum* __restrict sum) {
    const MatrixSource& s = m.sources[0];
    const int64_t pixels = int64_t{m.height} * m.width, pixel = row % pixels;
    const int64_t top = pixel / m.width * s.stride_height - s.top, left = pixel % m.width * s.stride_width - s.left;
    const Sum* weights = static_cast<const Sum*>(m.weights) + first;
    for (int64_t j = 0; j < n; ++j) sum[j] = 0;
    with_type(s.type, source, [&](auto* data) {
        const auto* sample = data + row / pixels * s.height * s.width * s.channels + first;
        for (int64_t ky = 0; ky < s.kernel_height; ++ky) {
            const int64_t y = top + ky * s.dilation_height;
            if (y < 0 || y >= s.height) continue;
            for (int64_t kx = 0; kx < s.kernel_width; ++kx) {
                const int64_t x = left + kx * s.dilation_width;
                if (x < 0 || x >= s.width) continue;
                const auto* value = sample + (y * s.width + x) * s.channels;
                const Sum* weight = weights + (ky * s.kernel_width + kx) * s.channels;
                for (int64_t j = 0; j < n; ++j) sum[j] += weight[j] * static_cast<Sum>(value[j]);
            }
        }
    });
}

void wide_row(const Matrix& m, const int32_t* panel, const int32_t* weights, int64_t n, int64_t* sum) {
    for (int64_t j = 0; j < n; ++j) sum[j] = 0;
    for (int64_t k = 0; k < m.k; ++k, weights += m.outs)
        for (int64_t j = 0; j < n; ++j) sum[j] += int64_t{panel[k]} * weights[j];
}

void wide_piece(const Matrix& m, const void* const* sources, const void* const* terms, void* out, int64_t group, int64_t first_row, int64_t rows,
                int64_t first_out, int64_t outs, const int32_t* panel) {
    const int64_t pixels = int64_t{m.height} * m.width;
    const int32_t* weights = static_cast<const int32_t*>(m.weights);  // of products; depthwise ones are as wide as the sums
    if (!m.depthwise) weights += group * m.k * m.outs;
    int64_t sum[OUTS];
    for (int64_t r = 0; r < rows; ++r) {
        const int64_t row = first_row + r;
        for (int64_t o = first_out; o < first_out + outs; o += OUTS) {
            const int64_t n = first_out + outs - o < OUTS ? first_out + outs - o : OUTS;
            if (m.depthwise) depthwise_row(m, sources[0], row, o, n, sum);
            else wide_row(m, panel + r * (m.row_bytes / 4), weights + o, n, sum);
            answer(m, terms, out, row, row % pixels, group * m.outs + o, n, sum);
        }
    }
}

void piece(const Matrix& m, const void* const* sources, const void* const* terms, void* out, int64_t group, int64_t first_row, int64_t rows,
           int64_t first_out, int64_t outs, const uint8_t* panel) {
    alignas(64) int32_t sums[(CHUNK + ROWS_BEYOND) * OUTS];
    const int64_t pixels = int64_t{m.height} * m.width, blocks = (m.outs + BLOCK - 1) / BLOCK;
    Product p;
    p.row_bytes = m.row_bytes, p.words = m.kind == WORDS, p.most = m.most;
    p.steps = (m.k * (p.words ? 2 : 1) + 3) / 4;
#if SP_LEVEL >= SP_AVX512
    const bool common = is_common(m);
#endif
    if (m.k > 0 && !m.depthwise) begin_products();
    for (int64_t o = first_out; o < first_out + outs; o += OUTS) {
        const int64_t n = first_out + outs - o < OUTS ? first_out + outs - o : OUTS;
        p.weights = static_cast<const uint8_t*>(m.weights) + (group * blocks + o / BLOCK) * m.row_bytes * BLOCK;
        p.blocks = static_cast<int32_t>((n + BLOCK - 1) / BLOCK);
        for (int64_t r = 0; r < rows; r += CHUNK) {
            const int64_t some = rows - r < CHUNK ? rows - r : CHUNK;
            p.panel = panel + r * m.row_bytes;
            if (m.depthwise)
                for (int64_t i = 0; i < some; ++i)
                    depthwise_row(m, sources[0], first_row + r + i, o, n, sums + i * OUTS);
            else if (m.k > 0) product(p, some, sums);
            else fill(sums, int32_t{0}, some * OUTS);
#if SP_LEVEL >= SP_AVX512
            if (common) {
                const auto respond = m.n_terms ? answer_common<true> : answer_common<false>;
                respond(m, terms, out, first_row + r, some, group * m.outs + o, n, sums);
                continue;
            }
#endif
            int64_t pixel = (first_row + r) % pixels;
            for (int64_t i = 0; i < some; ++i) {
                answer(m, terms, out, first_row + r + i, pixel, group * m.outs + o, n, sums + i * OUTS);
                if (++pixel == pixels) pixel = 0;
            }
        }
    }
    if (m.k > 0 && !m.depthwise) end_products();
}

inline int64_t ratio(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

void run_matrix(const Matrix& m, const void* const* sources, const void* const* terms, void* out, int64_t batch, int32_t threads,
                void* scratch, int64_t scratch_each) {
    const int64_t rows = batch * m.height * m.width;
    if (rows == 0 || m.outs == 0) return;
    // work for everybody: first fewer rows at once, then fewer outputs
    int64_t each = m.block_rows, parts = 1;
    if (ratio(rows, each) * m.groups < 2 * threads) {
        const int64_t fair = ratio(ratio(rows, 2 * threads), CHUNK) * CHUNK;
        each = fair < each ? fair : each;
        parts = ratio(threads, ratio(rows, each) * m.groups);
        const int64_t most = ratio(m.outs, OUTS);
        parts = parts < most ? parts : most;
    }
    const int64_t blocks = ratio(rows, each), outs = ratio(ratio(m.outs, parts), OUTS) * OUTS;
    parts = ratio(m.outs, outs);
    const bool gathers = m.k > 0 && !m.depthwise;
    parallel_for(m.groups * blocks * parts, threads, [&](int64_t index, int32_t worker) {
        const int64_t group = index / (blocks * parts), block = index / parts % blocks, part = index % parts;
        const int64_t first = block * each, some = rows - first < each ? rows - first : each;
        const int64_t out_first = part * outs, out_some = m.outs - out_first < outs ? m.outs - out_first : outs;
        uint8_t* panel = static_cast<uint8_t*>(scratch) + worker * scratch_each;
        if (m.kind == WIDE) {
            if (gathers) fill_panel(m, sources, group, first, some, reinterpret_cast<int32_t*>(panel));
            wide_piece(m, sources, terms, out, group, first, some, out_first, out_some, reinterpret_cast<const int32_t*>(panel));
            return;
        }
        if (gathers && m.kind == WORDS) fill_panel(m, sources, group, first, some, reinterpret_cast<int16_t*>(panel));
        if (gathers && m.kind == BYTES) fill_panel(m, sources, group, first, some, panel);
        piece(m, sources, terms, out, group, first, some, out_first, out_some, panel);
    });
}

}  // namespace SP_NAMESPACE
}  // namespace sp

#if SP_LEVEL == SP_PORTABLE
SP_API int32_t sp_run_matrix(const sp::Matrix* m, const void* const* sources, const void* const* terms, void* out, int64_t batch,
                             int32_t threads, void* scratch, int64_t scratch_each) {
    SP_DISPATCH(run_matrix, *m, sources, terms, out, batch, threads, scratch, scratch_each);
    return SP_OK;
}
#endif
