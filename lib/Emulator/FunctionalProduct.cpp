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
  if (done + line / 2 <= bytes) {
    std::memcpy(to + done, static_cast<const uint8_t *>(from) + done, line / 2);
    done += line / 2;
  }
  if (done < bytes)
    std::memcpy(to + done, static_cast<const uint8_t *>(from) + done, bytes - done);
}

const float *tileOf(const PackedRows &packed, size_t tile) { return packed.panel.data + tile * packed.panel.rows * tileWidth; }

} // namespace

/// What a thread adds up: a tile of sums for each row of a chunk.
struct FunctionalProduct::Sums {
  Sums() : room(hwy::AllocateAligned<float>(3 * numbers)) {
    if (!room)
      throw std::bad_alloc();
  }
  static constexpr size_t numbers = rowsAtOnce * tileWidth;

  hwy::AlignedFreeUniquePtr<float[]> room;
  float *const totals = room.get(), *const wests = totals + numbers; ///< from the west and the owner's own; from the east
  uint8_t *const rounded = reinterpret_cast<uint8_t *>(wests + numbers);
};

FunctionalProduct::FunctionalProduct() = default;
FunctionalProduct::~FunctionalProduct() {
  if (crew_)
    crew_->wait();
}

void FunctionalProduct::begin(std::vector<ProductColumn> columns, ProductRows &rows, Crew *crew) {
  columns_ = std::move(columns);
  std::swap(rows_, rows);
  tokens_ = columns_[0].each * columns_[0].cores->size();
  tiles_ = (tokens_ + tileWidth - 1) / tileWidth;
  crew_ = crew;
  findOrder();
  biases_.clear();
  for (uint32_t row : order_->rows)
    biases_.push_back(rows_[row].bias);
  if (crew_) {
    sums_.resize(std::max(sums_.size(), crew_->size()));
    crew_->begin(tiles_, [this](size_t tile, size_t member) { multiplyTile(tile, member); });
    if (crew_->size() == 1)
      complete();
  } else {
    sums_.resize(std::max<size_t>(sums_.size(), 1));
    for (size_t tile = 0; tile < tiles_; ++tile)
      multiplyTile(tile, 0);
  }
}

/// That of the runs before, if the rows stay and came together then as well.
void FunctionalProduct::findOrder() {
  SortedRows *kept = rows_[0].kept;
  std::vector<size_t> numbers;
  for (size_t r = 0; kept && r < rows_.size(); ++r) {
    numbers.push_back(rows_[r].keptRow);
    if (rows_[r].kept != kept)
      kept = nullptr;
  }
  order_ = nullptr;
  if (kept)
    if (const auto known = kept->arrangements.find(numbers[0]); known != kept->arrangements.end()) {
      order_ = std::static_pointer_cast<const Order>(known->second);
      if (order_->kept == numbers)
        return;
    }
  // What stays is nobody else's; other rows use the room of those before.
  std::shared_ptr<Order> order = kept ? nullptr : spare_;
  if (!order)
    order = std::make_shared<Order>();
  order->kept = std::move(numbers);
  makeOrder(*order);
  order_ = order;
  if (kept)
    kept->arrangements[order->kept[0]] = order;
  else
    spare_ = order;
}

void FunctionalProduct::makeOrder(Order &order) const {
  orderRows(order);
  order.weights.assign(columns_.size(), 0);
  order.pairs.assign(columns_.size(), 0);
  for (size_t r = 0; r < rows_.size(); ++r)
    for (size_t c = 0; c < columns_.size(); ++c) {
      const size_t count = rows_.run(r, c).count;
      order.weights[c] += count;
      order.pairs[c] += (count + 1) / 2;
    }
  // Where the indexed weights of each chunk go.
  std::vector<size_t> placed;
  size_t all = 0;
  for (Chunk chunk = chunkAt(0); chunk.size() > 0; chunk = chunkAt(chunk.end)) {
    placed.push_back(all);
    for (size_t place = chunk.begin; place < chunk.end; ++place)
      all += rows_.indexedOf(order.rows[place]);
  }
  auto arrangeChunk = [&](size_t i) { arrange(order, chunkAt(i * rowsAtOnce), placed[i]); };
  if (crew_)
    crew_->forEach(placed.size(), arrangeChunk);
  else
    for (size_t i = 0; i < placed.size(); ++i)
      arrangeChunk(i);
}

/// Rows of one owner are added in the same order, so that many of them can be at once.
void FunctionalProduct::orderRows(Order &order) const {
  const size_t columns = columns_.size();
  auto partOf = [&](const ProductRow &row) { return 2 * row.owner + row.hasBias; };
  std::vector<size_t> begins(2 * columns + 1);
  for (size_t r = 0; r < rows_.size(); ++r)
    ++begins[partOf(rows_[r]) + 1];
  for (size_t part = 1; part < begins.size(); ++part)
    begins[part] += begins[part - 1];
  order.ownersFrom.resize(columns + 1);
  order.biasesFrom.resize(columns);
  for (size_t c = 0; c <= columns; ++c)
    order.ownersFrom[c] = begins[2 * c];
  for (size_t c = 0; c < columns; ++c)
    order.biasesFrom[c] = begins[2 * c + 1];
  order.rows.resize(rows_.size());
  for (size_t r = 0; r < rows_.size(); ++r)
    order.rows[begins[partOf(rows_[r])]++] = static_cast<uint32_t>(r);
  order.runs.resize(columns * rows_.size());
  order.placed.resize(rows_.indexed());
}

FunctionalProduct::Chunk FunctionalProduct::chunkAt(size_t begin) const { return {begin, std::min(begin + rowsAtOnce, rows_.size())}; }

void FunctionalProduct::arrange(Order &order, const Chunk &chunk, size_t placed) const {
  for (size_t c = 0; c < columns_.size(); ++c)
    arrange(order, chunk, c, placed);
}

/// Rows of equally many weights come one after another, so that the host foresees the ends of their loops. Weights with an index are put in that order, behind the
/// `placed` that are there.
void FunctionalProduct::arrange(Order &order, const Chunk &chunk, size_t column, size_t &placed) const {
  constexpr size_t mostTold = 64; // longer loops may as well end unforeseen
  RowRun *runs = order.runs.data() + column * rows_.size();
  size_t found[rowsAtOnce]; // places of rows in the order of the runs
  const size_t parts[] = {chunk.begin, order.firstFrom(column, chunk), order.firstWithBias(column, chunk), order.firstFrom(column + 1, chunk), chunk.end};
  for (int part = 0; part < 4; ++part) {
    size_t begins[mostTold + 1] = {parts[part]};
    auto counted = [&](size_t place) { return std::min(rows_.run(order.rows[place], column).count, mostTold - 1); };
    for (size_t place = parts[part]; place < parts[part + 1]; ++place)
      ++begins[counted(place) + 1];
    for (size_t count = 1; count <= mostTold; ++count)
      begins[count] += begins[count - 1];
    for (size_t place = parts[part]; place < parts[part + 1]; ++place)
      found[begins[counted(place)]++ - chunk.begin] = place;
  }
  for (size_t i = 0; i < chunk.size(); ++i) {
    const ProductRows::Run run = rows_.run(order.rows[found[i]], column);
    PlacedWeight *to = order.placed.data() + placed;
    for (size_t k = 0; run.rows && k < run.count; ++k)
      to[k] = {run.values[k], static_cast<uint32_t>(run.rows[k] * tileWidth)};
    placed += run.rows ? run.count : 0;
    runs[chunk.begin + i] = {run.values, run.rows ? to : nullptr, run.count, static_cast<uint32_t>(found[i] - chunk.begin)};
  }
}

void FunctionalProduct::complete() {
  if (Crew *crew = std::exchange(crew_, nullptr))
    crew->complete();
}

void FunctionalProduct::multiplyTile(size_t tile, size_t member) {
  if (!sums_[member])
    sums_[member] = std::make_unique<Sums>();
  Sums &sums = *sums_[member];
  const size_t columns = columns_.size();
  for (ProductColumn &column : columns_) {
    column.panels->packTile(*column.rows, tile);
    if (column.ones)
      column.panels->packTile(*column.ones, tile);
  }
  for (Chunk chunk = chunkAt(0); chunk.size() > 0; chunk = chunkAt(chunk.end)) {
    std::fill_n(sums.totals, chunk.size() * tileWidth, 0.0f);
    std::fill_n(sums.wests, chunk.size() * tileWidth, 0.0f);
    for (size_t c = 0; c < columns; ++c) {
      const size_t own = order_->firstFrom(c, chunk), withBias = order_->firstWithBias(c, chunk), others = order_->firstFrom(c + 1, chunk);
      addColumn(c, tile, chunk, others, chunk.end, false, sums.totals);
      addColumn(c, tile, chunk, own, withBias, false, sums.totals);
      addColumn(c, tile, chunk, withBias, others, true, sums.totals);
    }
    for (size_t c = columns; c-- > 0;)
      addColumn(c, tile, chunk, chunk.begin, order_->firstFrom(c, chunk), false, sums.wests);
    finishRows(chunk, tile, sums);
  }
}

/// Adds what a column has for the rows at some places of a chunk.
void FunctionalProduct::addColumn(size_t column, size_t tile, const Chunk &chunk, size_t begin, size_t end, bool withBias, float *sums) const {
  const ProductColumn &from = columns_[column];
  if (begin < end)
    addProducts(tileOf(*from.rows, tile), std::min(tileWidth, tokens_ - tile * tileWidth), order_->runs.data() + column * rows_.size() + begin, end - begin,
                withBias ? tileOf(*from.ones, tile) : nullptr, biases_.data() + chunk.begin, from.skipsZeros, sums);
}

template <typename Use> void FunctionalProduct::forEachCore(const ProductColumn &column, size_t tile, Use use) const {
  const size_t firstToken = tile * tileWidth, tokens = std::min(tileWidth, tokens_ - firstToken);
  for (size_t j = 0, length = 0; j < tokens; j += length) {
    const size_t token = firstToken + j, inCore = token % column.each;
    length = std::min(column.each - inCore, tokens - j);
    use((*column.cores)[token / column.each]->model, inCore, j, length);
  }
}

/// Gives the owners' cores what is theirs of a tile.
void FunctionalProduct::finishRows(const Chunk &chunk, size_t tile, Sums &sums) const {
  for (size_t place = chunk.begin; place < chunk.end; ++place)
    if (const ProductRow &row = rows_[order_->rows[place]]; row.keepsTotal)
      keepTotal(row, tile, sums.totals + (place - chunk.begin) * tileWidth);
  arithmetic(Arithmetic::Add, sums.totals, sums.wests, sums.wests, chunk.size() * tileWidth);
  for (size_t c = 0; c < columns_.size(); ++c) {
    const ProductColumn &owner = columns_[c];
    const size_t begin = order_->firstFrom(c, chunk), end = order_->firstFrom(c + 1, chunk);
    if (begin == end)
      continue;
    store(owner.result.type, sums.wests + (begin - chunk.begin) * tileWidth, sums.rounded, (end - begin) * tileWidth);
    const unsigned size = byteSize(elementType(owner.result.type));
    forEachCore(owner, tile, [&](const CoreModel &core, size_t inCore, size_t inTile, size_t length) {
      uint8_t *results = core.memory(owner.result.kind) + inCore * size;
      const uint8_t *rounded = sums.rounded + inTile * size;
      for (size_t place = begin; place < end; ++place, rounded += tileWidth * size)
        copyLines(rounded, results + rows_[order_->rows[place]].resultBase, length * size);
    });
  }
}

/// Leaves a tile of a row's sum from the west where the owner builds it.
void FunctionalProduct::keepTotal(const ProductRow &row, size_t tile, float *total) const {
  const ProductColumn &owner = columns_[row.owner];
  const Descriptor &kept = owner.totals[row.number % 2];
  forEachCore(owner, tile, [&](const CoreModel &core, size_t inCore, size_t inTile, size_t length) {
    auto *to = core.memory(kept.kind) + kept.base + (row.place * owner.each + inCore) * sizeof(float);
    for (size_t j = inTile; j < inTile + length; ++j)
      total[j] = canonicalNaN(total[j]);
    std::memcpy(to, total + inTile, length * sizeof(float));
  });
}

} // namespace wafer
