#pragma once

#include "dispatch.h"

namespace sp {

// n = clip(rint((gain * x + shift) / scale), low, high) in float64, or n = x for counts of events.
struct Encoding {
    const double *gain, *shift, *scale;  // one a channel, or one a value where `each` is set; null is none
    int64_t channels, pixels;
    double low, high;
    int32_t each, events, out_type;
};

}  // namespace sp

// The channels-last integers of samples held channels first. Gives back how many values are not finite or, as events, no counts
// in [low, high]; what stands in their places is not defined.
SP_DECLARE(int64_t, encode_floats,
           (const Encoding& e, const void* x, int32_t doubles, void* out, int64_t batch, int32_t threads))
