//===- ReadWrite.cpp - bytes of .wexe files -------------------------------===//
//
// Structure only: that the bytes are a FlatBuffers buffer of our schema, version and instruction table. What the sections mean is Verify's
// affair.
//
//===----------------------------------------------------------------------===//

#include "DisjointObjects.h"

#include "wafer/Executable/Executable.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

namespace wafer {

namespace {

/// FlatBuffers offsets are signed 32-bit numbers; no program needs a tenth of this.
constexpr size_t mostBytes = size_t(1) << 29;
/// Limits of the FlatBuffers verifier; the schema nests five tables deep.
constexpr unsigned mostDepth = 16;
constexpr unsigned mostTables = 16u << 20;

std::string hex(uint64_t value) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%016llx", static_cast<unsigned long long>(value));
  return text;
}

std::string systemError(const std::string &path, const char *what) { return path + ": " + what + ": " + std::strerror(errno); }

bool isAligned(const void *data) { return reinterpret_cast<uintptr_t>(data) % alignof(uint64_t) == 0; }

/// The FlatBuffers verifier checks where a vector's length lies, not where its 8-byte elements do.
bool vectorsAreAligned(const wexe::Program &program) {
  bool aligned = true;
  if (program.images())
    for (const wexe::Image *image : *program.images())
      aligned &= !image->code() || isAligned(image->code()->data());
  if (program.tensors())
    for (const wexe::Tensor *tensor : *program.tensors())
      aligned &= !tensor->shape() || isAligned(tensor->shape()->data());
  return aligned;
}

/// A file descriptor that is closed when the scope ends.
struct FileHandle {
  int fd = -1;
  ~FileHandle() {
    if (fd >= 0)
      ::close(fd);
  }
};

std::vector<uint8_t> readBytes(const std::string &path) {
  FileHandle file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat info;
  if (file.fd < 0 || ::fstat(file.fd, &info) != 0)
    throw ExecutableError(systemError(path, "cannot be read"));
  if (!S_ISREG(info.st_mode))
    throw ExecutableError(path + ": is not a regular file, expected an executable (.wexe)");
  if (static_cast<uint64_t>(info.st_size) > mostBytes)
    throw ExecutableError(path + ": has " + std::to_string(info.st_size) + " bytes, expected at most " + std::to_string(mostBytes) +
                          " (exe_c1)");
  std::vector<uint8_t> bytes(static_cast<size_t>(info.st_size));
  size_t got = 0;
  while (got < bytes.size()) {
    ssize_t n = ::read(file.fd, bytes.data() + got, bytes.size() - got);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      throw ExecutableError(systemError(path, "cannot be read"));
    if (n == 0)
      break;
    got += static_cast<size_t>(n);
  }
  bytes.resize(got);
  return bytes;
}

} // namespace

std::vector<uint8_t> writeExecutable(const wexe::ProgramT &program) {
  flatbuffers::FlatBufferBuilder builder(1 << 16);
  wexe::FinishProgramBuffer(builder, wexe::Program::Pack(builder, &program));
  return {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()};
}

wexe::ProgramT readExecutable(const uint8_t *data, size_t size) {
  if (size > mostBytes)
    throw ExecutableError("has " + std::to_string(size) + " bytes, expected at most " + std::to_string(mostBytes) + " (exe_c1)");
  // FlatBuffers reads in place, and numbers have to be aligned.
  std::vector<uint8_t> copy;
  if (!isAligned(data)) {
    copy.assign(data, data + size);
    data = copy.data();
  }
  // The root offset and the identifier are the first eight bytes.
  if (size < 8 || !wexe::ProgramBufferHasIdentifier(data))
    throw ExecutableError("is not an executable: bytes 4..7 should be '" + std::string(wexe::ProgramIdentifier()) + "' (exe_c1)");
  flatbuffers::Verifier verifier(data, size, mostDepth, mostTables);
  if (!wexe::VerifyProgramBuffer(verifier) || !vectorsAreAligned(*wexe::GetProgram(data)))
    throw ExecutableError("is damaged: an offset, a length or a string points outside the file (exe_c1)");
  if (!objectsAreDisjoint(*reinterpret_cast<const flatbuffers::Table *>(wexe::GetProgram(data)), *wexe::ProgramTypeTable(), size))
    throw ExecutableError("is damaged: two parts of it share bytes of the file (exe_c1)");

  const wexe::Program *root = wexe::GetProgram(data);
  if (root->format_version() != executableFormatVersion)
    throw ExecutableError("has format version " + std::to_string(root->format_version()) + ", expected " +
                          std::to_string(executableFormatVersion) + "; compile the program again (exe_c2)");
  if (root->isa_hash() != isaHash())
    throw ExecutableError("was made for instruction table " + hex(root->isa_hash()) + ", expected " + hex(isaHash()) +
                          "; compile the program again (exe_c2)");
  wexe::ProgramT program;
  root->UnPackTo(&program);
  // A struct comes with the padding it had in the file; made anew, equal programs have equal bytes.
  for (auto &region : program.regions)
    for (wexe::Override &o : region->overrides)
      o = wexe::Override(o.descriptor(), o.field(), o.base(), o.dx(), o.dy());
  return program;
}

LoadedProgram LoadedProgram::readFile(const std::string &path) {
  wexe::ProgramT program = readExecutableFile(path);
  try {
    return verify(std::move(program));
  } catch (const ExecutableError &error) {
    throw ExecutableError(path + ": " + error.what());
  }
}

wexe::ProgramT readExecutableFile(const std::string &path) {
  std::vector<uint8_t> bytes = readBytes(path);
  try {
    return readExecutable(bytes.data(), bytes.size());
  } catch (const ExecutableError &error) {
    throw ExecutableError(path + ": " + error.what());
  }
}

namespace {

/// Signals that end a process wait while this lives, so that no temporary file outlives the process. SIGXFSZ, for a file beyond the limit on
/// sizes, is dropped: the write's own error says it.
class SignalsDeferred {
public:
  SignalsDeferred() {
    sigset_t deferred;
    sigemptyset(&deferred);
    for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGXFSZ})
      sigaddset(&deferred, signal);
    pthread_sigmask(SIG_BLOCK, &deferred, &previous_);
  }
  ~SignalsDeferred() {
    sigset_t dropped;
    sigemptyset(&dropped);
    sigaddset(&dropped, SIGXFSZ);
    const timespec noTime = {0, 0};
    if (!sigismember(&previous_, SIGXFSZ))
      sigtimedwait(&dropped, nullptr, &noTime);
    pthread_sigmask(SIG_SETMASK, &previous_, nullptr);
  }
  SignalsDeferred(const SignalsDeferred &) = delete;
  SignalsDeferred &operator=(const SignalsDeferred &) = delete;

private:
  sigset_t previous_;
};

/// 0 or the error number.
int writeAll(int fd, const void *data, size_t size) {
  const char *bytes = static_cast<const char *>(data);
  for (size_t done = 0; done < size;) {
    ssize_t n = ::write(fd, bytes + done, size - done);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return errno;
    done += static_cast<size_t>(n);
  }
  return 0;
}

/// A device or a pipe takes the bytes itself: renaming a file over it would replace it.
void writeToSpecialFile(const std::string &path, const void *data, size_t size) {
  FileHandle file{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
  errno = file.fd < 0 ? errno : writeAll(file.fd, data, size);
  if (errno != 0)
    throw ExecutableError(systemError(path, "cannot be written"));
}

/// The file that a path means, through symbolic links, which stay.
std::string targetOf(const std::string &path) {
  struct stat info;
  if (::lstat(path.c_str(), &info) != 0 || !S_ISLNK(info.st_mode))
    return path;
  std::unique_ptr<char, decltype(&std::free)> target(::realpath(path.c_str(), nullptr), &std::free);
  return target ? target.get() : path;
}

} // namespace

void writeFileAtomically(const std::string &path, const void *data, size_t size) {
  const std::string target = targetOf(path);
  if (struct stat info; ::stat(target.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    writeToSpecialFile(path, data, size);
    return;
  }
  SignalsDeferred deferred;
  // Exclusive creation keeps two writers apart, and unlike mkstemp it leaves the mode to the umask.
  FileHandle file;
  std::string temporary;
  for (unsigned attempt = 0; file.fd < 0; ++attempt) {
    temporary = target + "." + std::to_string(::getpid()) + "." + std::to_string(attempt) + ".tmp";
    file.fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file.fd < 0 && (errno != EEXIST || attempt == 1000))
      throw ExecutableError(systemError(path, "cannot be written, because no temporary file can be made beside it"));
  }
  auto fail = [&](const char *what) {
    std::string message = systemError(path, what);
    ::unlink(temporary.c_str());
    throw ExecutableError(message);
  };
  if (int error = writeAll(file.fd, data, size)) {
    errno = error;
    fail("cannot be written");
  }
  if (::fsync(file.fd) != 0)
    fail("cannot be written");
  int fd = file.fd;
  file.fd = -1;
  if (::close(fd) != 0)
    fail("cannot be written");
  if (::rename(temporary.c_str(), target.c_str()) != 0)
    fail("cannot be replaced");
}

} // namespace wafer
