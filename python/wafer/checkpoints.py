"""Hugging Face checkpoint directories: safetensors files, and the index that says which of them holds which tensor.

Nothing is read here but indices and headers. Weights stay in the files: the runtime reads them by pieces, and a tensor that a program knows under
another name is mapped into memory.
"""

from __future__ import annotations

import difflib
import json
import os
import pathlib
from collections.abc import Collection, Mapping, Sequence

import numpy

from wafer import _native, arrays
from wafer.errors import RuntimeError  # noqa: A004

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"

_ARRAY_TYPES = {"f32": "<f4", "f16": "<f2", "bf16": "<u2", "f64": "<f8", "i64": "<i8", "i32": "<i4", "i16": "<i2", "i8": "i1", "u8": "u1", "bool": "?"}


def find(paths: Sequence[str | os.PathLike], wanted: Mapping[str, Sequence[str]], optional: Collection[str] = ()) -> tuple[list[str], dict[str, str]]:
    """Where the weights of a program are. `wanted` gives the names that each may have there, the best first; those of `optional` may be nowhere.

    Returns: the safetensors files among `paths`, where a checkpoint directory stands for those of its files that are needed; and the name of
             each weight there.
    Raises:  RuntimeError that names the file and the weight: for a directory without a checkpoint, a damaged index, a missing file, and for a
             weight that no file of the only path has.
    """
    folders = {path: _weight_map(index) if (index := _index_of(path)) else None for path in map(pathlib.Path, paths) if path.is_dir()}
    plain = {path: [_single_file(path)] if path in folders else [path] for path in map(pathlib.Path, paths) if folders.get(path) is None}
    known = {name for places in folders.values() for name in places or ()}
    for file in (file for files in plain.values() for file in files):
        known.update(_native.module().safetensors_entries(os.fspath(file)))
    found_names = {weight: next((name for name in names if name in known), None if weight in optional else names[0]) for weight, names in wanted.items()}
    chosen = {weight: name for weight, name in found_names.items() if name is not None}
    files: list[str] = []
    for path in map(pathlib.Path, paths):
        found = plain.get(path) or _files_of_index(_index_of(path), folders[path], chosen, alone=len(paths) == 1)
        files += [os.fspath(file) for file in found]
    return files, chosen


def write(directory: str | os.PathLike, tensors: Mapping[str, arrays.Pair], file_bytes: int) -> list[pathlib.Path]:
    """Write a checkpoint directory: one file, or several of at most `file_bytes` each (a larger tensor has a file of its own) and the index. What the folder
    has of an older checkpoint is replaced.

    Returns: the files.
    Raises:  RuntimeError when one cannot be written.
    """
    folder = pathlib.Path(directory)
    parts: list[dict[str, arrays.Pair]] = [{}]
    room = file_bytes
    for name, (dtype, array) in tensors.items():
        if parts[-1] and array.nbytes > room:
            parts.append({})
            room = file_bytes
        parts[-1][name] = (dtype, array)
        room -= array.nbytes
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Files without an index are no checkpoint, so the old one goes first and the new one comes last.
        (folder / INDEX).unlink(missing_ok=True)
        for old in [folder / SINGLE, *folder.glob("model-*-of-*.safetensors")]:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise RuntimeError(f"{folder}: cannot be written: {error.strerror}") from error
    if len(parts) == 1:
        _native.module().write_safetensors(os.fspath(folder / SINGLE), parts[0])
        return [folder / SINGLE]
    names = [f"model-{number:05}-of-{len(parts):05}.safetensors" for number in range(1, len(parts) + 1)]
    for file, part in zip(names, parts):
        _native.module().write_safetensors(os.fspath(folder / file), part)
    total = sum(array.nbytes for _, array in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": {name: file for file, part in zip(names, parts) for name in part}}
    _native.module().write_file(os.fspath(folder / INDEX), json.dumps(index, indent=2).encode())
    return [folder / file for file in names]


def _index_of(folder: pathlib.Path) -> pathlib.Path | None:
    return _only(folder, INDEX, "*.safetensors.index.json")


def _single_file(folder: pathlib.Path) -> pathlib.Path:
    single = _only(folder, SINGLE, "*.safetensors")
    if single is None:
        other = sorted(file.name for pattern in ("*.bin", "*.pt", "*.pth") for file in folder.glob(pattern))
        hint = f"; found {other[0]}, which is not read, because loading it may run code: save the model with safe_serialization=True" if other else ""
        raise RuntimeError(f"{folder}: holds no checkpoint, expected {INDEX} or {SINGLE}{hint}")
    return single


def _only(folder: pathlib.Path, usual: str, pattern: str) -> pathlib.Path | None:
    """The file of the usual name, or the only one of the pattern."""
    if (folder / usual).exists():
        return folder / usual
    found = sorted(folder.glob(pattern))
    if len(found) > 1:
        raise RuntimeError(f"{folder}: holds {', '.join(file.name for file in found[:5])}{' ...' if len(found) > 5 else ''}, expected {usual} or one file; name the files instead of the directory")
    return found[0] if found else None


def _files_of_index(index: pathlib.Path, places: Mapping[str, str], chosen: Mapping[str, str], alone: bool) -> list[pathlib.Path]:
    files: dict[pathlib.Path, Collection[str]] = {}
    for weight, name in sorted(chosen.items()):
        if name not in places:
            if not alone:
                continue  # another path may have it; the runtime says if none has
            raise RuntimeError(f"{index}: weight '{weight}' of the program is in none of its {len(set(places.values()))} files{_near(name, list(places))}")
        file = index.parent / places[name]
        if file not in files:
            if not file.is_file():
                raise RuntimeError(f"{file}: is missing, but {index.name} says that weight '{name}' is in it; copy the file there")
            files[file] = _native.module().safetensors_entries(os.fspath(file))
        if name not in files[file]:
            raise RuntimeError(f"{file}: has no weight '{name}', but {index.name} says that it has{_near(name, list(files[file]))}")
    return list(files)


def _weight_map(index: pathlib.Path) -> dict[str, str]:
    """File names by weight."""
    try:
        content = json.loads(index.read_bytes())
    except OSError as error:
        raise RuntimeError(f"{index}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RuntimeError(f"{index}: is not JSON ({error}); it is cut off or damaged, copy it again") from error
    places = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(places, dict):
        raise RuntimeError(f"{index}: has no object 'weight_map', expected one from weights to files")
    for name, file in places.items():
        if not isinstance(file, str) or not file.endswith(".safetensors") or os.path.basename(file) != file:
            raise RuntimeError(f"{index}: says that weight '{name}' is in {json.dumps(file)}, expected the name of a safetensors file beside the index")
    return places


def _near(name: str, known: list[str]) -> str:
    same_ending = [other for other in known if other.endswith("." + name) or name.endswith("." + other)]
    near = list(dict.fromkeys(same_ending + difflib.get_close_matches(name, known, n=3)))[:3]
    return f"; did you mean {' or '.join(repr(other) for other in near)}? `names` gives a weight another name" if near else ""


def mapped(files: Sequence[str], name: str, what: str) -> arrays.Pair:
    """A tensor of one of the files, mapped into memory. `what` begins the message of RuntimeError when none has it."""
    known: list[str] = []
    for file in files:
        entries = _native.module().safetensors_entries(file)
        if name in entries:
            return _mapped(file, *entries[name])
        known += entries
    raise RuntimeError(f"{what} is to come from '{name}', which is in none of {', '.join(files[:5])}{' ...' if len(files) > 5 else ''}{_near(name, known)}")


def all_mapped(file: str | os.PathLike) -> dict[str, arrays.Pair]:
    """The tensors of a file, mapped into memory."""
    return {name: _mapped(file, *entry) for name, entry in _native.module().safetensors_entries(os.fspath(file)).items()}


def _mapped(file: str | os.PathLike, dtype: str, shape: tuple[int, ...], begin: int) -> arrays.Pair:
    array_type = numpy.dtype(_ARRAY_TYPES[dtype])
    return dtype, numpy.empty(shape, array_type) if 0 in shape else numpy.memmap(file, array_type, "r", begin, shape)
