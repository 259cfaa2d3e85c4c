//===- OutputFiles.h - all files of a run, or none ------------------------===//
//
// Writes the results of a run so that a failure or Ctrl-C in between leaves nothing of it behind.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_TOOLS_WAFERRUN_OUTPUTFILES_H
#define WAFER_TOOLS_WAFERRUN_OUTPUTFILES_H

#include <csignal>
#include <functional>
#include <string>
#include <vector>

namespace wafer {

/// While it lives, Ctrl-C and its relatives wait. Destroyed before `keep`, it removes what was written; then the signals take effect.
class OutputFiles {
public:
  OutputFiles();
  ~OutputFiles();
  OutputFiles(const OutputFiles &) = delete;
  OutputFiles &operator=(const OutputFiles &) = delete;

  /// Makes a folder and those above it that are missing. Throws RuntimeError.
  void makeFolder(const std::string &path);
  /// Calls `write`, which makes the file `path` or throws and leaves none. Throws RuntimeError when a signal has come.
  void add(const std::string &path, const std::function<void()> &write);
  /// From here on, the files stay.
  void keep() { kept_ = true; }

private:
  sigset_t previous_, deferred_;
  std::vector<std::string> files_, folders_; ///< in the order in which they were made
  bool kept_ = false;
};

} // namespace wafer

#endif // WAFER_TOOLS_WAFERRUN_OUTPUTFILES_H
