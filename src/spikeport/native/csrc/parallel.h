// Threads for independent pieces of one call. Pieces are handed out one by one; what a piece computes may not depend on who
// computes it, so results are the same for every number of threads.
#pragma once

#include <cstdint>

namespace sp {

// <type_traits> is not needed for this, and kernel files stay free of the standard library.
template <typename T> struct RemoveReference { using type = T; };
template <typename T> struct RemoveReference<T&> { using type = T; };
template <typename T> struct RemoveReference<T&&> { using type = T; };

using Piece = void (*)(void* context, int64_t index, int32_t worker);

// Runs piece(context, i, worker) for i in [0, count); worker is in [0, threads), and no two pieces run under one worker at once.
// Calls from several threads at once are safe: one gets the pool, the others work alone. A forked child makes its own pool.
// A piece throws nothing.
void run_pieces(int64_t count, int32_t threads, Piece piece, void* context);

// The same for a callable `void(int64_t index, int32_t worker)`.
template <typename Body>
void parallel_for(int64_t count, int32_t threads, Body&& body) {
    using Callable = typename RemoveReference<Body>::type;
    run_pieces(
        count, threads,
        [](void* context, int64_t index, int32_t worker) { (*static_cast<Callable*>(context))(index, worker); },
        const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace sp
