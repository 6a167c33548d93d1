// Each kernel file is compiled once for every instruction set (SP_LEVEL, SP_NAMESPACE), and the widest one that the processor
// runs is chosen at run time.
//
// In a kernel file everything stands in namespace SP_NAMESPACE; wider variants are chosen with `#if SP_LEVEL >= SP_AVX512`. Such
// a file uses no inline function of the standard library that other files use too: the linker keeps one copy of those, and it
// might be one with instructions that the processor lacks.
#pragma once

#include <cstdint>

#define SP_PORTABLE 0
#define SP_AVX2 1
#define SP_AVX512 2  // F BW DQ VL VNNI VBMI VBMI2 BITALG VPOPCNTDQ: Ice Lake, Zen 4 and newer
#define SP_AMX 3     // the same with int8 tiles: Sapphire Rapids and newer

namespace sp {

int32_t supported_level() noexcept;  // the widest that this processor, its system and this library have
int32_t level() noexcept;            // the one in use

}  // namespace sp

#if defined(SP_X86)
#define SP_DECLARE(result, name, parameters)                \
    namespace sp {                                          \
    namespace portable { result name parameters; }          \
    namespace avx2 { result name parameters; }              \
    namespace avx512 { result name parameters; }            \
    namespace amx { result name parameters; }               \
    }
// Call the variant in use.
#define SP_DISPATCH(name, ...)                                      \
    (sp::level() >= SP_AMX      ? sp::amx::name(__VA_ARGS__)        \
     : sp::level() >= SP_AVX512 ? sp::avx512::name(__VA_ARGS__)     \
     : sp::level() >= SP_AVX2   ? sp::avx2::name(__VA_ARGS__)       \
                                : sp::portable::name(__VA_ARGS__))
#else
#define SP_DECLARE(result, name, parameters) \
    namespace sp { namespace portable { result name parameters; } }
#define SP_DISPATCH(name, ...) sp::portable::name(__VA_ARGS__)
#endif
