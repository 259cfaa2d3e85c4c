#!/usr/bin/env python3
"""Check the links between pages: each relative link leads to a file, each path in backticks that looks like one of ours is there, and docs/README.md links every page.

Prints what is wrong and exits 1.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
# Paths of the tree; patterns and what a build makes are not looked at.
PATH = re.compile(r"`((?:docs|include|lib|tools|python|test|unittests|utils|scripts|examples|machines|benchmarks)/[\w./-]*)`")
FENCE = re.compile(r"^```.*?^```", re.M | re.S)


def main() -> int:
    problems, links = [], 0
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
    indexed = set()
    for page in pages:
        text = FENCE.sub("", page.read_text())
        for target in LINK.findall(text):
            if "://" in target:
                continue
            links += 1
            path = (page.parent / target).resolve()
            if page == ROOT / "docs" / "README.md":
                indexed.add(path)
            if not path.exists():
                problems.append(f"{page.relative_to(ROOT)}: links {target}, which is not there")
        for target in PATH.findall(text):
            links += 1
            if not (ROOT / target).exists():
                problems.append(f"{page.relative_to(ROOT)}: names `{target}`, which is not there")
    problems += [f"docs/README.md: does not link {page.relative_to(ROOT)}" for page in pages
                 if page.is_relative_to(ROOT / "docs") and page.name != "README.md" and page not in indexed]
    print("\n".join(problems) if problems else f"{links} links in {len(pages)} pages lead somewhere")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
