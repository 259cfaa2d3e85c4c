"""Text generation: a program for the prompt, a program for each token after it, and how a token is chosen.

    generator = wafer.generate.Generator.compile(model, machine="small")      # a wafer.models.gpt2.GPT2
    ids = list(generator(prompt_ids, 32))                                     # greedy
    ids = list(generator(prompt_ids, 32, Sampler(temperature=0.8, top_p=0.9, seed=0)))

Keys and values of what was read are the cache: outputs of one call and inputs of the next. They stay in MemoryX's memory on the host between calls.
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

    `prefill` takes ids [1, length] and gives logits [1, length, vocabulary] and the caches; `decode` takes ids [1, 1], the position [1] and the caches,
    and gives logits [1, 1, vocabulary] and the caches with that token. Both give the first result first.
    """

    def __init__(self, prefill: Program, decode: Program):
        taken = [(info.shape, info.dtype) for info in decode.inputs[2:]]
        given = [(info.shape, info.dtype) for info in prefill.outputs[1:]]
        if taken != given or taken != [(info.shape, info.dtype) for info in decode.outputs[1:]]:
            raise RuntimeError(f"found caches {given} of the prefill program, expected those that the decode program takes and gives, {taken}")
        self.prefill, self.decode = prefill, decode
        self.length: int = prefill.inputs[0].shape[1]

    @classmethod
    def compile(cls, model: GPT2, **options: object) -> Generator:
        """Compile both programs of a model; options are those of wafer.compile."""
        import torch

        import wafer
        from wafer.models.gpt2 import Decode, Prefill

        ids = torch.zeros(1, model.length, dtype=torch.int64)
        with torch.no_grad():
            _, *caches = Prefill(model)(ids)
        prefill = wafer.compile(Prefill(model).eval(), (ids,), **options)
        decode = wafer.compile(Decode(model).eval(), (ids[:, :1], torch.tensor([1]), *caches), **options)
        return cls(prefill, decode)

    def __call__(self, prompt: Sequence[int], count: int, choose: Choose = greedy) -> Iterator[int]:
        """Yields up to `count` tokens after the prompt, fewer when prompt and tokens reach the length of the programs."""
        prompt = list(prompt)
        if not 0 < len(prompt) <= self.length:
            raise RuntimeError(f"found a prompt of {len(prompt)} tokens, expected 1 to {self.length}")
        return self._tokens(prompt, min(count, self.length - len(prompt) + 1), choose)

    def _tokens(self, prompt: list[int], count: int, choose: Choose) -> Iterator[int]:
        ids = numpy.zeros((1, self.length), numpy.int32)
        ids[0, : len(prompt)] = prompt
        logits, *caches = self._run(self.prefill, ids)
        row = logits[0, len(prompt) - 1]
        for position in range(len(prompt), len(prompt) + count):
            token = choose(row)
            yield token
            if position + 1 == len(prompt) + count:
                return
            logits, *caches = self._run(self.decode, numpy.array([[token]], numpy.int32), numpy.array([position], numpy.int32), *caches)
            row = logits[0, 0]

    @staticmethod
    def _run(program: Program, *inputs: numpy.ndarray) -> list[numpy.ndarray]:
        return list(program.run(inputs).values())
