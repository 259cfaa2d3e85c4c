#!/usr/bin/env python3
"""Check that every labelled rule has its three sides: a specification, an enforcement and a test.

A label looks like route_c1. It is specified in docs/spec/*.md or in a .td description, enforced where a source file under lib/ names it, and tested where a
file under test/ or unittests/ names it. Prints the labels that miss a side and exits 1.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LABEL = re.compile(r"\b([a-z]+_c[0-9]+)\b")
TEST_NAME = re.compile(r"([a-z]+_c[0-9]+)")

# Rules that hold by construction, with the reason; there is nothing to enforce at one place.
BY_CONSTRUCTION: dict[str, str] = {
}


def labels(patterns: list[str], expression: re.Pattern = LABEL) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for pattern in patterns:
        for path in ROOT.glob(pattern):
            if path.is_file():
                for label in expression.findall(path.read_text(errors="replace")):
                    found.setdefault(label, set()).add(str(path.relative_to(ROOT)))
    return found


def main() -> int:
    specified = labels(["docs/spec/*.md", "include/wafer/Dialect/**/*.td"])
    enforced = labels(["lib/**/*.cpp", "lib/**/*.h", "lib/**/*.inc", "tools/wafer-tblgen/*.cpp"])
    tested = labels(["test/**/*.mlir", "test/**/*.td", "test/**/*.ws", "test/**/*.py", "unittests/**/*.cpp", "python/tests/*.py"], TEST_NAME)
    problems = []
    for label in sorted(set(specified) | set(enforced)):
        if label in BY_CONSTRUCTION:
            continue
        missing = [side for side, where in (("specification", specified), ("enforcement", enforced), ("test", tested)) if label not in where]
        if missing:
            seen = sorted(specified.get(label, set()) | enforced.get(label, set()) | tested.get(label, set()))
            problems.append(f"{label}: no {' and no '.join(missing)} (seen in {', '.join(seen)})")
    print("\n".join(problems) if problems else f"{len(specified)} rules are specified, enforced and tested")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
