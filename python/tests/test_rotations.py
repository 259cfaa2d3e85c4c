"""Rotations of positions as products, as on machines where moving the halves of heads costs more."""

import pytest
import torch
from torch import nn

import wafer
from wafer.compiler import nothing_for
from wafer.frontends import rotations
from wafer.models.llama import Attention as Llama


class HuggingFace(nn.Module):
    """Slices, and tables with a batch and a dimension for heads, as in transformers."""

    def __init__(self, width=32, heads=4, key_heads=2):
        super().__init__()
        self.size = width // heads
        self.q, self.k, self.v = nn.Linear(width, width), nn.Linear(width, key_heads * self.size), nn.Linear(width, key_heads * self.size)
        self.o = nn.Linear(width, width)
        self.register_buffer("frequencies", 1.0 / 100 ** (torch.arange(0, self.size, 2) / self.size), persistent=False)

    @staticmethod
    def rotate_half(x):
        return torch.cat((-x[..., x.shape[-1] // 2 :], x[..., : x.shape[-1] // 2]), dim=-1)

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = (f(x).view(batch, length, -1, self.size).transpose(1, 2) for f in (self.q, self.k, self.v))
        angles = (torch.arange(length)[None, :, None] * self.frequencies[None, None]).repeat(1, 1, 2)
        cos, sin = angles.cos().unsqueeze(1), angles.sin().unsqueeze(1)
        q, k = q * cos + self.rotate_half(q) * sin, k * cos + self.rotate_half(k) * sin
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return self.o(mixed.transpose(1, 2).reshape(batch, length, width))


MODELS = {"llama": lambda: Llama(32, 4, 2), "huggingface": HuggingFace}


@pytest.fixture
def everywhere(monkeypatch):
    monkeypatch.setattr(rotations, "pays", lambda machine, tokens, features: True)


@pytest.mark.parametrize("precision, tolerance", [("f32", 1e-5), ("f16", 4e-3)])
@pytest.mark.parametrize("name", MODELS)
def test_a_product_gives_the_rotated_heads(everywhere, name, precision, tolerance):
    torch.manual_seed(0)
    model, x = MODELS[name]().eval(), torch.randn(2, 12, 32)
    program = wafer.compile(model, (x,), machine="small", precision=precision)
    torch.testing.assert_close(program(x), model(x).detach(), rtol=tolerance, atol=tolerance)
    assert "insert_slice" not in str(program.stats.phases)


@pytest.mark.parametrize("name", MODELS)
def test_its_gradients_are_those_of_pytorch(everywhere, name):
    torch.manual_seed(0)
    model, x, target = MODELS[name](), torch.randn(2, 12, 32), torch.randn(2, 12, 32)
    loss = nn.functional.mse_loss(model(x), target)
    loss.backward()
    step = wafer.train_step(model, nn.functional.mse_loss, wafer.optim.SGD(lr=1.0), example=(x, target), machine="small", precision="f32", shards=1)
    assert step(x, target) == pytest.approx(loss.item(), rel=1e-5)
    for parameter, value in model.named_parameters():
        torch.testing.assert_close(step.state_dict()[parameter], value.detach() - value.grad, rtol=1e-4, atol=1e-5)


def test_the_product_has_one_number_for_each_feature(everywhere):
    torch.manual_seed(0)
    model, x = Llama(32, 4, 4).eval(), torch.randn(1, 8, 32)
    program = wafer.compile(model, (x,), machine="small", precision="f32")
    program(x)
    turned = [step for phase in program.stats.phases for step in phase.get("steps", []) if step["macs_dense"] and step["macs"] == step["macs_dense"] // 32]
    assert len(turned) == 2  # queries and keys


def test_other_expressions_stay_as_they_are(everywhere):
    class Other(nn.Module):
        def forward(self, x):
            y = x.view(2, 12, 4, 8).transpose(1, 2)
            halves = torch.cat([y[..., 4:], y[..., :4]], -1)  # no sign
            return y * y.cos() + halves * y.sin()

    x = torch.randn(2, 12, 32)
    torch.testing.assert_close(wafer.compile(Other(), (x,), machine="small", precision="f32")(x), Other()(x), rtol=1e-5, atol=1e-5)


def test_it_pays_on_a_wafer_and_not_on_few_cores_or_tokens():
    machines = {name: nothing_for(name).machine_description for name in ("tiny", "small", "wse3")}
    assert rotations.pays(machines["wse3"], 32768, 4096) and rotations.pays(machines["wse3"], 4096, 8192)
    assert not rotations.pays(machines["wse3"], 1, 4096)
    assert not rotations.pays(machines["small"], 128, 64) and not rotations.pays(machines["tiny"], 128, 64)
