//===- FunctionalProduct.cpp - a matrix product in the order of the wafer -----===//

#include "FunctionalProduct.h"

#include "wafer/Emulator/NumberFormats.h"

#include <hwy/aligned_allocator.h>

#include <cstring>

namespace wafer {

namespace {

/// Sums of so many rows' columns and a tile of tokens are near enough to be folded at once.
constexpr size_t nearBytes = size_t(1) << 17;

/// Rounds to a memory type.
void store(wexe::ElemType type, const float *from, uint8_t *to, size_t n) {
  if (type == wexe::ElemType::F32)
    std::memcpy(to, from, n * sizeof(float));
  else if (type == wexe::ElemType::F16)
    narrowF16(from, to, n);
  else
    for (size_t j = 0; j < n; ++j) {
      const uint16_t half = f32ToBf16(from[j]);
      std::memcpy(to + 2 * j, &half, sizeof half);
    }
}

Panel tileOf(const PackedRows &packed, size_t tile) {
  return {packed.panel.data + tile * packed.panel.rows * tileWidth, packed.panel.rows, std::min(tileWidth, packed.panel.width - tile * tileWidth)};
}

PanelRun runOf(const Weights &weights, float *sums, bool fromZero) {
  return {weights.values.data(), weights.rows.empty() ? nullptr : weights.rows.data(), weights.values.size(), sums, fromZero};
}

} // namespace

size_t FunctionalProduct::rowsAtOnce() const {
  constexpr size_t height = panelHeight;
  return std::max(height, nearBytes / (columns_.size() * tileWidth * sizeof(float)) / height * height);
}

bool FunctionalProduct::isIndexed(const ProductRow &row) const {
  return std::all_of(row.weights.begin(), row.weights.end(), [](const Weights &weights) { return weights.rows.size() == weights.values.size(); });
}

void FunctionalProduct::begin(std::vector<ProductColumn> columns, std::vector<ProductRow> &rows, size_t count) {
  columns_ = std::move(columns);
  std::swap(rows_, rows);
  count_ = count;
  tokens_ = columns_[0].each * columns_[0].cores->size();
  tiles_ = (tokens_ + tileWidth - 1) / tileWidth;
  nextTile_ = 0;
  if (threads_ == 1)
    return guardedWork();
  for (size_t i = 1; i < std::min<size_t>(threads_, tiles_ + 1); ++i)
    workers_.emplace_back([this] { guardedWork(); });
}

void FunctionalProduct::complete() {
  if (!workers_.empty())
    guardedWork();
  join();
  if (error_)
    std::rethrow_exception(std::exchange(error_, nullptr));
}

void FunctionalProduct::join() {
  for (std::thread &worker : workers_)
    worker.join();
  workers_.clear();
}

void FunctionalProduct::guardedWork() {
  try {
    work();
  } catch (...) {
    std::lock_guard lock(mutex_);
    error_ = std::current_exception();
  }
}

void FunctionalProduct::work() {
  if (nextTile_ >= tiles_)
    return;
  const size_t sums = columns_.size() * rowsAtOnce() * tileWidth;
  const auto room = hwy::AllocateAligned<float>(sums + 2 * tileWidth);
  if (!room)
    throw std::bad_alloc();
  for (size_t tile = nextTile_++; tile < tiles_; tile = nextTile_++)
    multiplyTile(tile, room.get(), room.get() + sums, room.get() + sums + tileWidth);
}

void FunctionalProduct::multiplyTile(size_t tile, float *sums, float *total, float *result) {
  const size_t columns = columns_.size(), firstToken = tile * tileWidth, tokens = std::min(tileWidth, tokens_ - firstToken), most = rowsAtOnce();
  std::vector<PanelRun> runs;
  std::vector<ColumnRun> indexed(columns);
  for (size_t c = 0; c < columns; ++c)
    indexed[c].tile = tileOf(*columns_[c].rows, tile).data;
  for (size_t begin = 0, some = 0; begin < count_; begin += some) {
    const ProductRow &first = rows_[begin];
    if (isIndexed(first)) {
      some = 1;
      bool skipsZeros = false;
      for (size_t c = 0; c < columns; ++c) {
        const Weights &weights = first.weights[c];
        indexed[c] = {indexed[c].tile, weights.values.data(), weights.rows.data(), weights.values.size()};
        skipsZeros |= columns_[c].skipsZeros;
      }
      contractRow(indexed.data(), columns, first.owner, first.hasBias ? first.bias.values[0] : 0,
                  first.hasBias ? tileOf(*columns_[first.owner].ones, tile).data : nullptr, skipsZeros, total, result);
      finishRow(first, firstToken, tokens, total, result);
      continue;
    }
    for (some = 1; some < most && begin + some < count_ && !isIndexed(rows_[begin + some]);)
      ++some;
    for (size_t c = 0; c < columns; ++c) {
      auto sumsOf = [&](size_t r) { return sums + (r * columns + c) * tileWidth; };
      runs.clear();
      for (size_t r = 0; r < some; ++r)
        runs.push_back(runOf(rows_[begin + r].weights[c], sumsOf(r), true));
      contractPanel(tileOf(*columns_[c].rows, tile), runs.data(), some, columns_[c].skipsZeros);
      runs.clear();
      for (size_t r = 0; r < some; ++r)
        if (const ProductRow &row = rows_[begin + r]; row.hasBias && row.owner == c)
          runs.push_back(runOf(row.bias, sumsOf(r), false));
      if (!runs.empty())
        contractPanel(tileOf(*columns_[c].ones, tile), runs.data(), runs.size(), columns_[c].skipsZeros);
    }
    for (size_t r = 0; r < some; ++r) {
      foldColumns(sums + r * columns * tileWidth, tileWidth, columns, rows_[begin + r].owner, total, result, tileWidth);
      finishRow(rows_[begin + r], firstToken, tokens, total, result);
    }
  }
}

/// Gives the owner's cores what is theirs of a tile.
void FunctionalProduct::finishRow(const ProductRow &row, size_t firstToken, size_t count, const float *total, const float *result) {
  const ProductColumn &owner = columns_[row.owner];
  const Descriptor &kept = owner.totals[row.number % 2];
  const unsigned size = byteSize(elementType(owner.result.type));
  uint8_t rounded[tileWidth * sizeof(float)];
  store(owner.result.type, result, rounded, tileWidth);
  for (size_t j = 0; j < count;) {
    const size_t at = firstToken + j, inCore = at % owner.each, length = std::min(owner.each - inCore, count - j);
    const CoreModel &core = (*owner.cores)[at / owner.each]->model;
    std::memcpy(core.memory(owner.result.kind) + row.resultBase + inCore * size, rounded + j * size, length * size);
    if (row.keepsTotal)
      std::memcpy(core.memory(kept.kind) + kept.base + inCore * sizeof(float), total + j, length * sizeof(float));
    j += length;
  }
}

} // namespace wafer
