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

Shares::Shares(size_t count, size_t members) : parts_(new Part[members]), members_(members) {
  for (size_t i = 0; i < members; ++i) {
    parts_[i].next = count * i / members;
    parts_[i].end = count * (i + 1) / members;
  }
}

std::optional<size_t> Shares::next(size_t member) {
  for (size_t i = 0; i < members_; ++i) {
    Part &part = parts_[(member + i) % members_];
    if (part.next < part.end)
      if (const size_t number = part.next++; number < part.end)
        return number;
  }
  return std::nullopt;
}

Crew::Crew(unsigned threads) {
  for (size_t member = 1; member < threads; ++member)
    workers_.emplace_back([this, member] { serve(member); });
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

void Crew::serve(size_t member) {
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
    work(member);
    if (--busy_ == 0) {
      std::lock_guard lock(mutex_);
      ended_.notify_all();
    }
  }
}

void Crew::work(size_t member) {
  try {
    while (const std::optional<size_t> number = shares_->next(member))
      use_(*number, member);
  } catch (...) {
    std::lock_guard lock(mutex_);
    if (!error_)
      error_ = std::current_exception();
  }
}

void Crew::begin(size_t count, Use use) {
  wait(); // for what an exception left
  if (count == 0)
    return;
  use_ = std::move(use);
  shares_.emplace(count, size());
  if (workers_.empty())
    return;
  {
    std::lock_guard lock(mutex_);
    places_ = std::min(count, workers_.size());
    ++pieces_;
  }
  begun_.notify_all();
}

void Crew::complete() {
  if (!use_)
    return;
  work(0);
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
  use_ = nullptr;
}

void Crew::forEach(size_t count, const std::function<void(size_t)> &use) {
  if (count == 1)
    return use(0);
  begin(count, [&](size_t number, size_t) { use(number); });
  complete();
}

} // namespace wafer
