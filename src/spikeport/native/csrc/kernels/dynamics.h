// Kernels of networks with dynamics: a step of the neurons of one population, and what one spike does to its targets.
#pragma once

#include "dispatch.h"

namespace sp {

// The numbers of spikeport.backends.dynamics.plan, one value a neuron, and the state that a step changes.
struct NeuronFlags {
    int32_t kind;         // 0 accumulate, 1 forward Euler, 2 exponential, 3 memoryless, 4 Izhikevich, 5 resonate, 6 sigma-delta, 7 interpolated, 8 rectified
    int32_t current;      // 0 none, 1 Euler, 2 Euler with jumps, 3 exponential, 4 exponential with jumps
    int32_t delta;        // what arrives is a jump of the membrane
    int32_t fires;
    int32_t refractory;   // some unit has a refractory period
    int32_t at_threshold; // fires where v >= threshold, not only where v > threshold
    int32_t subtract;     // the reset subtracts the threshold
    int32_t reset_when;   // 0 same step, 1 before the next step, 2 after the next update
    int32_t old_current;  // the membrane takes the current before its update
    int32_t state_bits;   // of integers, 0 for floats
    int32_t wrap;
    int32_t multi;    // as many spikes as there are thresholds in the potential
    int32_t clipped;  // a step ends at v_min or above
    int32_t sends;    // does not fire, and sends its potential
    int32_t second;   // has a second state, which stands in `current`
    int32_t other;    // which of several choices: 1 adapts "current", recovery "old", kind "rf", activation "unit"; 2 recovery "reset"
    int32_t substeps;
};

// The numbers of a second state, as SecondPlan of spikeport.backends.dynamics.second has them; null where there is none.
template <typename T>
struct Second {
    const T *initial, *rate, *decay, *coupling, *increment, *square, *linear, *constant, *v_recovery;
};

template <typename T>
struct Neurons {
    NeuronFlags flags;
    const T *bias, *gain, *rate, *decay, *v_leak, *threshold, *v_reset, *current_rate, *current_decay, *w_in;
    const T* refractory;  // steps, as T: exact, and as wide as its neighbours
    const T* v_min;
    Second<T> second;
    T *v, *current, *deaf;
    T* times;  // spikes of each unit in its last step, where there may be several; else null
    uint8_t* fired;
};

// Synapses by source: targets as 2 or 4 bytes, weights as wide as they need to be (exactly), one each, one a source, or one.
enum WeightType : int32_t { WEIGHT_F64 = 0, WEIGHT_F32 = 1, WEIGHT_I64 = 2, WEIGHT_I32 = 3, WEIGHT_I8 = 4 };
enum WeightMode : int32_t { EACH = 0, ONE_A_SOURCE = 1, ONE = 2 };

struct Synapses {
    const int64_t* offsets;
    const void *targets, *weights;
    int32_t wide_targets, weight_type, mode;
};

}  // namespace sp

// Steps units [begin, end). `arrived` is read and cleared; `constant` and `fed` may be null. Writes the flat indices of the units
// that send something to `spikes`, rising, and what they send to `values` where it may be other than 1; returns their number.
// `potentials`, if not null, gets the membrane after the step.
SP_DECLARE(int64_t, update_f64, (const Neurons<double>& neurons, double* arrived, const double* constant, const double* fed,
                                 double* potentials, uint32_t* spikes, double* values, int64_t begin, int64_t end))
SP_DECLARE(int64_t, update_f32, (const Neurons<float>& neurons, float* arrived, const float* constant, const float* fed,
                                 float* potentials, uint32_t* spikes, float* values, int64_t begin, int64_t end))
SP_DECLARE(int64_t, update_i64, (const Neurons<int64_t>& neurons, int64_t* arrived, const int64_t* constant,
                                 const int64_t* fed, int64_t* potentials, uint32_t* spikes, int64_t* values, int64_t begin,
                                 int64_t end))

// For each source in the order of the list, and each of its synapses in order: slot[target] += weight * value. `values` may be null:
// all are 1.
SP_DECLARE(void, scatter_f64, (const Synapses& synapses, const uint32_t* sources, const double* values, int64_t count,
                               double* slot))
SP_DECLARE(void, scatter_f32, (const Synapses& synapses, const uint32_t* sources, const float* values, int64_t count,
                               float* slot))
SP_DECLARE(void, scatter_i64, (const Synapses& synapses, const uint32_t* sources, const int64_t* values, int64_t count,
                               int64_t* slot))
