#!/usr/bin/env python3
"""Check who may include whom, from the #include lines.

The arrows are those of docs/rationale/layers.md. Prints each include that goes against an arrow and exits 1; prints a summary otherwise.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Folder under include/wafer and lib -> folders it may include besides itself. Order: from the bottom up.
MAY_INCLUDE = {
    "Isa": set(),
    "Machine": {"Isa"},
    "Executable": {"Isa", "Machine"},
    "Emulator": {"Isa", "Machine", "Executable"},
    "Runtime": {"Isa", "Machine", "Executable", "Emulator"},
    "Dialect/PE": {"Isa"},
    "Dialect/Graph": set(),
    "Dialect/Stream": {"Isa"},
    "Dialect/Wafer": {"Isa", "Machine", "Dialect/PE", "Dialect/Stream"},
    "Analysis": {"Machine", "Dialect/Graph", "Dialect/Stream"},
    # Passes know more than the dialect they belong to.
    "Dialect/Graph/Transforms": {"Machine", "Analysis", "Dialect/Graph", "Dialect/Stream"},
    "Dialect/Stream/Transforms": {"Machine", "Analysis", "Dialect/Stream"},
    "Dialect/Wafer/Transforms": {"Isa", "Machine", "Analysis", "Dialect/PE", "Dialect/Stream", "Dialect/Wafer"},
    "Conversion": {"Isa", "Machine", "Analysis", "Dialect/Graph", "Dialect/Stream", "Dialect/Wafer", "Dialect/PE"},
    "Target": {"Isa", "Machine", "Executable", "Dialect/Stream", "Dialect/Wafer", "Dialect/PE"},
    "Pipelines": {"Isa", "Machine", "Executable", "Analysis", "Conversion", "Target", "Dialect/Graph", "Dialect/Stream", "Dialect/Wafer", "Dialect/PE",
                  "Dialect/Graph/Transforms", "Dialect/Stream/Transforms", "Dialect/Wafer/Transforms"},
    "Compute": {"Runtime", "Executable"},
}
NO_LLVM = {"Isa", "Machine", "Executable", "Emulator", "Runtime"}
INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]', re.M)


def folder_of(path: str) -> str | None:
    """'Dialect/Stream/IR/X.h' -> 'Dialect/Stream', 'Dialect/Stream/Transforms/X.h' -> 'Dialect/Stream/Transforms'; None for files that lie directly in
    include/wafer or lib."""
    parts = path.split("/")
    if len(parts) < 2:
        return None
    if parts[0] != "Dialect":
        return parts[0]
    return "/".join(parts[:3] if parts[2] == "Transforms" else parts[:2])


def main() -> int:
    wrong = []
    files = 0
    for base in ("include/wafer", "lib"):
        for path in sorted((ROOT / base).rglob("*")):
            if path.suffix not in {".h", ".cpp", ".inc"}:
                continue
            folder = folder_of(str(path.relative_to(ROOT / base)))
            if folder is None:
                continue
            if folder not in MAY_INCLUDE:
                wrong.append(f"{path.relative_to(ROOT)}: folder '{folder}' is not in utils/check_layers.py; add it with what it may include")
                continue
            files += 1
            for included in INCLUDE.findall(path.read_text()):
                if folder in NO_LLVM and included.split("/")[0] in {"llvm", "mlir"}:
                    wrong.append(f"{path.relative_to(ROOT)}: includes {included}, but {folder} has no LLVM in it")
                if not included.startswith("wafer/"):
                    continue
                target = folder_of(included.removeprefix("wafer/"))
                if target and target != folder and target not in MAY_INCLUDE[folder]:
                    wrong.append(f"{path.relative_to(ROOT)}: includes {included}, but {folder} may only include {', '.join(sorted(MAY_INCLUDE[folder])) or 'itself'}")
    print("\n".join(wrong) if wrong else f"{files} files keep the layers")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
