// Kernels of synapses that learn: what terms of a rule change at a block of synapses, and the decay of traces.
#pragma once

#include "dispatch.h"

namespace sp {

constexpr int64_t MOST_FACTORS = 8, MOST_TRACES = 16;
enum On : int32_t { ON_POST = 0, ON_PRE = 1, ON_STEP = 2 };
enum FactorOf : int32_t { OF_PRE = 0, OF_POST = 1, OF_SYNAPSE = 2, OF_WEIGHT = 3, OF_THIRD = 4 };
enum Rounding : int32_t { NEAREST = 0, FLOOR = 1, STOCHASTIC = 2 };

// As those of spikeport.backends.dynamics.plastic.
template <typename T>
struct PlasticFactor {
    int32_t of, index;
    T plus;
};

template <typename T>
struct PlasticTerm {
    int32_t on, into, every, factors;
    T coefficient;
    PlasticFactor<T> factor[MOST_FACTORS];
};

// Synapses of one projection and sample, and what their terms read.
template <typename T>
struct Learner {
    const PlasticTerm<T>* terms;
    int64_t n_terms;
    T* values[1 + MOST_TRACES];  // weights, then traces of the synapse
    T low[1 + MOST_TRACES], high[1 + MOST_TRACES];
    const T *pre[MOST_TRACES], *post[MOST_TRACES], *third[MOST_TRACES];
    int64_t third_stride[MOST_TRACES];  // 0: one number for all targets
    const uint32_t *sources, *targets;  // of each synapse
    const uint32_t* ids;                // of each synapse, for numbers drawn
    int32_t shift, rounding;
    uint32_t key[2], number;
};

}  // namespace sp

// Terms on post events: synapses `index` of target `target`, with `sources[j]` the source of synapse `index[j]`.
SP_DECLARE(void, learn_post_f64, (const Learner<double>& l, int64_t step, uint32_t target, const uint32_t* index, const uint32_t* sources, int64_t count, double value))
SP_DECLARE(void, learn_post_f32, (const Learner<float>& l, int64_t step, uint32_t target, const uint32_t* index, const uint32_t* sources, int64_t count, float value))
SP_DECLARE(void, learn_post_i64, (const Learner<int64_t>& l, int64_t step, uint32_t target, const uint32_t* index, const uint32_t* sources, int64_t count, int64_t value))
// Terms on pre events: synapses [begin, end) of source `source`.
SP_DECLARE(void, learn_pre_f64, (const Learner<double>& l, int64_t step, uint32_t source, int64_t begin, int64_t end, double value))
SP_DECLARE(void, learn_pre_f32, (const Learner<float>& l, int64_t step, uint32_t source, int64_t begin, int64_t end, float value))
SP_DECLARE(void, learn_pre_i64, (const Learner<int64_t>& l, int64_t step, uint32_t source, int64_t begin, int64_t end, int64_t value))
// Terms of every step: synapses [0, count).
SP_DECLARE(void, learn_step_f64, (const Learner<double>& l, int64_t step, int64_t count))
SP_DECLARE(void, learn_step_f32, (const Learner<float>& l, int64_t step, int64_t count))
SP_DECLARE(void, learn_step_i64, (const Learner<int64_t>& l, int64_t step, int64_t count))
// x = d x; of integers d is in 1/4096, and the product is rounded towards zero.
SP_DECLARE(void, decay_f64, (double* x, double d, int64_t count))
SP_DECLARE(void, decay_f32, (float* x, float d, int64_t count))
SP_DECLARE(void, decay_i64, (int64_t* x, int64_t d, int64_t count))
