//===- Npy.h - NumPy files ------------------------------------------------===//
//
// Inputs and outputs of a run as .npy files.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_RUNTIME_NPY_H
#define WAFER_RUNTIME_NPY_H

#include "wafer/Runtime/Tensor.h"

namespace wafer {

/// Reads a .npy file of version 1 to 3, little endian, C order. Throws RuntimeError with the path and what is wrong.
Tensor readNpy(const std::string &path);
/// Writes version 1, atomically. bf16 has no NumPy type and is refused. Throws RuntimeError, or ExecutableError when the file cannot be
/// written.
void writeNpy(const std::string &path, const Tensor &tensor);

} // namespace wafer

#endif // WAFER_RUNTIME_NPY_H
