// The plain C interface that spikeport.native loads with ctypes, and what every kernel file shares.
//
// A function returns SP_OK or a negative status; sp_last_error() says more, per thread. No exception leaves a function, no
// Python object enters one: the interpreter's lock is released while they run. Arrays are C-ordered and aligned to their item
// size; the Python side sees to both.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(_WIN32)
#define SP_API extern "C" __declspec(dllexport)
#else
#define SP_API extern "C" __attribute__((visibility("default")))
#endif

constexpr int SP_ABI_VERSION = 2;

enum Status : int32_t {
    SP_OK = 0,
    SP_OUT_OF_MEMORY = -1,
    SP_BAD_ARGUMENT = -2,
    SP_UNSUPPORTED = -3,  // an instruction set or a size that this library or processor does not have
};

namespace sp {

// Keeps a message for sp_last_error() and gives the status back.
int32_t fail(Status status, const char* message) noexcept;

// Runs a function body; what it throws becomes a status.
template <typename Body>
int32_t guarded(Body&& body) noexcept {
    try {
        return body();
    } catch (const char* message) {
        return fail(SP_BAD_ARGUMENT, message);
    } catch (...) {
        return fail(SP_OUT_OF_MEMORY, "out of memory");
    }
}

}  // namespace sp
