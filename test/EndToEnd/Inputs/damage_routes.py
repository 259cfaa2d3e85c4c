"""`damage_routes.py MODEL.ws OUT.wexe`: takes each route of a program away, and gives each a second sender; wafer-objdump refuses all and names the channel."""

import pathlib
import re
import subprocess
import sys


def error_of(lines):
    run = subprocess.run(["wafer-objdump", "--assemble", "-", "-o", sys.argv[2]], input="\n".join(lines) + "\n", capture_output=True, text=True)
    assert run.returncode == 1, f"exit code {run.returncode}: {run.stderr}"
    return run.stderr


lines = pathlib.Path(sys.argv[1]).read_text().splitlines()
routes = [number for number, line in enumerate(lines) if line.startswith("route ")]
for number in routes:
    channel = lines[number].split()[1]
    error = error_of(lines[:number] + lines[number + 1 :])
    assert channel in error and re.search(r"\((route|exe)_c\d+\)", error), f"without '{lines[number]}': {error}"

    second = re.sub(r"rx=\w+ tx=.*", "rx=N tx=[RAMP]" if "rx=RAMP" in lines[number] else "rx=RAMP tx=[S]", lines[number])
    error = error_of(lines[: number + 1] + [second] + lines[number + 1 :])
    assert f"is a second sender into {channel}" in error and "(route_c1)" in error, f"with '{second}': {error}"
print(f"refused {len(routes)} programs that lost a route and as many with a second sender")
