"""What is going on, on a terminal: a line that says which step runs and for how long."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def steps(enabled: bool | None) -> Iterator[Callable[[str], None]]:
    """Gives a function that names the step that begins. `enabled` None: if standard error is a terminal and rich is installed."""
    if enabled is None:
        enabled = sys.stderr.isatty()
    if not enabled:
        yield lambda step: None
        return
    try:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    except ImportError:
        yield lambda step: print(f"{step} ...", file=sys.stderr)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda step: progress.reset(task, description=step, total=None)
