"""Weights straight from a Hugging Face checkpoint directory: what it may look like, and what is said about a damaged one."""

import json

import pytest
import torch
import wafer
from safetensors.torch import save_file
from torch import nn

X = torch.randn(3, 7, generator=torch.Generator().manual_seed(0))
IDS = torch.tensor([2, 0, 4])


def mlp():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 3)).eval()


def checkpoint(folder, tensors, files=2, index="model.safetensors.index.json"):
    """A sharded checkpoint; the tensors go round the files."""
    folder.mkdir(exist_ok=True)
    names = [f"model-{i + 1:05}-of-{files:05}.safetensors" for i in range(files)]
    places = {name: names[i % files] for i, name in enumerate(tensors)}
    for file in names:
        save_file({name: tensors[name].clone().contiguous() for name in tensors if places[name] == file}, folder / file)
    (folder / index).write_text(json.dumps({"metadata": {"total_size": 0}, "weight_map": places}))
    return folder


def unset(model, *inputs):
    """The program of a model without its weights."""
    with torch.device("meta"):
        empty = model().eval()
    return wafer.compile(empty, inputs, precision="f32")


@pytest.fixture(scope="module")
def program():
    return unset(mlp, X)


@pytest.fixture
def sharded(tmp_path):
    return checkpoint(tmp_path / "checkpoint", mlp().state_dict())


def assert_same(found, wanted):
    torch.testing.assert_close(found, wanted.detach(), rtol=1e-5, atol=1e-6)


def test_weights_come_from_the_shards(program, sharded):
    assert_same(program.set_weights(sharded)(X), mlp()(X))


def test_compile_takes_the_checkpoint_instead_of_the_models_values(sharded):
    with torch.device("meta"):
        model = mlp()
    assert_same(wafer.compile(model, (X,), weights=sharded, precision="f32")(X), mlp()(X))
    assert model[0].weight.is_meta


def test_load_takes_the_checkpoint(program, sharded, tmp_path):
    program.save(tmp_path / "m.wexe")
    assert_same(wafer.load(tmp_path / "m.wexe", weights=sharded)(X), mlp()(X))


def test_a_directory_with_one_file_needs_no_index(program, tmp_path):
    save_file(mlp().state_dict(), tmp_path / "model.safetensors")
    assert_same(program.set_weights(tmp_path)(X), mlp()(X))


def test_another_pipeline_name_of_the_index_is_found(program, tmp_path):
    checkpoint(tmp_path, mlp().state_dict(), index="diffusion_model.safetensors.index.json")
    assert_same(program.set_weights(tmp_path)(X), mlp()(X))


def test_a_directory_and_a_file_together(program, tmp_path):
    state = mlp().state_dict()
    folder = checkpoint(tmp_path / "checkpoint", {name: state[name] for name in ("0.weight", "0.bias", "2.weight")})
    save_file({"2.bias": state["2.bias"]}, tmp_path / "rest.safetensors")
    assert_same(program.set_weights([folder, tmp_path / "rest.safetensors"])(X), mlp()(X))


def test_files_that_hold_nothing_of_the_program_are_not_opened(program, tmp_path):
    """One stage of a pipeline needs its own shards only."""
    folder = checkpoint(tmp_path, mlp().state_dict() | {"other": torch.zeros(3)}, files=5)
    (folder / "model-00005-of-00005.safetensors").unlink()
    assert_same(program.set_weights(folder)(X), mlp()(X))


def test_weights_are_read_by_pieces(program, sharded):
    """MemoryX's DRAM tier may be smaller than the weights."""
    program.set_weights(sharded)
    largest = 7 * 5 * 4
    found = program.run({program.inputs[0].name: X}, memoryx_dram=2 * largest)
    assert_same(found["output"], mlp()(X))
    assert program.stats.as_dict()["memoryx"]["dram_peak_bytes"] <= 2 * largest


# Names


class Tied(nn.Module):
    """One matrix under two names, as the embedding and the head of many language models."""

    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(11, 6)
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.wte.weight

    def forward(self, ids):
        return self.head(self.wte(ids))


def test_a_tied_parameter_is_found_under_its_other_name(tmp_path):
    torch.manual_seed(2)
    model = Tied().eval()
    folder = checkpoint(tmp_path, {"wte.weight": model.wte.weight.detach(), "other": torch.zeros(1)})
    program = unset(Tied, IDS)
    assert [info.name for info in program.weights] == ["head.weight"]
    assert_same(program.set_weights(folder)(IDS), model(IDS))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_names_say_what_a_weight_is_called_in_the_checkpoint(tmp_path, dtype):
    def model():
        return mlp().to(dtype)

    state = model().state_dict()
    folder = checkpoint(tmp_path, {f"model.{name}": value for name, value in state.items()})
    program = unset(model, X.to(dtype)).set_weights(folder, names={name: f"model.{name}" for name in state})
    torch.testing.assert_close(program(X.to(dtype)), model()(X.to(dtype)).detach(), rtol=2e-2, atol=2e-2)


def test_a_name_for_an_unknown_weight_is_refused(program, sharded):
    with pytest.raises(wafer.RuntimeError, match="found a name for weight '7.weight', which the program does not have; it has 0.weight"):
        program.set_weights(sharded, names={"7.weight": "0.weight"})


def test_a_name_that_no_file_has_is_refused(program, sharded):
    with pytest.raises(wafer.RuntimeError, match=r"index.json: weight '0.weight' of the program is in none of its 2 files.*did you mean '0.weight'"):
        program.set_weights(sharded, names={"0.weight": "model.0.weight"})


# Bad input


def test_a_missing_shard_is_named_with_a_weight_that_it_holds(program, sharded):
    (sharded / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(wafer.RuntimeError, match=r"model-00002-of-00002.safetensors: is missing, but model.safetensors.index.json says that weight '0.bias' is in it"):
        program.set_weights(sharded)


def test_a_weight_in_no_shard_is_named_with_a_near_name(program, tmp_path):
    state = {f"model.{name}": value for name, value in mlp().state_dict().items()}
    with pytest.raises(wafer.RuntimeError, match=r"index.json: weight '0.bias' of the program is in none of its 2 files; did you mean 'model.0.bias'\? `names`"):
        program.set_weights(checkpoint(tmp_path, state))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"weight_map": {', "is not JSON .* it is cut off or damaged"),
        (b"\xff\xfe", "is not JSON"),
        ("[]", "has no object 'weight_map'"),
        ('{"weight_map": []}', "has no object 'weight_map'"),
        ('{"weight_map": {"0.weight": 3}}', "says that weight '0.weight' is in 3, expected the name of a safetensors file"),
        ('{"weight_map": {"0.weight": "../m.safetensors"}}', "expected the name of a safetensors file beside the index"),
    ],
)
def test_a_damaged_index_is_refused(program, sharded, content, message):
    (sharded / "model.safetensors.index.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(wafer.RuntimeError, match=f"model.safetensors.index.json: .*{message}"):
        program.set_weights(sharded)


def test_an_index_that_names_the_wrong_file_is_refused(program, sharded):
    index = sharded / "model.safetensors.index.json"
    index.write_text(index.read_text().replace("00002-of", "00001-of"))
    with pytest.raises(wafer.RuntimeError, match="model-00001-of-00002.safetensors: has no weight '0.bias', but model.safetensors.index.json says that it has"):
        program.set_weights(sharded)


def test_a_shard_that_is_cut_off_is_refused(program, sharded):
    shard = sharded / "model-00001-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-4])
    with pytest.raises(wafer.RuntimeError, match="model-00001-of-00002.safetensors: .*bytes"):
        program.set_weights(sharded)


def test_a_weight_of_another_type_is_refused(program, tmp_path):
    folder = checkpoint(tmp_path, {name: value.to(torch.bfloat16) for name, value in mlp().state_dict().items()})
    with pytest.raises(wafer.RuntimeError, match=r"tensor '0.weight' of .*safetensors is bf16\[5x7\], expected f32\[5x7\]; convert it, or compile"):
        program.set_weights(folder)


def test_a_directory_without_a_checkpoint_is_refused(program, tmp_path):
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(wafer.RuntimeError, match="holds no checkpoint, expected model.safetensors.index.json or model.safetensors; found pytorch_model.bin, which is not read"):
        program.set_weights(tmp_path)


def test_a_directory_with_several_files_and_no_index_is_refused(program, sharded):
    (sharded / "model.safetensors.index.json").unlink()
    with pytest.raises(wafer.RuntimeError, match="holds model-00001-of-00002.safetensors, model-00002-of-00002.safetensors, expected model.safetensors or one file"):
        program.set_weights(sharded)


def test_a_buffer_without_values_is_refused():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mask", torch.ones(7), persistent=False)

        def forward(self, x):
            return x * self.mask

    with pytest.raises(wafer.UnsupportedOpError, match="buffer 'mask' is on the device meta .* make it on the device cpu"):
        unset(Masked, X)
