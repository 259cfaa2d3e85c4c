//===- FunctionalKernels.cpp - inner loops of the functional engine ----------===//

#include "FunctionalKernels.h"

#include "wafer/Emulator/NumberFormats.h"

#include <cmath>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#define WAFER_X86 1
#endif

namespace wafer {

namespace {

float elementAt(const uint8_t *row, size_t j, ElementType type) {
  if (type == ElementType::F16) {
    uint16_t half;
    std::memcpy(&half, row + 2 * j, sizeof half);
    return f16ToF32(half);
  }
  float value;
  std::memcpy(&value, row + 4 * j, sizeof value);
  return value;
}

void fmacPortable(float *sum, size_t n, const RowWeight *weights, size_t count, ElementType rowType) {
  for (size_t j = 0; j < n; ++j) {
    float acc = sum[j];
    for (size_t k = 0; k < count; ++k)
      acc = std::fma(weights[k].value, elementAt(weights[k].row, j, rowType), acc);
    sum[j] = canonicalNaN(acc);
  }
}

#ifdef WAFER_X86

#define WAFER_AVX2 __attribute__((target("avx2,fma,f16c")))

WAFER_AVX2 inline __m256 canonical8(__m256 value) {
  __m256 isNaN = _mm256_cmp_ps(value, value, _CMP_UNORD_Q);
  return _mm256_blendv_ps(value, _mm256_castsi256_ps(_mm256_set1_epi32(0x7fc00000)), isNaN);
}

template <bool isHalf> WAFER_AVX2 inline __m256 load8(const uint8_t *row, size_t j) {
  if constexpr (isHalf)
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(row + 2 * j)));
  else
    return _mm256_loadu_ps(reinterpret_cast<const float *>(row + 4 * j));
}

/// `width` vectors of sums stay in registers while all weights pass.
template <bool isHalf, int width> WAFER_AVX2 void fmacBlock(float *sum, size_t j, const RowWeight *weights, size_t count) {
  __m256 acc[width];
  for (int v = 0; v < width; ++v)
    acc[v] = _mm256_loadu_ps(sum + j + 8 * v);
  for (size_t k = 0; k < count; ++k) {
    __m256 value = _mm256_set1_ps(weights[k].value);
    for (int v = 0; v < width; ++v)
      acc[v] = _mm256_fmadd_ps(value, load8<isHalf>(weights[k].row, j + 8 * v), acc[v]);
  }
  for (int v = 0; v < width; ++v)
    _mm256_storeu_ps(sum + j + 8 * v, canonical8(acc[v]));
}

template <bool isHalf> WAFER_AVX2 void fmacAvx2(float *sum, size_t n, const RowWeight *weights, size_t count) {
  size_t j = 0;
  for (; j + 64 <= n; j += 64)
    fmacBlock<isHalf, 8>(sum, j, weights, count);
  if (j + 32 <= n) {
    fmacBlock<isHalf, 4>(sum, j, weights, count);
    j += 32;
  }
  if (j + 16 <= n) {
    fmacBlock<isHalf, 2>(sum, j, weights, count);
    j += 16;
  }
  if (j + 8 <= n) {
    fmacBlock<isHalf, 1>(sum, j, weights, count);
    j += 8;
  }
  for (; j < n; ++j) {
    __m128 acc = _mm_set_ss(sum[j]);
    for (size_t k = 0; k < count; ++k) {
      __m128 x;
      if constexpr (isHalf) {
        uint16_t half;
        std::memcpy(&half, weights[k].row + 2 * j, sizeof half);
        x = _mm_cvtph_ps(_mm_cvtsi32_si128(half));
      } else {
        x = _mm_load_ss(reinterpret_cast<const float *>(weights[k].row + 4 * j));
      }
      acc = _mm_fmadd_ss(_mm_set_ss(weights[k].value), x, acc);
    }
    sum[j] = canonicalNaN(_mm_cvtss_f32(acc));
  }
}

WAFER_AVX2 void widenAvx2(const uint8_t *from, float *to, size_t n) {
  size_t j = 0;
  for (; j + 8 <= n; j += 8)
    _mm256_storeu_ps(to + j, load8<true>(from, j));
  for (; j < n; ++j)
    to[j] = elementAt(from, j, ElementType::F16);
}

WAFER_AVX2 void narrowAvx2(const float *from, uint8_t *to, size_t n) {
  size_t j = 0;
  for (; j + 8 <= n; j += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i *>(to + 2 * j), _mm256_cvtps_ph(_mm256_loadu_ps(from + j), _MM_FROUND_TO_NEAREST_INT));
  for (; j < n; ++j) {
    uint16_t half = f32ToF16(from[j]);
    std::memcpy(to + 2 * j, &half, sizeof half);
  }
}

const bool hasAvx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");

#endif // WAFER_X86

} // namespace

void fmacRun(float *sum, size_t n, const RowWeight *weights, size_t count, ElementType rowType) {
#ifdef WAFER_X86
  if (hasAvx2)
    return rowType == ElementType::F16 ? fmacAvx2<true>(sum, n, weights, count) : fmacAvx2<false>(sum, n, weights, count);
#endif
  fmacPortable(sum, n, weights, count, rowType);
}

void widenF16(const uint8_t *from, float *to, size_t n) {
#ifdef WAFER_X86
  if (hasAvx2)
    return widenAvx2(from, to, n);
#endif
  for (size_t j = 0; j < n; ++j)
    to[j] = elementAt(from, j, ElementType::F16);
}

void narrowF16(const float *from, uint8_t *to, size_t n) {
#ifdef WAFER_X86
  if (hasAvx2)
    return narrowAvx2(from, to, n);
#endif
  for (size_t j = 0; j < n; ++j) {
    uint16_t half = f32ToF16(from[j]);
    std::memcpy(to + 2 * j, &half, sizeof half);
  }
}

} // namespace wafer
