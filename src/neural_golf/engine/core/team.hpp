// A team of threads that split numbered tasks; the caller works too.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace golf {

class Team {
 public:
  using Task = std::function<void(int64_t task, int worker)>;

  explicit Team(int size) : size_(size) {}
  ~Team();
  Team(const Team&) = delete;

  int size() const { return size_; }

  // task(0 … tasks - 1), each once, on any worker, in any order; returns when all are done.
  // The first exception of a task is thrown here.
  void run(int64_t tasks, const Task& task);

 private:
  struct Shared;
  void start();

  int size_;
  long owner_ = 0;  // process that started the threads: they do not survive a fork
  Shared* shared_ = nullptr;
};

}  // namespace golf
