// The neurons of a population over a window of time: integrate, compare, fire, subtract, with nothing but their own state. A block
// of neurons takes all steps before the next block, so that its state stays in the nearest cache and what arrives is read once.
#include "kernels/scan.h"

#include "abi.h"
#include "parallel.h"

namespace sp {
namespace SP_NAMESPACE {

namespace {

constexpr int64_t BLOCK = 2048;

template <typename Value, typename State>
struct Block {
    Value* __restrict now;
    State* __restrict v;
    State* __restrict sent;
    int64_t first, size;
};

template <typename Value, typename State>
int64_t step_signed(const ScanJob& job, const Block<Value, State>& block) {
    const State* __restrict threshold = static_cast<const State*>(job.threshold) + block.first;
    const State low = static_cast<State>(job.low), high = static_cast<State>(job.high);
    State events = 0;
    for (int64_t n = 0; n < block.size; ++n) {
        const State v = block.v[n] + static_cast<State>(block.now[n]), sent = block.sent[n];
        const State up = (v >= threshold[n]) & (sent < high), down = (v < 0) & (sent > low);
        const State spike = up - down;
        block.v[n] = v - (up ? threshold[n] : 0) + (down ? threshold[n] : 0);
        block.sent[n] = sent + spike;
        block.now[n] = static_cast<Value>(spike);
        events += up | down;
    }
    return events;
}

template <typename Value, typename State>
int64_t step_binary(const ScanJob& job, const Block<Value, State>& block, int64_t step) {
    const State* __restrict threshold = static_cast<const State*>(job.threshold) + block.first;
    const State charge = static_cast<State>(job.charge[step]), worth = static_cast<State>(job.worth[step]);
    if (charge != 0) {
        const State* __restrict release = static_cast<const State*>(job.release) + block.first;
        for (int64_t n = 0; n < block.size; ++n) block.v[n] += charge * release[n];
    }
    State events = 0;
    if (worth == 0) {
        for (int64_t n = 0; n < block.size; ++n) {
            block.v[n] += static_cast<State>(block.now[n]);
            block.now[n] = 0;
        }
        return 0;
    }
    const Value value = static_cast<Value>(worth);
    for (int64_t n = 0; n < block.size; ++n) {
        const State v = block.v[n] + static_cast<State>(block.now[n]), price = threshold[n] * worth;
        const State fires = v >= price;
        block.v[n] = v - (fires ? price : 0);
        block.sent[n] += fires ? worth : 0;
        block.now[n] = fires ? value : static_cast<Value>(0);
        events += fires;
    }
    return events;
}

template <typename Value, typename State>
int64_t step_climb(const ScanJob& job, const Block<Value, State>& block) {
    const State* __restrict table = static_cast<const State*>(job.table);
    const int64_t* __restrict row = job.row + block.first;
    int64_t events = 0;
    for (int64_t n = 0; n < block.size; ++n) {
        const State v = block.v[n] + static_cast<State>(block.now[n]);
        const int64_t climbed = static_cast<int64_t>(block.sent[n]) - job.low;
        const int64_t next = climbed < job.levels ? climbed : job.levels - 1, last = climbed > 0 ? climbed - 1 : 0;
        const State up = (climbed < job.levels) & (v >= table[next * job.rows + row[n]]);
        const State down = (climbed > 0) & (v < table[last * job.rows + row[n]]);
        const State spike = up - down;
        block.v[n] = v;
        block.sent[n] += spike;
        block.now[n] = static_cast<Value>(spike);
        events += spike != 0;
    }
    return events;
}

template <typename Value, typename State>
void scan_block(const ScanJob& job, int64_t index) {
    const int64_t blocks = (job.neurons + BLOCK - 1) / BLOCK;
    const int64_t sample = index / blocks, first = index % blocks * BLOCK;
    const int64_t size = job.neurons - first < BLOCK ? job.neurons - first : BLOCK;
    const int64_t place = sample * job.neurons + first, stride = job.batch * job.neurons;
    Block<Value, State> block{static_cast<Value*>(job.arriving) + place, static_cast<State*>(job.v) + place,
                              static_cast<State*>(job.sent) + place, first, size};
    for (int64_t t = 0; t < job.steps; ++t) {
        const int64_t events = job.rule == 0   ? step_signed(job, block)
                               : job.rule == 1 ? step_binary(job, block, t)
                                               : step_climb(job, block);
        if (events != 0) __atomic_fetch_add(job.events + t * job.batch + sample, events, __ATOMIC_RELAXED);
        if (job.potentials != nullptr) {
            State* __restrict kept = static_cast<State*>(job.potentials) + t * stride + place;
            for (int64_t n = 0; n < size; ++n) kept[n] = block.v[n];
        }
        block.now += stride;
    }
}

}  // namespace

void scan_piece(const ScanJob& job, int64_t index) {
    if (job.wide_values) {
        job.wide_state ? scan_block<double, int64_t>(job, index) : scan_block<double, int32_t>(job, index);
    } else {
        job.wide_state ? scan_block<float, int64_t>(job, index) : scan_block<float, int32_t>(job, index);
    }
}

#if SP_LEVEL == SP_PORTABLE
constexpr int64_t block_of_scan = BLOCK;
#endif

}  // namespace SP_NAMESPACE
}  // namespace sp

#if SP_LEVEL == SP_PORTABLE
SP_API int32_t sp_scan(const sp::ScanJob* job) {
    if (job->rule < 0 || job->rule > 2) return sp::fail(SP_BAD_ARGUMENT, "scan: no such rule");
    const int64_t block = sp::portable::block_of_scan;
    sp::parallel_for(job->batch * ((job->neurons + block - 1) / block), job->threads,
                     [job](int64_t index, int32_t) { SP_DISPATCH(scan_piece, *job, index); });
    return SP_OK;
}
#endif
