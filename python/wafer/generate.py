"""Text generation: a program with an entry for the prompt and one for each token after it, and how a token is chosen.

    generator = wafer.generate.Generator.compile(model, machine="small")      # a wafer.models.gpt2.GPT2
    ids = list(generator(prompt_ids, 32))                                     # greedy
    ids = list(generator(prompt_ids, 32, Sampler(temperature=0.8, top_p=0.9, seed=0)))

Keys and values of what was read are states of the program, which stay in MemoryX between calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy

from wafer.errors import RuntimeError  # noqa: A004

if TYPE_CHECKING:
    from wafer.models.gpt2 import GPT2
    from wafer.program import Program

Choose = Callable[[numpy.ndarray], int]  # of the logits [vocabulary], a token


def greedy(logits: numpy.ndarray) -> int:
    """The most likely token; the first of equals."""
    return int(numpy.argmax(logits))


def probabilities(logits: numpy.ndarray, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None) -> numpy.ndarray:
    """What a sampler draws from.

    Args:    temperature: above zero; below 1 the likely get likelier. top_k: only the k most likely. top_p: of those, only the most likely ones that
             together have at least this probability; always at least one.
    Returns: probabilities [vocabulary] that add to one, zero for what was left out.
    """
    if not temperature > 0:
        raise RuntimeError(f"found the temperature {temperature:g}, expected one above zero; greedy() is what it means at zero")
    if top_k is not None and top_k < 1:
        raise RuntimeError(f"found top_k {top_k}, expected at least 1")
    if top_p is not None and not 0 < top_p <= 1:
        raise RuntimeError(f"found top_p {top_p:g}, expected a probability above 0 and at most 1")
    scaled = numpy.asarray(logits, numpy.float64) / temperature
    order = numpy.argsort(-scaled, kind="stable")  # of equals the first, as greedy
    weights = numpy.exp(scaled[order] - scaled[order[0]])
    if top_k is not None:
        weights[top_k:] = 0
    weights /= weights.sum()
    if top_p is not None:
        # A token is left out when those before it have the probability already.
        weights[numpy.cumsum(weights) - weights >= top_p] = 0
        weights /= weights.sum()
    result = numpy.empty_like(weights)
    result[order] = weights
    return result


class Sampler:
    """Draws tokens; `seed` makes a sequence of draws the same each time. See `probabilities` for the rest."""

    def __init__(self, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None, seed: int | None = None):
        self._options = (temperature, top_k, top_p)
        self._random = numpy.random.default_rng(seed)

    def __call__(self, logits: numpy.ndarray) -> int:
        chances = probabilities(logits, *self._options)
        return int(self._random.choice(len(chances), p=chances))


class Generator:
    """Writes on from a prompt.

    Of `program`, the entry "prefill" takes ids [1, length] and gives logits [1, length, vocabulary]; "decode" takes ids [1, 1] and their position [1], and
    gives logits [1, 1, vocabulary]. What decode must know of the tokens before are states.
    """

    def __init__(self, program: Program):
        missing = {"prefill", "decode"} - set(program.entries)
        if missing:
            raise RuntimeError(f"found a program with the entries {', '.join(program.entries)}, expected prefill and decode")
        self.program = program
        self.length: int = program.entries["prefill"].inputs[0].shape[1]

    @classmethod
    def compile(cls, model: GPT2, **options: object) -> Generator:
        """Compile a model with methods `prefill` and `decode`, to which room for keys and values is added; options are those of wafer.compile."""
        import torch

        import wafer

        model.add_caches()
        ids = torch.zeros(1, model.length, dtype=torch.int64)
        return cls(wafer.compile(model.eval(), entries={"prefill": (ids,), "decode": (ids[:, :1], torch.tensor([1]))}, **options))

    def __call__(self, prompt: Sequence[int], count: int, choose: Choose = greedy) -> Iterator[int]:
        """Yields up to `count` tokens after the prompt, fewer when prompt and tokens reach the length of the program."""
        prompt = list(prompt)
        if not 0 < len(prompt) <= self.length:
            raise RuntimeError(f"found a prompt of {len(prompt)} tokens, expected 1 to {self.length}")
        return self._tokens(prompt, min(count, self.length - len(prompt) + 1), choose)

    def _tokens(self, prompt: list[int], count: int, choose: Choose) -> Iterator[int]:
        prefill, decode = self.program.entries["prefill"], self.program.entries["decode"]
        ids = numpy.zeros((1, self.length), numpy.int32)
        ids[0, : len(prompt)] = prompt
        row = prefill(ids)[0, len(prompt) - 1]
        for position in range(len(prompt), len(prompt) + count):
            token = choose(row)
            yield token
            if position + 1 == len(prompt) + count:
                return
            row = decode(numpy.array([[token]], numpy.int32), numpy.array([position], numpy.int32))[0, 0]
