//===- Precisions.h - which type the values of an operation have ------------===//
//
// A precision is a type, or a type and others for operations by name: "f16,fc1=f32,layers.*.attn=bf16". Names are those of reports, the path of a module and
// the operation in it, "layers.0.attn/linear_3". A pattern stands for an operation, or for all that is in a module; of several that fit, the last counts.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_DIALECT_STREAM_TRANSFORMS_PRECISIONS_H
#define WAFER_LIB_DIALECT_STREAM_TRANSFORMS_PRECISIONS_H

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Location.h"
#include "llvm/Support/GlobPattern.h"

namespace wafer::stream {

class Precisions {
public:
  /// Fails with an error at `loc`.
  static mlir::FailureOr<Precisions> parse(llvm::StringRef text, mlir::Location loc);

  /// For what is computed at `loc`.
  mlir::FloatType of(mlir::Location loc) const;
  /// Whether every operation has f32.
  bool areAllF32() const;

private:
  mlir::FloatType standard_;
  llvm::SmallVector<std::pair<llvm::GlobPattern, mlir::FloatType>> overrides_;
};

} // namespace wafer::stream

#endif // WAFER_LIB_DIALECT_STREAM_TRANSFORMS_PRECISIONS_H
