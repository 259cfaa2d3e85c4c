"""`damage.py GOOD.wexe DAMAGED.wexe OUT`: cuts the file and flips single bits, and dumps it to OUT.

A cut has to be refused. A flipped bit may leave a good program, which then is the text of one; else it is refused. A refusal is exit code 1, one line that
names the file and the rule, and no OUT.
"""

import pathlib
import re
import subprocess
import sys

good, damaged, out = pathlib.Path(sys.argv[1]).read_bytes(), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
PLACES = 24


def is_refused(data, what):
    damaged.write_bytes(data)
    out.unlink(missing_ok=True)
    run = subprocess.run(["wafer-objdump", str(damaged), "-o", str(out)], capture_output=True, text=True)
    if run.returncode == 0:
        assert out.read_text().startswith("wexe\n"), what
        out.unlink()
        return False
    assert run.returncode == 1 and not out.exists(), f"{what}: exit code {run.returncode}"
    assert re.fullmatch(rf"error: {re.escape(str(damaged))}: .*\([a-z]+_c\d+\)(; use --no-verify to see the program)?\n", run.stderr), f"{what}: {run.stderr}"
    return True


cuts = [len(good) * i // PLACES for i in range(PLACES)]
for size in cuts:
    assert is_refused(good[:size], f"cut to {size} bytes"), f"accepted when cut to {size} of {len(good)} bytes"
print(len(cuts), "cuts refused")

refused = 0
for i in range(PLACES):
    place, bit = len(good) * (2 * i + 1) // (2 * PLACES), i % 8
    data = bytearray(good)
    data[place] ^= 1 << bit
    refused += is_refused(bytes(data), f"bit {bit} of byte {place} flipped")
print(refused, "flipped bits refused")
