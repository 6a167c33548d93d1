#include "abi.h"

#include <cstring>

namespace sp {

static thread_local char last_error[256] = "";

int32_t fail(Status status, const char* message) noexcept {
    std::strncpy(last_error, message, sizeof last_error - 1);
    return status;
}

}  // namespace sp

SP_API int32_t sp_abi_version() { return SP_ABI_VERSION; }

SP_API const char* sp_last_error() { return sp::last_error; }

// What the library was built from: in a source tree it must be what lies beside it.
SP_API const char* sp_sources() { return SP_SOURCES; }
