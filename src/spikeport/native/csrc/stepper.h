// A network laid out for stepping, and the state of a group of samples that are stepped through it.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "kernels/stepping.h"
#include "memory.h"

namespace sp {

// Memory of its own, aligned to whole vectors, not initialised; or a part of a larger piece that somebody else keeps.
class Buffer {
public:
    Buffer() = default;
    explicit Buffer(size_t bytes) {
        if (bytes == 0) return;
        data_.reset(take_memory(bytes));
        at_ = data_.get(), size_ = bytes;
    }
    Buffer(size_t bytes, uint8_t*& piece) {
        if (bytes == 0) return;
        at_ = piece, size_ = bytes, piece += (bytes + LINE - 1) / LINE * LINE;
    }
    Buffer(const void* from, size_t bytes) : Buffer(bytes) {
        if (bytes != 0) std::memcpy(at_, from, bytes);
    }
    void* get() const { return at_; }
    size_t size() const { return size_; }
    void clear() {
        if (size_ != 0) std::memset(at_, 0, size_);
    }

private:
    struct Free {
        void operator()(void* p) const { std::free(p); }
    };
    std::unique_ptr<void, Free> data_;
    void* at_ = nullptr;
    size_t size_ = 0;
};

enum class Payload : int32_t { None = 0, Once = 1, Always = 2 };

struct PlannedLayer {
    Layer layer{};
    bool is_source = false;  // values that enter from outside
    bool has_signs = false;
    bool host = false;       // constant: presented once, split over the presentation
    Payload payload = Payload::None;
    int64_t largest = 0;     // what one spike can count
    int32_t trace_of = -1;   // the layer whose potentials a maximum reads
    Buffer threshold, release, initial, bias, table;
    int64_t initial_stride = 0, bias_rows = 0;
    std::vector<Taps> taps, host_taps;
    std::vector<Buffer> owned;
    std::vector<int8_t, Paged<int8_t>> rows;
    std::vector<int8_t, Paged<int8_t>> host_rows;
    Layer host_layer{};
    size_t most_live = 0, most_rows = 0;
    std::vector<uint8_t, Paged<uint8_t>> packed;
    std::vector<double> work;  // of each connection: taps times channels; 0 unless narrow
    bool can_sum = false;      // all payloads that arrive through narrow taps fit a byte
};

struct Plan {
    int32_t presentation, wide;
    double dense_from = 0;
    std::vector<PlannedLayer> layers;
    size_t item() const { return wide ? 8 : 4; }
};

struct SampleState {
    Buffer memory;  // all that follows, in one piece
    std::vector<Buffer> v, sent, rests, share, rest, error;
    std::vector<int32_t> totals;  // events so far in each place of the input
    bool fresh = true;            // begun and not stepped: v, sent and rests are written by the first step
};

// Room for what crosses layers in one chunk of one sample.
struct Lane {
    std::vector<Signal> signals;
    std::vector<Buffer> memory, traces;
};

struct Worker {
    Scratch scratch{};
    std::vector<Buffer> memory;
};

struct Run {
    const Plan* plan;
    int32_t samples, steps, threads;
    bool traced;
    std::vector<SampleState> states;
    std::vector<Lane> lanes;
    std::vector<Worker> workers;
    std::vector<Buffer> bias;
    std::vector<uint64_t> biased;
};

}  // namespace sp
