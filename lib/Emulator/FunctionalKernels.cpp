//===- FunctionalKernels.cpp - inner loops of the functional engine ----------===//
//
// This file is compiled once per instruction set (Highway's foreach_target). Sets without a fused multiply-add of their own, and vectors whose length the
// compiler does not know, take the loops of the C++ standard library, which have the same meaning.
//
//===----------------------------------------------------------------------===//

#include "FunctionalKernels.h"

#include "wafer/Emulator/NumberFormats.h"

#include <cmath>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "FunctionalKernels.cpp"
#include <hwy/foreach_target.h>
// Behind foreach_target.h.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace wafer {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

HWY_INLINE float elementAt(const uint8_t *row, size_t j, ElementType type) {
  if (type == ElementType::F16) {
    uint16_t half;
    std::memcpy(&half, row + 2 * j, sizeof half);
    return f16ToF32(half);
  }
  float value;
  std::memcpy(&value, row + 4 * j, sizeof value);
  return value;
}

HWY_INLINE float apply(Arithmetic operation, float a, float b) {
  switch (operation) {
  case Arithmetic::Add:
    return canonicalNaN(a + b);
  case Arithmetic::Sub:
    return canonicalNaN(a - b);
  default:
    return canonicalNaN(a * b);
  }
}

#if HWY_NATIVE_FMA && !HWY_HAVE_SCALABLE

constexpr bool isVectorised = true;
using F = hn::ScalableTag<float>;
using V = hn::Vec<F>;
constexpr F f;
constexpr size_t lanes = HWY_LANES(float);
static_assert(tileWidth % lanes == 0);

template <typename D> HWY_INLINE hn::Vec<D> canonical(D d, hn::Vec<D> value) {
  return hn::IfThenElse(hn::IsNaN(value), hn::BitCast(d, hn::Set(hn::RebindToUnsigned<D>(), 0x7fc00000u)), value);
}
HWY_INLINE V canonical(V value) { return canonical(f, value); }

template <bool isHalf> HWY_INLINE V loadRow(const uint8_t *row, size_t j) {
  if constexpr (isHalf)
    return hn::PromoteTo(f, hn::LoadU(hn::Rebind<hwy::float16_t, F>(), reinterpret_cast<const hwy::float16_t *>(row + 2 * j)));
  else
    return hn::LoadU(f, reinterpret_cast<const float *>(row + 4 * j));
}

template <bool skipsZeros> HWY_INLINE V addProduct(V value, V x, V sum) {
  const V more = hn::MulAdd(value, x, sum);
  if constexpr (skipsZeros)
    return hn::IfThenElse(hn::Eq(x, hn::Zero(f)), sum, more);
  return more;
}

/// `width` vectors of sums stay in registers while all weights pass.
template <bool isHalf, bool skipsZeros, int width> HWY_INLINE void fmacBlock(float *sum, size_t j, const RowWeight *weights, size_t count) {
  V acc[width];
  for (int v = 0; v < width; ++v)
    acc[v] = hn::LoadU(f, sum + j + lanes * v);
  for (size_t k = 0; k < count; ++k) {
    V value = hn::Set(f, weights[k].value);
    for (int v = 0; v < width; ++v)
      acc[v] = addProduct<skipsZeros>(value, loadRow<isHalf>(weights[k].row, j + lanes * v), acc[v]);
  }
  for (int v = 0; v < width; ++v)
    hn::StoreU(canonical(acc[v]), f, sum + j + lanes * v);
}

template <bool isHalf, bool skipsZeros> size_t fmacVectors(float *sum, size_t n, const RowWeight *weights, size_t count) {
  size_t j = 0;
  for (; j + 8 * lanes <= n; j += 8 * lanes)
    fmacBlock<isHalf, skipsZeros, 8>(sum, j, weights, count);
  for (; j + 2 * lanes <= n; j += 2 * lanes)
    fmacBlock<isHalf, skipsZeros, 2>(sum, j, weights, count);
  for (; j + lanes <= n; j += lanes)
    fmacBlock<isHalf, skipsZeros, 1>(sum, j, weights, count);
  return j;
}

/// `height` runs of equally many weights against `width` vectors of a tile: as many sums as there are registers for.
template <bool isIndexed, bool skipsZeros, int height, int width> HWY_INLINE void contractBlock(const float *HWY_RESTRICT tile, const PanelRun *runs, size_t at) {
  const size_t count = runs[0].count;
  const float *values[height];
  V acc[height][width];
  for (int r = 0; r < height; ++r) {
    values[r] = runs[r].values;
    for (int v = 0; v < width; ++v)
      acc[r][v] = runs[r].fromZero ? hn::Zero(f) : hn::Load(f, runs[r].sums + at + lanes * v);
  }
  for (size_t k = 0; k < count; ++k) {
    const float *row = tile + (isIndexed ? runs[0].rows[k] : k) * tileWidth;
    V x[width];
    for (int v = 0; v < width; ++v)
      x[v] = hn::Load(f, row + lanes * v);
    for (int r = 0; r < height; ++r) {
      V value = hn::Set(f, values[r][k]);
      for (int v = 0; v < width; ++v)
        acc[r][v] = addProduct<skipsZeros>(value, x[v], acc[r][v]);
    }
  }
  for (int r = 0; r < height; ++r)
    for (int v = 0; v < width; ++v)
      hn::Store(canonical(acc[r][v]), f, runs[r].sums + at + lanes * v);
}

constexpr int blockWidth = HWY_TARGET <= HWY_AVX3 ? 4 : 2;

HWY_INLINE bool isIndexed(const PanelRun &run) { return run.rows; }
HWY_INLINE bool isIndexed(const RowRun &run) { return run.placed; }

/// The runs that one block takes: those that begin at the first and have as many weights, all in order of the rows.
template <typename Run> HWY_INLINE int blockOf(const Run *runs, size_t count) {
  if (isIndexed(runs[0]))
    return 1;
  int height = 1;
  while (height < panelHeight && static_cast<size_t>(height) < count && !isIndexed(runs[height]) && runs[height].count == runs[0].count)
    ++height;
  return height;
}

template <bool skipsZeros, int height> HWY_INLINE void contractTile(const float *tile, size_t vectors, const PanelRun *runs, size_t at) {
  size_t v = 0;
  for (; v + blockWidth <= vectors; v += blockWidth)
    contractBlock<false, skipsZeros, height, blockWidth>(tile + v * lanes, runs, at + v * lanes);
  for (; v < vectors; ++v)
    contractBlock<false, skipsZeros, height, 1>(tile + v * lanes, runs, at + v * lanes);
}

template <bool skipsZeros> HWY_INLINE void contractIndexed(const float *tile, size_t vectors, const PanelRun *runs, size_t at) {
  size_t v = 0;
  for (; v + 4 <= vectors; v += 4)
    contractBlock<true, skipsZeros, 1, 4>(tile + v * lanes, runs, at + v * lanes);
  for (; v < vectors; ++v)
    contractBlock<true, skipsZeros, 1, 1>(tile + v * lanes, runs, at + v * lanes);
}

template <bool skipsZeros> void contractTiles(const Panel &panel, const PanelRun *runs, size_t count) {
  for (size_t at = 0; at < panel.width; at += tileWidth) {
    const float *tile = panel.data + at * panel.rows;
    const size_t vectors = (HWY_MIN(tileWidth, panel.width - at) + lanes - 1) / lanes;
    for (size_t r = 0; r < count;) {
      const int height = blockOf(runs + r, count - r);
      if (runs[r].rows)
        contractIndexed<skipsZeros>(tile, vectors, runs + r, at);
      else if (height == panelHeight)
        contractTile<skipsZeros, panelHeight>(tile, vectors, runs + r, at);
      else if (height >= 2)
        contractTile<skipsZeros, 2>(tile, vectors, runs + r, at);
      else
        contractTile<skipsZeros, 1>(tile, vectors, runs + r, at);
      r += height == panelHeight ? panelHeight : height >= 2 && !runs[r].rows ? 2 : 1;
    }
  }
}

void contractPanel(const Panel &panel, const PanelRun *runs, size_t count, bool skipsZeros) {
  skipsZeros ? contractTiles<true>(panel, runs, count) : contractTiles<false>(panel, runs, count);
}

/// `height` rows against `width` vectors of a tile: as many sums as there are registers for.
template <bool isPlaced, bool skipsZeros, int height, int width>
HWY_INLINE void addProductsBlock(const float *HWY_RESTRICT tile, const RowRun *runs, const float *ones, const float *biases, size_t at, float *sums) {
  const size_t count = runs[0].count;
  const float *values[height];
  V acc[height][width];
  for (int r = 0; r < height; ++r) {
    values[r] = runs[r].values;
    for (int v = 0; v < width; ++v)
      acc[r][v] = hn::Zero(f);
  }
  for (size_t k = 0; k < count; ++k) {
    const float *row = tile + (isPlaced ? runs[0].placed[k].at : k * tileWidth) + at;
    V x[width];
    for (int v = 0; v < width; ++v)
      x[v] = hn::Load(f, row + lanes * v);
    for (int r = 0; r < height; ++r) {
      V value = hn::Set(f, isPlaced ? runs[r].placed[k].value : values[r][k]);
      for (int v = 0; v < width; ++v)
        acc[r][v] = addProduct<skipsZeros>(value, x[v], acc[r][v]);
    }
  }
  if (ones)
    for (int r = 0; r < height; ++r)
      for (int v = 0; v < width; ++v)
        acc[r][v] = addProduct<skipsZeros>(hn::Set(f, biases[runs[r].place]), hn::Load(f, ones + at + lanes * v), acc[r][v]);
  for (int r = 0; r < height; ++r)
    for (int v = 0; v < width; ++v) {
      float *to = sums + runs[r].place * tileWidth + at + lanes * v;
      hn::Store(hn::Add(hn::Load(f, to), acc[r][v]), f, to);
    }
}

template <bool isPlaced, bool skipsZeros, int height>
HWY_INLINE void addProductsTile(const float *tile, size_t vectors, const RowRun *runs, const float *ones, const float *biases, float *sums) {
  constexpr int most = isPlaced ? 4 : blockWidth;
  size_t v = 0;
  for (; v + most <= vectors; v += most)
    addProductsBlock<isPlaced, skipsZeros, height, most>(tile, runs, ones, biases, v * lanes, sums);
  for (; v < vectors; ++v)
    addProductsBlock<isPlaced, skipsZeros, height, 1>(tile, runs, ones, biases, v * lanes, sums);
}

template <bool skipsZeros> void addProductsRuns(const float *tile, size_t vectors, const RowRun *runs, size_t count, const float *ones, const float *biases, float *sums) {
  for (size_t r = 0; r < count;) {
    if (runs[r].placed) {
      addProductsTile<true, skipsZeros, 1>(tile, vectors, runs + r, ones, biases, sums);
      ++r;
      continue;
    }
    const int height = blockOf(runs + r, count - r);
    if (height == panelHeight)
      addProductsTile<false, skipsZeros, panelHeight>(tile, vectors, runs + r, ones, biases, sums);
    else if (height >= 2)
      addProductsTile<false, skipsZeros, 2>(tile, vectors, runs + r, ones, biases, sums);
    else
      addProductsTile<false, skipsZeros, 1>(tile, vectors, runs + r, ones, biases, sums);
    r += height == panelHeight ? panelHeight : height >= 2 ? 2 : 1;
  }
}

void addProducts(const float *tile, size_t width, const RowRun *runs, size_t count, const float *ones, const float *biases, bool skipsZeros, float *sums) {
  const size_t vectors = (width + lanes - 1) / lanes;
  skipsZeros ? addProductsRuns<true>(tile, vectors, runs, count, ones, biases, sums) : addProductsRuns<false>(tile, vectors, runs, count, ones, biases, sums);
}

/// Whole vectors of the values; returns how many were kept of `done`.
size_t keepVectors(float *values, size_t n, uint32_t *places, size_t &done) {
  static_assert(lanes <= keepingRoom);
  const hn::RebindToUnsigned<F> u;
  size_t kept = 0;
  auto numbers = hn::Iota(u, 0);
  for (done = 0; done + lanes <= n; done += lanes) {
    const V some = hn::LoadU(f, values + done);
    const auto isKept = hn::Not(hn::Eq(some, hn::Zero(f))); // a NaN is kept
    hn::StoreU(hn::Compress(numbers, hn::RebindMask(u, isKept)), u, places + kept);
    // Never beyond what is read next.
    hn::StoreU(hn::Compress(some, isKept), f, values + kept);
    kept += hn::CountTrue(f, isKept);
    numbers = hn::Add(numbers, hn::Set(u, static_cast<uint32_t>(lanes)));
  }
  return kept;
}

template <bool isHalf> size_t dotVectors(const uint8_t *row, const float *other, size_t n, float *sums) {
  const hn::CappedTag<float, 8> eight;
  if constexpr (hn::MaxLanes(eight) != 8)
    return 0;
  const hn::Rebind<hwy::float16_t, decltype(eight)> halves;
  auto acc = hn::Zero(eight);
  size_t j = 0;
  for (; j + 8 <= n; j += 8) {
    if constexpr (isHalf)
      acc = hn::MulAdd(hn::PromoteTo(eight, hn::LoadU(halves, reinterpret_cast<const hwy::float16_t *>(row + 2 * j))), hn::LoadU(eight, other + j), acc);
    else
      acc = hn::MulAdd(hn::LoadU(eight, reinterpret_cast<const float *>(row + 4 * j)), hn::LoadU(eight, other + j), acc);
  }
  hn::StoreU(acc, eight, sums);
  return j;
}

HWY_INLINE V apply(Arithmetic operation, V a, V b) {
  return canonical(operation == Arithmetic::Add ? hn::Add(a, b) : operation == Arithmetic::Sub ? hn::Sub(a, b) : hn::Mul(a, b));
}

template <Arithmetic operation, bool isScalar> size_t arithmeticVectors(const float *a, const float *b, float *result, size_t n) {
  size_t j = 0;
  for (; j + lanes <= n; j += lanes)
    hn::StoreU(apply(operation, isScalar ? hn::Set(f, *a) : hn::LoadU(f, a + j), hn::LoadU(f, b + j)), f, result + j);
  return j;
}

template <Arithmetic operation, bool isHalfA, bool isHalfB, bool isHalf> size_t elementVectors(const uint8_t *a, const uint8_t *b, uint8_t *result, size_t n) {
  const hn::Rebind<hwy::float16_t, F> halves;
  size_t j = 0;
  for (; j + lanes <= n; j += lanes) {
    const V made = apply(operation, loadRow<isHalfA>(a, j), loadRow<isHalfB>(b, j));
    if constexpr (isHalf)
      hn::StoreU(hn::DemoteTo(halves, made), halves, reinterpret_cast<hwy::float16_t *>(result + 2 * j));
    else
      hn::StoreU(made, f, reinterpret_cast<float *>(result + 4 * j));
  }
  return j;
}

template <Folding folding, typename D> HWY_INLINE hn::Vec<D> apply(D d, hn::Vec<D> a, hn::Vec<D> b) {
  if constexpr (folding == Folding::Add)
    return canonical(d, hn::Add(a, b));
  // Of two zeros the positive one is the larger.
  const auto larger = hn::IfThenElse(hn::Eq(a, b), hn::And(a, b), hn::IfThenElse(hn::Gt(a, b), a, b));
  return canonical(d, hn::IfThenElse(hn::IsNaN(a), a, larger));
}

/// As many whole vectors as there are from `j` on.
template <Folding folding, typename D> HWY_INLINE size_t foldVectors(D d, size_t j, float *sums, const float *rows, size_t length, size_t count) {
  for (; j + hn::Lanes(d) <= length; j += hn::Lanes(d)) {
    auto sum = hn::LoadU(d, sums + j);
    for (size_t r = 0; r < count; ++r)
      sum = apply<folding>(d, sum, hn::LoadU(d, rows + r * length + j));
    hn::StoreU(sum, d, sums + j);
  }
  return j;
}

template <Folding folding> size_t foldVectors(float *sums, const float *rows, size_t length, size_t count) {
  size_t j = foldVectors<folding>(f, 0, sums, rows, length, count);
  j = foldVectors<folding>(hn::CappedTag<float, 8>(), j, sums, rows, length, count);
  return foldVectors<folding>(hn::CappedTag<float, 4>(), j, sums, rows, length, count);
}

size_t widenVectors(const uint8_t *from, float *to, size_t n) {
  size_t j = 0;
  for (; j + lanes <= n; j += lanes)
    hn::StoreU(loadRow<true>(from, j), f, to + j);
  return j;
}

template <bool isHalf> size_t widenRowsVectors(const uint8_t *from, size_t n, size_t count, int64_t step, float *to, size_t pitch) {
  const size_t whole = n / lanes * lanes;
  for (size_t k = 0; k < count; ++k, from += step, to += pitch)
    for (size_t j = 0; j < whole; j += lanes)
      hn::StoreU(loadRow<isHalf>(from, j), f, to + j);
  return whole;
}

size_t narrowVectors(const float *from, uint8_t *to, size_t n) {
  size_t j = 0;
  const hn::Rebind<hwy::float16_t, F> halves;
  for (; j + lanes <= n; j += lanes)
    hn::StoreU(hn::DemoteTo(halves, hn::LoadU(f, from + j)), halves, reinterpret_cast<hwy::float16_t *>(to + 2 * j));
  return j;
}

constexpr size_t transposedAtOnce = 8;

HWY_INLINE void transposeBlock(const uint16_t *from, size_t fromPitch, uint16_t *to, size_t toPitch) {
  const hn::Full128<uint16_t> one;
  const hn::Repartition<uint32_t, decltype(one)> two;
  const hn::Repartition<uint64_t, decltype(one)> four;
  using Numbers = hn::Vec<decltype(one)>;
  Numbers rows[8], pairs[8], fours[8];
  for (size_t r = 0; r < 8; ++r)
    rows[r] = hn::LoadU(one, from + r * fromPitch);
  for (size_t r = 0; r < 8; r += 2) {
    pairs[r] = hn::InterleaveLower(one, rows[r], rows[r + 1]);
    pairs[r + 1] = hn::InterleaveUpper(one, rows[r], rows[r + 1]);
  }
  for (size_t half = 0; half < 8; half += 4)
    for (size_t i = 0; i < 2; ++i) {
      const auto a = hn::BitCast(two, pairs[half + i]), b = hn::BitCast(two, pairs[half + 2 + i]);
      fours[half + 2 * i] = hn::BitCast(one, hn::InterleaveLower(two, a, b));
      fours[half + 2 * i + 1] = hn::BitCast(one, hn::InterleaveUpper(two, a, b));
    }
  for (size_t i = 0; i < 4; ++i) {
    const auto a = hn::BitCast(four, fours[i]), b = hn::BitCast(four, fours[4 + i]);
    hn::StoreU(hn::BitCast(one, hn::InterleaveLower(four, a, b)), one, to + 2 * i * toPitch);
    hn::StoreU(hn::BitCast(one, hn::InterleaveUpper(four, a, b)), one, to + (2 * i + 1) * toPitch);
  }
}

#else

constexpr size_t transposedAtOnce = 1;
HWY_INLINE void transposeBlock(const uint16_t *from, size_t, uint16_t *to, size_t) { *to = *from; }
template <bool isHalf, bool skipsZeros> size_t fmacVectors(float *, size_t, const RowWeight *, size_t) { return 0; }
template <bool isHalf> size_t dotVectors(const uint8_t *, const float *, size_t, float *) { return 0; }
size_t keepVectors(float *, size_t, uint32_t *, size_t &done) { return done = 0; }
template <Arithmetic operation, bool isScalar> size_t arithmeticVectors(const float *, const float *, float *, size_t) { return 0; }
template <Arithmetic operation, bool isHalfA, bool isHalfB, bool isHalf> size_t elementVectors(const uint8_t *, const uint8_t *, uint8_t *, size_t) { return 0; }
template <Folding folding> size_t foldVectors(float *, const float *, size_t, size_t) { return 0; }
size_t widenVectors(const uint8_t *, float *, size_t) { return 0; }
template <bool isHalf> size_t widenRowsVectors(const uint8_t *, size_t, size_t, int64_t, float *, size_t) { return 0; }
size_t narrowVectors(const float *, uint8_t *, size_t) { return 0; }

void contractPanel(const Panel &panel, const PanelRun *runs, size_t count, bool skipsZeros) {
  for (size_t r = 0; r < count; ++r)
    for (size_t j = 0; j < panel.width; ++j) {
      const float *column = panel.data + j / tileWidth * tileWidth * panel.rows + j % tileWidth;
      float sum = runs[r].fromZero ? 0 : runs[r].sums[j];
      for (size_t k = 0; k < runs[r].count; ++k)
        if (const float x = column[(runs[r].rows ? runs[r].rows[k] : k) * tileWidth]; x != 0 || !skipsZeros)
          sum = std::fma(runs[r].values[k], x, sum);
      runs[r].sums[j] = canonicalNaN(sum);
    }
}

void addProducts(const float *tile, size_t width, const RowRun *runs, size_t count, const float *ones, const float *biases, bool skipsZeros, float *sums) {
  for (size_t r = 0; r < count; ++r)
    for (size_t j = 0; j < width; ++j) {
      float sum = 0;
      for (size_t k = 0; k < runs[r].count; ++k)
        if (const float x = tile[(runs[r].placed ? runs[r].placed[k].at : k * tileWidth) + j]; x != 0 || !skipsZeros)
          sum = std::fma(runs[r].placed ? runs[r].placed[k].value : runs[r].values[k], x, sum);
      if (ones && (ones[j] != 0 || !skipsZeros))
        sum = std::fma(biases[runs[r].place], ones[j], sum);
      sums[runs[r].place * tileWidth + j] += sum;
    }
}

#endif

size_t keepNonzeros(float *values, size_t n, uint32_t *places) {
  size_t done = 0, kept = keepVectors(values, n, places, done);
  for (; done < n; ++done) {
    places[kept] = static_cast<uint32_t>(done);
    values[kept] = values[done];
    kept += values[done] != 0;
  }
  return kept;
}

float dotProduct(const uint8_t *row, ElementType rowType, const float *other, size_t n) {
  float sums[8] = {};
  for (size_t j = rowType == ElementType::F16 ? dotVectors<true>(row, other, n, sums) : dotVectors<false>(row, other, n, sums); j < n; ++j)
    sums[j % 8] = std::fma(elementAt(row, j, rowType), other[j], sums[j % 8]);
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

template <bool isHalf, bool skipsZeros> void fmacLoop(float *sum, size_t n, const RowWeight *weights, size_t count) {
  for (size_t j = fmacVectors<isHalf, skipsZeros>(sum, n, weights, count); j < n; ++j) {
    float acc = sum[j];
    for (size_t k = 0; k < count; ++k)
      if (const float x = elementAt(weights[k].row, j, isHalf ? ElementType::F16 : ElementType::F32); x != 0 || !skipsZeros)
        acc = std::fma(weights[k].value, x, acc);
    sum[j] = canonicalNaN(acc);
  }
}

void fmacRun(float *sum, size_t n, const RowWeight *weights, size_t count, ElementType rowType, bool skipsZeros) {
  if (rowType == ElementType::F16)
    skipsZeros ? fmacLoop<true, true>(sum, n, weights, count) : fmacLoop<true, false>(sum, n, weights, count);
  else
    skipsZeros ? fmacLoop<false, true>(sum, n, weights, count) : fmacLoop<false, false>(sum, n, weights, count);
}

template <Arithmetic operation, bool isScalar> void arithmeticLoop(const float *a, const float *b, float *result, size_t n) {
  for (size_t j = arithmeticVectors<operation, isScalar>(a, b, result, n); j < n; ++j)
    result[j] = apply(operation, a[isScalar ? 0 : j], b[j]);
}

template <bool isScalar> void arithmeticOf(Arithmetic operation, const float *a, const float *b, float *result, size_t n) {
  switch (operation) {
  case Arithmetic::Add:
    return arithmeticLoop<Arithmetic::Add, isScalar>(a, b, result, n);
  case Arithmetic::Sub:
    return arithmeticLoop<Arithmetic::Sub, isScalar>(a, b, result, n);
  case Arithmetic::Mul:
    return arithmeticLoop<Arithmetic::Mul, isScalar>(a, b, result, n);
  }
}

void arithmeticOfBoth(Arithmetic operation, const float *a, const float *b, float *result, size_t n) { arithmeticOf<false>(operation, a, b, result, n); }
void arithmeticOfScalar(Arithmetic operation, float a, const float *b, float *result, size_t n) { arithmeticOf<true>(operation, &a, b, result, n); }

template <Arithmetic operation, bool isHalfA, bool isHalfB, bool isHalf> void elementLoop(const uint8_t *a, const uint8_t *b, uint8_t *result, size_t n) {
  for (size_t j = elementVectors<operation, isHalfA, isHalfB, isHalf>(a, b, result, n); j < n; ++j) {
    const float made = apply(operation, elementAt(a, j, isHalfA ? ElementType::F16 : ElementType::F32), elementAt(b, j, isHalfB ? ElementType::F16 : ElementType::F32));
    if (isHalf) {
      const uint16_t half = f32ToF16(made);
      std::memcpy(result + 2 * j, &half, sizeof half);
    } else {
      std::memcpy(result + 4 * j, &made, sizeof made);
    }
  }
}

template <Arithmetic operation> void elementsWith(Elements a, Elements b, uint8_t *result, bool isHalf, size_t n) {
  using Loop = void (*)(const uint8_t *, const uint8_t *, uint8_t *, size_t);
  constexpr Loop loops[] = {elementLoop<operation, false, false, false>, elementLoop<operation, false, false, true>, elementLoop<operation, false, true, false>,
                            elementLoop<operation, false, true, true>,   elementLoop<operation, true, false, false>, elementLoop<operation, true, false, true>,
                            elementLoop<operation, true, true, false>,   elementLoop<operation, true, true, true>};
  loops[4 * a.isHalf + 2 * b.isHalf + isHalf](a.at, b.at, result, n);
}

void arithmeticOfElements(Arithmetic operation, Elements a, Elements b, uint8_t *result, bool isHalf, size_t n) {
  switch (operation) {
  case Arithmetic::Add:
    return elementsWith<Arithmetic::Add>(a, b, result, isHalf, n);
  case Arithmetic::Sub:
    return elementsWith<Arithmetic::Sub>(a, b, result, isHalf, n);
  case Arithmetic::Mul:
    return elementsWith<Arithmetic::Mul>(a, b, result, isHalf, n);
  }
}

template <Folding folding> void foldLoop(float *sums, const float *rows, size_t length, size_t count) {
  constexpr Opcode opcode = folding == Folding::Add ? Opcode::Add : Opcode::Max;
  for (size_t j = foldVectors<folding>(sums, rows, length, count); j < length; ++j)
    for (size_t r = 0; r < count; ++r)
      sums[j] = compute(opcode, ElementType::F32, {sums[j], 0}, {rows[r * length + j], 0}, {}).f;
}

void fold(Folding folding, float *sums, const float *rows, size_t length, size_t count) {
  folding == Folding::Add ? foldLoop<Folding::Add>(sums, rows, length, count) : foldLoop<Folding::Max>(sums, rows, length, count);
}

void widenF16(const uint8_t *from, float *to, size_t n) {
  for (size_t j = widenVectors(from, to, n); j < n; ++j)
    to[j] = elementAt(from, j, ElementType::F16);
}

void transpose16(const uint16_t *from, size_t fromPitch, uint16_t *to, size_t toPitch, size_t rows, size_t columns) {
  constexpr size_t some = transposedAtOnce;
  const size_t wholeRows = rows / some * some, wholeColumns = columns / some * some;
  for (size_t r = 0; r < wholeRows; r += some)
    for (size_t c = 0; c < wholeColumns; c += some)
      transposeBlock(from + r * fromPitch + c, fromPitch, to + c * toPitch + r, toPitch);
  for (size_t r = 0; r < rows; ++r)
    for (size_t c = r < wholeRows ? wholeColumns : 0; c < columns; ++c)
      to[c * toPitch + r] = from[r * fromPitch + c];
}

template <bool isHalf> void widenRowsOf(const uint8_t *from, size_t n, size_t count, int64_t step, float *to, size_t pitch) {
  const size_t done = widenRowsVectors<isHalf>(from, n, count, step, to, pitch);
  for (size_t k = 0; done < n && k < count; ++k, from += step, to += pitch)
    for (size_t j = done; j < n; ++j)
      to[j] = elementAt(from, j, isHalf ? ElementType::F16 : ElementType::F32);
}

void widenRows(const uint8_t *from, ElementType type, size_t n, size_t count, int64_t step, float *to, size_t pitch) {
  type == ElementType::F16 ? widenRowsOf<true>(from, n, count, step, to, pitch) : widenRowsOf<false>(from, n, count, step, to, pitch);
}

void narrowF16(const float *from, uint8_t *to, size_t n) {
  for (size_t j = narrowVectors(from, to, n); j < n; ++j) {
    uint16_t half = f32ToF16(from[j]);
    std::memcpy(to + 2 * j, &half, sizeof half);
  }
}

} // namespace HWY_NAMESPACE
} // namespace wafer
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wafer {

HWY_EXPORT(fmacRun);
HWY_EXPORT(dotProduct);
HWY_EXPORT(contractPanel);
HWY_EXPORT(addProducts);
HWY_EXPORT(keepNonzeros);
HWY_EXPORT(arithmeticOfBoth);
HWY_EXPORT(arithmeticOfElements);
HWY_EXPORT(arithmeticOfScalar);
HWY_EXPORT(fold);
HWY_EXPORT(widenF16);
HWY_EXPORT(transpose16);
HWY_EXPORT(widenRows);
HWY_EXPORT(narrowF16);

void fmacRun(float *sum, size_t n, const RowWeight *weights, size_t count, ElementType rowType, bool skipsZeros) {
  HWY_DYNAMIC_DISPATCH(fmacRun)(sum, n, weights, count, rowType, skipsZeros);
}
size_t keepNonzeros(float *values, size_t n, uint32_t *places) { return HWY_DYNAMIC_DISPATCH(keepNonzeros)(values, n, places); }
float dotProduct(const uint8_t *row, ElementType rowType, const float *other, size_t n) { return HWY_DYNAMIC_DISPATCH(dotProduct)(row, rowType, other, n); }
void contractPanel(const Panel &panel, const PanelRun *runs, size_t count, bool skipsZeros) {
  HWY_DYNAMIC_DISPATCH(contractPanel)(panel, runs, count, skipsZeros);
}
void addProducts(const float *tile, size_t width, const RowRun *runs, size_t count, const float *ones, const float *biases, bool skipsZeros, float *sums) {
  HWY_DYNAMIC_DISPATCH(addProducts)(tile, width, runs, count, ones, biases, skipsZeros, sums);
}
void arithmetic(Arithmetic operation, const float *a, const float *b, float *result, size_t n) {
  HWY_DYNAMIC_DISPATCH(arithmeticOfBoth)(operation, a, b, result, n);
}
void arithmetic(Arithmetic operation, Elements a, Elements b, uint8_t *result, bool isHalf, size_t n) {
  HWY_DYNAMIC_DISPATCH(arithmeticOfElements)(operation, a, b, result, isHalf, n);
}
void arithmeticWithScalar(Arithmetic operation, float a, const float *b, float *result, size_t n) {
  HWY_DYNAMIC_DISPATCH(arithmeticOfScalar)(operation, a, b, result, n);
}
void fold(Folding folding, float *sums, const float *rows, size_t length, size_t count) { HWY_DYNAMIC_DISPATCH(fold)(folding, sums, rows, length, count); }
void widenF16(const uint8_t *from, float *to, size_t n) { HWY_DYNAMIC_DISPATCH(widenF16)(from, to, n); }
void widenRows(const uint8_t *from, ElementType type, size_t n, size_t count, int64_t step, float *to, size_t pitch) {
  HWY_DYNAMIC_DISPATCH(widenRows)(from, type, n, count, step, to, pitch);
}
void transpose16(const uint16_t *from, size_t fromPitch, uint16_t *to, size_t toPitch, size_t rows, size_t columns) {
  HWY_DYNAMIC_DISPATCH(transpose16)(from, fromPitch, to, toPitch, rows, columns);
}
void narrowF16(const float *from, uint8_t *to, size_t n) { HWY_DYNAMIC_DISPATCH(narrowF16)(from, to, n); }

} // namespace wafer
#endif
