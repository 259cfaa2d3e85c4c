//===- Guards.h - indices stay inside tensors -----------------------------===//
//
// What a function computes may be any number, and an index or a divisor among them. This pass puts a test before each use of one: a wrong
// number is reported and replaced by a harmless one, so that the function runs to its end and the call fails.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_COMPUTE_GUARDS_H
#define WAFER_LIB_COMPUTE_GUARDS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <cstdint>
#include <string>
#include <vector>

namespace wafer {

/// Name of the function that guards call with the number of their operation, the wrong index or divisor, and what bounds it (0: a divisor).
inline constexpr const char *faultFunctionName = "wafer_compute_fault";

/// Where the guards of a function are: by number, what is guarded and its place in the text.
using GuardSites = std::vector<std::string>;

/// Guards all operations of `function`, and declares the function that is told. Fails with a diagnostic where a constant index is wrong.
/// Needs scalar integer divisions: operations on whole tensors have become linalg.
mlir::FailureOr<GuardSites> addGuards(mlir::func::FuncOp function);

/// The first fault of the current thread's call.
struct Fault {
  bool happened = false;
  int64_t site = 0, value = 0, bound = 0;
};
Fault takeFault();
void reportFault(int64_t site, int64_t value, int64_t bound);

} // namespace wafer

#endif // WAFER_LIB_COMPUTE_GUARDS_H
