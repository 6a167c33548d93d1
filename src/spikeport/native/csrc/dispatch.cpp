#include "dispatch.h"

#include <atomic>

#include "abi.h"

#if defined(SP_X86) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace sp {

#if defined(SP_X86)
static bool has_avx2() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
}

static bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi") &&
           __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx512bitalg") &&
           __builtin_cpu_supports("avx512vpopcntdq");
}

static bool has_amx() {
#if defined(__linux__)
    unsigned a, b, c, d;
    if (!has_avx512()) return false;
    __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
    constexpr unsigned tile = 1u << 24, int8 = 1u << 25;
    if ((d & tile) == 0 || (d & int8) == 0) return false;
    constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
    return false;
#endif
}
#endif

static int32_t find_supported() {
#if defined(SP_X86)
    __builtin_cpu_init();
    if (has_amx()) return SP_AMX;
    if (has_avx512()) return SP_AVX512;
    if (has_avx2()) return SP_AVX2;
#endif
    return SP_PORTABLE;
}

int32_t supported_level() noexcept {
    static const int32_t found = find_supported();
    return found;
}

static std::atomic<int32_t> chosen{-1};

int32_t level() noexcept {
    const int32_t now = chosen.load(std::memory_order_relaxed);
    return now >= 0 ? now : supported_level();
}

}  // namespace sp

SP_API int32_t sp_supported_level() { return sp::supported_level(); }

SP_API int32_t sp_level() { return sp::level(); }

SP_API int32_t sp_use_level(int32_t level) {
    if (level < SP_PORTABLE || level > SP_AMX) return sp::fail(SP_BAD_ARGUMENT, "no such instruction set");
    if (level > sp::supported_level()) return sp::fail(SP_UNSUPPORTED, "this processor lacks the instruction set");
    sp::chosen.store(level);
    return SP_OK;
}
