//===- AttendKernel.h - attention whose keys and values pass from core to core ===//
//
// A head lies in one column, or half of its elements in each of two neighbours, which then add their parts of scores. Blocks of keys and values, those of a core's tokens, go around a ring of the column's rows; each core meets its queries with each block.
// docs/spec/kernels.md shows the code.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_CONVERSION_STREAMTOWAFER_ATTENDKERNEL_H
#define WAFER_LIB_CONVERSION_STREAMTOWAFER_ATTENDKERNEL_H

#include "Kernels.h"

#include "wafer/Machine/AttentionChunks.h"
#include "wafer/Machine/Machine.h"

#include <map>

namespace wafer {

/// The forward pass, up to sums that are not yet divided by the total of their weights. Per core, `heads_` heads, or halves of heads, of `size_` elements with `tokens_` tokens.
class Attention {
public:
  Attention(SegmentContext &ctx, stream::AttendOp op, const Block &qkv, const Block *rotation, const Machine &machine);

  /// Whether the cache has room for its sums.
  bool fits() const { return chunks_.keys > 0; }
  /// Writes the steps that add up what all queries see.
  void emitForward();
  /// Divides, and writes the result.
  void emitResult(const Block &result);

protected:
  mlir::FlatSymbolRefAttr buffer(llvm::StringRef hint, int64_t elements, mlir::Type type);
  mlir::FlatSymbolRefAttr memory(llvm::StringRef hint, mlir::FlatSymbolRefAttr of, mlir::Type type, Extents extents, Extents strides) { return image_.memory(hint, type, of, extents, strides); }
  /// Where keys and values of a block are: from that byte of a buffer on.
  struct Place {
    mlir::FlatSymbolRefAttr buffer;
    int64_t offset = 0;
  };
  mlir::FlatSymbolRefAttr memory(llvm::StringRef hint, const Place &of, mlir::Type type, Extents extents, Extents strides) { return image_.memoryAt(of.offset, hint, type, of.buffer, extents, strides); }
  /// The values of a block, which come behind its keys.
  Place valuesOf(const Place &block) { return {block.buffer, block.offset + part() * bytes(element_)}; }
  mlir::FlatSymbolRefAttr sums(llvm::StringRef hint, Extents extents, Extents strides);
  /// A task's instructions that fill a buffer with what a register holds, by way of register `with`.
  void fill(TaskBuilder &task, uint8_t with, llvm::StringRef hint, mlir::FlatSymbolRefAttr of, mlir::Type type, int64_t elements, uint8_t from);
  /// The parts of a block of heads from `offset` bytes on: all its elements, the first and the second half of each head.
  struct Halves {
    mlir::FlatSymbolRefAttr all, first, second;
  };
  Halves halves(llvm::StringRef hint, mlir::FlatSymbolRefAttr of, mlir::Type type, int64_t offset);
  /// A task's instructions that turn what `from` holds by the table, or back, by way of `between`, which holds f32; `to` may be `from`. Takes registers from 45 on.
  void turn(TaskBuilder &task, const Halves &from, const Halves &between, const Halves &to, bool isBack);
  void turnByHalf(TaskBuilder &task, const Halves &from, const Halves &between, const Halves &to, bool isBack);
  /// `products`: for each pair of tokens that meet, and element of a head.
  void command(mlir::SymbolRefAttr task, int64_t times = 1, int64_t products = 0) {
    const int64_t tiles = op_.getCausal() ? tilesSeen(side()) : side() * side();
    wfr::CommandOp::create(ctx_.steps, loc_, task, times, products * tiles * chunks_.tile * chunks_.tile * size_ * heads_ * times * cores_);
  }
  /// Tiles of a block, by keys and by queries.
  int64_t side() const { return tokens_ / chunks_.tile; }
  bool isSeen(int64_t keys, int64_t queries) { return !op_.getCausal() || keys <= queries; }
  /// What registers point at while a head meets a block, in bytes from where they did before.
  class Pointers {
  public:
    explicit Pointers(TaskBuilder &task) : task_(task) {}
    void move(uint8_t reg, int64_t to) {
      if (int64_t &now = now_[reg]; now != to) {
        task_.advance(reg, to - now);
        now = to;
      }
    }
    /// All but these to where they were, these to so many bytes behind that.
    void finish(llvm::ArrayRef<std::pair<uint8_t, int64_t>> ends) {
      for (auto [reg, to] : ends)
        move(reg, to);
      for (auto [reg, now] : std::map(now_))
        if (llvm::none_of(ends, [reg = reg](const auto &end) { return end.first == reg; }))
          move(reg, 0);
    }

  private:
    TaskBuilder &task_;
    std::map<uint8_t, int64_t> now_;
  };

  /// Where two columns share a head: a task's instructions that send what `part` holds to the other one, and add what comes from there into `whole`.
  void addOtherPart(TaskBuilder &task, uint8_t part, uint8_t whole, uint8_t out, uint8_t in);
  void loadPairs(TaskBuilder &task, uint8_t out, uint8_t in);

  /// Where registers that go from head to head point behind this one: at the next, or back at the first.
  llvm::SmallVector<std::pair<uint8_t, int64_t>> nextHead(llvm::ArrayRef<std::pair<uint8_t, mlir::Type>> registers, int64_t head) const;

  bool passes() const { return rows_ > 1; }
  bool isAcross() { return op_.getAcross() > 1; }
  static int64_t bytes(mlir::Type type) { return type.getIntOrFloatBitWidth() / 8; }
  /// Elements of the keys of a block; from an element of a head to the next.
  int64_t part() const { return size_ * heads_ * tokens_; }
  int64_t stride() const { return heads_ * tokens_; }

  static constexpr Extents contiguous = {0, 0, 0, 1};
  SegmentContext &ctx_;
  ImageBuilder &image_;
  stream::AttendOp op_;
  mlir::Location loc_;
  const Block &qkv_, *rotation_;
  mlir::Type element_, f32_;
  int64_t tokens_, cores_ = 1, rows_ = 1, heads_ = 1, size_ = 1;
  AttentionChunks chunks_;
  // The block at work and the one that comes, before the first step and after the last if their number is even.
  Place blocks_[2];
  mlir::FlatSymbolRefAttr places_[2];
  mlir::FlatSymbolRefAttr ownPlaces_, cache_, parts_, scores_, weights_, most_, totals_, out_, queries_; ///< queries as they are multiplied; parts of scores, which are the scores where heads are whole

private:
  mlir::SymbolRefAttr begin();
  mlir::SymbolRefAttr step();
  void attendHead(TaskBuilder &task, Pointers &at);
};

} // namespace wafer

#endif // WAFER_LIB_CONVERSION_STREAMTOWAFER_ATTENDKERNEL_H
