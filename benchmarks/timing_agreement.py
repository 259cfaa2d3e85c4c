#!/usr/bin/env python3
"""The timing engine beside the cycle engine: cycles of generated programs on several grids, and how long either took.

    PYTHONPATH=build/python python benchmarks/timing_agreement.py [--count 60] [--machine tiny --machine odd --machine small --machine tall-8x80-1]

A machine tall-8x80-1 has 8 columns, 80 rows, and a link of one wavelet per cycle to MemoryX and back; with rows this many the timing engine leaves some out.
"""

import argparse

from wafer.bench.agreement import TALL_MACHINES, percentiles, timed_programs


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the timing engine with the cycle engine.")
    parser.add_argument("--count", type=int, default=60, help="programs (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first one (default: %(default)s)")
    parser.add_argument("--machine", action="append", help="presets or descriptions to take turns (default: tiny, odd, small, tall-8x80-1, tall-12x40-2)")
    arguments = parser.parse_args()
    # Where zeros of activations are skipped, the timing engine knows their mean share only.
    errors, by_cycle, by_timing = {False: [], True: []}, 0.0, 0.0
    for each in timed_programs(arguments.count, arguments.first, arguments.machine or TALL_MACHINES):
        by_cycle, by_timing = by_cycle + each.seconds[0], by_timing + each.seconds[1]
        errors[each.skips].append(each.error)
        if not each.skips and (each.error > 0.01 or not each.has_macs):
            print(f"{each.what}: {each.cycles} cycles, {each.timed} by the timing engine ({100 * each.error:.2f} %)")
    for skips, found in errors.items():
        if not found:
            continue
        found.sort()
        median, most = percentiles(found)
        print(f"{len(found)} programs {'that skip zeros of activations' if skips else 'without zeros to skip'}: median error {median:.3f} %, "
              f"99th percentile {most:.2f} %, largest {100 * found[-1]:.2f} %, within 1 %: {sum(error <= 0.01 for error in found)}")
    print(f"cycle engine {by_cycle:.1f} s, timing engine {by_timing:.1f} s")


if __name__ == "__main__":
    main()
