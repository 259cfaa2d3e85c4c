//===- FunctionalKernels.cpp - inner loops of the functional engine ----------===//

#include "FunctionalKernels.h"

#include "wafer/Emulator/NumberFormats.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#define WAFER_X86 1
#endif

namespace wafer {

namespace {

float halfAt(const uint8_t *row, size_t j) {
  uint16_t half;
  std::memcpy(&half, row + 2 * j, sizeof half);
  return f16ToF32(half);
}

/// Columns that stay in registers or the nearest cache while weights pass.
constexpr size_t portableTile = 64;

void addWeightsPortable(const float *panel, size_t width, const RowWeight *weights, size_t count, float *sum) {
  for (size_t j = 0; j < width; j += portableTile) {
    const size_t n = std::min(portableTile, width - j);
    for (size_t k = 0; k < count; ++k) {
      const float *row = panel + weights[k].row * width + j;
      for (size_t i = 0; i < n; ++i)
        sum[j + i] = std::fma(weights[k].value, row[i], sum[j + i]);
    }
    for (size_t i = 0; i < n; ++i)
      sum[j + i] = canonicalNaN(sum[j + i]);
  }
}

void multiplyPanelPortable(const float *panel, size_t width, const float *weight, size_t weightStride, size_t count, size_t rows, float *result) {
  for (size_t r = 0; r < rows; ++r)
    for (size_t j = 0; j < width; ++j) {
      float sum = 0;
      for (size_t k = 0; k < count; ++k)
        sum = std::fma(weight[r * weightStride + k], panel[k * width + j], sum);
      result[r * width + j] = canonicalNaN(sum);
    }
}

#ifdef WAFER_X86

#define WAFER_AVX2 __attribute__((target("avx2,fma,f16c")))
#define WAFER_AVX512 __attribute__((target("avx512f,avx512vl,avx2,fma,f16c")))

WAFER_AVX2 inline __m256 canonical8(__m256 value) {
  __m256 isNaN = _mm256_cmp_ps(value, value, _CMP_UNORD_Q);
  return _mm256_blendv_ps(value, _mm256_castsi256_ps(_mm256_set1_epi32(0x7fc00000)), isNaN);
}

WAFER_AVX512 inline __m512 canonical16(__m512 value) {
  return _mm512_mask_mov_ps(value, _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q), _mm512_castsi512_ps(_mm512_set1_epi32(0x7fc00000)));
}

/// A tile of `height` rows and two vectors of columns in registers; the last vector may be partial.
template <int height> WAFER_AVX512 void panelTile512(const float *panel, size_t width, const float *weight, size_t weightStride, size_t count, float *result, size_t columns) {
  const __mmask16 low = columns >= 16 ? 0xffff : static_cast<__mmask16>((1u << columns) - 1);
  const __mmask16 high = columns <= 16 ? 0 : columns >= 32 ? 0xffff : static_cast<__mmask16>((1u << (columns - 16)) - 1);
  __m512 acc[height][2];
  for (int r = 0; r < height; ++r)
    acc[r][0] = acc[r][1] = _mm512_setzero_ps();
  for (size_t k = 0; k < count; ++k) {
    __m512 a = _mm512_maskz_loadu_ps(low, panel + k * width), b = _mm512_maskz_loadu_ps(high, panel + k * width + 16);
    for (int r = 0; r < height; ++r) {
      __m512 w = _mm512_set1_ps(weight[r * weightStride + k]);
      acc[r][0] = _mm512_fmadd_ps(w, a, acc[r][0]);
      acc[r][1] = _mm512_fmadd_ps(w, b, acc[r][1]);
    }
  }
  for (int r = 0; r < height; ++r) {
    _mm512_mask_storeu_ps(result + r * width, low, canonical16(acc[r][0]));
    _mm512_mask_storeu_ps(result + r * width + 16, high, canonical16(acc[r][1]));
  }
}

void multiplyPanel512(const float *panel, size_t width, const float *weight, size_t weightStride, size_t count, size_t rows, float *result) {
  for (size_t j = 0; j < width; j += 32) {
    const size_t columns = std::min<size_t>(32, width - j);
    size_t r = 0;
    for (; r + 8 <= rows; r += 8)
      panelTile512<8>(panel + j, width, weight + r * weightStride, weightStride, count, result + r * width + j, columns);
    for (; r + 4 <= rows; r += 4)
      panelTile512<4>(panel + j, width, weight + r * weightStride, weightStride, count, result + r * width + j, columns);
    for (; r < rows; ++r)
      panelTile512<1>(panel + j, width, weight + r * weightStride, weightStride, count, result + r * width + j, columns);
  }
}

/// As panelTile512 with two vectors of eight.
template <int height> WAFER_AVX2 void panelTile256(const float *panel, size_t width, const float *weight, size_t weightStride, size_t count, float *result) {
  __m256 acc[height][2];
  for (int r = 0; r < height; ++r)
    acc[r][0] = acc[r][1] = _mm256_setzero_ps();
  for (size_t k = 0; k < count; ++k) {
    __m256 a = _mm256_loadu_ps(panel + k * width), b = _mm256_loadu_ps(panel + k * width + 8);
    for (int r = 0; r < height; ++r) {
      __m256 w = _mm256_set1_ps(weight[r * weightStride + k]);
      acc[r][0] = _mm256_fmadd_ps(w, a, acc[r][0]);
      acc[r][1] = _mm256_fmadd_ps(w, b, acc[r][1]);
    }
  }
  for (int r = 0; r < height; ++r) {
    _mm256_storeu_ps(result + r * width, canonical8(acc[r][0]));
    _mm256_storeu_ps(result + r * width + 8, canonical8(acc[r][1]));
  }
}

WAFER_AVX2 void panelColumn256(const float *panel, size_t width, const float *weight, size_t count, float *result) {
  __m128 sum = _mm_setzero_ps();
  for (size_t k = 0; k < count; ++k)
    sum = _mm_fmadd_ss(_mm_set_ss(weight[k]), _mm_set_ss(panel[k * width]), sum);
  *result = canonicalNaN(_mm_cvtss_f32(sum));
}

void multiplyPanel256(const float *panel, size_t width, const float *weight, size_t weightStride, size_t count, size_t rows, float *result) {
  size_t j = 0;
  for (; j + 16 <= width; j += 16) {
    size_t r = 0;
    for (; r + 6 <= rows; r += 6)
      panelTile256<6>(panel + j, width, weight + r * weightStride, weightStride, count, result + r * width + j);
    for (; r < rows; ++r)
      panelTile256<1>(panel + j, width, weight + r * weightStride, weightStride, count, result + r * width + j);
  }
  for (; j < width; ++j)
    for (size_t r = 0; r < rows; ++r)
      panelColumn256(panel + j, width, weight + r * weightStride, count, result + r * width + j);
}

/// `vectors` vectors of sums stay in registers while all weights pass; the last one may be partial.
template <int vectors> WAFER_AVX512 void addTile512(const float *panel, size_t width, const RowWeight *weights, size_t count, float *sum, size_t columns) {
  const size_t rest = columns - 16 * (vectors - 1);
  const __mmask16 last = rest >= 16 ? 0xffff : static_cast<__mmask16>((1u << rest) - 1);
  __m512 acc[vectors];
  for (int v = 0; v < vectors; ++v)
    acc[v] = _mm512_maskz_loadu_ps(v + 1 == vectors ? last : 0xffff, sum + 16 * v);
  for (size_t k = 0; k < count; ++k) {
    const float *row = panel + weights[k].row * width;
    __m512 w = _mm512_set1_ps(weights[k].value);
    for (int v = 0; v < vectors; ++v)
      acc[v] = _mm512_fmadd_ps(w, _mm512_maskz_loadu_ps(v + 1 == vectors ? last : 0xffff, row + 16 * v), acc[v]);
  }
  for (int v = 0; v < vectors; ++v)
    _mm512_mask_storeu_ps(sum + 16 * v, v + 1 == vectors ? last : 0xffff, canonical16(acc[v]));
}

void addWeights512(const float *panel, size_t width, const RowWeight *weights, size_t count, float *sum) {
  size_t j = 0;
  for (; j + 128 <= width; j += 128)
    addTile512<8>(panel + j, width, weights, count, sum + j, 128);
  for (size_t columns; j < width; j += columns) {
    columns = std::min<size_t>(64, width - j);
    switch ((columns + 15) / 16) {
    case 4:
      addTile512<4>(panel + j, width, weights, count, sum + j, columns);
      break;
    case 3:
      addTile512<3>(panel + j, width, weights, count, sum + j, columns);
      break;
    case 2:
      addTile512<2>(panel + j, width, weights, count, sum + j, columns);
      break;
    default:
      addTile512<1>(panel + j, width, weights, count, sum + j, columns);
    }
  }
}

template <int vectors> WAFER_AVX2 void addTile256(const float *panel, size_t width, const RowWeight *weights, size_t count, float *sum) {
  __m256 acc[vectors];
  for (int v = 0; v < vectors; ++v)
    acc[v] = _mm256_loadu_ps(sum + 8 * v);
  for (size_t k = 0; k < count; ++k) {
    const float *row = panel + weights[k].row * width;
    __m256 w = _mm256_set1_ps(weights[k].value);
    for (int v = 0; v < vectors; ++v)
      acc[v] = _mm256_fmadd_ps(w, _mm256_loadu_ps(row + 8 * v), acc[v]);
  }
  for (int v = 0; v < vectors; ++v)
    _mm256_storeu_ps(sum + 8 * v, canonical8(acc[v]));
}

WAFER_AVX2 void addWeights256(const float *panel, size_t width, const RowWeight *weights, size_t count, float *sum) {
  size_t j = 0;
  for (; j + 64 <= width; j += 64)
    addTile256<8>(panel + j, width, weights, count, sum + j);
  for (; j + 8 <= width; j += 8)
    addTile256<1>(panel + j, width, weights, count, sum + j);
  for (; j < width; ++j) {
    __m128 acc = _mm_set_ss(sum[j]);
    for (size_t k = 0; k < count; ++k)
      acc = _mm_fmadd_ss(_mm_set_ss(weights[k].value), _mm_set_ss(panel[weights[k].row * width + j]), acc);
    sum[j] = canonicalNaN(_mm_cvtss_f32(acc));
  }
}

template <typename Function> WAFER_AVX2 inline void applyAvx2(const float *a, const float *b, float *result, size_t n, Function function) {
  size_t j = 0;
  for (; j + 8 <= n; j += 8)
    _mm256_storeu_ps(result + j, canonical8(function(_mm256_loadu_ps(a + j), _mm256_loadu_ps(b + j))));
  for (; j < n; ++j)
    result[j] = canonicalNaN(_mm256_cvtss_f32(function(_mm256_set1_ps(a[j]), _mm256_set1_ps(b[j]))));
}
WAFER_AVX2 void addAvx2(const float *a, const float *b, float *result, size_t n) {
  applyAvx2(a, b, result, n, [](__m256 x, __m256 y) WAFER_AVX2 { return _mm256_add_ps(x, y); });
}
WAFER_AVX2 void subtractAvx2(const float *a, const float *b, float *result, size_t n) {
  applyAvx2(a, b, result, n, [](__m256 x, __m256 y) WAFER_AVX2 { return _mm256_sub_ps(x, y); });
}
WAFER_AVX2 void multiplyAvx2(const float *a, const float *b, float *result, size_t n) {
  applyAvx2(a, b, result, n, [](__m256 x, __m256 y) WAFER_AVX2 { return _mm256_mul_ps(x, y); });
}

WAFER_AVX2 void widenAvx2(const uint8_t *from, float *to, size_t n) {
  size_t j = 0;
  for (; j + 8 <= n; j += 8)
    _mm256_storeu_ps(to + j, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from + 2 * j))));
  for (; j < n; ++j)
    to[j] = halfAt(from, j);
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

const bool hasAvx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl");
const bool hasAvx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");

#endif // WAFER_X86

} // namespace

void multiplyPanel(const float *panel, size_t width, const float *weight, size_t weightStride, size_t count, size_t rows, float *result) {
#ifdef WAFER_X86
  if (hasAvx512)
    return multiplyPanel512(panel, width, weight, weightStride, count, rows, result);
  if (hasAvx2)
    return multiplyPanel256(panel, width, weight, weightStride, count, rows, result);
#endif
  multiplyPanelPortable(panel, width, weight, weightStride, count, rows, result);
}

void addWeights(const float *panel, size_t width, const RowWeight *weights, size_t count, float *sum) {
#ifdef WAFER_X86
  if (hasAvx512)
    return addWeights512(panel, width, weights, count, sum);
  if (hasAvx2)
    return addWeights256(panel, width, weights, count, sum);
#endif
  addWeightsPortable(panel, width, weights, count, sum);
}

void addFloats(const float *a, const float *b, float *result, size_t n) {
#ifdef WAFER_X86
  if (hasAvx2)
    return addAvx2(a, b, result, n);
#endif
  for (size_t j = 0; j < n; ++j)
    result[j] = canonicalNaN(a[j] + b[j]);
}

void subtractFloats(const float *a, const float *b, float *result, size_t n) {
#ifdef WAFER_X86
  if (hasAvx2)
    return subtractAvx2(a, b, result, n);
#endif
  for (size_t j = 0; j < n; ++j)
    result[j] = canonicalNaN(a[j] - b[j]);
}

void multiplyFloats(const float *a, const float *b, float *result, size_t n) {
#ifdef WAFER_X86
  if (hasAvx2)
    return multiplyAvx2(a, b, result, n);
#endif
  for (size_t j = 0; j < n; ++j)
    result[j] = canonicalNaN(a[j] * b[j]);
}

void widenF16(const uint8_t *from, float *to, size_t n) {
#ifdef WAFER_X86
  if (hasAvx2)
    return widenAvx2(from, to, n);
#endif
  for (size_t j = 0; j < n; ++j)
    to[j] = halfAt(from, j);
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
