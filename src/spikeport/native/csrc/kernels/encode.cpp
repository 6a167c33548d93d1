// Real numbers become integers, in float64 as the reference does it: the same operations in the same order.
#include "kernels/encode.h"

#include "abi.h"
#include "kernels/types.h"
#include "parallel.h"

namespace sp {
namespace SP_NAMESPACE {

namespace {

constexpr int64_t PART = 256;

// Rounds to the nearest integer, ties to even, for |v| < 2^51: the addition leaves no bits for fractions.
inline double nearest(double v) {
    constexpr double MAGIC = 6755399441055744.0;  // 1.5 * 2^52
    return (v + MAGIC) - MAGIC;
}

// Up to PART values of one channel; parameters step by 1 or stay. Gives back how many cannot be used.
template <typename In>
int64_t part(const Encoding& e, const In* x, int64_t parameter, int64_t step, int64_t n, double* result) {
    int64_t bad = 0;
    if (e.events) {
        for (int64_t i = 0; i < n; ++i) {
            const double v = x[i];
            const double kept = v >= e.low ? (v <= e.high ? v : e.high) : e.low;  // NaN becomes low
            result[i] = nearest(kept);
            bad += result[i] != v;
        }
        return bad;
    }
    for (int64_t i = 0; i < n; ++i) {
        const double v = x[i];
        bad += !(v - v == 0.0);  // NaN and infinite
        result[i] = v;
    }
    if (e.gain)
        for (int64_t i = 0; i < n; ++i) result[i] *= e.gain[parameter + i * step];
    if (e.shift)
        for (int64_t i = 0; i < n; ++i) result[i] += e.shift[parameter + i * step];
    for (int64_t i = 0; i < n; ++i) {
        const double v = result[i] / e.scale[parameter + i * step];
        // clipping first changes nothing: the ends are integers, and rounding is monotone
        result[i] = nearest(v >= e.low ? (v <= e.high ? v : e.high) : e.low);
    }
    return bad;
}

}  // namespace

int64_t encode_floats(const Encoding& e, const void* x, int32_t doubles, void* out, int64_t batch, int32_t threads) {
    int64_t bad = 0;
    const int64_t size = e.channels * e.pixels;
    with_type(e.out_type, out, [&](auto* results) {
        using To = typename RemoveReference<decltype(*results)>::type;
        parallel_for(batch, threads, [&](int64_t sample, int32_t) {
            double values[PART];
            int64_t wrong = 0;
            for (int64_t c = 0; c < e.channels; ++c) {
                for (int64_t p = 0; p < e.pixels; p += PART) {
                    const int64_t n = e.pixels - p < PART ? e.pixels - p : PART, at = c * e.pixels + p;
                    const int64_t parameter = e.each ? at : c, from = sample * size + at;
                    wrong += doubles ? part(e, static_cast<const double*>(x) + from, parameter, e.each, n, values)
                                     : part(e, static_cast<const float*>(x) + from, parameter, e.each, n, values);
                    To* to = results + sample * size + p * e.channels + c;
                    for (int64_t i = 0; i < n; ++i) to[i * e.channels] = static_cast<To>(static_cast<int64_t>(values[i]));
                }
            }
            if (wrong) __atomic_fetch_add(&bad, wrong, __ATOMIC_RELAXED);
        });
    });
    return bad;
}

}  // namespace SP_NAMESPACE
}  // namespace sp

#if SP_LEVEL == SP_PORTABLE
SP_API int64_t sp_encode_floats(const sp::Encoding* e, const void* x, int32_t doubles, void* out, int64_t batch, int32_t threads) {
    return SP_DISPATCH(encode_floats, *e, x, doubles, out, batch, threads);
}
#endif
