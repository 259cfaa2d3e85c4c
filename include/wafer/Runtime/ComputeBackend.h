//===- ComputeBackend.h - functions that MemoryX runs ---------------------===//
//
// What has no kernel on the wafer runs in MemoryX, as a function given as tensor-level MLIR. This library has no LLVM in it; the compiler
// for such functions is a plug-in (lib/Compute), which is registered by whoever links it or else loaded when a program first needs it.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_RUNTIME_COMPUTEBACKEND_H
#define WAFER_RUNTIME_COMPUTEBACKEND_H

#include "wafer/Runtime/Tensor.h"

#include <memory>
#include <string>
#include <vector>

namespace wafer {

/// A compiled function.
class Callable {
public:
  virtual ~Callable();
  /// Throws RuntimeError when the inputs are not those of the function, or when it did what no function may: an index outside its tensor,
  /// an integer division by zero.
  virtual std::vector<Tensor> call(const std::vector<Tensor> &inputs) = 0;
};

class ComputeBackend {
public:
  virtual ~ComputeBackend();
  /// Compiles the function `functionName` of a module. Throws RuntimeError with the location in the text and what is not allowed.
  virtual std::unique_ptr<Callable> compile(const std::string &mlirText, const std::string &functionName) = 0;
};

/// Makes a backend the one that computeBackend returns.
void registerComputeBackend(std::shared_ptr<ComputeBackend> backend);

/// The registered backend; when there is none, the plug-in libWaferCompute.so, looked for beside the binary that this code is part of and
/// in
/// ../lib of it. Throws RuntimeError that lists where it was looked for.
std::shared_ptr<ComputeBackend> computeBackend();

/// The plug-in exports a function of this name and type. Its number changes with the interfaces above.
#define WAFER_COMPUTE_ENTRY_POINT waferCreateComputeBackend1
using CreateComputeBackend = ComputeBackend *();

} // namespace wafer

#endif // WAFER_RUNTIME_COMPUTEBACKEND_H
