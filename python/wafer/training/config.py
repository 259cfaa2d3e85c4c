"""A training run as a YAML file: `python -m wafer train config.yaml`.

    model: {import: wafer.models.gpt2:GPT2, vocabulary: 96, length: 64, width: 128, layers: 5, heads: 4}
    data: {import: wafer.data:characters, files: [text.txt], context: 64, batch: 8}
    loss: wafer.training.losses:next_token
    optimizer: {name: AdamW, lr: {schedule: cosine, peak: 0.001, steps: 1000, warmup: 50}, weight_decay: 0.1, clip_norm: 1.0}
    steps: 1000
    evaluate_every: 100
    checkpoints: checkpoints/

`import` names something of Python, "module:name"; what stands beside it are its arguments. Data is batches, or a pair of those to train with and those to
evaluate on. What else there may be is in `KEYS`; a file is checked before anything runs.
"""

from __future__ import annotations

import difflib
import importlib
import os
import pathlib
import sys
from collections.abc import Mapping

import yaml

from wafer import optim
from wafer.errors import CompileError, Diagnostic, SourceLocation
from wafer.training.rules import Rule
from wafer.training.trainer import Trainer

_STR, _INT, _MAP = "a text", "a whole number", "a mapping"

# Keys of a file, and what their values are.
KEYS = {
    "model": _MAP, "data": _MAP, "loss": _STR, "optimizer": _MAP, "metrics": _MAP, "steps": _INT, "evaluate_every": _INT, "checkpoints": _STR,
    "checkpoint_every": _INT, "keep": _INT, "log": _STR, "machine": _STR, "precision": _STR, "systems": _INT, "shards": _INT, "reduction": _STR, "seed": _INT,
    "engine": _STR, "threads": _INT, "weights": _STR, "memoryx_dram": _INT, "memoryx_flash": _STR,
}  # fmt: skip
_REQUIRED = ("model", "data", "optimizer", "steps")
_PATHS = ("checkpoints", "log", "weights", "memoryx_flash")
_TYPES = {_STR: str, _INT: int, _MAP: dict}


class _Node:
    """A value of the file and where it stands. `of(key)` and `items()` go into a mapping."""

    def __init__(self, file: str, node: yaml.Node, what: str):
        self._file, self._node, self.what = file, node, what
        self.value = _constructed(node)

    def error(self, message: str) -> CompileError:
        mark = self._node.start_mark
        return CompileError(Diagnostic("error", message, SourceLocation(self._file, mark.line + 1, mark.column + 1)))

    def items(self) -> dict[str, _Node]:
        found: dict[str, _Node] = {}
        for key, value in self._node.value:
            name = str(key.value)
            child = _Node(self._file, value, f"{self.what}.{name}" if self.what else name)
            if name in found:
                raise child.error(f"found '{child.what}' twice")
            found[name] = child
        return found

    def expect(self, kind: str) -> _Node:
        if not isinstance(self.value, _TYPES[kind]) or isinstance(self.value, bool):
            raise self.error(f"'{self.what}' is {self.value!r}, expected {kind}")
        return self


def _constructed(node: yaml.Node) -> object:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


def trainer_of(path: str | os.PathLike, **overrides: object) -> Trainer:
    """The Trainer that a file describes; paths in it are relative to its folder, modules are looked for there too.

    Raises: CompileError that names line and column for whatever is not as it should be.
    """
    file = pathlib.Path(path)
    try:
        node = yaml.compose(file.read_text(encoding="utf-8"), yaml.SafeLoader)
    except OSError as error:
        raise CompileError(f"{file}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        place = SourceLocation(str(file), mark.line + 1, mark.column + 1) if mark else SourceLocation(str(file), 1, 1)
        raise CompileError(Diagnostic("error", f"is not YAML: {getattr(error, 'problem', None) or error}", place)) from error
    if not isinstance(node, yaml.MappingNode):
        raise CompileError(f"{file}: holds no mapping, expected the keys {', '.join(_REQUIRED)}")
    root = _Node(str(file), node, "")
    keys = _checked(root)
    sys.path.insert(0, str(file.parent.resolve()))
    try:
        return _made(keys, file.parent, overrides)
    finally:
        sys.path.pop(0)


def _checked(root: _Node) -> dict[str, _Node]:
    keys = root.items()
    for name, value in keys.items():
        if name not in KEYS:
            near = difflib.get_close_matches(name, KEYS, n=1)
            raise value.error(f"found the key '{name}', expected {f'perhaps {near[0]!r}' if near else 'one of ' + ', '.join(KEYS)}")
        value.expect(KEYS[name])
    for name in _REQUIRED:
        if name not in keys:
            raise root.error(f"found no key '{name}', expected {', '.join(_REQUIRED)}")
    return keys


def _made(keys: Mapping[str, _Node], folder: pathlib.Path, overrides: Mapping[str, object]) -> Trainer:
    data = _called(keys["data"])
    training, evaluation = data if isinstance(data, tuple) else (data, None)
    model = _called(keys["model"])
    loss = _imported(keys["loss"]) if "loss" in keys else _cross_entropy
    metrics = {name: _imported(value.expect(_STR)) for name, value in keys["metrics"].items().items()} if "metrics" in keys else None
    special = ("model", "data", "loss", "optimizer", "metrics")
    options = {name: value.value for name, value in keys.items() if name not in special}
    options |= {name: os.fspath(folder / options[name]) for name in _PATHS if name in options}
    return Trainer(model, loss, _rule(keys["optimizer"]), training, evaluation=evaluation, metrics=metrics, **options | overrides)


def _cross_entropy(output, target):
    from torch.nn.functional import cross_entropy

    return cross_entropy(output, target)


def _imported(node: _Node) -> object:
    module, colon, name = node.value.partition(":")
    if not (module and colon and name):
        raise node.error(f"'{node.what}' is '{node.value}', expected module:name")
    try:
        found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise node.error(f"'{node.value}' cannot be imported: {error}") from error
    return found


def _called(node: _Node) -> object:
    parts = node.items()
    if "import" not in parts:
        raise node.error(f"'{node.what}' has no 'import', expected import: module:name and its arguments beside it")
    function = _imported(parts.pop("import").expect(_STR))
    try:
        return function(**{name: value.value for name, value in parts.items()})
    except Exception as error:  # it is the user's code
        raise node.error(f"'{node.what}' cannot be made: {type(error).__name__}: {error}") from error


def _rule(node: _Node) -> Rule:
    parts = node.items()
    if "name" not in parts:
        raise node.error("'optimizer' has no 'name', expected e.g. name: AdamW")
    name = parts.pop("name").expect(_STR)
    make = getattr(optim, name.value, None) if name.value in optim.__all__ else None
    if not callable(make):
        raise name.error(f"found the optimizer '{name.value}', expected a rule of wafer.optim such as AdamW, SGD, Lion")
    try:
        return make(**{key: _hyperparameter(value) for key, value in parts.items()})
    except TypeError as error:
        raise node.error(str(error)) from error


def _hyperparameter(node: _Node) -> object:
    if not isinstance(node.value, dict):
        return node.value
    parts = node.items()
    schedule = parts.pop("schedule", None)
    known = {name: getattr(optim, name) for name in ("cosine", "exponential", "linear", "piecewise")}
    if schedule is None or schedule.value not in known:
        raise node.error(f"'{node.what}' is a mapping without one of the schedules {', '.join(known)}, expected e.g. {{schedule: cosine, peak: 0.001, steps: 1000}}")
    try:
        return known[schedule.value](**{key: value.value for key, value in parts.items()})
    except TypeError as error:
        raise node.error(f"'{node.what}': {error}") from error
