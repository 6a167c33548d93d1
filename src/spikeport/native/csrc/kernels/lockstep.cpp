// The equations of DynamicsContract's fixed-point neurons and of converted neurons, for a block. Loops have no branches where that
// is possible, and are left to the compiler to vectorise. Sums wrap as two's complement: where they might, bounds have chosen V.
#include "kernels/lockstep.h"
#include "kernels/wrapping.h"

namespace sp {
namespace SP_NAMESPACE {

namespace {

template <typename V>
inline V clip(V a, V low, V high) {
    return a < low ? low : a > high ? high : a;
}

// a k / 4096 towards zero, k from 0 to 4096; in 32 bits |a| is below 2^24, and the product is made of two.
inline int32_t scaled(int32_t a, int32_t k) {
    const int32_t m = a < 0 ? -a : a;
    const int32_t found = (m >> 12) * k + (((m & 4095) * k) >> 12);
    return a < 0 ? -found : found;
}

inline int64_t scaled_by(int64_t a, int64_t k, int64_t bits) {
    const int64_t product = times(a, k);
    const int64_t found = magnitude(product) >> bits;
    return product < 0 ? -found : product > 0 ? found : 0;
}

inline int64_t scaled(int64_t a, int64_t k) { return scaled_by(a, k, 12); }

template <typename V>
constexpr V STATE_LIMIT = (V{1} << 23) - 1;

template <typename V>
inline const V* parameter(const LockstepNeurons& n, int32_t index) {
    return static_cast<const V*>(n.parameters[index]);
}

// ---- fixed-point neurons

template <typename V>
void cuba2(const LockstepNeurons& n, const V* __restrict a, V* __restrict sends) {
    const V *__restrict du = parameter<V>(n, 0), *__restrict dv = parameter<V>(n, 1);
    const V *__restrict threshold = parameter<V>(n, 2), *__restrict bias = parameter<V>(n, 3);
    V *__restrict vs = static_cast<V*>(n.v), *__restrict us = static_cast<V*>(n.second);
    constexpr V half = V{1} << 23, whole = V{1} << 24;
    for (int64_t i = 0; i < n.count; ++i) {
        V u = wrap<V>(add(scaled(us[i], du[i]), left(a[i], 6)), 31);
        u = u > half ? u - whole : u <= -half ? u + whole : u;
        const V v = clip<V>(add(add(scaled(vs[i], dv[i]), u), bias[i]), -STATE_LIMIT<V>, STATE_LIMIT<V>);
        const V spike = v > threshold[i];
        us[i] = u;
        vs[i] = spike ? 0 : v;
        sends[i] = spike;
    }
}

template <typename V>
void cuba1(const LockstepNeurons& n, const V* __restrict a, V* __restrict sends) {
    const V *__restrict du = parameter<V>(n, 0), *__restrict dv = parameter<V>(n, 1);
    const V *__restrict threshold = parameter<V>(n, 2), *__restrict bias = parameter<V>(n, 3);
    const V *__restrict refractory = parameter<V>(n, 4);
    const V *__restrict low = parameter<V>(n, 5), *__restrict high = parameter<V>(n, 6);
    V *__restrict vs = static_cast<V*>(n.v), *__restrict us = static_cast<V*>(n.second), *__restrict rs = static_cast<V*>(n.third);
    for (int64_t i = 0; i < n.count; ++i) {
        const V u = wrap<V>(add(scaled(us[i], du[i]), wrap<V>(a[i], 21)), 23);
        V v = add(scaled(vs[i], dv[i]), wrap<V>(add(u, bias[i]), 23));
        v = clip<V>(v, low[i], high[i]);
        v = rs[i] > 0 ? 0 : v;
        const V spike = v > threshold[i];
        const V rest = (spike ? refractory[i] : rs[i]) - 1;
        us[i] = u;
        vs[i] = spike ? 0 : v;
        rs[i] = rest > 0 ? rest : 0;
        sends[i] = spike;
    }
}

template <typename V>
void sigma_delta(const LockstepGroup& g, const LockstepNeurons& n, const V* __restrict a, V* __restrict sends) {
    const V *threshold = parameter<V>(n, 0), *bias = parameter<V>(n, 1), *exponent = parameter<V>(n, 2);
    V *sigmas = static_cast<V*>(n.v), *residues = static_cast<V*>(n.second), *activations = static_cast<V*>(n.third);
    for (int64_t i = 0; i < n.count; ++i) {
        const V sigma = wrap<V>(add(sigmas[i], a[i]), 31);
        V activation = wrap<V>(add(sigma, bias[i]), 31);
        if (g.flag && activation < 0) activation = 0;
        const V delta = wrap<V>(add(subtract(activation, activations[i]), residues[i]), 31);
        const int64_t size = delta < 0 ? -static_cast<int64_t>(delta) : delta;
        const V sent = size >= threshold[i] ? delta : 0;
        sigmas[i] = sigma, activations[i] = activation, residues[i] = subtract(delta, sent);
        sends[i] = sent >> exponent[i];
    }
}

template <typename V>
void resonate(const LockstepGroup& g, const LockstepNeurons& n, const V* a, const V* imag, V* sends) {
    const V *cosine = parameter<V>(n, 0), *sine = parameter<V>(n, 1), *threshold = parameter<V>(n, 2);
    const V *exponent = parameter<V>(n, 3), *bits = parameter<V>(n, 4);
    V *res = static_cast<V*>(n.v), *ims = static_cast<V*>(n.second);
    const bool resets = g.kind == LOCKSTEP_IZHIKEVICH;
    for (int64_t i = 0; i < n.count; ++i) {
        const int64_t re = res[i], im = ims[i], c = cosine[i], s = sine[i];
        const int32_t up = static_cast<int32_t>(exponent[i]);
        const int64_t fed = imag == nullptr ? 0 : imag[i];
        int64_t x = add(subtract(scaled_by(re, c, bits[i]), scaled_by(im, s, bits[i])), wrap<int64_t>(left<int64_t>(a[i], up), 31));
        int64_t y = add(add(scaled_by(re, s, bits[i]), scaled_by(im, c, bits[i])), wrap<int64_t>(left<int64_t>(fed, up), 31));
        x = clip(x, -STATE_LIMIT<int64_t>, STATE_LIMIT<int64_t>), y = clip(y, -STATE_LIMIT<int64_t>, STATE_LIMIT<int64_t>);
        bool spike;
        if (resets) {
            spike = y >= threshold[i];
            if (spike) x = 0, y = threshold[i] - 1;
        } else {
            spike = x >= threshold[i] && y >= 0 && im < 0;
        }
        res[i] = static_cast<V>(x), ims[i] = static_cast<V>(y), sends[i] = spike;
    }
}

template <typename V>
void graded_threshold(const LockstepGroup& g, const LockstepNeurons& n, const V* a, V* sends) {
    const V* threshold = parameter<V>(n, 0);
    for (int64_t i = 0; i < n.count; ++i) {
        const V v = wrap<V>(a[i], 31);
        const int64_t size = g.flag || v >= 0 ? v : -static_cast<int64_t>(v);
        sends[i] = size > threshold[i] ? v : 0;
    }
}

// ---- neurons of converted networks

// Adds what arrived and the share of the bias: floor((t + 1) b / P) - floor(t b / P), of b = each P + rest.
template <typename V>
void take_in(const LockstepGroup& g, const LockstepNeurons& n, int32_t step, const V* __restrict a) {
    V* __restrict v = static_cast<V*>(n.v);
    for (int64_t i = 0; i < n.count; ++i) v[i] = add(v[i], a[i]);
    if (step >= g.presentation) return;
    const V *__restrict each = parameter<V>(n, 2), *__restrict rest = parameter<V>(n, 3);
    const int64_t steps = g.presentation;
    for (int64_t i = 0; i < n.count; ++i) {
        V share = each[i];
        if (rest[i] != 0) share += (static_cast<int64_t>(step) * rest[i]) % steps + rest[i] >= steps;
        v[i] = add(v[i], share);
    }
}

template <typename V>
void maximum(const LockstepGroup& g, const LockstepNeurons& n, int32_t step, const V* a, V* sends) {
    V *v = static_cast<V*>(n.v), *sent = static_cast<V*>(n.sent);
    const int64_t membrane = n.count * g.places;
    for (int64_t i = 0; i < membrane; ++i) v[i] = add(v[i], a[i]);
    const bool silent = g.opens_at >= 0 && step != g.opens_at;
    for (int64_t pixel = 0; pixel < n.pixels; ++pixel) {
        const V* places = v + pixel * g.places * n.padded;
        for (int64_t k = 0; k < n.padded; ++k) {
            const int64_t i = pixel * n.padded + k;
            bool any = false;
            V largest = 0;
            for (int64_t place = 0; place < g.places; ++place) {
                if (!n.inside[pixel * g.places + place]) continue;
                const V here = places[place * n.padded + k];
                if (!any || here > largest) largest = here;
                any = true;
            }
            sends[i] = silent ? 0 : subtract(largest, sent[i]);
            sent[i] = add(sent[i], sends[i]);
        }
    }
}

template <typename V>
void settle(V* __restrict v, V* __restrict sent, const V* __restrict sends, const V* __restrict cost, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        v[i] = subtract(v[i], times(sends[i], cost[i]));
        sent[i] = add(sent[i], sends[i]);
    }
}

template <typename V>
inline V entry(const V* table, int64_t size, int64_t count, int64_t index, int64_t i) {
    const int64_t at = index < 0 ? 0 : index >= size ? size - 1 : index;
    return table[at * count + i];
}

template <typename V>
void converted(const LockstepGroup& g, const LockstepNeurons& n, int32_t step, const V* a, V* __restrict sends) {
    const int64_t count = n.count;
    if (g.kind == LOCKSTEP_MAXIMUM) return maximum(g, n, step, a, sends);
    take_in(g, n, step, a);
    V *__restrict v = static_cast<V*>(n.v), *__restrict sent = static_cast<V*>(n.sent);
    const V *__restrict threshold = parameter<V>(n, 0), *table = static_cast<const V*>(n.table);
    const V low = static_cast<V>(g.low), high = static_cast<V>(g.high);
    const auto nothing = [&] { for (int64_t i = 0; i < count; ++i) sends[i] = 0; };
    switch (g.kind) {
        case LOCKSTEP_SIGNED:
            for (int64_t i = 0; i < count; ++i) {
                const V up = (v[i] >= threshold[i]) & (sent[i] < high), down = (v[i] < 0) & (sent[i] > low);
                sends[i] = up - down;
            }
            return settle(v, sent, sends, threshold, count);
        case LOCKSTEP_GRADED:
            if (step != g.opens_at) return nothing();
            for (int64_t i = 0; i < count; ++i) {
                V floor = v[i] / threshold[i];
                floor -= v[i] % threshold[i] < 0;
                sends[i] = clip(floor, low, high);
            }
            return settle(v, sent, sends, threshold, count);
        case LOCKSTEP_PHASED: {
            const V* __restrict release = parameter<V>(n, 1);
            const V charge = (step == g.opens_at) - (step == g.closes_at);
            for (int64_t i = 0; i < count; ++i) {
                v[i] = add(v[i], times(release[i], charge));
                sends[i] = v[i] >= threshold[i];
            }
            return settle(v, sent, sends, threshold, count);
        }
        case LOCKSTEP_PLAIN:
            for (int64_t i = 0; i < count; ++i) sends[i] = v[i] >= threshold[i];
            return settle(v, sent, sends, threshold, count);
        case LOCKSTEP_RADIX: {
            if (step < g.opens_at || step >= g.opens_at + g.bits) return nothing();
            const int64_t worth = int64_t{1} << (g.bits - 1 - (step - g.opens_at));
            for (int64_t i = 0; i < count; ++i) sends[i] = v[i] >= threshold[i] * worth ? static_cast<V>(worth) : 0;
            return settle(v, sent, sends, threshold, count);
        }
        case LOCKSTEP_BANK:
            if (step != g.opens_at) return nothing();
            for (int64_t i = 0; i < count; ++i) {
                V fired = 0;
                for (int64_t k = 1; k <= g.high; ++k) fired += v[i] >= k * threshold[i];
                sends[i] = fired;
                sent[i] = add(sent[i], fired);
            }
            return;
        case LOCKSTEP_STAIRCASE:
            for (int64_t i = 0; i < count; ++i) {
                const int64_t climbed = sent[i] - low;
                const V up = climbed < g.table_size && v[i] >= entry(table, g.table_size, count, climbed, i);
                const V down = climbed > 0 && v[i] < entry(table, g.table_size, count, climbed - 1, i);
                sends[i] = up - down;
                sent[i] = add(sent[i], sends[i]);
            }
            return;
        case LOCKSTEP_THERMOMETER: {
            const int32_t k = step - g.opens_at;
            if (k < 0 || k >= g.bits) return nothing();
            for (int64_t i = 0; i < count; ++i) {
                sends[i] = v[i] >= table[k * count + i];
                sent[i] = add(sent[i], sends[i]);
            }
            return;
        }
        case LOCKSTEP_DIGITS: {
            const int32_t k = step - g.opens_at;
            if (k < 0 || k >= g.bits) return nothing();
            const int64_t worth = int64_t{1} << (g.bits - 1 - k);
            for (int64_t i = 0; i < count; ++i) {
                const int64_t digit = sent[i] + worth;
                const bool reached = digit <= g.table_size && v[i] >= entry(table, g.table_size, count, digit - 1, i);
                sends[i] = reached ? static_cast<V>(worth) : 0;
                sent[i] = add(sent[i], sends[i]);
            }
            return;
        }
        case LOCKSTEP_LEVELS:
            if (step != g.opens_at) return nothing();
            for (int64_t i = 0; i < count; ++i) {
                V reached = low;
                for (int64_t k = 0; k < g.table_size; ++k) reached += v[i] >= table[k * count + i];
                sends[i] = reached;
                sent[i] = add(sent[i], reached);
            }
            return;
        default: return nothing();  // an accumulator
    }
}

template <typename V>
void update(const LockstepGroup& g, const LockstepNeurons& n, int32_t step, V* arrived, V* imag, V* sends) {
    switch (g.kind) {
        case LOCKSTEP_CUBA2: cuba2(n, arrived, sends); break;
        case LOCKSTEP_CUBA1: cuba1(n, arrived, sends); break;
        case LOCKSTEP_SIGMA_DELTA: sigma_delta(g, n, arrived, sends); break;
        case LOCKSTEP_RESONATE:
        case LOCKSTEP_IZHIKEVICH: resonate(g, n, arrived, imag, sends); break;
        case LOCKSTEP_GRADED_THRESHOLD: graded_threshold(g, n, arrived, sends); break;
        default: converted(g, n, step, arrived, sends);
    }
    const int64_t membrane = n.count * g.places;
    for (int64_t i = 0; i < membrane; ++i) arrived[i] = 0;
    if (imag != nullptr)
        for (int64_t i = 0; i < membrane; ++i) imag[i] = 0;
}

}  // namespace

void lockstep_update32(const LockstepGroup& group, const LockstepNeurons& neurons, int32_t step, int32_t* arrived, int32_t* imag,
                       int32_t* sends) {
    update(group, neurons, step, arrived, imag, sends);
}
void lockstep_update64(const LockstepGroup& group, const LockstepNeurons& neurons, int32_t step, int64_t* arrived, int64_t* imag,
                       int64_t* sends) {
    update(group, neurons, step, arrived, imag, sends);
}

}  // namespace SP_NAMESPACE
}  // namespace sp
