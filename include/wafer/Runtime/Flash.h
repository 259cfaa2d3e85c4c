//===- Flash.h - tensors in MemoryX's flash tier ---------------------------===//
//
// Activations and results that the DRAM tier has no room for. They lie in files of a folder, without a name there, so that nothing of them is left when
// the tensor or the process ends.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_RUNTIME_FLASH_H
#define WAFER_RUNTIME_FLASH_H

#include "wafer/Runtime/Tensor.h"

#include <string>

namespace wafer {

/// A copy whose elements are in a file of `folder`, read as they are used. Throws RuntimeError when it cannot be written.
Tensor copyToFlash(const Tensor &tensor, const std::string &folder);

} // namespace wafer

#endif // WAFER_RUNTIME_FLASH_H
