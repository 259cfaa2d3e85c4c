"""Checkpoints: folders that are complete or not there.

DIR/checkpoint-00000007/ holds model.safetensors (by PyTorch's names), optimizer.safetensors ("NAME/STATE") and checkpoint.json with the rest and the
SHA-256 of both files. It is written under another name, every file and folder reaches the disk, and then it gets its name, with one rename. So a process
that is killed at any moment leaves the checkpoint before or the one after.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import shutil
import warnings
from collections.abc import Mapping

import numpy

from wafer import _native, arrays, checkpoints
from wafer.errors import RuntimeError  # noqa: A004

Path = str | os.PathLike
Arrays = Mapping[str, numpy.ndarray]

FORMAT = 1
_PREFIX, _DESCRIPTION, _FILES = "checkpoint-", "checkpoint.json", ("model.safetensors", "optimizer.safetensors")
_TEMPORARY = ".incomplete-"


def write(directory: Path, model: Arrays, optimizer: Arrays, description: Mapping[str, object], keep: int) -> pathlib.Path:
    """Writes the next checkpoint and removes old ones, of which `keep` stay. Returns its folder."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    for left_over in directory.glob(_TEMPORARY + "*"):
        shutil.rmtree(left_over, ignore_errors=True)
    known = _checkpoints(directory)
    number = _number(known[-1]) + 1 if known else 1
    final, temporary = directory / f"{_PREFIX}{number:08}", directory / f"{_TEMPORARY}{number:08}"
    try:
        temporary.mkdir()
        checksums = {}
        for file, tensors in zip(_FILES, (model, optimizer)):
            path = temporary / file
            _native.module().write_safetensors(os.fspath(path), {name: arrays.pair_of(array, name) for name, array in tensors.items()})
            checksums[file] = _checksum(path)
            _flush(path)
        path = temporary / _DESCRIPTION
        path.write_text(json.dumps({"format": FORMAT, "sha256": checksums, **description}, indent=1) + "\n")
        _flush(path)
        _flush(temporary)
        temporary.rename(final)
        _flush(directory)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    for old in _checkpoints(directory)[: -max(keep, 1)]:
        # An old one is not there any more before its files go.
        half_there = directory / f"{_TEMPORARY}{old.name}"
        old.rename(half_there)
        shutil.rmtree(half_there, ignore_errors=True)
    return final


def read(directory: Path) -> tuple[dict[str, numpy.ndarray], dict[str, numpy.ndarray], dict]:
    """Model, optimizer and description of the newest good checkpoint; a damaged one is passed over with a warning. The arrays are mapped: copy them.

    Raises: RuntimeError if there is none.
    """
    directory = pathlib.Path(directory)
    problems = []
    for folder in reversed(_checkpoints(directory)):
        try:
            found = _read(folder)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            problems.append(f"{folder.name}: {error}")
            continue
        for problem in problems:
            warnings.warn(f"passed over a damaged checkpoint in {directory}: {problem}", RuntimeWarning, stacklevel=3)
        return found
    found = ": " + "; ".join(problems) if problems else ""
    raise RuntimeError(f"found no good checkpoint in {directory}, expected a folder {_PREFIX}NUMBER that step.save made{found}")


def _read(folder: pathlib.Path) -> tuple[dict[str, numpy.ndarray], dict[str, numpy.ndarray], dict]:
    description = json.loads((folder / _DESCRIPTION).read_text())
    if description.get("format") != FORMAT:
        raise ValueError(f"has format {description.get('format')}, expected {FORMAT}")
    for file in _FILES:
        if _checksum(folder / file) != description["sha256"][file]:
            raise ValueError(f"{file} has another SHA-256 than {_DESCRIPTION} says")
    model, optimizer = (checkpoints.all_mapped(folder / file) for file in _FILES)
    return *({name: arrays.array_of(pair) for name, pair in tensors.items()} for tensors in (model, optimizer)), description


def _checkpoints(directory: pathlib.Path) -> list[pathlib.Path]:
    """Folders of complete checkpoints, oldest first."""
    return sorted((path for path in directory.glob(_PREFIX + "*") if path.name.removeprefix(_PREFIX).isdigit()), key=_number)


def _number(folder: pathlib.Path) -> int:
    return int(folder.name.removeprefix(_PREFIX))


def _checksum(path: pathlib.Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: pathlib.Path) -> None:
    """Until the disk has it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
