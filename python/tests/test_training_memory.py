"""Training from files: the bits of a run in memory, whatever the size of MemoryX's DRAM tier."""

import hashlib

import pytest
import torch
import wafer
from safetensors.torch import save_file
from torch import nn

BATCHES = [torch.randn(2, 4, 256, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
DRAM = 1 << 17  # a quarter of a weight


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256))


def make(given: nn.Module, **options: object):
    rule = wafer.optim.AdamW(lr=1e-2, clip_norm=1.0)
    return wafer.train_step(given, nn.functional.mse_loss, rule, tuple(BATCHES[0]), machine="tiny", shards=2, **options)


def trained(step) -> str:
    for batch in BATCHES[step.step :]:
        step(*batch)
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in step.state_dict().values())).hexdigest()


@pytest.fixture(scope="module")
def in_memory():
    return trained(make(model()))


def test_training_from_files_has_the_bits_of_training_in_memory(in_memory, tmp_path):
    save_file(model().state_dict(), tmp_path / "model.safetensors")
    with torch.device("meta"):
        absent = model()
    step = make(absent, weights=tmp_path, memoryx_dram=DRAM, memoryx_flash=tmp_path)
    assert trained(step) == in_memory
    assert step.stats["memoryx"]["dram_peak_bytes"] <= DRAM
    assert step.stats["memoryx"]["flash_bytes_written"] >= 2 * 256 * 256 * 4, "gradients stayed in memory"
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"], "a file was left"


def test_a_checkpoint_goes_on_in_files(in_memory, tmp_path):
    step = make(model())
    step(*BATCHES[0])
    step.save(tmp_path)
    other = make(model(), memoryx_dram=DRAM, memoryx_flash=tmp_path)
    other.load(tmp_path)
    assert trained(other) == in_memory


def test_what_cannot_be_is_refused(tmp_path):
    with torch.device("meta"):
        absent = model()
    with pytest.raises(wafer.CompileError, match="'0.weight' is on the device meta and has no values; give weights="):
        make(absent)
    save_file({name: tensor[:3].contiguous() for name, tensor in model().state_dict().items()}, tmp_path / "model.safetensors")
    with pytest.raises(wafer.RuntimeError, match=r"'0.weight' is f32\[3, 256\] in .*, expected f32\[256, 256\]"):
        make(absent, weights=tmp_path)
    with pytest.raises(wafer.RuntimeError, match="/nowhere: an array of .* bytes cannot be made"):
        make(model(), memoryx_flash="/nowhere")


def test_a_deep_model_trains_in_segments_that_a_core_has_control_tasks_for():
    torch.manual_seed(0)
    model = nn.Sequential(*[layer for _ in range(40) for layer in (nn.Linear(4, 4), nn.Tanh())])
    x, target = torch.randn(4, 4), torch.tensor([0, 1, 2, 3])
    step = wafer.train_step(model, nn.functional.cross_entropy, wafer.optim.SGD(lr=0.1), (x, target), machine="tiny", precision="f32", shards=1)
    assert step(x, target) == pytest.approx(nn.functional.cross_entropy(model(x), target).item(), rel=1e-5)
    assert sum(phase["placement"] == "wafer" for phase in step.stats["phases"]) > 1
