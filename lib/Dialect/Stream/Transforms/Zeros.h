//===- Zeros.h - zeros of values, and where they come from -------------------===//
//
// Which values of a stream.program may have zeros, or the minus infinity from which an exponential makes them, by what makes the values.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_DIALECT_STREAM_TRANSFORMS_ZEROS_H
#define WAFER_LIB_DIALECT_STREAM_TRANSFORMS_ZEROS_H

#include "wafer/Dialect/Stream/Stream.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/STLFunctionalExtras.h"

#include <optional>

namespace wafer::stream {

/// What some elements of a value are.
struct Facts {
  bool zero = false;
  bool wholeTokens = false; ///< zeros are all features of a token, which sums over features keep
  double lowest = 0;        ///< constant that is put in the place of some, or added to them
  std::optional<double> infinite = std::nullopt; ///< of a constant: the part that is minus infinity

  /// Masks write minus infinity, or what a 16-bit float has in its place.
  bool isMasked() const { return lowest <= -1e4; }
};

class ZeroAnalysis {
public:
  explicit ZeroAnalysis(ProgramOp program);

  Facts ofBlock(mlir::Value value);
  /// Of a scalar in a map's body.
  Facts ofScalar(MapOp map, mlir::Value scalar);
  /// Of a tensor that MemoryX has.
  Facts ofTensor(mlir::StringAttr name);

private:
  /// Scalars of a body.
  struct Scalars {
    llvm::function_ref<Facts(mlir::BlockArgument)> ofArgument;
    llvm::function_ref<bool(mlir::Value)> isPerToken; ///< the same for all features of a token
    llvm::DenseMap<mlir::Value, Facts> known = llvm::DenseMap<mlir::Value, Facts>();
  };
  Facts ofCall(CallOp call, unsigned result);
  Facts ofCalled(mlir::Value value, CallOp call);
  Facts ofScalar(mlir::Value scalar, Scalars &scalars);
  Facts compute(mlir::Value scalar, Scalars &scalars);

  ProgramOp program_;
  llvm::DenseMap<mlir::StringAttr, mlir::Value> received_;
  llvm::DenseMap<mlir::StringAttr, std::pair<CallOp, unsigned>> called_;
  llvm::DenseMap<mlir::Value, Facts> blocks_;
};

} // namespace wafer::stream

#endif // WAFER_LIB_DIALECT_STREAM_TRANSFORMS_ZEROS_H
