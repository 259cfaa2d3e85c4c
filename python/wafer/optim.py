"""Update rules for wafer.train_step, run by MemoryX; schedules for their hyperparameters; and `rule`, to write one.

    wafer.optim.AdamW(lr=wafer.optim.cosine(3e-4, steps=1000, warmup=100), weight_decay=0.1, clip_norm=1.0)
"""

from wafer.training.expressions import exp, log, maximum, minimum, sign, sqrt, tanh, where
from wafer.training.optimizers import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, NAdam, RAdam, RMSprop
from wafer.training.rules import Rule, groups, rule
from wafer.training.schedules import cosine, exponential, linear, piecewise
from wafer.training.tensor_rules import Adafactor, Lamb, Muon, tensor_rule

__all__ = [
    "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Lamb", "Lion", "Muon", "NAdam", "RAdam", "RMSprop", "Rule", "SGD",
    "cosine", "exp", "exponential", "groups", "linear", "log", "maximum", "minimum", "piecewise", "rule", "sign", "sqrt", "tanh", "tensor_rule", "where",
]  # fmt: skip
