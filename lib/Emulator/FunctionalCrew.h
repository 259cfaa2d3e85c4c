//===- FunctionalCrew.h - threads of the host that work together -------------===//
//
// The wafer's work comes in hundreds of small pieces, for each of which a thread of its own would cost more than it does. These stay from the first piece to the
// last, and wait for the next one a little before they sleep.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALCREW_H
#define WAFER_LIB_EMULATOR_FUNCTIONALCREW_H

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace wafer {

class Crew {
public:
  /// `threads`: with the caller's.
  explicit Crew(unsigned threads);
  Crew(const Crew &) = delete;
  Crew &operator=(const Crew &) = delete;
  ~Crew();

  size_t size() const { return workers_.size() + 1; }
  /// Each of the others, up to `most` of them, does this work while the caller goes on, unless it is asleep until the caller waits.
  void begin(std::function<void()> work, size_t most);
  /// The caller does the work as well, and waits for the others. Throws what went wrong first. Without work there is nothing to do.
  void complete();
  /// Waits for the others that are at it, whatever goes wrong.
  void wait();
  /// Calls `use` with each number below `count`, by whichever thread is free, and waits until all are done.
  void forEach(size_t count, const std::function<void(size_t)> &use);

private:
  void serve();
  void guardedWork();

  std::vector<std::thread> workers_;
  std::function<void()> work_;
  std::mutex mutex_;
  std::condition_variable begun_, ended_;
  std::atomic<uint64_t> pieces_{0}; ///< that were begun
  size_t places_ = 0;               ///< for workers that may still take part in the last one
  std::atomic<size_t> busy_{0};     ///< workers that do
  std::atomic<bool> stopping_{false};
  std::exception_ptr error_;
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALCREW_H
