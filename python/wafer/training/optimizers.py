"""The usual update rules, with the names, defaults and arithmetic of torch.optim where it has them.

They differ from torch.optim in one thing: weight_decay of Adam and the like may be a function of the step, as every hyperparameter may.
"""

from __future__ import annotations

from wafer.training.expressions import maximum, sign, sqrt
from wafer.training.rules import rule


@rule
def SGD(parameter, gradient, momentum_buffer=0.0, *, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, step):
    """Stochastic gradient descent, with momentum and Nesterov's variant."""
    if weight_decay:
        gradient = gradient + weight_decay * parameter
    if momentum:
        momentum_buffer = gradient if step == 1 else momentum * momentum_buffer + (1 - dampening) * gradient
        gradient = gradient + momentum * momentum_buffer if nesterov else momentum_buffer
    return parameter - lr * gradient, momentum_buffer


def _adam(parameter, gradient, first, second, lr, beta1, beta2, eps, step):
    first = first + (1 - beta1) * (gradient - first)
    second = beta2 * second + (1 - beta2) * gradient * gradient
    deviation = sqrt(second) / (1 - beta2**step) ** 0.5 + eps
    return parameter - (lr / (1 - beta1**step)) * (first / deviation), first, second


@rule
def Adam(parameter, gradient, exp_avg=0.0, exp_avg_sq=0.0, *, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, step):
    """Kingma and Ba, 2014."""
    if weight_decay:
        gradient = gradient + weight_decay * parameter
    return _adam(parameter, gradient, exp_avg, exp_avg_sq, lr, beta1, beta2, eps, step)


@rule
def AdamW(parameter, gradient, exp_avg=0.0, exp_avg_sq=0.0, *, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=1e-2, step):
    """Adam with weight decay apart from the gradient. Loshchilov and Hutter, 2017."""
    return _adam(parameter * (1 - lr * weight_decay), gradient, exp_avg, exp_avg_sq, lr, beta1, beta2, eps, step)


@rule
def RMSprop(parameter, gradient, square_avg=0.0, momentum_buffer=0.0, grad_avg=0.0, *, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False):
    """Hinton's lecture 6e; centered: Graves, 2013."""
    if weight_decay:
        gradient = gradient + weight_decay * parameter
    square_avg = alpha * square_avg + (1 - alpha) * gradient * gradient
    spread = square_avg
    if centered:
        grad_avg = grad_avg + (1 - alpha) * (gradient - grad_avg)
        spread = square_avg - grad_avg * grad_avg
    change = gradient / (sqrt(spread) + eps)
    if momentum:
        momentum_buffer = momentum * momentum_buffer + change
        change = momentum_buffer
    return parameter - lr * change, square_avg, momentum_buffer, grad_avg


@rule
def Adagrad(parameter, gradient, sum=0.0, *, lr=1e-2, lr_decay=0.0, weight_decay=0.0, eps=1e-10, step):  # noqa: A002 - torch's name
    """Duchi, Hazan and Singer, 2011."""
    if weight_decay:
        gradient = gradient + weight_decay * parameter
    sum = sum + gradient * gradient  # noqa: A001
    return parameter - (lr / (1 + (step - 1) * lr_decay)) * (gradient / (sqrt(sum) + eps)), sum


@rule
def Adadelta(parameter, gradient, square_avg=0.0, acc_delta=0.0, *, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.0):
    """Zeiler, 2012."""
    if weight_decay:
        gradient = gradient + weight_decay * parameter
    square_avg = rho * square_avg + (1 - rho) * gradient * gradient
    delta = sqrt(acc_delta + eps) / sqrt(square_avg + eps) * gradient
    return parameter - lr * delta, square_avg, rho * acc_delta + (1 - rho) * delta * delta


@rule
def Adamax(parameter, gradient, exp_avg=0.0, exp_inf=0.0, *, lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, step):
    """Kingma and Ba, 2014, section 7.1."""
    if weight_decay:
        gradient = gradient + weight_decay * parameter
    exp_avg = exp_avg + (1 - beta1) * (gradient - exp_avg)
    exp_inf = maximum(beta2 * exp_inf, abs(gradient) + eps)
    return parameter - (lr / (1 - beta1**step)) * (exp_avg / exp_inf), exp_avg, exp_inf


@rule
def NAdam(
    parameter, gradient, exp_avg=0.0, exp_avg_sq=0.0, mu_product=1.0,
    *, lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, momentum_decay=4e-3, decoupled_weight_decay=False, step,
):  # fmt: skip
    """Dozat, 2016. The product of momenta is kept per element, as the rest of the state is."""
    if weight_decay and decoupled_weight_decay:
        parameter = parameter * (1 - lr * weight_decay)
    elif weight_decay:
        gradient = gradient + weight_decay * parameter
    mu = beta1 * (1 - 0.5 * 0.96 ** (step * momentum_decay))
    mu_next = beta1 * (1 - 0.5 * 0.96 ** ((step + 1) * momentum_decay))
    exp_avg = exp_avg + (1 - beta1) * (gradient - exp_avg)
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * gradient * gradient
    mu_product = mu_product * mu
    deviation = sqrt(exp_avg_sq / (1 - beta2**step)) + eps
    by_gradient = (lr * (1 - mu)) / (1 - mu_product)
    by_momentum = (lr * mu_next) / (1 - mu_product * mu_next)
    parameter = parameter - by_gradient * (gradient / deviation) - by_momentum * (exp_avg / deviation)
    return parameter, exp_avg, exp_avg_sq, mu_product


@rule
def RAdam(parameter, gradient, exp_avg=0.0, exp_avg_sq=0.0, *, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, decoupled_weight_decay=False, step):
    """Liu and others, 2019."""
    if weight_decay and decoupled_weight_decay:
        parameter = parameter * (1 - lr * weight_decay)
    elif weight_decay:
        gradient = gradient + weight_decay * parameter
    exp_avg = exp_avg + (1 - beta1) * (gradient - exp_avg)
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * gradient * gradient
    unbiased = exp_avg / (1 - beta1**step)
    limit = 2 / (1 - beta2) - 1
    length = limit - 2 * step * beta2**step / (1 - beta2**step)
    if length > 5:
        rectify = ((length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)) ** 0.5
        return parameter - unbiased * lr * ((1 - beta2**step) ** 0.5 / (sqrt(exp_avg_sq) + eps)) * rectify, exp_avg, exp_avg_sq
    return parameter - unbiased * lr, exp_avg, exp_avg_sq


@rule
def Lion(parameter, gradient, exp_avg=0.0, *, lr=1e-4, beta1=0.9, beta2=0.99, weight_decay=0.0):
    """Chen and others, 2023."""
    parameter = parameter * (1 - lr * weight_decay)
    parameter = parameter - lr * sign(beta1 * exp_avg + (1 - beta1) * gradient)
    return parameter, beta2 * exp_avg + (1 - beta2) * gradient
