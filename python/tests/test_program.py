"""Program: saving and loading, weights, inputs, what it reports, calls from several threads."""

import threading

import numpy
import pytest
import torch
import wafer
from safetensors.torch import load_file, save_file


def bits(tensor):
    return tensor.numpy().tobytes()


@pytest.fixture(scope="module")
def expected(saved):
    return bits(saved.program(saved.x))


def test_what_was_saved_runs_like_what_was_compiled(saved, expected):
    program = wafer.load(saved.wexe, weights=saved.safetensors)
    assert bits(program(saved.x)) == expected
    assert (program.inputs, program.outputs, program.weights) == (saved.program.inputs, saved.program.outputs, saved.program.weights)


def test_saving_again_gives_the_same_bytes(saved, tmp_path):
    wafer.load(saved.wexe, weights=saved.safetensors).save(tmp_path / "again.wexe")
    assert (tmp_path / "again.wexe").read_bytes() == saved.wexe.read_bytes()


def test_weights_are_safetensors_that_others_read(saved):
    found = load_file(saved.safetensors)
    assert found.keys() == saved.model.state_dict().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in saved.model.state_dict().items())


def test_executable_holds_no_weights(saved):
    assert saved.model[0].weight.detach().numpy().tobytes()[:16] not in saved.wexe.read_bytes()


def test_weights_may_be_spread_over_files(saved, expected, tmp_path):
    state = saved.model.state_dict()
    names = sorted(state)
    save_file({name: state[name] for name in names[:2]}, tmp_path / "a.safetensors")
    save_file({name: state[name] for name in names[2:]}, tmp_path / "b.safetensors")
    program = wafer.load(saved.wexe, weights=[tmp_path / "a.safetensors", tmp_path / "b.safetensors"])
    assert bits(program(saved.x)) == expected


def test_other_weights_change_the_result_and_nothing_else(saved, expected):
    program = wafer.load(saved.wexe, weights={name: tensor * 2 for name, tensor in saved.model.state_dict().items()})
    assert bits(program(saved.x)) != expected
    assert bits(program.set_weights(saved.model.state_dict())(saved.x)) == expected


def test_state_dict_may_hold_more_than_is_needed(saved, expected):
    program = wafer.load(saved.wexe, weights=saved.model.state_dict() | {"unused": torch.zeros(3)})
    assert bits(program(saved.x)) == expected


def test_change_of_the_model_is_seen():
    model = torch.nn.Linear(7, 5)
    program = wafer.compile(model.eval(), (torch.ones(2, 7),), machine="tiny")
    before = program(torch.ones(2, 7))
    with torch.no_grad():
        model.bias += 1
    torch.testing.assert_close(program(torch.ones(2, 7)), before + 1, rtol=1e-2, atol=1e-2)


# What does not fit


def test_missing_weights_are_named(saved):
    state = saved.model.state_dict()
    del state["3.weight"]
    program = wafer.load(saved.wexe, weights=state)
    with pytest.raises(wafer.RuntimeError, match="weight '3.weight' .*is missing"):
        program(saved.x)
    with pytest.raises(wafer.RuntimeError, match="3.weight"):
        program.save_weights("/nowhere/w.safetensors")


def test_program_without_weights_says_so(saved):
    with pytest.raises(wafer.RuntimeError, match="is missing: no weights were given"):
        wafer.load(saved.wexe)(saved.x)


@pytest.mark.parametrize("tensor, found", [(torch.zeros(13, 8), "13x8"), (torch.zeros(7, 13), "7x13"), (torch.zeros(91), "91"), (torch.zeros(13, 7).half(), "f16")])
def test_weight_of_another_shape_or_type_is_refused_when_it_is_given(saved, tmp_path, tensor, found):
    state = saved.model.state_dict() | {"0.weight": tensor}
    with pytest.raises(wafer.RuntimeError, match=rf"'0\.weight'.*{found}.*expected f32\[13x7\]"):
        wafer.load(saved.wexe, weights=state)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(wafer.RuntimeError, match=rf"'0\.weight'.*w\.safetensors is .*{found}.*expected f32\[13x7\]"):
        wafer.load(saved.wexe, weights=tmp_path / "w.safetensors")


@pytest.mark.parametrize("array, found", [(numpy.zeros((11, 8), "f4"), "11x8"), (numpy.zeros((11, 7), "f8"), "f64"), (numpy.zeros((11, 7), "i4"), "i32"), (numpy.zeros(77, "f4"), "77")])
def test_input_of_another_shape_or_type_is_refused(saved, array, found):
    with pytest.raises(wafer.RuntimeError, match=rf"input '{saved.input}' .*{found}.*expected f32\[11x7\]"):
        saved.program(array)


@pytest.mark.parametrize("array", [numpy.zeros((11, 7), "c8"), numpy.full((11, 7), "x"), numpy.full((11, 7), None)])
def test_elements_that_are_no_numbers_are_refused(saved, array):
    with pytest.raises(wafer.RuntimeError, match="has elements of type"):
        saved.program(array)


def test_unknown_and_missing_and_repeated_inputs_are_named(saved):
    with pytest.raises(wafer.RuntimeError, match=f"no input 'y', it takes '?{saved.input}"):
        saved.program(y=saved.x)
    with pytest.raises(wafer.RuntimeError, match=f"input '{saved.input}' .*is missing"):
        saved.program()
    with pytest.raises(wafer.RuntimeError, match="found 2 inputs, expected 1"):
        saved.program(saved.x, saved.x)
    with pytest.raises(wafer.RuntimeError, match="twice"):
        saved.program(saved.x, **{saved.input: saved.x})


def test_unknown_engine_is_refused(saved):
    with pytest.raises(wafer.RuntimeError, match="'warp'.*functional"):
        saved.program(saved.x, engine="warp")


def test_program_runs_again_after_an_error(saved, expected):
    with pytest.raises(wafer.RuntimeError):
        saved.program(torch.zeros(2, 2))
    assert bits(saved.program(saved.x)) == expected


# Arrays in unusual forms


@pytest.mark.parametrize("form", ["strided", "big-endian", "read-only", "list"])
def test_any_array_of_the_right_values_will_do(saved, expected, form):
    x = saved.x.numpy()
    if form == "strided":
        x = numpy.repeat(x, 2, axis=1)[:, ::2]
    elif form == "big-endian":
        x = x.astype(">f4")
    elif form == "read-only":
        x = x.copy()
        x.flags.writeable = False
    else:
        x = numpy.array(x.tolist(), "f4")
    assert saved.program(x).tobytes() == expected


def test_results_outlive_the_program(saved, expected):
    program = wafer.load(saved.wexe, weights=saved.safetensors)
    found = program(saved.x)
    del program
    assert bits(found) == expected


# What it reports


def test_stats_count_what_happened(saved):
    program = wafer.load(saved.wexe, weights=saved.safetensors)
    with pytest.raises(wafer.RuntimeError, match="has not run yet"):
        program.stats
    program(saved.x, engine="cycle")
    stats = program.stats
    assert (stats.engine, stats.machine) == ("cycle", "odd")
    assert stats.weights_stored_on_wafer == 0 and stats.weight_colours_proved >= 1
    assert stats.macs_executed >= 11 * (7 * 13 + 13 * 5)
    assert stats.cycles > 0 and 0 < stats.utilisation < 1 and stats.wafer_seconds > 0
    kinds = stats.bytes_by_kind
    assert stats.bytes_streamed == sum(kinds[kind] for kind in ("weights", "activations_in", "activations_out", "commands"))
    program(saved.x)
    assert program.stats.cycles is None and program.stats.utilisation is None


def test_report_has_a_line_for_each_operation(saved):
    report = saved.program.report()
    assert all(op.name in report for op in saved.program.ops)
    assert "operations on the wafer: 3 of 3" in report


# Threads


def test_threads_of_the_engine_change_no_bit(saved, expected):
    assert all(bits(saved.program(saved.x, threads=threads)) == expected for threads in (1, 2, 5))


def test_calls_from_several_threads_give_what_one_gives(saved):
    program = wafer.load(saved.wexe, weights=saved.safetensors)
    inputs = [saved.x + i for i in range(6)]
    wanted = [bits(program(x)) for x in inputs]
    found = [None] * len(inputs)

    def call(i):
        for _ in range(5):
            found[i] = bits(program(inputs[i], engine="cycle" if i % 3 == 0 else "functional"))

    threads = [threading.Thread(target=call, args=(i,)) for i in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == wanted
