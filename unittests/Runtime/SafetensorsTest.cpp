//===- SafetensorsTest.cpp - files that are right, wrong and malicious ----===//

#include "wafer/Runtime/Safetensors.h"

#include "TestFiles.h"

using namespace wafer;
using namespace wafer::test;

namespace {

/// A file with this header and so many bytes of data.
std::string fileOf(const std::string &header, size_t dataBytes) {
  std::string bytes(8, '\0');
  for (unsigned i = 0; i < 8; ++i)
    bytes[i] = static_cast<char>(uint64_t(header.size()) >> 8 * i);
  return bytes + header + std::string(dataBytes, '\x01');
}

class SafetensorsTest : public testing::Test {
protected:
  void refused(const std::string &bytes, std::vector<std::string> parts) {
    writeBytes(path, bytes);
    parts.push_back(path);
    expectRefused([&] { SafetensorsFile file(path); }, parts);
  }

  TemporaryFolder folder;
  std::string path = folder.file("w.safetensors");
};

TEST_F(SafetensorsTest, ComeBackAsTheyWereWritten) {
  std::map<std::string, Tensor> tensors = {{"a.weight", floats({2, 3}, {1, -2, 3.5f, 0, 1e30f, -0.0f})},
                                           {"empty", floats({0, 4}, {})},
                                           {"flag", tensorOf<uint8_t>(DType::Bool, {3}, {1, 0, 1})},
                                           {"half", tensorOf<uint16_t>(DType::BF16, {1, 3}, {0x3f80, 0x4000, 0x7fc0})},
                                           {"long", tensorOf<int64_t>(DType::I64, {1}, {INT64_MIN})},
                                           {"scalar", floats({}, {7})}};
  writeSafetensors(path, tensors);
  SafetensorsFile file(path);
  ASSERT_EQ(file.entries().size(), tensors.size());
  for (const auto &[name, tensor] : tensors)
    EXPECT_TRUE(file.tensor(name) == tensor) << name;
  EXPECT_EQ(folder.files(), 1u) << "a temporary file was left";
}

TEST_F(SafetensorsTest, MayCarryMetadata) {
  writeBytes(path, fileOf(R"({"__metadata__":{"format":"pt"},"w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 2));
  EXPECT_EQ(SafetensorsFile(path).entries().size(), 1u);
}

TEST_F(SafetensorsTest, AreRefusedWhenCutOff) {
  writeSafetensors(path, {{"w", floats({3}, {1, 2, 3})}});
  std::string whole = readBytes(path);
  for (size_t size = 0; size < whole.size(); ++size)
    refused(whole.substr(0, size), {});
  refused(whole + "x", {"where tensor 'w' ends"});
}

TEST_F(SafetensorsTest, AreRefusedWhenTheHeaderIsHuge) {
  std::string bytes = fileOf("{}", 0);
  bytes.replace(0, 8, 8, '\xff');
  refused(bytes, {"18446744073709551615", "expected at most 2"});
}

TEST_F(SafetensorsTest, AreRefusedWithoutProperJson) {
  refused(fileOf("[1]", 0), {"not a JSON object"});
  refused(fileOf("{\"w\":", 0), {"not JSON"});
  refused(fileOf("{\"w\":{\"a\":{\"b\":{\"c\":{}}}}}", 0), {"nested"});
  refused(fileOf(std::string(100000, '['), 0), {"nested"});
}

TEST_F(SafetensorsTest, AreRefusedWithAnUnknownType) {
  refused(fileOf(R"({"w":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}})", 2), {"'w'", "F8_E4M3", "expected F32"});
}

TEST_F(SafetensorsTest, AreRefusedWithWrongOffsets) {
  refused(fileOf(R"({"w":{"dtype":"U8","shape":[2],"data_offsets":[0,3]}})", 2), {"'w'", "0 to 3", "2 bytes"});
  refused(fileOf(R"({"w":{"dtype":"U8","shape":[2],"data_offsets":[2,0]}})", 2), {"'w'", "2 to 0"});
  refused(fileOf(R"({"w":{"dtype":"U8","shape":[2],"data_offsets":[-1,1]}})", 2), {"'w'", "[-1,1]"});
  refused(fileOf(R"({"w":{"dtype":"U8","shape":[2],"data_offsets":[0]}})", 2), {"'w'", "two numbers"});
  refused(fileOf(R"({"w":{"dtype":"U8","shape":[2]}})", 2), {"'w'", "data_offsets"});
}

TEST_F(SafetensorsTest, AreRefusedWhenTheShapeIsNotTheSize) {
  refused(fileOf(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4), {"'w'", "f32[2]", "4 bytes", "expected 8"});
  refused(fileOf(R"({"w":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", 0), {"'w'", "63 bits"});
  refused(fileOf(R"({"w":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", 4), {"'w'", "[1.5]"});
}

TEST_F(SafetensorsTest, AreRefusedWhenTensorsOverlapOrLeaveHoles) {
  refused(fileOf(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})", 3),
          {"'b'", "expected", "where tensor 'a' ends"});
  refused(fileOf(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})", 3),
          {"'b'", "where tensor 'a' ends"});
}

// The last one of two entries would win, and nobody would see the first.
TEST_F(SafetensorsTest, AreRefusedWithTwoEntriesOfOneName) {
  refused(fileOf(R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1),
          {"two entries", "'w'"});
}

// A damaged file is read or refused; it never brings the process down.
TEST_F(SafetensorsTest, SurviveAnyDamagedByte) {
  writeSafetensors(path, {{"a", floats({2}, {1, 2})}, {"b", tensorOf<int8_t>(DType::I8, {3}, {1, 2, 3})}});
  const std::string whole = readBytes(path);
  for (size_t at = 0; at < whole.size(); ++at)
    for (int mask : {0x01, 0x10, 0x80, 0xff}) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ mask);
      writeBytes(path, damaged);
      try {
        SafetensorsFile file(path);
        for (const auto &[name, entry] : file.entries())
          file.tensor(name);
      } catch (const RuntimeError &error) {
        EXPECT_NE(std::string(error.what()).find(path), std::string::npos);
      }
    }
}

TEST_F(SafetensorsTest, AreRefusedWhenTheyAreNoFile) {
  expectRefused([&] { SafetensorsFile file(folder.file("none")); }, {"none", "No such file"});
  expectRefused([&] { SafetensorsFile file(folder.file(".")); }, {"not a regular file"});
}

// A file that shrinks under a reader is an error, not a signal.
TEST_F(SafetensorsTest, SayWhenTheyShrinkWhileInUse) {
  writeSafetensors(path, {{"w", floats({64}, std::vector<float>(64, 1))}});
  SafetensorsFile file(path);
  std::filesystem::resize_file(path, 100);
  expectRefused([&] { file.tensor("w"); }, {path, "ends at byte"});
}

TEST_F(SafetensorsTest, AreNotWrittenUnderANameThatIsNotText) {
  expectRefused([&] { writeSafetensors(path, {{"\xff\xfe", floats({1}, {1})}}); }, {path, "UTF-8"});
  EXPECT_EQ(folder.files(), 0u);
}

} // namespace
