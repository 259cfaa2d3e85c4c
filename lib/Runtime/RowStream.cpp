//===- RowStream.cpp - rows of weights in stream order, read ahead --------===//

#include "RowStream.h"

#include "wafer/Machine/RowOrder.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace wafer {

namespace {

/// Pieces that wait for the stream; more would only fill the host's memory.
constexpr size_t mostReadyPieces = 4;
/// Rows that lie together are read row by row, so small pieces do. Rows that lie across the tensor (a transposed weight) are picked out of
/// whole passes over it, one per piece, so pieces are as large as may be.
constexpr uint64_t mostBytesAtOnce = uint64_t(1) << 18;
/// The same for threads that read them together, and as much of weights whose rows may be kept do they look at: more is looked at beside the first contractions.
constexpr uint64_t mostBytesTogether = uint64_t(1) << 23;
constexpr uint64_t pieceBytesAlong = uint64_t(1) << 20;
constexpr uint64_t pieceBytesAcross = uint64_t(1) << 24;
/// In memory a pass over some lines of each column costs no more than one over all.
constexpr uint64_t pieceBytesInMemory = uint64_t(1) << 21;
constexpr uint64_t mostRowsPerPiece = uint64_t(1) << 14;
constexpr uint64_t mostWindowBytes = uint64_t(1) << 18;
/// Elements further apart than this are read one by one.
constexpr uint64_t pageBytes = 4096;

bool liesAlong(const RowPlan &plan) { return plan.columnStride == 1 || plan.columns == 1; }
/// Such rows need no window.
bool isReadByRows(const RowPlan &plan) { return plan.columnStride == 1 && plan.columns > 1; }

/// Columns that are turned into rows together: what a row gets of them is one line of the host's cache.
constexpr uint64_t columnsAtOnce = 16;
constexpr uint64_t mostTurnedRows = 512;

/// Copies `columns` runs of `rows` elements, `distance` bytes apart, to `at` bytes in each of as many rows, but for those that have no place.
template <size_t size> void turn(const uint8_t *runs, int64_t distance, uint64_t columns, uint64_t rows, uint8_t *const *to, uint64_t at) {
  for (uint64_t n = 0; n < rows; ++n)
    if (to[n])
      for (uint64_t k = 0; k < columns; ++k)
        std::memcpy(to[n] + at + k * size, runs + static_cast<int64_t>(k) * distance + n * size, size);
}
void turn(const uint8_t *runs, int64_t distance, uint64_t columns, uint64_t rows, uint64_t size, uint8_t *const *to, uint64_t at) {
  if (size == 4)
    turn<4>(runs, distance, columns, rows, to, at);
  else if (size == 2)
    turn<2>(runs, distance, columns, rows, to, at);
  else
    turn<1>(runs, distance, columns, rows, to, at);
}

/// Where some rows go, in increasing order; null between them.
struct RowPlaces {
  /// The rows that are streamed at [first, end) of the plan, to places `pitch` bytes apart.
  RowPlaces(const RowPlan &plan, uint64_t first, uint64_t end, uint8_t *begin, uint64_t pitch) {
    uint64_t last = 0;
    for (uint64_t place = first; place < end; ++place) {
      const uint64_t row = streamedRow(place, plan.rows, plan.roundLength, plan.together);
      low = std::min(low, row);
      last = std::max(last, row);
    }
    to.resize(last + 1 - low);
    for (uint64_t place = first; place < end; ++place)
      to[streamedRow(place, plan.rows, plan.roundLength, plan.together) - low] = begin + (place - first) * pitch;
  }
  uint64_t high() const { return low + to.size(); }

  uint64_t low = UINT64_MAX;
  std::vector<uint8_t *> to;
};

uint64_t magnitude(int64_t value) { return value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value); }

} // namespace

class RowStream::Window {
public:
  explicit Window(uint64_t bytes) : buffer_(bytes) {}

  /// Copies one element; `strideBytes` is the distance to the next one.
  void copy(const TensorSource &source, uint64_t element, uint64_t strideBytes, void *to) {
    uint64_t size = byteSize(source.dtype()), begin = element * size;
    if (&source != source_ || begin < begin_ || begin + size > begin_ + filled_) {
      uint64_t wanted = strideBytes >= pageBytes ? size : buffer_.size();
      filled_ = std::min(wanted, source.bytes() - begin);
      begin_ = begin;
      source_ = &source;
      source.read(begin_, filled_, buffer_.data());
    }
    std::memcpy(to, buffer_.data() + (begin - begin_), size);
  }

  /// Some of the `bytes` from `begin` on, at least one element; valid until the next call. `reach` is the distance to what is wanted after them.
  std::pair<const uint8_t *, uint64_t> some(const TensorSource &source, uint64_t begin, uint64_t bytes, uint64_t reach) {
    bytes = std::min<uint64_t>(bytes, buffer_.size());
    if (&source != source_ || begin < begin_ || begin + bytes > begin_ + filled_) {
      filled_ = std::min(reach < buffer_.size() ? buffer_.size() : bytes, source.bytes() - begin);
      begin_ = begin;
      source_ = &source;
      source.read(begin_, filled_, buffer_.data());
    }
    return {buffer_.data() + (begin - begin_), bytes};
  }

private:
  std::vector<uint8_t> buffer_;
  const TensorSource *source_ = nullptr;
  uint64_t begin_ = 0, filled_ = 0;
};

RowStream::RowStream(TensorStore &store, std::vector<RowPlan> plans, uint64_t batches, uint64_t repeats, uint64_t atOnce)
    : store_(store), plans_(std::move(plans)), withoutWeights_(plans_), isKept_(plans_.size()), batches_(batches), repeats_(repeats), atOnce_(atOnce) {
  for (RowPlan &plan : withoutWeights_)
    plan.weight = nullptr;
  const uint64_t budget = store_.dram().budget();
  for (const RowPlan &plan : plans_)
    for (const auto &source : {plan.weight, plan.bias})
      if (source && (source == plan.bias || !isReadByRows(plan))) {
        uint64_t useful = std::min({source->bytes(), budget / 8, mostWindowBytes});
        windowBytes_ = std::max<uint64_t>({windowBytes_, useful, byteSize(source->dtype())});
      }
  for (const RowPlan &plan : plans_)
    if (plan.rowBytes() > 0 && (budget < windowBytes_ || plan.rowBytes() > budget - windowBytes_))
      throw RuntimeError("the DRAM tier of " + std::to_string(budget) + " bytes cannot hold a row of " +
                         (plan.weight ? plan.weight : plan.bias)->describe() + ", which has " + std::to_string(plan.rowBytes()) +
                         " bytes, and a window of " + std::to_string(windowBytes_) + " bytes; use a larger one");
}

RowStream::~RowStream() {
  if (!thread_.joinable())
    return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  store_.dram().wake();
  thread_.join();
}

uint64_t RowStream::rowsPerPiece(const RowPlan &plan) const {
  // Half of the tier, so that one piece is read while the other is sent.
  const bool isTurnedInMemory = plan.rowStride == 1 && plan.weight && plan.weight->inMemory();
  const uint64_t suitable = liesAlong(plan) ? pieceBytesAlong : isTurnedInMemory ? pieceBytesInMemory : pieceBytesAcross;
  uint64_t most = std::min((store_.dram().budget() - windowBytes_) / 2, suitable);
  return std::clamp<uint64_t>(most / std::max<uint64_t>(1, plan.rowBytes()), 1, mostRowsPerPiece);
}

/// Of the rows of a plan, in all batch entries; none of weights that are known to be kept.
uint64_t RowStream::bytesToRead(size_t number) const {
  const RowPlan &plan = plans_[number];
  return plan.rows * (isKept_[number].value_or(false) ? plan.biasBytes() : plan.rowBytes()) * batches_ * repeats_;
}

/// A thread for a few rows costs more than they do.
void RowStream::begin() {
  if (std::exchange(isBegun_, true))
    return;
  uint64_t bytes = 0;
  for (size_t number = 0; number < plans_.size(); ++number)
    bytes += bytesToRead(number);
  if (bytes > mostBytesAtOnce || bytes + windowBytes_ > store_.dram().budget()) {
    thread_ = std::thread([this] { readAhead(); });
    return;
  }
  windowLease_ = store_.dram().acquire(windowBytes_, stopping_);
  Window window(windowBytes_);
  forEachPiece(0, plans_.size(), [&](Piece piece) {
    fill(piece, window);
    ready_.push_back(std::move(piece));
    return true;
  });
}

void RowStream::readTogether(const ForEach &forEach) {
  const size_t plans = meetWeights(forEach);
  uint64_t bytes = windowBytes_;
  size_t ready = 0;
  for (; ready < plans; ++ready)
    if (bytes += bytesToRead(ready); bytes > std::min(mostBytesTogether, store_.dram().budget()))
      break;
  // Of several batch entries the rows of all plans come by turns.
  const bool isOneRound = batches_ == atOnce_ && repeats_ == 1;
  if (ready == 0 || (ready < plans_.size() && !isOneRound))
    return;
  isBegun_ = true;
  windowLease_ = store_.dram().acquire(windowBytes_, stopping_);
  forEachPiece(0, ready, [&](Piece piece) {
    ready_.push_back(std::move(piece));
    return true;
  });
  forEach(ready_.size(), [&](size_t i) {
    Window window(windowBytes_);
    fill(ready_[i], window);
  });
  firstAhead_ = ready;
  if (ready < plans_.size())
    thread_ = std::thread([this] { readAhead(); });
}

/// Finds out which of the first weights are those of the run before. Returns how many plans there are before one that is too large, or not in memory.
size_t RowStream::meetWeights(const ForEach &forEach) {
  struct Part {
    size_t plan, number;
  };
  std::vector<Part> parts;
  std::vector<std::vector<Fingerprint>> found;
  for (uint64_t bytes = 0; found.size() < plans_.size(); found.emplace_back()) {
    const RowPlan &plan = plans_[found.size()];
    if ((plan.weight && !plan.weight->inMemory()) || (plan.bias && !plan.bias->inMemory()))
      break;
    if (!plan.kept)
      continue;
    if (bytes += plan.weight->bytes(); bytes > mostBytesTogether)
      break;
    for (size_t number = 0; number < partsOfFingerprint(*plan.weight); ++number)
      parts.push_back({found.size(), number});
  }
  for (const Part &part : parts)
    found[part.plan].resize(part.number + 1);
  forEach(parts.size(), [&](size_t i) { found[parts[i].plan][parts[i].number] = fingerprintOf(*plans_[parts[i].plan].weight, parts[i].number); });
  for (size_t plan = 0; plan < found.size(); ++plan)
    if (plans_[plan].kept)
      isKept_[plan] = plans_[plan].kept->meet(together(found[plan]));
  return found.size();
}

void RowStream::readAhead() {
  try {
    if (!windowLease_)
      windowLease_ = store_.dram().acquire(windowBytes_, stopping_);
    Window window(windowBytes_);
    forEachPiece(firstAhead_, plans_.size(), [&](Piece piece) {
      fill(piece, window);
      return push(std::move(piece));
    });
  } catch (...) {
    std::lock_guard lock(mutex_);
    error_ = std::current_exception();
    changed_.notify_all();
  }
}

/// Calls `use` with each piece of some plans, which has room for its rows, in order. Stops when the stream is being taken down or `use` says so.
template <typename Use> bool RowStream::forEachPiece(size_t first, size_t end, Use use) {
  for (uint64_t i = 0; i < batches_ / atOnce_ * repeats_; ++i)
    for (size_t plan = first; plan < end; ++plan)
      if (!forEachPieceOf(plan, i / repeats_ * atOnce_, use))
        return false;
  return true;
}

/// Asked before a row of the plan is there for the stream, which may begin to keep them then.
bool RowStream::isKept(size_t number) {
  std::optional<bool> &isKept = isKept_[number];
  if (isKept)
    return *isKept;
  const RowPlan &plan = plans_[number];
  isKept = plan.kept && plan.kept->meet(fingerprintOf(*plan.weight));
  return *isKept;
}

template <typename Use> bool RowStream::forEachPieceOf(size_t number, uint64_t firstEntry, Use use) {
  const bool isKept = this->isKept(number);
  const RowPlan &plan = isKept ? withoutWeights_[number] : plans_[number];
  if (isKept)
    plans_[number].weight->countRead(plans_[number].rows * plans_[number].weightBytes());
  const auto spans = std::make_shared<const std::vector<EntrySpan>>(entrySpans(plan.batchSizes, plan.batchStrides, firstEntry, atOnce_));
  const uint64_t perPiece = rowsPerPiece(plan), rows = plan.rows * spans->size();
  for (uint64_t done = 0; done < rows;) {
    uint64_t count = std::min(perPiece, rows - done);
    Piece piece;
    piece.plan = &plan;
    piece.number = number;
    piece.isKept = isKept;
    piece.spans = spans;
    piece.lease = store_.dram().acquire(count * plan.rowBytes(), stopping_);
    if (!piece.lease)
      return false;
    piece.first = done;
    piece.rows = count;
    piece.bytes = store_.buffers().take(count * plan.rowBytes());
    if (!use(std::move(piece)))
      return false;
    done += count;
  }
  return true;
}

void RowStream::fill(Piece &piece, Window &window) const {
  for (size_t span = 0; span < piece.spans->size(); ++span)
    fill(piece, span, window);
}

/// The rows of one span.
void RowStream::fill(Piece &piece, size_t span, Window &window) const {
  const RowPlan &plan = *piece.plan;
  const uint64_t spans = piece.spans->size(), first = (piece.first + spans - 1 - span) / spans, end = (piece.first + piece.rows + spans - 1 - span) / spans;
  if (first == end)
    return;
  const RowPlaces places(plan, first, end, piece.bytes.data() + (first * spans + span - piece.first) * plan.rowBytes(), spans * plan.rowBytes());
  auto forEachRow = [&](auto use) {
    for (uint64_t n = places.low; n < places.high(); ++n)
      if (uint8_t *to = places.to[n - places.low])
        use(n, to);
  };
  if (plan.weight) {
    const TensorSource &weight = *plan.weight;
    const uint64_t size = byteSize(weight.dtype());
    const uint64_t rowStep = magnitude(plan.rowStride) * size, columnStep = magnitude(plan.columnStride) * size;
    const int64_t offset = plan.offset + (*piece.spans)[span].offset;
    auto element = [&](uint64_t n, uint64_t k) {
      return static_cast<uint64_t>(offset + static_cast<int64_t>(n) * plan.rowStride + static_cast<int64_t>(k) * plan.columnStride);
    };
    if (isReadByRows(plan)) {
      forEachRow([&](uint64_t n, uint8_t *to) { weight.read(element(n, 0) * size, plan.weightBytes(), to); });
    } else if (plan.columns > 1 && magnitude(plan.columnStride) < magnitude(plan.rowStride)) {
      forEachRow([&](uint64_t n, uint8_t *to) {
        for (uint64_t k = 0; k < plan.columns; ++k)
          window.copy(weight, element(n, k), columnStep, to + k * size);
      });
    } else if (plan.rowStride == 1) {
      std::vector<uint8_t> runs(columnsAtOnce * mostTurnedRows * size);
      for (uint64_t k = 0; k < plan.columns; k += columnsAtOnce)
        for (uint64_t n = places.low; n < places.high(); n += mostTurnedRows) {
          const uint64_t columns = std::min(columnsAtOnce, plan.columns - k), count = std::min(mostTurnedRows, places.high() - n);
          uint8_t *const *to = places.to.data() + (n - places.low);
          if (const uint8_t *all = weight.inMemory()) {
            turn(all + element(n, k) * size, plan.columnStride * static_cast<int64_t>(size), columns, count, size, to, k * size);
            weight.countRead(columns * count * size);
            continue;
          }
          for (uint64_t i = 0; i < columns; ++i)
            for (uint64_t done = 0; done < count * size;) {
              auto [from, bytes] = window.some(weight, element(n, k + i) * size + done, count * size - done, columnStep);
              std::memcpy(runs.data() + i * count * size + done, from, bytes);
              done += bytes;
            }
          turn(runs.data(), static_cast<int64_t>(count * size), columns, count, size, to, k * size);
        }
    } else {
      for (uint64_t k = 0; k < plan.columns; ++k)
        forEachRow([&](uint64_t n, uint8_t *to) { window.copy(weight, element(n, k), rowStep, to + k * size); });
    }
  }
  if (plan.bias)
    forEachRow([&](uint64_t n, uint8_t *to) { window.copy(*plan.bias, n, plan.biasBytes(), to + plan.weightBytes()); });
}

bool RowStream::push(Piece piece) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stopping_ || ready_.size() < mostReadyPieces; });
  if (stopping_)
    return false;
  ready_.push_back(std::move(piece));
  changed_.notify_all();
  return true;
}

RowStream::Row RowStream::next() {
  begin();
  if (at_ == current_.rows) {
    // Its room is given back first: the thread may need it for the piece we are about to wait for.
    current_ = Piece();
    std::unique_lock lock(mutex_);
    store_.countPrefetch(!ready_.empty());
    changed_.wait(lock, [&] { return error_ || !ready_.empty(); });
    if (ready_.empty())
      std::rethrow_exception(error_);
    current_ = std::move(ready_.front());
    ready_.pop_front();
    at_ = 0;
    changed_.notify_all();
  }
  const RowPlan &plan = *current_.plan;
  const uint8_t *bytes = current_.bytes.data() + at_ * plan.rowBytes();
  const uint64_t number = current_.first + at_++;
  const EntrySpan &span = (*current_.spans)[number % current_.spans->size()];
  return {streamedRow(number / current_.spans->size(), plan.rows, plan.roundLength, plan.together), span.first, span.count, plan.weight ? bytes : nullptr, plan.bias ? bytes + plan.weightBytes() : nullptr,
          current_.isKept};
}

void RowStream::readKept(const Row &row, uint8_t *to) const {
  const RowPlan &plan = plans_[current_.number];
  const uint64_t size = byteSize(plan.weight->dtype());
  for (uint64_t k = 0; k < plan.columns; ++k)
    std::memcpy(to + k * size, plan.weight->inMemory() + (plan.offset + static_cast<int64_t>(row.row) * plan.rowStride + static_cast<int64_t>(k) * plan.columnStride) * static_cast<int64_t>(size), size);
}

} // namespace wafer
