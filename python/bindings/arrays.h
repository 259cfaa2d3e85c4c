//===- arrays.h - NumPy arrays and tensors ----------------------------------===//
//
// The exchange form between Python and the runtime: a pair of an element type's name ("f32") and a C-contiguous NumPy array. bf16, which
// NumPy lacks, travels as uint16. Neither direction copies.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_PYTHON_BINDINGS_ARRAYS_H
#define WAFER_PYTHON_BINDINGS_ARRAYS_H

#include "wafer/Runtime/Session.h"

#include <pybind11/numpy.h>

namespace wafer::python {

/// Text that may come from a damaged file: what is not UTF-8 becomes U+FFFD. Needs the GIL.
pybind11::str toStr(std::string_view text);

/// Borrows the array's memory and keeps the array alive. Throws RuntimeError for an unknown type, or an array that is not C-contiguous or
/// whose elements are of another size. Needs the GIL.
Tensor toTensor(const pybind11::handle &pair);
/// An array that owns a reference to the tensor. Needs the GIL.
pybind11::tuple fromTensor(const Tensor &tensor);

NamedTensors toTensors(const pybind11::dict &pairs);
pybind11::dict fromTensors(const NamedTensors &tensors);

} // namespace wafer::python

#endif // WAFER_PYTHON_BINDINGS_ARRAYS_H
