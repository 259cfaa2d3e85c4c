"""Makes torch.export quicker for small graphs, for which it spends most of its time on lists that are the same each time.

PyTorch gives each of some 300 composite operations its own decomposition anew whenever a program is decomposed. Only those that are to stay whole need that;
the others decompose as they do without it.
"""

from __future__ import annotations

import functools

import torch
from torch._export import utils
from torch.export import decomp_utils, exported_program


@functools.cache
def install() -> None:
    """For this process and those that fork from it, from now on. Needs the pinned version of PyTorch, whose internals it replaces."""
    collect = functools.cache(utils._collect_all_valid_cia_ops)
    split = exported_program._split_decomp_table_to_cia_and_python_decomp

    def quick_split(table: dict[object, object]) -> tuple[dict, dict]:
        composite, python = split(table)
        return {op: call for op, call in composite.items() if call is utils._special_op_to_preserve_cia}, python

    for module in (utils, exported_program, decomp_utils):
        module._collect_all_valid_cia_ops = collect
    exported_program._split_decomp_table_to_cia_and_python_decomp = quick_split
    torch.set_num_threads(1)
    # The first export of a process takes a second.
    torch.export.export(torch.nn.Linear(2, 2), (torch.ones(2),)).run_decompositions(torch.export.default_decompositions())
