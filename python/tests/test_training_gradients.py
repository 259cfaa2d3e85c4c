"""Gradients of each differentiable operation are PyTorch's, on the emulated machine in f32, operation by operation.

Operations of a kind share a program, in which each has parameters of its own; so a wrong gradient fails the test of its operation only. Parameters are
added to inputs, so that what is differentiated are activations; weights as such are in the test of models.
"""

import functools

import gradient_cases
import numpy
import pytest
import torch
import wafer
from torch import nn
from wafer.training.joint import differentiate, gradient_of


class _All(nn.Module):
    def __init__(self, cases):
        super().__init__()
        self.cases = cases
        self.parameter_lists = nn.ModuleList([nn.ParameterList([torch.zeros_like(t) for t in tensors]) for _, tensors in cases.values()])

    def forward(self, *inputs):
        remaining = iter(inputs)
        total = 0
        for i, (function, tensors) in enumerate(self.cases.values()):
            # Multiplied, since a sum over a softmax, say, has no gradient.
            result = function(*(next(remaining) + p for p in self.parameter_lists[i]))
            total = total + (result * torch.linspace(0.5, 1.5, result.numel()).reshape(result.shape)).sum()
        return total


def gradients(model, inputs, engine="functional", machine="tiny", loss=lambda found, target: found * target):
    """Found gradients by name, and PyTorch's."""
    example = (*inputs, torch.ones(()))
    described = differentiate(model, loss, example)
    program = wafer.compile(described.imported.text, machine=machine, precision="f32", name="gradients").set_weights(described.imported.parameters)
    values = {name: value for name, value in zip(described.arguments, example) if name in {info.name for info in program.inputs}}
    found = program.run(values, engine=engine)
    wanted = dict(model.named_parameters())
    model.zero_grad()
    loss(model(*inputs), example[-1]).backward()
    return {name: (torch.as_tensor(found[gradient_of(name)]), wanted[name].grad) for name in described.parameters}, program


@functools.cache
def of_kind(kind, engine="functional"):
    cases = gradient_cases.CASES[kind]
    return gradients(_All(cases), [t for _, tensors in cases.values() for t in tensors], engine)[0]


@pytest.mark.parametrize("kind, name", [(kind, name) for kind, cases in gradient_cases.CASES.items() for name in cases])
def test_gradient(kind, name):
    place = list(gradient_cases.CASES[kind]).index(name)
    found = {key: pair for key, pair in of_kind(kind).items() if key.startswith(f"parameter_lists.{place}.")}
    assert found, "the gradient depends on no tensor"
    for key, (gradient, wanted) in found.items():
        torch.testing.assert_close(gradient, wanted, rtol=2e-5, atol=2e-5 * max(1, wanted.abs().max().item()), msg=lambda text: f"{key}: {text}")


def test_every_operation_of_the_importer_has_a_case():
    stems = {op.removeprefix("aten.").partition(".")[0] for op in wafer.supported_ops()}
    covered = {name.partition(".")[0] for cases in gradient_cases.CASES.values() for name in cases}
    others = gradient_cases.NOT_DIFFERENTIABLE | gradient_cases.SAME_AS_ANOTHER
    assert stems - covered - others == set()
    assert others - stems == set()


@pytest.mark.parametrize("kind", ["products", "binary"])
def test_engines_agree_on_every_bit(kind):
    for key, (gradient, _) in of_kind(kind, "cycle").items():
        assert numpy.array_equal(gradient.numpy().view(numpy.int32), of_kind(kind)[key][0].numpy().view(numpy.int32)), key
