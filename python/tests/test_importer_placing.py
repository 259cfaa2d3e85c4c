"""Operations that sort or that write at computed places, and transposed convolutions, compute what PyTorch computes."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


X = random(3, 5, 7)
TIES = torch.tensor([[2.0, -1.0, 2.0, 0.0, -1.0], [0.0, 0.0, 0.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    "settings",
    [dict(stride=2), dict(stride=2, padding=1, output_padding=1), dict(stride=3, padding=2, dilation=2), dict(stride=2, groups=2, bias=False)],
    ids=str,
)
def test_transposed_convolution(check, settings):
    torch.manual_seed(0)
    kernel = 2 if settings == dict(stride=2) else 3
    imported = check(nn.ConvTranspose2d(4, 6, kernel, **settings), random(2, 4, 3, 5))
    assert sum(imported.macs.values()) == 2 * 4 * 6 * kernel**2 * 15 // settings.get("groups", 1)


def test_transposed_convolution_of_one_line_without_batch(check):
    check(nn.ConvTranspose1d(3, 2, 4, stride=2, padding=1), random(3, 6))


def test_largest_and_smallest_elements(check):
    check(Function(lambda x: (*x.topk(2), *x.topk(3, dim=0, largest=False), *x.transpose(0, 2).topk(1, dim=1))), X)


@pytest.mark.parametrize("descending", [False, True])
def test_equal_elements_keep_their_order(check, descending):
    check(Function(lambda x: (*torch.sort(x, stable=True, descending=descending), *torch.sort(x, dim=0, stable=True, descending=descending))), TIES)


def test_nan_sorts_as_the_greatest(check):
    x = torch.tensor([1.0, float("nan"), -2.0, float("inf"), 0.5])
    check(Function(lambda x: (*x.sort(), *x.sort(descending=True), x.topk(2).indices)), x)


def test_sort_of_integers_and_of_a_repeated_row(check):
    check(Function(lambda i, x: (*i.sort(descending=True), x[0].expand(3, 7).sort(-1).values, x.argsort(1))), torch.tensor([3, -1, 7, 2]), X[0])


def test_written_elements(check):
    i, j = torch.tensor([2, 0]), torch.tensor([1, -1])

    def write(x, v, i, j):
        row, both, apart = x.clone(), x.clone(), x.clone()
        row[i] = v[:2, :, :]
        both[:, i, j] = 5.0
        apart[i, :, j] = v[:2, :, 0]
        return row, both, apart

    check(Function(write), X, random(3, 5, 7, seed=1), i, j)


def test_sums_at_equal_places(check):
    i = torch.tensor([1, 1, 0, 1])
    check(Function(lambda x, v, i: (x.index_put((i,), v, accumulate=True), x.index_add(0, i, v))), random(3, 4), random(4, 4, seed=1), i)


def test_write_under_a_mask(check):
    check(Function(lambda x: x.index_put((x > 0,), torch.tensor(0.5))), X)


def test_scattered_elements(check):
    index = torch.tensor([[0, 2, 1], [2, 2, 0]])

    def scatter(x, v, i):
        return x.scatter(0, i, v), x.scatter(1, i, 3.0), x.scatter_add(1, i, v), x.scatter_reduce(0, i, v, "amax")

    check(Function(scatter), random(3, 4), random(2, 3, seed=1), index)


def test_place_in_a_cache(check):
    """How a decoder keeps keys: one column is replaced, at a position that is data."""
    check(Function(lambda cache, new, at: cache.index_copy(1, at, new)), X, random(3, 1, 7, seed=1), torch.tensor([4]))


def test_enlarged_pictures(check):
    check(Function(lambda x: (F.interpolate(x, scale_factor=2), F.interpolate(x, size=(5, 7), mode="bilinear"))), random(1, 2, 3, 4))


def test_reductions_into_places_begin_with_or_without_what_is_there(check):
    index = torch.tensor([[0, 2, 1], [2, 2, 0]])

    def scatter(x, v, i):
        return tuple(x.scatter_reduce(0, i, v, kind, include_self=own) for kind in ("sum", "mean", "prod", "amin") for own in (False, True))

    check(Function(scatter), random(3, 4), random(2, 3, seed=1), index)


def test_a_mask_takes_the_source_element_by_element(check):
    check(Function(lambda x, s: (x.masked_scatter(x > 0.5, s), x.masked_scatter(x[0, 0] > 0, s * 2))), X, random(200, seed=1))


def test_averages_over_windows_of_different_lengths(check):
    check(Function(lambda x: (F.adaptive_avg_pool2d(x, (5, 3)), F.adaptive_avg_pool2d(x, (2, 9)), F.adaptive_avg_pool1d(x[0], 4))), random(2, 3, 7, 8))


def test_averages_over_boxes_of_different_lengths(check):
    check(Function(lambda x: (F.adaptive_avg_pool3d(x, (2, 3, 4)), F.adaptive_avg_pool3d(x, (5, 2, 1)))), random(1, 2, 5, 4, 6))


def test_distances_of_all_pairs(check):
    norms = 0.0, 1.0, 2.0, 3.5, float("inf")
    check(Function(lambda x, y: tuple(torch.cdist(x, y, p, "donot_use_mm_for_euclid_dist") for p in norms) + (F.pdist(x[0]),)), X, random(3, 4, 7, seed=1))


def test_pictures_read_at_computed_points(check):
    check(Function(lambda x, at: (F.grid_sample(x, at, align_corners=False), F.grid_sample(x, at, padding_mode="border", align_corners=True))), random(1, 2, 4, 5), random(1, 3, 3, 2).tanh())


def test_gradient_of_a_transposed_convolution(check):
    def gradients(g, x, w):
        return torch.ops.aten.convolution_backward(g, x, w, [3], [2, 2], [1, 1], [1, 1], True, [0, 0], 1, [True, True, True])

    check(Function(gradients), random(2, 3, 5, 7), random(2, 4, 3, 4, seed=1), random(4, 3, 3, 3, seed=2))


def test_tensors_without_elements(check):
    check(Function(lambda x: (x[:, 2:2], x[:, :0].flip(0), torch.cat([x[:0], x]), F.pad(x[:, :, :0], (1, 2), value=3.0), x[:0].sum(0))), X)


def test_dropout_that_does_nothing(check):
    check(Function(lambda x: torch.ops.aten.native_dropout(x, 0.5, False)[0] + 1), X)


def test_the_zero_state_of_a_recurrent_layer_costs_no_products(check):
    torch.manual_seed(0)
    layer = nn.LSTM(7, 4, batch_first=True)
    imported = check(Function(lambda x: layer(x)[0]), X)
    assert sum(imported.macs.values()) == 3 * 16 * (5 * 7 + 4 * 4)  # five steps read the input, four the state
