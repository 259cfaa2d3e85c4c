//===- FunctionalCrew.cpp - threads of the host that work together -----------===//

#include "FunctionalCrew.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace wafer {

namespace {

/// How long a thread looks for what comes next before it sleeps: about as long as it takes to wake it.
constexpr std::chrono::microseconds patience{500};

/// Whether it came to be while we looked.
template <typename Condition> bool soon(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end)
      return false;
    // Where others want the processor they come first.
    std::this_thread::yield();
  }
  return true;
}

} // namespace

Crew::Crew(unsigned threads) {
  for (size_t i = 0; i + 1 < threads; ++i)
    workers_.emplace_back([this] { serve(); });
}

Crew::~Crew() {
  wait();
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  begun_.notify_all();
  for (std::thread &worker : workers_)
    worker.join();
}

void Crew::serve() {
  for (uint64_t seen = 0;;) {
    auto isWanted = [&] { return pieces_ != seen || stopping_; };
    if (!soon(isWanted)) {
      std::unique_lock lock(mutex_);
      begun_.wait(lock, isWanted);
    }
    if (stopping_)
      return;
    {
      std::lock_guard lock(mutex_);
      seen = pieces_;
      if (places_ == 0)
        continue; // others did it
      --places_;
      ++busy_;
    }
    guardedWork();
    if (--busy_ == 0) {
      std::lock_guard lock(mutex_);
      ended_.notify_all();
    }
  }
}

void Crew::guardedWork() {
  try {
    work_();
  } catch (...) {
    std::lock_guard lock(mutex_);
    if (!error_)
      error_ = std::current_exception();
  }
}

void Crew::begin(std::function<void()> work, size_t most) {
  wait(); // for what an exception left
  work_ = std::move(work);
  if (workers_.empty())
    return;
  {
    std::lock_guard lock(mutex_);
    places_ = std::min(most, workers_.size());
    ++pieces_;
  }
  begun_.notify_all();
}

void Crew::complete() {
  if (!work_)
    return;
  guardedWork();
  wait();
  if (error_)
    std::rethrow_exception(std::exchange(error_, nullptr));
}

void Crew::wait() {
  {
    std::lock_guard lock(mutex_);
    places_ = 0;
  }
  auto isDone = [&] { return busy_ == 0; };
  if (!soon(isDone)) {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, isDone);
  }
  work_ = nullptr;
}

void Crew::forEach(size_t count, const std::function<void(size_t)> &use) {
  std::atomic<size_t> next{0};
  auto work = [&] {
    for (size_t i = next++; i < count; i = next++)
      use(i);
  };
  if (count > 1)
    begin(work, count - 1);
  else
    work_ = work;
  complete();
}

} // namespace wafer
