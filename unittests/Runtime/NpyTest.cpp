//===- NpyTest.cpp - NumPy files ------------------------------------------===//

#include "wafer/Runtime/Npy.h"

#include "TestFiles.h"

using namespace wafer;
using namespace wafer::test;

namespace {

/// A file of .npy version `version`.
std::string fileOf(const std::string &header, const std::string &data, char version = 1) {
  std::string bytes = std::string("\x93NUMPY") + version + '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i)
    bytes += static_cast<char>(header.size() >> 8 * i);
  return bytes + header + data;
}

class NpyTest : public testing::Test {
protected:
  void refused(const std::string &bytes, std::vector<std::string> parts) {
    writeBytes(path, bytes);
    parts.push_back(path);
    expectRefused([&] { readNpy(path); }, parts);
  }

  TemporaryFolder folder;
  std::string path = folder.file("x.npy");
};

TEST_F(NpyTest, ComeBackAsTheyWereWritten) {
  for (const Tensor &tensor : {floats({2, 3}, {1, 2, 3, 4, 5, 6}), floats({}, {4}), floats({0}, {}), floats({5}, {1, 2, 3, 4, 5}),
                               tensorOf<uint16_t>(DType::F16, {3}, {0x3c00, 0xc000, 0x7e00}),
                               tensorOf<int64_t>(DType::I64, {1, 2}, {-1, INT64_MAX}), tensorOf<uint8_t>(DType::Bool, {2}, {1, 0})}) {
    writeNpy(path, tensor);
    EXPECT_TRUE(readNpy(path) == tensor) << describe(tensor);
    EXPECT_EQ((readBytes(path).size() - tensor.bytes()) % 64, 0u);
  }
  EXPECT_EQ(folder.files(), 1u) << "a temporary file was left";
}

// As numpy.save writes them.
TEST_F(NpyTest, AreReadInEveryVersion) {
  for (char version : {1, 2, 3}) {
    writeBytes(path, fileOf("{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }  \n", std::string("\1\0\0\0\2\0\0\0", 8), version));
    EXPECT_EQ(valuesOf<int32_t>(readNpy(path)), (std::vector<int32_t>{1, 2}));
  }
}

TEST_F(NpyTest, AreRefusedWithATypeThatTensorsDoNotHave) {
  refused(fileOf("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }\n", "abcd"), {"'>f4'", "expected little-endian"});
  refused(fileOf("{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }\n", "abcdefgh"), {"'<c8'"});
  refused(fileOf("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }\n", "abcd"), {"expected little-endian"});
}

TEST_F(NpyTest, AreRefusedInFortranOrder) {
  refused(fileOf("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1), }\n", "abcd"), {"fortran_order True", "ascontiguousarray"});
}

TEST_F(NpyTest, AreRefusedWhenTheShapeIsNotTheSize) {
  refused(fileOf("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n", "abcd"), {"4 bytes", "f32[2]", "needs 8"});
  refused(fileOf("{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999, 999999999999), }\n", "abcd"), {"more than"});
  refused(fileOf("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }\n", "abcd"), {"shape '(-1,)'"});
  refused(fileOf("{'descr': '<f4', 'fortran_order': False}\n", "abcd"), {"shape ''"});
}

TEST_F(NpyTest, SurviveAnyDamagedByteAndAnyLength) {
  writeNpy(path, floats({2, 2}, {1, 2, 3, 4}));
  const std::string whole = readBytes(path);
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x11);
    for (const std::string &bytes : {damaged, whole.substr(0, at)}) {
      writeBytes(path, bytes);
      try {
        readNpy(path);
      } catch (const RuntimeError &error) {
        EXPECT_NE(std::string(error.what()).find(path), std::string::npos);
      }
    }
  }
}

TEST_F(NpyTest, CannotHoldBf16) {
  expectRefused([&] { writeNpy(path, tensorOf<uint16_t>(DType::BF16, {1}, {0})); }, {path, "bf16", "f32"});
}

} // namespace
