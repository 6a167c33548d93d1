// Integer arithmetic that wraps as two's complement. For kernel files alone: everything is compiled for their instruction set.
#pragma once

#include <cstdint>

namespace sp {
namespace SP_NAMESPACE {

namespace {

template <typename V> struct Unsigned { using type = uint32_t; };
template <> struct Unsigned<int64_t> { using type = uint64_t; };

template <typename V>
inline V add(V a, V b) {
    using U = typename Unsigned<V>::type;
    return static_cast<V>(static_cast<U>(a) + static_cast<U>(b));
}

template <typename V>
inline V subtract(V a, V b) {
    using U = typename Unsigned<V>::type;
    return static_cast<V>(static_cast<U>(a) - static_cast<U>(b));
}

template <typename V>
inline V times(V a, V b) {
    using U = typename Unsigned<V>::type;
    return static_cast<V>(static_cast<U>(a) * static_cast<U>(b));
}

template <typename V>
inline V left(V a, int32_t bits) {
    using U = typename Unsigned<V>::type;
    return static_cast<V>(static_cast<U>(a) << bits);
}

template <typename V>
inline V magnitude(V a) {  // of the smallest one itself, as everywhere in two's complement
    using U = typename Unsigned<V>::type;
    return a < 0 ? static_cast<V>(U{0} - static_cast<U>(a)) : a;
}

// Two's complement of so many bits and a sign.
template <typename V>
inline V wrap(V a, int32_t bits) {
    const int32_t spare = static_cast<int32_t>(sizeof(V)) * 8 - 1 - bits;
    return static_cast<V>(left(a, spare)) >> spare;
}

}  // namespace

}  // namespace SP_NAMESPACE
}  // namespace sp
