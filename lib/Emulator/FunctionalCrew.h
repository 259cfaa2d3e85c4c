//===- FunctionalCrew.h - threads of the host that work together -------------===//
//
// The wafer's work comes in hundreds of small pieces, for each of which a thread of its own would cost more than it does. These stay from the first piece to the
// last, and wait for the next one a little before they sleep. Work is shared out such that a thread gets what it had the last time as well, and finds it in its cache.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALCREW_H
#define WAFER_LIB_EMULATOR_FUNCTIONALCREW_H

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace wafer {

/// Numbers below a count: to each member of a crew a part, as near to equal as may be, and to those that are through with theirs what is left of others'.
class Shares {
public:
  Shares(size_t count, size_t members);
  /// The next one for a member; none when all are taken.
  std::optional<size_t> next(size_t member);

private:
  struct alignas(64) Part { // a line of its own
    std::atomic<size_t> next{0};
    size_t end = 0;
  };
  std::unique_ptr<Part[]> parts_;
  size_t members_;
};

class Crew {
public:
  /// `threads`: with the caller's.
  explicit Crew(unsigned threads);
  Crew(const Crew &) = delete;
  Crew &operator=(const Crew &) = delete;
  ~Crew();

  size_t size() const { return workers_.size() + 1; }
  /// What is done with a number, and the number of the thread that does it; that of the caller is 0.
  using Use = std::function<void(size_t number, size_t member)>;
  /// The others call `use` with each number below `count` while the caller goes on, unless they are asleep until it waits.
  void begin(size_t count, Use use);
  /// The caller does so as well, and waits for the others. Throws what went wrong first. Without work there is nothing to do.
  void complete();
  /// Waits for the others that are at it, whatever goes wrong.
  void wait();
  /// Calls `use` with each number below `count` and waits until all are done.
  void forEach(size_t count, const std::function<void(size_t)> &use);

private:
  void serve(size_t member);
  void work(size_t member);

  std::vector<std::thread> workers_;
  Use use_;
  std::optional<Shares> shares_; ///< of the work that was begun
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
