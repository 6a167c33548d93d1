// Sessions of networks with dynamics: state, synapses by source, and the order of a step.
//
// Who computes what: with as many samples as threads each sample is one piece of work; with fewer, each population is cut into parts
// of neighbouring neurons, and a piece is a part: it adds what arrives at its own neurons and steps them. A neuron's sum is therefore
// always made by one thread, in the order of DynamicsContract, and no result depends on the number of threads.
//
// Spikes wait in the list of their source and are delivered when a target is about to step: those of the step before from
// populations that come later, then input, then those of this step from populations that came earlier. That is the order of sending.
// Populations that no delay of zero joins are one stage and step together, so that a loop costs one hand-over of work a step.
#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include "abi.h"
#include "kernels/dynamics.h"
#include "parallel.h"
#include "plastic.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace {

using sp::NeuronFlags;
using sp::EACH;
using sp::ONE_A_SOURCE;

enum Arithmetic : int32_t { FLOAT64 = 0, FLOAT32 = 1, INTEGER = 2 };
constexpr int64_t ALONE = 1024;  // neurons below which parts cost more than they save

}  // namespace

// What Python hands over; native/dynamics.py has the same structures.
struct SpPopulation {
    int64_t size, slots;
    NeuronFlags flags;
    const void *bias, *gain, *rate, *decay, *v_leak, *threshold, *v_reset, *current_rate, *current_decay, *w_in, *refractory,
        *initial, *v_min;
    const void* second[9];  // of sp::Second, null where there is none
    int64_t n_constants;
    const int64_t* constant_steps;
    const void* constants;  // (n_constants, size)
};

struct SpInput {
    const int64_t* offsets;  // (batch, steps + 1)
    const uint32_t* neurons;
    const void* values;
    int64_t stride;
};

struct SpCurrent {
    const void* values;  // null: none
    int64_t step_stride, sample_stride;
};

// State of one population and one sample; row k of `arriving` arrives in the k-th step from now, and begins `stride` numbers after the one before.
struct SpNeuronState {
    void *v, *second, *arriving;
    int64_t *refractory, *fired;
    int64_t stride;
};

namespace {

class Session {
public:
    virtual ~Session() = default;
    virtual void population(const SpPopulation& given) = 0;
    virtual void replace(int32_t index, const SpPopulation& given) = 0;
    virtual void projection(int32_t source, int32_t target, int64_t delay, int64_t pre, const int64_t* offsets,
                            const uint32_t* targets, const void* weights, int32_t mode) = 0;
    virtual void plastic(const SpPlastic& given) = 0;
    virtual void finish() = 0;
    virtual int64_t now() const = 0;
    virtual void reset() = 0;
    virtual void run(int32_t threads, int64_t at, int64_t n_steps, const SpInput* inputs, const SpCurrent* fed, void* const* potentials,
                     void* const* seconds, const int32_t* record, const SpThird* thirds) = 0;
    virtual void weights(int32_t index, int32_t sample, void* room) const = 0;
    virtual void go_to(int64_t step) = 0;
    virtual void read_neurons(int32_t population, int32_t sample, const SpNeuronState& room) const = 0;
    virtual void write_neurons(int32_t population, int32_t sample, const SpNeuronState& given) = 0;
    virtual void read_plastic(int32_t index, int32_t sample, const SpPlasticState& room) const = 0;
    virtual void write_plastic(int32_t index, int32_t sample, const SpPlasticState& given) = 0;
    virtual void read_sent(int32_t place, int32_t sample, int64_t size, void* room, int64_t rows, int64_t stride) const = 0;
    virtual void write_sent(int32_t place, int32_t sample, int64_t size, const void* given, int64_t rows, int64_t stride) = 0;

    struct Log {
        std::vector<uint32_t> steps, neurons;
        std::vector<int64_t> values;  // of populations that may send several spikes
        std::vector<double> numbers;  // of those that send numbers; integers of 48 bits are exact
    };
    std::vector<std::vector<Log>> logs;               // [population][sample]
    std::vector<std::vector<std::vector<int64_t>>> counts;  // [population][sample][neuron]
};

template <typename T> int64_t update(const sp::Neurons<T>& n, T* a, const T* c, const T* f, T* p, uint32_t* s, T* w, int64_t b, int64_t e);
template <> int64_t update(const sp::Neurons<double>& n, double* a, const double* c, const double* f, double* p, uint32_t* s, double* w, int64_t b, int64_t e) {
    return SP_DISPATCH(update_f64, n, a, c, f, p, s, w, b, e);
}
template <> int64_t update(const sp::Neurons<float>& n, float* a, const float* c, const float* f, float* p, uint32_t* s, float* w, int64_t b, int64_t e) {
    return SP_DISPATCH(update_f32, n, a, c, f, p, s, w, b, e);
}
template <> int64_t update(const sp::Neurons<int64_t>& n, int64_t* a, const int64_t* c, const int64_t* f, int64_t* p, uint32_t* s, int64_t* w, int64_t b, int64_t e) {
    return SP_DISPATCH(update_i64, n, a, c, f, p, s, w, b, e);
}
void scatter(const sp::Synapses& s, const uint32_t* sources, const double* values, int64_t n, double* slot) {
    SP_DISPATCH(scatter_f64, s, sources, values, n, slot);
}
void scatter(const sp::Synapses& s, const uint32_t* sources, const float* values, int64_t n, float* slot) {
    SP_DISPATCH(scatter_f32, s, sources, values, n, slot);
}
void scatter(const sp::Synapses& s, const uint32_t* sources, const int64_t* values, int64_t n, int64_t* slot) {
    SP_DISPATCH(scatter_i64, s, sources, values, n, slot);
}

using Bytes = std::vector<uint8_t>;

// Memory for synapses, in large pages where there is much of it: a spike reads a row somewhere in it, and with small pages most of
// the time goes into finding the page.
class Memory {
public:
    Memory() = default;
    Memory(Memory&& other) noexcept : data_(other.data_), large_(other.large_) { other.data_ = nullptr; }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    ~Memory() {
        if (data_ != nullptr) ::operator delete(data_, std::align_val_t(large_ ? PAGE : LINE));
    }

    void resize(size_t size) {
        large_ = size >= PAGE;
        data_ = static_cast<uint8_t*>(::operator new(size + LINE, std::align_val_t(large_ ? PAGE : LINE)));
#if defined(__linux__)
        if (large_) madvise(data_, size, MADV_HUGEPAGE);  // where the system refuses, it is slower
#endif
    }

    uint8_t* data() { return data_; }
    const uint8_t* data() const { return data_; }

private:
    static constexpr size_t PAGE = size_t{2} << 20, LINE = 64;
    uint8_t* data_ = nullptr;
    bool large_ = false;
};

template <typename To, typename Room, typename From>
void put(Room& bytes, int64_t index, From value) {
    reinterpret_cast<To*>(bytes.data())[index] = static_cast<To>(value);
}

// Synapses of one projection that end in one part, by source.
struct Part {
    std::vector<int64_t> offsets;
    Memory targets, weights;
};

struct Projection {
    int32_t source, target, mode, weight_type;
    int64_t delay, weight_size;
    bool wide_targets;
    Bytes shared_weights;  // one a source, or one
    std::vector<Part> parts;
};

template <typename T>
class Typed final : public Session {
public:
    Typed(int32_t inputs, int32_t batch, int32_t threads, int64_t neurons)
        : inputs_(inputs), batch_(batch), parts_(threads < 2 || batch >= threads || neurons < ALONE ? 1 : threads) {}

    void population(const SpPopulation& given) override { populations_.push_back(made(given)); }

    // Other neurons in the place of as many; parts, and with them synapses, stay as they are.
    void replace(int32_t index, const SpPopulation& given) override { populations_[index] = made(given); }

    void projection(int32_t source, int32_t target, int64_t delay, int64_t pre, const int64_t* offsets,
                    const uint32_t* targets, const void* given, int32_t mode) override {
        const T* weights = static_cast<const T*>(given);
        Population& to = *populations_[target - inputs_];
        Projection p;
        p.source = source, p.target = target, p.delay = delay, p.mode = mode;
        p.wide_targets = to.size > 65536;
        const int64_t n_weights = mode == EACH ? offsets[pre] : mode == ONE_A_SOURCE ? pre : 1;
        p.weight_type = narrowest(weights, n_weights);
        p.weight_size = p.weight_type == sp::WEIGHT_I8 ? 1 : p.weight_type == sp::WEIGHT_F32 || p.weight_type == sp::WEIGHT_I32 ? 4 : 8;
        if (mode != EACH) {
            p.shared_weights.resize(static_cast<size_t>(n_weights * p.weight_size));
            for (int64_t k = 0; k < n_weights; ++k) store(p, p.shared_weights, k, weights[k]);
        }
        p.parts.resize(static_cast<size_t>(parts_));
        for (int32_t k = 0; k < parts_; ++k) fill(p, p.parts[k], pre, offsets, targets, weights, to.bounds[k], to.bounds[k + 1]);
        projections_.push_back(std::move(p));
    }

    // In the order in which they bring what arrives.
    void plastic(const SpPlastic& given) override {
        plastics_.push_back(std::make_unique<sp::Plastic<T>>(given, batch_, populations_[given.target - inputs_]->bounds));
    }

    void weights(int32_t index, int32_t sample, void* room) const override { plastics_[index]->weights(sample, static_cast<T*>(room)); }

    void finish() override {
        const int32_t n = static_cast<int32_t>(populations_.size());
        int32_t stage = 0, first = 0;
        for (int32_t k = 0; k < n; ++k) {
            for (const Projection& p : projections_) {
                if (p.delay == 0 && p.target - inputs_ == k && p.source - inputs_ >= first) {
                    ++stage, first = k;
                    break;
                }
            }
            for (const auto& p : plastics_) {
                if (p->delay == 0 && p->target - inputs_ == k && p->source - inputs_ >= first) ++stage, first = k;
            }
            populations_[k]->stage = stage;
        }
        stages_ = n ? stage + 1 : 0;
        for (int32_t k = 0; k < n; ++k) {
            Population& to = *populations_[k];
            to.incoming.clear();
            // by time of sending: populations that step at the same time or later sent a step ago
            for (int late = 1; late >= 0; --late) {
                for (const Projection& p : projections_) {
                    if (p.target - inputs_ != k) continue;
                    const bool waited = p.source >= inputs_ && populations_[p.source - inputs_]->stage >= to.stage;
                    if (waited == (late == 1)) to.incoming.push_back({&p, late});
                }
            }
        }
        for (const auto& p : plastics_) {
            depth_ = std::max(depth_, p->delay + 1);
            for (const int32_t end : {p->source, p->target}) sent_[end].resize(static_cast<size_t>(batch_));
        }
        samples_.assign(static_cast<size_t>(batch_), std::vector<State>());
        logs.assign(n, std::vector<Log>(batch_));
        counts.resize(n);
        for (int32_t k = 0; k < n; ++k) counts[k].assign(batch_, std::vector<int64_t>(populations_[k]->size));
        for (auto& sample : samples_) {
            for (auto& population : populations_) {
                const size_t size = static_cast<size_t>(population->size);
                State s;
                s.v.resize(size), s.current.resize(size), s.deaf.resize(size), s.fired.resize(size);
                s.ring.resize(size * population->slots);
                for (auto& spikes : s.spikes) spikes.resize(size);
                if (valued(*population)) for (auto& values : s.values) values.resize(size);
                if (population->neurons.flags.multi) s.times.resize(size);
                for (auto& found : s.found) found.resize(static_cast<size_t>(parts_));
                sample.push_back(std::move(s));
            }
        }
        reset();
    }

    int64_t now() const override { return now_; }

    void reset() override {
        go_to(0);
        for (auto& sample : samples_) {
            for (size_t k = 0; k < sample.size(); ++k) {
                State& s = sample[k];
                s.v = populations_[k]->numbers[11];
                s.current.assign(s.current.size(), T(0));
                if (populations_[k]->neurons.flags.second) s.current = populations_[k]->second[0];
                s.deaf.assign(s.deaf.size(), T(0));
                s.ring.assign(s.ring.size(), T(0)), s.fired.assign(s.fired.size(), 0);
                s.times.assign(s.times.size(), T(0));
            }
        }
        for (auto& p : plastics_) p->reset();
    }

    // The next step has this index; nothing waits, was sent or was counted before it. What neurons and synapses hold is written after this.
    void go_to(int64_t step) override {
        now_ = step;
        for (auto& sample : samples_) for (State& s : sample) for (auto& found : s.found) found.assign(found.size(), 0);
        for (auto& place : sent_) for (auto& sample : place.second) sample.assign(static_cast<size_t>(depth_), sp::Events<T>());
        for (auto& population : counts) for (auto& sample : population) sample.assign(sample.size(), 0);
        for (auto& population : logs) for (auto& sample : population) sample = Log();
    }

    // As it is for whoever knows of no lists: spikes that wait in them are brought where they will arrive, in the order of a step.
    void read_neurons(int32_t population, int32_t sample, const SpNeuronState& room) const override {
        const Population& p = *populations_[population];
        const std::vector<State>& states = samples_[sample];
        const State& s = states[population];
        std::copy(s.v.begin(), s.v.end(), static_cast<T*>(room.v));
        std::copy(s.current.begin(), s.current.end(), static_cast<T*>(room.second));
        for (int64_t j = 0; j < p.size; ++j) room.refractory[j] = static_cast<int64_t>(s.deaf[j]);
        const bool multi = p.neurons.flags.multi != 0;
        for (int64_t j = 0; j < p.size; ++j) room.fired[j] = multi ? static_cast<int64_t>(s.times[j]) : s.fired[j];
        T* arriving = static_cast<T*>(room.arriving);
        for (int64_t k = 0; k + 1 < p.slots; ++k) {
            const T* slot = s.ring.data() + (now_ + k) % p.slots * p.size;
            std::copy(slot, slot + p.size, arriving + k * room.stride);
        }
        for (const Incoming& in : p.incoming) {
            if (in.late == 0 || now_ == 0) continue;  // inputs are never late
            T* slot = arriving + (in.projection->delay - 1) * room.stride;
            for (int32_t part = 0; part < parts_; ++part) deliver(*in.projection, part, states, now_ - 1, slot);
        }
    }

    void write_neurons(int32_t population, int32_t sample, const SpNeuronState& given) override {
        const Population& p = *populations_[population];
        State& s = samples_[sample][population];
        const T *v = static_cast<const T*>(given.v), *second = static_cast<const T*>(given.second);
        const T* arriving = static_cast<const T*>(given.arriving);
        s.v.assign(v, v + p.size), s.current.assign(second, second + p.size);
        for (int64_t j = 0; j < p.size; ++j) {
            s.deaf[j] = static_cast<T>(given.refractory[j]);
            s.fired[j] = given.fired[j] != 0;
        }
        for (size_t j = 0; j < s.times.size(); ++j) s.times[j] = static_cast<T>(given.fired[j]);
        s.ring.assign(s.ring.size(), T(0));
        for (int64_t k = 0; k + 1 < p.slots; ++k) {
            std::copy(arriving + k * given.stride, arriving + k * given.stride + p.size, s.ring.data() + (now_ + k) % p.slots * p.size);
        }
    }

    void read_plastic(int32_t index, int32_t sample, const SpPlasticState& room) const override { plastics_[index]->read(sample, now_, room); }

    void write_plastic(int32_t index, int32_t sample, const SpPlasticState& given) override { plastics_[index]->write(sample, now_, given); }

    // What a place sent k + 1 steps ago in row k, `stride` numbers after the one before.
    void read_sent(int32_t place, int32_t sample, int64_t size, void* room, int64_t rows, int64_t stride) const override {
        for (int64_t k = 0; k < rows; ++k) {
            T* row = static_cast<T*>(room) + k * stride;
            std::fill(row, row + size, T(0));
            const sp::Events<T>* sent = seen(place, sample, now_ - 1 - k);
            for (size_t e = 0; sent != nullptr && e < sent->neurons.size(); ++e) row[sent->neurons[e]] = sent->values[e];
        }
    }

    void write_sent(int32_t place, int32_t sample, int64_t size, const void* given, int64_t rows, int64_t stride) override {
        for (int64_t k = 0; k < rows && k < now_; ++k) {
            const T* row = static_cast<const T*>(given) + k * stride;
            sp::Events<T>& kept = sent_.at(place)[sample][(now_ - 1 - k) % depth_];
            kept.clear();
            for (int64_t j = 0; j < size; ++j) if (row[j] != T(0)) kept.neurons.push_back(static_cast<uint32_t>(j)), kept.values.push_back(row[j]);
        }
    }

    void run(int32_t threads, int64_t at, int64_t n_steps, const SpInput* inputs, const SpCurrent* fed, void* const* potentials,
             void* const* seconds, const int32_t* record, const SpThird* thirds) override {
        if (parts_ == 1) {
            std::vector<uint8_t> failed(static_cast<size_t>(batch_));
            sp::parallel_for(batch_, threads, [&](int64_t sample, int32_t) {
                try {
                    for (int64_t t = 0; t < n_steps; ++t) {
                        remember_inputs(sample, at + t, now_ + t, inputs);
                        for (int32_t stage = 0; stage < stages_; ++stage) {
                            step(stage, 0, sample, at + t, now_ + t, t, inputs, fed, potentials, seconds);
                            log(stage, sample, now_ + t, record);
                            remember(stage, sample, now_ + t);
                        }
                        learn(0, sample, at + t, now_ + t, thirds);
                    }
                } catch (...) {
                    failed[sample] = 1;
                }
            });
            for (uint8_t bad : failed) if (bad) throw std::bad_alloc();
        } else {
            for (int64_t t = 0; t < n_steps; ++t) {
                for (int64_t sample = 0; sample < batch_; ++sample) remember_inputs(sample, at + t, now_ + t, inputs);
                for (int32_t stage = 0; stage < stages_; ++stage) {
                    sp::parallel_for(parts_, threads, [&](int64_t part, int32_t) {
                        for (int64_t sample = 0; sample < batch_; ++sample) {
                            step(stage, part, sample, at + t, now_ + t, t, inputs, fed, potentials, seconds);
                        }
                    });
                    for (int64_t sample = 0; sample < batch_; ++sample) {
                        log(stage, sample, now_ + t, record);
                        remember(stage, sample, now_ + t);
                    }
                }
                if (plastics_.empty()) continue;
                sp::parallel_for(parts_, threads, [&](int64_t part, int32_t) {
                    for (int64_t sample = 0; sample < batch_; ++sample) learn(part, sample, at + t, now_ + t, thirds);
                });
            }
        }
        now_ += n_steps;
    }

private:
    struct Incoming {
        const Projection* projection;
        int32_t late;
    };

    struct Population {
        int64_t size = 0, slots = 1;
        int32_t stage = 0;
        sp::Neurons<T> neurons{};
        std::vector<T> numbers[13], second[9];
        std::vector<std::pair<int64_t, std::vector<T>>> constants;
        std::vector<int64_t> bounds;
        std::vector<Incoming> incoming;
    };

    struct State {
        std::vector<T> v, current, deaf, ring;
        Bytes fired;
        std::vector<uint32_t> spikes[2];  // of even and of odd steps: one is read while the other is written
        std::vector<T> values[2], times;  // what they send, where it may be other than 1
        std::vector<int64_t> found[2];    // in each part; those of a part stand from its first neuron on
    };

    std::unique_ptr<Population> made(const SpPopulation& given) const {
        auto whole = std::make_unique<Population>();
        Population& p = *whole;
        p.size = given.size, p.slots = given.slots;
        const void* const sources[] = {given.bias, given.gain, given.rate, given.decay, given.v_leak, given.threshold,
                                       given.v_reset, given.current_rate, given.current_decay, given.w_in,
                                       given.refractory, given.initial, given.v_min};
        for (int k = 0; k < 13; ++k) {
            const T* values = static_cast<const T*>(sources[k]);
            p.numbers[k].assign(values, values + p.size);
        }
        for (int64_t k = 0; k < given.n_constants; ++k) {
            const T* values = static_cast<const T*>(given.constants) + k * p.size;
            p.constants.emplace_back(given.constant_steps[k], std::vector<T>(values, values + p.size));
        }
        sp::Neurons<T>& n = p.neurons;
        n.flags = given.flags;
        const T** const fields[] = {&n.bias, &n.gain, &n.rate, &n.decay, &n.v_leak, &n.threshold,
                                    &n.v_reset, &n.current_rate, &n.current_decay, &n.w_in, &n.refractory};
        for (int k = 0; k < 11; ++k) *fields[k] = p.numbers[k].data();
        n.v_min = p.numbers[12].data();
        const T** const seconds[] = {&n.second.initial, &n.second.rate, &n.second.decay, &n.second.coupling, &n.second.increment,
                                     &n.second.square, &n.second.linear, &n.second.constant, &n.second.v_recovery};
        for (int k = 0; k < 9; ++k) {
            const T* values = static_cast<const T*>(given.second[k]);
            if (values != nullptr) p.second[k].assign(values, values + p.size), *seconds[k] = p.second[k].data();
        }
        // parts begin at whole cache lines
        for (int32_t k = 0; k <= parts_; ++k) p.bounds.push_back(k == parts_ ? p.size : p.size * k / parts_ / 64 * 64);
        return whole;
    }

    // Whether what a population sends may be other than 1.
    static bool valued(const Population& p) { return p.neurons.flags.multi || p.neurons.flags.sends || graded(p); }

    // Whether it fires, and sends numbers.
    static bool graded(const Population& p) { return p.neurons.flags.kind == 6; }

    static int32_t narrowest(const T* weights, int64_t count) {
        if constexpr (sizeof(T) == 4) {
            return sp::WEIGHT_F32;
        } else if constexpr (std::is_same<T, double>::value) {
            for (int64_t k = 0; k < count; ++k) {
                if (static_cast<double>(static_cast<float>(weights[k])) != weights[k]) return sp::WEIGHT_F64;
            }
            return sp::WEIGHT_F32;
        } else {
            int32_t type = sp::WEIGHT_I8;
            for (int64_t k = 0; k < count; ++k) {
                if (weights[k] != static_cast<int32_t>(weights[k])) return sp::WEIGHT_I64;
                if (weights[k] != static_cast<int8_t>(weights[k])) type = sp::WEIGHT_I32;
            }
            return type;
        }
    }

    template <typename Room>
    static void store(const Projection& p, Room& bytes, int64_t index, T value) {
        switch (p.weight_type) {
            case sp::WEIGHT_F64: put<double>(bytes, index, value); break;
            case sp::WEIGHT_F32: put<float>(bytes, index, value); break;
            case sp::WEIGHT_I64: put<int64_t>(bytes, index, value); break;
            case sp::WEIGHT_I32: put<int32_t>(bytes, index, value); break;
            default: put<int8_t>(bytes, index, value);
        }
    }

    void fill(const Projection& p, Part& part, int64_t pre, const int64_t* offsets, const uint32_t* targets,
              const T* weights, int64_t begin, int64_t end) {
        const int64_t total = offsets[pre];
        int64_t inside = total;
        if (parts_ > 1) {
            inside = 0;
            for (int64_t k = 0; k < total; ++k) inside += targets[k] >= begin && targets[k] < end;
        }
        part.offsets.resize(static_cast<size_t>(pre) + 1);
        part.targets.resize(static_cast<size_t>(inside * (p.wide_targets ? 4 : 2)));
        if (p.mode == EACH) part.weights.resize(static_cast<size_t>(inside * p.weight_size));
        int64_t found = 0;
        for (int64_t source = 0; source < pre; ++source) {
            for (int64_t k = offsets[source]; k < offsets[source + 1]; ++k) {
                if (targets[k] < begin || targets[k] >= end) continue;
                if (p.wide_targets) put<uint32_t>(part.targets, found, targets[k]);
                else put<uint16_t>(part.targets, found, targets[k]);
                if (p.mode == EACH) store(p, part.weights, found, weights[k]);
                ++found;
            }
            part.offsets[source + 1] = found;
        }
    }

    static sp::Synapses synapses(const Projection& p, int64_t part) {
        const Part& rows = p.parts[part];
        const uint8_t* weights = p.mode == EACH ? rows.weights.data() : p.shared_weights.data();
        return {rows.offsets.data(), rows.targets.data(), weights, p.wide_targets, p.weight_type, p.mode};
    }

    // Adds what arrives, or will, at one part of a population; then steps it, for every population of a stage.
    void step(int32_t stage, int64_t part, int64_t sample, int64_t at, int64_t now, int64_t t, const SpInput* inputs,
              const SpCurrent* fed, void* const* potentials, void* const* seconds) {
        std::vector<State>& states = samples_[sample];
        for (size_t k = 0; k < populations_.size(); ++k) {
            const Population& p = *populations_[k];
            if (p.stage != stage) continue;
            State& s = states[k];
            for (const Incoming& in : p.incoming) {
                T* slot = s.ring.data() + (now - in.late + in.projection->delay) % p.slots * p.size;
                if (in.projection->source < inputs_) receive(*in.projection, part, inputs[in.projection->source], sample, at, slot);
                else if (now >= in.late) deliver(*in.projection, part, states, now - in.late, slot);
            }
            for (const auto& q : plastics_) {
                if (q->target - inputs_ != static_cast<int32_t>(k)) continue;
                const sp::Events<T>* sent = q->dendritic ? nullptr : seen(q->source, sample, now - q->delay);
                q->arrive(part, sample, now, sent, s.ring.data() + now % p.slots * p.size);
            }
            sp::Neurons<T> neurons = p.neurons;
            neurons.v = s.v.data(), neurons.current = s.current.data(), neurons.deaf = s.deaf.data();
            neurons.fired = s.fired.data(), neurons.times = s.times.data();
            const T* constant = nullptr;
            for (const auto& entry : p.constants) if (entry.first <= now) constant = entry.second.data();
            const T* current = static_cast<const T*>(fed[k].values);
            if (current != nullptr) current += at * fed[k].step_stride + sample * fed[k].sample_stride;
            T* kept = static_cast<T*>(potentials[k]);
            if (kept != nullptr) kept += (t * batch_ + sample) * p.size;
            const int64_t begin = p.bounds[part], end = p.bounds[part + 1];
            T* values = valued(p) ? s.values[now & 1].data() + begin : nullptr;
            s.found[now & 1][part] = update<T>(neurons, s.ring.data() + now % p.slots * p.size, constant, current, kept,
                                               s.spikes[now & 1].data() + begin, values, begin, end);
            if (seconds[k] != nullptr) {
                T* other = static_cast<T*>(seconds[k]) + (t * batch_ + sample) * p.size;
                std::copy(s.current.begin() + begin, s.current.begin() + end, other + begin);
            }
        }
    }

    // What a place sent in a step, null before the first.
    const sp::Events<T>* seen(int32_t place, int64_t sample, int64_t step) const {
        return step < 0 ? nullptr : &sent_.at(place)[sample][step % depth_];
    }

    // Keeps what inputs send for projections that learn.
    void remember_inputs(int64_t sample, int64_t at, int64_t now, const SpInput* inputs) {
        for (auto& place : sent_) {
            if (place.first >= inputs_) continue;
            const SpInput& input = inputs[place.first];
            const int64_t* offsets = input.offsets + sample * input.stride + at;
            const T* values = static_cast<const T*>(input.values);
            sp::Events<T>& kept = place.second[sample][now % depth_];
            kept.neurons.assign(input.neurons + offsets[0], input.neurons + offsets[1]);
            kept.values.assign(values + offsets[0], values + offsets[1]);
        }
    }

    // The same of the populations of a stage.
    void remember(int32_t stage, int64_t sample, int64_t now) {
        for (auto& place : sent_) {
            if (place.first < inputs_) continue;
            const size_t k = static_cast<size_t>(place.first - inputs_);
            const Population& p = *populations_[k];
            if (p.stage != stage) continue;
            const State& s = samples_[sample][k];
            sp::Events<T>& kept = place.second[sample][now % depth_];
            kept.clear();
            for (int32_t part = 0; part < parts_; ++part) {
                const uint32_t* spikes = s.spikes[now & 1].data() + p.bounds[part];
                const int64_t n = s.found[now & 1][part];
                kept.neurons.insert(kept.neurons.end(), spikes, spikes + n);
                if (valued(p)) kept.values.insert(kept.values.end(), s.values[now & 1].data() + p.bounds[part], s.values[now & 1].data() + p.bounds[part] + n);
                else kept.values.insert(kept.values.end(), static_cast<size_t>(n), T(1));
            }
        }
    }

    void learn(int64_t part, int64_t sample, int64_t at, int64_t now, const SpThird* thirds) {
        for (auto& p : plastics_) {
            const sp::Events<T>* pre = seen(p->source, sample, p->dendritic ? now : now - p->delay);
            p->learn(part, sample, now, pre, seen(p->target, sample, p->dendritic ? now - p->delay : now), thirds, at);
            thirds += p->thirds();
        }
    }

    void receive(const Projection& p, int64_t part, const SpInput& input, int64_t sample, int64_t at, T* slot) const {
        const int64_t* offsets = input.offsets + sample * input.stride + at;
        const T* values = static_cast<const T*>(input.values);
        scatter(synapses(p, part), input.neurons + offsets[0], values + offsets[0], offsets[1] - offsets[0], slot);
    }

    void deliver(const Projection& p, int64_t part, const std::vector<State>& states, int64_t sent, T* slot) const {
        const size_t source = static_cast<size_t>(p.source - inputs_);
        const State& from = states[source];
        const std::vector<int64_t>& bounds = populations_[source]->bounds;
        const T* sends = valued(*populations_[source]) ? from.values[sent & 1].data() : nullptr;
        for (int32_t q = 0; q < parts_; ++q) {
            const T* values = sends == nullptr ? nullptr : sends + bounds[q];
            scatter(synapses(p, part), from.spikes[sent & 1].data() + bounds[q], values, from.found[sent & 1][q], slot);
        }
    }

    void log(int32_t stage, int64_t sample, int64_t now, const int32_t* record) {
        for (size_t k = 0; k < populations_.size(); ++k) {
            const Population& p = *populations_[k];
            if (p.stage != stage || !p.neurons.flags.fires) continue;
            const State& s = samples_[sample][k];
            int64_t* count = counts[k][sample].data();
            Log& kept = logs[k][sample];
            for (int32_t part = 0; part < parts_; ++part) {
                const uint32_t* spikes = s.spikes[now & 1].data() + p.bounds[part];
                const int64_t n = s.found[now & 1][part];
                if (p.neurons.flags.multi) {
                    const T* values = s.values[now & 1].data() + p.bounds[part];
                    for (int64_t j = 0; j < n; ++j) count[spikes[j]] += static_cast<int64_t>(values[j]);
                    if (record[k]) {
                        for (int64_t j = 0; j < n; ++j) kept.values.push_back(static_cast<int64_t>(values[j]));
                    }
                } else {
                    for (int64_t j = 0; j < n; ++j) ++count[spikes[j]];
                }
                if (graded(p) && record[k]) {
                    const T* values = s.values[now & 1].data() + p.bounds[part];
                    for (int64_t j = 0; j < n; ++j) kept.numbers.push_back(static_cast<double>(values[j]));
                }
                if (!record[k]) continue;
                kept.neurons.insert(kept.neurons.end(), spikes, spikes + n);
                kept.steps.insert(kept.steps.end(), static_cast<size_t>(n), static_cast<uint32_t>(now));
            }
        }
    }

    int32_t inputs_, batch_, parts_, stages_ = 0;
    int64_t now_ = 0;
    std::vector<std::unique_ptr<Population>> populations_;
    std::vector<Projection> projections_;
    std::vector<std::vector<State>> samples_;  // [sample][population]
    std::vector<std::unique_ptr<sp::Plastic<T>>> plastics_;
    int64_t depth_ = 1;  // steps that they look back, this one included
    std::map<int32_t, std::vector<std::vector<sp::Events<T>>>> sent_;  // by place that they read: [sample][step modulo depth]
};

Session* cast(void* session) { return static_cast<Session*>(session); }

}  // namespace

SP_API int32_t sp_dynamics_open(int32_t arithmetic, int32_t inputs, int32_t batch, int32_t threads, int64_t neurons,
                                void** session) {
    return sp::guarded([&]() -> int32_t {
        if (arithmetic == FLOAT64) *session = static_cast<Session*>(new Typed<double>(inputs, batch, threads, neurons));
        else if (arithmetic == FLOAT32) *session = static_cast<Session*>(new Typed<float>(inputs, batch, threads, neurons));
        else *session = static_cast<Session*>(new Typed<int64_t>(inputs, batch, threads, neurons));
        return SP_OK;
    });
}

SP_API int32_t sp_dynamics_population(void* session, const SpPopulation* given) {
    return sp::guarded([&]() -> int32_t { cast(session)->population(*given); return SP_OK; });
}

SP_API int32_t sp_dynamics_projection(void* session, int32_t source, int32_t target, int64_t delay, int64_t pre,
                                      const int64_t* offsets, const uint32_t* targets, const void* weights, int32_t mode) {
    return sp::guarded([&]() -> int32_t {
        cast(session)->projection(source, target, delay, pre, offsets, targets, weights, mode);
        return SP_OK;
    });
}

// Other neurons for a population of the same size; sp_dynamics_finish makes their state.
SP_API int32_t sp_dynamics_replace(void* session, int32_t index, const SpPopulation* given) {
    return sp::guarded([&]() -> int32_t { cast(session)->replace(index, *given); return SP_OK; });
}

// A projection that learns; after all populations.
SP_API int32_t sp_dynamics_plastic(void* session, const SpPlastic* given) {
    return sp::guarded([&]() -> int32_t { cast(session)->plastic(*given); return SP_OK; });
}

// Weights of one of them and one sample as they are.
SP_API void sp_dynamics_weights(void* session, int32_t index, int32_t sample, void* room) {
    cast(session)->weights(index, sample, room);
}

SP_API int32_t sp_dynamics_finish(void* session) {
    return sp::guarded([&]() -> int32_t { cast(session)->finish(); return SP_OK; });
}

SP_API int32_t sp_dynamics_reset(void* session) {
    return sp::guarded([&]() -> int32_t { cast(session)->reset(); return SP_OK; });
}

// Steps [at, at + n_steps) of the given inputs and currents, with at most so many threads as the session was opened for or fewer;
// `potentials` and `seconds` have room for these steps alone.
SP_API int32_t sp_dynamics_run(void* session, int32_t threads, int64_t at, int64_t n_steps, const SpInput* inputs, const SpCurrent* fed,
                               void* const* potentials, void* const* seconds, const int32_t* record, const SpThird* thirds) {
    return sp::guarded([&]() -> int32_t {
        cast(session)->run(threads, at, n_steps, inputs, fed, potentials, seconds, record, thirds);
        return SP_OK;
    });
}

// What a state is read into and written from; python asks for all populations, projections that learn and places that these read, and
// writes after `sp_dynamics_go_to`, which says of what step they are. Shapes are the session's.
SP_API int32_t sp_dynamics_go_to(void* session, int64_t step) {
    return sp::guarded([&]() -> int32_t { cast(session)->go_to(step); return SP_OK; });
}

SP_API void sp_dynamics_read_neurons(void* session, int32_t population, int32_t sample, const SpNeuronState* room) {
    cast(session)->read_neurons(population, sample, *room);
}

SP_API void sp_dynamics_write_neurons(void* session, int32_t population, int32_t sample, const SpNeuronState* given) {
    cast(session)->write_neurons(population, sample, *given);
}

SP_API void sp_dynamics_read_plastic(void* session, int32_t index, int32_t sample, const SpPlasticState* room) {
    cast(session)->read_plastic(index, sample, *room);
}

SP_API void sp_dynamics_write_plastic(void* session, int32_t index, int32_t sample, const SpPlasticState* given) {
    cast(session)->write_plastic(index, sample, *given);
}

SP_API void sp_dynamics_read_sent(void* session, int32_t place, int32_t sample, int64_t size, void* room, int64_t rows, int64_t stride) {
    cast(session)->read_sent(place, sample, size, room, rows, stride);
}

SP_API int32_t sp_dynamics_write_sent(void* session, int32_t place, int32_t sample, int64_t size, const void* given, int64_t rows,
                                      int64_t stride) {
    return sp::guarded([&]() -> int32_t {
        cast(session)->write_sent(place, sample, size, given, rows, stride);
        return SP_OK;
    });
}

// Steps since the beginning or the last reset.
SP_API int64_t sp_dynamics_now(void* session) { return cast(session)->now(); }

SP_API int64_t sp_dynamics_spikes(void* session, int32_t population, int32_t sample) {
    return static_cast<int64_t>(cast(session)->logs[population][sample].steps.size());
}

// Copies the recorded spikes of one population and sample, and forgets them; `values` gets how many each is, where it may be several,
// and `numbers` what was sent with each, where numbers are.
SP_API void sp_dynamics_take(void* session, int32_t population, int32_t sample, uint32_t* steps, uint32_t* neurons,
                             int64_t* values, double* numbers) {
    Session::Log& log = cast(session)->logs[population][sample];
    for (size_t k = 0; k < log.steps.size(); ++k) steps[k] = log.steps[k], neurons[k] = log.neurons[k];
    for (size_t k = 0; k < log.values.size(); ++k) values[k] = log.values[k];
    for (size_t k = 0; k < log.numbers.size(); ++k) numbers[k] = log.numbers[k];
    log.steps.clear(), log.neurons.clear(), log.values.clear(), log.numbers.clear();
}

SP_API void sp_dynamics_counts(void* session, int32_t population, int32_t sample, int64_t* counts) {
    const std::vector<int64_t>& found = cast(session)->counts[population][sample];
    for (size_t k = 0; k < found.size(); ++k) counts[k] = found[k];
}

SP_API void sp_dynamics_close(void* session) { delete cast(session); }
