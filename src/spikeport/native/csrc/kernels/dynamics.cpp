// A step of neurons and the effect of spikes, for float64, float32 and integers.
//
// The loops have no branches and are left to the compiler to vectorise: every operation is one IEEE operation in the order that
// DynamicsContract states (no contraction, no reassociation: see CMakeLists.txt), so all instruction sets give the same bits.
#include "kernels/dynamics.h"

#include <math.h>

#include "abi.h"

namespace sp {
namespace SP_NAMESPACE {

namespace {

constexpr int64_t BLOCK = 256;  // temporaries of a block stay in the first cache

template <typename T> struct IsInteger { static constexpr bool value = false; };
template <> struct IsInteger<int64_t> { static constexpr bool value = true; };

// An integer potential within its width; `low` and `high` are its range.
template <typename T>
struct Fit {
    T low = 0, high = 0;
    int32_t shift = 0;
    bool wrap = false;

    explicit Fit(const NeuronFlags& flags) {
        if constexpr (IsInteger<T>::value) {
            shift = 64 - flags.state_bits, wrap = flags.wrap != 0;
            high = (int64_t{1} << (flags.state_bits - 1)) - 1, low = -high - 1;
        }
    }

    T operator()(T v) const {
        if constexpr (IsInteger<T>::value) {
            const T wrapped = static_cast<int64_t>(static_cast<uint64_t>(v) << shift) >> shift;
            const T clipped = v < low ? low : v > high ? high : v;
            return wrap ? wrapped : clipped;
        } else {
            return v;
        }
    }
};

template <typename T>
void currents(const Neurons<T>& n, const T* __restrict x, T* __restrict i, int64_t begin, int64_t count) {
    T* __restrict s = n.current + begin;
    const T* __restrict k = n.current_rate + begin;
    const T* __restrict d = n.current_decay + begin;
    const T* __restrict w = n.w_in + begin;
    const bool old = n.flags.old_current != 0;
#define SP_CURRENT(expression)                  \
    for (int64_t j = 0; j < count; ++j) {       \
        const T before = s[j];                  \
        const T after = expression;             \
        i[j] = i[j] + (old ? before : after);   \
        s[j] = after;                           \
    }                                           \
    break;
    switch (n.flags.current) {
        case 1: SP_CURRENT(before + k[j] * (w[j] * x[j] - before))
        case 2: SP_CURRENT((before - k[j] * before) + w[j] * x[j])
        case 3: SP_CURRENT(d[j] * before + k[j] * (w[j] * x[j]))
        case 4: SP_CURRENT(d[j] * before + w[j] * x[j])
    }
#undef SP_CURRENT
}

template <typename T>
void integrate(const Neurons<T>& n, const T* __restrict i, T* __restrict v, int64_t begin, int64_t count) {
    const T* __restrict gain = n.gain + begin;
    const T* __restrict rate = n.rate + begin;
    const T* __restrict decay = n.decay + begin;
    const T* __restrict leak = n.v_leak + begin;
    switch (n.flags.kind) {
        case 0:
            for (int64_t j = 0; j < count; ++j) v[j] = v[j] + gain[j] * i[j];
            break;
        case 1:
            for (int64_t j = 0; j < count; ++j) v[j] = v[j] + rate[j] * ((leak[j] - v[j]) + gain[j] * i[j]);
            break;
        case 2:
            for (int64_t j = 0; j < count; ++j) v[j] = decay[j] * v[j] + rate[j] * (leak[j] + gain[j] * i[j]);
            break;
        case 8:
            for (int64_t j = 0; j < count; ++j) v[j] = v[j] + gain[j] * (i[j] > T(0) ? i[j] : T(0));
            break;
        default:
            for (int64_t j = 0; j < count; ++j) v[j] = i[j];
    }
}

// Both states of a unit whose refractory period ends within a step: the second says when. The few units whose period does so take
// the C library's function, which the reference takes too.
template <typename T>
void integrate_interpolated(const Neurons<T>& n, const T* __restrict x, const T* __restrict i, T* __restrict v, int64_t begin,
                            int64_t count) {
    T* __restrict w = n.current + begin;
    const T* __restrict gain = n.gain + begin;
    const T* __restrict rate = n.rate + begin;
    const T* __restrict leak = n.v_leak + begin;
    const T* __restrict tau = n.second.decay + begin;
    const T* __restrict dt = n.second.constant + begin;
    T h[BLOCK], k[BLOCK];
    for (int64_t j = 0; j < count; ++j) {
        const T left = w[j] - dt[j], moment = left > T(0) ? left : T(0), rest = dt[j] - moment;
        w[j] = moment, h[j] = rest > T(0) ? rest : T(0);
        k[j] = moment == T(0) ? rate[j] : T(0);
    }
    for (int64_t j = 0; j < count; ++j) {
        if (w[j] > T(0) && h[j] > T(0)) {
            const T ratio = h[j] / tau[j];
            k[j] = static_cast<T>(-expm1(-static_cast<double>(ratio)));
        }
    }
    for (int64_t j = 0; j < count; ++j) v[j] = v[j] + k[j] * ((leak[j] + gain[j] * i[j]) - v[j]);
    if (n.flags.delta) {
        for (int64_t j = 0; j < count; ++j) v[j] = h[j] > T(0) ? v[j] + x[j] : v[j];
    }
}

// When units that fire integrate again, by their potential before its reset.
template <typename T>
void deaf_until(const Neurons<T>& n, const T* __restrict i, const T* __restrict v, const uint8_t* __restrict fired, int64_t begin,
                int64_t count) {
    for (int64_t j = 0; j < count; ++j) {
        if (!fired[j]) continue;
        const int64_t at = begin + j;
        const T above = v[j] - n.threshold[at], drive = (n.v_leak[at] + n.gain[at] * i[j]) - n.threshold[at];
        T back = 0;
        if (drive > above) back = static_cast<T>(log1p(static_cast<double>(-above / drive)));
        n.current[at] = n.second.increment[at] + (n.second.constant[at] + n.second.decay[at] * back);
    }
}

// Both states after a step; `v` holds the first one before it, and is changed, `crossed` says where it rises through zero.
template <typename T>
void integrate_two(const Neurons<T>& n, const T* __restrict x, const T* __restrict i, T* __restrict v, uint8_t* __restrict crossed,
                   int64_t begin, int64_t count) {
    T* __restrict w = n.current + begin;
    const T* __restrict gain = n.gain + begin;
    const T* __restrict rate = n.rate + begin;
    const T* __restrict decay = n.decay + begin;
    const T* __restrict leak = n.v_leak + begin;
    const T* __restrict second_rate = n.second.rate + begin;
    const T* __restrict second_decay = n.second.decay + begin;
    const T* __restrict coupling = n.second.coupling + begin;
    const bool other = n.flags.other != 0;
    switch (n.flags.kind) {
        case 1:
            for (int64_t j = 0; j < count; ++j) {
                const T drive = other ? i[j] - w[j] : i[j], before = v[j];
                v[j] = before + rate[j] * ((leak[j] - before) + gain[j] * drive);
                w[j] = w[j] + second_rate[j] * (coupling[j] * (before - leak[j]) - w[j]);
            }
            break;
        case 2:
            for (int64_t j = 0; j < count; ++j) {
                const T drive = other ? i[j] - w[j] : i[j], before = v[j];
                v[j] = decay[j] * before + rate[j] * (leak[j] + gain[j] * drive);
                w[j] = second_decay[j] * w[j] + second_rate[j] * (coupling[j] * (before - leak[j]));
            }
            break;
        case 4: {
            const T* __restrict square = n.second.square + begin;
            const T* __restrict linear = n.second.linear + begin;
            const T* __restrict constant = n.second.constant + begin;
            const T* __restrict v_recovery = n.second.v_recovery + begin;
            T seen[BLOCK];
            for (int64_t j = 0; j < count; ++j) seen[j] = v[j];
            for (int32_t step = 0; step < n.flags.substeps; ++step) {
                for (int64_t j = 0; j < count; ++j) {
                    const T slope = ((square[j] * (v[j] * v[j]) + linear[j] * v[j]) + constant[j]) - w[j];
                    v[j] = v[j] + rate[j] * (slope + gain[j] * i[j]);
                }
            }
            if (n.flags.other != 1) {
                for (int64_t j = 0; j < count; ++j) seen[j] = v[j];
            }
            if (n.flags.other == 2) {
                const T* __restrict threshold = n.threshold + begin;
                const T* __restrict value = n.v_reset + begin;
                const bool at = n.flags.at_threshold != 0;
                for (int64_t j = 0; j < count; ++j) seen[j] = (at ? v[j] >= threshold[j] : v[j] > threshold[j]) ? value[j] : v[j];
            }
            for (int64_t j = 0; j < count; ++j) {
                const T from = seen[j];
                w[j] = w[j] + second_rate[j] * (coupling[j] * (from - v_recovery[j]) - second_decay[j] * w[j]);
            }
            break;
        }
        default:
            for (int64_t j = 0; j < count; ++j) {
                const T re = w[j], im = v[j];
                v[j] = (second_decay[j] * im + coupling[j] * re) + second_rate[j] * i[j];
                w[j] = (second_decay[j] * re - coupling[j] * im) + gain[j] * i[j];
                crossed[j] = static_cast<uint8_t>((v[j] >= T(0)) & (im < T(0)));
            }
            if (n.flags.delta) {
                for (int64_t j = 0; j < count; ++j) w[j] = w[j] + x[j];
            }
    }
}

template <typename T>
void reset_second(const Neurons<T>& n, const uint8_t* __restrict who, int64_t begin, int64_t count) {
    T* __restrict w = n.current + begin;
    if (n.flags.kind == 5) {
        for (int64_t j = 0; j < count; ++j) w[j] = who[j] ? T(0) : w[j];
        return;
    }
    const T* __restrict increment = n.second.increment + begin;
    for (int64_t j = 0; j < count; ++j) w[j] = who[j] ? w[j] + increment[j] : w[j];
}

template <typename T>
void reset(const Neurons<T>& n, const Fit<T>& fit, const uint8_t* __restrict who, T* __restrict v, int64_t begin,
           int64_t count) {
    if (n.flags.kind == 3 || n.flags.kind == 6 || (n.flags.kind == 5 && n.flags.other)) return;
    if (n.flags.second && n.flags.kind != 7) reset_second(n, who, begin, count);
    const T* __restrict threshold = n.threshold + begin;
    const T* __restrict value = n.v_reset + begin;
    if (n.flags.subtract && n.flags.multi) {
        const T* __restrict times = n.times + begin;
        for (int64_t j = 0; j < count; ++j) v[j] = who[j] ? fit(v[j] - times[j] * threshold[j]) : v[j];
    } else if (n.flags.subtract) {
        for (int64_t j = 0; j < count; ++j) v[j] = who[j] ? fit(v[j] - threshold[j]) : v[j];
    } else {
        for (int64_t j = 0; j < count; ++j) v[j] = who[j] ? value[j] : v[j];
    }
}

template <typename T, bool AT>
void compare(const T* __restrict v, const T* __restrict threshold, uint8_t* __restrict fired, int64_t count) {
    for (int64_t j = 0; j < count; ++j) fired[j] = AT ? v[j] >= threshold[j] : v[j] > threshold[j];
}

int64_t listed(const uint8_t* fired, int64_t begin, int64_t count, uint32_t* spikes) {
    int64_t found = 0, j = 0;
    for (; j + 8 <= count; j += 8) {
        uint64_t eight;
        __builtin_memcpy(&eight, fired + j, 8);
        if (eight == 0) continue;
        for (int64_t b = 0; b < 8; ++b) {
            if (fired[j + b]) spikes[found++] = static_cast<uint32_t>(begin + j + b);
        }
    }
    for (; j < count; ++j) {
        if (fired[j]) spikes[found++] = static_cast<uint32_t>(begin + j);
    }
    return found;
}

// How many thresholds there are in the potential of units that fire.
template <typename T>
void count_thresholds(const T* __restrict v, const T* __restrict threshold, const uint8_t* __restrict fired,
                      T* __restrict times, int64_t count) {
    if constexpr (IsInteger<T>::value) {
        for (int64_t j = 0; j < count; ++j) times[j] = fired[j] ? v[j] / threshold[j] : 0;
    } else {
        constexpr T MOST = T(9007199254740992.0);  // 2^53
        for (int64_t j = 0; j < count; ++j) {
            T found;
            if constexpr (sizeof(T) == 4) found = __builtin_floorf(v[j] / threshold[j]);
            else found = __builtin_floor(v[j] / threshold[j]);
            times[j] = fired[j] ? (found < MOST ? found : MOST) : T(0);
        }
    }
}

// Indices of units whose potential is not zero, and the potentials.
template <typename T>
int64_t potentials_listed(const T* v, int64_t begin, int64_t count, uint32_t* spikes, T* values) {
    int64_t found = 0;
    for (int64_t j = 0; j < count; ++j) {  // found <= j: what is written and not counted is written over, or unread
        spikes[found] = static_cast<uint32_t>(begin + j), values[found] = v[j];
        found += v[j] != T(0);
    }
    return found;
}

// What SigmaDelta sends: differences from all that it sent, where they are beyond the threshold; `i` is the constant current.
template <typename T>
int64_t differences(const Neurons<T>& n, const Fit<T>& fit, const T* __restrict v, const T* __restrict i, int64_t begin, int64_t count,
                    uint32_t* spikes, T* values) {
    T* __restrict w = n.current + begin;
    const T* __restrict threshold = n.threshold + begin;
    const bool relu = n.flags.other == 0, at = n.flags.at_threshold != 0;
    T sent[BLOCK];
    for (int64_t j = 0; j < count; ++j) {
        const T sum = fit(v[j] + i[j]);
        const T d = (relu && sum < T(0) ? T(0) : sum) - w[j];
        const T size = d < T(0) ? -d : d;
        sent[j] = (at ? size >= threshold[j] : size > threshold[j]) ? d : T(0);
        w[j] = w[j] + sent[j];
    }
    return potentials_listed(sent, begin, count, spikes, values);
}

template <typename T>
int64_t update(const Neurons<T>& n, T* arrived, const T* constant, const T* fed, T* potentials, uint32_t* spikes,
               T* values, int64_t first, int64_t end) {
    const NeuronFlags& flags = n.flags;
    const Fit<T> fit(flags);
    int64_t found = 0;
    T x[BLOCK], i[BLOCK], after[BLOCK], level[BLOCK];
    uint8_t crossed[BLOCK];
    const bool resonates = flags.kind == 5, interpolates = flags.kind == 7, adapts = flags.second && (flags.kind == 1 || flags.kind == 2) && !flags.other;
    for (int64_t begin = first; begin < end; begin += BLOCK) {
        const int64_t count = end - begin < BLOCK ? end - begin : BLOCK;
        T* __restrict v = n.v + begin;
        T* __restrict deaf = n.deaf + begin;
        uint8_t* fired = n.fired + begin;
        {
            T* __restrict in = arrived + begin;
            const T* __restrict bias = n.bias + begin;
            for (int64_t j = 0; j < count; ++j) x[j] = in[j], in[j] = 0, i[j] = bias[j];
        }
        if (constant != nullptr) {
            for (int64_t j = 0; j < count; ++j) x[j] = x[j] + constant[begin + j];
        }
        if (fed != nullptr) {
            for (int64_t j = 0; j < count; ++j) i[j] = i[j] + fed[begin + j];
        }
        if (flags.current != 0) {
            currents(n, x, i, begin, count);
        } else if (!flags.delta) {
            for (int64_t j = 0; j < count; ++j) i[j] = i[j] + x[j];
        }
        if (flags.reset_when == 1) reset(n, fit, fired, v, begin, count);
        for (int64_t j = 0; j < count; ++j) after[j] = v[j];
        if (!flags.second) integrate(n, i, after, begin, count);
        else if (interpolates) integrate_interpolated(n, x, i, after, begin, count);
        else if (flags.kind != 6) integrate_two(n, x, i, after, crossed, begin, count);
        if (flags.delta && !resonates && !interpolates) {
            for (int64_t j = 0; j < count; ++j) after[j] = after[j] + x[j];
        }
        if constexpr (IsInteger<T>::value) {
            for (int64_t j = 0; j < count; ++j) after[j] = fit(after[j]);
        }
        if (flags.refractory) {
            for (int64_t j = 0; j < count; ++j) v[j] = deaf[j] == 0 ? after[j] : v[j];
        } else {
            for (int64_t j = 0; j < count; ++j) v[j] = after[j];
        }
        if (flags.reset_when == 2) reset(n, fit, fired, v, begin, count);
        if (flags.kind == 6) {
            found += differences(n, fit, v, i, begin, count, spikes + found, values + found);
        } else if (flags.fires) {
            const T* threshold = n.threshold + begin;
            if (adapts) {
                for (int64_t j = 0; j < count; ++j) level[j] = threshold[j] + n.current[begin + j];
                threshold = level;
            }
            const T* compared = resonates && flags.other ? n.current + begin : v;
            if (flags.at_threshold) compare<T, true>(compared, threshold, fired, count);
            else compare<T, false>(compared, threshold, fired, count);
            if (resonates && flags.other) {
                for (int64_t j = 0; j < count; ++j) fired[j] = fired[j] & crossed[j];
            }
            if (interpolates) {
                const T* __restrict w = n.current + begin;
                const T* __restrict dt = n.second.constant + begin;
                for (int64_t j = 0; j < count; ++j) fired[j] = fired[j] & static_cast<uint8_t>(w[j] < dt[j]);
            }
            if (flags.refractory) {
                const T* __restrict period = n.refractory + begin;
                for (int64_t j = 0; j < count; ++j) fired[j] = fired[j] & static_cast<uint8_t>(deaf[j] == 0);
                for (int64_t j = 0; j < count; ++j) deaf[j] = fired[j] ? period[j] : deaf[j] == 0 ? T(0) : deaf[j] - 1;
            }
            if (flags.multi) count_thresholds(v, n.threshold + begin, fired, n.times + begin, count);
            const int64_t now = listed(fired, begin, count, spikes + found);
            if (flags.multi) {
                for (int64_t j = found; j < found + now; ++j) values[j] = n.times[spikes[j]];
            }
            if (now > 0 && interpolates) deaf_until(n, i, v, fired, begin, count);
            if (now > 0 && flags.reset_when == 0) reset(n, fit, fired, v, begin, count);
            found += now;
            if (flags.clipped) {
                const T* __restrict least = n.v_min + begin;
                for (int64_t j = 0; j < count; ++j) v[j] = v[j] < least[j] ? least[j] : v[j];
            }
        } else if (flags.sends) {
            found += potentials_listed(v, begin, count, spikes + found, values + found);
        }
        if (potentials != nullptr) {
            for (int64_t j = 0; j < count; ++j) potentials[begin + j] = v[j];
        }
    }
    return found;
}

// Weights are read in a type that holds them exactly and widened, which is exact too.
template <typename T, typename W, typename I, int32_t MODE, bool UNIT>
void rows(const Synapses& synapses, const uint32_t* sources, const T* values, int64_t n, T* __restrict slot) {
    const int64_t* offsets = synapses.offsets;
    const I* all_targets = static_cast<const I*>(synapses.targets);
    const W* all_weights = static_cast<const W*>(synapses.weights);
    constexpr int64_t STRIDE = 32;
    for (int64_t spike = 0; spike < n; ++spike) {
        const int64_t begin = offsets[sources[spike]], count = offsets[sources[spike] + 1] - begin;
        const I* __restrict targets = all_targets + begin;
        const W* __restrict weights = all_weights + (MODE == EACH ? begin : MODE == ONE_A_SOURCE ? sources[spike] : 0);
        // the next row is somewhere else: while this one is added, fetch as much of that
        const int64_t next = offsets[sources[spike + 1 < n ? spike + 1 : spike]];
        const char* next_targets = reinterpret_cast<const char*>(all_targets + next);
        const char* next_weights = reinterpret_cast<const char*>(all_weights + (MODE == EACH ? next : 0));
        const T value = UNIT ? T(1) : values[spike];
        T one = 0;
        if constexpr (MODE != EACH) one = UNIT ? static_cast<T>(weights[0]) : static_cast<T>(weights[0]) * value;
        const auto add = [&](int64_t k) {
            if constexpr (MODE != EACH) slot[targets[k]] += one;
            else if constexpr (UNIT) slot[targets[k]] += static_cast<T>(weights[k]);
            else slot[targets[k]] += static_cast<T>(weights[k]) * value;
        };
        int64_t k = 0;
        for (; k + STRIDE <= count; k += STRIDE) {
            for (size_t b = 0; b < STRIDE * sizeof(I); b += 64) __builtin_prefetch(next_targets + k * sizeof(I) + b, 0, 2);
            if constexpr (MODE == EACH) {
                for (size_t b = 0; b < STRIDE * sizeof(W); b += 64) {
                    __builtin_prefetch(next_weights + k * sizeof(W) + b, 0, 2);
                }
            }
#pragma GCC unroll 32
            for (int64_t j = 0; j < STRIDE; ++j) add(k + j);
        }
        for (; k < count; ++k) add(k);
    }
}

template <typename T, typename W, typename I>
void scatter_mode(const Synapses& s, const uint32_t* sources, const T* values, int64_t n, T* slot) {
    const bool unit = values == nullptr;
    if (s.mode == EACH && unit) rows<T, W, I, EACH, true>(s, sources, values, n, slot);
    else if (s.mode == EACH) rows<T, W, I, EACH, false>(s, sources, values, n, slot);
    else if (s.mode == ONE_A_SOURCE && unit) rows<T, W, I, ONE_A_SOURCE, true>(s, sources, values, n, slot);
    else if (s.mode == ONE_A_SOURCE) rows<T, W, I, ONE_A_SOURCE, false>(s, sources, values, n, slot);
    else if (unit) rows<T, W, I, ONE, true>(s, sources, values, n, slot);
    else rows<T, W, I, ONE, false>(s, sources, values, n, slot);
}

template <typename T, typename W>
void scatter_typed(const Synapses& s, const uint32_t* sources, const T* values, int64_t n, T* slot) {
    if (s.wide_targets) scatter_mode<T, W, uint32_t>(s, sources, values, n, slot);
    else scatter_mode<T, W, uint16_t>(s, sources, values, n, slot);
}

}  // namespace

int64_t update_f64(const Neurons<double>& neurons, double* arrived, const double* constant, const double* fed,
                   double* potentials, uint32_t* spikes, double* values, int64_t begin, int64_t end) {
    return update(neurons, arrived, constant, fed, potentials, spikes, values, begin, end);
}

int64_t update_f32(const Neurons<float>& neurons, float* arrived, const float* constant, const float* fed,
                   float* potentials, uint32_t* spikes, float* values, int64_t begin, int64_t end) {
    return update(neurons, arrived, constant, fed, potentials, spikes, values, begin, end);
}

int64_t update_i64(const Neurons<int64_t>& neurons, int64_t* arrived, const int64_t* constant, const int64_t* fed,
                   int64_t* potentials, uint32_t* spikes, int64_t* values, int64_t begin, int64_t end) {
    return update(neurons, arrived, constant, fed, potentials, spikes, values, begin, end);
}

void scatter_f64(const Synapses& s, const uint32_t* sources, const double* values, int64_t count, double* slot) {
    if (s.weight_type == WEIGHT_F32) scatter_typed<double, float>(s, sources, values, count, slot);
    else scatter_typed<double, double>(s, sources, values, count, slot);
}

void scatter_f32(const Synapses& s, const uint32_t* sources, const float* values, int64_t count, float* slot) {
    scatter_typed<float, float>(s, sources, values, count, slot);
}

void scatter_i64(const Synapses& s, const uint32_t* sources, const int64_t* values, int64_t count, int64_t* slot) {
    if (s.weight_type == WEIGHT_I8) scatter_typed<int64_t, int8_t>(s, sources, values, count, slot);
    else if (s.weight_type == WEIGHT_I32) scatter_typed<int64_t, int32_t>(s, sources, values, count, slot);
    else scatter_typed<int64_t, int64_t>(s, sources, values, count, slot);
}

}  // namespace SP_NAMESPACE
}  // namespace sp
