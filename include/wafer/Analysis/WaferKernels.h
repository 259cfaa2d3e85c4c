//===- WaferKernels.h - which tensor operations the wafer can run ----------===//
//
// Looks at a linalg or tensor operation and says which stream kernel computes it, or why none does. graph-partition decides by it and
// convert-graph-to-stream converts what it found, so that the two cannot disagree.
//
// Inside the wafer a value is tokens x features in row-major order of its elements, whatever the tensor's rank: its *block shape*. Reshapes keep the order of
// elements, so they are free; a kernel that needs a value in another block shape than that in which it was made gets it by way of MemoryX.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_ANALYSIS_WAFERKERNELS_H
#define WAFER_ANALYSIS_WAFERKERNELS_H

#include "wafer/Dialect/Stream/Stream.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/DenseMap.h"

#include <optional>
#include <string>

namespace wafer {

struct BlockShape {
  int64_t tokens = 1, features = 1;

  bool operator==(const BlockShape &other) const { return tokens == other.tokens && features == other.features; }
  bool operator!=(const BlockShape &other) const { return !(*this == other); }
};

/// Last dimension as features, all others as tokens.
BlockShape flatten(mlir::RankedTensorType type);

/// Elements from one index to the next, per dimension, when a tensor of this shape lies in row-major order.
llvm::SmallVector<int64_t> rowMajorStrides(llvm::ArrayRef<int64_t> shape);

/// A parameter read through transposes, slices and reshapes: element i of the view is parameter element offset + sum(i[d] * strides[d]).
struct ParameterView {
  mlir::BlockArgument parameter;
  int64_t offset = 0;
  llvm::SmallVector<int64_t> strides;
};
std::optional<ParameterView> viewOfParameter(mlir::Value value);

/// The value that is computed, received or held for `value`: seen through layers, and through reshapes of layers on the wafer.
mlir::Value originOf(mlir::Value value);

/// The scalar that all elements of a constant or constant-filled tensor have.
mlir::TypedAttr constantScalar(mlir::Value value);

/// Operations without work of their own: constants, empty tensors, fills with a constant, views of parameters.
bool isFree(mlir::Operation *op);

/// How a pointwise body or a reduction reads an operand.
enum class OperandUse {
  Full,       ///< one element per token and feature
  PerToken,   ///< one element per token
  Repeated,   ///< one element per feature and trailing token dimension, the same for all leading ones
  PerFeature, ///< one element per feature, streamed: a parameter, or a value that MemoryX holds
  Constant    ///< the same scalar everywhere
};

struct KernelOperand {
  OperandUse use;
  mlir::Value value;              ///< of the operation, inside its layer
  mlir::Value streamed;           ///< PerFeature: the parameter or value, seen through layers
  mlir::TypedAttr constant;       ///< Constant

  bool isActivation() const { return use == OperandUse::Full || use == OperandUse::PerToken || use == OperandUse::Repeated; }
};

/// A reshape is another name of its source (originOf), not work.
enum class KernelKind { Contract, Pointwise, Reduce, Reshape, Sample, Attend };

/// What was found. Fields that a kind does not list are empty.
struct WaferKernel {
  KernelKind kind;
  BlockShape block;                            ///< of the result
  mlir::Value source;                          ///< Contract, Sample: the activation, of a Sample none where it is 1; Reshape: what is reshaped; Attend: queries, keys and values
  mlir::Value weight;                          ///< Contract: what is streamed, seen through layers: a parameter, or another activation; Sample: the pattern, if there is one
  int64_t rowStride = 0, columnStride = 0, offset = 0; ///< Contract
  llvm::SmallVector<int64_t> batchSizes, batchStrides; ///< Contract, Sample: leading token dimensions that have a weight, or sums, of their own per index
  llvm::SmallVector<KernelOperand> operands;   ///< Pointwise, Reduce: one per argument of the body; outputs are not read. Sample: the rows. Attend: the gradient, if it is one's, and the table of rotations, if there is one
  BlockShape input;                            ///< Contract, Reduce, Sample, Attend: of what is contracted or reduced
  int64_t batches() const;                     ///< product of batchSizes
  stream::Combiner combiner = stream::Combiner::Add; ///< Reduce
  mlir::Value combined;                        ///< Reduce: the scalar of the body that is combined over features
  int64_t entries = 1;                         ///< Attend: batch entries of the tokens
};

/// Follows operations in program order; `record` makes what was found known to the operations after it.
class WaferKernels {
public:
  /// The kernel for an operation that is not free, or nothing and the reason, in words that follow "because".
  std::optional<WaferKernel> find(mlir::Operation *op, std::string &reason) const;
  void record(mlir::Operation *op, const WaferKernel &kernel);

  BlockShape blockOf(mlir::Value value) const;

private:
  std::optional<WaferKernel> findContract(mlir::linalg::LinalgOp op, std::string &reason) const;
  std::optional<WaferKernel> contractStreaming(mlir::linalg::LinalgOp op, unsigned streamed, std::string &reason) const;
  std::optional<WaferKernel> findPointwise(mlir::linalg::LinalgOp op, std::string &reason) const;
  std::optional<WaferKernel> findReduce(mlir::linalg::LinalgOp op, std::string &reason) const;
  std::optional<WaferKernel> findAttend(mlir::Operation *op, std::string &reason) const;
  std::optional<WaferKernel> findReshape(mlir::Operation *op, std::string &reason) const;
  llvm::SmallVector<BlockShape> possibleBlocks(mlir::linalg::LinalgOp op, llvm::ArrayRef<unsigned> loops) const;
  bool findOperands(mlir::linalg::LinalgOp op, llvm::ArrayRef<unsigned> order, BlockShape block, WaferKernel &kernel, std::string &reason) const;

  /// Whether no input of the function reaches the value.
  bool comesFromParameters(mlir::Value value) const;

  mutable llvm::DenseMap<mlir::Value, bool> fromParameters_;
  /// Keyed by the value outside of layers.
  llvm::DenseMap<mlir::Value, BlockShape> blocks_;
};

/// The loops that index an operand, in the order of its dimensions; nothing when an index is not a loop.
std::optional<llvm::SmallVector<unsigned>> plainDims(mlir::AffineMap map);
/// Whether the operation multiplies two operands and adds over reduced dimensions.
bool isContraction(mlir::linalg::LinalgOp op);
/// Whether the operation is a contraction and one of its operands is a parameter.
bool isParameterContraction(mlir::Operation *op);
/// Whether the operation has the shape of elementwise work or of a reduction, with or without a kernel.
bool isElementwiseOrReduction(mlir::Operation *op);

} // namespace wafer

#endif // WAFER_ANALYSIS_WAFERKERNELS_H
