//===- FunctionalProduct.cpp - a matrix product in the order of the wafer -----===//

#include "FunctionalProduct.h"

#include "wafer/Emulator/NumberFormats.h"

#include <hwy/aligned_allocator.h>

#include <cstring>
#include <utility>

namespace wafer {

namespace {

/// Rows whose sums, for a tile of tokens, stay near while columns are added to them. What a column multiplies is fetched once for all of them, so that few rows,
/// whose sums would fit into the host's first cache, are none the better.
constexpr size_t rowsAtOnce = 16 * panelHeight;

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

/// A core's part of a tile is a few lines, to which a call would add as much again.
void copyLines(const void *from, uint8_t *to, size_t bytes) {
  constexpr size_t line = 32;
  size_t done = 0;
  for (; done + line <= bytes; done += line)
    std::memcpy(to + done, static_cast<const uint8_t *>(from) + done, line);
  if (done < bytes)
    std::memcpy(to + done, static_cast<const uint8_t *>(from) + done, bytes - done);
}

const float *tileOf(const PackedRows &packed, size_t tile) { return packed.panel.data + tile * packed.panel.rows * tileWidth; }

} // namespace

void FunctionalProduct::begin(std::vector<ProductColumn> columns, ProductRows &rows, Crew *crew) {
  columns_ = std::move(columns);
  std::swap(rows_, rows);
  tokens_ = columns_[0].each * columns_[0].cores->size();
  tiles_ = (tokens_ + tileWidth - 1) / tileWidth;
  orderRows();
  // Where the indexed weights of each chunk go.
  std::vector<size_t> placed;
  size_t all = 0;
  for (Chunk chunk = chunkAt(0); chunk.size() > 0; chunk = chunkAt(chunk.end)) {
    placed.push_back(all);
    for (size_t place = chunk.begin; place < chunk.end; ++place)
      all += rows_.indexedOf(order_[place]);
  }
  auto arrangeChunk = [&](size_t i) { arrange(chunkAt(i * rowsAtOnce), placed[i]); };
  nextTile_ = 0;
  crew_ = crew;
  if (crew_) {
    crew_->forEach(placed.size(), arrangeChunk);
    crew_->begin([this] { work(); }, tiles_);
    if (crew_->size() == 1)
      complete();
  } else {
    for (size_t i = 0; i < placed.size(); ++i)
      arrangeChunk(i);
    work();
  }
}

/// Rows of one owner are added in the same order, so that many of them can be at once.
void FunctionalProduct::orderRows() {
  const size_t columns = columns_.size();
  auto partOf = [&](const ProductRow &row) { return 2 * row.owner + row.hasBias; };
  std::vector<size_t> begins(2 * columns + 1);
  for (size_t r = 0; r < rows_.size(); ++r)
    ++begins[partOf(rows_[r]) + 1];
  for (size_t part = 1; part < begins.size(); ++part)
    begins[part] += begins[part - 1];
  ownersFrom_.resize(columns + 1);
  biasesFrom_.resize(columns);
  for (size_t c = 0; c <= columns; ++c)
    ownersFrom_[c] = begins[2 * c];
  for (size_t c = 0; c < columns; ++c)
    biasesFrom_[c] = begins[2 * c + 1];
  order_.resize(rows_.size());
  for (size_t r = 0; r < rows_.size(); ++r)
    order_[begins[partOf(rows_[r])]++] = static_cast<uint32_t>(r);
  runs_.resize(columns * rows_.size());
  placed_.resize(rows_.indexed());
}

FunctionalProduct::Chunk FunctionalProduct::chunkAt(size_t begin) const { return {begin, std::min(begin + rowsAtOnce, rows_.size())}; }

void FunctionalProduct::arrange(const Chunk &chunk, size_t placed) {
  for (size_t c = 0; c < columns_.size(); ++c)
    arrange(chunk, c, placed);
}

/// Rows of equally many weights come one after another, so that the host foresees the ends of their loops. Weights with an index are put in that order, behind the
/// `placed` that are there.
void FunctionalProduct::arrange(const Chunk &chunk, size_t column, size_t &placed) {
  constexpr size_t mostTold = 64; // longer loops may as well end unforeseen
  RowRun *runs = runs_.data() + column * rows_.size();
  size_t found[rowsAtOnce]; // places of rows in the order of the runs
  const size_t parts[] = {chunk.begin, firstFrom(column, chunk), firstWithBias(column, chunk), firstFrom(column + 1, chunk), chunk.end};
  for (int part = 0; part < 4; ++part) {
    size_t begins[mostTold + 1] = {parts[part]};
    auto counted = [&](size_t place) { return std::min(rows_.run(order_[place], column).count, mostTold - 1); };
    for (size_t place = parts[part]; place < parts[part + 1]; ++place)
      ++begins[counted(place) + 1];
    for (size_t count = 1; count <= mostTold; ++count)
      begins[count] += begins[count - 1];
    for (size_t place = parts[part]; place < parts[part + 1]; ++place)
      found[begins[counted(place)]++ - chunk.begin] = place;
  }
  for (size_t i = 0; i < chunk.size(); ++i) {
    const ProductRow &row = rows_[order_[found[i]]];
    const ProductRows::Run run = rows_.run(order_[found[i]], column);
    PlacedWeight *to = placed_.data() + placed;
    for (size_t k = 0; run.rows && k < run.count; ++k)
      to[k] = {run.values[k], static_cast<uint32_t>(run.rows[k] * tileWidth)};
    placed += run.rows ? run.count : 0;
    runs[chunk.begin + i] = {run.values, run.rows ? to : nullptr, run.count, row.bias, static_cast<uint32_t>(found[i] - chunk.begin)};
  }
}

void FunctionalProduct::complete() {
  if (Crew *crew = std::exchange(crew_, nullptr))
    crew->complete();
}

void FunctionalProduct::work() {
  if (nextTile_ >= tiles_)
    return;
  constexpr size_t sums = rowsAtOnce * tileWidth;
  const auto room = hwy::AllocateAligned<float>(2 * sums);
  if (!room)
    throw std::bad_alloc();
  for (size_t tile = nextTile_++; tile < tiles_; tile = nextTile_++)
    multiplyTile(tile, room.get(), room.get() + sums);
}

void FunctionalProduct::multiplyTile(size_t tile, float *totals, float *wests) {
  const size_t columns = columns_.size(), firstToken = tile * tileWidth, tokens = std::min(tileWidth, tokens_ - firstToken);
  for (ProductColumn &column : columns_) {
    column.panels->packTile(*column.rows, tile);
    if (column.ones)
      column.panels->packTile(*column.ones, tile);
  }
  for (Chunk chunk = chunkAt(0); chunk.size() > 0; chunk = chunkAt(chunk.end)) {
    std::fill_n(totals, chunk.size() * tileWidth, 0.0f);
    std::fill_n(wests, chunk.size() * tileWidth, 0.0f);
    for (size_t c = 0; c < columns; ++c) {
      addColumn(c, tile, firstFrom(c + 1, chunk), chunk.end, false, totals);
      addColumn(c, tile, firstFrom(c, chunk), firstWithBias(c, chunk), false, totals);
      addColumn(c, tile, firstWithBias(c, chunk), firstFrom(c + 1, chunk), true, totals);
    }
    for (size_t c = columns; c-- > 0;)
      addColumn(c, tile, chunk.begin, firstFrom(c, chunk), false, wests);
    for (size_t i = 0; i < chunk.size(); ++i)
      finishRow(rows_[order_[chunk.begin + i]], firstToken, tokens, totals + i * tileWidth, wests + i * tileWidth);
  }
}

/// Adds what a column has for the rows at some places.
void FunctionalProduct::addColumn(size_t column, size_t tile, size_t begin, size_t end, bool withBias, float *sums) const {
  const ProductColumn &from = columns_[column];
  if (begin < end)
    addProducts(tileOf(*from.rows, tile), std::min(tileWidth, tokens_ - tile * tileWidth), runs_.data() + column * rows_.size() + begin, end - begin,
                withBias ? tileOf(*from.ones, tile) : nullptr, from.skipsZeros, sums);
}

/// Gives the owner's cores what is theirs of a tile.
void FunctionalProduct::finishRow(const ProductRow &row, size_t firstToken, size_t count, float *total, float *west) const {
  const ProductColumn &owner = columns_[row.owner];
  const Descriptor &kept = owner.totals[row.number % 2];
  const unsigned size = byteSize(elementType(owner.result.type));
  uint8_t rounded[tileWidth * sizeof(float)];
  arithmetic(Arithmetic::Add, total, west, west, count);
  store(owner.result.type, west, rounded, count);
  if (row.keepsTotal)
    for (size_t j = 0; j < count; ++j)
      total[j] = canonicalNaN(total[j]);
  for (size_t j = 0; j < count;) {
    const size_t at = firstToken + j, inCore = at % owner.each, length = std::min(owner.each - inCore, count - j);
    const CoreModel &core = (*owner.cores)[at / owner.each]->model;
    copyLines(rounded + j * size, core.memory(owner.result.kind) + row.resultBase + inCore * size, length * size);
    if (row.keepsTotal)
      std::memcpy(core.memory(kept.kind) + kept.base + (row.place * owner.each + inCore) * sizeof(float), total + j, length * sizeof(float));
    j += length;
  }
}

} // namespace wafer
