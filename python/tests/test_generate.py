"""Text: the same tokens as PyTorch, by prefill and decode with a cache of keys and values; and how tokens are drawn."""

import numpy
import pytest
import torch
import wafer
from wafer.generate import Generator, Sampler, greedy, probabilities
from wafer.models import trained

LOGITS = numpy.log(numpy.array([0.1, 0.4, 0.2, 0.3]))


@pytest.fixture(scope="module")
def model_and_characters():
    torch.manual_seed(0)
    return trained.character_gpt()


@pytest.fixture(scope="module")
def generator(model_and_characters):
    return Generator.compile(model_and_characters[0], precision="f32")


def with_pytorch(model, prompt, count, choose):
    """The whole text again for each token, without a cache."""
    ids = list(prompt)
    with torch.no_grad():
        for _ in range(count):
            ids.append(choose(model(torch.tensor([ids]))[0, -1].numpy()))
    return ids[len(prompt) :]


def test_greedy_tokens_are_those_of_pytorch(model_and_characters, generator):
    model, characters = model_and_characters
    prompt = characters.encode("The statement is ")
    assert list(generator(prompt, 32)) == with_pytorch(model, prompt, 32, greedy)


def test_drawn_tokens_are_those_of_pytorch(model_and_characters, generator):
    """More varied than greedy ones of so small a model, so that a wrong place in the cache shows."""
    model, characters = model_and_characters
    prompt = characters.encode("If")
    tokens = list(generator(prompt, 32, Sampler(0.9, top_k=40, top_p=0.95, seed=3)))
    assert tokens == with_pytorch(model, prompt, 32, Sampler(0.9, top_k=40, top_p=0.95, seed=3))
    assert len(set(tokens)) > 8


def test_generation_ends_where_the_positions_end(model_and_characters, generator):
    prompt = model_and_characters[1].encode("x" * 62)
    assert len(list(generator(prompt, 32))) == 3


@pytest.mark.parametrize("prompt", [[], [0] * 65])
def test_prompt_that_does_not_fit_is_refused(generator, prompt):
    with pytest.raises(wafer.RuntimeError, match=f"found a prompt of {len(prompt)} tokens, expected 1 to 64"):
        generator(prompt, 1)


def test_both_entries_share_one_set_of_weights_and_states(generator):
    program = generator.program
    assert list(program.entries) == ["prefill", "decode"]
    assert len({weight.name for weight in program.weights}) == len(program.weights)
    assert {state.name for state in program.states} >= {"transformer.h.0.attn.keys", "transformer.h.0.attn.values"}


def test_the_cache_is_what_pytorch_keeps(model_and_characters, generator):
    model, characters = model_and_characters
    ids = torch.tensor([characters.encode("x" * model.length)])
    generator.program(ids)
    model.add_caches()
    with torch.no_grad():
        model.prefill(ids)
    torch.testing.assert_close(torch.tensor(generator.program.state_values()["transformer.h.0.attn.keys"]), model.transformer["h"][0].attn.keys)


def test_program_without_the_entries_is_refused():
    program = wafer.compile(torch.nn.Linear(2, 2), (torch.zeros(1, 2),), machine="tiny")
    with pytest.raises(wafer.RuntimeError, match="found a program with the entries forward, expected prefill and decode"):
        Generator(program)


# Choosing


def test_greedy_takes_the_first_of_the_most_likely():
    assert greedy(numpy.array([0.0, 2.0, 2.0])) == 1


def test_probabilities_without_options_are_the_softmax():
    numpy.testing.assert_allclose(probabilities(LOGITS + 5), [0.1, 0.4, 0.2, 0.3])


def test_low_temperature_prefers_the_likely():
    numpy.testing.assert_allclose(probabilities(LOGITS, temperature=0.5), numpy.array([1, 16, 4, 9]) / 30)


def test_top_k_keeps_the_most_likely():
    numpy.testing.assert_allclose(probabilities(LOGITS, top_k=2), [0, 4 / 7, 0, 3 / 7])
    assert probabilities(LOGITS, top_k=1).tolist() == [0, 1, 0, 0]
    numpy.testing.assert_allclose(probabilities(LOGITS, top_k=9), [0.1, 0.4, 0.2, 0.3])


def test_top_p_keeps_the_fewest_that_have_the_probability():
    numpy.testing.assert_allclose(probabilities(LOGITS, top_p=0.65), [0, 4 / 7, 0, 3 / 7])
    numpy.testing.assert_allclose(probabilities(LOGITS, top_p=0.75), [0, 4 / 9, 2 / 9, 3 / 9])
    assert probabilities(LOGITS, top_p=0.01).tolist() == [0, 1, 0, 0]


def test_draws_follow_the_probabilities():
    sampler = Sampler(top_k=3, seed=0)
    counts = numpy.bincount([sampler(LOGITS) for _ in range(3000)], minlength=4)
    assert counts[0] == 0
    numpy.testing.assert_allclose(counts / 3000, [0, 4 / 9, 2 / 9, 3 / 9], atol=0.03)


@pytest.mark.parametrize(("options", "message"), [({"temperature": 0}, "temperature 0"), ({"top_k": 0}, "top_k 0"), ({"top_p": 1.5}, "top_p 1.5")])
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(wafer.RuntimeError, match=message):
        probabilities(LOGITS, **options)
