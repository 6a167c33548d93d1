// Kernels of placed programs whose cores step together: what spikes do to the neurons of a block, and a step of its neurons.
//
// A block is a rectangle of pixels and channels of one group. Its neurons are stored by pixel: (pixel, channel) lies at
// pixel * padded + channel, lanes beyond the channels are silent. `V` is int32_t where proved bounds allow it, else int64_t.
#pragma once

#include "dispatch.h"

namespace sp {

enum LockstepKind : int32_t {
    LOCKSTEP_LINES = -1,  // spikes from outside
    LOCKSTEP_ACCUMULATOR = 0,
    LOCKSTEP_PLAIN = 1,
    LOCKSTEP_SIGNED = 2,
    LOCKSTEP_PHASED = 3,
    LOCKSTEP_RADIX = 4,
    LOCKSTEP_GRADED = 5,
    LOCKSTEP_BANK = 6,
    LOCKSTEP_MAXIMUM = 7,
    LOCKSTEP_STAIRCASE = 8,
    LOCKSTEP_THERMOMETER = 9,
    LOCKSTEP_DIGITS = 10,
    LOCKSTEP_LEVELS = 11,
    LOCKSTEP_CUBA2 = 12,  // fixed-point neurons from here on
    LOCKSTEP_CUBA1 = 13,
    LOCKSTEP_SIGMA_DELTA = 14,
    LOCKSTEP_RESONATE = 15,
    LOCKSTEP_IZHIKEVICH = 16,
    LOCKSTEP_GRADED_THRESHOLD = 17,
};

constexpr int32_t LOCKSTEP_PARAMETERS = 7;

// What all neurons of a group have in common.
struct LockstepGroup {
    int32_t kind, pixels, channels;
    int32_t offset;        // its own step 0 is this step of the chip
    int32_t presentation;  // steps over which biases are split
    int32_t opens_at, closes_at, bits, flag, places, table_size;  // flag of lines: what enters in a step was sent in the one before
    int64_t low, high;
};

// Parameters of a block, V [neuron] each; in the order that spikeport.native.lockstep states.
struct LockstepNeurons {
    int64_t count;                            // neurons, silent lanes included
    const void* parameters[LOCKSTEP_PARAMETERS];
    const void* table;                        // V [entry][neuron]
    const uint8_t* inside;                    // [pixel][place] whether a window's place is no padding
    int32_t pixels, padded;
    void *v, *second, *third, *sent;          // state, V [neuron]; of maxima v is V [pixel][place][padded]
};

enum LockstepWeights : int32_t {
    LOCKSTEP_ROWS16 = 0,
    LOCKSTEP_ROWS32 = 1,
    LOCKSTEP_DIAGONAL = 2,
    LOCKSTEP_SPARSE = 3,
    LOCKSTEP_ROWS8 = 4,
};

// Synapses from a group to a block. What a spike of source pixel p does: for its taps i from offsets[p] to offsets[p + 1], the row of
// its channel in slab[i] is added to pixel[i]. Sparse ones are kept by flat source index, with positions in the block.
struct LockstepArc {
    int32_t weights, channels, padded, source_pixels;
    int32_t up;                 // weights of rows are kept shifted to the right by so many bits
    const int64_t* offsets;
    const int32_t *pixel, *slab;
    const void* rows;           // [slab][source channel][padded]; of sparse ones int32_t, one a synapse
    const int32_t* to;          // diagonal: [slab][source channel] which channel, -1 for none
    const int32_t* factor;
};

enum : int32_t { LOCKSTEP_HANDS_24 = 1, LOCKSTEP_SUMS_32 = 2 };

// Where a block lies in its group.
struct LockstepPlace {
    int32_t first_pixel, first_channel, channels;
};

struct LockstepSpikes {
    const int32_t *pixel, *channel;
    const void* value;  // V
    int64_t count;
};

}  // namespace sp

// sums[neuron] += weight * value, for all spikes.
SP_DECLARE(void, lockstep_deliver32, (const LockstepArc& arc, const LockstepSpikes& spikes, int32_t* sums))
SP_DECLARE(void, lockstep_deliver64, (const LockstepArc& arc, const LockstepSpikes& spikes, int64_t* sums))
// Adds the sums, shifted, to what arrives; clears them. LOCKSTEP_HANDS_24: the shifted ones wrap at 24 bits; LOCKSTEP_SUMS_32: they
// themselves wrap at 32 bits before, which matters where they are shifted to the right.
SP_DECLARE(void, lockstep_arrive32, (int32_t* sums, int32_t* arriving, int64_t count, int32_t shift, int32_t wraps))
SP_DECLARE(void, lockstep_arrive64, (int64_t* sums, int64_t* arriving, int64_t count, int32_t shift, int32_t wraps))
// One step of a block, in step `step` of the group's own time. What arrived is read and cleared, `sends` gets the payloads.
SP_DECLARE(void, lockstep_update32, (const LockstepGroup& group, const LockstepNeurons& neurons, int32_t step, int32_t* arrived,
                                     int32_t* imag, int32_t* sends))
SP_DECLARE(void, lockstep_update64, (const LockstepGroup& group, const LockstepNeurons& neurons, int32_t step, int64_t* arrived,
                                     int64_t* imag, int64_t* sends))
// Lists what was sent, by pixel and then channel of the group. Gives their number.
SP_DECLARE(int64_t, lockstep_collect32, (const LockstepNeurons& neurons, const LockstepPlace& place, const int32_t* sends,
                                         int32_t* pixel, int32_t* channel, int32_t* value))
SP_DECLARE(int64_t, lockstep_collect64, (const LockstepNeurons& neurons, const LockstepPlace& place, const int64_t* sends,
                                         int32_t* pixel, int32_t* channel, int64_t* value))
// How many entries are not zero.
SP_DECLARE(int64_t, lockstep_count, (const int64_t* raster, int64_t count))
// What of a raster (step, sample, neuron) is not zero, by sample and then step: begins of steps, and their end, of each sample, which
// are steps + 1 entries; then the neurons and values themselves. Gives their number.
SP_DECLARE(int64_t, lockstep_list, (const int64_t* raster, int64_t steps, int64_t samples, int64_t size, int64_t* offsets,
                                 int32_t* neurons, int64_t* values))
