// Sums and maxima over windows, and values that only change place.
#include "kernels/windows.h"

#include "abi.h"
#include "kernels/types.h"
#include "parallel.h"

namespace sp {
namespace SP_NAMESPACE {

namespace {

template <typename In, typename Out>
void window(const Windows& w, const In* sample, int64_t y, int64_t x, Out* __restrict out) {
    const int64_t top = y * w.stride_height - w.top, left = x * w.stride_width - w.left;
    bool first = true;
    for (int64_t ky = 0; ky < w.kernel_height; ++ky) {
        const int64_t row = top + ky * w.dilation_height;
        if (row < 0 || row >= w.height) continue;
        for (int64_t kx = 0; kx < w.kernel_width; ++kx) {
            const int64_t column = left + kx * w.dilation_width;
            if (column < 0 || column >= w.width) continue;
            const In* from = sample + (row * w.width + column) * w.channels;
            if (first)
                for (int64_t c = 0; c < w.channels; ++c) out[c] = static_cast<Out>(from[c]);
            else if (w.largest)
                for (int64_t c = 0; c < w.channels; ++c) out[c] = out[c] > Out(from[c]) ? out[c] : static_cast<Out>(from[c]);
            else
                for (int64_t c = 0; c < w.channels; ++c) out[c] = static_cast<Out>(out[c] + from[c]);
            first = false;
        }
    }
    if (first)
        for (int64_t c = 0; c < w.channels; ++c) out[c] = 0;
}

}  // namespace

void run_windows(const Windows& w, const void* in, void* out, int64_t batch, int32_t threads) {
    const int64_t size = int64_t{w.height} * w.width * w.channels, row = int64_t{w.out_width} * w.channels;
    with_type(w.in_type, in, [&](auto* values) {
        with_type(w.out_type, out, [&](auto* results) {
            parallel_for(batch * w.out_height, threads, [&](int64_t index, int32_t) {
                const int64_t sample = index / w.out_height, y = index % w.out_height;
                for (int64_t x = 0; x < w.out_width; ++x)
                    window(w, values + sample * size, y, x, results + index * row + x * w.channels);
            });
        });
    });
}

void run_route(const Run* runs, int64_t count, int64_t item, int64_t in_size, int64_t out_size, int32_t holes, const void* in,
               void* out, int64_t batch, int32_t threads) {
    parallel_for(batch, threads, [&](int64_t sample, int32_t) {
        const uint8_t* from = static_cast<const uint8_t*>(in) + sample * in_size * item;
        uint8_t* to = static_cast<uint8_t*>(out) + sample * out_size * item;
        if (holes) __builtin_memset(to, 0, out_size * item);
        for (int64_t i = 0; i < count; ++i)
            __builtin_memcpy(to + runs[i].to * item, from + runs[i].from * item, runs[i].length * item);
    });
}

}  // namespace SP_NAMESPACE
}  // namespace sp

#if SP_LEVEL == SP_PORTABLE
SP_API int32_t sp_run_windows(const sp::Windows* w, const void* in, void* out, int64_t batch, int32_t threads) {
    SP_DISPATCH(run_windows, *w, in, out, batch, threads);
    return SP_OK;
}

SP_API int32_t sp_run_route(const sp::Run* runs, int64_t count, int64_t item, int64_t in_size, int64_t out_size, int32_t holes,
                            const void* in, void* out, int64_t batch, int32_t threads) {
    SP_DISPATCH(run_route, runs, count, item, in_size, out_size, holes, in, out, batch, threads);
    return SP_OK;
}
#endif
