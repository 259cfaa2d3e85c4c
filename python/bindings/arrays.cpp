//===- arrays.cpp - NumPy arrays and tensors --------------------------------===//

#include "arrays.h"

namespace py = pybind11;

namespace wafer::python {

namespace {

constexpr DType allTypes[] = {DType::F32, DType::F16, DType::BF16, DType::F64, DType::I64,
                              DType::I32, DType::I16, DType::I8,   DType::U8,  DType::Bool};
static_assert(std::size(allTypes) == numDTypes);

/// By its name. Throws RuntimeError.
DType typeNamed(const std::string &wanted) {
  std::string names;
  for (DType type : allTypes) {
    if (wanted == name(type))
      return type;
    names += (names.empty() ? "" : ", ") + std::string(name(type));
  }
  throw RuntimeError("found element type '" + wanted + "', expected one of " + names);
}

py::dtype numpyType(DType type) {
  switch (type) {
  case DType::F32:
    return py::dtype("f4");
  case DType::F16:
    return py::dtype("f2");
  case DType::BF16:
    return py::dtype("u2");
  case DType::F64:
    return py::dtype("f8");
  case DType::I64:
    return py::dtype("i8");
  case DType::I32:
    return py::dtype("i4");
  case DType::I16:
    return py::dtype("i2");
  case DType::I8:
    return py::dtype("i1");
  case DType::U8:
    return py::dtype("u1");
  case DType::Bool:
    return py::dtype("?");
  }
  throw RuntimeError("found an element type without a NumPy type");
}

/// Tensors may die on a thread without the GIL.
std::shared_ptr<const void> keptAlive(py::object object) {
  return std::shared_ptr<const void>(object.release().ptr(), [](const void *owned) {
    if (!Py_IsInitialized())
      return;
    py::gil_scoped_acquire gil;
    Py_DECREF(static_cast<PyObject *>(const_cast<void *>(owned)));
  });
}

} // namespace

py::str toStr(std::string_view text) {
  PyObject *decoded = PyUnicode_DecodeUTF8(text.data(), static_cast<py::ssize_t>(text.size()), "replace");
  if (!decoded)
    throw py::error_already_set();
  return py::reinterpret_steal<py::str>(decoded);
}

Tensor toTensor(const py::handle &pair) {
  auto [typeName, array] = pair.cast<std::pair<std::string, py::array>>();
  DType type = typeNamed(typeName);
  if (!(array.flags() & py::array::c_style))
    throw RuntimeError("found an array that is not C-contiguous, expected one that numpy.ascontiguousarray made");
  if (array.itemsize() != static_cast<py::ssize_t>(byteSize(type)))
    throw RuntimeError("found elements of " + std::to_string(array.itemsize()) + " bytes for type " + typeName);
  Shape shape(array.shape(), array.shape() + array.ndim());
  const void *data = array.data();
  auto bytes = static_cast<uint64_t>(array.nbytes());
  return Tensor::borrow(type, std::move(shape), data, bytes, keptAlive(std::move(array)));
}

py::tuple fromTensor(const Tensor &tensor) {
  auto owner = std::make_unique<Tensor>(tensor);
  py::capsule base(owner.get(), [](void *owned) { delete static_cast<Tensor *>(owned); });
  const Tensor *kept = owner.release();
  std::vector<py::ssize_t> shape(tensor.shape().begin(), tensor.shape().end());
  return py::make_tuple(name(tensor.dtype()), py::array(numpyType(tensor.dtype()), shape, kept->data(), base));
}

NamedTensors toTensors(const py::dict &pairs) {
  NamedTensors tensors;
  for (const auto &[name, pair] : pairs)
    tensors.emplace(name.cast<std::string>(), toTensor(pair));
  return tensors;
}

py::dict fromTensors(const NamedTensors &tensors) {
  py::dict pairs;
  for (const auto &[name, tensor] : tensors)
    pairs[toStr(name)] = fromTensor(tensor);
  return pairs;
}

} // namespace wafer::python
