//===- ComputeBackend.cpp - finds the plug-in for MemoryX functions -------===//

#include "wafer/Runtime/ComputeBackend.h"

#include <climits>
#include <mutex>

#include <dlfcn.h>
#include <unistd.h>

namespace wafer {

Callable::~Callable() = default;
ComputeBackend::~ComputeBackend() = default;

namespace {

constexpr const char *libraryName = "libWaferCompute.so";
#define WAFER_TEXT_OF(macro) WAFER_TEXT(macro)
#define WAFER_TEXT(text) #text
constexpr const char *entryPoint = WAFER_TEXT_OF(WAFER_COMPUTE_ENTRY_POINT);

std::mutex mutex;
std::shared_ptr<ComputeBackend> registered;

std::string folderOf(const std::string &path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

/// Folders of the shared library that holds this code, if it is in one, and of the executable.
std::vector<std::string> binaryFolders() {
  std::vector<std::string> folders;
  char path[PATH_MAX];
  Dl_info info;
  if (dladdr(reinterpret_cast<const void *>(&registerComputeBackend), &info) && info.dli_fname && realpath(info.dli_fname, path))
    folders.push_back(folderOf(path));
  ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  if (length > 0)
    if (std::string folder = folderOf(std::string(path, static_cast<size_t>(length))); folders.empty() || folders.front() != folder)
      folders.push_back(folder);
  return folders;
}

std::shared_ptr<ComputeBackend> loadPlugin() {
  std::string tried;
  for (const std::string &folder : binaryFolders())
    for (const char *relative : {"/", "/../lib/"}) {
      std::string path = folder + relative + libraryName;
      // Never closed: what it made may live as long as the process.
      void *library = access(path.c_str(), F_OK) == 0 ? dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
      if (!library) {
        const char *reason = access(path.c_str(), F_OK) == 0 ? dlerror() : nullptr;
        tried += (tried.empty() ? "" : "; ") + path + ": " + (reason ? reason : "is not there");
        continue;
      }
      auto create = reinterpret_cast<CreateComputeBackend *>(dlsym(library, entryPoint));
      if (!create)
        throw RuntimeError(path + ": has no function " + entryPoint + ", so it belongs to another version; build both from one source");
      return std::shared_ptr<ComputeBackend>(create());
    }
  throw RuntimeError(std::string("the program has functions that run in MemoryX, which need ") + libraryName +
                     ", the plug-in that compiles them, and it cannot be loaded (" + tried + "); build the target WaferCompute");
}

} // namespace

void registerComputeBackend(std::shared_ptr<ComputeBackend> backend) {
  std::lock_guard lock(mutex);
  registered = std::move(backend);
}

std::shared_ptr<ComputeBackend> computeBackend() {
  std::lock_guard lock(mutex);
  if (!registered)
    registered = loadPlugin();
  return registered;
}

} // namespace wafer
