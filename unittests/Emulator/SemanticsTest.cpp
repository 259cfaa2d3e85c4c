//===- SemanticsTest.cpp - numbers, element operations, scoreboard ------------===//

#include "TestPrograms.h"

#include "../../lib/Emulator/CoreModel.h"
#include "../../lib/Emulator/FunctionalFunctions.h"
#include "../../lib/Emulator/FunctionalKernels.h"
#include "wafer/Emulator/NumberFormats.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

using namespace wafer;

namespace {

constexpr auto F32 = ElementType::F32, F16 = ElementType::F16, BF16 = ElementType::BF16;
constexpr auto I32 = ElementType::I32, I16 = ElementType::I16, I8 = ElementType::I8;
constexpr float inf = std::numeric_limits<float>::infinity();
const float nan_ = std::numeric_limits<float>::quiet_NaN();

Number number(float f) { return {f, 0}; }
Number integer(int32_t i) { return {0, i}; }
float value(Opcode opcode, ElementType type, float a, float b = 0, float c = 0) {
  return compute(opcode, type, number(a), number(b), number(c)).f;
}
int32_t valueOfInts(Opcode opcode, ElementType type, int32_t a, int32_t b = 0, int32_t c = 0) {
  return compute(opcode, type, integer(a), integer(b), integer(c)).i;
}

// Whatever the vector functions of the host are, a number comes out with the bits that the library's would give: of all magnitudes, near 0, near 1 and where functions
// end, and for what is no number.
TEST(FunctionsTest, VectorsHaveTheBitsOfTheLibrary) {
  std::mt19937 random(7);
  for (Opcode opcode : {Opcode::Exp, Opcode::Tanh, Opcode::Log, Opcode::Sigmoid}) {
    std::vector<float> numbers = {0.0f, -0.0f, 1, -1, inf, -inf, nan_, 88.8f, -103.9f, -104, -87.4f, 9.2f, 1e-38f, 1e-45f, -1e-45f};
    for (unsigned i = 0; i < 300000; ++i) {
      const float unit = static_cast<float>(random()) / 4294967296.0f - 0.5f;
      numbers.push_back(i % 4 == 0 ? floatOf(static_cast<uint32_t>(random())) : i % 4 == 1 ? unit * 220 : i % 4 == 2 ? unit * 4 : 1 + unit / 1024);
    }
    std::vector<float> found(numbers.size()), expected(numbers.size());
    computeFloats(opcode, numbers.data(), nullptr, nullptr, expected.data(), numbers.size());
    if (!computeFunctions(opcode, numbers.data(), found.data(), numbers.size()))
      GTEST_SKIP() << "this host has no vectors of doubles";
    for (size_t i = 0; i < numbers.size(); ++i)
      ASSERT_EQ(bitsOf(found[i]), bitsOf(expected[i])) << print({opcode, F32}) << " of " << numbers[i];
  }
}

// Whether operands and result are halves or numbers, the bits are those of one operation after the other: widen, compute, round.
TEST(ArithmeticTest, HalvesAndNumbersMixAsInSingleSteps) {
  constexpr size_t n = 77; // vectors and some more
  std::mt19937 random(3);
  std::vector<float> a(n), b(n), roundedA(n), roundedB(n);
  std::vector<uint8_t> halfA(2 * n), halfB(2 * n);
  for (size_t j = 0; j < n; ++j) {
    a[j] = j == 5 ? nan_ : j == 6 ? inf : j == 7 ? -0.0f : floatOf(static_cast<uint32_t>(random() % 0x10000000 + 0x33000000));
    b[j] = j == 6 ? -inf : j == 8 ? 6e-8f : -a[n - 1 - j];
  }
  narrowF16(a.data(), halfA.data(), n);
  narrowF16(b.data(), halfB.data(), n);
  widenF16(halfA.data(), roundedA.data(), n);
  widenF16(halfB.data(), roundedB.data(), n);
  auto elements = [](const std::vector<float> &numbers, const std::vector<uint8_t> &halves, bool isHalf) {
    return Elements{isHalf ? halves.data() : reinterpret_cast<const uint8_t *>(numbers.data()), isHalf};
  };
  for (Arithmetic operation : {Arithmetic::Add, Arithmetic::Sub, Arithmetic::Mul})
    for (unsigned which = 0; which < 8; ++which) {
      const bool isHalfA = which & 4, isHalfB = which & 2, isHalf = which & 1;
      std::vector<uint8_t> expected(4 * n), found(4 * n);
      std::vector<float> made(n);
      arithmetic(operation, (isHalfA ? roundedA : a).data(), (isHalfB ? roundedB : b).data(), made.data(), n);
      isHalf ? narrowF16(made.data(), expected.data(), n) : static_cast<void>(std::memcpy(expected.data(), made.data(), 4 * n));
      arithmetic(operation, elements(a, halfA, isHalfA), elements(b, halfB, isHalfB), found.data(), isHalf, n);
      EXPECT_EQ(found, expected) << "operation " << int(operation) << ", halves " << which;
    }
}

// Every half has one f32 and comes back from it.
TEST(NumberFormatsTest, AllHalvesAreExact) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    uint16_t half = static_cast<uint16_t>(bits);
    float wide = f16ToF32(half);
    if (std::isnan(wide)) {
      EXPECT_TRUE(std::isnan(test::fromHalf(half)));
      EXPECT_EQ(f32ToF16(wide), half | 0x200);
      continue;
    }
    ASSERT_EQ(bitsOf(wide), bitsOf(test::fromHalf(half))) << bits;
    ASSERT_EQ(f32ToF16(wide), half) << bits;
  }
}

// Rounding is decided by what lies at and beside the midpoint of two halves.
TEST(NumberFormatsTest, RoundsAtEveryMidpoint) {
  for (uint32_t bits = 0; bits < 0x7c00; ++bits) {
    float low = f16ToF32(static_cast<uint16_t>(bits));
    float high = bits == 0x7bff ? 65536.0f : f16ToF32(static_cast<uint16_t>(bits + 1));
    float middle = (low + high) / 2;
    for (float x : {low, std::nextafter(middle, 0.0f), middle, std::nextafter(middle, inf)})
      for (float sign : {1.0f, -1.0f})
        ASSERT_EQ(f32ToF16(sign * x), test::toHalf(sign * x)) << sign * x;
  }
}

TEST(NumberFormatsTest, RandomBitsRoundAsTheCompilerDoes) {
  std::mt19937 random(7);
  for (int i = 0; i < 200000; ++i) {
    float x = floatOf(static_cast<uint32_t>(random()));
    if (std::isnan(x))
      continue;
    ASSERT_EQ(f32ToF16(x), test::toHalf(x)) << x;
    ASSERT_EQ(bitsOf(bf16ToF32(f32ToBf16(x))), bitsOf(test::roundTo(x, BF16))) << x;
  }
}

TEST(NumberFormatsTest, SpecialValues) {
  EXPECT_EQ(f32ToF16(inf), 0x7c00);
  EXPECT_EQ(f32ToF16(-inf), 0xfc00);
  EXPECT_EQ(f32ToF16(65519.99f), 0x7bff);
  EXPECT_EQ(f32ToF16(65520.0f), 0x7c00);
  EXPECT_EQ(f32ToF16(-0.0f), 0x8000);
  EXPECT_EQ(f32ToBf16(inf), 0x7f80);
  EXPECT_EQ(f32ToBf16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(f32ToBf16(floatOf(0x7f800001)), 0x7fc0); // a NaN does not become infinity
  EXPECT_TRUE(std::isnan(f16ToF32(f32ToF16(floatOf(0x7f800001)))));
}

TEST(ConvertTest, FloatToIntegerRoundsToEvenAndSaturates) {
  EXPECT_EQ(convert(number(2.5f), F32, I32).i, 2);
  EXPECT_EQ(convert(number(3.5f), F32, I32).i, 4);
  EXPECT_EQ(convert(number(-2.5f), F32, I32).i, -2);
  EXPECT_EQ(convert(number(1e20f), F32, I32).i, INT32_MAX);
  EXPECT_EQ(convert(number(-inf), F32, I32).i, INT32_MIN);
  EXPECT_EQ(convert(number(40000), F32, I16).i, 32767);
  EXPECT_EQ(convert(number(-129), F16, I8).i, -128);
  EXPECT_EQ(convert(number(nan_), F32, I32).i, 0);
}

TEST(ConvertTest, IntegersSaturateIntoShorterOnes) {
  EXPECT_EQ(convert(integer(70000), I32, I16).i, 32767);
  EXPECT_EQ(convert(integer(-70000), I32, I8).i, -128);
  EXPECT_EQ(convert(integer(-5), I8, I32).i, -5);
}

TEST(ConvertTest, IntegerToFloatRoundsOnce) {
  EXPECT_EQ(convert(integer(16777217), I32, F32).f, 16777216.0f);
  EXPECT_EQ(convert(integer(16777219), I32, F32).f, 16777220.0f);
  EXPECT_EQ(convert(integer(100000), I32, F16).f, inf);
  // Just above the midpoint of two bf16 numbers, but f32 would round it to the midpoint first and then to even.
  EXPECT_EQ(convert(integer((1 << 30) + (1 << 22) + 1), I32, BF16).f, static_cast<float>((1 << 30) + (1 << 23)));
  EXPECT_EQ(convert(integer(-(1 << 30) - (1 << 22) - 1), I32, BF16).f, -static_cast<float>((1 << 30) + (1 << 23)));
  // Just below it.
  EXPECT_EQ(convert(integer((1 << 30) + 3 * (1 << 22) - 1), I32, BF16).f, static_cast<float>((1 << 30) + (1 << 23)));
}

TEST(ConvertTest, NaNsKeepTheirUpperPayloadAndBecomeQuiet) {
  EXPECT_EQ(bitsFromNumber(F16, convert(number(floatOf(0xffa02000)), F32, F16)), 0xff01u);
  EXPECT_EQ(bitsOf(convert(numberFromBits(BF16, 0x7f81), BF16, F32).f), 0x7fc10000u);
  EXPECT_EQ(bitsOf(convert(number(floatOf(0x7f800001)), F32, F32).f), 0x7f800001u); // no conversion
}

TEST(ComputeTest, ArithmeticRoundsInTheTypeOfTheInstruction) {
  EXPECT_EQ(value(Opcode::Add, F32, 1, 0x1p-24f), 1);
  EXPECT_EQ(value(Opcode::Add, F16, 1, 0x1p-11f), 1);
  EXPECT_EQ(value(Opcode::Add, F16, 1, 0x1.8p-11f), 1 + 0x1p-10f);
  EXPECT_EQ(value(Opcode::Mul, F16, 300, 300), inf);
  EXPECT_EQ(value(Opcode::Mul, BF16, 300, 300), test::roundTo(90000, BF16));
  EXPECT_EQ(value(Opcode::Sub, F32, 3, 5), -2);
  EXPECT_EQ(value(Opcode::Div, F32, 1, 3), 1.0f / 3);
  EXPECT_EQ(value(Opcode::Div, F32, 1, 0), inf);
  // (1 + 2^-12)^2 - 1 needs the product's last bit.
  float x = 1 + 0x1p-12f;
  EXPECT_EQ(value(Opcode::Fma, F32, x, x, -1), 0x1p-11f + 0x1p-24f);
  EXPECT_EQ(value(Opcode::Fmac, F32, x, x, -1), 0x1p-11f + 0x1p-24f);
}

TEST(ComputeTest, RoundingToWholeNumbers) {
  EXPECT_EQ(value(Opcode::Floor, F32, -1.5f), -2);
  EXPECT_EQ(value(Opcode::Ceil, F32, -1.5f), -1);
  EXPECT_EQ(value(Opcode::Round, F32, 2.5f), 2);
  EXPECT_EQ(value(Opcode::Round, F32, 3.5f), 4);
  EXPECT_TRUE(std::signbit(value(Opcode::Round, F32, -0.25f)));
}

TEST(ComputeTest, MinAndMaxOrderZerosAndKeepNaN) {
  EXPECT_TRUE(std::isnan(value(Opcode::Min, F32, nan_, 1)));
  EXPECT_TRUE(std::isnan(value(Opcode::Max, F32, 1, nan_)));
  for (auto [a, b] : {std::pair(0.0f, -0.0f), std::pair(-0.0f, 0.0f)}) {
    EXPECT_TRUE(std::signbit(value(Opcode::Min, F32, a, b)));
    EXPECT_FALSE(std::signbit(value(Opcode::Max, F32, a, b)));
  }
  EXPECT_EQ(value(Opcode::Min, F32, 2, -3), -3);
  EXPECT_EQ(value(Opcode::Max, F32, 2, -3), 2);
}

TEST(ComputeTest, ComparisonsGiveOneOrZero) {
  EXPECT_EQ(value(Opcode::Cmplt, F32, 1, 2), 1);
  EXPECT_EQ(value(Opcode::Cmple, F32, 2, 2), 1);
  EXPECT_EQ(value(Opcode::Cmpeq, F32, 0.0f, -0.0f), 1);
  EXPECT_EQ(value(Opcode::Cmpne, F32, nan_, nan_), 1);
  EXPECT_EQ(value(Opcode::Cmpeq, F32, nan_, nan_), 0);
  EXPECT_EQ(value(Opcode::Cmplt, F32, nan_, 1), 0);
  EXPECT_EQ(valueOfInts(Opcode::Cmple, I8, 3, 2), 0);
}

TEST(ComputeTest, ArithmeticGivesTheQuietNaNAndMovesKeepTheirBits) {
  float odd = floatOf(0xffc12345);
  EXPECT_EQ(bitsOf(value(Opcode::Add, F32, odd, 1)), 0x7fc00000u);
  EXPECT_EQ(bitsOf(value(Opcode::Sub, F32, inf, inf)), 0x7fc00000u);
  EXPECT_EQ(bitsOf(value(Opcode::Log, F32, -1)), 0x7fc00000u);
  EXPECT_EQ(bitsOf(value(Opcode::Max, F32, odd, 1)), 0x7fc00000u);
  EXPECT_EQ(bitsOf(value(Opcode::Mov, F32, odd)), 0xffc12345u);
  EXPECT_EQ(bitsOf(value(Opcode::Neg, F32, odd)), 0x7fc12345u);
  EXPECT_EQ(bitsOf(value(Opcode::Abs, F32, odd)), 0x7fc12345u);
  EXPECT_EQ(bitsOf(value(Opcode::Select, F32, 1, odd, 0)), 0xffc12345u);
}

TEST(ComputeTest, SelectTakesNaNAsTrue) {
  EXPECT_EQ(value(Opcode::Select, F32, nan_, 3, 4), 3);
  EXPECT_EQ(value(Opcode::Select, F32, -0.0f, 3, 4), 4);
  EXPECT_EQ(valueOfInts(Opcode::Select, I16, 0, 3, 4), 4);
}

TEST(ComputeTest, IntegersSaturate) {
  EXPECT_EQ(valueOfInts(Opcode::Add, I8, 100, 100), 127);
  EXPECT_EQ(valueOfInts(Opcode::Sub, I16, -30000, 30000), -32768);
  EXPECT_EQ(valueOfInts(Opcode::Mul, I32, 100000, 100000), INT32_MAX);
  EXPECT_EQ(valueOfInts(Opcode::Neg, I32, INT32_MIN), INT32_MAX);
  EXPECT_EQ(valueOfInts(Opcode::Abs, I8, -128), 127);
  EXPECT_EQ(valueOfInts(Opcode::And, I8, 12, 10), 8);
  EXPECT_EQ(valueOfInts(Opcode::Or, I8, 12, 10), 14);
  EXPECT_EQ(valueOfInts(Opcode::Xor, I32, -1, 5), -6);
}

// The double-precision library function rounded to f32, then to the type.
TEST(ComputeTest, Functions) {
  struct {
    Opcode opcode;
    double (*reference)(double);
  } const functions[] = {
      {Opcode::Exp, [](double x) { return std::exp(x); }},        {Opcode::Log, [](double x) { return std::log(x); }},
      {Opcode::Tanh, [](double x) { return std::tanh(x); }},      {Opcode::Sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }},
      {Opcode::Erf, [](double x) { return std::erf(x); }},        {Opcode::Sqrt, [](double x) { return std::sqrt(x); }},
      {Opcode::Rsqrt, [](double x) { return 1 / std::sqrt(x); }}, {Opcode::Recip, [](double x) { return 1 / x; }},
      {Opcode::Sin, [](double x) { return std::sin(x); }},        {Opcode::Cos, [](double x) { return std::cos(x); }},
  };
  std::mt19937 random(3);
  for (const auto &function : functions)
    for (int i = 0; i < 2000; ++i) {
      float x = static_cast<float>(random() % 100000 + 1) / 8192;
      float expected = static_cast<float>(function.reference(static_cast<double>(x)));
      ASSERT_EQ(value(function.opcode, F32, x), expected) << mnemonic(function.opcode) << " " << x;
      float half = test::roundTo(x, F16);
      ASSERT_EQ(value(function.opcode, F16, half), test::roundTo(static_cast<float>(function.reference(static_cast<double>(half))), F16))
          << mnemonic(function.opcode) << " " << half;
    }
}

Descriptor memory(ElementType type, uint32_t base, std::array<uint16_t, 4> extents, std::array<int16_t, 4> strides) {
  Descriptor descriptor;
  descriptor.type = static_cast<wexe::ElemType>(type);
  descriptor.base = base;
  std::copy(extents.begin(), extents.end(), descriptor.extent);
  std::copy(strides.begin(), strides.end(), descriptor.stride);
  return descriptor;
}

// Elements come in row-major order, whatever the strides.
TEST(WalkTest, IsRowMajor) {
  for (const Descriptor &d : {memory(F16, 100, {2, 3, 1, 4}, {40, -5, 7, 1}), memory(F32, 1000, {3, 1, 2, 2}, {-8, 0, 0, 3}),
                              memory(I8, 9, {1, 1, 1, 5}, {0, 0, 0, 0})}) {
    Walk walk(d);
    int bytes = static_cast<int>(byteSize(elementType(d.type)));
    for (int a = 0; a < d.extent[0]; ++a)
      for (int b = 0; b < d.extent[1]; ++b)
        for (int c = 0; c < d.extent[2]; ++c)
          for (int e = 0; e < d.extent[3]; ++e, walk.next())
            ASSERT_EQ(walk.address(), d.base + bytes * (a * d.stride[0] + b * d.stride[1] + c * d.stride[2] + e * d.stride[3]));
  }
}

TEST(FootprintTest, SpansWhatIsAddressed) {
  Footprint up = footprintOf(memory(F32, 100, {1, 1, 3, 4}, {0, 0, 10, 1}));
  EXPECT_EQ(up.low, 100);
  EXPECT_EQ(up.high, 100 + (2 * 10 + 3) * 4 + 4);
  Footprint down = footprintOf(memory(F16, 100, {1, 1, 1, 4}, {0, 0, 0, -2}));
  EXPECT_EQ(down.low, 100 - 12);
  EXPECT_EQ(down.high, 102);
  Footprint none = footprintOf(memory(F32, 100, {1, 0, 3, 4}, {0, 0, 10, 1}));
  EXPECT_EQ(none.low, none.high);
}

Operation operation(Footprint write, Footprint read, int input = -1, int output = -1) {
  Operation op;
  op.writes[0] = write;
  op.reads[0] = read;
  op.inputColour = input;
  op.outputColour = output;
  return op;
}

// The scoreboard: reads may overlap, anything that one of the two writes may not.
TEST(ConflictTest, FootprintsAndColours) {
  const Footprint low{false, 0, 10}, middle{false, 5, 15}, high{false, 10, 20}, cache{true, 0, 10};
  EXPECT_TRUE(conflict(operation(low, high), operation(middle, cache)));                      // both write
  EXPECT_TRUE(conflict(operation(low, high), operation(cache, middle)));                      // write, then read
  EXPECT_TRUE(conflict(operation(cache, middle), operation(high, {})));                       // read, then write
  EXPECT_FALSE(conflict(operation(cache, middle), operation(Footprint{false, 30, 40}, low))); // both read
  EXPECT_FALSE(conflict(operation(low, {}), operation(high, {})));                            // side by side
  EXPECT_FALSE(conflict(operation(low, {}), operation(cache, {})));                           // SRAM and cache are apart
  EXPECT_TRUE(conflict(operation({}, {}, 3, -1), operation({}, {}, 3, -1)));
  EXPECT_TRUE(conflict(operation({}, {}, -1, 3), operation({}, {}, -1, 3)));
  EXPECT_FALSE(conflict(operation({}, {}, 3, -1), operation({}, {}, -1, 3))); // in and out are different channels
}

} // namespace
