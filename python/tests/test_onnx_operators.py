"""ONNX operators compute what onnx's reference evaluator computes, compiled for a small machine and run on the emulator."""

import numpy
import pytest

onnx = pytest.importorskip("onnx")

import wafer
from onnx_models import integers, model, node, random, reference

X = random(3, 5, 7, scale=2)
POSITIVE = numpy.abs(X) + numpy.float32(0.1)
UNIT = numpy.tanh(X) * numpy.float32(0.9)
IMAGE = random(2, 4, 7, 6)
COUNTS = numpy.arange(-6, 9, dtype=numpy.int64).reshape(3, 5)


def check(nodes, inputs, initializers=None, outputs=("y",), opset=20, tolerance=1e-5):
    """The nodes compute what the reference computes; gives the program."""
    nodes = nodes if isinstance(nodes, list) else [nodes]
    proto = model(nodes, inputs, initializers, outputs, opset)
    program = wafer.compile(proto, machine="small", precision="f32")
    found, wanted = program.run(inputs), reference(proto, inputs)
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        assert found[name].shape == array.shape
        numpy.testing.assert_allclose(found[name].astype(numpy.float64), array.astype(numpy.float64), rtol=tolerance, atol=tolerance)
    return program


def many(cases, inputs, initializers=None, **options):
    """Operators of the same inputs in one model: (op, names of inputs, attributes)."""
    nodes = [node(op, *names, outputs=(f"y{i}",), name=f"case{i}", **attributes) for i, (op, names, attributes) in enumerate(cases)]
    return check(nodes, inputs, initializers, [f"y{i}" for i in range(len(cases))], **options)


def test_functions_of_one_number():
    signed = """
        Abs Neg Sign Ceil Floor Round Exp Erf Sin Cos Atan Sinh
        Cosh Tanh Asinh Relu Sigmoid Softplus HardSwish Mish
        Softsign Identity Elu Selu Celu HardSigmoid
    """.split()
    many([(op, ["x"], {}) for op in signed], {"x": X}, opset=18)
    many([(op, ["x"], {}) for op in ("Sqrt", "Log", "Reciprocal")], {"x": POSITIVE})
    many([(op, ["x"], {}) for op in ("Asin", "Acos", "Atanh", "Tan")], {"x": UNIT})
    check(node("Acosh", "x"), {"x": POSITIVE + 1})


def test_activations_with_settings():
    cases = [
        ("LeakyRelu", {"alpha": 0.2}), ("ThresholdedRelu", {"alpha": 0.5}), ("Elu", {"alpha": 0.5}), ("Celu", {"alpha": 2.0}),
        ("Selu", {"alpha": 1.5, "gamma": 1.2}),
        ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}), ("Shrink", {"lambd": 0.7, "bias": 0.2}), ("Gelu", {}), ("Gelu", {"approximate": "tanh"}),
    ]  # fmt: skip
    many([(op, ["x"], attributes) for op, attributes in cases], {"x": X})
    check(node("PRelu", "x", "slope"), {"x": X}, {"slope": random(7, seed=1)})


def test_arithmetic_broadcasts():
    many([(op, ["x", "y"], {}) for op in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Mean", "Sum")], {"x": X, "y": POSITIVE[0, :, :1]})
    many([("Max", ["x", "y", "z"], {}), ("Sum", ["x", "y", "z"], {})], {"x": X, "y": POSITIVE, "z": random(7, seed=2)})
    check(node("Pow", "x", "two"), {"x": X}, {"two": numpy.float32(2)})
    check(node("Pow", "x", "p"), {"x": POSITIVE, "p": UNIT})


def test_arithmetic_of_integers():
    inputs = {"x": COUNTS, "y": numpy.array([2, 3, -3, 4, 5], dtype=numpy.int64)}
    many(
        [("Add", ["x", "y"], {}), ("Mul", ["x", "y"], {}), ("Div", ["x", "y"], {}), ("Mod", ["x", "y"], {}), ("Mod", ["x", "y"], {"fmod": 1})],
        {k: numpy.abs(v) for k, v in inputs.items()},
    )
    check(node("Mod", "x", "m"), {"x": COUNTS, "m": inputs["y"]})


def test_comparisons_and_logic():
    comparisons = [(op, ["x", "y"], {}) for op in ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual")]
    many(comparisons, {"x": X.round(), "y": X.round()[::-1].copy()})
    a, b = X > 0, X > 1
    many([(op, ["a", "b"], {}) for op in ("And", "Or", "Xor")] + [("Not", ["a"], {})], {"a": a, "b": b})
    many([(op, ["x", "y"], {}) for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")] + [("BitwiseNot", ["x"], {})], {"x": COUNTS, "y": COUNTS + 3})


def test_shifts():
    counts = numpy.array([0, 1, 3, 40, -1], dtype=numpy.int32)
    inputs = {"x": COUNTS.astype(numpy.int32), "n": counts}
    program = wafer.compile(model([node("BitShift", "x", "n", direction="RIGHT")], inputs), precision="f32")
    # NumPy shifts by 40 or -1 bits as its compiler likes; ONNX says that only the sign is left.
    wanted = numpy.where((counts >= 0) & (counts < 32), inputs["x"] >> (counts & 31), numpy.where(inputs["x"] < 0, -1, 0))
    numpy.testing.assert_array_equal(program.run(inputs)["y"], wanted)


def test_choices_and_bounds():
    check(node("Where", "c", "a", "b"), {"c": X > 0, "a": X, "b": POSITIVE})
    bounds = {"low": numpy.float32(-0.5), "high": numpy.float32(0.75)}
    many([("Clip", ["x", "low", "high"], {}), ("Clip", ["x", "low"], {}), ("Clip", ["x", "", "high"], {})], {"x": X}, bounds)
    special = numpy.array([1, -2, numpy.inf, -numpy.inf, numpy.nan], dtype=numpy.float32)
    many([("IsNaN", ["x"], {}), ("IsInf", ["x"], {}), ("IsInf", ["x"], {"detect_negative": 0})], {"x": special})


def test_casts():
    many([("Cast", ["x"], {"to": to}) for to in (onnx.TensorProto.INT32, onnx.TensorProto.BOOL, onnx.TensorProto.FLOAT16)], {"x": X})
    check(node("Cast", "x", to=onnx.TensorProto.FLOAT), {"x": COUNTS})


def test_reductions():
    ops = [f"Reduce{kind}" for kind in ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSumExp")]
    many([(op, ["x", "axes"], {"keepdims": keep}) for op in ops for keep in (0, 1)], {"x": X}, {"axes": integers(-1, 0)}, tolerance=1e-4)
    many([(op, ["x"], {}) for op in ops[:4]], {"x": X})
    check(node("ReduceMax", "x", axes=[1], keepdims=0), {"x": X}, opset=13)


def test_places_of_extremes():
    many(
        [("ArgMax", ["x"], {"axis": 1}), ("ArgMin", ["x"], {"axis": -1, "keepdims": 0}), ("ArgMax", ["x"], {"axis": 2, "select_last_index": 1})],
        {"x": X.round()},
    )
    many(
        [("Hardmax", ["x"], {"axis": 1}), ("CumSum", ["x", "axis"], {}), ("CumSum", ["x", "axis"], {"reverse": 1, "exclusive": 1})],
        {"x": X},
        {"axis": numpy.int64(1)},
    )


def test_largest_and_smallest():
    many([("TopK", ["x", "k"], {"axis": 1}), ("TopK", ["x", "k"], {"largest": 0})], {"x": X}, {"k": integers(3)})


def test_products():
    a, b, c = random(3, 7), random(7, 5, seed=1), random(5, seed=2)
    check(node("Gemm", "a", "b", "c"), {"a": a}, {"b": b, "c": c})
    check(node("Gemm", "a", "b", "c", transA=1, transB=1, alpha=0.5, beta=2.0), {"a": a.T.copy()}, {"b": b.T.copy(), "c": c})
    check(node("MatMul", "a", "b"), {"a": random(2, 4, 3, 7), "b": random(4, 7, 5, seed=1)})
    check(node("MatMul", "a", "b"), {"a": random(7), "b": b})
    check(node("Einsum", "a", "b", equation="bij,bkj->bik"), {"a": random(2, 3, 7), "b": random(2, 5, 7, seed=1)})
    check(node("Einsum", "a", equation="ii->i"), {"a": random(4, 4)})


@pytest.mark.parametrize(
    "weight, attributes",
    [
        ((5, 4, 3, 3), {}),
        ((5, 4, 3, 2), {"strides": [2, 1], "pads": [1, 0, 2, 1]}),
        ((8, 1, 3, 3), {"group": 4, "dilations": [2, 1]}),
        ((5, 4, 3, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
        ((5, 4, 2, 2), {"auto_pad": "SAME_LOWER"}),
    ],
)  # fmt: skip
def test_convolution(weight, attributes):
    check(node("Conv", "x", "w", "b", **attributes), {"x": IMAGE}, {"w": random(*weight, seed=1), "b": random(weight[0], seed=2)})


def test_convolution_of_a_line():
    check(node("Conv", "x", "w", pads=[1, 2]), {"x": random(2, 3, 9)}, {"w": random(4, 3, 4, seed=1)})


@pytest.mark.parametrize("attributes", [{}, {"strides": [2, 3], "pads": [1, 0, 1, 1]}, {"dilations": [1, 2]}, {"strides": [2, 2], "output_padding": [1, 0]}])
def test_transposed_convolution(attributes):
    check(node("ConvTranspose", "x", "w", "b", **attributes), {"x": IMAGE}, {"w": random(4, 3, 3, 2, seed=1), "b": random(3, seed=2)}, tolerance=1e-4)


def test_pooling():
    cases = [
        ("MaxPool", {"kernel_shape": [2, 2]}), ("MaxPool", {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}),
        ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}), ("AveragePool", {"kernel_shape": [2, 2]}),
        ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
        ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 0, 1, 2], "count_include_pad": 1}),
        ("LpPool", {"kernel_shape": [2, 2], "p": 2}), ("GlobalAveragePool", {}), ("GlobalMaxPool", {}),
    ]  # fmt: skip
    many([(op, ["x"], attributes) for op, attributes in cases], {"x": IMAGE})


def test_maximum_with_its_place():
    check(node("MaxPool", "x", outputs=("y", "i"), kernel_shape=[2, 2], strides=[2, 2]), {"x": random(2, 4, 6, 6)}, outputs=("y", "i"))


def test_normalisations():
    channels = {"scale": random(4), "bias": random(4, seed=1), "mean": random(4, seed=2), "var": numpy.abs(random(4, seed=3)) + numpy.float32(0.5)}
    check(node("BatchNormalization", "x", "scale", "bias", "mean", "var"), {"x": IMAGE}, channels)
    check(node("InstanceNormalization", "x", "scale", "bias", epsilon=1e-3), {"x": IMAGE}, {k: channels[k] for k in ("scale", "bias")})
    check(node("GroupNormalization", "x", "scale", "bias", num_groups=2), {"x": IMAGE}, {k: channels[k] for k in ("scale", "bias")}, opset=21, tolerance=1e-4)
    last = {"scale": random(7), "bias": random(7, seed=1)}
    check(node("LayerNormalization", "x", "scale", "bias"), {"x": X}, last)
    check(node("RMSNormalization", "x", "scale"), {"x": X}, {"scale": random(7)}, opset=23)
    many(
        [
            ("LpNormalization", ["x"], {"axis": 1}),
            ("LpNormalization", ["x"], {"axis": 0}),
            ("Softmax", ["x"], {}),
            ("Softmax", ["x"], {"axis": 1}),
            ("LogSoftmax", ["x"], {}),
        ],
        {"x": X},
    )


def test_softmax_of_old_opsets_takes_dimensions_together():
    """Expected by hand: the reference evaluator knows only the new meaning."""
    program = wafer.compile(model([node("Softmax", "x", axis=1)], {"x": X}, opset=11), precision="f32")
    powers = numpy.exp(X.reshape(3, 35) - X.reshape(3, 35).max(1, keepdims=True))
    numpy.testing.assert_allclose(program.run({"x": X})["y"], (powers / powers.sum(1, keepdims=True)).reshape(X.shape), rtol=1e-5, atol=1e-6)


def test_shapes():
    constants = {"shape": integers(0, -1), "one": integers(1), "big": integers(2, 3, 5, 7), "times": integers(2, 1, 3), "axes": integers(0, 2)}
    cases = [
        ("Reshape", ["x", "shape"], {}), ("Flatten", ["x"], {"axis": 2}), ("Transpose", ["x"], {}), ("Transpose", ["x"], {"perm": [1, 0, 2]}),
        ("Unsqueeze", ["x", "axes"], {}), ("Expand", ["x", "big"], {}), ("Tile", ["x", "times"], {}), ("Concat", ["x", "x"], {"axis": 1}),
        ("Trilu", ["x"], {"upper": 0}), ("Trilu", ["x", "one"], {}),
    ]  # fmt: skip
    many(cases, {"x": X}, constants)
    check(node("Squeeze", "x", "axes"), {"x": X[None, :, None]}, {"axes": integers(0, 2)})
    many([("DepthToSpace", ["x"], {"blocksize": 2}), ("DepthToSpace", ["x"], {"blocksize": 2, "mode": "CRD"})], {"x": IMAGE})
    check(node("SpaceToDepth", "x", blocksize=2), {"x": random(2, 3, 4, 6)})


def test_slices():
    constants = {"starts": integers(1, -1), "ends": integers(4, -100), "axes": integers(1, 2), "steps": integers(2, -2)}
    check(node("Slice", "x", "starts", "ends", "axes", "steps"), {"x": X}, constants)
    check(node("Split", "x", outputs=("y", "z"), axis=1, num_outputs=2), {"x": X}, outputs=("y", "z"))
    check(node("Split", "x", "sizes", outputs=("y", "z"), axis=-1), {"x": X}, {"sizes": integers(3, 4)}, outputs=("y", "z"))


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_padding(mode):
    check(node("Pad", "x", "pads", mode=mode), {"x": X}, {"pads": integers(0, 1, 2, 0, 2, 1)})


def test_reads_by_index():
    index = numpy.array([[0, -1], [2, 1]], dtype=numpy.int64)
    check(node("Gather", "x", "i", axis=1), {"x": X, "i": index})
    check(node("Gather", "x", "i", axis=0), {"x": X}, {"i": numpy.int64(-1)})
    check(node("GatherElements", "x", "i", axis=1), {"x": X, "i": numpy.stack([index] * 3)[:, :, [0, 1, 0, 1, 1, 0, 0]]})
    check(node("GatherND", "x", "i"), {"x": X, "i": index})
    check(node("OneHot", "i", "depth", "values", axis=1), {"i": index}, {"depth": numpy.int64(3), "values": numpy.array([0.5, 2], dtype=numpy.float32)})


@pytest.mark.parametrize("reduction", ["none", "add", "max"])
def test_writes_by_index(reduction):
    rows = integers(2, 0).reshape(2, 1)
    check(node("ScatterND", "x", "i", "u", reduction=reduction), {"x": X, "i": rows, "u": random(2, 5, 7, seed=1)})
    columns = integers(3, 0, -1, 1, 2).reshape(1, 5, 1).repeat(3, 0).repeat(7, 2)
    check(node("ScatterElements", "x", "i", "u", axis=1, reduction=reduction), {"x": X, "i": columns, "u": random(3, 5, 7, seed=1)})


@pytest.mark.parametrize("mode", ["asymmetric", "half_pixel", "align_corners"])
def test_resizing(mode):
    scales = {"scales": numpy.array([1, 1, 2, 1.5], dtype=numpy.float32)}
    cases = [("Resize", ["x", "", "scales"], {"mode": kind, "coordinate_transformation_mode": mode}) for kind in ("nearest", "linear", "cubic")]
    many(cases, {"x": IMAGE}, scales, opset=19)


def test_constants_are_folded():
    nodes = [
        node("Shape", "x", outputs=("shape",)),
        node("Gather", "shape", "first", outputs=("size",)),
        node("Range", "zero", "size", "one", outputs=("line",)),
        node("Cast", "line", outputs=("floats",), to=onnx.TensorProto.FLOAT),
        node("ConstantOfShape", "shape", outputs=("zeros",)),
        node("Add", "x", "floats", outputs=("sum",)),
        node("Add", "sum", "zeros"),
    ]
    program = check(nodes, {"x": X}, {"first": numpy.int64(2), "zero": numpy.int64(0), "one": numpy.int64(1)})
    assert program.mlir.count("linalg.generic") == 2


def test_quantised_arithmetic():
    byte, scale = numpy.uint8(120), numpy.float32(0.05)
    steps = [node("QuantizeLinear", "x", "scale", "zero", outputs=("q",)), node("DequantizeLinear", "q", "scale", "zero")]
    check(steps, {"x": X}, {"scale": scale, "zero": byte})
    check(node("DynamicQuantizeLinear", "x", outputs=("y", "scale", "zero")), {"x": X}, outputs=("y", "scale", "zero"))
    a, b = numpy.arange(12, dtype=numpy.uint8).reshape(4, 3), numpy.arange(6, dtype=numpy.uint8).reshape(3, 2)
    check(node("MatMulInteger", "a", "b", "za", "zb"), {"a": a, "b": b}, {"za": numpy.uint8(12), "zb": numpy.uint8(1)})


def test_bytes_wrap_around():
    check(node("Add", "a", "b"), {"a": numpy.array([200, 7], dtype=numpy.uint8), "b": numpy.array([100, 3], dtype=numpy.uint8)})


def test_quantised_weights_are_parameters():
    """Numbers of 8 bits and their scales become one parameter of real numbers at import."""
    weight = numpy.arange(-60, 60, dtype=numpy.int8).reshape(8, 15)
    nodes = [node("DequantizeLinear", "w", "scale", outputs=("weight",), axis=1), node("MatMul", "x", "weight")]
    program = check(nodes, {"x": random(3, 8)}, {"w": weight, "scale": numpy.abs(random(15)) / 100})
    assert [info.name for info in program.weights] == ["weight"]
    assert all(op.placement == "wafer" for op in program.ops)


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_recurrent_layers(kind, direction):
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[kind]
    weights = {"w": random(1, gates * 5, 7, scale=0.5), "r": random(1, gates * 5, 5, seed=1, scale=0.5), "b": random(1, gates * 10, seed=2)}
    outputs = ("y", "h", "c") if kind == "LSTM" else ("y", "h")
    proto = model([node(kind, "x", "w", "r", "b", outputs=outputs, hidden_size=5, direction=direction)], {"x": random(4, 2, 7)}, weights, outputs, opset=20)
    runtime = pytest.importorskip("onnxruntime")  # the reference evaluator has no backward direction
    for output in proto.graph.output:
        output.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    wanted = runtime.InferenceSession(proto.SerializeToString()).run(None, {"x": random(4, 2, 7)})
    found = wafer.compile(proto, precision="f32").run({"x": random(4, 2, 7)})
    for array, reference_array in zip(found.values(), wanted):
        numpy.testing.assert_allclose(array, reference_array, rtol=1e-5, atol=1e-5)


def test_attention():
    q, k, v = random(2, 4, 5, 8), random(2, 2, 6, 8, seed=1), random(2, 2, 6, 3, seed=2)
    check(node("Attention", "q", "k", "v", is_causal=1), {"q": q, "k": k, "v": v}, opset=23)
    check(node("Attention", "q", "k", "v", "mask", softcap=2.0), {"q": q, "k": k, "v": v, "mask": random(5, 6, seed=3)}, opset=23)


def test_choice_by_a_condition_of_data():
    branches = {}
    for name, op in (("then_branch", "Exp"), ("else_branch", "Neg")):
        result = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, X.shape)
        branches[name] = onnx.helper.make_graph([node(op, "x", outputs=(name,))], name, [], [result])
    for condition in (True, False):
        check(node("If", "c", **branches), {"c": numpy.array(condition), "x": X})


def test_loop_is_unrolled():
    floats = lambda name: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [3])  # noqa: E731
    step, going, going_on = (
        onnx.helper.make_tensor_value_info(name, kind, [])
        for name, kind in (("i", onnx.TensorProto.INT64), ("c", onnx.TensorProto.BOOL), ("d", onnx.TensorProto.BOOL))
    )
    body = onnx.helper.make_graph(
        [node("Identity", "c", outputs=("d",)), node("Add", "s", "x", outputs=("t",)), node("Neg", "t", outputs=("u",))],
        "body",
        [step, going, floats("s")],
        [going_on, floats("t"), floats("u")],
    )
    check(node("Loop", "n", "go", "x", outputs=("y", "all"), body=body), {"x": random(3)}, {"n": numpy.int64(3), "go": numpy.array(True)}, outputs=("y", "all"))


def test_function_of_the_model_is_expanded():
    proto = model([onnx.helper.make_node("Scaled", ["x"], ["y"], domain="own", factor=3.0)], {"x": X})
    factor = onnx.helper.make_node("Constant", [], ["f"])
    factor.attribute.add(name="value_float", ref_attr_name="factor", type=onnx.AttributeProto.FLOAT)
    proto.functions.append(
        onnx.helper.make_function(
            "own", "Scaled", ["a"], ["b"], [factor, node("Mul", "a", "f", outputs=("b",))], [onnx.helper.make_opsetid("", 20)], ["factor"]
        )
    )
    proto.opset_import.append(onnx.helper.make_opsetid("own", 1))
    numpy.testing.assert_allclose(wafer.compile(proto, precision="f32").run({"x": X})["y"], X * 3, rtol=1e-6)
