// Threads that share out work. There is one pool for all plans, made when first needed; it never ends.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>

class Pool {
  public:
    using Task = std::function<void(size_t share)>;

    // The pool of this process. A forked child has none of its parent's threads and gets a pool of its own.
    static Pool &instance();

    // Runs task(0) .. task(shares - 1), on the calling thread and up to shares - 1 others, and returns when
    // all are done. Where the system refuses threads, those that are there do all. Tasks must not throw and
    // must not call the pool. Callers on several threads take turns.
    void run(size_t shares, const Task &task);

    Pool(const Pool &) = delete;
    Pool &operator=(const Pool &) = delete;

  private:
    Pool() = default;
    void grow(size_t threads);
    void work();
    void take(std::unique_lock<std::mutex> &lock);

    std::mutex callers_, state_;
    std::condition_variable begun_, ended_;
    const Task *task_ = nullptr;
    size_t threads_ = 0, shares_ = 0, next_ = 0, left_ = 0; // left_: shares that are not done
};
