//===- Kernels.h - the code of each stream kernel ---------------------------===//
//
// One function per kernel: it writes the kernel's tasks and descriptors into the image and its steps into the phase. docs/spec/kernels.md shows the code.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_CONVERSION_STREAMTOWAFER_KERNELS_H
#define WAFER_LIB_CONVERSION_STREAMTOWAFER_KERNELS_H

#include "ImageBuilder.h"

#include "wafer/Dialect/Stream/Stream.h"

namespace wafer {

/// A value of a segment in the SRAM of its cores: `rows` features of `tokens` tokens each, features outermost.
struct Block {
  mlir::FlatSymbolRefAttr buffer;
  mlir::Type element;
  int64_t rows = 1;
  int64_t tokens = 1;
  int64_t features = 1;      ///< of the whole tensor
  int64_t featureBlock = 0;  ///< 0: one feature per token, a copy in every column

  int64_t elementBytes() const { return element.getIntOrFloatBitWidth() / 8; }
  int64_t rowBytes() const { return tokens * elementBytes(); }
};

/// What the kernels of one segment share. Tasks and buffers that several kernels use are written at their first use.
class SegmentContext {
public:
  /// `mostTogether`: rows of a contraction whose sums go together, at most.
  SegmentContext(ImageBuilder &image, mlir::OpBuilder &steps, int64_t tokenBlock, int64_t mostTogether, LiveRange live);

  ImageBuilder &image;
  mlir::OpBuilder &steps; ///< inserts into the phase
  const int64_t tokens;   ///< per core
  int64_t step = 0;       ///< index of the kernel, for live ranges

  /// All of a block, or `rows` of its rows from the first on.
  mlir::FlatSymbolRefAttr whole(const Block &block);
  mlir::FlatSymbolRefAttr firstRows(const Block &block, int64_t rows);
  mlir::FlatSymbolRefAttr firstRow(const Block &block) { return firstRows(block, 1); }
  /// As many rows as a contraction makes together; the last of them may lie behind the block.
  mlir::FlatSymbolRefAttr resultRows(const Block &block, int64_t together);

  /// Two accumulators in the cache, read as f32 or i32, for the sums of `together` rows.
  mlir::FlatSymbolRefAttr accumulator(unsigned index, mlir::Type type, int64_t together = 1);
  /// Two places for the sums that an owner builds.
  mlir::FlatSymbolRefAttr ownerSum(unsigned index, mlir::Type type, int64_t together);
  /// A row of ones of the type, and the constant that fills it.
  mlir::FlatSymbolRefAttr ones(mlir::Type type);
  /// That row as a value of one feature.
  Block blockOfOnes(mlir::Type type);
  mlir::FlatSymbolRefAttr chainIn(bool east, mlir::Type type, int64_t together);
  mlir::FlatSymbolRefAttr chainOut(bool east, mlir::Type type, int64_t together);
  /// The data task for a wire format and value type.
  mlir::FlatSymbolRefAttr dataTask(mlir::Location loc, stream::WireFormat wire, mlir::Type type, bool skipsZeros = false, bool isMasked = false);
  /// The task that passes a partial sum on.
  mlir::SymbolRefAttr passSum(mlir::Location loc, bool east, mlir::Type type);

private:
  mlir::FlatSymbolRefAttr row(llvm::StringRef hint, mlir::Type type, mlir::FlatSymbolRefAttr buffer, int64_t rows = 1, bool inAccumulator = false);
  const int64_t mostTogether_;
  LiveRange live_;
  mlir::FlatSymbolRefAttr accumulatorBuffers_[2], sumBuffers_[2];
  llvm::StringMap<mlir::FlatSymbolRefAttr> onesBuffers_, dataTasks_;
  mlir::SymbolRefAttr passSum_[2][2]; ///< by direction, and for f32 or i32
};

/// `rows` features of each core's block, from number `first` on.
void emitSend(SegmentContext &ctx, stream::SendOp op, const Block &whole, int64_t first, int64_t rows);
void emitReceive(SegmentContext &ctx, stream::ReceiveOp op, const Block &block);
/// `mask`, if there is one, is of the result's shape.
void emitContract(SegmentContext &ctx, stream::ContractOp op, const Block &input, const Block *mask, const Block &result);
void emitScale(SegmentContext &ctx, stream::ScaleOp op, const Block &input, const Block &result);
void emitSample(SegmentContext &ctx, stream::SampleOp op, const Block &rows, const Block *input);
/// `gradient`, if there is one, is that of the result of the attention whose gradient is wanted; `rotation`, the table by which queries and keys are turned. Fails where a core has too little room for sums.
mlir::LogicalResult emitAttend(SegmentContext &ctx, stream::AttendOp op, const Block &qkv, const Block *gradient, const Block *rotation, const Block &result);
void emitReduce(SegmentContext &ctx, stream::ReduceOp op, const Block &input, const Block &result);
/// Fails with a diagnostic that names the operation which has no instruction (map_c3), or too many of them.
mlir::LogicalResult emitMap(SegmentContext &ctx, stream::MapOp op, llvm::ArrayRef<Block> inputs, const Block &result);

} // namespace wafer

#endif // WAFER_LIB_CONVERSION_STREAMTOWAFER_KERNELS_H
