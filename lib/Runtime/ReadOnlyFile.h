//===- ReadOnlyFile.h - bytes of a file at an offset ----------------------===//
//
// A regular file that is open for reading. Reads go through pread and not through a mapping: a mapped file that someone cuts off kills the
// process, a read says so.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_RUNTIME_READONLYFILE_H
#define WAFER_LIB_RUNTIME_READONLYFILE_H

#include <cstdint>
#include <string>

namespace wafer {

class ReadOnlyFile {
public:
  /// Throws RuntimeError when there is no such regular file.
  explicit ReadOnlyFile(const std::string &path);
  ~ReadOnlyFile();
  ReadOnlyFile(const ReadOnlyFile &) = delete;
  ReadOnlyFile &operator=(const ReadOnlyFile &) = delete;

  const std::string &path() const { return path_; }
  /// Bytes when it was opened.
  uint64_t size() const { return size_; }
  /// Reads `count` bytes from `offset`; may be called from several threads. Throws RuntimeError.
  void read(uint64_t offset, uint64_t count, void *to) const;

private:
  std::string path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

} // namespace wafer

#endif // WAFER_LIB_RUNTIME_READONLYFILE_H
