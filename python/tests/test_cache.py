"""Compiled programs are found again by what they were compiled from, and never where that differs."""

import json
import os
import pathlib
import types

import numpy as np
import pytest
import wafer
from wafer import _native, cache
from wafer.errors import CompileError, CompileWarning

TEXT = """func.func @forward(%x: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %e = tensor.empty() : tensor<4x6xf32>
  %y = linalg.exp ins(%x : tensor<4x6xf32>) outs(%e : tensor<4x6xf32>) -> tensor<4x6xf32>
  return %y : tensor<4x6xf32>
}
"""


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "kept" / "programs"))
    return tmp_path / "kept" / "programs"


@pytest.fixture
def compilations(monkeypatch):
    """How many there were."""
    module, calls = _native.module(), []

    class Counting:
        __file__ = module.__file__

        def __getattr__(self, name):
            return getattr(module, name)

        def compile_text(self, *args):
            calls.append(args)
            return module.compile_text(*args)

    monkeypatch.setattr(_native, "module", lambda counting=Counting(): counting)
    return calls


def compiled(text=TEXT, **options):
    return wafer.compile(text, **{"machine": "tiny", "precision": "f32"} | options)


def test_the_second_time_nothing_is_compiled(compilations, folder):
    first, second = compiled(), compiled()
    assert len(compilations) == 1 and len(list(folder.iterdir())) == 1
    x = np.linspace(-1, 1, 24, dtype="f4").reshape(4, 6)
    assert np.asarray(first(x)).tobytes() == np.asarray(second(x)).tobytes()
    first.save(folder / "first.wexe"), second.save(folder / "second.wexe")
    assert (folder / "first.wexe").read_bytes() == (folder / "second.wexe").read_bytes()


def test_what_differs_is_compiled(compilations, tmp_path):
    description = tmp_path / "machine.json"
    described = compiled().machine_description
    for number, options in enumerate([{}, {"precision": "f16"}, {"machine": "odd"}, {"activation_zeros": 0.9}, {"text": TEXT.replace("exp", "tanh")}, {"machine": description}, {"machine": description}]):
        description.write_text(json.dumps(described | {"name": "machine", "hop_cycles": 1 + number}))
        compiled(**options)
    assert len(compilations) == 7  # the first of them was compiled before


def test_a_trace_is_written_each_time(compilations, tmp_path):
    for number in range(2):
        compiled(decision_trace=tmp_path / f"{number}.json")
    assert len(compilations) == 2 and (tmp_path / "0.json").read_text() == (tmp_path / "1.json").read_text() != ""


def test_what_the_compiler_said_comes_again(monkeypatch):
    said = [("warning", "found this", "model.py", 3, 4, [("note", "here", "", 0, 0, [])])]
    file = _native.module().__file__
    monkeypatch.setattr(_native, "module", lambda: types.SimpleNamespace(__file__=file, compile_text=lambda *args: (b"\nbytes\n", said)))
    first = cache.compile_text("text", "tiny", "f32", ["forward"])
    monkeypatch.setattr(_native, "module", lambda: types.SimpleNamespace(__file__=file, compile_text=lambda *args: pytest.fail("it was kept")))
    assert cache.compile_text("text", "tiny", "f32", ["forward"]) == first == (b"\nbytes\n", said)


@pytest.mark.parametrize("damage", [lambda kept: kept[:-3], lambda kept: b"", lambda kept: b"{}\n", lambda kept: kept[: len(kept) // 2] + b"?" + kept[len(kept) // 2 + 1 :]])
def test_a_damaged_file_is_compiled_anew(compilations, folder, damage):
    compiled()
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    compiled()
    assert len(compilations) == 2 and file.read_bytes() == whole


def test_an_error_is_not_kept(compilations, folder):
    for _ in range(2):
        with pytest.raises(CompileError):
            wafer.compile("func.func @forward(", machine="tiny")
    assert len(compilations) == 2 and not list(folder.iterdir())


def test_without_the_variable_nothing_is_kept(compilations, monkeypatch, tmp_path):
    monkeypatch.delenv(cache.VARIABLE)
    compiled(), compiled()
    assert len(compilations) == 2 and not list(tmp_path.iterdir())


def test_a_file_in_the_place_of_the_folder_is_refused(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "file"))
    with pytest.raises(CompileError, match="expected a folder for compiled programs"):
        compiled()


def test_what_cannot_be_written_is_compiled_all_the_same(monkeypatch, folder):
    def full(self, target):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(pathlib.Path, "replace", full)
    with pytest.warns(CompileWarning, match="No space left on device"):
        assert compiled()(np.zeros((4, 6), "f4")).shape == (4, 6)
    assert not list(folder.iterdir())
