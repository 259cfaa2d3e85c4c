"""Inputs, weights and the expected outputs of the models of this folder, computed in f64: `models.py MODEL FOLDER` writes x.npy, weights.safetensors, y.npy."""

import json
import pathlib
import struct
import sys

import numpy


def linear_relu_linear(random):
    x = random.uniform(-1, 1, (11, 13))
    w1, b1, w2, b2 = (random.uniform(-0.5, 0.5, shape) for shape in ((17, 13), (17,), (6, 17), (6,)))
    y = numpy.maximum(x @ w1.T + b1, 0) @ w2.T + b2
    return x, {"fc1.weight": w1, "fc1.bias": b1, "fc2.weight": w2, "fc2.bias": b2}, y


def softmax(random):
    x = random.uniform(-3, 3, (9, 10))
    e = numpy.exp(x - x.max(axis=1, keepdims=True))
    return x, {}, e / e.sum(axis=1, keepdims=True)


def layer_norm(random):
    x = random.uniform(-2, 5, (7, 23))
    gamma, beta = random.uniform(0.5, 1.5, 23), random.uniform(-1, 1, 23)
    centred = x - x.mean(axis=1, keepdims=True)
    y = centred / numpy.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5) * gamma + beta
    return x, {"ln.weight": gamma, "ln.bias": beta}, y


def tosa(random):
    """A convolution, relu, maxima of three rows, a linear layer and a softmax."""
    x = random.uniform(-1, 1, (1, 6, 5, 3))
    kernel, bias, weight = random.uniform(-0.5, 0.5, (4, 3, 3, 3)), random.uniform(-0.5, 0.5, 4), random.uniform(-0.5, 0.5, (1, 60, 7))
    padded = numpy.pad(x, ((0, 0), (1, 0), (1, 1), (0, 0)))
    conv = sum(padded[:, i : i + 5, j : j + 5] @ kernel[:, i, j].T for i in range(3) for j in range(3)) + bias
    relu = numpy.maximum(conv, 0)
    pool = numpy.maximum(numpy.maximum(relu[:, :3], relu[:, 1:4]), relu[:, 2:])
    e = numpy.exp(pool.reshape(1, 60) @ weight[0])
    return x, {"conv.weight": kernel, "conv.bias": bias, "fc.weight": weight}, e / e.sum()


def write_safetensors(path, tensors):
    header, payload = {}, b""
    for name, values in tensors.items():
        data = values.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [len(payload), len(payload) + len(data)]}
        payload += data
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + payload)


model, folder = sys.argv[1], pathlib.Path(sys.argv[2])
x, weights, y = {"linear-relu-linear": linear_relu_linear, "softmax": softmax, "layer-norm": layer_norm, "tosa": tosa}[model](numpy.random.default_rng(7))
numpy.save(folder / "x.npy", x.astype("<f4"))
numpy.save(folder / "y.npy", y)
write_safetensors(folder / "weights.safetensors", weights)
