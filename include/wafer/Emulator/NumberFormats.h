//===- NumberFormats.h - f32 to and from 16-bit floats -----------------------===//
//
// The conversions of the rounding contract (docs/spec/machine.md section 4), in software so that every host gives the same bits. Used by the engines and by MemoryX.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_EMULATOR_NUMBERFORMATS_H
#define WAFER_EMULATOR_NUMBERFORMATS_H

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace wafer {

inline uint32_t bitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float floatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// Exact.
inline float bf16ToF32(uint16_t bits) { return floatOf(uint32_t(bits) << 16); }

/// Round to nearest, ties to even. A NaN stays a quiet NaN with its upper payload.
inline uint16_t f32ToBf16(float value) {
  uint32_t bits = bitsOf(value);
  if ((bits & 0x7fffffff) > 0x7f800000)
    return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/// Exact; a signalling NaN becomes quiet.
inline float f16ToF32(uint16_t half) {
  uint32_t sign = uint32_t(half & 0x8000) << 16;
  uint32_t exponent = half >> 10 & 0x1f, mantissa = half & 0x3ff;
  if (exponent == 0x1f)
    return floatOf(sign | 0x7f800000 | mantissa << 13 | (mantissa ? 0x400000 : 0));
  if (exponent == 0) {
    // Zero or subnormal: mantissa * 2^-24 is exact in f32.
    float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return floatOf(sign | bitsOf(magnitude));
  }
  return floatOf(sign | (exponent + 112) << 23 | mantissa << 13);
}

/// Round to nearest, ties to even; overflow gives infinity. A NaN stays a quiet NaN with its upper payload.
inline uint16_t f32ToF16(float value) {
  uint32_t bits = bitsOf(value);
  uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000)
    return static_cast<uint16_t>(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
  if (magnitude >= 0x47800000) // 65536 and above, infinity
    return static_cast<uint16_t>(sign | 0x7c00);
  if (magnitude < 0x38800000) {
    // Below the smallest normal: adding 0.5 puts the rounding of f32 addition at multiples of 2^-24.
    float rounded = floatOf(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (bitsOf(rounded) - bitsOf(0.5f)));
  }
  uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  return static_cast<uint16_t>(sign | (rounded - (uint32_t(112) << 23)) >> 13);
}

/// The same for n elements that lie one behind the other, as fast as the host can (FunctionalKernels.cpp).
void widenF16(const uint8_t *from, float *to, size_t n);
void narrowF16(const float *from, uint8_t *to, size_t n);

/// to[c * toPitch + r] = from[r * fromPitch + c], of rows and columns of numbers of 16 bits (FunctionalKernels.cpp).
void transpose16(const uint16_t *from, size_t fromPitch, uint16_t *to, size_t toPitch, size_t rows, size_t columns);

} // namespace wafer

#endif // WAFER_EMULATOR_NUMBERFORMATS_H
