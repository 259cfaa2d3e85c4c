//===- TensorTest.cpp - element types and their conversion ----------------===//

#include "TestFiles.h"

#include <cmath>
#include <limits>

using namespace wafer;
using namespace wafer::test;

namespace {

template <typename From, typename To> std::vector<To> converted(DType from, DType to, const std::vector<From> &values) {
  std::vector<To> result(values.size());
  convertElements(from, reinterpret_cast<const uint8_t *>(values.data()), values.size(), to, reinterpret_cast<uint8_t *>(result.data()));
  return result;
}

// Weights reach the wire with one rounding to nearest, ties to even.
TEST(ConvertTest, RoundsFloatsToNearestEven) {
  EXPECT_EQ((converted<float, uint16_t>(DType::F32, DType::F16, {1.0f, 1.0f + 0x1p-11f, 1.0f + 0x3p-11f, 65520.0f, -0.0f, 0x1p-25f})),
            (std::vector<uint16_t>{0x3c00, 0x3c00, 0x3c02, 0x7c00, 0x8000, 0x0000}));
  EXPECT_EQ((converted<float, uint16_t>(DType::F32, DType::BF16, {1.0f, 1.0f + 0x1p-8f, 1.0f + 0x3p-8f, -2.5f})),
            (std::vector<uint16_t>{0x3f80, 0x3f80, 0x3f82, 0xc020}));
}

// 2^24 + 2^16 + 1 is just above a tie of bf16; rounded to f32 first, it would sit on the tie and go the other way.
TEST(ConvertTest, RoundsIntegersOnce) {
  int32_t aboveTie = (1 << 24) + (1 << 16) + 1;
  EXPECT_EQ((converted<int32_t, uint16_t>(DType::I32, DType::BF16, {aboveTie, aboveTie - 1, 3})),
            (std::vector<uint16_t>{0x4b81, 0x4b80, 0x4040}));
}

TEST(ConvertTest, SaturatesIntegers) {
  float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ((converted<float, int8_t>(DType::F32, DType::I8, {1e9f, -1e9f, 2.5f, -3.5f, nan})), (std::vector<int8_t>{127, -128, 2, -4, 0}));
  EXPECT_EQ((converted<float, int32_t>(DType::F32, DType::I32, {3e9f, -3e9f})), (std::vector<int32_t>{INT32_MAX, INT32_MIN}));
  EXPECT_EQ((converted<int32_t, int16_t>(DType::I32, DType::I16, {70000, -5})), (std::vector<int16_t>{32767, -5}));
}

TEST(ConvertTest, KeepsLargeIntegersExact) {
  EXPECT_EQ((converted<int32_t, int32_t>(DType::I32, DType::I32, {16777217})), (std::vector<int32_t>{16777217}));
}

TEST(TensorTest, RefusesBytesThatDoNotFitTheShape) {
  float value = 1;
  expectRefused([&] { Tensor::borrow(DType::F32, {2}, &value, sizeof value); }, {"4 bytes", "f32[2]", "expected 8"});
}

TEST(TensorTest, RefusesShapesThatOverflow) {
  expectRefused([] { Tensor::zeros(DType::F32, {uint64_t(1) << 40, uint64_t(1) << 40}); }, {"63 bits"});
  EXPECT_EQ(elementCount({uint64_t(1) << 40, uint64_t(1) << 40, 0}), 0u);
}

TEST(TensorTest, ReshapesOnlyToTheSameNumberOfElements) {
  Tensor tensor = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(tensor.reshaped({6}).shape(), (Shape{6}));
  expectRefused([&] { tensor.reshaped({7}); }, {"f32[2x3]", "f32[7]"});
}

} // namespace
