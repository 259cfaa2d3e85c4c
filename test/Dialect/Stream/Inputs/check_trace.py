"""Check that each program's choice in a decision trace is the cheapest candidate that fits."""

import json
import sys

candidates: dict[str, list[dict]] = {}
choices: dict[str, dict] = {}
for line in open(sys.argv[1]):
    entry = json.loads(line)
    if entry["chosen"]:
        assert entry["program"] not in choices, f"two choices for {entry['program']}"
        choices[entry["program"]] = entry
    else:
        candidates.setdefault(entry["program"], []).append(entry)

assert choices and choices.keys() == candidates.keys()
for program, choice in choices.items():
    fitting = [c for c in candidates[program] if c["fits"]]
    assert choice["fits"] and choice["sram_bytes"] <= 49152
    assert choice["cycles"] == min(c["cycles"] for c in fitting), program
    equal = [c for c in fitting if c["cycles"] == choice["cycles"]]
    assert choice["padded_tokens"] == min(c["padded_tokens"] for c in equal), program
