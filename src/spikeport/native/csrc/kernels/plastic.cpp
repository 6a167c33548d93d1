// Sums of products over blocks of synapses: term by term and factor by factor, each a loop over the block without branches, left to the
// compiler to vectorise. Every operation is one operation of the reference, in its order, so all instruction sets give the same bits.
#include "kernels/plastic.h"

namespace sp {
namespace SP_NAMESPACE {

namespace {

constexpr int64_t BLOCK = 256;
constexpr int32_t DECAY_BITS = 12;
constexpr uint32_t PHASES = 3;

template <typename T> struct Whole { static constexpr bool value = false; };
template <> struct Whole<int64_t> { static constexpr bool value = true; };

// First word of Philox4x32-10 for counters (id, step, number, place).
void drawn(const Learner<int64_t>& l, const uint32_t* ids, int64_t step, uint32_t place, uint32_t* __restrict words, int64_t count) {
    for (int64_t j = 0; j < count; ++j) {
        uint32_t c0 = ids[j], c1 = static_cast<uint32_t>(step), c2 = l.number, c3 = place;
        uint32_t k0 = l.key[0], k1 = l.key[1];
        for (int round = 0; round < 10; ++round) {
            const uint64_t first = uint64_t{0xD2511F53u} * c0, second = uint64_t{0xCD9E8D57u} * c2;
            c0 = static_cast<uint32_t>(second >> 32) ^ c1 ^ k0, c1 = static_cast<uint32_t>(second);
            c2 = static_cast<uint32_t>(first >> 32) ^ c3 ^ k1, c3 = static_cast<uint32_t>(first);
            k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
        }
        words[j] = c0;
    }
}

// Integer sums in units of 2^-shift as whole numbers.
void round(const Learner<int64_t>& l, const uint32_t* ids, int64_t step, int32_t on, int32_t into, int64_t* __restrict sum,
           int64_t count) {
    const int32_t shift = l.shift;
    if (shift == 0) return;
    if (l.rounding == FLOOR) {
        for (int64_t j = 0; j < count; ++j) sum[j] = sum[j] >> shift;
    } else if (l.rounding == NEAREST) {
        const int64_t most = (int64_t{1} << (shift - 1)) - 1;
        for (int64_t j = 0; j < count; ++j) sum[j] = (sum[j] + most + ((sum[j] >> shift) & 1)) >> shift;
    } else {
        uint32_t words[BLOCK];
        drawn(l, ids, step, static_cast<uint32_t>(on) + PHASES * static_cast<uint32_t>(into), words, count);
        for (int64_t j = 0; j < count; ++j) sum[j] = (sum[j] + (int64_t{words[j]} >> (32 - shift))) >> shift;
    }
}

template <typename T, typename Read>
void multiply(T* __restrict product, T plus, int64_t count, const Read& read) {
    for (int64_t j = 0; j < count; ++j) product[j] = product[j] * (read(j) + plus);
}

// A block of synapses: `index[j]`, or `first + j`; of one source, of one target, or of any.
template <typename T, int32_t ON>
void change(const Learner<T>& l, int64_t step, uint32_t end, const uint32_t* index, const uint32_t* sources, int64_t first,
            int64_t count, T value) {
    T sums[1 + MOST_TRACES][BLOCK], product[BLOCK];
    bool there[1 + MOST_TRACES] = {};
    const uint32_t* targets = l.targets + first;
    const auto at = [&](int64_t j) { return ON == ON_POST ? static_cast<int64_t>(index[j]) : first + j; };
    for (int64_t k = 0; k < l.n_terms; ++k) {
        const PlasticTerm<T>& term = l.terms[k];
        if (term.on != ON || (ON == ON_STEP && (step + 1) % term.every != 0)) continue;
        const T begin = ON == ON_STEP ? term.coefficient : term.coefficient * value;
        for (int64_t j = 0; j < count; ++j) product[j] = begin;
        for (int32_t f = 0; f < term.factors; ++f) {
            const int32_t which = term.factor[f].index;
            const T plus = term.factor[f].plus;
            switch (term.factor[f].of) {
                case OF_PRE: {
                    const T* x = l.pre[which];
                    if constexpr (ON == ON_PRE) multiply(product, plus, count, [one = x[end]](int64_t) { return one; });
                    else multiply(product, plus, count, [=](int64_t j) { return x[sources[j]]; });
                    break;
                }
                case OF_POST: {
                    const T* x = l.post[which];
                    if constexpr (ON == ON_POST) multiply(product, plus, count, [one = x[end]](int64_t) { return one; });
                    else multiply(product, plus, count, [=](int64_t j) { return x[targets[j]]; });
                    break;
                }
                case OF_THIRD: {
                    const T* x = l.third[which];
                    const int64_t stride = l.third_stride[which];
                    if constexpr (ON == ON_POST) multiply(product, plus, count, [one = x[end * stride]](int64_t) { return one; });
                    else if (stride == 0) multiply(product, plus, count, [one = x[0]](int64_t) { return one; });
                    else multiply(product, plus, count, [=](int64_t j) { return x[targets[j]]; });
                    break;
                }
                default: {
                    const T* x = l.values[term.factor[f].of == OF_WEIGHT ? 0 : 1 + which];
                    multiply(product, plus, count, [&](int64_t j) { return x[at(j)]; });
                }
            }
        }
        T* __restrict sum = sums[term.into];
        if (there[term.into]) {
            for (int64_t j = 0; j < count; ++j) sum[j] = sum[j] + product[j];
        } else {
            for (int64_t j = 0; j < count; ++j) sum[j] = product[j];
        }
        there[term.into] = true;
    }
    uint32_t ids[BLOCK];
    if (Whole<T>::value && l.rounding == STOCHASTIC) {
        for (int64_t j = 0; j < count; ++j) ids[j] = l.ids[at(j)];
    }
    for (int32_t into = 0; into <= MOST_TRACES; ++into) {
        if (!there[into]) continue;
        T* __restrict sum = sums[into];
        if constexpr (Whole<T>::value) round(l, ids, step, ON, into, sum, count);
        T* __restrict x = l.values[into];
        const T low = l.low[into], high = l.high[into];
        for (int64_t j = 0; j < count; ++j) {
            const T next = x[at(j)] + sum[j];
            x[at(j)] = next < low ? low : next > high ? high : next;
        }
    }
}

template <typename T>
void learn_post(const Learner<T>& l, int64_t step, uint32_t target, const uint32_t* index, const uint32_t* sources, int64_t count, T value) {
    for (int64_t k = 0; k < count; k += BLOCK) {
        change<T, ON_POST>(l, step, target, index + k, sources + k, 0, count - k < BLOCK ? count - k : BLOCK, value);
    }
}

template <typename T>
void learn_pre(const Learner<T>& l, int64_t step, uint32_t source, int64_t begin, int64_t end, T value) {
    for (int64_t k = begin; k < end; k += BLOCK) {
        change<T, ON_PRE>(l, step, source, nullptr, nullptr, k, end - k < BLOCK ? end - k : BLOCK, value);
    }
}

template <typename T>
void learn_step(const Learner<T>& l, int64_t step, int64_t count) {
    for (int64_t k = 0; k < count; k += BLOCK) {
        change<T, ON_STEP>(l, step, 0, nullptr, l.sources + k, k, count - k < BLOCK ? count - k : BLOCK, T(1));
    }
}

template <typename T>
void decay(T* __restrict x, T d, int64_t count) {
    for (int64_t j = 0; j < count; ++j) {
        if constexpr (Whole<T>::value) x[j] = x[j] < 0 ? -((-x[j] * d) >> DECAY_BITS) : (x[j] * d) >> DECAY_BITS;
        else x[j] = x[j] * d;
    }
}

}  // namespace

#define SP_PLASTIC(T, name)                                                                                                   \
    void learn_post_##name(const Learner<T>& l, int64_t step, uint32_t target, const uint32_t* index, const uint32_t* sources, \
                           int64_t count, T value) {                                                                          \
        learn_post(l, step, target, index, sources, count, value);                                                            \
    }                                                                                                                         \
    void learn_pre_##name(const Learner<T>& l, int64_t step, uint32_t source, int64_t begin, int64_t end, T value) {          \
        learn_pre(l, step, source, begin, end, value);                                                                        \
    }                                                                                                                         \
    void learn_step_##name(const Learner<T>& l, int64_t step, int64_t count) { learn_step(l, step, count); }                  \
    void decay_##name(T* x, T d, int64_t count) { decay(x, d, count); }

SP_PLASTIC(double, f64)
SP_PLASTIC(float, f32)
SP_PLASTIC(int64_t, i64)
#undef SP_PLASTIC

}  // namespace SP_NAMESPACE
}  // namespace sp
