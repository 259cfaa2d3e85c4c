//===- Compute.h - compiles MemoryX functions through LLVM's JIT ----------===//
//
// The backend behind wafer/Runtime/ComputeBackend.h. Link it and register what createComputeBackend returns, or leave it beside the binary
// as a plug-in.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_COMPUTE_COMPUTE_H
#define WAFER_COMPUTE_COMPUTE_H

#include "wafer/Runtime/ComputeBackend.h"

namespace wafer {

__attribute__((visibility("default"))) std::unique_ptr<ComputeBackend> createComputeBackend();

} // namespace wafer

extern "C" __attribute__((visibility("default"))) wafer::ComputeBackend *WAFER_COMPUTE_ENTRY_POINT();

#endif // WAFER_COMPUTE_COMPUTE_H
