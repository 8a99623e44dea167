#include "team.hpp"

#include <exception>

#if defined(_WIN32)
#include <process.h>
#define getpid _getpid
#else
#include <unistd.h>
#endif

namespace golf {

struct Team::Shared {
  std::mutex lock;
  std::condition_variable wake;
  std::atomic<uint64_t> round{0};
  std::atomic<int64_t> next{0};
  std::atomic<int> working{0};
  bool stop = false;
  int64_t tasks = 0;
  const Task* task = nullptr;
  std::exception_ptr error;
  std::vector<std::thread> threads;

  void work(int worker) {
    try {
      for (int64_t k; (k = next.fetch_add(1)) < tasks;) (*task)(k, worker);
    } catch (...) {
      std::lock_guard<std::mutex> hold(lock);
      if (!error) error = std::current_exception();
      next = tasks;
    }
  }

  void loop(int worker) {
    for (uint64_t seen = 0;;) {
      for (int spin = 0; spin < 4000 && round.load(std::memory_order_acquire) == seen; ++spin) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
      }
      {
        std::unique_lock<std::mutex> hold(lock);
        wake.wait(hold, [&] { return stop || round != seen; });
        if (stop) return;
        seen = round;
      }
      work(worker);
      working.fetch_sub(1, std::memory_order_release);
    }
  }
};

void Team::start() {
  shared_ = new Shared;  // after a fork the old one is left alone: its threads are not here
  owner_ = getpid();
  for (int worker = 1; worker < size_; ++worker)
    shared_->threads.emplace_back([shared = shared_, worker] { shared->loop(worker); });
}

Team::~Team() {
  if (!shared_ || owner_ != getpid()) return;
  {
    std::lock_guard<std::mutex> hold(shared_->lock);
    shared_->stop = true;
  }
  shared_->wake.notify_all();
  for (std::thread& thread : shared_->threads) thread.join();
  delete shared_;
}

void Team::run(int64_t tasks, const Task& task) {
  if (size_ == 1 || tasks <= 1) {
    for (int64_t k = 0; k < tasks; ++k) task(k, 0);
    return;
  }
  if (owner_ != getpid()) start();
  Shared& s = *shared_;
  {
    std::lock_guard<std::mutex> hold(s.lock);
    s.task = &task;
    s.tasks = tasks;
    s.error = nullptr;
    s.next = 0;
    s.working = size_ - 1;
    s.round.fetch_add(1, std::memory_order_release);
  }
  s.wake.notify_all();
  s.work(0);
  for (int spin = 0; s.working.load(std::memory_order_acquire) != 0; ++spin)
    if (spin > 4000) std::this_thread::yield();
  if (s.error) std::rethrow_exception(s.error);
}

}  // namespace golf
