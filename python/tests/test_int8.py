"""8-bit integers on the wafer: the sums of PyTorch's own integers, exactly; scales per channel and per tensor."""


import numpy
import pytest
import torch
import wafer
from wafer.sparsity.report import without_zeros
from torch import nn

import torch.ao.quantization.fx._decomposed  # noqa: F401 - registers the operations of quantised programs

decomposed = torch.ops.quantized_decomposed


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(37, 19), nn.ReLU(), nn.Linear(19, 10)).eval()


def integers(x, scale):
    return torch.clamp(torch.round(x * torch.tensor(1 / scale)), -127, 127)


def by_hand(layer, x, seen):
    """What a layer gives, from the definition: integers of both, their exact product, one scale after the other in f32."""
    scale_x = seen.abs().max().item() / 127
    scale_w = (layer.weight.abs().amax(1) / 127).detach()
    weight = torch.clamp(torch.round(layer.weight / scale_w[:, None]), -127, 127)
    sums = (integers(x, scale_x).to(torch.int64) @ weight.to(torch.int64).T).to(torch.float32)
    return sums * torch.tensor(scale_x) * scale_w + layer.bias


X = random(11, 37)


@pytest.mark.parametrize("machine", ["tiny", "odd"])
def test_a_layer_gives_what_its_integers_give(machine):
    layer = network()[0]
    program = wafer.compile(layer, (X,), machine=machine, precision={"default": "f32", "linear": "int8"})
    found = program(X)
    torch.testing.assert_close(found, by_hand(layer, X, X).detach(), rtol=3e-7, atol=1e-6)
    assert torch.equal(found, program(X, engine="cycle"))
    assert {weight.name: weight.dtype for weight in program.weights}["weight.int8"] == "i8"


def test_scales_come_from_the_calibration():
    layer = network()[0]
    program = wafer.compile(layer, (X,), machine="tiny", precision={"default": "f32", "linear": "int8"}, calibration=[(X,), (3 * X,)])
    torch.testing.assert_close(program(X), by_hand(layer, X, 3 * X).detach(), rtol=3e-7, atol=1e-6)


def test_what_is_larger_than_the_calibration_becomes_the_largest():
    layer = nn.Linear(3, 2, bias=False)
    program = wafer.compile(layer, (torch.ones(1, 3),), machine="tiny", precision={"default": "f32", "linear": "int8"})
    assert torch.equal(program(torch.full((1, 3), 50.0)), program(torch.ones(1, 3)))


def test_the_error_is_that_of_eight_bits():
    model = network()
    program = wafer.compile(model, (X,), machine="tiny", precision="int8")
    error = (program(X) - model(X)).norm() / model(X).norm()
    assert 1e-3 < error < 2e-2
    assert program.wafer_share == 1


def test_a_weight_is_one_byte_on_the_wire():
    layer = nn.Linear(64, 32, bias=False)
    x = random(5, 64)
    bytes_of = {}
    for precision in ("f16", "int8"):
        program = wafer.compile(layer, (x,), machine="tiny", precision=precision)
        program(x)
        bytes_of[precision] = program.stats.bytes_by_kind["weights"]
    assert bytes_of["f16"] == 2 * 64 * 32
    assert bytes_of["int8"] == 64 * 32 + 4 * 32  # and a scale for each channel


def test_layers_can_be_left_out():
    program = wafer.compile(network(), (X,), machine="tiny", precision={"default": "int8", "2": "f32"})
    assert {weight.name for weight in program.weights} == {"0.weight.int8", "0.weight.scale", "0.bias", "2.weight", "2.bias"}


def test_a_convolution_gives_what_its_integers_give():
    torch.manual_seed(0)
    layer, x = nn.Conv2d(3, 5, 3, stride=2, padding=1), random(2, 3, 9, 7)
    program = wafer.compile(layer, (x,), machine="odd", precision={"default": "f32", "convolution": "int8"})
    scale_x, scale_w = x.abs().max().item() / 127, layer.weight.abs().amax((1, 2, 3)) / 127
    weight = torch.round(layer.weight / scale_w[:, None, None, None])
    sums = torch.conv2d(integers(x, scale_x).double(), weight.double(), stride=2, padding=1).float()
    expected = sums * torch.tensor(scale_x) * scale_w[:, None, None] + layer.bias[:, None, None]
    torch.testing.assert_close(program(x), expected.detach(), rtol=3e-7, atol=1e-6)
    assert program.wafer_share == 1


class Quantised(nn.Module):
    """As PyTorch's quantisation of exported programs leaves a linear layer."""

    def __init__(self):
        super().__init__()
        weight = random(7, 12, seed=1)
        scales = weight.abs().amax(1) / 127
        self.register_buffer("weight", torch.round(weight / scales[:, None]).to(torch.int8))
        self.register_buffer("scales", scales)
        self.register_buffer("zeros", torch.zeros(7, dtype=torch.int64))

    def forward(self, x):
        x = decomposed.quantize_per_tensor.default(x, 0.03, 0, -128, 127, torch.int8)
        x = decomposed.dequantize_per_tensor.default(x, 0.03, 0, -128, 127, torch.int8)
        weight = decomposed.dequantize_per_channel.default(self.weight, self.scales, self.zeros, 0, -128, 127, torch.int8)
        return torch.nn.functional.linear(x, weight)


def test_a_quantised_program_of_pytorch_runs_on_its_integers():
    model, x = Quantised(), random(4, 12)
    program = wafer.compile(model, (x,), machine="tiny", precision="f32")
    torch.testing.assert_close(program(x), model(x), rtol=1e-5, atol=1e-5)
    assert program.wafer_share == 1
    assert program.stats.bytes_by_kind["weights"] < 4 * 12 * 7


def test_numbers_without_a_scale_are_refused():
    with pytest.raises(wafer.CompileError, match="NaN or infinity before 'linear' in the calibration"):
        wafer.compile(network(), (X,), precision="int8", calibration=[(X * float("inf"),)])
    with pytest.raises(wafer.CompileError, match="does not run on an example of the calibration"):
        wafer.compile(network(), (X,), precision="int8", calibration=[(X[:, :3],)])
    model = network()
    with torch.no_grad():
        model[2].weight[0, 0] = float("nan")
    with pytest.raises(wafer.CompileError, match="weight '2.weight' holds NaN or infinity"):
        wafer.compile(model, (X,), precision="int8")


def test_several_entries_are_refused():
    with pytest.raises(wafer.CompileError, match="precision int8 for several entries"):
        wafer.compile(network(), entries={"forward": (X,)}, precision={"default": "f16", "0": "int8"})


def test_a_calibration_without_int8_is_refused():
    with pytest.raises(wafer.CompileError, match="calibration for a precision without int8"):
        wafer.compile(network(), (X,), precision="f16", calibration=[(X,)])


def test_weights_of_a_file_are_refused(tmp_path):
    with pytest.raises(wafer.CompileError, match="found weights for precision int8"):
        wafer.compile(network(), (X,), precision="int8", weights=tmp_path)


def test_a_function_is_refused():
    with pytest.raises(wafer.CompileError, match="precision int8 for a model of type"):
        wafer.compile(lambda x: x, (X.numpy(),), precision="int8")


def qdq(weight_axis, zero=0):
    """y = DQ(Q(x)) @ DQ(w), as ONNX Runtime's quantisation writes it."""
    import numpy
    from onnx import TensorProto, helper, numpy_helper

    weight = random(12, 7, seed=1).numpy()
    scales = (numpy.abs(weight).max(0) / 127).astype(numpy.float32) if weight_axis is not None else numpy.float32(numpy.abs(weight).max() / 127)
    given = {
        "w": numpy.round(weight / scales).astype(numpy.int8), "w_scale": scales, "w_zero": numpy.zeros_like(scales, numpy.int8),
        "x_scale": numpy.float32(0.03), "x_zero": numpy.array(zero, numpy.int8),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "x_scale", "x_zero"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "x_scale", "x_zero"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["wd"], axis=weight_axis if weight_axis is not None else 1),
        helper.make_node("MatMul", ["xd", "wd"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 12])], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 7])],
        [numpy_helper.from_array(numpy.asarray(value), name) for name, value in given.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(("axis", "zero", "weight"), [(1, 0, "w"), (None, 0, "w"), (1, 3, "wd")])
def test_a_quantised_onnx_model_gives_what_its_definition_gives(axis, zero, weight):
    onnxruntime = pytest.importorskip("onnxruntime")
    model, x = qdq(axis, zero), random(4, 12).numpy()
    program = wafer.compile(model, machine="tiny", precision="f32")
    # As it is written: the fused kernels of ONNX Runtime saturate sums of two products on a host without VNNI.
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    expected = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    torch.testing.assert_close(torch.tensor(program.run({"x": x})["y"]), torch.tensor(expected), rtol=1e-5, atol=1e-5)
    assert program.weights[0].name == weight  # integers, or with a zero point the numbers
    assert all(op.placement == "wafer" for op in program.ops) == (zero == 0)


@pytest.mark.parametrize("zeros", [0.6, 0.9])
def test_zeros_of_8_bit_weights_are_left_out_and_the_sums_are_the_same(zeros):
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(96, 80), nn.Tanh(), nn.Linear(80, 40)).eval(), torch.randn(60, 96)
    wafer.sparsity.prune(model, zeros)
    program = wafer.compile(model, (x,), machine="odd", precision="int8")
    found = {engine: program.run((x,), engine=engine)["output"] for engine in ("functional", "cycle")}
    steps = [step for phase in program.stats.phases for step in phase.get("steps", []) if step["name"].endswith(".int8")]
    assert [step["wire"] for step in steps] == ["Indexed16"] * 2
    assert all(step["macs"] < 1.01 * (1 - zeros) * step["macs_dense"] for step in steps)
    dense = program.source.compile_text(without_zeros(program.mlir))
    dense._sessions.share_weights(program._sessions)
    wanted = dense.run({"input": x.numpy()}, engine="cycle")["output"]
    assert [step["wire"] for phase in dense.stats.phases for step in phase.get("steps", []) if step["name"].endswith(".int8")] == ["Packed8"] * 2
    for output in found.values():
        numpy.testing.assert_array_equal(output.numpy(), wanted)
