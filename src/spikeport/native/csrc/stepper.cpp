// Plans and runs of the event-driven stepper: memory, chunks of steps, threads. The arithmetic is in kernels/stepping.cpp.
#include "stepper.h"

#include <algorithm>
#include <atomic>

#include "abi.h"
#include "kernels/transpose.h"
#include "parallel.h"

namespace sp {

namespace {

std::atomic<int64_t> objects{0};  // plans and runs that are open

template <typename T>
T* keep(PlannedLayer& planned, const T* from, int64_t count) {
    planned.owned.emplace_back(from, static_cast<size_t>(count) * sizeof(T));
    return static_cast<T*>(planned.owned.back().get());
}

const void* keep_bytes(PlannedLayer& planned, const void* from, size_t bytes) {
    planned.owned.emplace_back(from, bytes);
    return planned.owned.back().get();
}

constexpr int64_t WORTH_THREADS = 1 << 14;  // counts of a layer from which threads share the copying

// ---- a group of samples

void make_lane(const Plan& plan, int32_t steps, bool traced, Lane& lane) {
    for (const PlannedLayer& planned : plan.layers) {
        const Layer& layer = planned.layer;
        Signal signal{};
        signal.pixels = layer.pixels, signal.channels = layer.channels, signal.padded = layer.padded, signal.words = layer.words;
        signal.steps = steps;
        for (int64_t& worth : signal.worth) worth = 1;
        const bool sends = layer.kind != NEURON_ACCUMULATOR || planned.is_source;
        const size_t places = static_cast<size_t>(layer.pixels) * steps;
        if (sends) {
            const size_t bytes = places * layer.words * sizeof(uint64_t);
            lane.memory.emplace_back(static_cast<size_t>(layer.pixels) * sizeof(uint64_t));
            signal.active = static_cast<uint64_t*>(lane.memory.back().get());
            lane.memory.emplace_back(bytes);
            signal.bits = static_cast<uint64_t*>(lane.memory.back().get());
            if (planned.has_signs) {
                lane.memory.emplace_back(bytes);
                signal.signs = static_cast<uint64_t*>(lane.memory.back().get());
            }
            if (planned.payload != Payload::None) {
                const bool once = planned.payload == Payload::Once;
                lane.memory.emplace_back((once ? layer.pixels : places) * static_cast<size_t>(layer.padded) * plan.item());
                signal.values = lane.memory.back().get();
                signal.value_step = once ? 0 : layer.padded;
            }
        }
        const bool trace = !planned.is_source && layer.kind != NEURON_MAXIMUM && (traced || layer.kind == NEURON_ACCUMULATOR);
        lane.traces.emplace_back(trace ? places * static_cast<size_t>(layer.padded) * plan.item() : 0);
        lane.signals.push_back(signal);
    }
}

void make_worker(const Plan& plan, int32_t steps, Worker& worker) {
    size_t padded = LANES, live = 1, rows = 0;
    for (const PlannedLayer& planned : plan.layers) {
        if (static_cast<size_t>(planned.layer.padded) > padded) padded = planned.layer.padded;
        if (planned.most_live > live) live = planned.most_live;
        if (planned.most_rows > rows) rows = planned.most_rows;
    }
    const auto take = [&](size_t bytes) {
        worker.memory.emplace_back(bytes);
        return worker.memory.back().get();
    };
    const size_t slack = 64;  // lists are written in whole vectors
    worker.scratch.acc = take((padded + 2 * slack) * plan.item());  // the last vector of rows may reach beyond it
    worker.scratch.plus = static_cast<uint32_t*>(take((rows + slack) * sizeof(uint32_t)));
    worker.scratch.minus = static_cast<uint32_t*>(take((rows + slack) * sizeof(uint32_t)));
    worker.scratch.paid = static_cast<uint32_t*>(take((rows + slack) * sizeof(uint32_t)));
    worker.scratch.payload = static_cast<int32_t*>(take((rows + slack) * sizeof(int32_t)));
    worker.scratch.live = static_cast<Live*>(take((live + 1) * sizeof(Live)));
    worker.scratch.by_step = static_cast<uint16_t*>(take((live + 1) * MAX_CHUNK * sizeof(uint16_t)));
    worker.scratch.most_live = static_cast<int32_t>(live + 1);
    worker.scratch.spikes_stride = static_cast<int64_t>((rows + 2 * slack) / slack * slack);
    worker.scratch.spikes = static_cast<int8_t*>(take(static_cast<size_t>(worker.scratch.spikes_stride) * steps + slack));
    worker.scratch.sums = static_cast<int32_t*>(take((padded + slack) * steps * sizeof(int32_t)));
}

void make_state(const Plan& plan, SampleState& state) {
    const auto bytes_of = [&](const PlannedLayer& planned) {
        return planned.is_source ? 0 : static_cast<size_t>(planned.layer.pixels) * planned.layer.padded * plan.item();
    };
    size_t total = 0;
    for (const PlannedLayer& planned : plan.layers)
        total += bytes_of(planned) * (planned.host_taps.empty() ? 2 : 5) + static_cast<size_t>(planned.layer.pixels) + 6 * LINE;
    state.memory = Buffer(total);
    uint8_t* piece = static_cast<uint8_t*>(state.memory.get());
    for (const PlannedLayer& planned : plan.layers) {
        const size_t bytes = bytes_of(planned), current = planned.host_taps.empty() ? 0 : bytes;
        state.v.emplace_back(bytes, piece);
        state.sent.emplace_back(bytes, piece);
        state.rests.emplace_back(planned.is_source ? 0 : planned.layer.pixels, piece);
        state.share.emplace_back(current, piece);
        state.rest.emplace_back(current, piece);
        state.error.emplace_back(current, piece);
    }
    const PlannedLayer& input = plan.layers.front();
    if (!input.host) state.totals.resize(static_cast<size_t>(input.layer.pixels) * input.layer.channels);
}

// ---- the beginning of a sample

// The initial state of some pixels of a layer, written just before they are stepped first, while it is near.
template <typename V>
void set_initial(const PlannedLayer& planned, SampleState& state, size_t index, int32_t begin, int32_t end) {
    const int32_t padded = planned.layer.padded;
    const size_t from = static_cast<size_t>(begin) * padded, count = static_cast<size_t>(end - begin) * padded;
    V* v = static_cast<V*>(state.v[index].get()) + from;
    const V* initial = static_cast<const V*>(planned.initial.get());
    if (initial == nullptr) std::memset(v, 0, count * sizeof(V));
    else if (planned.initial_stride != 0) std::memcpy(v, initial + from, count * sizeof(V));
    else
        for (size_t at = 0; at < count; at += padded) std::memcpy(v + at, initial, padded * sizeof(V));
    std::memset(static_cast<V*>(state.sent[index].get()) + from, 0, count * sizeof(V));
    std::memset(static_cast<uint8_t*>(state.rests[index].get()) + begin, 0, static_cast<size_t>(end - begin));
}

// Values that enter once, V [channel][pixel], as a signal of step 0.
template <typename V>
void present(const V* values, Signal& signal) {
    V* kept = static_cast<V*>(signal.values);
    for (int64_t pixel = 0; pixel < signal.pixels; ++pixel) {
        uint64_t* bits = signal.bits + pixel * signal.steps * signal.words;
        uint64_t any = 0;
        for (int32_t w = 0; w < signal.words; ++w) bits[w] = 0;
        for (int64_t c = 0; c < signal.channels; ++c) {
            const V value = values[c * signal.pixels + pixel];
            kept[pixel * signal.padded + c] = value;
            bits[c >> 6] |= static_cast<uint64_t>(value != 0) << (c & 63);
            any |= value != 0;
        }
        signal.active[pixel] = any;
    }
}

// A total as its share of each step and the remainder that is spread over them, both for a floor.
template <typename V>
void divide(V* total, V* remainder, size_t count, V steps) {
    if ((steps & (steps - 1)) == 0) {  // whole vectors, where a division is many times slower
        const int shift = __builtin_ctzll(static_cast<uint64_t>(steps));
        for (size_t i = 0; i < count; ++i) remainder[i] = total[i] & (steps - 1), total[i] >>= shift;
        return;
    }
    for (size_t i = 0; i < count; ++i) {
        const V a = total[i], share = a / steps - (a % steps < 0);
        total[i] = share;
        remainder[i] = a - share * steps;
    }
}

template <typename Body>
void over_pixels(int64_t pixels, int32_t threads, const Body& body) {
    const int64_t pieces = threads == 1 ? 1 : pixels < 4 * threads ? pixels : 4 * threads;
    const auto piece = [&](int64_t i, int32_t worker) {
        body(static_cast<int32_t>(pixels * i / pieces), static_cast<int32_t>(pixels * (i + 1) / pieces), worker);
    };
    if (pieces == 1) piece(0, 0);
    else parallel_for(pieces, threads, piece);
}

template <typename V>
void begin_sample(Run& run, int32_t sample, Lane& lane, const void* const* values, int32_t threads, int32_t own) {
    const Plan& plan = *run.plan;
    SampleState& state = run.states[sample];
    for (int32_t& total : state.totals) total = 0;
    state.fresh = true;
    for (size_t i = 0; i < plan.layers.size(); ++i) {
        const PlannedLayer& planned = plan.layers[i];
        const Layer& layer = planned.layer;
        if (planned.is_source) {
            if (!planned.host) continue;
            const int64_t size = static_cast<int64_t>(layer.pixels) * layer.channels;
            present<V>(static_cast<const V*>(values[i]) + sample * size, lane.signals[i]);
            continue;
        }
        if (planned.host_taps.empty()) continue;
        V *total = static_cast<V*>(state.share[i].get()), *rest = static_cast<V*>(state.rest[i].get());
        over_pixels(layer.pixels, threads, [&](int32_t begin, int32_t end, int32_t worker) {
            Scratch& scratch = run.workers[threads == 1 ? own : worker].scratch;
            if (plan.wide) SP_DISPATCH(sum_once64, planned.host_layer, lane.signals.data(), total, begin, end, scratch);
            else SP_DISPATCH(sum_once32, planned.host_layer, lane.signals.data(), total, begin, end, scratch);
            const size_t from = static_cast<size_t>(begin) * layer.padded, count = static_cast<size_t>(end - begin) * layer.padded;
            divide<V>(total + from, rest + from, count, static_cast<V>(plan.presentation));
            std::memset(static_cast<V*>(state.error[i].get()) + from, 0, count * sizeof(V));
        });
    }
}

// ---- event input

constexpr int32_t EVENTS_REFUSED = -4;  // counts that are none, or more than were declared: the Python side says which

enum Item : int32_t { U8 = 0, I8 = 1, I16 = 2, U16 = 3, I32 = 4, I64 = 5, F32 = 6, F64 = 7 };

struct Events {
    const void* data;
    int32_t item;
    int64_t first, bins;   // the step of the first one, and how many there are
    int64_t step, sample;  // distances in items
    int64_t high;
};

// Packs the bins of a chunk; false, and nothing changed, where a count is none or more
// events fell into one place than were declared.
template <typename T, typename V>
bool pack(const T* data, const Events& events, int32_t first, int32_t steps, SampleState& state, Signal& signal, void* values) {
    constexpr int64_t BLOCK = 16;
    const int64_t pixels = signal.pixels, size = pixels * signal.channels;
    const auto refuse = [&](int32_t last, int64_t place) {  // as if nothing of it had been seen
        for (int32_t i = 0; i <= last; ++i) {
            const T* bin = data + (first + i - events.first) * events.step;
            for (int64_t j = 0; j < (i < last ? size : place); ++j) state.totals[j] -= static_cast<int32_t>(bin[j]);
        }
        return false;
    };
    bool ones = true;
    signal.events = 0, signal.fired = 0;
    for (int64_t pixel = 0; pixel < pixels; ++pixel) signal.active[pixel] = 0;
    for (int32_t i = 0; i < steps && first + i < events.first + events.bins; ++i) {
        const T* bin = data + (first + i - events.first) * events.step;
        for (int64_t from = 0; from < size; from += BLOCK) {
            const int64_t end = from + BLOCK < size ? from + BLOCK : size;
            bool any = false;
            for (int64_t j = from; j < end; ++j) any |= bin[j] != 0;
            if (!any) continue;
            for (int64_t j = from; j < end; ++j) {
                if (bin[j] == 0) continue;
                if (!(bin[j] > 0) || static_cast<double>(bin[j]) > static_cast<double>(events.high)) return refuse(i, j);
                const int32_t count = static_cast<int32_t>(bin[j]);
                if (static_cast<T>(count) != bin[j] || count > events.high - state.totals[j]) return refuse(i, j);
                state.totals[j] += count;
                const int64_t channel = j / pixels, pixel = j - channel * pixels;
                const uint64_t step = static_cast<uint64_t>(1) << i;
                uint64_t* bits = signal.bits + (pixel * signal.steps + i) * signal.words;
                if ((signal.active[pixel] & step) == 0) {
                    signal.active[pixel] |= step;
                    for (int32_t w = 0; w < signal.words; ++w) bits[w] = 0;
                }
                bits[channel >> 6] |= static_cast<uint64_t>(1) << (channel & 63);
                ++signal.events, signal.fired |= step;
                static_cast<V*>(values)[(pixel * signal.steps + i) * signal.padded + channel] = count;
                ones &= count == 1;
            }
        }
    }
    signal.values = ones ? nullptr : values;  // spikes that all count one need no payload
    return true;
}

template <typename V>
bool pack_any(const Events& events, int32_t sample, int32_t first, int32_t steps, SampleState& state, Signal& signal, void* values) {
    const auto with = [&](auto item) {
        using T = decltype(item);
        return pack<T, V>(static_cast<const T*>(events.data) + sample * events.sample, events, first, steps, state, signal, values);
    };
    switch (events.item) {
        case U8: return with(uint8_t{});
        case I8: return with(int8_t{});
        case I16: return with(int16_t{});
        case U16: return with(uint16_t{});
        case I32: return with(int32_t{});
        case I64: return with(int64_t{});
        case F32: return with(float{});
        default: return with(double{});
    }
}

// ---- a chunk of steps

struct Outputs {
    int64_t* readout;               // [step][sample][neuron]
    uint64_t* fired;                // [sample] steps in which anything fired
    int64_t* spikes;                // [sample][layer] added to
    int64_t* charges;               // [sample][layer] the same, payloads summed
    int32_t* const* trains;         // by layer: [step][sample][neuron], or null
    int64_t* const* potentials;     // by layer
};

// From [pixel][step][padded] to [step][sample][channel][pixel].
template <typename V>
void copy_trace(const Layer& layer, const V* trace, int32_t steps, int32_t sample, int32_t samples, int64_t* to) {
    const int64_t size = static_cast<int64_t>(layer.pixels) * layer.channels;
    for (int64_t pixel = 0; pixel < layer.pixels; ++pixel)
        for (int64_t i = 0; i < steps; ++i)
            for (int64_t k = 0; k < layer.channels; ++k)
                to[(i * samples + sample) * size + k * layer.pixels + pixel] = trace[(pixel * steps + i) * layer.padded + k];
}

// The array holds zeros where nothing was sent.
template <typename V>
void copy_spikes(const Signal& signal, int32_t sample, int32_t samples, int32_t* to) {
    const int64_t size = static_cast<int64_t>(signal.pixels) * signal.channels;
    for (int64_t pixel = 0; pixel < signal.pixels; ++pixel)
        for (uint64_t active = signal.active[pixel]; active != 0; active &= active - 1) {
            const int64_t i = __builtin_ctzll(active), at = (pixel * signal.steps + i) * signal.words;
            const int64_t one = signal.value_step != 0 ? signal.steps * signal.value_step : signal.padded;
            for (int64_t w = 0; w < signal.words; ++w)
                for (uint64_t word = signal.bits[at + w]; word != 0; word &= word - 1) {
                    const int64_t c = 64 * w + __builtin_ctzll(word);
                    int64_t value = signal.worth[i];
                    if (signal.values != nullptr)
                        value = static_cast<const V*>(signal.values)[pixel * one + i * signal.value_step + c];
                    else if (signal.signs != nullptr && (signal.signs[at + w] >> (c & 63) & 1))
                        value = -value;
                    to[(i * samples + sample) * size + c * signal.pixels + pixel] = static_cast<int32_t>(value);
                }
        }
}

// Which part of what a layer reads through narrow taps was sent, in the steps in which anything was.
double activity(const PlannedLayer& planned, const std::vector<Signal>& signals) {
    double sent = 0, all = 0;
    for (size_t c = 0; c < planned.taps.size(); ++c) {
        const Signal& source = signals[planned.taps[c].source];
        const double neurons = static_cast<double>(source.pixels) * source.channels * __builtin_popcountll(source.fired);
        if (neurons == 0) continue;
        sent += planned.work[c] * static_cast<double>(source.events) / neurons;
        all += planned.work[c];
    }
    return all == 0 ? 0 : sent / all;
}

template <typename V>
bool step_sample(Run& run, int32_t sample, Lane& lane, int32_t first, int32_t steps, int32_t samples, const Events* events,
                 const Outputs& outputs, int32_t threads, int32_t own) {
    const Plan& plan = *run.plan;
    SampleState& state = run.states[sample];
    uint64_t fired = 0;
    for (size_t i = 0; i < plan.layers.size(); ++i) {
        const PlannedLayer& planned = plan.layers[i];
        Signal& signal = lane.signals[i];
        if (planned.is_source) {
            if (planned.host) continue;
            void* values = lane.traces[i].get();
            if (!pack_any<V>(*events, sample, first, steps, state, signal, values)) return false;
            continue;
        }
        Layer layer = planned.layer;
        if (planned.trace_of >= 0) layer.trace_of = lane.traces[planned.trace_of].get();
        if (layer.kind == NEURON_RADIX || layer.kind == NEURON_DIGITS)
            for (int32_t t = 0; t < steps; ++t) {
                signal.weighted = true;
                const int32_t digit = layer.bits - 1 - (first + t - layer.opens_at);
                signal.worth[t] = digit >= 0 && digit < layer.bits ? static_cast<int64_t>(1) << digit : 1;
            }
        const State now = {state.v[i].get(),    state.sent[i].get(),  static_cast<uint8_t*>(state.rests[i].get()),
                           state.share[i].get(), state.rest[i].get(), state.error[i].get(), !planned.host_taps.empty()};
        Chunk chunk{};
        chunk.first = first, chunk.steps = steps, chunk.presentation = plan.presentation;
        chunk.bias = run.bias[i].get(), chunk.biased = run.biased[i];
        chunk.bias_stride = planned.bias_rows > 1 ? layer.padded : 0;
        chunk.bias_step = static_cast<int64_t>(layer.padded) * (planned.bias_rows > 1 ? layer.pixels : 1);
        chunk.trace = lane.traces[i].size() != 0 ? lane.traces[i].get() : nullptr;
        chunk.keep_all = chunk.trace != nullptr;
        chunk.dense = planned.can_sum && SP_DISPATCH(sums_densely) && activity(planned, lane.signals) >= plan.dense_from;
        Signal* out = layer.kind == NEURON_ACCUMULATOR ? nullptr : &signal;
        const auto each = [&](Scratch& scratch, int32_t begin, int32_t end) {
            if (state.fresh) set_initial<V>(planned, state, i, begin, end);
            if (plan.wide) SP_DISPATCH(step_layer64, layer, now, lane.signals.data(), out, chunk, begin, end, scratch);
            else SP_DISPATCH(step_layer32, layer, now, lane.signals.data(), out, chunk, begin, end, scratch);
        };
        const int32_t workers = threads == 1 ? 1 : threads, offset = threads == 1 ? own : 0;
        for (int32_t w = 0; w < workers; ++w) {
            Scratch& scratch = run.workers[offset + w].scratch;
            scratch.fired = 0, scratch.events = 0, scratch.charges = 0;
        }
        over_pixels(layer.pixels, threads, [&](int32_t begin, int32_t end, int32_t worker) {
            each(run.workers[threads == 1 ? own : worker].scratch, begin, end);
        });
        signal.events = 0, signal.fired = 0;
        for (int32_t w = 0; w < workers; ++w) {
            const Scratch& scratch = run.workers[offset + w].scratch;
            fired |= scratch.fired;
            signal.events += scratch.events, signal.fired |= scratch.fired;
            outputs.spikes[sample * static_cast<int64_t>(plan.layers.size()) + i] += scratch.events;
            outputs.charges[sample * static_cast<int64_t>(plan.layers.size()) + i] += scratch.charges;
        }
        if (outputs.trains[i] != nullptr && out != nullptr) copy_spikes<V>(signal, sample, samples, outputs.trains[i]);
        const V* trace = static_cast<const V*>(chunk.trace);
        if (outputs.potentials[i] != nullptr && trace != nullptr)
            copy_trace<V>(layer, trace, steps, sample, samples, outputs.potentials[i]);
        if (i + 1 == plan.layers.size()) copy_trace<V>(layer, trace, steps, sample, samples, outputs.readout);
    }
    state.fresh = false;
    outputs.fired[sample] = fired;
    return true;
}

// Bias shares of the steps of a chunk.
template <typename V>
void share_biases(Run& run, int32_t first, int32_t steps) {
    const Plan& plan = *run.plan;
    for (size_t i = 0; i < plan.layers.size(); ++i) {
        const PlannedLayer& planned = plan.layers[i];
        run.biased[i] = 0;
        if (planned.bias.size() == 0) continue;
        const int64_t count = planned.bias.size() / sizeof(V), whole = plan.presentation;
        const V* bias = static_cast<const V*>(planned.bias.get());
        V* shares = static_cast<V*>(run.bias[i].get());
        for (int32_t t = 0; t < steps && first + t < whole; ++t) {
            bool any = false;
            const int64_t now = first + t;
            for (int64_t k = 0; k < count; ++k) {
                const int64_t a = bias[k], each = a / whole - (a % whole < 0), rest = a - each * whole;
                const int64_t share = each + (now + 1) * rest / whole - now * rest / whole;
                shares[t * count + k] = static_cast<V>(share);
                any |= share != 0;
            }
            run.biased[i] |= static_cast<uint64_t>(any) << t;
        }
    }
}

template <typename V>
int32_t step_group(Run& run, int32_t samples, int32_t first, int32_t steps, int32_t threads, const uint8_t* wanted,
                   const Events* events, const Outputs& outputs) {
    share_biases<V>(run, first, steps);
    int64_t active = 0;
    for (int32_t s = 0; s < samples; ++s) active += wanted[s];
    std::atomic<bool> good{true};
    const auto one = [&](int32_t s, Lane& lane, int32_t inner, int32_t own) {
        if (!wanted[s]) return;
        if (!step_sample<V>(run, s, lane, first, steps, samples, events, outputs, inner, own)) good = false;
    };
    if (threads > 1 && active >= 2 * threads)
        parallel_for(samples, threads, [&](int64_t s, int32_t worker) { one(static_cast<int32_t>(s), run.lanes[worker], 1, worker); });
    else
        for (int32_t s = 0; s < samples; ++s) one(s, run.lanes[0], threads, 0);
    return good ? static_cast<int32_t>(SP_OK) : EVENTS_REFUSED;
}

template <typename V>
void begin_group(Run& run, int32_t samples, int32_t threads, const void* const* values) {
    if (threads > 1 && samples >= 2 * threads)
        parallel_for(samples, threads, [&](int64_t s, int32_t worker) {
            begin_sample<V>(run, static_cast<int32_t>(s), run.lanes[worker], values, 1, worker);
        });
    else
        for (int32_t s = 0; s < samples; ++s) begin_sample<V>(run, s, run.lanes[0], values, threads, 0);
}

// What a layer with a current takes in every step of the presentation from now on, V [sample][channel][pixel].
template <typename V>
void set_currents(Run& run, int32_t index, int32_t samples, const V* values) {
    const Layer& layer = run.plan->layers[index].layer;
    const int64_t size = static_cast<int64_t>(layer.pixels) * layer.channels;
    const size_t bytes = static_cast<size_t>(layer.pixels) * layer.padded * sizeof(V);
    for (int64_t s = 0; s < samples; ++s, values += size) {
        SampleState& state = run.states[s];
        V* share = static_cast<V*>(state.share[index].get());
        for (Buffer* buffer : {&state.share[index], &state.rest[index], &state.error[index]}) std::memset(buffer->get(), 0, bytes);
        for (int64_t k = 0; k < layer.channels; ++k)
            for (int64_t pixel = 0; pixel < layer.pixels; ++pixel) share[pixel * layer.padded + k] = values[k * layer.pixels + pixel];
    }
}

template <typename V>
void copy_counts(const Run& run, int32_t index, int32_t samples, int64_t* to) {
    constexpr int64_t RUN = 32;  // pixels of a channel that are written together: some cache lines, whose rows stay near meanwhile
    const Layer& layer = run.plan->layers[index].layer;
    const int64_t size = static_cast<int64_t>(layer.pixels) * layer.channels;
    for (int64_t s = 0; s < samples; ++s, to += size) {
        const SampleState& state = run.states[s];
        if (state.fresh) {
            std::memset(to, 0, static_cast<size_t>(size) * sizeof(int64_t));
            continue;
        }
        const V* sent = static_cast<const V*>(state.sent[index].get());
        over_pixels(layer.pixels, size < WORTH_THREADS ? 1 : run.threads, [&](int32_t begin, int32_t end, int32_t) {
            if constexpr (sizeof(V) == sizeof(int32_t)) {
                SP_DISPATCH(widen_transposed, sent + static_cast<int64_t>(begin) * layer.padded, layer.padded, end - begin,
                            layer.channels, to + begin, layer.pixels);
                return;
            }
            for (int64_t from = begin; from < end; from += RUN)
                for (int64_t k = 0; k < layer.channels; ++k)
                    for (int64_t pixel = from; pixel < end && pixel < from + RUN; ++pixel)
                        to[k * layer.pixels + pixel] = sent[pixel * layer.padded + k];
        });
    }
}

int32_t padded_channels(int32_t channels) { return (channels + LANES - 1) / LANES * LANES; }

void set_size(Layer& layer, int32_t pixels, int32_t channels) {
    layer.pixels = pixels, layer.channels = channels;
    layer.padded = padded_channels(channels), layer.words = (layer.padded + 63) / 64;
}

}  // namespace

}  // namespace sp

using namespace sp;

// Plans and runs that are open: what a test of leaks reads.
SP_API int64_t sp_stepper_objects() { return objects.load(); }

SP_API int32_t sp_plan_new(int32_t layers, int32_t presentation, int32_t wide, void** made) {
    return guarded([&] {
        auto plan = std::make_unique<Plan>();
        plan->presentation = presentation, plan->wide = wide;
        plan->layers.resize(layers);
        *made = plan.release();
        ++objects;
        return static_cast<int32_t>(SP_OK);
    });
}

SP_API void sp_plan_free(void* plan) {
    if (plan == nullptr) return;
    delete static_cast<Plan*>(plan);
    --objects;
}

// Values from outside: event bins, or (host) values of a whole presentation.
SP_API int32_t sp_plan_source(void* handle, int32_t index, int32_t pixels, int32_t channels, int32_t host, int64_t largest) {
    return guarded([&] {
        PlannedLayer& planned = static_cast<Plan*>(handle)->layers[index];
        set_size(planned.layer, pixels, channels);
        planned.is_source = true, planned.host = host != 0;
        planned.payload = host != 0 ? Payload::Once : Payload::None;
        planned.largest = largest;
        return static_cast<int32_t>(SP_OK);
    });
}

struct LayerArguments {
    int32_t kind, pixels, channels, has_signs, payload, trace_of, opens_at, closes_at, bits;
    int32_t threshold_rows, release_rows, initial_rows, bias_rows, table_rows, table_size, windows;
    int64_t low, high, largest;
    // V [rows][padded], rows 1 or one a pixel; a table has as many for each entry; null for none
    const void *threshold, *release, *initial, *bias, *table;
    const int32_t *window_offsets, *window_pixel;
};

SP_API int32_t sp_plan_layer(void* handle, int32_t index, const LayerArguments* a) {
    return guarded([&] {
        Plan& plan = *static_cast<Plan*>(handle);
        PlannedLayer& planned = plan.layers[index];
        Layer& layer = planned.layer;
        set_size(layer, a->pixels, a->channels);
        planned.largest = a->largest;
        layer.kind = a->kind, layer.low = a->low, layer.high = a->high;
        layer.opens_at = a->opens_at, layer.closes_at = a->closes_at, layer.bits = a->bits;
        planned.has_signs = a->has_signs != 0, planned.payload = static_cast<Payload>(a->payload), planned.trace_of = a->trace_of;
        const size_t row = static_cast<size_t>(layer.padded) * plan.item();
        const auto take = [&](Buffer& to, const void* from, int32_t rows) {
            if (from != nullptr) to = Buffer(from, row * rows);
            return from != nullptr && rows > 1 ? static_cast<int64_t>(layer.padded) : 0;
        };
        layer.threshold_stride = take(planned.threshold, a->threshold, a->threshold_rows);
        layer.release_stride = take(planned.release, a->release, a->release_rows);
        planned.initial_stride = take(planned.initial, a->initial, a->initial_rows);
        take(planned.bias, a->bias, a->bias_rows);
        layer.table_step = static_cast<int64_t>(layer.padded) * a->table_rows;
        layer.table_size = a->table_size;
        if (a->table != nullptr) planned.table = Buffer(a->table, row * a->table_rows * a->table_size);
        layer.table_stride = a->table_rows > 1 ? layer.padded : 0;
        layer.table = planned.table.get();
        planned.bias_rows = a->bias_rows;
        layer.threshold = planned.threshold.get(), layer.release = planned.release.get();
        if (a->window_offsets != nullptr) {
            layer.window_offsets = keep(planned, a->window_offsets, layer.pixels + 1);
            layer.window_pixel = keep(planned, a->window_pixel, a->windows);
        }
        return static_cast<int32_t>(SP_OK);
    });
}

struct TapsArguments;
static void keep_mask(PlannedLayer& planned, const Plan& plan, const Layer& source, const TapsArguments& a, Taps& taps);
static void keep_diagonal(PlannedLayer& planned, const Plan& plan, const Layer& source, const TapsArguments& a, Taps& taps);

struct TapsArguments {
    int32_t kind, source, slabs, taps;
    const void* rows;         // narrow: int8 [slab][channel][padded]; wide: V
    const int32_t* target;    // diagonal: [slab][channel]
    const void* factor;       // V [slab][channel]
    const int32_t *offsets, *pixel, *slab;
};

SP_API int32_t sp_plan_taps(void* handle, int32_t index, const TapsArguments* a) {
    return guarded([&] {
        Plan& plan = *static_cast<Plan*>(handle);
        PlannedLayer &planned = plan.layers[index], &source = plan.layers[a->source];
        const Layer& layer = planned.layer;
        const size_t channels = source.layer.channels, entries = static_cast<size_t>(a->slabs) * channels;
        Taps taps{};
        taps.kind = a->kind, taps.source = a->source, taps.stride = static_cast<int32_t>(channels);
        taps.offsets = keep(planned, a->offsets, layer.pixels + 1);
        taps.pixel = keep(planned, a->pixel, a->taps);
        taps.slab = keep(planned, a->slab, a->taps);
        if (a->kind == TAPS_NARROW) {
            std::vector<int8_t, Paged<int8_t>>& pool = source.host ? planned.host_rows : planned.rows;
            taps.base = pool.size() / layer.padded;
            // slabs begin at whole fours of rows
            const int8_t* from = static_cast<const int8_t*>(a->rows);
            const size_t four = (channels + 3) / 4 * 4, row = layer.padded;
            taps.stride = static_cast<int32_t>(four);
            for (int64_t slab = 0; slab < a->slabs; ++slab) {
                pool.insert(pool.end(), from + slab * channels * row, from + (slab + 1) * channels * row);
                pool.resize(pool.size() + (four - channels) * row);
            }
            if (pool.size() / layer.padded >> 32 != 0) throw "a layer has more than 2**32 rows of weights";
        } else if (a->kind == TAPS_WIDE) {
            taps.wide = keep_bytes(planned, a->rows, entries * layer.padded * plan.item());
        } else {
            keep_diagonal(planned, plan, source.layer, *a, taps);
        }
        if (a->kind == TAPS_NARROW || a->kind == TAPS_WIDE) keep_mask(planned, plan, source.layer, *a, taps);
        (source.host ? planned.host_taps : planned.taps).push_back(taps);
        size_t most = 0;
        for (int32_t o = 0; o < layer.pixels; ++o) {
            const size_t here = taps.offsets[o + 1] - taps.offsets[o];
            if (here > most) most = here;
        }
        planned.work.push_back(a->kind == TAPS_NARROW ? static_cast<double>(a->taps) * channels : 0);
        planned.most_live += most;
        if (planned.most_live > 65535) throw "a neuron reads more than 65,535 pixels";
        planned.most_rows += most * static_cast<size_t>(source.layer.padded);
        return static_cast<int32_t>(SP_OK);
    });
}

// Which channels of each slab have weights: where axes change places it is one of many, and the others need not be added.
static void keep_mask(PlannedLayer& planned, const Plan& plan, const Layer& source, const TapsArguments& a, Taps& taps) {
    const size_t channels = source.channels, words = source.words;
    const size_t row = static_cast<size_t>(planned.layer.padded) * (a.kind == TAPS_NARROW ? 1 : plan.item());
    std::vector<uint64_t> mask(static_cast<size_t>(a.slabs) * words, 0);
    size_t weighted = 0;
    const char* from = static_cast<const char*>(a.rows);
    for (size_t slab = 0; slab < static_cast<size_t>(a.slabs); ++slab)
        for (size_t c = 0; c < channels; ++c, from += row) {
            const bool any = std::any_of(from, from + row, [](char byte) { return byte != 0; });
            mask[slab * words + c / 64] |= static_cast<uint64_t>(any) << (c % 64);
            weighted += any;
        }
    if (2 * weighted > static_cast<size_t>(a.slabs) * channels) return;
    taps.mask = keep(planned, mask.data(), static_cast<int64_t>(mask.size()));
}

// Pads the slabs to whole vectors, and sees whether every channel meets its own.
static void keep_diagonal(PlannedLayer& planned, const Plan& plan, const Layer& source, const TapsArguments& a, Taps& taps) {
    const int64_t channels = source.channels, padded = source.padded;
    const size_t item = plan.item();
    std::vector<int32_t> target(static_cast<size_t>(a.slabs * padded), -1);
    Buffer factor(target.size() * item);
    factor.clear();
    bool own = planned.layer.padded >= padded;
    for (int64_t slab = 0; slab < a.slabs; ++slab) {
        for (int64_t c = 0; c < channels; ++c) {
            const int32_t to = a.target[slab * channels + c];
            target[slab * padded + c] = to;
            own &= to == c || to == -1;
        }
        std::memcpy(static_cast<char*>(factor.get()) + slab * padded * item,
                    static_cast<const char*>(a.factor) + slab * channels * item, channels * item);
    }
    taps.kind = own ? TAPS_IDENTITY : TAPS_DIAGONAL;
    taps.stride = static_cast<int32_t>(padded);
    taps.target = keep(planned, target.data(), static_cast<int64_t>(target.size()));
    taps.factor = factor.get();
    planned.owned.push_back(std::move(factor));
}

// Lays out the narrow rows once more for sums over all channels, if no payload that comes through them is wider than a byte.
static void pack_rows(const Plan& plan, PlannedLayer& planned) {
    if (plan.wide || planned.rows.empty() || supported_level() < SP_AVX512) return;
    for (const Taps& taps : planned.taps)
        if (taps.kind == TAPS_NARROW && plan.layers[taps.source].largest > 127) return;
    const size_t padded = planned.layer.padded, rows = planned.rows.size() / padded;
    planned.packed.resize((rows + 3) / 4 * 4 * padded + 64);
    for (size_t row = 0; row < rows; ++row)
        for (size_t k = 0; k < padded; ++k)
            planned.packed[(row / 4 * padded + k) * 4 + row % 4] = static_cast<uint8_t>(planned.rows[row * padded + k] + 128);
    planned.layer.packed = planned.packed.data();
    planned.can_sum = true;
}

// Call it once, when all layers and taps are there. From that part of the channels on that send in a step, sums over all of them are
// taken instead of lists of rows.
SP_API int32_t sp_plan_finish(void* handle, double dense_from) {
    return guarded([&] {
        Plan& plan = *static_cast<Plan*>(handle);
        plan.dense_from = dense_from;
        for (PlannedLayer& planned : plan.layers) {
            pack_rows(plan, planned);
            planned.host_layer = planned.layer;
            planned.layer.taps = planned.taps.data(), planned.layer.n_taps = static_cast<int32_t>(planned.taps.size());
            planned.rows.resize(planned.rows.size() + 64);  // the last row is read in whole vectors
            planned.host_rows.resize(planned.host_rows.size() + 64);
            planned.layer.rows = planned.rows.data();
            planned.host_layer.taps = planned.host_taps.data();
            planned.host_layer.n_taps = static_cast<int32_t>(planned.host_taps.size());
            planned.host_layer.rows = planned.host_rows.data();
        }
        return static_cast<int32_t>(SP_OK);
    });
}

// State for a number of samples that are stepped together, at most `steps` at a time. The plan must outlive it.
SP_API int32_t sp_run_new(const void* plan, int32_t samples, int32_t steps, int32_t threads, int32_t traced, void** made) {
    return guarded([&] {
        if (steps < 1 || steps > MAX_CHUNK || threads < 1) throw "a chunk has 1 to 64 steps, and at least one thread";
        auto run = std::make_unique<Run>();
        run->plan = static_cast<const Plan*>(plan);
        run->samples = samples, run->steps = steps, run->threads = threads, run->traced = traced != 0;
        const Plan& p = *run->plan;
        run->states.resize(samples);
        for (SampleState& state : run->states) make_state(p, state);
        run->lanes.resize(samples >= 2 * threads ? threads : 1);
        for (Lane& lane : run->lanes) {
            make_lane(p, steps, run->traced, lane);
            const PlannedLayer& input = p.layers.front();
            if (!input.host)
                lane.traces[0] = Buffer(static_cast<size_t>(input.layer.pixels) * steps * input.layer.padded * p.item());
            lane.signals[0].value_step = input.host ? 0 : input.layer.padded;
        }
        run->workers.resize(threads);
        for (Worker& worker : run->workers) make_worker(p, steps, worker);
        run->biased.resize(p.layers.size());
        for (const PlannedLayer& planned : p.layers) run->bias.emplace_back(planned.bias.size() * steps);
        *made = run.release();
        ++objects;
        return static_cast<int32_t>(SP_OK);
    });
}

SP_API void sp_run_free(void* run) {
    if (run == nullptr) return;
    delete static_cast<Run*>(run);
    --objects;
}

// Begins samples: values of host sources by layer, V [sample][channel][pixel].
SP_API int32_t sp_run_begin(void* handle, int32_t samples, const void* const* values) {
    return guarded([&] {
        Run& run = *static_cast<Run*>(handle);
        if (run.plan->wide) begin_group<int64_t>(run, samples, run.threads, values);
        else begin_group<int32_t>(run, samples, run.threads, values);
        return static_cast<int32_t>(SP_OK);
    });
}

// Steps `wanted` samples through steps [first, first + steps). `events` is null for static input.
SP_API int32_t sp_run_steps(void* handle, int32_t samples, int32_t first, int32_t steps, const uint8_t* wanted, const Events* events,
                            const Outputs* outputs) {
    return guarded([&] {
        Run& run = *static_cast<Run*>(handle);
        if (steps < 1 || steps > run.steps || samples > run.samples) throw "more steps or samples than the run has room for";
        return run.plan->wide ? step_group<int64_t>(run, samples, first, steps, run.threads, wanted, events, *outputs)
                              : step_group<int32_t>(run, samples, first, steps, run.threads, wanted, events, *outputs);
    });
}

// What a layer that host sources feed takes in every step from now on, instead of its share; V [sample][channel][pixel].
SP_API int32_t sp_run_currents(void* handle, int32_t layer, int32_t samples, const void* values) {
    return guarded([&] {
        Run& run = *static_cast<Run*>(handle);
        if (samples > run.samples) throw "more samples than the run has room for";
        if (layer < 0 || layer >= static_cast<int32_t>(run.plan->layers.size()) || run.plan->layers[layer].host_taps.empty())
            throw "a layer that no host source feeds";
        if (run.plan->wide) set_currents<int64_t>(run, layer, samples, static_cast<const int64_t*>(values));
        else set_currents<int32_t>(run, layer, samples, static_cast<const int32_t*>(values));
        return static_cast<int32_t>(SP_OK);
    });
}

// What the neurons of a layer have sent so far, [sample][channel][pixel].
SP_API int32_t sp_run_counts(const void* handle, int32_t layer, int32_t samples, int64_t* counts) {
    return guarded([&] {
        const Run& run = *static_cast<const Run*>(handle);
        if (run.plan->wide) copy_counts<int64_t>(run, layer, samples, counts);
        else copy_counts<int32_t>(run, layer, samples, counts);
        return static_cast<int32_t>(SP_OK);
    });
}
