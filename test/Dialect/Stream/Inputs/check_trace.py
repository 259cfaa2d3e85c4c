"""Check that each segment's choice in a decision trace is the cheapest candidate that fits."""

import json
import sys

candidates: dict[tuple, list[dict]] = {}
choices: dict[tuple, dict] = {}
for line in open(sys.argv[1]):
    entry = json.loads(line)
    place = (entry["program"], entry["segment"])
    if entry["chosen"]:
        assert place not in choices, f"two choices for {place}"
        choices[place] = entry
    else:
        candidates.setdefault(place, []).append(entry)

assert choices and choices.keys() == candidates.keys()
for place, choice in choices.items():
    fitting = [c for c in candidates[place] if c["fits"]]
    assert choice["fits"] and choice["sram_bytes"] <= 49152
    assert choice["cycles"] == min(c["cycles"] for c in fitting), place
    equal = [c for c in fitting if c["cycles"] == choice["cycles"]]
    assert choice["padded_tokens"] == min(c["padded_tokens"] for c in equal), place
