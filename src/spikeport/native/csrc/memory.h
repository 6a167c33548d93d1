// Memory that is aligned to whole vectors, and in large pages where there is much of it: rows of weights and potentials are
// visited in no order, and with small pages much of the time goes into finding the page.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace sp {

constexpr size_t LINE = 64, LARGE_PAGE = size_t{2} << 20;

// Not initialised; freed with std::free. From half a large page on it begins at one, and is at least one long.
inline void* take_memory(size_t bytes) {
    const size_t unit = bytes >= LARGE_PAGE / 2 ? LARGE_PAGE : LINE;
    const size_t size = (bytes + unit - 1) / unit * unit;
    void* found = std::aligned_alloc(unit, size);
    if (found == nullptr) throw std::bad_alloc();
#if defined(__linux__)
    if (unit == LARGE_PAGE) madvise(found, size, MADV_HUGEPAGE);  // where the system refuses, it is slower
#endif
    return found;
}

// The same for a std::vector.
template <typename T>
struct Paged {
    using value_type = T;
    Paged() = default;
    template <typename U>
    Paged(const Paged<U>&) {}
    T* allocate(size_t n) { return static_cast<T*>(take_memory(n * sizeof(T))); }
    void deallocate(T* p, size_t) { std::free(p); }
    template <typename U>
    bool operator==(const Paged<U>&) const { return true; }
    template <typename U>
    bool operator!=(const Paged<U>&) const { return false; }
};

}  // namespace sp
