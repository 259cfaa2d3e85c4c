//===- TestFiles.h - files and tensors of the runtime's tests -------------===//
//
// A folder that goes away, tensors from numbers, and what a call refuses.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_UNITTESTS_RUNTIME_TESTFILES_H
#define WAFER_UNITTESTS_RUNTIME_TESTFILES_H

#include "wafer/Runtime/Tensor.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace wafer::test {

class TemporaryFolder {
public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "wafer-test-XXXXXX").string();
    if (!mkdtemp(pattern.data()))
      throw std::runtime_error("cannot make a temporary folder");
    path_ = pattern;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  std::string file(const std::string &name) const { return (path_ / name).string(); }
  size_t files() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(path_), std::filesystem::directory_iterator()));
  }

private:
  std::filesystem::path path_;
};

inline std::string readBytes(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void writeBytes(const std::string &path, const std::string &bytes) { std::ofstream(path, std::ios::binary) << bytes; }

template <typename T> Tensor tensorOf(DType type, Shape shape, const std::vector<T> &values) {
  return Tensor::copyOf(type, std::move(shape), values.data(), values.size() * sizeof(T));
}
inline Tensor floats(Shape shape, const std::vector<float> &values) { return tensorOf(DType::F32, std::move(shape), values); }

template <typename T> std::vector<T> valuesOf(const Tensor &tensor) {
  std::vector<T> values(tensor.bytes() / sizeof(T));
  if (!values.empty())
    std::memcpy(values.data(), tensor.data(), tensor.bytes());
  return values;
}

inline bool operator==(const Tensor &a, const Tensor &b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() && std::memcmp(a.data(), b.data(), a.bytes()) == 0;
}

/// The message of the RuntimeError that `call` throws; "" when it throws none.
template <typename Call> std::string refusal(Call call) {
  try {
    call();
  } catch (const RuntimeError &error) {
    return error.what();
  }
  return "";
}

/// `call` throws a RuntimeError that says all of `parts`.
template <typename Call> void expectRefused(Call call, const std::vector<std::string> &parts) {
  std::string message = refusal(call);
  EXPECT_NE(message, "") << "was accepted";
  for (const std::string &part : parts)
    EXPECT_NE(message.find(part), std::string::npos) << "'" << part << "' is not in: " << message;
}

} // namespace wafer::test

#endif // WAFER_UNITTESTS_RUNTIME_TESTFILES_H
