"""`compare.py EXPECTED.npy FOLDER TOLERANCE MACS`: both engines, whose results are in FOLDER, gave the expected outputs and counted the same MACs. A run without
zeros to pass over executed at least MACS.

The tolerance is a part of the largest expected number: an element's rounding errors are as large as the numbers that were added to make it.
"""

import json
import pathlib
import sys

import numpy

expected, folder, tolerance, dense_macs = numpy.load(sys.argv[1]), pathlib.Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
y = numpy.load(folder / "functional" / "y.npy").astype("f8")
assert y.shape == expected.shape, f"found shape {y.shape}, expected {expected.shape}"
error = numpy.abs(y - expected).max() / numpy.abs(expected).max()
assert error <= tolerance, f"{folder.name}: relative error {error}, expected at most {tolerance}"

functional, cycle = (json.loads((folder / f"{engine}.json").read_text()) for engine in ("functional", "cycle"))
macs = [stats["total"]["macs"] for stats in (functional, cycle)]
assert macs[0] == macs[1], f"{folder.name}: found {macs[0]} MACs on the functional engine and {macs[1]} on the cycle engine"
skips = any(step["skips_input_zeros"] for phase in cycle["phases"] for step in phase.get("steps", []))
assert skips or macs[0] >= dense_macs, f"{folder.name}: found {macs[0]} MACs, expected at least the model's {dense_macs}"
print(f"{folder.name}: relative error {error:.2g}, MACs: {macs[0]} on both engines")
print("ran in MemoryX:", sum(phase["placement"] == "memoryx" for phase in cycle["phases"]), "phases")
