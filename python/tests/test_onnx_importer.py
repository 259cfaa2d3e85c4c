"""What the ONNX importer writes: names, locations, which constants become parameters, and what it says of models that it cannot take."""

import inspect
import re

import numpy
import pytest

onnx = pytest.importorskip("onnx")

import wafer
from onnx_models import integers, model, node, random
from wafer.frontends.onnx import import_model

X = random(3, 7)
WEIGHTS = {"fc.weight": random(5, 7), "fc.bias": random(5, seed=1)}


def classifier(x=X):
    nodes = [node("Gemm", "x", "fc.weight", "fc.bias", outputs=("hidden",), name="fc", transB=1), node("Relu", "hidden", name="act")]
    return model(nodes, {"x": x}, WEIGHTS)


def opened(proto, *names):
    """The model with dimensions of its first input that have names instead of sizes."""
    for dim, name in zip(proto.graph.input[0].type.tensor_type.shape.dim, names):
        dim.dim_param = name
    return proto


# The text


def test_names_are_those_of_the_model():
    result = import_model(classifier())
    assert '%x: tensor<3x7xf32> {graph.name = "x", graph.role = "input"}' in result.text
    assert 'tensor<5x7xf32> {graph.name = "fc.weight", graph.role = "parameter"}' in result.text
    assert '-> (tensor<3x5xf32> {graph.name = "y"})' in result.text
    assert sorted(result.parameters) == ["fc.bias", "fc.weight"]
    assert "dense<" not in result.text


def test_weight_is_read_in_place():
    assert "linalg.transpose" not in import_model(classifier()).text


def test_nodes_without_source_are_located_by_name():
    assert 'fused<"fc">[unknown]' in import_model(classifier()).text


def test_lines_that_the_exporter_noted_are_locations():
    proto = classifier()
    here, line = __file__, inspect.currentframe().f_lineno
    trace = f'File "{inspect.getfile(onnx)}", line 1, in helper\nFile "{here}", line {line}, in forward\n    x = fc(x)\n'
    proto.graph.node[0].metadata_props.add(key="pkg.torch.onnx.stack_trace", value=trace)
    proto.graph.node[0].metadata_props.add(key="pkg.torch.onnx.name_scopes", value="['', 'head.fc', 'linear']")
    assert re.search(rf'fused<"head.fc/fc">\["[^"]*test_onnx_importer.py":{line}:5\]', import_model(proto).text)


def test_only_what_is_used_becomes_a_parameter():
    proto = model([node("Relu", "x")], {"x": X}, WEIGHTS)
    assert not import_model(proto).parameters


def test_numbers_and_integers_are_constants():
    nodes = [node("Mul", "x", "factor", outputs=("scaled",)), node("Gather", "scaled", "places")]
    result = import_model(model(nodes, {"x": X}, {"factor": numpy.float32(0.5), "places": integers(2, 0)}))
    assert not result.parameters
    assert "0.5" in result.text and "dense<[2, 0]>" in result.text


def test_open_dimensions_take_the_sizes_of_the_example():
    result = import_model(opened(classifier(), "batch"), (random(4, 7),))
    assert [info.shape for info in result.inputs + result.outputs] == [(4, 7), (4, 5)]
    assert import_model(opened(classifier(), "batch"), (), {"x": random(2, 7)}).outputs[0].shape == (2, 5)


def test_output_that_is_an_input():
    proto = classifier()
    proto.graph.output.append(proto.graph.input[0])
    assert [info.name for info in import_model(proto).outputs] == ["y", "x"]


def test_intermediate_values_by_name():
    program = wafer.compile(classifier(), precision="f32")
    hidden = X @ WEIGHTS["fc.weight"].T + WEIGHTS["fc.bias"]
    for tap in ("hidden", "fc"):  # the value, and the node that computes it
        numpy.testing.assert_allclose(program.run({"x": X}, taps=[tap])[tap], hidden, rtol=1e-5, atol=1e-6)


# Files


def saved(folder, **options):
    path = folder / "model.onnx"
    onnx.save_model(classifier(), str(path), save_as_external_data=True, location="weights.bin", size_threshold=0, **options)
    return path


def test_weights_in_a_file_of_their_own_are_mapped(tmp_path):
    program = wafer.compile(saved(tmp_path), precision="f32")
    expected = numpy.maximum(X @ WEIGHTS["fc.weight"].T + WEIGHTS["fc.bias"], 0)
    numpy.testing.assert_allclose(program.run({"x": X})["y"], expected, rtol=1e-5, atol=1e-6)


def test_path_as_text(tmp_path):
    onnx.save_model(classifier(), str(tmp_path / "model.onnx"))
    assert wafer.compile(str(tmp_path / "model.onnx")).inputs[0].name == "x"


def test_command_line(tmp_path, capsys):
    from wafer.cli import main

    assert main(["compile", str(saved(tmp_path)), "-o", str(tmp_path / "m.wexe"), "--weights", str(tmp_path / "m.safetensors")]) == 0
    assert sorted(info.name for info in wafer.load(tmp_path / "m.wexe").weights) == ["fc.bias", "fc.weight"]
    assert "fc" in capsys.readouterr().out


# Errors


def error_of(source, *args, **kwargs):
    with pytest.raises(wafer.CompileError) as caught:
        wafer.compile(source, *args, **kwargs)
    return str(caught.value)


def test_missing_weight_file_is_named(tmp_path):
    path = saved(tmp_path)
    (tmp_path / "weights.bin").unlink()
    message = error_of(path)
    assert "'fc.weight'" in message and "weights.bin" in message and "beside the model" in message


def test_weight_file_that_is_too_short(tmp_path):
    path = saved(tmp_path)
    (tmp_path / "weights.bin").write_bytes(b"1234")
    assert "which has 4" in error_of(path)


def test_weight_file_outside_of_the_folder(tmp_path):
    proto = onnx.load_model(saved(tmp_path), load_external_data=False)
    for entry in proto.graph.initializer[0].external_data:
        entry.value = "../weights.bin" if entry.key == "location" else entry.value
    (tmp_path / "other.onnx").write_bytes(proto.SerializeToString())
    assert "inside of the model's folder" in error_of(tmp_path / "other.onnx")


def test_proto_without_its_folder(tmp_path):
    assert "path of the model's file" in error_of(onnx.load_model(saved(tmp_path), load_external_data=False))


@pytest.mark.parametrize("content, said", [(None, "cannot be read"), (b"\xff\xff", "is not an ONNX model"), (b"", "holds no graph")])
def test_file_that_is_no_model(tmp_path, content, said):
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    assert said in error_of(path)


def test_open_dimension_without_an_example():
    message = error_of(opened(classifier(), "batch"))
    assert "dimension 'batch' of input 'x'" in message and "example inputs" in message


@pytest.mark.parametrize("example, said", [((random(3, 8),), "[batch, 7]"), ((X, X), "at most 1: 'x'"), ({"z": X}, "an example input 'z'")])
def test_example_that_does_not_fit(example, said):
    arguments = ((), example) if isinstance(example, dict) else (example, None)
    assert said in error_of(opened(classifier(), "batch"), arguments[0], kwargs=arguments[1])


@pytest.mark.parametrize("version, said", [(99, "opset_version=20"), (5, "convert_version")])
def test_unknown_opset(version, said):
    proto = classifier()
    proto.opset_import[0].version = version
    message = error_of(proto)
    assert f"found opset {version}" in message and said in message


def test_unknown_operator_names_node_and_neighbours():
    with pytest.raises(wafer.UnsupportedOpError) as caught:
        wafer.compile(model([node("Relux", "x", name="act")], {"x": X}))
    assert caught.value.op == "Relux"
    assert "'Relux' (node 'act')" in str(caught.value) and "Relu" in str(caught.value).split("nearest")[1]


def test_unknown_domain():
    proto = model([onnx.helper.make_node("Fast", ["x"], ["y"], domain="some.vendor", name="n")], {"x": X})
    assert "domain 'some.vendor'" in error_of(proto)


@pytest.mark.parametrize(
    "nodes, inputs, said",
    [
        ([node("Reshape", "x", "shape", name="n")], {"x": X, "shape": integers(21)}, "takes its shape 'shape' from data"),
        ([node("NonZero", "x", name="n")], {"x": X}, "shape depends on data"),
        ([node("RandomNormalLike", "x", name="n")], {"x": X}, "random numbers"),
        ([node("Cast", "x", name="n", to=onnx.TensorProto.STRING)], {"x": X}, "converts to STRING"),
        ([node("Add", "x", "z", name="n")], {"x": X, "z": random(4, 7)}, "shapes"),
        ([node("Add", "x", "nowhere", name="n")], {"x": X}, "reads 'nowhere'"),
    ],
)  # fmt: skip
def test_what_cannot_be_computed_names_the_node(nodes, inputs, said):
    message = error_of(model(nodes, inputs))
    assert "(node 'n')" in message and said in message


def test_elements_without_a_form():
    message = error_of(model([node("Identity", "x")], {"x": numpy.zeros((2, 2), numpy.complex64)}))
    assert "input 'x' has elements of type COMPLEX64" in message


def test_doubles_are_computed_with_as_floats_and_that_is_said():
    proto = model([node("Relu", "x")], {"x": X.astype(numpy.float64)})
    with pytest.warns(wafer.CompileWarning, match="'x' of type DOUBLE"):
        program = wafer.compile(proto)
    assert program.inputs[0].dtype == "f32"


def test_onnx_is_not_imported_for_other_models():
    import subprocess
    import sys

    code = "import sys, wafer; wafer.compiler._is_onnx('m.mlir'); assert 'onnx' not in sys.modules and 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
