"""Update rules for wafer.train_step, run by MemoryX; schedules for their hyperparameters; and `rule`, to write one.

    wafer.optim.AdamW(lr=wafer.optim.cosine(3e-4, steps=1000, warmup=100), weight_decay=0.1, clip_norm=1.0)
"""

from wafer.training.expressions import exp, log, maximum, minimum, sign, sqrt, tanh, where
from wafer.training.optimizers import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, NAdam, RAdam, RMSprop
from wafer.training.rules import Rule, rule
from wafer.training.schedules import cosine, exponential, linear, piecewise

__all__ = [
    "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "NAdam", "RAdam", "RMSprop", "Rule", "SGD",
    "cosine", "exp", "exponential", "linear", "log", "maximum", "minimum", "piecewise", "rule", "sign", "sqrt", "tanh", "where",
]  # fmt: skip
