#!/usr/bin/env python3
"""Gradient of each differentiable operation against PyTorch's autograd, and the bits of both engines.

    PYTHONPATH=build/python python benchmarks/gradients.py

The cases are those of the tests (python/tests/gradient_cases.py); a case is right when each of its gradients is within 2e-5 of PyTorch's, relative to its
largest element.
"""

import pathlib
import sys

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "python" / "tests"))

import gradient_cases
from test_training_gradients import of_kind


def main() -> int:
    total = right = same = 0
    print("kind           operations  right  same bits on both engines")
    for kind, cases in gradient_cases.CASES.items():
        functional, cycle = of_kind(kind), of_kind(kind, "cycle")
        names_right = names_same = 0
        for place, name in enumerate(cases):
            own = [key for key in functional if key.startswith(f"parameter_lists.{place}.")]
            near = all(abs(functional[key][0] - functional[key][1]).max() <= 2e-5 * max(1, abs(functional[key][1]).max()) for key in own)
            equal = all(numpy.array_equal(functional[key][0].numpy().view(numpy.int32), cycle[key][0].numpy().view(numpy.int32)) for key in own)
            names_right += bool(own) and bool(near)
            names_same += equal
            if not (own and near and equal):
                print(f"  {name}: {'' if own and near else 'wrong '}{'' if equal else 'engines differ'}")
        print(f"{kind:14} {len(cases):10}  {names_right:5}  {names_same:5}", flush=True)
        total, right, same = total + len(cases), right + names_right, same + names_same
    print(f"{'all':14} {total:10}  {right:5}  {same:5}")
    return 0 if right == same == total else 1


if __name__ == "__main__":
    sys.exit(main())
