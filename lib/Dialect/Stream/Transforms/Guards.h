//===- Guards.h - tensors whose zeros make tokens of a value zero --------------===//
//
// A tensor guards a value when all features of a token are 0 wherever those of the tensor are: the share of an expert guards what the expert
// sees. Unlike the zeros that FindZeros.cpp looks for this is certain, as long as what is multiplied by 0 is finite.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_DIALECT_STREAM_TRANSFORMS_GUARDS_H
#define WAFER_LIB_DIALECT_STREAM_TRANSFORMS_GUARDS_H

#include "wafer/Dialect/Stream/Stream.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SetVector.h"

namespace wafer::stream {

using Guards = llvm::SmallSetVector<mlir::StringAttr, 2>;

class GuardAnalysis {
public:
  explicit GuardAnalysis(ProgramOp program);

  const Guards &of(mlir::Value value);

private:
  /// Of a scalar in a map; `isZero` that it is 0 in any case.
  struct Scalar {
    Guards guards;
    bool isZero = false;
  };
  Guards compute(mlir::Value value);
  using Scalars = llvm::DenseMap<mlir::Value, Scalar>;
  Scalar ofScalar(mlir::Value scalar, MapOp map, Scalars &known);
  Scalar compute(mlir::Value scalar, MapOp map, Scalars &known);

  ProgramOp program_;
  llvm::DenseMap<mlir::StringAttr, mlir::Value> received_;
  llvm::DenseMap<mlir::Value, Guards> known_;
};

} // namespace wafer::stream

#endif // WAFER_LIB_DIALECT_STREAM_TRANSFORMS_GUARDS_H
