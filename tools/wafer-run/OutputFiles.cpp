//===- OutputFiles.cpp - all files of a run, or none ----------------------===//

#include "OutputFiles.h"

#include "wafer/Runtime/Tensor.h"

#include <algorithm>
#include <filesystem>

#include <pthread.h>

namespace wafer {

namespace fs = std::filesystem;

static constexpr int deferredSignals[] = {SIGINT, SIGTERM, SIGHUP};

OutputFiles::OutputFiles() {
  sigemptyset(&deferred_);
  for (int signal : deferredSignals)
    sigaddset(&deferred_, signal);
  pthread_sigmask(SIG_BLOCK, &deferred_, &previous_);
}

OutputFiles::~OutputFiles() {
  if (!kept_) {
    std::error_code ignored; // what cannot be removed stays; the error that led here is the one to tell
    for (const std::string &file : files_)
      if (fs::is_regular_file(file, ignored)) // and not a device
        fs::remove(file, ignored);
    for (auto folder = folders_.rbegin(); folder != folders_.rend(); ++folder)
      fs::remove(*folder, ignored);
  }
  pthread_sigmask(SIG_SETMASK, &previous_, nullptr);
}

void OutputFiles::makeFolder(const std::string &path) {
  std::error_code error;
  std::vector<fs::path> missing;
  for (fs::path folder = fs::absolute(path).lexically_normal(); !fs::exists(folder, error) && folder.has_relative_path();
       folder = folder.parent_path())
    missing.push_back(folder);
  for (auto folder = missing.rbegin(); folder != missing.rend(); ++folder) {
    if (fs::create_directory(*folder, error))
      folders_.push_back(*folder);
    if (error)
      throw RuntimeError(folder->string() + ": cannot be made: " + error.message());
  }
  if (!fs::is_directory(path, error))
    throw RuntimeError(path + ": is not a folder");
}

void OutputFiles::add(const std::string &path, const std::function<void()> &write) {
  sigset_t pending;
  sigpending(&pending);
  if (std::any_of(std::begin(deferredSignals), std::end(deferredSignals), [&](int signal) { return sigismember(&pending, signal) == 1; }))
    throw RuntimeError("interrupted; nothing was written");
  write();
  files_.push_back(path);
}

} // namespace wafer
