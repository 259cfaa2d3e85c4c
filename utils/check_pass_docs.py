#!/usr/bin/env python3
"""Check that every pass says what it does and shows it.

Each pass of include/wafer/**/Transforms/Passes.td and include/wafer/Conversion/*.td has a summary, a description, and in the description a line
`Example: PATH` that names a file in which the pass is run. A pass that is registered without a .td file cannot be documented and is reported too. Prints what
is missing and exits 1.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PASS = re.compile(r'^def\s+\w+\s*:\s*(?:Interface)?Pass<"(?P<flag>[^"]+)"(?P<body>.*?)^}', re.M | re.S)
SUMMARY = re.compile(r'let summary = "[^"]+"')
DESCRIPTION = re.compile(r"let description = \[\{(.*?)\}\]", re.S)
EXAMPLE = re.compile(r"^\s*Example: (\S+)\s*$", re.M)
# A pass class written by hand names its flag in C++.
BY_HAND = re.compile(r'getArgument\(\)\s*const\s*(?:final|override)?\s*{\s*return\s*"([^"]+)"')


def problems_of(flag: str, body: str) -> list[str]:
    description = DESCRIPTION.search(body)
    found = [] if SUMMARY.search(body) else ["has no summary"]
    if description is None or not EXAMPLE.sub("", description[1]).strip():
        return found + ["has no description"]
    example = EXAMPLE.search(description[1])
    if example is None:
        return found + ["has no line 'Example: PATH' in its description"]
    path = ROOT / example[1]
    if not path.is_file():
        return found + [f"names the example {example[1]}, which is not there"]
    if not re.search(rf"\b{re.escape(flag)}\b(?!-)", path.read_text()):
        return found + [f"names the example {example[1]}, which does not run it"]
    return found


def main() -> int:
    problems, passes = [], 0
    files = sorted([*ROOT.glob("include/wafer/**/Transforms/Passes.td"), *ROOT.glob("include/wafer/Conversion/*.td")])
    for path in files:
        for match in PASS.finditer(path.read_text()):
            passes += 1
            problems += [f"{path.relative_to(ROOT)}: '{match['flag']}' {problem}" for problem in problems_of(match["flag"], match["body"])]
    for path in sorted(ROOT.glob("lib/**/*.cpp")):
        problems += [f"{path.relative_to(ROOT)}: '{flag}' has no .td file; describe it in one under include/wafer" for flag in BY_HAND.findall(path.read_text())]
    if passes == 0:
        problems.append("found no passes; are the .td files elsewhere now?")
    print("\n".join(problems) if problems else f"{passes} passes have a description and an example")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
