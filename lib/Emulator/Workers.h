//===- Workers.h - threads that work in rounds ------------------------------===//

#ifndef WAFER_LIB_EMULATOR_WORKERS_H
#define WAFER_LIB_EMULATOR_WORKERS_H

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace wafer {

/// A number of threads, the caller's among them, that live as long as this.
class Workers {
public:
  explicit Workers(unsigned count);
  ~Workers();
  unsigned count() const { return static_cast<unsigned>(threads_.size()) + 1; }
  /// Calls work(0) to work(workers - 1) at the same time and waits for all. Throws what the first of them threw.
  void run(unsigned workers, const std::function<void(unsigned)> &work);

private:
  void loop(unsigned number);
  void call(unsigned number);

  std::mutex mutex_;
  std::condition_variable begins_, ends_;
  const std::function<void(unsigned)> *work_ = nullptr;
  unsigned workers_ = 0, running_ = 0;
  uint64_t round_ = 0;
  bool stopping_ = false;
  std::vector<std::exception_ptr> errors_;
  std::vector<std::thread> threads_;
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_WORKERS_H
