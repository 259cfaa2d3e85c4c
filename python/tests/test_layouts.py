"""Where elements of tensors lie in what they were taken from."""

import itertools

import pytest
import torch
from torch import nn
from wafer.frontends.layouts import Layout, moved, source_of

MOVES = {
    "heads": lambda x: x.view(2, 6, 4, 6).transpose(1, 2),
    "parts": lambda x: x.view(2, 6, 3, 2, 4).permute(2, 0, 3, 1, 4)[1],
    "entries and heads": lambda x: x.transpose(0, 1).reshape(6, 8, 6).transpose(0, 1).view(2, 4, 6, 6),
    "slices": lambda x: x[:, 1:5, 8:].reshape(2, 4, 2, -1),
    "last elements": lambda x: x[..., -6:].unflatten(-1, (2, 3)),
    "repeated": lambda x: x.view(2, 6, 2, 12)[:, :, :, None].expand(2, 6, 2, 3, 12).reshape(2, 6, 6, 12),
    "interleaved": lambda x: x.view(2, 6, 8, 3).repeat_interleave(2, 2).transpose(1, -1),
    "split": lambda x: x.split([4, 12, 8], -1)[1].squeeze().flatten(1),
    "part of what was joined": lambda x: x.transpose(1, 2).reshape(2, 144)[:, 12:36].view(2, 4, 6),
    "one element": lambda x: x.transpose(1, 2).reshape(2, 144)[:, 15].unsqueeze(0),
}
# Steps of one size do not say it.
NOT_SAID = {
    "between": lambda x: x.transpose(1, 2).reshape(2, 144)[:, 3:9].view(2, 2, 3),
    "across": lambda x: x.transpose(1, 2).reshape(2, 36, 4),
    "each second": lambda x: x[..., ::2],
}


class Moves(nn.Module):
    def __init__(self, moves):
        super().__init__()
        self.moves = moves

    def forward(self, x):
        return self.moves(x)


def layout_of(moves, x):
    graph = torch.export.export(Moves(moves), (x,)).run_decompositions().graph
    node, chain = graph.output_node().args[0][0], []
    while (source := source_of(node)) is not None:
        chain.append(node)
        node = source
    layout = Layout.of(x.shape)
    for node in reversed(chain):
        layout = None if layout is None else moved(layout, node)
    return layout


def places(layout):
    """For each element, in row-major order."""
    of_dims = [[sum(digits) for digits in itertools.product(*([i * stride for i in range(count)] for count, stride in steps))] for steps in layout.dims]
    return [layout.offset + sum(place) for place in itertools.product(*of_dims)]


@pytest.mark.parametrize("name", MOVES)
def test_elements_are_where_it_says(name):
    x = torch.arange(2 * 6 * 24).view(2, 6, 24)
    assert places(layout_of(MOVES[name], x)) == MOVES[name](x).flatten().tolist()


@pytest.mark.parametrize("name", NOT_SAID)
def test_what_it_cannot_say_it_does_not(name):
    assert layout_of(NOT_SAID[name], torch.arange(2 * 6 * 24).view(2, 6, 24)) is None
