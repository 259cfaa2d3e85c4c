//===- Semantics.cpp - what instructions do to elements ----------------------===//

#include "Semantics.h"

#include "wafer/Emulator/NumberFormats.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

namespace wafer {

namespace {

int32_t saturate(int64_t value, ElementType type) {
  int64_t high = type == ElementType::I8 ? INT8_MAX : type == ElementType::I16 ? INT16_MAX : INT32_MAX;
  return static_cast<int32_t>(std::clamp<int64_t>(value, -high - 1, high));
}

/// Round an f32 to a float type.
float roundTo(float value, ElementType type) {
  switch (type) {
  case ElementType::F16:
    return f16ToF32(f32ToF16(value));
  case ElementType::BF16:
    return bf16ToF32(f32ToBf16(value));
  default:
    return value;
  }
}

/// An integer as a float type, rounded once. Going through f32 would round twice on the way to bf16, so bits that f32 loses are kept as a
/// set last bit (round to odd), which leaves the second rounding right because f32 has more than two bits more.
float fromInteger(int32_t value, ElementType type) {
  float nearest = static_cast<float>(value);
  if (type == ElementType::F32 || static_cast<double>(nearest) == value)
    return roundTo(nearest, type);
  uint32_t bits = bitsOf(nearest);
  if (std::fabs(static_cast<double>(nearest)) > std::fabs(static_cast<double>(value)))
    --bits; // towards zero
  return roundTo(floatOf(bits | 1), type);
}

/// A conversion makes a signalling NaN quiet and keeps its payload's upper bits.
float quiet(float value) { return std::isnan(value) ? floatOf(bitsOf(value) | 0x400000) : value; }

// NaN wins; -0 is below +0.
float minimum(float a, float b) {
  if (std::isnan(a) || std::isnan(b))
    return std::isnan(a) ? a : b;
  if (a == b)
    return std::signbit(a) ? a : b;
  return a < b ? a : b;
}
float maximum(float a, float b) {
  if (std::isnan(a) || std::isnan(b))
    return std::isnan(a) ? a : b;
  if (a == b)
    return std::signbit(a) ? b : a;
  return a > b ? a : b;
}

/// Instructions whose result is one of their operands, so that a NaN keeps its bits.
bool isMove(Opcode opcode) { return opcode == Opcode::Mov || opcode == Opcode::Neg || opcode == Opcode::Abs || opcode == Opcode::Select; }

/// Double-precision library function, rounded to f32.
template <typename Function> float viaDouble(float a, Function function) { return static_cast<float>(function(static_cast<double>(a))); }

inline float computeFloat(Opcode opcode, float a, float b, float c) {
  switch (opcode) {
  case Opcode::Mov:
    return a;
  case Opcode::Neg:
    return -a;
  case Opcode::Abs:
    return std::fabs(a);
  case Opcode::Floor:
    return std::floor(a);
  case Opcode::Ceil:
    return std::ceil(a);
  case Opcode::Round:
    return std::nearbyint(a);
  case Opcode::Add:
    return a + b;
  case Opcode::Sub:
    return a - b;
  case Opcode::Mul:
    return a * b;
  case Opcode::Div:
    return a / b;
  case Opcode::Min:
    return minimum(a, b);
  case Opcode::Max:
    return maximum(a, b);
  case Opcode::Cmpeq:
    return a == b;
  case Opcode::Cmpne:
    return a != b;
  case Opcode::Cmplt:
    return a < b;
  case Opcode::Cmple:
    return a <= b;
  case Opcode::Fma:
  case Opcode::Fmac:
    return std::fma(a, b, c);
  case Opcode::Select:
    return a != 0 ? b : c;
  case Opcode::Exp:
    return viaDouble(a, [](double x) { return std::exp(x); });
  case Opcode::Log:
    return viaDouble(a, [](double x) { return std::log(x); });
  case Opcode::Tanh:
    return viaDouble(a, [](double x) { return std::tanh(x); });
  case Opcode::Sigmoid:
    return viaDouble(a, [](double x) { return 1 / (1 + std::exp(-x)); });
  case Opcode::Erf:
    return viaDouble(a, [](double x) { return std::erf(x); });
  case Opcode::Sqrt:
    return std::sqrt(a);
  case Opcode::Rsqrt:
    return viaDouble(a, [](double x) { return 1 / std::sqrt(x); });
  case Opcode::Recip:
    return 1 / a;
  case Opcode::Sin:
    return viaDouble(a, [](double x) { return std::sin(x); });
  case Opcode::Cos:
    return viaDouble(a, [](double x) { return std::cos(x); });
  case Opcode::And:
  case Opcode::Or:
  case Opcode::Xor:
  case Opcode::None:
  case Opcode::End:
  case Opcode::Ldd:
  case Opcode::Swapd:
  case Opcode::Addd:
  case Opcode::Bind:
  case Opcode::Fmacw:
  case Opcode::Fmacp:
  case Opcode::Fmacd:
  case Opcode::Fmacq:
  case Opcode::Fmacx:
  case Opcode::Fmacwm:
  case Opcode::Fmacpm:
  case Opcode::Fmacdm:
  case Opcode::Fmacqm:
  case Opcode::Fmacxm:
  case Opcode::Dotw:
  case Opcode::Addw:
    break; // the decoder does not give these a float compute type
  }
  return a;
}

int64_t computeInteger(Opcode opcode, int64_t a, int64_t b, int64_t c) {
  switch (opcode) {
  case Opcode::Neg:
    return -a;
  case Opcode::Abs:
    return a < 0 ? -a : a;
  case Opcode::Add:
    return a + b;
  case Opcode::Sub:
    return a - b;
  case Opcode::Mul:
    return a * b;
  case Opcode::Min:
    return std::min(a, b);
  case Opcode::Max:
    return std::max(a, b);
  case Opcode::Cmpeq:
    return a == b;
  case Opcode::Cmpne:
    return a != b;
  case Opcode::Cmplt:
    return a < b;
  case Opcode::Cmple:
    return a <= b;
  case Opcode::And:
    return a & b;
  case Opcode::Or:
    return a | b;
  case Opcode::Xor:
    return a ^ b;
  case Opcode::Select:
    return a != 0 ? b : c;
  default:
    return a; // mov; the decoder gives no other instruction an integer type
  }
}

} // namespace

Number numberFromBits(ElementType stored, uint32_t bits) {
  switch (stored) {
  case ElementType::F32:
    return {floatOf(bits), 0};
  case ElementType::F16:
    return {f16ToF32(static_cast<uint16_t>(bits)), 0};
  case ElementType::BF16:
    return {bf16ToF32(static_cast<uint16_t>(bits)), 0};
  case ElementType::I16:
    return {0, static_cast<int16_t>(bits)};
  case ElementType::I8:
    return {0, static_cast<int8_t>(bits)};
  default:
    return {0, static_cast<int32_t>(bits)};
  }
}

uint32_t bitsFromNumber(ElementType type, Number value) {
  switch (type) {
  case ElementType::F32:
    return bitsOf(value.f);
  case ElementType::F16:
    return f32ToF16(value.f);
  case ElementType::BF16:
    return f32ToBf16(value.f);
  case ElementType::I16:
    return static_cast<uint16_t>(value.i);
  case ElementType::I8:
    return static_cast<uint8_t>(value.i);
  default:
    return static_cast<uint32_t>(value.i);
  }
}

Number convert(Number value, ElementType from, ElementType to) {
  if (from == to)
    return value;
  if (isFloat(from)) {
    if (isFloat(to))
      return {roundTo(quiet(value.f), to), 0};
    if (std::isnan(value.f))
      return {0, 0};
    // Larger magnitudes saturate for every integer type.
    double rounded = std::nearbyint(std::clamp<double>(value.f, -4e9, 4e9));
    return {0, saturate(static_cast<int64_t>(rounded), to)};
  }
  if (isFloat(to))
    return {fromInteger(value.i, to), 0};
  return {0, saturate(value.i, to)};
}

Number compute(Opcode opcode, ElementType type, Number a, Number b, Number c) {
  if (isFloat(type)) {
    float result = computeFloat(opcode, a.f, b.f, c.f);
    return {isMove(opcode) ? result : canonicalNaN(roundTo(result, type)), 0};
  }
  return {0, saturate(computeInteger(opcode, a.i, b.i, c.i), type)};
}

namespace {

/// A loop for each opcode: what is known when it is compiled folds the choice away.
template <unsigned opcode> void computeLoop(const float *a, const float *b, const float *c, float *result, size_t n) {
  constexpr Opcode operation = static_cast<Opcode>(opcode);
  const unsigned sources = numSources(operation);
  for (size_t j = 0; j < n; ++j) {
    const float value = computeFloat(operation, a[j], sources > 1 ? b[j] : 0, sources > 2 ? c[j] : 0);
    result[j] = isMove(operation) ? value : canonicalNaN(value);
  }
}

using Loop = void (*)(const float *, const float *, const float *, float *, size_t);

template <unsigned... opcodes> constexpr std::array<Loop, sizeof...(opcodes)> loopsOf(std::integer_sequence<unsigned, opcodes...>) {
  return {&computeLoop<opcodes>...};
}

constexpr auto loops = loopsOf(std::make_integer_sequence<unsigned, 96>());
static_assert(static_cast<unsigned>(Opcode::Cos) < loops.size(), "an instruction has no loop");

} // namespace

void computeFloats(Opcode opcode, const float *a, const float *b, const float *c, float *result, size_t n) {
  loops[static_cast<unsigned>(opcode)](a, b, c, result, n);
}

Walk::Walk(const Descriptor &descriptor) : address_(descriptor.base) {
  int64_t bytes = byteSize(elementType(descriptor.type));
  int64_t inner = 0; // bytes that the inner dimensions have moved when they are at their end
  for (int d = 3; d >= 0; --d) {
    extent_[d] = descriptor.extent[d];
    step_[d] = descriptor.stride[d] * bytes - inner;
    inner += (descriptor.extent[d] - 1) * descriptor.stride[d] * bytes;
  }
}

void Walk::next() {
  for (int d = 3; d >= 0; --d) {
    if (++at_[d] < extent_[d]) {
      address_ += step_[d];
      return;
    }
    at_[d] = 0;
  }
}

Footprint footprintOf(const Descriptor &descriptor) {
  if (!isMemory(descriptor) || descriptor.elements() == 0)
    return {};
  int64_t bytes = byteSize(elementType(descriptor.type));
  Footprint footprint{descriptor.kind == wexe::DescKind::Acc, descriptor.base, int64_t(descriptor.base) + bytes};
  for (int d = 0; d < 4; ++d) {
    int64_t reach = int64_t(descriptor.extent[d] - 1) * descriptor.stride[d] * bytes;
    (reach < 0 ? footprint.low : footprint.high) += reach;
  }
  return footprint;
}

} // namespace wafer
