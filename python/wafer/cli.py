"""The commands of `python -m wafer`: compile, run, info, plan, train, compare, bench. Each is a few calls of the package."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import signal
import sys
from collections.abc import Callable, Sequence

import wafer
from wafer import _native, arrays
from wafer.bench import areas, show


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m wafer", description="Compile models for a wafer-scale machine and run them on the emulator.")
    commands = parser.add_subparsers(dest="command", required=True)

    compiling = commands.add_parser("compile", help="make an executable from a model")
    compiling.add_argument("model", help="MLIR text (.mlir), an ONNX model (.onnx) or a program saved by torch.export.save (.pt2)")
    compiling.add_argument("-o", "--output", required=True, help="the executable to write (.wexe)")
    compiling.add_argument("--machine", default="small", help="a preset or the path of a machine description (default: %(default)s)")
    compiling.add_argument("--precision", default="f16", choices=["f16", "bf16", "f32"], help="of values on the wafer (default: %(default)s)")
    compiling.add_argument("--weights", help="where to write the model's weights (.safetensors)")
    compiling.set_defaults(run=_compile)

    running = commands.add_parser("run", help="run an executable")
    running.add_argument("program", help="an executable (.wexe)")
    running.add_argument("--weights", action="append", default=[], help="a safetensors file or checkpoint directory with weights; may be repeated")
    running.add_argument("--input", action="append", default=[], metavar="NAME=FILE.npy", help="an input and the file it is in; may be repeated")
    running.add_argument("--output-dir", required=True, help="folder for the outputs, each as NAME.npy; it is made if it is not there")
    running.add_argument("--engine", default="functional", choices=["functional", "cycle"], help="(default: %(default)s)")
    running.add_argument("--threads", type=int, default=1, help="threads of the functional engine (default: %(default)s)")
    running.add_argument("--stats", help="file for what was counted, as JSON")
    running.set_defaults(run=_run)

    showing = commands.add_parser("info", help="say what an executable takes and gives, and where its operations run")
    showing.add_argument("program", help="an executable (.wexe)")
    showing.set_defaults(run=_info)

    planning = commands.add_parser("plan", help="say how fast a public model would be on a machine, from its shape alone")
    planning.add_argument("model", help="its name, such as llama2-7b; a wrong one lists all")
    planning.add_argument("--machine", default="wse3", help="a preset or the path of a machine description (default: %(default)s)")
    planning.add_argument("--systems", type=int, default=1, help="each with sequences of its own (default: %(default)s)")
    planning.add_argument("--train", action="store_true", help="a training step instead of a forward pass")
    planning.add_argument("--batch", type=int, default=16, help="sequences of a pass on one system (default: %(default)s)")
    planning.add_argument("--sequence", type=int, help="tokens of a sequence (default: the model's)")
    planning.add_argument("--layers", type=int, help="instead of the model's")
    planning.add_argument("--precision", default="f16", choices=["f16", "bf16", "f32"], help="of values on the wafer (default: %(default)s)")
    planning.add_argument("--json", action="store_true", help="print everything as JSON")
    planning.set_defaults(run=_plan)

    training = commands.add_parser("train", help="train a model as a YAML file says, or go on with it")
    training.add_argument("config", help="the file (docs/guides/training.md)")
    training.add_argument("--steps", type=int, help="batches to train on in all, instead of what the file says")
    training.set_defaults(run=_train)

    comparing = commands.add_parser("compare", help="run model families beside PyTorch and print a table; fails if one is further off than rounding explains")
    comparing.add_argument("families", nargs="*", metavar="FAMILY", help="which (default: all whose packages are installed)")
    comparing.add_argument("--size", default="small", choices=["tiny", "small"], help="of the models (default: %(default)s)")
    comparing.add_argument("--precision", action="append", choices=["f16", "bf16", "f32"], help="may be repeated (default: f32 and f16)")
    comparing.add_argument("--machine", default="small", help="a preset or the path of a machine description (default: %(default)s)")
    comparing.add_argument("--threads", type=int, default=1, help="of the engine and of PyTorch (default: %(default)s)")
    comparing.add_argument("--markdown", action="store_true", help="print the page docs/models.md")
    comparing.set_defaults(run=_compare)

    measuring = commands.add_parser("bench", help="print what something is worth, with the goal beside it")
    measuring.add_argument("what", choices=["all", *areas()], help="an area, or all of them as one table")
    measuring.add_argument("--size", type=int, action="append", help="sparsity: features in and out of the layers; may be repeated (default: 512 and 2048)")
    measuring.add_argument("--tokens", type=int, default=4096, help="sparsity: (default: %(default)s)")
    measuring.add_argument("--machine", default="small", help="sparsity: a preset or the path of a machine description (default: %(default)s)")
    measuring.set_defaults(run=_bench)
    return parser.parse_args(argv)


class _AllOrNone:
    """The files of a command: leaving with an error or by Ctrl-C removes those that were written, and folders that were made."""

    def __enter__(self) -> _AllOrNone:
        self._made: list[pathlib.Path] = []
        self._handlers = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def write(self, path: pathlib.Path, writer: Callable[..., None], *arguments: object) -> None:
        """Call `writer` with the path and the arguments; it makes the whole file or raises."""
        writer(os.fspath(path), *arguments)
        self._made.append(path)

    def make_folder(self, folder: pathlib.Path) -> pathlib.Path:
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        for path in reversed(missing):
            path.mkdir()
            self._made.append(path)
        if not folder.is_dir():
            raise wafer.RuntimeError(f"{folder}: is not a folder")
        return folder

    def __exit__(self, kind: type | None, *_: object) -> None:
        for path in reversed(self._made if kind else []):
            with contextlib.suppress(OSError):  # what cannot be removed stays; the error that led here is the one to tell
                if path.is_dir():
                    path.rmdir()
                elif path.is_file():  # and not a device
                    path.unlink()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)


def _compile(arguments: argparse.Namespace) -> None:
    model: object = pathlib.Path(arguments.model)
    if model.suffix == ".pt2":
        import torch

        try:
            model = torch.export.load(model)
        except Exception as error:  # a damaged file makes it raise nearly any type
            message = str(error).strip().partition("\n")[0]
            raise wafer.CompileError(f"{model}: torch.export cannot load it: {type(error).__name__}: {message}") from error
    program = wafer.compile(model, machine=arguments.machine, precision=arguments.precision)
    with _AllOrNone() as files:
        if arguments.weights:
            files.write(pathlib.Path(arguments.weights), program.save_weights)
        files.write(pathlib.Path(arguments.output), program.save)
    print(program.report())


def _run(arguments: argparse.Namespace) -> None:
    inputs = {}
    for given in arguments.input:
        name, equals, file = given.partition("=")
        if not (name and equals and file):
            raise wafer.RuntimeError(f"found '--input {given}', expected --input NAME=FILE.npy")
        inputs[name] = arrays.array_of(_native.module().read_npy(file))
    program = wafer.load(arguments.program, weights=arguments.weights or None)
    for name in (info.name for info in program.outputs):
        if name.startswith(".") or "/" in name or "\0" in name or not name:
            raise wafer.RuntimeError(f"output '{name}' has no name that a file can have")
    outputs = program.run(inputs, engine=arguments.engine, threads=arguments.threads)
    with _AllOrNone() as files:
        folder = files.make_folder(pathlib.Path(arguments.output_dir))
        for name, array in outputs.items():
            files.write(folder / f"{name}.npy", _native.module().write_npy, arrays.pair_of(array, f"output '{name}'"))
        if arguments.stats:
            text = json.dumps(program.stats.as_dict(), indent=2) + "\n"
            files.write(pathlib.Path(arguments.stats), _native.module().write_file, text.encode())
    print(program.stats)


def _info(arguments: argparse.Namespace) -> None:
    program = wafer.load(arguments.program)
    print(program.report())
    for kind, infos in (("inputs", program.inputs), ("outputs", program.outputs), ("weights", program.weights)):
        print(f"{kind}:")
        for info in infos:
            print(f"  {info.name}: {info.dtype}{list(info.shape)}")


def _plan(arguments: argparse.Namespace) -> None:
    from wafer.planning import plan
    from wafer.planning.shapes import blocks

    model = blocks(arguments.model, arguments.batch, arguments.sequence, arguments.layers)
    planned = plan(model, machine=arguments.machine, systems=arguments.systems, train=arguments.train, precision=arguments.precision)
    print(planned.json() if arguments.json else planned)


def _train(arguments: argparse.Namespace) -> None:
    from wafer.training.config import trainer_of

    trainer = trainer_of(arguments.config, **({} if arguments.steps is None else {"steps": arguments.steps}))
    try:
        results = trainer.fit()
    except KeyboardInterrupt as interrupt:
        saved = f"start it again to go on from the checkpoint in {trainer.folder}" if trainer.folder else "nothing was written, as the file names no folder for checkpoints"
        raise KeyboardInterrupt(f"interrupted after step {trainer.step.step}; {saved}") from interrupt
    if trainer.step.is_first:
        print(f"after step {trainer.step.step}: " + ", ".join(f"{name} {value:.5f}" for name, value in results.items()))


def _bench(arguments: argparse.Namespace) -> None:
    if arguments.what == "sparsity":
        from wafer.bench.sparsity import tables

        tables(arguments.size or [512, 2048], arguments.tokens, arguments.machine)
    else:
        show(areas() if arguments.what == "all" else [arguments.what])


def _compare(arguments: argparse.Namespace) -> None:
    from wafer.models import families, table

    known = families()
    if unknown := [name for name in arguments.families if name not in known]:
        raise wafer.WaferError(f"found no family '{unknown[0]}', expected one of {', '.join(known)}")
    chosen = [known[name] for name in arguments.families or known]
    for family in chosen:
        if not family.is_available:
            print(f"{family.name} needs the package {family.needs}, which is not installed", file=sys.stderr)
    if arguments.markdown:
        options = [*arguments.families, "--size", arguments.size]
        options += [part for precision in arguments.precision or () for part in ("--precision", precision)]
        options += ["--threads", str(arguments.threads)] if arguments.threads != 1 else []
        options.append("--markdown")
        print(table.page("python -m wafer compare " + " ".join(options), arguments.machine, arguments.size, arguments.threads))
    problems = table.compare_families(
        chosen,
        arguments.size,
        arguments.precision or ["f32", "f16"],
        machine=arguments.machine,
        threads=arguments.threads,
        markdown=arguments.markdown,
        say=lambda line: print(line, flush=True),
    )
    if problems:
        raise wafer.WaferError("\n".join(problems))


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; gives the exit code. Errors of the package and of files are one message on standard error."""
    try:
        arguments = _arguments(argv)
        arguments.run(arguments)
    except SystemExit as exit:  # argparse has written its message; its own code for a wrong argument is 2
        return 1 if exit.code else 0
    except wafer.CompileError as error:
        print(error, file=sys.stderr)  # begins with a place and says "error" itself
        return 1
    except (wafer.WaferError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except MemoryError:
        print("error: needs more memory than there is", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        print(str(interrupt) or "interrupted; nothing was written", file=sys.stderr)
        return 130
    return 0
