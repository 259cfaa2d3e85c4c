"""Update rules do what torch.optim does, in MemoryX: 20 steps on the same random gradients, to 1e-6 of the largest weight."""

import math

import numpy
import pytest
import torch
import wafer
from wafer import optim
from wafer.training.programs import Host
from wafer.training.room import Room
from wafer.training.update import Updater, norm_of

SHAPES = {"weight": (3, 5), "bias": (7,), "long": (1031,)}
RULES = {
    "sgd": (optim.SGD(lr=0.1), lambda p: torch.optim.SGD(p, lr=0.1)),
    "momentum": (
        optim.SGD(lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.01),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.01),
    ),
    "nesterov": (optim.SGD(lr=0.1, momentum=0.9, nesterov=True), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True)),
    "adam": (optim.Adam(lr=0.01), lambda p: torch.optim.Adam(p, lr=0.01)),
    "adam_decay": (optim.Adam(lr=0.01, weight_decay=0.1, beta1=0.8, eps=0.1), lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1, betas=(0.8, 0.999), eps=0.1)),
    "adamw": (optim.AdamW(lr=0.01, weight_decay=0.1), lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1)),
    "rmsprop": (optim.RMSprop(), torch.optim.RMSprop),
    "rmsprop_centered": (optim.RMSprop(momentum=0.9, centered=True), lambda p: torch.optim.RMSprop(p, momentum=0.9, centered=True)),
    "adagrad": (optim.Adagrad(lr_decay=0.1, weight_decay=0.01), lambda p: torch.optim.Adagrad(p, lr_decay=0.1, weight_decay=0.01)),
    "adadelta": (optim.Adadelta(), torch.optim.Adadelta),
    "adamax": (optim.Adamax(weight_decay=0.01), lambda p: torch.optim.Adamax(p, weight_decay=0.01)),
    "nadam": (optim.NAdam(weight_decay=0.01), lambda p: torch.optim.NAdam(p, weight_decay=0.01)),
    "nadam_decoupled": (
        optim.NAdam(weight_decay=0.01, decoupled_weight_decay=True),
        lambda p: torch.optim.NAdam(p, weight_decay=0.01, decoupled_weight_decay=True),
    ),
    "radam": (optim.RAdam(lr=0.01), lambda p: torch.optim.RAdam(p, lr=0.01)),
}


def gradients(steps=20):
    generator = torch.Generator().manual_seed(1)
    return [{name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()} for _ in range(steps)]


def start():
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}


def arrays(tensors):
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def run(rule, steps=20, scale=1.0):
    updater, parameters, state = Updater(rule, Host("tiny"), Room()), arrays(start()), {}
    for step, gradient in enumerate(gradients(steps)):
        made = {name: updater.apply(name, parameters[name], array, state.get(name, {}), step, scale) for name, array in arrays(gradient).items()}
        parameters, state = ({name: pair[part] for name, pair in made.items()} for part in (0, 1))
    return parameters, state, updater


def assert_same(found, wanted, tolerance=1e-6):
    for name, tensor in wanted.items():
        tensor = tensor.detach().numpy() if isinstance(tensor, torch.Tensor) else tensor
        assert numpy.abs(found[name] - tensor).max() <= tolerance * numpy.abs(tensor).max(), name


@pytest.mark.parametrize("name", RULES)
def test_rule_does_what_pytorch_does(name):
    rule, make = RULES[name]
    parameters = {key: tensor.requires_grad_() for key, tensor in start().items()}
    reference = make(list(parameters.values()))
    for gradient in gradients():
        for key, tensor in parameters.items():
            tensor.grad = gradient[key]
        reference.step()
    assert_same(run(rule)[0], parameters)


def test_lion_by_its_definition():
    lr, beta1, beta2, decay = 1e-2, 0.9, 0.99, 0.1
    parameters, momentum = start(), {name: torch.zeros(shape) for name, shape in SHAPES.items()}
    for gradient in gradients():
        for name in SHAPES:
            parameters[name] *= 1 - lr * decay
            parameters[name] -= lr * torch.sign(beta1 * momentum[name] + (1 - beta1) * gradient[name])
            momentum[name] = beta2 * momentum[name] + (1 - beta2) * gradient[name]
    assert_same(run(optim.Lion(lr=lr, weight_decay=decay))[0], parameters)


def test_adafactor_does_what_pytorch_does():
    parameters = {key: tensor.requires_grad_() for key, tensor in start().items()}
    reference = torch.optim.Adafactor(list(parameters.values()), lr=0.05, weight_decay=0.1)
    for gradient in gradients():
        for key, tensor in parameters.items():
            tensor.grad = gradient[key]
        reference.step()
    assert_same(run(optim.Adafactor(lr=0.05, weight_decay=0.1))[0], parameters, 1e-5)


def test_lamb_by_its_definition():
    lr, decay = optim.linear(0.02, 0.01, 20), 0.1
    parameters, first, second = start(), {}, {}
    for step, gradient in enumerate(gradients(), 1):
        for name in SHAPES:
            first[name] = 0.9 * first.get(name, 0) + 0.1 * gradient[name]
            second[name] = 0.999 * second.get(name, 0) + 0.001 * gradient[name] ** 2
            change = first[name] / (1 - 0.9**step) / ((second[name] / (1 - 0.999**step)).sqrt() + 1e-6) + decay * parameters[name]
            parameters[name] = parameters[name] - lr(step - 1) * parameters[name].norm() / change.norm() * change
    assert_same(run(optim.Lamb(lr=lr, weight_decay=decay))[0], parameters, 1e-5)


def test_muon_makes_matrices_orthogonal_and_other_rules_do_the_rest():
    """PyTorch's Muon iterates in bf16, so that it is only near."""
    matrix = {"weight": start()["weight"]}
    matrix["weight"].requires_grad_()
    reference = torch.optim.Muon([matrix["weight"]], lr=0.02)
    for gradient in gradients(3):
        matrix["weight"].grad = gradient["weight"]
        reference.step()
    rule = optim.groups({"weight": optim.Muon(lr=0.02)}, others=optim.SGD(lr=0.1))
    found, _, updater = run(rule, steps=3)
    assert_same(found, matrix, 2e-2)
    plain = run(optim.SGD(lr=0.1), steps=3)[0]
    assert all(numpy.array_equal(found[name], plain[name]) for name in SHAPES if name != "weight")
    (program,) = updater._of_tensors._programs.values()
    assert sum(op.placement == "wafer" and op.macs > 0 for op in program.ops) >= 15, "products of matrices are for the wafer"
    with pytest.raises(wafer.CompileError, match=r"found '.*' of shape .* for Muon, which updates matrices; use wafer.optim.groups"):
        run(optim.Muon(), steps=1)
    with pytest.raises(TypeError, match="found clip_norm in a group"):
        optim.groups({}, others=optim.SGD(lr=0.1, clip_norm=1.0))


def test_updates_run_in_memoryx_and_hold_no_state_that_the_rule_does_not_use():
    _, state, updater = run(optim.SGD(lr=0.1), steps=2)
    assert state["weight"] == {}
    for sessions in updater._updates.values():
        assert {op.placement for op in sessions.program.ops} == {"memoryx"}


def test_one_program_per_size_serves_all_steps():
    *_, updater = run(optim.AdamW(lr=optim.cosine(0.1, 20, warmup=3)))
    assert len(updater._updates) == len(SHAPES)


def test_a_rule_of_ones_own():
    @optim.rule
    def signum(parameter, gradient, momentum=0.0, *, lr, beta=0.9, step):
        momentum = beta * momentum + (1 - beta) * gradient
        warm = min(1.0, step / 10)
        return parameter - lr * warm * optim.where(abs(momentum) > 0.01, optim.sign(momentum), 0.0), momentum

    parameters, momentum = start(), {name: torch.zeros(shape) for name, shape in SHAPES.items()}
    for step, gradient in enumerate(gradients(), 1):
        for name in SHAPES:
            momentum[name] = 0.9 * momentum[name] + (1 - 0.9) * gradient[name]
            parameters[name] -= 0.1 * min(1.0, step / 10) * torch.where(momentum[name].abs() > 0.01, momentum[name].sign(), 0.0)
    found, state, _ = run(signum(lr=0.1))
    assert_same(found, parameters)
    assert_same({name: own["momentum"] for name, own in state.items()}, momentum)


def test_schedules_are_functions_of_the_step():
    steps = []
    run(optim.SGD(lr=lambda step: steps.append(step) or 0.1), steps=3)
    assert set(steps) == {0, 1, 2}
    cosine = optim.cosine(1.0, 10, warmup=2, floor=0.1)
    assert [cosine(0), cosine(1), cosine(2), cosine(10), cosine(99)] == [0.5, 1.0, 1.0, 0.1, 0.1]
    assert [optim.linear(1, 0, 4)(step) for step in (0, 2, 4, 9)] == [1, 0.5, 0, 0]
    assert optim.exponential(1.0, 0.5)(3) == 0.125
    assert [optim.piecewise(1.0, {3: 0.1, 5: 0.01})(step) for step in (2, 3, 7)] == [1.0, 0.1, 0.01]


def test_weight_decay_may_be_a_schedule():
    decay = optim.linear(0.0, 1.0, 10)
    found = run(optim.AdamW(lr=0.01, weight_decay=decay), steps=5)[0]
    assert numpy.abs(found["bias"] - run(optim.AdamW(lr=0.01, weight_decay=0.0), steps=5)[0]["bias"]).max() > 1e-4


def test_clipping_by_value():
    updater = Updater(optim.SGD(lr=1.0, clip_value=0.5), Host("tiny"), Room())
    found, _ = updater.apply("p", numpy.zeros(4, "f4"), numpy.array([-3, -0.25, 0.25, 8], "f4"), {}, 0, 2.0)
    assert found.tolist() == [0.5, 0.5, -0.5, -0.5]


def test_norm_is_that_of_all_gradients_and_finds_what_is_not_finite():
    updater, gradient = Updater(optim.SGD(lr=1.0), Host("tiny"), Room()), arrays(gradients(1)[0])

    def norm():
        return norm_of(square for array in gradient.values() for square in updater.squares(array))

    assert norm() == pytest.approx(math.sqrt(sum((g.astype("f8") ** 2).sum() for g in gradient.values())), rel=1e-6)
    gradient["long"] = gradient["long"].copy()
    gradient["long"][1030] = numpy.inf
    assert not math.isfinite(norm())


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: optim.SGD(), "needs the hyperparameter 'lr'"),
        (lambda: optim.Adam(learning_rate=1), "has no hyperparameter 'learning_rate'"),
        (lambda: optim.rule(lambda p: p), "expected \\(parameter, gradient"),
        (lambda: optim.rule(lambda p, g, m, *, lr: p), "has no number to begin with"),
        (lambda: optim.rule(lambda p, g, m=0.0, *, lr: p)(lr=1), "returned 1 values, expected 2: the new parameter, the new m"),
        (lambda: optim.rule(lambda p, g, *, lr: p if g > 0 else p)(lr=1), "use wafer.optim.where"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said_when_it_is_made(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_the_package_needs_no_torch_for_its_rules():
    import subprocess
    import sys

    code = "import sys, wafer; wafer.optim.Adam(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert wafer.optim.Adam().state == {"exp_avg": 0.0, "exp_avg_sq": 0.0}
