#pragma once

#include "dispatch.h"

namespace sp {

// How operands are held in a panel, and sums beside it.
enum Kind : int32_t {
    BYTES = 0,  // unsigned bytes x signed bytes, 32-bit sums; signed sources are shifted by 128
    WORDS = 1,  // signed words x signed words, 32-bit sums
    WIDE = 2,   // 32 bits x 32 bits, 64-bit sums
};

enum Answer : int32_t {
    SUM = 0,        // the sum itself
    COUNT32 = 1,    // clip(floor(sum / threshold), low, high), by a reciprocal in float32
    COUNT64 = 2,    // the same, in float64
    STAIRCASE = 3,  // low + number of steps that are not above the sum
};

// A convolution's operand, channels last.
struct MatrixSource {
    int32_t type, channels, height, width;
    int32_t kernel_height, kernel_width, stride_height, stride_width;
    int32_t top, left, dilation_height, dilation_width;
};

// What is added neuron by neuron: factor * value; without factors, the value.
struct MatrixTerm {
    const void* factor;  // of the sums' type
    int32_t type, each;  // each: one factor a neuron, or one a channel
};

// U = weights * patches of the sources + terms + constant, and the answer to it. Arrays of parameters have one entry a channel, or
// where `..._each` is set one a neuron. All tables are of the sums' type, but for the reciprocals.
struct Matrix {
    const MatrixSource* sources;
    const MatrixTerm* terms;
    const void* weights;  // [group] of Product::weights; int32 [group][k][outs] when WIDE; [k][channel] of sums when depthwise
    const void* constant;
    const void* limit;       // largest U that matters: (high - low + 1) * threshold - 1, constant moved by low * threshold
    const void* reciprocal;  // of the threshold: float or double
    const void* steps;       // [level][channel or neuron]
    int64_t k;               // operands of a row: all sources of a group
    int64_t row_bytes;
    int64_t block_rows;  // rows of a panel
    int32_t kind, groups, outs, height, width;  // outs of one group; height and width of the output
    int32_t n_sources, n_terms;
    int32_t answer, out_type, low, levels, most;
    int32_t constant_each, threshold_each;
    int32_t depthwise;  // each channel reads the one of its number; groups is 1 then, and outs are all channels
};

}  // namespace sp

SP_DECLARE(void, run_matrix,
           (const Matrix& m, const void* const* sources, const void* const* terms, void* out, int64_t batch, int32_t threads,
            void* scratch, int64_t scratch_each))
