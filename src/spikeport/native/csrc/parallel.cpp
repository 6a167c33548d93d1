#include "parallel.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "abi.h"

#if !defined(_WIN32)
#include <pthread.h>
#endif

namespace sp {

namespace {

constexpr int32_t MAX_THREADS = 256;
constexpr int SPINS = 4000;  // looks for work before a worker sleeps: the next layer follows within microseconds

inline void pause() {
#if defined(SP_X86)
    __builtin_ia32_pause();
#endif
}

class Pool {
public:
    ~Pool() {
        {
            std::lock_guard<std::mutex> guard(mutex_);
            stop_ = true;
            generation_.fetch_add(1);
        }
        wake_.notify_all();
        for (std::thread& thread : threads_) thread.join();
    }

    std::mutex& in_use() { return in_use_; }

    void run(int64_t count, int32_t threads, Piece piece, void* context) {
        grow(threads - 1);
        const int32_t helpers = static_cast<int32_t>(threads_.size()) < threads - 1
                                    ? static_cast<int32_t>(threads_.size())
                                    : threads - 1;
        {
            std::lock_guard<std::mutex> guard(mutex_);
            piece_ = piece, context_ = context, count_ = count, helpers_ = helpers;
            next_.store(0);
            open_ = true;
            generation_.fetch_add(1);
        }
        wake_.notify_all();
        work(0);
        {
            std::lock_guard<std::mutex> guard(mutex_);
            open_ = false;  // who has not begun by now need not
        }
        for (int spin = 0; active_.load(std::memory_order_acquire) > 0; ++spin) {
            if (spin < SPINS) pause();
            else std::this_thread::yield();
        }
    }

private:
    void grow(int32_t wanted) {
        while (static_cast<int32_t>(threads_.size()) < wanted) {
            const int32_t worker = static_cast<int32_t>(threads_.size()) + 1;
            const uint64_t seen = generation_.load();
            try {
                threads_.emplace_back([this, worker, seen] { serve(worker, seen); });
            } catch (const std::system_error&) {
                return;  // the system gives no more threads: fewer do the same work
            }
        }
    }

    void serve(int32_t worker, uint64_t seen) {
        for (;;) {
            for (int spin = 0; spin < SPINS && generation_.load(std::memory_order_acquire) == seen; ++spin) pause();
            {
                std::unique_lock<std::mutex> lock(mutex_);
                wake_.wait(lock, [&] { return generation_.load() != seen; });
                seen = generation_.load();
                if (stop_) return;
                if (!open_ || worker > helpers_) continue;
                active_.fetch_add(1);
            }
            work(worker);
            active_.fetch_sub(1, std::memory_order_release);
        }
    }

    void work(int32_t worker) {
        for (int64_t i = next_.fetch_add(1); i < count_; i = next_.fetch_add(1)) piece_(context_, i, worker);
    }

    std::mutex in_use_, mutex_;
    std::condition_variable wake_;
    std::vector<std::thread> threads_;
    std::atomic<uint64_t> generation_{0};
    std::atomic<int64_t> next_{0};
    std::atomic<int32_t> active_{0};
    Piece piece_ = nullptr;
    void* context_ = nullptr;
    int64_t count_ = 0;
    int32_t helpers_ = 0;
    bool open_ = false, stop_ = false;
};

std::atomic<Pool*> pool{nullptr};

#if !defined(_WIN32)
// A child has none of its parent's threads and may have its locks: it leaves the old pool alone and makes another.
void forget_pool() { pool.store(nullptr); }
#endif

Pool& the_pool() {
    Pool* found = pool.load();
    if (found != nullptr) return *found;
#if !defined(_WIN32)
    static std::atomic<bool> registered{false};
    if (!registered.exchange(true)) pthread_atfork(nullptr, nullptr, forget_pool);
#endif
    Pool* made = new Pool;
    if (pool.compare_exchange_strong(found, made)) return *made;  // it lives as long as the process
    delete made;
    return *found;
}

}  // namespace

void run_pieces(int64_t count, int32_t threads, Piece piece, void* context) {
    if (threads > MAX_THREADS) threads = MAX_THREADS;
    if (threads > count) threads = static_cast<int32_t>(count);
    if (threads > 1) {
        Pool& shared = the_pool();
        std::unique_lock<std::mutex> turn(shared.in_use(), std::try_to_lock);
        if (turn.owns_lock()) {
            shared.run(count, threads, piece, context);
            return;
        }
    }
    for (int64_t i = 0; i < count; ++i) piece(context, i, 0);
}

}  // namespace sp
