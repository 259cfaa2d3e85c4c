"""Buffers that a model changes are states of its program: kept from call to call, shared by its entries, saved and set."""

import copy

import numpy
import pytest
import torch
import wafer

X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


class Total(torch.nn.Module):
    """Adds up what it computes."""

    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(4, 4)
        self.register_buffer("total", torch.ones(3, 4))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64), persistent=False)

    def forward(self, x):
        self.total.add_(self.fc(x))
        self.calls.add_(1)
        return self.total * 2

    def read(self, scale):
        return self.total * scale, self.calls

    def clear(self):
        self.total.zero_()


def total():
    torch.manual_seed(0)
    return Total().eval()


def compiled(model, **options):
    return wafer.compile(copy.deepcopy(model), (X,), machine="tiny", precision="f32", **options)


@pytest.fixture(scope="module")
def several():
    return wafer.compile(total(), entries={"forward": (X,), "read": (X,), "clear": ()}, machine="tiny", precision="f32")


def test_calls_in_a_row_give_what_pytorch_gives():
    model = total()
    program = compiled(model)
    for _ in range(3):
        torch.testing.assert_close(program(X), model(X).detach())
    assert program.state_values()["calls"] == 3


def test_another_engine_goes_on_where_the_last_one_stopped():
    model = total()
    program = compiled(model)
    for engine in ("functional", "cycle", "functional"):
        torch.testing.assert_close(program(X, engine=engine), model(X).detach())


def test_running_statistics_are_states():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.BatchNorm1d(5)).train()
    program = compiled(model)
    for _ in range(2):
        torch.testing.assert_close(program(X), model(X).detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(torch.tensor(program.state_values()["1.running_var"]), model[1].running_var)


def test_entries_share_weights_and_states(several):
    several.reset_states()
    several.entries["forward"](X)
    value, calls = several.entries["read"](torch.ones(3, 4))
    assert calls == 1
    numpy.testing.assert_array_equal(value.numpy(), several.state_values()["total"])
    assert [weight.name for weight in several.weights] == ["fc.weight", "fc.bias"]


def test_an_entry_may_write_what_it_never_reads(several):
    several.entries["clear"]()
    assert not several.state_values()["total"].any()


def test_states_begin_anew_with_what_the_model_had(several):
    several.entries["forward"](X)
    several.reset_states()
    assert (several.state_values()["total"] == 1).all()


def test_states_can_be_set(several):
    several.set_states({"total": torch.full((3, 4), 2.5), "calls": 7})
    value, calls = several.entries["read"](torch.ones(3, 4))
    assert (value == 2.5).all() and calls == 7


@pytest.mark.parametrize(("values", "message"), [({"totl": X}, "no state 'totl'.*total"), ({"total": X[:2]}, r"state 'total' is f32\[2x4\], expected f32\[3x4\]")])
def test_states_that_do_not_fit_are_refused(several, values, message):
    with pytest.raises(wafer.RuntimeError, match=message):
        several.set_states(values)


def test_a_failed_call_changes_no_state(several):
    several.reset_states()
    with pytest.raises(wafer.RuntimeError):
        several.entries["forward"](X[:2])
    assert several.state_values()["calls"] == 0


def test_saved_states_are_those_of_the_loaded_program(several, tmp_path):
    several.reset_states().entries["forward"](X)
    several.save(tmp_path / "m.wexe")
    several.save_weights(tmp_path / "m.safetensors")
    loaded = wafer.load(tmp_path / "m.wexe", tmp_path / "m.safetensors")
    assert list(loaded.entries) == ["forward", "read", "clear"]
    numpy.testing.assert_array_equal(loaded.state_values()["total"], several.state_values()["total"])


def test_a_checkpoint_need_not_have_states(several, tmp_path):
    wafer._native.module().write_safetensors(str(tmp_path / "w.safetensors"), {name: pair for name, pair in several._sessions.weights().items() if name.startswith("fc")})
    program = compiled(total(), weights=tmp_path / "w.safetensors")
    torch.testing.assert_close(program(X), total()(X).detach())


def test_taps_see_and_change_the_states():
    model = total()
    program = compiled(model)
    tapped = program.run((X,), taps=["fc"])
    torch.testing.assert_close(tapped["output"], model(X).detach())
    torch.testing.assert_close(program(X), model(X).detach())


def test_entries_that_are_no_methods_are_refused():
    with pytest.raises(wafer.CompileError, match="entry 'generate', which is no method of Total"):
        wafer.compile(total(), entries={"generate": (X,)})


def test_entries_beside_example_inputs_are_refused():
    with pytest.raises(wafer.CompileError, match="entries together with example_inputs"):
        wafer.compile(total(), (X,), entries={"read": (X,)})


def test_a_buffer_that_grows_is_refused_with_its_line():
    class Growing(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.zeros(2, 4))

        def forward(self, x):
            self.seen = torch.cat([self.seen, x])
            return self.seen

    with pytest.raises(wafer.CompileError, match="a buffer that the model changes keeps its shape") as raised:
        wafer.compile(Growing().eval(), (torch.ones(2, 4),), machine="tiny")
    assert raised.value.location.file.endswith("test_states.py")
