// Integer types of values and sums, by the numbers that spikeport.native.matrix knows them by.
#pragma once

#include <cstdint>

namespace sp {

enum Type : int32_t { U8 = 0, S8 = 1, S16 = 2, S32 = 3, S64 = 4 };

// Calls body(typed pointer) for data of a type that is known at run time only.
template <typename Body>
inline void with_type(int32_t type, const void* data, Body&& body) {
    switch (type) {
        case U8: return body(static_cast<const uint8_t*>(data));
        case S8: return body(static_cast<const int8_t*>(data));
        case S16: return body(static_cast<const int16_t*>(data));
        case S32: return body(static_cast<const int32_t*>(data));
        default: return body(static_cast<const int64_t*>(data));
    }
}

template <typename Body>
inline void with_type(int32_t type, void* data, Body&& body) {
    switch (type) {
        case U8: return body(static_cast<uint8_t*>(data));
        case S8: return body(static_cast<int8_t*>(data));
        case S16: return body(static_cast<int16_t*>(data));
        case S32: return body(static_cast<int32_t*>(data));
        default: return body(static_cast<int64_t*>(data));
    }
}

}  // namespace sp
