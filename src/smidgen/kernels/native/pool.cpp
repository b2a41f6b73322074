#include "pool.hpp"

#include <atomic>
#include <system_error>
#include <thread>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#define SMIDGEN_FORKS
#endif

namespace {

std::atomic<Pool *> the_pool{nullptr};

} // namespace

// No lock guards the pool's making, since a fork could copy it locked. Pools are never freed: threads wait in
// them until the process ends, and those of a parent are only a copy of its memory.
Pool &Pool::instance() {
#ifdef SMIDGEN_FORKS
    static const int watched = pthread_atfork(nullptr, nullptr, [] { the_pool.store(nullptr); });
    (void)watched;
#endif
    Pool *found = the_pool.load();
    if (found == nullptr) {
        Pool *made = new Pool;
        if (the_pool.compare_exchange_strong(found, made))
            return *made;
        delete made; // another thread was quicker: `found` is its pool
    }
    return *found;
}

void Pool::grow(size_t threads) {
    try {
        for (; threads_ < threads; threads_++)
            std::thread(&Pool::work, this).detach();
    } catch (const std::system_error &) {
        return; // run() gets by with fewer
    }
}

void Pool::run(size_t shares, const Task &task) {
    const std::lock_guard<std::mutex> turn(callers_);
    grow(shares - 1);
    std::unique_lock<std::mutex> lock(state_);
    task_ = &task;
    next_ = 0;
    shares_ = left_ = shares;
    begun_.notify_all();
    take(lock);
    ended_.wait(lock, [this] { return left_ == 0; });
}

void Pool::work() {
    std::unique_lock<std::mutex> lock(state_);
    for (;;) {
        begun_.wait(lock, [this] { return next_ < shares_; });
        take(lock);
    }
}

// Runs shares that nobody has begun, until there are none.
void Pool::take(std::unique_lock<std::mutex> &lock) {
    while (next_ < shares_) {
        const size_t share = next_++;
        const Task &task = *task_;
        lock.unlock();
        task(share);
        lock.lock();
        if (--left_ == 0)
            ended_.notify_one();
    }
}
