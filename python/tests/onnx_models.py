"""Small ONNX models, and what onnx's own reference computes for them."""

import numpy
import onnx
import onnx.reference
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def random(*shape, seed=0, scale=1.0):
    return (numpy.random.default_rng(seed).standard_normal(shape) * scale).astype(numpy.float32)


def integers(*values):
    return numpy.array(values, dtype=numpy.int64)


def value(name, array):
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def model(nodes, inputs, initializers=None, outputs=("y",), opset=20, **more):
    """A model with the shapes of `inputs`, arrays by name."""
    results = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in outputs]
    for result in results:
        result.ClearField("type")
    constants = [numpy_helper.from_array(array, name) for name, array in (initializers or {}).items()]
    graph = helper.make_graph(nodes, "graph", [value(name, array) for name, array in inputs.items()], results, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10, **more)


def node(op, *inputs, outputs=("y",), name="", **attributes):
    return helper.make_node(op, list(inputs), list(outputs), name=name, **attributes)


def reference(proto, inputs):
    names = [output.name for output in proto.graph.output]
    return dict(zip(names, onnx.reference.ReferenceEvaluator(proto).run(None, inputs)))
