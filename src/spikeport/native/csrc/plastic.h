// Projections that learn: weights and traces of each sample, cut into parts of neighbouring targets as the session's neurons are.
//
// A part has the synapses that end in it, by source, and for each of its targets the list of them. It keeps the traces of all sources for
// itself, so that no part waits for another; what it computes does not depend on how many parts there are.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/dynamics.h"
#include "kernels/plastic.h"
#include "memory.h"

// What Python hands over; native/plastic.py has the same structure. Traces are those of sources, of targets, and of synapses, in this order.
struct SpPlastic {
    int32_t source, target, dendritic, number;
    int64_t delay, pre, post;
    const int64_t* offsets;
    const uint32_t* targets;
    const void* weights;
    int64_t traces[3];
    const void *decay, *increment, *limit;
    const int32_t* sets;
    int64_t terms;
    const int32_t* term;  // (terms, 4): on, into, every, factors
    const void* coefficients;
    const int32_t* factor;  // (terms, MOST_FACTORS, 2): of, index
    const void* constants;  // (terms, MOST_FACTORS)
    const void* bounds;     // of the weight
    int64_t thirds;
    uint64_t seed;
    int32_t shift, rounding;
};

// State of one of them and one sample; row k of `passing` arrives in the k-th step from now, and begins `stride` numbers after the one before.
struct SpPlasticState {
    void* weights;
    void* const* traces;  // of sources, of targets, of synapses
    void* passing;        // null where delays are axonal
    int64_t stride;
};

struct SpThird {
    const void* values;
    int64_t step_stride, sample_stride, target_stride;
};

namespace sp {

inline void learn_post(const Learner<double>& l, int64_t t, uint32_t i, const uint32_t* x, const uint32_t* s, int64_t n, double v) { SP_DISPATCH(learn_post_f64, l, t, i, x, s, n, v); }
inline void learn_post(const Learner<float>& l, int64_t t, uint32_t i, const uint32_t* x, const uint32_t* s, int64_t n, float v) { SP_DISPATCH(learn_post_f32, l, t, i, x, s, n, v); }
inline void learn_post(const Learner<int64_t>& l, int64_t t, uint32_t i, const uint32_t* x, const uint32_t* s, int64_t n, int64_t v) { SP_DISPATCH(learn_post_i64, l, t, i, x, s, n, v); }
inline void learn_pre(const Learner<double>& l, int64_t t, uint32_t i, int64_t b, int64_t e, double v) { SP_DISPATCH(learn_pre_f64, l, t, i, b, e, v); }
inline void learn_pre(const Learner<float>& l, int64_t t, uint32_t i, int64_t b, int64_t e, float v) { SP_DISPATCH(learn_pre_f32, l, t, i, b, e, v); }
inline void learn_pre(const Learner<int64_t>& l, int64_t t, uint32_t i, int64_t b, int64_t e, int64_t v) { SP_DISPATCH(learn_pre_i64, l, t, i, b, e, v); }
inline void learn_step(const Learner<double>& l, int64_t t, int64_t n) { SP_DISPATCH(learn_step_f64, l, t, n); }
inline void learn_step(const Learner<float>& l, int64_t t, int64_t n) { SP_DISPATCH(learn_step_f32, l, t, n); }
inline void learn_step(const Learner<int64_t>& l, int64_t t, int64_t n) { SP_DISPATCH(learn_step_i64, l, t, n); }
inline void decay(double* x, double d, int64_t n) { SP_DISPATCH(decay_f64, x, d, n); }
inline void decay(float* x, float d, int64_t n) { SP_DISPATCH(decay_f32, x, d, n); }
inline void decay(int64_t* x, int64_t d, int64_t n) { SP_DISPATCH(decay_i64, x, d, n); }
inline void bring(const Synapses& s, const uint32_t* i, const double* v, int64_t n, double* slot) { SP_DISPATCH(scatter_f64, s, i, v, n, slot); }
inline void bring(const Synapses& s, const uint32_t* i, const float* v, int64_t n, float* slot) { SP_DISPATCH(scatter_f32, s, i, v, n, slot); }
inline void bring(const Synapses& s, const uint32_t* i, const int64_t* v, int64_t n, int64_t* slot) { SP_DISPATCH(scatter_i64, s, i, v, n, slot); }

// What a place sent in one step, neurons rising.
template <typename T>
struct Events {
    std::vector<uint32_t> neurons;
    std::vector<T> values;

    void clear() { neurons.clear(), values.clear(); }

    // First entry of a neuron from `neuron` on.
    int64_t from(int64_t neuron) const {
        int64_t low = 0, high = static_cast<int64_t>(neurons.size());
        while (low < high) {
            const int64_t middle = (low + high) / 2;
            if (static_cast<int64_t>(neurons[middle]) < neuron) low = middle + 1;
            else high = middle;
        }
        return low;
    }
};

template <typename T>
class Plastic {
public:
    int32_t source, target;
    bool dendritic;
    int64_t delay;

    Plastic(const SpPlastic& given, int32_t batch, const std::vector<int64_t>& bounds)
        : source(given.source), target(given.target), dendritic(given.dendritic != 0), delay(given.delay), pre_(given.pre),
          post_(given.post), thirds_(given.thirds), shift_(given.shift), rounding_(given.rounding),
          number_(static_cast<uint32_t>(given.number)), seed_(given.seed), bounds_(bounds) {
        const T *decays = static_cast<const T*>(given.decay), *increments = static_cast<const T*>(given.increment);
        const T* limits = static_cast<const T*>(given.limit);
        int64_t found = 0;
        for (int side = 0; side < 3; ++side) {
            for (int64_t k = 0; k < given.traces[side]; ++k, ++found) {
                traces_[side].push_back({decays[found], increments[found], limits[found], given.sets[found] != 0});
            }
        }
        const T *ends = static_cast<const T*>(given.bounds), *coefficients = static_cast<const T*>(given.coefficients);
        low_ = ends[0], high_ = ends[1];
        for (int64_t k = 0; k < given.terms; ++k) {
            const int32_t* term = given.term + 4 * k;
            PlasticTerm<T> made{term[0], term[1], term[2], term[3], coefficients[k], {}};
            for (int32_t f = 0; f < made.factors; ++f) {
                const int64_t at = k * MOST_FACTORS + f;
                made.factor[f] = {given.factor[2 * at], given.factor[2 * at + 1], static_cast<const T*>(given.constants)[at]};
            }
            terms_.push_back(made);
            on_[made.on] = true;
        }
        initial_.assign(static_cast<const T*>(given.weights), static_cast<const T*>(given.weights) + given.offsets[given.pre]);
        for (size_t part = 0; part + 1 < bounds.size(); ++part) parts_.push_back(cut(given, bounds[part], bounds[part + 1]));
        samples_.resize(static_cast<size_t>(batch));
        for (auto& sample : samples_) {
            sample.post.assign(traces_[1].size(), std::vector<T>(static_cast<size_t>(post_)));
            sample.brought.resize(static_cast<size_t>(post_ * (dendritic ? delay + 1 : 1)));
            sample.parts.resize(parts_.size());
            for (size_t part = 0; part < parts_.size(); ++part) {
                sample.parts[part].pre.assign(traces_[0].size(), std::vector<T>(static_cast<size_t>(pre_)));
                sample.parts[part].values.assign(1 + traces_[2].size(), Values(parts_[part].targets.size()));
            }
        }
        reset();
    }

    void reset() {
        for (auto& sample : samples_) {
            for (auto& trace : sample.post) trace.assign(trace.size(), T(0));
            sample.brought.assign(sample.brought.size(), T(0));
            for (size_t part = 0; part < parts_.size(); ++part) {
                State& state = sample.parts[part];
                for (auto& trace : state.pre) trace.assign(trace.size(), T(0));
                for (size_t k = 0; k < parts_[part].ids.size(); ++k) state.values[0][k] = initial_[parts_[part].ids[k]];
                for (size_t k = 1; k < state.values.size(); ++k) state.values[k].assign(state.values[k].size(), T(0));
            }
        }
    }

    // Adds what arrives in step `now` at one part: of axonal delays `sent`, by the weights as they are; else what is on its way.
    void arrive(int64_t part, int64_t sample, int64_t now, const Events<T>* sent, T* slot) {
        const int64_t begin = bounds_[part], end = bounds_[part + 1];
        if (dendritic) {
            const T* waiting = samples_[sample].brought.data() + now % (delay + 1) * post_;
            for (int64_t j = begin; j < end; ++j) slot[j] = slot[j] + waiting[j];
        } else if (sent != nullptr && !sent->neurons.empty()) {
            T* brought = samples_[sample].brought.data();
            spread(part, sample, *sent, brought);
            for (int64_t j = begin; j < end; ++j) slot[j] = slot[j] + brought[j];
        }
    }

    // One step of one part. `pre` and `post` are the events that the rule's delays make visible now, null before there are any.
    void learn(int64_t part, int64_t sample, int64_t now, const Events<T>* pre, const Events<T>* post, const SpThird* thirds,
               int64_t at) {
        const Part& synapses = parts_[part];
        State& state = samples_[sample].parts[part];
        std::vector<std::vector<T>>& posts = samples_[sample].post;
        const int64_t begin = bounds_[part], end = bounds_[part + 1], count = static_cast<int64_t>(synapses.targets.size());
        for (size_t k = 0; k < state.pre.size(); ++k) decay(state.pre[k].data(), traces_[0][k].decay, pre_);
        for (size_t k = 0; k < posts.size(); ++k) decay(posts[k].data() + begin, traces_[1][k].decay, end - begin);
        for (size_t k = 0; k < traces_[2].size(); ++k) decay(state.values[1 + k].data(), traces_[2][k].decay, count);
        Learner<T> l = learner(synapses, state, posts, thirds, at, sample);
        const int64_t first = post == nullptr ? 0 : post->from(begin), last = post == nullptr ? 0 : post->from(end);
        if (on_[ON_POST]) {
            for (int64_t k = first; k < last; ++k) {
                const int64_t i = post->neurons[k], from = synapses.begins[i - begin];
                learn_post(l, now, static_cast<uint32_t>(i), synapses.index.data() + from, synapses.their_sources.data() + from,
                           synapses.begins[i - begin + 1] - from, post->values[k]);
            }
        }
        const int64_t arrived = pre == nullptr ? 0 : static_cast<int64_t>(pre->neurons.size());
        if (on_[ON_PRE]) {
            for (int64_t k = 0; k < arrived; ++k) {
                const uint32_t j = pre->neurons[k];
                learn_pre(l, now, j, synapses.offsets[j], synapses.offsets[j + 1], pre->values[k]);
            }
        }
        bool due = false;
        for (const PlasticTerm<T>& term : terms_) due = due || (term.on == ON_STEP && (now + 1) % term.every == 0);
        if (due) learn_step(l, now, count);
        for (size_t k = 0; k < state.pre.size(); ++k) {
            for (int64_t e = 0; e < arrived; ++e) raise(traces_[0][k], state.pre[k][pre->neurons[e]], pre->values[e]);
        }
        for (size_t k = 0; k < posts.size(); ++k) {
            for (int64_t e = first; e < last; ++e) raise(traces_[1][k], posts[k][post->neurons[e]], post->values[e]);
        }
        if (dendritic) {
            T* room = samples_[sample].brought.data() + (now + delay) % (delay + 1) * post_;
            if (pre != nullptr) spread(part, sample, *pre, room);
            else for (int64_t j = begin; j < end; ++j) room[j] = T(0);
        }
    }

    // Weights in the order of the rows that were given.
    void weights(int64_t sample, T* room) const { gather(sample, 0, room); }

    // All that it knows before step `now`.
    void read(int64_t sample, int64_t now, const SpPlasticState& room) const {
        const Sample& held = samples_[sample];
        gather(sample, 0, static_cast<T*>(room.weights));
        size_t found = 0;
        for (const auto& trace : held.parts[0].pre) copy(trace.data(), pre_, static_cast<T*>(room.traces[found++]));
        for (const auto& trace : held.post) copy(trace.data(), post_, static_cast<T*>(room.traces[found++]));
        for (size_t k = 1; k <= traces_[2].size(); ++k) gather(sample, k, static_cast<T*>(room.traces[found++]));
        for (int64_t k = 0; dendritic && k < delay; ++k) {
            copy(held.brought.data() + (now + k) % (delay + 1) * post_, post_, static_cast<T*>(room.passing) + k * room.stride);
        }
    }

    void write(int64_t sample, int64_t now, const SpPlasticState& given) {
        Sample& held = samples_[sample];
        spread_out(sample, 0, static_cast<const T*>(given.weights));
        size_t found = 0;
        for (size_t k = 0; k < traces_[0].size(); ++k, ++found) {
            for (State& part : held.parts) copy(static_cast<const T*>(given.traces[found]), pre_, part.pre[k].data());
        }
        for (auto& trace : held.post) copy(static_cast<const T*>(given.traces[found++]), post_, trace.data());
        for (size_t k = 1; k <= traces_[2].size(); ++k) spread_out(sample, k, static_cast<const T*>(given.traces[found++]));
        held.brought.assign(held.brought.size(), T(0));
        for (int64_t k = 0; dendritic && k < delay; ++k) {
            copy(static_cast<const T*>(given.passing) + k * given.stride, post_, held.brought.data() + (now + k) % (delay + 1) * post_);
        }
    }

    int64_t thirds() const { return thirds_; }

private:
    using Values = std::vector<T, Paged<T>>;

    struct Trace {
        T decay, increment, limit;
        bool sets;
    };

    struct Part {
        std::vector<int64_t> offsets, begins;             // by source; by target of the part
        std::vector<uint32_t> targets, sources, ids;      // of each synapse
        std::vector<uint32_t> index, their_sources;       // synapses by target
    };

    struct State {
        std::vector<std::vector<T>> pre;
        std::vector<Values> values;  // weights, then traces of the synapse
    };

    struct Sample {
        std::vector<std::vector<T>> post;
        std::vector<T> brought;
        std::vector<State> parts;
    };

    static Part cut(const SpPlastic& given, int64_t begin, int64_t end) {
        Part part;
        part.offsets.push_back(0);
        part.begins.assign(static_cast<size_t>(end - begin + 1), 0);
        for (int64_t j = 0; j < given.pre; ++j) {
            for (int64_t k = given.offsets[j]; k < given.offsets[j + 1]; ++k) {
                if (given.targets[k] < begin || given.targets[k] >= end) continue;
                part.targets.push_back(given.targets[k]), part.sources.push_back(static_cast<uint32_t>(j));
                part.ids.push_back(static_cast<uint32_t>(k));
                ++part.begins[given.targets[k] - begin + 1];
            }
            part.offsets.push_back(static_cast<int64_t>(part.targets.size()));
        }
        for (size_t k = 1; k < part.begins.size(); ++k) part.begins[k] += part.begins[k - 1];
        std::vector<int64_t> next(part.begins.begin(), part.begins.end() - 1);
        part.index.resize(part.targets.size()), part.their_sources.resize(part.targets.size());
        for (size_t k = 0; k < part.targets.size(); ++k) {
            const int64_t place = next[part.targets[k] - begin]++;
            part.index[place] = static_cast<uint32_t>(k), part.their_sources[place] = part.sources[k];
        }
        return part;
    }

    Learner<T> learner(const Part& synapses, State& state, const std::vector<std::vector<T>>& posts, const SpThird* thirds, int64_t at,
                       int64_t sample) const {
        Learner<T> l{};
        l.terms = terms_.data(), l.n_terms = static_cast<int64_t>(terms_.size());
        for (size_t k = 0; k < state.values.size(); ++k) {
            l.values[k] = state.values[k].data();
            l.low[k] = k == 0 ? low_ : -traces_[2][k - 1].limit, l.high[k] = k == 0 ? high_ : traces_[2][k - 1].limit;
        }
        for (size_t k = 0; k < state.pre.size(); ++k) l.pre[k] = state.pre[k].data();
        for (size_t k = 0; k < posts.size(); ++k) l.post[k] = posts[k].data();
        for (int64_t k = 0; k < thirds_; ++k) {
            l.third[k] = static_cast<const T*>(thirds[k].values) + at * thirds[k].step_stride + sample * thirds[k].sample_stride;
            l.third_stride[k] = thirds[k].target_stride;
        }
        l.sources = synapses.sources.data(), l.targets = synapses.targets.data(), l.ids = synapses.ids.data();
        l.shift = shift_, l.rounding = rounding_, l.number = number_;
        l.key[0] = static_cast<uint32_t>(seed_), l.key[1] = static_cast<uint32_t>(seed_ >> 32);
        return l;
    }

    static void copy(const T* from, int64_t count, T* to) {
        for (int64_t k = 0; k < count; ++k) to[k] = from[k];
    }

    // Weights (0) or a trace of synapses in the order of the rows that were given.
    void gather(int64_t sample, size_t which, T* room) const {
        for (size_t part = 0; part < parts_.size(); ++part) {
            const Values& values = samples_[sample].parts[part].values[which];
            for (size_t k = 0; k < values.size(); ++k) room[parts_[part].ids[k]] = values[k];
        }
    }

    void spread_out(int64_t sample, size_t which, const T* given) {
        for (size_t part = 0; part < parts_.size(); ++part) {
            Values& values = samples_[sample].parts[part].values[which];
            for (size_t k = 0; k < values.size(); ++k) values[k] = given[parts_[part].ids[k]];
        }
    }

    // What events bring to one part, from nothing.
    void spread(int64_t part, int64_t sample, const Events<T>& events, T* room) {
        for (int64_t j = bounds_[part]; j < bounds_[part + 1]; ++j) room[j] = T(0);
        constexpr int32_t type = std::numeric_limits<T>::is_integer ? WEIGHT_I64 : sizeof(T) == 4 ? WEIGHT_F32 : WEIGHT_F64;
        const Part& p = parts_[part];
        const Synapses synapses{p.offsets.data(), p.targets.data(), samples_[sample].parts[part].values[0].data(), 1, type, EACH};
        bring(synapses, events.neurons.data(), events.values.data(), static_cast<int64_t>(events.neurons.size()), room);
    }

    static void raise(const Trace& trace, T& x, T value) {
        const T raised = trace.sets ? trace.increment : x + value * trace.increment;
        x = raised < -trace.limit ? -trace.limit : raised > trace.limit ? trace.limit : raised;
    }

    int64_t pre_, post_, thirds_;
    int32_t shift_, rounding_;
    uint32_t number_;
    uint64_t seed_;
    std::vector<int64_t> bounds_;
    std::vector<Trace> traces_[3];
    std::vector<PlasticTerm<T>> terms_;
    bool on_[3] = {false, false, false};
    T low_, high_;
    std::vector<T> initial_;
    std::vector<Part> parts_;
    std::vector<Sample> samples_;
};

}  // namespace sp
