#!/usr/bin/env python3
"""Keep command output quoted in docs true.

A fenced block that follows a line `<!-- output of: COMMAND -->` holds what COMMAND prints; `<!-- output of (from 'A' to 'B'): COMMAND -->` holds only the
lines from the first with A to the next with B. Commands run
in the project's root with build/bin first in PATH.

    utils/update_docs.py --check [--bin DIR]     exits 1 and names the blocks that differ
    utils/update_docs.py --fix   [--bin DIR]     rewrites them
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(<!-- output of(?: \(from '(?P<start>[^']*)' to '(?P<end>[^']*)'\))?: (?P<command>.+?) -->\n```[a-z]*\n)(?P<body>.*?)(```)", re.S)


def output(command: str, start: str | None, end: str | None, bin_dir: str) -> str:
    environment = dict(os.environ, PATH=f"{bin_dir}:{os.environ['PATH']}")
    result = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"'{command}' exited with {result.returncode}: {result.stderr.strip()}")
    lines = result.stdout.rstrip("\n").split("\n")
    if start is not None:
        first = next((i for i, line in enumerate(lines) if start in line), None)
        if first is None:
            raise RuntimeError(f"'{command}' prints no line with '{start}'")
        last = next((i for i, line in enumerate(lines) if i > first and end in line), len(lines) - 1)
        lines = lines[first : last + 1]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", action="store_true")
    mode.add_argument("--fix", action="store_true")
    parser.add_argument("--bin", default=str(ROOT / "build" / "bin"), help="folder of the tools (default: build/bin)")
    options = parser.parse_args()

    stale = blocks = 0
    for path in sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]):
        text = path.read_text()

        def replace(match: re.Match) -> str:
            nonlocal stale, blocks
            blocks += 1
            fresh = output(match["command"], match["start"], match["end"], options.bin)
            if fresh != match["body"]:
                stale += 1
                if options.check:
                    print(f"{path.relative_to(ROOT)}: output of '{match['command']}' differs; repair with utils/update_docs.py --fix")
            return match[1] + fresh + match[6]

        updated = BLOCK.sub(replace, text)
        if options.fix and updated != text:
            path.write_text(updated)
    if options.fix or not stale:
        print(f"{blocks} quoted outputs, {stale} {'rewritten' if options.fix else 'stale'}")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
