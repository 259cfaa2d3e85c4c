#!/usr/bin/env python3
"""Kill a training run at random moments, start it again each time, and compare the weights at its end with those of a run that nobody disturbed.

    PYTHONPATH=build/python python benchmarks/kill_training.py [--kills 50] [--steps 1500] [--seed 0]

The run writes a checkpoint after each step and goes on from the newest one. A tenth of the kills come while it starts, the others while it trains or writes.
"""

import argparse
import hashlib
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time


def train(steps: int, folder: pathlib.Path) -> None:
    import torch
    import wafer
    from torch import nn

    def batch(number: int) -> tuple[torch.Tensor, torch.Tensor]:
        generator = torch.Generator().manual_seed(number)
        return torch.randn(16, 12, generator=generator), torch.randint(0, 5, (16,), generator=generator)

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 5))
    step = wafer.train_step(model, nn.functional.cross_entropy, wafer.optim.AdamW(lr=1e-3), batch(0), machine="tiny", shards=1)
    if any(folder.glob("checkpoint-*")):
        step.load(folder)
    print("training", flush=True)
    while step.step < steps:
        step(*batch(step.step))
        step.save(folder)
    print(hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in step.state_dict().values())).hexdigest(), flush=True)


def start(steps: int, folder: pathlib.Path) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, __file__, "--steps", str(steps), "--train", str(folder)], stdout=subprocess.PIPE, text=True)


def newest(folder: pathlib.Path) -> int:
    return max((int(path.name.rpartition("-")[2]) for path in folder.glob("checkpoint-*")), default=0)


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill a training run at random moments and check that restarts change nothing.")
    parser.add_argument("--kills", type=int, default=50, help="(default: %(default)s)")
    parser.add_argument("--steps", type=int, default=1500, help="of the run (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    parser.add_argument("--train", type=pathlib.Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        train(arguments.steps, arguments.train)
        return 0

    moments = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, disturbed = pathlib.Path(folder) / "whole", pathlib.Path(folder) / "disturbed"
        begin = time.monotonic()
        undisturbed = start(arguments.steps, whole)
        wanted = undisturbed.communicate()[0].split()[-1]
        # As long as a run may go on between kills, so that they do not end before it does.
        most = (time.monotonic() - begin) / arguments.kills
        while_starting = 0
        for kill in range(arguments.kills):
            run = start(arguments.steps, disturbed)
            if moments.random() < 0.1:
                while_starting += 1
                time.sleep(moments.uniform(0, 1))
            else:
                run.stdout.readline()
                time.sleep(moments.uniform(0, most))
            run.send_signal(signal.SIGKILL)
            run.wait()
            if run.returncode != -signal.SIGKILL:
                print(f"the run ended before kill {kill + 1}; give it more --steps")
                return 1
        at = newest(disturbed)
        found = start(arguments.steps, disturbed).communicate()[0].split()[-1]
    same = found == wanted
    print(f"{arguments.kills} kills of a run of {arguments.steps} steps, {while_starting} while it started, the last one after step {at}")
    print(f"weights of the undisturbed run: {wanted}")
    print(f"weights after the restarts:     {found}: {'the same bytes' if same else 'OTHER BYTES'}")
    return 0 if same else 1


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
