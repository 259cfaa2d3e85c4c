"""Self-attention as one projection, attention in columns of cores and the projection behind it, as on machines whose link is narrow beside their cores."""

import pytest
import torch
import torch.nn.functional as F
import wafer
from torch import fx, nn
from wafer.compiler import nothing_for
from wafer.frontends import heads, rotations
from wafer.frontends.torch import exported_model, import_model
from wafer.models import gpt2, llama, vit
from wafer.training import recompute
from wafer.training.joint import differentiate

WIDTH, HEADS, SIZE = 16, 4, 4
SMALL = nothing_for("small").machine_description


class Attention(nn.Module):
    """Three projections; `how` are arguments of PyTorch's attention."""

    def __init__(self, key_heads=HEADS, bias=True, **how):
        super().__init__()
        self.q, self.o = nn.Linear(WIDTH, WIDTH, bias=bias), nn.Linear(WIDTH, WIDTH, bias=bias)
        self.k, self.v = nn.Linear(WIDTH, key_heads * SIZE, bias=False), nn.Linear(WIDTH, key_heads * SIZE, bias=bias)
        self.how = how

    def apart(self, x):
        return x.view(*x.shape[:2], -1, SIZE).transpose(1, 2)

    def attend(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, **self.how)

    def together(self, x):
        return self.o(x.transpose(1, 2).reshape(x.shape[0], -1, WIDTH))

    def forward(self, x):
        return self.together(self.attend(*(self.apart(f(x)) for f in (self.q, self.k, self.v))))


class Repeated(Attention):
    """Keys and values of two heads for four, in two ways."""

    def attend(self, q, k, v):
        batch, key_heads, tokens, size = k.shape
        k = k[:, :, None].expand(batch, key_heads, HEADS // key_heads, tokens, size).reshape(q.shape)
        return super().attend(q, k, v.repeat_interleave(HEADS // key_heads, 1))


class Rotated(Attention):
    def __init__(self, **how):
        super().__init__(key_heads=2, is_causal=True, enable_gqa=True, **how)
        self.rotary = llama.Rotary(SIZE)

    def attend(self, q, k, v):
        angles = self.rotary(q.shape[2])
        return super().attend(llama.rotated(q, *angles), llama.rotated(k, *angles), v)


class Joint(Attention):
    """One projection, [inputs, features] as in GPT-2, called as transformers does."""

    def __init__(self, take, **how):
        super().__init__(**how)
        self.weight, self.bias, self.take = nn.Parameter(torch.randn(WIDTH, 3 * WIDTH) / 4), nn.Parameter(torch.randn(3 * WIDTH)), take
        del self.q, self.k, self.v

    def forward(self, x):
        qkv = torch.addmm(self.bias, x.view(-1, WIDTH), self.weight).view(*x.shape[:2], 3 * WIDTH)
        return self.together(self.attend(*self.take(qkv)))


def _with_heads(parts):
    return [part.reshape(*part.shape[:2], HEADS, SIZE).transpose(1, 2) for part in parts]


def _interleaved(qkv):
    """Each head's queries, keys and values beside each other, as in GPT-NeoX."""
    return [part.transpose(1, 2) for part in qkv.view(*qkv.shape[:2], HEADS, 3 * SIZE).split(SIZE, -1)]


class Masked(Attention):
    """By a mask that is a buffer, or computed from positions."""

    def __init__(self, mask, **how):
        super().__init__(**how)
        if isinstance(mask, torch.Tensor):
            self.register_buffer("mask", mask, persistent=False)
        else:
            self.mask = mask

    def attend(self, q, k, v):
        mask = self.mask if isinstance(self.mask, torch.Tensor) else self.mask(torch.arange(q.shape[2]))
        return F.scaled_dot_product_attention(q, k, v, mask, **self.how)


class NoProjection(Attention):
    def together(self, x):
        return x.transpose(1, 2).flatten(2).relu()


class PyTorchs(nn.Module):
    """In which tokens come first."""

    def __init__(self, **how):
        super().__init__()
        self.inner = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True, **how)

    def forward(self, x):
        return self.inner(x, x, x, need_weights=False)[0]


def _triangle(positions):
    return (positions[None, :] <= positions[:, None])[None, None].expand(2, 1, -1, -1)


TAKEN = {
    "plain": Attention,
    "no bias": lambda: Attention(bias=False),
    "causal": lambda: Attention(is_causal=True),
    "scale": lambda: Attention(scale=0.7),
    "enable_gqa": lambda: Attention(key_heads=2, enable_gqa=True),
    "repeated": lambda: Repeated(key_heads=2),
    "one key head": lambda: Repeated(key_heads=1, is_causal=True),
    "rotated": Rotated,
    "chunk": lambda: Joint(lambda qkv: _with_heads(qkv.chunk(3, -1)), is_causal=True),
    "split": lambda: Joint(lambda qkv: _with_heads(qkv.split(WIDTH, -1))),
    "narrow": lambda: Joint(lambda qkv: _with_heads([qkv.narrow(-1, i * WIDTH, WIDTH) for i in range(3)])),
    "slices, values first": lambda: Joint(lambda qkv: _with_heads([qkv[..., WIDTH : 2 * WIDTH], qkv[..., 2 * WIDTH :], qkv[..., :WIDTH]])),
    "unbind": lambda: Joint(lambda qkv: qkv.view(*qkv.shape[:2], 3, HEADS, SIZE).permute(2, 0, 3, 1, 4).unbind(0)),
    "interleaved": lambda: Joint(_interleaved),
    "mask": lambda: Masked(torch.ones(6, 6).tril().bool()),
    "mask of positions": lambda: Masked(_triangle),
    "mask that is added": lambda: Masked(lambda positions: torch.full((6, 6), torch.finfo(torch.float32).min).triu(1)),
    "no projection": NoProjection,
    "llama": lambda: llama.Attention(WIDTH, HEADS, 2),
    "gpt2": lambda: gpt2.Attention(WIDTH, HEADS),
    "vit": lambda: vit.Layer(WIDTH, HEADS),
    "torch.nn": PyTorchs,
}


class Cross(Attention):
    def forward(self, x):
        other = x.flip(1)
        return self.together(self.attend(self.apart(self.q(x)), self.apart(self.k(other)), self.apart(self.v(other))))


class Normed(Attention):
    """Between projection and attention is more than movement."""

    def attend(self, q, k, v):
        return super().attend(F.rms_norm(q, (SIZE,)), F.rms_norm(k, (SIZE,)), v)


class Kept(Attention):
    """Keys are a result too."""

    def forward(self, x):
        return super().forward(x) + self.k(x)


LEFT = {
    "cross": Cross,
    "normed": Normed,
    "window": lambda: Masked(lambda positions: (positions[None] - positions[:, None]).abs() < 3),
    "bias": lambda: Masked(lambda positions: positions[None] * -0.5 + positions[:, None]),
    "upper triangle": lambda: Masked(lambda positions: positions[None] >= positions[:, None]),
}


@pytest.fixture(autouse=True, params=[(1, False), (2, False), (2, True)], ids=["head in a column", "head in two columns", "copied"])
def everywhere(monkeypatch, request):
    across, copies = request.param
    monkeypatch.setattr(heads, "columns_of_head", lambda *shape: across)
    monkeypatch.setattr(heads, "_pays_to_copy", lambda *how: copies)
    monkeypatch.setattr(rotations, "pays", lambda *shape: True)


def rewritten(exported):
    """The graph, and how many attentions it has in columns."""
    constants = {spec.arg.name: exported.constants[spec.target] for spec in exported.graph_signature.input_specs if spec.target in exported.constants}
    count = heads.rewrite(exported.graph, SMALL, rotations.rewrite(exported.graph, SMALL), constants=constants)
    return fx.Interpreter(exported.graph_module), count


def arguments(exported, model, x):
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    return [tensors[spec.target] if spec.target else x for spec in exported.graph_signature.input_specs]


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", TAKEN)
def test_results_are_those_of_pytorch(name):
    torch.manual_seed(0)
    model, x = TAKEN[name]().eval(), torch.randn(2, 6, WIDTH)
    exported, _ = exported_model(model, (x,))
    program, count = rewritten(exported)
    assert count == 1
    with torch.no_grad():
        close(program.run(*arguments(exported, model, x))[0], model(x))
    assert "scaled_dot_product_attention" not in str(exported.graph)


@pytest.mark.parametrize("name", TAKEN)
def test_gradients_of_all_parameters_are_those_of_pytorch(name):
    torch.manual_seed(0)
    model, x, target = TAKEN[name](), torch.randn(2, 6, WIDTH, requires_grad=True), torch.randn(2, 6, WIDTH)
    exported = torch.export.export(model, (x.detach(),)).run_decompositions({})  # as for training
    program, count = rewritten(exported)
    assert count == 1
    wanted = [x, *model.parameters()]
    found, expected = (F.mse_loss(result, target) for result in (program.run(*arguments(exported, model, x))[0], model(x)))
    close(found, expected)
    for of_parameter, by_pytorch in zip(*(torch.autograd.grad(loss, wanted, allow_unused=True) for loss in (found, expected))):
        close(of_parameter, by_pytorch)


@pytest.mark.parametrize("name", ["plain", "rotated", "gpt2", "mask", "torch.nn"])
def test_the_importer_and_training_write_it(name):
    torch.manual_seed(0)
    model, x = TAKEN[name](), torch.randn(2, 6, WIDTH)
    assert import_model(model.eval(), (x,), machine=SMALL).text.count("graph.attend ") == 1
    text = differentiate(model.train(), F.mse_loss, (x, x), machine=SMALL).imported.text
    assert text.count("graph.attend ") == 1 and text.count("graph.attend_gradient ") == 1
    assert "graph.attend" not in import_model(model.eval(), (x,)).text


@pytest.mark.parametrize("name, precision, tolerance", [("rotated", "f32", 1e-5), ("rotated", "f16", 4e-3), ("gpt2", "f16", 4e-3), ("torch.nn", "f32", 1e-5), ("no projection", "f32", 1e-5)])
def test_programs_compute_it(name, precision, tolerance):
    torch.manual_seed(0)
    model, x = TAKEN[name]().eval(), torch.randn(2, 6, WIDTH)
    program = wafer.compile(model, (x,), machine="small", precision=precision)
    torch.testing.assert_close(program(x), model(x).detach(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["rotated", "gpt2"])
def test_training_steps_compute_it(name):
    torch.manual_seed(0)
    model, x, target = TAKEN[name](), torch.randn(2, 6, WIDTH), torch.randn(2, 6, WIDTH)
    loss = F.mse_loss(model(x), target)
    loss.backward()
    step = wafer.train_step(model, F.mse_loss, wafer.optim.SGD(lr=1.0), example=(x, target), machine="small", precision="f32", shards=1)
    assert step(x, target) == pytest.approx(loss.item(), rel=1e-5)
    for parameter, value in model.named_parameters():
        close(step.state_dict()[parameter], value.detach() - value.grad)


@pytest.mark.parametrize("name", ["plain", "repeated", "rotated", "gpt2", "torch.nn", "no projection"])
def test_heads_of_zeros_change_nothing(monkeypatch, name):
    monkeypatch.setattr(heads, "heads_in_columns", lambda machine, batch, tokens, heads, size, across: heads + 3)
    test_results_are_those_of_pytorch(name)
    test_gradients_of_all_parameters_are_those_of_pytorch(name)
    test_programs_compute_it(name, "f32", 1e-5)
    text = import_model(TAKEN[name]().eval(), (torch.randn(2, 6, WIDTH),), machine=SMALL).text
    assert ("heads 7" in text) == (name != "no projection")  # there heads leave the wafer


@pytest.mark.parametrize("name", ["plain", "repeated", "rotated"])
def test_queries_keys_and_values_are_computed_again(monkeypatch, name):
    """Stacked weights are MemoryX's, as weights are, also those whose rows are repeated."""
    torch.manual_seed(0)
    model, x, macs = TAKEN[name](), torch.randn(2, 6, WIDTH), {}
    for again in (False, True):
        monkeypatch.setattr(recompute, "pays", lambda machine, tokens, features, again=again: again)
        macs[again] = sum(differentiate(model, F.mse_loss, (x, x), machine=SMALL).imported.macs.values())
    projection = sum(p.weight.shape[0] for p in (model.q, model.k, model.v)) * WIDTH + 3 * WIDTH if heads._pays_to_copy() else 3 * WIDTH**2
    assert macs[True] - macs[False] == 2 * 6 * (projection + 2 * 6 * WIDTH + WIDTH**2)  # their projection, attention, and the projection behind it


@pytest.mark.parametrize("name", ["repeated", "rotated", "one key head"])
def test_keys_and_values_that_heads_share_are_projected_once(monkeypatch, name):
    """A product with one weight in each row copies them; its cost is known."""
    model, x, macs = TAKEN[name]().eval(), torch.randn(2, 6, WIDTH), {}
    key_heads = model.k.out_features // SIZE
    for copies in (False, True):
        monkeypatch.setattr(heads, "_pays_to_copy", lambda *how, copies=copies: copies)
        macs[copies] = sum(import_model(model, (x,), machine=SMALL).macs.values())
    assert macs[False] - macs[True] == 2 * 6 * (2 * (HEADS - key_heads) * SIZE * WIDTH - 3 * WIDTH)


@pytest.mark.parametrize("name", LEFT)
def test_other_attention_stays_as_it_is(name):
    x = torch.randn(2, 6, WIDTH)
    exported, _ = exported_model(LEFT[name]().eval(), (x,))
    before = str(exported.graph)
    assert rewritten(exported)[1] == 0 and str(exported.graph) == before


def test_attention_with_dropout_stays_as_it_is():
    x = torch.randn(2, 6, WIDTH)
    for model in (Attention(dropout_p=0.1), PyTorchs(dropout=0.1).train()):
        assert rewritten(torch.export.export(model, (x,)).run_decompositions({}))[1] == 0


def test_sparse_weights_are_not_stacked():
    model, x = Attention().eval(), torch.randn(2, 6, WIDTH)
    with torch.no_grad():
        model.k.weight[: WIDTH // 2] = 0
    assert "graph.attend" not in import_model(model, (x,), machine=SMALL).text
    kept = {"k.weight": WIDTH * WIDTH // 2}
    assert "graph.attend" not in differentiate(model, F.mse_loss, (x, x), kept=kept, machine=SMALL).imported.text


def test_integers_are_not_stacked():
    model, x = Attention().eval(), torch.randn(2, 6, WIDTH)
    assert "graph.attend" not in import_model(model, (x,), machine=SMALL, is_int8=lambda name: True).text


def test_layers_share_tables():
    class Angles(nn.Module):
        def __init__(self):
            super().__init__()
            for name, angles in zip(("cosines", "sines"), llama.Rotary(SIZE)(6)):
                self.register_buffer(name, angles)

        def forward(self, tokens):
            return self.cosines, self.sines

    first, second = Rotated(), Rotated()
    first.rotary = second.rotary = Angles()
    exported, _ = exported_model(nn.Sequential(first, second).eval(), (torch.randn(2, 6, WIDTH),))
    assert rewritten(exported)[1] == 2
    attended = [node for node in exported.graph.nodes if node.target is torch.ops.wafer.attend.default]
    assert len(attended) == 2 and len({node.args[1] for node in attended}) == 1


@pytest.mark.parametrize("angles, of_table", [(lambda freqs: torch.cat([freqs, freqs], -1), WIDTH), (lambda freqs: freqs.repeat(1, 2), WIDTH), (lambda freqs: torch.cat([freqs, 2 * freqs], -1), 2 * WIDTH)])
@pytest.mark.parametrize("is_constant", [True, False])
def test_a_table_has_first_halves_alone_where_second_ones_are_alike(monkeypatch, angles, of_table, is_constant):
    torch.manual_seed(0)
    model, x = Rotated().eval(), torch.randn(2, 6, WIDTH)
    places = nn.Parameter(torch.arange(6.0).unsqueeze(1)) if not is_constant else torch.arange(6.0).unsqueeze(1)
    model.rotary = Angles(places, angles)
    exported, _ = exported_model(model, (x,))
    program, count = rewritten(exported)
    (attended,) = [node for node in exported.graph.nodes if node.target is torch.ops.wafer.attend.default]
    assert attended.args[1].meta["val"].shape == (1, 6, of_table)
    with torch.no_grad():
        close(program.run(*arguments(exported, model, x))[0], model(x))


class Angles(nn.Module):
    """Of places that are a buffer or a parameter."""

    def __init__(self, places, angles):
        super().__init__()
        self.angles = angles
        self.register_buffer("frequencies", torch.tensor([1.0, 0.1]))
        if isinstance(places, nn.Parameter):
            self.places = places
        else:
            self.register_buffer("places", places)

    def forward(self, tokens):
        angles = self.angles(self.places * self.frequencies)
        return angles.cos() * 1.5, angles.sin().unsqueeze(0)


def test_a_joint_projection_is_one_transposition():
    """Its rows are put in order at once, so that its gradient is put in order at once."""
    for name in ("unbind", "interleaved", "chunk", "gpt2"):
        exported, _ = exported_model(TAKEN[name]().eval(), (torch.randn(2, 6, WIDTH),))
        rewritten(exported)
        assert not [node for node in exported.graph.nodes if node.target in (torch.ops.aten.cat.default, torch.ops.aten.slice.Tensor)]


def test_it_pays_on_a_wafer_with_entries_for_a_third_of_its_columns(monkeypatch):
    monkeypatch.undo()
    wse3 = nothing_for("wse3").machine_description
    assert heads.columns_of_head(wse3, 16, 4096, 32, 64) == heads.columns_of_head(wse3, 8, 4096, 32, 64) == 1
    assert heads.columns_of_head(wse3, 7, 4096, 32, 64) == 0  # 23 groups of 32 columns
    assert heads.columns_of_head(wse3, 16, 4099, 32, 64) == 0  # a prime number of tokens, more than rows
    assert heads.columns_of_head(wse3, 23, 16384, 32, 128) == 0  # sixteen tokens in a core, whose heads do not fit
    assert heads.columns_of_head(SMALL, 16, 16, 16, 4) == 0


def test_columns_share_heads_that_leave_room_for_few_tokens(monkeypatch):
    monkeypatch.undo()
    wse3 = nothing_for("wse3").machine_description
    assert heads.columns_of_head(wse3, 16, 4096, 32, 128) == 2  # eight tokens in a core, where four have room beside a head
    assert heads.columns_of_head(wse3, 16, 4096, 32, 122) == 1  # halves of heads have an odd number of elements in a column
    assert heads.columns_of_head(wse3, 16, 8192, 32, 128) == 2  # four tokens in a core are too few


def test_a_few_heads_of_zeros_fill_the_width_of_the_wafer(monkeypatch):
    monkeypatch.undo()
    wse3 = nothing_for("wse3").machine_description
    assert heads.heads_in_columns(wse3, 20, 4096, 64, 128, 2) == 74  # five groups of 128 columns leave 122, and 1024 rows leave 148
    assert heads.heads_in_columns(wse3, 44, 4096, 32, 128, 2) == 32  # two more in each of eleven groups gain little
    assert heads.heads_in_columns(wse3, 4, 4096, 64, 128, 2) == 64  # a group has no entry
    assert heads.heads_in_columns(wse3 | {"width": 200}, 20, 4096, 64, 128, 2) == 74
    assert heads.heads_in_columns(wse3 | {"width": 200, "height": 1100}, 20, 4096, 64, 128, 2) == 64  # 76 rows
