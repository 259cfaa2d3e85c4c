"""Fine-tuning by low-rank adapters: only they change, they are saved apart, and folded into the weights they give the same results."""

import copy

import pytest
import torch
import wafer
from torch.nn import functional as F
from wafer import lora
from wafer.models.gpt2 import GPT2

IDS = torch.randint(0, 31, (4, 9), generator=torch.Generator().manual_seed(0))
X, TARGET = IDS[:, :-1].contiguous(), IDS[:, 1:].contiguous()


def loss_of(logits, target):
    return F.cross_entropy(logits.flatten(0, 1), target.flatten())


def model() -> GPT2:
    torch.manual_seed(0)
    return GPT2(31, 8, 16, 2, 2)


@pytest.fixture(scope="module")
def tuned():
    """A model before, and after some steps of its adapters."""
    before = model()
    after = copy.deepcopy(before)
    torch.manual_seed(1)
    names = lora.adapt(after, rank=3, targets=["*.c_attn", "*.c_fc"])
    assert len(names) == 4
    step = wafer.train_step(after, loss_of, wafer.optim.AdamW(lr=0.02), (X, TARGET), machine="tiny", precision="f32")
    losses = [step(X, TARGET) for _ in range(6)]
    assert losses[-1] < losses[0]
    after.load_state_dict(step.state_dict())
    return before, after


def test_only_adapters_change(tuned):
    before, after = tuned
    state = after.state_dict()
    for name, tensor in before.state_dict().items():
        assert torch.equal(state[name], tensor), name
    assert sum(p.numel() for p in after.parameters() if p.requires_grad) == 2 * (3 * (16 + 48) + 3 * (16 + 64))


def test_steps_are_those_of_pytorch(tuned):
    reference = copy.deepcopy(tuned[0])
    torch.manual_seed(1)
    lora.adapt(reference, rank=3, targets=["*.c_attn", "*.c_fc"])
    optimizer = torch.optim.AdamW([p for p in reference.parameters() if p.requires_grad], lr=0.02)
    for _ in range(6):
        optimizer.zero_grad()
        loss_of(reference(X), TARGET).backward()
        optimizer.step()
    for name, tensor in reference.state_dict().items():
        torch.testing.assert_close(tuned[1].state_dict()[name], tensor, rtol=1e-3, atol=1e-4, msg=name)


def test_folded_adapters_give_the_same_results(tuned):
    after = tuned[1].eval()
    folded = lora.fold(copy.deepcopy(after))
    assert folded.state_dict().keys() == tuned[0].state_dict().keys()
    with torch.no_grad():
        torch.testing.assert_close(folded(X), after(X), rtol=1e-4, atol=1e-5)
        assert not torch.allclose(folded(X), tuned[0](X), atol=1e-3)


def test_adapters_are_saved_apart(tuned, tmp_path):
    lora.save(tuned[1], tmp_path / "adapter.safetensors")
    other = copy.deepcopy(tuned[0])
    lora.adapt(other, rank=3, targets=["*.c_attn", "*.c_fc"])
    lora.load(other, tmp_path / "adapter.safetensors")
    with torch.no_grad():
        assert torch.equal(other.eval()(X), tuned[1].eval()(X))
    wrong = copy.deepcopy(tuned[0])
    lora.adapt(wrong, rank=2, targets=["*.c_attn"])
    with pytest.raises(wafer.RuntimeError, match=r"has .*c_attn.lora_down of shape \[3, 16\], expected shape \[2, 16\]"):
        lora.load(wrong, tmp_path / "adapter.safetensors")


def test_what_cannot_be_adapted_is_refused(tuned):
    with pytest.raises(wafer.RuntimeError, match="found no linear layer like nothing, expected one of transformer.h.0.attn.c_attn"):
        lora.adapt(model(), targets=["nothing"])
    with pytest.raises(wafer.RuntimeError, match="found rank 0"):
        lora.adapt(model(), rank=0)
    with pytest.raises(wafer.RuntimeError, match="found no adapters"):
        lora.save(tuned[0], "unused")
