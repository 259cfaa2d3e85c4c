//===- TaskTrace.h - a Chrome trace of tasks ---------------------------------===//
//
// One lane per core (process: row, thread: column) with the tasks that ran on it, from start to end; data tasks in a row are one span. One
// microsecond of the viewer is one cycle.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_TASKTRACE_H
#define WAFER_LIB_EMULATOR_TASKTRACE_H

#include "wafer/Emulator/ChromeTrace.h"
#include "wafer/Executable/Executable.h"

#include <map>
#include <string>

namespace wafer {

class TaskTrace {
public:
  /// An empty `file` means that no trace is wanted.
  TaskTrace(const LoadedProgram &program, std::string file) : program_(program), file_(std::move(file)) {}

  bool wanted() const { return !file_.empty(); }
  /// Core (x, y) had a task of `image` at work in the cycles from `first` to `last`: the one that begins at `entry`, its `serial`-th.
  void note(uint64_t first, uint64_t last, uint16_t x, uint16_t y, unsigned image, uint16_t entry, uint64_t serial);
  /// Writes the file, if one is wanted. Throws ExecutableError when it cannot be written.
  void write() const;

private:
  using Core = std::pair<uint16_t, uint16_t>; // y, x
  struct Span {
    uint64_t first, end, serial;
    unsigned image;
    uint16_t entry;
  };
  void emit(ChromeTrace &trace, Core core, const Span &span, size_t &spans) const;
  std::string taskName(unsigned image, uint16_t entry) const;

  /// Further spans are dropped, with a mark: a viewer does not take more.
  static constexpr size_t maxSpans = 1'000'000;
  const LoadedProgram &program_;
  std::string file_;
  ChromeTrace trace_;
  size_t spans_ = 0;
  std::map<Core, Span> open_;
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_TASKTRACE_H
