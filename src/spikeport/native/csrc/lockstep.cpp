// Placed programs and their state: cores step together, and a spike of one step reaches other cores in a later one.
//
// A block is what of a group lies on one core, or on cores side by side. In step t it takes the spikes of step t - 1 from the outboxes
// of all blocks that reach it, adds them up in the slot of the step in which they are due, takes the slot of t, steps its neurons and
// puts their spikes into its own outbox of t.
// Outboxes are two, by the parity of the step: nobody reads what is being written, and the order of blocks does not matter.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <type_traits>
#include <vector>

#include "abi.h"
#include "kernels/lockstep.h"
#include "memory.h"
#include "parallel.h"

namespace sp {

namespace {

constexpr int64_t WORTH_THREADS = 1 << 14;  // neurons from which blocks of one sample are shared out

struct Kept {
    struct Free {
        void operator()(void* p) const { std::free(p); }
    };
    std::unique_ptr<void, Free> data;
    Kept() = default;
    explicit Kept(size_t bytes) : data(bytes == 0 ? nullptr : take_memory(bytes)) {}
    Kept(const void* from, size_t bytes) : Kept(bytes) {
        if (bytes != 0) std::memcpy(data.get(), from, bytes);
    }
    template <typename T>
    T* as() const { return static_cast<T*>(data.get()); }
};

struct Arc {
    LockstepArc arc{};
    int32_t source = 0, delay = 0, shift = 0;
    int32_t wraps = 0;
    bool imag = false;
};

struct Block {
    int32_t group = 0, first_pixel = 0, first_channel = 0, channels = 0, slots = 1;
    LockstepNeurons neurons{};  // without state
    const void* initial = nullptr;
    bool has_imag = false;
    std::vector<Arc> arcs;
};

struct Program {
    bool wide = false;
    std::vector<LockstepGroup> groups;
    std::vector<Block> blocks;
    std::vector<std::vector<int32_t>> blocks_of;  // by group
    std::vector<Kept> kept;
    int64_t largest_membrane = 0, largest_count = 0, neurons = 0;
    size_t item() const { return wide ? 8 : 4; }
    const void* keep(const void* from, size_t bytes) {
        if (from == nullptr) return nullptr;
        kept.emplace_back(from, bytes);
        return kept.back().as<void>();
    }
};

struct Outbox {
    int32_t *pixel = nullptr, *channel = nullptr;
    void* value = nullptr;
    int64_t count = 0;
};

struct BlockState {
    Kept memory;
    void *v = nullptr, *second = nullptr, *third = nullptr, *sent = nullptr, *ring = nullptr, *imag = nullptr;
    Outbox outbox[2];
};

struct LineState {
    std::vector<int32_t> pixel[2], channel[2];
    std::vector<int32_t> value32[2];
    std::vector<int64_t> value64[2];
};

struct Sample {
    std::vector<BlockState> blocks;
    std::vector<LineState> lines;  // by group; empty where it is none
};

struct Scratch {
    Kept sums, sends;
};

struct State {
    const Program* program = nullptr;
    int32_t threads = 1;
    std::vector<Sample> samples;
    std::vector<Scratch> scratch;
};

int64_t membrane(const Program& program, const Block& block) {
    return block.neurons.count * program.groups[block.group].places;
}

void make_sample(const Program& program, Sample& sample) {
    sample.lines.resize(program.groups.size());
    for (const Block& block : program.blocks) {
        const size_t item = program.item(), inner = static_cast<size_t>(membrane(program, block)) * item;
        const size_t own = static_cast<size_t>(block.neurons.count) * item, indices = static_cast<size_t>(block.neurons.count) * 4;
        const auto room = [](size_t bytes) { return (bytes + LINE - 1) / LINE * LINE; };
        const size_t ring = room(inner * block.slots);
        const size_t total = room(inner) + 3 * room(own) + ring * (block.has_imag ? 2 : 1) + 2 * (2 * room(indices) + room(own));
        BlockState state;
        state.memory = Kept(total);
        uint8_t* at = state.memory.as<uint8_t>();
        const auto take = [&](size_t bytes) {
            uint8_t* found = at;
            at += room(bytes);
            return static_cast<void*>(found);
        };
        state.v = take(inner), state.second = take(own), state.third = take(own), state.sent = take(own);
        state.ring = take(inner * block.slots);
        if (block.has_imag) state.imag = take(inner * block.slots);
        for (Outbox& box : state.outbox)
            box.pixel = static_cast<int32_t*>(take(indices)), box.channel = static_cast<int32_t*>(take(indices)), box.value = take(own);
        sample.blocks.push_back(std::move(state));
    }
}

void reset_sample(const Program& program, Sample& sample) {
    for (LineState& line : sample.lines)
        for (int parity = 0; parity < 2; ++parity)
            line.pixel[parity].clear(), line.channel[parity].clear(), line.value32[parity].clear(), line.value64[parity].clear();
    for (size_t b = 0; b < program.blocks.size(); ++b) {
        const Block& block = program.blocks[b];
        BlockState& state = sample.blocks[b];
        const size_t item = program.item(), inner = static_cast<size_t>(membrane(program, block)) * item;
        const size_t own = static_cast<size_t>(block.neurons.count) * item;
        if (block.initial != nullptr) std::memcpy(state.v, block.initial, own);
        else std::memset(state.v, 0, inner);
        std::memset(state.second, 0, own), std::memset(state.third, 0, own), std::memset(state.sent, 0, own);
        std::memset(state.ring, 0, inner * block.slots);
        if (block.has_imag) std::memset(state.imag, 0, inner * block.slots);
        for (Outbox& box : state.outbox) box.count = 0;
    }
}

void widen(const void* from, void* to, int64_t count) {
    for (int64_t i = 0; i < count; ++i) static_cast<int64_t*>(to)[i] = static_cast<const int32_t*>(from)[i];
}

void widen_sample(const Program& program, const Sample& from, Sample& to) {
    for (size_t g = 0; g < from.lines.size(); ++g)
        for (int parity = 0; parity < 2; ++parity) {
            const LineState& line = from.lines[g];
            to.lines[g].pixel[parity] = line.pixel[parity], to.lines[g].channel[parity] = line.channel[parity];
            to.lines[g].value64[parity].assign(line.value32[parity].begin(), line.value32[parity].end());
        }
    for (size_t b = 0; b < program.blocks.size(); ++b) {
        const Block& block = program.blocks[b];
        const BlockState& a = from.blocks[b];
        BlockState& z = to.blocks[b];
        const int64_t inner = membrane(program, block), count = block.neurons.count;
        widen(a.v, z.v, inner), widen(a.second, z.second, count), widen(a.third, z.third, count), widen(a.sent, z.sent, count);
        widen(a.ring, z.ring, inner * block.slots);
        if (block.has_imag) widen(a.imag, z.imag, inner * block.slots);
        for (int parity = 0; parity < 2; ++parity) {
            const Outbox& box = a.outbox[parity];
            Outbox& copy = z.outbox[parity];
            copy.count = box.count;
            std::memcpy(copy.pixel, box.pixel, static_cast<size_t>(box.count) * 4);
            std::memcpy(copy.channel, box.channel, static_cast<size_t>(box.count) * 4);
            widen(box.value, copy.value, box.count);
        }
    }
}

// ---- a chunk of steps

struct LineInput {
    const int64_t* offsets;  // [sample][row]: spikes of step first + i are offsets[i] to offsets[i + 1]
    int64_t row;
    const uint32_t* neurons;  // flat
    const int64_t* values;
};

struct Outputs {
    int32_t* const* rasters;       // by group: [step][sample][neuron], zeros before; or null
    int64_t* const* wide_rasters;  // the same of groups whose payloads are asked for in 64 bits
    int64_t* const* potentials;    // by group
    int64_t* const* seconds;       // by group
};

template <typename V> std::vector<V>& values_of(LineState& line, int parity);
template <> std::vector<int32_t>& values_of<int32_t>(LineState& line, int parity) { return line.value32[parity]; }
template <> std::vector<int64_t>& values_of<int64_t>(LineState& line, int parity) { return line.value64[parity]; }

template <typename V>
void take_lines(const Program& program, Sample& sample, const LineInput* inputs, int64_t which, int32_t i, int32_t step) {
    for (size_t g = 0; g < program.groups.size(); ++g) {
        const LockstepGroup& group = program.groups[g];
        if (group.kind != LOCKSTEP_LINES) continue;
        const int parity = (step & 1) ^ (group.flag != 0);  // what is prompt was sent in the step before
        LineState& line = sample.lines[g];
        std::vector<V>& values = values_of<V>(line, parity);
        line.pixel[parity].clear(), line.channel[parity].clear(), values.clear();
        if (inputs[g].offsets == nullptr) continue;
        const int64_t* offsets = inputs[g].offsets + which * inputs[g].row;
        for (int64_t k = offsets[i]; k < offsets[i + 1]; ++k) {
            line.pixel[parity].push_back(static_cast<int32_t>(inputs[g].neurons[k] % group.pixels));
            line.channel[parity].push_back(static_cast<int32_t>(inputs[g].neurons[k] / group.pixels));
            values.push_back(static_cast<V>(inputs[g].values[k]));
        }
    }
}

template <typename V>
void deliver(const LockstepArc& arc, const LockstepSpikes& spikes, V* sums) {
    if constexpr (sizeof(V) == 8) SP_DISPATCH(lockstep_deliver64, arc, spikes, sums);
    else SP_DISPATCH(lockstep_deliver32, arc, spikes, sums);
}

template <typename V>
void receive(const Program& program, Sample& sample, const Block& block, BlockState& state, int32_t step, Scratch& scratch) {
    const int before = (step & 1) ^ 1;
    const int64_t inner = membrane(program, block);
    for (const Arc& arc : block.arcs) {
        V* ring = static_cast<V*>(arc.imag ? state.imag : state.ring) + inner * ((step + arc.delay) % block.slots);
        const bool direct = arc.shift == 0 && arc.wraps == 0;
        V* sums = direct ? ring : scratch.sums.as<V>();
        bool any = false;
        const auto from = [&](const int32_t* pixel, const int32_t* channel, const V* value, int64_t count) {
            if (count == 0) return;
            deliver<V>(arc.arc, LockstepSpikes{pixel, channel, value, count}, sums);
            any = true;
        };
        if (program.groups[arc.source].kind == LOCKSTEP_LINES) {
            LineState& line = sample.lines[arc.source];
            from(line.pixel[before].data(), line.channel[before].data(), values_of<V>(line, before).data(),
                 static_cast<int64_t>(line.pixel[before].size()));
        } else {
            for (const int32_t b : program.blocks_of[arc.source]) {
                const Outbox& box = sample.blocks[b].outbox[before];
                from(box.pixel, box.channel, static_cast<const V*>(box.value), box.count);
            }
        }
        if (!any || direct) continue;
        if constexpr (sizeof(V) == 8) SP_DISPATCH(lockstep_arrive64, sums, ring, inner, arc.shift, arc.wraps);
        else SP_DISPATCH(lockstep_arrive32, sums, ring, inner, arc.shift, arc.wraps);
    }
}

template <typename V>
void copy_out(const LockstepGroup& group, const Block& block, const V* from, int64_t* to) {
    const LockstepNeurons& n = block.neurons;
    for (int64_t p = 0; p < n.pixels; ++p)
        for (int64_t c = 0; c < block.channels; ++c)
            to[(block.first_channel + c) * group.pixels + block.first_pixel + p] = from[p * n.padded + c];
}

template <typename V>
void step_block(const State& all, Sample& sample, int64_t which, size_t index, int32_t step, int32_t i, const Outputs& out,
                Scratch& scratch) {
    const Program& program = *all.program;
    const Block& block = program.blocks[index];
    const LockstepGroup& group = program.groups[block.group];
    BlockState& state = sample.blocks[index];
    receive<V>(program, sample, block, state, step, scratch);
    Outbox& box = state.outbox[step & 1];
    box.count = 0;
    const int32_t own = step - group.offset;
    LockstepNeurons neurons = block.neurons;
    neurons.v = state.v, neurons.second = state.second, neurons.third = state.third, neurons.sent = state.sent;
    const int64_t size = static_cast<int64_t>(group.pixels) * group.channels;
    const int64_t at = (static_cast<int64_t>(i) * static_cast<int64_t>(all.samples.size()) + which) * size;
    if (own >= 0) {
        const int64_t inner = membrane(program, block);
        V* arrived = static_cast<V*>(state.ring) + inner * (step % block.slots);
        V* imag = block.has_imag ? static_cast<V*>(state.imag) + inner * (step % block.slots) : nullptr;
        V* sends = scratch.sends.as<V>();
        if constexpr (sizeof(V) == 8) SP_DISPATCH(lockstep_update64, group, neurons, own, arrived, imag, sends);
        else SP_DISPATCH(lockstep_update32, group, neurons, own, arrived, imag, sends);
        if (group.kind != LOCKSTEP_ACCUMULATOR) {
            const LockstepPlace place{block.first_pixel, block.first_channel, block.channels};
            V* value = static_cast<V*>(box.value);
            if constexpr (sizeof(V) == 8) box.count = SP_DISPATCH(lockstep_collect64, neurons, place, sends, box.pixel, box.channel, value);
            else box.count = SP_DISPATCH(lockstep_collect32, neurons, place, sends, box.pixel, box.channel, value);
            const auto show = [&](auto* raster) {
                if (raster == nullptr) return;
                raster += at;
                for (int64_t k = 0; k < box.count; ++k)
                    raster[static_cast<int64_t>(box.channel[k]) * group.pixels + box.pixel[k]] =
                        static_cast<std::remove_reference_t<decltype(*raster)>>(value[k]);
            };
            show(out.rasters[block.group]), show(out.wide_rasters[block.group]);
        }
    }
    if (group.places == 1 && group.kind != LOCKSTEP_MAXIMUM) {
        if (out.potentials[block.group] != nullptr) copy_out<V>(group, block, static_cast<V*>(state.v), out.potentials[block.group] + at);
        if (out.seconds[block.group] != nullptr) copy_out<V>(group, block, static_cast<V*>(state.second), out.seconds[block.group] + at);
    }
}

template <typename V>
void run(State& state, int32_t first, int32_t steps, const LineInput* inputs, const Outputs& out) {
    const Program& program = *state.program;
    const int64_t samples = static_cast<int64_t>(state.samples.size());
    // a step of few neurons is over before another thread has begun
    if (samples > 1 || state.threads == 1 || program.neurons < WORTH_THREADS) {
        const auto each = [&](int64_t s, int32_t worker) {
            Sample& sample = state.samples[s];
            for (int32_t i = 0; i < steps; ++i) {
                take_lines<V>(program, sample, inputs, s, i, first + i);
                for (size_t b = 0; b < program.blocks.size(); ++b) step_block<V>(state, sample, s, b, first + i, i, out, state.scratch[worker]);
            }
        };
        parallel_for(samples, state.threads, each);
        return;
    }
    for (int64_t s = 0; s < samples; ++s) {
        Sample& sample = state.samples[s];
        for (int32_t i = 0; i < steps; ++i) {
            take_lines<V>(program, sample, inputs, s, i, first + i);
            parallel_for(static_cast<int64_t>(program.blocks.size()), state.threads, [&](int64_t b, int32_t worker) {
                step_block<V>(state, sample, s, static_cast<size_t>(b), first + i, i, out, state.scratch[worker]);
            });
        }
    }
}

// Brings what was sent in the step before `step` where it will arrive, as that step would, so that nothing waits in an outbox.
template <typename V>
void flush(State& state, int32_t step) {
    const Program& program = *state.program;
    const int before = (step & 1) ^ 1;
    for (Sample& sample : state.samples) {
        const auto forget = [&](bool prompt) {
            for (size_t g = 0; g < program.groups.size(); ++g) {
                if (program.groups[g].kind != LOCKSTEP_LINES || (prompt && program.groups[g].flag == 0)) continue;
                LineState& line = sample.lines[g];
                line.pixel[before].clear(), line.channel[before].clear(), values_of<V>(line, before).clear();
            }
        };
        forget(true);  // what these sent for the step before was heard in it
        for (size_t b = 0; b < program.blocks.size(); ++b) receive<V>(program, sample, program.blocks[b], sample.blocks[b], step, state.scratch[0]);
        forget(false);
        for (BlockState& block : sample.blocks) block.outbox[before].count = 0;
    }
}

// What a state is read from and written to: v, second, third, the ring and that of the second port.
enum Which : int32_t { HELD_V = 0, HELD_SECOND = 1, HELD_THIRD = 2, HELD_RING = 3, HELD_IMAG = 4 };

template <typename V>
V* held(const Program& program, const Block& block, const BlockState& state, int32_t which, int32_t step) {
    const int64_t at = membrane(program, block) * (step % block.slots);
    switch (which) {
        case HELD_V: return static_cast<V*>(state.v);
        case HELD_SECOND: return static_cast<V*>(state.second);
        case HELD_THIRD: return static_cast<V*>(state.third);
        case HELD_RING: return static_cast<V*>(state.ring) + at;
        default: return block.has_imag ? static_cast<V*>(state.imag) + at : nullptr;
    }
}

template <typename V>
void copy_in(const LockstepGroup& group, const Block& block, const int64_t* from, V* to) {
    const LockstepNeurons& n = block.neurons;
    for (int64_t p = 0; p < n.pixels; ++p)
        for (int64_t c = 0; c < block.channels; ++c)
            to[p * n.padded + c] = static_cast<V>(from[(block.first_channel + c) * group.pixels + block.first_pixel + p]);
}

}  // namespace

}  // namespace sp

using namespace sp;

SP_API int32_t sp_lockstep_new(int32_t groups, int32_t wide, void** made) {
    return guarded([&] {
        auto program = std::make_unique<Program>();
        program->wide = wide != 0;
        program->groups.resize(groups);
        program->blocks_of.resize(groups);
        *made = program.release();
        return static_cast<int32_t>(SP_OK);
    });
}

SP_API void sp_lockstep_free(void* handle) { delete static_cast<Program*>(handle); }

SP_API int32_t sp_lockstep_group(void* handle, int32_t index, const LockstepGroup* group) {
    return guarded([&] {
        if (group->pixels < 1 || group->channels < 1 || group->places < 1 || group->presentation < 1) throw "a group is empty";
        static_cast<Program*>(handle)->groups[index] = *group;
        return static_cast<int32_t>(SP_OK);
    });
}

struct BlockArguments {
    int32_t group, first_pixel, pixels, first_channel, channels, padded, slots, has_imag;
    const void* parameters[LOCKSTEP_PARAMETERS];
    const void *table, *initial, *inside;
};

// Parameters, table and initial potentials are V [neuron], silent lanes included; what is null is not used by the group's kind.
SP_API int32_t sp_lockstep_block(void* handle, const BlockArguments* a) {
    return guarded([&] {
        Program& program = *static_cast<Program*>(handle);
        const LockstepGroup& group = program.groups[a->group];
        Block block;
        block.group = a->group, block.first_pixel = a->first_pixel, block.first_channel = a->first_channel;
        block.channels = a->channels, block.slots = a->slots, block.has_imag = a->has_imag != 0;
        LockstepNeurons& n = block.neurons;
        n.pixels = a->pixels, n.padded = a->padded, n.count = static_cast<int64_t>(a->pixels) * a->padded;
        const size_t bytes = static_cast<size_t>(n.count) * program.item();
        for (int32_t k = 0; k < LOCKSTEP_PARAMETERS; ++k) n.parameters[k] = program.keep(a->parameters[k], bytes);
        n.table = program.keep(a->table, bytes * static_cast<size_t>(group.table_size));
        block.initial = program.keep(a->initial, bytes);
        n.inside = static_cast<const uint8_t*>(program.keep(a->inside, static_cast<size_t>(a->pixels) * group.places));
        const int64_t inner = n.count * group.places;
        if (inner > program.largest_membrane) program.largest_membrane = inner;
        if (n.count > program.largest_count) program.largest_count = n.count;
        program.neurons += n.count;
        program.blocks_of[a->group].push_back(static_cast<int32_t>(program.blocks.size()));
        program.blocks.push_back(std::move(block));
        return static_cast<int32_t>(program.blocks.size() - 1);
    });
}

struct ArcArguments {
    int32_t block, source, delay, shift, wraps, imag, weights, up;
    int64_t n_offsets, taps, slabs;
    const int64_t* offsets;
    const int32_t *pixel, *slab;
    const void* rows;
    const int32_t *to, *factor;
};

SP_API int32_t sp_lockstep_arc(void* handle, const ArcArguments* a) {
    return guarded([&] {
        Program& program = *static_cast<Program*>(handle);
        Block& block = program.blocks[a->block];
        const LockstepGroup& source = program.groups[a->source];
        if (a->delay < 0 || a->delay >= block.slots) throw "a delay is beyond the ring of its block";
        Arc arc;
        arc.source = a->source, arc.delay = a->delay, arc.shift = a->shift, arc.wraps = a->wraps, arc.imag = a->imag != 0;
        LockstepArc& found = arc.arc;
        found.weights = a->weights, found.up = a->up, found.channels = source.channels, found.padded = block.neurons.padded;
        found.source_pixels = source.pixels;
        const size_t slots = static_cast<size_t>(a->slabs) * source.channels, taps = static_cast<size_t>(a->taps);
        found.offsets = static_cast<const int64_t*>(program.keep(a->offsets, static_cast<size_t>(a->n_offsets) * 8));
        found.pixel = static_cast<const int32_t*>(program.keep(a->pixel, taps * 4));
        found.slab = static_cast<const int32_t*>(program.keep(a->slab, taps * 4));
        const size_t row = static_cast<size_t>(found.padded);
        const size_t item = a->weights == LOCKSTEP_ROWS8 ? 1 : a->weights == LOCKSTEP_ROWS16 ? 2 : 4;
        const size_t bytes = a->weights == LOCKSTEP_SPARSE ? taps * 4 : slots * row * item;
        found.rows = program.keep(a->rows, bytes);
        found.to = static_cast<const int32_t*>(program.keep(a->to, slots * 4));
        found.factor = static_cast<const int32_t*>(program.keep(a->factor, slots * 4));
        block.arcs.push_back(arc);
        return static_cast<int32_t>(SP_OK);
    });
}

// State of a number of samples. The program must outlive it.
SP_API int32_t sp_lockstep_state_new(const void* handle, int32_t samples, int32_t threads, void** made) {
    return guarded([&] {
        const Program& program = *static_cast<const Program*>(handle);
        auto state = std::make_unique<State>();
        state->program = &program;
        state->threads = threads < 1 ? 1 : threads;
        state->samples.resize(samples);
        for (Sample& sample : state->samples) make_sample(program, sample), reset_sample(program, sample);
        state->scratch.resize(state->threads);
        for (Scratch& scratch : state->scratch) {
            scratch.sums = Kept(static_cast<size_t>(program.largest_membrane) * program.item());
            if (scratch.sums.data) std::memset(scratch.sums.as<void>(), 0, static_cast<size_t>(program.largest_membrane) * program.item());
            scratch.sends = Kept(static_cast<size_t>(program.largest_count) * program.item());
        }
        *made = state.release();
        return static_cast<int32_t>(SP_OK);
    });
}

SP_API void sp_lockstep_state_free(void* handle) { delete static_cast<State*>(handle); }

SP_API int32_t sp_lockstep_reset(void* handle) {
    return guarded([&] {
        State& state = *static_cast<State*>(handle);
        for (Sample& sample : state.samples) reset_sample(*state.program, sample);
        return static_cast<int32_t>(SP_OK);
    });
}

// The state of a narrow program as that of a wide one of the same blocks.
SP_API int32_t sp_lockstep_widen(const void* narrow, void* wide) {
    return guarded([&] {
        const State& from = *static_cast<const State*>(narrow);
        State& to = *static_cast<State*>(wide);
        if (from.program->wide || !to.program->wide || from.program->blocks.size() != to.program->blocks.size() ||
            from.samples.size() != to.samples.size())
            throw "only a narrow state is widened, and into one of the same shape";
        for (size_t s = 0; s < from.samples.size(); ++s) widen_sample(*from.program, from.samples[s], to.samples[s]);
        return static_cast<int32_t>(SP_OK);
    });
}

// Steps [first, first + steps) of the chip, which follow those before.
SP_API int32_t sp_lockstep_run(void* handle, int32_t first, int32_t steps, const LineInput* inputs, const Outputs* out) {
    return guarded([&] {
        State& state = *static_cast<State*>(handle);
        if (state.program->wide) run<int64_t>(state, first, steps, inputs, *out);
        else run<int32_t>(state, first, steps, inputs, *out);
        return static_cast<int32_t>(SP_OK);
    });
}

// Before the others: what waits in outboxes goes to where it will arrive. `step` is the next one.
SP_API int32_t sp_lockstep_flush(void* handle, int32_t step) {
    return guarded([&] {
        State& state = *static_cast<State*>(handle);
        if (state.program->wide) flush<int64_t>(state, step);
        else flush<int32_t>(state, step);
        return static_cast<int32_t>(SP_OK);
    });
}

// Numbers of one group of fixed-point neurons and one sample; of what arrives, those of step `step`.
SP_API int32_t sp_lockstep_read(const void* handle, int32_t group, int32_t sample, int32_t which, int32_t step, int64_t* room) {
    return guarded([&] {
        const State& state = *static_cast<const State*>(handle);
        const Program& program = *state.program;
        for (const int32_t b : program.blocks_of[group]) {
            const Block& block = program.blocks[b];
            const BlockState& from = state.samples[sample].blocks[b];
            if (which == HELD_IMAG && !block.has_imag) continue;
            if (program.wide) copy_out(program.groups[group], block, held<int64_t>(program, block, from, which, step), room);
            else copy_out(program.groups[group], block, held<int32_t>(program, block, from, which, step), room);
        }
        return static_cast<int32_t>(SP_OK);
    });
}

// The same into a state that was just made, of a wide program.
SP_API int32_t sp_lockstep_write(void* handle, int32_t group, int32_t sample, int32_t which, int32_t step, const int64_t* given) {
    return guarded([&] {
        State& state = *static_cast<State*>(handle);
        const Program& program = *state.program;
        if (!program.wide) throw "only a wide state is written";
        for (const int32_t b : program.blocks_of[group]) {
            const Block& block = program.blocks[b];
            if (which == HELD_IMAG && !block.has_imag) continue;
            copy_in(program.groups[group], block, given, held<int64_t>(program, block, state.samples[sample].blocks[b], which, step));
        }
        return static_cast<int32_t>(SP_OK);
    });
}
