//===- RowStream.h - rows of weights in stream order, read ahead ----------===//
//
// A thread that reads the rows which the steps of a phase will send, in the order in which they will be sent and a piece at a time, as far
// ahead as the DRAM tier has room. A weight may be larger than the tier: only its pieces have to fit. What is little, or nothing because rows are kept, is read
// before the first row is wanted, by threads that have nothing else to do: one more would only take a processor from them.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_RUNTIME_ROWSTREAM_H
#define WAFER_LIB_RUNTIME_ROWSTREAM_H

#include "Buffers.h"
#include "KeptRows.h"
#include "wafer/Emulator/Engine.h"
#include "wafer/Machine/BatchEntries.h"
#include "wafer/Runtime/TensorStore.h"

#include <deque>
#include <exception>
#include <thread>

namespace wafer {

/// What a step streams: rows of a weight, row n being elements offset + n * rowStride + k * columnStride for k below columns, each with
/// element n of a bias. Either may be missing.
struct RowPlan {
  std::shared_ptr<const TensorSource> weight, bias;
  uint64_t rows = 0, columns = 0;
  int64_t rowStride = 0, columnStride = 0, offset = 0;
  uint64_t roundLength = UINT64_MAX, together = 1; ///< columns of a round and rows of each, of the order in which rows are streamed (RowOrder.h)
  /// What a batch entry adds to the offset (BatchEntries.h); empty: the same rows for all.
  std::vector<uint32_t> batchSizes;
  std::vector<int64_t> batchStrides;
  KeptRows *kept = nullptr; ///< of earlier runs; of a weight in memory whose rows all entries share

  uint64_t weightBytes() const { return weight ? columns * byteSize(weight->dtype()) : 0; }
  uint64_t biasBytes() const { return bias ? byteSize(bias->dtype()) : 0; }
  uint64_t rowBytes() const { return weightBytes() + biasBytes(); }
};

class RowStream {
public:
  /// One row in the types of the tensors at rest; valid until the next one is taken. A part that the plan does not have is null.
  struct Row {
    uint64_t row = 0;
    uint64_t firstEntry = 0, entries = 1; ///< whose row it is, of the batch entries at a time
    const uint8_t *weights = nullptr;
    const uint8_t *bias = nullptr;
    bool isKept = false;                 ///< the weights are those that the plan has kept: they are not read
  };

  /// Streams the rows of all plans in order for each of `batches` batch entries, `atOnce` of them at a time, and all of that `repeats` times for each. Of
  /// entries at a time comes the first row of each weight that they have, then the second one, and so on. Throws RuntimeError when the tier cannot hold one row.
  RowStream(TensorStore &store, std::vector<RowPlan> plans, uint64_t batches, uint64_t repeats, uint64_t atOnce = 1);
  ~RowStream();

  /// Reads rows now, by the threads of `forEach`: all, or those of the first plans, as far as they are few and in memory. Before the first row is taken.
  void readTogether(const ForEach &forEach);
  /// The next row; waits for it. Throws what went wrong when it was read. There must be one left.
  Row next();
  /// The weights of a row that is kept, in the type of the tensor. It is the one that was taken last.
  void readKept(const Row &row, uint8_t *to) const;

private:
  struct Piece {
    Buffers::Buffer bytes;
    uint64_t first = 0, rows = 0; ///< the n-th row that is streamed of span s is number n * spans + s
    const RowPlan *plan = nullptr; ///< without its weight if that is kept
    size_t number = 0;             ///< of the plan
    bool isKept = false; ///< as in a row
    std::shared_ptr<const std::vector<EntrySpan>> spans; ///< of the entries at a time
    DramTier::Lease lease;
  };
  /// Bytes of a tensor that were read last, for accesses that are near each other.
  class Window;

  void begin();
  void readAhead();
  uint64_t bytesToRead(size_t number) const;
  size_t meetWeights(const ForEach &forEach);
  template <typename Use> bool forEachPiece(size_t first, size_t end, Use use);
  template <typename Use> bool forEachPieceOf(size_t number, uint64_t firstEntry, Use use);
  bool isKept(size_t number);
  void fill(Piece &piece, Window &window) const;
  void fill(Piece &piece, size_t span, Window &window) const;
  bool push(Piece piece);
  uint64_t rowsPerPiece(const RowPlan &plan) const;

  TensorStore &store_;
  const std::vector<RowPlan> plans_;
  std::vector<RowPlan> withoutWeights_; ///< the same plans
  std::vector<std::optional<bool>> isKept_; ///< by plan, once the first of its rows was wanted
  const uint64_t batches_, repeats_, atOnce_;
  uint64_t windowBytes_ = 0;
  bool isBegun_ = false;
  size_t firstAhead_ = 0; ///< plan that the thread begins with
  DramTier::Lease windowLease_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Piece> ready_;
  std::exception_ptr error_;
  std::atomic<bool> stopping_{false};

  Piece current_;
  uint64_t at_ = 0; ///< next row of the current piece
  std::thread thread_;
};

} // namespace wafer

#endif // WAFER_LIB_RUNTIME_ROWSTREAM_H
