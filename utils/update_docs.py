#!/usr/bin/env python3
"""Keep command output quoted in docs true.

A fenced block that follows a line `<!-- output of: COMMAND -->` holds what COMMAND prints; `<!-- output of (from 'A' to 'B'): COMMAND -->` holds only the
lines from the first with A to the next with B. COMMAND `above` stands for the ```sh block right before the line, so that a reader sees what was run.
The commands of a page run one after another in the project's root, with build/bin first in PATH and DIR naming a folder that is empty at first.

    utils/update_docs.py --check [--bin DIR]     exits 1 and names the blocks that differ
    utils/update_docs.py --fix   [--bin DIR]     rewrites them
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(?P<head>(?:```sh\n(?P<above>(?:(?!```).)*?)```\n+)?<!-- output of(?: \(from '(?P<start>[^']*)' to '(?P<end>[^']*)'\))?: (?P<command>[^\n]+?) -->\n```[a-z]*\n)"
                   r"(?P<body>.*?)(?P<tail>```)", re.S)


def last_line(command: str) -> str:
    """Names a command of several lines in a message."""
    return command.strip().splitlines()[-1]


def output(command: str, start: str | None, end: str | None, bin_dir: str, folder: str) -> str:
    environment = dict(os.environ, PATH=f"{bin_dir}:{os.environ['PATH']}", DIR=folder)
    result = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"'{last_line(command)}' exited with {result.returncode}: {result.stderr.strip()}")
    lines = result.stdout.replace(folder, "$DIR").rstrip("\n").split("\n")
    if start is not None:
        first = next((i for i, line in enumerate(lines) if start in line), None)
        if first is None:
            raise RuntimeError(f"'{last_line(command)}' prints no line with '{start}'")
        last = next((i for i, line in enumerate(lines) if i > first and end in line), None)
        if last is None:
            raise RuntimeError(f"'{last_line(command)}' prints no line with '{end}' after the one with '{start}'")
        lines = lines[first : last + 1]
    return "\n".join(line.rstrip() for line in lines) + "\n"


class Page:
    """One page with its folder; counts its blocks and names those that differ."""

    def __init__(self, path: pathlib.Path, bin_dir: str):
        self.path, self.bin_dir = path, bin_dir
        self.text = path.read_text()
        self.blocks, self.stale = 0, []

    def fresh(self) -> str:
        with tempfile.TemporaryDirectory() as folder:
            return BLOCK.sub(lambda match: self.fresh_block(match, folder), self.text)

    def fresh_block(self, match: re.Match, folder: str) -> str:
        self.blocks += 1
        command = match["command"]
        if command == "above":
            if match["above"] is None:
                raise RuntimeError("'output of: above' has no ```sh block above it")
            command = match["above"].strip()
        body = output(command, match["start"], match["end"], self.bin_dir, folder)
        if body != match["body"]:
            self.stale.append(command)
        return match["head"] + body + match["tail"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", action="store_true")
    mode.add_argument("--fix", action="store_true")
    parser.add_argument("--bin", default=ROOT / "build" / "bin", type=lambda text: str(pathlib.Path(text).resolve()), help="folder of the tools (default: build/bin)")
    options = parser.parse_args()

    blocks = stale = 0
    failed = False
    for path in sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]):
        page = Page(path, options.bin)
        name = path.relative_to(ROOT)
        try:
            updated = page.fresh()
        except RuntimeError as error:
            print(f"{name}: {error}")
            failed = True
            continue
        blocks, stale = blocks + page.blocks, stale + len(page.stale)
        if options.check:
            for command in page.stale:
                print(f"{name}: output of '{last_line(command)}' differs; repair with utils/update_docs.py --fix")
        elif updated != page.text:
            path.write_text(updated)
    if not failed and (options.fix or not stale):
        print(f"{blocks} quoted outputs, {stale} {'rewritten' if options.fix else 'stale'}")
    return 1 if failed or (options.check and stale) else 0


if __name__ == "__main__":
    sys.exit(main())
