// Event-driven stepping of one layer over a chunk of steps: what crosses layers, what a layer is made of, and its two kernels.
//
// Everything is stored by pixel: neuron (channel, pixel) of a population lies at pixel * padded + channel, padded being the number
// of channels rounded up to whole vectors. `V` is the type of potentials: int32_t where a proved bound allows it, else int64_t.
#pragma once

#include "dispatch.h"

namespace sp {

constexpr int32_t LANES = 16;      // channels are padded to multiples of this
constexpr int32_t MAX_CHUNK = 64;  // steps of a chunk: one bit each

enum NeuronKind : int32_t {
    NEURON_ACCUMULATOR = 0,
    NEURON_PLAIN = 1,
    NEURON_SIGNED = 2,
    NEURON_PHASED = 3,
    NEURON_RADIX = 4,
    NEURON_GRADED = 5,
    NEURON_BANK = 6,
    NEURON_MAXIMUM = 7,
    NEURON_STAIRCASE = 8,    // climbs and descends its table, one step at a time
    NEURON_THERMOMETER = 9,  // a step of its table in each step of time
    NEURON_DIGITS = 10,      // bisects its table, most significant bit first
    NEURON_LEVELS = 11,      // sends how many steps it has reached, once
};

// What one source sent in a chunk, one sample. Nothing is cleared: bits, signs and values of a pixel in a step are valid where
// the bit of that step is set in active[pixel].
struct Signal {
    int32_t pixels, channels, padded, words, steps;  // words of 64 channels; steps that there is room for
    uint64_t* active;                        // [pixel]
    uint64_t* bits;                          // [pixel][step][word] who sent
    uint64_t* signs;                         // the same, who sent a negative one; null where nobody can
    void* values;                            // V [pixel][step][padded] what was sent, signed; null where it is the worth
    int64_t value_step;                      // padded, or 0 where all steps share one place, since only one step sends
    int64_t worth[MAX_CHUNK];                // what a spike counts, by step
    bool weighted;                           // whether that is anything but one
    int64_t events;                          // spikes in the chunk
    uint64_t fired;                          // steps in which anything was sent
};

enum TapKind : int32_t { TAPS_NARROW = 0, TAPS_WIDE = 1, TAPS_DIAGONAL = 2, TAPS_IDENTITY = 3, TAPS_BITS = 4 };

// One connection. Neurons of target pixel o read source pixels pixel[i] through slabs slab[i], i from offsets[o] to offsets[o + 1].
struct Taps {
    int32_t kind, source, stride;  // stride: channels between the slabs, those of the source or (diagonal) padded
    const int32_t *offsets, *pixel, *slab;
    uint64_t base;          // narrow: the first of its rows in the layer's pool
    const void* wide;       // V [slab][channel][padded]
    const int32_t* target;  // diagonal: [slab][padded] which target channel, -1 for none; identity: each channel its own
    const void* factor;     // V [slab][padded]
    const uint64_t* mask;   // [slab][word] channels whose rows have weights; null where that is most of them
};

struct Layer {
    int32_t kind, pixels, channels, padded, words;
    int32_t n_taps, n_windows;
    const Taps* taps;
    const int8_t* rows;     // all narrow rows of the layer
    const uint8_t* packed;  // the same for whole sums: [row / 4][padded][row % 4], plus 128; null where they are not used
    // parameters, V [padded], one for each pixel where the stride is not 0
    const void *threshold, *release;
    int64_t threshold_stride, release_stride;
    int64_t low, high;
    int32_t opens_at, closes_at, bits;  // fires_at is opens_at; bits is the duration of a phase
    const void* table;                  // V [entry][padded], or [entry][pixel][padded]
    int64_t table_stride, table_step;   // by pixel, by entry
    int32_t table_size;
    // a maximum over windows: pixels of the layer before it, whose potentials it reads
    const int32_t *window_offsets, *window_pixel;
    const void* trace_of;  // V [pixel][step][padded]
};

// One sample's state of one layer.
struct State {
    void *v, *sent;                           // V [pixel][padded]
    uint8_t* rests;                           // [pixel] nothing fires unless something arrives
    const void *share, *rest;                 // V: a constant current divided by the presentation, and the remainder
    void* error;                              // V: how much of the remainder is due
    bool has_current;
};

struct Chunk {
    int32_t first, steps, presentation;  // first step, number of steps
    const void* bias;                    // V [step][padded], or [step][pixel][padded]
    int64_t bias_stride;                 // by pixel
    int64_t bias_step;
    uint64_t biased;                     // steps in which any bias share is not 0
    void* trace;                         // V [pixel][step][padded] potentials after each step, or null
    bool keep_all;                       // no step is skipped, so that the trace is whole
    bool dense;                          // sums over all channels instead of lists of rows: many of them send
};

struct Live;

// What one worker needs besides; found is added to.
struct Scratch {
    void* acc;                // V [padded]
    uint32_t *plus, *minus;   // rows to add and to subtract
    uint32_t* paid;           // rows with a payload
    int32_t* payload;
    Live* live;
    uint16_t* by_step;        // [step][most_live] taps whose source sent something in that step
    int32_t most_live;
    int32_t n_by_step[MAX_CHUNK];
    int8_t* spikes;           // dense: [step that has any][channel of a tap]
    int64_t spikes_stride;
    int32_t* sums;            // dense: [step that has any][padded]
    uint64_t fired;           // steps in which anything fired
    int64_t events, charges;  // spikes, and the sum of their payloads
};

// A tap whose source pixel sent something in the chunk.
struct Live {
    const uint64_t *bits, *signs;  // of its first step
    const uint64_t* mask;          // channels of its slab that have weights; null for all
    int64_t first;                 // its first row, or the first item of its diagonal slab
    int32_t pixel, words, kind, connection, channels;  // channels: those of its slab, rounded up to 4; kind TAPS_BITS: narrow rows, one word of spikes that all count one
};

}  // namespace sp

SP_DECLARE(void, step_layer32, (const Layer&, const State&, const Signal*, Signal*, const Chunk&, int32_t, int32_t, Scratch&))
SP_DECLARE(void, step_layer64, (const Layer&, const State&, const Signal*, Signal*, const Chunk&, int32_t, int32_t, Scratch&))
// Sums of what the given connections deliver in step 0 of their sources, V [pixel][padded].
// Whether this instruction set sums over all channels faster than over those that send, where many do.
SP_DECLARE(bool, sums_densely, ())
SP_DECLARE(void, sum_once32, (const Layer&, const Signal*, void* total, int32_t, int32_t, Scratch&))
SP_DECLARE(void, sum_once64, (const Layer&, const Signal*, void* total, int32_t, int32_t, Scratch&))
