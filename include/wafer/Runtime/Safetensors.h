//===- Safetensors.h - weights on disk ------------------------------------===//
//
// Reader and writer of the safetensors format: 8 bytes of header size, a JSON header, the data. A file is checked completely when it is
// opened; no tensor of a file that breaks a rule can be read.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_RUNTIME_SAFETENSORS_H
#define WAFER_RUNTIME_SAFETENSORS_H

#include "wafer/Runtime/Tensor.h"

#include <map>
#include <memory>

namespace wafer {

class ReadOnlyFile;

class SafetensorsFile {
public:
  struct Entry {
    DType dtype;
    Shape shape;
    uint64_t begin, end; ///< bytes in the file
  };

  /// Opens and checks: size of the header, JSON, types, offsets inside the file, size of each tensor against its shape, no hole and no
  /// overlap. Throws RuntimeError with the path, the tensor, what was found and what was expected.
  explicit SafetensorsFile(const std::string &path);
  ~SafetensorsFile();

  const std::string &path() const;
  const std::map<std::string, Entry> &entries() const { return entries_; }
  /// Reads `count` bytes from `offset` of a tensor's data; may be called from several threads. Throws RuntimeError.
  void read(const Entry &entry, uint64_t offset, uint64_t count, void *to) const;
  /// A whole tensor. Throws RuntimeError when the file has none of that name.
  Tensor tensor(const std::string &name) const;

private:
  std::unique_ptr<ReadOnlyFile> file_;
  std::map<std::string, Entry> entries_;
};

/// Writes atomically. Throws RuntimeError for a name that is not UTF-8, ExecutableError when the file cannot be written.
void writeSafetensors(const std::string &path, const std::map<std::string, Tensor> &tensors);

} // namespace wafer

#endif // WAFER_RUNTIME_SAFETENSORS_H
