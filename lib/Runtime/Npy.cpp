//===- Npy.cpp - NumPy files ----------------------------------------------===//
//
// A .npy file: magic, version, size of the header, the header (a Python dictionary literal), the elements.
//
//===----------------------------------------------------------------------===//

#include "wafer/Runtime/Npy.h"

#include "ReadOnlyFile.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <iterator>

namespace wafer {

namespace {

constexpr std::pair<const char *, DType> typeCodes[] = {{"<f4", DType::F32}, {"<f2", DType::F16}, {"<f8", DType::F64},
                                                        {"<i8", DType::I64}, {"<i4", DType::I32}, {"<i2", DType::I16},
                                                        {"|i1", DType::I8},  {"|u1", DType::U8},  {"|b1", DType::Bool}};
constexpr char magic[] = "\x93NUMPY";
constexpr size_t magicBytes = sizeof magic - 1;
constexpr size_t versionBytes = 2;
/// NumPy itself refuses larger headers.
constexpr size_t mostHeaderBytes = 1 << 16;
constexpr size_t alignment = 64;

/// The text of a key's value in the header.
std::string valueOf(const std::string &header, const std::string &key) {
  size_t at = header.find("'" + key + "'");
  if (at == std::string::npos || (at = header.find(':', at)) == std::string::npos ||
      (at = header.find_first_not_of(' ', at + 1)) == std::string::npos)
    return "";
  bool isTuple = header[at] == '(';
  size_t end = isTuple ? header.find(')', at) : header.find_first_of(",}", at);
  return end == std::string::npos ? "" : header.substr(at, end - at + isTuple);
}

/// "(3, 4)" as numbers; throws RuntimeError.
Shape parseShape(const std::string &text, const std::string &path) {
  auto refuse = [&] { return RuntimeError(path + ": has shape '" + text + "' in its header, expected numbers in parentheses"); };
  if (text.size() < 2 || text.front() != '(' || text.back() != ')')
    throw refuse();
  Shape shape;
  for (size_t at = 1; at < text.size() - 1;) {
    size_t end = text.find_first_not_of("0123456789", at);
    std::string digits = text.substr(at, end - at);
    if (digits.empty() || digits.size() > 18)
      throw refuse();
    shape.push_back(std::stoull(digits));
    at = end;
    if (text[at] == ',')
      ++at;
    while (text[at] == ' ')
      ++at;
  }
  return shape;
}

std::string readHeader(const ReadOnlyFile &file, uint64_t &dataBegin) {
  auto refuse = [&](const std::string &message) { return RuntimeError(file.path() + ": " + message); };
  uint8_t prefix[magicBytes + versionBytes + 4] = {};
  file.read(0, std::min<uint64_t>(file.size(), sizeof prefix), prefix);
  if (file.size() < magicBytes + versionBytes || std::memcmp(prefix, magic, magicBytes) != 0)
    throw refuse("is not a .npy file: it does not begin with \\x93NUMPY");
  unsigned version = prefix[magicBytes];
  if (version < 1 || version > 3)
    throw refuse("has .npy version " + std::to_string(version) + ", expected 1, 2 or 3");
  size_t sizeBytes = version == 1 ? 2 : 4;
  uint64_t headerBytes = 0;
  for (size_t i = 0; i < sizeBytes; ++i)
    headerBytes |= uint64_t(prefix[magicBytes + versionBytes + i]) << 8 * i;
  uint64_t headerBegin = magicBytes + versionBytes + sizeBytes;
  dataBegin = headerBegin + headerBytes;
  if (headerBytes > mostHeaderBytes || dataBegin > file.size())
    throw refuse("is cut off or damaged: its header should end at byte " + std::to_string(dataBegin) + " of " +
                 std::to_string(file.size()));
  std::string header(headerBytes, '\0');
  file.read(headerBegin, headerBytes, header.data());
  return header;
}

} // namespace

Tensor readNpy(const std::string &path) {
  auto refuse = [&](const std::string &message) { return RuntimeError(path + ": " + message); };
  ReadOnlyFile file(path);
  uint64_t dataBegin = 0;
  std::string header = readHeader(file, dataBegin);

  std::string code = valueOf(header, "descr"), fortran = valueOf(header, "fortran_order");
  auto known = std::find_if(std::begin(typeCodes), std::end(typeCodes),
                            [&](const auto &candidate) { return code == "'" + std::string(candidate.first) + "'"; });
  if (known == std::end(typeCodes))
    throw refuse("has elements of type " + (code.empty() ? "nothing" : code) +
                 ", expected little-endian f4, f2, f8, i8, i4, i2, or i1, u1, b1");
  if (fortran != "False")
    throw refuse("has fortran_order " + (fortran.empty() ? "nothing" : fortran) +
                 ", expected False; save numpy.ascontiguousarray of the array");
  Shape shape = parseShape(valueOf(header, "shape"), path);
  std::optional<uint64_t> expected = byteCount(known->second, shape);
  if (!expected || file.size() - dataBegin != *expected)
    throw refuse("has " + std::to_string(file.size() - dataBegin) + " bytes of elements, but " + describe(known->second, shape) +
                 " needs " + (expected ? std::to_string(*expected) : "more than there can be"));
  Tensor tensor = Tensor::zeros(known->second, std::move(shape));
  file.read(dataBegin, tensor.bytes(), tensor.mutableData());
  return tensor;
}

void writeNpy(const std::string &path, const Tensor &tensor) {
  auto known =
      std::find_if(std::begin(typeCodes), std::end(typeCodes), [&](const auto &candidate) { return candidate.second == tensor.dtype(); });
  if (known == std::end(typeCodes))
    throw RuntimeError(path + ": cannot be written: NumPy has no type for " + name(tensor.dtype()) + "; convert it to f32");
  std::string shape;
  for (uint64_t n : tensor.shape())
    shape += std::to_string(n) + ",";
  std::string header = std::string("{'descr': '") + known->first + "', 'fortran_order': False, 'shape': (" + shape + "), }";
  constexpr size_t prefixBytes = magicBytes + versionBytes + 2;
  header.resize((prefixBytes + header.size() + alignment) / alignment * alignment - prefixBytes, ' ');
  header.back() = '\n';
  assert(header.size() < mostHeaderBytes && "no tensor has that many dimensions");

  std::vector<uint8_t> bytes(magic, magic + magicBytes);
  bytes.reserve(prefixBytes + header.size() + tensor.bytes());
  bytes.insert(bytes.end(), {1, 0, static_cast<uint8_t>(header.size()), static_cast<uint8_t>(header.size() >> 8)});
  bytes.insert(bytes.end(), header.begin(), header.end());
  bytes.insert(bytes.end(), tensor.data(), tensor.data() + tensor.bytes());
  writeFileAtomically(path, bytes.data(), bytes.size());
}

} // namespace wafer
