#!/usr/bin/env python3
"""Train a character-level GPT-2 on the emulated wafer, print its loss beside PyTorch's from the same start, and let it write.

    PYTHONPATH=build/python python examples/train_gpt.py [--layers 2] [--width 64] [--heads 4] [--context 32] [--batch 8] [--steps 50]
                                                         [--machine small] [--precision f32|f16|bf16] [--systems 1] [--threads 1] [--text FILE ...]
                                                         [--sparsity RigL|SET|GMP|Static] [--zeros 0.75]

The default text is what Debian's package base-files installs: 220 kB of licences. `--layers 5 --width 128 --heads 4 --context 64` makes a model of a
million parameters.
"""

import argparse
import pathlib
import sys
import time

import torch
from torch.nn import functional as F

import wafer
from wafer.generate import Generator
from wafer.models.gpt2 import GPT2

LICENCES = pathlib.Path("/usr/share/common-licenses")


def loss_of(logits, target):
    return F.cross_entropy(logits.flatten(0, 1), target.flatten())


def main() -> int:
    parser = argparse.ArgumentParser(description="Train a character-level GPT on the emulated wafer.")
    for name, default in (("layers", 2), ("width", 64), ("heads", 4), ("context", 32), ("batch", 8), ("steps", 50), ("systems", 1), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default, help="(default: %(default)s)")
    parser.add_argument("--shards", type=int, default=None, help="parts that a batch is cut into (default: the largest divisor that is at most 8)")
    parser.add_argument("--machine", default="small", help="a preset or the path of a machine description (default: %(default)s)")
    parser.add_argument("--precision", default="f32", choices=["f32", "f16", "bf16"], help="of values on the wafer (default: %(default)s)")
    parser.add_argument("--sparsity", choices=["Static", "GMP", "SET", "RigL"], help="train with zeros in all layers but embeddings (default: dense)")
    parser.add_argument("--zeros", type=float, default=0.75, help="share of zeros in each weight (default: %(default)s)")
    parser.add_argument("--lr", type=float, default=1e-3, help="(default: %(default)s)")
    parser.add_argument("--text", type=pathlib.Path, nargs="+", help=f"files to learn from (default: those in {LICENCES})")
    parser.add_argument("--write", type=int, default=0, metavar="N", help="characters to write after training (default: none)")
    arguments = parser.parse_args()

    files = arguments.text or sorted(path for path in LICENCES.iterdir() if not path.is_symlink())
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    alphabet = sorted(set(text))
    number_of = {character: number for number, character in enumerate(alphabet)}
    ids = torch.tensor([number_of[character] for character in text])

    def batch(number: int) -> tuple[torch.Tensor, torch.Tensor]:
        starts = torch.randint(len(ids) - arguments.context - 1, (arguments.batch,), generator=torch.Generator().manual_seed(number))
        windows = torch.stack([ids[start : start + arguments.context + 1] for start in starts])
        return windows[:, :-1].contiguous(), windows[:, 1:].contiguous()

    def model() -> GPT2:
        torch.manual_seed(0)
        return GPT2(len(alphabet), arguments.context, arguments.width, arguments.layers, arguments.heads)

    reference = model()
    optimizer = torch.optim.AdamW(reference.parameters(), lr=arguments.lr)
    method = None
    if arguments.sparsity:
        timing = {} if arguments.sparsity == "Static" else {"end": max(1, 3 * arguments.steps // 4), "update_every": max(1, arguments.steps // 20)}
        method = getattr(wafer.sparsity, arguments.sparsity)(arguments.zeros, exclude=["transformer.w?e.weight"], **timing)
    start = time.perf_counter()
    step = wafer.train_step(
        model(), loss_of, wafer.optim.AdamW(lr=arguments.lr), batch(0),
        machine=arguments.machine, precision=arguments.precision, systems=arguments.systems, shards=arguments.shards, threads=arguments.threads,
        sparsity=method,
    )  # fmt: skip
    on_wafer = sum(op.placement == "wafer" for op in step.program.ops)
    print(f"{sum(p.numel() for p in reference.parameters())} parameters, {len(text)} characters of {len(alphabet)} kinds")
    print(f"program made in {time.perf_counter() - start:.1f} s, {on_wafer} of {len(step.program.ops)} operations on the wafer")
    print(f"{'step':>5} {'wafer loss':>11} {'PyTorch loss':>13} {'difference':>11}")
    start, losses = time.perf_counter(), []
    for number in range(arguments.steps):
        x, target = batch(number)
        optimizer.zero_grad()
        loss = loss_of(reference(x), target)
        loss.backward()
        optimizer.step()
        losses.append((step(x, target), loss.item()))
        if number % max(1, arguments.steps // 10) == 0 or number == arguments.steps - 1:
            print(f"{number:>5} {losses[-1][0]:>11.5f} {losses[-1][1]:>13.5f} {_difference(*losses[-1]):>11.1e}", flush=True)
    print(f"largest relative difference in the first 50 steps {max(_difference(*pair) for pair in losses[:50]):.1e}")
    last = losses[-20:]
    found, wanted = (sum(values) / len(last) for values in zip(*last))
    print(f"final loss (mean of the last {len(last)} steps): wafer {found:.5f}, PyTorch {wanted:.5f}, relative difference {_difference(found, wanted):.1e}")
    print(f"{(time.perf_counter() - start) / arguments.steps:.2f} s a step on this host; {step.skipped} steps skipped")
    if step.masks:
        kept, all_of_them = (sum(int(count(mask)) for mask in step.masks.values()) for count in (lambda mask: mask.sum(), lambda mask: mask.size))
        print(f"{arguments.sparsity}: {kept} of {all_of_them} weights kept in {len(step.masks)} tensors; PyTorch's model is dense")
    if arguments.write:
        trained = model().eval()
        trained.load_state_dict(step.state_dict())
        generator = Generator.compile(trained, machine=arguments.machine, precision=arguments.precision, threads=arguments.threads)
        prompt = text[len(text) // 2 :][: arguments.context // 4]
        written = generator([number_of[character] for character in prompt], arguments.write)
        print("the trained model writes, on the wafer:")
        print(prompt + "|" + "".join(alphabet[number] for number in written))
    return 0


def _difference(found: float, wanted: float) -> float:
    return abs(found - wanted) / wanted


if __name__ == "__main__":
    sys.exit(main())
