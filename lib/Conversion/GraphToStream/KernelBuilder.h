//===- KernelBuilder.h - stream kernels of one segment ----------------------===//
//
// Writes the kernels that lib/Analysis/WaferKernels found into a segment and keeps which value of the segment stands for which value of the function.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_CONVERSION_GRAPHTOSTREAM_KERNELBUILDER_H
#define WAFER_LIB_CONVERSION_GRAPHTOSTREAM_KERNELBUILDER_H

#include "wafer/Analysis/WaferKernels.h"
#include "wafer/Dialect/Stream/Stream.h"

#include "mlir/IR/Builders.h"

namespace wafer {

/// The stream.tensor that holds a value of the function in MemoryX.
using HeldTensors = llvm::DenseMap<mlir::Value, stream::TensorOp>;

class KernelBuilder {
public:
  KernelBuilder(stream::SegmentOp segment, const HeldTensors &held);

  /// The kernels for `op`; its result is then known.
  void emit(mlir::Operation *op, const WaferKernel &kernel);
  /// Sends the result of an emitted operation to MemoryX.
  /// A sum at kept positions, which goes to a tensor that MemoryX holds.
  void sample(mlir::Operation *op, const WaferKernel &kernel, stream::TensorOp tensor);
  void receive(mlir::Value value, stream::TensorOp tensor);
  /// A sum with a parameter becomes the bias of the contraction or the beta of the scale before it, when nobody else reads that.
  void foldBiases();

private:
  mlir::Value valueOf(mlir::Value value, BlockShape block);
  mlir::Value emitPointwise(mlir::linalg::LinalgOp op, const WaferKernel &kernel, BlockShape block, mlir::Value scalar, mlir::Type element);
  mlir::FlatSymbolRefAttr nameOf(mlir::Value held) const;
  mlir::RankedTensorType typeOf(BlockShape block, mlir::Type element) const;

  stream::SegmentOp segment_;
  mlir::OpBuilder builder_;
  const HeldTensors &held_;
  llvm::DenseMap<mlir::Value, mlir::Value> values_;                                    ///< computed in the segment
  llvm::DenseMap<std::pair<mlir::Value, std::pair<int64_t, int64_t>>, mlir::Value> sent_; ///< by tokens and features
};

} // namespace wafer

#endif // WAFER_LIB_CONVERSION_GRAPHTOSTREAM_KERNELBUILDER_H
