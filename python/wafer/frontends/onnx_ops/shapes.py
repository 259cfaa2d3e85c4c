"""Operators that move elements, and those that speak of shapes."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from wafer.frontends import deferred, onnx_model
from wafer.frontends.deferred import Any
from wafer.frontends.onnx_ops.node import Node
from wafer.frontends.onnx_ops.registry import operator


@operator("Shape")
def _shape(node: Node, x: Any) -> torch.Tensor:
    return torch.tensor(list(x.shape)[node.attribute("start", 0) : node.attribute("end", x.dim())], dtype=torch.int64)


@operator("Size")
def _size(node: Node, x: Any) -> torch.Tensor:
    return torch.tensor(math.prod(x.shape))


@operator("Constant")
def _constant(node: Node) -> torch.Tensor:
    for name, dtype in (("value_float", torch.float32), ("value_floats", torch.float32), ("value_int", torch.int64), ("value_ints", torch.int64)):
        if name in node.attributes:
            return torch.tensor(node.attribute(name), dtype=dtype)
    value = node.attribute("value")
    if value is None:
        raise node.refused(f"holds {', '.join(node.attributes) or 'nothing'}, expected a dense tensor of numbers")
    return value


@operator("ConstantOfShape")
def _constant_of_shape(node: Node, shape: Any) -> torch.Tensor:
    value = node.attribute("value", torch.zeros(1))
    return torch.full(node.numbers(shape, "shape"), value.item(), dtype=value.dtype)


@operator("Range")
def _range(node: Node, start: Any, limit: Any, delta: Any) -> torch.Tensor:
    first, end, step = (node.numbers(value, what)[0] for value, what in ((start, "start"), (limit, "limit"), (delta, "delta")))
    count = max(math.ceil((end - first) / step), 0)
    return (torch.arange(count) * step + first).to(start.dtype)


@operator("EyeLike")
def _eye_like(node: Node, x: Any) -> torch.Tensor:
    rows, columns = x.shape
    element = node.attribute("dtype")
    dtype = onnx_model.DTYPES[element] if element is not None else x.dtype
    places = torch.arange(columns) - torch.arange(rows).unsqueeze(1)
    return torch.eq(places, node.attribute("k", 0)).to(dtype)


@operator("Reshape")
def _reshape(node: Node, x: Any, shape: Any | None = None) -> Any:
    sizes = node.setting("shape", shape)
    if not node.attribute("allowzero", 0):
        sizes = [x.shape[i] if size == 0 else size for i, size in enumerate(sizes)]
    return x.reshape(sizes)


@operator("Flatten")
def _flatten(node: Node, x: Any) -> Any:
    axis = node.attribute("axis", 1)
    axis = axis + x.dim() if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


@operator("Squeeze")
def _squeeze(node: Node, x: Any, axes: Any | None = None) -> Any:
    dims = node.setting("axes", axes)
    dims = [d for d, size in enumerate(x.shape) if size == 1] if dims is None else [d % x.dim() for d in dims]
    return x.reshape([size for d, size in enumerate(x.shape) if d not in dims])


@operator("Unsqueeze")
def _unsqueeze(node: Node, x: Any, axes: Any | None = None) -> Any:
    dims = node.setting("axes", axes)
    rank = x.dim() + len(dims)
    dims, sizes = {d % rank for d in dims}, iter(x.shape)
    return x.reshape([1 if d in dims else next(sizes) for d in range(rank)])


@operator("Transpose")
def _transpose(node: Node, x: Any) -> Any:
    return x.permute(node.attribute("perm", list(reversed(range(x.dim())))))


@operator("Expand")
def _expand(node: Node, x: Any, shape: Any) -> Any:
    return x.expand(torch.broadcast_shapes(x.shape, node.numbers(shape, "shape")))


@operator("Tile")
def _tile(node: Node, x: Any, repeats: Any) -> Any:
    return x.repeat(node.numbers(repeats, "repeats"))


@operator("Concat")
def _concat(node: Node, *xs: Any) -> Any:
    return torch.cat(xs, node.attribute("axis", 1))


@operator("Split")
def _split(node: Node, x: Any, split: Any | None = None) -> tuple[Any, ...]:
    axis, sizes = node.attribute("axis", 0), node.setting("split", split)
    if sizes is None:
        count = node.attribute("num_outputs", len(node.proto.output))
        chunk = -(-x.shape[axis] // count)
        sizes = [max(min(chunk, x.shape[axis] - i * chunk), 0) for i in range(count)]
    return tuple(torch.split(x, sizes, axis))


@operator("Slice")
def _slice(node: Node, x: Any, starts: Any | None = None, ends: Any | None = None, axes: Any | None = None, steps: Any | None = None) -> Any:
    starts, ends = node.setting("starts", starts), node.setting("ends", ends)
    axes = node.setting("axes", axes) or list(range(len(starts)))
    steps = [1] * len(starts) if steps is None else node.numbers(steps, "steps")
    for start, end, axis, step in zip(starts, ends, axes, steps):
        size = x.shape[axis]
        if step > 0:
            x = _forward(x, axis, slice(start, end, step))
        else:
            places = range(*slice(start, end if end >= -size else None, step).indices(size))
            # From the last chosen element forward, then turned around.
            part = _forward(x, axis, slice(places[-1], places[0] + 1, -step)) if places else _forward(x, axis, slice(0, 0, 1))
            x = torch.flip(part, [axis])
    return x


def _forward(x: Any, axis: int, part: slice) -> Any:
    first, last, step = part.indices(x.shape[axis])
    return x if (first, last, step) == (0, x.shape[axis], 1) else torch.ops.aten.slice.Tensor(x, axis, first, max(first, last), step)


@operator("Pad")
def _pad(node: Node, x: Any, pads: Any | None = None, value: Any | None = None, axes: Any | None = None) -> Any:
    counts = node.setting("pads", pads)
    dims = list(range(x.dim())) if axes is None else [d % x.dim() for d in node.numbers(axes, "axes")]
    low, high = [0] * x.dim(), [0] * x.dim()
    for i, d in enumerate(dims):
        low[d], high[d] = counts[i], counts[len(dims) + i]
    mode = node.attribute("mode", "constant")
    if mode == "constant":
        filler = node.numbers(value, "value")[0] if value is not None else node.attribute("value", 0)
        return torch.constant_pad_nd(x, [count for pair in zip(reversed(low), reversed(high)) for count in pair], filler)
    for d in range(x.dim()):
        if low[d] or high[d]:
            x = torch.index_select(x, d, _mirrored(mode, x.shape[d], low[d], high[d]))
    return x


def _mirrored(mode: str, size: int, low: int, high: int) -> torch.Tensor:
    """Which elements a padded dimension repeats."""
    places = torch.arange(-low, size + high)
    if mode == "edge":
        return places.clamp(0, size - 1)
    if mode == "wrap":
        return places % size
    period = max(2 * (size - 1), 1)
    places = places % period
    return torch.where(places < size, places, period - places)


@operator("CenterCropPad")
def _center_crop_pad(node: Node, x: Any, shape: Any) -> Any:
    wanted = node.numbers(shape, "shape")
    for d, size in zip(node.attribute("axes", list(range(x.dim()))), wanted):
        here = x.shape[d]
        if size < here:
            x = torch.narrow(x, d, (here - size) // 2, size)
        elif size > here:
            before = (size - here) // 2
            counts = [0] * 2 * x.dim()
            d = d % x.dim()
            counts[2 * (x.dim() - 1 - d)], counts[2 * (x.dim() - 1 - d) + 1] = before, size - here - before
            x = torch.constant_pad_nd(x, counts, 0)
    return x


@operator("Trilu")
def _trilu(node: Node, x: Any, k: Any | None = None) -> Any:
    diagonal = 0 if k is None else node.numbers(k, "k")[0]
    return torch.triu(x, diagonal) if node.attribute("upper", 1) else torch.tril(x, diagonal)


@operator("DepthToSpace")
def _depth_to_space(node: Node, x: Any) -> Any:
    size, (batch, channels, height, width) = node.attribute("blocksize"), x.shape
    depth = channels // (size * size)
    if node.attribute("mode", "DCR") == "DCR":
        parts = x.reshape(batch, size, size, depth, height, width).permute(0, 3, 4, 1, 5, 2)
    else:
        parts = x.reshape(batch, depth, size, size, height, width).permute(0, 1, 4, 2, 5, 3)
    return parts.reshape(batch, depth, height * size, width * size)


@operator("SpaceToDepth")
def _space_to_depth(node: Node, x: Any) -> Any:
    size, (batch, channels, height, width) = node.attribute("blocksize"), x.shape
    parts = x.reshape(batch, channels, height // size, size, width // size, size)
    order = (0, 3, 5, 1, 2, 4) if node.attribute("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    return parts.permute(order).reshape(batch, channels * size * size, height // size, width // size)


@operator("ReverseSequence")
def _reverse_sequence(node: Node, x: Any, lengths: Any) -> Any:
    time, batch = node.attribute("time_axis", 0), node.attribute("batch_axis", 1)
    steps = torch.arange(x.shape[time]).reshape([-1 if d == time else 1 for d in range(x.dim())])
    counts = lengths.reshape([-1 if d == batch else 1 for d in range(x.dim())])
    places = torch.where(steps < counts, counts - 1 - steps, steps)
    return torch.gather(x, time, places.expand(x.shape))


@operator("Col2Im")
def _col2im(node: Node, x: Any, image: Any, block: Any) -> Any:
    """Adds blocks, given as columns, where they overlap; dimension by dimension."""
    sizes, kernel = node.numbers(image, "image_shape"), node.numbers(block, "block_shape")
    count = len(sizes)
    dilations, strides = node.attribute("dilations", [1] * count), node.attribute("strides", [1] * count)
    pads = node.attribute("pads", [0] * 2 * count)
    low, high = pads[:count], pads[count:]
    whole = [n + l + h for n, l, h in zip(sizes, low, high)]
    out = [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(whole, kernel, strides, dilations)]
    batch, channels = x.shape[0], x.shape[1] // math.prod(kernel)
    x = x.reshape(batch, channels, *kernel, *out)
    for i in range(count):
        # The first of the kernel's dimensions that are left goes, so that the image's one that belongs to it is always at the same place.
        total, axis = None, 2 + count - 1
        for tap in range(kernel[i]):
            spread = _spread(torch.select(x, 2, tap), axis, strides[i], tap * dilations[i], whole[i])
            total = spread if total is None else total + spread
        x = total
    return x[(slice(None), slice(None), *(slice(l, l + n) for l, n in zip(low, sizes)))]


def _spread(x: Any, axis: int, step: int, first: int, size: int) -> Any:
    """Elements at first, first + step, ... of a dimension of `size` zeros."""
    count = x.shape[axis]
    x = x.unsqueeze(axis + 1)
    x = F.pad(x, [0, 0] * (x.dim() - axis - 2) + [0, step - 1])
    x = x.reshape(*x.shape[:axis], count * step, *x.shape[axis + 2 :])
    return F.pad(x, [0, 0] * (x.dim() - axis - 1) + [first, size - first - count * step])


@operator("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial")
def _random(node: Node, *unused: Any) -> Any:
    raise node.refused("draws random numbers, which a program for inference does not; export the model in eval mode, or give the numbers as an input")


@operator("Compress")
def _compress(node: Node, x: Any, condition: Any) -> Any:
    places = torch.nonzero(node.constant(condition, "condition").flatten(), as_tuple=True)[0]
    axis = node.attribute("axis")
    return torch.index_select(x.reshape(-1) if axis is None else x, 0 if axis is None else axis, places)


@operator("NonZero", "Unique", "NonMaxSuppression")
def _of_data_dependent_shape(node: Node, *inputs: Any) -> Any:
    known = [deferred.known(value) if value is not None else None for value in inputs]
    if node.op == "NonZero" and known[0] is not None:
        return torch.stack(torch.nonzero(known[0], as_tuple=True))
    raise node.refused(
        "gives a result whose shape depends on data, expected static shapes; use Where or TopK in its place, or make what it reads an initializer"
    )
