"""A training run for the tests of ranks: prints what the weights are after some steps. Started alone or by mpirun.

    python ranks_program.py STEPS [--systems N] [--checkpoints DIR] [--fail-at STEP] [--kill-at STEP] [--leave-at STEP]
"""

import argparse
import hashlib
import os
import signal

import torch
from torch import nn
from torch.nn import functional as F

import wafer

parser = argparse.ArgumentParser()
parser.add_argument("steps", type=int)
parser.add_argument("--systems", type=int, default=1)
parser.add_argument("--checkpoints")
for moment in ("fail", "kill", "leave"):
    parser.add_argument(f"--{moment}-at", type=int, default=-1)
arguments = parser.parse_args()
rank = int(os.environ.get("OMPI_COMM_WORLD_RANK", "0"))


def batch(number):
    generator = torch.Generator().manual_seed(number)
    return torch.randn(24, 6, generator=generator), torch.randint(0, 5, (24,), generator=generator)


torch.manual_seed(0)
model = nn.Sequential(nn.Linear(6, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Dropout(0.2), nn.Linear(9, 5))
step = wafer.train_step(model, F.cross_entropy, wafer.optim.AdamW(lr=0.01), batch(0), machine="tiny", systems=arguments.systems)
if arguments.checkpoints and os.path.isdir(arguments.checkpoints) and os.listdir(arguments.checkpoints):
    step.load(arguments.checkpoints)
while step.step < arguments.steps:
    if rank == 1 and step.step == arguments.fail_at:
        raise ValueError("a bug of rank 1")
    if rank == 1 and step.step == arguments.kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
    if rank == 1 and step.step == arguments.leave_at:
        break
    step(*batch(step.step))
    if arguments.checkpoints:
        step.save(arguments.checkpoints)
digest = hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in step.state_dict().values())).hexdigest()
print(f"weights {digest}\n", end="", flush=True)
