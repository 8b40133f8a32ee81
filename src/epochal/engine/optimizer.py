"""Optimizers and learning-rate schedules by Optax, all measured in updates of the plan."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
import optax

from epochal.clock import Plan, Span, Unit
from epochal.errors import OptionError, unknown_name

OptimizerName: TypeAlias = Literal["sgd", "momentum", "nesterov", "adam", "adamw"]
ScheduleName: TypeAlias = Literal["constant", "cosine", "linear", "one-cycle"]

OPTIMIZERS: tuple[str, ...] = get_args(OptimizerName)
SCHEDULES: tuple[str, ...] = get_args(ScheduleName)

_RATES_AT_100 = {"sgd": 0.1, "momentum": 0.02, "nesterov": 0.02, "adam": 0.001, "adamw": 0.001}
_LARGEST_SCALE = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerOptions:
    """How the weights move.

    Attributes:
        optimizer: one of `OPTIMIZERS`.
        lr: the learning rate's peak, above 0.
        schedule: ``constant``; ``cosine`` and ``linear`` fall to 0 at the plan's end; ``one-cycle`` rises for the
            first 30 % and falls to almost 0 (Smith and Topin 2018).
        warmup: updates of linear warm-up from 0 before the schedule (none for ``one-cycle``, which has its own).
        momentum: for ``momentum`` and ``nesterov``, at least 0 and below 1.
        weight_decay: for ``adamw`` (Loshchilov and Hutter 2019), at least 0.
    """

    optimizer: str = "sgd"
    lr: float = 0.1
    schedule: str = "constant"
    warmup: int = 0
    momentum: float = 0.9
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise OptionError(unknown_name("optimizer", self.optimizer, OPTIMIZERS))
        if self.schedule not in SCHEDULES:
            raise OptionError(unknown_name("schedule", self.schedule, SCHEDULES))
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise OptionError(f"the learning rate must be a finite number above 0, got {self.lr}")
        if not 0 <= self.momentum < 1:
            raise OptionError(f"momentum must be at least 0 and below 1, got {self.momentum}")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise OptionError(f"weight decay must be a finite number of at least 0, got {self.weight_decay}")
        if self.warmup and self.schedule == "one-cycle":
            raise OptionError("one-cycle has its own warm-up; leave out warmup")


def default_learning_rate(optimizer: str, batch_size: int) -> float:
    """Return the learning rate that is used where none is given: √(B/100) times the optimizer's own at B = 100.

    The square root keeps the noise of a pass over the data alike (Krizhevsky 2014, section 5); the factor is at
    most 4, because full-batch descent needs a step that is stable, not one of low noise.

    >>> [default_learning_rate("sgd", b) for b in (1, 100, 60_000)]
    [0.01, 0.1, 0.4]
    """
    if optimizer not in OPTIMIZERS:
        raise OptionError(unknown_name("optimizer", optimizer, OPTIMIZERS))
    return float(f"{_RATES_AT_100[optimizer] * min(_LARGEST_SCALE, math.sqrt(batch_size / 100)):.3g}")


def warmup_updates(warmup: str | None, plan: Plan) -> int:
    """Return how many updates a warm-up such as ``1ep`` or ``500it`` lasts in this plan."""
    if warmup is None:
        return 0
    span = Span.parse(warmup)
    updates = span.amount if span.unit is Unit.ITERATIONS else plan.iterations_after(**{span.unit.word: span.amount})
    if not plan.is_open and updates > plan.updates:
        raise OptionError(f"a warm-up of {warmup} is {updates:,} updates, more than the plan's {plan.updates:,}")
    return updates


def build_optimizer(options: OptimizerOptions, updates: int) -> optax.GradientTransformation:
    """Return the Optax optimizer for a training of so many updates."""
    rate = _build_schedule(options, updates)
    match options.optimizer:
        case "momentum":
            return optax.sgd(rate, momentum=options.momentum)
        case "nesterov":
            return optax.sgd(rate, momentum=options.momentum, nesterov=True)
        case "adam":
            return optax.chain(_scale_by_adam(), optax.scale_by_learning_rate(rate))
        case "adamw":
            decay = optax.add_decayed_weights(options.weight_decay)
            return optax.chain(_scale_by_adam(), decay, optax.scale_by_learning_rate(rate))
        case _:
            return optax.sgd(rate)


def _scale_by_adam(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> optax.GradientTransformation:
    """Return `optax.scale_by_adam` (Kingma and Ba 2015) with its corrections of bias taken out of the arrays.

    ``(m / c₁) / (√(v / c₂) + ε) = (√c₂ / c₁) · m / (√v + ε √c₂)``: one division a parameter, not three, as at the
    end of the paper's section 2. The state is the same.
    """
    init = optax.scale_by_adam(b1, b2, eps).init

    def update(gradient: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        count = optax.safe_increment(state.count)
        first = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, gradient)
        second = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * (g * g), state.nu, gradient)
        root = jnp.sqrt(1 - jnp.float32(b2) ** count)
        scale, floor = root / (1 - jnp.float32(b1) ** count), eps * root
        changes = jax.tree.map(lambda m, v: scale * m / (jnp.sqrt(v) + floor), first, second)
        return changes, state._replace(count=count, mu=first, nu=second)

    return optax.GradientTransformation(init, update)


def _build_schedule(options: OptimizerOptions, updates: int) -> optax.ScalarOrSchedule:
    """Return the learning rate by update: a number where it never changes, so that no counter is carried."""
    falling = max(1, updates - options.warmup)
    match options.schedule:
        case "cosine":
            main: optax.ScalarOrSchedule = optax.cosine_decay_schedule(options.lr, falling)
        case "linear":
            main = optax.linear_schedule(options.lr, 0.0, falling)
        case "one-cycle":
            return optax.cosine_onecycle_schedule(updates, options.lr)
        case _:
            main = options.lr
    if not options.warmup:
        return main
    rising = optax.linear_schedule(0.0, options.lr, options.warmup)
    after = main if callable(main) else optax.constant_schedule(main)
    return optax.join_schedules([rising, after], [options.warmup])
