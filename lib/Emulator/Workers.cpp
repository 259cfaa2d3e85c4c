//===- Workers.cpp - threads that work in rounds ----------------------------===//

#include "Workers.h"

namespace wafer {

Workers::Workers(unsigned count) : errors_(count) {
  for (unsigned number = 1; number < count; ++number)
    threads_.emplace_back([this, number] { loop(number); });
}

Workers::~Workers() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  begins_.notify_all();
  for (std::thread &thread : threads_)
    thread.join();
}

void Workers::call(unsigned number) {
  try {
    (*work_)(number);
  } catch (...) {
    errors_[number] = std::current_exception();
  }
}

void Workers::loop(unsigned number) {
  uint64_t seen = 0;
  std::unique_lock lock(mutex_);
  while (true) {
    begins_.wait(lock, [&] { return stopping_ || round_ != seen; });
    if (stopping_)
      return;
    seen = round_;
    if (number >= workers_)
      continue;
    lock.unlock();
    call(number);
    lock.lock();
    if (--running_ == 0)
      ends_.notify_one();
  }
}

void Workers::run(unsigned workers, const std::function<void(unsigned)> &work) {
  std::fill(errors_.begin(), errors_.end(), nullptr);
  work_ = &work;
  if (workers > 1) {
    std::lock_guard lock(mutex_);
    workers_ = workers;
    running_ = workers - 1;
    ++round_;
    begins_.notify_all();
  }
  call(0);
  if (workers > 1) {
    std::unique_lock lock(mutex_);
    ends_.wait(lock, [&] { return running_ == 0; });
  }
  for (const std::exception_ptr &error : errors_)
    if (error)
      std::rethrow_exception(error);
}

} // namespace wafer
