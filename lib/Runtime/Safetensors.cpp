//===- Safetensors.cpp - weights on disk ----------------------------------===//

#include "wafer/Runtime/Safetensors.h"

#include "ReadOnlyFile.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cassert>
#include <set>

namespace wafer {

namespace {

using Json = nlohmann::json;
using Entry = SafetensorsFile::Entry;

constexpr uint64_t prefixBytes = 8;
/// The limit of the format's own library.
constexpr uint64_t mostHeaderBytes = 100'000'000;
/// {"tensor": {"shape": [n]}}
constexpr int mostDepth = 4;
constexpr const char *metadataKey = "__metadata__";

constexpr std::pair<const char *, DType> typeNames[] = {
    {"F32", DType::F32}, {"F16", DType::F16}, {"BF16", DType::BF16}, {"F64", DType::F64}, {"I64", DType::I64},
    {"I32", DType::I32}, {"I16", DType::I16}, {"I8", DType::I8},     {"U8", DType::U8},   {"BOOL", DType::Bool}};

std::string textOf(const Json &value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

bool isNaturalList(const Json &value) {
  return value.is_array() && std::all_of(value.begin(), value.end(), [](const Json &item) { return item.is_number_unsigned(); });
}

/// Checks the header of one file and makes its entries.
class HeaderParser {
public:
  HeaderParser(const std::string &path, uint64_t dataBegin, uint64_t fileSize)
      : path_(path), dataBegin_(dataBegin), dataBytes_(fileSize - dataBegin) {}

  std::map<std::string, Entry> parse(const std::string &header) const;

private:
  [[noreturn]] void refuse(const std::string &message) const { throw RuntimeError(path_ + ": " + message); }
  Json parseJson(const std::string &header) const;
  Entry parseEntry(const std::string &name, const Json &value) const;
  void checkCoverage(const std::map<std::string, Entry> &entries) const;

  const std::string &path_;
  uint64_t dataBegin_, dataBytes_;
};

/// JSON allows a key twice and lets the last one win; here that would hide a tensor.
Json HeaderParser::parseJson(const std::string &header) const {
  std::set<std::string> names;
  auto check = [&](int depth, Json::parse_event_t event, Json &parsed) {
    if (depth >= mostDepth)
      refuse("has a header that is nested " + std::to_string(depth) + " deep, expected less than " + std::to_string(mostDepth));
    if (event == Json::parse_event_t::key && depth == 1 && !names.insert(parsed.get<std::string>()).second)
      refuse("has two entries for tensor '" + parsed.get<std::string>() + "' in its header, expected one");
    return true;
  };
  try {
    return Json::parse(header, check);
  } catch (const Json::exception &error) {
    refuse(std::string("has a header that is not JSON: ") + error.what());
  }
}

Entry HeaderParser::parseEntry(const std::string &name, const Json &value) const {
  auto refuseTensor = [&](const std::string &message) { refuse("tensor '" + name + "' " + message); };
  if (!value.is_object() || !value.contains("dtype") || !value.contains("shape") || !value.contains("data_offsets"))
    refuseTensor("is " + textOf(value) + " in the header, expected an object with dtype, shape and data_offsets");
  const Json &dtype = value["dtype"], &shape = value["shape"], &offsets = value["data_offsets"];
  auto known = std::find_if(std::begin(typeNames), std::end(typeNames), [&](const auto &candidate) { return dtype == candidate.first; });
  if (known == std::end(typeNames))
    refuseTensor("has dtype " + textOf(dtype) + ", expected F32, F16, BF16, F64, I64, I32, I16, I8, U8 or BOOL");
  if (!isNaturalList(shape))
    refuseTensor("has shape " + textOf(shape) + ", expected a list of numbers that are not negative");
  if (!isNaturalList(offsets) || offsets.size() != 2)
    refuseTensor("has data_offsets " + textOf(offsets) + ", expected two numbers that are not negative");

  Entry entry{known->second, shape.get<Shape>(), 0, 0};
  uint64_t begin = offsets[0], end = offsets[1];
  if (begin > end || end > dataBytes_)
    refuseTensor("lies in bytes " + std::to_string(begin) + " to " + std::to_string(end) +
                 " of the data, expected an interval within its " + std::to_string(dataBytes_) + " bytes");
  std::optional<uint64_t> bytes = byteCount(entry.dtype, entry.shape);
  if (bytes != end - begin)
    refuseTensor("is " + describe(entry.dtype, entry.shape) + " and has " + std::to_string(end - begin) + " bytes, expected " +
                 (bytes ? std::to_string(*bytes) : "a size that fits in 63 bits"));
  entry.begin = dataBegin_ + begin;
  entry.end = dataBegin_ + end;
  return entry;
}

/// Every byte of the data belongs to exactly one tensor.
void HeaderParser::checkCoverage(const std::map<std::string, Entry> &entries) const {
  std::vector<std::pair<const Entry *, const std::string *>> order;
  for (const auto &[name, entry] : entries)
    order.emplace_back(&entry, &name);
  std::sort(order.begin(), order.end(),
            [](const auto &a, const auto &b) { return std::pair(a.first->begin, a.first->end) < std::pair(b.first->begin, b.first->end); });
  uint64_t at = dataBegin_;
  std::string before = "the header";
  for (const auto &[entry, name] : order) {
    if (entry->begin != at)
      refuse("tensor '" + *name + "' begins at byte " + std::to_string(entry->begin) + ", expected " + std::to_string(at) + ", where " +
             before + " ends; tensors neither overlap nor leave holes");
    at = entry->end;
    before = "tensor '" + *name + "'";
  }
  if (at != dataBegin_ + dataBytes_)
    refuse("has " + std::to_string(dataBegin_ + dataBytes_) + " bytes, expected " + std::to_string(at) + ", where " + before + " ends");
}

std::map<std::string, Entry> HeaderParser::parse(const std::string &header) const {
  Json json = parseJson(header);
  if (!json.is_object())
    refuse("has a header that is not a JSON object");
  std::map<std::string, Entry> entries;
  for (const auto &[name, value] : json.items())
    if (name != metadataKey)
      entries.emplace(name, parseEntry(name, value));
  checkCoverage(entries);
  return entries;
}

} // namespace

SafetensorsFile::SafetensorsFile(const std::string &path) : file_(std::make_unique<ReadOnlyFile>(path)) {
  uint64_t fileSize = file_->size();
  if (fileSize < prefixBytes)
    throw RuntimeError(path + ": has " + std::to_string(fileSize) + " bytes, expected a safetensors file of at least " +
                       std::to_string(prefixBytes));
  uint8_t prefix[prefixBytes];
  file_->read(0, prefixBytes, prefix);
  uint64_t headerBytes = 0;
  for (unsigned i = 0; i < prefixBytes; ++i)
    headerBytes |= uint64_t(prefix[i]) << 8 * i;
  uint64_t most = std::min(mostHeaderBytes, fileSize - prefixBytes);
  if (headerBytes > most)
    throw RuntimeError(path + ": says that its header has " + std::to_string(headerBytes) + " bytes, expected at most " +
                       std::to_string(most) + "; it is cut off or not a safetensors file");
  std::string header(headerBytes, '\0');
  file_->read(prefixBytes, headerBytes, header.data());
  entries_ = HeaderParser(path, prefixBytes + headerBytes, fileSize).parse(header);
}

SafetensorsFile::~SafetensorsFile() = default;

const std::string &SafetensorsFile::path() const { return file_->path(); }

void SafetensorsFile::read(const Entry &entry, uint64_t offset, uint64_t count, void *to) const {
  assert(offset <= entry.end - entry.begin && count <= entry.end - entry.begin - offset && "a read stays inside its tensor");
  file_->read(entry.begin + offset, count, to);
}

Tensor SafetensorsFile::tensor(const std::string &name) const {
  auto found = entries_.find(name);
  if (found == entries_.end())
    throw RuntimeError(path() + ": has no tensor '" + name + "'");
  Tensor tensor = Tensor::zeros(found->second.dtype, found->second.shape);
  read(found->second, 0, tensor.bytes(), tensor.mutableData());
  return tensor;
}

void writeSafetensors(const std::string &path, const std::map<std::string, Tensor> &tensors) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  uint64_t at = 0;
  for (const auto &[name, tensor] : tensors) {
    DType dtype = tensor.dtype();
    auto known = std::find_if(std::begin(typeNames), std::end(typeNames), [=](const auto &candidate) { return candidate.second == dtype; });
    json[name] = {{"dtype", known->first}, {"shape", tensor.shape()}, {"data_offsets", {at, at + tensor.bytes()}}};
    at += tensor.bytes();
  }
  std::string header;
  try {
    header = json.dump();
  } catch (const nlohmann::json::exception &error) {
    throw RuntimeError(path + ": cannot be written, because a tensor's name is not UTF-8: " + error.what());
  }
  // The data begins at a multiple of 8.
  header.resize((header.size() + 7) / 8 * 8, ' ');
  std::vector<uint8_t> bytes;
  bytes.reserve(prefixBytes + header.size() + at);
  for (unsigned i = 0; i < prefixBytes; ++i)
    bytes.push_back(static_cast<uint8_t>(uint64_t(header.size()) >> 8 * i));
  bytes.insert(bytes.end(), header.begin(), header.end());
  for (const auto &[name, tensor] : tensors)
    bytes.insert(bytes.end(), tensor.data(), tensor.data() + tensor.bytes());
  writeFileAtomically(path, bytes.data(), bytes.size());
}

} // namespace wafer
