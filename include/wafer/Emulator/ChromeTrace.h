//===- ChromeTrace.h - events for a trace viewer ----------------------------===//
//
// The JSON that chrome://tracing and Perfetto read: lanes (threads) of processes, with spans on them.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_EMULATOR_CHROMETRACE_H
#define WAFER_EMULATOR_CHROMETRACE_H

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace wafer {

class ChromeTrace {
public:
  struct Lane {
    uint32_t process = 0, thread = 0;
  };
  using Numbers = std::vector<std::pair<std::string, double>>;

  void nameProcess(uint32_t process, const std::string &name);
  void nameLane(Lane lane, const std::string &name);
  /// Times are in microseconds of the viewer; `numbers` are shown beside the span.
  void span(Lane lane, const std::string &name, double begin, double length, const Numbers &numbers = {});
  void instant(Lane lane, const std::string &name, double at, bool ofAll = false);
  /// The whole file.
  std::string text() const;

private:
  void append(const std::string &name, const char *kind, const std::string &rest);
  std::string events_;
};

} // namespace wafer

#endif // WAFER_EMULATOR_CHROMETRACE_H
