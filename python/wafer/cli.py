"""The commands of `python -m wafer`: compile, run, info, compare. Each is a few calls of the package."""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
from collections.abc import Sequence

import numpy

import wafer


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m wafer", description="Compile models for a wafer-scale machine and run them on the emulator.")
    commands = parser.add_subparsers(dest="command", required=True)

    compiling = commands.add_parser("compile", help="make an executable from a model")
    compiling.add_argument("model", help="MLIR text (.mlir) or a program saved by torch.export.save (.pt2)")
    compiling.add_argument("-o", "--output", required=True, help="the executable to write (.wexe)")
    compiling.add_argument("--machine", default="small", help="a preset or the path of a machine description (default: %(default)s)")
    compiling.add_argument("--precision", default="f16", choices=["f16", "bf16", "f32"], help="of values on the wafer (default: %(default)s)")
    compiling.add_argument("--weights", help="where to write the model's weights (.safetensors)")
    compiling.set_defaults(run=_compile)

    running = commands.add_parser("run", help="run an executable")
    running.add_argument("program", help="an executable (.wexe)")
    running.add_argument("--weights", action="append", default=[], help="a safetensors file with weights; may be repeated")
    running.add_argument("--input", action="append", default=[], metavar="NAME=FILE.npy", help="an input and the file it is in; may be repeated")
    running.add_argument("--output-dir", required=True, help="folder for the outputs, each as NAME.npy; it is made if it is not there")
    running.add_argument("--engine", default="functional", choices=["functional", "cycle"], help="(default: %(default)s)")
    running.add_argument("--threads", type=int, default=1, help="threads of the functional engine (default: %(default)s)")
    running.add_argument("--stats", help="file for what was counted, as JSON")
    running.set_defaults(run=_run)

    showing = commands.add_parser("info", help="say what an executable takes and gives, and where its operations run")
    showing.add_argument("program", help="an executable (.wexe)")
    showing.set_defaults(run=_info)

    comparing = commands.add_parser("compare", help="run model families beside PyTorch and print a table; fails if one is further off than rounding explains")
    comparing.add_argument("families", nargs="*", metavar="FAMILY", help="which (default: all whose packages are installed)")
    comparing.add_argument("--size", default="small", choices=["tiny", "small"], help="of the models (default: %(default)s)")
    comparing.add_argument("--precision", action="append", choices=["f16", "bf16", "f32"], help="may be repeated (default: f32 and f16)")
    comparing.add_argument("--machine", default="small", help="a preset or the path of a machine description (default: %(default)s)")
    comparing.add_argument("--threads", type=int, default=1, help="of the engine and of PyTorch (default: %(default)s)")
    comparing.add_argument("--markdown", action="store_true", help="print the page docs/models.md")
    comparing.set_defaults(run=_compare)
    return parser.parse_args(argv)


def _compile(arguments: argparse.Namespace) -> None:
    model: object = pathlib.Path(arguments.model)
    if model.suffix == ".pt2":
        import torch

        model = torch.export.load(model)
    program = wafer.compile(model, machine=arguments.machine, precision=arguments.precision)
    if arguments.weights:
        program.save_weights(arguments.weights)
    program.save(arguments.output)
    print(program.report())


def _run(arguments: argparse.Namespace) -> None:
    inputs = {}
    for given in arguments.input:
        name, equals, file = given.partition("=")
        if not (name and equals and file):
            raise wafer.RuntimeError(f"found '--input {given}', expected --input NAME=FILE.npy")
        inputs[name] = numpy.load(file)
    program = wafer.load(arguments.program, weights=arguments.weights or None)
    outputs = program.run(inputs, engine=arguments.engine, threads=arguments.threads)
    folder = pathlib.Path(arguments.output_dir)
    for name in outputs:
        if name.startswith(".") or "/" in name:
            raise wafer.RuntimeError(f"output '{name}' has no name that a file can have")
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in outputs.items():
        numpy.save(folder / f"{name}.npy", array)
    if arguments.stats:
        pathlib.Path(arguments.stats).write_text(json.dumps(program.stats.as_dict(), indent=2) + "\n")
    print(program.stats)


def _info(arguments: argparse.Namespace) -> None:
    program = wafer.load(arguments.program)
    print(program.report())
    for kind, infos in (("inputs", program.inputs), ("outputs", program.outputs), ("weights", program.weights)):
        print(f"{kind}:")
        for info in infos:
            print(f"  {info.name}: {info.dtype}{list(info.shape)}")


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
    arguments = _arguments(argv)
    try:
        arguments.run(arguments)
    except (wafer.WaferError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
