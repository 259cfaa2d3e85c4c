#!/usr/bin/env python3
"""The cost model by which grids are compared and models are planned, beside the timing engine: cycles of generated programs.

    PYTHONPATH=build/python python benchmarks/cost_model.py [--count 500] [--machine tiny --machine odd --machine small]
"""

import argparse
import statistics

from wafer.bench.agreement import MACHINES, modelled_programs, percentiles


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the cost model with the timing engine.")
    parser.add_argument("--count", type=int, default=500, help="programs (default: %(default)s)")
    parser.add_argument("--machine", action="append", help="presets or descriptions to take turns (default: tiny, odd, small)")
    arguments = parser.parse_args()
    errors: dict[str, list[float]] = {}
    for kind, error in modelled_programs(arguments.count, arguments.machine or MACHINES):
        errors.setdefault(kind, []).append(error)
    for kind, found in sorted(errors.items()):
        print(f"{kind:>10}: {len(found)} programs, median {100 * statistics.median(found):+.1f} %, from {100 * min(found):+.1f} to {100 * max(found):+.1f} %")
    sizes = sorted(abs(error) for found in errors.values() for error in found)
    median, most = percentiles(sizes)
    print(f"{len(sizes)} programs: median error {median:.1f} %, 99th percentile {most:.1f} %; goals 2 % and 8 %")


if __name__ == "__main__":
    main()
