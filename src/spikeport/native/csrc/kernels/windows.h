#pragma once

#include "dispatch.h"

namespace sp {

// Windows over maps that are held channels last.
struct Windows {
    int64_t channels;
    int32_t height, width, out_height, out_width;
    int32_t kernel_height, kernel_width, stride_height, stride_width;
    int32_t top, left, dilation_height, dilation_width;
    int32_t in_type, out_type, largest;  // largest: maximum of a window instead of its sum
};

// Values that go from one place of a sample to another, side by side at both.
struct Run {
    int64_t to, from, length;
};

}  // namespace sp

SP_DECLARE(void, run_windows, (const Windows& w, const void* in, void* out, int64_t batch, int32_t threads))
SP_DECLARE(void, run_route,
           (const Run* runs, int64_t count, int64_t item, int64_t in_size, int64_t out_size, int32_t holes, const void* in,
            void* out, int64_t batch, int32_t threads))
